/* SPDX-License-Identifier: MIT */
/*
 * For `vmm --config` alone, what vmd does for its machines: open the VFIO descriptors of the vfio-pci devices of a
 * machine configuration. That the devices are bound to vfio-pci is the user's business.
 */
#ifndef VMM_VFIO_OPEN_H
#define VMM_VFIO_OPEN_H

#include "lib/err.h"
#include "lib/fdio.h"
#include "lib/json.h"

/*
 * Each {"pci": "0000:3b:00.0"} becomes host and descriptors (vmm/vfio/vfio_pci.h), by iommufd where kernel and
 * device have it. How many devices there are, or -ERR_VFIO.
 */
int vfio_open_devices(struct json_object *config, struct fdset *fds, struct err *e);

#endif
