// SPDX-License-Identifier: MIT
/*
 * What a VM may ask for of the host's devices and does not get: each with the whole of what people read, and with the host
 * as it was before. What the file alone shows to be wrong (multicast MAC, VLAN 4095) is in tests/config.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/errcat.h"
#include "tests/functional/leases.h"
#include "tests/functional/rows.h"
#include "tests/functional/scene.h"
#include "tests/lib/tempdir.h"

#define PF "0000:10:00.0"
#define OLD "0000:e1:01.0" /* shares its IOMMU group with OLDER */
#define OLDER "0000:e1:02.0"

/* The first cause is compared only where there is one to be read. */
static void expect_error(struct leases_world *w, const char *vm, int code, const char *message,
			 const char *cause, const char *hint)
{
	AUTO_JSON struct json_object *o = NULL;
	char params[64];

	snprintf(params, sizeof(params), "{'vm': '%s'}", vm);
	o = client_error(w->c, "vm.start", params);
	assert_string_equal(json_get_str(o, "message", ""), message);
	assert_int_equal(json_get_int(o, "code", 0), code);
	assert_string_equal(json_get_str(json_get(o, "data"), "hint", ""), hint);
	if (cause)
		assert_string_equal(json_object_get_string(json_at(o, "/data/cause/0")), cause);
	else
		assert_null(json_at(o, "/data/cause/0"));
}

/* Why a step failed: which, and the reason. */
static void expect_causes(struct leases_world *w, int code, const char *message, const char *step,
			  const char *reason, const char *hint)
{
	AUTO_JSON struct json_object *o = client_error(w->c, "vm.start", "{'vm': 'vm'}");
	const char *second = json_object_get_string(json_at(o, "/data/cause/1"));

	assert_string_equal(json_get_str(o, "message", ""), message);
	assert_int_equal(json_get_int(o, "code", 0), code);
	assert_string_equal(json_object_get_string(json_at(o, "/data/cause/0")), step);
	assert_string_equal(second ? second : "", reason);
	assert_string_equal(json_get_str(json_get(o, "data"), "hint", ""), hint);
}

static void expect_refused(struct leases_world *w, const char *passthrough, int code,
			   const char *message, const char *cause, const char *hint)
{
	leases_define_passthrough(w, "vm", passthrough);
	expect_error(w, "vm", code, message, cause, hint);
	leases_expect_clean(w);
}

/* --- what the host needs ------------------------------------------------------------------------------ */

#define ALLOW(pci)                                                                                \
	"take another device; if the host can do without it, /etc/vmd/policy.yaml: pci: {allow: " \
	"[\"" pci "\"]}"

static void test_root_disk(void **state)
{
	NEEDS_KVM;
	expect_refused(*state, "{'pci': '0000:00:1f.2'}", ERR_PCI_VITAL,
		       "the host needs 0000:00:1f.2: the host's root file system is on sda1",
		       "the host swaps to sda2", ALLOW("0000:00:1f.2"));
}

static void test_default_route(void **state)
{
	NEEDS_KVM;
	expect_refused(*state, "{'pci': '0000:00:19.0'}", ERR_PCI_VITAL,
		       "the host needs 0000:00:19.0: network interface eno1 has the default route",
		       NULL, ALLOW("0000:00:19.0"));
}

/* Without any route it is still the only way into the host. */
static void test_only_nic(void **state)
{
	struct leases_world *w = *state;

	NEEDS_KVM;
	tempdir_file(w->h->dir, "host/proc/net/route", "");
	json_object_put(simhost_step(w->h, "{'op':'link-down','pf':'" PF "'}"));
	simhost_snapshot(w->h, w->before);
	expect_refused(*state, "{'pci': '0000:00:19.0'}", ERR_PCI_VITAL,
		       "the host needs 0000:00:19.0: network interface eno1 is the only one with "
		       "a link",
		       NULL, ALLOW("0000:00:19.0"));
}

static void test_console(void **state)
{
	NEEDS_KVM;
	expect_refused(*state, "{'pci': '0000:00:02.0'}", ERR_PCI_VITAL,
		       "the host needs 0000:00:02.0: it has the host's console (boot display)",
		       "it has the host's console (fb0)", ALLOW("0000:00:02.0"));
}

