/* SPDX-License-Identifier: MIT */
/*
 * Commands on VMs: which ones are meant, one RPC for each of them at the same time, what became of it.
 */
#ifndef VMCTL_TARGET_H
#define VMCTL_TARGET_H

#include "vmctl/vmctl.h"

struct target_set {
	char **names; /* owned, and the strings */
	size_t n;
};

/*
 * The VMs that the operands from `first` on name, without doubles: names and ids as they are, globs by
 * asking vmd. EXIT_OK, or the status after the error was printed. target_set_fini ends it in any case.
 */
int target_set_find(struct vmctl *v, size_t first, struct target_set *ret);
void target_set_fini(struct target_set *s);

/* The handler of every row with a method. */
int target_run(struct vmctl *v);

/* The status of several results: 0, the failures' own when all failed alike, else EXIT_PARTIAL. */
int target_status(size_t n, const int *statuses);

#endif
