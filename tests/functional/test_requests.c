// SPDX-License-Identifier: MIT
/* Members that all methods have which change something: request_id, timeout_ms, if_revision, dry_run. */
#include "tests/functional/harness.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/errcat.h"

#define LOST "it ended meanwhile, or the answer was too long to keep"

static void apply(struct harness *h, struct client *c, const char *more)
{
	char params[512];

	snprintf(params, sizeof(params),
		 "{'definition': {'name': 'one', 'boot': {'kernel': '%s'}}%s}",
		 harness_file(h, "kernel", "not looked at"), more);
	json_object_put(client_result(c, "vm.apply", params));
}

static void expect_state(struct client *c, const char *state)
{
	AUTO_JSON struct json_object *got = client_result(c, "vm.get", "{'vm': 'one'}");

	assert_string_equal(json_get_str(json_get(got, "observed"), "state", ""), state);
}

static void expect_same(struct json_object *a, struct json_object *b)
{
	if (!json_equal(a, b))
		fail_msg("%s\n%s", json_object_to_json_string(a), json_object_to_json_string(b));
}

#define APPLY(id, cpus)                                                        \
	"{'request_id': '" id "', 'definition': {'name': 'one', 'cpus': " cpus \
	", 'boot': {'kernel': '/k'}}}"

static void test_repetition(void **state)
{
	struct harness *h = *state;
	AUTO_JSON struct json_object *first = NULL, *again = NULL, *other = NULL, *restarted = NULL,
				     *error = NULL, *error_again = NULL;
	struct client *c;

	harness_vmd(h, "ok", NULL);
	c = harness_client(h);
	first = client_result(c, "vm.apply", APPLY("a", "1"));
	assert_string_equal(json_get_str(first, "result", ""), "created");
	again = client_result(c, "vm.apply", APPLY("a", "1"));
	expect_same(first, again);
	/* over another connection, with the members in another order */
	other = client_result(
		harness_client(h), "vm.apply",
		"{'definition': {'boot': {'kernel': '/k'}, 'cpus': 1, 'name': 'one'}, "
		"'timeout_ms': 5000, 'request_id': 'a'}");
	expect_same(first, other);
	client_expect_error(c, "vm.apply", APPLY("a", "2"), ERR_REQUEST_REUSED,
			    "request_id 'a' stands for a request (vm.apply) with other parameters",
			    "a new request needs a new request_id");
	client_expect_error(c, "vm.delete", "{'vm': 'one', 'request_id': 'a'}", ERR_REQUEST_REUSED,
			    "request_id 'a' stands for a request (vm.apply) with other parameters",
			    "a new request needs a new request_id");
	/* an error is an answer, too */
	error = client_error(c, "vm.start", "{'vm': 'one', 'request_id': 'b'}");
	assert_string_equal(json_get_str(error, "message", ""),
			    "kernel '/k': No such file or directory");
	apply(h, c, "");
	error_again = client_error(c, "vm.start", "{'vm': 'one', 'request_id': 'b'}");
	expect_same(error, error_again);
	/* and the next vmd knows them */
	assert_int_equal(harness_vmd_end(h, SIGKILL), 128 + SIGKILL);
	harness_vmd(h, "ok", NULL);
	restarted = client_result(harness_client(h), "vm.apply", APPLY("a", "1"));
	expect_same(first, restarted);
}

/* What was done once is not done again: the VM stays as it is. */
static void test_start_once(void **state)
{
	struct harness *h = *state;
	AUTO_JSON struct json_object *a = NULL, *b = NULL, *late = NULL;
	struct client *c, *other;
	int ids[2];

	harness_vmd(h, "ok", NULL);
	c = harness_client(h);
	other = harness_client(h);
	apply(h, c, "");
	ids[0] = client_ask(c, "vm.start", "{'vm': 'one', 'request_id': 's'}");
	ids[1] = client_ask(other, "vm.start", "{'vm': 'one', 'request_id': 's'}");
	a = client_answer(c, ids[0]);
	b = client_answer(other, ids[1]);
	assert_true(json_get_bool(json_get(a, "result"), "changed", false));
	expect_same(json_get(a, "result"), json_get(b, "result"));
	json_object_put(client_result(c, "vm.kill", "{'vm': 'one'}"));
	late = client_result(c, "vm.start", "{'vm': 'one', 'request_id': 's'}");
	expect_same(json_get(a, "result"), late);
	expect_state(c, "stopped");
}

