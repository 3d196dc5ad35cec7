/* SPDX-License-Identifier: MIT */
/*
 * How much of a picture fits into a socket's room, whatever is in it: libvncserver waits for who does not take an update, so each is
 * of so many rows as take no more than that, by an upper bound. Flat ones are many.
 */
#ifndef DISPLAY_SLICE_H
#define DISPLAY_SLICE_H

#include <stdbool.h>
#include "display/screen.h"

/*
 * Rows, 1 at least, from a row on, that take up to room bytes; packed: runs of a colour take less than their
 * pixels (zlib, ZRLE, Tight and the like). No more than max bytes of pixels: somebody has to pack them.
 */
unsigned int slice_rows(const struct screen *s, unsigned int from, bool packed, size_t room,
			size_t max);

#endif
