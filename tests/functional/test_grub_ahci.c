// SPDX-License-Identifier: MIT
/* GRUB from its CD, in a drive at an AHCI controller, by the boot order; SeaBIOS reads it by its packets. */
#include "tests/functional/grub.h"

static void test_cd(void **state)
{
	grub_boots(*state, GRUB_CD,
		   "'boot': {'firmware': 'bios', 'order': ['cd']}, 'devices': [{'type': 'ahci',"
		   " 'disks': [{'readonly': true, 'share': true, 'path': '" GRUB_DISK
		   "'}, {'id': 'cd', 'kind': 'cdrom', 'unit': 5, 'path': '" GRUB_CD "'}]}]");
}

int main(void)
{
	return grub_main("test_cd", test_cd);
}
