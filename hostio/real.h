/* SPDX-License-Identifier: MIT */
/* The kernel itself, as steps see it. */
#ifndef HOSTIO_REAL_H
#define HOSTIO_REAL_H

#include "hostio/kernel.h"

/* root: what is below it is /sys, /proc and /dev. Ended by hostfs_fini(&k->fs). */
int real_init(struct kernel *k, const char *root, struct err *e);

#endif
