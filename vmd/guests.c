// SPDX-License-Identifier: MIT
/*
 * The VMs that do something, and the processes that an earlier vmd has left: see guest.h. A process is
 * ours when boot id, pid and start time are those that were written down, and its hello says the same
 * pid. On the loop's thread.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/errcat.h"
#include "vmd/event.h"
#include "vmd/guest.h"

#define GUESTS_ADOPT_MS 5000 /* vmd serves then even when a vmm has not said hello */
#define GUESTS_TICK_MS 10000 /* logs are looked at */
#define GUESTS_POLL_MS 10    /* while processes are adopted */

struct guests {
	struct daemon *d;
	struct guest *list;
	uv_timer_t tick; /* logs */
	uv_timer_t adopt;
	uint64_t adopt_until;
	void (*adopted)(struct daemon *d);
	bool closing;
};

static void guests_trim_logs(uv_timer_t *timer)
{
	struct guests *set = container_of(timer, struct guests, tick);

	for (struct guest *g = set->list; g; g = g->next)
		if (g->proc)
			vmproc_trim_log(g->dir);
}

struct guests *guests_new(struct daemon *d)
{
	struct guests *set = calloc(1, sizeof(*set));

	if (!set)
		return NULL;
	set->d = d;
	uv_timer_init(&d->loop, &set->tick);
	uv_timer_init(&d->loop, &set->adopt);
	uv_timer_start(&set->tick, guests_trim_logs, GUESTS_TICK_MS, GUESTS_TICK_MS);
	return set;
}

void guests_free(struct guests *set)
{
	free(set);
}

struct guest *guest_find(struct daemon *d, const char *id)
{
	struct guest *g = d->guests->list;

	while (g && strcmp(g->id, id))
		g = g->next;
	return g;
}

struct guest *guest_get(struct daemon *d, const struct state_vm *vm)
{
	struct guest *g = guest_find(d, vm->id);

	if (!g) {
		g = calloc(1, sizeof(*g));
		if (!g)
			return NULL;
		g->d = d;
		memcpy(g->id, vm->id, sizeof(g->id));
		memcpy(g->name, vm->name, sizeof(g->name));
		guest_dir(d, g->id, g->dir, sizeof(g->dir));
		fdset_init(&g->fds);
		g->exit = vm->exit;
		g->has_exit = vm->has_exit;
		uv_timer_init(&d->loop, &g->timer);
		g->next = d->guests->list;
		d->guests->list = g;
	}
	guest_hold(g);
	return g;
}

void guest_hold(struct guest *g)
{
	g->holds++;
}

static void guest_closed(uv_handle_t *handle)
{
	struct guest *g = container_of((uv_timer_t *)handle, struct guest, timer);

	fdset_fini(&g->fds);
	json_object_put(g->config);
	free(g);
}

static void guest_end(struct guest *g)
{
	struct guest **link = &g->d->guests->list;

	while (*link != g)
		link = &(*link)->next;
	*link = g->next;
	g->closing = true;
	uv_close((uv_handle_t *)&g->timer, guest_closed);
}

void guest_put(struct guest *g)
{
	bool idle = g->vm.phase == VM_PHASE_OFF && !g->waits && !g->gather && !g->proc;

	if (--g->holds == 0 && idle && !g->closing)
		guest_end(g);
}

/* --- processes of an earlier vmd --- */

static void guest_kept_name(const char *id, char out[static 64])
{
	snprintf(out, 64, "vm-%s", id);
}

void guest_keep_pidfd(struct guest *g)
{
	char name[64];

	guest_kept_name(g->id, name);
	if (g->proc)
		notify_store(&g->d->notify, name, vmproc_pidfd(g->proc));
	else
		notify_forget(&g->d->notify, name);
}

static void guests_mark_ended(struct daemon *d, const struct state_vm *vm)
{
	struct json_object *data = json_new();
	struct state_exit exit;
	char dir[256], kept[64];
	struct err e;

	guest_kept_name(vm->id, kept);
	notify_forget(&d->notify, kept);
	guest_dir(d, vm->id, dir, sizeof(dir));
	vmproc_last_words(dir, &exit);
	vmproc_clean(dir, false);
	json_add_str(data, "name", vm->name);
	json_add_str(data, "from", "running");
	json_add_str(data, "to", "stopped");
	json_add(data, "exit", guest_exit_json(&exit));
	if (state_exit_put(d->state, vm->id, &exit, &e) < 0)
		log_error(&d->log, "VM '%s': %s", vm->name, e.msg);
	event_emit(d->events, "vm.state", vm->id, data);
	log_warn(&d->log, "VM '%s' ended while no vmd was there: %s: %s", vm->name, exit.reason,
		 exit.message);
}

