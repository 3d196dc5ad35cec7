// SPDX-License-Identifier: MIT
/* GRUB from the image for USB sticks, as a virtio disk. */
#include "tests/functional/grub.h"

static void test_disk(void **state)
{
	grub_boots(
		*state, GRUB_DISK,
		"'boot': {'firmware': 'bios'}, 'devices': [{'type': 'virtio-blk', 'readonly': true,"
		" 'path': '" GRUB_DISK "'}]");
}

int main(void)
{
	return grub_main("test_disk", test_disk);
}
