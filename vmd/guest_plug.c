// SPDX-License-Identifier: MIT
/* See guest_plug.h. On the loop's thread. */
#include "vmd/guest_plug_priv.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/auto.h"
#include "lib/errcat.h"
#include "vmd/event.h"
#include "vmd/guest_signal.h"
#include "vmd/lease.h"
#include "vmd/nets.h"

static void plug_look(struct guest_plug *p);

/* --- life -------------------------------------------------------------------------------------------- */

static void plug_free(struct guest_plug *p)
{
	plug_plan_fini(&p->plan);
	free(p);
}

static void plug_closed(uv_handle_t *handle)
{
	struct guest_plug *p = handle->data;

	if (!--p->handles)
		plug_free(p);
}

/* Off the list; freed by the loop once nobody calls back any more. */
static void plug_end(struct guest_plug *p)
{
	struct guest_plug **link = &p->g->plugs;

	p->dropped = true;
	pool_wait_end(p->g->d, &p->pool);
	if (p->calls)
		return;
	while (*link != p)
		link = &(*link)->next;
	*link = p->next;
	uv_close((uv_handle_t *)&p->retry, plug_closed);
	uv_close((uv_handle_t *)&p->limit, plug_closed);
}

struct guest_plug *plug_new(struct guest *g, bool attach, bool persist)
{
	struct guest_plug *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	p->g = g;
	p->attach = attach;
	p->persist = persist;
	p->next = g->plugs;
	g->plugs = p;
	p->handles = 2;
	uv_timer_init(&g->d->loop, &p->retry);
	uv_timer_init(&g->d->loop, &p->limit);
	p->retry.data = p->limit.data = p;
	return p;
}

static struct guest_plug *plug_find(const struct guest *g, const char *device)
{
	struct guest_plug *p = g->plugs;

	while (p && (p->dropped || strcmp(p->plan.device, device) != 0))
		p = p->next;
	return p;
}

/* A callback of vmproc or gather has come. False: nobody is interested any more. */
bool plug_called(struct guest_plug *p)
{
	p->calls--;
	if (p->dropped)
		plug_end(p);
	return !p->dropped;
}

bool plug_of_host(const struct guest_plug *p)
{
	return !strcmp(json_get_str(p->plan.config, "type", ""), "vfio-pci");
}

static bool plug_is_disk(const struct guest_plug *p)
{
	return plug_disk(p->plan.config, p->plan.device);
}

void plug_progress(struct guest_plug *p, const char *phase)
{
	if (p->job)
		job_progress(p->job, phase, 0, 0, "");
}

/* --- the end of it ------------------------------------------------------------------------------------- */

static void plug_write(struct guest_plug *p);

static void plug_write_again(uv_timer_t *timer)
{
	plug_write(timer->data);
}

static void plug_tell_job(struct guest_plug *p)
{
	struct job *job = TAKE_PTR(p->job);

	if (!job)
		return;
	job->saved = true;
	job_answer(job);
	job_forget(job);
}

/* The end of it, in one transaction, tried again until it is written. Then those who wait are told. */
static void plug_write(struct guest_plug *p)
{
	struct guest *g = p->g;
	struct event_hub *events = g->d->events;
	const struct state_actor *was = event_set_actor(events, p->job ? &p->job->row.actor : NULL);
	struct err e;
	int r = plug_store(p, &e);

	event_set_actor(events, was);
	if (r < 0) {
		state_rollback(g->d->state);
		event_drop(events);
		log_limited(&g->d->log, &g->save_limit, "VM '%s', device '%s': %s", g->name,
			    p->plan.device, e.msg);
		uv_timer_start(&p->retry, plug_write_again, PLUG_RETRY_MS, 0);
		return;
	}
	event_flush(events);
	guest_hold(g);
	nets_sweep(g->d);
	plug_tell_job(p);
	plug_end(p);
	guest_put(g);
}

