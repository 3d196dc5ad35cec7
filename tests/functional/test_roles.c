// SPDX-License-Identifier: MIT
/*
 * Who may do what: clients with real uids and groups against a vmd that runs as root. The groups are numbers,
 * so that no entry of the host matters.
 */
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/conn.h"
#include "lib/errcat.h"
#include "tests/functional/scene.h"

static void test_viewer(void **state)
{
	struct harness *h = *state;
	struct client *c;

	if (geteuid())
		SKIP_BECAUSE("not root");
	c = harness_client_as(h, 1001, SCENE_VIEWERS);
	scene_define(harness_client(h), "roots", "/k");
	json_object_put(client_result(c, "vm.list", NULL));
	json_object_put(client_result(c, "vm.get", "{'vm': 'roots'}"));
	json_object_put(client_result(c, "event.subscribe", NULL));
	/* before the parameters are looked at */
	client_expect_error(c, "vm.stop", "{'nonsense': 1}", ERR_DENIED,
			    "vm.stop is not for viewers",
			    "members of the groups '54302' and '54301' may");
	client_expect_error(c, "vm.apply", NULL, ERR_DENIED, "vm.apply is not for viewers",
			    "members of the groups '54302' and '54301' may");
	client_expect_error(c, "vm.console", "{'vm': 'roots', 'mode': 'read'}", ERR_DENIED,
			    "vm.console is not for viewers",
			    "members of the groups '54302' and '54301' may");
}

static void expect_not_owner(struct client *c, const char *method, const char *params)
{
	char message[128];

	snprintf(message, sizeof(message),
		 "%s: VM 'roots' belongs to user 0, and you are user 1001", method);
	client_expect_error(c, method, params, ERR_DENIED, message,
			    "its owner may, and members of the group '54301'");
}

static void test_operator(void **state)
{
	static const char *const methods[] = { "vm.start",   "vm.stop",	  "vm.restart",
					       "vm.reset",   "vm.pause",  "vm.resume",
					       "vm.kill",    "vm.delete", "vm.console",
					       "vm.balloon", "vm.media",  "vm.send_key" };
	struct harness *h = *state;
	AUTO_JSON struct json_object *got = NULL, *id = NULL;
	struct client *c, *root;
	char params[128];

	if (geteuid())
		SKIP_BECAUSE("not root");
	c = harness_client_as(h, 1001, SCENE_OPERATORS);
	root = harness_client(h);
	scene_define(root, "roots", "/k");
	scene_define(c, "mine", "/k");
	got = client_result(c, "vm.get", "{'vm': 'mine'}");
	assert_int_equal(json_get_int(got, "owner", 0), 1001);
	for (size_t i = 0; i < ARRAY_SIZE(methods); i++)
		expect_not_owner(c, methods[i], "{'vm': 'roots', 'nonsense': 1}");
	/* by its id it is the same VM */
	id = client_result(c, "vm.get", "{'vm': 'roots'}");
	snprintf(params, sizeof(params), "{'vm': '%.8s'}", json_get_str(id, "id", ""));
	expect_not_owner(c, "vm.kill", params);
	expect_not_owner(c, "vm.apply", "{'definition': {'name': 'roots'}}");
	/* its own, and what there is not */
	client_expect_error(c, "vm.console", "{'vm': 'mine'}", ERR_VM_STATE, "VM 'mine' is stopped",
			    "start it first: vmctl start mine");
	client_expect_error(c, "vm.start", "{'vm': 'nobodys'}", ERR_VM_NOT_FOUND, "no VM 'nobodys'",
			    "");
	client_expect_error(c, "vm.start", "{'vm': 'mine', 'pausd': true}", ERR_RPC_PARAMS,
			    "vm.start: /pausd: unknown key 'pausd'; did you mean 'paused'?", "");
	client_expect_error(c, "vm.start", NULL, ERR_RPC_PARAMS, "vm.start: missing key 'vm'", "");
	/* a name that begins an id is a new VM's */
	snprintf(params, sizeof(params), "%.8s", json_get_str(id, "id", ""));
	scene_define(c, params, "/k");
	json_object_put(client_result(c, "vm.delete", "{'vm': 'mine'}"));
	/* an administrator may do all, and makes nobody else's VM its own */
	scene_define(harness_client_as(h, 1002, SCENE_ADMINS), "roots", "/k2");
	json_object_put(got);
	got = client_result(c, "vm.get", "{'vm': 'roots'}");
	assert_int_equal(json_get_int(got, "revision", 0), 2);
	assert_int_equal(json_get_int(got, "owner", -1), 0);
}

