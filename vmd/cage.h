/* SPDX-License-Identifier: MIT */
/*
 * What vmd gives for its monitors' cages (vmd-security(7)): a set of empty namespaces, made once, because
 * to make them costs more than to start a monitor; and for each monitor a user of its own. As another
 * user than root neither: the monitor makes what it may. On the loop's thread.
 */
#ifndef VMD_CAGE_H
#define VMD_CAGE_H

#include "vmd/daemon.h"
#include "vmd/vmproc.h"

/*
 * First of all: the range of users for monitors is ours alone on this host for as long as we live, or
 * -ERR_BUSY with who has some of it. As another user than root there is none to claim. Where the lock
 * cannot be had, the log says so.
 */
int cage_claim_uids(struct daemon *d, struct err *e);
/* Once, at the start. What cannot be had is not an error; the log says so. */
void cage_init(struct daemon *d);
void cage_fini(struct daemon *d);
/* For a monitor; ret_program->cgroup is the caller's to set. */
void cage_program(const struct daemon *d, struct vmproc_program *ret_program);
/*
 * For the next monitor: a uid that is free until its row is written (state_process_put), or -1 for
 * ours.
 */
int cage_uid(struct daemon *d, int64_t *ret_uid, struct err *e);

#endif
