// SPDX-License-Identifier: MIT
/* A database that is newer, read-only, no database, torn, or on a full disk: what vmd says and does. */
#include "tests/functional/chaos.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/errcat.h"
#include "lib/fdio.h"
#include "state/state.h"
#include "tests/functional/crash.h"
#include "tests/functional/scene.h"
#include "tests/lib/skip.h"

#define DATABASE_HINT                                                                     \
	"hint: restore it with its -wal from a copy, or move both away to begin without " \
	"definitions; VMs that run go on\ncode: E1600 (state.database)\n"

/* --- a vmd that does not begin, says why, and ends with 1 --- */

/* A state directory as vmd leaves it, with its database's log taken in. The database's path. */
static const char *begin(struct harness *h)
{
	static char path[256];
	struct client *c;
	sqlite3 *db;

	harness_vmd(h, NULL, "--log-level", "error", NULL);
	c = harness_client(h);
	for (int i = 0; i < 40; i++) {
		char name[16];

		snprintf(name, sizeof(name), "vm%d", i);
		scene_define(c, name, "/nonexistent");
	}
	client_close(h, c);
	assert_int_equal(harness_vmd_end(h, SIGTERM), 0);
	snprintf(path, sizeof(path), "%s/state.db", h->state_dir);
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, "PRAGMA wal_checkpoint(TRUNCATE)", NULL, NULL, NULL),
			 SQLITE_OK);
	sqlite3_close(db);
	return path;
}

/* The database is not one that harness_free could ask for VMs. */
static int teardown(void **state)
{
	struct harness *h = *state;
	char path[256];

	snprintf(path, sizeof(path), "%s/state.db", h->state_dir);
	unlink(path);
	harness_free(h);
	return 0;
}

static void expect_refusal(struct harness *h, const char *expected)
{
	char err[2048];

	assert_int_equal(harness_vmd_fails(h, err, sizeof(err), NULL), EXIT_FAILED);
	assert_string_equal(err, expected);
}

