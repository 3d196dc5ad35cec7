// SPDX-License-Identifier: MIT
/* The firmware's ROM and its configuration: see firmware.h. On the control loop, before the guest runs. */
#include "vmm/x86/firmware.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "lib/errcat.h"
#include "lib/fdio.h"
#include "vmm/dev/fw_cfg.h"
#include "vmm/dev/rtc.h"
#include "vmm/x86/acpi_loader.h"
#include "vmm/x86/boot.h"
#include "vmm/x86/map.h"

#define FIRMWARE_PAGE 4096
#define FIRMWARE_MIN (64 * KIB)
#define FIRMWARE_MAX (GMEM_HOLE_END - GMEM_ROM_START)
#define FIRMWARE_SHADOW (128 * KIB) /* what a PC decodes below 1 MiB */
#define FIRMWARE_ENTRY 16	    /* bytes from the reset vector to the end */

/* --- the ROM ---------------------------------------------------------------------------------------- */

static int firmware_check_size(int fd, uint64_t *ret_size, struct err *e)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return err_errno(e, "cannot read the firmware");
	if (!S_ISREG(st.st_mode))
		return err_set(e, ERR_FIRMWARE, "the firmware is no regular file");
	*ret_size = (uint64_t)st.st_size;
	if (*ret_size > FIRMWARE_MAX)
		return err_set(
			e, ERR_FIRMWARE,
			"the firmware has %llu bytes; there is room for %llu MiB below 4 GiB",
			(unsigned long long)*ret_size, FIRMWARE_MAX / MIB);
	if (*ret_size < FIRMWARE_MIN || *ret_size % FIRMWARE_PAGE)
		return err_set(
			e, ERR_FIRMWARE,
			"the firmware has %llu bytes, not %llu KiB or more in pages of 4 KiB",
			(unsigned long long)*ret_size, FIRMWARE_MIN / KIB);
	return 0;
}

/* An image that ends in nothing is none: the processor would run into the void, and nobody would hear of it. */
static bool firmware_has_entry(const uint8_t *rom, uint64_t size)
{
	const uint8_t *entry = rom + size - FIRMWARE_ENTRY;

	for (unsigned int i = 1; i < FIRMWARE_ENTRY; i++)
		if (entry[i] != entry[0])
			return true;
	return false;
}

int firmware_load(struct gmem *g, int fd, struct err *e)
{
	uint64_t size = 0;
	ssize_t n;
	void *rom;
	int r = firmware_check_size(fd, &size, e);

	if (r < 0)
		return r;
	rom = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (rom == MAP_FAILED)
		return err_errno(e, "no memory for the firmware");
	n = fdio_pread(fd, rom, size, 0);
	if (n < 0)
		r = err_ret(e, (int)n, "cannot read the firmware");
	else if ((uint64_t)n != size)
		r = err_set(e, ERR_FIRMWARE, "the firmware became shorter while it was read");
	else if (!firmware_has_entry(rom, size))
		r = err_set(e, ERR_FIRMWARE,
			    "not firmware: there is no code at its end, where a processor begins");
	if (r < 0) {
		munmap(rom, size);
		return r;
	}
	g->rom = (struct gmem_rom){ .base = rom, .gpa = GMEM_HOLE_END - size, .size = size };
	return 0;
}

void firmware_unload(struct gmem *g)
{
	if (g->rom.base)
		munmap(g->rom.base, g->rom.size);
	g->rom = (struct gmem_rom){ 0 };
}

void firmware_shadow(const struct gmem *g)
{
	uint64_t size = MIN(g->rom.size, FIRMWARE_SHADOW);

	gmem_write(g, MIB - size, (uint8_t *)g->rom.base + (g->rom.size - size), size);
}

/* --- what it is told -------------------------------------------------------------------------------- */

/* "etc/e820": RAM, and what of the hole is not for BARs */
static int firmware_tell_e820(const struct gmem *g, const struct firmware_config *c, struct err *e)
{
	struct entry {
		uint64_t addr, size;
		uint32_t type;
	} __attribute__((packed)) map[ARRAY_SIZE(g->regions) + 1];
	unsigned int n = 0;

	for (; n < g->nregions; n++)
		map[n] = (struct entry){ g->regions[n].gpa, g->regions[n].size, 1 };
	map[n++] =
		(struct entry){ GMEM_KVM_IDENTITY_MAP, GMEM_ROM_START - GMEM_KVM_IDENTITY_MAP, 2 };
	return fw_cfg_add_file(c->fw_cfg, "etc/e820", map, n * sizeof(map[0]), e);
}

static int firmware_tell_number(const struct firmware_config *c, uint16_t key, uint64_t val,
				size_t size, struct err *e)
{
	return fw_cfg_add(c->fw_cfg, key, &val, size, e);
}

static int firmware_tell_numbers(const struct gmem *g, const struct firmware_config *c,
				 struct err *e)
{
	const struct {
		uint16_t key;
		uint64_t val;
		size_t size;
	} numbers[] = {
		{ FW_CFG_RAM_SIZE, g->size, 8 },
		{ FW_CFG_NOGRAPHIC, !c->screen, 2 },
		{ FW_CFG_NB_CPUS, c->acpi->nvcpus, 2 },
		{ FW_CFG_MAX_CPUS, c->acpi->nvcpus, 2 },
		{ FW_CFG_BOOT_MENU, 0, 2 },
		{ FW_CFG_IRQ0_OVERRIDE, 1, 1 }, /* MAP_GSI_PIT */
	};
	int r = 0;

