// SPDX-License-Identifier: MIT
/*
 * Devices that are given back: nobody has them open, then the journal backwards (reset, unbind, settings, driver, and
 * whether all of that is so), then the row goes. Each failure but the database's is quarantine; what the database
 * does not take is tried again until it does. After a reboot the host has forgotten what was done to it, but for what a
 * card keeps by itself: its VFs' addresses. On the loop's thread, but for the worker's function.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/auto.h"
#include "lib/errcat.h"
#include "vmd/event.h"
#include "vmd/lease_priv.h"

#define LEASE_RETRY_MS 250

static void lease_back_next(uv_timer_t *timer);
static void lease_back_one(struct lease_back *b);

/* --- one that runs ------------------------------------------------------------------------------------ */

static struct lease_back *lease_back_new(struct daemon *d, void *arg)
{
	struct lease_back *b = calloc(1, sizeof(*b));

	if (!b)
		abort(); /* a small object; a device would be lost */
	b->set = d->leases;
	b->next = b->set->backs;
	b->set->backs = b;
	b->below = INT64_MAX;
	b->arg = arg;
	uv_timer_init(&d->loop, &b->timer);
	return b;
}

static void lease_back_freed(struct lease_back *b)
{
	pci_inventory_fini(&b->inventory);
	json_object_put(b->steps);
	free(b);
}

static void lease_back_closed(uv_handle_t *handle)
{
	struct lease_back *b = container_of((uv_timer_t *)handle, struct lease_back, timer);

	b->closing = true;
	if (!b->working)
		lease_back_freed(b);
}

void lease_back_close(struct lease_back *b)
{
	struct lease_back **link = &b->set->backs;

	while (*link != b)
		link = &(*link)->next;
	*link = b->next;
	uv_close((uv_handle_t *)&b->timer, lease_back_closed);
}

/* The present one is through, whatever became of it. */
static void lease_back_through(struct lease_back *b, const struct err *why)
{
	void (*done)(void *arg, const struct err *why) = b->done;
	void *arg = b->arg;

	b->below = b->lease.generation;
	if (done) {
		lease_back_close(b);
		done(arg, why);
	} else {
		uv_timer_start(&b->timer, lease_back_next, 0, 0);
	}
}

static void lease_back_retry(uv_timer_t *timer)
{
	lease_back_one(container_of(timer, struct lease_back, timer));
}

static void lease_back_later(struct lease_back *b, const struct err *why)
{
	struct daemon *d = b->set->d;

	log_error(&d->log, "device %s: %s", b->lease.address, why->msg);
	uv_timer_start(&b->timer, lease_back_retry, LEASE_RETRY_MS, 0);
}

/* --- its end ---------------------------------------------------------------------------------------- */

static struct json_object *lease_back_data(const struct lease_back *b)
{
	struct json_object *o = json_add_str(json_new(), "name", b->lease.name);

	json_add_str(json_add_str(o, "pci", b->lease.address), "device", b->lease.device);
	return json_add_int(o, "generation", b->lease.generation);
}

static int lease_write_free(struct lease_back *b, const char *note, struct err *e)
{
	char owner[JOURNAL_OWNER_SIZE];
	struct daemon *d = b->set->d;
	struct json_object *data;
	int ret = state_lease_delete(d->state, b->lease.generation, e);

	lease_owner(&b->lease, owner);
	if (ret >= 0)
		ret = state_journal_delete(d->state, owner, e);
	if (ret < 0)
		return ret;
	data = lease_back_data(b);
	if (note)
		json_add_str(data, "note", note);
	return event_add(d->events, "device.released", b->lease.vm, data, e);
}

static int lease_write_quarantine(struct lease_back *b, const char *why, struct err *e)
{
	struct daemon *d = b->set->d;
	int ret = state_lease_quarantine(d->state, b->lease.generation, why, e);

	if (ret < 0 || b->again)
		return ret;
	return event_add(d->events, "device.quarantined", b->lease.vm,
			 json_add_str(lease_back_data(b), "reason", why), e);
}

