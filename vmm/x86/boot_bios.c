// SPDX-License-Identifier: MIT
/* See boot_bios.h. On the control loop while no vCPU runs; a reset loads again. */
#include "vmm/x86/boot_bios.h"

#include <asm/bootparam.h>
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/auto.h"
#include "lib/errcat.h"
#include "vmm/dev/fw_cfg.h"
#include "vmm/x86/boot_image.h"
#include "vmm/x86/map.h"

#define BIOS_HEADER 0x1f1
#define BIOS_VERSION 0x203 /* the first that says how high an initrd may be */
#define BIOS_VERSION_CMDLINE 0x206
#define BIOS_VERSION_SIZE 0x20a /* what the kernel needs where it moves itself to */
#define BIOS_CMDLINE_OLD 255
#define BIOS_SETUP 0x10000 /* boot_rom.S: SETUP */
#define BIOS_HEAP_END 0xfe00
#define BIOS_SECTOR 512u
#define BIOS_SECTORS_MAX 64 /* of setup: what is left below is its stack and heap */
/* The top of memory below the hole: the firmware has its tables and, while it starts, itself there. */
#define BIOS_OWN (8 * MIB)
#define BIOS_ROM_SIZE 512u
#define BIOS_ROM_SUM 6 /* where nothing else is */

extern const uint8_t boot_rom[BIOS_ROM_SIZE];
extern const uint16_t boot_rom_items_at; /* the items' offset in it */

struct bios_item {
	uint32_t control, length; /* docs/specs/fw_cfg, "DMA Interface", all big endian */
	uint64_t address;
};

static uint32_t bios_setup_size(const struct setup_header *h)
{
	return (h->setup_sects ? h->setup_sects + 1u : 5u) * BIOS_SECTOR;
}

static int bios_check(const struct setup_header *h, struct err *e)
{
	if (h->version < BIOS_VERSION || !(h->loadflags & LOADED_HIGH))
		return err_set(e, ERR_KERNEL_IMAGE,
			       "a kernel that is loaded below 1 MiB (boot protocol %u.%02u): "
			       "only bzImage of 2.03 or newer is supported",
			       h->version >> 8, h->version & 0xff);
	if (h->setup_sects > BIOS_SECTORS_MAX)
		return err_set(e, ERR_KERNEL_IMAGE,
			       "the header says that its 16-bit part has %u sectors; there is "
			       "room for %d",
			       h->setup_sects, BIOS_SECTORS_MAX);
	return 0;
}

/* The 32-bit part is the rest of the file. */
static int bios_load_kernel(struct boot_image *im, const struct setup_header *h, struct err *e)
{
	uint64_t off = bios_setup_size(h), end = 0, size;
	int r;

	if (im->file_size <= off)
		return err_set(e, ERR_KERNEL_IMAGE, "truncated kernel: there is no 32-bit part");
	size = im->file_size - off;
	if (h->version >= BIOS_VERSION_SIZE && !checked_add(h->pref_address, h->init_size, &end))
		end = UINT64_MAX;
	im->kernel_end = MAX(MAP_KERNEL + size, end);
	r = boot_check_range(im, MAP_KERNEL, im->kernel_end - MAP_KERNEL, "the kernel", e);
	if (r < 0)
		return r;
	return boot_read(im, off, gmem_ptr(im->g, MAP_KERNEL, size), size, "the kernel", e);
}

/* --- what fw_cfg has ---------------------------------------------------------------------------------------------- */

static int bios_tell_setup(const struct boot_image *im, const struct setup_header *h,
			   struct device *fw_cfg, struct err *e)
{
	uint32_t size = bios_setup_size(h);
	AUTO_FREE uint8_t *setup = malloc(size);
	struct setup_header *to;
	int r;

	if (!setup)
		return err_ret(e, -ENOMEM, "the kernel's 16-bit part");
	r = boot_read(im, 0, setup, size, "its 16-bit part", e);
	if (r < 0)
		return r;
	to = (struct setup_header *)(void *)(setup + BIOS_HEADER);
	to->type_of_loader = 0xff;
	to->loadflags |= CAN_USE_HEAP;
	to->heap_end_ptr = BIOS_HEAP_END;
	to->cmd_line_ptr = MAP_CMDLINE;
	to->ramdisk_image = (uint32_t)im->initrd;
	to->ramdisk_size = (uint32_t)im->initrd_size;
	return fw_cfg_add(fw_cfg, FW_CFG_SETUP_DATA, setup, size, e);
}

static struct bios_item bios_item(uint16_t key, size_t length, uint64_t address)
{
	return (struct bios_item){ .control = htobe32((uint32_t)key << 16 | FW_CFG_DMA_SELECT |
						      FW_CFG_DMA_READ),
				   .length = htobe32((uint32_t)length),
				   .address = htobe64(address) };
}

static int bios_tell_rom(const struct setup_header *h, const char *cmdline, struct device *fw_cfg,
			 struct err *e)
{
	const struct bios_item items[] = {
		bios_item(FW_CFG_SETUP_DATA, bios_setup_size(h), BIOS_SETUP),
		bios_item(FW_CFG_CMDLINE_DATA, strlen(cmdline) + 1, MAP_CMDLINE),
	};
	uint8_t rom[BIOS_ROM_SIZE], sum = 0;

	memcpy(rom, boot_rom, sizeof(rom));
	memcpy(rom + boot_rom_items_at, items, sizeof(items));
	for (unsigned int i = 0; i < sizeof(rom); i++)
		sum += rom[i];
	rom[BIOS_ROM_SUM] = (uint8_t)-sum;
	return fw_cfg_add_file(fw_cfg, "genroms/kernel.bin", rom, sizeof(rom), e);
}

static int bios_tell(const struct boot_image *im, const struct setup_header *h,
		     struct device *fw_cfg, struct err *e)
{
	const char *cmdline = im->c->cmdline ? im->c->cmdline : "";
	int r = bios_tell_setup(im, h, fw_cfg, e);

	if (r >= 0)
		r = fw_cfg_add(fw_cfg, FW_CFG_CMDLINE_DATA, cmdline, strlen(cmdline) + 1, e);
	return r < 0 ? r : bios_tell_rom(h, cmdline, fw_cfg, e);
}

int boot_bios(const struct gmem *g, const struct boot_config *c, struct device *fw_cfg,
	      struct err *e)
{
	struct boot_image im;
	struct setup_header h;
	int r = boot_image_init(&im, g, c, e);

	if (r >= 0)
		r = boot_linux_header(&im, &h, e);
	if (r >= 0)
		r = bios_check(&h, e);
	if (r < 0)
		return r;
	im.low_end -= MIN(im.low_end, BIOS_OWN);
	r = bios_load_kernel(&im, &h, e);
	if (r >= 0)
		r = boot_load_initrd(&im, (uint64_t)h.initrd_addr_max + 1, e);
	if (r >= 0)
		r = boot_check_cmdline(
			&im, h.version < BIOS_VERSION_CMDLINE ? BIOS_CMDLINE_OLD : h.cmdline_size,
			e);
	return r < 0 || !fw_cfg ? r : bios_tell(&im, &h, fw_cfg, e);
}