void plug_finish(struct guest_plug *p, enum plug_outcome outcome)
{
	struct guest *g = p->g;

	p->outcome = outcome;
	pool_wait_end(g->d, &p->pool);
	uv_timer_stop(&p->limit);
	uv_timer_stop(&p->retry);
	if (outcome == PLUG_WENT)
		guest_signals_forget(g, p->plan.device);
	if (outcome != PLUG_FAILED)
		log_info(&g->d->log, "VM '%s': device '%s' %s", g->name, p->plan.device,
			 outcome == PLUG_CAME ? "was attached" : "was detached");
	else
		log_info(&g->d->log, "VM '%s': device '%s' was not %s: %s", g->name, p->plan.device,
			 p->attach ? "attached" : "detached", p->why.msg);
	plug_write(p);
}

void plug_note_why(struct guest_plug *p, const struct err *why)
{
	if (!p->why.code)
		p->why = *why;
}

/* --- the device of the host goes back ------------------------------------------------------------------ */

/* The VM has ended meanwhile, and what it has is given back all at once. */
void plug_leased_end(struct guest_plug *p)
{
	struct guest *g = p->g;

	p->leasing = false;
	if (!g->return_waits || guest_plugs_leasing(g))
		return;
	g->return_waits = false;
	guest_return(g);
}

static void plug_released(void *arg, const struct err *why)
{
	struct guest_plug *p = arg;
	struct guest *g = p->g;

	guest_hold(g);
	if (why)
		snprintf(p->note, sizeof(p->note), "%s is in quarantine: %.200s",
			 json_get_str(p->plan.config, "pci", "the device"), why->msg);
	plug_leased_end(p);
	if (!p->dropped)
		plug_finish(p, p->attach ? PLUG_FAILED : PLUG_WENT);
	guest_put(g);
}

static void plug_release_again(uv_timer_t *timer)
{
	plug_release(timer->data);
}

void plug_release(struct guest_plug *p)
{
	struct guest *g = p->g;
	struct err e;
	int r;

	plug_progress(p, "releasing device");
	r = plug_of_host(p)
		    ? lease_release_device(g->d, g->id, p->plan.device, plug_released, p, &e)
		    : 0;
	if (r > 0) {
		p->leasing = true;
	} else if (!r) {
		plug_finish(p, p->attach ? PLUG_FAILED : PLUG_WENT);
	} else {
		log_limited(&g->d->log, &g->save_limit, "VM '%s', device '%s': %s", g->name,
			    p->plan.device, e.msg);
		uv_timer_start(&p->retry, plug_release_again, PLUG_RETRY_MS, 0);
	}
}

/* --- what vmm has ------------------------------------------------------------------------------------- */

static void plug_ask(struct guest_plug *p);

static void plug_retry_cb(uv_timer_t *timer)
{
	plug_look(timer->data);
}

void plug_look_later(struct guest_plug *p)
{
	uv_timer_start(&p->retry, plug_retry_cb, PLUG_RETRY_MS, 0);
}

/* What vmm lists may be anything. */
static bool plug_lists(struct json_object *list, const char *id)
{
	size_t n = json_object_is_type(list, json_type_array) ? json_object_array_length(list) : 0;

	for (size_t i = 0; i < n; i++) {
		struct json_object *o = json_object_array_get_idx(list, i);

		if (json_object_is_type(o, json_type_string) &&
		    !strcmp(json_object_get_string(o), id))
			return true;
	}
	return false;
}

/* NULL: it has not; else its row in machine.status, or that of the disk's controller. */
static struct json_object *plug_in_status(const struct guest_plug *p, struct json_object *status)
{
	struct json_object *devices = json_get(status, "devices");
	size_t n = json_object_is_type(devices, json_type_array) ? json_object_array_length(devices)
								 : 0;