static int lease_write(struct lease_back *b,
		       int (*write)(struct lease_back *b, const char *text, struct err *e),
		       const char *text, struct err *e)
{
	struct daemon *d = b->set->d;
	int ret = state_begin(d->state, e);

	if (ret >= 0)
		ret = write(b, text, e);
	if (ret >= 0)
		ret = state_commit(d->state, e);
	if (ret >= 0) {
		event_flush(d->events);
		return 0;
	}
	state_rollback(d->state);
	event_drop(d->events);
	return ret;
}

static void lease_back_free(struct lease_back *b, const char *note)
{
	struct err e;
	int ret = lease_write(b, lease_write_free, note, &e);

	if (ret < 0 && ret != -ERR_LEASE_NOT_FOUND) {
		lease_back_later(b, &e);
		return;
	}
	log_info(&b->set->d->log, "device %s is free again%s%s", b->lease.address, note ? ": " : "",
		 note ? note : "");
	lease_back_through(b, NULL);
}

static void lease_back_quarantine(struct lease_back *b, const struct err *why)
{
	struct daemon *d = b->set->d;
	char text[sizeof(b->lease.quarantine)];
	struct err e;
	int ret;

	if (why->code == ERR_STATE) {
		lease_back_later(b, why);
		return;
	}
	snprintf(text, sizeof(text), "%s%s%s%s", why->code == ERR_HOST_STUCK ? "stuck: " : "",
		 why->msg, why->cause[0] ? ": " : "", why->cause);
	text[strcspn(text, "\n")] = '\0';
	ret = lease_write(b, lease_write_quarantine, text, &e);
	if (ret < 0 && ret != -ERR_LEASE_NOT_FOUND) {
		lease_back_later(b, &e);
		return;
	}
	log_error(&d->log, "device %s, which VM '%s' had, is in quarantine: %s", b->lease.address,
		  b->lease.name, text);
	log_info(&d->log, "vmctl pci release %s tries again", b->lease.address);
	lease_back_through(b, why);
}

/* --- step by step ------------------------------------------------------------------------------------- */

static void lease_back_undone(void *arg, const struct err *why)
{
	struct lease_back *b = arg;

	if (why)
		lease_back_quarantine(b, why);
	else
		lease_back_free(b, NULL);
}

static void lease_back_undo(struct lease_back *b)
{
	static const struct journal_ops ops = { .done = lease_back_undone };
	char owner[JOURNAL_OWNER_SIZE];
	struct err e;
	int ret;

	lease_owner(&b->lease, owner);
	ret = journal_undo(b->set->journal, owner, &ops, b, &e);
	if (ret < 0)
		lease_back_later(b, &e);
	else if (!ret)
		lease_back_free(b, NULL);
}

static void lease_back_held(void *arg, struct json_object *result, const struct err *why)
{
	struct lease_back *b = arg;
	struct json_object *holders = json_get(result, "holders"), *first;
	struct err e;

	if (why) {
		lease_back_quarantine(b, why);
		return;
	}
	if (!holders || !json_object_array_length(holders)) {
		lease_back_undo(b);
		return;
	}
	first = json_object_array_get_idx(holders, 0);
	err_set(&e, ERR_LEASE_HELD, "process %lld (%s) has device %s open (%s)",
		(long long)json_get_int(first, "pid", 0), json_get_str(first, "comm", ""),
		b->lease.address, json_get_str(first, "path", ""));
	err_hint(&e, "end it, then: vmctl pci release %s", b->lease.address);
	lease_back_quarantine(b, &e);
}

static void lease_back_ask(struct lease_back *b, const char *op,
			   void (*done)(void *arg, struct json_object *result,
					const struct err *why))
{
	json_object_put(b->steps);
	b->steps = json_add_str(json_add_str(json_new(), "op", op), "pci", b->lease.address);
	hostio_do(b->set->d->hostio, b->steps, done, b);
}

/* In quarantine since before a reboot: nothing is to be undone, but it has to show that it works. */
static void lease_back_reset(void *arg, struct json_object *result, const struct err *why)
{
	(void)result;
	if (why)
		lease_back_quarantine(arg, why);
	else
		lease_back_free(arg, NULL);
}

/* --- after a reboot --------------------------------------------------------------------------------- */

static void lease_back_forget(struct lease_back *b);

