// SPDX-License-Identifier: MIT
// The watchdog of an Intel 6300ESB: Intel 6300ESB I/O Controller Hub data sheet (300641), chapter "Watchdog Timer (WDT)
// (D29:F4)". Two stages: the first one sets a status bit, for its interrupt is a pin of an IOAPIC that this machine has
// not; the second one is the timeout, and does what the definition says. It counts the guest's time, and stands
// still while the guest does. That it has timed out is seen after the reset that it made. Under machine.lock.
#include "vmm/dev/dev.h"

#include <stdio.h>
#include <string.h>

#include "vmm/pci/pci.h"

#define I6300ESB_DEVICE 0x25ab
#define I6300ESB_CLASS 0x088000 /* base system peripheral, other */
#define I6300ESB_CONFIG 0x60
#define I6300ESB_LOCK 0x68
#define I6300ESB_BAR_SIZE 16

#define I6300ESB_CONFIG_FAST BIT(2)   /* WDT_PRE_SEL: a tick is 1 us, else 1 ms */
#define I6300ESB_CONFIG_SILENT BIT(5) /* WDT_OUTPUT: nothing happens at the timeout */
#define I6300ESB_CONFIG_MASK 0x27
#define I6300ESB_LOCKED BIT(0)
#define I6300ESB_ENABLE BIT(1)
#define I6300ESB_FREE BIT(2) /* WDT_TOUT_CNF: only the first stage, again and again */
#define I6300ESB_LOCK_MASK 7

#define I6300ESB_PRELOAD_MAX 0xfffffu
#define I6300ESB_ACTIVE BIT(0)	/* of the interrupt status */
#define I6300ESB_RELOAD BIT(8)	/* of the reload register */
#define I6300ESB_TIMEOUT BIT(9) /* … */

#define I6300ESB_PCI_CLOCK_NS 30 /* 33.3 MHz; a tick is 2^15 of them, or 2^5 */
#define I6300ESB_LEAST_NS 1000000ull
#define I6300ESB_TELL_NS 1000000000ull

enum i6300esb_register {
	I6300ESB_PRELOAD1 = 0x0,
	I6300ESB_PRELOAD2 = 0x4,
	I6300ESB_STATUS = 0x8,
	I6300ESB_RELOAD_REG = 0xc,
};

enum i6300esb_unlock { I6300ESB_SHUT, I6300ESB_HALF, I6300ESB_OPEN };

struct i6300esb {
	struct device dev; /* first */
	struct pci_dev pci;
	struct board_timer timer;
	uint32_t preload[2];
	unsigned int stage; /* that runs: 0, 1 */
	enum i6300esb_unlock unlock;
	bool active;	/* the first stage has ended */
	bool timed_out; /* the second one has; kept by a reset */
	bool enabled;
	uint64_t told_ns; /* the last timeout that was told; 0: none */
};

static void i6300esb_run(struct i6300esb *w, unsigned int stage)
{
	unsigned int shift = w->pci.cfg[I6300ESB_CONFIG] & I6300ESB_CONFIG_FAST ? 5 : 15;
	uint64_t ns = ((uint64_t)w->preload[stage] << shift) * I6300ESB_PCI_CLOCK_NS;

	w->stage = stage;
	board_timer_arm(w->dev.board, &w->timer,
			board_now_ns(w->dev.board) + MAX(ns, I6300ESB_LEAST_NS));
}

/* A guest whose watchdog ends all the time is told of once a second. */
static void i6300esb_tell(struct i6300esb *w, const char *action)
{
	const struct board *b = w->dev.board;
	uint64_t now = board_now_ns(b);
	char msg[DEVICE_ID_MAX + 32];

	if (w->told_ns && now - w->told_ns < I6300ESB_TELL_NS)
		return;
	w->told_ns = now;
	snprintf(msg, sizeof(msg), "%s %s", w->dev.id, action);
	b->ops->notice(b->arg, "watchdog", msg);
}

static void i6300esb_act(struct i6300esb *w)
{
	static const char *const names[] = { "reset", "pause", "stop", "event" };
	const struct i6300esb_cfg *cfg = w->dev.cfg;
	const struct board *b = w->dev.board;

	i6300esb_tell(w, names[cfg->action]);
	if (cfg->action == I6300ESB_ACTION_RESET)
		b->ops->event(b->arg, BOARD_RESET, 0, "watchdog");
	else if (cfg->action == I6300ESB_ACTION_STOP)
		b->ops->event(b->arg, BOARD_WATCHDOG, 0, w->dev.id);
	/* a pause is asked for by who was told, as of a user */
}

/* After the timeout it stands still until the guest reloads it. */
static void i6300esb_fire(void *arg)
{
	struct i6300esb *w = arg;

	if (w->pci.cfg[I6300ESB_LOCK] & I6300ESB_FREE) {
		w->active = true;
		i6300esb_run(w, 0);
	} else if (!w->stage) {
		w->active = true;
		i6300esb_run(w, 1);
	} else {
		w->timed_out = true;
		if (!(w->pci.cfg[I6300ESB_CONFIG] & I6300ESB_CONFIG_SILENT))
			i6300esb_act(w);
	}
}

/* --- registers ---------------------------------------------------------------------------------------- */

