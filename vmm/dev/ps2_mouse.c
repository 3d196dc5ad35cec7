// SPDX-License-Identifier: MIT
// A mouse with a wheel and five buttons: IBM PS/2 Hardware Interface Technical Reference, "Mouse", and for the wheel and
// buttons 4 and 5 the sequences of sample rates by which IntelliMouse is asked (Microsoft, "IntelliMouse
// Explorer"). Movement that the guest has not read is added up, and clicks wait in a short queue. The
// resolution is kept and changes nothing: who moves the pointer counts in counts. Under machine.lock.
#include "vmm/dev/dev.h"

#include <stdlib.h>
#include <string.h>

#include "vmm/dev/ps2.h"
#include "vmm/input.h"

#define PS2_MOUSE_EVENTS 16
#define PS2_MOUSE_PACKET 4
#define PS2_MOUSE_SUM 32767	  /* of what is not yet sent */
#define PS2_MOUSE_STEP 255	  /* of one packet: 9 bits, and no overflow */
#define PS2_MOUSE_STEP_DOUBLE 127 /* with scaling 2:1 */
#define PS2_MOUSE_ERROR 0xfc
#define PS2_MOUSE_ALWAYS BIT(3)

enum ps2_mouse_cmd {
	PS2_MOUSE_SCALE_1 = 0xe6,
	PS2_MOUSE_SCALE_2 = 0xe7,
	PS2_MOUSE_RESOLUTION = 0xe8,
	PS2_MOUSE_STATUS = 0xe9,
	PS2_MOUSE_STREAM = 0xea,
	PS2_MOUSE_READ = 0xeb,
	PS2_MOUSE_WRAP_OFF = 0xec,
	PS2_MOUSE_WRAP = 0xee,
	PS2_MOUSE_REMOTE = 0xf0,
	PS2_MOUSE_ID = 0xf2,
	PS2_MOUSE_RATE = 0xf3,
	PS2_MOUSE_ENABLE = 0xf4,
	PS2_MOUSE_DISABLE = 0xf5,
	PS2_MOUSE_DEFAULT = 0xf6,
	PS2_MOUSE_RESEND = 0xfe,
	PS2_MOUSE_RESET = 0xff,
};

enum ps2_mouse_id { PS2_MOUSE_PLAIN = 0, PS2_MOUSE_WHEEL = 3, PS2_MOUSE_FIVE = 4 };

struct ps2_mouse {
	struct device dev; /* first */
	struct ps2 ps2;
	struct board_timer pace; /* armed: the next packet has to wait */
	struct input_pointer
		events[PS2_MOUSE_EVENTS]; /* movement up to a change of buttons, each */
	unsigned int first, nevents;
	uint8_t buttons;		  /* as the guest knows them */
	uint8_t packet[PS2_MOUSE_PACKET]; /* that is being sent */
	unsigned int at, size;
	uint64_t next_ns; /* when the next packet may come */
	enum ps2_mouse_id id;
	uint8_t rates[3]; /* the last ones */
	uint8_t resolution;
	bool reporting, remote, wrap, doubled;
	bool refused;	 /* the last command */
	uint8_t pending; /* command that waits for its byte, or 0 */
};

/* --- packets --------------------------------------------------------------------------------------------- */

static int ps2_mouse_part(int *sum, int limit)
{
	int part = MIN(MAX(*sum, -limit), limit);

	*sum -= part;
	return part;
}

/* "2:1 scaling", of what is sent by itself */
static int ps2_mouse_double(int v)
{
	static const int small[] = { 0, 1, 1, 3, 6, 9 };
	int n = abs(v);

	n = n < (int)ARRAY_SIZE(small) ? small[n] : 2 * n;
	return v < 0 ? -n : n;
}

