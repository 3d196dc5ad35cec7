/* SPDX-License-Identifier: MIT */
/*
 * vmctl's side of the connection to vmd: calls that look synchronous, on a libuv loop of its own. Several
 * requests may be under way; answers are kept until they are asked for. Ctrl-C ends a wait, not the
 * operation in vmd.
 */
#ifndef VMCTL_CLIENT_H
#define VMCTL_CLIENT_H

#include "lib/conn.h"

#define CLIENT_SOCKET_DEFAULT "/run/vmd/vmd.sock"
#define CLIENT_API_MAJOR 1
#define CLIENT_NEVER \
	0 /* an id that no answer has: client_wait for it takes events until interrupted */

struct client_reply {
	struct json_object *result; /* owned */
	struct json_object *error;  /* owned; as received, NULL when the failure is not vmd's */
	struct fdset fds;
};

/* "event" or "event.overflow"; params is borrowed: {subscription, seq, time, type, vm?, data} or {…, from, to} */
typedef void (*client_event_fn)(void *arg, const char *method, struct json_object *params);

struct client {
	uv_loop_t loop;
	uv_timer_t timer;
	uv_signal_t sigint;
	struct conn conn;
	bool loop_ready, open;
	bool interrupted, timed_out;
	bool watching;		   /* Ctrl-C between waits, too */
	bool wake;		   /* set by `event`: the wait for CLIENT_NEVER ends with 0 */
	const char *path;	   /* borrowed */
	struct json_object *hello; /* owned: params of vmd.hello, NULL until it came */
	struct client_call *calls; /* owned list */
	int64_t last_id;
	client_event_fn event;
	void *event_arg;
	struct err why; /* of the connection's end; code 0 while there is none */
};

/* path is kept, not copied. ERR_UNREACHABLE or ERR_DENIED with a hint. client_close ends it in any case. */
int client_open(struct client *c, const char *path, struct err *e);
void client_close(struct client *c);

/* Send a request. Its id, for client_wait. */
int64_t client_send(struct client *c, const char *method, struct json_object *take_params);
/*
 * Wait for an answer, at most timeout_ms (0: no limit). 0, or -code with e:
 * vmd's error (ret->error holds all of it), -ERR_UNREACHABLE when the connection ended, -EINTR after
 * Ctrl-C, -ERR_TIMEOUT. ret is valid in every case; client_reply_fini ends it.
 */
int client_wait(struct client *c, int64_t id, uint64_t timeout_ms, struct client_reply *ret,
		struct err *e);
int client_call(struct client *c, const char *method, struct json_object *take_params,
		struct client_reply *ret, struct err *e);
/*
 * The connection is gone, and so is what was under way on it: try for limit_ms to have another one with the
 * same vmd, a later process of it. `event` and client_watch stay. -ERR_UNREACHABLE (also when another vmd's
 * database answers), -ERR_DENIED, -EINTR; the client is closed then.
 */
int client_reopen(struct client *c, uint64_t limit_ms, struct err *e);
/*
 * From now on, or no more: Ctrl-C also between two waits sets interrupted, with the next one. Else it ends
 * the program there.
 */
void client_watch(struct client *c, bool on);
void client_reply_fini(struct client_reply *r);

#endif
