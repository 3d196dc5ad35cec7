// SPDX-License-Identifier: MIT
/*
 * The VMs that do something, and the processes that an earlier vmd has left: see guest.h. A process is
 * ours when boot id, pid and start time are those that were written down, and its hello says the same
 * pid. On the loop's thread.
 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/conn.h"
#include "lib/errcat.h"
#include "lib/imagelock.h"
#include "vmd/display.h"
#include "vmd/event.h"
#include "vmd/guest.h"
#include "vmd/guest_cgroup.h"
#include "vmd/guest_plug.h"
#include "vmd/lease.h"
#include "vmd/nets.h"
#include "vmd/nvram.h"
#include "vmd/ports.h"

#define GUESTS_ADOPT_MS 5000 /* vmd serves then even when a vmm has not said hello */
#define GUESTS_SAVE_MS 250   /* what could not be written is tried again */
#define GUESTS_POLL_MS 10    /* while processes are adopted */

struct guests {
	struct daemon *d;
	struct guest *list;
	uv_timer_t retry;
	uv_timer_t adopt;
	uint64_t adopt_until;
	void (*adopted)(struct daemon *d);
	bool closing;
};

static void guests_retry_save(uv_timer_t *timer)
{
	struct guests *set = container_of(timer, struct guests, retry);
	struct guest *next;
	int ret = state_settle(set->d->state, NULL);

	if (ret > 0)
		log_warn(&set->d->log, "state database: it is certain now that nothing was written "
				       "of what was told to be unknown");
	else if (ret < 0)
		guests_save_later(set->d);
	for (struct guest *g = set->list; g; g = next) {
		next = g->next;
		guest_hold(g);
		guest_save_late(g);
		guest_ops_settle(g);
		guest_put(g);
	}
}

void guests_save_later(struct daemon *d)
{
	if (!d->guests->closing)
		uv_timer_start(&d->guests->retry, guests_retry_save, GUESTS_SAVE_MS, 0);
}

struct guests *guests_new(struct daemon *d)
{
	struct guests *set = calloc(1, sizeof(*set));

	if (!set)
		return NULL;
	set->d = d;
	uv_timer_init(&d->loop, &set->adopt);
	uv_timer_init(&d->loop, &set->retry);
	return set;
}

void guests_free(struct guests *set)
{
	free(set);
}

struct guest *guest_find(struct daemon *d, const char *id)
{
	struct guest *g = d->guests->list;

	while (g && strcmp(g->id, id))
		g = g->next;
	return g;
}

struct guest *guest_get(struct daemon *d, const struct state_vm *vm)
{
	struct guest *g = guest_find(d, vm->id);

	if (!g) {
		g = calloc(1, sizeof(*g));
		if (!g)
			return NULL;
		g->d = d;
		memcpy(g->id, vm->id, sizeof(g->id));
		memcpy(g->name, vm->name, sizeof(g->name));
		guest_dir(d, g->id, g->dir, sizeof(g->dir));
		fdset_init(&g->fds);
		g->display.listen_fd = -1;
		g->uid = -1;
		g->oom_fd = -1;
		g->exit = vm->exit;
		g->has_exit = vm->has_exit;
		uv_timer_init(&d->loop, &g->timer);
		timeline_init(&g->timeline, d, g->id);
		g->next = d->guests->list;
		d->guests->list = g;
	}
	guest_hold(g);
	return g;
}

void guests_blame(struct daemon *d, struct gather *gather)
{
	const struct guest *g = d->guests->list;
	struct err in_use = gather->err;
	char *by = strstr(in_use.msg, " is in use by ");
	struct state_vm vm;
	char who[96];

	if (gather->ret != -ERR_FILE_IN_USE || !gather->holder || !by)
		return;
	while (g && !(g->proc && vmproc_pid(g->proc) == gather->holder))
		g = g->next;
	if (!g || state_vm_get(d->state, g->id, &vm, NULL) < 0 ||
	    (gather->confined && vm.owner != gather->owner))
		return;
	snprintf(by, sizeof(" is in use"), " is in use");
	snprintf(who, sizeof(who), "VM '%s'", g->name);
	gather->err = in_use;
	imagelock_blame(&gather->err, who);
}

void guest_hold(struct guest *g)
{
	g->holds++;
}

static void guest_freed(uv_handle_t *handle)
{
	struct guest *g = container_of((uv_timer_t *)handle, struct guest, timeline.timer);

	fdset_fini(&g->fds);
	json_object_put(g->config);
	json_object_put(g->nets);
	json_object_put(g->ports);
	gather_display_fini(&g->display);
	vmproc_child_free(g->child);
	free(g->signals);
	free(g);
}

static void guest_closed(uv_handle_t *handle)
{
	struct guest *g = container_of((uv_timer_t *)handle, struct guest, timer);

	timeline_close(&g->timeline, guest_freed);
}

static void guest_end(struct guest *g)
{
	struct guest **link = &g->d->guests->list;

	while (*link != g)
		link = &(*link)->next;
	*link = g->next;
	g->closing = true;
	uv_close((uv_handle_t *)&g->timer, guest_closed);
}

