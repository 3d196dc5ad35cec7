/* SPDX-License-Identifier: MIT */
/*
 * The file behind a flash chip: what the guest has programmed and erased goes there from a worker of its own, in the order of
 * the flush points. Between two of them the file goes from one state that the chip had to a later one; what a host that
 * loses its power makes of a write that it was in is the file system's. All calls on the control loop or under machine.lock.
 */
#ifndef VMM_DEV_FLASH_FILE_H
#define VMM_DEV_FLASH_FILE_H

#include "vmm/board.h"

struct flash_file;

/* id and data (what the chip has: size bytes) are borrowed. fd is taken. */
int flash_file_new(struct board *board, const char *id, int take_fd, const uint8_t *data,
		   size_t size, struct flash_file **ret_file, struct err *e);
/* [off, off + len) of the chip has changed: it goes with the next flush point. */
void flash_file_dirty(struct flash_file *f, size_t off, size_t len);
/* A flush point: what has changed is on its way to the disk from now on. Never waits. */
void flash_file_flush(struct flash_file *f);
/* Waits until all of it is on the disk, or has failed. No vCPU runs. */
void flash_file_settle(struct flash_file *f);
void flash_file_free(struct flash_file *f); /* accepts NULL */

#endif
