// SPDX-License-Identifier: MIT
/*
 * Two 8237A and their page registers: see i8237.h. A channel is not asked whether channel 4 cascades it:
 * that is firmware's, and a kernel that is loaded without any does not set it. No transfer takes longer
 * than its count, 64 KiB. Under machine.lock.
 */
#include "vmm/dev/i8237.h"

#include <assert.h>
#include <string.h>

#include "vmm/x86/map.h"

enum i8237_reg {
	/* 0 to 7: address and count of each channel */
	I8237_COMMAND = 8, /* read: Status */
	I8237_REQUEST,
	I8237_MASK,
	I8237_MODE,
	I8237_CLEAR_FLIP_FLOP,
	I8237_MASTER_CLEAR, /* read: Temporary */
	I8237_CLEAR_MASK,
	I8237_ALL_MASK,
	I8237_REGS,
};

#define I8237_COMMAND_DISABLE BIT(2)
#define I8237_MODE_TYPE 0x0c
#define I8237_MODE_VERIFY 0x00
#define I8237_MODE_WRITE 0x04 /* to memory */
#define I8237_MODE_READ 0x08
#define I8237_MODE_AUTO BIT(4)
#define I8237_MODE_DOWN BIT(5)
#define I8237_MODE_CASCADE 0xc0
#define I8237_NO_MEMORY 0xff

/* --- transfers -------------------------------------------------------------------------------- */

static bool i8237_runs(const struct i8237_chip *c, const struct i8237_channel *ch)
{
	return !(c->command & I8237_COMMAND_DISABLE) && !ch->masked &&
	       (ch->mode & I8237_MODE_CASCADE) != I8237_MODE_CASCADE;
}

/* The page register of a channel of the first chip: 87h, 83h, 81h, 82h */
static uint8_t i8237_page(const struct i8237 *d, unsigned int channel)
{
	static const uint8_t at[I8237_CHANNELS] = { 7, 3, 1, 2 };

	return d->page[at[channel]];
}

/* One of from and to is NULL. */
static void i8237_copy(const struct i8237 *d, uint8_t mode, uint32_t gpa, const uint8_t *from,
		       uint8_t *to, size_t len)
{
	uint8_t type = mode & I8237_MODE_TYPE;

	if (from && type == I8237_MODE_WRITE)
		gmem_write(d->board->gmem, gpa, from, len);
	if (to && (type != I8237_MODE_READ || gmem_read(d->board->gmem, gpa, to, len) < 0))
		memset(to, I8237_NO_MEMORY, len);
}

/* The count went from 0 to FFFFh: Terminal Count */
static void i8237_end(struct i8237_chip *c, unsigned int channel)
{
	struct i8237_channel *ch = &c->channels[channel];

	c->ended |= (uint8_t)BIT(channel);
	if (ch->mode & I8237_MODE_AUTO) {
		ch->addr = ch->base_addr;
		ch->count = ch->base_count;
	} else {
		ch->masked = true;
	}
}

static size_t i8237_move(struct i8237 *d, unsigned int channel, const uint8_t *from, uint8_t *to,
			 size_t len, bool *ret_tc)
{
	struct i8237_chip *c = &d->chips[0];
	struct i8237_channel *ch = &c->channels[channel];
	uint32_t page = (uint32_t)i8237_page(d, channel) << 16;
	bool down = ch->mode & I8237_MODE_DOWN;
	size_t done = 0;

	*ret_tc = false;
	if (!i8237_runs(c, ch))
		return 0;
	len = MIN(len, (size_t)ch->count + 1);
	while (done < len) {
		/* the address has 16 bits: it stays in its page */
		size_t n = down ? 1 : MIN(len - done, (size_t)0x10000 - ch->addr);

		i8237_copy(d, ch->mode, page | ch->addr, from ? from + done : NULL,
			   to ? to + done : NULL, n);
		ch->addr = (uint16_t)(down ? ch->addr - n : ch->addr + n);
		done += n;
	}
	*ret_tc = done == (size_t)ch->count + 1;
	ch->count = (uint16_t)(ch->count - done);
	if (*ret_tc)
		i8237_end(c, channel);
	return done;
}

