// SPDX-License-Identifier: MIT
/* vmd/host_pci: the inventory of a sysfs as the kernel writes it, and of one that is damaged or half gone. */
#include "tests/lib/test.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/auto.h"
#include "tests/lib/pci_tree.h"
#include "tests/lib/tempdir.h"
#include "vmd/host_pci.h"

static int setup(void **state)
{
	*state = tempdir_new();
	pci_tree_make(*state);
	return 0;
}

static int teardown(void **state)
{
	tempdir_remove(*state);
	return 0;
}

static struct pci_inventory inventory(const char *dir)
{
	struct pci_inventory inv = { 0 };
	struct hostfs h;
	struct err e = { 0 };

	assert_int_equal(hostfs_init(&h, dir, &e), 0);
	if (pci_inventory_read(&h, &inv, &e) < 0)
		fail_msg("%s", e.msg);
	hostfs_fini(&h);
	return inv;
}

static const struct pci_function *at(const struct pci_inventory *inv, const char *text)
{
	struct pci_addr a;

	assert_int_equal(pci_addr_parse(text, &a, NULL), 0);
	return pci_inventory_find(inv, &a);
}

static void test_functions(void **state)
{
	struct pci_inventory inv = inventory(*state);
	const struct pci_function *f = at(&inv, "0000:01:00.0");
	char addr[PCI_ADDR_SIZE];

	assert_int_equal(inv.n, 12);
	for (size_t i = 1; i < inv.n; i++)
		assert_true(pci_addr_cmp(&inv.functions[i - 1].addr, &inv.functions[i].addr) < 0);
	assert_non_null(f);
	assert_int_equal(f->id.vendor, 0x1b36);
	assert_int_equal(f->id.device, 0x0010);
	assert_int_equal(f->id.subsystem_vendor, 0x1af4);
	assert_int_equal(f->id.subsystem_device, 0x1100);
	assert_int_equal(f->id.vf_index, -1);
	assert_int_equal(f->class_code, 0x010802);
	assert_int_equal(f->revision, 2);
	assert_int_equal(f->header_type, 0);
	assert_string_equal(f->driver, "nvme");
	assert_string_equal(f->override, "");
	assert_string_equal(f->reset_methods, "flr bus");
	assert_int_equal(f->iommu_group, 8);
	assert_int_equal(f->numa_node, -1);
	assert_false(f->broken || f->is_pf || f->is_vf || pci_function_is_bridge(f));
	assert_string_equal(pci_addr_format(&f->parent, addr), "0000:00:08.0");
	f = at(&inv, "0000:00:08.0");
	assert_true(pci_function_is_bridge(f));
	assert_true(f->parent.domain == UINT32_MAX);
	assert_null(at(&inv, "0000:05:00.0"));
	pci_inventory_fini(&inv);
	assert_null(pci_inventory_find(&inv, &(struct pci_addr){ 0 }));
}

static void test_sriov(void **state)
{
	struct pci_inventory inv;
	const struct pci_function *pf, *vf;

	pci_tree_netdev(*state, "0000:02:00.0", "eth0", "52:54:00:aa:00:01\n", 1);
	tempdir_file(*state, "sys/bus/pci/slots/2/address", "0000:02:00\n");
	tempdir_file(*state, "sys/bus/pci/slots/2-1/address", "0000:02:10\n");
	inv = inventory(*state);
	pf = at(&inv, "0000:02:00.0");
	assert_true(pf->is_pf && pf->autoprobe);
	assert_int_equal(pf->total_vfs, 7);
	assert_int_equal(pf->num_vfs, 2);
	assert_int_equal(pf->n_netdevs, 1);
	assert_string_equal(pf->netdevs[0], "eth0");
	assert_string_equal(pf->id.mac, "52:54:00:aa:00:01");
	assert_string_equal(pf->id.slot, "2");
	vf = pci_inventory_vf(&inv, pf, 1);
	assert_ptr_equal(vf, at(&inv, "0000:02:10.2"));
	assert_true(vf->is_vf && !vf->is_pf && !vf->broken);
	assert_int_equal(vf->id.vf_index, 1);
	assert_int_equal(pci_addr_cmp(&vf->pf, &pf->addr), 0);
	assert_string_equal(vf->id.mac, "52:54:00:aa:00:01");
	assert_string_equal(vf->id.slot, "2");
	assert_null(pci_inventory_vf(&inv, pf, 2));
	pci_inventory_fini(&inv);
}

