// SPDX-License-Identifier: MIT
// ACPI fixed hardware: PM1 event and control registers, the PM timer, and a block of general-purpose events.
// ACPI 6.4, section 4.8; the reset register (0xCF9) belongs to the PCI host bridge. The timer is read from the
// board's clock; it costs a host timer only while a guest has enabled its overflow. Under machine.lock.
//
// S3 (section 16.1.3): the write to PM1_CNT is the board's BOARD_SUSPEND, and what is set in PM1_STS from then on and may
// wake a guest is BOARD_WAKE, once: the RTC where the guest has enabled it, the power button also where it has not. The
// registers have standby power, so that a guest finds in them what woke it.
#include "vmm/dev/acpi_pm.h"

#include <assert.h>

#include "vmm/dev/dev.h"
#include "vmm/x86/map.h"

#define ACPI_PM_TMR_HZ 3579545ull
#define ACPI_PM_NS 1000000000ull
#define ACPI_PM_PRESSES 60 /* of a button that has woken the guest: acpi_pm.h */
#define ACPI_PM_PRESS_NS ACPI_PM_NS

/* table 4.11 and 4.12: status, and the enable bits at the same places */
#define ACPI_PM1_TMR BIT(0)
#define ACPI_PM1_GBL BIT(5)
#define ACPI_PM1_PWRBTN BIT(8)
#define ACPI_PM1_RTC BIT(10)
#define ACPI_PM1_WAK BIT(15)
#define ACPI_PM1_EVENTS (ACPI_PM1_TMR | ACPI_PM1_GBL | ACPI_PM1_PWRBTN | ACPI_PM1_RTC)
/* table 4.13 */
#define ACPI_PM1_SCI_EN BIT(0)
#define ACPI_PM1_BM_RLD BIT(1)
#define ACPI_PM1_SLP_TYP_SHIFT 10
#define ACPI_PM1_SLP_TYP (7u << ACPI_PM1_SLP_TYP_SHIFT)
#define ACPI_PM1_SLP_EN BIT(13)

enum acpi_pm_reg {
	ACPI_PM_STATUS = 0,
	ACPI_PM_ENABLE = 2,
	ACPI_PM_CONTROL = MAP_PM1_CNT - MAP_PM1_EVT,
	ACPI_PM_PM1_SIZE = 6,
};

/* GPE0_BLK, section 4.8.4.1: a byte of status, one of enable bits */
enum acpi_pm_gpe_reg { ACPI_PM_GPE_STATUS, ACPI_PM_GPE_ENABLE, ACPI_PM_GPE_SIZE };

struct acpi_pm {
	struct device dev; /* first */
	struct region pm1, timer, gpe;
	struct irq_line sci;
	struct board_timer overflow, press;
	unsigned int presses; /* to come */
	bool asleep;
	uint64_t last_ticks; /* up to which the overflow has been looked at */
	uint16_t status, enable, control;
	uint8_t gpes[ACPI_PM_GPE_SIZE];
};

static uint64_t acpi_pm_ticks(const struct acpi_pm *p)
{
	uint64_t ns = board_now_ns(p->dev.board);

	return ns / ACPI_PM_NS * ACPI_PM_TMR_HZ + ns % ACPI_PM_NS * ACPI_PM_TMR_HZ / ACPI_PM_NS;
}

/* The first nanosecond of a tick */
static uint64_t acpi_pm_tick_ns(uint64_t ticks)
{
	return ticks / ACPI_PM_TMR_HZ * ACPI_PM_NS +
	       (ticks % ACPI_PM_TMR_HZ * ACPI_PM_NS + ACPI_PM_TMR_HZ - 1) / ACPI_PM_TMR_HZ;
}

/* TMR_STS is set whenever the timer's highest bit changes (section 4.8.2.1) */
static void acpi_pm_update(struct acpi_pm *p)
{
	uint64_t ticks = acpi_pm_ticks(p);

	if (ticks >> 31 != p->last_ticks >> 31)
		p->status |= ACPI_PM1_TMR;
	p->last_ticks = ticks;
	irq_line_set(&p->sci, p->status & p->enable & ACPI_PM1_EVENTS ||
				      p->gpes[ACPI_PM_GPE_STATUS] & p->gpes[ACPI_PM_GPE_ENABLE]);
	if (p->enable & ACPI_PM1_TMR && !(p->status & ACPI_PM1_TMR))
		board_timer_arm(p->dev.board, &p->overflow,
				acpi_pm_tick_ns(((ticks >> 31) + 1) << 31));
	else
		board_timer_cancel(p->dev.board, &p->overflow);
}

static void acpi_pm_overflow(void *arg)
{
	acpi_pm_update(arg);
}

/* WAK_STS is set with what woke the guest: section 4.8.3.1 */
static void acpi_pm_wake_up(struct acpi_pm *p)
{
	struct board *b = p->dev.board;

	if (!p->asleep)
		return;
	p->asleep = false;
	p->status |= ACPI_PM1_WAK;
	b->ops->event(b->arg, BOARD_WAKE, 0, NULL);
}