void guest_put(struct guest *g)
{
	bool idle = g->vm.phase == VM_PHASE_OFF && !g->waits && !g->ops && !g->plugs &&
		    !g->gather && !g->proc && (guest_saved(g) || g->d->guests->closing);

	if (--g->holds == 0 && idle && !g->closing)
		guest_end(g);
}

/* --- what an earlier vmd has left --- */

static void guest_kept_name(const char *id, char out[static 64])
{
	snprintf(out, 64, "vm-%s", id);
}

void guest_keep_pidfd(struct guest *g)
{
	char name[64];

	guest_kept_name(g->id, name);
	if (g->proc)
		notify_store(&g->d->notify, name, vmproc_pidfd(g->proc));
	else
		notify_forget(&g->d->notify, name);
}

/* A process that was written down, and the last that was told of its VM. */
struct guests_row {
	struct state_process process; /* pid 0: there is none */
	char vm[STATE_ID_SIZE];
	enum vm_state from, told;
};

struct guests_rows {
	struct guests_row *rows; /* owned */
	size_t n;
};

static struct guests_row *guests_row(struct guests_rows *r, const char *vm)
{
	for (size_t i = 0; i < r->n; i++)
		if (!strcmp(r->rows[i].vm, vm))
			return &r->rows[i];
	return NULL;
}

static struct guests_row *guests_add_row(struct guests_rows *r, const char *vm)
{
	struct guests_row *rows = realloc(r->rows, (r->n + 1) * sizeof(*rows));

	if (!rows)
		return NULL;
	r->rows = rows;
	/* without an event, which may have left the ring: it has been running for long */
	rows[r->n] = (struct guests_row){ .from = VM_RUNNING, .told = VM_RUNNING };
	snprintf(rows[r->n].vm, sizeof(rows[r->n].vm), "%s", vm);
	return &rows[r->n++];
}

static int guests_take_process(void *arg, const struct state_process *p)
{
	struct guests_row *row = guests_add_row(arg, p->vm);

	if (!row)
		return -ENOMEM;
	row->process = *p;
	return 0;
}

static enum vm_state guests_state(const char *name)
{
	int state = 0;

	while (state < VM_STATES && strcmp(vm_state_name((enum vm_state)state), name))
		state++;
	return state < VM_STATES ? (enum vm_state)state : VM_RUNNING;
}

static int guests_take_told(void *arg, const char *vm, const char *from, const char *to)
{
	struct guests_row *row = guests_row(arg, vm);

	if (!row && guests_state(to) == VM_STOPPED)
		return 0;
	if (!row)
		row = guests_add_row(arg, vm);
	if (!row)
		return -ENOMEM;
	row->from = guests_state(from);
	row->told = guests_state(to);
	return 0;
}

/* What a process does that was told to do that, until it says so itself. */
static enum vm_phase guests_phase_told(enum vm_state told)
{
	if (told == VM_SUSPENDED)
		return VM_PHASE_SUSPENDED;
	return told == VM_PAUSED ? VM_PHASE_PAUSED : VM_PHASE_RUNNING;
}

/* It was never up if the last that was told is its start, or the end of that. */
static bool guests_was_up(const struct guests_row *row)
{
	return row->told != VM_STARTING && (row->told != VM_STOPPING || row->from != VM_STARTING);
}

/* Nothing runs of it any more. */
static void guests_mark_ended(struct guest *g, const struct state_process *p)
{
	char run[64];

	g->vm.devices = lease_any(g->d, g->id);
	g->vm.phase = g->vm.devices ? VM_PHASE_RETURNING : VM_PHASE_OFF;
	g->has_exit = g->up;
	g->end_unsaved = true;
	if (g->up) {
		vmproc_last_words(g->dir, &g->exit);
		guest_cgroup_explain_late(g, p->cgroup, &g->exit);
		log_warn(&g->d->log, "VM '%s' ended while no vmd was there: %s: %s", g->name,
			 g->exit.reason, g->exit.message);
	} else {
		log_warn(&g->d->log, "VM '%s': its start was cut off, and is undone", g->name);
		err_set(&g->start_err, ERR_CANCELLED, "vmd ended during its start");
	}
	if (p->pid) {
		guest_run_name(p->pid, p->start_time, run, sizeof(run));
		guest_logs_ended(g->d, g->id, p->revision, run, g->dir);
	}
	guest_save_late(g);
	if (g->vm.devices)
		guest_return(g);
}

