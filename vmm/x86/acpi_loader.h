/* SPDX-License-Identifier: MIT */
/*
 * ACPI tables for firmware, which puts them where it likes: the files "etc/acpi/tables", "etc/acpi/rsdp" and the commands
 * "etc/table-loader" that make tables of them (SeaBIOS, src/fw/romfile_loader.h; OVMF reads the same).
 */
#ifndef VMM_X86_ACPI_LOADER_H
#define VMM_X86_ACPI_LOADER_H

#include "vmm/x86/acpi.h"

struct device;

/* fw_cfg: of fw_cfg_class */
int acpi_loader_add(struct device *fw_cfg, const struct acpi_config *c, struct err *e);

#endif
