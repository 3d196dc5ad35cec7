// SPDX-License-Identifier: MIT
/*
 * vmctl top: what the running VMs use, round after round. A round asks which VMs run and vm.stats of each; CPU is
 * what was used since the round before it, so that the first one only shows what was used since a VM's start.
 */
#include <errno.h>
#include <fnmatch.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "lib/auto.h"
#include "lib/errcat.h"
#include "vmctl/stats.h"
#include "vmctl/table.h"
#include "vmctl/vmctl.h"

#define TOP_INTERVAL_MS 2000
#define TOP_AT_ONCE 16 /* requests under way; vmd takes 32 a connection */
#define TOP_VMS_MAX 4096

struct top_vm {
	char id[40], name[72];
	int64_t request;
	struct json_object *stats; /* owned; NULL: none in this round */
	int64_t cpu_us, at_us;	   /* of the round before; -1: none */
	double cpu;		   /* percent of one CPU; below 0: not known */
};

struct top {
	struct vmctl *v;
	struct top_vm *vms, *before; /* owned: of this round, and of the one before, sorted by id */
	size_t n, nbefore;
};

static int64_t top_now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static void top_free(struct top_vm *vms, size_t n)
{
	for (size_t i = 0; i < n; i++)
		json_object_put(vms[i].stats);
	free(vms);
}

static bool top_wanted(const struct args *a, const char *name, const char *id)
{
	bool wanted = !a->noperands;

	for (size_t i = 0; i < a->noperands && !wanted; i++)
		wanted = !fnmatch(a->operands[i], name, 0) ||
			 !strncmp(id, a->operands[i], strlen(a->operands[i]));
	return wanted;
}

static int top_by_id(const void *a, const void *b)
{
	return strcmp(((const struct top_vm *)a)->id, ((const struct top_vm *)b)->id);
}

/* The busiest first, then by name. */
static int top_by_use(const void *a, const void *b)
{
	const struct top_vm *x = a, *y = b;

	if (x->cpu != y->cpu)
		return x->cpu < y->cpu ? 1 : -1;
	return strcmp(x->name, y->name);
}

static void top_add(struct top *t, struct json_object *vm)
{
	const char *state = json_get_str(vm, "state", ""), *name = json_get_str(vm, "name", "");
	const char *id = json_get_str(vm, "id", "");
	struct top_vm *e;

	if ((strcmp(state, "running") != 0 && strcmp(state, "paused") != 0 &&
	     strcmp(state, "suspended") != 0) ||
	    !top_wanted(&t->v->args, name, id) || t->n == TOP_VMS_MAX)
		return;
	e = &t->vms[t->n++];
	*e = (struct top_vm){ .cpu_us = -1, .cpu = -1 };
	snprintf(e->id, sizeof(e->id), "%s", id);
	snprintf(e->name, sizeof(e->name), "%s", name);
}

/* Which VMs run; those of the last round are kept for their CPU time. */
static int top_list(struct top *t)
{
	struct client_reply reply;
	struct json_object *fields = json_object_new_array(), *vms;
	static const char *const names[] = { "id", "name", "state" };
	size_t all;
	int status;

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		json_object_array_add(fields, json_object_new_string(names[i]));
	status = vmctl_call(t->v, "vm.list", json_add(json_new(), "fields", fields), &reply,
			    "list VMs");
	if (status == EXIT_OK) {
		top_free(t->before, t->nbefore);
		t->before = TAKE_PTR(t->vms);
		t->nbefore = t->n;
		if (t->nbefore)
			qsort(t->before, t->nbefore, sizeof(*t->before), top_by_id);
		vms = json_get(reply.result, "vms");
		all = vms ? json_object_array_length(vms) : 0;
		t->n = 0;
		t->vms = calloc(MIN(all, (size_t)TOP_VMS_MAX) + 1, sizeof(*t->vms));
		if (!t->vms)
			abort();
		for (size_t i = 0; i < all; i++)
			top_add(t, json_object_array_get_idx(vms, i));
	}
	client_reply_fini(&reply);
	return status;
}

static void top_take(struct top *t, struct top_vm *e, struct json_object *take_stats)
{
	const struct top_vm *was;

	e->stats = take_stats;
	e->cpu_us = json_get_int(take_stats, "cpu_us", -1);
	e->at_us = top_now_us();
	was = t->nbefore ? bsearch(e, t->before, t->nbefore, sizeof(*e), top_by_id) : NULL;
	if (was && was->cpu_us >= 0 && e->cpu_us >= was->cpu_us && e->at_us > was->at_us)
		e->cpu =
			100.0 * (double)(e->cpu_us - was->cpu_us) / (double)(e->at_us - was->at_us);
}

/* A VM that has ended since is left out. */
static int top_round(struct top *t)
{
	int status = top_list(t);
	size_t sent = 0;

	for (size_t i = 0; i < t->n && status == EXIT_OK; i++) {
		struct client_reply reply;
		struct err e;
		int r;

		for (; sent < t->n && sent < i + TOP_AT_ONCE; sent++)
			t->vms[sent].request =
				client_send(&t->v->client, "vm.stats",
					    json_add_str(json_new(), "vm", t->vms[sent].id));
		r = client_wait(&t->v->client, t->vms[i].request, 0, &reply, &e);
		if (r >= 0)
			top_take(t, &t->vms[i], TAKE_PTR(reply.result));
		else if (r == -EINTR)
			status = VMCTL_EXIT_INTERRUPTED;
		else if (r != -ERR_VM_STATE && r != -ERR_VM_NOT_FOUND && r != -ERR_BUSY)
			status = vmctl_fail(t->v, &e, &reply, "show what VMs use");
		client_reply_fini(&reply);
	}
	return status;
}

