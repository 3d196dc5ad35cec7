/* SPDX-License-Identifier: MIT */
/* seccomp(2) for vmm's threads: the filters of seccomp_calls.h. Each thread puts on its own, for good. */
#ifndef VMM_SECCOMP_H
#define VMM_SECCOMP_H

#include "lib/err.h"
#include "vmm/seccomp_calls.h"

/* What becomes of a call that the table does not have. */
enum seccomp_mode {
	SECCOMP_KILL,  /* the process ends by SIGSYS; the kernel logs it */
	SECCOMP_ERRNO, /* EPERM */
	SECCOMP_LOG,   /* it is made, and the kernel logs it */
	SECCOMP_OFF,   /* no filter */
};

/* "kill", "errno", "log", "off" -> 0, else -EINVAL */
int seccomp_mode_parse(const char *name, enum seccomp_mode *ret_mode);
/*
 * The calling thread, from now on, and those that it makes. Wants no_new_privs (or CAP_SYS_ADMIN).
 * -ERR_FAILED where the kernel has no seccomp.
 */
int seccomp_confine(enum seccomp_table table, enum seccomp_mode mode, struct err *e);

#endif
