// SPDX-License-Identifier: MIT
/*
 * The floppy controller of a PC (type "floppy"): Intel 82077AA data sheet (290166), "Control, data and status
 * registers", in AT mode. Time passes in no time: heads are where they are to be at once, and what the host
 * has is there when the host gives it. Under machine.lock.
 */
#include "vmm/dev/floppy.h"

#include <string.h>

#include "lib/errcat.h"
#include "vmm/devices.h"
#include "vmm/x86/map.h"

enum floppy_reg {
	FLOPPY_SRA, /* this and the next: not there in AT mode */
	FLOPPY_SRB,
	FLOPPY_DOR,
	FLOPPY_TDR,
	FLOPPY_MSR, /* write: DSR */
	FLOPPY_FIFO,
	FLOPPY_REGS,
};

#define FLOPPY_MSR_READY 0x80	/* RQM */
#define FLOPPY_MSR_TO_HOST 0x40 /* DIO */
#define FLOPPY_MSR_NO_DMA 0x20
#define FLOPPY_MSR_BUSY 0x10
#define FLOPPY_DSR_RESET 0x80
#define FLOPPY_DSR_DEFAULT 2 /* 250 kbit/s */
#define FLOPPY_RATE 3
#define FLOPPY_DIR_CHANGED 0x80
#define FLOPPY_NOT_DRIVEN 0xff

struct floppy_cfg {
	struct field_list disks; /* of struct floppy_drive_cfg */
};

struct floppy_drive *floppy_drive_at(struct floppy *f, unsigned int unit)
{
	return unit < FLOPPY_DRIVES && f->drives[unit].model ? &f->drives[unit] : NULL;
}

/* --- INT -------------------------------------------------------------------------------------- */

static void floppy_update_line(const struct floppy *f)
{
	irq_line_set(&f->line, f->irq && f->dor & FLOPPY_DOR_GATE);
}

/* The line has edges on the ISA bus: what comes on top of another is one, too. */
void floppy_irq(struct floppy *f, bool level)
{
	if (level && f->irq) {
		f->irq = false;
		floppy_update_line(f);
	}
	f->irq = level;
	floppy_update_line(f);
}

/* --- registers -------------------------------------------------------------------------------- */

/* After a reset the drive is busy for as long as the host has what was begun before. */
static uint8_t floppy_read_msr(const struct floppy *f)
{
	uint8_t fifo = floppy_has_dma(f) ? 0 : FLOPPY_MSR_READY | FLOPPY_MSR_NO_DMA;

	if (!(f->dor & FLOPPY_DOR_RUN))
		return 0;
	switch (f->phase) {
	case FLOPPY_COMMAND:
		return f->io.busy ? 0 : FLOPPY_MSR_READY | (f->nbytes ? FLOPPY_MSR_BUSY : 0);
	case FLOPPY_BUSY:
		return FLOPPY_MSR_BUSY;
	case FLOPPY_TO_HOST:
		return FLOPPY_MSR_BUSY | fifo | (fifo ? FLOPPY_MSR_TO_HOST : 0);
	case FLOPPY_FROM_HOST:
		return FLOPPY_MSR_BUSY | fifo;
	case FLOPPY_RESULT:
		break;
	}
	return FLOPPY_MSR_READY | FLOPPY_MSR_TO_HOST | FLOPPY_MSR_BUSY;
}

static uint8_t floppy_read_result(struct floppy *f)
{
	uint8_t byte = f->result[f->result_pos++];

	/* the first byte that is read takes INT away, but for one that a seek has raised since */
	if (f->result_pos == 1 && !f->pending)
		floppy_irq(f, false);
	if (f->result_pos == f->nresult)
		f->phase = FLOPPY_COMMAND;
	return byte;
}

static uint8_t floppy_read_fifo(struct floppy *f)
{
	if (!(f->dor & FLOPPY_DOR_RUN))
		return 0;
	if (f->phase == FLOPPY_RESULT)
		return floppy_read_result(f);
	if (f->phase == FLOPPY_TO_HOST && !floppy_has_dma(f))
		return floppy_data_read(f);
	return 0;
}

static uint64_t floppy_read(void *dev, uint64_t off, unsigned int size)
{
	struct floppy *f = dev;

	(void)size;
	switch ((enum floppy_reg)off) {
	case FLOPPY_DOR:
		return f->dor;
	case FLOPPY_TDR: /* the other bits are not driven */
		return f->tdr | 0xfc;
	case FLOPPY_MSR:
		return floppy_read_msr(f);
	case FLOPPY_FIFO:
		return floppy_read_fifo(f);
	case FLOPPY_SRA:
	case FLOPPY_SRB:
	case FLOPPY_REGS:
		break;
	}
	return FLOPPY_NOT_DRIVEN;
}

static void floppy_write_dor(struct floppy *f, uint8_t val)
{
	uint8_t old = f->dor;

	f->dor = val;
	if (!(val & FLOPPY_DOR_RUN))
		floppy_abandon(f);
	else if (!(old & FLOPPY_DOR_RUN))
		floppy_software_reset(f);
	if ((val ^ old) & FLOPPY_DOR_GATE) {
		floppy_update_line(f);
		floppy_dma_ready(f); /* DRQ, too */
	}
}

static void floppy_write_dsr(struct floppy *f, uint8_t val)
{
	f->dsr = val & ~FLOPPY_DSR_RESET; /* which clears itself */
	f->rate = val & FLOPPY_RATE;
	if (val & FLOPPY_DSR_RESET && f->dor & FLOPPY_DOR_RUN)
		floppy_software_reset(f);
}

