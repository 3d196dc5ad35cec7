// SPDX-License-Identifier: MIT
/*
 * A NOR flash chip with the Intel command set, 8 bits wide, right below the firmware's ROM: where OVMF keeps the variables of
 * UEFI. Common Flash Interface, JEDEC JESD68.01 (query) and JEP137 (command set 0001h); the commands are those of Intel's
 * StrataFlash P30 data sheet (306666), "Command Codes and Descriptions" and "Status Register". Under machine.lock.
 *
 * While the chip gives its array, which is nearly always, it is memory that the guest reads and runs without an exit
 * (KVM_MEM_READONLY); a write comes here, and what makes the chip show something else takes the memory away until the guest
 * is back at Read Array. That is a flush point, too.
 *
 * Other than on a P30: a block is 4 KiB, the chip as large as its file; nothing takes time; blocks are never locked; there is
 * no write buffer (the query says so) and no suspend; Clear Status clears SR.7 as well, by which OVMF tells a flash from a ROM.
 */
#include "vmm/dev/dev.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "lib/auto.h"
#include "lib/errcat.h"
#include "lib/vmdef.h"
#include "vmm/dev/flash_file.h"
#include "vmm/gmem.h"

#define CFI_FLASH_BLOCK 4096
#define CFI_FLASH_MAKER 0x89 /* Intel */
#define CFI_FLASH_CHIP 0x18

/* P30: "Command Codes and Descriptions" */
enum cfi_flash_cmd {
	CFI_PROGRAM_ALT = 0x10,
	CFI_ERASE = 0x20,
	CFI_PROGRAM = 0x40,
	CFI_CLEAR_STATUS = 0x50,
	CFI_LOCK = 0x60,
	CFI_READ_STATUS = 0x70,
	CFI_READ_ID = 0x90,
	CFI_READ_QUERY = 0x98,
	CFI_CONFIRM = 0xd0,
	CFI_READ_ARRAY = 0xff,
};

/* P30: "Status Register Description" */
#define CFI_SR_READY 0x80
#define CFI_SR_ERASE 0x20
#define CFI_SR_PROGRAM 0x10
#define CFI_SR_SEQUENCE (CFI_SR_ERASE | CFI_SR_PROGRAM) /* a command in two cycles that was none */

/* JESD68.01, section 2: offsets in the query. Its extended table is behind it. */
#define CFI_QUERY_SIZE 0x40
#define CFI_QUERY_EXTENDED 0x31

struct cfi_flash_cfg {
	int vars_fd;
};

struct cfi_flash {
	struct device dev; /* first */
	struct region region;
	uint8_t *data; /* owned: mapped, size bytes */
	uint64_t size;
	int slot;		 /* of KVM's memory; -1 while the chip does not show its array */
	struct flash_file *file; /* owned; NULL: what is changed is forgotten at the end */
	uint8_t shows;		 /* enum cfi_flash_cmd: READ_ARRAY, _STATUS, _ID or _QUERY */
	uint8_t pending;	 /* the first cycle of a command in two; 0: none */
	uint8_t status;
	uint8_t query[CFI_QUERY_SIZE];
	struct log_limit limit;
};

static const struct field cfi_flash_fields[] = {
	FIELD_FD("vars", struct cfi_flash_cfg, vars_fd),
	FIELD_END,
};

/* --- what it shows ------------------------------------------------------------------------------------ */

static void cfi_flash_hide(struct cfi_flash *c)
{
	const struct board *b = c->dev.board;

	if (c->slot >= 0)
		b->ops->mem_unmap(b->arg, c->slot);
	c->slot = -1;
}

/* Without a slot, for want of memory in the host's kernel, reads exit and give the same. */
static void cfi_flash_show(struct cfi_flash *c)
{
	const struct board *b = c->dev.board;
	struct err e;

	if (c->slot >= 0)
		return;
	c->slot = b->ops->rom_map(b->arg, c->region.base, c->size, c->data, &e);
	if (c->slot < 0)
		log_limited(b->log, &c->limit, "%s: %s", c->dev.id, e.msg);
}

/* READ_ARRAY, READ_STATUS, READ_ID or READ_QUERY */
static void cfi_flash_set_mode(struct cfi_flash *c, uint8_t shows)
{
	c->shows = shows;
	if (shows != CFI_READ_ARRAY) {
		cfi_flash_hide(c);
		return;
	}
	cfi_flash_show(c);
	if (c->file)
		flash_file_flush(c->file);
}

