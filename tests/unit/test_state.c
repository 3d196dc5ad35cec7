// SPDX-License-Identifier: MIT
/* state/: migrations, VMs with revisions, processes, exits, the event ring. */
#include "tests/unit/state_fixture.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/embed.h"
#include "lib/errcat.h"
#include "tests/lib/tempdir.h"

/* SQLite's call, counted. */
static unsigned int syncs;
int fdatasync(int fd)
{
	syncs++;
	return (int)syscall(SYS_fdatasync, fd);
}

static unsigned int take_syncs(void)
{
	unsigned int n = syncs;

	syncs = 0;
	return n;
}

static const struct state_actor actor = { .uid = 1000, .pid = 42, .program = "vmctl" };

static struct state_vm add_vm(struct state *s, const char *name)
{
	struct state_vm vm = { .vcpus = 2, .memory = 1 << 30 };
	struct err e = { 0 };

	state_uuid(vm.id);
	snprintf(vm.name, sizeof(vm.name), "%s", name);
	strcpy(vm.profile, "modern");
	assert_int_equal(state_vm_insert(s, &vm, "{\"d\":1}", "{\"c\":1}", &actor, &e), 0);
	return vm;
}

static void test_insert_get_update_delete(void **state)
{
	struct state_fixture *f = *state;
	struct state_vm vm = add_vm(f->s, "one"), got;
	char *definition, *config;
	struct err e = { 0 };

	assert_int_equal(vm.revision, 1);
	assert_int_equal(state_vm_get(f->s, vm.id, &got, &e), 0);
	assert_string_equal(got.name, "one");
	assert_int_equal(got.memory, 1 << 30);
	assert_false(got.desired_running);
	assert_false(got.has_exit);
	vm.vcpus = 4;
	assert_int_equal(state_vm_update(f->s, &vm, "{\"d\":2}", "{\"c\":2}", &actor, &e), 0);
	assert_int_equal(vm.revision, 2);
	assert_int_equal(state_revision_get(f->s, vm.id, 2, &definition, &config, &e), 0);
	assert_string_equal(definition, "{\"d\":2}");
	assert_string_equal(config, "{\"c\":2}");
	free(definition);
	free(config);
	assert_int_equal(state_revision_get(f->s, vm.id, 1, &definition, NULL, &e), 0);
	assert_string_equal(definition, "{\"d\":1}");
	free(definition);
	assert_int_equal(state_vm_delete(f->s, vm.id, &e), 0);
	assert_int_equal(state_vm_get(f->s, vm.id, &got, &e), -ERR_VM_NOT_FOUND);
	assert_int_equal(state_revision_get(f->s, vm.id, 1, NULL, NULL, &e), -ERR_VM_NO_REVISION);
}

static int take_name(void *arg, const struct state_vm *vm)
{
	strcat(arg, vm->name);
	return 0;
}

/* names: of the VMs of that origin, one after the other */
static void expect_origin(struct state *s, const char *origin, const char *after, int64_t limit,
			  const char *names)
{
	char got[64] = "";

	assert_int_equal(state_vm_list_origin(s, origin, after, limit, take_name, got, NULL), 0);
	assert_string_equal(got, names);
}

static void test_origin(void **state)
{
	struct state_fixture *f = *state;
	struct state_vm a = add_vm(f->s, "a"), b = add_vm(f->s, "b"), c = add_vm(f->s, "c");
	char *origin = NULL;

	assert_int_equal(state_vm_origin(f->s, a.id, &origin, NULL), 0);
	assert_null(origin);
	expect_origin(f->s, "/x", "", 10, "");
	assert_int_equal(state_vm_set_origin(f->s, c.id, "/x", NULL), 0);
	assert_int_equal(state_vm_set_origin(f->s, a.id, "/x", NULL), 0);
	assert_int_equal(state_vm_set_origin(f->s, b.id, "/y", NULL), 0);
	expect_origin(f->s, "/x", "", 10, "ac");
	expect_origin(f->s, "/x", "", 1, "a");
	expect_origin(f->s, "/x", "a", 10, "c");
	assert_int_equal(state_vm_set_origin(f->s, b.id, "/x", NULL), 0);
	expect_origin(f->s, "/x", "", 10, "abc");
	expect_origin(f->s, "/y", "", 10, "");
	/* a change of the definition is none of the origin */
	assert_int_equal(state_vm_update(f->s, &b, "{}", "{}", &actor, NULL), 0);
	assert_int_equal(state_vm_origin(f->s, b.id, &origin, NULL), 0);
	assert_string_equal(origin, "/x");
	free(origin);
}

