// SPDX-License-Identifier: MIT
/*
 * Base address registers: PCI Local Bus 3.0, section 6.2.5. Each is a region that follows what the guest
 * writes: to its registers, also while decoding is on, and to the command register. Nothing that a guest
 * writes is an error here; a BAR at an impossible place is just not mapped. Under machine.lock.
 */
#include <errno.h>
#include <linux/pci_regs.h>
#include <string.h>

#include "vmm/pci/host.h"

static unsigned int pci_bar_off(unsigned int bar)
{
	return bar == PCI_ROM ? PCI_ROM_ADDRESS : PCI_BASE_ADDRESS_0 + 4 * bar;
}

/*
 * The address bits of the registers that the guest may write: also of ports all 32, of which SeaBIOS makes the size, and no
 * port is found beyond the first 64 KiB.
 */
static uint64_t pci_bar_mask(const struct pci_bar *b)
{
	uint64_t mask = ~(b->region.size - 1);

	return b->is64 ? mask : mask & UINT32_MAX;
}

static uint32_t pci_get32(const struct pci_dev *p, unsigned int off)
{
	uint32_t v;

	memcpy(&v, p->cfg + off, sizeof(v));
	return v;
}

static uint64_t pci_bar_addr(const struct pci_dev *p, unsigned int bar)
{
	const struct pci_bar *b = &p->bars[bar];
	uint64_t addr = pci_get32(p, pci_bar_off(bar));

	if (b->is64)
		addr |= (uint64_t)pci_get32(p, pci_bar_off(bar + 1)) << 32;
	return addr & pci_bar_mask(b);
}

static struct bus *pci_bar_bus(const struct pci_dev *p, const struct pci_bar *b)
{
	const struct board *board = p->host->dev.board;

	return b->io ? board->pio : board->mmio;
}

static bool ranges_overlap(uint64_t a, uint64_t a_size, uint64_t b, uint64_t b_size)
{
	return a < b + b_size && b < a + a_size;
}

/* The end of the BAR of o that has its home in [at, at + size), else 0. */
static uint64_t pci_home_in(const struct pci_dev *o, bool io, uint64_t at, uint64_t size)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(o->bars); i++) {
		const struct pci_bar *b = &o->bars[i];

		if (b->home && b->io == io && ranges_overlap(b->home, b->region.size, at, size))
			return b->home + b->region.size;
	}
	return 0;
}

static uint64_t pci_home_taken(const struct pci_host *h, const struct pci_dev *p,
			       const struct pci_bar *b, uint64_t at)
{
	uint64_t end = pci_home_in(p, b->io, at, b->region.size);

	for (unsigned int i = 0; i < PCI_FUNCTIONS && !end; i++)
		if (h->functions[i])
			end = pci_home_in(h->functions[i], b->io, at, b->region.size);
	return end;
}

/* The lowest free place in the window: the same devices get the same addresses at every start. */
static bool pci_bar_place_in(const struct pci_host *h, const struct pci_dev *p, struct pci_bar *b,
			     const struct gmem_window *w)
{
	uint64_t size = b->region.size;
	uint64_t at = align_up(w->base, size), end;

	while (range_fits(at - w->base, size, w->size)) {
		end = pci_home_taken(h, p, b, at);
		if (!end) {
			b->home = at;
			return true;
		}
		at = align_up(end, size);
	}
	return false;
}

static int pci_bar_place(const struct pci_host *h, const struct pci_dev *p, struct pci_bar *b,
			 struct err *e)
{
	static const struct gmem_window ports = { PCI_IO_START, PCI_IO_SIZE };
	static const struct gmem_window low = { GMEM_PCI_MMIO_START, GMEM_PCI_MMIO_SIZE };
	const struct gmem_window *high = &h->dev.board->pci64;
	uint64_t size = b->region.size;

	if (b->is64 && b->prefetch && pci_bar_place_in(h, p, b, high))
		return 0;
	if (pci_bar_place_in(h, p, b, b->io ? &ports : &low))
		return 0;
	if (b->is64 && pci_bar_place_in(h, p, b, high))
		return 0;
	return err_set(e, ENOSPC, "no room for %s (%llu KiB) among the PCI devices' %s", b->label,
		       (unsigned long long)(size / KIB), b->io ? "ports" : "memory");
}

int pci_bars_place(struct pci_host *h, struct pci_dev *p, struct err *e)
{
	int ret = 0;

	for (unsigned int i = 0; i < ARRAY_SIZE(p->bars); i++)
		p->bars[i].home = 0;
	for (unsigned int i = 0; i < ARRAY_SIZE(p->bars) && ret >= 0; i++)
		if (p->bars[i].region.size)
			ret = pci_bar_place(h, p, &p->bars[i], e);
	return ret;
}

