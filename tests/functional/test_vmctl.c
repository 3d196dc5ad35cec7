// SPDX-License-Identifier: MIT
/* vmctl with a real vmd: what a user does and sees, and the exact end of every wrong turn. */
#include <stdio.h>
#include <string.h>

#include "tests/functional/harness.h"

#define HELLO "name: hello\nmemory: 64MiB\nboot:\n  kernel: %s/kernel\n"

/* Run with up to four words, and compare; NULL for what does not matter. */
static void expect(struct harness *h, const char *line, int status, const char *out,
		   const char *err)
{
	static struct harness_output got;
	char copy[512], *words[6] = { 0 }, *save = NULL;
	size_t n = 0;
	int ret;

	snprintf(copy, sizeof(copy), "%s", line);
	for (char *w = strtok_r(copy, " ", &save); w; w = strtok_r(NULL, " ", &save)) {
		assert_true(n < ARRAY_SIZE(words) - 1);
		words[n++] = w;
	}
	ret = harness_vmctl(h, NULL, &got, words[0], words[1], words[2], words[3], words[4], NULL);
	if (err)
		assert_string_equal(got.err, err);
	if (out)
		assert_string_equal(got.out, out);
	assert_int_equal(ret, status);
}

static void apply(struct harness *h)
{
	char text[256], line[300];

	harness_file(h, "kernel", "not looked at by the fake");
	snprintf(text, sizeof(text), HELLO, h->dir);
	snprintf(line, sizeof(line), "apply -f %s", harness_file(h, "hello.yaml", text));
	expect(h, line, 0, "hello: created\n", "");
	expect(h, line, 0, "hello: unchanged\n", "");
}

static void test_a_life(void **state)
{
	struct harness *h = *state;

	harness_vmd(h, "ok", NULL);
	apply(h);
	expect(h, "list -q", 0, "hello\n", "");
	expect(h, "list -c name,state,desired --no-header", 0, "hello  stopped  stopped\n", "");
	expect(h, "start hello --dry-run", 0, "hello: would start\n", "");
	expect(h, "start hello", 0, "hello: started\n", "");
	expect(h, "list -c name,state,desired --no-header", 0, "hello  running  running\n", "");
	expect(h, "pause hello", 0, "hello: paused\n", "");
	expect(h, "wait hello --for paused", 0, "hello: paused\n", "");
	expect(h, "resume hello", 0, "hello: resumed\n", "");
	expect(h, "reset hello --yes", 0, "hello: reset\n", "");
	expect(h, "restart hello", 0, "hello: restarted\n", "");
	expect(h, "stop hello", 0, "hello: stopped\n", "");
	expect(h, "wait hello -t 5s", 0, NULL, "");
	expect(h, "start hello", 0, "hello: started\n", "");
	expect(h, "kill hello --yes", 0, "hello: killed\n", "");
	expect(h, "delete hello --yes", 0, "hello: deleted\n", "");
	expect(h, "list -q", 0, "", "");
}

static void test_wrong_turns(void **state)
{
	struct harness *h = *state;

	harness_vmd(h, "ok", NULL);
	apply(h);
	expect(h, "start helo", 3, "",
	       "vmctl: cannot start 'helo': no VM 'helo'\nhint: did you mean 'hello'?\n"
	       "code: E1200 (vm.not_found)\n");
	expect(h, "stop hello", 0, "", "hello: already stopped\n");
	expect(h, "stop hello --strict", 4, "",
	       "vmctl: cannot stop 'hello': already stopped\n"
	       "hint: without --strict this is no error\ncode: E1202 (vm.wrong_state)\n");
	expect(h, "console hello", 4, "",
	       "vmctl: cannot attach to the console of 'hello': VM 'hello' is stopped\n"
	       "hint: start it first: vmctl start hello\ncode: E1202 (vm.wrong_state)\n");
	expect(h, "start hello", 0, "hello: started\n", "");
	expect(h, "start hello", 0, "", "hello: already running\n");
	expect(h, "delete hello --yes", 4, "",
	       "vmctl: cannot delete 'hello': VM 'hello' is running\n"
	       "hint: stop it first: vmctl stop hello\ncode: E1202 (vm.wrong_state)\n");
	expect(h, "wait hello -t 50ms", 6, "", NULL);
	expect(h, "rpc vm.strat", 1, "",
	       "vmctl: cannot call 'vm.strat': unknown method 'vm.strat'\n"
	       "hint: did you mean 'vm.start'?\ncode: -32601 (rpc.method_not_found)\n");
	expect(h, "rpc vm.get {\"vn\":1}", 5, "",
	       "vmctl: cannot call 'vm.get': vm.get: /vn: unknown key 'vn'; did you mean 'vm'?\n"
	       "code: -32602 (rpc.invalid_params)\n");
	expect(h, "stop hello nope", 9, NULL,
	       "vmctl: cannot stop 'nope': no VM 'nope'\ncode: E1200 (vm.not_found)\n");
}

