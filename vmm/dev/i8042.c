// SPDX-License-Identifier: MIT
// The keyboard controller with no keyboard and no mouse: IBM PC/AT Technical Reference, "Keyboard
// Controller" (8042). It is here because firmware and kernels reset the machine through it and expect its
// self-test to pass. A byte for the keyboard is answered as the 8042 does when nobody takes it: timeout and
// FEh at once, so that drivers give up without waiting. Under machine.lock.
#include "vmm/dev/dev.h"

#include <string.h>
#include "vmm/x86/map.h"

#define I8042_STATUS_OBF BIT(0)
#define I8042_STATUS_SYS BIT(2)
#define I8042_STATUS_CMD BIT(3)
#define I8042_STATUS_UNLOCKED BIT(4)
#define I8042_STATUS_TIMEOUT BIT(6)
#define I8042_CONFIG_KBD_INT BIT(0)
#define I8042_CONFIG_SYS BIT(2)
#define I8042_CONFIG_KBD_OFF BIT(4)
#define I8042_CONFIG_AUX_OFF BIT(5)
#define I8042_CONFIG_TRANSLATE BIT(6)
#define I8042_OUTPUT_NO_RESET BIT(0)
#define I8042_OUTPUT_A20 BIT(1)

#define I8042_CONFIG_DEFAULT \
	(I8042_CONFIG_SYS | I8042_CONFIG_KBD_OFF | I8042_CONFIG_AUX_OFF | I8042_CONFIG_TRANSLATE)
#define I8042_NO_ANSWER 0xfe

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
	I8042_CMD_READ_TEST = 0xe0,
	I8042_CMD_PULSE = 0xf0, /* to 0xff: bits 3:0 that are 0 are pulsed low */
};

struct i8042 {
	struct device dev; /* first */
	struct region data, command;
	struct irq_line irq;
	uint8_t ram[32]; /* ram[0] is the configuration byte */
	uint8_t output_port;
	uint8_t out; /* output buffer */
	bool full;   /* … holds a byte */
	bool timeout;
	uint8_t pending; /* command that waits for its data byte, or 0 */
	bool last_was_command;
};

static void i8042_update(struct i8042 *k)
{
	irq_line_set(&k->irq, k->full && k->ram[0] & I8042_CONFIG_KBD_INT);
}

static void i8042_answer(struct i8042 *k, uint8_t byte, bool timeout)
{
	if (k->full) { /* an edge for each byte */
		k->full = false;
		i8042_update(k);
	}
	k->out = byte;
	k->timeout = timeout;
	k->full = true;
	i8042_update(k);
}

static void i8042_machine_reset(struct i8042 *k)
{
	k->dev.board->ops->event(k->dev.board->arg, BOARD_RESET, 0, "keyboard controller");
}

static void i8042_set_config(struct i8042 *k, uint8_t set, uint8_t clear)
{
	k->ram[0] = (k->ram[0] | set) & ~clear;
	i8042_update(k);
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
		i8042_answer(k, 0x01, false); /* clock line stuck low: nothing there */
		break;
	case I8042_CMD_SELF_TEST:
		k->ram[0] = I8042_CONFIG_DEFAULT;
		i8042_answer(k, 0x55, false);
		break;
	case I8042_CMD_KBD_TEST:
		i8042_answer(k, 0x00, false);
		break;
	case I8042_CMD_KBD_DISABLE:
		i8042_set_config(k, I8042_CONFIG_KBD_OFF, 0);
		break;
	case I8042_CMD_KBD_ENABLE:
		i8042_set_config(k, 0, I8042_CONFIG_KBD_OFF);
		break;
	case I8042_CMD_READ_INPUT:
		i8042_answer(k, 0x80, false); /* keyboard not locked */
		break;
	case I8042_CMD_READ_OUTPUT:
		i8042_answer(k, k->output_port, false);
		break;
	case I8042_CMD_READ_TEST:
		i8042_answer(k, 0x00, false);
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
		i8042_answer(k, k->ram[cmd & 31], false);
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
	} else if (cmd == I8042_CMD_WRITE_OUTPUT) {
		i8042_write_output_port(k, byte);
	} else if (cmd == I8042_CMD_WRITE_KBD_BUFFER || cmd == I8042_CMD_WRITE_AUX_BUFFER) {
		i8042_answer(k, byte, false);
	} else { /* for the keyboard, or the mouse: writing enables the interface, nobody takes it */
		if (!cmd)
			k->ram[0] &= ~I8042_CONFIG_KBD_OFF;
		i8042_answer(k, I8042_NO_ANSWER, true);
	}
}

static uint64_t i8042_read_data(void *dev, uint64_t off, unsigned int size)
{
	struct i8042 *k = dev;

	(void)off;
	(void)size;
	k->full = false;
	k->timeout = false;
	i8042_update(k);
	return k->out;
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

	memset(k->ram, 0, sizeof(k->ram));
	k->ram[0] = I8042_CONFIG_DEFAULT;
	k->output_port = I8042_OUTPUT_NO_RESET | I8042_OUTPUT_A20;
	k->out = 0;
	k->full = k->timeout = k->last_was_command = false;
	k->pending = 0;
	i8042_update(k);
}

static int i8042_init(struct device *d, struct err *e)
{
	struct i8042 *k = container_of(d, struct i8042, dev);
	int ret;

	k->irq = (struct irq_line){ .board = d->board, .gsi = MAP_GSI_KBD };
	k->data = (struct region){
		.name = d->id, .base = MAP_I8042_DATA, .size = 1, .ops = &i8042_data_ops, .dev = k
	};
	k->command = (struct region){
		.name = d->id, .base = MAP_I8042_CMD, .size = 1, .ops = &i8042_command_ops, .dev = k
	};
	ret = bus_add(d->board->pio, &k->data, e);
	return ret < 0 ? ret : bus_add(d->board->pio, &k->command, e);
}

static void i8042_fini(struct device *d)
{
	struct i8042 *k = container_of(d, struct i8042, dev);

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
