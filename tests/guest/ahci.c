// SPDX-License-Identifier: MIT
/*
 * An AHCI controller with a disk at port 0 and a CD-ROM drive at port 2, as a driver has them:
 * reset, lists, signatures; commands by PIO, by DMA and queued, eight of them at once; packets. It
 * interrupts by messages (msi=1) or by its pin.
 */
#include "lib/guest.h"

#define AHCI_ID 0x29228086u
#define VECTOR 0x60
#define SLOTS 8
#define SECTORS 4 /* of each queued command */
#define GHC 0x04
#define IS 0x08
#define PORT(p) (0x100u + 0x80u * (p))
#define PIS 0x10
#define PIE 0x14
#define CMD 0x18
#define TFD 0x20
#define SIG 0x24
#define SSTS 0x28
#define SERR 0x30
#define SACT 0x34
#define CI 0x38
#define CDROM 2

struct table {
	uint8_t fis[64], packet[64];
	uint32_t regions[2][4];
	uint8_t pad[96];
};

struct port {
	uint32_t list[32][8] __attribute__((aligned(1024)));
	uint8_t received[256] __attribute__((aligned(256)));
	struct table tables[SLOTS] __attribute__((aligned(128)));
};

static struct port ports[3];
static uint64_t hba;
static volatile uint32_t causes[3]; /* that interrupts have told of */
static uint8_t out[SLOTS][SECTORS * 512], in[SLOTS][SECTORS * 512];

static uint32_t get(unsigned int reg)
{
	return mmio_read32(hba + reg);
}

static void set(unsigned int reg, uint32_t v)
{
	mmio_write32(hba + reg, v);
}

static void interrupted(unsigned int vector)
{
	uint32_t is;

	if (vector != VECTOR)
		return;
	is = get(IS);
	for (unsigned int p = 0; p < 3; p++) {
		uint32_t pis = is & (1u << p) ? get(PORT(p) + PIS) : 0;

		causes[p] |= pis;
		set(PORT(p) + PIS, pis);
	}
	set(IS, is);
}

static void up(unsigned int p)
{
	set(PORT(p), (uint32_t)(uint64_t)ports[p].list);
	set(PORT(p) + 8, (uint32_t)(uint64_t)ports[p].received);
	set(PORT(p) + CMD, 0x10);
	set(PORT(p) + SERR, ~0u);
	set(PORT(p) + PIS, ~0u);
	set(PORT(p) + PIE, 0x7800000f);
	CHECK_EQ(get(PORT(p) + SSTS) & 0xf, 3);
	CHECK_EQ(get(PORT(p) + TFD) & 0x88, 0);
	set(PORT(p) + CMD, 0x11);
}

/* One that is not issued yet; data: two regions of it, cut at an odd place */
static uint8_t *command(unsigned int p, unsigned int slot, uint8_t what, uint64_t lba,
			uint16_t feature, uint16_t count, const void *data, uint32_t bytes)
{
	struct table *t = &ports[p].tables[slot];
	uint32_t *h = ports[p].list[slot], cut = bytes > 512 ? 102 : bytes;

	memset(t, 0, sizeof(*t));
	t->fis[0] = 0x27;
	t->fis[1] = 0x80;
	t->fis[2] = what;
	t->fis[3] = (uint8_t)feature;
	t->fis[7] = 0x40;
	for (unsigned int i = 0; i < 3; i++) {
		t->fis[4 + i] = (uint8_t)(lba >> (8 * i));
		t->fis[8 + i] = (uint8_t)(lba >> (24 + 8 * i));
	}
	t->fis[11] = (uint8_t)(feature >> 8);
	t->fis[12] = (uint8_t)count;
	t->fis[13] = (uint8_t)(count >> 8);
	t->regions[0][0] = (uint32_t)(uint64_t)data;
	t->regions[0][3] = cut - 1;
	t->regions[1][0] = t->regions[0][0] + cut;
	t->regions[1][3] = bytes - cut - 1;
	h[0] = 5 | (bytes ? (cut < bytes ? 2u : 1u) : 0) << 16;
	h[1] = 0;
	h[2] = (uint32_t)(uint64_t)t;
	h[3] = 0;
	return t->packet;
}

/* One may have no more to tell. */
static void wait(unsigned int p)
{
	while (!causes[p])
		interrupt_wait(VECTOR, interrupt_count[VECTOR] + 1);
}

/* Issue what slot 0 has: PxTFD at its end, of which an interrupt has told */
static uint32_t run(unsigned int p)
{
	causes[p] = 0;
	set(PORT(p) + CI, 1);
	wait(p);
	return get(PORT(p) + TFD);
}

