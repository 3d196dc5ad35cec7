// SPDX-License-Identifier: MIT
// The keyboard controller: IBM PC/AT Technical Reference, "Keyboard Controller" (8042), and IBM PS/2 Hardware
// Interface Technical Reference, "Keyboard and Auxiliary Device Controller". A keyboard and a mouse are devices
// of their own (ps2.h). Without them it is here because firmware and kernels reset the machine through it and
// expect its self-test to pass: a byte that nobody takes is answered with timeout and FEh at once, so that
// drivers give up without waiting. Under machine.lock.
#include "vmm/dev/dev.h"

#include <string.h>
#include "vmm/dev/ps2.h"
#include "vmm/dev/scancode.h"
#include "vmm/x86/map.h"

#define I8042_STATUS_OBF BIT(0)
#define I8042_STATUS_SYS BIT(2)
#define I8042_STATUS_CMD BIT(3)
#define I8042_STATUS_UNLOCKED BIT(4)
#define I8042_STATUS_AUX BIT(5)
#define I8042_STATUS_TIMEOUT BIT(6)
#define I8042_CONFIG_KBD_INT BIT(0)
#define I8042_CONFIG_AUX_INT BIT(1)
#define I8042_CONFIG_SYS BIT(2)
#define I8042_CONFIG_KBD_OFF BIT(4)
#define I8042_CONFIG_AUX_OFF BIT(5)
#define I8042_CONFIG_TRANSLATE BIT(6)
#define I8042_OUTPUT_NO_RESET BIT(0)
#define I8042_OUTPUT_A20 BIT(1)

#define I8042_CONFIG_DEFAULT \
	(I8042_CONFIG_SYS | I8042_CONFIG_KBD_OFF | I8042_CONFIG_AUX_OFF | I8042_CONFIG_TRANSLATE)
#define I8042_NO_ANSWER 0xfe
/* From the system's read on: 11 bits at 10 to 16.7 kHz, and the controller's own time */
#define I8042_BYTE_NS 1000000ull

enum i8042_cmd {
	I8042_CMD_READ_RAM = 0x20,  /* to 0x3f; 0x20 is the configuration byte */
	I8042_CMD_WRITE_RAM = 0x60, /* to 0x7f */
	I8042_CMD_AUX_DISABLE = 0xa7,
	I8042_CMD_AUX_ENABLE = 0xa8,
	I8042_CMD_AUX_TEST = 0xa9,
	I8042_CMD_SELF_TEST = 0xaa,
	I8042_CMD_KBD_TEST = 0xab,
	I8042_CMD_KBD_DISABLE = 0xad,
	I8042_CMD_KBD_ENABLE = 0xae,
	I8042_CMD_READ_INPUT = 0xc0,
	I8042_CMD_READ_OUTPUT = 0xd0,
	I8042_CMD_WRITE_OUTPUT = 0xd1,
	I8042_CMD_WRITE_KBD_BUFFER = 0xd2,
	I8042_CMD_WRITE_AUX_BUFFER = 0xd3,
	I8042_CMD_WRITE_AUX = 0xd4,
	I8042_CMD_A20_OFF = 0xdd,
	I8042_CMD_A20_ON = 0xdf,
	I8042_CMD_READ_TEST = 0xe0,
	I8042_CMD_PULSE = 0xf0, /* to 0xff: bits 3:0 that are 0 are pulsed low */
};

/* Whose byte it is */
enum i8042_source { I8042_KBD = PS2_KEYBOARD, I8042_AUX = PS2_MOUSE, I8042_OWN };

struct i8042 {
	struct device dev; /* first */
	struct region data, command;
	struct irq_line irq[PS2_PORTS];
	struct board_timer wire; /* armed: data is on its way */
	uint8_t ram[32];	 /* ram[0] is the configuration byte */
	uint8_t output_port;
	uint8_t out;		  /* output buffer */
	bool full;		  /* … holds a byte */
	enum i8042_source source; /* … of this one */
	bool timeout;
	bool loading;
	bool is_data;	 /* the byte in the buffer is data */
	bool break_seen; /* SCANCODE_BREAK, which belongs to the byte that follows */
	uint8_t pending; /* command that waits for its data byte, or 0 */
	bool last_was_command;
};

