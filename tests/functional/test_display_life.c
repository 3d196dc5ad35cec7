// SPDX-License-Identifier: MIT
/*
 * Viewers of a screen, or what vmd does about them: processes that end, a vmd that ends, TCP and passwords, what is refused. See
 * test_display.c.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/errcat.h"
#include "tests/functional/viewing.h"

static bool never(struct rfb *r, const void *arg)
{
	(void)r, (void)arg;
	return false;
}

static void expect_killed(struct client *c, bool again)
{
	AUTO_JSON struct json_object *event = client_event(c, "vm.display", NULL);
	struct json_object *data = json_get(event, "data");

	assert_string_equal(json_get_str(data, "name", ""), "one");
	assert_string_equal(json_get_str(data, "state", ""), "ended");
	assert_string_equal(json_get_str(data, "message", ""), "vmm-display ended by signal 9");
	assert_int_equal(json_get_bool(data, "again", !again), again);
}

static void test_dies(void **state)
{
	struct harness *h = *state;
	AUTO_JSON struct json_object *down = NULL;
	struct client *c;
	char path[256];
	struct rfb r;
	int64_t end;
	pid_t pid;

	NEEDS_KVM;
	c = viewing_start_looking(h, &r);
	snprintf(path, sizeof(path), "%s", viewing_address(c));
	rfb_key(&r, XK_CONTROL, true);
	scene_says(c, "^code 1d");
	pid = viewing_pid(h);
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_false(rfb_until(&r, never, NULL));
	rfb_close(&r);
	expect_killed(c, true);
	scene_says(c, "^code 9d"); /* the key that was held */
	viewing_look_same(&r, c);
	assert_int_not_equal(viewing_pid(h), pid);
	rfb_close(&r);
	/* each of its successors ends at once: it is left at that, and the VM runs on */
	for (unsigned int i = 0; i < 2; i++) {
		assert_int_equal(kill(viewing_pid(h), SIGKILL), 0);
		expect_killed(c, !i);
		if (!i)
			viewing_address(c);
	}
	down = client_result(c, "vm.display", "{'vm': 'one'}");
	assert_string_equal(json_get_str(down, "state", ""), "down");
	assert_null(json_get(down, "viewers"));
	scene_expect_state(c, "one", "running");
	json_object_put(client_result(c, "vm.kill", "{'vm': 'one'}"));
	/* a worker removes it */
	end = harness_now_ms() + HARNESS_WAIT_MS;
	while (!access(path, F_OK) && harness_now_ms() < end)
		scene_expect_state(c, "one", "stopped");
	assert_int_equal(access(path, F_OK), -1);
}

/* The next vmd finds it, and what it did not see it finds out. */
static void test_vmd_dies(void **state)
{
	struct harness *h = *state;
	struct client *c;
	struct rfb r;
	pid_t pid;
	int pidfd;

	NEEDS_KVM;
	c = viewing_start_looking(h, &r);
	pid = viewing_pid(h);
	c = scene_restart(h, c, SIGKILL, NULL);
	assert_int_equal(viewing_count(c) < 0 ? 1 : viewing_count(c), 1);
	assert_int_equal(viewing_pid(h), pid);
	viewing_expect_same(&r, c);
	viewing_type_a(&r, c);
	viewing_expect_same(&r, c);
	rfb_close(&r);
	client_close(h, c);
	harness_vmd_end(h, SIGKILL);
	pidfd = harness_pidfd(pid);
	assert_int_equal(kill(pid, SIGKILL), 0);
	harness_wait_pidfd(pidfd);
	harness_vmd(h, NULL, NULL);
	c = harness_client(h);
	viewing_look_same(&r, c);
	rfb_close(&r);
	/* and a VM that ends takes it along, also while no vmd is there */
	pidfd = harness_pidfd(viewing_pid(h));
	scene_end_all(h, c, "one");
	harness_wait_pidfd(pidfd);
	harness_vmd(h, NULL, NULL);
	c = harness_client(h);
	scene_expect_state(c, "one", "stopped");
	json_object_put(client_result(c, "vm.start", "{'vm': 'one'}"));
	viewing_look(&r, c);
	rfb_close(&r);
	json_object_put(client_result(c, "vm.kill", "{'vm': 'one'}"));
}

/* A port that nobody has; held: its socket, which listens, stays. */
static int free_port(int *ret_held)
{
	struct sockaddr_in at = { .sin_family = AF_INET,
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(at);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &len), 0);
	assert_int_equal(listen(fd, 1), 0);
	*ret_held = fd;
	return ntohs(at.sin_port);
}

static const char *tcp_members(int port, const char *password_file)
{
	static char members[600];

	snprintf(members, sizeof(members),
		 "'profile': 'legacy-pc', 'devices': [{'type': 'vga'}], 'display': {'port': %d,"
		 " 'password_file': '%s'}",
		 port, password_file);
	return members;
}

