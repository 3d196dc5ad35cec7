/* SPDX-License-Identifier: MIT */
/*
 * Events: numbered, kept in a bounded ring in the database, sent to those who subscribed. On the loop's
 * thread.
 *
 * A subscriber that does not read what has been sent gets no more of them, but once it reads again a
 * notification "event.overflow" {subscription, from, to}: those numbers have to be read again, with
 * event.list or another subscription. A replay (since) waits for its reader and leaves nothing out but
 * what the ring has lost: that is an overflow with "gone": true.
 */
#ifndef VMD_EVENT_H
#define VMD_EVENT_H

#include <uv.h>
#include "lib/json.h"
#include "state/state.h"

#define EVENT_SUBSCRIPTIONS_MAX 16 /* a client */
#define EVENT_LIST_MAX 1000	   /* of one event.list */

struct client;
struct event_hub;
struct log;

struct event_hub *event_hub_new(uv_loop_t *loop, struct state *state, const struct log *log);
/* No more replays; event_hub_free when the loop has no more. Both accept NULL. */
void event_hub_close(struct event_hub *hub);
void event_hub_free(struct event_hub *hub);

/* From now on events are this one's doing (borrowed), or with NULL nobody's. The one before. */
const struct state_actor *event_set_actor(struct event_hub *hub, const struct state_actor *actor);
/* {uid, pid, program} */
struct json_object *event_actor_json(const struct state_actor *actor);

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

/* Which events: all, or those of these types and these VMs. */
struct event_filter {
	struct json_object *vms, *types; /* owned: arrays of ids and of words; NULL: all */
};

/*
 * Of the members vms (names, ids, prefixes of ids) and types of params. -ERR_VM_NOT_FOUND; a whole id is
 * taken as it is, for its VM may have been deleted.
 */
int event_filter_init(struct event_filter *f, struct state *state, struct json_object *params,
		      struct err *e);
void event_filter_fini(struct event_filter *f);

/*
 * Subscribe a client; the filter is taken over in any case. Its number, and the number of the newest
 * event. Events after since (-1: none) follow from the loop, and then those that happen.
 */
int event_subscribe(struct event_hub *hub, struct client *client, struct event_filter *take_filter,
		    int64_t since, int64_t *ret_subscription, int64_t *ret_seq, struct err *e);
/* The client has read all that waited for it. */
void event_drained(struct event_hub *hub, const struct client *client);
/* The client has gone: its subscriptions too. */
void event_forget(struct event_hub *hub, const struct client *client);

/*
 * {events, next, more, gone?}: at most limit of those after since. next is the since of the next page.
 * gone {from, to}: the ring has lost these.
 */
int event_list(struct event_hub *hub, const struct event_filter *f, int64_t since, int64_t limit,
	       struct json_object **ret_page, struct err *e);

/* "2026-01-31T12:00:00.123Z" */
#define EVENT_TIME_SIZE 32
void event_time(int64_t time_ms, char out[static EVENT_TIME_SIZE]);

#endif
