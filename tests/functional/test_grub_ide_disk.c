// SPDX-License-Identifier: MIT
/* GRUB from a disk at the IDE controller; its prompt is on the serial port and on the screen. */
#include "tests/functional/grub.h"

static void test_disk(void **state)
{
	grub_boots(*state, GRUB_DISK,
		   "'boot': {'firmware': 'bios'}, 'devices': [{'type': 'vga'}, {'type': 'ide',"
		   " 'disks': [{'readonly': true, 'path': '" GRUB_DISK "'}]}]");
	grub_expect_screen(*state, "grub-ide-disk", "grub>");
}

int main(void)
{
	return grub_main("test_disk", test_disk);
}