void pci_bars_home(struct pci_dev *p)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(p->bars); i++) {
		const struct pci_bar *b = &p->bars[i];
		uint64_t mask = pci_bar_mask(b), home = p->hot ? 0 : b->home;
		uint32_t flags = b->io ? PCI_BASE_ADDRESS_SPACE_IO : 0;

		if (!b->region.size)
			continue;
		if (b->is64)
			flags |= PCI_BASE_ADDRESS_MEM_TYPE_64;
		if (b->prefetch)
			flags |= PCI_BASE_ADDRESS_MEM_PREFETCH;
		pci_set32(p, pci_bar_off(i), (uint32_t)home | flags);
		if (i == PCI_ROM)
			mask |= PCI_ROM_ADDRESS_ENABLE;
		memcpy(p->wmask + pci_bar_off(i), &mask, b->is64 ? 8 : 4);
		if (b->is64)
			pci_set32(p, pci_bar_off(i + 1), (uint32_t)(home >> 32));
	}
}

static bool pci_bar_decoded(const struct pci_dev *p, const struct pci_bar *b)
{
	if (b == &p->bars[PCI_ROM] && !(p->cfg[PCI_ROM_ADDRESS] & PCI_ROM_ADDRESS_ENABLE))
		return false;
	return pci_get16(p, PCI_COMMAND) & (b->io ? PCI_COMMAND_IO : PCI_COMMAND_MEMORY);
}

/*
 * Can anything be decoded there? Not at 0 and not at the very end of the space: the one is a BAR without
 * an address, the other what a driver's sizing (all ones) leaves in it for a moment.
 */
static bool pci_bar_possible(const struct pci_bar *b, uint64_t base)
{
	uint64_t last = base + b->region.size - 1;

	if (!base || last < base)
		return false;
	if (b->io)
		return last < 0xffff;
	return last != UINT32_MAX && last != UINT64_MAX;
}

static bool pci_bar_over_ram(const struct pci_dev *p, const struct pci_bar *b, uint64_t base)
{
	const struct gmem *g = p->host->dev.board->gmem;

	for (unsigned int i = 0; i < g->nregions && !b->io; i++)
		if (ranges_overlap(g->regions[i].gpa, g->regions[i].size, base, b->region.size))
			return true;
	return false;
}

/* limit: where to report a BAR that is in the way of something; NULL: silently */
static bool pci_bar_map(struct pci_dev *p, struct pci_bar *b, uint64_t base,
			struct log_limit *limit)
{
	struct err e = { 0 };

	if (!pci_bar_possible(b, base))
		return false;
	b->region.base = base;
	if (pci_bar_over_ram(p, b, base))
		err_set(&e, EEXIST, "%s at 0x%llx lies over RAM", b->label,
			(unsigned long long)base);
	else if (bus_add(pci_bar_bus(p, b), &b->region, &e) >= 0)
		b->mapped = true;
	if (!b->mapped && limit)
		log_limited(p->host->dev.board->log, limit, "PCI: not mapped: %s", e.msg);
	return b->mapped;
}

static void pci_bar_unmap(struct pci_dev *p, struct pci_bar *b)
{
	bus_del(pci_bar_bus(p, b), &b->region);
	b->mapped = false;
}

static void pci_bar_tell(struct pci_dev *p, unsigned int bar, uint64_t old_base, bool old_mapped)
{
	if (p->ops && p->ops->bar_moved)
		p->ops->bar_moved(p, bar, old_base, old_mapped);
}

/* True when the BAR left a place, which may be what another one waits for. */
static bool pci_bar_sync(struct pci_dev *p, unsigned int bar, struct log_limit *limit)
{
	struct pci_bar *b = &p->bars[bar];
	uint64_t base = pci_bar_addr(p, bar), old_base = b->region.base;
	bool decoded = pci_bar_decoded(p, b), old_mapped = b->mapped;

	if (b->mapped && (!decoded || base != b->region.base))
		pci_bar_unmap(p, b);
	if (!b->mapped && decoded)
		pci_bar_map(p, b, base, limit);
	if (b->mapped != old_mapped || (b->mapped && old_base != b->region.base))
		pci_bar_tell(p, bar, old_base, old_mapped);
	return old_mapped && (!b->mapped || old_base != b->region.base);
}

static bool pci_dev_sync(struct pci_dev *p, struct log_limit *limit)
{
	bool left = false;

	for (unsigned int i = 0; i < ARRAY_SIZE(p->bars); i++)
		if (p->bars[i].region.size && pci_bar_sync(p, i, limit))
			left = true;
	return left;
}

/* BARs that something was in the way of: mapping them frees nothing, so one pass is enough. */
static void pci_bars_retry(struct pci_host *h)
{
	for (unsigned int i = 0; i < PCI_FUNCTIONS; i++)
		if (h->functions[i])
			pci_dev_sync(h->functions[i], NULL);
}

void pci_bars_sync(struct pci_dev *p)
{
	if (p->host && pci_dev_sync(p, &p->host->bar_limit))
		pci_bars_retry(p->host);
}

void pci_bars_unmap(struct pci_dev *p)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(p->bars); i++) {
		struct pci_bar *b = &p->bars[i];

		if (!b->mapped)
			continue;
		pci_bar_unmap(p, b);
		pci_bar_tell(p, i, b->region.base, true);
	}
}
