// SPDX-License-Identifier: MIT
/* pci.* and host.doctor: what a real vmd says of another host, whose sysfs stands below --sysroot. */
#include "tests/functional/harness.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/errcat.h"
#include "tests/lib/pci_tree.h"
#include "tests/lib/tempdir.h"

struct scene {
	struct harness *h;
	char root[160];
};

static int setup(void **state)
{
	struct scene *s = calloc(1, sizeof(*s));

	s->h = harness_new();
	snprintf(s->root, sizeof(s->root), "%s/root", s->h->dir);
	assert_int_equal(mkdir(s->root, 0755), 0);
	pci_tree_make(s->root);
	tempdir_file(s->root, "proc/sys/kernel/random/boot_id",
		     "11111111-1111-1111-1111-111111111111\n");
	tempdir_file(s->root, "proc/self/mountinfo",
		     "22 1 259:1 / / rw - ext4 /dev/nvme0n1p1 rw\n");
	tempdir_file(s->root, "proc/interrupts", " 24: 0 0 IR-PCI-MSI 1-edge eth0\n");
	tempdir_file(s->root, "proc/net/route",
		     "eth0 00000000 010200C0 0003 0 0 0 00000000 0 0 0\n");
	tempdir_file(s->root, "sys/bus/pci/drivers/vfio-pci/new_id", "");
	pci_tree_block(s->root, "0000:01:00.0", "nvme/nvme0/nvme0n1", "259:0\n");
	pci_tree_block(s->root, "0000:01:00.0", "nvme/nvme0/nvme0n1/nvme0n1p1", "259:1\n");
	pci_tree_netdev(s->root, "0000:02:00.0", "eth0", "52:54:00:aa:00:01\n", 1);
	pci_tree_netdev(s->root, "0000:04:02.0", "eth2", "52:54:00:aa:00:02\n", 1);
	*state = s;
	return 0;
}

static int teardown(void **state)
{
	struct scene *s = *state;

	harness_free(s->h);
	free(s);
	return 0;
}

/* The addresses of a list, with blanks between. */
static char *addresses(struct json_object *list, char *out, size_t size)
{
	out[0] = '\0';
	for (size_t i = 0; list && i < json_object_array_length(list); i++)
		snprintf(out + strlen(out), size - strlen(out), "%s%s", i ? " " : "",
			 json_get_str(json_object_array_get_idx(list, i), "pci", "?") + 5);
	return out;
}

static void check_list(struct client *c, const char *params, const char *expected)
{
	AUTO_JSON struct json_object *r = client_result(c, "pci.list", params);
	char text[512];

	assert_string_equal(addresses(json_get(r, "functions"), text, sizeof(text)), expected);
}

static void test_list(void **state)
{
	struct scene *s = *state;
	struct client *c;

	pci_tree_bind(s->root, "0000:04:01.0", "vfio-pci");
	harness_vmd(s->h, NULL, "--sysroot", s->root, NULL);
	c = harness_client(s->h);
	check_list(
		c, NULL,
		"00:00.0 00:08.0 00:09.0 00:0a.0 00:1f.0 01:00.0 02:00.0 02:10.0 02:10.2 03:00.0 "
		"04:01.0 04:02.0");
	check_list(c, "{'class': 'nic'}", "02:00.0 02:10.0 02:10.2 04:01.0 04:02.0");
	check_list(c, "{'class': 'nvme'}", "01:00.0");
	check_list(c, "{'class': 'gpu'}", "");
	check_list(c, "{'class': 'any', 'group': 10}", "03:00.0 04:01.0 04:02.0");
	check_list(c, "{'role': 'vf'}", "02:10.0 02:10.2");
	check_list(c, "{'role': 'pf'}", "02:00.0");
	check_list(c, "{'driver': 'igbvf'}", "02:10.2");
	check_list(c, "{'vendor': '1B36', 'role': 'device'}", "01:00.0");
	/* bound to vfio-pci by somebody else: told, and nothing more */
	check_list(c, "{'state': 'stray'}", "04:01.0");
	check_list(c, "{'state': 'idle', 'class': 'nic'}", "02:10.0");
	client_expect_error(
		c, "pci.list", "{'class': 'usb'}", ERR_RPC_PARAMS,
		"pci.list: /class: expected \"nic\", \"nvme\", \"gpu\" or \"any\", got \"usb\"",
		"");
}

