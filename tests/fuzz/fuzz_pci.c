// SPDX-License-Identifier: MIT
/*
 * Configuration space: functions with BARs of the input's kinds and sizes, and a guest that writes to their
 * registers by both mechanisms. After every access: bits that are not the guest's have not changed, a read
 * gives what is stored, a mapped BAR is where its register says, over no RAM and over nobody else.
 */
#include <linux/pci_regs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/fuzz/input.h"
#include "tests/unit/fake_board.h"
#include "vmm/devices.h"
#include "vmm/pci/host.h"

#define FUZZ_MEM_SIZE (64 * KIB)
#define FUZZ_FUNCTIONS 4
#define FUZZ_OPS_MAX 4096

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct fuzz {
	struct fake_board fb;
	struct device *host;
	struct pci_dev functions[FUZZ_FUNCTIONS];
	uint8_t fixed[FUZZ_FUNCTIONS][PCI_CFG_SIZE]; /* what the guest may not write */
	unsigned int nfunctions;
	struct fuzz_input input;
};

static uint64_t fuzz_bar_read(void *dev, uint64_t off, unsigned int size)
{
	const struct fuzz *f = dev;

	(void)off, (void)size;
	return f->input.left;
}

static void fuzz_bar_write(void *dev, uint64_t off, unsigned int size, uint64_t val)
{
	(void)dev, (void)off, (void)size, (void)val;
}

static const struct region_ops fuzz_bar_ops = {
	.read = fuzz_bar_read,
	.write = fuzz_bar_write,
	.min_size = 1,
	.max_size = 8,
};

/* A function with up to six BARs and maybe MSI-X, as the input says; no room for it is fine. */
static void fuzz_plug(struct fuzz *f)
{
	static const struct pci_ids ids = { .vendor = 0x1af4, .device = 0x1000 };
	struct pci_dev *p = &f->functions[f->nfunctions];
	char address[16];
	struct err e;

	snprintf(address, sizeof(address), "00:%02x.0", f->nfunctions + 1);
	pci_dev_init(p, address, &ids, NULL);
	for (unsigned int bar = 0; bar < PCI_BARS - 1; bar++) {
		uint32_t kind = fuzz_take(&f->input, 1);
		bool io = kind & 1, is64 = kind & 2 && !io;

		if (!(kind & 4))
			continue;
		p->bars[bar].io = io;
		pci_add_bar(p, bar, 16ull << (io ? kind >> 4 & 3 : kind >> 4), is64, &fuzz_bar_ops,
			    f);
		bar += is64;
	}
	if (fuzz_take(&f->input, 1) & 1 && !p->bars[PCI_BARS - 1].region.size &&
	    !p->bars[PCI_BARS - 2].is64 &&
	    msix_init(p, &f->fb.board, PCI_BARS - 1, 1 + fuzz_take(&f->input, 1) % 8, &e) < 0)
		abort();
	if (pci_plug(f->fb.board.pci, p, address, &e) < 0) {
		pci_dev_fini(p);
		return;
	}
	for (unsigned int i = 0; i < PCI_CFG_SIZE; i++)
		f->fixed[f->nfunctions][i] = p->cfg[i] & (uint8_t)~p->wmask[i];
	f->nfunctions++;
}

static void fuzz_check_bar(const struct fuzz *f, const struct pci_dev *p, unsigned int i)
{
	const struct pci_bar *b = &p->bars[i];
	uint32_t low, high = 0;
	uint64_t at;

	memcpy(&low, p->cfg + PCI_BASE_ADDRESS_0 + 4 * i, sizeof(low));
	if (b->is64)
		memcpy(&high, p->cfg + PCI_BASE_ADDRESS_0 + 4 * i + 4, sizeof(high));
	at = (uint64_t)high << 32 |
	     (low & (uint32_t)(b->io ? PCI_BASE_ADDRESS_IO_MASK : PCI_BASE_ADDRESS_MEM_MASK));
	if (b->mapped && (b->region.base != at || (!b->io && at < FUZZ_MEM_SIZE) ||
			  bus_find(b->io ? &f->fb.pio : &f->fb.mmio, at) != &b->region))
		__builtin_trap();
}

static void fuzz_check_bus(const struct bus *bus)
{
	for (unsigned int i = 1; i < bus->nregions; i++)
		if (bus->regions[i - 1]->base + bus->regions[i - 1]->size > bus->regions[i]->base)
			__builtin_trap();
}

static void fuzz_check(const struct fuzz *f)
{
	for (unsigned int n = 0; n < f->nfunctions; n++) {
		const struct pci_dev *p = &f->functions[n];

		for (unsigned int i = 0; i < PCI_CFG_SIZE; i++)
			if ((p->cfg[i] & (uint8_t)~p->wmask[i]) != f->fixed[n][i])
				__builtin_trap();
		for (unsigned int i = 0; i < PCI_BARS; i++)
			if (p->bars[i].region.size)
				fuzz_check_bar(f, p, i);
	}
	fuzz_check_bus(&f->fb.pio);
	fuzz_check_bus(&f->fb.mmio);
}

/* One access: by ECAM, by the ports, to a register of a BAR, a vector, or a reset. */
static void fuzz_access(struct fuzz *f)
{
	uint32_t how = fuzz_take(&f->input, 1),
		 slot = fuzz_take(&f->input, 1) % (FUZZ_FUNCTIONS + 2);
	uint32_t off = fuzz_take(&f->input, 2) % PCI_CFG_SIZE, val = fuzz_take(&f->input, 4);
	unsigned int width = 1u << (how >> 4) % 3;
	struct pci_dev *p = &f->functions[slot % FUZZ_FUNCTIONS];

	switch (how & 15) {
	case 0:
		pci_dev_reset(p);
		return;
	case 1:
		msix_notify(p, val);
		return;
	case 2:
		fake_mmio_write(&f->fb, p->bars[off % PCI_BARS].region.base + val % 256, width,
				val);
		return;
	case 3:
	case 4:
	case 5:
		fake_out(&f->fb, 0xcf8, 4, 0x80000000u | slot << 11 | (off & 0xfc));
		fake_out(&f->fb, (uint16_t)(0xcfc + (off & 3)), width, val);
		return;
	default:
		/* most of what matters lies in the header and the capabilities */
		off = how & 8 ? off & 0xff : off;
		fake_mmio_write(&f->fb, GMEM_ECAM_START + (slot << 15) + off, width, val);
		fake_mmio_read(&f->fb, GMEM_ECAM_START + (slot << 15) + off, width);
		return;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz *f = calloc(1, sizeof(*f));

	if (!f)
		abort();
	f->input = (struct fuzz_input){ data, size };
	fake_board_init(&f->fb, FUZZ_MEM_SIZE);
	f->fb.log.fd = -1; /* what a guest makes it say goes nowhere */
	f->host = fake_board_add(&f->fb, &pci_host_class, "pci", NULL);
	for (unsigned int i = 0; i < FUZZ_FUNCTIONS; i++)
		fuzz_plug(f);
	fuzz_check(f);
	for (unsigned int n = 0;
	     f->nfunctions == FUZZ_FUNCTIONS && f->input.left && n < FUZZ_OPS_MAX; n++) {
		fuzz_access(f);
		fuzz_check(f);
	}
	while (f->nfunctions)
		pci_dev_fini(&f->functions[--f->nfunctions]);
	fake_board_remove(&f->fb, f->host);
	if (f->fb.pio.nregions || f->fb.mmio.nregions)
		__builtin_trap();
	fake_board_fini(&f->fb);
	free(f);
	return 0;
}
