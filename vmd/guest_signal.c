// SPDX-License-Identifier: MIT
/*
 * See guest_signal.h. That a request was told stands in the device's lease. What is next follows from what the device is
 * doing (guest_plug.h) when the request comes again. On the loop's thread.
 */
#include "vmd/guest_signal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/auto.h"
#include "lib/errcat.h"
#include "vmd/event.h"
#include "vmd/guest_plug.h"
#include "vmd/job.h"

#define GUEST_SIGNALS_MAX 32 /* a VM has 30 devices of the host */
#define GUEST_SIGNAL_ERROR_MS 10000

struct guest_signal {
	char device[64];
	uint64_t errors;  /* not told yet */
	uint64_t told_ms; /* the last error; 0: none yet */
	bool asked;	  /* the guest was, because of an error */
};

struct guest_signals {
	struct guest_signal list[GUEST_SIGNALS_MAX];
	unsigned int n;
};

static struct guest_signal *guest_signal_of(struct guest *g, const char *device)
{
	struct guest_signals *set = g->signals;
	struct guest_signal *s;

	if (!set)
		set = g->signals = calloc(1, sizeof(*set));
	for (unsigned int i = 0; set && i < set->n; i++)
		if (!strcmp(set->list[i].device, device))
			return &set->list[i];
	if (!set || set->n == GUEST_SIGNALS_MAX)
		return NULL;
	s = &set->list[set->n++];
	*s = (struct guest_signal){ 0 };
	snprintf(s->device, sizeof(s->device), "%s", device);
	return s;
}

void guest_signals_forget(struct guest *g, const char *device)
{
	struct guest_signals *set = g->signals;

	if (!device) {
		free(TAKE_PTR(g->signals));
		return;
	}
	for (unsigned int i = 0; set && i < set->n; i++)
		if (!strcmp(set->list[i].device, device))
			set->list[i--] = set->list[--set->n];
}

/* --- what it is about --------------------------------------------------------------------------------- */

struct guest_signal_find {
	const char *device;
	struct state_lease *lease;
	bool found;
};

static int guest_signal_take_lease(void *arg, const struct state_lease *lease)
{
	struct guest_signal_find *f = arg;

	if (strcmp(lease->device, f->device) != 0 || lease->state != STATE_LEASE_IN_USE)
		return 0;
	*f->lease = *lease;
	f->found = true;
	return 0;
}

/* The VM's own devices of the host alone: vmm may say any name. */
static int guest_signal_lease(const struct guest *g, const char *device, struct state_lease *ret,
			      struct err *e)
{
	struct guest_signal_find f = { .device = device, .lease = ret };
	int r = state_lease_list(g->d->state, g->id, guest_signal_take_lease, &f, e);

	if (r < 0 || f.found)
		return r;
	return err_set(e, ERR_VM_NO_DEVICE, "it has no such device of the host");
}

static struct json_object *guest_signal_data(const struct guest *g, const struct state_lease *l)
{
	struct json_object *data = json_add_str(json_new(), "name", g->name);

	return json_add_str(json_add_str(data, "device", l->device), "pci", l->address);
}

/* --- errors -------------------------------------------------------------------------------------------- */

/* False: not so soon after the last one. */
static bool guest_signal_tell_error(struct guest *g, struct guest_signal *s,
				    const struct state_lease *l)
{
	uint64_t now = uv_now(&g->d->loop);

	s->errors++;
	if (s->told_ms && now - s->told_ms < GUEST_SIGNAL_ERROR_MS)
		return false;
	event_emit(g->d->events, "device.error", g->id,
		   json_add_int(guest_signal_data(g, l), "errors", (int64_t)s->errors));
	s->told_ms = MAX(now, 1ull);
	s->errors = 0;
	return true;
}

/* --- what the guest is asked ------------------------------------------------------------------------------- */

static int64_t guest_signal_ms(const struct guest *g)
{
	return MIN((unsigned int)GUEST_SIGNAL_MS, g->d->options->step_timeout_ms);
}

static struct state_actor guest_signal_actor(void)
{
	return (struct state_actor){ .program = "vmd" };
}

/* Negative: that failed, and was logged. A request is told with the job that begins. */
static int guest_signal_detach(struct guest *g, const char *device, bool requested,
			       struct plug_plan *take_plan)
{
	struct guest_plug_request r = { .timeout_ms = guest_signal_ms(g),
					.requested = requested,
					.actor = guest_signal_actor() };
	struct job *job;
	struct err e;
	int ret = guest_plug_begin(g, &r, take_plan, &job, &e);

	if (ret >= 0)
		return 0;
	log_limited(&g->d->log, &g->lost_limit,
		    "VM '%s': %s device '%s'%s, and the guest cannot be asked: %s", g->name,
		    requested ? "the host wants" : "the host reports an error of", device,
		    requested ? " back" : "", e.msg);
	plug_plan_fini(take_plan);
	return ret;
}