size_t i8237_to_memory(struct i8237 *d, unsigned int channel, const void *data, size_t len,
		       bool *ret_tc)
{
	return i8237_move(d, channel, data, NULL, len, ret_tc);
}

size_t i8237_from_memory(struct i8237 *d, unsigned int channel, void *data, size_t len,
			 bool *ret_tc)
{
	return i8237_move(d, channel, NULL, data, len, ret_tc);
}

void i8237_connect(struct i8237 *d, unsigned int channel, void (*ready)(void *arg), void *arg)
{
	assert(channel < I8237_CHANNELS);
	d->chips[0].channels[channel].ready = ready;
	d->chips[0].channels[channel].arg = arg;
}

bool i8237_request(struct i8237 *d, unsigned int channel)
{
	struct i8237_channel *ch = &d->chips[0].channels[channel];

	ch->dreq = true;
	return i8237_runs(&d->chips[0], ch);
}

void i8237_drop(struct i8237 *d, unsigned int channel)
{
	d->chips[0].channels[channel].dreq = false;
}

/* What waited for a register to be as it is now */
static void i8237_serve(struct i8237_chip *c)
{
	for (unsigned int i = 0; i < I8237_CHANNELS; i++) {
		struct i8237_channel *ch = &c->channels[i];

		if (ch->dreq && ch->ready && i8237_runs(c, ch))
			ch->ready(ch->arg);
	}
}

/* --- registers: data sheet, "Register description", and "Software commands" --------------------- */

static void i8237_clear(struct i8237_chip *c)
{
	c->command = 0;
	c->ended = 0;
	c->high = false;
	for (unsigned int i = 0; i < I8237_CHANNELS; i++)
		c->channels[i].masked = true;
}

static uint8_t i8237_read_half(struct i8237_chip *c, unsigned int reg)
{
	const struct i8237_channel *ch = &c->channels[reg / 2];
	uint16_t val = reg & 1 ? ch->count : ch->addr;
	bool high = c->high;

	c->high = !high;
	return (uint8_t)(high ? val >> 8 : val);
}

/* Written together: what counts, and what autoinitialization brings back */
static void i8237_write_half(struct i8237_chip *c, unsigned int reg, uint8_t val)
{
	struct i8237_channel *ch = &c->channels[reg / 2];
	uint16_t *base = reg & 1 ? &ch->base_count : &ch->base_addr;
	uint16_t *now = reg & 1 ? &ch->count : &ch->addr;

	if (c->high)
		*base = (uint16_t)((*base & 0x00ff) | val << 8);
	else
		*base = (uint16_t)((*base & 0xff00) | val);
	*now = *base;
	c->high = !c->high;
}

static uint8_t i8237_read_status(struct i8237_chip *c)
{
	uint8_t status = c->ended;

	for (unsigned int i = 0; i < I8237_CHANNELS; i++)
		status |= (uint8_t)(c->channels[i].dreq << (4 + i));
	c->ended = 0;
	return status;
}

static uint8_t i8237_read_masks(const struct i8237_chip *c)
{
	uint8_t masks = 0xf0;

	for (unsigned int i = 0; i < I8237_CHANNELS; i++)
		masks |= (uint8_t)(c->channels[i].masked << i);
	return masks;
}

static uint64_t i8237_read(void *dev, uint64_t off, unsigned int size)
{
	struct i8237_chip *c = dev;
	unsigned int reg = (unsigned int)(off >> c->shift);

	(void)size;
	if (reg < I8237_COMMAND)
		return i8237_read_half(c, reg);
	if (reg == I8237_COMMAND)
		return i8237_read_status(c);
	/* Temporary is of transfers from memory to memory, which a PC has not */
	return reg == I8237_ALL_MASK ? i8237_read_masks(c) : 0;
}