/* The Device Serial Number, behind another capability; and a list that runs in a ring. */
static void test_serial(void **state)
{
	static const char name[] = "sys/bus/pci/devices/0000:02:00.0/config";
	uint8_t config[4096] = { 0x86, 0x80, 0xc9, 0x10 };
	struct pci_inventory inv;

	memcpy(config + 0x100, "\x01\x00\x02\x14", 4); /* AER, next at 0x140 */
	memcpy(config + 0x140, "\x03\x00\x01\x00", 4);
	memcpy(config + 0x144, "\x55\x44\x33\xfe\xff\x22\x11\x00", 8);
	pci_tree_bytes(*state, name, config, sizeof(config));
	inv = inventory(*state);
	assert_string_equal(at(&inv, "0000:02:00.0")->id.serial, "00-11-22-ff-fe-33-44-55");
	assert_string_equal(at(&inv, "0000:02:10.0")->id.serial, "00-11-22-ff-fe-33-44-55");
	pci_inventory_fini(&inv);

	/* cut off in its middle, as by a kernel without extended space */
	pci_tree_bytes(*state, name, config, 0x148);
	inv = inventory(*state);
	assert_string_equal(at(&inv, "0000:02:00.0")->id.serial, "");
	pci_inventory_fini(&inv);

	memcpy(config + 0x140, "\x02\x00\x01\x10", 4);
	pci_tree_bytes(*state, name, config, sizeof(config));
	inv = inventory(*state);
	assert_string_equal(at(&inv, "0000:02:00.0")->id.serial, "");
	assert_false(at(&inv, "0000:02:00.0")->broken);
	pci_inventory_fini(&inv);
}

static void test_broken(void **state)
{
	uint8_t config[64];
	struct pci_inventory inv;

	memset(config, 0xff, sizeof(config));
	pci_tree_bytes(*state, "sys/bus/pci/devices/0000:01:00.0/config", config, sizeof(config));
	pci_tree_bytes(*state, "sys/bus/pci/devices/0000:02:10.0/config", config, sizeof(config));
	pci_tree_file(*state, "0000:04:01.0", "vendor", "0xffff\n");
	inv = inventory(*state);
	assert_true(at(&inv, "0000:01:00.0")->broken);
	assert_int_equal(at(&inv, "0000:01:00.0")->header_type, 0);
	assert_true(at(&inv, "0000:02:10.0")->broken);
	assert_true(at(&inv, "0000:04:01.0")->broken);
	assert_false(at(&inv, "0000:02:10.2")->broken);
	pci_inventory_fini(&inv);
}

static void remove_file(const char *dir, const char *name)
{
	char path[512];

	snprintf(path, sizeof(path), "%s/sys/bus/pci/devices/%s", dir, name);
	assert_int_equal(unlink(path), 0);
}

/* No right to the configuration space, no reset_method (before Linux 5.15), no IOMMU, no NUMA. */
static void test_what_is_missing(void **state)
{
	struct pci_inventory inv;
	const struct pci_function *f;

	remove_file(*state, "0000:00:08.0/config");
	remove_file(*state, "0000:01:00.0/config");
	remove_file(*state, "0000:01:00.0/reset_method");
	remove_file(*state, "0000:01:00.0/iommu_group");
	remove_file(*state, "0000:01:00.0/numa_node");
	remove_file(*state, "0000:01:00.0/driver_override");
	pci_tree_bind(*state, "0000:01:00.0", NULL);
	pci_tree_file(*state, "0000:02:10.0", "numa_node", "1\n");
	pci_tree_file(*state, "0000:02:10.0", "driver_override", "vfio-pci\n");
	inv = inventory(*state);
	f = at(&inv, "0000:01:00.0");
	assert_non_null(f);
	assert_false(f->broken);
	assert_string_equal(f->reset_methods, "any");
	assert_int_equal(f->iommu_group, -1);
	assert_int_equal(f->numa_node, -1);
	assert_string_equal(f->driver, "");
	assert_true(pci_function_is_bridge(at(&inv, "0000:00:08.0")));
	assert_int_equal(at(&inv, "0000:02:10.0")->numa_node, 1);
	assert_string_equal(at(&inv, "0000:02:10.0")->override, "vfio-pci");
	assert_string_equal(at(&inv, "0000:04:02.0")->reset_methods, "");
	pci_inventory_fini(&inv);
}

/* It vanishes: its link is there still, its files are not. */
static void test_vanished(void **state)
{
	struct pci_inventory inv;

	remove_file(*state, "0000:01:00.0/vendor");
	pci_tree_link(*state, "sys/bus/pci/devices/0000:07:00.0",
		      "../../../devices/pci0000:00/0000:07:00.0");
	inv = inventory(*state);
	assert_int_equal(inv.n, 11);
	assert_null(at(&inv, "0000:01:00.0"));
	assert_null(at(&inv, "0000:07:00.0"));
	pci_inventory_fini(&inv);
}

/* Domains behind Intel's VMD have five digits, and their devices hang on a host bridge of their own. */
static void test_domain_of_five_digits(void **state)
{
	static const struct pci_tree_device d = {
		"pci0000:00/0000:00:0e.0/pci10000:e0/10000:e0:06.0", 0x8086, 0x0b60, 0x010802,
		.group = 3
	};
	struct pci_inventory inv;
	const struct pci_function *f;

	pci_tree_add(*state, &d);
	inv = inventory(*state);
	f = at(&inv, "10000:e0:06.0");
	assert_ptr_equal(f, &inv.functions[inv.n - 1]);
	assert_int_equal(f->addr.domain, 0x10000);
	assert_true(f->parent.domain == UINT32_MAX);
	pci_inventory_fini(&inv);
}