static void test_bad_file(void **state)
{
	struct harness *h = *state;
	char line[300], err[500], path[200];

	harness_vmd(h, "ok", NULL);
	snprintf(path, sizeof(path), "%s",
		 harness_file(h, "bad.yaml", "name: hello\nmemroy: 1GiB\nboot:\n  kernel: /k\n"));
	snprintf(line, sizeof(line), "apply -f %s", path);
	snprintf(err, sizeof(err),
		 "vmctl: %s:2:1: /memroy: unknown key 'memroy'; did you mean 'memory'?\n"
		 "code: E1100 (definition.invalid)\n",
		 path);
	expect(h, line, 5, "", err);
	expect(h, "list -q", 0, "", "");
}

static void test_events(void **state)
{
	struct harness *h = *state;
	struct harness_output got;

	harness_vmd(h, "ok", NULL);
	apply(h);
	expect(h, "start hello", 0, NULL, "");
	assert_int_equal(harness_vmctl(h, NULL, &got, "events", "--no-header", "hello", NULL), 0);
	assert_non_null(strstr(got.out, "vm.created    hello         "));
	assert_non_null(strstr(got.out, "vm.state      hello         starting -> running\n"));
	expect(h, "events nope --no-header", 0, "", "");
}

static void test_versions(void **state)
{
	struct harness *h = *state;
	struct harness_output got;

	assert_int_equal(harness_vmctl(h, NULL, &got, "version", NULL), 0);
	assert_string_equal(got.out, "vmctl " VERSION "\n");
	harness_vmd(h, "ok", NULL);
	assert_int_equal(harness_vmctl(h, NULL, &got, "version", NULL), 0);
	assert_non_null(strstr(got.out, "vmctl " VERSION "\nvmd   " VERSION " (API 1.0, process "));
	assert_int_equal(harness_vmctl(h, NULL, &got, "host", "info", NULL), 0);
	assert_non_null(strstr(got.out, "KVM:"));
}

static void test_without_vmd(void **state)
{
	struct harness *h = *state;
	char err[600];

	snprintf(err, sizeof(err),
		 "vmctl: cannot reach vmd at '%s': No such file or directory\n"
		 "hint: start it (systemctl start vmd, or vmd --socket PATH), or name its socket "
		 "with "
		 "--socket or VMD_SOCKET\ncode: E1004 (daemon.unreachable)\n",
		 h->socket);
	expect(h, "list", 8, "", err);
	/* a killed vmd leaves its socket behind */
	harness_vmd(h, "ok", NULL);
	harness_vmd_end(h, 9);
	snprintf(err, sizeof(err),
		 "vmctl: cannot reach vmd at '%s': Connection refused\n"
		 "hint: nobody listens on the socket: vmd has ended; start it again\n"
		 "code: E1004 (daemon.unreachable)\n",
		 h->socket);
	expect(h, "list", 8, "", err);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, harness_setup, harness_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_a_life), TEST(test_wrong_turns), TEST(test_bad_file),
		TEST(test_events), TEST(test_versions),	   TEST(test_without_vmd),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
