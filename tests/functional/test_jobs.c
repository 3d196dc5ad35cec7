// SPDX-License-Identifier: MIT
/* Jobs: what takes long can be watched, cancelled, and goes on when vmd was killed meanwhile. */
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "lib/errcat.h"
#include "lib/fdio.h"
#include "tests/functional/scene.h"

struct fixture {
	struct harness *h;
	struct client *c;
	char job[32];
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	f->h = harness_new();
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	harness_free(f->h);
	free(f);
	return 0;
}

/* The scene with a vmd that is patient with its monitor. */
static void begin(struct fixture *f, const char *fake)
{
	f->c = scene_begin(f->h, fake, "100");
}

/* kill -9 of vmd, and the next one. */
static void crash(struct fixture *f, const char *fake)
{
	f->c = scene_restart(f->h, f->c, SIGKILL, fake);
}

/* The same, and the VM's process ends while there is none. */
static void crash_with_vm(struct fixture *f)
{
	scene_end_all(f->h, f->c, "one");
	harness_vmd(f->h, "ok", NULL);
	f->c = harness_client(f->h);
}

/* Begin a job without waiting for its end. */
static void begin_job(struct fixture *f, const char *method, const char *params)
{
	AUTO_JSON struct json_object *o = client_result(f->c, method, params);

	snprintf(f->job, sizeof(f->job), "%s", json_get_str(o, "job", ""));
	assert_int_equal(strncmp(f->job, "j-", 2), 0);
	assert_int_equal(strlen(f->job), 10);
}

static struct json_object *job_call(struct fixture *f, const char *method)
{
	char params[64];

	snprintf(params, sizeof(params), "{'job': '%s'}", f->job);
	return client_result(f->c, method, params);
}

static void assert_job(struct json_object *job, const char *op, const char *state)
{
	if (strcmp(json_get_str(job, "state", ""), state) ||
	    strcmp(json_get_str(job, "op", ""), op))
		fail_msg("not a %s that is %s: %s", op, state, json_object_to_json_string(job));
}

/* Wait for its end. */
static struct json_object *job_end(struct fixture *f, const char *op, const char *state)
{
	struct json_object *job = job_call(f, "job.wait");

	assert_job(job, op, state);
	return job;
}

static const char *job_why(struct json_object *job)
{
	return json_get_str(json_get(job, "error"), "message", "");
}

static void assert_vm(struct fixture *f, const char *state, const char *desired)
{
	AUTO_JSON struct json_object *o = client_result(f->c, "vm.get", "{'vm': 'one'}");

	assert_string_equal(json_get_str(json_get(o, "observed"), "state", ""), state);
	assert_string_equal(json_get_str(o, "desired", ""), desired);
}

static void wait_progress(struct fixture *f, const char *phase)
{
	for (;;) {
		AUTO_JSON struct json_object *o = client_event(f->c, "job.progress", NULL);

		if (!strcmp(json_get_str(json_get(o, "data"), "phase", ""), phase))
			return;
	}
}

static void test_life(void **state)
{
	struct fixture *f = *state;
	AUTO_JSON struct json_object *start = NULL, *stop = NULL, *job = NULL, *list = NULL;
	AUTO_JSON struct json_object *event = NULL;
	struct json_object *jobs;

	NEEDS_KVM;
	begin(f, "ok");
	start = client_result(f->c, "vm.start", "{'vm': 'one'}");
	event = client_event(f->c, "job.done", NULL);
	assert_string_equal(json_get_str(json_get(event, "data"), "job", ""),
			    json_get_str(start, "job", "-"));
	assert_int_equal(json_get_int(json_get(event, "actor"), "pid", 0), getpid());
	stop = client_result(f->c, "vm.stop", "{'vm': 'one'}");
	snprintf(f->job, sizeof(f->job), "%s", json_get_str(start, "job", ""));
	crash(f, "ok");
	job = job_call(f, "job.get");
	assert_job(job, "start", "done");
	assert_string_equal(json_get_str(json_get(job, "result"), "state", ""), "running");
	assert_string_equal(json_get_str(json_get(job, "actor"), "program", ""), "test_jobs");
	assert_int_equal(json_get_int(json_get(job, "actor"), "uid", -1), getuid());
	list = client_result(f->c, "job.list", "{'vm': 'one', 'state': 'done'}");
	jobs = json_get(list, "jobs");
	assert_int_equal(json_object_array_length(jobs), 2);
	assert_string_equal(json_get_str(json_object_array_get_idx(jobs, 0), "job", ""),
			    json_get_str(stop, "job", "-"));
	client_expect_error(f->c, "job.get", "{'job': 'j-1'}", ERR_JOB_NOT_FOUND, "no job 'j-1'",
			    "vmctl jobs lists them; they are kept for an hour after their end");
}

