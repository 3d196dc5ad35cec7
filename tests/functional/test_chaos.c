// SPDX-License-Identifier: MIT
/*
 * vmd is killed at every step of a request (crash.h), and at random ones, and begun again: each VM is then
 * as it was before or as it is after, no event is lost or told twice, nothing is left of what is not there,
 * what comes next works; and a guest that counts all the while has not missed a tick.
 *
 * CHAOS_SEED repeats a run of random moments, CHAOS_ROUNDS changes their number (200).
 */
#include "tests/functional/harness.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

#include "lib/errcat.h"
#include "lib/fdio.h"
#include "tests/functional/crash.h"
#include "tests/functional/scene.h"
#include "tests/lib/skip.h"

#define CHAOS_ROUNDS 200
#define CHAOS_STEPS 90 /* random moments are within so many steps */

/* What the whole test works on. */
struct chaos {
	struct harness *h;
	struct client *c;
	int console;   /* the counting guest's */
	char line[32]; /* of it, as far as it has come */
	uint32_t tick; /* the last that was read; 0: none */
	pid_t ticker;  /* its vmm */
	char ticker_id[64];
	unsigned int fds; /* vmd's, while only it runs */
};

/* --- the guest that counts --- */

static void chaos_tick(struct chaos *w)
{
	uint32_t n = (uint32_t)strtoul(w->line, NULL, 10);

	if (w->tick && n != w->tick + 1)
		fail_msg("tick %u came after %u", n, w->tick);
	w->tick = n;
	w->line[0] = '\0';
}

/* All that it has said by now. */
static void chaos_read_ticks(struct chaos *w)
{
	struct pollfd p = { .fd = w->console, .events = POLLIN };

	while (poll(&p, 1, 0) > 0) {
		char text[4096];
		ssize_t n = read(w->console, text, sizeof(text));

		if (n <= 0)
			fail_msg("the counting guest's console has ended");
		for (ssize_t i = 0; i < n; i++) {
			size_t len = strlen(w->line);

			if (text[i] == '\n')
				chaos_tick(w);
			else if (text[i] != '\r' && len < sizeof(w->line) - 1)
				memcpy(w->line + len, (char[]){ text[i], '\0' }, 2);
		}
	}
}

/* It still counts. */
static void chaos_ticks_on(struct chaos *w)
{
	uint32_t before = w->tick;

	chaos_read_ticks(w);
	while (w->tick == before) {
		struct pollfd p = { .fd = w->console, .events = POLLIN };

		if (poll(&p, 1, HARNESS_WAIT_MS) <= 0)
			fail_msg("the guest counts no more, after tick %u", w->tick);
		chaos_read_ticks(w);
	}
}

static void chaos_open_console(struct chaos *w)
{
	json_object_put(client_result(w->c, "vm.console", "{'vm': 'ticker', 'mode': 'read'}"));
	w->console = client_take_fd(w->c);
	assert_true(w->console >= 0);
	w->tick = 0;
	w->line[0] = '\0';
	chaos_ticks_on(w);
}

/* --- the world --- */

static void chaos_begin_vmd(struct chaos *w)
{
	harness_vmd(w->h, "ok", "--step-timeout", "5", "--log-level", "error", NULL);
	w->c = harness_client(w->h);
}

/* vm.apply's parameters for 'one' */
static const char *chaos_definition(struct chaos *w, unsigned int cpus)
{
	static char params[512];

	snprintf(params, sizeof(params),
		 "{'definition': {'name': 'one', 'cpus': %u, 'boot': {'kernel': '%s/kernel'}}}",
		 cpus, w->h->dir);
	return params;
}

static struct json_object *chaos_get(struct chaos *w, const char *vm)
{
	char params[128];
	struct json_object *o, *result;

	snprintf(params, sizeof(params), "{'vm': '%s'}", vm);
	o = client_answer(w->c, client_ask(w->c, "vm.get", params));
	result = json_object_get(json_get(o, "result"));
	if (!result)
		assert_int_equal(json_get_int(json_get(o, "error"), "code", 0), ERR_VM_NOT_FOUND);
	json_object_put(o);
	return result;
}

static const char *chaos_state(struct json_object *vm)
{
	return json_get_str(json_get(vm, "observed"), "state", "");
}

