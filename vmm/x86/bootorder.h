/* SPDX-License-Identifier: MIT */
/*
 * Which device firmware starts from: "bootorder" of fw-cfg, OpenFirmware paths (IEEE 1275), the first one first. SeaBIOS
 * (docs/Runtime_config.md) and OVMF read it.
 */
#ifndef VMM_X86_BOOTORDER_H
#define VMM_X86_BOOTORDER_H

#include "lib/err.h"
#include "lib/json.h"

#define BOOTORDER_MAX 4096 /* bytes: 32 paths */

/*
 * order: ids of devices, and of disks at a SCSI controller; NULL: none. devices: of the machine configuration.
 * -ERR_INVALID: there is no device of that id, or nothing can be started from it.
 */
int bootorder_text(struct json_object *order, struct json_object *devices,
		   char out[static BOOTORDER_MAX], struct err *e);

#endif
