// SPDX-License-Identifier: MIT
/* vmd/pci_use: what the host does with a function, by what sysfs and procfs say of it. */
#include "tests/lib/test.h"

#include <stdio.h>
#include <string.h>

#include "lib/auto.h"
#include "tests/lib/pci_tree.h"
#include "tests/lib/tempdir.h"
#include "vmd/pci_use.h"

#define NVME "0000:01:00.0"
#define IGB "0000:02:00.0"

static int setup(void **state)
{
	*state = tempdir_new();
	pci_tree_make(*state);
	tempdir_file(*state, "proc/self/mountinfo", "");
	return 0;
}

static int teardown(void **state)
{
	tempdir_remove(*state);
	return 0;
}

/* All of them, a line each; what is vital has a '!'. */
static char *uses_of(const char *dir, const char *address)
{
	struct pci_inventory inv;
	struct pci_uses uses;
	struct pci_addr a;
	struct hostfs h;
	struct err e = { 0 };
	char *text = calloc(1, 8192), one[256];

	assert_int_equal(pci_addr_parse(address, &a, NULL), 0);
	assert_int_equal(hostfs_init(&h, dir, NULL), 0);
	assert_int_equal(pci_inventory_read(&h, &inv, &e), 0);
	if (pci_uses_read(&h, &inv, pci_inventory_find(&inv, &a), &uses, &e) < 0)
		fail_msg("%s", e.msg);
	for (size_t i = 0; i < uses.n; i++)
		snprintf(text + strlen(text), 8192 - strlen(text), "%s%s\n",
			 uses.uses[i].vital ? "! " : "",
			 pci_use_text(&uses.uses[i], one, sizeof(one)));
	if (uses.more)
		strcat(text, "more\n");
	pci_inventory_fini(&inv);
	hostfs_fini(&h);
	return text;
}

static void check_uses(const char *dir, const char *address, const char *expected)
{
	AUTO_FREE char *text = uses_of(dir, address);

	assert_string_equal(text, expected);
}

static void test_nothing(void **state)
{
	check_uses(*state, NVME, "");
	check_uses(*state, "0000:00:08.0", "");
}

static void test_netdevs(void **state)
{
	pci_tree_netdev(*state, "0000:04:01.0", "eth1", "52:54:00:00:00:01\n", 0);
	check_uses(*state, "0000:04:01.0", "network interface eth1 (down)\n");
	/* both have a link: neither is the only one */
	pci_tree_netdev(*state, "0000:04:01.0", "eth1", "52:54:00:00:00:01\n", 1);
	pci_tree_netdev(*state, "0000:04:02.0", "eth2", "52:54:00:00:00:02\n", 1);
	check_uses(*state, "0000:04:01.0", "network interface eth1 (up)\n");
	pci_tree_netdev(*state, "0000:04:02.0", "eth2", "52:54:00:00:00:02\n", 0);
	check_uses(*state, "0000:04:01.0",
		   "network interface eth1 (up)\n"
		   "! network interface eth1 is the only one with a link\n");
	/* a VF's interface would go with it */
	pci_tree_netdev(*state, "0000:02:10.2", "eth4", "52:54:00:00:00:04\n", 1);
	pci_tree_netdev(*state, IGB, "eth0", "52:54:00:00:00:03\n", 1);
	pci_tree_netdev(*state, "0000:04:01.0", "eth1", "52:54:00:00:00:01\n", 0);
	check_uses(*state, IGB,
		   "network interface eth0 (up)\n"
		   "! network interface eth0 is the only one with a link\n"
		   "! 2 VFs of it exist\n");
	check_uses(*state, "0000:02:10.2", "network interface eth4 (up)\n");
}

