// SPDX-License-Identifier: MIT
/*
 * PCI's interrupt pins: two virtio-rng functions whose pins share a line interrupt by level, each until its ISR
 * byte is read; the command register's bit keeps one quiet; _PRT knows the route.
 */
#include "lib/virtio.h"

#define VECTOR 0x61
#define STATUS_INTERRUPT (1u << 19)
#define COMMAND_INTX_DISABLE (1u << 10)

static struct virtio rngs[2];
static struct vq queues[2];
static uint8_t buf[2][64];
static volatile unsigned int seen[2];
static unsigned int first; /* whose ISR byte the driver looks at */

static void acknowledge(unsigned int vector)
{
	if (vector != VECTOR)
		return;
	/* one at a time: the line is still active after the first when both wait */
	for (unsigned int i = first; i < 2; i++) {
		if (!mmio_read8(rngs[i].isr))
			continue;
		seen[i]++;
		return;
	}
}

/* n: which of all such functions */
static void rng_setup(unsigned int i, unsigned int n)
{
	virtio_init(&rngs[i], VIRTIO_RNG, n, 0);
	virtio_queue(&rngs[i], 0, &queues[i], 0xffff);
	virtio_start(&rngs[i]);
}

static void rng_ask(unsigned int i)
{
	const struct vq_part part = { buf[i], 64, true };

	virtio_send(&queues[i], &part, 1);
}

static bool rng_pending(unsigned int i)
{
	return pci_read(rngs[i].slot, 4) & STATUS_INTERRUPT;
}

static void rng_wait(unsigned int i)
{
	CHECK_EQ(virtio_wait(&queues[i]), 64);
	while (!rng_pending(i))
		__asm__ volatile("pause");
}

/*
 * Until this one's ISR byte was seen n times. Interrupts are not counted: a host that ends one when it delivers it, not
 * when the guest does, delivers a line that is still active once more, and then nobody's byte is set.
 */
static void seen_wait(unsigned int i, unsigned int n)
{
	__asm__ volatile("cli");
	while (seen[i] < n)
		__asm__ volatile("sti; hlt; cli" : : : "memory");
	CHECK_EQ(seen[i], n);
}

/* Package () { slot << 16 | 0xffff, 0, 0, gsi } in AML: ACPI 6.4, section 20.2.5.4 */
static void check_prt(const struct start_info *si, unsigned int slot, unsigned int gsi)
{
	const uint8_t *fadt = acpi_find(si, "FACP"), *dsdt;
	const uint8_t entry[] = { 4, 0x0c, 0xff, 0xff, (uint8_t)slot, 0, 0, 0, 0x0a, (uint8_t)gsi };
	uint32_t len, found = 0;
	uint64_t gpa;

	CHECK(fadt);
	memcpy(&gpa, fadt + 140, 8);
	dsdt = (const uint8_t *)gpa;
	memcpy(&len, dsdt + 4, 4);
	for (uint32_t i = 0; i + sizeof(entry) <= len; i++)
		found += !memcmp(dsdt + i, entry, sizeof(entry));
	CHECK_EQ(found, 1);
}

int guest_main(const struct start_info *si)
{
	unsigned int n = (unsigned int)cmdline_number(si, "skip", 0), gsi;
	uint32_t command;

	interrupts_init();
	rng_setup(0, n);
	rng_setup(1, n + 1);
	gsi = pci_read(rngs[0].slot, 0x3c) & 0xff;
	CHECK_EQ(pci_read(rngs[0].slot, 0x3c) >> 8 & 0xff, 1); /* INTA# */
	CHECK_EQ(pci_read(rngs[1].slot, 0x3c) & 0xff, gsi);
	CHECK_EQ(gsi, 16 + rngs[0].slot % 8);
	check_prt(si, rngs[0].slot, gsi);
	check_prt(si, rngs[1].slot, gsi);

	/* both wait before the line is let through: it stays active after the first */
	rng_ask(0);
	rng_ask(1);
	rng_wait(0);
	rng_wait(1);
	interrupt_hook = acknowledge;
	ioapic_route(gsi, VECTOR, true);
	seen_wait(0, 1);
	seen_wait(1, 1);
	CHECK(!rng_pending(0) && !rng_pending(1));

	/* kept quiet it says so, and interrupts when it may again */
	command = pci_read(rngs[0].slot, 4) & 0xffff;
	pci_write(rngs[0].slot, 4, command | COMMAND_INTX_DISABLE);
	rng_ask(0);
	rng_wait(0);
	first = 1;
	rng_ask(1);
	seen_wait(1, 2);
	CHECK(rng_pending(0));
	first = 0;
	pci_write(rngs[0].slot, 4, command);
	seen_wait(0, 2);
	CHECK(!rng_pending(0));
	return 0;
}