struct numbers {
	size_t n, stop;
	int64_t at[STATE_REVISIONS_MAX + 8];
	struct state_revision last;
	char definition[32];
};

static int take_number(void *arg, const struct state_revision *r)
{
	struct numbers *numbers = arg;

	assert_true(numbers->n < ARRAY_SIZE(numbers->at));
	numbers->at[numbers->n++] = r->number;
	numbers->last = *r;
	snprintf(numbers->definition, sizeof(numbers->definition), "%s", r->definition);
	return numbers->n == numbers->stop;
}

static void test_revisions(void **state)
{
	static const struct state_actor back = { 7, 8, "tool", "revert to 1" };
	struct state_fixture *f = *state;
	struct state_vm vm = add_vm(f->s, "one");
	struct numbers all = { 0 }, before = { 0 }, one = { .stop = 1 };
	struct err e = { 0 };

	add_vm(f->s, "two");
	for (int i = 2; i < 5; i++)
		assert_int_equal(state_vm_update(f->s, &vm, "{}", "{}", &actor, &e), 0);
	assert_int_equal(state_vm_update(f->s, &vm, "{\"d\":5}", "{}", &back, &e), 0);
	assert_int_equal(state_revision_list(f->s, vm.id, INT64_MAX, take_number, &all, &e), 0);
	assert_int_equal(all.n, 5);
	assert_int_equal(all.at[0], 5);
	assert_int_equal(all.last.number, 1);
	assert_int_equal(all.last.actor.uid, 1000);
	assert_string_equal(all.last.actor.note, "");
	assert_string_equal(all.definition, "{\"d\":1}");
	assert_int_equal(state_revision_list(f->s, vm.id, 3, take_number, &before, &e), 0);
	assert_int_equal(before.n, 2);
	assert_int_equal(before.at[0], 2);
	assert_int_equal(state_revision_list(f->s, vm.id, 9, take_number, &one, &e), 0);
	assert_int_equal(one.n, 1);
	assert_int_equal(one.last.actor.uid, 7);
	assert_int_equal(one.last.actor.pid, 8);
	assert_string_equal(one.last.actor.program, "tool");
	assert_string_equal(one.last.actor.note, "revert to 1");
	assert_int_equal(one.last.time_ms, vm.updated_ms);
}

/* The oldest go, but for the one that runs. */
static void test_revisions_are_bounded(void **state)
{
	struct state_fixture *f = *state;
	struct state_vm vm = add_vm(f->s, "one");
	struct state_process p = { .pid = 1, .revision = 2, .boot_id = "b", .socket = "s" };
	struct numbers all = { 0 };
	struct err e = { 0 };

	memcpy(p.vm, vm.id, sizeof(p.vm));
	assert_int_equal(state_process_put(f->s, &p, &e), 0);
	assert_int_equal(state_begin(f->s, &e), 0); /* one fsync for all */
	for (int i = 2; i <= STATE_REVISIONS_MAX + 4; i++)
		assert_int_equal(state_vm_update(f->s, &vm, "{}", "{}", &actor, &e), 0);
	assert_int_equal(state_commit(f->s, &e), 0);
	assert_int_equal(state_revision_list(f->s, vm.id, INT64_MAX, take_number, &all, &e), 0);
	assert_int_equal(all.n, STATE_REVISIONS_MAX + 1);
	assert_int_equal(all.at[0], STATE_REVISIONS_MAX + 4);
	assert_int_equal(all.at[STATE_REVISIONS_MAX - 1], 5);
	assert_int_equal(all.at[STATE_REVISIONS_MAX], 2);
}

static void count_begin(void *arg)
{
	(*(int *)arg)++;
}

/* Before each that others may follow, never in the middle of one. */
static void test_what_waits_is_written_first(void **state)
{
	struct state_fixture *f = *state;
	struct state_event event = { .type = "vm.state", .data = "{}" };
	struct err e = { 0 };
	int64_t seq;
	int n = 0;

	state_on_begin(f->s, count_begin, &n);
	assert_int_equal(state_begin(f->s, &e), 0);
	assert_int_equal(n, 1);
	assert_int_equal(state_event_add(f->s, &event, &seq, &e), 0);
	assert_int_equal(n, 1);
	assert_int_equal(state_commit(f->s, &e), 0);
	assert_int_equal(state_event_add(f->s, &event, &seq, &e), 0);
	assert_int_equal(n, 2);
	assert_int_equal(state_begin_boot(f->s, &e), 0); /* it waits for nobody */
	state_rollback(f->s);
	assert_int_equal(n, 2);
	state_on_begin(f->s, NULL, NULL);
	assert_int_equal(state_begin(f->s, &e), 0);
	state_rollback(f->s);
	assert_int_equal(n, 2);
}

