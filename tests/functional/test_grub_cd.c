// SPDX-License-Identifier: MIT
/*
 * GRUB from its CD, in a drive at a virtio-scsi controller, by the boot order; its prompt is on the serial port and on the
 * screen.
 */
#include "tests/functional/grub.h"

static void test_cd(void **state)
{
	grub_boots(
		*state, GRUB_CD,
		"'boot': {'firmware': 'bios', 'order': ['cd']}, 'devices': [{'type': 'vga'},"
		" {'type': 'virtio-scsi', 'disks': [{'id': 'cd', 'kind': 'cdrom', 'path': '" GRUB_CD
		"'}]}]");
	grub_expect_screen(*state, "grub", "grub>");
}

int main(void)
{
	return grub_main("test_cd", test_cd);
}