/* P30, "Device Identifier Codes": maker, device, and for each block its lock */
static uint8_t cfi_flash_id(uint64_t off)
{
	static const uint8_t codes[] = { CFI_FLASH_MAKER, CFI_FLASH_CHIP, 0 };

	off %= CFI_FLASH_BLOCK;
	return off < ARRAY_SIZE(codes) ? codes[off] : 0;
}

static uint64_t cfi_flash_read(void *dev, uint64_t off, unsigned int size)
{
	const struct cfi_flash *c = dev;

	(void)size; /* 1 */
	switch (c->shows) {
	case CFI_READ_STATUS:
		return c->status;
	case CFI_READ_ID:
		return cfi_flash_id(off);
	case CFI_READ_QUERY:
		return off < CFI_QUERY_SIZE ? c->query[off] : 0;
	default:
		return c->data[off];
	}
}

/* --- commands ----------------------------------------------------------------------------------------- */

static void cfi_flash_changed(struct cfi_flash *c, uint64_t off, uint64_t len)
{
	if (c->file)
		flash_file_dirty(c->file, off, len);
	c->status |= CFI_SR_READY;
}

/* Programming takes bits away; only an erase gives them back. */
static void cfi_flash_program(struct cfi_flash *c, uint64_t off, uint8_t val)
{
	c->data[off] &= val;
	cfi_flash_changed(c, off, 1);
}

static void cfi_flash_erase(struct cfi_flash *c, uint64_t off)
{
	uint64_t start = align_down(off, CFI_FLASH_BLOCK);

	memset(c->data + start, 0xff, CFI_FLASH_BLOCK);
	cfi_flash_changed(c, start, CFI_FLASH_BLOCK);
}

static void cfi_flash_second(struct cfi_flash *c, uint64_t off, uint8_t val)
{
	uint8_t first = c->pending;

	c->pending = 0;
	if (first == CFI_PROGRAM)
		cfi_flash_program(c, off, val);
	else if (first == CFI_ERASE && val == CFI_CONFIRM)
		cfi_flash_erase(c, off);
	else if (first == CFI_ERASE)
		c->status |= CFI_SR_READY | CFI_SR_SEQUENCE;
	else
		c->status |= CFI_SR_READY; /* locks: taken and not kept */
}

static void cfi_flash_command(struct cfi_flash *c, uint8_t cmd)
{
	switch (cmd) {
	case CFI_PROGRAM_ALT:
	case CFI_PROGRAM:
		c->pending = CFI_PROGRAM;
		cfi_flash_set_mode(c, CFI_READ_STATUS);
		break;
	case CFI_ERASE:
	case CFI_LOCK:
		c->pending = cmd;
		cfi_flash_set_mode(c, CFI_READ_STATUS);
		break;
	case CFI_CLEAR_STATUS:
		c->status = 0;
		break;
	case CFI_READ_STATUS:
	case CFI_READ_ID:
	case CFI_READ_QUERY:
		cfi_flash_set_mode(c, cmd);
		break;
	default: /* FFh, and what there is none of */
		cfi_flash_set_mode(c, CFI_READ_ARRAY);
		break;
	}
}

static void cfi_flash_write(void *dev, uint64_t off, unsigned int size, uint64_t val)
{
	struct cfi_flash *c = dev;

	(void)size; /* 1 */
	if (c->pending)
		cfi_flash_second(c, off, (uint8_t)val);
	else
		cfi_flash_command(c, (uint8_t)val);
}

static const struct region_ops cfi_flash_ops = {
	.read = cfi_flash_read,
	.write = cfi_flash_write,
	.min_size = 1,
	.max_size = 1,
};

/* --- the query: JESD68.01, section 2 --------------------------------------------------------------------- */

static void cfi_flash_make_query(struct cfi_flash *c)
{
	uint64_t blocks = c->size / CFI_FLASH_BLOCK;
	uint8_t *q = c->query;

	memcpy(q + 0x10, "QRY", 3);
	q[0x13] = 0x01; /* command set 0001h */
	q[0x15] = CFI_QUERY_EXTENDED;
	q[0x1b] = 0x17; /* 1.7 to 2.0 V, and no programming voltage of its own */
	q[0x1c] = 0x20;
	q[0x1f] = 0x08; /* a byte in 2^8 microseconds, a block in 2^9 milliseconds, as the P30 */
	q[0x21] = 0x09;
	q[0x23] = 0x01; /* twice that at most */
	q[0x25] = 0x01;
	while (BIT64(q[0x27]) < c->size)
		q[0x27]++;
	q[0x2c] = 1; /* region of blocks of one size */
	q[0x2d] = (uint8_t)(blocks - 1);
	q[0x2e] = (uint8_t)((blocks - 1) >> 8);
	q[0x2f] = CFI_FLASH_BLOCK / 256;
	memcpy(q + CFI_QUERY_EXTENDED, "PRI13", 5);
	q[0x3c] =
		0; /* P30, "Primary Vendor-Specific Extended Query": none of the optional features */
}

