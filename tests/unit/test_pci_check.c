// SPDX-License-Identifier: MIT
/* vmd/pci_use's verdict: each reason why a function is not given away, in the words that its user reads. */
#include "tests/lib/test.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/auto.h"
#include "lib/errcat.h"
#include "tests/lib/pci_tree.h"
#include "tests/lib/tempdir.h"
#include "vmd/pci_use.h"

static int setup(void **state)
{
	*state = tempdir_new();
	pci_tree_make(*state);
	tempdir_file(*state, "proc/self/mountinfo", "");
	tempdir_file(*state, "sys/bus/pci/drivers/vfio-pci/new_id", "");
	return 0;
}

static int teardown(void **state)
{
	tempdir_remove(*state);
	return 0;
}

static int check_terms(const char *dir, const char *address, const struct pci_terms *terms,
		       struct err *e)
{
	struct pci_inventory inv;
	struct pci_addr a;
	struct hostfs h;
	int ret;

	*e = (struct err){ 0 };
	assert_int_equal(pci_addr_parse(address, &a, NULL), 0);
	assert_int_equal(hostfs_init(&h, dir, NULL), 0);
	assert_int_equal(pci_inventory_read(&h, &inv, e), 0);
	ret = pci_check_terms(&h, &inv, pci_inventory_find(&inv, &a), terms, e);
	pci_inventory_fini(&inv);
	hostfs_fini(&h);
	return ret;
}

static void refused(const char *dir, const char *address, int code, const char *msg,
		    const char *cause, const char *hint)
{
	const struct pci_terms terms = { 0 };
	struct err e;

	assert_int_equal(check_terms(dir, address, &terms, &e), -code);
	assert_string_equal(e.msg, msg);
	if (cause) /* else it has names of pci.ids, which may be missing */
		assert_string_equal(e.cause, cause);
	assert_string_equal(e.hint, hint);
}

static void accepted(const char *dir, const char *address, const struct pci_terms *terms)
{
	static const struct pci_terms none;
	struct err e;

	if (check_terms(dir, address, terms ? terms : &none, &e) < 0)
		fail_msg("%s", e.msg);
}

static void test_accepted(void **state)
{
	accepted(*state, "0000:01:00.0", NULL);
	accepted(*state, "0000:02:10.0", NULL);
	/* bound to the host's own driver, its interface up: a VF is for the taking */
	pci_tree_netdev(*state, "0000:02:10.2", "eth4", "52:54:00:00:00:04\n", 1);
	pci_tree_netdev(*state, "0000:02:00.0", "eth0", "52:54:00:00:00:03\n", 1);
	accepted(*state, "0000:02:10.2", NULL);
}

static void test_not_found(void **state)
{
	struct pci_addr a = { .bus = 0x3b };
	struct err e = { 0 };

	(void)state;
	assert_int_equal(pci_not_found(&a, &e), -ERR_PCI_NOT_FOUND);
	assert_string_equal(e.msg, "the host has no PCI device 0000:3b:00.0");
	assert_string_equal(e.hint,
			    "vmctl pci list shows what there is; addresses change when cards "
			    "are added or moved");
}

static void test_kind(void **state)
{
	refused(*state, "0000:00:08.0", ERR_PCI_KIND,
		"0000:00:08.0 is a PCI bridge, which no VM can have", "",
		"name a device behind it: vmctl pci list");
	refused(*state, "0000:00:1f.0", ERR_PCI_KIND,
		"0000:00:1f.0 is a part of the host's chipset (class 0601), which no VM can have",
		"", "vmctl pci list shows what else there is");
	refused(*state, "0000:00:00.0", ERR_PCI_KIND,
		"0000:00:00.0 is a part of the host's chipset (class 0600), which no VM can have",
		"", "vmctl pci list shows what else there is");
}

static void test_broken(void **state)
{
	uint8_t config[64];

	memset(config, 0xff, sizeof(config));
	pci_tree_bytes(*state, "sys/bus/pci/devices/0000:01:00.0/config", config, sizeof(config));
	refused(*state, "0000:01:00.0", ERR_PCI_BROKEN,
		"0000:01:00.0 does not answer: its configuration space reads all ones", "",
		"echo 1 >/sys/bus/pci/devices/0000:01:00.0/remove; echo 1 >/sys/bus/pci/rescan; if "
		"it "
		"stays so, switch the host off and on");
}

static void remove_file(const char *dir, const char *name)
{
	char path[512];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	assert_int_equal(remove(path), 0);
}

