/* SPDX-License-Identifier: MIT */
/*
 * The logs of VMs: one of each console, one of what the monitor itself says. They are in
 * STATE-DIR/log/VM-ID/, console-ID.log and monitor.log (vmd/logfile.h), and stay until the VM is deleted.
 * On the loop's thread.
 *
 * A log has a source while its VM has a process: the socket of lib/console_log.h, or the FIFO that is
 * the monitor's standard error. What comes from there is hostile: it is cut into records and bounded,
 * no more. A source that says more than VMLOG_RATE is left alone for the rest of the second; what
 * is lost by that is known by its offsets.
 */
#ifndef VMD_VMLOG_H
#define VMD_VMLOG_H

#include <uv.h>
#include "state/state.h"
#include "vmd/logfile.h"

#define VMLOG_RATE (2 * 1024 * 1024) /* bytes of records a second from one source */
#define VMLOG_NAME_SIZE 80
#define VMLOG_TAIL_SIZE 400

struct daemon;
struct vmlog_wait;
struct vmlogs;

enum vmlog_kind { VMLOG_CONSOLE, VMLOG_MONITOR };

/* A log that somebody writes or waits for. */
struct vmlog {
	struct vmlog *next; /* the set's list */
	struct daemon *d;
	char vm[STATE_ID_SIZE];
	enum vmlog_kind kind;
	char name[VMLOG_NAME_SIZE];  /* "console-com1", "monitor" */
	struct logfile *file;	     /* ends itself */
	struct vmlog_source *source; /* ends itself; NULL: nobody speaks */
	char run[LOGREAD_RUN_SIZE];  /* the process that speaks */
	bool begun;		     /* its records may be added */
	uint64_t offset;	     /* of the next byte */
	char line[LOGREC_DATA_MAX];  /* what came of a line; its end is at offset */
	size_t len;
	uint64_t line_since;
	char tail[VMLOG_TAIL_SIZE + 1]; /* VMLOG_MONITOR: the last that it said */
	uv_timer_t flush, pause;
	uint64_t second; /* when the present second began; what came in it */
	size_t came;
	bool ended; /* its process has: all that is left is read at once */
	bool held;  /* kept while its process lives, for its tail */
	bool closing, failing, removed;
	unsigned int handles;
	struct vmlog_wait *waits; /* vmlog_wait.c's */
};

struct vmlogs *vmlogs_new(struct daemon *d);
/* vmd ends: what came is written, who waits is told. */
void vmlogs_close(struct daemon *d);
void vmlogs_free(struct vmlogs *set);

/*
 * The log, made when it is not there; NULL without memory. console: its id, NULL for VMLOG_MONITOR. One
 * that nobody writes or waits for ends at the next vmlog_put.
 */
struct vmlog *vmlog_get(struct daemon *d, const char *vm, enum vmlog_kind kind,
			const char *console);
void vmlog_put(struct vmlog *l);
void vmlog_path(const struct daemon *d, const char *vm, enum vmlog_kind kind, const char *console,
		char *out, size_t size);
/*
 * A source for it: a socket or a FIFO, becomes non-blocking. run names the process, one word: a log goes on when it
 * was the last to speak. A source before it is read to its end first.
 */
void vmlog_attach(struct vmlog *l, const char *run, int take_fd);

/* The processes of a VM are gone: take what they have said last. */
void vmlogs_drain(struct daemon *d, const char *vm);
/* The end of what the monitor said as one line, for a message; "" when it said nothing. */
void vmlogs_monitor_tail(struct daemon *d, const char *vm, char *out, size_t size);
/* The VM is deleted: its logs too, from a worker. */
void vmlogs_delete(struct daemon *d, const char *vm);

#endif
