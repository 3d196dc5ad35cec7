// SPDX-License-Identifier: MIT
/* See guest_cgroup.h. On the loop's thread; cgroup_remove is on a worker, for the kernel may take its time. */
#include "vmd/guest_cgroup.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/auto.h"
#include "lib/errcat.h"
#include "vmd/oom.h"
#include "vmd/scope.h"

#define GUEST_CGROUP_TRIES 50	  /* to remove one: its last process may not be reaped yet */
#define GUEST_CGROUP_RETRY_MS 100 /* and longer each time: the bus may be away */

/* --- removal --- */

struct removal {
	uv_work_t work;
	uv_timer_t timer;
	struct daemon *d;
	char name[STATE_CGROUP_SIZE];
	unsigned int tries;
	struct err why; /* of the last try; code 0: it is gone */
};

static void removal_closed(uv_handle_t *handle)
{
	free(container_of((uv_timer_t *)handle, struct removal, timer));
}

static void removal_queue(struct removal *r);

static bool removal_ending(const struct removal *r)
{
	return uv_is_closing((const uv_handle_t *)&r->d->sigterm);
}

static void removal_again(uv_timer_t *timer)
{
	removal_queue(container_of(timer, struct removal, timer));
}

static void removal_run(uv_work_t *work)
{
	struct removal *r = container_of(work, struct removal, work);
	int ret = cgroup_remove(r->name);

	r->why.code = 0;
	if (ret < 0)
		err_ret(&r->why, ret, "cannot remove the cgroup '%s'", r->name);
}

/* A group that stays keeps its row: the next vmd tries again, too when this one ends before that. */
static void removal_end(struct removal *r)
{
	struct daemon *d = r->d;
	bool ending = removal_ending(r);
	bool retry = r->name[0] == '/' ? r->why.code == EBUSY : r->why.code;
	struct err e = { 0 };

	if (retry && !ending && ++r->tries < GUEST_CGROUP_TRIES) {
		uv_timer_start(&r->timer, removal_again, GUEST_CGROUP_RETRY_MS * r->tries, 0);
		return;
	}
	if (r->why.code && !ending)
		log_error(&d->log, "%s", r->why.msg);
	else if (!r->why.code && state_cgroup_delete(d->state, r->name, &e) < 0)
		log_error(&d->log, "%s", e.msg);
	uv_close((uv_handle_t *)&r->timer, removal_closed);
}

static void removal_done(uv_work_t *work, int status)
{
	struct removal *r = container_of(work, struct removal, work);

	if (status < 0)
		err_ret(&r->why, status, "cannot remove the cgroup '%s'", r->name);
	removal_end(r);
}

static void removal_stopped(void *arg, const struct err *why)
{
	struct removal *r = arg;

	r->why = why ? *why : (struct err){ 0 };
	removal_end(r);
}

/* The scope goes by itself once it is empty, its slice does not. */
static void removal_queue(struct removal *r)
{
	if (r->name[0] != '/' && removal_ending(r))
		removal_stopped(r, &(struct err){ .code = ERR_CANCELLED });
	else if (r->name[0] != '/')
		scope_stop(r->d->scopes, r->name, removal_stopped, r);
	else if (uv_queue_work(&r->d->loop, &r->work, removal_run, removal_done) < 0)
		removal_done(&r->work, -EAGAIN);
}

static void guest_cgroup_forget(struct daemon *d, const char *name)
{
	struct removal *r;
	struct err e;

	/* without systemd now: its groups have gone with it */
	if (name[0] != '/' && !d->scopes) {
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

/* Where the kernel's verdict is counted and stays until we have read it. */
static void guest_cgroup_watch(struct guest *g)
{
	char folder[512], slice[CGROUP_SLICE_SIZE], *end;

	/* a path is where its file system is mounted, which need not be the usual place */
	if (!g->cgroup[0] || cgroup_of(vmproc_pid(g->proc), folder, sizeof(folder)) < 0 ||
	    !cgroup_is(folder, g->cgroup))
		return;
	if (g->cgroup[0] != '/') {
		cgroup_slice(g->cgroup, slice);
		end = strrchr(folder, '/');
		*end = '\0';
		if (!cgroup_is(folder, slice)) /* of a vmd that made none */
			*end = '/';
	}
	g->oom_fd = oom_open(g->cgroup[0] == '/' ? g->cgroup : folder);
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

	if (!unknown || !oom_kills(g->oom_fd))
		return;
	snprintf(exit->reason, sizeof(exit->reason), "oom");
	snprintf(exit->message, sizeof(exit->message),
		 "the kernel ended vmm, which was at its memory limit; raise "
		 "limits.memory_overhead");
}

void guest_cgroup_explain_late(struct guest *g, const char *name, struct state_exit *exit)
{
	char folder[STATE_CGROUP_SIZE + CGROUP_SLICE_SIZE];

	if (!name[0])
		return;
	cgroup_counts(name, folder, sizeof(folder));
	g->oom_fd = oom_open(folder);
	guest_cgroup_explain(g, exit);
	guest_cgroup_release(g);
}

void guest_cgroup_release(struct guest *g)
{
	scope_drop(g->scope);
	g->scope = NULL;
	if (g->oom_fd >= 0)
		close(TAKE_FD(g->oom_fd));
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