static void test_names_are_unique(void **state)
{
	struct state_fixture *f = *state;
	struct state_vm vm = add_vm(f->s, "one");
	struct err e = { 0 };

	state_uuid(vm.id);
	assert_int_equal(state_vm_insert(f->s, &vm, "{}", "{}", &actor, &e), -ERR_VM_EXISTS);
	assert_string_equal(e.msg, "VM 'one' exists already");
}

static void test_find(void **state)
{
	struct state_fixture *f = *state;
	struct state_vm vm = add_vm(f->s, "database"), got;
	char prefix[STATE_ID_SIZE];
	struct err e = { 0 };

	assert_int_equal(state_vm_find(f->s, "database", &got, &e), 0);
	assert_int_equal(state_vm_find(f->s, vm.id, &got, &e), 0);
	snprintf(prefix, sizeof(prefix), "%.6s", vm.id);
	assert_int_equal(state_vm_find(f->s, prefix, &got, &e), 0);
	assert_string_equal(got.name, "database");
	prefix[3] = '\0'; /* too short to mean an id */
	assert_int_equal(state_vm_find(f->s, prefix, &got, &e), -ERR_VM_NOT_FOUND);
	assert_int_equal(state_vm_find(f->s, "databsae", &got, &e), -ERR_VM_NOT_FOUND);
	assert_string_equal(e.msg, "no VM 'databsae'");
	assert_string_equal(e.hint, "did you mean 'database'?");
	/* who does not ask for the reason still gets the code */
	assert_int_equal(state_vm_find(f->s, "databse", &vm, NULL), -ERR_VM_NOT_FOUND);
	assert_int_equal(state_vm_find(f->s, "web", &got, &e), -ERR_VM_NOT_FOUND);
	assert_string_equal(e.hint, "");
	assert_int_equal(state_vm_find(f->s, "%%%%%%", &got, &e), -ERR_VM_NOT_FOUND);
}

static int count_vm(void *arg, const struct state_vm *vm)
{
	char *names = arg;

	strcat(names, vm->name);
	strcat(names, " ");
	return 0;
}

static void test_list_is_sorted(void **state)
{
	struct state_fixture *f = *state;
	char names[64] = "";
	struct err e = { 0 };

	add_vm(f->s, "c");
	add_vm(f->s, "a");
	add_vm(f->s, "b");
	assert_int_equal(state_vm_list(f->s, "", 10, count_vm, names, &e), 0);
	assert_string_equal(names, "a b c ");
	names[0] = '\0';
	assert_int_equal(state_vm_list(f->s, "", 2, count_vm, names, &e), 0);
	assert_string_equal(names, "a b ");
	names[0] = '\0';
	assert_int_equal(state_vm_list(f->s, "a", 10, count_vm, names, &e), 0);
	assert_string_equal(names, "b c ");
}

static int take_process(void *arg, const struct state_process *p)
{
	*(struct state_process *)arg = *p;
	return 0;
}

static void test_process_and_exit(void **state)
{
	struct state_fixture *f = *state;
	struct state_vm vm = add_vm(f->s, "one"), got;
	struct state_process p = { .pid = 77, .start_time = 12345, .boot_id = "b", .revision = 1 };
	struct state_process seen = { 0 };
	struct state_exit gone = { .reason = "shutdown", .code = 3, .message = "bye" };
	struct err e = { 0 };

	strcpy(p.vm, vm.id);
	strcpy(p.socket, "/run/x");
	strcpy(p.cgroup, "not this one");
	assert_int_equal(state_process_put(f->s, &p, &e), 0);
	strcpy(p.cgroup, "/sys/fs/cgroup/vmd/one");
	assert_int_equal(state_process_put(f->s, &p, &e), 0);
	assert_int_equal(state_process_list(f->s, take_process, &seen, &e), 0);
	assert_int_equal(seen.pid, 77);
	assert_int_equal(seen.start_time, 12345);
	assert_string_equal(seen.socket, "/run/x");
	assert_string_equal(seen.cgroup, "/sys/fs/cgroup/vmd/one");
	assert_int_equal(state_exit_put(f->s, vm.id, &gone, &e), 0);
	seen.pid = 0;
	assert_int_equal(state_process_list(f->s, take_process, &seen, &e), 0);
	assert_int_equal(seen.pid, 0);
	assert_int_equal(state_vm_get(f->s, vm.id, &got, &e), 0);
	assert_true(got.has_exit);
	assert_string_equal(got.exit.reason, "shutdown");
	assert_int_equal(got.exit.code, 3);
	/* a process of a VM that does not exist is refused by the foreign key */
	strcpy(p.vm, "00000000-0000-4000-8000-000000000000");
	assert_int_equal(state_process_put(f->s, &p, &e), -ERR_STATE);
}

