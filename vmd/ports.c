// SPDX-License-Identifier: MIT
/* See ports.h. One worker at a time removes sockets; on the loop's thread, but for ports_work. */
#include "vmd/ports.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "lib/auto.h"
#include "lib/errcat.h"
#include "lib/hostport.h"
#include "vmd/daemon.h"
#include "vmd/ident.h"

#define PORTS_TRIES 100 /* to remove what somebody has, before it is left to them */
#define PORTS_PAUSE_MS 20

/* A row whose socket is to be removed. */
struct ports_gone {
	int64_t id;
	char *path; /* owned; NULL: nothing is to be removed */
	uid_t owner;
	bool confined, done;
	bool ours; /* it is where sockets without a path of their own are */
};

struct ports {
	struct daemon *d;
	uv_mutex_t lock;
	bool wanted, at_work, ended;
	uv_work_t work;
	struct ports_gone *gone; /* owned; the worker's while at_work */
	size_t n;
	struct err err; /* the worker's last failure */
	struct log_limit limit;
};

struct ports *ports_new(struct daemon *d)
{
	struct ports *p = calloc(1, sizeof(*p));

	if (p && uv_mutex_init(&p->lock) < 0) {
		free(p);
		return NULL;
	}
	if (p)
		p->d = d;
	return p;
}

void ports_close(struct ports *p)
{
	if (p)
		p->ended = true;
}

static void ports_forget(struct ports *p)
{
	for (size_t i = 0; i < p->n; i++)
		free(p->gone[i].path);
	free(p->gone);
	p->gone = NULL;
	p->n = 0;
}

void ports_free(struct ports *p)
{
	if (!p)
		return;
	ports_forget(p);
	uv_mutex_destroy(&p->lock);
	free(p);
}

uv_mutex_t *ports_lock(struct daemon *d)
{
	return &d->ports->lock;
}

/* --- sockets that nobody has any more --------------------------------------------------------------------- */

/* A folder of ours goes with the last socket in it. */
static int ports_remove_ours(const struct ports_gone *g)
{
	char *slash = strrchr(g->path, '/');
	int ret = hostport_remove(g->path, false);

	*slash = '\0';
	rmdir(g->path);
	*slash = '/';
	return ret;
}

/* What is elsewhere, with the rights that it was made with. */
static int ports_remove(const struct ports_gone *g, struct err *e)
{
	struct ident old;

	int ret;

	if (g->ours)
		return ports_remove_ours(g);
	if (g->confined && ident_enter(g->owner, &old, e) < 0)
		return -EPERM;
	ret = hostport_remove(g->path, g->confined);
	if (g->confined)
		ident_leave(&old);
	return ret;
}

/* A child that a vmd before this one had made, and not yet written down, may just be ending: its end is not to be seen. */
static bool ports_remove_one(struct ports *p, const struct ports_gone *g)
{
	const struct timespec pause = { .tv_nsec = PORTS_PAUSE_MS * 1000000L };
	int ret = -EBUSY;

	for (unsigned int i = 0; ret == -EBUSY && i < PORTS_TRIES; i++) {
		if (i)
			nanosleep(&pause, NULL);
		uv_mutex_lock(&p->lock);
		ret = ports_remove(g, &p->err);
		uv_mutex_unlock(&p->lock);
	}
	return ret != -EPERM;
}

static void ports_work(uv_work_t *work)
{
	struct ports *p = container_of(work, struct ports, work);

	for (size_t i = 0; i < p->n; i++) {
		struct ports_gone *g = &p->gone[i];

		g->done = !g->path || ports_remove_one(p, g);
	}
}

static void ports_begin(struct ports *p);

static void ports_worked(uv_work_t *work, int status)
{
	struct ports *p = container_of(work, struct ports, work);
	struct err e;

	p->at_work = false;
	if (p->ended)
		return;
	for (size_t i = 0; i < p->n && status >= 0; i++)
		if (p->gone[i].done && state_port_delete(p->d->state, p->gone[i].id, &e) < 0)
			log_error(&p->d->log, "%s", e.msg);
	if (p->err.code)
		log_limited(&p->d->log, &p->limit, "cannot remove a port's socket: %s", p->err.msg);
	ports_forget(p);
	ports_begin(p);
}

/* The one place where a VM's socket of that name is; no other way there counts, as one by `..`. */
static int ports_place(const struct daemon *d, const char *vm, const char *name, char *ret,
		       size_t size)
{
	return snprintf(ret, size, "%s/" PORTS_FOLDER "/%s/%s", d->options->run_dir, vm, name);
}

