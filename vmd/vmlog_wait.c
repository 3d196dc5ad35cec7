// SPDX-License-Identifier: MIT
/* Calls that read a log: see vmlog_wait.h. On the loop's thread. */
#include "vmd/vmlog_wait.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/errcat.h"
#include "vmd/daemon.h"
#include "vmd/guest.h"
#include "vmd/vmlog_job.h"

#define VMLOG_WAIT_MIN_MS 100

struct vmlog_wait {
	struct vmlog_wait *next; /* the log's */
	struct vmlog *log;
	struct daemon *d;
	struct call *call; /* NULL: it is answered */
	struct vmlog_job job;
	char vm[STATE_ID_SIZE];
	char name[64];		    /* the VM's, of a match */
	char run[LOGREAD_RUN_SIZE]; /* that is looked at; "": none yet */
	int64_t timeout_ms;
	uint64_t target; /* the position that must be on disk first */
	bool busy, again, expired;
	uv_work_t work;
	uv_timer_t timer;
};

static void vmlog_wait_closed(uv_handle_t *handle)
{
	struct vmlog_wait *w = container_of((uv_timer_t *)handle, struct vmlog_wait, timer);

	vmlog_job_fini(&w->job);
	free(w);
}

/* Off the log's list, and answered. It is freed when no worker has it. */
static struct call *vmlog_wait_end(struct vmlog_wait *w)
{
	struct vmlog_wait **link = &w->log->waits;
	struct call *call = w->call;

	while (*link != w)
		link = &(*link)->next;
	*link = w->next;
	w->call = NULL;
	uv_timer_stop(&w->timer);
	if (!w->busy)
		uv_close((uv_handle_t *)&w->timer, vmlog_wait_closed);
	return call;
}

static void vmlog_wait_reply(struct vmlog_wait *w)
{
	struct json_object *o = json_new();

	if (w->job.match) {
		struct guest *g = guest_find(w->d, w->vm);
		char *line = w->job.line;

		for (char *p = line; *p; p += MAX(json_utf8_len(p, strlen(p)), 1u))
			if (!json_utf8_len(p, strlen(p)))
				*p = '?';
		json_add_str(json_add_str(o, "name", w->name), "state",
			     vm_state_name(g ? vm_state(&g->vm) : VM_STOPPED));
		json_add_str(o, "line", line);
	} else {
		json_add(o, "records",
			 w->job.records ? json_object_get(w->job.records)
					: json_object_new_array());
		json_add_int(o, "next", (int64_t)w->job.pos);
		json_add_bool(o, "more", w->job.more);
	}
	call_reply(vmlog_wait_end(w), o);
}

static void vmlog_wait_fail(struct vmlog_wait *w, const struct err *why)
{
	call_fail(vmlog_wait_end(w), why, NULL);
}

/* The process that a match looks at has ended, and all that it has said has been looked at. */
static bool vmlog_wait_over(const struct vmlog_wait *w)
{
	const struct vmlog *l = w->log;

	return w->run[0] && (!l->begun || strcmp(logfile_run(l->file), w->run)) &&
	       !logfile_busy(l->file);
}

/* Has it come to an end? It was not busy, and there is nothing more to look at for now. */
static void vmlog_wait_decide(struct vmlog_wait *w)
{
	bool done = w->job.match ? w->job.found : w->job.records || w->expired || !w->timeout_ms;
	struct err e;

	if (w->job.ret < 0) {
		vmlog_wait_fail(w, &w->job.err);
	} else if (done) {
		vmlog_wait_reply(w);
	} else if (w->job.match && vmlog_wait_over(w)) {
		err_set(&e, ERR_VM_STATE, "VM '%s' ended before its console said that", w->name);
		err_hint(&e, "what it said: vmctl logs %s", w->name);
		vmlog_wait_fail(w, &e);
	} else if (w->expired) {
		err_set(&e, ERR_TIMEOUT, "the console of VM '%s' has not said that within %g s",
			w->name, (double)w->timeout_ms / 1000);
		err_hint(&e, "what it said: vmctl logs %s", w->name);
		vmlog_wait_fail(w, &e);
	}
}

static void vmlog_wait_go(struct vmlog_wait *w);

static void vmlog_wait_work(uv_work_t *work)
{
	vmlog_job_run(&container_of(work, struct vmlog_wait, work)->job);
}

