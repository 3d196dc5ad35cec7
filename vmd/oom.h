/* SPDX-License-Identifier: MIT */
/*
 * Has the kernel ended a process of a control group because the group's memory was used up? memory.events of
 * cgroup v2, which counts what happens in groups below too. It counts before it kills, so that whoever sees the
 * process gone sees this; the group has to be there yet.
 */
#ifndef VMD_OOM_H
#define VMD_OOM_H

#include "lib/util.h"

/* folder: the group's. A descriptor, or negative, as without the memory controller. */
int oom_open(const char *folder);
/* Processes that it has ended so far; 0 when it cannot be read. */
uint64_t oom_kills(int fd);

#endif