static void test_cancel_start(void **state)
{
	struct fixture *f = *state;
	AUTO_JSON struct json_object *job = NULL, *busy = NULL, *done = NULL, *late = NULL;
	struct json_object *data;
	char params[64], message[96];
	int waiting;

	NEEDS_KVM;
	begin(f, "hang-configure");
	begin_job(f, "vm.start", "{'vm': 'one', 'wait': false}");
	waiting = client_ask(f->c, "vm.start", "{'vm': 'one'}");
	wait_progress(f, "machine");
	job = job_call(f, "job.get");
	assert_job(job, "start", "running");
	assert_int_equal(json_get_int(job, "done", 0), 2);
	assert_int_equal(json_get_int(job, "total", 0), 4);
	/* who is refused is told by whom */
	struct client *other = harness_client(f->h);
	busy = client_error(other, "vm.pause", "{'vm': 'one'}");
	data = json_get(json_get(busy, "data"), "job");
	assert_string_equal(json_get_str(data, "job", ""), f->job);
	assert_string_equal(json_get_str(data, "op", ""), "start");
	assert_true(json_get_int(data, "age_ms", -1) >= 0);
	assert_int_equal(json_get_int(json_get(data, "actor"), "pid", 0), getpid());
	snprintf(params, sizeof(params), "{'job': '%s'}", f->job);
	done = client_result(other, "job.cancel", params);
	assert_job(done, "start", "cancelled");
	assert_string_equal(job_why(done), "the start of VM 'one' was cancelled");
	late = client_answer(f->c, waiting);
	assert_int_equal(json_get_int(json_get(late, "error"), "code", 0), ERR_CANCELLED);
	assert_string_equal(json_get_str(json_get(json_get(late, "error"), "data"), "job", ""),
			    f->job);
	assert_vm(f, "stopped", "stopped");
	snprintf(message, sizeof(message), "job %s has ended: cancelled", f->job);
	client_expect_error(f->c, "job.cancel", params, ERR_VM_STATE, message, "");
}

static void test_cancel_stop(void **state)
{
	struct fixture *f = *state;
	AUTO_JSON struct json_object *job = NULL, *kill = NULL;

	NEEDS_KVM;
	begin(f, "deaf");
	json_object_put(client_result(f->c, "vm.start", "{'vm': 'one'}"));
	begin_job(f, "vm.stop", "{'vm': 'one', 'wait': false}");
	assert_vm(f, "stopping", "stopped");
	job = job_call(f, "job.cancel");
	assert_job(job, "stop", "cancelled");
	assert_string_equal(
		job_why(job),
		"the stop of VM 'one' was cancelled; the guest may still obey the button");
	assert_vm(f, "running", "running");
	/* by force there is no way back */
	begin_job(f, "vm.restart", "{'vm': 'one', 'wait': false}");
	json_object_put(job_call(f, "job.cancel"));
	assert_vm(f, "running", "running");
	kill = client_result(f->c, "vm.kill", "{'vm': 'one'}");
	assert_string_equal(json_get_str(kill, "state", ""), "stopped");
}

static void test_too_late_to_cancel(void **state)
{
	struct fixture *f = *state;
	char params[64];

	NEEDS_KVM;
	begin(f, "hang-quit");
	json_object_put(client_result(f->c, "vm.start", "{'vm': 'one'}"));
	begin_job(f, "vm.kill", "{'vm': 'one', 'wait': false}");
	snprintf(params, sizeof(params), "{'job': '%s'}", f->job);
	client_expect_error(f->c, "job.cancel", params, ERR_VM_STATE,
			    "the kill of VM 'one' cannot be cancelled any more: QUITTING", "");
	json_object_put(job_end(f, "kill", "done"));
}