/* One of two that the IOMMU cannot tell apart. Both of them in one VM are fine. */
static void test_group(void **state)
{
	struct leases_world *w = *state;

	NEEDS_KVM;
	leases_define_passthrough(w, "vm", "{'pci': '" OLD "'}");
	leases_expect_error(w, "vm.start", "{'vm': 'vm'}", ERR_PCI_GROUP,
			    " of " OLD " is not viable: the host's drivers have " OLDER
			    " (e1000) in it");
	leases_expect_clean(w);
	leases_define_passthrough(w, "vm", "{'pci': '" OLD "'}, {'pci': '" OLDER "'}");
	json_object_put(client_result(w->c, "vm.start", "{'vm': 'vm'}"));
	leases_expect(w, OLD, "vm", "in-use");
	leases_expect(w, OLDER, "vm", "in-use");
	json_object_put(client_result(w->c, "vm.stop", "{'vm': 'vm'}"));
	leases_expect_clean(w);
}

/* --- cards and their VFs ------------------------------------------------------------------------------ */

static void test_no_such_vf(void **state)
{
	struct leases_world *w = *state;

	NEEDS_KVM;
	expect_refused(w, "{'pci': '0000:10:10.5'}", ERR_PCI_NOT_FOUND,
		       "the host has no PCI device 0000:10:10.5: it would be VF 5 of PF " PF
		       ", which has 4 VFs of 8",
		       NULL,
		       "vmctl sriov pf set " PF " --vfs 6 makes it, until the next boot; a pool "
		       "makes its VFs at each");
	/* one more than the card can have */
	expect_refused(w, "{'pci': '0000:10:11.0'}", ERR_PCI_NOT_FOUND,
		       "the host has no PCI device 0000:10:11.0", NULL,
		       "vmctl pci list shows what there is; addresses change when cards are added "
		       "or moved");
	client_expect_error(w->c, "sriov.pf.set", "{'pci': '" PF "', 'vfs': 9}", ERR_POOL_PF,
			    "PF " PF " can have 8 VFs, not 9", "");
	leases_expect_clean(w);
}

static void test_pf_with_vfs(void **state)
{
	struct leases_world *w = *state;

	NEEDS_KVM;
	expect_refused(w, "{'pci': '" PF "'}", ERR_PCI_VITAL,
		       "the host needs " PF ": 4 VFs of it exist", NULL,
		       "vmctl sriov pf set " PF " --vfs 0 removes its VFs");
	json_object_put(client_result(w->c, "vm.start", "{'vm': 'two'}"));
	leases_define_passthrough(w, "vm", "{'pci': '" PF "'}");
	expect_error(w, "vm", ERR_LEASE_TAKEN,
		     "device " PF " has 4 VFs, and VM 'two' has one of them, " VF " (in-use)", NULL,
		     "take a VF of it too, or vmctl stop two");
	json_object_put(client_result(w->c, "vm.stop", "{'vm': 'two'}"));
	leases_expect_clean(w);
}

static void test_pf_without_sriov(void **state)
{
	struct leases_world *w = *state;

	NEEDS_KVM;
	client_expect_error(w->c, "sriov.pf.set", "{'pci': '" OLD "', 'vfs': 2}", ERR_POOL_PF,
			    "device " OLD " has no SR-IOV",
			    "vmctl sriov pf list shows what can have VFs; some cards have it "
			    "switched off in their firmware");
	leases_expect_clean(w);
}

static void test_pf_down(void **state)
{
	struct leases_world *w = *state;

	NEEDS_KVM;
	json_object_put(simhost_step(w->h, "{'op':'link-down','pf':'" PF "'}"));
	simhost_snapshot(w->h, w->before);
	expect_refused(w, "{'pci': '" VF "'}", ERR_POOL_DOWN,
		       "PF ens1 (" PF ") of VF " VF " is down", NULL, "ip link set ens1 up");
}

