// SPDX-License-Identifier: MIT
/* The set of what is on its way, and what is told of leases: see lease.h. On the loop's thread. */
#include "vmd/lease.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vmd/event.h"
#include "vmd/lease_priv.h"

struct leases *leases_new(struct daemon *d)
{
	struct leases *set = calloc(1, sizeof(*set));

	if (!set)
		return NULL;
	set->d = d;
	set->journal = journal_new(d->state, d->hostio, &d->log);
	if (set->journal)
		return set;
	free(set);
	return NULL;
}

void leases_close(struct leases *set)
{
	struct lease_take *t, *next;

	if (!set || set->closing)
		return;
	set->closing = true;
	for (t = set->takes; t; t = next) {
		next = t->next;
		if (!t->working) /* else when its worker ends */
			lease_take_free(t);
	}
	while (set->backs)
		lease_back_close(set->backs);
}

void leases_free(struct leases *set)
{
	if (!set)
		return;
	journal_free(set->journal);
	free(set);
}

struct journal *leases_journal(struct leases *set)
{
	return set->journal;
}

/* --- what is told ----------------------------------------------------------------------------------- */

struct json_object *lease_json(const struct state_lease *lease)
{
	struct json_object *o = json_add_str(json_new(), "pci", lease->address), *identity;
	char since[EVENT_TIME_SIZE];

	event_time(lease->created_ms, since);
	json_add_str(json_add_str(o, "vm", lease->name), "device", lease->device);
	json_add_str(json_add_str(o, "state", state_lease_name(lease->state)), "since", since);
	json_add_str(json_add_int(o, "generation", lease->generation), "reason", lease->reason);
	if (json_parse(lease->identity, strlen(lease->identity), &identity, NULL) >= 0)
		json_add(o, "identity", identity);
	if (lease->pool[0])
		json_add_str(o, "pool", lease->pool);
	if (lease->node >= 0)
		json_add_int(o, "numa", lease->node);
	if (lease->distance)
		json_add_int(o, "distance", lease->distance);
	if (lease->mac[0])
		json_add_str(o, "mac", lease->mac);
	if (lease->quarantine[0])
		json_add_str(o, "quarantine", lease->quarantine);
	if (lease->requested_ms) {
		event_time(lease->requested_ms, since);
		json_add_str(o, "requested", since);
	}
	return o;
}

struct json_object *lease_of(struct daemon *d, const char *address)
{
	struct state_lease lease;

	return state_lease_at(d->state, address, &lease, NULL) > 0 ? lease_json(&lease) : NULL;
}

static int lease_list_add(void *arg, const struct state_lease *lease)
{
	json_object_array_add(arg, lease_json(lease));
	return 0;
}

struct json_object *lease_list(struct daemon *d, const char *vm)
{
	struct json_object *list = json_object_new_array();

	state_lease_list(d->state, vm, lease_list_add, list, NULL);
	return list;
}

static int lease_count(void *arg, const struct state_lease *lease)
{
	*(bool *)arg |= lease->state != STATE_LEASE_QUARANTINED;
	return 0;
}

bool lease_any(struct daemon *d, const char *vm)
{
	bool any = false;

	state_lease_list(d->state, vm, lease_count, &any, NULL);
	return any;
}

/* --- many at once ----------------------------------------------------------------------------------- */

struct lease_some {
	const struct daemon *d;
	struct state_lease *list; /* owned */
	size_t n;
	bool (*fits)(const struct daemon *d, const struct state_lease *lease);
};

static int lease_add_some(void *arg, const struct state_lease *lease)
{
	struct lease_some *some = arg;
	struct state_lease *list;

	if (!some->fits(some->d, lease))
		return 0;
	list = realloc(some->list, (some->n + 1) * sizeof(*list));
	if (!list)
		return -ENOMEM;
	some->list = list;
	list[some->n++] = *lease;
	return 0;
}

static bool lease_is_bound(const struct daemon *d, const struct state_lease *lease)
{
	(void)d;
	return lease->state == STATE_LEASE_BOUND;
}

int lease_in_use(struct daemon *d, const char *vm, struct err *e)
{
	struct lease_some some = { .d = d, .fits = lease_is_bound };
	int ret = state_lease_list(d->state, vm, lease_add_some, &some, e);

	for (size_t i = 0; i < some.n && ret >= 0; i++)
		ret = state_lease_set(d->state, some.list[i].generation, STATE_LEASE_IN_USE, e);
	free(some.list);
	return ret;
}

static bool lease_is_bad_and_old(const struct daemon *d, const struct state_lease *lease)
{
	return lease->state == STATE_LEASE_QUARANTINED && strcmp(lease->boot_id, d->boot_id) != 0;
}

void lease_forget_boot(struct daemon *d)
{
	struct lease_some some = { .d = d, .fits = lease_is_bad_and_old };
	char owner[JOURNAL_OWNER_SIZE];
	struct err e = { 0 };
	int ret = state_lease_list(d->state, NULL, lease_add_some, &some, &e);

	for (size_t i = 0; i < some.n && ret >= 0; i++) {
		lease_owner(&some.list[i], owner);
		ret = state_journal_delete(d->state, owner, &e);
	}
	if (ret < 0)
		log_error(&d->log, "the journal of devices in quarantine: %s", e.msg);
	free(some.list);
}
