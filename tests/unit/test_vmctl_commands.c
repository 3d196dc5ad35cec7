// SPDX-License-Identifier: MIT
/* Whole runs of vmctl against a scripted vmd: what is asked, what is printed, with which status. */
#include <errno.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tests/lib/test.h"
#include "tests/unit/vmctl_peer.h"

#define HELLO                                                                               \
	"{\"id\":\"0f3c\",\"name\":\"hello\",\"profile\":\"modern\",\"cpus\":2,\"memory\":" \
	"536870912,\"revision\":3,\"desired\":\"running\",\"observed\":{\"state\":"         \
	"\"running\",\"pid\":77,\"since\":\"2020-01-01T00:00:00Z\",\"revision\":2}"
#define WEB(n, s)                                                                            \
	"{\"id\":\"aa" n "\",\"name\":\"web" n "\",\"profile\":\"micro\",\"cpus\":1,"        \
	"\"memory\":67108864,\"revision\":1,\"desired\":\"stopped\",\"observed\":{\"state\"" \
	":\"" s "\"}}"
#define LIST "{\"vms\":[" HELLO "}," WEB("1", "stopped") "," WEB("2", "paused") "]}"
#define ERROR(code, message, name, more)                                                           \
	"{\"code\":" #code ",\"message\":\"" message "\",\"data\":{\"name\":\"" name "\"" more "}" \
	"}"
#define NOT_FOUND(vm) ERROR(1200, "no VM '" vm "'", "vm.not_found", "")

static void check(const struct peer_row *script, const char *args, const char *input, int status,
		  const char *out, const char *err)
{
	struct peer_run r;

	peer_run(script, args, input, &r);
	if (out)
		assert_string_equal(r.out, out);
	if (err)
		assert_string_equal(r.err, err);
	assert_int_equal(r.status, status);
	peer_run_free(&r);
}

static void check_requests(const struct peer_row *script, const char *args, const char *requests)
{
	struct peer_run r;

	peer_run(script, args, NULL, &r);
	assert_string_equal(r.requests, requests);
	peer_run_free(&r);
}

/* What is not shown is not asked for. */
static void test_list_fields(void **state)
{
	static const struct peer_row table[] = {
		{ "vm.list",
		  .params = "{\"fields\":[\"name\",\"state\",\"cpus\",\"memory\","
			    "\"profile\"]}",
		  .result = "{\"vms\":[{\"name\":\"hello\",\"state\":\"running\",\"cpus\":2,"
			    "\"memory\":536870912,\"profile\":\"modern\"},{\"name\":\"web1\","
			    "\"state\":\"stopped\",\"cpus\":1,\"memory\":67108864,"
			    "\"profile\":\"micro\"}]}" },
		{ 0 }
	};
	static const struct peer_row names[] = {
		{ "vm.list", .params = "{\"fields\":[\"name\",\"id\"]}", .result = LIST }, { 0 }
	};
	static const struct peer_row pids[] = {
		{ "vm.list", .params = "{\"fields\":[\"name\",\"observed\"]}", .result = LIST },
		{ 0 }
	};

	(void)state;
	check(table, "list -c name,state,cpus,memory,profile", NULL, 0,
	      "NAME   STATE    CPUS  MEMORY  PROFILE\n"
	      "hello  running     2    512M  modern\n"
	      "web1   stopped     1   64.0M  micro\n",
	      "");
	check(names, "list -o name 0f3", NULL, 0, "hello\n", "");
	check(pids, "list -c pid", NULL, 0, "PID\n 77\n  -\n  -\n", "");
}

static void test_list(void **state)
{
	static const struct peer_row script[] = { { "vm.list", .result = LIST }, { 0 } };

	(void)state;
	check(script, "ls -q", NULL, 0, "hello\nweb1\nweb2\n", "");
	check(script, "list --no-header -c name,pid web?", NULL, 0, "web1  -\nweb2  -\n", "");
	check(script, "list -o name 0f3", NULL, 0, "hello\n", "");
	check(script, "show --json hello", NULL, 1, NULL, NULL);
	check(script, "--json list web1", NULL, 0,
	      "{\"schema\":\"vmctl.list/1\",\"vms\":[" WEB("1", "stopped") "]}\n", "");
	check(script, "list nope", NULL, 3, "",
	      "vmctl: cannot list VMs: no VM 'nope'\ncode: E1200 (vm.not_found)\n");
	check(script, "list -c name,stat", NULL, 2, "",
	      "vmctl: no column 'stat'; there are name, state, since, cpus, memory, profile, "
	      "desired, exit, revision, owner, pid, id\n");
}

