/* SPDX-License-Identifier: MIT */
/* Inside of vmdef: the limits of a definition that the schema has passed. */
#ifndef LIB_VMDEF_LIMITS_H
#define LIB_VMDEF_LIMITS_H

#include "lib/vmdef.h"

#define VMDEF_OVERHEAD_MIN (16 * MIB)

int vmdef_check_limits(struct json_object *def, struct schema_error *where, struct err *e);
/*
 * {"required": has the definition any?, "cpu_percent": 0 for none, "cpu_weight", "memory": bytes of the
 * whole process, "tasks"}
 */
struct json_object *vmdef_expand_limits(struct json_object *def, int64_t vcpus);

#endif