/* The first event, or as much of it as one packet says; nothing new without any. */
static unsigned int ps2_mouse_report(struct ps2_mouse *m, bool doubled, uint8_t *ret)
{
	struct input_pointer none = { .buttons = m->buttons };
	struct input_pointer *ev = m->nevents ? &m->events[m->first] : &none;
	int limit = doubled ? PS2_MOUSE_STEP_DOUBLE : PS2_MOUSE_STEP;
	int x = ps2_mouse_part(&ev->dx, limit), y = -ps2_mouse_part(&ev->dy, limit), z = 0;

	if (doubled) {
		x = ps2_mouse_double(x);
		y = ps2_mouse_double(y);
	}
	if (m->id == PS2_MOUSE_PLAIN)
		ev->dz = 0;
	else
		z = ps2_mouse_part(&ev->dz, 7);
	m->buttons = ev->buttons;
	ret[0] = (uint8_t)(PS2_MOUSE_ALWAYS | (m->buttons & 7) | (x < 0 ? BIT(4) : 0) |
			   (y < 0 ? BIT(5) : 0));
	ret[1] = (uint8_t)x;
	ret[2] = (uint8_t)y;
	ret[3] = (uint8_t)z;
	if (m->id == PS2_MOUSE_FIVE)
		ret[3] = (uint8_t)((z & 15) | (m->buttons >> 3 & 3) << 4);
	if (m->nevents && !ev->dx && !ev->dy && !ev->dz) {
		m->first = (m->first + 1) % PS2_MOUSE_EVENTS;
		m->nevents--;
	}
	return m->id == PS2_MOUSE_PLAIN ? 3 : 4;
}

static bool ps2_mouse_streams(const struct ps2_mouse *m)
{
	return m->reporting && !m->remote && !m->wrap;
}

static void ps2_mouse_pace_fire(void *arg)
{
	struct ps2_mouse *m = arg;

	i8042_poke(m->dev.board);
}

static int ps2_mouse_next(struct ps2 *p)
{
	struct ps2_mouse *m = container_of(p, struct ps2_mouse, ps2);
	uint64_t now;

	if (m->at < m->size)
		return m->packet[m->at++];
	if (!ps2_mouse_streams(m) || !m->nevents)
		return -1;
	now = board_now_ns(m->dev.board);
	if (now < m->next_ns) {
		board_timer_arm(m->dev.board, &m->pace, m->next_ns);
		return -1;
	}
	m->next_ns = now + 1000000000ull / m->rates[2];
	m->size = ps2_mouse_report(m, m->doubled, m->packet);
	m->at = 0;
	return m->packet[m->at++];
}

static int ps2_mouse_sum(int a, int b)
{
	int64_t sum = (int64_t)a + b;

	return (int)MIN(MAX(sum, -PS2_MOUSE_SUM), PS2_MOUSE_SUM);
}

static bool ps2_mouse_merges(const struct ps2_mouse *m, const struct input_pointer *ev)
{
	const struct input_pointer *last;

	if (!m->nevents)
		return false;
	last = &m->events[(m->first + m->nevents - 1) % PS2_MOUSE_EVENTS];
	/* a full queue forgets a click, never where the buttons are in the end */
	return last->buttons == ev->buttons || m->nevents == PS2_MOUSE_EVENTS;
}

static void ps2_mouse_move(void *dev, const struct input_pointer *ev)
{
	struct ps2_mouse *m = dev;
	struct input_pointer *last;

	if (!m->remote && !ps2_mouse_streams(m)) {
		m->buttons = ev->buttons;
		return;
	}
	if (!ev->dx && !ev->dy && !ev->dz && !m->nevents && ev->buttons == m->buttons)
		return;
	if (!ps2_mouse_merges(m, ev)) {
		last = &m->events[(m->first + m->nevents++) % PS2_MOUSE_EVENTS];
		memset(last, 0, sizeof(*last));
	} else {
		last = &m->events[(m->first + m->nevents - 1) % PS2_MOUSE_EVENTS];
	}
	last->dx = ps2_mouse_sum(last->dx, ev->dx);
	last->dy = ps2_mouse_sum(last->dy, ev->dy);
	last->dz = ps2_mouse_sum(last->dz, ev->dz);
	last->buttons = ev->buttons;
	i8042_poke(m->dev.board);
}

static const struct input_mouse ps2_mouse_input = { .move = ps2_mouse_move };

