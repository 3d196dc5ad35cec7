// SPDX-License-Identifier: MIT
/* Devices that were coming or going when a vmd before this one ended, and what users see: guest_plug.h. On the loop's thread. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/auto.h"
#include "lib/errcat.h"
#include "vmd/guest_plug_priv.h"

/* --- what a vmd before this one has left ----------------------------------------------------------------- */

struct plug_left {
	struct daemon *d;
	struct state_job *jobs; /* owned: "attach" and "detach" that run */
	size_t n;
};

static int plug_take_job(void *arg, const struct state_job *row, const char *result)
{
	struct plug_left *left = arg;
	struct state_job *jobs;

	(void)result;
	if (strcmp(row->op, "attach") != 0 && strcmp(row->op, "detach") != 0)
		return 0;
	jobs = realloc(left->jobs, (left->n + 1) * sizeof(*jobs));
	if (!jobs)
		return -ENOMEM;
	left->jobs = jobs;
	jobs[left->n++] = *row;
	return 0;
}

/* Its row of the job is marked as taken over. */
static void plug_resume_job(struct guest_plug *p, struct plug_left *left)
{
	for (size_t i = 0; i < left->n; i++) {
		if (strcmp(left->jobs[i].id, p->job_id) != 0)
			continue;
		p->job = job_continue(left->d->jobs, &left->jobs[i], NULL);
		left->jobs[i].id[0] = '\0';
	}
	if (p->job)
		plug_limit(p);
}

static int plug_resume(void *arg, const struct state_attachment *a)
{
	struct plug_left *left = arg;
	struct guest *g = guest_find(left->d, a->vm);
	struct guest_plug *p;

	if (!g || !g->proc || (a->state != STATE_ATTACHING && a->state != STATE_DETACHING))
		return 0;
	p = plug_new(g, a->state == STATE_ATTACHING, a->persist);
	if (!p)
		return -ENOMEM;
	snprintf(p->plan.device, sizeof(p->plan.device), "%s", a->device);
	memcpy(p->job_id, a->job, sizeof(p->job_id));
	p->plan.defined = a->defined;
	if (json_parse(a->entry, strlen(a->entry), &p->plan.entry, NULL) < 0 ||
	    json_parse(a->config, strlen(a->config), &p->plan.config, NULL) < 0)
		p->plan.entry = p->plan.entry ? p->plan.entry : json_new();
	plug_resume_job(p, left);
	log_info(&g->d->log, "VM '%s': device '%s' was being %s: it goes on", g->name, a->device,
		 p->attach ? "attached" : "detached");
	plug_look_later(p);
	return 0;
}

/* The VM that it was about does not run any more. */
static void plug_end_job(struct daemon *d, const struct state_job *row)
{
	struct job *job = job_continue(d->jobs, row, NULL);
	struct err why, e;

	if (!job)
		return;
	err_set(&why, ERR_VM_STATE, "VM '%s' stopped meanwhile", row->name);
	job_end(job, NULL, &why);
	if (job_store(job, &e) < 0)
		log_error(&d->log, "job %s: %s", row->id, e.msg);
	job_forget(job);
}

void guest_plugs_resume(struct daemon *d)
{
	struct plug_left left = { .d = d };
	struct err e = { 0 };
	int r = state_job_list(d->state, NULL, "running", state_now_ms(), plug_take_job, &left, &e);

	if (r >= 0)
		r = state_attachment_list(d->state, NULL, plug_resume, &left, &e);
	if (r < 0)
		log_error(&d->log, "cannot look for devices that come or go: %s", e.msg);
	for (size_t i = 0; i < left.n; i++)
		if (left.jobs[i].id[0])
			plug_end_job(d, &left.jobs[i]);
	free(left.jobs);
}

/* --- what users see --------------------------------------------------------------------------------------- */

static int plug_add_json(void *arg, const struct state_attachment *a)
{
	AUTO_JSON struct json_object *config = NULL;
	struct json_object *o = json_add_str(json_new(), "device", a->device);

	json_add_str(o, "state", state_attachment_name(a->state));
	if (json_parse(a->config, strlen(a->config), &config, NULL) >= 0)
		plug_tell(o, config, a->device);
	json_object_array_add(arg, o);
	return 0;
}

struct json_object *guest_plugs_json(struct daemon *d, const char *vm)
{
	struct json_object *list = json_object_new_array();
	struct err e;

	if (state_attachment_list(d->state, vm, plug_add_json, list, &e) < 0)
		log_error(&d->log, "%s", e.msg);
	return list;
}