static void put_process(struct state *s, const char *vm, int64_t uid, int expect)
{
	struct state_process p = { .pid = 77, .start_time = 1, .boot_id = "b", .uid = uid };
	struct err e = { 0 };

	strcpy(p.vm, vm);
	assert_int_equal(state_process_put(s, &p, &e), expect);
}

static int64_t free_uid(struct state *s, uid_t first, uid_t last)
{
	int64_t uid = -2;
	struct err e = { 0 };
	int ret = state_process_free_uid(s, first, last, &uid, &e);

	if (ret >= 0)
		return uid;
	assert_int_equal(ret, -ERR_FAILED);
	assert_string_equal(e.msg, "all monitor uids (500 to 502) are taken");
	return -1;
}

static int count_process(void *arg, const struct state_process *p)
{
	(void)p;
	++*(int *)arg;
	return 0;
}

/* A uid is one process's alone; those without one do not stand in each other's way. */
static void test_uids(void **state)
{
	struct state_fixture *f = *state;
	struct state_vm one = add_vm(f->s, "one"), two = add_vm(f->s, "two");
	struct state_vm three = add_vm(f->s, "three");
	struct state_process seen = { 0 };
	struct err e = { 0 };
	int n = 0;

	assert_int_equal(free_uid(f->s, 500, 502), 500);
	put_process(f->s, one.id, 500, 0);
	assert_int_equal(free_uid(f->s, 500, 502), 501);
	put_process(f->s, two.id, 500, -ERR_STATE);
	assert_int_equal(state_process_list(f->s, take_process, &seen, &e), 0);
	assert_string_equal(seen.vm, one.id);
	assert_int_equal(seen.uid, 500);
	put_process(f->s, two.id, 502, 0);
	put_process(f->s, two.id, 501, 0); /* its second process */
	assert_int_equal(free_uid(f->s, 500, 502), 502);
	put_process(f->s, three.id, 502, 0);
	assert_int_equal(free_uid(f->s, 500, 502), -1);
	assert_int_equal(free_uid(f->s, 503, 510), 503);
	assert_int_equal(state_process_delete(f->s, one.id, &e), 0);
	assert_int_equal(free_uid(f->s, 500, 502), 500);
	put_process(f->s, one.id, -1, 0);
	put_process(f->s, two.id, -1, 0);
	assert_int_equal(state_process_list(f->s, count_process, &n, &e), 0);
	assert_int_equal(n, 3);
	assert_int_equal(free_uid(f->s, 500, 502), 500);
}

static int sum_events(void *arg, const struct state_event *event)
{
	int64_t *sum = arg;

	sum[0]++;
	sum[1] = event->seq;
	assert_string_equal(event->type, "vm.state");
	assert_string_equal(event->actor, "{\"uid\":0}");
	return 0;
}

