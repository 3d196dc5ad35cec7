// SPDX-License-Identifier: MIT
/*
 * An IDE controller with a disk at the primary channel and a CD-ROM drive at the secondary one,
 * as a driver of the time has them: identified, read and written by PIO and by DMA, with
 * interrupts 14 and 15.
 */
#include "lib/guest.h"

#define IDE_FUNCTION 0x80000900u /* 00:01.1 */
#define PRIMARY 0x1f0
#define SECONDARY 0x170
#define VECTOR 0x60 /* and the next */
#define DRDY 0x40
#define DRQ 0x08
#define SECTORS 8

static uint16_t bm; /* the bus masters' ports */
static uint8_t out[SECTORS * 512], in[SECTORS * 512];
static uint32_t prd[2][2] __attribute__((aligned(16)));
static uint32_t interrupts[2];

static uint32_t cfg_read(unsigned int off)
{
	outl(0xcf8, IDE_FUNCTION | off);
	return inl(0xcfc);
}

static void cfg_write(unsigned int off, uint32_t v)
{
	outl(0xcf8, IDE_FUNCTION | off);
	outl(0xcfc, v);
}

/* The channel's next interrupt; the status, of which the reading ends it */
static uint8_t interrupted(uint16_t ch)
{
	unsigned int n = ch == SECONDARY;

	interrupt_wait(VECTOR + n, ++interrupts[n]);
	return inb(ch + 7);
}

static void command(uint16_t ch, uint8_t what, uint32_t lba, uint8_t count)
{
	outb(ch + 6, 0xe0 | lba >> 24);
	outb(ch + 2, count);
	outb(ch + 3, (uint8_t)lba);
	outb(ch + 4, (uint8_t)(lba >> 8));
	outb(ch + 5, (uint8_t)(lba >> 16));
	outb(ch + 7, what);
}

static void take(uint16_t ch, void *data, uint32_t bytes)
{
	uint32_t words = bytes / 2;

	__asm__ volatile("rep insw" : "+D"(data), "+c"(words) : "d"(ch) : "memory");
}

static void give(uint16_t ch, const void *data, uint32_t bytes)
{
	uint32_t words = bytes / 2;

	__asm__ volatile("rep outsw" : "+S"(data), "+c"(words) : "d"(ch) : "memory");
}

/* Two regions, cut at an odd place of a sector */
static void dma(uint16_t ch, const void *data, uint32_t bytes, bool read)
{
	uint16_t port = bm + (ch == SECONDARY ? 8 : 0);

	prd[0][0] = (uint32_t)(uint64_t)data;
	prd[0][1] = 102;
	prd[1][0] = prd[0][0] + 102;
	prd[1][1] = (bytes - 102) | 1u << 31;
	outl(port + 4, (uint32_t)(uint64_t)prd);
	outb(port + 2, 6);
	outb(port, read ? 9 : 1);
	CHECK_EQ(interrupted(ch) & ~0x10u, DRDY);
	CHECK_EQ(inb(port + 2) & 7, 4); /* it interrupted, and all is done */
	outb(port, 0);
}

static void disk(uint32_t sectors)
{
	uint16_t id[256];

	command(PRIMARY, 0xec, 0, 0); /* IDENTIFY DEVICE */
	CHECK_EQ(interrupted(PRIMARY) & DRQ, DRQ);
	take(PRIMARY, id, 512);
	CHECK_EQ(id[60] | (uint32_t)id[61] << 16, sectors);
	for (unsigned int i = 0; i < sizeof(out); i++)
		out[i] = (uint8_t)(1 + 7 * i);
	command(PRIMARY, 0xca, 3, SECTORS); /* WRITE DMA */
	dma(PRIMARY, out, sizeof(out), false);
	command(PRIMARY, 0xe7, 0, 0); /* FLUSH CACHE */
	CHECK_EQ(interrupted(PRIMARY) & ~0x10u, DRDY);
	command(PRIMARY, 0x20, 3, SECTORS); /* READ SECTORS */
	for (unsigned int i = 0; i < SECTORS; i++) {
		CHECK_EQ(interrupted(PRIMARY) & DRQ, DRQ);
		take(PRIMARY, in + 512 * i, 512);
	}
	CHECK(!memcmp(in, out, sizeof(in)));
	for (unsigned int i = 0; i < sizeof(out); i++)
		out[i] = (uint8_t)(2 + 5 * i);
	command(PRIMARY, 0x30, 20, SECTORS); /* WRITE SECTORS */
	for (unsigned int i = 0; i < SECTORS; i++) {
		CHECK_EQ((i ? interrupted(PRIMARY) : inb(PRIMARY + 7)) & DRQ, DRQ);
		give(PRIMARY, out + 512 * i, 512);
	}
	CHECK_EQ(interrupted(PRIMARY) & ~0x10u, DRDY);
	command(PRIMARY, 0xc8, 20, SECTORS); /* READ DMA */
	dma(PRIMARY, in, sizeof(in), true);
	CHECK(!memcmp(in, out, sizeof(in)));
	command(PRIMARY, 0x20, sectors, 1); /* there is none */
	CHECK_EQ(interrupted(PRIMARY) & ~0x10u, DRDY | 1);
	CHECK_EQ(inb(PRIMARY + 1), 0x10);
}

static uint8_t packet(const uint8_t cdb[static 12], bool by_dma)
{
	outb(SECONDARY + 6, 0xa0);
	outb(SECONDARY + 1, by_dma);
	outb(SECONDARY + 4, 0x00);
	outb(SECONDARY + 5, 0x08); /* 2048 bytes at once */
	outb(SECONDARY + 7, 0xa0);
	while (!(inb(SECONDARY + 7) & DRQ))
		;
	give(SECONDARY, cdb, 12);
	return by_dma ? 0 : interrupted(SECONDARY);
}

static void cdrom(void)
{
	static const uint8_t ready[12], read[12] = { 0x28, 0, 0, 0, 0, 16, 0, 0, 1 };

	CHECK_EQ(packet(ready, false) & 1, 1); /* something is to be told */
	CHECK_EQ(inb(SECONDARY + 1) >> 4, 6);
	CHECK_EQ(packet(ready, false) & 1, 0);
	CHECK_EQ(packet(read, false) & DRQ, DRQ);
	CHECK_EQ(inb(SECONDARY + 4) | inb(SECONDARY + 5) << 8, 2048);
	take(SECONDARY, in, 2048);
	CHECK_EQ(interrupted(SECONDARY) & ~0x10u, DRDY);
	CHECK(!memcmp(in, "\1CD001", 6));
	memset(in, 0, sizeof(in));
	packet(read, true);
	dma(SECONDARY, in, 2048, true);
	CHECK(!memcmp(in, "\1CD001", 6));
}

int guest_main(const struct start_info *si)
{
	interrupts_init();
	ioapic_route(14, VECTOR, false);
	ioapic_route(15, VECTOR + 1, false);
	CHECK_EQ(cfg_read(0), 0x70108086);
	CHECK_EQ(cfg_read(0x40), 0x80008000); /* decoded, without firmware too */
	bm = (uint16_t)(cfg_read(0x20) & ~3u);
	CHECK(bm);
	cfg_write(4, 5); /* ports, bus master */
	disk((uint32_t)cmdline_number(si, "sectors", 0));
	cdrom();
	return 0;
}
