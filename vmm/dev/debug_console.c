// SPDX-License-Identifier: MIT
// The debug port of firmware, as QEMU's isa-debugcon is by default: what SeaBIOS and OVMF have to say, byte by byte to port
// 0x402, goes to the console of the device's id. A read gives E9h, by which they know that somebody listens. Under
// machine.lock.
#include "vmm/dev/dev.h"

#include "lib/errcat.h"
#include "vmm/console.h"
#include "vmm/x86/map.h"

#define DEBUG_CONSOLE_PRESENT 0xe9

struct debug_console {
	struct device dev; /* first */
	struct region region;
	struct console *console; /* borrowed */
};

static uint64_t debug_console_read(void *dev, uint64_t off, unsigned int size)
{
	(void)dev;
	(void)off;
	(void)size;
	return DEBUG_CONSOLE_PRESENT;
}

static void debug_console_write(void *dev, uint64_t off, unsigned int size, uint64_t val)
{
	struct debug_console *c = dev;

	(void)off;
	(void)size;
	console_write(c->console, &(uint8_t){ (uint8_t)val }, 1);
}

static const struct region_ops debug_console_ops = {
	.read = debug_console_read,
	.write = debug_console_write,
	.min_size = 1,
	.max_size = 1,
};

static void debug_console_reset(struct device *d)
{
	(void)d; /* there is no state */
}

static int debug_console_init(struct device *d, struct err *e)
{
	struct debug_console *c = container_of(d, struct debug_console, dev);

	c->region = (struct region){ .name = d->id,
				     .base = MAP_DEBUG_CONSOLE,
				     .size = 1,
				     .ops = &debug_console_ops,
				     .dev = c };
	c->console = d->board->ops->console(d->board->arg, d->id, e);
	if (!c->console)
		return -ERR_FAILED;
	return bus_add(d->board->pio, &c->region, e);
}

static void debug_console_fini(struct device *d)
{
	struct debug_console *c = container_of(d, struct debug_console, dev);

	bus_del(d->board->pio, &c->region);
}

const struct device_class debug_console_class = {
	.type = "debug-console",
	.size = sizeof(struct debug_console),
	.init = debug_console_init,
	.reset = debug_console_reset,
	.fini = debug_console_fini,
};