static void test_event_ring(void **state)
{
	struct state_fixture *f = *state;
	struct state_event ev = { .type = "vm.state", .data = "{}", .actor = "{\"uid\":0}" };
	int64_t seq = 0, first = 0, last = 0, sum[2] = { 0 };
	struct err e = { 0 };

	assert_int_equal(state_event_last(f->s, &last, &e), 0);
	assert_int_equal(last, 0);
	assert_int_equal(state_event_first(f->s, &first, &e), 0);
	assert_int_equal(first, 0);
	assert_int_equal(state_begin(f->s, &e), 0);
	for (int i = 0; i < STATE_EVENTS_MAX + 200; i++)
		assert_int_equal(state_event_add(f->s, &ev, &seq, &e), 0);
	assert_int_equal(state_commit(f->s, &e), 0);
	assert_int_equal(seq, STATE_EVENTS_MAX + 200);
	assert_int_equal(state_event_last(f->s, &last, &e), 0);
	assert_int_equal(last, seq);
	assert_int_equal(state_event_list(f->s, 0, 100000, sum_events, sum, &e), 0);
	assert_int_equal(sum[0], STATE_EVENTS_MAX);
	assert_int_equal(sum[1], seq);
	sum[0] = 0;
	assert_int_equal(state_event_list(f->s, seq - 5, 100, sum_events, sum, &e), 0);
	assert_int_equal(sum[0], 5);
	sum[0] = 0;
	assert_int_equal(state_event_list(f->s, seq - 5, 3, sum_events, sum, &e), 0);
	assert_int_equal(sum[0], 3);
	assert_int_equal(sum[1], seq - 2);
	assert_int_equal(state_event_first(f->s, &first, &e), 0);
	assert_int_equal(first, seq - STATE_EVENTS_MAX + 1);
}

static int join_states(void *arg, const char *vm, const char *from, const char *to)
{
	char *text = arg;

	snprintf(text + strlen(text), 128 - strlen(text), "%s:%s>%s ", vm, from, to);
	return 0;
}

static void test_last_states(void **state)
{
	static const struct {
		const char *type, *vm, *data;
	} rows[] = {
		{ "vm.state", "a", "{\"from\":\"stopped\",\"to\":\"starting\"}" },
		{ "vm.state", "b", "{\"from\":\"stopped\",\"to\":\"starting\"}" },
		{ "vm.state", "a", "{\"from\":\"starting\",\"to\":\"running\"}" },
		{ "vm.reset", "a", "{\"from\":\"x\",\"to\":\"y\"}" },
	};
	struct state_fixture *f = *state;
	struct err e = { 0 };
	char text[128] = "";
	int64_t seq;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		assert_int_equal(state_event_add(f->s,
						 &(struct state_event){ .time_ms = 1,
									.type = rows[i].type,
									.vm = rows[i].vm,
									.data = rows[i].data },
						 &seq, &e),
				 0);
	assert_int_equal(state_event_last_states(f->s, join_states, text, &e), 0);
	assert_string_equal(text, "a:starting>running b:stopped>starting ");
}

struct jobs_seen {
	int n;
	char first[STATE_JOB_ID_SIZE], last[STATE_JOB_ID_SIZE], result[32];
	struct state_job job;
};

static int see_job(void *arg, const struct state_job *j, const char *result)
{
	struct jobs_seen *seen = arg;

	if (!seen->n++)
		strcpy(seen->first, j->id);
	strcpy(seen->last, j->id);
	strcpy(seen->result, result ? result : "");
	seen->job = *j;
	return 0;
}

static void add_job(struct state *s, int n, const char *job_state, int64_t time_ms)
{
	struct state_job j = { .op = "start",
			       .phase = "files",
			       .unit = "steps",
			       .vm = "v",
			       .name = "one",
			       .timeout_ms = -1,
			       .actor = actor,
			       .created_ms = time_ms,
			       .updated_ms = time_ms };
	struct err e = { 0 };

	snprintf(j.id, sizeof(j.id), "j-%d", n);
	strcpy(j.state, job_state);
	assert_int_equal(state_job_add(s, &j, &e), 0);
}

/* What a reboot makes void is not waited for, and whatever follows is. */
static void test_syncs(void **state)
{
	struct state_fixture *f = *state;
	struct state_vm vm = add_vm(f->s, "one");
	struct state_process p = { .pid = 7, .boot_id = "b", .socket = "s", .revision = 1 };
	struct err e = { 0 };

	strcpy(p.vm, vm.id);
	take_syncs();
	assert_int_equal(state_begin_boot(f->s, &e), 0);
	assert_int_equal(state_process_put(f->s, &p, &e), 0);
	assert_int_equal(state_commit(f->s, &e), 0);
	assert_int_equal(state_cgroup_put(f->s, "/g", vm.id, &e), 0);
	assert_int_equal(state_cgroup_delete(f->s, "/g", &e), 0);
	assert_int_equal(take_syncs(), 0);
	assert_int_equal(state_vm_set_desired(f->s, vm.id, true, &e), 0);
	assert_int_equal(take_syncs(), 1);
	assert_int_equal(state_begin_boot(f->s, &e), 0);
	assert_int_equal(state_process_delete(f->s, vm.id, &e), 0);
	state_rollback(f->s);
	assert_int_equal(state_begin(f->s, &e), 0);
	assert_int_equal(state_vm_set_desired(f->s, vm.id, false, &e), 0);
	assert_int_equal(state_commit(f->s, &e), 0);
	assert_int_equal(take_syncs(), 1);
	/* in a transaction there is no second one, and the failure changes nothing */
	assert_int_equal(state_begin(f->s, &e), 0);
	assert_true(state_begin_boot(f->s, &e) < 0);
	state_rollback(f->s);
	assert_int_equal(state_vm_delete(f->s, vm.id, &e), 0);
	assert_int_equal(take_syncs(), 1);
}

