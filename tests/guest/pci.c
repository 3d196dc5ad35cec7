// SPDX-License-Identifier: MIT
/* PCI configuration: both mechanisms agree; BARs are sized, and move where they are told. */
#include "lib/guest.h"

static void check_mechanisms(void)
{
	unsigned int n = 0;

	for (unsigned int slot = 0; slot < 32; slot++) {
		uint32_t id = pci_read(slot, 0);

		CHECK_EQ(id, mmio_read32(pci_ecam(slot, 0)));
		if (id == 0xffffffff)
			continue;
		n++;
		for (unsigned int off = 0; off < 64; off += 4)
			CHECK_EQ(pci_read(slot, off), mmio_read32(pci_ecam(slot, off)));
		CHECK_EQ(mmio_read8(pci_ecam(slot, 0)), id & 0xff);
		CHECK_EQ(mmio_read16(pci_ecam(slot, 2)), id >> 16);
	}
	CHECK_EQ(pci_read(0, 8) >> 16, 0x0600); /* host bridge */
	CHECK(n >= 2);
	CHECK_EQ(mmio_read32(pci_ecam(0, 0) + (7 << 20)), 0xffffffff); /* no bus 7 */
}

/* The size of a 32-bit or 64-bit memory BAR below 4 GiB; 0: there is none. */
static uint64_t bar_size(unsigned int slot, unsigned int bar)
{
	unsigned int off = 0x10 + 4 * bar;
	uint32_t old = pci_read(slot, off), mask;

	pci_write(slot, off, 0xffffffff);
	mask = pci_read(slot, off);
	pci_write(slot, off, old);
	CHECK_EQ(pci_read(slot, off), old);
	return mask & 1 ? 0 : -(uint64_t)(int32_t)(mask & ~15u);
}

static void check_move(unsigned int slot, unsigned int bar, uint64_t size)
{
	uint64_t old = pci_bar(slot, bar), to = 0xd0000000;
	uint32_t cmd = pci_read(slot, 4) & 0xffff, before;

	CHECK(old && old % size == 0 && to % size == 0);
	pci_write(slot, 4, cmd | 2);
	before = mmio_read32(old);
	pci_write(slot, 4, cmd & ~2u);
	CHECK_EQ(mmio_read32(old), 0xffffffff); /* decoding is off */
	pci_write(slot, 0x10 + 4 * bar, (uint32_t)to);
	pci_write(slot, 4, cmd | 2);
	CHECK_EQ(mmio_read32(to), before);
	CHECK_EQ(mmio_read32(old), 0xffffffff);
	pci_write(slot, 4, cmd & ~2u);
	pci_write(slot, 0x10 + 4 * bar, (uint32_t)old);
}

int guest_main(const struct start_info *si)
{
	int slot = pci_find(0x10441af4, 0); /* virtio-rng */
	unsigned int bars = 0;

	(void)si;
	check_mechanisms();
	CHECK(slot > 0);
	for (unsigned int bar = 0; bar < 6; bar++) {
		uint64_t size = bar_size((unsigned int)slot, bar);

		if (!size)
			continue;
		CHECK((size & (size - 1)) == 0 && size >= 16);
		check_move((unsigned int)slot, bar, size);
		if ((pci_read((unsigned int)slot, 0x10 + 4 * bar) & 6) == 4)
			bar++;
		bars++;
	}
	CHECK(bars > 0);
	return 0;
}
