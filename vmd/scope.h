/* SPDX-License-Identifier: MIT */
/*
 * Scope units of systemd for VMs, each in a slice of its own (org.freedesktop.systemd1(5), StartTransientUnit), by sd-bus on the system bus.
 * Nothing blocks. On the loop's thread. Without libsystemd at build time: not supported, and that is all.
 */
#ifndef VMD_SCOPE_H
#define VMD_SCOPE_H

#include <sys/types.h>
#include <uv.h>
#include "lib/err.h"

struct cgroup_limits;
struct scope_bus; /* the connection; made at the first use, and again when it broke */
struct scope_job;

bool scope_supported(void);

/* NULL when there is no memory. */
struct scope_bus *scope_bus_new(uv_loop_t *loop);
/* Close; jobs that are open fail. The last close callback comes from the loop; scope_bus_free after. */
void scope_bus_close(struct scope_bus *b);
void scope_bus_free(struct scope_bus *b);

/*
 * Put a process into a new scope, in a new slice (cgroup_slice). done is called once, from the loop, unless the
 * job is dropped: NULL, or why it is not in there.
 */
struct scope_job *scope_start(struct scope_bus *b, const char *unit, const char *description,
			      pid_t pid, const struct cgroup_limits *limits,
			      void (*done)(void *arg, const struct err *why), void *arg);
/* Stop the slice of a scope, and whatever is in there yet. One that is not there is no failure. */
struct scope_job *scope_stop(struct scope_bus *b, const char *unit,
			     void (*done)(void *arg, const struct err *why), void *arg);
void scope_drop(struct scope_job *job);

#endif
