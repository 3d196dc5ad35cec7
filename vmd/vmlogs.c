// SPDX-License-Identifier: MIT
/*
 * Which logs there are: see vmlog.h. Folders of VMs that the database does not know are removed when vmd
 * starts: their deletion was cut off. On the loop's thread, folders on a worker.
 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/errcat.h"
#include "vmd/daemon.h"
#include "vmd/event.h"
#include "vmd/guest.h"
#include "vmd/vmlog_priv.h"
#include "vmd/vmlog_wait.h"

#define VMLOGS_SWEEP_MAX 1024 /* folders looked at at once; the rest at the next start */

struct vmlogs {
	struct daemon *d;
	struct vmlog *list;
};

/* A folder to be removed, or looked for. */
struct vmlogs_purge {
	uv_work_t work;
	struct daemon *d;
	char dir[4096];
	char (*found)[STATE_ID_SIZE]; /* owned */
	size_t n;
};

static void vmlogs_dir(const struct daemon *d, const char *vm, char *out, size_t size)
{
	snprintf(out, size, "%s/log%s%s", d->options->state_dir, vm ? "/" : "", vm ? vm : "");
}

static void vmlogs_name(enum vmlog_kind kind, const char *console, char *out, size_t size)
{
	if (kind == VMLOG_MONITOR)
		snprintf(out, size, "monitor");
	else
		snprintf(out, size, "console-%s", console);
}

void vmlog_path(const struct daemon *d, const char *vm, enum vmlog_kind kind, const char *console,
		char *out, size_t size)
{
	char dir[3072], name[VMLOG_NAME_SIZE];

	vmlogs_dir(d, vm, dir, sizeof(dir));
	vmlogs_name(kind, console, name, sizeof(name));
	snprintf(out, size, "%s/%s.log", dir, name);
}

/* --- removing --- */

static void vmlogs_remove_work(uv_work_t *work)
{
	struct vmlogs_purge *p = container_of(work, struct vmlogs_purge, work);
	DIR *dir = opendir(p->dir);
	struct dirent *entry;

	while (dir && (entry = readdir(dir)))
		if (entry->d_type == DT_REG)
			unlinkat(dirfd(dir), entry->d_name, 0);
	if (dir)
		closedir(dir);
	rmdir(p->dir);
}

static void vmlogs_remove_after(uv_work_t *work, int status)
{
	(void)status;
	free(container_of(work, struct vmlogs_purge, work));
}

static void vmlogs_remove(struct daemon *d, const char *vm)
{
	struct vmlogs_purge *p = calloc(1, sizeof(*p));

	if (!p)
		return; /* the next vmd does it */
	vmlogs_dir(d, vm, p->dir, sizeof(p->dir));
	if (uv_queue_work(&d->loop, &p->work, vmlogs_remove_work, vmlogs_remove_after) < 0)
		free(p);
}

static void vmlogs_sweep_work(uv_work_t *work)
{
	struct vmlogs_purge *p = container_of(work, struct vmlogs_purge, work);
	DIR *dir = opendir(p->dir);
	struct dirent *entry;

	while (dir && p->n < VMLOGS_SWEEP_MAX && (entry = readdir(dir)))
		if (entry->d_name[0] != '.' && strlen(entry->d_name) == STATE_ID_SIZE - 1)
			memcpy(p->found[p->n++], entry->d_name, STATE_ID_SIZE);
	if (dir)
		closedir(dir);
}

static void vmlogs_sweep_after(uv_work_t *work, int status)
{
	struct vmlogs_purge *p = container_of(work, struct vmlogs_purge, work);
	struct state_vm vm;
	struct err e;

	for (size_t i = 0; i < p->n && !status && p->d->logs; i++)
		if (state_vm_get(p->d->state, p->found[i], &vm, &e) < 0 &&
		    e.code == ERR_VM_NOT_FOUND)
			vmlogs_remove(p->d, p->found[i]);
	free(p->found);
	free(p);
}

static void vmlogs_sweep(struct daemon *d)
{
	struct vmlogs_purge *p = calloc(1, sizeof(*p));

	if (!p)
		return;
	p->d = d;
	p->found = calloc(VMLOGS_SWEEP_MAX, sizeof(*p->found));
	vmlogs_dir(d, NULL, p->dir, sizeof(p->dir));
	if (p->found && !uv_queue_work(&d->loop, &p->work, vmlogs_sweep_work, vmlogs_sweep_after))
		return;
	free(p->found);
	free(p);
}

/* --- the set --- */

struct vmlogs *vmlogs_new(struct daemon *d)
{
	struct vmlogs *set = calloc(1, sizeof(*set));
	char dir[4096];

	if (!set)
		return NULL;
	set->d = d;
	vmlogs_dir(d, NULL, dir, sizeof(dir));
	mkdir(dir, 0700); /* where it fails, each log says so */
	vmlogs_sweep(d);
	return set;
}

