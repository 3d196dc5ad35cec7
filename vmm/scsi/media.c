// SPDX-License-Identifier: MIT
/* See media.h. */
#include "vmm/scsi/media.h"

#include "lib/auto.h"
#include "lib/errcat.h"

static bool scsi_media_same_file(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

int scsi_media_change(struct scsi_target *t, uint32_t lun, const char *name, struct stat *file,
		      struct device_medium *medium, struct err *e)
{
	struct scsi_drive drive = { 0 };
	int ret;

	scsi_target_drive(t, lun, &drive);
	if (medium->block)
		medium->changed =
			!drive.medium || drive.open || !scsi_media_same_file(&medium->file, file);
	else
		medium->changed = drive.medium;
	if (!medium->changed)
		return 0;
	if (drive.medium && drive.locked && !medium->force) {
		if (!medium->dry_run)
			scsi_target_ask_eject(t, lun);
		err_set(e, ERR_VM_MEDIUM_LOCKED, "the guest has locked drive '%s'", name);
		return err_hint(e, "the guest was asked for its medium: try again when it "
				   "has let go, or force it");
	}
	if (medium->dry_run)
		return 0;
	ret = scsi_target_set_medium(t, lun, TAKE_PTR(medium->block), e);
	if (ret >= 0)
		*file = medium->file;
	return ret;
}
