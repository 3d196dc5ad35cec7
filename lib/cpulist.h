/* SPDX-License-Identifier: MIT */
/* Processors of the host as people and the kernel write them, "2,4-7" (cpuset(7), "List format"). */
#ifndef LIB_CPULIST_H
#define LIB_CPULIST_H

#include <sched.h>

/* At least one, in any order, below CPU_SETSIZE. -EINVAL; ret is untouched then. */
int cpulist_parse(const char *text, cpu_set_t *ret);

#endif