static uint64_t i6300esb_read(void *dev, uint64_t off, unsigned int size)
{
	const struct i6300esb *w = dev;
	uint32_t v = 0;

	(void)size;
	switch (off & ~3ull) {
	case I6300ESB_PRELOAD1:
	case I6300ESB_PRELOAD2:
		v = w->preload[off / 4];
		break;
	case I6300ESB_STATUS:
		v = w->active ? I6300ESB_ACTIVE : 0;
		break;
	case I6300ESB_RELOAD_REG:
		v = w->timed_out ? I6300ESB_TIMEOUT : 0;
		break;
	}
	return v >> (8 * (off & 3));
}

/* 80h, 86h to the reload register open the next write to a register that is protected. */
static bool i6300esb_unlocks(struct i6300esb *w, uint64_t off, uint64_t val)
{
	if (off != I6300ESB_RELOAD_REG || w->unlock == I6300ESB_OPEN)
		return false;
	if (w->unlock == I6300ESB_SHUT && (val & 0xff) == 0x80) {
		w->unlock = I6300ESB_HALF;
		return true;
	}
	if (w->unlock == I6300ESB_HALF && (val & 0xff) == 0x86) {
		w->unlock = I6300ESB_OPEN;
		return true;
	}
	return false;
}

static void i6300esb_write_open(struct i6300esb *w, uint64_t off, uint32_t val)
{
	if (off == I6300ESB_PRELOAD1 || off == I6300ESB_PRELOAD2) {
		w->preload[off / 4] = val & I6300ESB_PRELOAD_MAX;
	} else if (off == I6300ESB_RELOAD_REG) {
		if (val & I6300ESB_TIMEOUT)
			w->timed_out = false;
		if (val & I6300ESB_RELOAD && w->enabled)
			i6300esb_run(w, 0);
	}
}

static void i6300esb_write(void *dev, uint64_t off, unsigned int size, uint64_t val)
{
	struct i6300esb *w = dev;
	bool open;

	(void)size;
	if (off == I6300ESB_STATUS && val & I6300ESB_ACTIVE)
		w->active = false;
	if (i6300esb_unlocks(w, off, val))
		return;
	open = w->unlock == I6300ESB_OPEN;
	w->unlock = I6300ESB_SHUT;
	if (open)
		i6300esb_write_open(w, off, (uint32_t)val);
}

static const struct region_ops i6300esb_ops = {
	.read = i6300esb_read,
	.write = i6300esb_write,
	.min_size = 1,
	.max_size = 4,
};

/* The lock register: what is in it when its lock bit is set stays until the next reset. */
static void i6300esb_cfg_written(struct pci_dev *p, unsigned int off, unsigned int size)
{
	struct i6300esb *w = container_of(p, struct i6300esb, pci);
	uint8_t lock = p->cfg[I6300ESB_LOCK];
	bool enable = lock & I6300ESB_ENABLE;

	if (!range_fits(I6300ESB_LOCK - off, 1, size))
		return;
	if (lock & I6300ESB_LOCKED)
		p->wmask[I6300ESB_LOCK] = 0;
	if (enable == w->enabled)
		return;
	w->enabled = enable;
	if (enable)
		i6300esb_run(w, 0);
	else
		board_timer_cancel(w->dev.board, &w->timer);
}

/* --- life ------------------------------------------------------------------------------------------------ */

static void i6300esb_reset(struct device *d)
{
	struct i6300esb *w = container_of(d, struct i6300esb, dev);

	board_timer_cancel(d->board, &w->timer);
	w->pci.wmask[I6300ESB_LOCK] = I6300ESB_LOCK_MASK;
	pci_dev_reset(&w->pci);
	w->preload[0] = w->preload[1] = I6300ESB_PRELOAD_MAX;
	w->stage = 0;
	w->unlock = I6300ESB_SHUT;
	w->active = w->enabled = false;
}

static int i6300esb_init(struct device *d, struct err *e)
{
	static const struct pci_ids ids = {
		.vendor = 0x8086,
		.device = I6300ESB_DEVICE,
		.class_code = I6300ESB_CLASS,
	};
	static const struct pci_dev_ops ops = { .cfg_written = i6300esb_cfg_written };
	struct i6300esb *w = container_of(d, struct i6300esb, dev);
	const struct i6300esb_cfg *cfg = d->cfg;

	w->timer = (struct board_timer){ .fire = i6300esb_fire, .arg = w };
	pci_dev_init(&w->pci, d->id, &ids, &ops);
	pci_add_bar(&w->pci, 0, I6300ESB_BAR_SIZE, false, &i6300esb_ops, w);
	w->pci.wmask[I6300ESB_CONFIG] = I6300ESB_CONFIG_MASK;
	w->pci.wmask[I6300ESB_LOCK] = I6300ESB_LOCK_MASK;
	return pci_plug(d->board->pci, &w->pci, cfg->address, e);
}

static void i6300esb_fini(struct device *d)
{
	struct i6300esb *w = container_of(d, struct i6300esb, dev);

	board_timer_cancel(d->board, &w->timer);
	pci_dev_fini(&w->pci);
}

static const char *const i6300esb_actions[] = { "reset", "pause", "stop", "event", NULL };

static const struct field i6300esb_fields[] = {
	FIELD_STR("address", struct i6300esb_cfg, address),
	FIELD_ENUM("action", struct i6300esb_cfg, action, i6300esb_actions),
	FIELD_END,
};

const struct device_class i6300esb_class = {
	.type = "i6300esb",
	.size = sizeof(struct i6300esb),
	.cfg_size = sizeof(struct i6300esb_cfg),
	.cfg_fields = i6300esb_fields,
	.init = i6300esb_init,
	.reset = i6300esb_reset,
	.fini = i6300esb_fini,
};
