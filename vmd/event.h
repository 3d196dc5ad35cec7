/* SPDX-License-Identifier: MIT */
/*
 * Events: numbered, kept in a bounded ring in the database, sent to those who subscribed. On the loop's
 * thread.
 */
#ifndef VMD_EVENT_H
#define VMD_EVENT_H

#include "lib/json.h"
#include "state/state.h"

#define EVENT_SUBSCRIPTIONS_MAX 16 /* a client */

struct client;
struct event_hub;
struct log;

struct event_hub *event_hub_new(struct state *state, const struct log *log);
void event_hub_free(struct event_hub *hub);

/*
 * Store an event, in the open transaction where there is one, and send it with the next
 * event_flush. take_data: an object, or NULL for an empty one. vm: its id, or NULL.
 */
int event_add(struct event_hub *hub, const char *type, const char *vm,
	      struct json_object *take_data, struct err *e);
/* Send what was added (after a commit), or forget it (after a rollback). */
void event_flush(struct event_hub *hub);
void event_drop(struct event_hub *hub);
/* Both at once; a failure is logged. */
void event_emit(struct event_hub *hub, const char *type, const char *vm,
		struct json_object *take_data);

/*
 * Subscribe a client. vms and types are arrays of strings or NULL for all; borrowed. Its number, and
 * the number of the newest event. Events after since (-1: none) are sent by event_replay, which the
 * caller calls when the answer has gone out.
 */
int event_subscribe(struct event_hub *hub, struct client *client, struct json_object *vms,
		    struct json_object *types, int64_t *ret_subscription, int64_t *ret_seq,
		    struct err *e);
int event_replay(struct event_hub *hub, int64_t subscription, int64_t since, struct err *e);
/* The client has gone: its subscriptions too. */
void event_forget(struct event_hub *hub, const struct client *client);

/* "2026-01-31T12:00:00.123Z" */
#define EVENT_TIME_SIZE 32
void event_time(int64_t time_ms, char out[static EVENT_TIME_SIZE]);

#endif
