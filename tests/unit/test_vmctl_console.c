// SPDX-License-Identifier: MIT
/* vmctl against a scripted vmd. The console, from the beginning of a start and later. */
#include <string.h>

#include "tests/lib/test.h"
#include "tests/unit/vmctl_peer.h"

static void test_console(void **state)
{
	static const struct peer_row script[] = {
		{ "vm.console", .result = "{\"name\":\"hello\",\"console\":\"com1\"}",
		  .console = "booting\n$ " },
		{ "vm.wait", .result = "{\"name\":\"hello\",\"state\":\"stopped\",\"exit\":"
				       "{\"reason\":\"shutdown\"}}" },
		{ 0 }
	};
	struct peer_run r;

	(void)state;
	peer_run(script, "console hello", "poweroff\n", &r);
	assert_string_equal(r.out, "booting\n$ ");
	assert_string_equal(r.typed, "poweroff");
	assert_string_equal(r.err, "VM 'hello' has shut down\n");
	assert_int_equal(r.status, 0);
	peer_run_free(&r);
}

static void test_start_console_loses_nothing(void **state)
{
	static const struct peer_row script[] = {
		{ "vm.start",
		  .result = "{\"name\":\"hello\",\"state\":\"paused\",\"changed\":true}" },
		{ "vm.console", .result = "{\"name\":\"hello\",\"console\":\"com1\"}",
		  .console = "bye\n" },
		{ "vm.wait", .result = "{\"name\":\"hello\",\"state\":\"stopped\",\"exit\":"
				       "{\"reason\":\"triple-fault\",\"message\":\"at 0x7\"}}" },
		{ "vm.resume",
		  .result = "{\"name\":\"hello\",\"state\":\"running\",\"changed\":true}" },
		{ 0 }
	};
	struct peer_run r;

	(void)state;
	peer_run(script, "start hello -c", NULL, &r);
	assert_string_equal(r.out, "bye\n");
	assert_string_equal(r.err, "VM 'hello' ended with a triple fault: at 0x7\n");
	assert_int_equal(r.status, 1);
	assert_string_equal(r.requests, "vm.start {\"vm\":\"hello\",\"paused\":true}\n"
					"vm.console {\"vm\":\"hello\",\"mode\":\"write\"}\n"
					"vm.wait {\"vm\":\"hello\",\"for\":\"stopped\"}\n"
					"vm.resume {\"vm\":\"hello\"}\n");
	peer_run_free(&r);
}

/* It starts all the same, and does not stay paused. */
static void test_start_console_of_a_vm_without(void **state)
{
	static const struct peer_row script[] = {
		{ "vm.start",
		  .result = "{\"name\":\"hello\",\"state\":\"paused\",\"changed\":true}" },
		{ "vm.console",
		  .error = PEER_ERROR(1204, "VM 'hello' has no console", "vm.no_console", "") },
		{ "vm.resume",
		  .result = "{\"name\":\"hello\",\"state\":\"running\",\"changed\":true}" },
		{ 0 }
	};
	struct peer_run r;

	(void)state;
	peer_run(script, "start hello -c", NULL, &r);
	assert_string_equal(r.err, "vmctl: cannot attach to the console of 'hello': VM 'hello' has "
				   "no console\ncode: E1204 (vm.no_console)\n");
	assert_int_equal(r.status, 3);
	assert_non_null(strstr(r.requests, "vm.resume"));
	peer_run_free(&r);
}

static void test_start_console_usage(void **state)
{
	struct peer_run r;

	(void)state;
	peer_run_alone("start -c a b", NULL, &r);
	assert_string_equal(r.err, "vmctl: --console takes one VM\n");
	assert_int_equal(r.status, 2);
	peer_run_free(&r);
	peer_run_alone("console a -r --take", NULL, &r);
	assert_string_equal(r.err, "vmctl: --read-only and --take exclude each other\n");
	assert_int_equal(r.status, 2);
	peer_run_free(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_console),
		cmocka_unit_test(test_start_console_loses_nothing),
		cmocka_unit_test(test_start_console_of_a_vm_without),
		cmocka_unit_test(test_start_console_usage),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
