/* SPDX-License-Identifier: MIT */
/*
 * Waiting for what takes long: from a second on one line on a terminal's standard error that says how far
 * it is, or with --progress a line a phase. Ctrl-C leaves vmd's jobs alone and names them; a second one
 * cancels them.
 */
#ifndef VMCTL_PROGRESS_H
#define VMCTL_PROGRESS_H

#include "vmctl/vmctl.h"

struct progress {
	struct vmctl *v;
	const char *const *vms; /* borrowed: names as typed; or NULL: */
	const char *job;	/* borrowed: the only job that counts */
	size_t nvms, ended;
	uint64_t begun_ms;
	size_t width;	/* of the line on the terminal */
	char last[256]; /* --progress: what was printed last */
	bool told;	/* after Ctrl-C: what goes on was said */
};

/* v is connected. */
void progress_init(struct progress *p, struct vmctl *v);
/* As client_wait without a limit. After Ctrl-C: -EINTR, and client.interrupted is set. */
int progress_wait(struct progress *p, int64_t id, struct client_reply *ret, struct err *e);
/* Before anything else is printed. */
void progress_fini(struct progress *p);

#endif
