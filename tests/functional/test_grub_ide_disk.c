// SPDX-License-Identifier: MIT
/* GRUB from a disk at the IDE controller; its prompt is on the serial port and on the screen. */
#include <stdio.h>

#include "tests/functional/grub.h"
#include "tests/functional/scene.h"

static void test_disk(void **state)
{
	struct harness *h = *state;
	char more[600];

	snprintf(more, sizeof(more),
		 "'boot': {'firmware': 'bios'}, 'devices': [{'type': 'vga'}, {'type': 'ide',"
		 " 'disks': [{'readonly': true, 'path': '%s'}]}]",
		 GRUB_IMAGES "usb.img");
	grub_boots(h, GRUB_IMAGES "usb.img", more);
	grub_expect_screen(h, "grub-ide-disk", "grub>");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_disk, harness_setup, harness_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