	for (size_t i = 0; i < n; i++) {
		struct json_object *o = json_object_array_get_idx(devices, i);

		if (plug_is_disk(p) ? plug_lists(json_get(o, "disks"), p->plan.device)
				    : !strcmp(json_get_str(o, "id", ""), p->plan.device))
			return o;
	}
	return NULL;
}

static void plug_decide(struct guest_plug *p, struct json_object *has)
{
	struct err e;

	if (p->attach && has) {
		plug_finish(p, PLUG_CAME);
	} else if (p->attach) {
		err_set(&e, ERR_CANCELLED, "vmd ended meanwhile");
		plug_note_why(p, &e);
		plug_release(p);
	} else if (!has) {
		plug_release(p);
	} else if (p->why.code && p->job) {
		plug_finish(p, PLUG_FAILED);
	} else if ((plug_is_disk(p) || !json_get_bool(has, "ejecting", false)) && !p->asked) {
		plug_ask(p); /* it was not sent, or a reset has undone it */
	}
}

static void plug_looked(void *arg, struct json_object *result, const struct err *why)
{
	struct guest_plug *p = arg;
	struct guest *g = p->g;

	guest_hold(g);
	if (plug_called(p) && g->proc && !vmproc_gone(g->proc)) {
		if (why || !json_get(result, "devices"))
			plug_look_later(p);
		else
			plug_decide(p, plug_in_status(p, result));
	}
	guest_put(g);
}

static void plug_look(struct guest_plug *p)
{
	struct guest *g = p->g;

	if (p->leasing || p->gather || p->outcome != PLUG_OPEN || !g->proc)
		return;
	p->calls++;
	vmproc_call(g->proc, "machine.status", json_new(), NULL, guest_call_ms(g), plug_looked, p);
}

/* --- asking vmm --------------------------------------------------------------------------------------- */

/* An answer that did not come may still have had its effect: vmm says which. */
static void plug_asked(void *arg, struct json_object *result, const struct err *why)
{
	struct guest_plug *p = arg;
	struct guest *g = p->g;

	(void)result;
	guest_hold(g);
	if (plug_called(p) && p->outcome == PLUG_OPEN && g->proc && !vmproc_gone(g->proc)) {
		if (why) {
			plug_note_why(p, why);
			plug_look(p);
		} else if (p->attach) {
			plug_finish(p, PLUG_CAME);
		} else if (plug_is_disk(p)) { /* nobody has to let go of it */
			plug_release(p);
		} else {
			plug_progress(p, "guest");
		}
	}
	guest_put(g);
}

static void plug_ask(struct guest_plug *p)
{
	struct guest *g = p->g;

	p->asked = true;
	p->calls++;
	vmproc_call(g->proc, plug_is_disk(p) ? "disk.remove" : "device.remove",
		    json_add_str(json_new(), "id", p->plan.device), NULL, guest_call_ms(g),
		    plug_asked, p);
}

void plug_add(struct guest_plug *p, struct json_object *device, struct fdset *take_fds)
{
	struct json_object *disk = plug_disk(device, p->plan.device), *params = json_new();
	struct guest *g = p->g;

	if (disk)
		json_add_str(params, "controller", json_get_str(device, "id", ""));
	json_add(params, disk ? "disk" : "device", json_object_get(disk ? disk : device));

	p->asked = true;
	p->calls++;
	plug_progress(p, "monitor");
	/* the guest's memory may have to be pinned, which takes as long as at a start */
	vmproc_call(g->proc, disk ? "disk.add" : "device.add", params, take_fds,
		    g->d->options->step_timeout_ms, plug_asked, p);
}

/* --- the guest has time ---------------------------------------------------------------------------------- */

