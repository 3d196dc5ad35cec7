// SPDX-License-Identifier: MIT
/* See chaos.h. */
#include "tests/functional/chaos.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/errcat.h"
#include "lib/fdio.h"
#include "tests/functional/crash.h"
#include "tests/functional/scene.h"

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
void chaos_ticks_on(struct chaos *w)
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

void chaos_begin_vmd(struct chaos *w)
{
	harness_vmd(w->h, "ok", "--step-timeout", "60", "--log-level", "error", NULL);
	w->c = harness_client(w->h);
}

/* vm.apply's parameters for 'one' */
const char *chaos_definition(struct chaos *w, unsigned int cpus)
{
	static char params[512];

	snprintf(params, sizeof(params),
		 "{'definition': {'name': 'one', 'cpus': %u, 'boot': {'kernel': '%s/kernel'}}}",
		 cpus, w->h->dir);
	return params;
}

struct json_object *chaos_get(struct chaos *w, const char *vm)
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

const char *chaos_state(struct json_object *vm)
{
	return json_get_str(json_get(vm, "observed"), "state", "");
}

int chaos_setup(void **state)
{
	struct chaos *w = calloc(1, sizeof(*w));
	AUTO_JSON struct json_object *o = NULL;
	char kernel[4096];

	assert_non_null(w);
	*state = w;
	setenv("ASAN_OPTIONS", "detect_leaks=0", 1); /* it cannot look for them under ptrace */
	w->console = -1;
	w->h = harness_new();
	if (!harness_has_kvm() || !crash_possible())
		return 0;
	harness_program("../tests/guest/ticks", kernel, sizeof(kernel));
	harness_vmd(w->h, NULL, "--log-level", "debug", NULL);
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
	w->fds = scene_fds(w->h, w->c);
	return 0;
}

int chaos_teardown(void **state)
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

/* The first file that is none of these; empty: there is none. */
static void chaos_first_litter(const char *dir, const char *const *names, char *out, size_t size)
{
	DIR *d = opendir(dir);
	struct dirent *entry;

	out[0] = '\0';
	while (d && !out[0] && (entry = readdir(d))) {
		size_t i = 0;

		while (names[i] && strcmp(names[i], entry->d_name))
			i++;
		if (!names[i] && strcmp(entry->d_name, ".") && strcmp(entry->d_name, ".."))
			snprintf(out, size, "%s", entry->d_name);
	}
	if (d)
		closedir(d);
}

static void chaos_only_files(const char *dir, const char *const *names)
{
	char litter[256];

	chaos_first_litter(dir, names, litter, sizeof(litter));
	if (litter[0])
		fail_msg("'%s/%s' is left", dir, litter);
}

/* The logs of a deleted VM go behind the answer, by a worker of vmd. */
static void chaos_only_logs(struct chaos *w, const char *dir, const char *const *vms)
{
	int64_t until = harness_now_ms() + HARNESS_WAIT_MS;
	char litter[256];

	do {
		json_object_put(client_result(w->c, "daemon.ping", NULL));
		chaos_first_litter(dir, vms, litter, sizeof(litter));
	} while (litter[0] && harness_now_ms() < until);
	if (litter[0])
		fail_msg("'%s/%s' is left", dir, litter);
}

/* one: NULL, or the VM. */
static void chaos_no_litter(struct chaos *w, struct json_object *one)
{
	static const char *const state[] = { "state.db", "state.db-wal", "state.db-shm",
					     "vmd.lock", "log",		 NULL };
	static const char *const running[] = { "control.sock", "exit.json", "log.fifo",
					       "console.tail", NULL };
	static const char *const stopped[] = { NULL };
	const char *run[] = { w->ticker_id, json_get_str(one, "id", NULL), NULL };
	char path[256];

	chaos_only_files(w->h->state_dir, state);
	chaos_only_files(w->h->run_dir, run);
	snprintf(path, sizeof(path), "%s/log", w->h->state_dir);
	chaos_only_logs(w, path, run);
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

/* No job stays as it was when vmd died, or the disk was full: each comes to its end. */
static void chaos_end_jobs(struct chaos *w)
{
	AUTO_JSON struct json_object *o = client_result(w->c, "job.list", "{'state': 'running'}");
	struct json_object *jobs = json_get(o, "jobs");

	for (size_t i = 0; i < json_object_array_length(jobs); i++) {
		struct json_object *job = json_object_array_get_idx(jobs, i);
		char params[80];

		snprintf(params, sizeof(params), "{'job': '%s', 'timeout_ms': 20000}",
			 json_get_str(job, "job", ""));
		json_object_put(client_result(w->c, "job.wait", params));
	}
}

/* 'one' as it is once nothing moves any more; NULL when it does not exist. */
struct json_object *chaos_settled(struct chaos *w)
{
	struct json_object *one;

	chaos_end_jobs(w);
	one = chaos_get(w, "one");

	if (!one || strcmp(chaos_state(one), "stopping"))
		return one;
	json_object_put(one); /* a start is being undone */
	json_object_put(client_result(w->c, "vm.wait",
				      "{'vm': 'one', 'for': 'stopped', 'timeout_ms': 20000}"));
	return chaos_get(w, "one");
}

/* What the newest job of 'one' says of itself is true: nothing ends it here but a job. */
static void chaos_job_is_true(struct chaos *w, struct json_object *one)
{
	AUTO_JSON struct json_object *o = client_result(w->c, "job.list", "{'vm': 'one'}");
	struct json_object *job = json_object_array_get_idx(json_get(o, "jobs"), 0);
	const char *op = json_get_str(job, "op", "");
	bool done = !strcmp(json_get_str(job, "state", ""), "done");
	bool ends = !strcmp(op, "stop") || !strcmp(op, "kill");

	if (job && (done != ends) != !strcmp(chaos_state(one), "running"))
		fail_msg("VM 'one' is %s after %s", chaos_state(one),
			 json_object_to_json_string(job));
}

/* 'one' after everything that always holds was looked at. Owned; NULL when there is none. */
struct json_object *chaos_check(struct chaos *w)
{
	struct json_object *one = chaos_settled(w);
	struct json_object *observed = json_get(one, "observed");
	bool running = one && !strcmp(chaos_state(one), "running");

	if (one && !running && strcmp(chaos_state(one), "stopped")) {
		AUTO_JSON struct json_object *jobs =
			client_result(w->c, "job.list", "{'vm': 'one'}");

		fail_msg("VM 'one' is %s; its jobs: %s", chaos_state(one),
			 json_object_to_json_string(jobs));
	}
	if (one)
		chaos_job_is_true(w, one);
	/* a process that a vmd has written down ends with what it says, not unseen */
	assert_string_not_equal(json_get_str(json_get(observed, "exit"), "reason", ""), "lost");
	scene_expect_state(w->c, "ticker", "running");
	assert_int_equal(scene_pid(w->c, "ticker"), w->ticker);
	chaos_read_ticks(w);
	chaos_no_orphan(w, (pid_t)json_get_int(observed, "pid", 0));
	chaos_no_litter(w, one);
	chaos_integrity(w);
	scene_expect_fds(w->h, w->c, w->fds + SCENE_VM_FDS * running);
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

void chaos_events(struct chaos *w)
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

/* Bring 'one' to a state, by requests that have to work. */
void chaos_prepare(struct chaos *w, struct json_object *one, const char *state)
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

const char *chaos_lacks(void)
{
	return harness_has_kvm() ? "ptrace(2) is not permitted" : "no /dev/kvm";
}
