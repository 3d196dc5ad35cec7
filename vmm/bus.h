/* SPDX-License-Identifier: MIT */
/*
 * An address space of device registers: port I/O and MMIO are two instances. A sorted array of regions,
 * each embedded in its device. Under machine.lock; the data path does not pass here.
 */
#ifndef VMM_BUS_H
#define VMM_BUS_H

#include "lib/err.h"

#define BUS_REGIONS_MAX 128

struct region_ops {
	uint64_t (*read)(void *dev, uint64_t off, unsigned int size);
	void (*write)(void *dev, uint64_t off, unsigned int size, uint64_t val);
	/* widths that the device sees (1, 2, 4, 8); the bus splits wider and widens narrower accesses: a
	 * narrower read reads min_size and takes its bytes; a narrower write is dropped and counted */
	unsigned int min_size, max_size;
};

struct region {
	const char *name; /* for messages: "com1", "disk0 BAR 0" */
	uint64_t base, size;
	const struct region_ops *ops;
	void *dev;
};

struct bus {
	const char *name;			 /* "pio" or "mmio" */
	struct region *regions[BUS_REGIONS_MAX]; /* sorted by base; owned by their devices */
	unsigned int nregions;
	uint64_t unmapped; /* accesses that met no region */
	uint64_t dropped;  /* writes narrower than the device takes */
};

void bus_init(struct bus *b, const char *name);
/* -EEXIST: overlap, the message names both regions; -ENOSPC; -EINVAL: empty or beyond the space */
int bus_add(struct bus *b, struct region *r, struct err *e);
void bus_del(struct bus *b, struct region *r); /* a region that is not on the bus is fine */
struct region *bus_find(const struct bus *b, uint64_t addr);
/* size 1, 2, 4 or 8. Unmapped: all ones, counted. An access over a region's end is cut there. */
uint64_t bus_read(struct bus *b, uint64_t addr, unsigned int size);
void bus_write(struct bus *b, uint64_t addr, unsigned int size, uint64_t val);

#endif
