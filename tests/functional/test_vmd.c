// SPDX-License-Identifier: MIT
/* vmd without running a VM: definitions, events, refusals, the protocol. */
#include "tests/functional/harness.h"

#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "lib/conn.h"
#include "lib/errcat.h"
#include "lib/rpc.h"
#include "tests/lib/tempdir.h"
#include "tests/lib/skip.h"

#define DEF "{'definition': {'name': 'one', 'boot': {'kernel': '/k'}}}"
#define DEF2 "{'definition': {'name': 'one', 'cpus': 2, 'boot': {'kernel': '/k'}}}"

static int setup(void **state)
{
	struct harness *h = harness_new();

	harness_vmd(h, "ok", NULL);
	*state = h;
	return 0;
}

static void test_ping_version_host(void **state)
{
	struct harness *h = *state;
	struct client *c = harness_client(h);
	AUTO_JSON struct json_object *ping = client_result(c, "daemon.ping", NULL);
	AUTO_JSON struct json_object *version = client_result(c, "daemon.version", NULL);
	AUTO_JSON struct json_object *host = client_result(c, "host.info", NULL);

	assert_int_equal(json_object_object_length(ping), 0);
	assert_int_equal(json_get_int(version, "pid", 0), h->vmd);
	assert_true(json_get_int(json_get(host, "memory"), "total", 0) > 0);
	assert_true(json_get_int(host, "cpus", 0) > 0);
}

static void test_apply_get_list_delete(void **state)
{
	struct harness *h = *state;
	struct client *c = harness_client(h);
	AUTO_JSON struct json_object *dry =
		client_result(c, "vm.apply",
			      "{'dry_run': true, 'definition': {'name': 'one', 'boot': "
			      "{'kernel': '/k'}}}");
	AUTO_JSON struct json_object *none = client_result(c, "vm.list", NULL);
	AUTO_JSON struct json_object *made = client_result(c, "vm.apply", DEF);
	AUTO_JSON struct json_object *same = client_result(c, "vm.apply", DEF);
	AUTO_JSON struct json_object *changed = client_result(c, "vm.apply", DEF2);
	AUTO_JSON struct json_object *got = client_result(c, "vm.get", "{'vm': 'one'}");
	AUTO_JSON struct json_object *all = client_result(c, "vm.list", NULL);
	AUTO_JSON struct json_object *some =
		client_result(c, "vm.list", "{'fields': ['state', 'name']}");
	AUTO_JSON struct json_object *deleted = NULL, *empty = NULL;

	assert_string_equal(json_object_to_json_string_ext(some, JSON_C_TO_STRING_PLAIN),
			    "{\"vms\":[{\"name\":\"one\",\"state\":\"stopped\"}]}");
	json_object_object_foreach(json_object_array_get_idx(json_get(all, "vms"), 0), key, value) {
		assert_true(json_equal(value, json_get(got, key)));
	}
	assert_non_null(json_at(all, "/vms/0/observed/since"));
	client_expect_error(
		c, "vm.list", "{'fields': ['nam']}", -32602,
		"vm.list: /fields/0: expected \"id\", \"name\", \"profile\", \"cpus\", "
		"\"memory\", \"revision\", \"owner\", \"desired\", \"observed\", \"state\" or "
		"\"since\", got \"nam\"",
		"");
	assert_string_equal(json_get_str(dry, "result", ""), "created");
	assert_int_equal(json_object_array_length(json_get(none, "vms")), 0);
	assert_string_equal(json_get_str(made, "result", ""), "created");
	assert_int_equal(json_get_int(made, "revision", 0), 1);
	assert_string_equal(json_get_str(same, "result", ""), "unchanged");
	assert_string_equal(json_get_str(changed, "result", ""), "updated");
	assert_string_equal(json_object_to_json_string_ext(json_get(changed, "changes"),
							   JSON_C_TO_STRING_PLAIN |
								   JSON_C_TO_STRING_NOSLASHESCAPE),
			    "[\"/cpus\"]");
	assert_int_equal(json_get_int(got, "revision", 0), 2);
	assert_int_equal(json_get_int(got, "cpus", 0), 2);
	assert_int_equal(json_get_int(json_get(got, "config"), "vcpus", 0), 2);
	assert_string_equal(json_get_str(json_get(got, "observed"), "state", ""), "stopped");
	deleted = client_result(c, "vm.delete", "{'vm': 'one'}");
	assert_string_equal(json_get_str(deleted, "name", ""), "one");
	empty = client_result(c, "vm.list", NULL);
	assert_int_equal(json_object_array_length(json_get(empty, "vms")), 0);
}