static void test_list_default_fits_80_columns(void **state)
{
	static const struct peer_row script[] = {
		{ "vm.list",
		  .result =
			  "{\"vms\":[{\"id\":\"aa1\",\"name\":\"hello\",\"state\":\"stopped\"}]}" },
		{ 0 }
	};
	struct peer_run r;

	(void)state;
	peer_run(script, "status", NULL, &r);
	assert_int_equal(r.status, 0);
	assert_memory_equal(r.out, "NAME   STATE    SINCE  CPUS  MEMORY  PROFILE\n", 45);
	peer_run_free(&r);
	peer_run(script, "list --wide", NULL, &r);
	assert_non_null(strstr(r.out, "DESIRED  EXIT  REVISION  OWNER  PID  ID\n"));
	peer_run_free(&r);
}

static void test_list_of_none(void **state)
{
	static const struct peer_row script[] = { { "vm.list", .result = "{\"vms\":[]}" }, { 0 } };

	(void)state;
	check(script, "list", NULL, 0, "NAME  STATE  SINCE  CPUS  MEMORY  PROFILE\n",
	      "no VMs; vmctl apply -f FILE makes one\n");
	check(script, "list --json", NULL, 0, "{\"schema\":\"vmctl.list/1\",\"vms\":[]}\n", "");
}

static void test_show(void **state)
{
	static const struct peer_row script[] = {
		{ "vm.get",
		  .result = HELLO
		  ",\"created\":\"2020-01-01T00:00:00Z\",\"consoles\":[\"com1\",\"hvc0\"],"
		  "\"config\":{\"boot\":{\"kernel\":\"/k\",\"cmdline\":\"quiet\"},"
		  "\"devices\":[{\"type\":\"virtio-blk\",\"id\":\"disk0\",\"address\":"
		  "\"00:03.0\",\"path\":\"/d\"},{\"type\":\"serial\",\"id\":\"com1\","
		  "\"port\":\"com1\",\"backend\":\"console\"}]}}" },
		{ 0 }
	};
	struct peer_run r;

	(void)state;
	peer_run(script, "show hello", NULL, &r);
	assert_int_equal(r.status, 0);
	assert_non_null(strstr(r.out, "Name:          hello\n"));
	assert_non_null(strstr(r.out, "State:         running (asked for: running)\n"));
	assert_non_null(strstr(r.out, "Revision:      3 (revision 2 runs until a restart)\n"));
	assert_non_null(strstr(r.out, "Consoles:      com1, hvc0\n"));
	assert_non_null(strstr(r.out, "DEVICE  TYPE        ADDRESS  BACKEND\n"
				      "disk0   virtio-blk  00:03.0  /d\n"
				      "com1    serial      com1     console\n"));
	assert_string_equal(r.requests, "vm.get {\"vm\":\"hello\"}\n");
	peer_run_free(&r);
}

static void test_one_vm(void **state)
{
	static const struct peer_row script[] = {
		{ "vm.start",
		  .result = "{\"name\":\"hello\",\"state\":\"running\",\"changed\":true}" },
		{ 0 }
	};

	(void)state;
	check(script, "start hello", NULL, 0, "hello: started\n", "");
	check(script, "start 0f3 -q", NULL, 0, "hello\n", "");
	check(script, "start hello --json", NULL, 0,
	      "{\"schema\":\"vmctl.start/1\",\"results\":[{\"name\":\"hello\",\"state\":"
	      "\"running\",\"changed\":true}]}\n",
	      "");
	check(script, "start hello -n", NULL, 0, "hello: would be started\n", "");
	check_requests(script, "start hello -n", "vm.start {\"vm\":\"hello\",\"dry_run\":true}\n");
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
	check(script, "start hello", NULL, 0, "", "hello: already running\n");
	check(script, "stop hello", NULL, 0, "", "hello: already stopped\n");
	check(script, "start hello --strict", NULL, 4, "",
	      "vmctl: cannot start 'hello': already running\n"
	      "hint: without --strict this is no error\ncode: E1202 (vm.wrong_state)\n");
}

static void test_options_become_params(void **state)
{
	static const struct peer_row script[] = { { 0 } };

	(void)state;
	check_requests(script, "stop a --timeout 5m --force",
		       "vm.stop {\"vm\":\"a\",\"timeout_ms\":300000,\"force\":true}\n");
	check_requests(script, "stop a", "vm.stop {\"vm\":\"a\"}\n");
	check_requests(script, "wait a", "vm.wait {\"vm\":\"a\",\"for\":\"stopped\"}\n");
	check_requests(script, "wait a --for running -t 100ms",
		       "vm.wait {\"vm\":\"a\",\"timeout_ms\":100,\"for\":\"running\"}\n");
	check_requests(script, "kill a -y", "vm.kill {\"vm\":\"a\"}\n");
	check_requests(script, "unpause a", "vm.resume {\"vm\":\"a\"}\n");
	check_requests(script, "pause a -n", "vm.pause {\"vm\":\"a\",\"dry_run\":true}\n");
	check_requests(script, "events a --type vm.state --since 5",
		       "event.list {\"types\":[\"vm.state\"],\"since\":5,\"limit\":1000}\n");
	check_requests(script, "console a hvc0 --take --no-scrollback",
		       "vm.console {\"vm\":\"a\",\"console\":\"hvc0\",\"mode\":\"take\","
		       "\"scrollback\":false}\n");
	check_requests(script, "console a -r", "vm.console {\"vm\":\"a\",\"mode\":\"read\"}\n");
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
	check(script, "kill a --dry-run --strict", NULL, 0, "a: would be ended\n", "");
}