static void test_default_route(void **state)
{
	static const char head[] =
		"Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\n";
	char text[512];

	pci_tree_netdev(*state, "0000:04:01.0", "eth1", "52:54:00:00:00:01\n", 1);
	pci_tree_netdev(*state, "0000:04:02.0", "eth2", "52:54:00:00:00:02\n", 1);
	snprintf(text, sizeof(text),
		 "%seth1\t0000FEA9\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0\n", head);
	tempdir_file(*state, "proc/net/route", text);
	check_uses(*state, "0000:04:01.0", "network interface eth1 (up)\n");
	snprintf(text, sizeof(text),
		 "%seth1\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n", head);
	tempdir_file(*state, "proc/net/route", text);
	check_uses(*state, "0000:04:01.0",
		   "network interface eth1 (up)\n"
		   "! network interface eth1 has the default route\n");
	/* a VLAN on a bridge on it has it */
	snprintf(text, sizeof(text),
		 "%sbr0.7\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n", head);
	tempdir_file(*state, "proc/net/route", text);
	pci_tree_link(*state, "sys/class/net/eth1/upper_br0", "../../virtual/net/br0");
	pci_tree_link(*state, "sys/devices/virtual/net/br0/upper_br0.7", "../br0.7");
	pci_tree_link(*state, "sys/class/net/br0", "../../devices/virtual/net/br0");
	check_uses(*state, "0000:04:01.0",
		   "network interface eth1 (up, in br0)\n"
		   "! network interface eth1 has the default route, through br0.7\n");
	/* a ring of uppers ends */
	pci_tree_link(*state, "sys/class/net/br0.7", "../../devices/virtual/net/br0.7");
	pci_tree_link(*state, "sys/devices/virtual/net/br0.7/upper_br0", "../br0");
	tempdir_file(*state, "proc/net/route", head);
	check_uses(*state, "0000:04:01.0", "network interface eth1 (up, in br0)\n");
	tempdir_file(
		*state, "proc/net/ipv6_route",
		"00000000000000000000000000000000 00 00000000000000000000000000000000 00 "
		"fe800000000000000000000000000001 00000400 00000001 00000000 00000003     eth2\n"
		"00000000000000000000000000000000 00 00000000000000000000000000000000 00 "
		"00000000000000000000000000000000 ffffffff 00000001 00000000 00200200       lo\n");
	check_uses(*state, "0000:04:02.0",
		   "network interface eth2 (up)\n"
		   "! network interface eth2 has the default route\n");
}

/* vmd is in a network namespace of its own, as under its unit: the routes that count are those of the host's init. */
static void test_default_route_of_the_host(void **state)
{
	static const char head[] =
		"Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\n";
	char text[512];

	pci_tree_netdev(*state, "0000:04:01.0", "eth1", "52:54:00:00:00:01\n", 1);
	pci_tree_netdev(*state, "0000:04:02.0", "eth2", "52:54:00:00:00:02\n", 1);
	tempdir_file(*state, "proc/net/route", head);
	snprintf(text, sizeof(text),
		 "%seth1\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n", head);
	tempdir_file(*state, "proc/1/net/route", text);
	check_uses(*state, "0000:04:01.0",
		   "network interface eth1 (up)\n"
		   "! network interface eth1 has the default route\n");
	tempdir_file(
		*state, "proc/1/net/ipv6_route",
		"00000000000000000000000000000000 00 00000000000000000000000000000000 00 "
		"fe800000000000000000000000000001 00000400 00000001 00000000 00000003     eth2\n");
	check_uses(*state, "0000:04:02.0",
		   "network interface eth2 (up)\n"
		   "! network interface eth2 has the default route\n");
}

static void mounts(const char *dir, const char *text)
{
	tempdir_file(dir, "proc/self/mountinfo", text);
}

static void test_disks(void **state)
{
	pci_tree_block(*state, NVME, "nvme/nvme0/nvme0n1", "259:0\n");
	check_uses(*state, NVME, "block device nvme0n1\n");
	pci_tree_block(*state, NVME, "nvme/nvme0/nvme0n1/nvme0n1p1", "259:1\n");
	pci_tree_block(*state, NVME, "nvme/nvme0/nvme0n1/nvme0n1p2", "259:2\n");
	mounts(*state,
	       "22 1 8:1 / / rw - ext4 /dev/sda1 rw\n"
	       "23 22 259:1 / /mnt/my\\040data rw,relatime shared:1 - ext4 /dev/nvme0n1p1 rw\n");
	check_uses(*state, NVME,
		   "block device nvme0n1\n"
		   "block device nvme0n1p1\n"
		   "! the file system /mnt/my data is on nvme0n1p1\n"
		   "block device nvme0n1p2\n");
	mounts(*state, "23 22 259:2 / / rw,relatime shared:1 - ext4 /dev/root rw\n");
	tempdir_file(*state, "proc/swaps",
		     "Filename\t\t\tType\t\tSize\n/dev/nvme0n1p1   partition\t8388604\t0\t-2\n");
	check_uses(*state, NVME,
		   "block device nvme0n1\n"
		   "block device nvme0n1p1\n"
		   "! the host swaps to nvme0n1p1\n"
		   "block device nvme0n1p2\n"
		   "! the host's root file system is on nvme0n1p2\n");
	check_uses(*state, IGB, "! 2 VFs of it exist\n");
}