static bool acpi_pm_may_wake(const struct acpi_pm *p)
{
	return p->status & p->enable & (ACPI_PM1_PWRBTN | ACPI_PM1_RTC);
}

static void acpi_pm_press(struct acpi_pm *p)
{
	p->status |= ACPI_PM1_PWRBTN;
	acpi_pm_wake_up(p);
	acpi_pm_update(p);
}

static void acpi_pm_press_later(struct acpi_pm *p)
{
	struct board *b = p->dev.board;

	if (p->presses)
		board_timer_arm(b, &p->press, board_now_ns(b) + ACPI_PM_PRESS_NS);
}

static void acpi_pm_press_again(void *arg)
{
	struct acpi_pm *p = arg;

	p->presses--;
	acpi_pm_press_later(p);
	if (p->enable & ACPI_PM1_PWRBTN && !p->asleep)
		acpi_pm_press(p);
}

void acpi_pm_power_button(struct device *d)
{
	struct acpi_pm *p = container_of(d, struct acpi_pm, dev);

	if (p->asleep) {
		p->presses = ACPI_PM_PRESSES;
		acpi_pm_press_later(p);
	}
	acpi_pm_press(p);
}

void acpi_pm_wake(struct device *d)
{
	struct acpi_pm *p = container_of(d, struct acpi_pm, dev);

	if (p->asleep)
		acpi_pm_press(p);
}

bool acpi_pm_asleep(const struct device *d)
{
	return container_of(d, const struct acpi_pm, dev)->asleep;
}

void acpi_pm_rtc(struct device *d)
{
	struct acpi_pm *p = container_of(d, struct acpi_pm, dev);

	if (p->status & ACPI_PM1_RTC)
		return;
	p->status |= ACPI_PM1_RTC;
	if (acpi_pm_may_wake(p))
		acpi_pm_wake_up(p);
	acpi_pm_update(p);
}

void acpi_pm_gpe(struct device *d, unsigned int gpe)
{
	struct acpi_pm *p = container_of(d, struct acpi_pm, dev);

	assert(gpe < 8);
	p->gpes[ACPI_PM_GPE_STATUS] |= (uint8_t)BIT(gpe);
	acpi_pm_update(p);
}

static uint16_t acpi_pm_get(struct acpi_pm *p, unsigned int reg)
{
	switch (reg) {
	case ACPI_PM_STATUS:
		return p->status;
	case ACPI_PM_ENABLE:
		return p->enable;
	case ACPI_PM_CONTROL:
		return p->control | ACPI_PM1_SCI_EN; /* there is no legacy mode: section 4.8.2.5 */
	default:
		return 0;
	}
}

static uint64_t acpi_pm_read(void *dev, uint64_t off, unsigned int size)
{
	struct acpi_pm *p = dev;
	uint64_t val = 0;

	acpi_pm_update(p);
	for (unsigned int i = 0; i < size; i++) {
		unsigned int at = (unsigned int)off + i;

		val |= (uint64_t)(acpi_pm_get(p, at & ~1u) >> (at & 1) * 8 & 0xff) << i * 8;
	}
	return val;
}

static void acpi_pm_sleep(struct acpi_pm *p)
{
	struct board *b = p->dev.board;

	p->presses = 0;
	board_timer_cancel(b, &p->press);
	p->asleep = true;
	b->ops->event(b->arg, BOARD_SUSPEND, 0, NULL);
	if (acpi_pm_may_wake(p)) /* it came meanwhile */
		acpi_pm_wake_up(p);
}

/* SLP_TYP as the DSDT names them */
static void acpi_pm_write_control(struct acpi_pm *p, uint16_t val)
{
	unsigned int type = (val & ACPI_PM1_SLP_TYP) >> ACPI_PM1_SLP_TYP_SHIFT;

	p->control = val & (ACPI_PM1_BM_RLD | ACPI_PM1_SLP_TYP);
	if (!(val & ACPI_PM1_SLP_EN))
		return;
	if (type == MAP_S5_SLP_TYP)
		p->dev.board->ops->event(p->dev.board->arg, BOARD_SHUTDOWN, 0, NULL);
	else if (type == MAP_S3_SLP_TYP)
		acpi_pm_sleep(p);
}

/* mask: the bits that the access covers */
static void acpi_pm_set(struct acpi_pm *p, unsigned int reg, uint16_t val, uint16_t mask)
{
	switch (reg) {
	case ACPI_PM_STATUS:
		p->status &= ~(val & mask); /* write 1 to clear */
		break;
	case ACPI_PM_ENABLE:
		p->enable = ((p->enable & ~mask) | (val & mask)) & ACPI_PM1_EVENTS;
		break;
	case ACPI_PM_CONTROL:
		acpi_pm_write_control(p, (p->control & ~mask) | (val & mask));
		break;
	default:
		break;
	}
}