static void test_get(void **state)
{
	struct scene *s = *state;
	AUTO_JSON struct json_object *pf = NULL, *vf = NULL;
	struct client *c;

	pci_tree_file(s->root, "0000:02:10.0", "resource",
		      "0x00000000fe000000 0x00000000fe003fff 0x000000000014220c\n"
		      "0x0000000000000000 0x0000000000000000 0x0000000000000000\n"
		      "0x000000000000c000 0x000000000000c01f 0x0000000000040101\n");
	pci_tree_file(s->root, "0000:02:00.0", "current_link_speed", "2.5 GT/s PCIe\n");
	harness_vmd(s->h, NULL, "--sysroot", s->root, NULL);
	c = harness_client(s->h);
	pf = client_result(c, "pci.get", "{'pci': '0000:02:00.0'}");
	assert_string_equal(json_get_str(pf, "state", ""), "host");
	assert_true(json_object_object_get_ex(pf, "lease", NULL));
	assert_int_equal(json_get_int(json_get(pf, "vfs"), "count", 0), 2);
	assert_int_equal(json_object_array_length(json_get(pf, "children")), 2);
	assert_string_equal(json_get_str(json_get(pf, "identity"), "mac", ""), "52:54:00:aa:00:01");
	assert_string_equal(json_get_str(json_get(pf, "link"), "speed", ""), "2.5 GT/s PCIe");
	assert_string_equal(json_get_str(json_at(pf, "/uses/1"), "text", ""),
			    "network interface eth0 has the default route");
	assert_string_equal(json_get_str(pf, "parent", ""), "0000:00:09.0");
	vf = client_result(c, "pci.get", "{'pci': '02:10.0'}");
	assert_string_equal(json_get_str(vf, "pf", ""), "0000:02:00.0");
	assert_int_equal(json_get_int(vf, "vf", -1), 0);
	assert_string_equal(json_object_get_string(json_at(vf, "/siblings/0")), "0000:02:10.2");
	assert_int_equal(json_get_int(json_at(vf, "/bars/0"), "size", 0), 16384);
	assert_true(json_get_bool(json_at(vf, "/bars/0"), "prefetchable", false));
	assert_true(json_get_bool(json_at(vf, "/bars/0"), "64bit", false));
	assert_string_equal(json_get_str(json_at(vf, "/bars/1"), "type", ""), "io");
	assert_int_equal(json_get_int(json_at(vf, "/bars/1"), "bar", 0), 2);
	client_expect_error(
		c, "pci.get", "{'pci': '0000:3b:00.0'}", ERR_PCI_NOT_FOUND,
		"the host has no PCI device 0000:3b:00.0",
		"vmctl pci list shows what there is; addresses change when cards are added or "
		"moved");
	client_expect_error(c, "pci.get", "{'pci': '0000:02:00.9'}", ERR_RPC_PARAMS,
			    "'0000:02:00.9' is not a PCI address",
			    "write it as lspci -D does, like 0000:3b:00.0");
}

static void test_groups(void **state)
{
	struct scene *s = *state;
	AUTO_JSON struct json_object *r = NULL;
	struct json_object *groups;
	struct client *c;
	char text[256];

	harness_vmd(s->h, NULL, "--sysroot", s->root, NULL);
	c = harness_client(s->h);
	r = client_result(c, "pci.groups", NULL);
	groups = json_get(r, "groups");
	assert_int_equal(json_object_array_length(groups), 10);
	assert_int_equal(json_get_int(json_object_array_get_idx(groups, 7), "group", 0), 10);
	assert_string_equal(addresses(json_at(r, "/groups/7/members"), text, sizeof(text)),
			    "03:00.0 04:01.0 04:02.0");
	assert_string_equal(json_get_str(json_at(r, "/groups/7/members/1"), "state", ""), "host");
}

