// SPDX-License-Identifier: MIT
/*
 * The firmware configuration device of QEMU (docs/specs/fw_cfg: "Selector (Control) Register", "Data Register", "DMA
 * Interface"): see fw_cfg.h. Everything that comes by DMA is the guest's word: a range that is not all RAM, a length beyond
 * reason and a write end in the error bit. Under machine.lock.
 */
#include "vmm/dev/fw_cfg.h"

#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/dev/dev.h"
#include "vmm/x86/map.h"

/* beyond any item; so much is written to memory with the lock held */
#define FW_CFG_DMA_MAX (4 * MIB)

#define FW_CFG_ID_VALUE 3			   /* traditional, DMA */
#define FW_CFG_DMA_SIGNATURE 0x51454d5520434647ull /* "QEMU CFG" */

enum fw_cfg_reg {
	FW_CFG_SELECTOR = 0, /* write, 2 bytes */
	FW_CFG_DATA = 1,     /* read, 1 byte */
	FW_CFG_DMA = 4, /* an address of 8 bytes, big endian; its lower half starts the transfer */
	FW_CFG_REGS = 12,
};

struct fw_cfg_item {
	uint16_t key;
	size_t size;
	uint8_t *data; /* owned */
};

/* As the guest reads it, "File Directory" */
struct fw_cfg_entry {
	uint32_t size; /* big endian, as the others */
	uint16_t select, reserved;
	char name[FW_CFG_NAME_MAX + 1];
};

struct fw_cfg_dir {
	uint32_t count;
	struct fw_cfg_entry entries[FW_CFG_ITEMS_MAX];
};

/* "DMA Interface", all big endian */
struct fw_cfg_dma {
	uint32_t control, length;
	uint64_t address;
};

struct fw_cfg {
	struct device dev; /* first */
	struct region region;
	struct fw_cfg_item items[FW_CFG_ITEMS_MAX];
	unsigned int nitems, nfiles;
	struct fw_cfg_dir dir;
	const struct fw_cfg_item *item; /* selected; NULL: there is none of that number */
	size_t offset;			/* in it, or behind its end */
	uint32_t dma_high;
};

/* --- items ------------------------------------------------------------------------------------------ */

static struct fw_cfg_item *fw_cfg_find(struct fw_cfg *f, uint16_t key)
{
	for (unsigned int i = 0; i < f->nitems; i++)
		if (f->items[i].key == key)
			return &f->items[i];
	return NULL;
}

static int fw_cfg_put(struct fw_cfg *f, uint16_t key, const void *data, size_t size, struct err *e)
{
	struct fw_cfg_item *item = &f->items[f->nitems];

	assert(!fw_cfg_find(f, key));
	if (f->nitems == FW_CFG_ITEMS_MAX)
		return err_set(e, ENOSPC, "more than %d items for the firmware", FW_CFG_ITEMS_MAX);
	item->data = malloc(size ? size : 1);
	if (!item->data)
		return err_ret(e, -ENOMEM, "%zu bytes for the firmware", size);
	item->key = key;
	item->size = size;
	memcpy(item->data, data, size);
	f->nitems++;
	return 0;
}

int fw_cfg_add(struct device *d, uint16_t key, const void *data, size_t size, struct err *e)
{
	struct fw_cfg *f = container_of(d, struct fw_cfg, dev);

	assert(key < FW_CFG_FILES || key >= 0x8000);
	return fw_cfg_put(f, key, data, size, e);
}

/* The directory's item follows the table: it has the number of files first, and those that there are. */
static void fw_cfg_dir_update(struct fw_cfg *f)
{
	struct fw_cfg_item *item = fw_cfg_find(f, FW_CFG_FILE_DIR);

	f->dir.count = htobe32(f->nfiles);
	item->size = offsetof(struct fw_cfg_dir, entries[f->nfiles]);
	memcpy(item->data, &f->dir, item->size);
}

int fw_cfg_add_file(struct device *d, const char *name, const void *data, size_t size,
		    struct err *e)
{
	struct fw_cfg *f = container_of(d, struct fw_cfg, dev);
	uint16_t key = (uint16_t)(FW_CFG_FILES + f->nfiles);
	struct fw_cfg_entry *entry = &f->dir.entries[f->nfiles];
	int ret = fw_cfg_put(f, key, data, size, e);

	assert(strlen(name) <= FW_CFG_NAME_MAX && size <= FW_CFG_DMA_MAX);
	if (ret < 0)
		return ret;
	entry->size = htobe32((uint32_t)size);
	entry->select = htobe16(key);
	snprintf(entry->name, sizeof(entry->name), "%s", name);
	f->nfiles++;
	fw_cfg_dir_update(f);
	return 0;
}

/* --- registers -------------------------------------------------------------------------------------- */

static void fw_cfg_select(struct fw_cfg *f, uint16_t key)
{
	f->item = fw_cfg_find(f, key);
	f->offset = 0;
}

