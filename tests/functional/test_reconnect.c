// SPDX-License-Identifier: MIT
/* Monitors whose control connection breaks, or at whose socket another process sits. */
#include "tests/functional/harness.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "lib/conn.h"
#include "lib/errcat.h"
#include "lib/fdio.h"
#include "state/state.h"
#include "tests/functional/scene.h"
#include "tests/lib/skip.h"

/* A running 'one', or NULL: skip. */
static struct client *begin_running(struct harness *h, const char *fake)
{
	struct client *c;

	if (!harness_has_kvm())
		return NULL;
	c = scene_begin(h, fake, SCENE_LONG);
	json_object_put(client_result(c, "vm.start", "{'vm': 'one'}"));
	return c;
}

static const char *broke(pid_t pid)
{
	static char text[128];

	snprintf(text, sizeof(text), "the connection to vmm %d broke: it was closed", (int)pid);
	return text;
}

static void stop(struct client *c)
{
	AUTO_JSON struct json_object *o = client_result(c, "vm.stop", "{'vm': 'one'}");

	assert_string_equal(json_get_str(json_get(o, "exit"), "reason", ""), "shutdown");
}

static void test_call_is_lost(void **state)
{
	struct client *c;
	unsigned int fds;
	pid_t pid;

	NEEDS_KVM;
	c = scene_begin(*state, "drop-pause", SCENE_LONG);
	fds = scene_fds(*state, c);
	json_object_put(client_result(c, "vm.start", "{'vm': 'one'}"));
	pid = scene_pid(c, "one");
	client_expect_error(c, "vm.pause", "{'vm': 'one'}", ERR_VMM_PROTOCOL, broke(pid), "");
	scene_expect_state(c, "one", "running");
	json_object_put(client_result(c, "vm.pause", "{'vm': 'one'}"));
	scene_expect_state(c, "one", "paused");
	json_object_put(client_result(c, "vm.resume", "{'vm': 'one'}"));
	assert_int_equal(scene_pid(c, "one"), pid);
	scene_expect_fds(*state, c, fds + SCENE_VM_FDS);
	stop(c);
}

/* The answer is lost and the effect is there: hello says so. */
static void test_answer_is_lost(void **state)
{
	struct client *c = begin_running(*state, "drop-paused");
	AUTO_JSON struct json_object *o = NULL;

	if (!c)
		SKIP_BECAUSE("no /dev/kvm");
	o = client_result(c, "vm.pause", "{'vm': 'one'}");
	assert_string_equal(json_get_str(o, "state", ""), "paused");
	json_object_put(client_result(c, "vm.resume", "{'vm': 'one'}"));
	stop(c);
}

static void test_reset_is_lost(void **state)
{
	struct client *c = begin_running(*state, "drop-reset");

	if (!c)
		SKIP_BECAUSE("no /dev/kvm");
	client_expect_error(c, "vm.reset", "{'vm': 'one'}", ERR_VMM_PROTOCOL,
			    broke(scene_pid(c, "one")), "");
	json_object_put(client_result(c, "vm.reset", "{'vm': 'one'}"));
	stop(c);
}

static void test_power_button_is_lost(void **state)
{
	struct client *c = begin_running(*state, "drop-button");

	if (!c)
		SKIP_BECAUSE("no /dev/kvm");
	client_expect_error(c, "vm.stop", "{'vm': 'one'}", ERR_VMM_PROTOCOL,
			    broke(scene_pid(c, "one")), "");
	scene_expect_state(c, "one", "running");
	stop(c);
}

/* It never keeps a connection: vmd stays what it is, and can end it. */
static void test_flapping(void **state)
{
	struct harness *h = *state;
	struct client *c = begin_running(h, "flap");
	AUTO_JSON struct json_object *o = NULL;
	unsigned int fds;

	if (!c)
		SKIP_BECAUSE("no /dev/kvm");
	fds = scene_fds(h, c);
	o = client_error(c, "vm.pause", "{'vm': 'one'}");
	assert_int_equal(json_get_int(o, "code", 0), ERR_VMM_PROTOCOL);
	scene_expect_state(c, "one", "running");
	assert_in_range(scene_fds(h, c), fds - 1, fds);
	json_object_put(client_result(c, "vm.kill", "{'vm': 'one'}"));
	scene_expect_exit(c, "one", "killed", NULL);
}