static void test_no_properties(void **state)
{
	NEEDS_KVM;
	expect_refused(*state, "{'pci': '" NVME "', 'vlan': 100}", ERR_INVALID,
		       "device " NVME " has no MAC, VLAN or rate to be set: it is no VF of a "
		       "network card whose driver is bound",
		       NULL,
		       "leave mac, vlan, qos, trust, spoofchk and rate out; vmctl pci show " NVME
		       " says what it is");
}

/* By the card's driver: which property, of which VF, in which step. */
static void test_property_refused(void **state)
{
	static const struct {
		const char *property, *file, *step, *text;
	} rows[] = {
		{ "mac", "'mac': '52:54:00:00:00:01'", "MAC 52:54:00:00:00:01",
		  "MAC 52:54:00:00:00:01" },
		{ "vlan", "'vlan': 100, 'qos': 3", "VLAN 100, QoS 3", "VLAN 100, QoS 3" },
		{ "spoofchk", "'spoofchk': false", "spoofchk off", "spoofchk off" },
		{ "trust", "'trust': true", "trust on", "trust on" },
		{ "max_tx_rate", "'rate': 1000", "most rate 1000 Mbit/s",
		  "transmit rate 0 to 1000 Mbit/s" },
	};
	struct leases_world *w = *state;

	NEEDS_KVM;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char text[256], step[128], cause[200], hint[96];

		snprintf(text, sizeof(text),
			 "[{'op':'vf-set','at':'%s','error':'EOPNOTSUPP','times':1}]",
			 rows[i].property);
		simhost_faults(w->h, text);
		snprintf(text, sizeof(text), "{'pci': '" VF "', %s}", rows[i].file);
		leases_define_passthrough(w, "vm", text);
		snprintf(step, sizeof(step), "cannot set %s on VF 1 of " PF, rows[i].step);
		snprintf(cause, sizeof(cause),
			 "driver igb refuses %s for VF 1 of " PF " (ens1): Operation not supported",
			 rows[i].text);
		snprintf(hint, sizeof(hint), "it does not have this property: leave '%s' out",
			 i < 4 ? rows[i].property : "rate");
		expect_causes(w, ERR_HOST_VF, "VM 'vm' does not get device " VF, step, cause, hint);
		leases_expect_clean(w);
	}
}

static void test_mac_of_a_vf(void **state)
{
	struct leases_world *w = *state;

	NEEDS_KVM;
	json_object_put(simhost_step(w->h, "{'op':'vf-set','pf':'" PF "','vf':3,"
					   "'set':{'mac':'52:54:00:00:00:77'}}"));
	simhost_snapshot(w->h, w->before);
	expect_refused(w, "{'pci': '" VF "', 'mac': '52:54:00:00:00:77'}", ERR_LEASE_MAC,
		       "MAC address 52:54:00:00:00:77 is that of VF 0000:10:10.3", NULL,
		       "give the VM another; if it was left behind there: ip link set ens1 vf 3 "
		       "mac 00:00:00:00:00:00");
}

/* --- what others have --------------------------------------------------------------------------------- */

static void test_leased(void **state)
{
	struct leases_world *w = *state;
	AUTO_JSON struct json_object *lease = NULL;
	char message[128];

	NEEDS_KVM;
	json_object_put(client_result(w->c, "vm.start", "{'vm': 'two'}"));
	lease = leases_find(w, VF);
	snprintf(message, sizeof(message), "device " VF " belongs to VM 'two' since %s (in-use)",
		 json_get_str(lease, "since", "?"));
	leases_define_passthrough(w, "vm", "{'pci': '" VF "'}");
	expect_error(w, "vm", ERR_LEASE_TAKEN, message, NULL, "vmctl stop two gives it back");
	json_object_put(client_result(w->c, "vm.stop", "{'vm': 'two'}"));
	leases_expect_clean(w);
}

static void test_other_identity(void **state)
{
	NEEDS_KVM;
	expect_refused(*state, "{'pci': '" VF "', 'identity': {'vendor': '15b3'}}", ERR_LEASE_OTHER,
		       "device " VF " is not the one that VM 'vm' asks for: vendor 8086 instead of "
		       "15b3",
		       NULL, "vmctl pci list shows where it is now");
}

/* --- what the host lacks ------------------------------------------------------------------------------ */