/* A restart that gets no further than its stop is none, though the VM runs. */
static void test_no_button(void **state)
{
	struct fixture *f = *state;

	NEEDS_KVM;
	begin(f, "no-button");
	json_object_put(client_result(f->c, "vm.start", "{'vm': 'one'}"));
	client_expect_error(f->c, "vm.restart", "{'vm': 'one'}", ERR_VM_STATE,
			    "the VM has no power button", "");
	begin_job(f, "vm.restart", "{'vm': 'one', 'wait': false}");
	json_object_put(job_end(f, "restart", "failed"));
	assert_vm(f, "running", "running");
}

static void test_stop_times_out_alone(void **state)
{
	struct fixture *f = *state;
	AUTO_JSON struct json_object *job = NULL;
	char params[96];

	NEEDS_KVM;
	begin(f, "deaf");
	json_object_put(client_result(f->c, "vm.start", "{'vm': 'one'}"));
	begin_job(f, "vm.stop", "{'vm': 'one', 'wait': false, 'timeout_ms': 300}");
	snprintf(params, sizeof(params), "{'job': '%s', 'timeout_ms': 0}", f->job);
	json_object_put(client_error(f->c, "job.wait", params));
	job = job_end(f, "stop", "failed");
	assert_int_equal(json_get_int(json_get(job, "error"), "code", 0), ERR_TIMEOUT);
	assert_string_equal(job_why(job),
			    "VM 'one' did not stop within 0.3 s and is still running");
	assert_vm(f, "running", "stopped");
}

/* Begin a stop; what a call that is refused because of it is told of its end. */
static void assert_retry_after(struct fixture *f, struct client *other, const char *stop,
			       int64_t left_ms)
{
	AUTO_JSON struct json_object *busy = NULL;
	struct timespec from, to;
	int64_t ms, gone_ms;

	clock_gettime(CLOCK_MONOTONIC, &from);
	begin_job(f, "vm.stop", stop);
	busy = client_error(other, "vm.pause", "{'vm': 'one'}");
	clock_gettime(CLOCK_MONOTONIC, &to);
	gone_ms = (to.tv_sec - from.tv_sec) * 1000 + (to.tv_nsec - from.tv_nsec) / 1000000;
	assert_int_equal(json_get_int(busy, "code", 0), ERR_BUSY);
	assert_true(json_get_bool(json_get(busy, "data"), "retryable", false));
	ms = json_get_int(json_get(busy, "data"), "retry_after_ms", -1);
	if (ms > left_ms || ms < left_ms - gone_ms - 2)
		fail_msg("%lld ms, and it was %lld %lld ms before", (long long)ms,
			 (long long)left_ms, (long long)gone_ms);
}

/* Whoever is refused because of a stop is told until when at the latest; of a restart nobody knows. */
static void test_when_to_try_again(void **state)
{
	struct fixture *f = *state;
	AUTO_JSON struct json_object *busy = NULL;
	struct client *other;

	NEEDS_KVM;
	begin(f, "deaf");
	other = harness_client(f->h);
	json_object_put(client_result(f->c, "vm.start", "{'vm': 'one'}"));
	assert_retry_after(f, other, "{'vm': 'one', 'wait': false, 'timeout_ms': 60000}", 60000);
	/* the end by force takes a moment of its own */
	assert_retry_after(f, other,
			   "{'vm': 'one', 'wait': false, 'timeout_ms': 90000, 'force': true}",
			   92000);
	json_object_put(client_result(other, "vm.kill", "{'vm': 'one'}"));
	json_object_put(client_result(other, "vm.start", "{'vm': 'one'}"));
	begin_job(f, "vm.restart", "{'vm': 'one', 'wait': false}");
	busy = client_error(other, "vm.pause", "{'vm': 'one'}");
	assert_int_equal(json_get_int(busy, "code", 0), ERR_BUSY);
	assert_null(json_get(json_get(busy, "data"), "retry_after_ms"));
}

