// SPDX-License-Identifier: MIT
/* GRUB from the image for USB sticks, as a virtio disk. */
#include <stdio.h>

#include "tests/functional/grub.h"
#include "tests/functional/scene.h"

static void test_disk(void **state)
{
	struct harness *h = *state;
	char more[600];

	snprintf(more, sizeof(more),
		 "'boot': {'firmware': 'bios'}, 'devices': ["
		 "{'type': 'virtio-blk', 'readonly': true, 'path': '%s'}]",
		 GRUB_IMAGES "usb.img");
	grub_boots(h, GRUB_IMAGES "usb.img", more);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_disk, harness_setup, harness_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