static void floppy_write_fifo(struct floppy *f, uint8_t val)
{
	if (!(f->dor & FLOPPY_DOR_RUN))
		return;
	if (f->phase == FLOPPY_COMMAND && !f->io.busy)
		floppy_command_byte(f, val);
	else if (f->phase == FLOPPY_FROM_HOST && !floppy_has_dma(f))
		floppy_data_write(f, val);
}

static void floppy_write(void *dev, uint64_t off, unsigned int size, uint64_t val)
{
	struct floppy *f = dev;
	uint8_t byte = (uint8_t)val;

	(void)size;
	switch ((enum floppy_reg)off) {
	case FLOPPY_DOR:
		floppy_write_dor(f, byte);
		break;
	case FLOPPY_TDR: /* which drive is a tape */
		f->tdr = byte & 3;
		break;
	case FLOPPY_MSR:
		floppy_write_dsr(f, byte);
		break;
	case FLOPPY_FIFO:
		floppy_write_fifo(f, byte);
		break;
	case FLOPPY_SRA:
	case FLOPPY_SRB:
	case FLOPPY_REGS:
		break;
	}
}

static const struct region_ops floppy_ops = {
	.read = floppy_read,
	.write = floppy_write,
	.min_size = 1,
	.max_size = 1,
};

/* DIR: of the drive that is selected, which is one whose motor is on */
static uint64_t floppy_read_dir(void *dev, uint64_t off, unsigned int size)
{
	struct floppy *f = dev;
	unsigned int unit = f->dor & FLOPPY_DOR_SELECT;
	const struct floppy_drive *d = floppy_drive_at(f, unit);

	(void)off;
	(void)size;
	return d && d->changed && f->dor & FLOPPY_DOR_MOTOR << unit ? FLOPPY_DIR_CHANGED : 0;
}

/* CCR */
static void floppy_write_ccr(void *dev, uint64_t off, unsigned int size, uint64_t val)
{
	struct floppy *f = dev;

	(void)off;
	(void)size;
	f->rate = val & FLOPPY_RATE;
}

static const struct region_ops floppy_dir_ops = {
	.read = floppy_read_dir,
	.write = floppy_write_ccr,
	.min_size = 1,
	.max_size = 1,
};

/* --- life ------------------------------------------------------------------------------------- */

uint8_t floppy_cmos(const struct device *d)
{
	const struct floppy *f = container_of(d, struct floppy, dev);

	return (uint8_t)(f->drives[0].model << 4 | f->drives[1].model);
}

static int floppy_init(struct device *d, struct err *e)
{
	struct floppy *f = container_of(d, struct floppy, dev);
	const struct floppy_cfg *cfg = d->cfg;
	struct floppy_drive_cfg *disks = cfg->disks.items;
	int ret = 0;

	f->line = (struct irq_line){ .board = d->board, .gsi = MAP_GSI_FLOPPY };
	f->io.ended = floppy_ended;
	f->io.arg = f;
	for (size_t i = 0; i < cfg->disks.n; i++) {
		ret = floppy_drive_init(f, &disks[i], e);
		if (ret < 0)
			return err_wrap(e, "drive '%s'", disks[i].id);
	}
	ret = floppy_io_init(&f->io, d->board, e);
	if (ret >= 0)
		ret = i8237_init(&f->dma, d->board, e);
	if (ret < 0)
		return ret;
	i8237_connect(&f->dma, FLOPPY_DMA, floppy_dma_ready, f);
	f->regs = (struct region){
		.name = d->id, .base = MAP_FLOPPY, .size = FLOPPY_REGS, .ops = &floppy_ops, .dev = f
	};
	f->dir = (struct region){
		.name = d->id, .base = MAP_FLOPPY_DIR, .size = 1, .ops = &floppy_dir_ops, .dev = f
	};
	ret = bus_add(d->board->pio, &f->regs, e);
	return ret < 0 ? ret : bus_add(d->board->pio, &f->dir, e);
}

static void floppy_start(struct device *d)
{
	floppy_io_start(&container_of(d, struct floppy, dev)->io);
}

static void floppy_stop(struct device *d)
{
	floppy_io_stop(&container_of(d, struct floppy, dev)->io);
}

/* The RESET pin: held in reset by DOR until somebody writes it. Heads stay where they are. */
static void floppy_reset(struct device *d)
{
	struct floppy *f = container_of(d, struct floppy, dev);

	floppy_abandon(f);
	i8237_reset(&f->dma);
	f->dor = f->tdr = 0;
	f->dsr = f->rate = FLOPPY_DSR_DEFAULT;
	memset(f->specify, 0, sizeof(f->specify));
	memset(f->pcn, 0, sizeof(f->pcn));
	f->configure = FLOPPY_CONFIGURE_NO_FIFO;
	f->pretrk = f->perpendicular = f->eot = f->angle = 0;
	f->lock = false;
}

static void floppy_fini(struct device *d)
{
	struct floppy *f = container_of(d, struct floppy, dev);

	bus_del(d->board->pio, &f->regs);
	bus_del(d->board->pio, &f->dir);
	i8237_fini(&f->dma);
	floppy_io_fini(&f->io);
}

static const struct field floppy_fields[] = {
	FIELD_LIST("disks", struct floppy_cfg, disks, struct floppy_drive_cfg, floppy_drive_fields,
		   FLOPPY_DRIVES),
	FIELD_END,
};

const struct device_class floppy_class = {
	.type = "floppy",
	.size = sizeof(struct floppy),
	.cfg_size = sizeof(struct floppy_cfg),
	.cfg_fields = floppy_fields,
	.init = floppy_init,
	.start = floppy_start,
	.stop = floppy_stop,
	.reset = floppy_reset,
	.drive = floppy_drive_info,
	.set_medium = floppy_set_medium,
	.fini = floppy_fini,
};
