// SPDX-License-Identifier: MIT
// The I/O APIC: Intel 82093AA data sheet (May 1996), with the EOI register of version 20h (Intel 64 and IA-32
// SDM 3A, section 10.8.5; ICH9 data sheet, section 13.5): with the split irqchip KVM's local APICs offer to
// suppress EOI broadcasts, and a guest that does so ends level interrupts here. Messages leave as MSIs.
// Under machine.lock.
#include "vmm/dev/ioapic.h"

#include "vmm/dev/dev.h"
#include "vmm/x86/map.h"

#define IOAPIC_SIZE 0x1000
#define IOAPIC_VERSION 0x20

/* memory-mapped: data sheet, section 3.1 */
enum ioapic_reg {
	IOAPIC_REGSEL = 0x00,
	IOAPIC_WIN = 0x10,
	IOAPIC_EOI = 0x40,
};

/* selected by IOREGSEL: section 3.2 */
enum ioapic_index {
	IOAPIC_ID = 0,
	IOAPIC_VER = 1,
	IOAPIC_ARB = 2,
	IOAPIC_REDTBL = 0x10,
};

/* redirection table entry: section 3.2.4 */
#define RTE_VECTOR 0xffull
#define RTE_MODE_SHIFT 8
#define RTE_MODE 7ull
#define RTE_MODE_EXTINT 7
#define RTE_LOGICAL BIT64(11)
#define RTE_STATUS BIT64(12)
#define RTE_REMOTE_IRR BIT64(14)
#define RTE_LEVEL BIT64(15)
#define RTE_MASKED BIT64(16)
#define RTE_DEST_SHIFT 56
#define RTE_READ_ONLY (RTE_STATUS | RTE_REMOTE_IRR)
#define RTE_WRITABLE (0x1ffffull | 0xffull << RTE_DEST_SHIFT)

struct ioapic {
	struct device dev; /* first */
	struct region region;
	uint8_t index;
	uint8_t id;
	uint32_t lines; /* levels of the pins, active is 1 whatever the polarity says */
	uint64_t rte[MAP_IOAPIC_PINS];
};

/* The message of an entry: SDM 3A, section 10.11 */
static struct msi_msg ioapic_msg(uint64_t rte)
{
	bool level = rte & RTE_LEVEL;

	return (struct msi_msg){
		.addr = GMEM_LAPIC_BASE | rte >> RTE_DEST_SHIFT << 12 |
			(rte & RTE_LOGICAL ? BIT(2) : 0),
		.data = (uint32_t)(rte & (RTE_VECTOR | RTE_MODE << RTE_MODE_SHIFT)) |
			(level ? BIT(15) | BIT(14) : 0),
	};
}

static void ioapic_send(struct ioapic *io, unsigned int pin)
{
	struct board *b = io->dev.board;
	uint64_t rte = io->rte[pin];
	struct msi_msg msg = ioapic_msg(rte);

	/* ExtINT means "ask the 8259": there is none beside a split irqchip */
	if ((rte >> RTE_MODE_SHIFT & RTE_MODE) == RTE_MODE_EXTINT)
		return;
	if (rte & RTE_LEVEL)
		io->rte[pin] |= RTE_REMOTE_IRR;
	b->ops->msi_send(b->arg, &msg);
}

/* A level interrupt goes out while its line is active and the one before has been ended */
static void ioapic_service(struct ioapic *io, unsigned int pin)
{
	uint64_t rte = io->rte[pin];

	if (rte & RTE_LEVEL && !(rte & (RTE_MASKED | RTE_REMOTE_IRR)) && io->lines & BIT(pin))
		ioapic_send(io, pin);
}

void ioapic_set_pin(struct ioapic *io, unsigned int pin, bool level)
{
	bool was;

	if (pin >= MAP_IOAPIC_PINS)
		return;
	was = io->lines & BIT(pin);
	io->lines = level ? io->lines | BIT(pin) : io->lines & ~BIT(pin);
	if (io->rte[pin] & RTE_LEVEL)
		ioapic_service(io, pin);
	else if (level && !was && !(io->rte[pin] & RTE_MASKED)) /* masked edges are lost: 3.2.4 */
		ioapic_send(io, pin);
}

void ioapic_eoi(struct ioapic *io, uint8_t vector)
{
	struct board *b = io->dev.board;

	for (unsigned int pin = 0; pin < MAP_IOAPIC_PINS; pin++) {
		uint64_t rte = io->rte[pin];

		if ((rte & RTE_VECTOR) != vector || !(rte & RTE_REMOTE_IRR))
			continue;
		io->rte[pin] &= ~RTE_REMOTE_IRR;
		/* first: it may lower the line */
		b->ops->irq_ended(b->arg, pin);
		ioapic_service(io, pin);
	}
}

