// SPDX-License-Identifier: MIT
/* A BIOS's ring of keys: see bios_keys.h. Under machine.lock, while the guest writes to it. */
#include "vmm/x86/bios_keys.h"

#include <endian.h>

#define BIOS_KEYS_POINTERS 0x41a /* head and tail: offsets in segment 40h */
#define BIOS_KEYS_BOUNDS 0x480	 /* start and end, likewise */
#define BIOS_KEYS_FIRST 0x1e	 /* no ring begins before */
#define BIOS_KEYS_END 0x100	 /* or ends behind */
#define BIOS_KEYS_SIZE 2	 /* bytes of a key */

static bool bios_keys_valid(unsigned int at, unsigned int start, unsigned int end)
{
	return at >= start && at < end && !((at - start) % BIOS_KEYS_SIZE);
}

int bios_keys_waiting(const struct gmem *g, unsigned int *ret_head)
{
	uint16_t pointers[2], bounds[2];
	unsigned int start, end, head, tail;

	if (!g || gmem_read(g, BIOS_KEYS_POINTERS, pointers, sizeof(pointers)) < 0 ||
	    gmem_read(g, BIOS_KEYS_BOUNDS, bounds, sizeof(bounds)) < 0)
		return -1;
	start = le16toh(bounds[0]);
	end = le16toh(bounds[1]);
	head = le16toh(pointers[0]);
	tail = le16toh(pointers[1]);
	if (start < BIOS_KEYS_FIRST || end > BIOS_KEYS_END || start >= end ||
	    (end - start) % BIOS_KEYS_SIZE || !bios_keys_valid(head, start, end) ||
	    !bios_keys_valid(tail, start, end))
		return -1;
	*ret_head = head;
	return (int)((tail + (tail < head ? end - start : 0) - head) / BIOS_KEYS_SIZE);
}