/* Its answer was its last: the connection of one who says no more ends with it. */
static void expect_end_after_timeout(struct harness *h)
{
	struct client *c = harness_client(h);
	int id = client_ask(c, "vm.start", "{'vm': 'one', 'timeout_ms': 0}");
	AUTO_JSON struct json_object *o = NULL;

	assert_int_equal(shutdown(client_fd(c), SHUT_WR), 0);
	o = client_answer(c, id);
	assert_int_equal(json_get_int(json_get(o, "error"), "code", 0), ERR_TIMEOUT);
	assert_null(client_next(c));
	client_close(h, c);
}

static void test_repetition_while_it_runs(void **state)
{
	struct harness *h = *state;
	struct client *c, *first, *second;
	AUTO_JSON struct json_object *one = NULL, *two = NULL;
	int ids[2];

	harness_vmd(h, "hang-hello", "--step-timeout", "60", NULL);
	c = harness_client(h);
	first = harness_client(h);
	second = harness_client(h);
	apply(h, c, "");
	ids[0] = client_ask(first, "vm.start", "{'vm': 'one', 'request_id': 's'}");
	json_object_put(client_result(first, "daemon.ping", NULL));
	client_expect_error(c, "vm.start", "{'vm': 'one', 'paused': true, 'request_id': 's'}",
			    ERR_REQUEST_REUSED,
			    "request_id 's' stands for a request (vm.start) with other parameters",
			    "a new request needs a new request_id");
	client_expect_error(c, "vm.start", "{'vm': 'one', 'timeout_ms': 1, 'request_id': 's'}",
			    ERR_TIMEOUT, "vm.start has not ended within 0.001 s; it goes on",
			    "the same request_id again waits for its end");
	client_expect_error(c, "vm.start", "{'vm': 'one', 'timeout_ms': 0}", ERR_TIMEOUT,
			    "vm.start has not ended within 0 s; it goes on",
			    "vm.get says what it does");
	expect_end_after_timeout(h);
	expect_state(c, "starting");
	ids[1] = client_ask(second, "vm.start", "{'vm': 'one', 'request_id': 's'}");
	json_object_put(client_result(second, "daemon.ping", NULL));
	/* the first one's connection ends: its request does not */
	client_close(h, first);
	json_object_put(client_result(c, "vm.kill", "{'vm': 'one'}"));
	two = client_answer(second, ids[1]);
	assert_string_equal(json_get_str(json_get(two, "error"), "message", ""),
			    "the start of VM 'one' was cancelled by a kill");
	one = client_error(c, "vm.start", "{'vm': 'one', 'request_id': 's'}");
	expect_same(json_get(two, "error"), one);
}

static bool has_process(struct client *c)
{
	AUTO_JSON struct json_object *got = client_result(c, "vm.get", "{'vm': 'one'}");

	return json_get_int(json_get(got, "observed"), "pid", 0) > 0;
}

/* vmd dies in the middle: what came of it is not known, and it is not begun again. */
static void lost_answer(struct harness *h, bool spawned)
{
	struct client *c;

	harness_vmd(h, "hang-hello", "--step-timeout", "60", NULL);
	c = harness_client(h);
	apply(h, c, "");
	client_ask(c, "vm.start", "{'vm': 'one', 'request_id': 's'}");
	/* with a vmm that never says what it does, or before there is one */
	while (spawned && !has_process(c))
		;
	json_object_put(client_result(c, "daemon.ping", NULL));
	assert_int_equal(harness_vmd_end(h, SIGKILL), 128 + SIGKILL);
	harness_vmd(h, "ok", NULL);
	c = harness_client(h);
	client_expect_error(c, "vm.start", "{'vm': 'one', 'request_id': 's'}", ERR_REQUEST_LOST,
			    "vmd has no answer to request 's' (vm.start): " LOST,
			    "see what came of it, then ask with a new request_id");
	json_object_put(client_result(c, "vm.wait",
				      "{'vm': 'one', 'for': 'stopped', 'timeout_ms': 20000}"));
}