/* LVM on LUKS on md on a partition; mountinfo names the mapper's device. */
static void test_stacks(void **state)
{
	static const char *const above[] = { "md0", "dm-0", "dm-1" };
	char path[128], target[128];

	pci_tree_block(*state, NVME, "nvme/nvme0/nvme0n1", "259:0\n");
	pci_tree_block(*state, NVME, "nvme/nvme0/nvme0n1/nvme0n1p1", "259:1\n");
	for (size_t i = 0; i < ARRAY_SIZE(above); i++) {
		snprintf(path, sizeof(path), "sys/devices/virtual/block/%s/size", above[i]);
		tempdir_file(*state, path, "8\n");
		snprintf(path, sizeof(path), "sys/class/block/%s", above[i]);
		snprintf(target, sizeof(target), "../../devices/virtual/block/%s", above[i]);
		pci_tree_link(*state, path, target);
	}
	pci_tree_link(*state, "sys/class/block/nvme0n1p1/holders/md0", "../x");
	pci_tree_link(*state, "sys/class/block/md0/holders/dm-0", "../x");
	pci_tree_link(*state, "sys/class/block/dm-0/holders/dm-1", "../x");
	tempdir_file(*state, "sys/class/block/dm-1/dm/name", "vg-root\n");
	tempdir_file(*state, "sys/class/block/dm-1/dev", "253:1\n");
	mounts(*state, "23 22 253:1 / / rw,relatime shared:1 - ext4 /dev/mapper/vg-root rw\n");
	check_uses(*state, NVME,
		   "block device nvme0n1\n"
		   "! block device nvme0n1p1, used by md0\n"
		   "! block device md0, used by dm-0\n"
		   "! block device dm-0, used by dm-1\n"
		   "block device dm-1\n"
		   "! the host's root file system is on dm-1\n");
	/* by the mapper's name, where the number says nothing (btrfs) */
	mounts(*state, "23 22 0:31 /@ / rw,relatime shared:1 - btrfs /dev/mapper/vg-root rw\n");
	tempdir_file(*state, "sys/class/block/dm-0/holders/dm-0", "");
	{
		AUTO_FREE char *text = uses_of(*state, NVME);

		assert_non_null(strstr(text, "! the host's root file system is on dm-1\n"));
	}
}

/* btrfs on two disks: mountinfo names only the other one. */
static void test_btrfs(void **state)
{
	pci_tree_block(*state, NVME, "nvme/nvme0/nvme0n1", "259:0\n");
	mounts(*state, "23 22 0:31 /@ / rw,relatime shared:1 - btrfs /dev/sda2 rw\n");
	check_uses(*state, NVME, "block device nvme0n1\n");
	pci_tree_link(*state, "sys/fs/btrfs/6c3f-11/devices/sda2", "../x");
	pci_tree_link(*state, "sys/fs/btrfs/6c3f-11/devices/nvme0n1", "../x");
	check_uses(*state, NVME,
		   "block device nvme0n1\n"
		   "! the host's root file system is on nvme0n1\n");
}

static void test_zfs(void **state)
{
	pci_tree_block(*state, NVME, "nvme/nvme0/nvme0n1", "259:0\n");
	mounts(*state, "23 22 0:31 / / rw,relatime shared:1 - zfs rpool/ROOT rw\n");
	check_uses(*state, NVME,
		   "block device nvme0n1\n"
		   "! block device nvme0n1, used by a ZFS pool, perhaps\n");
	check_uses(*state, "0000:04:01.0", "");
}