/* One that is in service stays known while it is masked: without its EOI it would be so for ever. */
static void ioapic_announce(struct ioapic *io, unsigned int pin)
{
	struct board *b = io->dev.board;
	uint64_t rte = io->rte[pin];
	struct msi_msg msg = { 0 };

	if (!(rte & RTE_MASKED) || rte & RTE_REMOTE_IRR)
		msg = ioapic_msg(rte);
	b->ops->ioapic_route(b->arg, pin, &msg, rte & RTE_LEVEL);
}

static void ioapic_write_rte(struct ioapic *io, unsigned int pin, bool high, uint32_t val)
{
	uint64_t old = io->rte[pin], rte;

	if (high)
		rte = (old & 0xffffffff) | (uint64_t)val << 32;
	else
		rte = (old & ~0xffffffffull) | val;
	rte = (rte & RTE_WRITABLE & ~RTE_READ_ONLY) | (old & RTE_READ_ONLY);
	if (!(rte & RTE_LEVEL))
		rte &= ~RTE_REMOTE_IRR; /* level only; how drivers clear it where there is no EOI register */
	io->rte[pin] = rte;
	if (rte != old)
		ioapic_announce(io, pin);
	ioapic_service(io, pin);
}

static uint32_t ioapic_read_index(const struct ioapic *io)
{
	unsigned int i = io->index;

	if (i == IOAPIC_ID || i == IOAPIC_ARB)
		return (uint32_t)io->id << 24;
	if (i == IOAPIC_VER)
		return (MAP_IOAPIC_PINS - 1) << 16 | IOAPIC_VERSION;
	if (i < IOAPIC_REDTBL || i >= IOAPIC_REDTBL + 2 * MAP_IOAPIC_PINS)
		return 0;
	i -= IOAPIC_REDTBL;
	return (uint32_t)(io->rte[i / 2] >> (i & 1 ? 32 : 0));
}

static void ioapic_write_index(struct ioapic *io, uint32_t val)
{
	unsigned int i = io->index;

	if (i == IOAPIC_ID)
		io->id = val >> 24 & 15;
	else if (i >= IOAPIC_REDTBL && i < IOAPIC_REDTBL + 2 * MAP_IOAPIC_PINS)
		ioapic_write_rte(io, (i - IOAPIC_REDTBL) / 2, i & 1, val);
}

static uint64_t ioapic_read(void *dev, uint64_t off, unsigned int size)
{
	struct ioapic *io = dev;

	(void)size;
	if (off == IOAPIC_REGSEL)
		return io->index;
	return off == IOAPIC_WIN ? ioapic_read_index(io) : 0;
}

static void ioapic_write(void *dev, uint64_t off, unsigned int size, uint64_t val)
{
	struct ioapic *io = dev;

	(void)size;
	if (off == IOAPIC_REGSEL)
		io->index = (uint8_t)val;
	else if (off == IOAPIC_WIN)
		ioapic_write_index(io, (uint32_t)val);
	else if (off == IOAPIC_EOI)
		ioapic_eoi(io, (uint8_t)val);
}

static const struct region_ops ioapic_ops = {
	.read = ioapic_read,
	.write = ioapic_write,
	.min_size = 4,
	.max_size = 4,
};

/* The lines stay: they are the other devices' */
static void ioapic_reset(struct device *d)
{
	struct ioapic *io = container_of(d, struct ioapic, dev);

	io->index = io->id = 0;
	for (unsigned int pin = 0; pin < MAP_IOAPIC_PINS; pin++) {
		io->rte[pin] = RTE_MASKED;
		ioapic_announce(io, pin);
	}
}

static int ioapic_init(struct device *d, struct err *e)
{
	struct ioapic *io = container_of(d, struct ioapic, dev);
	int ret;

	for (unsigned int pin = 0; pin < MAP_IOAPIC_PINS; pin++)
		io->rte[pin] = RTE_MASKED;
	io->region = (struct region){
		.name = d->id,
		.base = GMEM_IOAPIC_BASE,
		.size = IOAPIC_SIZE,
		.ops = &ioapic_ops,
		.dev = io,
	};
	ret = bus_add(d->board->mmio, &io->region, e);
	if (ret == 0)
		d->board->ioapic = io;
	return ret;
}

static void ioapic_fini(struct device *d)
{
	struct ioapic *io = container_of(d, struct ioapic, dev);

	if (d->board->ioapic == io)
		d->board->ioapic = NULL;
	bus_del(d->board->mmio, &io->region);
}

const struct device_class ioapic_class = {
	.type = "ioapic",
	.size = sizeof(struct ioapic),
	.init = ioapic_init,
	.reset = ioapic_reset,
	.fini = ioapic_fini,
};