static void i8042_update(struct i8042 *k)
{
	bool aux = k->full && k->source == I8042_AUX;

	irq_line_set(&k->irq[PS2_KEYBOARD], k->full && !aux && k->ram[0] & I8042_CONFIG_KBD_INT);
	irq_line_set(&k->irq[PS2_MOUSE], aux && k->ram[0] & I8042_CONFIG_AUX_INT);
}

/* Into the output buffer; what was there is lost, as it is when the 8042 answers a command. */
static void i8042_put(struct i8042 *k, enum i8042_source source, uint8_t byte, bool timeout)
{
	if (k->full) { /* an edge for each byte */
		k->full = false;
		i8042_update(k);
	}
	k->out = byte;
	k->source = source;
	k->timeout = timeout;
	k->is_data = false;
	k->full = true;
	i8042_update(k);
}

static void i8042_answer(struct i8042 *k, uint8_t byte)
{
	i8042_put(k, I8042_OWN, byte, false);
}

/* --- the devices -------------------------------------------------------------------------------------- */

/* NULL: nothing is plugged in */
static struct ps2 *i8042_port(const struct i8042 *k, enum ps2_port port)
{
	return k->dev.board->ps2[port];
}

static bool i8042_can_send(const struct i8042 *k, enum ps2_port port)
{
	uint8_t off = port == PS2_MOUSE ? I8042_CONFIG_AUX_OFF : I8042_CONFIG_KBD_OFF;

	return i8042_port(k, port) && !(k->ram[0] & off);
}

/* False: it is half of something, and the next byte brings the rest. */
static bool i8042_translate(struct i8042 *k, uint8_t *byte)
{
	if (!(k->ram[0] & I8042_CONFIG_TRANSLATE)) {
		k->break_seen = false;
		return true;
	}
	if (*byte == SCANCODE_BREAK) {
		k->break_seen = true;
		return false;
	}
	*byte = scancode_translate(*byte) | (k->break_seen ? 0x80 : 0);
	k->break_seen = false;
	return true;
}

static bool i8042_fetch(struct i8042 *k, enum ps2_port port, bool data)
{
	for (int byte; i8042_can_send(k, port);) {
		uint8_t b;

		byte = ps2_take(i8042_port(k, port), data);
		if (byte < 0)
			return false;
		b = (uint8_t)byte;
		if (port == PS2_KEYBOARD && !i8042_translate(k, &b))
			continue;
		i8042_put(k, (enum i8042_source)port, b, false);
		k->is_data = data;
		return true;
	}
	return false;
}

/* The next byte, when there is room for it: answers first. */
static void i8042_load(struct i8042 *k)
{
	bool found = false;

	if (k->full || k->loading)
		return;
	k->loading = true; /* whose last byte is taken may have more at once */
	for (int port = 0; port < PS2_PORTS && !found; port++)
		found = i8042_fetch(k, (enum ps2_port)port, false);
	for (int port = 0; port < PS2_PORTS && !found && !k->wire.armed; port++)
		found = i8042_fetch(k, (enum ps2_port)port, true);
	k->loading = false;
}

static void i8042_wire_fire(void *arg)
{
	i8042_load(arg);
}

void i8042_poke(const struct board *b)
{
	if (b->i8042)
		i8042_load(b->i8042);
}

/* A byte for a device: sending enables its interface. */
static void i8042_send(struct i8042 *k, enum ps2_port port, uint8_t byte)
{
	k->ram[0] &= port == PS2_MOUSE ? ~I8042_CONFIG_AUX_OFF : ~I8042_CONFIG_KBD_OFF;
	if (!i8042_port(k, port)) {
		i8042_put(k, I8042_OWN, I8042_NO_ANSWER, true);
		return;
	}
	if (port == PS2_KEYBOARD)
		k->break_seen = false;
	ps2_receive(i8042_port(k, port), byte);
	i8042_load(k);
}

/* --- commands ------------------------------------------------------------------------------------------- */

