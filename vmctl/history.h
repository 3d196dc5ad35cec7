/* SPDX-License-Identifier: MIT */
/* How vmctl shows revisions: of a VM, of a pool. */
#ifndef VMCTL_HISTORY_H
#define VMCTL_HISTORY_H

#include "vmctl/vmctl.h"

/* A table of the "revisions" that vm.history and pool.history have: who made each, when, what changed. */
void history_table(struct vmctl *v, struct json_object *list);

#endif
