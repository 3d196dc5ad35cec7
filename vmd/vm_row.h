/* SPDX-License-Identifier: MIT */
/*
 * What vm.list and vm.get say of a VM alike: members that are asked for by name. On the loop's
 * thread.
 */
#ifndef VMD_VM_ROW_H
#define VMD_VM_ROW_H

#include "lib/buf.h"
#include "lib/json.h"
#include "state/state.h"

struct daemon;

/* Bits of an array of names; of NULL: all but state and since, which observed has. */
unsigned int vm_row_fields(struct json_object *names);
/* Add a VM's object as JSON text, its members in the fixed order; -ENOBUFS, -ENOMEM. */
int vm_row_add(struct daemon *d, const struct state_vm *vm, unsigned int fields, struct buf *out);
/* The same as a value, all of it. */
struct json_object *vm_row(struct daemon *d, const struct state_vm *vm);

#endif