/* A second stop has more patience: the first one's call ends in time, the job later. */
static void test_stops_join(void **state)
{
	struct fixture *f = *state;
	AUTO_JSON struct json_object *late = NULL, *job = NULL, *stop = NULL;
	struct client *other;
	int id;

	NEEDS_KVM;
	begin(f, "deaf");
	json_object_put(client_result(f->c, "vm.start", "{'vm': 'one'}"));
	begin_job(f, "vm.stop", "{'vm': 'one', 'wait': false, 'timeout_ms': 60000}");
	other = harness_client(f->h);
	id = client_ask(other, "vm.stop", "{'vm': 'one', 'timeout_ms': 10}");
	late = client_answer(other, id);
	assert_int_equal(json_get_int(json_get(late, "error"), "code", 0), ERR_TIMEOUT);
	job = job_call(f, "job.get");
	assert_job(job, "stop", "running");
	stop = client_result(other, "vm.stop", "{'vm': 'one', 'timeout_ms': 10, 'force': true}");
	assert_string_equal(json_get_str(stop, "job", ""), f->job);
	assert_string_equal(json_get_str(json_get(stop, "exit"), "reason", ""), "killed");
}

static void test_restart_by_force_of_a_paused_vm(void **state)
{
	struct fixture *f = *state;
	AUTO_JSON struct json_object *o = NULL;
	pid_t pid;

	NEEDS_KVM;
	begin(f, "ok");
	json_object_put(client_result(f->c, "vm.start", "{'vm': 'one'}"));
	json_object_put(client_result(f->c, "vm.pause", "{'vm': 'one'}"));
	pid = scene_pid(f->c, "one");
	o = client_result(f->c, "vm.restart", "{'vm': 'one', 'force': true}");
	assert_string_equal(json_get_str(o, "state", ""), "running");
	assert_int_not_equal(scene_pid(f->c, "one"), pid);
}

/* A stop during a restart: it ends there, and does not start again. */
static void test_stop_ends_a_restart(void **state)
{
	struct fixture *f = *state;
	AUTO_JSON struct json_object *restart = NULL;
	char job[32];

	NEEDS_KVM;
	begin(f, "deaf");
	json_object_put(client_result(f->c, "vm.start", "{'vm': 'one'}"));
	begin_job(f, "vm.restart", "{'vm': 'one', 'wait': false}");
	memcpy(job, f->job, sizeof(job));
	begin_job(f, "vm.stop", "{'vm': 'one', 'wait': false}");
	assert_string_not_equal(f->job, job);
	/* as if the guest obeyed at last */
	assert_int_equal(kill(scene_pid(f->c, "one"), SIGKILL), 0);
	json_object_put(job_end(f, "stop", "done"));
	memcpy(f->job, job, sizeof(job));
	restart = job_end(f, "restart", "failed");
	assert_string_equal(job_why(restart), "VM 'one' stopped meanwhile: vmm ended by signal 9");
	assert_vm(f, "stopped", "stopped");
}

/* A restart that nobody obeys in time gives up alone: a stop that joined it has more patience. */
static void test_stop_outlasts_a_restart(void **state)
{
	struct fixture *f = *state;
	char restart[32], stop[32];

	NEEDS_KVM;
	begin(f, "deaf");
	json_object_put(client_result(f->c, "vm.start", "{'vm': 'one'}"));
	begin_job(f, "vm.restart", "{'vm': 'one', 'wait': false, 'timeout_ms': 300}");
	memcpy(restart, f->job, sizeof(restart));
	begin_job(f, "vm.stop", "{'vm': 'one', 'wait': false}");
	memcpy(stop, f->job, sizeof(stop));
	memcpy(f->job, restart, sizeof(restart));
	json_object_put(job_end(f, "restart", "failed"));
	assert_vm(f, "stopping", "stopped");
	memcpy(f->job, stop, sizeof(stop));
	assert_int_equal(kill(scene_pid(f->c, "one"), SIGKILL), 0);
	json_object_put(job_end(f, "stop", "done"));
	assert_vm(f, "stopped", "stopped");
}

/* Who asked for it dies in the middle: it goes on, and its owner is still known. */
static void test_client_dies(void **state)
{
	struct fixture *f = *state;
	AUTO_JSON struct json_object *list = NULL;
	struct json_object *job;
	struct client *other;

	NEEDS_KVM;
	begin(f, "deaf");
	json_object_put(client_result(f->c, "vm.start", "{'vm': 'one'}"));
	other = harness_client(f->h);
	client_ask(other, "vm.stop", "{'vm': 'one'}");
	json_object_put(client_event(f->c, "vm.state", "stopping"));
	client_close(f->h, other);
	list = client_result(f->c, "job.list", "{'state': 'running'}");
	job = json_object_array_get_idx(json_get(list, "jobs"), 0);
	assert_job(job, "stop", "running");
	assert_int_equal(json_get_int(json_get(job, "actor"), "pid", 0), getpid());
	snprintf(f->job, sizeof(f->job), "%s", json_get_str(job, "job", ""));
	json_object_put(job_call(f, "job.cancel"));
	assert_vm(f, "running", "running");
}

