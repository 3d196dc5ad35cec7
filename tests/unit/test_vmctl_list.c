// SPDX-License-Identifier: MIT
/* vmctl against a scripted vmd. list and show: what is known of VMs. */
#include <string.h>

#include "tests/lib/test.h"
#include "tests/unit/vmctl_peer.h"

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
		{ "vm.list", .params = "{\"fields\":[\"name\",\"id\"]}", .result = PEER_LIST },
		{ 0 }
	};
	static const struct peer_row of_folder[] = {
		{ "vm.list", .params = "{\"origin\":\"/\",\"fields\":[\"name\"]}",
		  .result = PEER_LIST },
		{ 0 }
	};
	static const struct peer_row of_none[] = {
		{ "vm.list", .params = "{\"origin\":\"/no/such/folder\"}", .result = PEER_LIST },
		{ 0 }
	};
	static const struct peer_row pids[] = { { "vm.list",
						  .params = "{\"fields\":[\"name\",\"observed\"]}",
						  .result = PEER_LIST },
						{ 0 } };

	(void)state;
	peer_check(table, "list -c name,state,cpus,memory,profile", NULL, 0,
		   "NAME   STATE    CPUS  MEMORY  PROFILE\n"
		   "hello  running     2    512M  modern\n"
		   "web1   stopped     1   64.0M  micro\n",
		   "");
	peer_check(names, "list -o name 0f3", NULL, 0, "hello\n", "");
	peer_check(of_folder, "list -q --origin /etc/..", NULL, 0, "hello\nweb1\nweb2\n", "");
	peer_check(of_none, "list --json --origin /no/such/folder", NULL, 0, NULL, "");
	peer_check(pids, "list -c pid", NULL, 0, "PID\n 77\n  -\n  -\n", "");
}

static void test_list(void **state)
{
	static const struct peer_row script[] = { { "vm.list", .result = PEER_LIST }, { 0 } };

	(void)state;
	peer_check(script, "ls -q", NULL, 0, "hello\nweb1\nweb2\n", "");
	peer_check(script, "list --no-header -c name,pid web?", NULL, 0, "web1  -\nweb2  -\n", "");
	peer_check(script, "list -o name 0f3", NULL, 0, "hello\n", "");
	peer_check(script, "show --json hello", NULL, 1, NULL, NULL);
	peer_check(script, "--json list web1", NULL, 0,
		   "{\"schema\":\"vmctl.list/1\",\"vms\":[" PEER_WEB("1", "stopped") "]}\n", "");
	peer_check(script, "list nope", NULL, 3, "",
		   "vmctl: cannot list VMs: no VM 'nope'\ncode: E1200 (vm.not_found)\n");
	peer_check(script, "list -c name,stat", NULL, 2, "",
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
	peer_check(script, "list", NULL, 0, "NAME  STATE  SINCE  CPUS  MEMORY  PROFILE\n",
		   "no VMs; vmctl apply -f FILE makes one\n");
	peer_check(script, "list --json", NULL, 0, "{\"schema\":\"vmctl.list/1\",\"vms\":[]}\n",
		   "");
}

#define STATS(rss, target)                                                                        \
	"{\"name\":\"hello\",\"state\":\"running\",\"cpus\":2,\"memory\":4294967296,\"cpu_us\":"  \
	"1500000,\"rss\":" rss ",\"balloon\":{\"target\":" target                                 \
	",\"actual\":2147483648,\"driver\":true,\"stats\":{\"age_ms\":7100,\"total\":4294967296," \
	"\"free\":1073741824,\"available\":3221225472}}}"

static void test_show(void **state)
{
	static const struct peer_row script[] = {
		{ "vm.get",
		  .result = PEER_HELLO
		  ",\"created\":\"2020-01-01T00:00:00Z\",\"consoles\":[\"com1\",\"hvc0\"],"
		  "\"config\":{\"boot\":{\"kernel\":\"/k\",\"cmdline\":\"quiet\"},"
		  "\"devices\":[{\"type\":\"virtio-blk\",\"id\":\"disk0\",\"address\":"
		  "\"00:03.0\",\"path\":\"/d\"},{\"type\":\"serial\",\"id\":\"com1\","
		  "\"port\":\"com1\",\"backend\":\"console\"}]}}" },
		{ "vm.stats", .result = STATS("3221225472", "1610612736") },
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
	assert_non_null(strstr(r.out, "CPU time:      1.50 s\n"
				      "Resident:      3.0G\n"
				      "Balloon:       the guest has 2.0G and shall have 1.5G\n"
				      "In the guest:  4.0G, 1.0G free, available 3.0G, 7s ago\n"));
	assert_string_equal(r.requests, "vm.get {\"vm\":\"hello\"}\nvm.stats {\"vm\":\"0f3c\"}\n");
	peer_run_free(&r);
}

/* One that ends meanwhile is left out; what is not known is no number. */
static void test_top(void **state)
{
	static const struct peer_row script[] = {
		{ "vm.list", "{\"fields\":[\"id\",\"name\",\"state\"]}",
		  .result = "{\"vms\":[{\"id\":\"01\",\"name\":\"a\",\"state\":\"running\"},"
			    "{\"id\":\"02\",\"name\":\"b\",\"state\":\"stopped\"},"
			    "{\"id\":\"03\",\"name\":\"c\",\"state\":\"paused\"},"
			    "{\"id\":\"04\",\"name\":\"d\",\"state\":\"running\"}]}" },
		{ "vm.stats", "{\"vm\":\"01\"}", .result = STATS("1048576", "2097152") },
		{ "vm.stats", "{\"vm\":\"03\"}",
		  .error = PEER_ERROR(1202, "VM 'c' is stopped", "vm.wrong_state", "") },
		{ "vm.stats", "{\"vm\":\"04\"}",
		  .result = "{\"name\":\"d\",\"state\":\"running\",\"cpu_us\":0,\"rss\":4096}" },
		{ 0 }
	};

	(void)state;
	peer_check(script, "top -d 100ms", NULL, 0,
		   "NAME  STATE    CPU%  CPUS   RSS  MEMORY   HAS  FREE\n"
		   "a     running   0.0     2  1.0M    4.0G  2.0G  1.0G\n"
		   "d     running   0.0     0  4.0K       -     -     -\n",
		   "");
	peer_check(script, "top -d 100ms -q", NULL, 0, "a\nd\n", "");
	peer_check(script, "top -d 100ms -q -n 2 d", NULL, 0, "d\nd\n", "");
	peer_check(script, "top -d 10ms", NULL, 2, "", NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_list_fields),
		cmocka_unit_test(test_list),
		cmocka_unit_test(test_list_default_fits_80_columns),
		cmocka_unit_test(test_list_of_none),
		cmocka_unit_test(test_show),
		cmocka_unit_test(test_top),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