	for (unsigned int i = 0; i < ARRAY_SIZE(numbers) && r >= 0; i++)
		r = firmware_tell_number(c, numbers[i].key, numbers[i].val, numbers[i].size, e);
	return r;
}

/* SeaBIOS shows its screen at the first serial port too, or there alone, if there is no display. */
static int firmware_tell_sercon(const struct firmware_config *c, struct err *e)
{
	uint64_t port = MAP_COM1;

	if (!c->acpi->com[0])
		return 0;
	return fw_cfg_add_file(c->fw_cfg, "etc/sercon-port", &port, sizeof(port), e);
}

static int firmware_tell_bootorder(const struct firmware_config *c, struct err *e)
{
	if (!c->bootorder[0])
		return 0;
	return fw_cfg_add_file(c->fw_cfg, "bootorder", c->bootorder, strlen(c->bootorder) + 1, e);
}

/* Where a PC's setup program keeps it: RBIL, CMOS.LST, and SeaBIOS's src/hw/rtc.h */
enum firmware_cmos {
	FIRMWARE_CMOS_FLOPPIES = 0x10,
	FIRMWARE_CMOS_EQUIPMENT = 0x14,
	FIRMWARE_CMOS_BASE = 0x15,	/* KiB, 2 bytes, as the next */
	FIRMWARE_CMOS_EXTENDED = 0x17,	/* KiB above 1 MiB */
	FIRMWARE_CMOS_EXTENDED2 = 0x30, /* the same, by POST */
	FIRMWARE_CMOS_ABOVE16 = 0x34,	/* 64 KiB above 16 MiB */
	FIRMWARE_CMOS_BOOT3 = 0x38,	/* its upper half: what is tried as the third kind */
	FIRMWARE_CMOS_BOOT12 = 0x3d,	/* as the first (lower half) and second */
	FIRMWARE_CMOS_HIGH = 0x5b,	/* 64 KiB above 4 GiB, 3 bytes */
	FIRMWARE_CMOS_CPUS = 0x5f,	/* without the first */
};

#define FIRMWARE_EQUIPMENT_FLOPPY BIT(0)
#define FIRMWARE_EQUIPMENT_FPU BIT(1)
#define FIRMWARE_EQUIPMENT_TWO_FLOPPIES BIT(6)

/* kinds of devices, where there is no boot order: SeaBIOS, src/boot.c */
enum firmware_boot { FIRMWARE_BOOT_FLOPPY = 1, FIRMWARE_BOOT_DISK, FIRMWARE_BOOT_CDROM };

static void firmware_cmos(const struct firmware_config *c, unsigned int reg, unsigned int bytes,
			  uint64_t val)
{
	for (unsigned int i = 0; i < bytes; i++)
		rtc_set_cmos(c->rtc, reg + i, (uint8_t)(val >> 8 * i));
}

/* A kernel that is loaded without firmware looks there, too. */
void firmware_tell_floppies(struct device *rtc, uint8_t models)
{
	uint8_t equipment = FIRMWARE_EQUIPMENT_FPU;

	if (models)
		equipment |= FIRMWARE_EQUIPMENT_FLOPPY;
	if (models & 0xf0 && models & 0x0f)
		equipment |= FIRMWARE_EQUIPMENT_TWO_FLOPPIES;
	rtc_set_cmos(rtc, FIRMWARE_CMOS_FLOPPIES, models);
	rtc_set_cmos(rtc, FIRMWARE_CMOS_EQUIPMENT, equipment);
}

static void firmware_tell_cmos(const struct gmem *g, const struct firmware_config *c)
{
	uint64_t low = g->regions[0].size;
	uint64_t high = g->nregions > 1 ? g->regions[1].size : 0;
	uint64_t extended = MIN(low / KIB - 1024, 0xffffu);

	if (!c->rtc)
		return;
	firmware_tell_floppies(c->rtc, c->floppies);
	firmware_cmos(c, FIRMWARE_CMOS_BASE, 2, 640);
	firmware_cmos(c, FIRMWARE_CMOS_BOOT12, 1, FIRMWARE_BOOT_DISK | FIRMWARE_BOOT_CDROM << 4);
	firmware_cmos(c, FIRMWARE_CMOS_BOOT3, 1, FIRMWARE_BOOT_FLOPPY << 4);
	firmware_cmos(c, FIRMWARE_CMOS_EXTENDED, 2, extended);
	firmware_cmos(c, FIRMWARE_CMOS_EXTENDED2, 2, extended);
	firmware_cmos(c, FIRMWARE_CMOS_ABOVE16, 2,
		      low > 16 * MIB ? (low - 16 * MIB) / (64 * KIB) : 0);
	firmware_cmos(c, FIRMWARE_CMOS_HIGH, 3, high / (64 * KIB));
	firmware_cmos(c, FIRMWARE_CMOS_CPUS, 1, c->acpi->nvcpus - 1);
}

int firmware_tell(const struct gmem *g, const struct firmware_config *c, struct err *e)
{
	int r = firmware_tell_e820(g, c, e);

	firmware_tell_cmos(g, c);
	if (r >= 0)
		r = firmware_tell_numbers(g, c, e);
	if (r >= 0)
		r = firmware_tell_sercon(c, e);
	if (r >= 0)
		r = firmware_tell_bootorder(c, e);
	if (r >= 0)
		r = smbios_add(c->fw_cfg, g, &c->smbios, e);
	return r < 0 ? r : acpi_loader_add(c->fw_cfg, c->acpi, e);
}