/* With native multipath the disk hangs on its subsystem, and each controller reaches it. */
static void test_nvme_multipath(void **state)
{
	static const char disk[] = "sys/devices/virtual/nvme-subsystem/nvme-subsys0/nvme0n1";
	char path[160];

	snprintf(path, sizeof(path), "%s/dev", disk);
	tempdir_file(*state, path, "259:0\n");
	pci_tree_link(*state, "sys/class/block/nvme0n1",
		      "../../devices/virtual/nvme-subsystem/nvme-subsys0/nvme0n1");
	pci_tree_link(*state, "sys/class/nvme-subsystem/nvme-subsys0",
		      "../../devices/virtual/nvme-subsystem/nvme-subsys0");
	pci_tree_link(*state, "sys/devices/virtual/nvme-subsystem/nvme-subsys0/nvme0",
		      "../../../pci0000:00/0000:00:08.0/0000:01:00.0/nvme/nvme0");
	mounts(*state, "23 22 259:0 / / rw,relatime shared:1 - ext4 /dev/nvme0n1 rw\n");
	check_uses(*state, NVME,
		   "block device nvme0n1\n"
		   "! the host's root file system is on nvme0n1\n");
	check_uses(*state, "0000:04:01.0", "");
}

static void test_console(void **state)
{
	pci_tree_file(*state, "0000:04:01.0", "boot_vga", "0\n");
	check_uses(*state, "0000:04:01.0", "");
	pci_tree_file(*state, "0000:04:01.0", "boot_vga", "1\n");
	check_uses(*state, "0000:04:01.0", "! it has the host's console (boot display)\n");
	pci_tree_class(*state, "0000:04:02.0", "graphics", "graphics/fb0");
	pci_tree_class(*state, "0000:04:02.0", "tty", "tty/ttyS4");
	tempdir_file(*state, "proc/consoles", "ttyS4                -W- (EC p a)    4:68\n");
	check_uses(*state, "0000:04:02.0",
		   "! it has the host's console (fb0)\n"
		   "! it has the host's console (ttyS4)\n");
}

/* More than can be kept: what is vital is told all the same. */
static void test_many(void **state)
{
	AUTO_FREE char *text = NULL;

	for (int i = 0; i < 60; i++) {
		char below[64], devno[16];

		snprintf(below, sizeof(below), "ata1/block/sda/sda%d", i + 10);
		snprintf(devno, sizeof(devno), "8:%d\n", i);
		pci_tree_block(*state, NVME, below, devno);
	}
	mounts(*state, "23 22 8:59 / / rw - ext4 /dev/sda69 rw\n");
	text = uses_of(*state, NVME);
	assert_non_null(strstr(text, "! the host's root file system is on sda69\n"));
	assert_non_null(strstr(text, "\nmore\n"));
}

static void test_no_mountinfo(void **state)
{
	struct pci_inventory inv;
	struct pci_uses uses;
	struct hostfs h;
	struct err e = { 0 };
	char path[256];

	snprintf(path, sizeof(path), "%s/proc/self/mountinfo", (const char *)*state);
	assert_int_equal(remove(path), 0);
	assert_int_equal(hostfs_init(&h, *state, NULL), 0);
	assert_int_equal(pci_inventory_read(&h, &inv, &e), 0);
	assert_true(pci_uses_read(&h, &inv, &inv.functions[0], &uses, &e) < 0);
	assert_string_equal(e.msg,
			    "cannot read '/proc/self/mountinfo', so it is not known what the "
			    "host has mounted");
	pci_inventory_fini(&inv);
	hostfs_fini(&h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(test_netdevs, setup, teardown),
		cmocka_unit_test_setup_teardown(test_default_route, setup, teardown),
		cmocka_unit_test_setup_teardown(test_default_route_of_the_host, setup, teardown),
		cmocka_unit_test_setup_teardown(test_disks, setup, teardown),
		cmocka_unit_test_setup_teardown(test_stacks, setup, teardown),
		cmocka_unit_test_setup_teardown(test_btrfs, setup, teardown),
		cmocka_unit_test_setup_teardown(test_zfs, setup, teardown),
		cmocka_unit_test_setup_teardown(test_nvme_multipath, setup, teardown),
		cmocka_unit_test_setup_teardown(test_console, setup, teardown),
		cmocka_unit_test_setup_teardown(test_many, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_mountinfo, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