static void guests_adopt_one(struct daemon *d, const struct state_process *p)
{
	struct vmproc_options options = { .loop = &d->loop,
					  .log = &d->log,
					  .ops = &guest_proc_ops };
	struct state_vm vm;
	struct guest *g;
	char kept[64];
	struct err e = { 0 };
	int pidfd;

	if (state_vm_get(d->state, p->vm, &vm, &e) < 0)
		return;
	g = strcmp(p->boot_id, d->boot_id) ? NULL : guest_get(d, &vm);
	if (!g) {
		guests_mark_ended(d, &vm);
		return;
	}
	options.dir = g->dir;
	options.arg = g;
	guest_kept_name(g->id, kept);
	pidfd = activation_take(&d->activation, kept);
	if (vmproc_adopt(&options, p, pidfd, &g->proc, &e) < 0) {
		guests_mark_ended(d, &vm);
	} else {
		if (pidfd < 0)
			guest_keep_pidfd(g);
		g->vm.phase = VM_PHASE_RUNNING;
		g->vm.since_ms = uv_now(&d->loop);
		g->vm.start_paused = p->paused;
		g->since_ms = p->time_ms;
		g->revision = p->revision;
		g->up = true;
		g->found = true;
	}
	guest_put(g);
}

struct guests_rows {
	struct state_process *rows; /* owned */
	size_t n;
};

static int guests_take_row(void *arg, const struct state_process *p)
{
	struct guests_rows *r = arg;
	struct state_process *rows = realloc(r->rows, (r->n + 1) * sizeof(*rows));

	if (!rows)
		return -ENOMEM;
	r->rows = rows;
	rows[r->n++] = *p;
	return 0;
}

/* Serve once each has said hello or cannot be asked, or when that takes too long. */
static void guests_adopt_check(uv_timer_t *timer)
{
	struct guests *set = container_of(timer, struct guests, adopt);
	bool waiting = false;

	for (struct guest *g = set->list; g; g = g->next)
		waiting = waiting || (g->found && !g->lost);
	if (waiting && uv_now(&set->d->loop) < set->adopt_until)
		return;
	uv_timer_stop(timer);
	set->adopted(set->d);
}

void guests_adopt(struct daemon *d, void (*done)(struct daemon *d))
{
	struct guests_rows r = { 0 };
	struct err e;

	if (state_process_list(d->state, guests_take_row, &r, &e) < 0)
		log_error(&d->log, "cannot look for running VMs: %s", e.msg);
	for (size_t i = 0; i < r.n; i++)
		guests_adopt_one(d, &r.rows[i]);
	free(r.rows);
	d->guests->adopted = done;
	uv_update_time(&d->loop);
	d->guests->adopt_until = uv_now(&d->loop) + GUESTS_ADOPT_MS;
	uv_timer_start(&d->guests->adopt, guests_adopt_check, 0, GUESTS_POLL_MS);
}

void guests_tell_status(struct daemon *d)
{
	unsigned int n = 0;

	for (struct guest *g = d->guests->list; g; g = g->next)
		n += vm_state(&g->vm) != VM_STOPPED;
	notify_status(&d->notify, "%u VM%s running", n, n == 1 ? "" : "s");
}

void guests_close(struct daemon *d)
{
	struct guests *set = d->guests;
	struct guest *next;

	if (!set || set->closing)
		return;
	set->closing = true;
	uv_close((uv_handle_t *)&set->tick, NULL);
	uv_close((uv_handle_t *)&set->adopt, NULL);
	for (struct guest *g = set->list; g; g = next) {
		struct vmproc *proc = g->proc;

		next = g->next;
		guest_hold(g);
		guest_drop_waits(g);
		/* the next vmd finds what is half started, sees that it never was up, and ends it too */
		if (proc && !g->up)
			vmproc_kill(proc);
		g->proc = NULL;
		g->vm.phase = VM_PHASE_OFF;
		vmproc_release(proc);
		guest_put(g);
	}
}