/* Something of the simulated host is not there. */
static void take_away(struct leases_world *w, const char *path)
{
	char from[400], to[400];

	snprintf(from, sizeof(from), "%s/%s", simhost_root(w->h), path);
	snprintf(to, sizeof(to), "%s/sim/away", simhost_root(w->h));
	assert_int_equal(rename(from, to), 0);
}

static void test_no_iommu(void **state)
{
	struct leases_world *w = *state;
	char group[300];

	NEEDS_KVM;
	snprintf(group, sizeof(group), "%s/sys/bus/pci/devices/" VF "/iommu_group",
		 simhost_root(w->h));
	assert_int_equal(unlink(group), 0);
	take_away(w, "sys/kernel/iommu_groups");
	tempdir_file(w->h->dir, "host/proc/cmdline", "root=/dev/sda1 ro\n");
	expect_refused(w, "{'pci': '" VF "'}", ERR_PCI_NO_IOMMU,
		       VF " has no IOMMU group: the kernel does not use the IOMMU that the "
			  "firmware shows",
		       NULL, "boot with intel_iommu=on on the kernel's command line");
}

static void test_no_vfio(void **state)
{
	struct leases_world *w = *state;

	NEEDS_KVM;
	take_away(w, "sys/bus/pci/drivers/vfio-pci");
	expect_refused(w, "{'pci': '" VF "'}", ERR_PCI_NO_VFIO,
		       "the kernel's driver vfio-pci is not loaded", NULL,
		       "modprobe vfio-pci; for every boot: echo vfio-pci "
		       ">/etc/modules-load.d/vfio-pci.conf");
}

/* Bound, and there is no way to it: it goes back. */
static void test_no_vfio_device(void **state)
{
	struct leases_world *w = *state;

	NEEDS_KVM;
	take_away(w, "dev/vfio/vfio");
	expect_refused(w, "{'pci': '" VF "'}", ERR_LEASE_VFIO,
		       "cannot open '/dev/vfio/vfio': No such file or directory", NULL,
		       "modprobe vfio-pci; ls -l /dev/vfio");
}

static void test_not_permitted(void **state)
{
	struct leases_world *w = *state;

	NEEDS_KVM;
	simhost_faults(w->h, "[{'op':'driver','at':'unbind','error':'EACCES','times':1}]");
	leases_define_passthrough(w, "vm", "{'pci': '" VF "'}");
	expect_causes(w, ERR_DENIED, "VM 'vm' does not get device " VF,
		      "cannot unbind " VF ", without override",
		      "cannot write '" VF "' to '/sys/bus/pci/devices/" VF
		      "/driver/unbind': Permission denied",
		      "vmd must run as root, with /sys writable (ReadWritePaths=/sys/bus "
		      "/sys/devices in its unit)");
	leases_expect_clean(w);
	simhost_faults(w->h, "[{'op':'vf-set','at':'mac','error':'EPERM','times':1}]");
	leases_define_passthrough(w, "vm", "{'pci': '" VF "', 'mac': '52:54:00:00:00:01'}");
	expect_causes(w, ERR_DENIED, "VM 'vm' does not get device " VF,
		      "cannot set MAC 52:54:00:00:00:01 on VF 1 of " PF,
		      "vmd may not set up VFs (CAP_NET_ADMIN)", "");
	leases_expect_clean(w);
}

/* --- what is gone ------------------------------------------------------------------------------------- */

/* In the middle of it: the one before it is as it was, and nothing is kept of what is gone. */
static void test_vanished(void **state)
{
	struct leases_world *w = *state;
	char *line, *end;

	NEEDS_KVM;
	simhost_faults(w->h,
		       "[{'op':'driver','pci':'" OLD "','at':'unbind','vanish':true,'times':1}]");
	leases_define_passthrough(w, "vm", "{'pci': '" OLDER "'}, {'pci': '" OLD "'}");
	expect_causes(w, ERR_HOST_GONE, "VM 'vm' does not get device " OLD,
		      "cannot unbind " OLD ", without override", "the host has no PCI device " OLD,
		      "vmctl pci list shows what is there");
	line = strstr(w->before, OLD " driver");
	assert_non_null(line);
	end = strchr(line, '\n') + 1;
	memmove(line, end, strlen(end) + 1);
	leases_expect_clean(w);
}

