/* SPDX-License-Identifier: MIT */
/*
 * The ring of keys that a BIOS has read from the keyboard, and no program from the BIOS: IBM PS/2 and PC BIOS Interface
 * Technical Reference, "BIOS Data Area", 40:1A to 40:3D and 40:80 to 40:83. It has room for 15 as a rule; what comes when it
 * is full is lost.
 */
#ifndef VMM_X86_BIOS_KEYS_H
#define VMM_X86_BIOS_KEYS_H

#include "vmm/gmem.h"

/*
 * How many there are. *ret_head moves when one is read. -1: there is no such ring. Nothing of it can be relied on: a system
 * that has no use for the BIOS leaves the ring as it is, or writes to it what it likes.
 */
int bios_keys_waiting(const struct gmem *g, unsigned int *ret_head);

#endif
