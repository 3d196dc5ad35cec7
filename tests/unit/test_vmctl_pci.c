// SPDX-License-Identifier: MIT
/* vmctl pci and host doctor against a scripted vmd: what is asked, what is printed, with which status. */
#include <string.h>

#include "tests/lib/test.h"
#include "tests/unit/vmctl_peer.h"

#define VF                                                                                         \
	"{\"pci\":\"0000:02:10.2\",\"class\":\"020000\",\"class_name\":\"Ethernet controller\","   \
	"\"vendor\":\"8086\",\"vendor_name\":\"Intel Corporation\",\"device\":\"10ca\","           \
	"\"device_name\":\"82576 Virtual Function\",\"driver\":\"igbvf\",\"group\":16,\"numa\":1," \
	"\"role\":\"vf\",\"pf\":\"0000:02:00.0\",\"vf\":1,\"reset\":[\"flr\"],\"broken\":false,"   \
	"\"netdevs\":[\"eth4\"],\"state\":\"host\",\"lease\":null"
#define STRAY                                                                                     \
	"{\"pci\":\"0000:04:01.0\",\"class\":\"020000\",\"vendor\":\"1af4\",\"device\":\"00ff\"," \
	"\"device_name\":\"\",\"driver\":\"vfio-pci\",\"role\":\"device\",\"reset\":[],"          \
	"\"broken\":"                                                                             \
	"false,\"netdevs\":[],\"state\":\"stray\",\"lease\":null}"

static void check(const struct peer_row *script, const char *args, int status, const char *out)
{
	struct peer_run r;

	peer_run(script, args, NULL, &r);
	assert_string_equal(r.out, out);
	assert_int_equal(r.status, status);
	peer_run_free(&r);
}

static void test_leases(void **state)
{
#define LEASE "\"vm\":\"web\",\"device\":\"pci0\",\"generation\":1,\"reason\":\"so\""
	static const struct peer_row script[] = {
		{ "lease.list",
		  .result =
			  "{\"leases\":[{\"pci\":\"0000:02:10.0\",\"state\":\"in-use\"," LEASE
			  ",\"requested\":\"2026-01-31T12:00:00.123Z\"},{\"pci\":\"0000:02:10.2\","
			  "\"state\":\"quarantined\"," LEASE ",\"quarantine\":\"stuck\"}]}" },
		{ 0 }
	};

	(void)state;
	peer_check(script, "lease list", NULL, 0,
		   "PCI           VM   DEVICE  STATE        SINCE  WHY\n"
		   "0000:02:10.0  web  pci0    in-use       -      so\n"
		   "0000:02:10.2  web  pci0    quarantined  -      so\n",
		   "the host wants 0000:02:10.0 back since 2026-01-31T12:00:00.123Z\n"
		   "0000:02:10.2 is in quarantine: stuck\n");
}

static void test_list(void **state)
{
	static const struct peer_row script[] = {
		{ "pci.list", .result = "{\"functions\":[" VF "}," STRAY "]}" }, { 0 }
	};
	struct peer_run r;

	(void)state;
	check(script, "pci list", 0,
	      "ADDRESS       ROLE    DRIVER    GROUP  NUMA  STATE  DEVICE\n"
	      "0000:02:10.2  vf      igbvf        16     1  host   82576 Virtual Function\n"
	      "0000:04:01.0  device  vfio-pci      -     -  stray  1af4:00ff\n");
	check(script, "pci list --wide --no-header", 0,
	      "0000:02:10.2  vf      igbvf     16  1  host   Intel Corporation 82576 Virtual "
	      "Function  "
	      "Ethernet controller  eth4\n"
	      "0000:04:01.0  device  vfio-pci   -  -  stray  1af4:00ff                             "
	      "    "
	      "-                    -\n");
	check(script, "pci list -q", 0, "0000:02:10.2\n0000:04:01.0\n");
	check(script, "pci list --json", 0,
	      "{\"schema\":\"vmctl.pci.list/1\",\"functions\":[" VF "}," STRAY "]}\n");
	peer_run(script,
		 "pci list --class nic --driver igbvf --vendor 8086 --role vf --group 16 --state "
		 "host",
		 NULL, &r);
	assert_string_equal(
		r.requests,
		"pci.list {\"class\":\"nic\",\"driver\":\"igbvf\",\"vendor\":\"8086\",\"role\":"
		"\"vf\",\"state\":\"host\",\"group\":16}\n");
	peer_run_free(&r);
	peer_run(script, "pci list --class usb", NULL, &r);
	assert_int_equal(r.status, 2);
	peer_run_free(&r);
}

