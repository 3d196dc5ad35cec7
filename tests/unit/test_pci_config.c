// SPDX-License-Identifier: MIT
/* vmd/pci_config: capability lists that are well, cut off, or run in rings. */
#include "tests/lib/test.h"

#include <linux/pci_regs.h>
#include <stdio.h>
#include <string.h>

#include "tests/lib/pci_tree.h"
#include "tests/lib/tempdir.h"
#include "vmd/pci_config.h"

static void add(void *arg, const struct pci_config *c, uint16_t id, size_t at)
{
	char *text = arg;
	const char *name = pci_config_name(at >= PCI_CFG_SPACE_SIZE, id);

	assert_true(range_fits(at, 2, c->size));
	snprintf(text + strlen(text), 512 - strlen(text), "%zx %s; ", at, name ? name : "?");
}

static void check(const struct pci_config *c, bool extended, const char *expected)
{
	char text[512] = "";

	pci_config_each(c, extended, add, text);
	assert_string_equal(text, expected);
}

static void test_standard(void **state)
{
	struct pci_config c = { .size = 256, .bytes = { [6] = 0x10, [0x34] = 0x43 } };

	(void)state;
	memcpy(c.bytes + 0x40, "\x01\x50", 2);
	memcpy(c.bytes + 0x50, "\x11\x60", 2);
	memcpy(c.bytes + 0x60, "\x77\x00", 2);
	check(&c, false, "40 Power Management; 50 MSI-X; 60 ?; ");
	assert_int_equal(pci_config_find(&c, false, PCI_CAP_ID_MSIX), 0x50);
	assert_int_equal(pci_config_find(&c, false, PCI_CAP_ID_EXP), 0);
	c.size = 64; /* without rights */
	check(&c, false, "");
	c.size = 256;
	c.bytes[6] = 0;
	check(&c, false, "");
	/* a pointer into the header, and one to nowhere */
	c.bytes[6] = 0x10;
	c.bytes[0x41] = 0x10;
	check(&c, false, "40 Power Management; ");
	c.bytes[0x34] = 0xff;
	check(&c, false, "");
}

static void test_ring(void **state)
{
	struct pci_config c = { .size = 4096, .bytes = { [6] = 0x10, [0x34] = 0x40 } };
	char text[512] = "";

	(void)state;
	memcpy(c.bytes + 0x40, "\x01\x40", 2);
	memcpy(c.bytes + 0x100, "\x03\x00\x01\x10", 4);
	pci_config_each(&c, false, add, text);
	pci_config_each(&c, true, add, text);
	assert_int_equal(pci_config_find(&c, true, PCI_EXT_CAP_ID_DSN), 0x100);
	assert_int_equal(pci_config_find(&c, true, PCI_EXT_CAP_ID_ACS), 0);
}

static void test_extended(void **state)
{
	struct pci_config c = { .size = 4096 };

	(void)state;
	memcpy(c.bytes + 0x100, "\x01\x00\x02\xff", 4); /* next at 0xff0 */
	memcpy(c.bytes + 0xff0, "\x0d\x00\x01\x00", 4);
	check(&c, true, "100 Advanced Error Reporting; ff0 Access Control Services; ");
	c.size = 0xff2;
	check(&c, true, "100 Advanced Error Reporting; ");
	c.size = 256;
	check(&c, true, "");
	assert_int_equal(pci_config_dword(&c, 254), 0);
	assert_int_equal(pci_config_word(&c, SIZE_MAX), 0);
}

static void test_read(void **state)
{
	const struct pci_addr addr = { .bus = 1 };
	struct pci_config c;
	struct hostfs h;
	char *dir = tempdir_new();
	static const uint8_t bytes[65] = { 0x86, 0x80 };

	(void)state;
	assert_int_equal(hostfs_init(&h, dir, NULL), 0);
	assert_true(pci_config_read(&h, &addr, &c) < 0);
	pci_tree_bytes(dir, "sys/bus/pci/devices/0000:01:00.0/config", bytes, 63);
	assert_true(pci_config_read(&h, &addr, &c) < 0);
	pci_tree_bytes(dir, "sys/bus/pci/devices/0000:01:00.0/config", bytes, 64);
	assert_int_equal(pci_config_read(&h, &addr, &c), 0);
	assert_int_equal(c.size, 64);
	assert_int_equal(pci_config_word(&c, 0), 0x8086);
	assert_false(pci_config_dead(&c));
	memset(c.bytes, 0xff, 64);
	assert_true(pci_config_dead(&c));
	c.bytes[63] = 0xfe;
	assert_false(pci_config_dead(&c));
	hostfs_fini(&h);
	tempdir_remove(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_standard),
		cmocka_unit_test(test_ring),
		cmocka_unit_test(test_extended),
		cmocka_unit_test(test_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