static int setup(void **state)
{
	struct chaos *w = calloc(1, sizeof(*w));
	AUTO_JSON struct json_object *o = NULL;
	char kernel[4096];

	assert_non_null(w);
	*state = w;
	w->console = -1;
	w->h = harness_new();
	if (!harness_has_kvm() || !crash_possible())
		return 0;
	harness_program("../tests/guest/ticks", kernel, sizeof(kernel));
	harness_vmd(w->h, NULL, "--log-level", "error", NULL);
	w->c = harness_client(w->h);
	scene_define(w->c, "ticker", kernel);
	harness_file(w->h, "kernel", "");
	json_object_put(client_result(w->c, "vm.start", "{'vm': 'ticker'}"));
	w->ticker = scene_pid(w->c, "ticker");
	o = chaos_get(w, "ticker");
	snprintf(w->ticker_id, sizeof(w->ticker_id), "%s", json_get_str(o, "id", ""));
	chaos_open_console(w);
	client_close(w->h, w->c);
	harness_vmd_end(w->h, SIGKILL);
	chaos_begin_vmd(w);
	w->fds = harness_count_fds(w->h->vmd);
	return 0;
}

static int teardown(void **state)
{
	struct chaos *w = *state;

	if (w->console >= 0)
		close(w->console);
	harness_free(w->h);
	free(w);
	return 0;
}

/* --- what holds whenever vmd serves --- */

