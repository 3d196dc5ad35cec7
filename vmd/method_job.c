// SPDX-License-Identifier: MIT
/* Methods job.list, get, wait, cancel, and vm.timeline. On the loop's thread. */
#include "vmd/methods.h"

#include "lib/auto.h"
#include "lib/errcat.h"
#include "vmd/daemon.h"
#include "vmd/guest.h"
#include "vmd/job.h"
#include "vmd/role.h"

struct job_list {
	struct daemon *d;
	struct json_object *list;
};

static int job_list_one(void *arg, const struct state_job *row, const char *result)
{
	struct job_list *l = arg;
	struct job *job = job_find(l->d->jobs, row->id);

	/* knows more than its row */
	json_object_array_add(l->list, job ? job_show(job) : job_json(row, result));
	return 0;
}

void method_job_list(struct daemon *d, struct call *call)
{
	const char *word = json_get_str(call->params, "vm", NULL);
	struct job_list l = { .d = d };
	struct state_vm vm;
	struct err e;
	int ret = word ? state_vm_find(d->state, word, &vm, &e) : 0;

	l.list = json_object_new_array();
	if (ret >= 0)
		ret = state_job_list(d->state, word ? vm.id : NULL,
				     json_get_str(call->params, "state", NULL), state_now_ms(),
				     job_list_one, &l, &e);
	if (ret < 0) {
		json_object_put(l.list);
		call_fail(call, &e, NULL);
		return;
	}
	call_reply(call, json_add(json_new(), "jobs", l.list));
}

void method_job_get(struct daemon *d, struct call *call)
{
	struct json_object *o;
	struct err e;

	if (job_load(d, json_get_str(call->params, "job", ""), &o, &e) < 0)
		call_fail(call, &e, NULL);
	else
		call_reply(call, o);
}

void method_job_wait(struct daemon *d, struct call *call)
{
	struct job *job = job_find(d->jobs, json_get_str(call->params, "job", ""));

	if (job && !job->ended)
		job_wait_add(job, call, json_get_int(call->params, "timeout_ms", -1), true);
	else
		method_job_get(d, call);
}

void method_job_cancel(struct daemon *d, struct call *call)
{
	const char *id = json_get_str(call->params, "job", "");
	struct job *job = job_find(d->jobs, id);
	AUTO_JSON struct json_object *o = NULL;
	struct guest_op *op;
	struct guest *g;
	struct err e;

	if (!job || job->ended) {
		if (job_load(d, id, &o, &e) >= 0)
			err_set(&e, ERR_VM_STATE, "job %s has ended: %s", id,
				json_get_str(o, "state", ""));
		call_fail(call, &e, NULL);
		return;
	}
	if (!job->row.vm[0]) {
		err_set(&e, ERR_VM_STATE, "job %s changes VFs of '%s' and ends by itself", id,
			job->row.name);
		call_fail(call, &e, NULL);
		return;
	}
	if (role_check_vm(call, job->row.vm, &e) < 0) {
		call_fail(call, &e, NULL);
		return;
	}
	if (!job->owner) {
		err_set(&e, ERR_VM_STATE, "job %s (%s) of VM '%s' and ends by itself", id,
			job->row.op, job->row.name);
		call_fail(call, &e, NULL);
		return;
	}
	op = job->owner;
	g = op->g;
	guest_hold(g);
	if (guest_op_cancel(op, call, &e) < 0)
		call_fail(call, &e, NULL);
	guest_put(g);
}

void method_vm_timeline(struct daemon *d, struct call *call)
{
	int64_t limit = json_get_int(call->params, "limit", STATE_TIMELINES_MAX);
	struct json_object *o;
	struct state_vm vm;
	struct guest *g;
	struct err e;

	if (state_vm_find(d->state, json_get_str(call->params, "vm", ""), &vm, &e) < 0) {
		call_fail(call, &e, NULL);
		return;
	}
	g = guest_find(d, vm.id);
	if (g)
		timeline_flush(&g->timeline);
	if (timeline_list(d, vm.id, limit, &o, &e) < 0)
		call_fail(call, &e, NULL);
	else
		call_reply(call, json_add_str(o, "name", vm.name));
}
