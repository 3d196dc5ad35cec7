/* SPDX-License-Identifier: MIT */
/* Between vmproc.c, vmproc_call.c, vmproc_conn.c, vmproc_spawn.c and vmproc_files.c. */
#ifndef VMD_VMPROC_PRIV_H
#define VMD_VMPROC_PRIV_H

#include "lib/conn.h"
#include "lib/rpc.h"
#include "vmd/vmproc.h"

#define VMPROC_FIFO "log.fifo"

/* A request that waits for its answer. */
struct vmproc_call {
	struct vmproc_call *next;
	struct vmproc *proc;
	uv_timer_t timer;
	int64_t id;
	const char *method; /* static */
	unsigned int timeout_ms;
	bool unsent; /* there was no connection */
	struct json_object *result;
	void (*done)(void *arg, struct json_object *result, const struct err *why);
	void *arg;
};

#define VMPROC_RETRY_MS 100	 /* to the first try to connect again; doubled each time … */
#define VMPROC_RETRY_MAX_MS 5000 /* … up to this, and back once a connection has lasted as long */
#define VMPROC_HELLO_MS 5000	 /* silence after connecting that is told */
#define VMPROC_CALLS_MAX 32	 /* requests that may wait for vmm */
#define VMPROC_EVENTS_MAX 32	 /* events that vmm may send at once … */
#define VMPROC_EVENT_MS 250	 /* … and one more after each of these */

struct vmproc {
	struct vmproc_options options;
	char dir[256];
	char socket[108];
	pid_t pid;
	uint64_t start_time;
	int pidfd; /* owned */
	int log;   /* owned: the FIFO's reading end until it is taken; or -1 */
	int gate;  /* owned: until the process may run; or -1 */
	uv_poll_t poll;
	uv_timer_t exit_timer; /* from the process's end to giving up on its connection's */
	uv_timer_t conn_timer; /* to the next try; or to hello */
	struct conn conn;
	unsigned int handles; /* libuv handles whose close callback is to come; 0 frees */
	bool open;	      /* conn is there, until its closed callback */
	bool greeted;	      /* hello came over it, and was right */
	bool refused;	      /* it is closed for what it said */
	bool lost;	      /* ops->lost was told why */
	struct err why;	      /* that */
	unsigned int retry_ms;
	uint64_t greeted_ms;
	unsigned int events; /* that may still come */
	uint64_t events_ms;
	bool child, killed, exited, gone, released, closing;
	int64_t last_id;
	struct vmproc_call *calls; /* owned */
	unsigned int ncalls;
	struct log_limit log_limit;
};

/* vmproc.c */
int vmproc_new(const struct vmproc_options *options, const struct state_process *process,
	       int take_pidfd, bool child, struct vmproc **ret_proc, struct err *e);
void vmproc_unref(struct vmproc *p);
void vmproc_ended(struct vmproc *p);

/* vmproc_conn.c: connect, and again whenever it breaks; ops->hello or ops->lost tell how it goes */
void vmproc_start_conn(struct vmproc *p);
void vmproc_conn_timeout(uv_timer_t *timer);

/* vmproc_call.c */
void vmproc_fail_calls(struct vmproc *p, const struct err *why);
void vmproc_answer(struct vmproc *p, const struct rpc_msg *m);

/* vmproc_files.c */
/* The reading end of the FIFO in dir. */
int vmproc_open_log(const char *dir, struct err *e);
/* What came from vmm is shown to people: no control characters. */
void vmproc_printable(char *text);

#endif