/* --- output ------------------------------------------------------------------------------------------------ */

static void top_row(struct table *table, const struct top_vm *e)
{
	struct json_object *balloon = json_get(e->stats, "balloon");
	struct json_object *stats = json_get(balloon, "stats");
	char number[24], size[24];

	table_cell(table, e->name, NULL);
	table_cell(table, json_get_str(e->stats, "state", NULL), NULL);
	snprintf(number, sizeof(number), "%.1f", e->cpu);
	table_cell(table, e->cpu < 0 ? NULL : number, NULL);
	snprintf(number, sizeof(number), "%" PRId64, json_get_int(e->stats, "cpus", 0));
	table_cell(table, number, NULL);
	table_cell(table, stats_size(e->stats, "rss", size), NULL);
	table_cell(table, stats_size(e->stats, "memory", size), NULL);
	table_cell(table, stats_size(balloon, "actual", size), NULL);
	table_cell(table, stats_size(stats, "free", size), NULL);
}

/* How many lines a terminal has for VMs; without one, all. */
static size_t top_room(const struct top *t, bool screen)
{
	struct winsize w = { 0 };

	if (!screen || ioctl(fileno(t->v->out.out), TIOCGWINSZ, &w) < 0 || w.ws_row < 4)
		return SIZE_MAX;
	return w.ws_row - 3u; /* header, what is left out, and the cursor */
}

static void top_table(struct top *t, bool screen)
{
	static const struct {
		const char *header;
		enum table_align align;
	} columns[] = { { "NAME", TABLE_LEFT },	 { "STATE", TABLE_LEFT }, { "CPU%", TABLE_RIGHT },
			{ "CPUS", TABLE_RIGHT }, { "RSS", TABLE_RIGHT },  { "MEMORY", TABLE_RIGHT },
			{ "HAS", TABLE_RIGHT },	 { "FREE", TABLE_RIGHT } };
	size_t shown = 0, hidden = 0, room = top_room(t, screen);
	struct table table;

	table_init(&table);
	for (size_t i = 0; i < ARRAY_SIZE(columns); i++)
		table_column(&table, columns[i].header, columns[i].align);
	for (size_t i = 0; i < t->n; i++) {
		if (t->vms[i].stats && shown < room) {
			top_row(&table, &t->vms[i]);
			shown++;
		} else {
			hidden += t->vms[i].stats != NULL;
		}
	}
	if (screen)
		fputs("\033[H\033[J", t->v->out.out);
	table_print(&table, t->v->out.out, t->v->out.header, t->v->out.color);
	if (hidden)
		fprintf(t->v->out.out, "and %zu more\n", hidden);
	table_fini(&table);
}

static void top_print(struct top *t, bool screen)
{
	qsort(t->vms, t->n, sizeof(*t->vms), top_by_use);
	if (t->v->out.format != OUTPUT_JSON && t->v->out.format != OUTPUT_NAME)
		top_table(t, screen);
	for (size_t i = 0; i < t->n; i++) {
		struct top_vm *e = &t->vms[i];

		if (!e->stats)
			continue;
		if (e->cpu >= 0)
			json_add(e->stats, "cpu_percent", json_object_new_double(e->cpu));
		if (t->v->out.format == OUTPUT_JSON)
			output_json_line(&t->v->out, "top", e->stats);
		else if (t->v->out.format == OUTPUT_NAME)
			fprintf(t->v->out.out, "%s\n", e->name);
	}
	fflush(t->v->out.out);
}

/* Until the next round. */
static int top_pause(struct top *t, uint64_t ms)
{
	struct client_reply reply;
	struct err e;
	int r = client_wait(&t->v->client, CLIENT_NEVER, ms, &reply, &e), status = EXIT_OK;

	if (r == -EINTR)
		status = VMCTL_EXIT_INTERRUPTED;
	else if (r < 0 && r != -ERR_TIMEOUT)
		status = vmctl_fail(t->v, &e, &reply, "show what VMs use");
	client_reply_fini(&reply);
	return status;
}

static int top_rounds(struct top *t, uint64_t count, uint64_t interval_ms, bool screen)
{
	int status = top_round(t); /* what CPU time counts from */

	for (uint64_t i = 0; status == EXIT_OK && (!count || i < count); i++) {
		status = top_pause(t, interval_ms);
		if (status == EXIT_OK)
			status = top_round(t);
		if (status == EXIT_OK)
			top_print(t, screen);
	}
	/* on a terminal this is how it ends */
	return status == VMCTL_EXIT_INTERRUPTED && !count ? EXIT_OK : status;
}

int cmd_top(struct vmctl *v)
{
	bool tty = isatty(fileno(v->out.out)) == 1;
	bool table = v->out.format == OUTPUT_TABLE || v->out.format == OUTPUT_WIDE;
	uint64_t interval_ms = args_number(&v->args, "interval", TOP_INTERVAL_MS);
	uint64_t count = args_number(&v->args, "count", tty && table ? 0 : 1);
	struct top t = { .v = v };
	int status;

	if (interval_ms < 100 || interval_ms > 3600000)
		return vmctl_usage(v, "--interval must be from 100ms to 1h");
	status = vmctl_connect(v);
	if (status == EXIT_OK) {
		client_watch(&v->client, true);
		status = top_rounds(&t, count, interval_ms, v->out.color && table && count != 1);
	}
	top_free(t.vms, t.n);
	top_free(t.before, t.nbefore);
	return status;
}
