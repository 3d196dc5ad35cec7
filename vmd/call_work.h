/* SPDX-License-Identifier: MIT */
/* Calls whose answers one of libuv's workers makes, because reading takes long. On the loop's thread. */
#ifndef VMD_CALL_WORK_H
#define VMD_CALL_WORK_H

#include "vmd/call.h"

/*
 * make, on a worker: 0 and *ret_result, or negative with why. It may read what does not change while vmd runs
 * (the daemon's options, hostfs and policy) and the call's parameters, nothing else.
 * finish, on the loop's thread, may complete the result before it is the answer; NULL: nothing to do.
 */
void call_work(struct call *call,
	       int (*make)(const struct daemon *d, struct json_object *params,
			   struct json_object **ret_result, struct err *e),
	       void (*finish)(struct daemon *d, struct json_object *params,
			      struct json_object *result));

#endif
