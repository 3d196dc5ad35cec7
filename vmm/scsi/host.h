/* SPDX-License-Identifier: MIT */
/*
 * A SCSI device of the host as a unit: its commands are the device's to carry out, by SG_IO (the kernel's
 * scsi/sg.h), which blocks: so threads do that which do nothing else (vmm/waiter.h), one command of a device after the
 * other. What passes is a table.
 *
 *	scsi_host_new(fd, waiters, own, &h, e);
 *	scsi_host_attach(h, loop, ended, unit);		to detach, on the loop's thread
 *	scsi_host_start(h, &task);			-> ended(unit, &task), with its status and sense data
 */
#ifndef VMM_SCSI_HOST_H
#define VMM_SCSI_HOST_H

#include <scsi/sg.h>
#include <uv.h>
#include "vmm/scsi/scsi.h"
#include "vmm/waiter.h"

struct scsi_host;

/* fd: a SCSI block or generic device, open for writing; taken, also after a failure. own: as for waiter_bell_new. */
int scsi_host_new(int take_fd, struct waiters *waiters, bool own, struct scsi_host **ret_host,
		  struct err *e);
void scsi_host_free(struct scsi_host *h); /* detached; NULL is fine */
/* Instead of ioctl(2), for tests: 0 or -errno. */
void scsi_host_set_io(struct scsi_host *h, int (*io)(void *arg, struct sg_io_hdr *hdr), void *arg);
/* Instead of what the kernel says, for tests: of a disk. */
void scsi_host_set_limits(struct scsi_host *h, uint32_t max_bytes, uint32_t block_size);
uint32_t scsi_host_max_bytes(
	const struct scsi_host *h); /* in one piece: more only of reads and writes of a disk */

/* ended: t->host_error is 0, or -errno where the host could not have it done at all. */
int scsi_host_attach(struct scsi_host *h, uv_loop_t *loop,
		     void (*ended)(void *arg, struct scsi_task *t), void (*batch_done)(void *arg),
		     void *arg);
/* *ret_left: a list, by next, of what the device has not begun. Nothing is waited for. */
void scsi_host_recall(struct scsi_host *h, struct scsi_task **ret_left);
/* There is something that it has begun, or whose end has not yet been told. */
bool scsi_host_runs(struct scsi_host *h);
/* As recall; what it has begun ends first. */
void scsi_host_detach(struct scsi_host *h, struct scsi_task **ret_left);
/* False: the command does not pass; the task is the caller's, and has its sense data. */
bool scsi_host_start(struct scsi_host *h, struct scsi_task *t);
/* Not yet begun: it is the caller's again. */
bool scsi_host_take_back(struct scsi_host *h, struct scsi_task *t);

#endif
