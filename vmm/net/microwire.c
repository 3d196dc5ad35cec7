// SPDX-License-Identifier: MIT
/* See microwire.h. Under machine.lock. */
#include "vmm/net/microwire.h"

#define MICROWIRE_COMMAND 9 /* bits */
#define MICROWIRE_READ 6    /* start and opcode */

/* The clock rises: a bit comes in, or the next one goes out. */
static void microwire_tick(struct microwire *w, bool in)
{
	if (w->reads) {
		if (!w->left--) {
			w->word = (w->word + 1) % MICROWIRE_WORDS;
			w->left = 15;
		}
		return;
	}
	if (w->n == MICROWIRE_COMMAND || (!w->n && !in))
		return;
	w->in = w->in << 1 | in;
	w->n++;
	if (w->n < MICROWIRE_COMMAND || w->in >> 6 != MICROWIRE_READ)
		return;
	w->reads = true;
	w->word = w->in % MICROWIRE_WORDS;
	w->left = 16; /* first a 0, then the word */
}

void microwire_set(struct microwire *w, bool select, bool clock, bool in)
{
	if (!select)
		*w = (struct microwire){ 0 };
	else if (clock && !w->clock)
		microwire_tick(w, in);
	w->clock = clock;
}

bool microwire_out(const struct microwire *w, const uint16_t words[static MICROWIRE_WORDS])
{
	return !w->reads || (w->left < 16 && words[w->word] & BIT(w->left));
}
