/* SPDX-License-Identifier: MIT */
/*
 * Who did what: a log line for each call that may change something, when it has its answer. At most
 * AUDIT_LINES_MAX a second; how many were left out is said. On the loop's thread.
 */
#ifndef VMD_AUDIT_H
#define VMD_AUDIT_H

#include "lib/json.h"
#include "lib/log.h"

#define AUDIT_LINES_MAX 100

struct call;

struct audit {
	uint64_t second;
	unsigned int lines, left_out;
};

/* now_ms: the loop's clock. answer: {"result": …} or {"error": …}. */
void audit_call(struct audit *a, const struct log *log, uint64_t now_ms, const struct call *call,
		struct json_object *answer);

#endif