/* A group of two behind a bridge to conventional PCI: both go, or none. */
static void test_doctor_group(void **state)
{
	struct scene *s = *state;
	AUTO_JSON struct json_object *r = NULL;
	uint8_t config[4096] = { 0x36,	   0x1b,	  0x0e,		 0x00,	       [6] = 0x10,
				 [14] = 1, [0x34] = 0x40, [0x40] = 0x10, [0x42] = 0x72 };
	struct client *c;

	pci_tree_bytes(s->root, "sys/bus/pci/devices/0000:03:00.0/config", config, sizeof(config));
	harness_vmd(s->h, NULL, "--sysroot", s->root, NULL);
	c = harness_client(s->h);
	r = client_result(c, "pci.doctor", "{'pci': '0000:04:01.0'}");
	assert_false(json_get_bool(r, "assignable", true));
	assert_int_equal(json_object_array_length(json_get(r, "problems")), 1);
	assert_string_equal(json_get_str(json_at(r, "/problems/0"), "name", ""),
			    "pci.group_not_viable");
	assert_int_equal(json_object_array_length(json_get(r, "members")), 3);
	assert_string_equal(json_get_str(json_at(r, "/members/2/uses/0"), "text", ""),
			    "network interface eth2 (up)");
	assert_string_equal(json_get_str(json_at(r, "/acs/0"), "bridge", ""), "0000:03:00.0");
	assert_string_equal(json_get_str(json_at(r, "/acs/0"), "lacks", ""),
			    "leads to conventional PCI, where all devices look like one");
	assert_string_equal(json_get_str(r, "fragment", ""),
			    "passthrough:\n  - pci: \"0000:04:01.0\"\n  - pci: \"0000:04:02.0\"\n");
}

/* A root port without ACS, or with ACS that nobody has switched on. */
static void test_doctor_acs(void **state)
{
	static const struct pci_tree_device twin = {
		"pci0000:00/0000:00:08.0/0000:01:00.1", 0x1b36, 0x11, 0x010802, NULL, 8, "flr"
	};
	uint8_t config[4096] = {
		0x36,	       0x1b,	      0x0c,	     0x00,	  [6] = 0x10, [14] = 1,
		[0x34] = 0x40, [0x40] = 0x10, [0x42] = 0x42, [0x100] = 1, [0x102] = 1
	};
	static const char name[] = "sys/bus/pci/devices/0000:00:08.0/config";
	struct scene *s = *state;
	struct client *c;

	pci_tree_add(s->root, &twin);
	pci_tree_bytes(s->root, name, config, sizeof(config));
	harness_vmd(s->h, NULL, "--sysroot", s->root, NULL);
	c = harness_client(s->h);
	{
		AUTO_JSON struct json_object *r =
			client_result(c, "pci.doctor", "{'pci': '0000:01:00.0'}");

		assert_string_equal(json_get_str(json_at(r, "/acs/0"), "bridge", ""),
				    "0000:00:08.0");
		assert_string_equal(json_get_str(json_at(r, "/acs/0"), "lacks", ""),
				    "has no ACS (Access Control Services)");
		assert_string_equal(
			json_get_str(json_at(r, "/acs/1"), "lacks", ""),
			"is one of several functions of a device without ACS between them");
	}
	config[0x100] = 0x0d; /* ACS */
	config[0x106] = 0x05; /* source validation and request redirect alone */
	pci_tree_bytes(s->root, name, config, sizeof(config));
	{
		AUTO_JSON struct json_object *r =
			client_result(c, "pci.doctor", "{'pci': '0000:01:00.0'}");

		assert_string_equal(json_get_str(json_at(r, "/acs/0"), "lacks", ""),
				    "has ACS, but not switched on");
	}
	config[0x106] = 0x1d;
	pci_tree_bytes(s->root, name, config, sizeof(config));
	{
		AUTO_JSON struct json_object *r =
			client_result(c, "pci.doctor", "{'pci': '0000:01:00.0'}");

		assert_string_equal(json_get_str(json_at(r, "/acs/0"), "bridge", ""),
				    "0000:01:00.0");
		assert_int_equal(json_object_array_length(json_get(r, "acs")), 1);
	}
}

