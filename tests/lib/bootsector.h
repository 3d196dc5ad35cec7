/* SPDX-License-Identifier: MIT */
/* A boot sector for tests: it says a text on the first serial port and ends the VM with a status, by a debug port. */
#ifndef TESTS_LIB_BOOTSECTOR_H
#define TESTS_LIB_BOOTSECTOR_H

#include <assert.h>
#include <stdint.h>
#include <string.h>

#define BOOTSECTOR_SIZE 512
#define BOOTSECTOR_STATUS 0x15 /* places in the code */
#define BOOTSECTOR_PORT 0x17
#define BOOTSECTOR_TEXT 0x1d /* behind it */
#define BOOTSECTOR_TEXT_MAX 400

/* port: where the status is written, 0xf4 of debug-port for one */
static inline void bootsector_make(uint8_t out[static BOOTSECTOR_SIZE], const char *text,
				   uint16_t port, uint8_t status)
{
	static const char code[] = "\xfa"	  /* cli: firmware writes to that port, too */
				   "\x31\xc0"	  /* xor ax, ax */
				   "\x8e\xd8"	  /* mov ds, ax */
				   "\xbe\x1d\x7c" /* mov si, the text */
				   "\xba\xf8\x03" /* mov dx, 3f8h */
				   "\xfc"	  /* cld */
				   "\xac"	  /* next: lodsb */
				   "\x84\xc0"	  /* test al, al */
				   "\x74\x03"	  /* jz done */
				   "\xee"	  /* out dx, al */
				   "\xeb\xf8"	  /* jmp next */
				   "\xb0\x00"	  /* done: mov al, the status */
				   "\xba\x00\x00" /* mov dx, the port */
				   "\xee"	  /* out dx, al */
				   "\xf4"	  /* hlt */
				   "\xeb\xfd";	  /* jmp to the hlt */

	static_assert(sizeof(code) - 1 == BOOTSECTOR_TEXT, "the text follows the code");
	assert(strlen(text) < BOOTSECTOR_TEXT_MAX);
	memset(out, 0, BOOTSECTOR_SIZE);
	memcpy(out, code, sizeof(code) - 1);
	memcpy(out + BOOTSECTOR_TEXT, text, strlen(text));
	out[BOOTSECTOR_STATUS] = status;
	out[BOOTSECTOR_PORT] = (uint8_t)port;
	out[BOOTSECTOR_PORT + 1] = (uint8_t)(port >> 8);
	out[510] = 0x55;
	out[511] = 0xaa;
}

#endif