/* It keeps the device, which stays "detaching": the guest may still obey, and can be asked again. */
static void plug_late(uv_timer_t *timer)
{
	struct guest_plug *p = timer->data;
	struct guest *g = p->g;
	struct err e;

	if (!p->job || p->outcome != PLUG_OPEN || p->leasing)
		return;
	err_set(&e, ERR_TIMEOUT, "the guest of VM '%s' did not let go of device '%s' within %g s",
		g->name, p->plan.device, (double)p->job->row.timeout_ms / 1000);
	err_hint(&e,
		 "it may still do so; vmctl detach %s %s asks it again, vmctl reset %s or a stop "
		 "takes it away",
		 g->name, p->plan.device, g->name);
	guest_hold(g);
	if (!p->job->ended)
		job_end(p->job, NULL, &e);
	if (job_store(p->job, &e) < 0) {
		uv_timer_start(timer, plug_late, PLUG_RETRY_MS, 0);
	} else {
		event_flush(g->d->events);
		plug_tell_job(p);
	}
	guest_put(g);
}

void plug_limit(struct guest_plug *p)
{
	const struct state_job *row = &p->job->row;
	int64_t left = row->created_ms + row->timeout_ms - state_now_ms();

	if (row->timeout_ms >= 0)
		uv_timer_start(&p->limit, plug_late, (uint64_t)MAX(0, MIN(left, row->timeout_ms)),
			       0);
}

/* --- the beginning ------------------------------------------------------------------------------------ */

static int plug_begin_write(struct guest_plug *p, const struct guest_plug_request *r, struct err *e)
{
	struct guest *g = p->g;
	struct state *s = g->d->state;
	struct state_job row = { .timeout_ms = r->timeout_ms, .actor = r->actor };
	int ret = state_begin(s, e);

	snprintf(row.vm, sizeof(row.vm), "%s", g->id);
	snprintf(row.name, sizeof(row.name), "%s", g->name);
	snprintf(row.op, sizeof(row.op), "%s", p->attach ? "attach" : "detach");
	snprintf(row.phase, sizeof(row.phase), "%s", p->attach ? "devices" : "monitor");
	if (ret >= 0)
		ret = job_begin(g->d->jobs, &row, NULL, &p->job, e);
	if (ret >= 0) {
		memcpy(p->job_id, p->job->row.id, sizeof(p->job_id));
		ret = plug_put(p, p->attach ? STATE_ATTACHING : STATE_DETACHING, e);
	}
	if (ret >= 0 && r->requested)
		ret = guest_signal_store(g, p->plan.device, e);
	if (ret >= 0)
		ret = state_commit(s, e);
	if (ret >= 0) {
		event_flush(g->d->events);
		return 0;
	}
	state_rollback(s);
	event_drop(g->d->events);
	if (p->job)
		job_forget(TAKE_PTR(p->job));
	return ret;
}

int guest_plug_check(const struct guest *g, struct err *e)
{
	enum vm_state state = vm_state(&g->vm);

	if ((state == VM_RUNNING || state == VM_PAUSED) && plug_can(g))
		return 0;
	err_set(e, ERR_VM_STATE, "VM '%s' is %s", g->name, guest_state_name(g));
	if (state == VM_STOPPED)
		err_hint(e, "vmctl edit %s changes its definition", g->name);
	if (state == VM_SUSPENDED)
		err_hint(e, "wake it up first: vmctl wakeup %s", g->name);
	return -ERR_VM_STATE;
}

/* Somebody is at it already: a detach can be waited for, and asked for again. 1: that is what was done. */
static int plug_join(struct guest_plug *p, const struct guest_plug_request *r, struct job **ret_job,
		     struct err *e)
{
	int ret;

	if (p->attach || r->attach)
		return err_set(e, ERR_BUSY, "device '%s' of VM '%s' is being %s", p->plan.device,
			       p->g->name, p->attach ? "attached" : "detached");
	p->persist = p->persist || r->persist;
	if (!p->job) {
		ret = plug_begin_write(p, r, e);
		if (ret < 0)
			return ret;
		plug_limit(p);
	}
	p->why = (struct err){ 0 };
	if (!p->leasing && p->outcome == PLUG_OPEN)
		plug_ask(p);
	*ret_job = p->job;
	return 1;
}