static void queued(uint8_t what, uint8_t data[SLOTS][SECTORS * 512])
{
	uint32_t all = (1u << SLOTS) - 1;

	for (unsigned int i = 0; i < SLOTS; i++)
		command(0, i, what, 3 + 2 * SECTORS * i, SECTORS, (uint16_t)(i << 3), data[i],
			sizeof(data[i]));
	causes[0] = 0;
	set(PORT(0) + SACT, all);
	set(PORT(0) + CI, all);
	while (get(PORT(0) + SACT))
		__asm__ volatile("pause");
	CHECK_EQ(get(PORT(0) + CI), 0);
	wait(0);
	CHECK_EQ(causes[0], 8); /* Set Device Bits */
}

static void disk(uint32_t sectors)
{
	static uint16_t id[256];

	CHECK_EQ(get(PORT(0) + SIG), 0x101);
	command(0, 0, 0xec, 0, 0, 0, id, 512);
	CHECK_EQ(run(0), 0x50);
	CHECK_EQ(causes[0], 2); /* PIO Setup */
	CHECK_EQ(id[100] | (uint32_t)id[101] << 16, sectors);
	CHECK_EQ(id[75], 31);
	for (unsigned int i = 0; i < sizeof(out); i++)
		((uint8_t *)out)[i] = (uint8_t)(3 + 11 * i + i / 512);
	queued(0x61, out);
	command(0, 0, 0xea, 0, 0, 0, NULL, 0); /* FLUSH CACHE EXT */
	CHECK_EQ(run(0), 0x50);
	queued(0x60, in);
	CHECK(!memcmp(in, out, sizeof(in)));
	command(0, 0, 0x25, 3, 0, SECTORS, in[1], sizeof(in[1])); /* READ DMA EXT */
	CHECK_EQ(run(0), 0x50);
	CHECK_EQ(causes[0], 1);
	CHECK_EQ(ports[0].list[0][1], sizeof(in[1]));
	CHECK(!memcmp(in[1], out[0], sizeof(in[1])));
	command(0, 0, 0x25, sectors, 0, 1, in[1], 512); /* there is none */
	CHECK_EQ(run(0), 0x1051);
	CHECK_EQ(causes[0], 0x40000001);
}

static void cdrom(void)
{
	static const uint8_t read[12] = { 0x28, 0, 0, 0, 0, 16, 0, 0, 1 };

	CHECK_EQ(get(PORT(CDROM) + SIG), 0xeb140101);
	command(CDROM, 0, 0xa0, 0, 0, 0, NULL, 0);
	CHECK_EQ(run(CDROM), 0x6451); /* something is to be told */
	set(PORT(CDROM) + CMD, 0x10);
	while (get(PORT(CDROM) + CMD) & 0x8000)
		;
	up(CDROM);
	command(CDROM, 0, 0xa0, 0, 0, 0, NULL, 0);
	CHECK_EQ(run(CDROM), 0x50);
	memset(in, 0, sizeof(in));
	memcpy(command(CDROM, 0, 0xa0, 0, 1, 0, in, 2048), read, sizeof(read));
	CHECK_EQ(run(CDROM), 0x50);
	CHECK_EQ(causes[CDROM], 1);
	CHECK(!memcmp(in, "\1CD001", 6));
}

static void interrupts_on(unsigned int slot, bool by_message)
{
	unsigned int cap = pci_cap(slot, 5, 0);

	interrupt_hook = interrupted;
	if (!by_message) {
		ioapic_route(pci_read(slot, 0x3c) & 0xff, VECTOR, true);
		return;
	}
	CHECK(cap);
	pci_write(slot, cap + 4, 0xfee00000);
	pci_write(slot, cap + 8, 0);
	pci_write(slot, cap + 12, VECTOR);
	pci_write(slot, cap, pci_read(slot, cap) | 1u << 16);
}

int guest_main(const struct start_info *si)
{
	int slot = pci_find(AHCI_ID, 0);

	CHECK(slot >= 0);
	interrupts_init();
	interrupts_on((unsigned int)slot, cmdline_number(si, "msi", 0));
	hba = pci_bar((unsigned int)slot, 5);
	pci_write((unsigned int)slot, 4, 6); /* memory, bus master */
	set(GHC, 0x80000001);
	while (get(GHC) & 1)
		;
	set(GHC, 0x80000002);
	CHECK_EQ(get(PORT(1) + SSTS) & 0xf, 0);
	up(0);
	up(CDROM);
	disk((uint32_t)cmdline_number(si, "sectors", 0));
	cdrom();
	return 0;
}