static void test_jobs_are_bounded(void **state)
{
	struct state_fixture *f = *state;
	struct jobs_seen all = { 0 }, running = { 0 }, late = { 0 }, none = { 0 }, one = { 0 };
	struct err e = { 0 };

	/* the first one runs on, whatever ends after it */
	add_job(f->s, 0, "running", 1000);
	assert_int_equal(state_begin(f->s, &e), 0);
	for (int i = 1; i <= STATE_JOBS_MAX + 50; i++)
		add_job(f->s, i, "done", 2000);
	assert_int_equal(state_commit(f->s, &e), 0);
	assert_int_equal(state_job_list(f->s, "v", NULL, 3000, see_job, &all, &e), 0);
	assert_int_equal(all.n, STATE_JOBS_MAX + 1);
	assert_string_equal(all.first, "j-1050");
	assert_string_equal(all.last, "j-0");
	assert_int_equal(state_job_list(f->s, NULL, "running", 3000, see_job, &running, &e), 0);
	assert_int_equal(running.n, 1);
	/* an hour later they are not shown, and go with the next one */
	assert_int_equal(
		state_job_list(f->s, NULL, NULL, 2001 + STATE_JOB_KEEP_MS, see_job, &late, &e), 0);
	assert_int_equal(late.n, 1);
	add_job(f->s, 5000, "done", 2001 + STATE_JOB_KEEP_MS);
	assert_int_equal(state_job_get(f->s, "j-1050", see_job, &none, &e), 0);
	/* a minute later at the latest, or at once after the clock was set back */
	add_job(f->s, 5001, "done", 2001 + 2 * STATE_JOB_KEEP_MS);
	add_job(f->s, 5002, "done", 2001 + 2 * STATE_JOB_KEEP_MS + 60000);
	assert_int_equal(state_job_get(f->s, "j-5000", see_job, &none, &e), 0);
	add_job(f->s, 5003, "done", 1000);
	add_job(f->s, 5004, "done", 1001 + STATE_JOB_KEEP_MS);
	assert_int_equal(state_job_get(f->s, "j-5003", see_job, &none, &e), 0);
	assert_int_equal(none.n, 0);
	strcpy(running.job.state, "failed");
	strcpy(running.job.phase, "boot");
	assert_int_equal(state_job_update(f->s, &running.job, "{\"code\":1}", &e), 0);
	assert_int_equal(state_job_get(f->s, "j-0", see_job, &one, &e), 0);
	assert_string_equal(one.job.state, "failed");
	assert_string_equal(one.job.phase, "boot");
	assert_string_equal(one.result, "{\"code\":1}");
	assert_string_equal(one.job.actor.program, "vmctl");
	assert_int_equal(one.job.timeout_ms, -1);
}

static void test_reopen_keeps(void **state)
{
	struct state_fixture *f = *state;
	struct state_vm vm = add_vm(f->s, "one"), got;
	char id[STATE_ID_SIZE];
	struct err e = { 0 };

	assert_int_equal(state_vm_set_desired(f->s, vm.id, true, &e), 0);
	strcpy(id, state_server_id(f->s));
	state_close(f->s);
	f->s = NULL;
	assert_int_equal(state_open(f->dir, &f->s, &e), 0);
	assert_string_equal(state_server_id(f->s), id);
	assert_int_equal(state_vm_find(f->s, "one", &got, &e), 0);
	assert_true(got.desired_running);
}

static void test_rollback(void **state)
{
	struct state_fixture *f = *state;
	struct state_vm got;
	struct err e = { 0 };

	assert_int_equal(state_begin(f->s, &e), 0);
	add_vm(f->s, "one");
	state_rollback(f->s);
	assert_int_equal(state_vm_find(f->s, "one", &got, &e), -ERR_VM_NOT_FOUND);
}

