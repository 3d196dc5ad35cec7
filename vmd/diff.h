/* SPDX-License-Identifier: MIT */
/* What differs between two JSON values. Any thread. */
#ifndef VMD_DIFF_H
#define VMD_DIFF_H

#include "lib/json.h"

#define DIFF_MAX 256

/*
 * The members that were changed, added or removed, at most DIFF_MAX of them: a list of {path: JSON Pointer,
 * from?, to?}, without from what was added, without to what was removed.
 */
struct json_object *diff_changes(struct json_object *before, struct json_object *after);
/* Their JSON Pointers alone. */
struct json_object *diff_pointers(struct json_object *before, struct json_object *after);

#endif
