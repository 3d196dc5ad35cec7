/* SPDX-License-Identifier: MIT */
/*
 * Another medium for a drive of a target, as device_class.set_medium has it. On the thread that
 * has the target.
 */
#ifndef VMM_SCSI_MEDIA_H
#define VMM_SCSI_MEDIA_H

#include "vmm/device.h"
#include "vmm/scsi/scsi.h"

/*
 * name: the drive's, for messages. file: of the medium that is in it; of the new one when that
 * is. Reads of the medium that goes end first: as at a stop, the disk is waited for.
 * -ERR_VM_MEDIUM_LOCKED: the guest is asked for it.
 */
int scsi_media_change(struct scsi_target *t, uint32_t lun, const char *name, struct stat *file,
		      struct device_medium *medium, struct err *e);

#endif
