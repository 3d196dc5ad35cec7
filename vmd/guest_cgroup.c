// SPDX-License-Identifier: MIT
/* See guest_cgroup.h. On the loop's thread; cgroup_remove is on a worker, for the kernel may take its time. */
#include "vmd/guest_cgroup.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmd/oom.h"
#include "vmd/scope.h"

#define GUEST_CGROUP_TRIES \
	50 /* to remove one that is still in use: the last process may not be reaped yet */
#define GUEST_CGROUP_RETRY_MS 100

/* --- removal --- */

struct removal {
	uv_work_t work;
	uv_timer_t timer;
	struct daemon *d;
	char name[STATE_CGROUP_SIZE];
	unsigned int tries;
	int ret;
};

static void removal_closed(uv_handle_t *handle)
{
	free(container_of((uv_timer_t *)handle, struct removal, timer));
}

static void removal_queue(struct removal *r);

static void removal_again(uv_timer_t *timer)
{
	removal_queue(container_of(timer, struct removal, timer));
}

static void removal_run(uv_work_t *work)
{
	struct removal *r = container_of(work, struct removal, work);

	r->ret = cgroup_remove(r->name);
}

/* A group that stays keeps its row: the next vmd tries again. */
static void removal_done(uv_work_t *work, int status)
{
	struct removal *r = container_of(work, struct removal, work);
	struct daemon *d = r->d;
	bool ending = uv_is_closing((uv_handle_t *)&d->sigterm);
	struct err e = { 0 };

	if (status < 0)
		r->ret = status;
	if (r->ret == -EBUSY && !ending && ++r->tries < GUEST_CGROUP_TRIES) {
		uv_timer_start(&r->timer, removal_again, GUEST_CGROUP_RETRY_MS, 0);
		return;
	}
	if (r->ret < 0)
		log_error(&d->log, "cannot remove the cgroup '%s': %s", r->name, strerror(-r->ret));
	else if (state_cgroup_delete(d->state, r->name, &e) < 0)
		log_error(&d->log, "%s", e.msg);
	uv_close((uv_handle_t *)&r->timer, removal_closed);
}

static void removal_queue(struct removal *r)
{
	if (uv_queue_work(&r->d->loop, &r->work, removal_run, removal_done) < 0)
		removal_done(&r->work, -EAGAIN);
}

/* systemd removes its scopes by itself, once they are empty. */
static void guest_cgroup_forget(struct daemon *d, const char *name)
{
	struct removal *r;
	struct err e;

	if (name[0] != '/') {
		if (state_cgroup_delete(d->state, name, &e) < 0)
			log_error(&d->log, "%s", e.msg);
		return;
	}
	r = calloc(1, sizeof(*r));
	if (!r)
		return; /* the next vmd does it */
	r->d = d;
	snprintf(r->name, sizeof(r->name), "%s", name);
	uv_timer_init(&d->loop, &r->timer);
	removal_queue(r);
}

/* --- a start and an end --- */

int guest_cgroup_plan(struct guest *g, struct json_object *config, struct err *e)
{
	char name[STATE_CGROUP_SIZE];
	int ret;

	cgroup_limits(config, &g->limits);
	if (g->d->cgroups.kind == CGROUP_NONE)
		return 0;
	cgroup_name(&g->d->cgroups, g->name, name);
	ret = state_cgroup_put(g->d->state, name, g->id, e);
	if (ret >= 0)
		memcpy(g->cgroup, name, sizeof(name));
	return ret;
}

static void guest_cgroup_watch(struct guest *g)
{
	char folder[512];

	/* a path is where its file system is mounted, which need not be the usual place */
	if (g->cgroup[0] && cgroup_of(vmproc_pid(g->proc), folder, sizeof(folder)) >= 0 &&
	    cgroup_is(folder, g->cgroup))
		g->oom = oom_watch_new(&g->d->loop, g->cgroup[0] == '/' ? g->cgroup : folder);
}

static void guest_cgroup_entered(void *arg, const struct err *why)
{
	struct guest *g = arg;

	g->scope = NULL;
	if (why && g->limits.required) {
		g->start_err = *why;
		vmproc_kill(g->proc);
		return;
	}
	if (why)
		log_warn(&g->d->log, "VM '%s' runs without limits: %s", g->name, why->msg);
	guest_cgroup_watch(g);
	vmproc_go(g->proc);
}

void guest_cgroup_enter(struct guest *g)
{
	char description[128];

	if (!g->cgroup[0] || g->cgroup[0] == '/') {
		guest_cgroup_entered(g, NULL); /* clone3 has put it there */
		return;
	}
	snprintf(description, sizeof(description), "Virtual machine %s", g->name);
	g->scope = scope_start(g->d->scopes, g->cgroup, description, vmproc_pid(g->proc),
			       &g->limits, guest_cgroup_entered, g);
}

void guest_cgroup_explain(struct guest *g, struct state_exit *exit)
{
	bool unknown = !strcmp(exit->reason, "died") || !strcmp(exit->reason, "lost");

	if (!unknown || !oom_watch_kills(g->oom))
		return;
	snprintf(exit->reason, sizeof(exit->reason), "oom");
	snprintf(exit->message, sizeof(exit->message),
		 "the kernel ended vmm, which was at its memory limit; raise "
		 "limits.memory_overhead");
}

void guest_cgroup_release(struct guest *g)
{
	scope_drop(g->scope);
	g->scope = NULL;
	oom_watch_free(g->oom);
	g->oom = NULL;
}

void guest_cgroup_leave(struct guest *g)
{
	guest_cgroup_release(g);
	if (g->cgroup[0])
		guest_cgroup_forget(g->d, g->cgroup);
	g->cgroup[0] = '\0';
}

/* --- what a vmd before this one has made --- */

struct row {
	struct row *next;
	char name[STATE_CGROUP_SIZE], vm[STATE_ID_SIZE];
};

static int row_take(void *arg, const char *name, const char *vm)
{
	struct row **list = arg, *row = calloc(1, sizeof(*row));

	if (!row)
		return -ENOMEM;
	snprintf(row->name, sizeof(row->name), "%s", name);
	snprintf(row->vm, sizeof(row->vm), "%s", vm);
	row->next = *list;
	*list = row;
	return 0;
}

/* Is it the group of a process that was found again? */
static bool row_adopt(struct daemon *d, const struct row *row)
{
	struct guest *g = guest_find(d, row->vm);
	char folder[512];

	if (!g || !g->proc || cgroup_of(vmproc_pid(g->proc), folder, sizeof(folder)) < 0 ||
	    !cgroup_is(folder, row->name))
		return false;
	memcpy(g->cgroup, row->name, sizeof(g->cgroup));
	guest_cgroup_watch(g);
	return true;
}

void guest_cgroups_adopt(struct daemon *d)
{
	struct row *rows = NULL, *next;
	struct err e;

	if (state_cgroup_list(d->state, row_take, &rows, &e) < 0)
		log_error(&d->log, "cannot look for cgroups: %s", e.msg);
	for (; rows; rows = next) {
		next = rows->next;
		if (!row_adopt(d, rows))
			guest_cgroup_forget(d, rows->name);
		free(rows);
	}
}