static void test_lost_answer(void **state)
{
	lost_answer(*state, false);
}

static void test_lost_answer_and_process(void **state)
{
	lost_answer(*state, true);
}

#define GO_ON "256 requests of user 0 go on though nobody waits for them"

/* Who asks and does not wait piles up what goes on: up to a limit, and there is a way out. */
static void test_too_many_that_go_on(void **state)
{
	struct harness *h = *state;
	struct client *c;

	harness_vmd(h, "hang-hello", "--step-timeout", "60", "--viewer-group", "54303", NULL);
	c = harness_client(h);
	apply(h, c, "");
	/* by its own wish */
	for (int i = 0; i < 255; i++)
		client_expect_error(c, "vm.start", "{'vm': 'one', 'timeout_ms': 0}", ERR_TIMEOUT,
				    "vm.start has not ended within 0 s; it goes on",
				    "vm.get says what it does");
	json_object_put(client_result(c, "vm.list", NULL));
	/* and one that has gone */
	client_ask(c, "vm.start", "{'vm': 'one'}");
	json_object_put(client_result(c, "daemon.ping", NULL));
	client_close(h, c);
	c = harness_client(h);
	client_expect_error(c, "vm.start", "{'vm': 'one'}", ERR_BUSY, GO_ON,
			    "vm.kill ends those that wait for a VM");
	if (!geteuid()) { /* others are not concerned */
		assert_int_equal(chmod(h->dir, 0711), 0);
		json_object_put(client_result(harness_client_as(h, 1001, 54303), "vm.list", NULL));
	}
	json_object_put(client_result(c, "vm.kill", "{'vm': 'one'}"));
	json_object_put(client_result(c, "vm.list", NULL));
}

/* Busy is not for ever. */
static void test_busy_is_not_kept(void **state)
{
	struct harness *h = *state;
	AUTO_JSON struct json_object *busy = NULL;
	struct client *c;

	harness_vmd(h, "hang-hello", "--step-timeout", "60", NULL);
	c = harness_client(h);
	apply(h, c, "");
	client_expect_error(c, "vm.start", "{'vm': 'one', 'timeout_ms': 0}", ERR_TIMEOUT,
			    "vm.start has not ended within 0 s; it goes on",
			    "vm.get says what it does");
	busy = client_error(c, "vm.pause", "{'vm': 'one', 'request_id': 'p'}");
	assert_int_equal(json_get_int(busy, "code", 0), ERR_BUSY);
	json_object_put(client_result(c, "vm.kill", "{'vm': 'one'}"));
	client_expect_error(c, "vm.pause", "{'vm': 'one', 'request_id': 'p'}", ERR_VM_STATE,
			    "VM 'one' is stopped", "start it first: vmctl start one");
}

static void test_if_revision(void **state)
{
	static const char *const methods[] = { "vm.start", "vm.stop",	"vm.restart", "vm.reset",
					       "vm.pause", "vm.resume", "vm.kill",    "vm.delete" };
	struct harness *h = *state;
	struct client *c;

	harness_vmd(h, "ok", NULL);
	c = harness_client(h);
	apply(h, c, "");
	for (size_t i = 0; i < ARRAY_SIZE(methods); i++)
		client_expect_error(c, methods[i], "{'vm': 'one', 'if_revision': 2}",
				    ERR_VM_REVISION, "VM 'one' is at revision 1, not 2", "");
	client_expect_error(c, "vm.start", "{'vm': 'one', 'if_revision': 0}", ERR_RPC_PARAMS,
			    "vm.start: /if_revision: expected at least 1, got 0", "");
	json_object_put(client_result(c, "vm.start", "{'vm': 'one', 'if_revision': 1}"));
	json_object_put(client_result(c, "vm.kill", "{'vm': 'one', 'if_revision': 1}"));
	json_object_put(client_result(c, "vm.delete", "{'vm': 'one', 'if_revision': 1}"));
}