static void test_several_vms(void **state)
{
	static const struct peer_row script[] = {
		{ "vm.list", .result = LIST },
		{ "vm.pause", "{\"vm\":\"web1\"}",
		  .error = ERROR(1202, "VM 'web1' is stopped", "vm.wrong_state", "") },
		{ "vm.pause", "{\"vm\":\"web2\"}",
		  .result = "{\"name\":\"web2\",\"state\":\"paused\",\"changed\":false,"
			    "\"note\":\"already paused\"}" },
		{ "vm.pause", "{\"vm\":\"hello\"}",
		  .result = "{\"name\":\"hello\",\"state\":\"paused\",\"changed\":true}" },
		{ "vm.kill", .error = NOT_FOUND("x") },
		{ 0 }
	};

	(void)state;
	check(script, "pause hello web* web1", NULL, 9,
	      "NAME   STATE   RESULT\n"
	      "hello  paused  paused\n"
	      "web1   -       failed\n"
	      "web2   paused  already paused\n",
	      "vmctl: cannot pause 'web1': VM 'web1' is stopped\ncode: E1202 (vm.wrong_state)\n");
	check(script, "pause -q web1 hello", NULL, 9, "hello\n", NULL);
	check(script, "pause --json web1", NULL, 4,
	      "{\"schema\":\"vmctl.pause/1\",\"results\":[{\"name\":\"web1\",\"error\":{\"code\":"
	      "1202,\"message\":\"VM 'web1' is stopped\",\"data\":{\"name\":\"vm.wrong_state\"}}"
	      "}]}\n",
	      NULL);
	check(script, "kill --yes a b", NULL, 3, NULL, NULL);
	check(script, "pause db*", NULL, 3, "",
	      "vmctl: cannot pause: no VM matches 'db*'\nhint: vmctl list shows all\n"
	      "code: E1200 (vm.not_found)\n");
}

static void test_unknown_vm(void **state)
{
	static const struct peer_row script[] = {
		{ "vm.start", .error = ERROR(1200, "no VM 'helo'", "vm.not_found",
					     ",\"hint\":\"did you mean 'hello'?\"") },
		{ "vm.get", .error = NOT_FOUND("x") },
		{ 0 }
	};

	(void)state;
	check(script, "start helo", NULL, 3, "",
	      "vmctl: cannot start 'helo': no VM 'helo'\nhint: did you mean 'hello'?\n"
	      "code: E1200 (vm.not_found)\n");
	check(script, "show x --json", NULL, 3,
	      "{\"schema\":\"vmctl.show/1\",\"error\":{\"code\":1200,\"message\":\"no VM 'x'\","
	      "\"data\":{\"name\":\"vm.not_found\"}}}\n",
	      "vmctl: cannot show 'x': no VM 'x'\ncode: E1200 (vm.not_found)\n");
}