static void lease_back_forgot(void *arg, struct json_object *result, const struct err *why)
{
	struct lease_back *b = arg;

	(void)result;
	if (why)
		log_warn(&b->set->d->log, "device %s: after the reboot: %s", b->lease.address,
			 why->msg);
	b->at++;
	lease_back_forget(b);
}

/* Is it still the device that the lease was for? Addresses may mean another one now. */
static bool lease_back_same(const struct lease_back *b)
{
	AUTO_JSON struct json_object *o = NULL;
	struct pci_identity before;
	const struct pci_function *f;
	struct pci_addr addr;
	char differs[160];

	if (pci_addr_parse(b->lease.address, &addr, NULL) < 0 ||
	    json_parse(b->lease.identity, strlen(b->lease.identity), &o, NULL) < 0 ||
	    pci_identity_parse(o, &before, NULL) < 0)
		return false;
	f = pci_inventory_find(&b->inventory, &addr);
	return f && !pci_identity_differs(&before, &f->id, differs, sizeof(differs));
}

/* Of the undos only the settings of VFs, which a card may have kept. */
static void lease_back_forget(struct lease_back *b)
{
	for (; b->at < json_object_array_length(b->steps); b->at++) {
		struct json_object *step = json_object_array_get_idx(b->steps, b->at);

		if (strcmp(json_get_str(step, "op", ""), "vf-set") != 0)
			continue;
		hostio_do(b->set->d->hostio, step, lease_back_forgot, b);
		return;
	}
	lease_back_free(b, "the host was restarted");
}

static void lease_back_survey(uv_work_t *work)
{
	struct lease_back *b = container_of(work, struct lease_back, work);

	/* nothing found is nothing to be cleaned */
	pci_inventory_fini(&b->inventory);
	pci_inventory_read(&b->set->d->hostfs, &b->inventory, NULL);
}

static void lease_back_surveyed(uv_work_t *work, int status)
{
	struct lease_back *b = container_of(work, struct lease_back, work);
	char owner[JOURNAL_OWNER_SIZE];
	struct err e;

	(void)status;
	b->working = false;
	if (b->closing) {
		lease_back_freed(b);
		return;
	}
	if (b->set->closing)
		return;
	lease_owner(&b->lease, owner);
	json_object_put(TAKE_PTR(b->steps));
	b->at = 0;
	if (journal_undos(b->set->journal, owner, &b->steps, &e) < 0)
		lease_back_later(b, &e);
	else if (!lease_back_same(b))
		lease_back_free(b, "the host was restarted");
	else
		lease_back_forget(b);
}

static void lease_back_reboot(struct lease_back *b)
{
	b->working = uv_queue_work(&b->set->d->loop, &b->work, lease_back_survey,
				   lease_back_surveyed) >= 0;
	if (!b->working)
		uv_timer_start(&b->timer, lease_back_retry, LEASE_RETRY_MS, 0);
}

/* --- which one, and which way ---------------------------------------------------------------------------- */

static bool lease_back_vanished(const struct lease_back *b)
{
	char path[96];
	int fd;

	snprintf(path, sizeof(path), "sys/bus/pci/devices/%s", b->lease.address);
	fd = hostfs_open(&b->set->d->hostfs, path, O_PATH | O_CLOEXEC, NULL);
	if (fd >= 0)
		close(fd);
	return fd == -ENOENT;
}

static bool lease_back_touched(struct lease_back *b)
{
	AUTO_JSON struct json_object *undos = NULL;
	char owner[JOURNAL_OWNER_SIZE];

	lease_owner(&b->lease, owner);
	return journal_undos(b->set->journal, owner, &undos, NULL) < 0 ||
	       json_object_array_length(undos);
}

static void lease_back_one(struct lease_back *b)
{
	struct daemon *d = b->set->d;
	struct err e;
	int ret = b->again ? 0
			   : state_lease_set(d->state, b->lease.generation, STATE_LEASE_RELEASING,
					     &e);

	if (ret == -ERR_LEASE_NOT_FOUND)
		lease_back_through(b, NULL);
	else if (ret < 0)
		lease_back_later(b, &e);
	else if (!b->again && strcmp(b->lease.boot_id, d->boot_id) != 0)
		lease_back_reboot(b);
	else if (lease_back_vanished(b))
		lease_back_free(b, "it is not there any more");
	else if (lease_back_touched(b))
		lease_back_ask(b, "holders", lease_back_held);
	else if (b->again)
		lease_back_ask(b, "reset", lease_back_reset);
	else
		lease_back_free(b, NULL);
}