/* --- what the system says ----------------------------------------------------------------------------------- */

static void ps2_mouse_drop(struct ps2_mouse *m)
{
	m->nevents = 0;
	m->at = m->size = 0;
}

static void ps2_mouse_defaults(struct ps2_mouse *m)
{
	ps2_mouse_drop(m);
	m->rates[2] = 100;
	m->rates[0] = m->rates[1] = 0;
	m->resolution = 2;
	m->reporting = m->remote = m->wrap = m->doubled = false;
	m->pending = 0;
	m->next_ns = 0;
}

/* 200, 100, 80 asks for a wheel; 200, 200, 80 then for two more buttons. */
static void ps2_mouse_rate(struct ps2_mouse *m, uint8_t rate)
{
	m->rates[0] = m->rates[1];
	m->rates[1] = m->rates[2];
	m->rates[2] = rate;
	if (m->rates[0] != 200 || rate != 80)
		return;
	if (m->rates[1] == 100)
		m->id = PS2_MOUSE_WHEEL;
	else if (m->rates[1] == 200 && m->id == PS2_MOUSE_WHEEL)
		m->id = PS2_MOUSE_FIVE;
}

/* Once it is asked to say it again; the second time in a row it is an error. */
static void ps2_mouse_refuse(struct ps2_mouse *m)
{
	ps2_answer(&m->ps2, m->refused ? PS2_MOUSE_ERROR : PS2_RESEND);
	m->refused = !m->refused;
}

static void ps2_mouse_ack(struct ps2_mouse *m)
{
	m->refused = false;
	ps2_answer(&m->ps2, PS2_ACK);
}

static bool ps2_mouse_rate_valid(uint8_t rate)
{
	static const uint8_t rates[] = { 10, 20, 40, 60, 80, 100, 200 };

	return memchr(rates, rate, sizeof(rates));
}

static void ps2_mouse_argument(struct ps2_mouse *m, uint8_t cmd, uint8_t byte)
{
	if (cmd == PS2_MOUSE_RATE ? !ps2_mouse_rate_valid(byte) : byte > 3) {
		m->pending = cmd; /* it waits for a better one */
		ps2_mouse_refuse(m);
		return;
	}
	if (cmd == PS2_MOUSE_RATE)
		ps2_mouse_rate(m, byte);
	else
		m->resolution = byte;
	ps2_mouse_ack(m);
}

static void ps2_mouse_status(struct ps2_mouse *m)
{
	ps2_answer(&m->ps2,
		   (uint8_t)((m->remote ? BIT(6) : 0) | (m->reporting ? BIT(5) : 0) |
			     (m->doubled ? BIT(4) : 0) | (m->buttons & INPUT_LEFT ? BIT(2) : 0) |
			     (m->buttons & INPUT_MIDDLE ? BIT(1) : 0) |
			     (m->buttons & INPUT_RIGHT ? BIT(0) : 0)));
	ps2_answer(&m->ps2, m->resolution);
	ps2_answer(&m->ps2, m->rates[2]);
}

static void ps2_mouse_read(struct ps2_mouse *m)
{
	uint8_t packet[PS2_MOUSE_PACKET];
	unsigned int n = ps2_mouse_report(m, false, packet);

	for (unsigned int i = 0; i < n; i++)
		ps2_answer(&m->ps2, packet[i]);
}

/* False: not a command that only sets something. */
static bool ps2_mouse_set(struct ps2_mouse *m, uint8_t cmd)
{
	switch (cmd) {
	case PS2_MOUSE_SCALE_1:
	case PS2_MOUSE_SCALE_2:
		m->doubled = cmd == PS2_MOUSE_SCALE_2;
		break;
	case PS2_MOUSE_STREAM:
	case PS2_MOUSE_REMOTE:
		ps2_mouse_drop(m);
		m->remote = cmd == PS2_MOUSE_REMOTE;
		break;
	case PS2_MOUSE_WRAP_OFF:
	case PS2_MOUSE_WRAP:
		m->wrap = cmd == PS2_MOUSE_WRAP;
		break;
	case PS2_MOUSE_ENABLE:
	case PS2_MOUSE_DISABLE:
		ps2_mouse_drop(m);
		m->reporting = cmd == PS2_MOUSE_ENABLE;
		break;
	case PS2_MOUSE_DEFAULT:
		ps2_mouse_defaults(m);
		break;
	case PS2_MOUSE_RESOLUTION:
	case PS2_MOUSE_RATE:
		m->pending = cmd;
		break;
	default:
		return false;
	}
	ps2_mouse_ack(m);
	return true;
}