/* Does the process belong to this test, and is it neither vmd nor one of the two monitors? */
static bool chaos_is_orphan(struct chaos *w, pid_t pid, pid_t one)
{
	char path[64], text[4096];
	ssize_t n;
	int fd;

	if (pid == w->h->vmd || pid == one || pid == w->ticker || pid == getpid())
		return false;
	snprintf(path, sizeof(path), "/proc/%d/cmdline", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : fdio_read(fd, text, sizeof(text));
	if (fd >= 0)
		close(fd);
	return n > 0 && memmem(text, (size_t)n, w->h->dir, strlen(w->h->dir));
}

/* A child that vmd had not let go yet ends by itself; what does not end is an orphan. */
static void chaos_no_orphan(struct chaos *w, pid_t one)
{
	DIR *proc = opendir("/proc");
	struct dirent *entry;

	assert_non_null(proc);
	while ((entry = readdir(proc))) {
		pid_t pid = atoi(entry->d_name);

		if (pid > 0 && chaos_is_orphan(w, pid, one))
			harness_wait_pidfd(harness_pidfd(pid));
	}
	closedir(proc);
}

static void chaos_only_files(const char *dir, const char *const *names)
{
	DIR *d = opendir(dir);
	struct dirent *entry;

	while (d && (entry = readdir(d))) {
		size_t i = 0;

		while (names[i] && strcmp(names[i], entry->d_name))
			i++;
		if (!names[i] && strcmp(entry->d_name, ".") && strcmp(entry->d_name, ".."))
			fail_msg("'%s/%s' is left", dir, entry->d_name);
	}
	if (d)
		closedir(d);
}

/* one: NULL, or the VM. */
static void chaos_no_litter(struct chaos *w, struct json_object *one)
{
	static const char *const state[] = { "state.db", "state.db-wal", "state.db-shm",
					     "vmd.lock", "log",		 NULL };
	static const char *const running[] = { "control.sock", "exit.json", "log.fifo", NULL };
	static const char *const stopped[] = { NULL };
	const char *run[] = { w->ticker_id, json_get_str(one, "id", NULL), NULL };
	char path[256];

	chaos_only_files(w->h->state_dir, state);
	chaos_only_files(w->h->run_dir, run);
	snprintf(path, sizeof(path), "%s/log", w->h->state_dir);
	chaos_only_files(path, run);
	if (!one)
		return;
	snprintf(path, sizeof(path), "%s/%s", w->h->run_dir, run[1]);
	chaos_only_files(path, !strcmp(chaos_state(one), "stopped") ? stopped : running);
}

static int chaos_integrity_row(void *arg, int n, char **values, char **names)
{
	(void)arg, (void)names;
	if (n != 1 || strcmp(values[0], "ok"))
		fail_msg("the database: %s", n ? values[0] : "no answer");
	return 0;
}

static void chaos_integrity(struct chaos *w)
{
	char path[160];
	sqlite3 *db;

	snprintf(path, sizeof(path), "%s/state.db", w->h->state_dir);
	assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
	sqlite3_busy_timeout(db, HARNESS_WAIT_MS);
	assert_int_equal(sqlite3_exec(db, "PRAGMA integrity_check", chaos_integrity_row, NULL,
				      NULL),
			 SQLITE_OK);
	sqlite3_close(db);
}

/* 'one' as it is once nothing moves any more; NULL when it does not exist. */
static struct json_object *chaos_settled(struct chaos *w)
{
	struct json_object *one = chaos_get(w, "one");

	if (!one || strcmp(chaos_state(one), "stopping"))
		return one;
	json_object_put(one); /* a start is being undone */
	json_object_put(client_result(w->c, "vm.wait",
				      "{'vm': 'one', 'for': 'stopped', 'timeout_ms': 20000}"));
	return chaos_get(w, "one");
}

/* 'one' after everything that always holds was looked at. Owned; NULL when there is none. */
static struct json_object *chaos_check(struct chaos *w)
{
	struct json_object *one = chaos_settled(w);
	struct json_object *observed = json_get(one, "observed");
	bool running = one && !strcmp(chaos_state(one), "running");

	if (one && !running && strcmp(chaos_state(one), "stopped"))
		fail_msg("VM 'one' is %s", chaos_state(one));
	/* a process that a vmd has written down ends with what it says, not unseen */
	assert_string_not_equal(json_get_str(json_get(observed, "exit"), "reason", ""), "lost");
	scene_expect_state(w->c, "ticker", "running");
	assert_int_equal(scene_pid(w->c, "ticker"), w->ticker);
	chaos_read_ticks(w);
	chaos_no_orphan(w, (pid_t)json_get_int(observed, "pid", 0));
	chaos_no_litter(w, one);
	chaos_integrity(w);
	scene_expect_fds(w->h, w->c, w->fds + 5 * running);
	return one;
}

/* --- events: each follows from the one before it, in number and in state --- */

struct chaos_vm {
	char id[40], state[16];
};

static void chaos_event(struct chaos_vm *vms, size_t n, struct json_object *event, int64_t *seq)
{
	struct json_object *data = json_get(event, "data");
	size_t i = 0;

	assert_int_equal(json_get_int(event, "seq", 0), *seq + 1);
	++*seq;
	if (strcmp(json_get_str(event, "type", ""), "vm.state"))
		return;
	while (i < n && vms[i].id[0] && strcmp(vms[i].id, json_get_str(event, "vm", "")))
		i++;
	assert_true(i < n);
	if (!vms[i].id[0]) {
		snprintf(vms[i].id, sizeof(vms[i].id), "%s", json_get_str(event, "vm", ""));
		snprintf(vms[i].state, sizeof(vms[i].state), "stopped");
	}
	if (strcmp(json_get_str(data, "from", ""), vms[i].state))
		fail_msg("after '%s' of %s: %s", vms[i].state, vms[i].id,
			 json_object_to_json_string(event));
	snprintf(vms[i].state, sizeof(vms[i].state), "%s", json_get_str(data, "to", ""));
}

#define CHAOS_VMS 512

static void chaos_events(struct chaos *w)
{
	struct chaos_vm *vms = calloc(CHAOS_VMS, sizeof(*vms));
	struct client *c = harness_client(w->h);
	AUTO_JSON struct json_object *answer = client_result(c, "event.subscribe", "{'since': 0}");
	int64_t seq = 0, last = json_get_int(answer, "seq", 0);

	assert_non_null(vms);
	assert_true(last > 0);
	while (seq < last) {
		AUTO_JSON struct json_object *o = client_next(c);

		chaos_event(vms, CHAOS_VMS, json_get(o, "params"), &seq);
	}
	client_close(w->h, c);
	free(vms);
}

/* --- a request that is cut off --- */

/*
 * Ask, with vmd under trace, and let it come to its n-th step or to its answer (and that of a ping after
 * it, for what it does behind an answer). True: it was killed, and another has begun.
 */
static bool chaos_ask(struct chaos *w, const char *method, const char *params, unsigned int n)
{
	struct crash crash = { .kill_at = n };
	int status;

	crash_attach(&crash, w->h->vmd);
	client_ask(w->c, method, params);
	client_ask(w->c, "daemon.ping", NULL);
	for (int i = 0; i < 2; i++) {
		if (!crash_run(&crash, client_fd(w->c), &status)) {
			assert_true(WIFSIGNALED(status));
			client_close(w->h, w->c);
			w->h->vmd = 0;
			chaos_begin_vmd(w);
			return true;
		}
		json_object_put(client_next(w->c));
	}
	crash_detach(&crash);
	return false;
}

struct chaos_op {
	const char *method;
	unsigned int cpus;  /* that vm.apply gives; 0 for the others */
	const char *before; /* the state of 'one' */
	void (*check)(struct chaos *w, struct json_object *one, bool done);
};

static void chaos_check_desired(struct chaos *w, struct json_object *one, bool done)
{
	(void)w;
	assert_non_null(one);
	if (done)
		assert_string_equal(chaos_state(one), "running");
	assert_string_equal(json_get_str(one, "desired", ""), chaos_state(one));
}

static void chaos_check_stopped(struct chaos *w, struct json_object *one, bool done)
{
	struct json_object *exit = json_get(json_get(one, "observed"), "exit");

	(void)w;
	assert_non_null(one);
	if (done)
		assert_string_equal(chaos_state(one), "stopped");
	if (!strcmp(chaos_state(one), "stopped"))
		assert_string_equal(json_get_str(one, "desired", ""), "stopped");
	if (exit && strcmp(json_get_str(exit, "reason", ""), "shutdown"))
		assert_string_equal(json_get_str(exit, "reason", ""), "killed");
}

static void chaos_check_deleted(struct chaos *w, struct json_object *one, bool done)
{
	(void)w;
	assert_false(done && one);
	if (one)
		assert_int_equal(json_get_int(one, "revision", 0), 1);
}

/* Definition, configuration and number belong together: cpus 1 is revision 1, 3 is 2. */
static void chaos_check_applied(struct chaos *w, struct json_object *one, bool done)
{
	int64_t revision = json_get_int(one, "revision", 0);

	(void)w;
	assert_true(!done || one);
	if (!one)
		return;
	assert_int_equal(json_get_int(one, "cpus", 0), 2 * revision - 1);
	assert_int_equal(json_get_int(json_get(one, "definition"), "cpus", 0), 2 * revision - 1);
	assert_int_equal(json_get_int(json_get(one, "config"), "vcpus", 0), 2 * revision - 1);
	assert_true(!done || strcmp(chaos_state(one), "running"));
}

/* Bring 'one' to a state, by requests that have to work. */
static void chaos_prepare(struct chaos *w, struct json_object *one, const char *state)
{
	const char *now = one ? chaos_state(one) : "none";
	bool fresh = one && json_get_int(one, "revision", 0) == 1;

	if (!strcmp(now, "running") && (strcmp(state, "running") || !fresh)) {
		json_object_put(client_result(w->c, "vm.stop", "{'vm': 'one'}"));
		now = "stopped";
	}
	if (one && (!strcmp(state, "none") || !fresh)) {
		json_object_put(client_result(w->c, "vm.delete", "{'vm': 'one'}"));
		now = "none";
	}
	if (!strcmp(now, "none") && strcmp(state, "none")) {
		json_object_put(client_result(w->c, "vm.apply", chaos_definition(w, 1)));
		now = "stopped";
	}
	if (strcmp(now, state))
		json_object_put(client_result(w->c, "vm.start", "{'vm': 'one'}"));
}

static void chaos_every_step(struct chaos *w, const struct chaos_op *op)
{
	unsigned int n = 0;
	bool killed;

	if (!w->c)
		SKIP_BECAUSE(harness_has_kvm() ? "ptrace(2) is not permitted" : "no /dev/kvm");
	do {
		AUTO_JSON struct json_object *one = chaos_check(w), *after = NULL;

		chaos_prepare(w, one, op->before);
		killed = chaos_ask(w, op->method,
				   op->cpus ? chaos_definition(w, op->cpus) : "{'vm': 'one'}", ++n);
		after = chaos_check(w);
		op->check(w, after, !killed);
	} while (killed);
	chaos_ticks_on(w);
	chaos_events(w);
	print_message("# %s: %u steps\n", op->method, n - 1);
	assert_in_range(n, 4, 1000);
}

/* --- random moments --- */

static uint64_t chaos_random(uint64_t *seed)
{
	*seed ^= *seed << 13; /* xorshift64 */
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed;
}

static long chaos_number(const char *name, long otherwise)
{
	const char *text = getenv(name);

	return text ? strtol(text, NULL, 0) : otherwise;
}

/* Whatever is asked may be refused, for it is asked at random; but each answer has to come. */
static bool chaos_ask_random(struct chaos *w, struct crash *crash, uint64_t *seed)
{
	static const char *const methods[] = { "vm.apply", "vm.start",	 "vm.stop",
					       "vm.kill",  "vm.restart", "vm.delete",
					       "vm.list",  "vm.pause",	 "vm.resume" };
	const char *method = methods[chaos_random(seed) % ARRAY_SIZE(methods)], *params;
	int status;

	params = !strcmp(method, "vm.list") ? NULL : "{'vm': 'one'}";
	if (!strcmp(method, "vm.apply"))
		params = chaos_definition(w, 1 + 2 * (chaos_random(seed) % 2));
	client_ask(w->c, method, params);
	if (crash_run(crash, client_fd(w->c), &status)) {
		json_object_put(client_next(w->c));
		return true;
	}
	assert_true(WIFSIGNALED(status));
	return false;
}

static void chaos_random_moment(struct chaos *w, uint64_t *seed)
{
	struct crash crash = { .kill_at = 1 + (unsigned int)(chaos_random(seed) % CHAOS_STEPS) };
	struct json_object *one;

	crash_attach(&crash, w->h->vmd);
	while (chaos_ask_random(w, &crash, seed))
		;
	client_close(w->h, w->c);
	w->h->vmd = 0;
	chaos_begin_vmd(w);
	one = chaos_settled(w);
	if (one && !strcmp(chaos_state(one), "paused"))
		json_object_put(client_result(w->c, "vm.resume", "{'vm': 'one'}"));
	json_object_put(one);
	json_object_put(chaos_check(w));
}

static void test_random_moments(void **state)
{
	struct chaos *w = *state;
	uint64_t seed = (uint64_t)chaos_number("CHAOS_SEED", (long)time(NULL) | 1);
	long rounds = chaos_number("CHAOS_ROUNDS", CHAOS_ROUNDS);

	if (!w->c)
		SKIP_BECAUSE(harness_has_kvm() ? "ptrace(2) is not permitted" : "no /dev/kvm");
	print_message("# CHAOS_SEED=%llu\n", (unsigned long long)seed);
	for (long i = 0; i < rounds; i++)
		chaos_random_moment(w, &seed);
	chaos_ticks_on(w);
	chaos_events(w);
}

static void test_apply_new(void **state)
{
	static const struct chaos_op op = { "vm.apply", 1, "none", chaos_check_applied };

	chaos_every_step(*state, &op);
}

static void test_apply_change(void **state)
{
	static const struct chaos_op op = { "vm.apply", 3, "stopped", chaos_check_applied };

	chaos_every_step(*state, &op);
}

static void test_start(void **state)
{
	static const struct chaos_op op = { "vm.start", 0, "stopped", chaos_check_desired };

	chaos_every_step(*state, &op);
}

static void test_stop(void **state)
{
	static const struct chaos_op op = { "vm.stop", 0, "running", chaos_check_stopped };

	chaos_every_step(*state, &op);
}

static void test_kill(void **state)
{
	static const struct chaos_op op = { "vm.kill", 0, "running", chaos_check_stopped };

	chaos_every_step(*state, &op);
}

static void test_delete(void **state)
{
	static const struct chaos_op op = { "vm.delete", 0, "stopped", chaos_check_deleted };

	chaos_every_step(*state, &op);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		T(test_apply_new), T(test_apply_change), T(test_start),		 T(test_stop),
		T(test_kill),	   T(test_delete),	 T(test_random_moments),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
