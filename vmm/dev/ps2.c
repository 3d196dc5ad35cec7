// SPDX-License-Identifier: MIT
// A device's end of the wire to the keyboard controller: see ps2.h. Under machine.lock.
#include "vmm/dev/ps2.h"

#include <assert.h>

#include "lib/errcat.h"
#include "vmm/board.h"

int ps2_plug(struct board *b, enum ps2_port port, struct ps2 *p, struct err *e)
{
	static const char *const names[PS2_PORTS] = { "keyboard", "mouse" };

	if (b->ps2[port])
		return err_set(e, ERR_INVALID, "the keyboard controller has a %s already",
			       names[port]);
	b->ps2[port] = p;
	return 0;
}

void ps2_unplug(struct board *b, const struct ps2 *p)
{
	for (int port = 0; port < PS2_PORTS; port++)
		if (b->ps2[port] == p)
			b->ps2[port] = NULL;
}

void ps2_answer(struct ps2 *p, uint8_t byte)
{
	assert(p->nanswers < PS2_ANSWERS_MAX);
	p->answers[(p->first + p->nanswers++) % PS2_ANSWERS_MAX] = byte;
}

void ps2_clear(struct ps2 *p)
{
	p->nanswers = 0;
}

int ps2_take(struct ps2 *p, bool data)
{
	int byte = -1;

	if (p->nanswers) {
		byte = p->answers[p->first];
		p->first = (p->first + 1) % PS2_ANSWERS_MAX;
		p->nanswers--;
	} else if (data) {
		byte = p->ops->next(p);
	}
	if (byte >= 0)
		p->last = (uint8_t)byte;
	return byte;
}

void ps2_receive(struct ps2 *p, uint8_t byte)
{
	ps2_clear(p);
	p->ops->receive(p, byte);
}