static void guests_adopt_one(struct daemon *d, const struct guests_row *row)
{
	const struct state_process *p = &row->process;
	struct vmproc_options options = { .loop = &d->loop,
					  .log = &d->log,
					  .ops = &guest_proc_ops };
	struct state_vm vm;
	struct guest *g;
	char kept[64];
	struct err e = { 0 };
	bool same_boot = p->pid && !strcmp(p->boot_id, d->boot_id);
	int pidfd = -1;

	if (state_vm_get(d->state, row->vm, &vm, &e) < 0)
		return; /* deleted */
	g = guest_get(d, &vm);
	if (!g)
		return;
	g->told = row->told;
	g->up = guests_was_up(row);
	options.dir = g->dir;
	options.arg = g;
	guest_kept_name(g->id, kept);
	if (same_boot)
		pidfd = activation_take(&d->activation, kept);
	if (!same_boot || vmproc_adopt(&options, p, pidfd, &g->proc, &e) < 0) {
		notify_forget(&d->notify, kept);
		guests_mark_ended(g, p);
	} else {
		if (pidfd < 0)
			guest_keep_pidfd(g);
		g->vm.phase = guests_phase_told(row->told);
		g->vm.asleep = row->told == VM_SUSPENDED;
		g->vm.since_ms = uv_now(&d->loop);
		g->vm.start_paused = p->paused;
		g->vm.devices = lease_any(d, g->id);
		g->since_ms = p->time_ms;
		g->revision = p->revision;
		g->uid = p->uid;
		g->found = true;
		guest_logs_monitor(g);
	}
	guest_put(g);
}

/* Does a process still listen there, one that this database does not know? */
static bool guests_dir_lives(const char *dir)
{
	char path[sizeof(((struct state_process *)0)->socket)];
	int fd;

	if (snprintf(path, sizeof(path), "%s/control.sock", dir) >= (int)sizeof(path))
		return false;
	fd = conn_connect_now(path, NULL);
	if (fd >= 0)
		close(fd);
	return fd >= 0 || fd == -EAGAIN;
}

static void guests_sweep_dir(struct daemon *d, const char *id)
{
	struct state_vm vm;
	char dir[256];
	int ret = state_vm_get(d->state, id, &vm, NULL);

	guest_dir(d, id, dir, sizeof(dir));
	if (ret < 0 && ret != -ERR_VM_NOT_FOUND)
		return;
	if (guests_dir_lives(dir))
		log_warn(&d->log, "'%s' is of a process that this vmd does not know: it is left",
			 dir);
	else
		vmproc_clean(dir);
}

/* Directories of VMs that are gone, and files of processes that are. Ours are named by ids. */
static void guests_sweep(struct daemon *d)
{
	DIR *run = opendir(d->options->run_dir);
	struct dirent *entry;

	while (run && (entry = readdir(run)))
		if (strlen(entry->d_name) == STATE_ID_SIZE - 1 && !guest_find(d, entry->d_name))
			guests_sweep_dir(d, entry->d_name);
	if (run)
		closedir(run);
}

/* Serve once each has said hello or cannot be asked, or when that takes too long. */
static void guests_adopt_check(uv_timer_t *timer)
{
	struct guests *set = container_of(timer, struct guests, adopt);
	bool waiting = false;

	for (struct guest *g = set->list; g; g = g->next)
		waiting = waiting || (g->found && !g->lost);
	if (waiting && uv_now(&set->d->loop) < set->adopt_until)
		return;
	uv_timer_stop(timer);
	set->adopted(set->d);
}

void guests_adopt(struct daemon *d, void (*done)(struct daemon *d))
{
	struct guests_rows r = { 0 };
	struct err e;

	if (state_process_list(d->state, guests_take_process, &r, &e) < 0 ||
	    state_event_last_states(d->state, guests_take_told, &r, &e) < 0)
		log_error(&d->log, "cannot look for running VMs: %s", e.msg);
	for (size_t i = 0; i < r.n; i++)
		guests_adopt_one(d, &r.rows[i]);
	free(r.rows);
	guest_cgroups_adopt(d);
	guest_leases_adopt(d);
	guests_sweep(d);
	nets_sweep(d);
	displays_adopt(d);
	for (struct guest *g = d->guests->list; g; g = g->next)
		display_missing(g);
	ports_adopt(d);
	nvram_sweep(d);
	d->guests->adopted = done;
	uv_update_time(&d->loop);
	d->guests->adopt_until = uv_now(&d->loop) + GUESTS_ADOPT_MS;
	uv_timer_start(&d->guests->adopt, guests_adopt_check, 0, GUESTS_POLL_MS);
}

void guests_tell_status(struct daemon *d)
{
	unsigned int n = 0;

	for (struct guest *g = d->guests->list; g; g = g->next)
		n += vm_state(&g->vm) != VM_STOPPED;
	notify_status(&d->notify, "%u VM%s running", n, n == 1 ? "" : "s");
}

void guests_close(struct daemon *d)
{
	struct guests *set = d->guests;
	struct guest *next;

	if (!set || set->closing)
		return;
	set->closing = true;
	uv_close((uv_handle_t *)&set->adopt, NULL);
	uv_close((uv_handle_t *)&set->retry, NULL);
	for (struct guest *g = set->list; g; g = next) {
		struct vmproc *proc = g->proc;

		next = g->next;
		guest_hold(g);
		guest_drop_waits(g);
		guest_plugs_drop(g);
		guest_cgroup_release(g);
		/* the next vmd finds what is half started, sees that it never was up, and ends it too */
		if (proc && !g->up)
			vmproc_kill(proc);
		g->proc = NULL;
		g->vm.phase = VM_PHASE_OFF;
		vmproc_release(proc);
		guest_put(g);
	}
}