static int lease_back_choose(void *arg, const struct state_lease *lease)
{
	struct lease_back *b = arg;

	/* oldest first: the last of them that is not through yet */
	if (lease->generation < b->below && lease->state != STATE_LEASE_QUARANTINED)
		b->lease = *lease;
	return 0;
}

static void lease_back_next(uv_timer_t *timer)
{
	struct lease_back *b = container_of(timer, struct lease_back, timer);
	void (*done)(void *arg) = b->all_done;
	void *arg = b->arg;
	struct err e;

	b->lease.generation = 0;
	if (state_lease_list(b->set->d->state, b->vm, lease_back_choose, b, &e) < 0) {
		log_error(&b->set->d->log, "%s", e.msg);
		uv_timer_start(&b->timer, lease_back_next, LEASE_RETRY_MS, 0);
		return;
	}
	if (b->lease.generation) {
		lease_back_one(b);
		return;
	}
	lease_back_close(b);
	done(arg);
}

void lease_release(struct daemon *d, const char *vm, void (*done)(void *arg), void *arg)
{
	struct lease_back *b = lease_back_new(d, arg);

	snprintf(b->vm, sizeof(b->vm), "%s", vm);
	b->all_done = done;
	uv_timer_start(&b->timer, lease_back_next, 0, 0);
}

/* --- one of a VM that runs on -------------------------------------------------------------------------- */

struct lease_of_device {
	const char *device;
	struct state_lease lease; /* generation 0: none */
};

static int lease_match_device(void *arg, const struct state_lease *lease)
{
	struct lease_of_device *of = arg;

	if (!strcmp(lease->device, of->device) && lease->state != STATE_LEASE_QUARANTINED)
		of->lease = *lease;
	return 0;
}

int lease_release_device(struct daemon *d, const char *vm, const char *device,
			 void (*done)(void *arg, const struct err *why), void *arg, struct err *e)
{
	struct lease_of_device of = { .device = device };
	struct lease_back *b;
	int ret = state_lease_list(d->state, vm, lease_match_device, &of, e);

	if (ret < 0 || !of.lease.generation)
		return ret;
	b = lease_back_new(d, arg);
	b->lease = of.lease;
	b->done = done;
	uv_timer_start(&b->timer, lease_back_retry, 0, 0);
	return 1;
}

/* --- out of quarantine -------------------------------------------------------------------------------- */

static int lease_release_find(struct daemon *d, const char *address, struct state_lease *ret_lease,
			      struct err *e)
{
	int ret = state_lease_at(d->state, address, ret_lease, e);

	if (ret < 0)
		return ret;
	if (!ret) {
		err_set(e, ERR_LEASE_NOT_FOUND, "no VM has device %s, and it is not in quarantine",
			address);
		return err_hint(e, "vmctl pci show %s shows what it is", address);
	}
	if (ret_lease->state == STATE_LEASE_QUARANTINED)
		return 0;
	err_set(e, ERR_LEASE_TAKEN, "device %s is not in quarantine: VM '%s' has it (%s)", address,
		ret_lease->name, state_lease_name(ret_lease->state));
	return err_hint(e, "vmctl stop %s gives it back", ret_lease->name);
}

int lease_release_one(struct daemon *d, const char *address, bool dry,
		      void (*done)(void *arg, const struct err *why), void *arg, struct err *e)
{
	struct state_lease lease;
	struct lease_back *b;
	int ret = lease_release_find(d, address, &lease, e);

	if (ret < 0)
		return ret;
	for (b = d->leases->backs; b; b = b->next)
		if (b->again && b->lease.generation == lease.generation)
			return err_set(e, ERR_BUSY, "device %s is being released already", address);
	if (dry)
		return 0;
	b = lease_back_new(d, arg);
	b->lease = lease;
	b->again = true;
	b->done = done;
	uv_timer_start(&b->timer, lease_back_retry, 0, 0);
	return 0;
}