static void test_garbage(void **state)
{
	static const char *const files[] = { "vendor",	       "device",    "class",
					     "revision",       "numa_node", "sriov_totalvfs",
					     "sriov_numvfs",   "config",    "subsystem_vendor",
					     "driver_override" };
	char text[9000];
	struct pci_inventory inv;
	const struct pci_function *f;

	memset(text, 'z', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	for (size_t i = 0; i < ARRAY_SIZE(files); i++)
		pci_tree_file(*state, "0000:02:00.0", files[i], text);
	pci_tree_file(*state, "0000:01:00.0", "sriov_totalvfs", "99999999999999999999\n");
	pci_tree_file(*state, "0000:01:00.0", "numa_node", "-5\n");
	pci_tree_link(*state, "sys/bus/pci/devices/0000:01:00.0/iommu_group", "../x/-7");
	pci_tree_link(*state, "sys/bus/pci/devices/0000:02:10.0/physfn", "0000:02:00.9");
	pci_tree_link(*state, "sys/bus/pci/devices/0000:02:00.0/virtfn1", "../0000:01:00.0");
	pci_tree_link(*state, "sys/bus/pci/devices/hello", "../../../devices/pci0000:00");
	tempdir_file(*state, "sys/bus/pci/slots/9/address", "garbage\n");
	inv = inventory(*state);
	f = at(&inv, "0000:02:00.0");
	assert_non_null(f);
	assert_true(f->broken);
	assert_int_equal(f->id.vendor, 0xffff);
	assert_int_equal(f->numa_node, -1);
	assert_false(f->is_pf);
	assert_int_equal(strlen(f->override), sizeof(f->override) - 1);
	f = at(&inv, "0000:01:00.0");
	assert_false(f->is_pf || f->is_vf);
	assert_int_equal(f->id.vf_index, -1);
	assert_int_equal(f->numa_node, -1);
	assert_int_equal(f->iommu_group, -1);
	assert_false(at(&inv, "0000:02:10.0")->is_vf);
	pci_inventory_fini(&inv);
}

/* Between a PCI function and its interface may be another bus; a disk behind USB is the controller's. */
static void test_class_links(void **state)
{
	struct pci_inventory inv;
	struct pci_addr a;
	struct hostfs h;
	char text[PCI_ADDR_SIZE];

	pci_tree_class(*state, "0000:01:00.0", "net", "virtio2/net/eth7");
	pci_tree_file(*state, "0000:04:01.0", "net/eth8/address", "52:54:00:00:00:08\n");
	pci_tree_link(*state, "sys/class/net/lo", "../../devices/virtual/net/lo");
	pci_tree_link(*state, "sys/class/block/sda",
		      "../../devices/pci0000:00/0000:00:14.0/usb1/1-1/1-1:1.0/host0/block/sda");
	inv = inventory(*state);
	assert_string_equal(at(&inv, "0000:01:00.0")->netdevs[0], "eth7");
	assert_string_equal(at(&inv, "0000:01:00.0")->id.mac, "");
	assert_string_equal(at(&inv, "0000:04:01.0")->netdevs[0], "eth8");
	assert_string_equal(at(&inv, "0000:04:01.0")->id.mac, "52:54:00:00:00:08");
	pci_inventory_fini(&inv);
	assert_int_equal(hostfs_init(&h, *state, NULL), 0);
	assert_int_equal(host_pci_of_link(&h, "sys/class/block/sda", &a), 0);
	assert_string_equal(pci_addr_format(&a, text), "0000:00:14.0");
	assert_true(host_pci_of_link(&h, "sys/class/net/lo", &a) < 0);
	assert_true(host_pci_of_link(&h, "sys/class/net/none", &a) < 0);
	hostfs_fini(&h);
}

static void test_no_pci(void **state)
{
	struct pci_inventory inv = { 0 };
	struct err e = { 0 };
	struct hostfs h;
	char path[256];

	snprintf(path, sizeof(path), "%s/sys/class", (const char *)*state);
	mkdir(path, 0755);
	assert_int_equal(hostfs_init(&h, path, NULL), 0);
	assert_true(pci_inventory_read(&h, &inv, &e) < 0);
	assert_string_equal(e.msg, "cannot open '/sys/bus/pci/devices': No such file or directory");
	hostfs_fini(&h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_functions, setup, teardown),
		cmocka_unit_test_setup_teardown(test_sriov, setup, teardown),
		cmocka_unit_test_setup_teardown(test_serial, setup, teardown),
		cmocka_unit_test_setup_teardown(test_broken, setup, teardown),
		cmocka_unit_test_setup_teardown(test_what_is_missing, setup, teardown),
		cmocka_unit_test_setup_teardown(test_vanished, setup, teardown),
		cmocka_unit_test_setup_teardown(test_domain_of_five_digits, setup, teardown),
		cmocka_unit_test_setup_teardown(test_garbage, setup, teardown),
		cmocka_unit_test_setup_teardown(test_class_links, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_pci, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