static void test_nothing(void **state)
{
	static const struct peer_row script[] = { { "pci.list", .result = "{\"functions\":[]}" },
						  { "pci.groups", .result = "{\"groups\":[]}" },
						  { 0 } };
	struct peer_run r;

	(void)state;
	peer_run(script, "pci list --class gpu", NULL, &r);
	assert_string_equal(r.err, "no such PCI devices\n");
	assert_int_equal(r.status, 0);
	peer_run_free(&r);
	peer_run(script, "pci groups", NULL, &r);
	assert_string_equal(r.err, "no IOMMU groups; vmctl host doctor says why\n");
	peer_run_free(&r);
}

static void test_groups(void **state)
{
	static const struct peer_row script[] = {
		{ "pci.groups", .result = "{\"groups\":[{\"group\":16,\"members\":[" VF "}]}]}" },
		{ 0 }
	};

	(void)state;
	check(script, "pci groups", 0,
	      "ADDRESS       ROLE  DRIVER  GROUP  NUMA  STATE  DEVICE\n"
	      "0000:02:10.2  vf    igbvf      16     1  host   82576 Virtual Function\n");
	check(script, "pci groups -q", 0, "16\n");
}

static void test_show(void **state)
{
	static const struct peer_row script[] = {
		{ "pci.get", .params = "{\"pci\":\"02:10.2\"}",
		  .result = VF
		  ",\"identity\":{\"vendor\":\"8086\",\"device\":\"10ca\",\"serial\":"
		  "\"00-11\",\"mac\":\"52:54:00:aa:00:01\",\"vf\":1,\"slot\":\"2\"},"
		  "\"revision\":\"01\",\"parent\":\"0000:00:09.0\",\"capabilities\":[{"
		  "\"name\":\"MSI-X\"},{\"name\":\"PCI Express\"}],\"bars\":[{\"bar\":0,"
		  "\"type\":\"memory\",\"size\":16384,\"64bit\":true,\"prefetchable\":true},"
		  "{\"bar\":3,\"type\":\"memory\",\"size\":16384}],\"link\":{\"speed\":\"2.5 "
		  "GT/s PCIe\",\"width\":\"4\",\"max_speed\":\"5.0 GT/s PCIe\",\"max_width\":"
		  "\"8\"},\"siblings\":[\"0000:02:10.0\",\"0000:02:10.4\",\"0000:02:10.6\",\"0000:"
		  "02:11.0\",\"0000:02:11.2\"],\"uses\":[{\"text\":"
		  "\"network interface eth4 (up)\"}],\"more_uses\":true}" },
		{ 0 }
	};

	(void)state;
	check(script, "pci show 02:10.2", 0,
	      "Address:       0000:02:10.2\n"
	      "Device:        Intel Corporation 82576 Virtual Function [8086:10ca] rev 01\n"
	      "Class:         Ethernet controller [020000]\n"
	      "Serial:        00-11\n"
	      "MAC:           52:54:00:aa:00:01 (of its PF)\n"
	      "Slot:          2\n"
	      "State:         host\n"
	      "Driver:        igbvf\n"
	      "IOMMU group:   16\n"
	      "NUMA node:     1\n"
	      "Reset:         flr\n"
	      "Link:          2.5 GT/s PCIe x4, at most 5.0 GT/s PCIe x8\n"
	      "Bridge:        0000:00:09.0\n"
	      "VF:            1 of 0000:02:00.0\n"
	      "Siblings:      0000:02:10.0 0000:02:10.4 0000:02:10.6 0000:02:11.0\n"
	      "               0000:02:11.2\n"
	      "BARs:          0: 16.0K memory, 64 bit, prefetchable\n"
	      "               3: 16.0K memory\n"
	      "Capabilities:  MSI-X\n"
	      "               PCI Express\n"
	      "Used by:       network interface eth4 (up)\n"
	      "               and more\n");
	check(script, "pci show -q 02:10.2", 0, "0000:02:10.2\n");
}

