/* SPDX-License-Identifier: MIT */
/* Revisions of a VM: the definition that each is, and what changed from one to the next. On the loop's thread. */
#ifndef VMD_HISTORY_H
#define VMD_HISTORY_H

#include "lib/json.h"
#include "state/state.h"

#define HISTORY_LIMIT_MAX 200 /* revisions of one answer */
#define HISTORY_BYTES_MAX \
	(256 * 1024) /* about: definitions read for one answer, so that it takes no time */

/* The definition of a revision, the caller's. -ERR_VM_NO_REVISION with the numbers that there are. */
int history_load(struct state *s, const struct state_vm *vm, int64_t number,
		 struct json_object **ret_definition, struct err *e);
/*
 * Those before a number, the newest first, at most limit: [{revision, time, actor: {uid, pid, program},
 * note?, changes?: as diff_changes}]; changes is missing where the revision before is gone, or never was.
 * *ret_more: there are older ones.
 */
int history_list(struct state *s, const struct state_vm *vm, int64_t before, int64_t limit,
		 struct json_object **ret_list, bool *ret_more, struct err *e);

/* The same of a pool; revision: its newest. -ERR_POOL_NO_REVISION. */
int history_pool_load(struct state *s, const char *pool, int64_t revision, int64_t number,
		      struct json_object **ret_definition, struct err *e);
int history_pool_list(struct state *s, const char *pool, int64_t before, int64_t limit,
		      struct json_object **ret_list, bool *ret_more, struct err *e);

#endif
