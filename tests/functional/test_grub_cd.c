// SPDX-License-Identifier: MIT
/*
 * GRUB from its CD, in a drive at a virtio-scsi controller, by the boot order; its prompt is on the serial port and on the
 * screen.
 */
#include <stdio.h>

#include "tests/functional/grub.h"
#include "tests/functional/scene.h"

static void test_cd(void **state)
{
	struct harness *h = *state;
	char more[600];

	snprintf(more, sizeof(more),
		 "'boot': {'firmware': 'bios', 'order': ['cd']}, 'devices': ["
		 "{'type': 'vga'}, {'type': 'virtio-scsi', 'disks': [{'id': 'cd', 'kind': 'cdrom', "
		 "'path': '%s'}]}]",
		 GRUB_IMAGES "cdrom.iso");
	grub_boots(h, GRUB_IMAGES "cdrom.iso", more);
	grub_expect_screen(h, "grub", "grub>");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_cd, harness_setup, harness_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
