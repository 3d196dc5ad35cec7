/* SPDX-License-Identifier: MIT */
/*
 * The clients' side of vmd: listening sockets, who may use them (SO_PEERCRED), and the set of clients
 * (client.h) with their calls (call.h). On the loop's thread.
 */
#ifndef VMD_SERVER_H
#define VMD_SERVER_H

#include "lib/err.h"

#define SERVER_CLIENTS_MAX 64
#define SERVER_CLIENTS_PER_UID 8 /* but root's, and those of vmd's own user */

struct call;
struct client;
struct daemon;
struct json_object;
struct method_schemas;
struct requests;
struct role_groups;
struct server;

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
struct requests *server_requests(struct server *s);
/* The list of calls that go on without a client. */
struct call **server_orphans(struct server *s);
/* Write down who did what. */
void server_audit(struct server *s, const struct call *call, struct json_object *answer);
const struct role_groups *server_roles(const struct server *s);
/* The client has ended. */
void server_remove_client(struct server *s, struct client *c);

#endif
