/* SPDX-License-Identifier: MIT */
/*
 * Keys by name, and text as keys of a US keyboard. Codes are Linux' KEY_* (linux/input-event-codes.h). Names are QEMU's
 * (ctrl, ret, kp_0) and those of the codes (leftctrl, enter, kp0, with or without "key_"), in any case.
 */
#ifndef LIB_KEYS_H
#define LIB_KEYS_H

#include <stddef.h>
#include <stdint.h>
#include "lib/err.h"

#define KEYS_CHORD_MAX 8
#define KEYS_NAME_MAX 24

struct keys_name {
	const char *name;
	uint16_t code;
};

/* A row without a name ends it. */
extern const struct keys_name keys_names[];

/* Keys that are pressed in this order, and let go in the other. */
struct keys_chord {
	uint16_t codes[KEYS_CHORD_MAX];
	unsigned int n;
};

/* "ctrl+alt+delete". -ERR_INVALID: no such key, with those of near names; none; too many; one of them twice. */
int keys_parse(const char *text, struct keys_chord *ret, struct err *e);

/*
 * The first character of a text, UTF-8: how many bytes it has. -ERR_INVALID: a US keyboard does not have it. LF is the Enter
 * key.
 */
int keys_char(const char *text, struct keys_chord *ret, struct err *e);

#endif
