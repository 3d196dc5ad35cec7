/* SPDX-License-Identifier: MIT */
/*
 * Firmware in the place of a kernel: SeaBIOS or another BIOS, in the ROM that ends at 4 GiB, and what the machine tells it
 * by fw_cfg (vmm/dev/fw_cfg.h) and in CMOS.
 */
#ifndef VMM_X86_FIRMWARE_H
#define VMM_X86_FIRMWARE_H

#include "lib/err.h"
#include "vmm/gmem.h"
#include "vmm/x86/acpi.h"
#include "vmm/x86/smbios.h"

struct device;

/*
 * Read the file into g->rom, before KVM gets the memory. fd is borrowed. -ERR_FIRMWARE: it does not fit below 4 GiB, is no
 * whole number of pages, or has no code where the processor begins.
 */
int firmware_load(struct gmem *g, int fd, struct err *e);
void firmware_unload(struct gmem *g); /* once no guest has it */
/* As power-on leaves it: the end of the ROM once more below 1 MiB, where a PC decodes it too. */
void firmware_shadow(const struct gmem *g);

struct firmware_config {
	struct device *fw_cfg; /* of fw_cfg_class */
	struct device *rtc;    /* of rtc_class; NULL: without CMOS */
	const struct acpi_config
		*acpi;	  /* with the number of vCPUs, and which serial ports there are */
	bool screen;	  /* there is a display */
	uint8_t floppies; /* models of both drives: floppy_cmos (vmm/dev/floppy.h) */
	struct smbios_config smbios;
	const char *bootorder; /* OpenFirmware paths, a line each; "": as the firmware likes */
};

/* What CMOS says of them, whoever boots. rtc: of rtc_class */
void firmware_tell_floppies(struct device *rtc, uint8_t models);
/* Once, before the first start. */
int firmware_tell(const struct gmem *g, const struct firmware_config *c, struct err *e);

#endif
