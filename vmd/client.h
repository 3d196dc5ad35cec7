/* SPDX-License-Identifier: MIT */
/*
 * One client of vmd: its connection, its limits, its requests alone or in batches (JSON-RPC 2.0, section
 * 6). It frees itself after its connection's end. On the loop's thread.
 */
#ifndef VMD_CLIENT_H
#define VMD_CLIENT_H

#include "lib/conn.h"
#include "lib/json.h"
#include "state/state.h"
#include "vmd/role.h"

#define CLIENT_CALLS_MAX 32 /* requests that wait for their answer, and of one batch */
#define CLIENT_ORPHANS_MAX \
	256 /* of a user: calls that go on though nobody waits; urgent ones twice that */
#define CLIENT_VALUES_MAX 10000
#define CLIENT_STRING_MAX 4096 /* no schema takes a longer one */
#define CLIENT_WRITE_MS 5000
#define CLIENT_TOO_LONG_MAX 3 /* lines over the limit before the end */

struct batch;
struct call;
struct daemon;
struct server;

struct client {
	struct conn conn;
	struct daemon *daemon;
	struct server *server;
	struct client *prev, *next; /* the server's list */
	struct call *calls;	    /* those that wait; a call ends itself */
	unsigned int ncalls, too_long;
	struct state_actor actor;
	enum role role;
	bool read_only; /* came over a socket that is */
	bool refused;
	bool ended; /* it has said all that it will: the connection ends with the last answer */
};

/* take_fd is closed on failure. NULL: no memory, or the loop refuses. */
struct client *client_new(struct server *s, struct daemon *d, int take_fd,
			  const struct state_actor *actor, enum role role, bool read_only);
/* Say why, and end. */
void client_refuse(struct client *c, const struct err *e);
void client_notify(struct client *c, const char *method, struct json_object *take_params);
/* Bytes that wait for the client to read them. */
size_t client_backlog(const struct client *c);
/* An answer to a call; one of a batch (NULL: none) waits for the others. */
void client_answer(struct client *c, struct batch *batch, struct json_object *take_msg,
		   struct fdset *take_fds);

/* A call of its has been answered. */
void client_settle(struct client *c);

/* A batch lives as long as one of its calls. Both accept NULL. */
struct batch *batch_hold(struct batch *b);
void batch_put(struct batch *b);

#endif
