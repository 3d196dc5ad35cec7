// SPDX-License-Identifier: MIT
/*
 * A floppy controller with a disk of 1.44 MB, as a driver of the time has it: out of reset, seeks, a cylinder that is
 * written and read by DMA, one of its tracks formatted, a sector through the FIFO, all with interrupt 6.
 */
#include "lib/guest.h"

#define DOR 0x3f2
#define MSR 0x3f4
#define FIFO 0x3f5
#define DIR 0x3f7
#define VECTOR 0x60
#define SECTORS 18
#define CYLINDER 40
#define TRACK_SIZE (SECTORS * 512)

/* in one page of the DMA controller */
static struct {
	uint8_t out[2 * TRACK_SIZE], in[2 * TRACK_SIZE];
} buf __attribute__((aligned(65536)));
static uint8_t result[7];
static uint32_t interrupts;

static void interrupted(void)
{
	interrupt_wait(VECTOR, ++interrupts);
}

static void send(const uint8_t *bytes, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++) {
		while ((inb(MSR) & 0xc0) != 0x80)
			;
		outb(FIFO, bytes[i]);
	}
}

#define SEND(...) send((const uint8_t[]){ __VA_ARGS__ }, sizeof((const uint8_t[]){ __VA_ARGS__ }))

static void take(unsigned int n)
{
	for (unsigned int i = 0; i < n; i++) {
		CHECK_EQ(inb(MSR) & 0xd0, 0xd0);
		result[i] = inb(FIFO);
	}
	CHECK_EQ(inb(MSR), 0x80);
}

/* The interrupt and the result of a command that moves data */
static void ends(uint8_t st0, uint8_t st1, uint8_t c, uint8_t h, uint8_t r)
{
	interrupted();
	take(7);
	CHECK_EQ(result[0], st0);
	CHECK_EQ(result[1], st1);
	CHECK_EQ(result[2], 0);
	CHECK_EQ(result[3], c);
	CHECK_EQ(result[4], h);
	CHECK_EQ(result[5], r);
}

static void sense(uint8_t st0, uint8_t pcn)
{
	SEND(0x08);
	take(2);
	CHECK_EQ(result[0], st0);
	CHECK_EQ(result[1], pcn);
}

/* Channel 2; 46h is to memory, 4Ah from it */
static void dma(uint8_t mode, const void *data, unsigned int bytes)
{
	uint32_t addr = (uint32_t)(uint64_t)data;

	outb(0x0a, 6);
	outb(0x0c, 0);
	outb(0x0b, mode);
	outb(0x04, (uint8_t)addr);
	outb(0x04, (uint8_t)(addr >> 8));
	outb(0x81, (uint8_t)(addr >> 16));
	outb(0x05, (uint8_t)(bytes - 1));
	outb(0x05, (uint8_t)((bytes - 1) >> 8));
	outb(0x0a, 2);
}

static void begin(void)
{
	outb(DOR, 0x00);
	outb(DOR, 0x1c);
	interrupted();
	for (uint8_t i = 0; i < 4; i++)
		sense(0xc0 | i, 0);
	outb(DIR, 0); /* 500 kbit/s */
	SEND(0x10);
	take(1);
	CHECK_EQ(result[0], 0x90);
	SEND(0x03, 0xdf, 0x02);
	SEND(0x07, 0);
	interrupted();
	sense(0x20, 0);
	CHECK_EQ(inb(DIR) & 0x80, 0x80); /* a disk that nobody has seen */
	SEND(0x0f, 0, CYLINDER);
	interrupted();
	sense(0x20, CYLINDER);
	CHECK_EQ(inb(DIR) & 0x80, 0);
}

static void cylinder(void)
{
	for (unsigned int i = 0; i < sizeof(buf.out); i++)
		buf.out[i] = (uint8_t)(3 + 7 * i + i / 512);
	dma(0x4a, buf.out, sizeof(buf.out));
	SEND(0xc5, 0, CYLINDER, 0, 1, 2, SECTORS, 0x1b, 0xff);
	ends(0x04, 0, CYLINDER + 1, 0, 1);
	dma(0x46, buf.in, sizeof(buf.in));
	SEND(0xc6, 0, CYLINDER, 0, 1, 2, SECTORS, 0x1b, 0xff);
	ends(0x04, 0, CYLINDER + 1, 0, 1);
	CHECK(!memcmp(buf.in, buf.out, sizeof(buf.in)));
}

static void format(void)
{
	for (unsigned int i = 0; i < SECTORS; i++) {
		buf.out[4 * i] = CYLINDER;
		buf.out[4 * i + 1] = 1;
		buf.out[4 * i + 2] = (uint8_t)(i + 1);
		buf.out[4 * i + 3] = 2;
	}
	dma(0x4a, buf.out, 4 * SECTORS);
	SEND(0x4d, 0x04, 2, SECTORS, 0x54, 0xf6);
	interrupted();
	take(7);
	CHECK_EQ(result[0], 0x04);
	dma(0x46, buf.in, sizeof(buf.in));
	SEND(0xc6, 0, CYLINDER, 0, 1, 2, SECTORS, 0x1b, 0xff);
	ends(0x04, 0, CYLINDER + 1, 0, 1);
	CHECK(!memcmp(buf.in + 512, buf.out + 512, TRACK_SIZE - 512));
	for (unsigned int i = 0; i < TRACK_SIZE; i++)
		CHECK_EQ(buf.in[TRACK_SIZE + i], 0xf6);
}

/* Without DMA: there is no TC, and the end is that of the cylinder */
static void fifo(void)
{
	SEND(0x03, 0xdf, 0x03);
	SEND(0x46, 0, CYLINDER, 0, SECTORS, 2, SECTORS, 0x1b, 0xff);
	interrupted();
	for (unsigned int i = 0; i < 512; i++) {
		CHECK_EQ(inb(MSR), 0xf0);
		CHECK_EQ(inb(FIFO), buf.out[TRACK_SIZE - 512 + i]);
	}
	ends(0x40, 0x80, CYLINDER + 1, 0, 1);
}

int guest_main(const struct start_info *si)
{
	(void)si;
	interrupts_init();
	ioapic_route(6, VECTOR, false);
	begin();
	cylinder();
	format();
	fifo();
	return 0;
}
