// SPDX-License-Identifier: MIT
/*
 * An emulated network card with a driver that has set up its rings: the input says what the guest writes into its
 * registers, descriptors and memory, and which frames come. Whatever that is, the worker comes to rest, nothing is written where
 * no ring or buffer can be (a canary behind the RAM's last page is AddressSanitizer's), and a reset brings the card back to
 * where a frame goes through it both ways.
 */
#include <endian.h>
#include <linux/pci_regs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "tests/fuzz/input.h"
#include "tests/unit/nic_fixture.h"
#include "vmm/dev/e1000.h"
#include "vmm/dev/rtl8139.h"

#define FUZZ_OPS_MAX 512
#define FUZZ_TURNS 4000 /* of the loop until it has to be at rest */
#define FUZZ_RINGS 0x1000
#define FUZZ_RING_SIZE 0x800

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct fuzz;

/* Its registers that matter are chosen more often than others. */
struct fuzz_card {
	const char *type;
	unsigned int mem_bar, port_bar, size;
	struct {
		uint16_t off, width;
	} regs[24];
	unsigned int sends,
		has_room; /* which of them say that there is something to send, or room */
	void (*driver)(struct fuzz *f);
	void (*queue)(struct fuzz *f, uint32_t addr,
		      uint32_t len); /* a frame as its first, and sent */
};

struct fuzz {
	struct net_fixture f;
	const struct fuzz_card *card;
	struct fuzz_input input;
};

static void fuzz_rest(struct fuzz *f)
{
	static uint8_t sink[70000];

	for (unsigned int i = 0; i < FUZZ_TURNS; i++) {
		bool busy = nic_fixture_busy(&f->f), sent = false;

		while (nic_fixture_sent(&f->f, sink, NULL))
			sent = true;
		if (!busy && !sent)
			return;
	}
	__builtin_trap();
}

static void fuzz_set(struct fuzz *f, unsigned int reg, unsigned int width, uint32_t val)
{
	fake_mmio_write(&f->f.fb, f->f.mem + reg, width, val);
}

static void fuzz_register(struct fuzz *f)
{
	uint8_t which = (uint8_t)fuzz_take(&f->input, 1);
	const struct fuzz_card *c = f->card;
	unsigned int n = 0, reg, width;

	while (n < ARRAY_SIZE(c->regs) && c->regs[n].width)
		n++;
	reg = c->regs[which % n].off;
	width = c->regs[which % n].width;
	if (which >= 0xe0) {
		reg = fuzz_take(&f->input, 2) % c->size;
		width = 1u << fuzz_take(&f->input, 1) % 3;
	}
	fuzz_set(f, reg, width, fuzz_take(&f->input, width));
	fake_mmio_read(&f->f.fb, f->f.mem + reg, width);
}

/* The tail of the transmit ring, or what is like it: a byte. */
static void fuzz_send(struct fuzz *f)
{
	const struct fuzz_card *c = f->card;

	fuzz_set(f, c->regs[c->sends].off, c->regs[c->sends].width, fuzz_take(&f->input, 1));
}

static void fuzz_room(struct fuzz *f)
{
	const struct fuzz_card *c = f->card;

	fuzz_set(f, c->regs[c->has_room].off, c->regs[c->has_room].width, fuzz_take(&f->input, 1));
}

/* A descriptor, or what is in the first pages: where buffers may be. */
static void fuzz_memory(struct fuzz *f)
{
	uint32_t at = fuzz_take(&f->input, 2) % 0x4000, len = fuzz_take(&f->input, 1) % 64;

	for (uint32_t i = 0; i < len; i++)
		f->f.fb.mem[at + i] = (uint8_t)fuzz_take(&f->input, 1);
}

