/* SPDX-License-Identifier: MIT */
/*
 * A serial EEPROM of 64 words (93C46) behind a card's register: Microwire, bit by bit. A command is a start bit, two of
 * opcode and six of address; a word goes out behind a 0, its first bit first, and the next one follows. It cannot be written: who
 * tries finds it ready, and unchanged.
 */
#ifndef VMM_NET_MICROWIRE_H
#define VMM_NET_MICROWIRE_H

#include "lib/util.h"

#define MICROWIRE_WORDS 64

/* All zero at power-on */
struct microwire {
	bool clock;	/* as it was last */
	unsigned int n; /* bits that came since the start bit, with it */
	uint32_t in;
	bool reads;
	unsigned int word, left; /* the word that goes out, and its bits */
};

/* Its three pins: chip select, clock, data in */
void microwire_set(struct microwire *w, bool select, bool clock, bool in);
/* Data out */
bool microwire_out(const struct microwire *w, const uint16_t words[static MICROWIRE_WORDS]);

#endif