static void vmlog_wait_after(uv_work_t *work, int status)
{
	struct vmlog_wait *w = container_of(work, struct vmlog_wait, work);
	struct vmlog *l = w->log;

	w->busy = false;
	if (!w->call) { /* answered meanwhile */
		uv_close((uv_handle_t *)&w->timer, vmlog_wait_closed);
		return;
	}
	if (status < 0)
		w->job.ret = err_ret(&w->job.err, status, "cannot read a log");
	if (w->again && w->job.ret >= 0 && !w->job.found && !w->job.records)
		vmlog_wait_go(w);
	else
		vmlog_wait_decide(w);
	if (!l->closing)
		vmlog_put(l);
}

/* A match begins with the process that runs; what one before it has said does not count. */
static bool vmlog_wait_find_run(struct vmlog_wait *w)
{
	struct vmlog *l = w->log;

	if (w->run[0] || !w->job.match)
		return true;
	if (!l->begun)
		return false;
	snprintf(w->run, sizeof(w->run), "%s", logfile_run(l->file));
	w->job.pos = logfile_run_pos(l->file);
	return true;
}

static void vmlog_wait_go(struct vmlog_wait *w)
{
	w->again = w->busy;
	if (w->busy || !vmlog_wait_find_run(w))
		return;
	if (w->target == UINT64_MAX && logfile_is_ready(w->log->file))
		w->target = logfile_end(w->log->file);
	/* read what was said before the question, too; but a disk that takes nothing is not waited for */
	if (logfile_busy(w->log->file) && logfile_written(w->log->file) < w->target)
		return;
	w->busy = !uv_queue_work(&w->d->loop, &w->work, vmlog_wait_work, vmlog_wait_after);
}

static void vmlog_wait_timeout(uv_timer_t *timer)
{
	struct vmlog_wait *w = container_of(timer, struct vmlog_wait, timer);
	struct vmlog *l = w->log;

	w->expired = true;
	if (!w->busy)
		vmlog_wait_decide(w);
	vmlog_put(l);
}

static struct vmlog_wait *vmlog_wait_new(struct vmlog *l, struct call *call, int64_t timeout_ms)
{
	struct vmlog_wait *w = calloc(1, sizeof(*w));

	if (!w)
		abort(); /* a small object; the call would never be answered */
	w->log = l;
	w->d = l->d;
	w->call = call;
	w->timeout_ms = timeout_ms;
	memcpy(w->vm, l->vm, sizeof(w->vm));
	snprintf(w->job.path, sizeof(w->job.path), "%s", logfile_path(l->file));
	w->target = logfile_is_ready(l->file) ? logfile_end(l->file) : UINT64_MAX;
	uv_timer_init(&w->d->loop, &w->timer);
	if (timeout_ms > 0)
		uv_timer_start(&w->timer, vmlog_wait_timeout, (uint64_t)timeout_ms, 0);
	w->next = l->waits;
	l->waits = w;
	return w;
}

void vmlog_wait_read(struct vmlog *l, struct call *call, const struct vmlog_read_options *options)
{
	struct vmlog_wait *w = vmlog_wait_new(l, call, options->timeout_ms);

	w->job.read = *options;
	w->job.pos = options->after;
	vmlog_wait_go(w);
}

void vmlog_wait_match(struct vmlog *l, struct call *call, const char *name, const char *regex,
		      int64_t timeout_ms)
{
	/* what was said already is found even when no time is given */
	bool soon = timeout_ms >= 0 && timeout_ms < VMLOG_WAIT_MIN_MS;
	struct vmlog_wait *w = vmlog_wait_new(l, call, soon ? VMLOG_WAIT_MIN_MS : timeout_ms);
	struct err e;

	w->job.match = true;
	w->job.compiled = !regcomp(&w->job.regex, regex, REG_EXTENDED | REG_NOSUB);
	snprintf(w->name, sizeof(w->name), "%s", name);
	if (w->job.compiled) {
		vmlog_wait_go(w);
		return;
	}
	err_set(&e, ERR_FAILED, "cannot look for '%s': out of memory", regex);
	vmlog_wait_fail(w, &e);
}

void vmlog_wait_wake(struct vmlog *l)
{
	struct vmlog_wait *w = l->waits, *next;

	for (; w; w = next) {
		next = w->next;
		vmlog_wait_go(w);
	}
}

void vmlog_wait_drop(struct vmlog *l, const char *vm)
{
	struct err e;

	if (vm)
		err_set(&e, ERR_VM_NOT_FOUND, "the VM was deleted");
	else
		err_set(&e, ERR_CANCELLED, "vmd ends");
	while (l->waits)
		vmlog_wait_fail(l->waits, &e);
}