void vmlogs_close(struct daemon *d)
{
	struct vmlog *next;

	for (struct vmlog *l = d->logs ? d->logs->list : NULL; l; l = next) {
		next = l->next;
		vmlog_wait_drop(l, NULL);
		vmlog_close(l, false);
	}
}

void vmlogs_free(struct vmlogs *set)
{
	free(set);
}

void vmlogs_unref(struct vmlog *l)
{
	struct vmlog **link = &l->d->logs->list;

	if (--l->handles)
		return;
	while (*link != l)
		link = &(*link)->next;
	*link = l->next;
	if (l->removed)
		vmlogs_remove(l->d, l->vm);
	free(l);
}

void vmlogs_tell(struct vmlog *l, const char *type, const char *message)
{
	struct json_object *data = json_new();
	struct state_vm vm;

	if (state_vm_get(l->d->state, l->vm, &vm, NULL) >= 0)
		json_add_str(data, "name", vm.name);
	json_add_str(data, "log", l->name);
	if (message)
		json_add_str(data, "message", message);
	event_emit(l->d->events, type, l->vm, data);
	if (message)
		log_error(&l->d->log, "VM %s: %s is not kept for now: %s", l->vm, l->name, message);
	else
		log_info(&l->d->log, "VM %s: %s is kept again", l->vm, l->name);
}

static struct vmlog *vmlogs_find(struct daemon *d, const char *vm, const char *name)
{
	struct vmlog *l = d->logs->list;

	while (l && (l->closing || strcmp(l->vm, vm) || strcmp(l->name, name)))
		l = l->next;
	return l;
}

struct vmlog *vmlog_get(struct daemon *d, const char *vm, enum vmlog_kind kind, const char *console)
{
	char name[VMLOG_NAME_SIZE], path[4096];
	struct logfile_options options = {
		.loop = &d->loop, .path = path, .size = d->options->log_size, .ops = &vmlog_file_ops
	};
	struct vmlog *l;

	vmlogs_name(kind, console, name, sizeof(name));
	l = vmlogs_find(d, vm, name);
	if (l)
		return l;
	l = calloc(1, sizeof(*l));
	if (!l)
		return NULL;
	l->d = d;
	l->kind = kind;
	snprintf(l->vm, sizeof(l->vm), "%s", vm);
	memcpy(l->name, name, sizeof(l->name));
	vmlog_path(d, vm, kind, console, path, sizeof(path));
	options.arg = l;
	if (logfile_new(&options, &l->file, NULL) < 0) {
		free(l);
		return NULL;
	}
	uv_timer_init(&d->loop, &l->flush);
	uv_timer_init(&d->loop, &l->pause);
	l->handles = 3;
	l->next = d->logs->list;
	d->logs->list = l;
	return l;
}

void vmlog_put(struct vmlog *l)
{
	const struct guest *g = guest_find(l->d, l->vm);

	/* while its process lives, its end has to be told yet: with what it said last */
	if (g && g->proc)
		return;
	if (!l->source && !l->held && !l->waits && logfile_idle(l->file))
		vmlog_close(l, false);
}

void vmlogs_drain(struct daemon *d, const char *vm)
{
	struct vmlog *next;

	for (struct vmlog *l = d->logs->list; l; l = next) {
		next = l->next;
		if (!l->closing && !strcmp(l->vm, vm))
			vmlog_drain(l);
	}
}

void vmlogs_monitor_tail(struct daemon *d, const char *vm, char *out, size_t size)
{
	struct vmlog *l = d->logs->list;
	char *from, text[VMLOG_TAIL_SIZE + 1];
	size_t n;

	*out = '\0';
	while (l && (l->kind != VMLOG_MONITOR || strcmp(l->vm, vm)))
		l = l->next; /* the newest; it may be closing */
	if (!l)
		return;
	from = l->tail;
	n = strlen(from);
	if (n == VMLOG_TAIL_SIZE && strchr(from, '\n'))
		from = strchr(from, '\n') + 1; /* begin with a whole line */
	n = (size_t)snprintf(text, sizeof(text), "%s", from);
	while (n && (text[n - 1] == '\n' || text[n - 1] == ' '))
		text[--n] = '\0';
	/* it ends up in JSON: no control characters, and what is no ASCII may be cut UTF-8 */
	for (char *p = text; *p; p++)
		*p = (char)(*p == '\n' ? '|' : *p < ' ' || *p > '~' ? '?' : *p);
	snprintf(out, size, "%s", text);
}

void vmlogs_delete(struct daemon *d, const char *vm)
{
	struct vmlog *next;
	bool any = false;

	for (struct vmlog *l = d->logs->list; l; l = next) {
		next = l->next;
		if (strcmp(l->vm, vm))
			continue;
		any = l->removed = true; /* no job of its may make the folder again */
		vmlog_wait_drop(l, vm);
		vmlog_close(l, true);
	}
	if (!any)
		vmlogs_remove(d, vm);
}
