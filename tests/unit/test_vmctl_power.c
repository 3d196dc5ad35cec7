// SPDX-License-Identifier: MIT
/* vmctl against a scripted vmd. Commands on VMs, and what becomes of their jobs. */
#include "tests/lib/test.h"
#include "tests/unit/vmctl_peer.h"

#define NOT_FOUND(vm) PEER_ERROR(1200, "no VM '" vm "'", "vm.not_found", "")

static void test_one_vm(void **state)
{
	static const struct peer_row script[] = {
		{ "vm.start",
		  .result = "{\"name\":\"hello\",\"state\":\"running\",\"changed\":true}" },
		{ 0 }
	};

	(void)state;
	peer_check(script, "start hello", NULL, 0, "hello: started\n", "");
	peer_check(script, "start 0f3 -q", NULL, 0, "hello\n", "");
	peer_check(script, "start hello --json", NULL, 0,
		   "{\"schema\":\"vmctl.start/1\",\"results\":[{\"name\":\"hello\",\"state\":"
		   "\"running\",\"changed\":true}]}\n",
		   "");
	peer_check(script, "start hello -n", NULL, 0, "hello: would be started\n", "");
	peer_check_requests(script, "start hello -n",
			    "vm.start {\"vm\":\"hello\",\"dry_run\":true}\n");
}

static void test_nothing_to_do(void **state)
{
	static const struct peer_row script[] = {
		{ "vm.start", .result = "{\"name\":\"hello\",\"state\":\"running\",\"changed\":"
					"false,\"note\":\"already running\"}" },
		{ "vm.stop", .result = "{\"name\":\"hello\",\"state\":\"stopped\",\"changed\":"
				       "false,\"note\":\"already stopped\"}" },
		{ 0 }
	};

	(void)state;
	peer_check(script, "start hello", NULL, 0, "", "hello: already running\n");
	peer_check(script, "stop hello", NULL, 0, "", "hello: already stopped\n");
	peer_check(script, "start hello --strict", NULL, 4, "",
		   "vmctl: cannot start 'hello': already running\n"
		   "hint: without --strict this is no error\ncode: E1202 (vm.wrong_state)\n");
}

static void test_options_become_params(void **state)
{
	static const struct peer_row script[] = { { 0 } };

	(void)state;
	peer_check_requests(script, "stop a --timeout 5m --force",
			    "vm.stop {\"vm\":\"a\",\"timeout_ms\":300000,\"force\":true}\n");
	peer_check_requests(script, "stop a", "vm.stop {\"vm\":\"a\"}\n");
	peer_check_requests(script, "wait a", "vm.wait {\"vm\":\"a\",\"for\":\"stopped\"}\n");
	peer_check_requests(script, "wait a --for running -t 100ms",
			    "vm.wait {\"vm\":\"a\",\"timeout_ms\":100,\"for\":\"running\"}\n");
	peer_check_requests(script, "kill a -y", "vm.kill {\"vm\":\"a\"}\n");
	peer_check_requests(script, "unpause a", "vm.resume {\"vm\":\"a\"}\n");
	peer_check_requests(script, "pause a -n", "vm.pause {\"vm\":\"a\",\"dry_run\":true}\n");
	peer_check_requests(script, "events a --type vm.state --since 5",
			    "event.list {\"types\":[\"vm.state\"],\"since\":5,\"limit\":1000}\n");
	peer_check_requests(script, "console a hvc0 --take --no-scrollback",
			    "vm.console {\"vm\":\"a\",\"console\":\"hvc0\",\"mode\":\"take\","
			    "\"scrollback\":false}\n");
	peer_check_requests(script, "console a -r",
			    "vm.console {\"vm\":\"a\",\"mode\":\"read\"}\n");
}

/* Nothing is done, so nothing is asked. */
static void test_dry_run(void **state)
{
	static const struct peer_row script[] = {
		{ "vm.kill", "{\"vm\":\"a\",\"dry_run\":true}",
		  .result = "{\"name\":\"a\",\"state\":\"running\",\"changed\":false,"
			    "\"note\":\"would be ended\"}" },
		{ 0 }
	};

	(void)state;
	peer_check(script, "kill a --dry-run --strict", NULL, 0, "a: would be ended\n", "");
}

