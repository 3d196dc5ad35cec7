/* SPDX-License-Identifier: MIT */
/*
 * Requests with a request_id: a repetition by the same user, within STATE_REQUEST_MS, is not carried out again
 * but gets the answer of the first; while that is under way, it waits for it. Written to the database before
 * the request is carried out: one that a vmd before this one has begun and not ended is never carried out
 * twice, and says so. On the loop's thread.
 */
#ifndef VMD_REQUEST_H
#define VMD_REQUEST_H

#include "lib/err.h"
#include "lib/json.h"

struct call;
struct request;
struct requests;

struct requests *requests_new(void);
void requests_free(struct requests *set);

/*
 * 0: to be carried out (also without a request_id), and request_end when it has its answer. 1: answered, or
 * will be with the first. -ERR_REQUEST_REUSED for other parameters than the first had, -ERR_REQUEST_LOST when
 * its answer is not known.
 */
int request_begin(struct requests *set, struct call *call, struct err *e);
/* {"result": …} or {"error": …}, borrowed; those who wait get it too. */
void request_end(struct requests *set, struct call *call, struct json_object *answer);

#endif