/* A frame with the card's address, of so many bytes; the first of them as the input says. */
static void fuzz_arrive(struct fuzz *f)
{
	static uint8_t frame[NET_HDR + 65553];
	uint32_t size = 14 + fuzz_take(&f->input, 2) % 65000, own = fuzz_take(&f->input, 1) % 64;
	struct iovec iov = { frame, NET_HDR + size };

	memset(frame, 0, NET_HDR);
	nic_fixture_frame(frame + NET_HDR, NIC_OWN, NIC_OTHER, size);
	for (uint32_t i = 0; i < own && 12 + i < size; i++)
		frame[NET_HDR + 12 + i] = (uint8_t)fuzz_take(&f->input, 1);
	if (f->f.peer >= 0) {
		uint32_t len = htobe32(size);

		memcpy(frame + NET_HDR - sizeof(len), &len, sizeof(len));
		iov = (struct iovec){ frame + NET_HDR - sizeof(len), sizeof(len) + size };
	}
	/* all of it or nothing: a stream that was cut would end the card's network */
	fuzz_rest(f);
	(void)!send(f->f.peer >= 0 ? f->f.peer : f->f.net.taps[0], iov.iov_base, iov.iov_len,
		    MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void fuzz_pause(struct fuzz *f)
{
	f->f.dev->class->stop(f->f.dev);
	f->f.dev->class->start(f->f.dev);
}

static void fuzz_time(struct fuzz *f)
{
	fake_board_advance(&f->f.fb, fuzz_take(&f->input, 3));
}

static void fuzz_command(struct fuzz *f)
{
	guest_pci_write(&f->f.fb, NET_SLOT, PCI_COMMAND, 2,
			fuzz_take(&f->input, 1) | PCI_COMMAND_MEMORY);
}

static void (*const fuzz_ops[])(struct fuzz *f) = {
	fuzz_register, fuzz_send,  fuzz_room, fuzz_memory,  fuzz_memory,
	fuzz_arrive,   fuzz_pause, fuzz_time, fuzz_command,
};

/* --- the cards ----------------------------------------------------------------------------------------------------- */

/* What a driver does, with rings in the memory's first pages and receive buffers behind them */
static void fuzz_e1000(struct fuzz *f)
{
	static const struct {
		unsigned int reg;
		uint32_t val;
	} writes[] = {
		{ E1000_TDBAL, FUZZ_RINGS },
		{ E1000_TDBAH, 0 },
		{ E1000_TDLEN, FUZZ_RING_SIZE },
		{ E1000_TDH, 0 },
		{ E1000_TDT, 0 },
		{ E1000_RDBAL, FUZZ_RINGS + FUZZ_RING_SIZE },
		{ E1000_RDBAH, 0 },
		{ E1000_RDLEN, FUZZ_RING_SIZE },
		{ E1000_RDH, 0 },
		{ E1000_RDT, FUZZ_RING_SIZE / 16 - 1 },
		{ E1000_RXCSUM, 0x300 },
		{ E1000_IMS, E1000_INT_ALL },
		{ E1000_TCTL, E1000_TCTL_EN | E1000_TCTL_PSP },
		{ E1000_RCTL, E1000_RCTL_EN | E1000_RCTL_BAM | E1000_RCTL_LPE },
	};

	for (uint64_t i = 0; i < FUZZ_RING_SIZE / 16; i++) {
		uint64_t addr = htole64(NIC_BUF(0) + 2048 * i);

		memcpy(f->f.fb.mem + FUZZ_RINGS + FUZZ_RING_SIZE + 16 * i, &addr, sizeof(addr));
	}
	for (unsigned int i = 0; i < ARRAY_SIZE(writes); i++)
		fuzz_set(f, writes[i].reg, 4, writes[i].val);
}

static void fuzz_e1000_queue(struct fuzz *f, uint32_t addr, uint32_t len)
{
	const uint64_t desc[2] = { htole64(addr), htole64(len | 0xbull << 24) };

	memcpy(f->f.fb.mem + FUZZ_RINGS, desc, sizeof(desc));
	fuzz_set(f, E1000_TDT, 4, 1);
}

static const struct fuzz_card fuzz_card_e1000 = {
	.type = "e1000",
	.mem_bar = 0,
	.port_bar = 2,
	.size = 0x6000,
	.regs = { { E1000_TDT, 4 },   { E1000_RDT, 4 },	   { E1000_RCTL, 4 }, { E1000_TCTL, 4 },
		  { E1000_TDLEN, 4 }, { E1000_RDLEN, 4 },  { E1000_TDH, 4 },  { E1000_RDH, 4 },
		  { E1000_TDBAL, 4 }, { E1000_ICS, 4 },	   { E1000_IMS, 4 },  { E1000_IMC, 4 },
		  { E1000_ITR, 4 },   { E1000_CTRL, 4 },   { E1000_VET, 4 },  { E1000_EECD, 4 },
		  { E1000_MDIC, 4 },  { E1000_RXCSUM, 4 }, { E1000_RA, 4 },   { E1000_ICR, 4 } },
	.sends = 0,
	.has_room = 1,
	.driver = fuzz_e1000,
	.queue = fuzz_e1000_queue,
};

/* C+ mode: the input may leave it. Receive descriptors are in the same place. */
static void fuzz_rtl8139(struct fuzz *f)
{
	static const struct {
		unsigned int reg, width;
		uint32_t val;
	} writes[] = {
		{ 0xe0, 2, RTL_CPCR_TX | RTL_CPCR_RX | RTL_CPCR_SUMS | RTL_CPCR_TAGS },
		{ 0x20, 4, FUZZ_RINGS },
		{ 0x24, 4, 0 },
		{ 0xe4, 4, FUZZ_RINGS + FUZZ_RING_SIZE },
		{ 0xe8, 4, 0 },
		{ 0x30, 4, 0x8000 },
		{ 0x3c, 2, 0xffff },
		{ 0x37, 1, RTL_CR_TE | RTL_CR_RE },
		{ 0x44, 4, RTL_RCR_APM | RTL_RCR_AB },
	};

	for (uint32_t i = 0; i < RTL_DESCS; i++) {
		const uint32_t desc[4] = { htole32(RTL_OWN | 0x1fff), 0,
					   htole32((uint32_t)NIC_BUF(0) + 8192 * i), 0 };

		memcpy(f->f.fb.mem + FUZZ_RINGS + FUZZ_RING_SIZE + 16 * i, desc, sizeof(desc));
	}
	for (unsigned int i = 0; i < ARRAY_SIZE(writes); i++)
		fuzz_set(f, writes[i].reg, writes[i].width, writes[i].val);
}

static void fuzz_rtl8139_queue(struct fuzz *f, uint32_t addr, uint32_t len)
{
	const uint32_t desc[4] = { htole32(RTL_OWN | RTL_FS | RTL_LS | len), 0, htole32(addr), 0 };

	memset(f->f.fb.mem + FUZZ_RINGS, 0, FUZZ_RING_SIZE);
	memcpy(f->f.fb.mem + FUZZ_RINGS, desc, sizeof(desc));
	fuzz_set(f, 0xd9, 1, 0x40);
}

static const struct fuzz_card fuzz_card_rtl8139 = {
	.type = "rtl8139",
	.mem_bar = 1,
	.port_bar = 0,
	.size = 256,
	.regs = { { 0xd9, 1 }, { 0x3e, 2 }, { 0x37, 1 }, { 0xe0, 2 }, { 0x10, 4 }, { 0x14, 4 },
		  { 0x18, 4 }, { 0x1c, 4 }, { 0x20, 4 }, { 0x24, 4 }, { 0x28, 4 }, { 0x2c, 4 },
		  { 0x30, 4 }, { 0x38, 2 }, { 0x3c, 2 }, { 0x44, 4 }, { 0x50, 1 }, { 0xe4, 4 },
		  { 0x00, 4 }, { 0x08, 4 }, { 0x48, 4 }, { 0x62, 2 } },
	.sends = 0,
	.has_room = 1,
	.driver = fuzz_rtl8139,
	.queue = fuzz_rtl8139_queue,
};

/* It works as a new one does. */
static void fuzz_works(struct fuzz *f)
{
	static uint8_t frame[100], got[70000];

	f->f.dev->class->stop(f->f.dev);
	f->f.dev->class->reset(f->f.dev);
	f->f.dev->class->start(f->f.dev);
	if (f->f.fb.irq[f->f.gsi])
		__builtin_trap();
	guest_pci_write(&f->f.fb, NET_SLOT, PCI_COMMAND, 2,
			PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	f->f.mem = guest_pci_bar(&f->f.fb, NET_SLOT, f->card->mem_bar);
	f->card->driver(f);
	fuzz_rest(f);
	nic_fixture_frame(frame, NIC_OTHER, NIC_OWN, sizeof(frame));
	memcpy(f->f.fb.mem + NIC_BUF(0), frame, sizeof(frame));
	f->card->queue(f, (uint32_t)NIC_BUF(0), sizeof(frame));
	nic_fixture_run(&f->f);
	if (nic_fixture_sent(&f->f, got, NULL) != sizeof(frame) ||
	    memcmp(got, frame, sizeof(frame)))
		__builtin_trap();
	nic_fixture_frame(frame, NIC_OWN, NIC_OTHER, sizeof(frame));
	nic_fixture_arrive(&f->f, frame, sizeof(frame));
	if (memcmp(f->f.fb.mem + NIC_BUF(0), frame, sizeof(frame)))
		__builtin_trap();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz *f = calloc(1, sizeof(*f));
	uint32_t how;

	if (!f)
		abort();
	f->input = (struct fuzz_input){ data, size };
	net_fixture_init(&f->f);
	how = fuzz_take(&f->input, 1);
	f->card = how & 2 ? &fuzz_card_rtl8139 : &fuzz_card_e1000;
	nic_fixture_plug(&f->f, f->card->type, "", how & 1, f->card->mem_bar, f->card->port_bar);
	f->card->driver(f);
	for (unsigned int n = 0; f->input.left && n < FUZZ_OPS_MAX; n++) {
		fuzz_ops[fuzz_take(&f->input, 1) % ARRAY_SIZE(fuzz_ops)](f);
		nic_fixture_run(&f->f);
	}
	fuzz_rest(f);
	fuzz_works(f);
	net_fixture_fini(&f->f);
	free(f);
	return 0;
}