static void test_stop_goes_on_after_a_crash(void **state)
{
	struct fixture *f = *state;
	AUTO_JSON struct json_object *job = NULL;

	NEEDS_KVM;
	begin(f, "stubborn");
	json_object_put(client_result(f->c, "vm.start", "{'vm': 'one'}"));
	begin_job(f, "vm.stop", "{'vm': 'one', 'wait': false}");
	/* its button is pressed again */
	crash(f, "ok");
	job = job_end(f, "stop", "done");
	assert_string_equal(json_get_str(json_get(json_get(job, "result"), "exit"), "reason", ""),
			    "shutdown");
	assert_vm(f, "stopped", "stopped");
}

static void test_stop_ended_while_vmd_was_away(void **state)
{
	struct fixture *f = *state;

	NEEDS_KVM;
	begin(f, "deaf");
	json_object_put(client_result(f->c, "vm.start", "{'vm': 'one'}"));
	begin_job(f, "vm.stop", "{'vm': 'one', 'wait': false}");
	crash_with_vm(f);
	json_object_put(job_end(f, "stop", "done"));
}

static void test_restart_goes_on_after_a_crash(void **state)
{
	struct fixture *f = *state;
	AUTO_JSON struct json_object *job = NULL;
	pid_t pid;

	NEEDS_KVM;
	begin(f, "deaf");
	json_object_put(client_result(f->c, "vm.start", "{'vm': 'one'}"));
	pid = scene_pid(f->c, "one");
	begin_job(f, "vm.restart", "{'vm': 'one', 'wait': false}");
	crash_with_vm(f);
	job = job_end(f, "restart", "done");
	assert_string_equal(json_get_str(json_get(job, "result"), "state", ""), "running");
	assert_int_not_equal(scene_pid(f->c, "one"), pid);
	assert_vm(f, "running", "running");
}

/* The start hangs in vmm when vmd dies; the next vmd undoes it and says so. */
static void test_start_is_undone_after_a_crash(void **state)
{
	struct fixture *f = *state;
	AUTO_JSON struct json_object *job = NULL;

	NEEDS_KVM;
	begin(f, "slow-start");
	begin_job(f, "vm.start", "{'vm': 'one', 'wait': false}");
	wait_progress(f, "boot");
	crash(f, "ok");
	job = job_end(f, "start", "cancelled");
	assert_string_equal(job_why(job), "vmd ended during its start");
	assert_vm(f, "stopped", "stopped");
}

/* So is that of a restart, which is not begun for a third time: with the process there, and with none. */
static void restart_is_undone(struct fixture *f, void (*dies)(struct fixture *f))
{
	AUTO_JSON struct json_object *job = NULL;

	begin(f, "ok");
	json_object_put(client_result(f->c, "vm.start", "{'vm': 'one'}"));
	crash(f, "slow-start");
	json_object_put(client_result(f->c, "event.subscribe", NULL));
	begin_job(f, "vm.restart", "{'vm': 'one', 'wait': false}");
	wait_progress(f, "boot");
	dies(f);
	job = job_end(f, "restart", "cancelled");
	assert_string_equal(job_why(job), "vmd ended during its start");
	assert_vm(f, "stopped", "stopped");
}

static void crash_of_vmd(struct fixture *f)
{
	crash(f, "ok");
}

static void test_restart_is_undone_after_a_crash(void **state)
{
	NEEDS_KVM;
	restart_is_undone(*state, crash_of_vmd);
}

static void test_restart_is_undone_without_its_vmm(void **state)
{
	NEEDS_KVM;
	restart_is_undone(*state, crash_with_vm);
}