#define MANY 2010 /* more than two turns of the loop list */

static void apply_many(struct client *c)
{
	for (int i = 0; i < MANY; i += 30) {
		AUTO_JSON struct json_object *answers = NULL;
		AUTO_FREE char *line = NULL;
		size_t size;
		FILE *f = open_memstream(&line, &size);

		assert_non_null(f);
		for (int k = i; k < i + 30; k++)
			fprintf(f,
				"%c{'jsonrpc': '2.0', 'id': %d, 'method': 'vm.apply', 'params': "
				"{'definition': {'name': 'm%04d', 'boot': {'kernel': '/k'}}}}",
				k == i ? '[' : ',', k, k);
		fputc(']', f);
		fclose(f);
		for (char *p = line; *p; p++)
			*p = *p == '\'' ? '"' : *p;
		client_send_line(c, line);
		answers = client_next(c);
		assert_int_equal(json_object_array_length(answers), 30);
	}
}

/* A long list leaves room for others: they are answered first. What they do to its end is in it. */
static void test_long_list(void **state)
{
	struct harness *h = *state;
	struct client *c = harness_client(h);
	AUTO_JSON struct json_object *first = NULL, *second = NULL, *last = NULL;
	struct json_object *vms;
	char name[16];

	apply_many(c);
	client_send_line(c, "{\"jsonrpc\": \"2.0\", \"id\": 9001, \"method\": \"vm.list\"}\n"
			    "{\"jsonrpc\": \"2.0\", \"id\": 9002, \"method\": \"vm.delete\", "
			    "\"params\": {\"vm\": \"m2009\"}}\n"
			    "{\"jsonrpc\": \"2.0\", \"id\": 9003, \"method\": \"vm.delete\", "
			    "\"params\": {\"vm\": \"m0000\"}}");
	first = client_next(c);
	second = client_next(c);
	last = client_next(c);
	assert_int_equal(json_get_int(first, "id", 0), 9002);
	assert_int_equal(json_get_int(second, "id", 0), 9003);
	assert_int_equal(json_get_int(last, "id", 0), 9001);
	vms = json_get(json_get(last, "result"), "vms");
	assert_int_equal(json_object_array_length(vms), MANY - 1);
	for (int i = 0; i < MANY - 1; i++) {
		snprintf(name, sizeof(name), "m%04d", i);
		assert_string_equal(
			json_get_str(json_object_array_get_idx(vms, (size_t)i), "name", ""), name);
	}
}

static void test_if_revision(void **state)
{
	struct harness *h = *state;
	struct client *c = harness_client(h);

	json_object_put(client_result(c, "vm.apply", DEF));
	client_expect_error(c, "vm.apply",
			    "{'if_revision': 7, 'definition': {'name': 'one', 'boot': {'kernel': "
			    "'/k'}}}",
			    ERR_VM_REVISION, "VM 'one' is at revision 1, not 7", "");
	client_expect_error(c, "vm.apply",
			    "{'if_revision': 0, 'definition': {'name': 'one', 'boot': {'kernel': "
			    "'/k'}}}",
			    ERR_VM_EXISTS, "VM 'one' exists already", "");
}