static void test_several_vms(void **state)
{
	static const struct peer_row script[] = {
		{ "vm.list", .result = PEER_LIST },
		{ "vm.pause", "{\"vm\":\"web1\"}",
		  .error = PEER_ERROR(1202, "VM 'web1' is stopped", "vm.wrong_state", "") },
		{ "vm.pause", "{\"vm\":\"web2\"}",
		  .result = "{\"name\":\"web2\",\"state\":\"paused\",\"changed\":false,"
			    "\"note\":\"already paused\"}" },
		{ "vm.pause", "{\"vm\":\"hello\"}",
		  .result = "{\"name\":\"hello\",\"state\":\"paused\",\"changed\":true}" },
		{ "vm.kill", .error = NOT_FOUND("x") },
		{ 0 }
	};

	(void)state;
	peer_check(
		script, "pause hello web* web1", NULL, 9,
		"NAME   STATE   RESULT\n"
		"hello  paused  paused\n"
		"web1   -       failed\n"
		"web2   paused  already paused\n",
		"vmctl: cannot pause 'web1': VM 'web1' is stopped\ncode: E1202 (vm.wrong_state)\n");
	peer_check(script, "pause -q web1 hello", NULL, 9, "hello\n", NULL);
	peer_check(
		script, "pause --json web1", NULL, 4,
		"{\"schema\":\"vmctl.pause/1\",\"results\":[{\"name\":\"web1\",\"error\":{\"code\":"
		"1202,\"message\":\"VM 'web1' is stopped\",\"data\":{\"name\":\"vm.wrong_state\"}}"
		"}]}\n",
		NULL);
	peer_check(script, "kill --yes a b", NULL, 3, NULL, NULL);
	peer_check(script, "pause db*", NULL, 3, "",
		   "vmctl: cannot pause: no VM matches 'db*'\nhint: vmctl list shows all\n"
		   "code: E1200 (vm.not_found)\n");
}

static void test_unknown_vm(void **state)
{
	static const struct peer_row script[] = {
		{ "vm.start", .error = PEER_ERROR(1200, "no VM 'helo'", "vm.not_found",
						  ",\"hint\":\"did you mean 'hello'?\"") },
		{ "vm.get", .error = NOT_FOUND("x") },
		{ 0 }
	};

	(void)state;
	peer_check(script, "start helo", NULL, 3, "",
		   "vmctl: cannot start 'helo': no VM 'helo'\nhint: did you mean 'hello'?\n"
		   "code: E1200 (vm.not_found)\n");
	peer_check(
		script, "show x --json", NULL, 3,
		"{\"schema\":\"vmctl.show/1\",\"error\":{\"code\":1200,\"message\":\"no VM 'x'\","
		"\"data\":{\"name\":\"vm.not_found\"}}}\n",
		"vmctl: cannot show 'x': no VM 'x'\ncode: E1200 (vm.not_found)\n");
}

static void test_delete_of_a_running_vm(void **state)
{
	static const struct peer_row script[] = {
		{ "vm.delete",
		  .error = PEER_ERROR(1202, "VM 'hello' is running", "vm.wrong_state",
				      ",\"hint\":\"stop it first: vmctl stop hello\"") },
		{ 0 }
	};

	(void)state;
	peer_check(script, "delete hello --yes", NULL, 4, "",
		   "vmctl: cannot delete 'hello': VM 'hello' is running\n"
		   "hint: stop it first: vmctl stop hello\ncode: E1202 (vm.wrong_state)\n");
}

static void test_destructive_needs_yes(void **state)
{
	static const struct peer_row script[] = {
		{ "vm.delete", .result = "{\"name\":\"hello\",\"removed\":[\"definition\"]}" },
		{ 0 }
	};

	(void)state;
	peer_check(
		script, "delete hello", NULL, 2, "",
		"vmctl: 'delete' needs --yes where it cannot ask: standard input is no terminal\n");
	peer_check(script, "kill hello", "y\n", 2, "", NULL);
	peer_check(script, "reset hello", NULL, 2, "", NULL);
	peer_check(script, "delete hello -y", NULL, 0, "hello: deleted\n", "");
	peer_check(script, "delete hello -n", NULL, 0, "hello: would remove: definition\n", "");
}

static void test_wait(void **state)
{
	static const struct peer_row script[] = {
		{ "vm.wait", "{\"vm\":\"a\",\"for\":\"stopped\"}",
		  .result = "{\"name\":\"a\",\"state\":\"stopped\",\"exit\":{\"reason\":"
			    "\"shutdown\",\"code\":0}}" },
		{ "vm.wait",
		  .error = PEER_ERROR(1002, "VM 'b' is not running after 1 s", "timeout", "") },
		{ 0 }
	};

	(void)state;
	peer_check(script, "wait a", NULL, 0, "a: stopped (shutdown)\n", "");
	peer_check(
		script, "wait b --for running --timeout 1", NULL, 6, "",
		"vmctl: cannot wait 'b': VM 'b' is not running after 1 s\ncode: E1002 (timeout)\n");
}

static void test_wait_for_a_console(void **state)
{
	static const struct peer_row script[] = {
		{ "vm.wait",
		  "{\"vm\":\"a\",\"for\":\"console\",\"regex\":\"x=1$\",\"console\":\"com2\"}",
		  .result = "{\"name\":\"a\",\"state\":\"running\",\"line\":\"\\u001bx=1\"}" },
		{ 0 }
	};

	(void)state;
	peer_check(script, "wait a --for console=x=1$ --console com2", NULL, 0, "a: ?x=1\n", "");
	peer_check(script, "wait a --for console=", NULL, 2, "", NULL);
}

