// SPDX-License-Identifier: MIT
/* Events and their readers: slow ones are told what they missed, filters know names, actors are named. */
#include "tests/functional/harness.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/errcat.h"

#define SUBSCRIPTIONS 16
#define EVENTS 500 /* by so many subscriptions more than a connection may hold */

static int setup(void **state)
{
	*state = harness_new();
	harness_vmd(*state, "ok", NULL);
	return 0;
}

/* One event each. */
static void apply(struct client *c, const char *name, int n)
{
	for (int i = 0; i < n; i++) {
		char params[256];

		snprintf(params, sizeof(params),
			 "{'definition': {'name': '%s', 'cpus': %d, 'boot': {'kernel': '/k'}}}",
			 name, i % 2 + 1);
		json_object_put(client_result(c, "vm.apply", params));
	}
}

/* The next notification of the first subscription. */
static struct json_object *first_sub(struct client *c, char *method, size_t size)
{
	for (;;) {
		AUTO_JSON struct json_object *o = client_next(c);
		struct json_object *params = json_get(o, "params");

		assert_non_null(o);
		if (json_get_int(params, "subscription", 0) != 1)
			continue;
		snprintf(method, size, "%s", json_get_str(o, "method", ""));
		return json_object_get(params);
	}
}

static void test_slow_reader(void **state)
{
	struct client *c = harness_client(*state), *slow = harness_client(*state);
	AUTO_JSON struct json_object *page = NULL, *live = NULL;
	struct json_object *o, *list;
	int64_t seen = 0, to;
	char method[32], params[64];

	for (int i = 0; i < SUBSCRIPTIONS; i++)
		json_object_put(client_result(slow, "event.subscribe", NULL));
	apply(c, "one", EVENTS);
	for (;;) {
		o = first_sub(slow, method, sizeof(method));
		if (strcmp(method, "event"))
			break;
		/* what comes, comes without a hole */
		assert_int_equal(json_get_int(o, "seq", 0), ++seen);
		json_object_put(o);
	}
	assert_string_equal(method, "event.overflow");
	assert_int_equal(json_get_int(o, "from", 0), seen + 1);
	to = json_get_int(o, "to", 0);
	assert_int_equal(to, EVENTS);
	assert_false(json_get_bool(o, "gone", true));
	json_object_put(o);
	/* what is missing can be read again */
	snprintf(params, sizeof(params), "{'since': %d, 'limit': 1000}", (int)seen);
	page = client_result(c, "event.list", params);
	list = json_get(page, "events");
	assert_int_equal(json_object_array_length(list), to - seen);
	for (size_t i = 0; i < json_object_array_length(list); i++)
		assert_int_equal(json_get_int(json_object_array_get_idx(list, i), "seq", 0),
				 ++seen);
	/* and it goes on */
	apply(c, "two", 1);
	live = first_sub(slow, method, sizeof(method));
	assert_string_equal(method, "event");
	assert_int_equal(json_get_int(live, "seq", 0), EVENTS + 1);
}

static void test_slow_replay(void **state)
{
	struct client *c = harness_client(*state), *slow = harness_client(*state);
	int64_t seen[SUBSCRIPTIONS + 1] = { 0 };
	int finished = 0, id = 0;

	apply(c, "one", EVENTS);
	for (int i = 0; i < SUBSCRIPTIONS; i++)
		id = client_ask(slow, "event.subscribe", "{'since': 0}");
	assert_int_equal(id, SUBSCRIPTIONS);
	/* what happens meanwhile comes in its place */
	apply(c, "two", 10);
	while (finished < SUBSCRIPTIONS) {
		AUTO_JSON struct json_object *o = client_next(slow);
		struct json_object *params = json_get(o, "params");
		int64_t sub = json_get_int(params, "subscription", 0);

		assert_non_null(o);
		if (json_get(o, "result"))
			continue;
		assert_string_equal(json_get_str(o, "method", ""), "event");
		assert_int_equal(json_get_int(params, "seq", 0), ++seen[sub]);
		finished += seen[sub] == EVENTS + 10;
	}
}

static void test_filter_by_name(void **state)
{
	struct client *c = harness_client(*state);
	AUTO_JSON struct json_object *page = NULL, *gone = NULL, *event = NULL;
	char params[96], id[40];

	apply(c, "one", 1);
	apply(c, "two", 2);
	page = client_result(c, "event.list", "{'vms': ['two'], 'types': ['vm.created']}");
	assert_int_equal(json_object_array_length(json_get(page, "events")), 1);
	assert_int_equal(json_get_int(page, "next", 0), 3);
	assert_false(json_get_bool(page, "more", true));
	snprintf(id, sizeof(id), "%s",
		 json_get_str(json_object_array_get_idx(json_get(page, "events"), 0), "vm", ""));
	json_object_put(client_result(c, "event.subscribe", "{'vms': ['two']}"));
	apply(c, "one", 2);
	json_object_put(client_result(c, "vm.delete", "{'vm': 'two'}"));
	event = client_event(c, "vm.deleted", NULL); /* and none of the other VM before it */
	assert_string_equal(json_get_str(event, "vm", ""), id);
	client_expect_error(c, "event.list", "{'vms': ['two']}", ERR_VM_NOT_FOUND, "no VM 'two'",
			    "");
	snprintf(params, sizeof(params), "{'vms': ['%s']}", id);
	gone = client_result(c, "event.list", params);
	assert_int_equal(json_object_array_length(json_get(gone, "events")), 3);
}

static void test_actor(void **state)
{
	struct client *c = harness_client(*state);
	AUTO_JSON struct json_object *page = NULL;
	struct json_object *actor;

	apply(c, "one", 1);
	page = client_result(c, "event.list", NULL);
	actor = json_get(json_object_array_get_idx(json_get(page, "events"), 0), "actor");
	assert_int_equal(json_get_int(actor, "uid", -1), getuid());
	assert_int_equal(json_get_int(actor, "pid", -1), getpid());
	assert_string_equal(json_get_str(actor, "program", ""), "test_events");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, harness_teardown)
		T(test_slow_reader),
		T(test_slow_replay),
		T(test_filter_by_name),
		T(test_actor),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