static void test_newer_database_is_refused(void **state)
{
	struct state_fixture *f = *state;
	char path[128];
	struct err e = { 0 };
	sqlite3 *db;

	state_close(f->s);
	f->s = NULL;
	snprintf(path, sizeof(path), "%s/state.db", f->dir);
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	sqlite3_exec(db, "PRAGMA user_version = 999", NULL, NULL, NULL);
	sqlite3_close(db);
	assert_int_equal(state_open(f->dir, &f->s, &e), -ERR_STATE);
	assert_non_null(strstr(e.msg, "from a newer vmd: its version is 999"));
	assert_null(f->s);
}

static void test_garbage_is_refused(void **state)
{
	struct state_fixture *f = *state;
	struct err e = { 0 };

	state_close(f->s);
	f->s = NULL;
	tempdir_file(f->dir, "state.db",
		     "this is not a database, and long enough to be seen as one");
	assert_int_equal(state_open(f->dir, &f->s, &e), -ERR_STATE);
	assert_non_null(strstr(e.msg, "not a database"));
}

static void test_owner(void **state)
{
	static const struct state_actor other = { .uid = 1001, .confined = true };
	struct state_fixture *f = *state;
	struct state_vm vm = add_vm(f->s, "one"), got;
	struct err e = { 0 };

	assert_int_equal(state_vm_get(f->s, vm.id, &got, &e), 0);
	assert_int_equal(got.owner, actor.uid);
	assert_false(got.confined);
	/* what is once confined stays so, whoever writes later; it keeps its owner */
	assert_int_equal(state_vm_update(f->s, &vm, "{}", "{}", &other, &e), 0);
	assert_true(vm.confined);
	assert_int_equal(state_vm_update(f->s, &vm, "{}", "{}", &actor, &e), 0);
	assert_int_equal(state_vm_get(f->s, vm.id, &got, &e), 0);
	assert_int_equal(got.owner, actor.uid);
	assert_true(got.confined);
	assert_int_equal(got.revision, 3);
}