/* A job is its VM's: who may not stop that may not cancel it either, and may wait for it. */
static void test_job_of_another(void **state)
{
	struct harness *h = *state;
	AUTO_JSON struct json_object *job = NULL, *ended = NULL;
	struct client *c, *root;
	char params[64];
	pid_t pid;

	if (geteuid())
		SKIP_BECAUSE("not root");
	if (!harness_has_kvm())
		SKIP_BECAUSE("no /dev/kvm");
	c = harness_client_as(h, 1001, SCENE_OPERATORS);
	root = harness_client(h);
	scene_define(root, "roots", harness_file(h, "kernel", ""));
	json_object_put(client_result(root, "vm.start", "{'vm': 'roots'}"));
	pid = scene_pid(root, "roots");
	assert_int_equal(kill(pid, SIGSTOP), 0); /* it does not hear its button */
	job = client_result(root, "vm.stop", "{'vm': 'roots', 'wait': false}");
	snprintf(params, sizeof(params), "{'job': '%s'}", json_get_str(job, "job", ""));
	expect_not_owner(c, "job.cancel", params);
	assert_int_equal(kill(pid, SIGCONT), 0);
	ended = client_result(c, "job.wait", params);
	assert_string_equal(json_get_str(ended, "state", ""), "done");
}

static void test_hello_says_the_role(void **state)
{
	static const struct {
		gid_t group;
		const char *role;
	} rows[] = { { SCENE_ADMINS, "\"role\":\"admin\"" },
		     { SCENE_OPERATORS, "\"role\":\"operator\"" },
		     { SCENE_VIEWERS, "\"role\":\"viewer\"" },
		     { 54304, "user 1001 may not use vmd" } };
	struct harness *h = *state;

	if (geteuid())
		SKIP_BECAUSE("not root");
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		gid_t groups[] = { 7, rows[i].group, 8 };
		char text[4096] = "";
		int fd;

		assert_int_equal(setgroups(3, groups) | setegid(1001) | seteuid(1001), 0);
		fd = conn_connect(h->socket, NULL);
		assert_int_equal(seteuid(0) | setegid(0) | setgroups(0, NULL), 0);
		assert_true(recv(fd, text, sizeof(text) - 1, 0) > 0);
		assert_non_null(strstr(text, rows[i].role));
		close(fd);
	}
}

/* vmd has rights that others have not: it does not say which files there are. */
static void test_validate_tells_no_files(void **state)
{
	static const char params[] =
		"{'definition': {'name': 'x', 'boot': {'kernel': '/no/such/kernel'}}}";
	struct harness *h = *state;
	AUTO_JSON struct json_object *to_viewer = NULL, *to_root = NULL;

	if (geteuid())
		SKIP_BECAUSE("not root");
	to_viewer = client_result(harness_client_as(h, 1001, SCENE_VIEWERS), "vm.validate", params);
	to_root = client_result(harness_client(h), "vm.validate", params);
	assert_null(strstr(json_object_to_json_string(to_viewer), "such"));
	assert_non_null(strstr(json_object_to_json_string(to_root), "such"));
}

/* --- connections of one user; run as somebody else --- */

static void test_connections_of_a_user(void **state)
{
	struct harness *h = *state;
	int fds[9], status;
	char text[4096];
	pid_t pid;

	if (geteuid())
		SKIP_BECAUSE("not root");
	pid = fork();
	if (!pid) {
		if (setgroups(0, NULL) < 0 || setgid(SCENE_ADMINS) < 0 || setuid(54321) < 0)
			_exit(2);
		for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
			ssize_t n;

			fds[i] = conn_connect(h->socket, NULL);
			n = recv(fds[i], text, sizeof(text) - 1, 0);
			if (n <= 0)
				_exit(3);
			text[n] = '\0';
			if (!strstr(text, i < 8 ? "vmd.hello"
						: "vmd serves at most 8 connections of a user"))
				_exit(4);
		}
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void test_unknown_group(void **state)
{
	struct harness *h = *state;
	char err[512];

	if (geteuid())
		SKIP_BECAUSE("not root");
	assert_int_equal(harness_vmd_end(h, SIGTERM), 0);
	assert_int_equal(
		harness_vmd_fails(h, err, sizeof(err), "--operator-group", "no such", NULL), 1);
	assert_string_equal(err, "vmd: there is no group 'no such' (--operator-group)\n");
	scene_serve_roles(h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, scene_setup_roles, harness_teardown)
		T(test_viewer),
		T(test_operator),
		T(test_job_of_another),
		T(test_hello_says_the_role),
		T(test_validate_tells_no_files),
		T(test_connections_of_a_user),
		T(test_unknown_group),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
