/* SPDX-License-Identifier: MIT */
/*
 * One JSON-RPC connection on a libuv loop: NDJSON over a stream socket, in both directions, with
 * descriptors. vmd's clients, vmctl and both ends of vmd <-> vmm use it.
 *
 * A message that carries descriptors has a top-level member "fds": N; they were sent with its first bytes,
 * and are matched to messages in order. Bad input is reported and skipped to the next LF.
 */
#ifndef LIB_CONN_H
#define LIB_CONN_H

#include <uv.h>
#include "lib/buf.h"
#include "lib/err.h"
#include "lib/fdio.h"
#include "lib/json.h"

#define CONN_OUT_MAX (16 * 1024 * 1024) /* bytes that may wait for a reader before it is cut off */

struct conn;
struct conn_out;

struct conn_ops {
	/* msg is borrowed; descriptors that are not taken from fds are closed after the call. */
	void (*message)(struct conn *c, struct json_object *msg, struct fdset *fds);
	/* A line that is no JSON or too long; the connection goes on. Optional: without it, it is closed. */
	void (*bad_input)(struct conn *c, const struct err *why);
	/* All that was queued has been sent, after some of it had to wait; from the loop. Optional. */
	void (*drained)(struct conn *c);
	/*
	 * The peer will say nothing more but still listens (shutdown(2), SHUT_WR); a last line
	 * without its LF has been a message. The owner ends the connection when it has no more to
	 * say: conn_finish; the peer's hanging up ends it before. Optional: without it, it is
	 * closed.
	 */
	void (*ended)(struct conn *c);
	/*
	 * The last callback: nothing of the connection is used any more, the owner may free it. why is NULL
	 * after the peer's orderly end or our conn_close.
	 */
	void (*closed)(struct conn *c, const struct err *why);
};

struct conn_limits {
	size_t line;		 /* bytes of one message; RPC_LINE_MAX at first */
	struct json_limits json; /* none at first */
	bool no_fds; /* descriptors are closed as they come, whatever a message says of them */
	unsigned int
		write_ms; /* a peer that takes nothing that long while it could is cut off; 0: never */
};

struct conn {
	uv_poll_t poll;
	uv_timer_t write_timer; /* runs while bytes wait for the peer */
	unsigned int handles;	/* of these two, not yet closed */
	int fd;			/* owned */
	const struct conn_ops *ops;
	void *arg; /* the owner's */
	struct conn_limits limits;
	int watched; /* events that the loop waits for */
	struct buf in;
	size_t in_seen; /* bytes of in without a LF */
	struct fdset in_fds;
	bool skipping;			      /* a line over the limit, up to its LF */
	struct conn_out *out_head, *out_tail; /* owned */
	size_t out_bytes;
	bool broken; /* the peer takes nothing any more; it is read to its end yet */
	bool ended;  /* the peer says nothing any more; it may still take what we send */
	bool closing, finishing, failed;
	struct err why;
};

/* take_fd: a connected AF_UNIX stream socket; it becomes non-blocking. On failure it is closed. */
int conn_init(struct conn *c, uv_loop_t *loop, int take_fd, const struct conn_ops *ops, void *arg,
	      struct err *e);
void conn_set_limits(struct conn *c, const struct conn_limits *limits);
/*
 * Queue a message, and send what the peer takes at once. take_fds' descriptors (may be NULL) go with it
 * and are closed after. Ignored after conn_close. A peer that lets CONN_OUT_MAX pile up is closed.
 */
void conn_send(struct conn *c, struct json_object *take_msg, struct fdset *take_fds);
/* The same for a message that is text already, without its LF. */
void conn_send_text(struct conn *c, const char *text, size_t len);
/* End now; ops->closed follows from the loop. */
void conn_close(struct conn *c);
/* End once all that is queued has been sent. */
void conn_finish(struct conn *c);

/* A connection to a socket's path. The descriptor, or -errno. Blocks no longer than connect(2) on AF_UNIX. */
int conn_connect(const char *path, struct err *e);
/* The same, but -EAGAIN at once when the queue of whoever listens is full. */
int conn_connect_now(const char *path, struct err *e);
/*
 * A listening socket at path with the given mode; a stale one (nobody listens) is replaced, a live one is
 * -EADDRINUSE. Waits a second at most, and only while it cannot tell one from the other. The descriptor,
 * or -errno.
 */
int conn_listen(const char *path, unsigned int mode, struct err *e);

#endif
