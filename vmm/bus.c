// SPDX-License-Identifier: MIT
/*
 * Register dispatch: see bus.h. A device sees naturally aligned accesses of the widths that it declared;
 * what a guest does beyond that is split, widened, cut or dropped here. Under machine.lock.
 */
#include "vmm/bus.h"

#include <errno.h>
#include <string.h>

void bus_init(struct bus *b, const char *name)
{
	*b = (struct bus){ .name = name };
}

/* Index of the first region with base > addr */
static unsigned int bus_upper(const struct bus *b, uint64_t addr)
{
	unsigned int lo = 0, hi = b->nregions;

	while (lo < hi) {
		unsigned int mid = (lo + hi) / 2;

		if (b->regions[mid]->base <= addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

struct region *bus_find(const struct bus *b, uint64_t addr)
{
	unsigned int i = bus_upper(b, addr);
	struct region *r;

	if (!i)
		return NULL;
	r = b->regions[i - 1];
	return addr - r->base < r->size ? r : NULL;
}

static int bus_overlap(const struct bus *b, const struct region *r, const struct region *other,
		       struct err *e)
{
	return err_set(e, EEXIST, "%s: '%s' at 0x%llx-0x%llx overlaps '%s' at 0x%llx-0x%llx",
		       b->name, r->name, (unsigned long long)r->base,
		       (unsigned long long)(r->base + r->size - 1), other->name,
		       (unsigned long long)other->base,
		       (unsigned long long)(other->base + other->size - 1));
}

int bus_add(struct bus *b, struct region *r, struct err *e)
{
	unsigned int i = bus_upper(b, r->base);

	/* the last byte may be the last of the space, so that base + size wraps to 0 */
	if (!r->size || r->base + (r->size - 1) < r->base)
		return err_set(e, EINVAL, "%s: '%s' at 0x%llx is empty or too large", b->name,
			       r->name, (unsigned long long)r->base);
	if (i && r->base - b->regions[i - 1]->base < b->regions[i - 1]->size)
		return bus_overlap(b, r, b->regions[i - 1], e);
	if (i < b->nregions && b->regions[i]->base - r->base < r->size)
		return bus_overlap(b, r, b->regions[i], e);
	if (b->nregions == BUS_REGIONS_MAX)
		return err_set(e, ENOSPC, "%s: no room for '%s', all %d regions are taken", b->name,
			       r->name, BUS_REGIONS_MAX);
	memmove(&b->regions[i + 1], &b->regions[i], (b->nregions - i) * sizeof(b->regions[0]));
	b->regions[i] = r;
	b->nregions++;
	return 0;
}

void bus_del(struct bus *b, struct region *r)
{
	unsigned int i;

	for (i = 0; i < b->nregions && b->regions[i] != r; i++)
		;
	if (i == b->nregions)
		return;
	b->nregions--;
	memmove(&b->regions[i], &b->regions[i + 1], (b->nregions - i) * sizeof(b->regions[0]));
}

static uint64_t bus_mask(unsigned int size)
{
	return size >= 8 ? UINT64_MAX : BIT64(size * 8) - 1;
}

/* The widest naturally aligned access at off that stays within left bytes and the device's widths. */
static unsigned int bus_chunk(const struct region_ops *ops, uint64_t off, unsigned int left)
{
	unsigned int n = ops->max_size;

	while (n > 1 && (n > left || off % n))
		n /= 2;
	return n;
}

/* Bytes at off that a read of min_size gives, into *val. Count. */
static unsigned int bus_read_wide(const struct region *r, uint64_t off, unsigned int left,
				  uint64_t *val)
{
	unsigned int min = r->ops->min_size, skip = (unsigned int)(off % min);

	*val = r->ops->read(r->dev, off - skip, min) >> (skip * 8);
	return MIN(left, min - skip);
}

uint64_t bus_read(struct bus *b, uint64_t addr, unsigned int size)
{
	struct region *r = bus_find(b, addr);
	uint64_t result = bus_mask(size), off;
	unsigned int todo, done = 0;

	if (!r) {
		b->unmapped++;
		return result;
	}
	off = addr - r->base;
	todo = (unsigned int)MIN((uint64_t)size, r->size - off);
	while (done < todo) {
		unsigned int n = bus_chunk(r->ops, off, todo - done);
		uint64_t val;

		if (n < r->ops->min_size)
			n = bus_read_wide(r, off, todo - done, &val);
		else
			val = r->ops->read(r->dev, off, n);
		result &= ~(bus_mask(n) << (done * 8));
		result |= (val & bus_mask(n)) << (done * 8);
		off += n;
		done += n;
	}
	return result;
}

void bus_write(struct bus *b, uint64_t addr, unsigned int size, uint64_t val)
{
	struct region *r = bus_find(b, addr);
	unsigned int todo;
	uint64_t off;

	if (!r) {
		b->unmapped++;
		return;
	}
	off = addr - r->base;
	todo = (unsigned int)MIN((uint64_t)size, r->size - off);
	while (todo) {
		unsigned int n = bus_chunk(r->ops, off, todo);

		if (n < r->ops->min_size)
			b->dropped++;
		else
			r->ops->write(r->dev, off, n, val & bus_mask(n));
		/* 8 is the last turn, and a shift by 64 is undefined */
		val = n < 8 ? val >> (n * 8) : 0;
		off += n;
		todo -= n;
	}
}