static void acpi_pm_write(void *dev, uint64_t off, unsigned int size, uint64_t val)
{
	struct acpi_pm *p = dev;
	unsigned int end = (unsigned int)off + size;

	acpi_pm_update(p);
	for (unsigned int at = (unsigned int)off; at < end; at = (at & ~1u) + 2) {
		unsigned int last = MIN(end, (at & ~1u) + 2);
		unsigned int shift = (at & 1) * 8;
		uint16_t mask = (uint16_t)((last - at == 2 ? 0xffff : 0xff) << shift);

		acpi_pm_set(p, at & ~1u, (uint16_t)(val << shift), mask);
		val >>= (last - at) * 8;
	}
	acpi_pm_update(p);
}

static uint64_t acpi_pm_timer_read(void *dev, uint64_t off, unsigned int size)
{
	(void)off;
	(void)size;
	return (uint32_t)acpi_pm_ticks(dev);
}

static void acpi_pm_timer_write(void *dev, uint64_t off, unsigned int size, uint64_t val)
{
	(void)dev; /* read-only */
	(void)off;
	(void)size;
	(void)val;
}

static uint64_t acpi_pm_gpe_read(void *dev, uint64_t off, unsigned int size)
{
	const struct acpi_pm *p = dev;
	uint64_t val = 0;

	for (unsigned int i = 0; i < size; i++)
		val |= (uint64_t)p->gpes[off + i] << i * 8;
	return val;
}

static void acpi_pm_gpe_write(void *dev, uint64_t off, unsigned int size, uint64_t val)
{
	struct acpi_pm *p = dev;

	for (unsigned int i = 0; i < size; i++, val >>= 8)
		if (off + i == ACPI_PM_GPE_STATUS)
			p->gpes[off + i] &= (uint8_t)~val; /* write 1 to clear */
		else
			p->gpes[off + i] = (uint8_t)val;
	acpi_pm_update(p);
}

static const struct region_ops acpi_pm_gpe_ops = {
	.read = acpi_pm_gpe_read,
	.write = acpi_pm_gpe_write,
	.min_size = 1,
	.max_size = 2,
};

static const struct region_ops acpi_pm_ops = {
	.read = acpi_pm_read,
	.write = acpi_pm_write,
	.min_size = 1,
	.max_size = 4,
};

static const struct region_ops acpi_pm_timer_ops = {
	.read = acpi_pm_timer_read,
	.write = acpi_pm_timer_write,
	.min_size = 4,
	.max_size = 4,
};

static void acpi_pm_reset(struct device *d)
{
	struct acpi_pm *p = container_of(d, struct acpi_pm, dev);

	p->status = p->enable = p->control = 0;
	p->gpes[ACPI_PM_GPE_STATUS] = p->gpes[ACPI_PM_GPE_ENABLE] = 0;
	p->asleep = false;
	p->presses = 0;
	board_timer_cancel(d->board, &p->press);
	p->last_ticks = acpi_pm_ticks(p);
	acpi_pm_update(p);
}

static int acpi_pm_init(struct device *d, struct err *e)
{
	struct acpi_pm *p = container_of(d, struct acpi_pm, dev);
	int ret;

	p->sci = (struct irq_line){ .board = d->board, .gsi = MAP_GSI_SCI };
	p->overflow = (struct board_timer){ .fire = acpi_pm_overflow, .arg = p };
	p->press = (struct board_timer){ .fire = acpi_pm_press_again, .arg = p };
	d->board->acpi_pm = d;
	p->pm1 = (struct region){ .name = d->id,
				  .base = MAP_PM1_EVT,
				  .size = ACPI_PM_PM1_SIZE,
				  .ops = &acpi_pm_ops,
				  .dev = p };
	p->timer = (struct region){
		.name = d->id, .base = MAP_PM_TMR, .size = 4, .ops = &acpi_pm_timer_ops, .dev = p
	};
	p->gpe = (struct region){ .name = d->id,
				  .base = MAP_GPE0,
				  .size = ACPI_PM_GPE_SIZE,
				  .ops = &acpi_pm_gpe_ops,
				  .dev = p };
	ret = bus_add(d->board->pio, &p->pm1, e);
	if (ret >= 0)
		ret = bus_add(d->board->pio, &p->timer, e);
	return ret < 0 ? ret : bus_add(d->board->pio, &p->gpe, e);
}

static void acpi_pm_fini(struct device *d)
{
	struct acpi_pm *p = container_of(d, struct acpi_pm, dev);

	board_timer_cancel(d->board, &p->overflow);
	board_timer_cancel(d->board, &p->press);
	if (d->board->acpi_pm == d)
		d->board->acpi_pm = NULL;
	bus_del(d->board->pio, &p->pm1);
	bus_del(d->board->pio, &p->timer);
	bus_del(d->board->pio, &p->gpe);
}

const struct device_class acpi_pm_class = {
	.type = "acpi-pm",
	.standby = true,
	.size = sizeof(struct acpi_pm),
	.init = acpi_pm_init,
	.reset = acpi_pm_reset,
	.fini = acpi_pm_fini,
};
