/* SPDX-License-Identifier: MIT */
/*
 * Definitions by their kind: of a VM (lib/vmdef.h) or of a pool of virtual functions (schemas/pool.json). vmctl checks
 * files with it offline, vmd pools at its door. Any thread.
 */
#ifndef LIB_POOLDEF_H
#define LIB_POOLDEF_H

#include "lib/vmdef.h"

/* Does it say kind: pool? */
bool pooldef_is(struct json_object *def);
/* Check a pool: schema, then what a schema cannot say. As vmdef_check_in. */
int pooldef_check(struct schema_set *set, struct json_object *def, struct schema_error *ret_where,
		  struct err *e);
/* Check a file of either kind: e->msg is "FILE:LINE:COL: POINTER: what". As vmdef_check_file_in. */
int pooldef_check_file(struct schema_set *set, struct vmfile *f, struct err *e);

#endif
