// SPDX-License-Identifier: MIT
// ACPI fixed hardware: PM1 event and control registers, the PM timer, and a block of general-purpose events.
// ACPI 6.4, section 4.8; the reset register (0xCF9) belongs to the PCI host bridge. The timer is read from the
// board's clock; it costs a host timer only while a guest has enabled its overflow. Under machine.lock.
#include "vmm/dev/acpi_pm.h"

#include <assert.h>

#include "vmm/dev/dev.h"
#include "vmm/x86/map.h"

#define ACPI_PM_TMR_HZ 3579545ull
#define ACPI_PM_NS 1000000000ull

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
	struct board_timer overflow;
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

void acpi_pm_power_button(struct device *d)
{
	struct acpi_pm *p = container_of(d, struct acpi_pm, dev);

	p->status |= ACPI_PM1_PWRBTN;
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

static void acpi_pm_write_control(struct acpi_pm *p, uint16_t val)
{
	p->control = val & (ACPI_PM1_BM_RLD | ACPI_PM1_SLP_TYP);
	if (!(val & ACPI_PM1_SLP_EN))
		return;
	/* \_S5 is the only sleep state that the DSDT names */
	if ((val & ACPI_PM1_SLP_TYP) >> ACPI_PM1_SLP_TYP_SHIFT == MAP_S5_SLP_TYP)
		p->dev.board->ops->event(p->dev.board->arg, BOARD_SHUTDOWN, 0, NULL);
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
	p->last_ticks = acpi_pm_ticks(p);
	acpi_pm_update(p);
}

static int acpi_pm_init(struct device *d, struct err *e)
{
	struct acpi_pm *p = container_of(d, struct acpi_pm, dev);
	int ret;

	p->sci = (struct irq_line){ .board = d->board, .gsi = MAP_GSI_SCI };
	p->overflow = (struct board_timer){ .fire = acpi_pm_overflow, .arg = p };
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
	bus_del(d->board->pio, &p->pm1);
	bus_del(d->board->pio, &p->timer);
	bus_del(d->board->pio, &p->gpe);
}

const struct device_class acpi_pm_class = {
	.type = "acpi-pm",
	.size = sizeof(struct acpi_pm),
	.init = acpi_pm_init,
	.reset = acpi_pm_reset,
	.fini = acpi_pm_fini,
};