/* The real vmm: a client that comes later takes the connection, vmd takes it back. */
static void test_newest_wins(void **state)
{
	struct harness *h = *state;
	struct client *c;
	char text[1024] = "", kernel[4096];
	pid_t pid;
	int fd;

	if (!harness_has_kvm())
		SKIP_BECAUSE("no /dev/kvm");
	harness_program("../tests/guest/ticks", kernel, sizeof(kernel));
	harness_vmd(h, NULL, NULL);
	c = harness_client(h);
	scene_define(c, "one", kernel);
	json_object_put(client_result(c, "vm.start", "{'vm': 'one'}"));
	pid = scene_pid(c, "one");
	for (int i = 0; i < 3; i++) {
		fd = conn_connect(scene_path(h, c, "one", "control.sock"), NULL);
		assert_true(fd >= 0);
		assert_true(fdio_recv(fd, text, sizeof(text) - 1, &(struct fdset){ 0 }) > 0);
		assert_non_null(strstr(text, "vmm.hello"));
		/* until vmd has come back and thereby ended ours */
		while (fdio_recv(fd, text, sizeof(text) - 1, &(struct fdset){ 0 }) > 0)
			;
		close(fd);
	}
	/* it may be on its way still: a call that comes too early is refused, none is lost */
	for (const char *got = ""; strcmp(got, "paused");) {
		int id = client_ask(c, "vm.pause", "{'vm': 'one'}");
		AUTO_JSON struct json_object *o = client_answer(c, id);

		got = json_get(o, "result") ? "paused" : "";
	}
	scene_expect_state(c, "one", "paused");
	json_object_put(client_result(c, "vm.resume", "{'vm': 'one'}"));
	assert_int_equal(scene_pid(c, "one"), pid);
	json_object_put(client_result(c, "vm.kill", "{'vm': 'one'}"));
	scene_expect_exit(c, "one", "killed", "asked to quit");
}

/* --- another process at the socket --- */

/* Says what the recorded process would say, to whoever connects. */
static pid_t impostor(const char *path, pid_t says, int *ret_ready)
{
	int ready[2];
	pid_t pid;

	assert_int_equal(unlink(path), 0);
	assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		int fd = conn_listen(path, 0600, NULL);
		char hello[256];
		int n = snprintf(hello, sizeof(hello),
				 "{\"jsonrpc\":\"2.0\",\"method\":\"vmm.hello\",\"params\":"
				 "{\"pid\":%d,\"state\":\"paused\"}}\n",
				 (int)says);

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		fcntl(fd, F_SETFL, 0);
		fdio_write(ready[1], "r", 1);
		for (;;) {
			int client = accept(fd, NULL, NULL);

			fdio_send(client, hello, (size_t)n, NULL, 0);
		}
	}
	close(ready[1]);
	*ret_ready = ready[0];
	return pid;
}

static void test_impostor(void **state)
{
	struct harness *h = *state;
	struct client *c = begin_running(h, "ok");
	char path[256], message[512], byte;
	pid_t pid, other;
	int ready, status, pidfd;

	if (!c)
		SKIP_BECAUSE("no /dev/kvm");
	pid = scene_pid(c, "one");
	snprintf(path, sizeof(path), "%s", scene_path(h, c, "one", "control.sock"));
	client_close(h, c);
	harness_vmd_end(h, SIGKILL);
	other = impostor(path, pid, &ready);
	assert_int_equal(fdio_read(ready, &byte, 1), 1);
	close(ready);
	harness_vmd(h, "ok", "--step-timeout", SCENE_LONG, NULL);
	c = harness_client(h);
	/* it lied that the VM is paused; the process that was written down is the one that is shown */
	scene_expect_state(c, "one", "running");
	assert_int_equal(scene_pid(c, "one"), pid);
	snprintf(message, sizeof(message),
		 "vmm cannot be asked (machine.pause): process %d listens on '%s' in place of vmm "
		 "%d",
		 (int)other, path, (int)pid);
	client_expect_error(c, "vm.pause", "{'vm': 'one'}", ERR_VMM_PROTOCOL, message,
			    "vmm runs on; vmctl kill ends it");
	/* and the one that is ended */
	pidfd = harness_pidfd(pid);
	json_object_put(client_result(c, "vm.kill", "{'vm': 'one'}"));
	scene_expect_exit(c, "one", "killed", "vmm was ended by SIGKILL");
	harness_wait_pidfd(pidfd);
	assert_int_equal(kill(other, 0), 0); /* the impostor is not ours */
	assert_int_equal(kill(other, SIGKILL), 0);
	assert_int_equal(waitpid(other, &status, 0), other);
}