/* --- its contents -------------------------------------------------------------------------------------- */

static int cfi_flash_read_all(struct cfi_flash *c, int fd, struct err *e)
{
	ssize_t n = fdio_pread(fd, c->data, c->size, 0);

	if (n < 0)
		return err_ret(e, (int)n, "cannot read the variable store");
	if ((uint64_t)n != c->size)
		return err_set(e, ERR_FIRMWARE,
			       "the variable store became shorter while it was read");
	return 0;
}

static int cfi_flash_load(struct cfi_flash *c, int fd, struct err *e)
{
	const struct gmem_rom *rom = &c->dev.board->gmem->rom;
	uint64_t code = rom->base ? rom->size : 0;
	struct stat st;
	void *data;
	int ret;

	if (fstat(fd, &st) < 0)
		return err_errno(e, "cannot read the variable store");
	ret = vmdef_check_vars(code, (uint64_t)st.st_size, e);
	if (ret < 0)
		return ret;
	data = mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		    -1, 0);
	if (data == MAP_FAILED)
		return err_errno(e, "no memory for the variable store");
	c->data = data;
	c->size = (uint64_t)st.st_size;
	return cfi_flash_read_all(c, fd, e);
}

/* --- life ---------------------------------------------------------------------------------------------- */

static void cfi_flash_reset(struct device *d)
{
	struct cfi_flash *c = container_of(d, struct cfi_flash, dev);

	c->pending = 0;
	c->status = CFI_SR_READY;
	cfi_flash_set_mode(c, CFI_READ_ARRAY);
}

/* A descriptor that can only be read is a template: the chip forgets. */
static int cfi_flash_open(struct cfi_flash *c, struct cfi_flash_cfg *cfg, struct err *e)
{
	int flags = fcntl(cfg->vars_fd, F_GETFL);

	if (flags < 0)
		return err_errno(e, "variable store");
	if ((flags & O_ACCMODE) != O_RDWR)
		return 0;
	return flash_file_new(c->dev.board, c->dev.id, TAKE_FD(cfg->vars_fd), c->data, c->size,
			      &c->file, e);
}

static int cfi_flash_init(struct device *d, struct err *e)
{
	struct cfi_flash *c = container_of(d, struct cfi_flash, dev);
	const struct gmem_rom *rom = &d->board->gmem->rom;
	struct cfi_flash_cfg *cfg = d->cfg;
	int ret;

	c->slot = -1;
	if (cfg->vars_fd < 0)
		return err_set(e, ERR_INVALID, "no variable store");
	ret = cfi_flash_load(c, cfg->vars_fd, e);
	if (ret < 0)
		return ret;
	cfi_flash_make_query(c);
	c->region = (struct region){ .name = d->id,
				     .base = (rom->base ? rom->gpa : GMEM_HOLE_END) - c->size,
				     .size = c->size,
				     .ops = &cfi_flash_ops,
				     .dev = c };
	if (c->region.base < GMEM_ROM_START)
		return err_set(e, ERR_FIRMWARE,
			       "firmware and variables do not fit into the %llu MiB below 4 GiB",
			       (GMEM_HOLE_END - GMEM_ROM_START) / MIB);
	ret = bus_add(d->board->mmio, &c->region, e);
	return ret < 0 ? ret : cfi_flash_open(c, cfg, e);
}

static void cfi_flash_stop(struct device *d)
{
	struct cfi_flash *c = container_of(d, struct cfi_flash, dev);

	if (c->file)
		flash_file_settle(c->file);
}

static void cfi_flash_fini(struct device *d)
{
	struct cfi_flash *c = container_of(d, struct cfi_flash, dev);

	cfi_flash_hide(c);
	bus_del(d->board->mmio, &c->region);
	flash_file_free(c->file);
	if (c->data)
		munmap(c->data, c->size);
}

const struct device_class cfi_flash_class = {
	.type = "cfi-flash",
	.size = sizeof(struct cfi_flash),
	.cfg_size = sizeof(struct cfi_flash_cfg),
	.cfg_fields = cfi_flash_fields,
	.init = cfi_flash_init,
	.stop = cfi_flash_stop,
	.reset = cfi_flash_reset,
	.fini = cfi_flash_fini,
};
