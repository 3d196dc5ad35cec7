// SPDX-License-Identifier: MIT
/* Whole runs of vmctl against a scripted vmd: usage, answers that do not come, what has no VM. */
#include <stdio.h>
#include <string.h>

#include "tests/lib/test.h"
#include "tests/unit/vmctl_peer.h"

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
		{ "vm.get", .error = PEER_ERROR(-32602, "/vn: unknown key 'vn'; did you mean 'vm'?",
						"rpc.invalid_params", ",\"path\":\"/vn\"") },
		{ 0 }
	};

	(void)state;
	peer_check(script, "rpc daemon.ping", NULL, 0, "{}\n", "");
	peer_check(script, "rpc vm.get {\"vn\":1}", NULL, 5, "",
		   "vmctl: cannot call 'vm.get': /vn: unknown key 'vn'; did you mean 'vm'?\n"
		   "code: -32602 (rpc.invalid_params)\n");
	peer_check(script, "rpc vm.strat", NULL, 1, "",
		   "vmctl: cannot call 'vm.strat': no method of this name\n"
		   "code: -32601 (rpc.method_not_found)\n");
	peer_check(script, "rpc daemon.ping [1]", NULL, 2, "",
		   "vmctl: the parameters must be a JSON object\n");
	peer_check(script, "rpc daemon.ping {", NULL, 2, "", NULL);
	peer_check(script, "rpc daemon.ping -", "{\"a\":1}", 0, "{}\n", "");
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
	peer_check(script, "host info", NULL, 0,
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
	peer_check(script, "daemon ping -q", NULL, 0, "", "");
	peer_check(hangs, "daemon ping -t 20ms", NULL, 6, "",
		   "vmctl: vmd did not answer within 20 ms\ncode: E1002 (timeout)\n");
	peer_run_alone("daemon ping", NULL, &r);
	assert_int_equal(r.status, 8);
	peer_run_free(&r);
	peer_check(script, "daemon version", NULL, 0, "vmd   9.9 (API 1.3, process 77)\n", "");
	peer_check(script, "daemon version -q", NULL, 0, "9.9\n", "");
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_vmd_goes_away), cmocka_unit_test(test_without_vmd),
		cmocka_unit_test(test_rpc),	      cmocka_unit_test(test_host_info),
		cmocka_unit_test(test_daemon),	      cmocka_unit_test(test_usage_errors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
