// SPDX-License-Identifier: MIT
/* Waiting for what takes long: see progress.h. How far it is comes from job.list, asked while we wait. */
#include "vmctl/progress.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/errcat.h"
#include "vmctl/command.h"

#define PROGRESS_FIRST_MS 1000
#define PROGRESS_NEXT_MS 500
#define PROGRESS_ASK_MS 2000	/* for vmd to answer how far it is */
#define PROGRESS_SECOND_MS 3000 /* for a second Ctrl-C */

void progress_init(struct progress *p, struct vmctl *v)
{
	*p = (struct progress){ .v = v, .begun_ms = uv_hrtime() / 1000000 };
	client_watch(&v->client, true);
}

static bool progress_tty(const struct progress *p)
{
	return isatty(fileno(p->v->out.err)) == 1;
}

static void progress_clear(struct progress *p)
{
	if (p->width)
		fprintf(p->v->out.err, "\r%*s\r", (int)p->width, "");
	fflush(p->v->out.err);
	p->width = 0;
}

void progress_fini(struct progress *p)
{
	progress_clear(p);
	client_watch(&p->v->client, false);
}

/* Does a running job belong to what we wait for? */
static bool progress_ours(const struct progress *p, struct json_object *job)
{
	const char *name = json_get_str(job, "name", ""), *id = json_get_str(job, "vm", "");

	if (p->job)
		return !strcmp(json_get_str(job, "job", ""), p->job);
	for (size_t i = 0; i < p->nvms; i++)
		if (!strcmp(p->vms[i], name) || !strncmp(p->vms[i], id, strlen(p->vms[i])))
			return true;
	return false;
}

/* The running jobs that we wait for; an array, maybe empty. Asked without showing any error. */
static struct json_object *progress_jobs(struct progress *p)
{
	struct json_object *list = json_object_new_array(), *jobs;
	struct client *c = &p->v->client;
	struct client_reply reply;
	struct err e;
	int64_t id = client_send(c, "job.list", json_add_str(json_new(), "state", "running"));

	if (client_wait(c, id, PROGRESS_ASK_MS, &reply, &e) >= 0) {
		jobs = json_get(reply.result, "jobs");
		for (size_t i = 0; jobs && i < json_object_array_length(jobs); i++) {
			struct json_object *job = json_object_array_get_idx(jobs, i);

			if (progress_ours(p, job))
				json_object_array_add(list, json_object_get(job));
		}
	}
	client_reply_fini(&reply);
	return list;
}

/* "stop one: shutdown", "start one: machine, 2 of 4 steps", "stop: 3 of 5 VMs, shutdown" */
static void progress_text(const struct progress *p, struct json_object *jobs, char *out,
			  size_t size)
{
	struct json_object *job = json_object_array_get_idx(jobs, 0);
	const char *phase = json_get_str(job, "phase", NULL);
	int64_t total = json_get_int(job, "total", 0);

	if (p->nvms > 1)
		snprintf(out, size, "%s: %zu of %zu VMs%s%s", p->v->args.command->name, p->ended,
			 p->nvms, phase ? ", " : "", phase ? phase : "");
	else if (job && total && !strcmp(json_get_str(job, "unit", ""), "%"))
		snprintf(out, size, "%s %s: %s %lld%%", json_get_str(job, "op", ""),
			 json_get_str(job, "name", ""), phase,
			 (long long)json_get_int(job, "done", 0));
	else if (job && total)
		snprintf(out, size, "%s %s: %s, %lld of %lld %s", json_get_str(job, "op", ""),
			 json_get_str(job, "name", ""), phase,
			 (long long)json_get_int(job, "done", 0), (long long)total,
			 json_get_str(job, "unit", ""));
	else if (job)
		snprintf(out, size, "%s %s: %s", json_get_str(job, "op", ""),
			 json_get_str(job, "name", ""), phase);
	else
		snprintf(out, size, "%s %s", p->v->args.command->name,
			 p->nvms  ? p->vms[0]
			 : p->job ? p->job
				  : "");
	output_clean(out);
}