/* The rest of the connection's life: the socket is gone, then it is there again. */
static void test_socket_is_gone(void **state)
{
	struct harness *h = *state;
	struct client *c = begin_running(h, "ok");
	char path[256], away[300];
	pid_t pid;

	if (!c)
		SKIP_BECAUSE("no /dev/kvm");
	pid = scene_pid(c, "one");
	snprintf(path, sizeof(path), "%s", scene_path(h, c, "one", "control.sock"));
	snprintf(away, sizeof(away), "%s.away", path);
	assert_int_equal(rename(path, away), 0);
	c = scene_restart(h, c, SIGKILL, "ok");
	scene_expect_state(c, "one", "running");
	assert_int_equal(scene_pid(c, "one"), pid);
	{
		AUTO_JSON struct json_object *o = client_error(c, "vm.pause", "{'vm': 'one'}");

		assert_int_equal(json_get_int(o, "code", 0), ERR_VMM_PROTOCOL);
		assert_non_null(strstr(json_get_str(o, "message", ""), "cannot connect to"));
	}
	assert_int_equal(rename(away, path), 0);
	for (bool paused = false; !paused;) {
		int id = client_ask(c, "vm.pause", "{'vm': 'one'}");
		AUTO_JSON struct json_object *o = client_answer(c, id);

		paused = json_get(o, "result") != NULL;
	}
	scene_expect_state(c, "one", "paused");
}

struct rows {
	struct state_process process;
	unsigned int n;
};

static int take_row(void *arg, const struct state_process *p)
{
	struct rows *r = arg;

	r->process = *p;
	r->n++;
	return 0;
}

/* Change the one row of the table of processes, while no vmd runs. */
static void change_row(struct harness *h, pid_t pid, int64_t start_by)
{
	struct state *db;
	struct rows r = { 0 };
	struct err e;

	assert_int_equal(state_open(h->state_dir, &db, &e), 0);
	assert_int_equal(state_process_list(db, take_row, &r, &e), 0);
	assert_int_equal(r.n, 1);
	if (pid)
		r.process.pid = pid;
	r.process.start_time += (uint64_t)start_by;
	assert_int_equal(state_process_put(db, &r.process, &e), 0);
	state_close(db);
}

/* The number belongs to somebody else by now: not ours to adopt, to signal, or to show. */
static void test_number_used_again(void **state)
{
	struct harness *h = *state;
	struct client *c = begin_running(h, "ok");
	pid_t other;
	int status;

	if (!c)
		SKIP_BECAUSE("no /dev/kvm");
	scene_end_all(h, c, "one");
	other = fork();
	if (!other) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			pause();
	}
	/* its time by one more tick: it may have begun within that of the first one */
	change_row(h, other, -1);
	harness_vmd(h, "ok", "--step-timeout", SCENE_LONG, NULL);
	c = harness_client(h);
	scene_expect_state(c, "one", "stopped");
	scene_expect_exit(c, "one", "lost", "vmm ended and left no last words");
	client_close(h, c);
	/* nothing happens to it, not at the kill, not at another start, and not at vmd's end */
	c = harness_client(h);
	json_object_put(client_result(c, "vm.kill", "{'vm': 'one'}"));
	json_object_put(client_result(c, "vm.start", "{'vm': 'one'}"));
	json_object_put(client_result(c, "vm.kill", "{'vm': 'one'}"));
	assert_int_equal(waitpid(other, &status, WNOHANG), 0);
	kill(other, SIGKILL);
	assert_int_equal(waitpid(other, &status, 0), other);
	assert_true(WIFSIGNALED(status));
}

/* A directory of a VM is vmd's alone: vmm, under another uid, has only what it was handed. */
static void test_directory_is_private(void **state)
{
	struct harness *h = *state;
	struct client *c = begin_running(h, "ok");
	struct stat st;

	if (!c)
		SKIP_BECAUSE("no /dev/kvm");
	assert_int_equal(stat(scene_path(h, c, "one", "."), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	assert_int_equal(st.st_uid, geteuid());
	assert_int_equal(stat(h->run_dir, &st), 0);
	assert_int_equal(st.st_mode & 022, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, harness_setup, harness_teardown)
		T(test_call_is_lost),	   T(test_answer_is_lost),
		T(test_reset_is_lost),	   T(test_power_button_is_lost),
		T(test_flapping),	   T(test_newest_wins),
		T(test_impostor),	   T(test_socket_is_gone),
		T(test_number_used_again), T(test_directory_is_private),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