static int ports_add_gone(void *arg, const struct state_port *row)
{
	struct ports *p = arg;
	struct ports_gone *more = realloc(p->gone, (p->n + 1) * sizeof(*more));
	char ours[512];

	if (!more)
		return -ENOMEM;
	p->gone = more;
	more[p->n] = (struct ports_gone){ .id = row->id,
					  .owner = row->owner,
					  .confined = row->confined };
	ports_place(p->d, row->vm, row->name, ours, sizeof(ours));
	more[p->n].ours = !strcmp(row->path, ours);
	if (!strcmp(row->backend, "socket") && !(more[p->n].path = strdup(row->path)))
		return -ENOMEM;
	p->n++;
	return 0;
}

static void ports_begin(struct ports *p)
{
	struct err e;

	if (!p->wanted || p->at_work || p->ended)
		return;
	p->wanted = false;
	p->err = (struct err){ 0 };
	if (state_port_list_over(p->d->state, ports_add_gone, p, &e) < 0)
		log_error(&p->d->log, "ports: %s", e.msg);
	p->at_work = p->n && uv_queue_work(&p->d->loop, &p->work, ports_work, ports_worked) >= 0;
	if (!p->at_work)
		ports_forget(p);
}

static void ports_sweep(struct daemon *d, int ret, const struct err *e)
{
	if (ret < 0)
		log_error(&d->log, "ports: %s", e->msg);
	d->ports->wanted = true;
	ports_begin(d->ports);
}

void ports_release(struct daemon *d, const char *vm)
{
	struct err e;

	ports_sweep(d, state_port_end(d->state, vm, &e), &e);
}

void ports_adopt(struct daemon *d)
{
	struct err e;

	ports_sweep(d, state_port_end_lost(d->state, &e), &e);
}

/* --- rows -------------------------------------------------------------------------------------------------- */

struct ports_reserve {
	struct daemon *d;
	const struct state_vm *vm;
	bool any, elsewhere;
};

/* A socket without a path is in a folder of ours. */
static int ports_name(void *arg, struct hostport *port, struct err *e)
{
	struct ports_reserve *r = arg;
	struct sockaddr_un un;
	char path[512];

	r->any = true;
	r->elsewhere = r->elsewhere || port->path;
	if (port->path || strcmp(port->backend, "socket") != 0)
		return 0;
	if (ports_place(r->d, r->vm->id, port->name, path, sizeof(path)) >=
	    (int)sizeof(un.sun_path)) {
		err_set(e, ERR_INVALID, "socket '%s': more than %zu bytes", path,
			sizeof(un.sun_path) - 1);
		return err_hint(e, "give the port a path, or a shorter name");
	}
	json_add_str(port->json, "path", path);
	return 0;
}

static int ports_write(void *arg, struct hostport *port, struct err *e)
{
	struct ports_reserve *r = arg;
	struct state_port row = { .path = port->path ? port->path : "",
				  .owner = r->vm->owner,
				  .confined = r->vm->confined };

	snprintf(row.vm, sizeof(row.vm), "%s", r->vm->id);
	snprintf(row.device, sizeof(row.device), "%s", port->device);
	snprintf(row.name, sizeof(row.name), "%s", port->name);
	snprintf(row.backend, sizeof(row.backend), "%s", port->backend);
	return state_port_add(r->d->state, &row, e);
}

/* What is in the run directory a reboot makes void: no fsync. What is elsewhere it does not. */
int ports_reserve(struct daemon *d, const struct state_vm *vm, struct json_object *config,
		  struct err *e)
{
	struct ports_reserve r = { .d = d, .vm = vm };
	int ret = hostport_each(config, ports_name, &r, e);

	if (ret < 0 || !r.any)
		return ret;
	ret = r.elsewhere ? state_begin(d->state, e) : state_begin_boot(d->state, e);
	if (ret >= 0)
		ret = state_port_end(d->state, vm->id, e);
	if (ret >= 0)
		ret = hostport_each(config, ports_write, &r, e);
	if (ret >= 0)
		ret = state_commit(d->state, e);
	if (ret < 0)
		state_rollback(d->state);
	return ret;
}

int ports_store(struct daemon *d, const char *vm, struct json_object *names, struct err *e)
{
	int ret = 0;

	if (!names)
		return 0;
	json_object_object_foreach(names, port, name) {
		if (ret >= 0)
			ret = state_port_set_path(d->state, vm, port, json_object_get_string(name),
						  e);
	}
	return ret;
}

static int ports_add_json(void *arg, const struct state_port *row)
{
	struct json_object *o = json_add_str(json_new(), "device", row->device);

	json_add_str(json_add_str(o, "name", row->name), "backend", row->backend);
	json_object_array_add(arg, json_add_str(o, "path", row->path));
	return 0;
}

struct json_object *ports_json(struct daemon *d, const char *vm)
{
	struct json_object *list = json_object_new_array();
	struct err e;

	if (state_port_list(d->state, vm, ports_add_json, list, &e) < 0)
		log_error(&d->log, "%s", e.msg);
	return list;
}
