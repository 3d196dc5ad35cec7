// SPDX-License-Identifier: MIT
/*
 * PCI functions that come and go, as an operating system deals with them: the general-purpose event by the SCI, the
 * slots' registers as the DSDT has them, addresses for the BARs, a virtio driver, and the way back. For ever;
 * deaf=N: the first N wishes for a device are not heard. For tests/functional/test_hotplug.c.
 */
#include "lib/virtio.h"

#define GPE_STATUS 0x60c
#define GPE_ENABLE 0x60d
#define GPE_PCI 2
#define CAME 0x610
#define TO_GO 0x614
#define PRESENT 0x618
#define EJECT 0x61c

#define COM1 0x3f8
#define SCI 9
#define VECTOR 0x39

static struct vq q;
static uint8_t data[512];
static uint32_t next_bar = 0xd0000000;

static void acknowledge(unsigned int vector)
{
	if (vector == VECTOR)
		outb(GPE_STATUS, GPE_PCI);
}

/* On the console that vmd keeps the log of. */
static void tell(const char *s)
{
	while (*s) {
		while (!(inb(COM1 + 5) & 0x20))
			;
		outb(COM1, (uint8_t)*s++);
	}
}

static void say(const char *what, unsigned int slot)
{
	const char number[] = { (char)('0' + slot / 10), (char)('0' + slot % 10), '\n', '\0' };

	tell(what);
	tell(number);
}

/* How many of its kind are in front of it. */
static unsigned int ordinal(unsigned int slot)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < slot; i++)
		n += pci_read(i, 0) == pci_read(slot, 0);
	return n;
}

static void drive_rng(struct virtio *v, unsigned int slot)
{
	const struct vq_part part = { data, 64, true };
	uint8_t sum = 0;

	virtio_init(v, VIRTIO_RNG, ordinal(slot), 0);
	virtio_queue(v, 0, &q, 0xffff);
	virtio_start(v);
	memset(data, 0, 64);
	virtio_send(&q, &part, 1);
	CHECK_EQ(virtio_wait(&q), 64);
	for (unsigned int i = 0; i < 64; i++)
		sum |= data[i];
	CHECK(sum != 0);
	say("entropy from slot ", slot);
}

static void drive_blk(struct virtio *v, unsigned int slot)
{
	static const struct {
		uint32_t type, reserved;
		uint64_t sector;
	} read0;
	static uint8_t status;
	const struct vq_part parts[] = { { &read0, 16, false },
					 { data, 512, true },
					 { &status, 1, true } };

	virtio_init(v, VIRTIO_BLK, ordinal(slot), 0);
	virtio_queue(v, 0, &q, 0xffff);
	virtio_start(v);
	status = 0xff;
	virtio_send(&q, parts, 3);
	CHECK_EQ(virtio_wait(&q), 513);
	CHECK_EQ(status, 0);
	data[16] = '\0';
	tell((const char *)data);
	say(" on the disk in slot ", slot);
}

static void arrive(unsigned int slot)
{
	struct virtio v;
	uint32_t id = pci_read(slot, 0);

	CHECK(inl(PRESENT) & 1u << slot);
	CHECK(id != 0xffffffff);
	pci_give_addresses(slot, &next_bar);
	if (id == 0x10441af4)
		drive_rng(&v, slot);
	else if (id == 0x10421af4)
		drive_blk(&v, slot);
	else
		say("a device came to slot ", slot);
}

static void leave(unsigned int slot)
{
	outl(EJECT, 1u << slot);
	CHECK_EQ(inl(PRESENT) & 1u << slot, 0);
	CHECK_EQ(pci_read(slot, 0), 0xffffffff);
	say("let go of slot ", slot);
}

static void look(uint64_t *deaf)
{
	uint32_t came = inl(CAME), to_go;

	outl(CAME, came);
	CHECK_EQ(inl(CAME) & came, 0);
	for (unsigned int slot = 1; slot < 32; slot++)
		if (came & 1u << slot)
			arrive(slot);
	to_go = inl(TO_GO);
	outl(TO_GO, to_go);
	for (unsigned int slot = 1; slot < 32; slot++) {
		if (!(to_go & 1u << slot))
			continue;
		if (*deaf) {
			(*deaf)--;
			say("does not hear of slot ", slot);
		} else {
			leave(slot);
		}
	}
}

int guest_main(const struct start_info *si)
{
	uint64_t deaf = cmdline_number(si, "deaf", 0);
	uint32_t present = inl(PRESENT), seen = 0;

	interrupts_init();
	interrupt_hook = acknowledge;
	for (unsigned int slot = 1; slot < 32; slot++)
		CHECK_EQ(!!(present & 1u << slot), pci_read(slot, 0) != 0xffffffff);
	/* nobody was asked for anything */
	outl(EJECT, 0xffffffff);
	CHECK_EQ(inl(PRESENT), present);
	ioapic_route(SCI, VECTOR, true);
	outb(GPE_ENABLE, GPE_PCI);
	tell("waits for devices\n");
	for (;;) {
		interrupt_wait(VECTOR, ++seen);
		seen = interrupt_count[VECTOR];
		look(&deaf);
	}
}