static void test_doctor(void **state)
{
	static const struct peer_row script[] = {
		{ "pci.doctor", .params = "{\"pci\":\"02:10.2\"}",
		  .result = VF
		  ",\"assignable\":false,\"problems\":[{\"code\":1803,\"name\":"
		  "\"pci.group_not_viable\",\"message\":\"IOMMU group 16 is not viable\","
		  "\"cause\":[\"0000:04:01.0 is there\"],\"hint\":\"do this\"}],\"warnings\":[{"
		  "\"message\":\"beware\"}],\"uses\":[{\"text\":\"network interface eth4 "
		  "(up)\"}],\"members\":[" VF "}," STRAY "],\"acs\":[{\"bridge\":"
		  "\"0000:00:09.0\",\"lacks\":\"has no ACS\"}],\"fragment\":\"passthrough:\\n  "
		  "- pci: x\\n\"}" },
		{ "pci.doctor",
		  .result = VF ",\"assignable\":true,\"problems\":[],\"warnings\":[]}" },
		{ 0 }
	};

	(void)state;
	check(script, "pci doctor 02:10.2", 5,
	      "0000:02:10.2 Intel Corporation 82576 Virtual Function: cannot be passed through as "
	      "it is\n"
	      "\n"
	      "problem: IOMMU group 16 is not viable\n"
	      "  0000:04:01.0 is there\n"
	      "  hint: do this\n"
	      "\n"
	      "warning: beware\n"
	      "\n"
	      "The host would lose:\n"
	      "  network interface eth4 (up)\n"
	      "\n"
	      "IOMMU group 16:\n"
	      "ADDRESS       ROLE    DRIVER    GROUP  NUMA  STATE  DEVICE\n"
	      "0000:02:10.2  vf      igbvf        16     1  host   82576 Virtual Function\n"
	      "0000:04:01.0  device  vfio-pci      -     -  stray  1af4:00ff\n"
	      "together because 0000:00:09.0 has no ACS\n"
	      "\n"
	      "In a VM file:\n"
	      "passthrough:\n"
	      "  - pci: x\n");
	check(script, "pci doctor 0000:02:10.2", 0,
	      "0000:02:10.2 Intel Corporation 82576 Virtual Function: can be passed through\n");
	check(script, "pci doctor -q 02:10.2", 5, "fail\n");
}

static void test_host_doctor(void **state)
{
	static const struct peer_row bad[] = {
		{ "host.doctor",
		  .result = "{\"status\":\"fail\",\"checks\":[{\"name\":\"kvm\",\"status\":\"ok\","
			    "\"what\":\"usable\"},{\"name\":\"iommu\",\"status\":\"fail\",\"what\":"
			    "\"off\",\"hint\":\"switch it on\"}]}" },
		{ 0 }
	};
	static const struct peer_row good[] = {
		{ "host.doctor", .result = "{\"status\":\"warn\",\"checks\":[]}" }, { 0 }
	};

	(void)state;
	check(bad, "host doctor", 5,
	      "CHECK  RESULT  WHAT\n"
	      "kvm    ok      usable\n"
	      "iommu  fail    off\n"
	      "hint: iommu: switch it on\n");
	check(bad, "host doctor -q", 5, "fail\n");
	check(good, "host doctor -q", 0, "warn\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_leases),	    cmocka_unit_test(test_list),
		cmocka_unit_test(test_nothing),	    cmocka_unit_test(test_groups),
		cmocka_unit_test(test_show),	    cmocka_unit_test(test_doctor),
		cmocka_unit_test(test_host_doctor),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