static void test_no_iommu(void **state)
{
	const char *dir = *state;
	char from[256], to[256];

	remove_file(dir, "sys/bus/pci/devices/0000:01:00.0/iommu_group");
	refused(dir, "0000:01:00.0", ERR_PCI_NO_IOMMU,
		"0000:01:00.0 has no IOMMU group: the host's IOMMU does not reach it", "",
		"put it into another slot, or take another device");
	snprintf(from, sizeof(from), "%s/sys/kernel/iommu_groups", dir);
	snprintf(to, sizeof(to), "%s/sys/kernel/none", dir);
	assert_int_equal(rename(from, to), 0);
	refused(dir, "0000:01:00.0", ERR_PCI_NO_IOMMU,
		"0000:01:00.0 has no IOMMU group: the firmware shows no IOMMU (ACPI has no table "
		"DMAR "
		"or IVRS)",
		"", "switch the IOMMU (VT-d or AMD-Vi) on in the firmware's setup");
	tempdir_file(dir, "proc/cpuinfo", "processor\t: 0\nvendor_id\t: AuthenticAMD\n");
	refused(dir, "0000:01:00.0", ERR_PCI_NO_IOMMU,
		"0000:01:00.0 has no IOMMU group: the firmware shows no IOMMU (ACPI has no table "
		"IVRS)",
		"", "switch the IOMMU (AMD-Vi) on in the firmware's setup");
	tempdir_file(dir, "sys/firmware/acpi/tables/IVRS", "");
	refused(dir, "0000:01:00.0", ERR_PCI_NO_IOMMU,
		"0000:01:00.0 has no IOMMU group: the kernel does not use the IOMMU that the "
		"firmware "
		"shows",
		"", "boot with amd_iommu=on on the kernel's command line");
	tempdir_file(dir, "proc/cpuinfo", "processor\t: 0\nvendor_id\t: GenuineIntel\n");
	refused(dir, "0000:01:00.0", ERR_PCI_NO_IOMMU,
		"0000:01:00.0 has no IOMMU group: the kernel does not use the IOMMU that the "
		"firmware "
		"shows",
		"", "boot with intel_iommu=on on the kernel's command line");
	tempdir_file(dir, "proc/cmdline", "root=/dev/sda1 intel_iommu=off quiet\n");
	refused(dir, "0000:01:00.0", ERR_PCI_NO_IOMMU,
		"0000:01:00.0 has no IOMMU group: the kernel's command line says intel_iommu=off",
		"",
		"put intel_iommu=on in the place of intel_iommu=off on the kernel's command line");
}

static void test_vital(void **state)
{
	const struct pci_terms allowed = { .allowed = true };

	pci_tree_block(*state, "0000:01:00.0", "nvme/nvme0/nvme0n1", "259:0\n");
	pci_tree_block(*state, "0000:01:00.0", "nvme/nvme0/nvme0n1/nvme0n1p1", "259:1\n");
	tempdir_file(*state, "proc/self/mountinfo",
		     "22 1 259:1 / / rw - ext4 /dev/nvme0n1p1 rw\n"
		     "23 22 259:1 /srv /srv rw - ext4 /dev/nvme0n1p1 rw\n");
	refused(*state, "0000:01:00.0", ERR_PCI_VITAL,
		"the host needs 0000:01:00.0: the host's root file system is on nvme0n1p1",
		"the file system /srv is on nvme0n1p1",
		"take another device; if the host can do without it, /etc/vmd/policy.yaml: pci: "
		"{allow: "
		"[\"0000:01:00.0\"]}");
	accepted(*state, "0000:01:00.0", &allowed);
}

/* No policy takes VFs from whoever has them. */
static void test_vfs(void **state)
{
	const struct pci_terms allowed = { .allowed = true };
	struct err e;

	refused(*state, "0000:02:00.0", ERR_PCI_VITAL,
		"the host needs 0000:02:00.0: 2 VFs of it exist", "",
		"vmctl sriov pf set 0000:02:00.0 --vfs 0 removes its VFs");
	assert_int_equal(check_terms(*state, "0000:02:00.0", &allowed, &e), -ERR_PCI_VITAL);
}

static void test_group(void **state)
{
	const struct pci_addr other = { .bus = 4, .dev = 2 };
	const struct pci_terms with = { .others = &other, .n_others = 1 };
	struct err e;

	pci_tree_netdev(*state, "0000:04:02.0", "eth2", "52:54:00:00:00:02\n", 1);
	pci_tree_netdev(*state, "0000:02:00.0", "eth0", "52:54:00:00:00:03\n", 1);
	tempdir_file(*state, "proc/net/route",
		     "eth2 00000000 010200C0 0003 0 0 0 00000000 0 0 0\n");
	assert_int_equal(check_terms(*state, "0000:04:01.0", &(struct pci_terms){ 0 }, &e),
			 -ERR_PCI_GROUP);
	assert_string_equal(e.msg,
			    "IOMMU group 10 of 0000:04:01.0 is not viable: the host's drivers have "
			    "0000:04:02.0 (e1000) in it");
	/* the class's name is of pci.ids, which may be missing */
	assert_memory_equal(e.cause, "0000:04:02.0 ", 13);
	assert_non_null(strstr(e.cause, "8086:100e, driver e1000: network interface eth2 has the "
					"default route"));
	assert_null(strstr(e.cause, "0000:03:00.0"));
	assert_string_equal(e.hint,
			    "give all of them to the same VM, or put the card into another slot; "
			    "vmctl pci doctor 0000:04:01.0 shows the group");
	accepted(*state, "0000:04:01.0", &with);
	pci_tree_bind(*state, "0000:04:02.0", "mlx5_vfio_pci");
	accepted(*state, "0000:04:01.0", NULL);
	pci_tree_bind(*state, "0000:04:02.0", NULL);
	accepted(*state, "0000:04:01.0", NULL);
}