static void test_newer(void **state)
{
	struct harness *h = *state;
	const char *path = begin(h);
	char expected[512];
	sqlite3_stmt *stmt;
	sqlite3 *db;
	int version;

	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(db, "PRAGMA user_version", -1, &stmt, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
	version = sqlite3_column_int(stmt, 0);
	sqlite3_finalize(stmt);
	assert_int_equal(sqlite3_exec(db, "PRAGMA user_version = 99999", NULL, NULL, NULL),
			 SQLITE_OK);
	sqlite3_close(db);
	snprintf(
		expected, sizeof(expected),
		"vmd: the state database is from a newer vmd: its version is 99999, this vmd knows "
		"%d\nhint: run the newer vmd, or start with another --state-dir\ncode: E1600 "
		"(state.database)\n",
		version);
	expect_refusal(h, expected);
}

/* size bytes at off become noise; size 0: the file ends there. */
static void tear(const char *path, off_t off, size_t size)
{
	AUTO_CLOSE int fd = open(path, O_RDWR | O_CLOEXEC);
	uint32_t noise = 12345;

	assert_true(fd >= 0);
	if (!size)
		assert_int_equal(ftruncate(fd, off), 0);
	for (size_t i = 0; i < size; i++) {
		noise = noise * 1664525 + 1013904223;
		assert_int_equal(pwrite(fd, (char[]){ (char)(noise >> 24) }, 1, off + (off_t)i), 1);
	}
}

static void test_header(void **state)
{
	struct harness *h = *state;
	const char *path = begin(h);
	char expected[1024];

	tear(path, 0, 100);
	snprintf(expected, sizeof(expected),
		 "vmd: state database: %s: file is not a database\n" DATABASE_HINT, path);
	expect_refusal(h, expected);
	/* it is still there for whoever can do something about it */
	assert_int_equal(access(path, F_OK), 0);
}

static void test_truncated(void **state)
{
	struct harness *h = *state;
	const char *path = begin(h);
	char expected[1024];
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	tear(path, st.st_size / 2, 0);
	snprintf(expected, sizeof(expected),
		 "vmd: state database: %s: database disk image is malformed\n" DATABASE_HINT, path);
	expect_refusal(h, expected);
}

static void test_middle(void **state)
{
	struct harness *h = *state;
	const char *path = begin(h);
	char expected[1024];
	struct stat st;

	/* all but the first page: the schema has more than that */
	assert_int_equal(stat(path, &st), 0);
	tear(path, 4096, (size_t)st.st_size - 4096);
	snprintf(expected, sizeof(expected),
		 "vmd: state database: %s: database disk image is malformed\n" DATABASE_HINT, path);
	expect_refusal(h, expected);
}

/* The pages of one table alone: vmd serves, says so where it matters, and stays. */
static void test_one_table(void **state)
{
	struct harness *h = *state;
	const char *path = begin(h);
	struct client *c;
	sqlite3_stmt *stmt;
	sqlite3 *db;
	off_t page;

	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(
		sqlite3_prepare_v2(db, "SELECT rootpage FROM sqlite_schema WHERE name = 'revision'",
				   -1, &stmt, NULL),
		SQLITE_OK);
	assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
	page = sqlite3_column_int(stmt, 0);
	sqlite3_finalize(stmt);
	sqlite3_close(db);
	tear(path, (page - 1) * 4096, 4096);
	harness_vmd(h, NULL, "--log-level", "error", NULL);
	c = harness_client(h);
	for (int i = 0; i < 3; i++)
		client_expect_error(c, "vm.get", "{'vm': 'vm1'}", ERR_STATE,
				    "state database: cannot run a statement: database disk image "
				    "is malformed",
				    "");
	json_object_put(client_result(c, "vm.list", NULL));
	client_close(h, c);
	assert_int_equal(harness_vmd_end(h, SIGTERM), 0);
}

/* The database is moved away while a VM runs: the VM goes on, and is there when the database is. */
static void test_begun_without(void **state)
{
	struct harness *h = *state;
	char db[256], away[256], control[256];
	struct client *c;
	pid_t pid;

	if (!harness_has_kvm())
		SKIP_BECAUSE("no /dev/kvm");
	snprintf(db, sizeof(db), "%s", begin(h));
	snprintf(away, sizeof(away), "%s/away", h->dir);
	c = scene_begin(h, "ok", SCENE_LONG);
	json_object_put(client_result(c, "vm.start", "{'vm': 'one'}"));
	pid = scene_pid(c, "one");
	snprintf(control, sizeof(control), "%s", scene_path(h, c, "one", "control.sock"));
	client_close(h, c);
	assert_int_equal(harness_vmd_end(h, SIGTERM), 0);
	assert_int_equal(rename(db, away), 0);
	harness_vmd(h, "ok", NULL);
	c = harness_client(h);
	client_expect_error(c, "vm.get", "{'vm': 'one'}", ERR_VM_NOT_FOUND, "no VM 'one'", "");
	assert_int_equal(access(control, F_OK), 0);
	client_close(h, c);
	assert_int_equal(harness_vmd_end(h, SIGTERM), 0);
	assert_int_equal(rename(away, db), 0);
	harness_vmd(h, "ok", NULL);
	c = harness_client(h);
	scene_expect_state(c, "one", "running");
	assert_int_equal(scene_pid(c, "one"), pid);
	json_object_put(client_result(c, "vm.stop", "{'vm': 'one'}"));
	scene_expect_exit(c, "one", "shutdown", NULL);
}

/* Run vmd where `what` cannot be written: in a mount namespace of its own. The status, or -1: not possible. */
static int read_only(struct harness *h, const char *what, struct harness_output *o)
{
	char vmd[4096], script[8192];
	char *argv[] = {
		(char *)"/usr/bin/unshare", (char *)"-m", (char *)"sh", (char *)"-c", script, NULL
	};

	harness_program("vmd", vmd, sizeof(vmd));
	snprintf(script, sizeof(script),
		 "mount --bind '%s' '%s' && mount -o remount,bind,ro '%s' || exit 77; "
		 "exec '%s' --foreground --socket '%s' --state-dir '%s' --run-dir '%s' "
		 "--monitor-uids %s",
		 what, what, what, vmd, h->socket, h->state_dir, h->run_dir, h->uids);
	return harness_run(NULL, o, argv);
}

static void test_read_only(void **state)
{
	struct harness *h = *state;
	const char *path = begin(h);
	AUTO_FREE struct harness_output *o = calloc(1, sizeof(*o));
	char expected[512];
	int status;

	assert_non_null(o);
	status = read_only(h, path, o);
	if (status == 77 || status == 127 || (status == 1 && !strncmp(o->err, "unshare", 7)))
		SKIP_BECAUSE("no mount namespace can be made");
	snprintf(expected, sizeof(expected),
		 "vmd: cannot open '%s' for writing: it is read-only\ncode: E1600 "
		 "(state.database)\n",
		 path);
	assert_string_equal(o->err, expected);
	assert_int_equal(status, EXIT_FAILED);
	assert_int_equal(read_only(h, h->state_dir, o), EXIT_FAILED);
	snprintf(expected, sizeof(expected),
		 "vmd: cannot open '%s/vmd.lock': Read-only file system\n", h->state_dir);
	assert_string_equal(o->err, expected);
}

/* --- a disk that is full, from each write on --- */

static const struct disk_op {
	const char *method;
	unsigned int cpus; /* that vm.apply gives */
	const char *before;
	const char *after;
} disk_ops[] = {
	{ "vm.apply", 1, "none", "stopped" },	 { "vm.apply", 3, "stopped", "stopped" },
	{ "vm.start", 0, "stopped", "running" }, { "vm.stop", 0, "running", "stopped" },
	{ "vm.kill", 0, "running", "stopped" },	 { "vm.delete", 0, "stopped", "none" },
};

/* True: it is not known whether it is in the database, for the first that failed was a commit's fsync. */
static bool disk_expect_error(struct json_object *answer, const struct crash *crash)
{
	static const char *const messages[] = {
		"state database: cannot run a statement: database or disk is full",
		"state database: cannot run a statement: disk I/O error",
	};
	struct json_object *error = json_get(answer, "error");
	const char *message = json_get_str(error, "message", "");

	if (crash->first_was_sync && crash->fail_only != 1) {
		assert_int_equal(json_get_int(error, "code", 0), ERR_STATE_UNKNOWN);
		assert_string_equal(message, "state database: it is not known whether this was "
					     "written: disk I/O error");
		return true;
	}
	assert_int_equal(json_get_int(error, "code", 0), ERR_STATE);
	if (strcmp(message, messages[0]) && strcmp(message, messages[1]))
		fail_msg("%s", message);
	return false;
}

/* Ask while writes fail from the n-th on, until there is an answer: owned. False: no write has failed. */
static bool disk_ask(struct chaos *w, const struct disk_op *op, unsigned int n, int errnum,
		     struct json_object **ret_answer)
{
	struct crash crash = { .fail_from = n, .fail_errno = errnum };
	int status;

	crash_attach(&crash, w->h->vmd);
	client_ask(w->c, op->method, op->cpus ? chaos_definition(w, op->cpus) : "{'vm': 'one'}");
	if (!crash_run(&crash, client_fd(w->c), &status))
		fail_msg("vmd has ended, status 0x%x", (unsigned int)status);
	*ret_answer = client_next(w->c);
	crash_detach(&crash);
	if (json_get(*ret_answer, "error"))
		disk_expect_error(*ret_answer, &crash);
	return crash.writes >= n;
}

/* The newest event of 'one' says what it is; it may have waited for room on the disk. */
static void disk_told(struct chaos *w, const char *state)
{
	struct client *c = harness_client(w->h);
	AUTO_JSON struct json_object *answer = client_result(c, "event.subscribe", "{'since': 0}");
	int64_t last = json_get_int(answer, "seq", 0), seq = 0;
	char to[16] = "";

	while (seq < last || strcmp(to, state)) {
		AUTO_JSON struct json_object *o = client_next(c);
		struct json_object *params = json_get(o, "params");
		struct json_object *data = json_get(params, "data");
		const char *type = json_get_str(params, "type", "");

		seq = json_get_int(params, "seq", 0);
		if (!strcmp(json_get_str(data, "name", ""), "one") &&
		    (!strcmp(type, "vm.state") || !strcmp(type, "vm.created")))
			snprintf(to, sizeof(to), "%s", json_get_str(data, "to", "stopped"));
	}
	client_close(w->h, c);
}

static void disk_every_write(struct chaos *w, const struct disk_op *op, int errnum)
{
	unsigned int n = 0;
	bool failed;

	do {
		AUTO_JSON struct json_object *one = chaos_check(w), *answer = NULL, *after = NULL;
		const char *state, *wanted;

		chaos_prepare(w, one, op->before);
		failed = disk_ask(w, op, ++n, errnum, &answer);
		/* while vmd lives, what it has refused has not come about */
		wanted = json_get(answer, "error") ? op->before : op->after;
		after = chaos_settled(w);
		state = after ? chaos_state(after) : "none";
		if (strcmp(state, wanted))
			fail_msg("%s with write %u failing: '%s'", op->method, n, state);
		if (after)
			disk_told(w, state);
		json_object_put(chaos_check(w));
	} while (failed);
	print_message("# %s: %u writes\n", op->method, n - 1);
	assert_in_range(n, 3, 1000);
}

/* Every so-manieth of the operations */
static void disk_fails(struct chaos *w, int errnum, size_t step)
{
	if (!w->c)
		SKIP_BECAUSE(chaos_lacks());
	for (size_t i = 0; i < ARRAY_SIZE(disk_ops); i += step)
		disk_every_write(w, &disk_ops[i], errnum);
	chaos_ticks_on(w);
	chaos_events(w);
}

/* Is the stop in the database that vmd has begun with, and has come about then? */
static void disk_expect_stop(struct chaos *w, struct json_object *one, bool there)
{
	AUTO_JSON struct json_object *o = client_result(w->c, "job.list", "{'vm': 'one'}");
	struct json_object *job = json_object_array_get_idx(json_get(o, "jobs"), 0);

	assert_string_equal(json_get_str(job, "op", ""), there ? "stop" : "start");
	assert_string_equal(chaos_state(one), there ? "stopped" : "running");
	if (there)
		scene_expect_exit(w->c, "one", "shutdown", "the guest has powered off");
}

/* The disk is well again: vmd makes certain by itself of what it did not know. */
static void disk_settles(struct chaos *w, struct crash *crash)
{
	int64_t until = state_now_ms() + HARNESS_WAIT_MS;
	unsigned int writes = crash->writes;
	bool written = false;
	int status;

	/* a write is over before the next answer */
	for (bool over = false; !over; over = written, written = crash->writes > writes) {
		if (state_now_ms() > until)
			fail_msg("nothing is written any more");
		client_ask(w->c, "daemon.ping", NULL);
		assert_true(crash_run(crash, client_fd(w->c), &status));
		json_object_put(client_next(w->c));
	}
}

static void disk_kill(struct chaos *w, struct crash *crash)
{
	int status;

	assert_int_equal(kill(w->h->vmd, SIGKILL), 0);
	crash->kill_at = crash->steps; /* nothing but its end is waited for */
	assert_false(crash_run(crash, client_fd(w->c), &status));
	client_close(w->h, w->c);
	w->h->vmd = 0;
	chaos_begin_vmd(w);
}

/* A stop, with so many writes from the n-th on failing (0: all), then vmd dies. The number of writes. */
static unsigned int disk_stop_and_kill(struct chaos *w, unsigned int n, unsigned int fail_only)
{
	struct crash crash = { .fail_from = n, .fail_only = fail_only, .fail_errno = ENOSPC };
	AUTO_JSON struct json_object *one = chaos_check(w), *answer = NULL, *after = NULL;
	bool refused, unknown;
	int status;

	chaos_prepare(w, one, "running");
	crash_attach(&crash, w->h->vmd);
	client_ask(w->c, "vm.stop", "{'vm': 'one'}");
	assert_true(crash_run(&crash, client_fd(w->c), &status));
	answer = client_next(w->c);
	refused = json_get(answer, "error");
	unknown = refused && disk_expect_error(answer, &crash);
	if (unknown && fail_only)
		disk_settles(w, &crash);
	disk_kill(w, &crash);
	after = chaos_check(w);
	/* all of it but the last word was on the disk: this vmd takes it as done */
	disk_expect_stop(w, after, !refused || (unknown && !fail_only));
	return crash.writes;
}

static void disk_every_stop(struct chaos *w, unsigned int fail_only)
{
	unsigned int writes, n = 0;

	if (!w->c)
		SKIP_BECAUSE(chaos_lacks());
	do {
		writes = disk_stop_and_kill(w, ++n, fail_only);
	} while (writes >= n);
	assert_in_range(n, 3, 1000);
	chaos_events(w);
}

/* vmd dies while the disk is full: the next one finds in the last words what could not be written. */
static void test_full_disk_and_killed(void **state)
{
	disk_every_stop(*state, 0);
}

/* One write fails: what is refused is not there later, even where vmd has no time to say it twice. */
static void test_one_write_and_killed(void **state)
{
	disk_every_stop(*state, 1);
}

/* Two fail: where it was a commit's fsync, the one that would have taken it back has failed too. */
static void test_two_writes_and_killed(void **state)
{
	disk_every_stop(*state, 2);
}

static void test_full_disk(void **state)
{
	disk_fails(*state, ENOSPC, 1);
}

static void test_failing_disk(void **state)
{
	disk_fails(*state, EIO, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, harness_setup, teardown)
		T(test_newer),
		T(test_header),
		T(test_truncated),
		T(test_middle),
		T(test_one_table),
		T(test_read_only),
		T(test_begun_without),
		cmocka_unit_test_setup_teardown(test_full_disk, chaos_setup, chaos_teardown),
		cmocka_unit_test_setup_teardown(test_failing_disk, chaos_setup, chaos_teardown),
		cmocka_unit_test_setup_teardown(test_full_disk_and_killed, chaos_setup,
						chaos_teardown),
		cmocka_unit_test_setup_teardown(test_one_write_and_killed, chaos_setup,
						chaos_teardown),
		cmocka_unit_test_setup_teardown(test_two_writes_and_killed, chaos_setup,
						chaos_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
