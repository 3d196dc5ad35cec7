/* SPDX-License-Identifier: MIT */
/*
 * Firmware of 124 KiB whose store of 4 KiB is right below it, for tests of the flash: it takes another bit away from the
 * store's first byte, reads it back, and ends the guest with it as its status (by the debug port). What OVMF is too large for
 * where KVM interprets the guest. Real mode into a flat data segment; the code stays where the reset vector is.
 */
#ifndef TESTS_LIB_FLASHROM_H
#define TESTS_LIB_FLASHROM_H

#include <stdint.h>
#include <string.h>

#define FLASHROM_CODE (124 * 1024)
#define FLASHROM_VARS 4096

/* rom: FLASHROM_CODE bytes */
static inline void flashrom_make(uint8_t *rom)
{
	static const uint8_t jump[] = { 0xe9, 0x0d, 0xff };		     /* jmp ff00h */
	static const uint8_t gdt[] = { 0,    0,	   0, 0, 0, 0,	  0,	0,   /* none */
				       0xff, 0xff, 0, 0, 0, 0x93, 0xcf, 0 }; /* data */
	static const uint8_t gdtr[] = { sizeof(gdt) - 1, 0, 0x00, 0xfe, 0xff, 0xff };
	static const uint8_t code[] = {
		0xfa,				    /* cli */
		0x2e, 0x66, 0x0f, 0x01, 0x16, 0x20, /* lgdt cs:[fe20h] */
		0xfe,				    /**/
		0x0f, 0x20, 0xc0,		    /* mov eax, cr0 */
		0x0c, 0x01,			    /* or al, 1 */
		0x0f, 0x22, 0xc0,		    /* mov cr0, eax */
		0xb8, 0x08, 0x00,		    /* mov ax, 8 */
		0x8e, 0xd8,			    /* mov ds, ax */
		0x66, 0xbb, 0x00, 0x00, 0xfe, 0xff, /* mov ebx, fffe0000h */
		0x67, 0x8a, 0x03,		    /* mov al, [ebx] */
		0xd0, 0xe0,			    /* shl al, 1 */
		0x67, 0xc6, 0x03, 0x10,		    /* mov byte [ebx], 10h: program … */
		0x67, 0x88, 0x03,		    /* mov [ebx], al */
		0x67, 0xc6, 0x03, 0xff,		    /* mov byte [ebx], ffh: read array */
		0x67, 0x8a, 0x03,		    /* mov al, [ebx] */
		0xe6, 0xf4,			    /* out f4h, al */
		0xf4,				    /* hlt */
	};
	uint8_t *last = rom + FLASHROM_CODE - 0x10000; /* the code segment */

	memset(rom, 0x90, FLASHROM_CODE);
	memcpy(last + 0xfe00, gdt, sizeof(gdt));
	memcpy(last + 0xfe20, gdtr, sizeof(gdtr));
	memcpy(last + 0xff00, code, sizeof(code));
	memcpy(last + 0xfff0, jump, sizeof(jump));
}

#endif