static void test_tcp(void **state)
{
	struct harness *h = *state;
	struct harness_output got;
	int held, port = free_port(&held);
	struct client *c;
	struct rfb r;

	NEEDS_KVM;
	close(held);
	c = viewing_start(h, tcp_members(port, harness_file(h, "password", "sesame\n")));
	viewing_address(c);
	assert_false(rfb_connect(&r, "127.0.0.1", port, RAW, "Sesame"));
	assert_false(rfb_connect(&r, "127.0.0.1", port, RAW, NULL));
	assert_true(rfb_connect(&r, "127.0.0.1", port, RAW, "sesame"));
	viewing_expect_same(&r, c);
	viewing_type_a(&r, c);
	rfb_close(&r);
	assert_int_equal(harness_vmctl(h, NULL, &got, "display", "one", "--json", NULL), 0);
	assert_non_null(strstr(got.out, "\"host\":\"127.0.0.1\""));
	assert_non_null(strstr(got.out, "\"password\":true"));
	/* nobody is shown it */
	assert_null(strstr(got.out, "sesame"));
	assert_int_equal(harness_vmctl(h, NULL, &got, "show", "one", "--json", NULL), 0);
	assert_null(strstr(got.out, "sesame"));
	assert_int_equal(harness_vmctl(h, NULL, &got, "logs", "one", NULL), 0);
	assert_null(strstr(got.out, "sesame"));
}

static void expect_no_start(struct client *c, const char *members, const char *message)
{
	char program[512], params[1200];

	harness_program("../tests/guest/halt", program, sizeof(program));
	snprintf(params, sizeof(params),
		 "{'definition': {'name': 'one', 'memory': '32MiB', 'boot': {'kernel': '%s'}, %s}}",
		 program, members);
	json_object_put(client_result(c, "vm.apply", params));
	{
		AUTO_JSON struct json_object *e = client_error(c, "vm.start", "{'vm': 'one'}");

		assert_string_equal(json_get_str(e, "message", ""), message);
		assert_int_equal(json_get_int(e, "code", 0), ERR_FILE);
	}
}

static void test_bad_start(void **state)
{
	static const struct {
		const char *text, *what;
	} bad[] = { { "123456789\n", "a password of more than 8 characters" },
		    { "12345678901234567890", "a password of more than 8 characters" },
		    { "", "it is empty" },
		    { "\nsecond", "it is empty" } };
	struct harness *h = *state;
	char path[256], message[600], program[512];
	int held, port = free_port(&held);
	struct client *c;

	NEEDS_KVM;
	harness_vmd(h, NULL, "--cgroup", "none", NULL);
	c = harness_client(h);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		snprintf(path, sizeof(path), "%s", harness_file(h, "password", bad[i].text));
		snprintf(message, sizeof(message), "VNC password file '%s': %s", path, bad[i].what);
		expect_no_start(c, tcp_members(port, path), message);
	}
	expect_no_start(c, tcp_members(port, "/nowhere"),
			"VNC password file '/nowhere': No such file or directory");
	snprintf(path, sizeof(path), "%s", harness_file(h, "password", "12345678"));
	snprintf(message, sizeof(message), "display: port %d of 127.0.0.1: Address already in use",
		 port);
	expect_no_start(c, tcp_members(port, path), message);
	close(held);
	/* something that is no socket is where the socket would be */
	snprintf(program, sizeof(program),
		 "'profile': 'legacy-pc', 'devices': [{'type': 'vga'}], 'display': {'path': '%s'}",
		 path);
	snprintf(message, sizeof(message), "display: socket '%s': Address already in use", path);
	expect_no_start(c, program, message);
	scene_expect_state(c, "one", "stopped");
}

static void test_refused(void **state)
{
	struct harness *h = *state;
	struct client *c;

	NEEDS_KVM;
	c = scene_start_guest(h, "screen", "mode=1 stay=1",
			      "'profile': 'legacy-pc', 'devices': [{'type': 'vga'}]");
	client_expect_error(c, "vm.display", "{'vm': 'one'}", ERR_VM_NO_DISPLAY,
			    "VM 'one' has no display",
			    "add `display: {type: vnc}` and `- {type: vga}` to its definition, and "
			    "restart it");
	json_object_put(client_result(c, "vm.kill", "{'vm': 'one'}"));
	client_expect_error(c, "vm.display", "{'vm': 'one'}", ERR_VM_STATE, "VM 'one' is stopped",
			    "start it first: vmctl start one");
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, harness_setup, harness_teardown)
	const struct CMUnitTest tests[] = { T(test_dies), T(test_vmd_dies), T(test_tcp),
					    T(test_bad_start), T(test_refused) };
#undef T

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
