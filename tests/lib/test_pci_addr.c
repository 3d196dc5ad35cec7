// SPDX-License-Identifier: MIT
#include <errno.h>
#include <string.h>

#include "lib/pci_addr.h"
#include "tests/lib/test.h"

static void test_round_trip(void **state)
{
	static const char *const same[] = { "0000:00:00.0", "0000:3b:00.7", "ffff:ff:1f.7",
					    "10000:01:00.0", "ffffffff:ff:1f.7" };
	char text[PCI_ADDR_SIZE];
	struct pci_addr a;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(same); i++) {
		assert_int_equal(pci_addr_parse(same[i], &a, NULL), 0);
		assert_string_equal(pci_addr_format(&a, text), same[i]);
	}
	assert_int_equal(pci_addr_parse("3B:1f.2", &a, NULL), 0);
	assert_string_equal(pci_addr_format(&a, text), "0000:3b:1f.2");
}

static void test_refused(void **state)
{
	static const char *const bad[] = { "",
					   "3b",
					   "0000:3b:00",
					   "0000:3b:20.0",
					   "0000:3b:00.8",
					   "000:3b:00.0",
					   "0000:3b:00.0 ",
					   "0000:3b:00.00",
					   "0000-3b:00.0",
					   "0000:g0:00.0",
					   "123456789:3b:00.0" };
	struct pci_addr a = { 1, 2, 3, 4 };
	struct err e;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(pci_addr_parse(bad[i], &a, &e), -EINVAL);
		assert_non_null(strstr(e.msg, "is not a PCI address"));
		assert_int_equal(a.domain, 1);
	}
}

static void test_order(void **state)
{
	static const char *const order[] = { "0000:00:00.0", "0000:00:00.1", "0000:00:01.0",
					     "0000:01:00.0", "0001:00:00.0" };
	struct pci_addr a, b;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(order); i++)
		for (size_t j = 0; j < ARRAY_SIZE(order); j++) {
			assert_int_equal(pci_addr_parse(order[i], &a, NULL), 0);
			assert_int_equal(pci_addr_parse(order[j], &b, NULL), 0);
			assert_int_equal(pci_addr_cmp(&a, &b), (i > j) - (i < j));
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
