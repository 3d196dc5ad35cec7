/* SPDX-License-Identifier: MIT */
/* What differs between two JSON values. Any thread. */
#ifndef VMD_DIFF_H
#define VMD_DIFF_H

#include "lib/json.h"

#define DIFF_MAX 256

/* JSON Pointers of the members that were changed, added or removed, at most DIFF_MAX of them. */
struct json_object *diff_pointers(struct json_object *before, struct json_object *after);

#endif
