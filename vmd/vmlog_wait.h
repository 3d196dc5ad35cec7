/* SPDX-License-Identifier: MIT */
/*
 * Calls that read a log, or wait for what comes into it. A worker reads (or looks for the expression) as
 * far as there is something; if that was not enough, the call waits for more to be written and the
 * worker goes on where it was. Nothing is queued for a slow client: it asks for the next page itself.
 */
#ifndef VMD_VMLOG_WAIT_H
#define VMD_VMLOG_WAIT_H

#include "lib/json.h"
#include "vmd/vmlog.h"

#define VMLOG_PAGE_RECORDS 1000
#define VMLOG_PAGE_MAX (256 * 1024) /* bytes of JSON, about */
#define VMLOG_LAST_LINES_MAX 10000
#define VMLOG_REGEX_MAX 256
#define VMLOG_MATCH_LINE \
	1024 /* of a longer line, pieces that overlap by half of that are looked at */

struct call;

struct vmlog_read_options {
	bool has_after;
	uint64_t after;	    /* a position */
	int64_t since_ms;   /* -1: any time */
	int64_t last;	    /* begin so many lines before the end; -1: not so */
	int64_t timeout_ms; /* how long to wait for a first record */
};

/* Takes the call: {records, next, more}. */
void vmlog_wait_read(struct vmlog *l, struct call *call, const struct vmlog_read_options *options);
/*
 * Takes the call: {name, state, line} once the console has said what fits, since its machine began. Ends
 * with ERR_VM_STATE when the process ends without that. name is the VM's. -1: no limit.
 */
void vmlog_wait_match(struct vmlog *l, struct call *call, const char *name, const char *regex,
		      int64_t timeout_ms);
/* 0, or ERR_RPC_PARAMS: what is no extended regular expression, or one that could take too long. */
int vmlog_match_check(const char *regex, struct err *e);

/* Something was written, or somebody began or ceased to speak. */
void vmlog_wait_wake(struct vmlog *l);
/* End them all: the VM with this id was deleted; NULL: vmd ends. */
void vmlog_wait_drop(struct vmlog *l, const char *vm);

#endif