static void ps2_mouse_command(struct ps2_mouse *m, uint8_t cmd)
{
	if (ps2_mouse_set(m, cmd))
		return;
	if (cmd == PS2_MOUSE_RESEND) {
		ps2_answer(&m->ps2, m->ps2.last);
		return;
	}
	if (cmd != PS2_MOUSE_STATUS && cmd != PS2_MOUSE_READ && cmd != PS2_MOUSE_ID &&
	    cmd != PS2_MOUSE_RESET) {
		ps2_mouse_refuse(m);
		return;
	}
	ps2_mouse_ack(m);
	if (cmd == PS2_MOUSE_STATUS) {
		ps2_mouse_status(m);
	} else if (cmd == PS2_MOUSE_READ) {
		ps2_mouse_read(m);
	} else if (cmd == PS2_MOUSE_ID) {
		ps2_answer(&m->ps2, (uint8_t)m->id);
	} else {
		ps2_mouse_defaults(m);
		m->id = PS2_MOUSE_PLAIN;
		ps2_answer(&m->ps2, PS2_TEST_PASSED);
		ps2_answer(&m->ps2, PS2_MOUSE_PLAIN);
	}
}

static void ps2_mouse_receive(struct ps2 *p, uint8_t byte)
{
	struct ps2_mouse *m = container_of(p, struct ps2_mouse, ps2);
	uint8_t cmd = m->pending;

	m->at = m->size = 0; /* a packet that is interrupted is not gone on with */
	m->pending = 0;
	if (cmd && byte < PS2_MOUSE_SCALE_1) /* else another command takes its place */
		ps2_mouse_argument(m, cmd, byte);
	else if (m->wrap && byte != PS2_MOUSE_WRAP_OFF && byte != PS2_MOUSE_RESET)
		ps2_answer(&m->ps2, byte);
	else
		ps2_mouse_command(m, byte);
}

static const struct ps2_ops ps2_mouse_ops = {
	.receive = ps2_mouse_receive,
	.next = ps2_mouse_next,
};

/* --- life ------------------------------------------------------------------------------------------------ */

static void ps2_mouse_reset(struct device *d)
{
	struct ps2_mouse *m = container_of(d, struct ps2_mouse, dev);

	board_timer_cancel(d->board, &m->pace);
	ps2_clear(&m->ps2);
	ps2_mouse_defaults(m);
	m->id = PS2_MOUSE_PLAIN;
	m->buttons = 0;
	m->refused = false;
}

static int ps2_mouse_init(struct device *d, struct err *e)
{
	struct ps2_mouse *m = container_of(d, struct ps2_mouse, dev);
	int ret;

	m->ps2.ops = &ps2_mouse_ops;
	m->pace = (struct board_timer){ .fire = ps2_mouse_pace_fire, .arg = m };
	ret = ps2_plug(d->board, PS2_MOUSE, &m->ps2, e);
	if (ret >= 0 && d->board->input)
		ret = input_set_mouse(d->board->input, &ps2_mouse_input, m, e);
	return ret;
}

static void ps2_mouse_fini(struct device *d)
{
	struct ps2_mouse *m = container_of(d, struct ps2_mouse, dev);

	board_timer_cancel(d->board, &m->pace);
	if (d->board->input)
		input_unset_mouse(d->board->input, m);
	ps2_unplug(d->board, &m->ps2);
}

const struct device_class ps2_mouse_class = {
	.type = "ps2-mouse",
	.size = sizeof(struct ps2_mouse),
	.init = ps2_mouse_init,
	.reset = ps2_mouse_reset,
	.fini = ps2_mouse_fini,
};
