// SPDX-License-Identifier: MIT
/*
 * GRUB from its CD, in a drive at the IDE controller, by the boot order; SeaBIOS and GRUB read it by PIO. By serial port and on
 * the screen.
 */
#include "tests/functional/grub.h"

static void test_cd(void **state)
{
	grub_boots(
		*state, GRUB_CD,
		"'boot': {'firmware': 'bios', 'order': ['cd']}, 'devices': [{'type': 'vga'},"
		" {'type': 'ide', 'disks': [{'readonly': true, 'share': true, 'path': '" GRUB_DISK
		"'}, {'id': 'cd', 'kind': 'cdrom', 'unit': 2, 'path': '" GRUB_CD "'}]}]");
	grub_expect_screen(*state, "grub-ide-cd", "grub>");
}

int main(void)
{
	return grub_main("test_cd", test_cd);
}