/* An orderly end leaves a stop to the next vmd, too. */
static void test_stop_goes_on_after_sigterm(void **state)
{
	struct fixture *f = *state;
	AUTO_JSON struct json_object *late = NULL;
	int id;

	NEEDS_KVM;
	begin(f, "stubborn");
	json_object_put(client_result(f->c, "vm.start", "{'vm': 'one'}"));
	id = client_ask(f->c, "vm.stop", "{'vm': 'one'}");
	json_object_put(client_event(f->c, "vm.state", "stopping"));
	assert_int_equal(kill(f->h->vmd, SIGTERM), 0);
	late = client_answer(f->c, id);
	assert_string_equal(json_get_str(json_get(late, "error"), "message", ""), "vmd ends");
	snprintf(f->job, sizeof(f->job), "%s",
		 json_get_str(json_get(json_get(late, "error"), "data"), "job", ""));
	client_close(f->h, f->c);
	assert_int_equal(harness_vmd_end(f->h, 0), 0); /* it ends already */
	harness_vmd(f->h, "ok", NULL);
	f->c = harness_client(f->h);
	json_object_put(job_end(f, "stop", "done"));
}

/* What a person sees and types: until `shown` is there, then `typed`. */
struct dialog {
	const char *shown, *typed;
};

/* vmctl on a terminal of its own; all that it has shown, and its status. */
static int dialog(struct fixture *f, const char *command, const struct dialog *d, char *seen,
		  size_t size)
{
	char program[4096];
	struct pollfd p;
	size_t len = 0;
	int status;
	pid_t pid;

	harness_program("vmctl", program, sizeof(program));
	pid = forkpty(&p.fd, NULL, NULL, NULL);
	assert_true(pid >= 0);
	if (!pid) {
		execl(program, program, "--socket", f->h->socket, command, "one", NULL);
		_exit(127);
	}
	p.events = POLLIN;
	for (seen[0] = '\0'; poll(&p, 1, HARNESS_WAIT_MS) == 1;) {
		ssize_t n = read(p.fd, seen + len, size - 1 - len);

		if (n <= 0)
			break; /* EIO: the other end is closed */
		seen[len += (size_t)n] = '\0';
		if (!d->shown || !strstr(seen, d->shown))
			continue;
		assert_int_equal(fdio_write(p.fd, d->typed, strlen(d->typed)), strlen(d->typed));
		d++;
	}
	close(p.fd);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + 100 + WTERMSIG(status);
}

static void test_ctrl_c_twice_cancels(void **state)
{
	static const struct dialog twice[] = { { "stop one: shutdown", "\3" },
					       { "Ctrl-C again cancels it", "\3" },
					       { 0 } };
	static const struct dialog once[] = { { "stop one: shutdown", "\3" }, { 0 } };
	struct fixture *f = *state;
	AUTO_JSON struct json_object *list = NULL;
	char seen[8192];

	NEEDS_KVM;
	begin(f, "deaf");
	json_object_put(client_result(f->c, "vm.start", "{'vm': 'one'}"));
	assert_int_equal(dialog(f, "stop", twice, seen, sizeof(seen)), 130);
	assert_non_null(strstr(seen, "vmctl: still going on in vmd: job j-"));
	assert_non_null(strstr(seen, ": cancelled"));
	assert_vm(f, "running", "running");
	/* once: it goes on */
	assert_int_equal(dialog(f, "stop", once, seen, sizeof(seen)), 130);
	assert_non_null(strstr(seen, "; vmctl job wait j-"));
	assert_vm(f, "stopping", "stopped");
	list = client_result(f->c, "job.list", "{'state': 'running'}");
	assert_int_equal(json_object_array_length(json_get(list, "jobs")), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		T(test_life),
		T(test_cancel_start),
		T(test_cancel_stop),
		T(test_too_late_to_cancel),
		T(test_no_button),
		T(test_stop_times_out_alone),
		T(test_when_to_try_again),
		T(test_stops_join),
		T(test_restart_by_force_of_a_paused_vm),
		T(test_stop_ends_a_restart),
		T(test_stop_outlasts_a_restart),
		T(test_client_dies),
		T(test_stop_goes_on_after_a_crash),
		T(test_stop_ended_while_vmd_was_away),
		T(test_restart_goes_on_after_a_crash),
		T(test_restart_is_undone_after_a_crash),
		T(test_restart_is_undone_without_its_vmm),
		T(test_start_is_undone_after_a_crash),
		T(test_stop_goes_on_after_sigterm),
		T(test_ctrl_c_twice_cancels),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
