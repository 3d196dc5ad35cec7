/* SPDX-License-Identifier: MIT */
/* What the control loop asks of a disk (VIRTIO 1.2, section 5.2); all of it under machine.lock. */
#ifndef VMM_VIRTIO_BLK_H
#define VMM_VIRTIO_BLK_H

#include "vmm/device.h"

/*
 * The image has become larger: so has the disk, and the driver is told (section 5.2.4.2). *ret_size: bytes. 1: it is
 * (dry_run: would be) larger than before, 0: it is not; -ERR_FILE where it is smaller, or cannot be the disk's size.
 */
int blk_grow(struct device *d, bool dry_run, uint64_t *ret_size, struct err *e);

#endif