static void test_delete_of_a_running_vm(void **state)
{
	static const struct peer_row script[] = {
		{ "vm.delete", .error = ERROR(1202, "VM 'hello' is running", "vm.wrong_state",
					      ",\"hint\":\"stop it first: vmctl stop hello\"") },
		{ 0 }
	};

	(void)state;
	check(script, "delete hello --yes", NULL, 4, "",
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
	check(script, "delete hello", NULL, 2, "",
	      "vmctl: 'delete' needs --yes where it cannot ask: standard input is no terminal\n");
	check(script, "kill hello", "y\n", 2, "", NULL);
	check(script, "reset hello", NULL, 2, "", NULL);
	check(script, "delete hello -y", NULL, 0, "hello: deleted\n", "");
	check(script, "delete hello -n", NULL, 0, "hello: would remove: definition\n", "");
}

static void test_wait(void **state)
{
	static const struct peer_row script[] = {
		{ "vm.wait", "{\"vm\":\"a\",\"for\":\"stopped\"}",
		  .result = "{\"name\":\"a\",\"state\":\"stopped\",\"exit\":{\"reason\":"
			    "\"shutdown\",\"code\":0}}" },
		{ "vm.wait",
		  .error = ERROR(1002, "VM 'b' is not running after 1 s", "timeout", "") },
		{ 0 }
	};

	(void)state;
	check(script, "wait a", NULL, 0, "a: stopped (shutdown)\n", "");
	check(script, "wait b --for running --timeout 1", NULL, 6, "",
	      "vmctl: cannot wait 'b': VM 'b' is not running after 1 s\ncode: E1002 (timeout)\n");
}

static void test_interrupt(void **state)
{
	static const struct peer_row script[] = { { "vm.stop", .after = PEER_INTERRUPT },
						  { "vm.wait", .after = PEER_INTERRUPT },
						  { 0 } };

	(void)state;
	check(script, "stop a", NULL, 130, "", "vmctl: interrupted; the stop goes on in vmd\n");
	check(script, "wait a", NULL, 130, "", "");
}

#define JOB(state, more)                                                                    \
	"{\"job\":\"j-1a2b3c4d\",\"vm\":\"0f3c\",\"name\":\"a\",\"op\":\"stop\",\"state\":" \
	"\"" state "\",\"phase\":\"shutdown\",\"actor\":{\"uid\":0,\"pid\":7,\"program\":"  \
	"\"vmctl\"},\"created\":"                                                           \
	"\"2026-01-31T12:00:00.000Z\",\"updated\":\"2026-01-31T12:00:01.000Z\",\"age_ms\":" \
	"1000" more "}"
#define JOB_FAILED                                                                     \
	JOB("failed", ",\"error\":{\"code\":1002,\"message\":\"VM 'a' did not stop\"," \
		      "\"data\":{\"name\":\"timeout\",\"hint\":\"--force ends it\"}}")

/* Ctrl-C off a terminal: what goes on is named, and left alone. */
static void test_interrupt_names_the_job(void **state)
{
	static const struct peer_row script[] = { { "vm.stop", .after = PEER_INTERRUPT },
						  { "job.list", "{\"state\":\"running\"}",
						    .result =
							    "{\"jobs\":[" JOB("running", "") "]}" },
						  { 0 } };

	(void)state;
	check(script, "stop a", NULL, 130, "",
	      "vmctl: still going on in vmd: job j-1a2b3c4d; vmctl job wait j-1a2b3c4d\n");
	/* another VM's job is not ours */
	check(script, "stop b", NULL, 130, "", "vmctl: interrupted; the stop goes on in vmd\n");
}

/* The answer to the stop comes when vmd has been asked how far it is. */
static void test_progress(void **state)
{
	static const struct peer_row script[] = {
		{ "vm.stop", .after = PEER_SILENT },
		{ "job.list", .result = "{\"jobs\":[" JOB("running", "") "]}",
		  .notify = "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"name\":\"a\",\"state\":"
			    "\"stopped\",\"changed\":true}}\n" },
		{ 0 }
	};

	(void)state;
	check(script, "stop a --progress", NULL, 0, "a: stopped\n", "stop a: shutdown\n");
}

static void test_jobs(void **state)
{
	static const struct peer_row script[] = {
		{ "job.list", .result = "{\"jobs\":[" JOB("running", "") "," JOB_FAILED "]}" },
		{ "job.wait", .result = JOB_FAILED },
		{ "job.cancel", .result = JOB("cancelled", "") },
		{ "job.get", .result = JOB_FAILED },
		{ "vm.stop", "{\"vm\":\"a\",\"wait\":false}",
		  .result = "{\"name\":\"a\",\"state\":\"stopping\",\"changed\":true,\"job\":"
			    "\"j-1a2b3c4d\"}" },
		{ 0 }
	};

	(void)state;
	check(script, "jobs", NULL, 0,
	      "JOB         VM  OP    STATE    PHASE     TIME  BY\n"
	      "j-1a2b3c4d  a   stop  running  shutdown  1.0s  vmctl, uid 0\n"
	      "j-1a2b3c4d  a   stop  failed   shutdown  1.0s  vmctl, uid 0\n",
	      "");
	check(script, "jobs -q", NULL, 0, "j-1a2b3c4d\nj-1a2b3c4d\n", "");
	check_requests(script, "jobs a", "job.list {\"vm\":\"a\"}\n");
	check(script, "job wait j-1a2b3c4d", NULL, 6, "a: stop failed\n",
	      "vmctl: VM 'a' did not stop\nhint: --force ends it\ncode: E1002 (timeout)\n");
	check(script, "job cancel j-1a2b3c4d", NULL, 0, "a: stop cancelled\n", "");
	check(script, "job show j-1a2b3c4d", NULL, 0,
	      "Job:        j-1a2b3c4d\nVM:         a\nOperation:  stop\n"
	      "State:      failed\nPhase:      shutdown\nBegun:      2026-01-31T12:00:00.000Z\n"
	      "Time:       1.0s\nBy:         vmctl, uid 0, pid 7\nError:      VM 'a' did not "
	      "stop\n",
	      "");
	check(script, "stop a --no-wait", NULL, 0, "a: job j-1a2b3c4d\n", "");
	check(script, "stop a --no-wait -q", NULL, 0, "j-1a2b3c4d\n", "");
}

static void test_vmd_goes_away(void **state)
{
	static const struct peer_row script[] = { { "vm.start", .after = PEER_CLOSE },
						  { "vm.stop", .after = PEER_GARBAGE },
						  { 0 } };
	struct peer_run r;

	(void)state;
	peer_run(script, "start a", NULL, &r);
	assert_int_equal(r.status, 8);
	assert_non_null(strstr(r.err, "/vmd.sock' closed the connection\n"
				      "hint: its log says why; VMs go on without it\n"
				      "code: E1004 (daemon.unreachable)\n"));
	peer_run_free(&r);
	peer_run(script, "stop a", NULL, &r);
	assert_int_equal(r.status, 8);
	peer_run_free(&r);
}

static void test_without_vmd(void **state)
{
	struct peer_run r;

	(void)state;
	peer_run_alone("list", NULL, &r);
	assert_int_equal(r.status, 8);
	assert_string_equal(r.out, "");
	assert_string_equal(
		r.err,
		"vmctl: cannot reach vmd at '/nonexistent/vmd.sock': No such file or directory\n"
		"hint: start it (systemctl start vmd, or vmd --socket PATH), or name its socket "
		"with "
		"--socket or VMD_SOCKET\ncode: E1004 (daemon.unreachable)\n");
	peer_run_free(&r);
	peer_run_alone("version", NULL, &r);
	assert_int_equal(r.status, 0);
	assert_string_equal(r.out, "vmctl " VERSION "\n");
	peer_run_free(&r);
	peer_run_alone("version --json", NULL, &r);
	assert_int_equal(r.status, 0);
	assert_non_null(strstr(r.out,
			       "{\"schema\":\"vmctl.version/1\",\"client\":{\"version\":\"" VERSION
			       "\"},\"daemon\":null,\"error\":{\"code\":1004,"));
	peer_run_free(&r);
}

static void test_rpc(void **state)
{
	static const struct peer_row script[] = {
		{ "daemon.ping", .result = "{}" },
		{ "vm.get", .error = ERROR(-32602, "/vn: unknown key 'vn'; did you mean 'vm'?",
					   "rpc.invalid_params", ",\"path\":\"/vn\"") },
		{ 0 }
	};

	(void)state;
	check(script, "rpc daemon.ping", NULL, 0, "{}\n", "");
	check(script, "rpc vm.get {\"vn\":1}", NULL, 5, "",
	      "vmctl: cannot call 'vm.get': /vn: unknown key 'vn'; did you mean 'vm'?\n"
	      "code: -32602 (rpc.invalid_params)\n");
	check(script, "rpc vm.strat", NULL, 1, "",
	      "vmctl: cannot call 'vm.strat': no method of this name\n"
	      "code: -32601 (rpc.method_not_found)\n");
	check(script, "rpc daemon.ping [1]", NULL, 2, "",
	      "vmctl: the parameters must be a JSON object\n");
	check(script, "rpc daemon.ping {", NULL, 2, "", NULL);
	check(script, "rpc daemon.ping -", "{\"a\":1}", 0, "{}\n", "");
}

#define EVENT(seq, type, data)                                                          \
	"{\"seq\":" seq ",\"time\":\"2026-01-31T12:00:0" seq ".000Z\",\"type\":\"" type \
	"\",\"vm\":"                                                                    \
	"\"0f3c\",\"data\":{\"name\":\"hello\"," data "}}"
#define EVENT7 EVENT("7", "vm.created", "\"revision\":1")
#define EVENT8                        \
	EVENT("8", "vm.state",        \
	      "\"from\":\"running\"," \
	      "\"to\":\"stopped\",\"exit\":{\"reason\":\"shutdown\"}")
#define NOTIFY(method, params) \
	"{\"jsonrpc\":\"2.0\",\"method\":\"" method "\",\"params\":" params "}\n"

static void test_events(void **state)
{
	static const struct peer_row script[] = {
		{ "event.list", "{\"since\":0,\"limit\":1000}",
		  .result =
			  "{\"events\":[" EVENT7 "],\"next\":7,\"more\":true,\"gone\":{\"from\":1,"
			  "\"to\":6}}" },
		{ "event.list", "{\"since\":7,\"limit\":1000}",
		  .result = "{\"events\":[" EVENT8 "],\"next\":8,\"more\":false}" },
		{ "event.list", "{\"since\":2,\"limit\":1000}",
		  .result =
			  "{\"events\":[],\"next\":8,\"more\":false,\"gone\":{\"from\":3,\"to\":6}"
			  "}" },
		{ 0 }
	};

	(void)state;
	check(script, "events --no-header", NULL, 0,
	      "     7  2026-01-31T12:00:07.000Z  vm.created    hello         revision=1\n"
	      "     8  2026-01-31T12:00:08.000Z  vm.state      hello         running -> stopped "
	      "(shutdown)\n",
	      "");
	check(script, "events -q", NULL, 0, "hello\nhello\n", "");
	check(script, "events -q h*", NULL, 0, "hello\nhello\n", "");
	check(script, "events -q 0f3", NULL, 0, "hello\nhello\n", "");
	check(script, "events -q hell", NULL, 0, "", "");
	check(script, "events -q --since 2", NULL, 0, "", "events 3 to 6 are not kept any more\n");
}

/* vmd leaves events out for a reader that was slow: they are read again, each once and in order. */
static void test_events_follow_overflow(void **state)
{
	static const struct peer_row script[] = {
		{ "event.subscribe", "{}", .result = "{\"subscription\":1,\"seq\":6}",
		  .notify = NOTIFY("event", EVENT7)
			  NOTIFY("event.overflow", "{\"subscription\":1,\"from\":8,\"to\":8}")
				  NOTIFY("event", EVENT("9", "vm.updated", "\"revision\":2")) },
		{ "event.list", "{\"since\":7,\"limit\":1000}",
		  .result = "{\"events\":[" EVENT8 "," EVENT(
			  "9", "vm.updated", "\"revision\":2") "],"
							       "\"next\":9,\"more\":false}",
		  .notify = NOTIFY("event", EVENT("9", "vm.deleted", "\"n\":0"))
			  NOTIFY("event.overflow", "{\"subscription\":1,\"from\":10,\"to\":10}") },
		{ "event.list", "{\"since\":9,\"limit\":1000}", .after = PEER_INTERRUPT },
		{ 0 }
	};
	struct peer_run r;

	(void)state;
	peer_run(script, "events -f --no-header", NULL, &r);
	assert_string_equal(
		r.out,
		"     7  2026-01-31T12:00:07.000Z  vm.created    hello         revision=1\n"
		"     8  2026-01-31T12:00:08.000Z  vm.state      hello         running -> stopped "
		"(shutdown)\n"
		"     9  2026-01-31T12:00:09.000Z  vm.updated    hello         revision=2\n");
	assert_int_equal(r.status, 130);
	peer_run_free(&r);
}

static void test_logs(void **state)
{
	static const struct peer_row script[] = {
		{ "vm.logs", "{\"vm\":\"hello\"}",
		  .result = "{\"records\":[{\"time\":\"2026-01-31T12:00:00.000Z\",\"kind\":"
			    "\"begin\"},{\"time\":\"2026-01-31T12:00:00.001Z\",\"kind\":\"part\","
			    "\"text\":\"\\u001b[31mo\"},{\"time\":\"2026-01-31T12:00:00.002Z\","
			    "\"kind\":\"line\",\"text\":\"ne\\r\"},{\"time\":"
			    "\"2026-01-31T12:00:00.003Z\",\"kind\":\"lost\",\"bytes\":7}],"
			    "\"next\":99,\"more\":true}" },
		{ "vm.logs", "{\"vm\":\"hello\",\"after\":99}",
		  .result =
			  "{\"records\":[{\"time\":\"2026-01-31T12:00:01.000Z\",\"kind\":"
			  "\"line\",\"text\":\"\xef\xbf\xbd\",\"data_base64\":\"/w==\"}],\"next\":"
			  "120,\"more\":false}" },
		{ "vm.logs", "{\"vm\":\"hello\",\"after\":120,\"timeout_ms\":30000}",
		  .after = PEER_INTERRUPT },
		{ "vm.logs", "{\"vm\":\"hello\",\"last\":0,\"console\":\"com2\"}",
		  .result = "{\"records\":[],\"next\":0,\"more\":false}" },
		{ 0 }
	};

	(void)state;
	/* elsewhere than on a terminal, every byte is the guest's */
	check(script, "logs hello", NULL, 0, "\033[31mone\r\n\xff\n",
	      "(started, 2026-01-31T12:00:00.000Z)\n"
	      "(7 bytes are missing here, 2026-01-31T12:00:00.003Z)\n");
	check(script, "logs hello -fT", NULL, 130,
	      "2026-01-31T12:00:00.001Z \033[31mone\r\n2026-01-31T12:00:01.000Z \xff\n",
	      "(started, 2026-01-31T12:00:00.000Z)\n"
	      "(7 bytes are missing here, 2026-01-31T12:00:00.003Z)\n");
	check(script, "logs hello --lines 0 --console com2", NULL, 0, "", "");
	check(script, "logs hello --since yesterday", NULL, 2, "",
	      "vmctl: --since: 'yesterday' is no time (2026-01-31T12:00:00Z, or 10m for ten "
	      "minutes ago)\n");
	check(script, "logs hello --monitor --console com1", NULL, 2, "",
	      "vmctl: --console and --monitor exclude each other\n");
	check_requests(script, "logs a --since 2026-01-31T12:00:00Z --monitor",
		       "vm.logs {\"vm\":\"a\",\"monitor\":true,\"since\":"
		       "\"2026-01-31T12:00:00Z\"}\n");
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
	check(script, "wait a --for console=x=1$ --console com2", NULL, 0, "a: ?x=1\n", "");
	check(script, "wait a --for console=", NULL, 2, "", NULL);
}

static void test_events_of_jobs(void **state)
{
	static const struct peer_row script[] = {
		{ "event.list",
		  .result =
			  "{\"events\":[{\"seq\":9,\"time\":\"2026-01-31T12:00:00.000Z\",\"type\":"
			  "\"job.done\",\"vm\":\"0f3c\",\"data\":" JOB_FAILED
			  "}],\"next\":9,\"more\":false}" },
		{ 0 }
	};

	(void)state;
	check(script, "events --no-header", NULL, 0,
	      "     9  2026-01-31T12:00:00.000Z  job.done      a             stop failed, "
	      "j-1a2b3c4d: VM 'a' did not stop\n",
	      "");
}

#define PHASE(name, at, took) "{\"phase\":\"" name "\",\"at_us\":" at ",\"took_us\":" took "}"
#define STAT(name, p50, p95) \
	"{\"phase\":\"" name "\",\"n\":4,\"p50_us\":" p50 ",\"p95_us\":" p95 "}"

static void test_timeline(void **state)
{
	static const struct peer_row script[] = {
		{ "vm.timeline",
		  .result =
			  "{\"name\":\"hello\",\"starts\":[{\"time\":\"2026-01-31T12:00:00.000Z\","
			  "\"revision\":3,\"ok\":true,\"slow\":true,\"total_us\":52000,\"phases\":"
			  "[" PHASE("plan", "900", "900") "," PHASE("start", "52000", "51100") "," PHASE(
				  "console", "2052000",
				  "2000000") "]}],\"stats\":[" STAT("plan", "800",
								    "950") "," STAT("start", "9000",
										    "51100") "],"
											     "\"med"
											     "ian_"
											     "us\":"
											     "10000"
											     "}" },
		{ 0 }
	};
	static const struct peer_row none[] = {
		{ "vm.timeline", .result = "{\"name\":\"hello\",\"starts\":[],\"stats\":[]}" },
		{ 0 }
	};
	static const char slow[] =
		"hello: this start took 52.0ms to the first instruction; the median is 10.0ms\n";

	(void)state;
	check(script, "timeline hello", NULL, 0,
	      "PHASE        AT    TOOK     P50     P95  SHARE\n"
	      "plan     0.90ms  0.90ms  0.80ms  0.95ms  .\n"
	      "start    52.0ms  51.1ms  9.00ms  51.1ms  .\n"
	      "console   2.05s   2.00s       -       -  ####################\n",
	      slow);
	check(script, "timeline hello --all", NULL, 0,
	      "TIME                      REVISION  RESULT  HELLO  MACHINE   START  CONSOLE  KICK\n"
	      "2026-01-31T12:00:00.000Z         3  slow        -        -  52.0ms    2.05s     -\n",
	      slow);
	check_requests(script, "timeline hello", "vm.timeline {\"vm\":\"hello\",\"limit\":1}\n");
	check(none, "timeline hello", NULL, 0, "", "hello: no start is known\n");
}

static void test_host_info(void **state)
{
	static const struct peer_row script[] = {
		{ "host.info",
		  .result =
			  "{\"hostname\":\"h\",\"kernel\":\"6.1\",\"cpus\":2,\"memory\":{\"total\":"
			  "8589934592,\"available\":4294967296,\"hugepages\":[{\"size\":2097152,"
			  "\"total\":4,\"free\":3}]},\"kvm\":{\"usable\":false,\"reason\":"
			  "\"no /dev/kvm\"},\"vmm\":{\"path\":\"/v\",\"version\":\"1\"}}" },
		{ 0 }
	};

	(void)state;
	check(script, "host info", NULL, 0,
	      "Host:        h\nKernel:      6.1\nCPUs:        2\n"
	      "Memory:      8.0G, 4.0G available\nHuge pages:  2.0M: 3 of 4 free\n"
	      "KVM:         not usable: no /dev/kvm\nMonitor:     /v (1)\n",
	      "");
}

static void test_daemon(void **state)
{
	static const struct peer_row script[] = {
		{ "daemon.ping", "{}", .result = "{}" },
		{ "daemon.version", "{}",
		  .result = "{\"version\":\"9.9\",\"api\":{\"major\":1,\"minor\":3},\"pid\":77}" },
		{ 0 }
	};
	static const struct peer_row hangs[] = { { "daemon.ping", .after = PEER_SILENT }, { 0 } };
	struct peer_run r;
	long long us;

	(void)state;
	peer_run(script, "daemon ping", NULL, &r);
	assert_int_equal(r.status, 0);
	assert_int_equal(strncmp(r.out, "vmd answers, after ", 19), 0);
	peer_run_free(&r);
	peer_run(script, "daemon ping --json", NULL, &r);
	if (sscanf(r.out, "{\"schema\":\"vmctl.daemon.ping/1\",\"round_trip_us\":%lld}", &us) !=
		    1 ||
	    us < 1)
		fail_msg("%s", r.out);
	peer_run_free(&r);
	check(script, "daemon ping -q", NULL, 0, "", "");
	check(hangs, "daemon ping -t 20ms", NULL, 6, "",
	      "vmctl: vmd did not answer within 20 ms\ncode: E1002 (timeout)\n");
	peer_run_alone("daemon ping", NULL, &r);
	assert_int_equal(r.status, 8);
	peer_run_free(&r);
	check(script, "daemon version", NULL, 0, "vmd   9.9 (API 1.3, process 77)\n", "");
	check(script, "daemon version -q", NULL, 0, "9.9\n", "");
	peer_run_alone("daemon version", NULL, &r);
	assert_int_equal(r.status, 8);
	peer_run_free(&r);
}

static void test_usage_errors(void **state)
{
	struct peer_run r;

	(void)state;
	peer_run_alone("stop", NULL, &r);
	assert_int_equal(r.status, 2);
	assert_string_equal(
		r.err,
		"vmctl: 'stop' needs VM...\n"
		"usage: vmctl stop [--timeout=TIME] [--force] [--dry-run] [--no-wait] VM...\n");
	peer_run_free(&r);
	peer_run_alone("create x.qcow2 -s 4G", NULL, &r);
	assert_int_equal(r.status, 2);
	assert_string_equal(r.err, "vmctl: 'create' makes no disk images here, as OpenBSD's does\n"
				   "hint: qemu-img create -f qcow2 x.qcow2 4G\n");
	peer_run_free(&r);
	peer_run_alone("reset", NULL, &r);
	assert_int_equal(r.status, 2);
	assert_string_equal(r.err,
			    "vmctl: 'reset' needs VM...\n"
			    "hint: this presses a VM's reset button; OpenBSD's 'reset' resets "
			    "the daemon\nusage: vmctl reset [--yes] [--dry-run] VM...\n");
	peer_run_free(&r);
	peer_run_alone("frobnicate", NULL, &r);
	assert_int_equal(r.status, 2);
	assert_string_equal(r.err, "vmctl: unknown command 'frobnicate'\n"
				   "hint: vmctl help lists the commands\n");
	peer_run_free(&r);
}

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
		  .error = ERROR(1204, "VM 'hello' has no console", "vm.no_console", "") },
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
		cmocka_unit_test(test_list),
		cmocka_unit_test(test_list_fields),
		cmocka_unit_test(test_list_default_fits_80_columns),
		cmocka_unit_test(test_list_of_none),
		cmocka_unit_test(test_show),
		cmocka_unit_test(test_one_vm),
		cmocka_unit_test(test_nothing_to_do),
		cmocka_unit_test(test_options_become_params),
		cmocka_unit_test(test_dry_run),
		cmocka_unit_test(test_several_vms),
		cmocka_unit_test(test_unknown_vm),
		cmocka_unit_test(test_delete_of_a_running_vm),
		cmocka_unit_test(test_destructive_needs_yes),
		cmocka_unit_test(test_wait),
		cmocka_unit_test(test_interrupt),
		cmocka_unit_test(test_interrupt_names_the_job),
		cmocka_unit_test(test_progress),
		cmocka_unit_test(test_jobs),
		cmocka_unit_test(test_vmd_goes_away),
		cmocka_unit_test(test_without_vmd),
		cmocka_unit_test(test_rpc),
		cmocka_unit_test(test_events),
		cmocka_unit_test(test_events_follow_overflow),
		cmocka_unit_test(test_logs),
		cmocka_unit_test(test_wait_for_a_console),
		cmocka_unit_test(test_events_of_jobs),
		cmocka_unit_test(test_timeline),
		cmocka_unit_test(test_host_info),
		cmocka_unit_test(test_daemon),
		cmocka_unit_test(test_usage_errors),
		cmocka_unit_test(test_console),
		cmocka_unit_test(test_start_console_loses_nothing),
		cmocka_unit_test(test_start_console_of_a_vm_without),
		cmocka_unit_test(test_start_console_usage),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