static void expect_note(struct client *c, const char *method, const char *params, const char *state,
			const char *note)
{
	AUTO_JSON struct json_object *o = client_result(c, method, params);

	assert_string_equal(json_get_str(o, "note", ""), note);
	assert_string_equal(json_get_str(o, "state", ""), state);
	assert_false(json_get_bool(o, "changed", true));
	expect_state(c, state);
}

#define DRY "{'vm': 'one', 'dry_run': true}"
#define DRY_FORCE "{'vm': 'one', 'dry_run': true, 'force': true}"
#define DRY_AT_ONCE "{'vm': 'one', 'dry_run': true, 'force': true, 'timeout_ms': 0}"

/* The answer that it would get, and nothing happens. */
static void test_dry_run(void **state)
{
	struct harness *h = *state;
	struct client *c;
	AUTO_JSON struct json_object *before = NULL, *after = NULL, *got = NULL;

	harness_vmd(h, "ok", NULL);
	c = harness_client(h);
	apply(h, c, "");
	expect_note(c, "vm.stop", DRY, "stopped", "already stopped");
	expect_note(c, "vm.kill", DRY, "stopped", "already stopped");
	expect_note(c, "vm.start", DRY, "stopped", "would start");
	expect_note(c, "vm.restart", DRY, "stopped", "would start");
	client_expect_error(c, "vm.pause", DRY, ERR_VM_STATE, "VM 'one' is stopped",
			    "start it first: vmctl start one");
	client_expect_error(c, "vm.reset", DRY, ERR_VM_STATE, "VM 'one' is stopped",
			    "start it first: vmctl start one");
	json_object_put(client_result(c, "vm.start", "{'vm': 'one'}"));
	before = client_result(c, "event.subscribe", NULL);
	expect_note(c, "vm.start", DRY, "running", "already running");
	expect_note(c, "vm.stop", DRY, "running", "would be asked to stop");
	expect_note(c, "vm.stop", DRY_AT_ONCE, "running", "would be ended");
	expect_note(c, "vm.kill", DRY, "running", "would be ended");
	expect_note(c, "vm.restart", DRY, "running", "would be restarted");
	expect_note(c, "vm.reset", DRY, "running", "would be reset");
	expect_note(c, "vm.pause", DRY, "running", "would be paused");
	expect_note(c, "vm.resume", DRY, "running", "already running");
	json_object_put(client_result(c, "vm.pause", "{'vm': 'one'}"));
	expect_note(c, "vm.pause", DRY, "paused", "already paused");
	expect_note(c, "vm.resume", DRY, "paused", "would run on");
	expect_note(c, "vm.stop", DRY_FORCE, "paused", "would be ended");
	expect_note(c, "vm.restart", DRY_FORCE, "paused", "would be restarted");
	/* of all that, only the pause was an event; and it is still asked for to run */
	after = client_result(c, "event.subscribe", NULL);
	assert_int_equal(json_get_int(after, "seq", 0), json_get_int(before, "seq", 0) + 1);
	got = client_result(c, "vm.get", "{'vm': 'one'}");
	assert_string_equal(json_get_str(got, "desired", ""), "running");
	/* it is no request to be remembered */
	expect_note(c, "vm.kill", "{'vm': 'one', 'dry_run': true, 'request_id': 'k'}", "paused",
		    "would be ended");
	json_object_put(client_result(c, "vm.kill", "{'vm': 'one', 'request_id': 'k'}"));
	expect_state(c, "stopped");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, harness_setup, harness_teardown)
		T(test_repetition),
		T(test_start_once),
		T(test_repetition_while_it_runs),
		T(test_lost_answer),
		T(test_lost_answer_and_process),
		T(test_busy_is_not_kept),
		T(test_too_many_that_go_on),
		T(test_if_revision),
		T(test_dry_run),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
