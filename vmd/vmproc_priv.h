/* SPDX-License-Identifier: MIT */
/* Between vmproc.c, vmproc_spawn.c and vmproc_files.c. */
#ifndef VMD_VMPROC_PRIV_H
#define VMD_VMPROC_PRIV_H

#include "lib/conn.h"
#include "vmd/vmproc.h"

/* A request that waits for its answer. */
struct vmproc_call {
	struct vmproc_call *next;
	struct vmproc *proc;
	uv_timer_t timer;
	int64_t id;
	const char *method; /* static */
	unsigned int timeout_ms;
	int failed_code; /* it could not be sent */
	struct json_object *result;
	void (*done)(void *arg, struct json_object *result, const struct err *why);
	void *arg;
};

struct vmproc {
	struct vmproc_options options;
	char dir[256];
	pid_t pid;
	int pidfd; /* owned */
	uv_poll_t poll;
	uv_timer_t exit_timer; /* from the process's end to giving up on its connection's */
	struct conn conn;
	unsigned int handles; /* libuv handles whose close callback is to come; 0 frees */
	bool child, connected, greeted, killed, exited, gone, released, closing;
	int64_t last_id;
	struct vmproc_call *calls; /* owned */
	struct log_limit log_limit;
};

int vmproc_new(const struct vmproc_options *options, pid_t pid, int take_pidfd, bool child,
	       struct vmproc **ret_proc, struct err *e);
int vmproc_connect(struct vmproc *p, const char *socket, struct err *e);
/* What came from vmm is shown to people: no control characters. */
void vmproc_printable(char *text);

#endif
