/* SPDX-License-Identifier: MIT */
/*
 * Has the kernel ended a process of a control group because the group's memory was used up? memory.events of
 * cgroup v2. The file goes with the group, which may be before anybody has asked, so it is watched. On the loop's
 * thread.
 */
#ifndef VMD_OOM_H
#define VMD_OOM_H

#include <uv.h>
#include "lib/util.h"

struct oom_watch;

/* folder: the group's. NULL where there is nothing to watch, as without the memory controller. */
struct oom_watch *oom_watch_new(uv_loop_t *loop, const char *folder);
void oom_watch_free(struct oom_watch *w);
/* Processes that it has ended so far. */
uint64_t oom_watch_kills(struct oom_watch *w);

#endif