static void test_doctor(void **state)
{
	struct scene *s = *state;
	AUTO_JSON struct json_object *vf = NULL, *disk = NULL, *nic = NULL, *bridge = NULL;
	AUTO_JSON struct json_object *twin = NULL;
	struct client *c;
	const char *policy =
		harness_file(s->h, "policy.yaml", "pci: {deny: [{class: \"0108\"}]}\n");

	tempdir_file(s->root, "proc/interrupts", " 24: 0 0 PCI-MSI 1-edge eth0\n");
	harness_vmd(s->h, NULL, "--sysroot", s->root, "--policy", policy, NULL);
	c = harness_client(s->h);
	vf = client_result(c, "pci.doctor", "{'pci': '0000:02:10.2'}");
	assert_true(json_get_bool(vf, "assignable", false));
	assert_int_equal(json_object_array_length(json_get(vf, "problems")), 0);
	assert_string_equal(json_get_str(vf, "fragment", ""),
			    "passthrough:\n  - pci: \"0000:02:10.2\"\n");
	assert_string_equal(json_get_str(json_at(vf, "/warnings/0"), "message", ""),
			    "interrupts are not remapped: a VM with a device could send any");
	assert_null(json_get(vf, "acs"));
	/* denied, and the host's own root disk */
	disk = client_result(c, "pci.doctor", "{'pci': '0000:01:00.0'}");
	assert_string_equal(json_get_str(json_at(disk, "/problems/0"), "message", ""),
			    "the policy file keeps 0000:01:00.0 from VMs: /pci/deny/0");
	assert_string_equal(
		json_get_str(json_at(disk, "/problems/1"), "message", ""),
		"the host needs 0000:01:00.0: the host's root file system is on nvme0n1p1");
	assert_null(json_get(disk, "fragment"));
	/* the one with the default route, and with VFs; without a reset: a warning */
	nic = client_result(c, "pci.doctor", "{'pci': '0000:04:02.0'}");
	assert_string_equal(json_get_str(json_at(nic, "/warnings/0"), "message", ""),
			    "it cannot be reset: what one VM left in it meets the next");
	twin = client_result(c, "pci.doctor", "{'pci': '0000:04:01.0'}");
	assert_string_equal(json_get_str(json_at(twin, "/warnings/0"), "message", ""),
			    "its only reset is that of its bus, which it shares with 0000:04:02.0");
	/* what no VM can have needs no more advice */
	bridge = client_result(c, "pci.doctor", "{'pci': '0000:00:08.0'}");
	assert_string_equal(json_get_str(json_at(bridge, "/problems/0"), "name", ""),
			    "pci.not_assignable");
	assert_int_equal(json_object_array_length(json_get(bridge, "warnings")), 0);
}

/* What the doctor prints for a VM file makes one, as it stands. */
static void expect_fragment(struct scene *s, const char *pci, unsigned int devices)
{
	static struct harness_output got;
	char text[1024];
	const char *path, *fragment;
	unsigned int n = 0;

	harness_vmctl(s->h, NULL, &got, "pci", "doctor", pci, NULL);
	fragment = strstr(got.out, "\nIn a VM file:\n");
	assert_non_null(fragment);
	snprintf(text, sizeof(text), "name: guest\nboot: {kernel: /boot/vmlinuz}\n%s",
		 fragment + strlen("\nIn a VM file:\n"));
	for (const char *at = text; (at = strstr(at, "  - pci: \"0000:")); at++)
		n++;
	assert_int_equal(n, devices);
	path = harness_file(s->h, "guest.yaml", text);
	if (harness_vmctl(s->h, NULL, &got, "validate", path, NULL))
		fail_msg("%s\n%s", got.err, text);
	if (harness_vmctl(s->h, NULL, &got, "apply", "-f", path, NULL))
		fail_msg("%s", got.err);
	/* and vmd has it */
	assert_int_equal(harness_vmctl(s->h, NULL, &got, "export", "guest", NULL), 0);
	assert_non_null(strstr(got.out, pci));
}

static void test_fragment(void **state)
{
	struct scene *s = *state;

	harness_vmd(s->h, NULL, "--sysroot", s->root, NULL);
	expect_fragment(s, "0000:02:10.2", 1);
	expect_fragment(s, "0000:04:01.0", 2); /* and who shares its group */
}

static const char *check_of(struct json_object *r, const char *name, const char *key)
{
	struct json_object *checks = json_get(r, "checks");

	for (size_t i = 0; i < json_object_array_length(checks); i++) {
		struct json_object *o = json_object_array_get_idx(checks, i);

		if (!strcmp(json_get_str(o, "name", ""), name))
			return json_get_str(o, key, "");
	}
	return "(no such check)";
}

