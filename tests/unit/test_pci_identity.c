// SPDX-License-Identifier: MIT
/* vmd/host_pci's identity: kept as JSON, compared with what is there now. */
#include "tests/lib/test.h"

#include <string.h>

#include "lib/auto.h"
#include "lib/errcat.h"
#include "vmd/host_pci.h"

static const struct pci_identity igb = {
	.vendor = 0x8086,
	.device = 0x10c9,
	.subsystem_vendor = 0x1af4,
	.subsystem_device = 0x1100,
	.serial = "00-11-22-ff-fe-33-44-55",
	.mac = "52:54:00:aa:00:01",
	.vf_index = 3,
	.slot = "2",
};

static void check_differs(const struct pci_identity *now, const char *text)
{
	char out[256] = "x";

	assert_int_equal(pci_identity_differs(&igb, now, out, sizeof(out)), text[0] != 0);
	assert_string_equal(out, text);
}

static void test_differs(void **state)
{
	struct pci_identity now = igb;
	char small[20];

	(void)state;
	check_differs(&now, "");
	/* bound to vfio-pci it has no interface to ask */
	now.mac[0] = now.slot[0] = now.serial[0] = '\0';
	check_differs(&now, "");
	now = igb;
	now.vendor = 0x15b3;
	check_differs(&now, "vendor 15b3 instead of 8086");
	now.device = 0x10ca;
	check_differs(&now, "vendor 15b3 instead of 8086, device 10ca instead of 10c9");
	/* cut, not overrun */
	assert_int_equal(pci_identity_differs(&igb, &now, small, sizeof(small)), 1);
	assert_string_equal(small, "vendor 15b3 instead");
	now = igb;
	strcpy(now.serial, "00-11-22-ff-fe-33-44-56");
	check_differs(&now, "serial number 00-11-22-ff-fe-33-44-56 instead of "
			    "00-11-22-ff-fe-33-44-55");
	now = igb;
	strcpy(now.mac, "52:54:00:AA:00:01");
	check_differs(&now, "");
	strcpy(now.mac, "52:54:00:aa:00:02");
	strcpy(now.slot, "4");
	check_differs(&now,
		      "MAC 52:54:00:aa:00:02 instead of 52:54:00:aa:00:01, slot 4 instead of 2");
	now = igb;
	now.subsystem_vendor = 1;
	now.subsystem_device = 2;
	check_differs(&now, "subsystem vendor 0001 instead of 1af4, subsystem device 0002 instead "
			    "of 1100");
	now = igb;
	now.vf_index = 4;
	check_differs(&now, "it is VF 4 instead of VF 3");
	now.vf_index = -1;
	check_differs(&now, "it is no VF instead of VF 3");
}

static void test_json(void **state)
{
	AUTO_JSON struct json_object *o = pci_identity_json(&igb);
	AUTO_JSON struct json_object *bare = NULL;
	struct pci_identity id, none = { .vendor = 0x1b36, .device = 0x10, .vf_index = -1 };
	struct err e = { 0 };

	(void)state;
	assert_string_equal(
		json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN),
		"{\"vendor\":\"8086\",\"device\":\"10c9\",\"subsystem_vendor\":\"1af4\","
		"\"subsystem_device\":\"1100\",\"serial\":\"00-11-22-ff-fe-33-44-55\","
		"\"mac\":\"52:54:00:aa:00:01\",\"vf\":3,\"slot\":\"2\"}");
	assert_int_equal(pci_identity_parse(o, &id, &e), 0);
	assert_memory_equal(&id, &igb, sizeof(id));
	bare = pci_identity_json(&none);
	assert_null(json_get(bare, "vf"));
	assert_int_equal(pci_identity_parse(bare, &id, &e), 0);
	assert_memory_equal(&id, &none, sizeof(id));
}

static void check_bad(const char *text, const char *message)
{
	AUTO_JSON struct json_object *o = NULL;
	struct pci_identity id = { .vendor = 7 };
	struct err e = { 0 };

	assert_int_equal(json_parse(text, strlen(text), &o, NULL), 0);
	assert_int_equal(pci_identity_parse(o, &id, &e), -ERR_INVALID);
	assert_string_equal(e.msg, message);
	assert_int_equal(id.vendor, 7);
}

static void test_bad_json(void **state)
{
	(void)state;
	check_bad("{\"device\":\"0010\"}",
		  "vendor of a PCI device is four hexadecimal digits: \"8086\"");
	check_bad("{\"vendor\":\"8086\",\"device\":\"0x10\"}",
		  "device of a PCI device is four hexadecimal digits: \"8086\"");
	check_bad("{\"vendor\":\"8086\",\"device\":\"0010\",\"subsystem_device\":5}",
		  "subsystem_device of a PCI device is four hexadecimal digits: \"8086\"");
	check_bad("{\"vendor\":\"8086\",\"device\":\"0010\",\"mac\":\"52:54:00:00:00:00:00\"}",
		  "mac of a PCI device is a text of at most 17 bytes");
	check_bad("{\"vendor\":\"8086\",\"device\":\"0010\",\"vf\":-1}",
		  "vf of a PCI device is a number from 0 to 65535");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_differs),
		cmocka_unit_test(test_json),
		cmocka_unit_test(test_bad_json),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