static void test_interrupt(void **state)
{
	static const struct peer_row script[] = { { "vm.stop", .after = PEER_INTERRUPT },
						  { "vm.wait", .after = PEER_INTERRUPT },
						  { 0 } };

	(void)state;
	peer_check(script, "stop a", NULL, 130, "",
		   "vmctl: interrupted; the stop goes on in vmd\n");
	peer_check(script, "wait a", NULL, 130, "", "");
}

/* Ctrl-C off a terminal: what goes on is named, and left alone. */
static void test_interrupt_names_the_job(void **state)
{
	static const struct peer_row script[] = { { "vm.stop", .after = PEER_INTERRUPT },
						  { "job.list", "{\"state\":\"running\"}",
						    .result = "{\"jobs\":[" PEER_JOB("running",
										     "") "]}" },
						  { 0 } };

	(void)state;
	peer_check(script, "stop a", NULL, 130, "",
		   "vmctl: still going on in vmd: job j-1a2b3c4d; vmctl job wait j-1a2b3c4d\n");
	/* another VM's job is not ours */
	peer_check(script, "stop b", NULL, 130, "",
		   "vmctl: interrupted; the stop goes on in vmd\n");
}

/* The answer to the stop comes when vmd has been asked how far it is. */
static void test_progress(void **state)
{
	static const struct peer_row script[] = {
		{ "vm.stop", .after = PEER_SILENT },
		{ "job.list", .result = "{\"jobs\":[" PEER_JOB("running", "") "]}",
		  .notify = "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"name\":\"a\",\"state\":"
			    "\"stopped\",\"changed\":true}}\n" },
		{ 0 }
	};

	(void)state;
	peer_check(script, "stop a --progress", NULL, 0, "a: stopped\n", "stop a: shutdown\n");
}

static void test_jobs(void **state)
{
	static const struct peer_row script[] = {
		{ "job.list",
		  .result = "{\"jobs\":[" PEER_JOB("running", "") "," PEER_JOB_FAILED "]}" },
		{ "job.wait", .result = PEER_JOB_FAILED },
		{ "job.cancel", .result = PEER_JOB("cancelled", "") },
		{ "job.get", .result = PEER_JOB_FAILED },
		{ "vm.stop", "{\"vm\":\"a\",\"wait\":false}",
		  .result = "{\"name\":\"a\",\"state\":\"stopping\",\"changed\":true,\"job\":"
			    "\"j-1a2b3c4d\"}" },
		{ 0 }
	};

	(void)state;
	peer_check(script, "jobs", NULL, 0,
		   "JOB         VM  OP    STATE    PHASE     TIME  BY\n"
		   "j-1a2b3c4d  a   stop  running  shutdown  1.0s  vmctl, uid 0\n"
		   "j-1a2b3c4d  a   stop  failed   shutdown  1.0s  vmctl, uid 0\n",
		   "");
	peer_check(script, "jobs -q", NULL, 0, "j-1a2b3c4d\nj-1a2b3c4d\n", "");
	peer_check_requests(script, "jobs a", "job.list {\"vm\":\"a\"}\n");
	peer_check(script, "job wait j-1a2b3c4d", NULL, 6, "a: stop failed\n",
		   "vmctl: VM 'a' did not stop\nhint: --force ends it\ncode: E1002 (timeout)\n");
	peer_check(script, "job cancel j-1a2b3c4d", NULL, 0, "a: stop cancelled\n", "");
	peer_check(
		script, "job show j-1a2b3c4d", NULL, 0,
		"Job:        j-1a2b3c4d\nVM:         a\nOperation:  stop\n"
		"State:      failed\nPhase:      shutdown\nBegun:      2026-01-31T12:00:00.000Z\n"
		"Time:       1.0s\nBy:         vmctl, uid 0, pid 7\nError:      VM 'a' did not "
		"stop\n",
		"");
	peer_check(script, "stop a --no-wait", NULL, 0, "a: job j-1a2b3c4d\n", "");
	peer_check(script, "stop a --no-wait -q", NULL, 0, "j-1a2b3c4d\n", "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_vm),
		cmocka_unit_test(test_nothing_to_do),
		cmocka_unit_test(test_options_become_params),
		cmocka_unit_test(test_dry_run),
		cmocka_unit_test(test_several_vms),
		cmocka_unit_test(test_unknown_vm),
		cmocka_unit_test(test_delete_of_a_running_vm),
		cmocka_unit_test(test_destructive_needs_yes),
		cmocka_unit_test(test_wait),
		cmocka_unit_test(test_wait_for_a_console),
		cmocka_unit_test(test_interrupt),
		cmocka_unit_test(test_interrupt_names_the_job),
		cmocka_unit_test(test_progress),
		cmocka_unit_test(test_jobs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
