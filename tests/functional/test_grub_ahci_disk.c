// SPDX-License-Identifier: MIT
/* GRUB from a disk at an AHCI controller. */
#include "tests/functional/grub.h"

static void test_disk(void **state)
{
	grub_boots(*state, GRUB_DISK,
		   "'boot': {'firmware': 'bios'}, 'devices': [{'type': 'ahci', 'disks':"
		   " [{'readonly': true, 'path': '" GRUB_DISK "'}]}]");
}

int main(void)
{
	return grub_main("test_disk", test_disk);
}
