/* SPDX-License-Identifier: MIT */
/* What a worker does for a call on a log (vmlog_wait.h). The job is the worker's while it runs. */
#ifndef VMD_VMLOG_JOB_H
#define VMD_VMLOG_JOB_H

#include <regex.h>
#include "lib/json.h"
#include "vmd/vmlog_wait.h"

struct vmlog_job {
	char path[4096];
	bool match;   /* look for regex, else read */
	uint64_t pos; /* where to begin; then where it ended */
	int ret;
	struct err err;
	/* reading */
	struct vmlog_read_options read;
	struct json_object *records; /* owned; NULL until something is there */
	size_t bytes;
	bool more;
	/* matching */
	regex_t regex;
	bool compiled, found;
	char line[2 * VMLOG_MATCH_LINE + 1]; /* what came of it; the match, when found */
	size_t len;
};

void vmlog_job_run(struct vmlog_job *job);
void vmlog_job_fini(struct vmlog_job *job);

#endif