static void test_host_doctor(void **state)
{
	struct scene *s = *state;
	AUTO_JSON struct json_object *bad = NULL, *good = NULL;
	struct client *c;
	char path[256];

	tempdir_file(s->root, "proc/self/limits",
		     "Limit Soft Hard\nMax locked memory         8388608  8388608  bytes\n");
	tempdir_file(s->root, "proc/self/status", "Name:\tvmd\nCapEff:\t0000000000000000\n");
	tempdir_file(s->root, "sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages", "0\n");
	tempdir_file(s->root, "sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages", "0\n");
	tempdir_file(s->root, "sys/module/kvm_amd/parameters/nested", "0\n");
	harness_vmd(s->h, NULL, "--sysroot", s->root, "--cgroup", "none", NULL);
	c = harness_client(s->h);
	bad = client_result(c, "host.doctor", NULL);
	assert_string_equal(json_get_str(bad, "status", ""), "fail");
	assert_string_equal(check_of(bad, "kvm", "status"), "fail");
	assert_string_equal(
		check_of(bad, "nested", "hint"),
		"options kvm_amd nested=1 in /etc/modprobe.d/kvm.conf, then load it anew");
	assert_string_equal(check_of(bad, "iommu", "status"), "ok");
	assert_string_equal(check_of(bad, "interrupt-remapping", "status"), "ok");
	assert_string_equal(check_of(bad, "vfio_pci", "status"), "ok");
	assert_string_equal(check_of(bad, "vfio_iommu_type1", "what"),
			    "not loaded: no device can be passed through");
	assert_string_equal(check_of(bad, "vhost_net", "status"), "warn");
	assert_string_equal(check_of(bad, "hugepages-2MiB", "what"), "none reserved");
	assert_string_equal(check_of(bad, "memlock", "what"),
			    "8388608 bytes: VMs with devices cannot pin their memory");
	assert_string_equal(check_of(bad, "cgroup", "what"), "no cgroup v2: VMs cannot be limited");
	assert_string_equal(check_of(bad, "udev-rule", "status"), "warn");

	tempdir_file(s->root, "proc/self/status", "Name:\tvmd\nCapEff:\t0000000001000000\n");
	tempdir_file(s->root, "sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages", "8\n");
	tempdir_file(s->root, "sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages", "5\n");
	tempdir_file(s->root, "sys/module/kvm_amd/parameters/nested", "1\n");
	tempdir_file(s->root, "sys/fs/cgroup/cgroup.controllers", "cpuset cpu io pids\n");
	tempdir_file(s->root, "usr/lib/udev/rules.d/60-vmd-vf.rules", "");
	tempdir_file(s->root, "dev/iommu", "");
	tempdir_file(s->root, "proc/interrupts", " 24: 0 0 PCI-MSI 1-edge eth0\n");
	good = client_result(c, "host.doctor", NULL);
	assert_string_equal(check_of(good, "nested", "status"), "ok");
	assert_string_equal(check_of(good, "hugepages-2MiB", "what"), "5 of 8 free");
	assert_string_equal(check_of(good, "memlock", "status"), "ok");
	assert_string_equal(check_of(good, "vfio_iommu_type1", "status"), "ok");
	assert_string_equal(check_of(good, "cgroup", "what"),
			    "version 2 without the controllers memory");
	assert_string_equal(check_of(good, "udev-rule", "status"), "ok");
	assert_string_equal(check_of(good, "interrupt-remapping", "status"), "warn");

	/* where it cannot be told, nothing is said against it */
	snprintf(path, sizeof(path), "%s/proc/interrupts", s->root);
	assert_int_equal(remove(path), 0);
	json_object_put(good);
	good = client_result(c, "host.doctor", NULL);
	assert_string_equal(check_of(good, "interrupt-remapping", "status"), "ok");

	/* no IOMMU at all */
	snprintf(path, sizeof(path), "%s/sys/kernel/iommu_groups", s->root);
	snprintf(s->root + strlen(s->root), 8, "/gone");
	assert_int_equal(rename(path, s->root), 0);
	json_object_put(good);
	good = client_result(c, "host.doctor", NULL);
	assert_string_equal(
		check_of(good, "iommu", "what"),
		"off, no device can be passed through: the firmware shows no IOMMU (ACPI has no "
		"table DMAR or IVRS)");
}