static void test_bad_requests(void **state)
{
	struct harness *h = *state;
	struct client *c = harness_client(h);
	AUTO_JSON struct json_object *e = NULL;

	json_object_put(client_result(c, "vm.apply", DEF));
	client_expect_error(c, "vm.strat", "{'vm': 'one'}", ERR_RPC_METHOD,
			    "unknown method 'vm.strat'", "did you mean 'vm.start'?");
	client_expect_error(c, "vm.start", "{'vm': 'one', 'pausd': true}", ERR_RPC_PARAMS,
			    "vm.start: /pausd: unknown key 'pausd'; did you mean 'paused'?", "");
	client_expect_error(c, "vm.get", "{'vm': 'two'}", ERR_VM_NOT_FOUND, "no VM 'two'", "");
	client_expect_error(c, "vm.get", "{'vm': 'oen'}", ERR_VM_NOT_FOUND, "no VM 'oen'",
			    "did you mean 'one'?");
	client_expect_error(c, "vm.pause", "{'vm': 'one'}", ERR_VM_STATE, "VM 'one' is stopped",
			    "start it first: vmctl start one");
	e = client_error(c, "vm.validate",
			 "{'definition': {'name': 'one', 'memroy': '1GiB', 'boot': {'kernel': "
			 "'/k'}}}");
	assert_int_equal(json_get_int(e, "code", 0), ERR_INVALID);
	assert_string_equal(json_get_str(json_get(e, "data"), "path", ""), "/memroy");
	assert_non_null(strstr(json_get_str(e, "message", ""), "did you mean 'memory'?"));
}

static void test_bad_lines(void **state)
{
	struct harness *h = *state;
	struct client *c = harness_client(h);
	AUTO_JSON struct json_object *a = NULL, *b = NULL, *d = NULL, *o = NULL;
	char *big = calloc(1, RPC_LINE_MAX + 16);

	client_send_line(c, "{]");
	a = client_next(c);
	assert_int_equal(json_get_int(json_get(a, "error"), "code", 0), ERR_RPC_PARSE);
	client_send_line(c, "{\"jsonrpc\":\"2.0\",\"id\":5}");
	b = client_next(c);
	assert_int_equal(json_get_int(json_get(b, "error"), "code", 0), ERR_RPC_REQUEST);
	assert_int_equal(json_get_int(b, "id", 0), 5);
	memset(big, 'x', RPC_LINE_MAX + 8);
	for (int i = 0; i < 3; i++) {
		/* vmd may hang up on the third before it has read all of it */
		client_offer_line(c, big);
		json_object_put(d);
		d = client_next(c);
		assert_int_equal(json_get_int(json_get(d, "error"), "code", 0), ERR_RPC_TOO_LONG);
	}
	o = client_next(c); /* closed after three of them */
	assert_null(o);
	free(big);
}

static void test_events_and_replay(void **state)
{
	struct harness *h = *state;
	struct client *c = harness_client(h), *late = harness_client(h);
	AUTO_JSON struct json_object *sub = client_result(c, "event.subscribe", NULL);
	AUTO_JSON struct json_object *created = NULL, *updated = NULL, *deleted = NULL,
				     *again = NULL;

	json_object_put(client_result(c, "vm.apply", DEF));
	json_object_put(client_result(c, "vm.apply", DEF2));
	json_object_put(client_result(c, "vm.delete", "{'vm': 'one'}"));
	created = client_event(c, "vm.created", NULL);
	updated = client_event(c, "vm.updated", NULL);
	deleted = client_event(c, "vm.deleted", NULL);
	assert_int_equal(json_get_int(created, "seq", 0), json_get_int(sub, "seq", 0) + 1);
	assert_int_equal(json_get_int(deleted, "seq", 0), json_get_int(created, "seq", 0) + 2);
	assert_int_equal(json_get_int(created, "subscription", 0),
			 json_get_int(sub, "subscription", -1));
	json_object_put(
		client_result(late, "event.subscribe", "{'since': 0, 'types': ['vm.deleted']}"));
	again = client_event(late, "vm.deleted", NULL);
	assert_int_equal(json_get_int(again, "seq", 0), json_get_int(deleted, "seq", -1));
}

