// SPDX-License-Identifier: MIT
/* GRUB from its CD, in a drive at an AHCI controller, by the boot order; SeaBIOS reads it by its packets. */
#include <stdio.h>

#include "tests/functional/grub.h"
#include "tests/functional/scene.h"

static void test_cd(void **state)
{
	struct harness *h = *state;
	char more[600];

	snprintf(more, sizeof(more),
		 "'boot': {'firmware': 'bios', 'order': ['cd']}, 'devices': [{'type': 'ahci',"
		 " 'disks': [{'readonly': true, 'share': true, 'path': '%s'},"
		 " {'id': 'cd', 'kind': 'cdrom', 'unit': 5, 'path': '%s'}]}]",
		 GRUB_IMAGES "usb.img", GRUB_IMAGES "cdrom.iso");
	grub_boots(h, GRUB_IMAGES "cdrom.iso", more);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_cd, harness_setup, harness_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
