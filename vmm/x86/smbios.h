/* SPDX-License-Identifier: MIT */
/*
 * SMBIOS tables for firmware: DMTF DSP0134, version 2.8, with the 32-bit entry point. Types 0, 1, 3, 4, 11, 16, 17, 19, 32
 * and 127; one socket, one memory device.
 */
#ifndef VMM_X86_SMBIOS_H
#define VMM_X86_SMBIOS_H

#include "lib/err.h"
#include "lib/json.h"
#include "vmm/gmem.h"

struct device;

struct smbios_config {
	/*
	 * {"manufacturer", "product", "version", "serial", "sku", "family": texts, "uuid": text, "oem_strings": [text, …]};
	 * every key is optional, and NULL is fine
	 */
	struct json_object *system;
	const char *uuid; /* where system has none; "": it has none at all */
	unsigned int nvcpus;
};

/* As the files "etc/smbios/smbios-anchor" and "etc/smbios/smbios-tables". fw_cfg: of fw_cfg_class */
int smbios_add(struct device *fw_cfg, const struct gmem *g, const struct smbios_config *c,
	       struct err *e);

#endif