int guest_plug_begin(struct guest *g, const struct guest_plug_request *r,
		     struct plug_plan *take_plan, struct job **ret_job, struct err *e)
{
	struct guest_plug *p = plug_find(g, take_plan->device);
	int ret = guest_plug_check(g, e);

	if (ret >= 0 && p)
		ret = plug_join(p, r, ret_job, e);
	if (ret) {
		plug_plan_fini(take_plan);
		return MIN(ret, 0);
	}
	ret = r->attach ? 0 : lease_goes_alone(g->d, g->id, take_plan->device, e);
	if (ret < 0)
		return ret;
	p = plug_new(g, r->attach, r->persist);
	if (!p)
		return err_ret(e, -ENOMEM, "device '%s'", take_plan->device);
	p->plan = *take_plan;
	take_plan->entry = take_plan->config = NULL;
	ret = plug_begin_write(p, r, e);
	if (ret < 0) {
		plug_end(p);
		return ret;
	}
	*ret_job = p->job;
	plug_limit(p);
	if (!r->attach)
		plug_ask(p);
	else if (plug_of_host(p))
		plug_lease(p);
	else
		plug_gather(p);
	return 0;
}

/* --- what happens --------------------------------------------------------------------------------------- */

enum guest_plug_state guest_plug_state(const struct guest *g, const char *device)
{
	const struct guest_plug *p = plug_find(g, device);

	if (!p)
		return GUEST_PLUG_NONE;
	return p->attach || p->job || p->leasing || p->outcome != PLUG_OPEN ? GUEST_PLUG_BUSY
									    : GUEST_PLUG_KEPT;
}

void guest_plug_again(struct guest *g, const char *device)
{
	struct guest_plug *p = plug_find(g, device);

	if (p && guest_plug_state(g, device) == GUEST_PLUG_KEPT && plug_can(g))
		plug_ask(p);
}

void guest_plug_removed(struct guest *g, const char *device)
{
	struct guest_plug *p = plug_find(g, device);

	if (!p || p->attach) {
		log_limited(&g->d->log, &g->lost_limit,
			    "VM '%s': vmm says that device '%s' is gone, which nobody asked for",
			    g->name, device);
		return;
	}
	if (p->outcome == PLUG_OPEN && !p->leasing)
		plug_release(p);
}

void guest_plugs_hello(struct guest *g)
{
	for (struct guest_plug *p = g->plugs; p; p = p->next) {
		if (p->attach && !p->asked)
			continue; /* it has not come so far, or is about to be looked at */
		p->asked = false;
		if (!p->dropped)
			plug_look(p);
	}
}

void guest_plugs_gone(struct guest *g)
{
	struct guest_plug *next;
	struct err e;

	err_set(&e, ERR_VM_STATE, "VM '%s' stopped meanwhile", g->name);
	for (struct guest_plug *p = g->plugs; p; p = next) {
		next = p->next;
		if (p->dropped || p->outcome != PLUG_OPEN)
			continue;
		uv_timer_stop(&p->limit);
		if (p->leasing) /* plug_leased, plug_released */
			continue;
		/* its device goes back with all that the VM has; it does not differ from its revision any more */
		plug_note_why(p, &e);
		plug_finish(p, PLUG_FAILED);
	}
}

bool guest_plugs_leasing(const struct guest *g)
{
	const struct guest_plug *p = g->plugs;

	while (p && !p->leasing)
		p = p->next;
	return p;
}

void guest_plugs_drop(struct guest *g)
{
	struct guest_plug *next;

	for (struct guest_plug *p = g->plugs; p; p = next) {
		next = p->next;
		uv_timer_stop(&p->retry);
		uv_timer_stop(&p->limit);
		p->leasing = false; /* leases_close: nobody is called back */
		p->job = NULL;	    /* jobs_close */
		plug_end(p);
	}
}