static void test_discover_names_every_method(void **state)
{
	struct harness *h = *state;
	struct client *c = harness_client(h);
	AUTO_JSON struct json_object *o = client_result(c, "rpc.discover", NULL);

	assert_string_equal(json_get_str(o, "openrpc", ""), "1.3.2");
	assert_true(json_object_array_length(json_get(o, "methods")) >= 19);
}

static void test_second_vmd_is_refused(void **state)
{
	struct harness *h = *state;
	char err[1024], expected[512];

	assert_int_equal(harness_vmd_fails(h, err, sizeof(err), NULL), 1);
	snprintf(expected, sizeof(expected),
		 "vmd: another vmd uses '%s': process %d\ncode: E1003 (busy)\n", h->state_dir,
		 (int)h->vmd);
	assert_string_equal(err, expected);
}

static void test_orderly_end_and_restart(void **state)
{
	struct harness *h = *state;
	struct client *c = harness_client(h);
	AUTO_JSON struct json_object *got = NULL;

	json_object_put(client_result(c, "vm.apply", DEF));
	client_close(h, c);
	assert_int_equal(harness_vmd_end(h, SIGTERM), 0);
	assert_int_equal(access(h->socket, F_OK), -1);
	harness_vmd(h, "ok", NULL);
	got = client_result(harness_client(h), "vm.get", "{'vm': 'one'}");
	assert_int_equal(json_get_int(got, "revision", 0), 1);
}