/* A guest that was asked in vain, as it has no hot-plug, is not asked for each error. */
static void guest_signal_error(struct guest *g, const struct state_lease *l, struct plug_plan *plan)
{
	const char *policy = json_get_str(plan->config, "on_device_error", "report");
	enum guest_plug_state state = guest_plug_state(g, l->device);
	struct guest_signal *s = guest_signal_of(g, l->device);

	if (!s || !guest_signal_tell_error(g, s, l) || strcmp(policy, "detach") != 0)
		return;
	if (state == GUEST_PLUG_KEPT)
		guest_plug_again(g, l->device);
	else if (state == GUEST_PLUG_NONE && !s->asked)
		s->asked = guest_signal_detach(g, l->device, false, plan) >= 0;
}

/* --- requests ------------------------------------------------------------------------------------------ */

/* The guest was asked and keeps the device, which the definition does not put up with. */
static void guest_signal_stop(struct guest *g, const char *device)
{
	struct guest_request r = { .input = VM_IN_STOP,
				   .kind = GUEST_STOP,
				   .timeout_ms = guest_signal_ms(g),
				   .force = true,
				   .actor = guest_signal_actor() };
	struct vm next = g->vm;
	struct err e;

	if (vm_input(&next, r.input, uv_now(&g->d->loop)).verdict != VM_GO)
		return; /* it ends already, or does something else: with the next request then */
	log_warn(&g->d->log,
		 "VM '%s' is stopped: the host wants device '%s' back, which its guest keeps",
		 g->name, device);
	if (guest_op_begin(g, &r, &e))
		guest_input(g, r.input);
	else
		log_error(&g->d->log, "VM '%s' cannot be stopped: %s", g->name, e.msg);
}

int guest_signal_store(struct guest *g, const char *device, struct err *e)
{
	struct state_lease l;
	int r = guest_signal_lease(g, device, &l, e);

	if (r < 0 || l.requested_ms)
		return r;
	r = state_lease_request(g->d->state, l.generation, e);
	return r < 0 ? r
		     : event_add(g->d->events, "device.requested", g->id, guest_signal_data(g, &l),
				 e);
}

static void guest_signal_report(struct guest *g, const struct state_lease *l)
{
	struct state *s = g->d->state;
	struct err e;
	int r;

	if (l->requested_ms)
		return;
	r = state_begin(s, &e);
	if (r >= 0)
		r = guest_signal_store(g, l->device, &e);
	if (r >= 0)
		r = state_commit(s, &e);
	if (r >= 0) {
		event_flush(g->d->events);
		return;
	}
	/* the next request tells it */
	state_rollback(s);
	event_drop(g->d->events);
	log_limited(&g->d->log, &g->save_limit, "VM '%s', device '%s': %s", g->name, l->device,
		    e.msg);
}

static void guest_signal_request(struct guest *g, const struct state_lease *l,
				 struct plug_plan *plan)
{
	const char *policy = json_get_str(plan->config, "on_device_request", "detach");
	enum guest_plug_state state = guest_plug_state(g, l->device);
	bool asks = strcmp(policy, "report") != 0, stops = !strcmp(policy, "stop");

	/* what cannot go alone stays, or the VM ends, as with a guest that has no hot-plug */
	if (asks && state == GUEST_PLUG_NONE && !l->requested_ms &&
	    guest_signal_detach(g, l->device, true, plan) != -ERR_VM_DEVICE_FIXED)
		return;
	guest_signal_report(g, l);
	if (!asks || state == GUEST_PLUG_BUSY)
		return; /* it is coming, or has time to go */
	if (stops)
		guest_signal_stop(g, l->device);
	else if (state == GUEST_PLUG_KEPT)
		guest_plug_again(g, l->device); /* it may have been booting */
}

bool guest_signal(struct guest *g, const char *type, const char *message)
{
	bool error = !strcmp(type, "device.error"), request = !strcmp(type, "device.request");
	struct plug_plan plan = { 0 };
	struct state_lease l;
	struct state_vm vm;
	struct err e;
	int r;

	if (!error && !request)
		return false;
	r = guest_signal_lease(g, message, &l, &e);
	if (r >= 0)
		r = state_vm_get(g->d->state, g->id, &vm, &e);
	if (r >= 0)
		r = plug_plan_detach(g->d, &vm, g->revision, message, false, &plan, &e);
	if (r < 0)
		log_limited(&g->d->log, &g->lost_limit, "VM '%s': vmm says %s of '%s': %s", g->name,
			    type, message, e.msg);
	else if (error)
		guest_signal_error(g, &l, &plan);
	else
		guest_signal_request(g, &l, &plan);
	plug_plan_fini(&plan);
	return true;
}