static void i8042_machine_reset(struct i8042 *k)
{
	k->dev.board->ops->event(k->dev.board->arg, BOARD_RESET, 0, "keyboard controller");
}

static void i8042_set_config(struct i8042 *k, uint8_t set, uint8_t clear)
{
	k->ram[0] = (k->ram[0] | set) & ~clear;
	i8042_update(k);
	i8042_load(k);
}

static void i8042_do_command(struct i8042 *k, uint8_t cmd)
{
	switch (cmd) {
	case I8042_CMD_AUX_DISABLE:
		i8042_set_config(k, I8042_CONFIG_AUX_OFF, 0);
		break;
	case I8042_CMD_AUX_ENABLE:
		i8042_set_config(k, 0, I8042_CONFIG_AUX_OFF);
		break;
	case I8042_CMD_AUX_TEST:
		/* clock line stuck low: nothing there */
		i8042_answer(k, i8042_port(k, PS2_MOUSE) ? 0x00 : 0x01);
		break;
	case I8042_CMD_SELF_TEST:
		k->ram[0] = I8042_CONFIG_DEFAULT;
		i8042_answer(k, 0x55);
		break;
	case I8042_CMD_KBD_TEST:
		i8042_answer(k, 0x00);
		break;
	case I8042_CMD_KBD_DISABLE:
		i8042_set_config(k, I8042_CONFIG_KBD_OFF, 0);
		break;
	case I8042_CMD_KBD_ENABLE:
		i8042_set_config(k, 0, I8042_CONFIG_KBD_OFF);
		break;
	case I8042_CMD_READ_INPUT:
		i8042_answer(k, 0x80); /* keyboard not locked */
		break;
	case I8042_CMD_READ_OUTPUT:
		i8042_answer(k, k->output_port);
		break;
	case I8042_CMD_READ_TEST:
		i8042_answer(k, 0x00);
		break;
	case I8042_CMD_A20_OFF:
		k->output_port &= ~I8042_OUTPUT_A20;
		break;
	case I8042_CMD_A20_ON:
		k->output_port |= I8042_OUTPUT_A20;
		break;
	case I8042_CMD_WRITE_OUTPUT:
	case I8042_CMD_WRITE_KBD_BUFFER:
	case I8042_CMD_WRITE_AUX_BUFFER:
	case I8042_CMD_WRITE_AUX:
		k->pending = cmd;
		break;
	default: /* unknown ones are ignored */
		break;
	}
}

static void i8042_write_command(void *dev, uint64_t off, unsigned int size, uint64_t val)
{
	struct i8042 *k = dev;
	uint8_t cmd = (uint8_t)val;

	(void)off;
	(void)size;
	k->last_was_command = true;
	k->pending = 0;
	if ((cmd & 0xe0) == I8042_CMD_READ_RAM)
		i8042_answer(k, k->ram[cmd & 31]);
	else if ((cmd & 0xe0) == I8042_CMD_WRITE_RAM)
		k->pending = cmd;
	else if (cmd >= I8042_CMD_PULSE && !(cmd & I8042_OUTPUT_NO_RESET))
		i8042_machine_reset(k);
	else
		i8042_do_command(k, cmd);
}

static uint64_t i8042_read_status(void *dev, uint64_t off, unsigned int size)
{
	struct i8042 *k = dev;

	(void)off;
	(void)size;
	return I8042_STATUS_UNLOCKED | (k->full ? I8042_STATUS_OBF : 0) |
	       (k->ram[0] & I8042_CONFIG_SYS ? I8042_STATUS_SYS : 0) |
	       (k->last_was_command ? I8042_STATUS_CMD : 0) |
	       (k->full && k->source == I8042_AUX ? I8042_STATUS_AUX : 0) |
	       (k->timeout ? I8042_STATUS_TIMEOUT : 0);
}

static void i8042_write_output_port(struct i8042 *k, uint8_t val)
{
	k->output_port = val | I8042_OUTPUT_NO_RESET;
	if (!(val & I8042_OUTPUT_NO_RESET))
		i8042_machine_reset(k);
}