/* What vmctl makes of it: tables of at most 80 columns, and statuses. */
static void test_vmctl(void **state)
{
	static struct harness_output got;
	struct scene *s = *state;

	harness_vmd(s->h, NULL, "--sysroot", s->root, NULL);
	assert_int_equal(harness_vmctl(s->h, NULL, &got, "pci", "list", NULL), 0);
	assert_non_null(strstr(got.out, "0000:02:10.2  vf      igbvf "));
	for (const char *line = got.out; *line; line += strcspn(line, "\n") + 1)
		assert_true(strcspn(line, "\n") <= 80);
	assert_int_equal(harness_vmctl(s->h, NULL, &got, "pci", "doctor", "0000:04:01.0", NULL),
			 EXIT_PRECONDITION);
	assert_non_null(strstr(got.out, "\nproblem: IOMMU group 10 of 0000:04:01.0 is not viable"));
	assert_non_null(strstr(got.out, "\nIn a VM file:\npassthrough:\n"));
	assert_int_equal(harness_vmctl(s->h, NULL, &got, "pci", "doctor", "-q", "02:10.2", NULL),
			 0);
	assert_string_equal(got.out, "ok\n");
	assert_int_equal(harness_vmctl(s->h, NULL, &got, "pci", "show", "3b:00.0", NULL),
			 EXIT_NOT_FOUND);
	assert_string_equal(
		got.err,
		"vmctl: cannot show '3b:00.0': the host has no PCI device 0000:3b:00.0\n"
		"hint: vmctl pci list shows what there is; addresses change when cards are "
		"added or moved\ncode: E1801 (pci.not_found)\n");
	assert_int_equal(harness_vmctl(s->h, NULL, &got, "host", "doctor", NULL),
			 EXIT_PRECONDITION);
	assert_non_null(strstr(got.out, "\niommu                ok      on\n"));
}

static void check_completion(const char *begin, const char *expected)
{
	static struct harness_output got;
	char vmctl[256], complete[] = "__complete", pci[] = "pci", show[] = "show", word[64];
	char *argv[] = { vmctl, complete, pci, show, word, NULL };

	snprintf(word, sizeof(word), "%s", begin);
	harness_program("vmctl", vmctl, sizeof(vmctl));
	assert_int_equal(harness_run(NULL, &got, argv), 0);
	/* names are of pci.ids */
	assert_memory_equal(got.out, expected, strlen(expected));
	assert_int_equal(strlen(got.out) > 0, strlen(expected) > 0);
}

static void test_completion(void **state)
{
	struct scene *s = *state;

	harness_vmd(s->h, NULL, "--sysroot", s->root, NULL);
	setenv("VMD_SOCKET", s->h->socket, 1);
	check_completion("0000:02:1", "0000:02:10.0");
	check_completion("0000:04:02", "0000:04:02.0");
	check_completion("0000:03", "");
	check_completion("0001", "");
}

/* The client goes while a worker reads: nothing is lost but its answer. */
static void test_client_leaves(void **state)
{
	struct scene *s = *state;
	AUTO_JSON struct json_object *r = NULL;
	struct client *c;

	harness_vmd(s->h, NULL, "--sysroot", s->root, NULL);
	for (int i = 0; i < 20; i++) {
		c = harness_client(s->h);
		client_ask(c, "pci.groups", NULL);
		client_close(s->h, c);
	}
	c = harness_client(s->h);
	r = client_result(c, "pci.list", NULL);
	assert_int_equal(json_object_array_length(json_get(r, "functions")), 12);
	client_ask(c, "pci.groups", NULL);
	assert_int_equal(harness_vmd_end(s->h, SIGTERM), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_list, setup, teardown),
		cmocka_unit_test_setup_teardown(test_get, setup, teardown),
		cmocka_unit_test_setup_teardown(test_groups, setup, teardown),
		cmocka_unit_test_setup_teardown(test_doctor_group, setup, teardown),
		cmocka_unit_test_setup_teardown(test_doctor_acs, setup, teardown),
		cmocka_unit_test_setup_teardown(test_doctor, setup, teardown),
		cmocka_unit_test_setup_teardown(test_fragment, setup, teardown),
		cmocka_unit_test_setup_teardown(test_host_doctor, setup, teardown),
		cmocka_unit_test_setup_teardown(test_vmctl, setup, teardown),
		cmocka_unit_test_setup_teardown(test_completion, setup, teardown),
		cmocka_unit_test_setup_teardown(test_client_leaves, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
