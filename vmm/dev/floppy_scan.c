// SPDX-License-Identifier: MIT
/*
 * SCAN EQUAL, SCAN LOW OR EQUAL and SCAN HIGH OR EQUAL: commands of the 8272A, with which the 82078 (290475)
 * is compatible. The host sends a sector's bytes, and each is compared with that of the disk; the first
 * sector of which all are as the command says ends it, and is the one that the result names. Under
 * machine.lock.
 */
#include "vmm/dev/floppy.h"

#define FLOPPY_SCAN_ANY 0xff /* of either: whatever the other one is */

void floppy_scan_sector(struct floppy_run *run, const uint8_t *disk)
{
	bool low = false, high = false, bad = run->part;

	for (unsigned int i = 0; i < FLOPPY_SECTOR; i++) {
		if (disk[i] == FLOPPY_SCAN_ANY || run->host[i] == FLOPPY_SCAN_ANY)
			continue;
		low |= disk[i] < run->host[i];
		high |= disk[i] > run->host[i];
	}
	bad |= (low && run->scan != FLOPPY_SCAN_LOW) || (high && run->scan != FLOPPY_SCAN_HIGH);
	run->st2 &= (uint8_t)~FLOPPY_ST2_NOT_SATISFIED;
	if (bad)
		run->st2 |= FLOPPY_ST2_NOT_SATISFIED;
	else if (!low && !high)
		run->st2 |= FLOPPY_ST2_EQUAL;
	run->one = !bad;
}