/* One of them is the chipset's: they cannot all go to a VM. */
static void test_group_of_the_chipset(void **state)
{
	static const struct pci_tree_device smbus = {
		"pci0000:00/0000:00:1f.3", 0x8086, 0x2930, 0x0c0500, NULL, 7
	};

	pci_tree_add(*state, &smbus);
	refused(*state, "0000:00:1f.3", ERR_PCI_GROUP,
		"IOMMU group 7 of 0000:00:1f.3 is not viable: the host's drivers have "
		"0000:00:1f.0 (lpc_ich) in it",
		NULL,
		"put the card into another slot, or take another device; vmctl pci doctor "
		"0000:00:1f.3 shows the group");
}

static void test_large_group(void **state)
{
	char path[64];
	struct err e;

	for (int i = 0; i < 20; i++) {
		struct pci_tree_device d = { path, 0x8086, 0x2930, 0x0c0500, "i801", 8 };

		snprintf(path, sizeof(path), "pci0000:00/0000:05:%02x.0", i);
		pci_tree_add(*state, &d);
	}
	assert_int_equal(check_terms(*state, "0000:01:00.0", &(struct pci_terms){ 0 }, &e),
			 -ERR_PCI_GROUP);
	assert_string_equal(e.msg,
			    "IOMMU group 8 of 0000:01:00.0 is not viable: the host's drivers have "
			    "0000:05:00.0 (i801), 0000:05:01.0 (i801), 0000:05:02.0 (i801), "
			    "0000:05:03.0 (i801), 0000:05:04.0 (i801) and 15 more in it");
}

static void test_no_reset(void **state)
{
	const struct pci_addr other = { .bus = 4, .dev = 1 };
	struct pci_terms terms = { .others = &other, .n_others = 1 };
	struct err e;

	accepted(*state, "0000:04:02.0", &terms);
	terms.require_reset = true;
	assert_int_equal(check_terms(*state, "0000:04:02.0", &terms, &e), -ERR_PCI_NO_RESET);
	assert_string_equal(e.msg,
			    "0000:04:02.0 cannot be reset, so one VM's state could stay in it for "
			    "the next");
	assert_string_equal(e.hint,
			    "take another device, or require_reset: false in the policy file");
}

static void test_no_vfio(void **state)
{
	remove_file(*state, "sys/bus/pci/drivers/vfio-pci/new_id");
	remove_file(*state, "sys/bus/pci/drivers/vfio-pci");
	refused(*state, "0000:01:00.0", ERR_PCI_NO_VFIO,
		"the kernel's driver vfio-pci is not loaded", "",
		"modprobe vfio-pci; for every boot: echo vfio-pci "
		">/etc/modules-load.d/vfio-pci.conf");
}

static void count_codes(void *arg, const struct err *why)
{
	int *codes = arg;

	while (*codes)
		codes++;
	*codes = why->code;
}

/* The doctor's: all reasons, in their order. */
static void test_all(void **state)
{
	static const struct pci_terms terms = { .require_reset = true };
	static const int expected[] = { ERR_PCI_VITAL, ERR_PCI_GROUP, ERR_PCI_NO_RESET,
					ERR_PCI_NO_VFIO };
	const struct pci_addr a = { .bus = 4, .dev = 2 };
	struct pci_inventory inv;
	struct hostfs h;
	int codes[16] = { 0 };

	remove_file(*state, "sys/bus/pci/drivers/vfio-pci/new_id");
	remove_file(*state, "sys/bus/pci/drivers/vfio-pci");
	pci_tree_netdev(*state, "0000:04:02.0", "eth2", "52:54:00:00:00:02\n", 1);
	assert_int_equal(hostfs_init(&h, *state, NULL), 0);
	assert_int_equal(pci_inventory_read(&h, &inv, NULL), 0);
	assert_int_equal(pci_check_all(&h, &inv, pci_inventory_find(&inv, &a), &terms, count_codes,
				       codes),
			 4);
	assert_memory_equal(codes, expected, sizeof(expected));
	memset(codes, 0, sizeof(codes));
	assert_int_equal(pci_check_all(&h, &inv, &inv.functions[0], &terms, count_codes, codes), 1);
	assert_int_equal(codes[0], ERR_PCI_KIND);
	pci_inventory_fini(&inv);
	hostfs_fini(&h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_accepted, setup, teardown),
		cmocka_unit_test(test_not_found),
		cmocka_unit_test_setup_teardown(test_kind, setup, teardown),
		cmocka_unit_test_setup_teardown(test_broken, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_iommu, setup, teardown),
		cmocka_unit_test_setup_teardown(test_vital, setup, teardown),
		cmocka_unit_test_setup_teardown(test_vfs, setup, teardown),
		cmocka_unit_test_setup_teardown(test_group, setup, teardown),
		cmocka_unit_test_setup_teardown(test_group_of_the_chipset, setup, teardown),
		cmocka_unit_test_setup_teardown(test_large_group, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_reset, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_vfio, setup, teardown),
		cmocka_unit_test_setup_teardown(test_all, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
