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

#include "tests/unit/nic_fixture.h"
#include "vmm/dev/e1000.h"

#define FUZZ_OPS_MAX 512
#define FUZZ_TURNS 4000 /* of the loop until it has to be at rest */
#define FUZZ_RINGS 0x1000
#define FUZZ_RING_SIZE 0x800

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct fuzz {
	struct nic_fixture f;
	const uint8_t *data;
	size_t left;
};

/* Registers that a driver writes, by card: chosen more often than others. */
static const uint16_t fuzz_e1000_regs[] = {
	E1000_TDT, E1000_RDT,	E1000_RCTL, E1000_TCTL,	  E1000_TDLEN, E1000_RDLEN, E1000_TDH,
	E1000_RDH, E1000_TDBAL, E1000_ICS,  E1000_IMS,	  E1000_IMC,   E1000_ITR,   E1000_CTRL,
	E1000_VET, E1000_EECD,	E1000_MDIC, E1000_RXCSUM, E1000_RA,    E1000_ICR,
};

static uint32_t fuzz_take(struct fuzz *f, unsigned int bytes)
{
	uint32_t v = 0;

	for (unsigned int i = 0; i < bytes && f->left; i++, f->left--)
		v |= (uint32_t)*f->data++ << (8 * i);
	return v;
}

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

static void fuzz_register(struct fuzz *f)
{
	uint8_t which = (uint8_t)fuzz_take(f, 1);
	uint32_t reg = fuzz_e1000_regs[which % ARRAY_SIZE(fuzz_e1000_regs)];

	if (which >= 0xe0)
		reg = fuzz_take(f, 2) % 0x6000;
	fake_mmio_write(&f->f.fb, f->f.mem + reg, 4, fuzz_take(f, 4));
	fake_mmio_read(&f->f.fb, f->f.mem + reg, 4);
}

/* The tail of the transmit ring, a byte. */
static void fuzz_send(struct fuzz *f)
{
	fake_mmio_write(&f->f.fb, f->f.mem + E1000_TDT, 4, fuzz_take(f, 1));
}

static void fuzz_room(struct fuzz *f)
{
	fake_mmio_write(&f->f.fb, f->f.mem + E1000_RDT, 4, fuzz_take(f, 1));
}

/* A descriptor, or what is in the first pages: where buffers may be. */
static void fuzz_memory(struct fuzz *f)
{
	uint32_t at = fuzz_take(f, 2) % 0x4000, len = fuzz_take(f, 1) % 64;

	for (uint32_t i = 0; i < len; i++)
		f->f.fb.mem[at + i] = (uint8_t)fuzz_take(f, 1);
}

/* A frame with the card's address, of so many bytes; the first of them as the input says. */
static void fuzz_arrive(struct fuzz *f)
{
	static uint8_t frame[NIC_HDR + 65553];
	uint32_t size = 14 + fuzz_take(f, 2) % 65000, own = fuzz_take(f, 1) % 64;
	struct iovec iov = { frame, NIC_HDR + size };

	memset(frame, 0, NIC_HDR);
	nic_fixture_frame(frame + NIC_HDR, NIC_OWN, NIC_OTHER, size);
	for (uint32_t i = 0; i < own && 12 + i < size; i++)
		frame[NIC_HDR + 12 + i] = (uint8_t)fuzz_take(f, 1);
	if (f->f.peer >= 0) {
		uint32_t len = htobe32(size);

		memcpy(frame + NIC_HDR - sizeof(len), &len, sizeof(len));
		iov = (struct iovec){ frame + NIC_HDR - sizeof(len), sizeof(len) + size };
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
	fake_board_advance(&f->f.fb, fuzz_take(f, 3));
}

static void fuzz_command(struct fuzz *f)
{
	guest_pci_write(&f->f.fb, NIC_SLOT, PCI_COMMAND, 2, fuzz_take(f, 1) | PCI_COMMAND_MEMORY);
}

static void (*const fuzz_ops[])(struct fuzz *f) = {
	fuzz_register, fuzz_send,  fuzz_room, fuzz_memory,  fuzz_memory,
	fuzz_arrive,   fuzz_pause, fuzz_time, fuzz_command,
};

static void fuzz_set(struct fuzz *f, unsigned int reg, uint32_t val)
{
	fake_mmio_write(&f->f.fb, f->f.mem + reg, 4, val);
}

/* What a driver does, with rings in the memory's first pages and receive buffers behind them */
static void fuzz_driver(struct fuzz *f)
{
	for (uint64_t i = 0; i < FUZZ_RING_SIZE / 16; i++) {
		uint64_t addr = NIC_BUF(0) + 2048 * i;

		memcpy(f->f.fb.mem + FUZZ_RINGS + FUZZ_RING_SIZE + 16 * i, &addr, sizeof(addr));
	}
	fuzz_set(f, E1000_TDBAL, FUZZ_RINGS);
	fuzz_set(f, E1000_TDBAH, 0);
	fuzz_set(f, E1000_TDLEN, FUZZ_RING_SIZE);
	fuzz_set(f, E1000_TDH, 0);
	fuzz_set(f, E1000_TDT, 0);
	fuzz_set(f, E1000_RDBAL, FUZZ_RINGS + FUZZ_RING_SIZE);
	fuzz_set(f, E1000_RDBAH, 0);
	fuzz_set(f, E1000_RDLEN, FUZZ_RING_SIZE);
	fuzz_set(f, E1000_RDH, 0);
	fuzz_set(f, E1000_RDT, FUZZ_RING_SIZE / 16 - 1);
	fuzz_set(f, E1000_RXCSUM, 0x300);
	fuzz_set(f, E1000_IMS, E1000_INT_ALL);
	fuzz_set(f, E1000_TCTL, E1000_TCTL_EN | E1000_TCTL_PSP);
	fuzz_set(f, E1000_RCTL, E1000_RCTL_EN | E1000_RCTL_BAM | E1000_RCTL_LPE);
}

/* It works as a new one does. */
static void fuzz_works(struct fuzz *f)
{
	static uint8_t frame[100], got[70000];
	const uint64_t desc[2] = { htole64(NIC_BUF(0)), htole64(100 | 0xbull << 24) };

	f->f.dev->class->stop(f->f.dev);
	f->f.dev->class->reset(f->f.dev);
	f->f.dev->class->start(f->f.dev);
	if (f->f.fb.irq[f->f.gsi])
		__builtin_trap();
	guest_pci_write(&f->f.fb, NIC_SLOT, PCI_COMMAND, 2,
			PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	f->f.mem = guest_pci_bar(&f->f.fb, NIC_SLOT, 0);
	fuzz_driver(f);
	fuzz_rest(f);
	nic_fixture_frame(frame, NIC_OTHER, NIC_OWN, sizeof(frame));
	memcpy(f->f.fb.mem + FUZZ_RINGS, desc, sizeof(desc));
	memcpy(f->f.fb.mem + NIC_BUF(0), frame, sizeof(frame));
	fuzz_set(f, E1000_TDT, 1);
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

	if (!f)
		abort();
	f->data = data;
	f->left = size;
	nic_fixture_init(&f->f);
	nic_fixture_plug(&f->f, "e1000", "", fuzz_take(f, 1) & 1, 0, 2);
	fuzz_driver(f);
	for (unsigned int n = 0; f->left && n < FUZZ_OPS_MAX; n++) {
		fuzz_ops[fuzz_take(f, 1) % ARRAY_SIZE(fuzz_ops)](f);
		nic_fixture_run(&f->f);
	}
	fuzz_rest(f);
	fuzz_works(f);
	nic_fixture_fini(&f->f);
	free(f);
	return 0;
}
