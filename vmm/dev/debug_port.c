// SPDX-License-Identifier: MIT
// The debug port of test guests: bytes written to 0xE9 are text for the console of the device's id (a read
// gives E9h: how a guest finds it, as with Bochs), a write to 0xF4 ends the guest with that exit status.
// Under machine.lock.
#include "vmm/dev/dev.h"

#include "lib/errcat.h"
#include "vmm/console.h"
#include "vmm/x86/map.h"

struct debug_port {
	struct device dev; /* first */
	struct region text, exit;
	struct console *console; /* borrowed */
};

static uint64_t debug_port_read(void *dev, uint64_t off, unsigned int size)
{
	(void)dev;
	(void)off;
	(void)size;
	return MAP_DEBUG_TEXT;
}

static void debug_port_write(void *dev, uint64_t off, unsigned int size, uint64_t val)
{
	struct debug_port *p = dev;

	(void)off;
	(void)size;
	console_write(p->console, &(uint8_t){ (uint8_t)val }, 1);
}

static uint64_t debug_port_exit_read(void *dev, uint64_t off, unsigned int size)
{
	(void)dev;
	(void)off;
	(void)size;
	return 0;
}

static void debug_port_exit_write(void *dev, uint64_t off, unsigned int size, uint64_t val)
{
	struct debug_port *p = dev;

	(void)size;
	if (off == 0)
		p->dev.board->ops->event(p->dev.board->arg, BOARD_EXIT, (int)(uint32_t)val, NULL);
}

static const struct region_ops debug_port_text_ops = {
	.read = debug_port_read,
	.write = debug_port_write,
	.min_size = 1,
	.max_size = 1,
};

static const struct region_ops debug_port_exit_ops = {
	.read = debug_port_exit_read,
	.write = debug_port_exit_write,
	.min_size = 1,
	.max_size = 4,
};

static void debug_port_reset(struct device *d)
{
	(void)d; /* there is no state */
}

static int debug_port_init(struct device *d, struct err *e)
{
	struct debug_port *p = container_of(d, struct debug_port, dev);
	int ret;

	p->text = (struct region){ .name = d->id,
				   .base = MAP_DEBUG_TEXT,
				   .size = 1,
				   .ops = &debug_port_text_ops,
				   .dev = p };
	p->exit = (struct region){ .name = d->id,
				   .base = MAP_DEBUG_EXIT,
				   .size = 4,
				   .ops = &debug_port_exit_ops,
				   .dev = p };
	p->console = d->board->ops->console(d->board->arg, d->id, e);
	if (!p->console)
		return -ERR_FAILED;
	ret = bus_add(d->board->pio, &p->text, e);
	return ret < 0 ? ret : bus_add(d->board->pio, &p->exit, e);
}

static void debug_port_fini(struct device *d)
{
	struct debug_port *p = container_of(d, struct debug_port, dev);

	bus_del(d->board->pio, &p->text);
	bus_del(d->board->pio, &p->exit);
}

const struct device_class debug_port_class = {
	.type = "debug-port",
	.size = sizeof(struct debug_port),
	.init = debug_port_init,
	.reset = debug_port_reset,
	.fini = debug_port_fini,
};
