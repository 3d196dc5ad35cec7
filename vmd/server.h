/* SPDX-License-Identifier: MIT */
/*
 * The clients' side of vmd: listening sockets, who may use it (SO_PEERCRED), requests checked by their
 * schema and handed to the method table, and calls: answers that may come later than the handler's
 * end, to a client that may have gone meanwhile. On the loop's thread.
 */
#ifndef VMD_SERVER_H
#define VMD_SERVER_H

#include <uv.h>
#include "lib/fdio.h"
#include "lib/json.h"
#include "state/state.h"

#define SERVER_CLIENTS_MAX 64
#define SERVER_CALLS_MAX 64 /* requests of a client that wait for their answer */
#define SERVER_GROUP "vmd"  /* its members may use the socket */

struct client;
struct daemon;
struct method;
struct method_schemas;
struct server;

/*
 * One request. The handler or whoever it gave it to ends it exactly once with call_reply or call_fail.
 */
struct call {
	struct daemon *daemon;
	struct client *client; /* NULL once it has gone: the answer goes nowhere */
	const struct method *method;
	struct json_object *id;	    /* owned */
	struct json_object *params; /* owned; never NULL */
	bool notification;	    /* wants no answer */
	struct call *prev, *next;   /* the client's list */
};

int server_new(struct daemon *d, struct server **ret_server, struct err *e);
/*
 * One more socket to serve: made at path, and removed by server_close. Nobody is served before
 * server_open. read_only: for methods whose access is "read". Leaves what is at path alone when it fails.
 */
int server_listen(struct server *s, const char *path, bool read_only, struct err *e);
/* The same for a socket that listens already (socket activation); its file is somebody else's. */
int server_listen_fd(struct server *s, int take_fd, bool read_only, struct err *e);
void server_open(struct server *s);
/* Close all; the last close callbacks come from the loop. server_free when the loop has no more. */
void server_close(struct server *s);
void server_free(struct server *s);

struct method_schemas *server_schemas(struct server *s);

void call_reply(struct call *call, struct json_object *take_result);
/* The same with descriptors. */
void call_reply_fds(struct call *call, struct json_object *take_result, struct fdset *take_fds);
/* take_data: more members for the error's data, or NULL. */
void call_fail(struct call *call, const struct err *e, struct json_object *take_data);
/* Who asks. */
void call_actor(const struct call *call, struct state_actor *ret_actor);

void client_notify(struct client *c, const char *method, struct json_object *take_params);

#endif