static void read_link(const char *path, char *out, size_t size)
{
	ssize_t n = readlink(path, out, size - 1);

	assert_true(n > 0);
	out[n] = '\0';
}

static void make_link(const char *to, const char *path)
{
	assert_int_equal(unlink(path), 0);
	assert_int_equal(symlink(to, path), 0);
}

/* --- what does not go alone --------------------------------------------------------------------------- */

/* Nothing was begun; also a dry run says it. */
static void expect_not_detached(struct leases_world *w, const char *message)
{
	static const char *const params[] = { "{'vm': 'vm', 'device': 'pci0'}",
					      "{'vm': 'vm', 'device': 'pci0', 'dry_run': true}" };

	for (size_t i = 0; i < ARRAY_SIZE(params); i++) {
		AUTO_JSON struct json_object *o = client_error(w->c, "vm.detach", params[i]);

		assert_string_equal(json_get_str(o, "message", ""), message);
		assert_int_equal(json_get_int(o, "code", 0), ERR_VM_DEVICE_FIXED);
		assert_string_equal(json_get_str(json_get(o, "data"), "hint", ""),
				    "vmctl stop vm gives both back");
	}
	assert_int_equal(rows_count(w->h, "attachment"), 0);
	leases_expect(w, OLD, "vm", "in-use");
	leases_expect(w, OLDER, "vm", "in-use");
}

static void test_part_of_a_group_stays(void **state)
{
	struct leases_world *w = *state;
	char path[300];

	NEEDS_KVM;
	leases_define_passthrough(w, "vm", "{'pci': '" OLD "'}, {'pci': '" OLDER "'}");
	json_object_put(client_result(w->c, "vm.start", "{'vm': 'vm'}"));
	/* whether they have resets or not */
	snprintf(path, sizeof(path), "%s/sys/bus/pci/devices/" OLD "/reset", simhost_root(w->h));
	assert_int_equal(close(creat(path, 0600)), 0);
	expect_not_detached(w, "device 'pci0' (" OLD ") shares IOMMU group 8 with 'pci1' (" OLDER
			       "), and does not go without it");
	json_object_put(client_result(w->c, "vm.stop", "{'vm': 'vm'}"));
	leases_expect_clean(w);
}

/* As with functions that the hardware keeps apart, but that have no reset each. */
static void test_part_of_a_bus_stays(void **state)
{
	struct leases_world *w = *state;
	char path[300], group[300];

	NEEDS_KVM;
	leases_define_passthrough(w, "vm", "{'pci': '" OLD "'}, {'pci': '" OLDER "'}");
	json_object_put(client_result(w->c, "vm.start", "{'vm': 'vm'}"));
	snprintf(path, sizeof(path), "%s/sys/bus/pci/devices/" OLDER "/iommu_group",
		 simhost_root(w->h));
	read_link(path, group, sizeof(group));
	make_link("../../../../../kernel/iommu_groups/99", path);
	expect_not_detached(w, "device 'pci0' (" OLD
			       ") has no reset of its own, only with its bus, where 'pci1' (" OLDER
			       ") is");
	make_link(group, path);
	json_object_put(client_result(w->c, "vm.stop", "{'vm': 'vm'}"));
	leases_expect_clean(w);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, leases_setup, leases_teardown)
	const struct CMUnitTest tests[] = {
		T(test_root_disk),
		T(test_default_route),
		T(test_only_nic),
		T(test_console),
		T(test_group),
		T(test_no_such_vf),
		T(test_pf_with_vfs),
		T(test_pf_without_sriov),
		T(test_pf_down),
		T(test_no_properties),
		T(test_property_refused),
		T(test_mac_of_a_vf),
		T(test_leased),
		T(test_other_identity),
		T(test_no_iommu),
		T(test_no_vfio),
		T(test_no_vfio_device),
		T(test_not_permitted),
		T(test_vanished),
		T(test_part_of_a_group_stays),
		T(test_part_of_a_bus_stays),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
