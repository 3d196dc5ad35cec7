// SPDX-License-Identifier: MIT
/* vmctl on a terminal: raw mode and the way back from it, questions, colours. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/tempdir.h"
#include "tests/lib/test.h"
#include "tests/unit/vmctl_peer.h"
#include "tests/lib/skip.h"

static const struct peer_row console[] = {
	{ "vm.console", .result = "{\"name\":\"hello\",\"console\":\"com1\"}",
	  .console = "login $ " },
	{ "vm.wait", .result = "{\"name\":\"hello\",\"state\":\"stopped\",\"exit\":{\"reason\":"
			       "\"shutdown\"}}" },
	{ 0 }
};

/* The keys that a terminal would keep for itself go to the guest, too: ^C, ^D, ^Z. */
static void test_keys_are_the_guests(void **state)
{
	struct peer_run r;
	bool restored = false;

	(void)state;
	peer_run_tty(console, "console hello", "login $ ", "a\x03\x04\x1a\x11z\n", &r, &restored);
	assert_int_equal(r.status, 0);
	assert_string_equal(r.typed, "a\x03\x04\x1a\x11z");
	assert_true(restored);
	assert_non_null(strstr(r.out, "console of 'hello'; Ctrl-] detaches\r\n"));
	assert_non_null(strstr(r.out, "VM 'hello' has shut down\r\n"));
	peer_run_free(&r);
}

static void test_escape_detaches(void **state)
{
	struct peer_run r;
	bool restored = false;

	(void)state;
	peer_run_tty(console, "console hello", "login $ ",
		     "ab\x1d"
		     "cd",
		     &r, &restored);
	assert_int_equal(r.status, 0);
	assert_string_equal(r.typed, "ab");
	assert_true(restored);
	assert_non_null(strstr(r.out, "\r\ndetached from 'hello', which goes on\r\n"));
	peer_run_free(&r);
}

static void test_a_signal_restores_the_terminal(void **state)
{
	struct peer_run r;
	bool restored = false;

	(void)state;
#ifdef __SANITIZE_THREAD__
	SKIP_BECAUSE(
		"libuv waits by a raw system call, in which ThreadSanitizer holds signals back");
#endif
	peer_run_tty(console, "console hello", "login $ ", NULL, &r, &restored);
	assert_int_equal(r.status, 128 + 15);
	assert_true(restored);
	peer_run_free(&r);
}

static void test_output_begins_at_the_left(void **state)
{
	static const struct peer_row script[] = {
		{ "vm.console", .result = "{\"name\":\"hello\",\"console\":\"com1\"}",
		  .console = "one\ntwo\n" },
		{ "vm.wait", .result = "{\"name\":\"hello\",\"state\":\"stopped\"}" },
		{ 0 }
	};
	struct peer_run r;
	bool restored = false;

	(void)state;
	peer_run_tty(script, "console hello", NULL, NULL, &r, &restored);
	assert_non_null(strstr(r.out, "one\ntwo\n"));
	assert_true(restored);
	peer_run_free(&r);
}

static void test_confirmation(void **state)
{
	static const struct peer_row script[] = {
		{ "vm.delete", .result = "{\"name\":\"hello\",\"removed\":[\"definition\","
					 "\"console log\"]}" },
		{ 0 }
	};
	struct peer_run r;
	bool restored = false;

	(void)state;
	peer_run_tty(script, "delete hello", "[y/N] ", "y\n", &r, &restored);
	assert_int_equal(r.status, 0);
	assert_non_null(strstr(r.out, "delete 'hello' removes: definition, console log\r\n"));
	assert_non_null(strstr(r.out, "hello: deleted\r\n"));
	assert_string_equal(r.requests, "vm.delete {\"vm\":\"hello\",\"dry_run\":true}\n"
					"vm.delete {\"vm\":\"hello\"}\n");
	peer_run_free(&r);
	peer_run_tty(script, "delete hello", "[y/N] ", "\n", &r, &restored);
	assert_int_equal(r.status, 1);
	assert_non_null(strstr(r.out, "vmctl: not confirmed: nothing was done\r\n"));
	assert_string_equal(r.requests, "vm.delete {\"vm\":\"hello\",\"dry_run\":true}\n");
	peer_run_free(&r);
}