static void progress_show(struct progress *p)
{
	struct json_object *jobs = progress_jobs(p);
	unsigned int seconds = (unsigned int)((uv_hrtime() / 1000000 - p->begun_ms) / 1000);
	char text[256], line[80];

	progress_text(p, jobs, text, sizeof(text));
	json_object_put(jobs);
	if (progress_tty(p)) {
		snprintf(line, sizeof(line), "%.66s, %us", text, seconds);
		fprintf(p->v->out.err, "\r%-*s", (int)p->width, line);
		p->width = strlen(line);
	} else if (strcmp(text, p->last)) {
		fprintf(p->v->out.err, "%s\n", text);
		snprintf(p->last, sizeof(p->last), "%s", text);
	}
	fflush(p->v->out.err);
}

/* --- Ctrl-C ------------------------------------------------------------------------------------------ */

static void progress_cancel(struct progress *p, struct json_object *jobs)
{
	struct client_reply reply;
	struct err e;

	for (size_t i = 0; i < json_object_array_length(jobs); i++) {
		const char *id = json_get_str(json_object_array_get_idx(jobs, i), "job", "");
		int ret = client_call(&p->v->client, "job.cancel",
				      json_add_str(json_new(), "job", id), &reply, &e);

		output_note(&p->v->out, "vmctl: job %s: %s", id,
			    ret < 0 ? e.msg : json_get_str(reply.result, "state", "cancelled"));
		client_reply_fini(&reply);
	}
}

static void progress_say(const struct progress *p, struct json_object *jobs)
{
	for (size_t i = 0; i < json_object_array_length(jobs); i++) {
		const char *id = json_get_str(json_object_array_get_idx(jobs, i), "job", "");

		output_note(&p->v->out, "vmctl: still going on in vmd: job %s; vmctl job wait %s",
			    id, id);
	}
	if (p->v->interactive)
		output_note(&p->v->out, "vmctl: Ctrl-C again cancels it");
}

/* Detach; a person has a moment for the second one. */
static int progress_interrupted(struct progress *p, int64_t id, struct client_reply *ret,
				struct err *e)
{
	struct client *c = &p->v->client;
	struct json_object *jobs;
	int r = -EINTR;

	progress_clear(p);
	c->interrupted = false;
	jobs = progress_jobs(p);
	if (json_object_array_length(jobs)) {
		p->told = true;
		progress_say(p, jobs);
		if (p->v->interactive && !c->interrupted) {
			client_reply_fini(ret);
			r = client_wait(c, id, PROGRESS_SECOND_MS, ret, e);
		}
		if (c->interrupted) {
			c->interrupted = false;
			progress_cancel(p, jobs);
		}
	}
	json_object_put(jobs);
	if (r >= 0 || (ret->error && r != -EINTR))
		return r; /* it has ended meanwhile */
	c->interrupted = true;
	return err_set(e, EINTR, "interrupted");
}

int progress_wait(struct progress *p, int64_t id, struct client_reply *ret, struct err *e)
{
	struct client *c = &p->v->client;
	bool show = progress_tty(p) || args_flag(&p->v->args, "progress");
	uint64_t timeout_ms = show ? PROGRESS_FIRST_MS : 0;
	int r;

	if (p->told)
		return err_set(e, EINTR, "interrupted");
	while ((r = client_wait(c, id, timeout_ms, ret, e)) < 0 && c->timed_out && c->open &&
	       !c->interrupted && !ret->error) {
		client_reply_fini(ret);
		progress_show(p);
		timeout_ms = PROGRESS_NEXT_MS;
	}
	if (r == -EINTR && c->interrupted)
		r = progress_interrupted(p, id, ret, e);
	else
		p->ended++;
	return r;
}