static void test_others_are_refused(void **state)
{
	struct harness *h = *state;
	int status;
	pid_t pid;

	if (geteuid())
		SKIP_BECAUSE("not root");
	/* the socket's mode keeps them out; here it does not */
	assert_int_equal(chmod(h->socket, 0666), 0);
	assert_int_equal(chmod(h->dir, 0711), 0);
	pid = fork();
	if (!pid) {
		char text[512] = "";
		int fd;

		if (setgroups(0, NULL) < 0 || setgid(65534) < 0 || setuid(65534) < 0)
			_exit(2);
		fd = conn_connect(h->socket, NULL);
		if (fd < 0 || fdio_read(fd, text, sizeof(text) - 1) <= 0)
			_exit(3);
		_exit(strstr(text, "user 65534 may not use vmd") && !strstr(text, "hello") ? 0 : 4);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void test_too_many_clients(void **state)
{
	struct harness *h = *state;
	int fds[64], extra;
	char text[512] = "";
	int64_t end;

	for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
		fds[i] = conn_connect(h->socket, NULL);
		assert_true(fds[i] >= 0);
		assert_true(fdio_recv(fds[i], text, sizeof(text), &(struct fdset){ 0 }) > 0);
	}
	extra = conn_connect(h->socket, NULL);
	assert_true(fdio_read(extra, text, sizeof(text) - 1) > 0);
	assert_non_null(strstr(text, "at most 64 connections"));
	close(extra);
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		close(fds[i]);
	/* until vmd has seen that they are gone */
	text[0] = '\0';
	end = harness_now_ms() + HARNESS_WAIT_MS;
	while (!strstr(text, "vmd.hello") && harness_now_ms() < end) {
		fds[0] = conn_connect(h->socket, NULL);
		assert_true(fdio_recv(fds[0], text, sizeof(text) - 1, &(struct fdset){ 0 }) > 0);
		close(fds[0]);
	}
	assert_non_null(strstr(text, "vmd.hello"));
}

static void test_background(void **state)
{
	struct harness *h = *state;
	struct harness_output *o = calloc(1, sizeof(*o));
	char vmd[4096], pid[32] = "", path[256];
	char *argv[] = { vmd,	       (char *)"--socket",
			 h->socket,    (char *)"--state-dir",
			 h->state_dir, (char *)"--run-dir",
			 h->run_dir,   (char *)"--monitor-uids",
			 h->uids,      NULL };
	int fd, pidfd;

	assert_int_equal(harness_vmd_end(h, SIGTERM), 0);
	harness_program("vmd", vmd, sizeof(vmd));
	/* the background process keeps standard error: that must not be a pipe of ours */
	pid_t child = fork();
	if (!child) {
		dup2(open("/dev/null", O_WRONLY), 2);
		execv(vmd, argv);
		_exit(127);
	}
	int status;
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	/* it serves */
	json_object_put(client_result(harness_client(h), "daemon.ping", NULL));
	snprintf(path, sizeof(path), "%s/vmd.lock", h->state_dir);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(fdio_read(fd, pid, sizeof(pid) - 1) > 0);
	close(fd);
	pidfd = harness_pidfd(atoi(pid));
	assert_int_equal(kill(atoi(pid), SIGTERM), 0);
	harness_wait_pidfd(pidfd);
	free(o);
}

static void test_check_option(void **state)
{
	struct harness *h = *state;
	struct harness_output *o = calloc(1, sizeof(*o));
	char vmd[4096], expected[512];
	char good[256], bad[256];
	char *argv[] = { vmd, (char *)"--check", good, NULL };

	harness_program("vmd", vmd, sizeof(vmd));
	snprintf(good, sizeof(good), "%s",
		 harness_file(h, "good.yaml", "name: one\nboot:\n  kernel: /k\n"));
	snprintf(bad, sizeof(bad), "%s",
		 harness_file(h, "bad.yaml", "name: one\nmemroy: 1GiB\nboot:\n  kernel: /k\n"));
	assert_int_equal(harness_run(NULL, o, argv), 0);
	snprintf(expected, sizeof(expected), "%s: valid (VM 'one')\n", good);
	assert_string_equal(o->out, expected);
	argv[2] = bad;
	assert_int_equal(harness_run(NULL, o, argv), 5);
	assert_non_null(strstr(o->err, "bad.yaml:2:1: /memroy: unknown key 'memroy'"));
	free(o);
}

/* Three clients in one turn of the loop, two of them about the same revision: one alone gets it. */
static void test_one_turn(void **state)
{
	static const char *const params[] = {
		"{'if_revision': 1, 'definition': {'name': 'one', 'cpus': 3, 'boot': {'kernel': "
		"'/k'}}}",
		"{'if_revision': 1, 'definition': {'name': 'one', 'cpus': 4, 'boot': {'kernel': "
		"'/k'}}}",
		"{'definition': {'name': 'two', 'boot': {'kernel': '/k'}}}",
	};
	struct harness *h = *state;
	struct client *c[3] = { harness_client(h), harness_client(h), harness_client(h) };
	AUTO_JSON struct json_object *made = client_result(c[0], "vm.apply", DEF), *got = NULL;
	int ids[3], won = 0, status;

	assert_non_null(made);
	assert_int_equal(kill(h->vmd, SIGSTOP), 0);
	assert_int_equal(waitpid(h->vmd, &status, WUNTRACED), h->vmd);
	for (int i = 0; i < 3; i++)
		ids[i] = client_ask(c[i], "vm.apply", params[i]);
	assert_int_equal(kill(h->vmd, SIGCONT), 0);
	for (int i = 0; i < 3; i++) {
		AUTO_JSON struct json_object *o = client_answer(c[i], ids[i]);
		struct json_object *result = json_get(o, "result");

		if (i == 2)
			assert_string_equal(json_get_str(result, "result", ""), "created");
		else if (result)
			won += i + 1;
		else
			assert_int_equal(json_get_int(json_get(o, "error"), "code", 0),
					 ERR_VM_REVISION);
	}
	assert_in_range(won, 1, 2);
	got = client_result(c[2], "vm.get", "{'vm': 'one'}");
	assert_int_equal(json_get_int(got, "revision", 0), 2);
	assert_int_equal(json_get_int(got, "cpus", 0), won == 1 ? 3 : 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, harness_teardown)
		T(test_ping_version_host),
		T(test_apply_get_list_delete),
		T(test_one_turn),
		T(test_long_list),
		T(test_if_revision),
		T(test_bad_requests),
		T(test_bad_lines),
		T(test_events_and_replay),
		T(test_discover_names_every_method),
		T(test_second_vmd_is_refused),
		T(test_orderly_end_and_restart),
		T(test_others_are_refused),
		T(test_too_many_clients),
		T(test_background),
		T(test_check_option),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