/* Behind the end, and where there is no item, everything is 0. */
static void fw_cfg_read_item(struct fw_cfg *f, void *out, size_t len)
{
	size_t left = f->item && f->offset < f->item->size ? f->item->size - f->offset : 0;
	size_t n = MIN(len, left);

	if (n)
		memcpy(out, f->item->data + f->offset, n);
	memset((uint8_t *)out + n, 0, len - n);
	f->offset += n;
}

static bool fw_cfg_dma_read(struct fw_cfg *f, uint64_t address, uint32_t length)
{
	void *p = length > FW_CFG_DMA_MAX ? NULL : gmem_ptr(f->dev.board->gmem, address, length);

	if (!p)
		return false;
	fw_cfg_read_item(f, p, length);
	return true;
}

static void fw_cfg_dma(struct fw_cfg *f, uint64_t gpa)
{
	const struct gmem *g = f->dev.board->gmem;
	struct fw_cfg_dma dma;
	uint32_t control;
	bool fine = true;

	if (gmem_read(g, gpa, &dma, sizeof(dma)) < 0)
		return;
	control = be32toh(dma.control);
	if (control & FW_CFG_DMA_SELECT)
		fw_cfg_select(f, (uint16_t)(control >> 16));
	if (control & FW_CFG_DMA_READ)
		fine = fw_cfg_dma_read(f, be64toh(dma.address), be32toh(dma.length));
	else if (control & FW_CFG_DMA_WRITE)
		fine = false;
	else if (control & FW_CFG_DMA_SKIP && f->item)
		f->offset += MIN(be32toh(dma.length), f->item->size - f->offset);
	dma.control = htobe32(fine ? 0 : FW_CFG_DMA_ERROR);
	gmem_write(g, gpa, &dma.control, sizeof(dma.control));
}

static uint64_t fw_cfg_read(void *dev, uint64_t off, unsigned int size)
{
	struct fw_cfg *f = dev;
	uint64_t signature = htobe64(FW_CFG_DMA_SIGNATURE);
	uint8_t byte = 0;

	if (off >= FW_CFG_DMA)
		return signature >> 8 * (off - FW_CFG_DMA);
	if (off == FW_CFG_DATA && size == 1)
		fw_cfg_read_item(f, &byte, 1);
	return byte;
}

static void fw_cfg_write(void *dev, uint64_t off, unsigned int size, uint64_t val)
{
	struct fw_cfg *f = dev;
	uint64_t gpa;

	if (off == FW_CFG_SELECTOR && size == 2) {
		fw_cfg_select(f, (uint16_t)val);
	} else if (off == FW_CFG_DMA && size == 4) {
		f->dma_high = be32toh((uint32_t)val);
	} else if (off == FW_CFG_DMA + 4 && size == 4) {
		gpa = (uint64_t)f->dma_high << 32 | be32toh((uint32_t)val);
		f->dma_high = 0;
		fw_cfg_dma(f, gpa);
	}
}

static const struct region_ops fw_cfg_ops = {
	.read = fw_cfg_read,
	.write = fw_cfg_write,
	.min_size = 1,
	.max_size = 4,
};

/* --- the device ------------------------------------------------------------------------------------- */

static void fw_cfg_reset(struct device *d)
{
	struct fw_cfg *f = container_of(d, struct fw_cfg, dev);

	fw_cfg_select(f, FW_CFG_SIGNATURE);
	f->dma_high = 0;
}

static int fw_cfg_init(struct device *d, struct err *e)
{
	struct fw_cfg *f = container_of(d, struct fw_cfg, dev);
	uint32_t id = htole32(FW_CFG_ID_VALUE);
	int ret = fw_cfg_put(f, FW_CFG_SIGNATURE, "QEMU", 4, e);

	if (ret >= 0)
		ret = fw_cfg_put(f, FW_CFG_ID, &id, sizeof(id), e);
	if (ret >= 0)
		ret = fw_cfg_put(f, FW_CFG_FILE_DIR, &f->dir, sizeof(f->dir), e);
	if (ret < 0)
		return ret;
	fw_cfg_dir_update(f);
	f->region = (struct region){
		.name = d->id, .base = MAP_FW_CFG, .size = FW_CFG_REGS, .ops = &fw_cfg_ops, .dev = f
	};
	return bus_add(d->board->pio, &f->region, e);
}

static void fw_cfg_fini(struct device *d)
{
	struct fw_cfg *f = container_of(d, struct fw_cfg, dev);

	bus_del(d->board->pio, &f->region);
	for (unsigned int i = 0; i < f->nitems; i++)
		free(f->items[i].data);
}

const struct device_class fw_cfg_class = {
	.type = "fw-cfg",
	.size = sizeof(struct fw_cfg),
	.init = fw_cfg_init,
	.reset = fw_cfg_reset,
	.fini = fw_cfg_fini,
};