/* What goes is shown and asked for before a file is applied. */
static void test_prune_asks(void **state)
{
	static const struct peer_row script[] = {
		{ "vm.list", .result = "{\"vms\":[{\"id\":\"1a\",\"name\":\"a\",\"revision\":7},"
				       "{\"id\":\"2b\",\"name\":\"old\",\"revision\":3}]}" },
		{ "vm.delete", .result = "{\"name\":\"old\",\"removed\":[\"definition\"]}" },
		{ "vm.apply", .result = "{\"name\":\"a\",\"result\":\"unchanged\"}" },
		{ 0 }
	};
	char *dir = tempdir_new(), args[200], requests[1000];
	struct peer_run r;
	bool restored = false;
	int n;

	(void)state;
	tempdir_file(dir, "a.yaml", "name: a\nboot:\n  kernel: /k\n");
	snprintf(args, sizeof(args), "apply -f %s --prune", dir);
	n = snprintf(requests, sizeof(requests),
		     "vm.list {\"origin\":\"%s\",\"fields\":[\"id\",\"name\",\"revision\"]}\n"
		     "vm.delete {\"vm\":\"2b\",\"if_revision\":3,\"dry_run\":true}\n",
		     dir);
	peer_run_tty(script, args, "[y/N] ", "\n", &r, &restored);
	assert_int_equal(r.status, 1);
	assert_non_null(strstr(r.out, "vmctl: not confirmed: nothing was done\r\n"));
	assert_string_equal(r.requests, requests);
	peer_run_free(&r);
	snprintf(requests + n, sizeof(requests) - (size_t)n,
		 "vm.apply {\"origin\":\"%s\",\"definition\":{\"name\":\"a\",\"boot\":{\"kernel\":"
		 "\"/k\"}}}\n"
		 "vm.delete {\"vm\":\"2b\",\"if_revision\":3}\n",
		 dir);
	peer_run_tty(script, args, "[y/N] ", "y\n", &r, &restored);
	assert_int_equal(r.status, 0);
	assert_non_null(strstr(r.out, "'old' is in no file: delete removes: definition\r\n"));
	assert_non_null(strstr(r.out, "a: unchanged\r\nold: deleted\r\n"));
	assert_string_equal(r.requests, requests);
	peer_run_free(&r);
	tempdir_remove(dir);
}

static void test_colours(void **state)
{
	static const struct peer_row script[] = {
		{ "vm.list", .result = "{\"vms\":[{\"id\":\"1\",\"name\":\"a\","
				       "\"state\":\"running\"}]}" },
		{ 0 }
	};
	struct peer_run r;
	bool restored = false;

	(void)state;
	setenv("TERM", "xterm", 1);
	unsetenv("NO_COLOR");
	peer_run_tty(script, "list -c state --no-header", NULL, NULL, &r, &restored);
	assert_string_equal(r.out, "\033[32mrunning\033[0m\r\n");
	peer_run_free(&r);
	peer_run_tty(script, "list -c state --no-header --no-color", NULL, NULL, &r, &restored);
	assert_string_equal(r.out, "running\r\n");
	peer_run_free(&r);
	setenv("NO_COLOR", "1", 1);
	peer_run_tty(script, "list -c state --no-header", NULL, NULL, &r, &restored);
	assert_string_equal(r.out, "running\r\n");
	peer_run_free(&r);
}

/* What a guest says does not steer the terminal of who reads its log. */
static void test_logs_are_clean(void **state)
{
	static const struct peer_row script[] = {
		{ "vm.logs", .result =
				     "{\"records\":[{\"time\":\"t\",\"kind\":\"line\",\"text\":"
				     "\"\\u001b[31;1mred\\u001b[0m\\u001b]0;title\\u0007\\t\xc2\x9b"
				     "2J\xc3\xa9\\r\"}],"
				     "\"next\":1,\"more\":false}" },
		{ 0 }
	};
	struct peer_run r;
	bool restored = false;

	(void)state;
	peer_run_tty(script, "logs hello", NULL, NULL, &r, &restored);
	assert_string_equal(r.out, "red?]0;title?\t?2J\xc3\xa9\r\n");
	peer_run_free(&r);
	peer_run_tty(script, "logs hello --raw", NULL, NULL, &r, &restored);
	assert_non_null(strstr(r.out, "\033]0;title"));
	peer_run_free(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_keys_are_the_guests),
		cmocka_unit_test(test_escape_detaches),
		cmocka_unit_test(test_a_signal_restores_the_terminal),
		cmocka_unit_test(test_output_begins_at_the_left),
		cmocka_unit_test(test_confirmation),
		cmocka_unit_test(test_prune_asks),
		cmocka_unit_test(test_colours),
		cmocka_unit_test(test_logs_are_clean),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