static void i8042_write_data(void *dev, uint64_t off, unsigned int size, uint64_t val)
{
	struct i8042 *k = dev;
	uint8_t cmd = k->pending, byte = (uint8_t)val;

	(void)off;
	(void)size;
	k->last_was_command = false;
	k->pending = 0;
	if ((cmd & 0xe0) == I8042_CMD_WRITE_RAM) {
		k->ram[cmd & 31] = byte;
		i8042_update(k);
		i8042_load(k);
	} else if (cmd == I8042_CMD_WRITE_OUTPUT) {
		i8042_write_output_port(k, byte);
	} else if (cmd == I8042_CMD_WRITE_KBD_BUFFER) {
		i8042_put(k, I8042_KBD, byte, false);
	} else if (cmd == I8042_CMD_WRITE_AUX_BUFFER) {
		i8042_put(k, i8042_port(k, PS2_MOUSE) ? I8042_AUX : I8042_OWN, byte, false);
	} else {
		i8042_send(k, cmd == I8042_CMD_WRITE_AUX ? PS2_MOUSE : PS2_KEYBOARD, byte);
	}
}

static uint64_t i8042_read_data(void *dev, uint64_t off, unsigned int size)
{
	struct i8042 *k = dev;
	uint8_t byte = k->out;

	(void)off;
	(void)size;
	if (!k->full) /* the latch keeps it */
		return byte;
	k->full = false;
	k->timeout = false;
	i8042_update(k);
	if (k->is_data)
		board_timer_arm(k->dev.board, &k->wire, board_now_ns(k->dev.board) + I8042_BYTE_NS);
	k->is_data = false;
	i8042_load(k);
	return byte;
}

static const struct region_ops i8042_data_ops = {
	.read = i8042_read_data,
	.write = i8042_write_data,
	.min_size = 1,
	.max_size = 1,
};

static const struct region_ops i8042_command_ops = {
	.read = i8042_read_status,
	.write = i8042_write_command,
	.min_size = 1,
	.max_size = 1,
};

static void i8042_reset(struct device *d)
{
	struct i8042 *k = container_of(d, struct i8042, dev);

	board_timer_cancel(d->board, &k->wire);
	memset(k->ram, 0, sizeof(k->ram));
	k->ram[0] = I8042_CONFIG_DEFAULT;
	k->output_port = I8042_OUTPUT_NO_RESET | I8042_OUTPUT_A20;
	k->out = 0;
	k->full = k->timeout = k->last_was_command = false;
	k->is_data = k->break_seen = false;
	k->source = I8042_OWN;
	k->pending = 0;
	i8042_update(k);
}

static int i8042_init(struct device *d, struct err *e)
{
	struct i8042 *k = container_of(d, struct i8042, dev);
	int ret;

	k->irq[PS2_KEYBOARD] = (struct irq_line){ .board = d->board, .gsi = MAP_GSI_KBD };
	k->irq[PS2_MOUSE] = (struct irq_line){ .board = d->board, .gsi = MAP_GSI_AUX };
	k->wire = (struct board_timer){ .fire = i8042_wire_fire, .arg = k };
	k->data = (struct region){
		.name = d->id, .base = MAP_I8042_DATA, .size = 1, .ops = &i8042_data_ops, .dev = k
	};
	k->command = (struct region){
		.name = d->id, .base = MAP_I8042_CMD, .size = 1, .ops = &i8042_command_ops, .dev = k
	};
	ret = bus_add(d->board->pio, &k->data, e);
	if (ret >= 0)
		ret = bus_add(d->board->pio, &k->command, e);
	if (ret >= 0)
		d->board->i8042 = k;
	return ret;
}

static void i8042_fini(struct device *d)
{
	struct i8042 *k = container_of(d, struct i8042, dev);

	if (d->board->i8042 == k)
		d->board->i8042 = NULL;
	board_timer_cancel(d->board, &k->wire);
	bus_del(d->board->pio, &k->data);
	bus_del(d->board->pio, &k->command);
}

const struct device_class i8042_class = {
	.type = "i8042",
	.size = sizeof(struct i8042),
	.init = i8042_init,
	.reset = i8042_reset,
	.fini = i8042_fini,
};
