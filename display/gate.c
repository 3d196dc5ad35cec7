// SPDX-License-Identifier: MIT
/* See gate.h. A table, without a state. */
#include "display/gate.h"

#include "lib/util.h"

/*
 * Messages of viewers by their type. Those that are skipped ask for what is not here: a clipboard, and UltraVNC's ways to have
 * the server scale the picture, or serve one window.
 */
#define GATE_SKIPPED 1
#define GATE_ANSWERED 2

static const struct gate_row {
	uint8_t type, flags, size;
	uint8_t count_at, count_size, each; /* what follows; count_size 0: nothing */
	uint16_t max;			    /* of the count; 0: any */
} gate_rows[] = {
	/* SetPixelFormat, SetEncodings, FramebufferUpdateRequest, KeyEvent, PointerEvent, ClientCutText */
	{ 0, GATE_ANSWERED, 20 },
	{ 2, GATE_ANSWERED, 4, 2, 2, 4, GATE_ENCODINGS_MAX },
	{ 3, 0, 10 },
	{ 4, 0, 8 },
	{ 5, 0, 6 },
	{ 6, GATE_SKIPPED, 8, 4, 4, 1 },
	/* SetScale, SetServerInput, SetSW, SetScaleFactor */
	{ 8, GATE_SKIPPED, 4 },
	{ 9, GATE_SKIPPED, 4 },
	{ 10, GATE_SKIPPED, 6 },
	{ 15, GATE_SKIPPED, 4 },
	/* xvp, SetDesktopSize, QEMU's extended key event */
	{ 250, GATE_ANSWERED, 4 },
	{ 251, GATE_ANSWERED, 8, 6, 1, 16 },
	{ 255, 0, 12 },
};

static uint32_t gate_count(const struct gate_row *row, const uint8_t *bytes)
{
	uint32_t count = 0;

	for (unsigned int i = 0; i < row->count_size; i++)
		count = count << 8 | bytes[row->count_at + i];
	/* rfbproto's "Extended Clipboard": a negative length is one too */
	return row->count_size == 4 && count > INT32_MAX ? -count : count;
}

static struct gate gate_message(const struct gate_row *row, const uint8_t *bytes, size_t n)
{
	struct gate g = { GATE_WAIT, row->size, row->flags & GATE_ANSWERED };
	uint32_t count;

	if (n < row->size)
		return g;
	count = gate_count(row, bytes);
	g.size += (uint64_t)count * row->each;
	if (row->max && count > row->max)
		g.what = GATE_BAD;
	else if (row->flags & GATE_SKIPPED)
		g.what = GATE_SKIP;
	else if (n >= g.size)
		g.what = GATE_TAKE;
	return g;
}

struct gate gate_look(enum gate_step step, const uint8_t *bytes, size_t n)
{
	/* sections 7.1.1, 7.1.2, 7.2.2, 7.3.1 */
	static const uint8_t sizes[] = {
		[GATE_VERSION] = 12, [GATE_SECURITY] = 1, [GATE_RESPONSE] = 16, [GATE_INIT] = 1
	};

	if (step < GATE_NORMAL)
		return (struct gate){ n < sizes[step] ? GATE_WAIT : GATE_TAKE, sizes[step], true };
	if (!n)
		return (struct gate){ GATE_WAIT, 1, false };
	for (size_t i = 0; i < ARRAY_SIZE(gate_rows); i++)
		if (gate_rows[i].type == bytes[0])
			return gate_message(&gate_rows[i], bytes, n);
	return (struct gate){ GATE_BAD, 0, false };
}
