/* SPDX-License-Identifier: MIT */
/* What a VM uses, as vm.stats has it. */
#ifndef VMCTL_STATS_H
#define VMCTL_STATS_H

#include "lib/json.h"

struct table;

/* Lines for `show` and `balloon`; stats may be NULL: none. */
void stats_pairs(struct table *t, struct json_object *stats);
/* Bytes of a member as text, or NULL when it is not there. */
const char *stats_size(struct json_object *o, const char *member, char out[static 24]);

#endif
