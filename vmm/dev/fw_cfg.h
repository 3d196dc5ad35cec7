/* SPDX-License-Identifier: MIT */
/*
 * What a machine tells its firmware (class "fw-cfg"): QEMU's docs/specs/fw_cfg, by ports and DMA. Items have a number, or a
 * name and are files. They are given before the first start and stay; the guest only reads them.
 */
#ifndef VMM_DEV_FW_CFG_H
#define VMM_DEV_FW_CFG_H

#include <stddef.h>
#include <stdint.h>
#include "lib/err.h"
#include "lib/util.h"

struct device;

#define FW_CFG_NAME_MAX 55
#define FW_CFG_ITEMS_MAX 32
#define FW_CFG_FILES 0x20 /* the first file's number; smaller ones are well known */

/* Control of a transfer, "DMA Interface": the number, when one is selected, is in the upper half */
#define FW_CFG_DMA_ERROR BIT(0)
#define FW_CFG_DMA_READ BIT(1)
#define FW_CFG_DMA_SKIP BIT(2)
#define FW_CFG_DMA_SELECT BIT(3)
#define FW_CFG_DMA_WRITE BIT(4)

/* Well-known numbers; what they mean is in little endian */
enum fw_cfg_key {
	FW_CFG_SIGNATURE = 0,
	FW_CFG_ID = 1,
	FW_CFG_UUID = 2,
	FW_CFG_RAM_SIZE = 3,	/* 8 bytes, and so on */
	FW_CFG_NOGRAPHIC = 4,	/* 2 */
	FW_CFG_NB_CPUS = 5,	/* 2 */
	FW_CFG_BOOT_MENU = 0xe, /* 2 */
	FW_CFG_MAX_CPUS = 0xf,	/* 2 */
	FW_CFG_CMDLINE_DATA = 0x15,
	FW_CFG_SETUP_DATA = 0x18,
	FW_CFG_FILE_DIR = 0x19,
	FW_CFG_IRQ0_OVERRIDE = 0x8002, /* 1 */
};

/* The data is copied. -ENOSPC, -ENOMEM; a number or a name that is there already is the caller's error. */
int fw_cfg_add(struct device *d, uint16_t key, const void *data, size_t size, struct err *e);
int fw_cfg_add_file(struct device *d, const char *name, const void *data, size_t size,
		    struct err *e);

#endif