/* A database of the first version: the owner is who wrote the first revision. */
static void test_owner_of_old_vms(void **state)
{
	struct state_fixture *f = *state;
	struct state_vm got;
	struct err e = { 0 };
	char path[256];
	sqlite3 *db;

	snprintf(path, sizeof(path), "%s/old", f->dir);
	assert_int_equal(mkdir(path, 0700), 0);
	strcat(path, "/state.db");
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_string_equal(embed_migrations[0].name, "0001_vm.sql");
	assert_int_equal(sqlite3_exec(db, embed_migrations[0].data, NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(
		sqlite3_exec(
			db,
			"INSERT INTO vm VALUES ('123456789012345678901234567890123456', 'old',"
			" 1, 2, 'stopped', 2, 'modern', 1, 1);"
			"INSERT INTO revision SELECT id, 1, '{}', '{}', 1, 1000, 7, 'a' FROM vm;"
			"INSERT INTO revision SELECT id, 2, '{}', '{}', 2, 1001, 8, 'b' FROM vm;"
			"PRAGMA user_version = 1",
			NULL, NULL, NULL),
		SQLITE_OK);
	sqlite3_close(db);
	*strrchr(path, '/') = '\0';
	state_close(f->s);
	f->s = NULL;
	assert_int_equal(state_open(path, &f->s, &e), 0);
	assert_int_equal(state_vm_find(f->s, "old", &got, &e), 0);
	assert_int_equal(got.owner, 1000);
	assert_false(got.confined);
}

static void test_requests(void **state)
{
	struct state_request r = { .uid = 5, .id = "a", .method = "vm.start", .digest = -7 }, got;
	struct state_fixture *f = *state;
	int64_t now = 1000000000;
	struct err e = { 0 };
	char *answer = NULL;

	assert_int_equal(state_request_find(f->s, 5, "a", now, &got, &answer, &e), 0);
	assert_int_equal(state_request_begin(f->s, &r, now, &e), 0);
	assert_int_equal(state_request_find(f->s, 5, "a", now, &got, &answer, &e), 1);
	assert_null(answer);
	assert_string_equal(got.method, "vm.start");
	assert_int_equal(got.digest, -7);
	/* another user's is another one */
	assert_int_equal(state_request_find(f->s, 6, "a", now, &got, &answer, &e), 0);
	/* its time begins anew with the answer */
	now += STATE_REQUEST_MS / 2;
	assert_int_equal(state_request_end(f->s, 5, "a", "{\"result\":{}}", now, &e), 0);
	assert_int_equal(
		state_request_find(f->s, 5, "a", now + STATE_REQUEST_MS - 1, &got, &answer, &e), 1);
	assert_string_equal(answer, "{\"result\":{}}");
	free(answer);
	/* ten minutes later it is unknown, and may be used again */
	now += STATE_REQUEST_MS;
	assert_int_equal(state_request_find(f->s, 5, "a", now, &got, &answer, &e), 0);
	assert_int_equal(state_request_begin(f->s, &r, now, &e), 0);
	assert_int_equal(state_request_find(f->s, 5, "a", now, &got, &answer, &e), 1);
	assert_null(answer);
	assert_int_equal(state_request_forget(f->s, 5, "a", &e), 0);
	assert_int_equal(state_request_find(f->s, 5, "a", now, &got, &answer, &e), 0);
}

static int64_t count_requests(struct state_fixture *f)
{
	sqlite3_stmt *stmt;
	int64_t n;
	char path[256];
	sqlite3 *db;

	snprintf(path, sizeof(path), "%s/state.db", f->dir);
	assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(db, "SELECT count(*) FROM request", -1, &stmt, NULL),
			 SQLITE_OK);
	assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
	n = sqlite3_column_int64(stmt, 0);
	sqlite3_finalize(stmt);
	sqlite3_close(db);
	return n;
}

static void add_requests(struct state_fixture *f, uid_t uid, int n, int64_t now)
{
	struct state_request r = { .uid = uid, .method = "vm.start" };
	struct err e = { 0 };

	assert_int_equal(state_begin(f->s, &e), 0);
	for (int i = 0; i < n; i++) {
		snprintf(r.id, sizeof(r.id), "r%d", i);
		assert_int_equal(state_request_begin(f->s, &r, now, &e), 0);
	}
	assert_int_equal(state_commit(f->s, &e), 0);
}

static void end_requests(struct state_fixture *f, uid_t uid, int n, int64_t now)
{
	struct err e = { 0 };
	char id[16];

	assert_int_equal(state_begin(f->s, &e), 0);
	for (int i = 0; i < n; i++) {
		snprintf(id, sizeof(id), "r%d", i);
		assert_int_equal(state_request_end(f->s, uid, id, "{}", now, &e), 0);
	}
	assert_int_equal(state_commit(f->s, &e), 0);
}

/* Their number is bounded: by age, and for each user. */
static void test_requests_are_trimmed(void **state)
{
	struct state_fixture *f = *state;
	struct state_request got;
	struct err e = { 0 };
	char *answer = NULL;

	add_requests(f, 5, 50, 1000);
	add_requests(f, 6, STATE_REQUESTS_MAX + 250, 2000);
	assert_int_equal(count_requests(f), 50 + STATE_REQUESTS_MAX);
	assert_int_equal(state_request_find(f->s, 5, "r0", 2000, &got, &answer, &e), 1);
	assert_int_equal(state_request_find(f->s, 6, "r0", 2000, &got, &answer, &e), 0);
	assert_int_equal(state_request_find(f->s, 6, "r250", 2000, &got, &answer, &e), 1);
	/* what is under way is kept for longer */
	end_requests(f, 6, STATE_REQUESTS_MAX + 250, 2000);
	add_requests(f, 7, 100, 2000 + STATE_REQUEST_MS);
	assert_int_equal(count_requests(f), 50 + 100);
	add_requests(f, 8, 100, INT64_C(3) * 86400 * 1000);
	assert_int_equal(count_requests(f), 100);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, state_fixture_setup, state_fixture_teardown)
		T(test_insert_get_update_delete),
		T(test_origin),
		T(test_revisions),
		T(test_revisions_are_bounded),
		T(test_what_waits_is_written_first),
		T(test_names_are_unique),
		T(test_find),
		T(test_list_is_sorted),
		T(test_process_and_exit),
		T(test_uids),
		T(test_event_ring),
		T(test_last_states),
		T(test_syncs),
		T(test_jobs_are_bounded),
		T(test_reopen_keeps),
		T(test_rollback),
		T(test_newer_database_is_refused),
		T(test_garbage_is_refused),
		T(test_owner),
		T(test_owner_of_old_vms),
		T(test_requests),
		T(test_requests_are_trimmed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