static void i8237_write(void *dev, uint64_t off, unsigned int size, uint64_t val)
{
	struct i8237_chip *c = dev;
	unsigned int reg = (unsigned int)(off >> c->shift);
	struct i8237_channel *ch = &c->channels[val & 3];
	uint8_t byte = (uint8_t)val;

	(void)size;
	if (reg < I8237_COMMAND)
		i8237_write_half(c, reg, byte);
	else if (reg == I8237_COMMAND)
		c->command = byte;
	else if (reg == I8237_MASK)
		ch->masked = byte & BIT(2);
	else if (reg == I8237_MODE)
		ch->mode = byte & ~3;
	else if (reg == I8237_CLEAR_FLIP_FLOP)
		c->high = false;
	else if (reg == I8237_MASTER_CLEAR)
		i8237_clear(c);
	for (unsigned int i = 0; i < I8237_CHANNELS; i++) {
		if (reg == I8237_CLEAR_MASK)
			c->channels[i].masked = false;
		else if (reg == I8237_ALL_MASK)
			c->channels[i].masked = byte & BIT(i);
	}
	i8237_serve(c);
}

static const struct region_ops i8237_ops = {
	.read = i8237_read,
	.write = i8237_write,
	.min_size = 1,
	.max_size = 1,
};

/* Those that are no channel's keep what is written, too: 80h is where firmware shows how far it is. */
static uint64_t i8237_read_page(void *dev, uint64_t off, unsigned int size)
{
	const struct i8237 *d = dev;

	(void)size;
	return d->page[off];
}

static void i8237_write_page(void *dev, uint64_t off, unsigned int size, uint64_t val)
{
	struct i8237 *d = dev;

	(void)size;
	d->page[off] = (uint8_t)val;
}

static const struct region_ops i8237_page_ops = {
	.read = i8237_read_page,
	.write = i8237_write_page,
	.min_size = 1,
	.max_size = 1,
};

/* --- life ------------------------------------------------------------------------------------- */

void i8237_reset(struct i8237 *d)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(d->chips); i++) {
		struct i8237_chip *c = &d->chips[i];

		i8237_clear(c);
		for (unsigned int ch = 0; ch < I8237_CHANNELS; ch++) {
			c->channels[ch].mode = 0;
			c->channels[ch].dreq = false;
		}
	}
	memset(d->page, 0, sizeof(d->page));
}

int i8237_init(struct i8237 *d, struct board *board, struct err *e)
{
	static const struct {
		const char *name;
		uint16_t base;
		unsigned int shift;
	} at[] = { { "DMA controller 1", MAP_DMA1, 0 }, { "DMA controller 2", MAP_DMA2, 1 } };
	int ret = 0;

	d->board = board;
	for (unsigned int i = 0; i < ARRAY_SIZE(at) && ret >= 0; i++) {
		struct i8237_chip *c = &d->chips[i];

		c->shift = at[i].shift;
		c->region = (struct region){ .name = at[i].name,
					     .base = at[i].base,
					     .size = I8237_REGS << at[i].shift,
					     .ops = &i8237_ops,
					     .dev = c };
		ret = bus_add(board->pio, &c->region, e);
	}
	d->pages = (struct region){ .name = "DMA pages",
				    .base = MAP_DMA_PAGES,
				    .size = sizeof(d->page),
				    .ops = &i8237_page_ops,
				    .dev = d };
	return ret < 0 ? ret : bus_add(board->pio, &d->pages, e);
}

void i8237_fini(struct i8237 *d)
{
	if (!d->board)
		return;
	for (unsigned int i = 0; i < ARRAY_SIZE(d->chips); i++)
		bus_del(d->board->pio, &d->chips[i].region);
	bus_del(d->board->pio, &d->pages);
}
