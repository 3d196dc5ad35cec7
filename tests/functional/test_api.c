// SPDX-License-Identifier: MIT
/* The API as clients meet it: sockets, limits, batches, common members, one client against another. */
#include "tests/functional/harness.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/conn.h"
#include "lib/errcat.h"

static int setup(void **state)
{
	struct harness *h = harness_new();

	harness_vmd(h, "ok", NULL);
	*state = h;
	return 0;
}

static void test_read_only_socket(void **state)
{
	struct harness *h = *state;
	char path[160];
	struct client *c;

	snprintf(path, sizeof(path), "%s/vmd-ro.sock", h->dir);
	c = harness_client_at(h, path);
	json_object_put(client_result(c, "vm.list", NULL));
	/* refused before the parameters are looked at */
	client_expect_error(c, "vm.start", "{'nonsense': 1}", ERR_DENIED,
			    "vm.start changes something, and this socket is for reading only",
			    "vmd's other socket serves all methods: vmd(8), --socket");
	/* the connection goes on */
	json_object_put(client_result(c, "daemon.ping", NULL));
	assert_int_equal(harness_vmd_end(h, SIGTERM), 0);
	assert_int_equal(access(path, F_OK), -1);
}

static void test_read_only_socket_elsewhere(void **state)
{
	struct harness *h = *state;
	char path[160], err[512], expected[512];

	assert_int_equal(harness_vmd_end(h, SIGTERM), 0);
	snprintf(path, sizeof(path), "%s/look.sock", h->dir);
	harness_vmd(h, "ok", "--ro-socket", path, NULL);
	json_object_put(client_result(harness_client_at(h, path), "vm.list", NULL));
	assert_int_equal(harness_vmd_end(h, SIGTERM), 0);
	/* one path cannot be both */
	assert_int_equal(harness_vmd_fails(h, err, sizeof(err), "--ro-socket", h->socket, NULL), 1);
	snprintf(expected, sizeof(expected), "vmd: '%s' is in use: another process listens on it\n",
		 h->socket);
	assert_string_equal(err, expected);
	harness_vmd(h, "ok", NULL);
}

static void test_hello(void **state)
{
	struct harness *h = *state;
	AUTO_CLOSE int fd = conn_connect(h->socket, NULL);
	AUTO_JSON struct json_object *hello = NULL;
	struct json_object *params;
	char text[4096] = "";
	ssize_t n = recv(fd, text, sizeof(text), 0);

	assert_true(n > 0 && text[n - 1] == '\n');
	assert_int_equal(json_parse(text, (size_t)n, &hello, NULL), 0);
	assert_string_equal(json_get_str(hello, "method", ""), "vmd.hello");
	params = json_get(hello, "params");
	assert_string_equal(
		json_object_to_json_string_ext(json_get(params, "limits"), JSON_C_TO_STRING_PLAIN),
		"{\"line\":1048576,\"depth\":64,\"values\":10000,\"string\":4096,"
		"\"connections\":64,\"per_uid\":8,\"in_flight\":32,\"subscriptions\":16,"
		"\"write_deadline_ms\":5000}");
	assert_int_equal(json_get_int(json_get(params, "api"), "major", 0), 1);
	assert_int_equal(strlen(json_get_str(params, "server_id", "")), 36);
	assert_true(json_get_str(params, "boot_id", "")[0]);
}

/* --- bad input: the message, and the next line is understood --- */

static void expect_line(struct client *c, const char *line, int code, const char *message)
{
	AUTO_JSON struct json_object *o = NULL;

	client_send_line(c, line);
	o = client_next(c);
	assert_string_equal(json_get_str(json_get(o, "error"), "message", ""), message);
	assert_int_equal(json_get_int(json_get(o, "error"), "code", 0), code);
	assert_true(json_object_object_get_ex(o, "id", NULL));
	assert_null(json_get(o, "id"));
	json_object_put(client_result(c, "daemon.ping", NULL));
}

/* n times what, between begin and end; owned by the caller */
static char *repeat(const char *begin, const char *what, size_t n, const char *end)
{
	char *text = malloc(strlen(begin) + n * strlen(what) + strlen(end) + 1), *p;

	assert_non_null(text);
	p = stpcpy(text, begin);
	for (size_t i = 0; i < n; i++)
		p = stpcpy(p, what);
	strcpy(p, end);
	return text;
}

static void test_bad_input(void **state)
{
	static const struct {
		const char *line;
		int code;
		const char *message;
	} rows[] = {
		{ "{\"jsonrpc\":\"2.0\",\"id\":1,\"met", ERR_RPC_PARSE,
		  "byte 28: the string does not end" },
		{ "\"\xff\"", ERR_RPC_PARSE, "byte 1: invalid UTF-8" },
		{ "\"\xed\xa0\x80\"", ERR_RPC_PARSE, "byte 1: invalid UTF-8" },
		{ "{\"id\":1,\"id\":2}", ERR_RPC_PARSE, "byte 8: duplicate key 'id'" },
		{ "[9007199254740992]", ERR_RPC_PARSE,
		  "byte 1: number 9007199254740992 is out of range" },
		{ "[-9007199254740992]", ERR_RPC_PARSE,
		  "byte 1: number -9007199254740992 is out of range" },
		{ "[NaN]", ERR_RPC_PARSE, "byte 1: expected a value, got 'N'" },
		{ "5", ERR_RPC_REQUEST, "a message must be an object" },
		{ "{\"method\":\"daemon.ping\"}", ERR_RPC_REQUEST, "'jsonrpc' must be \"2.0\"" },
		{ "{\"jsonrpc\":\"2.0\",\"method\":\"daemon.ping\",\"fds\":1}", ERR_RPC_REQUEST,
		  "'fds': no method takes descriptors" },
		{ "[]", ERR_RPC_REQUEST, "a batch has at least one request" },
	};
	struct harness *h = *state;
	struct client *c = harness_client(h);
	char *line;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		expect_line(c, rows[i].line, rows[i].code, rows[i].message);
	line = repeat("", "[", 100000, "");
	expect_line(c, line, ERR_RPC_PARSE, "byte 64: more than 64 levels");
	free(line);
	line = repeat("[0", ",0", 9999, "]");
	expect_line(c, line, ERR_RPC_PARSE, "byte 19999: more than 10000 values");
	free(line);
	line = repeat("[\"", "x", 4097, "\"]");
	expect_line(c, line, ERR_RPC_PARSE, "byte 1: a string of more than 4096 bytes");
	free(line);
	line = repeat("[", "{},", 32, "{}]");
	expect_line(c, line, ERR_RPC_REQUEST, "a batch has at most 32 requests, not 33");
	free(line);
	line = repeat("", " ", 1024 * 1024, "");
	expect_line(c, line, ERR_RPC_TOO_LONG, "a message is at most 1048576 bytes long");
	free(line);
}

/* --- batches --- */

static struct json_object *batch_find(struct json_object *answers, int id)
{
	for (size_t i = 0; i < json_object_array_length(answers); i++) {
		struct json_object *o = json_object_array_get_idx(answers, i);

		if (json_get_int(o, "id", 0) == id)
			return o;
	}
	fail_msg("no answer to %d: %s", id, json_object_to_json_string(answers));
	return NULL;
}

static void test_batch(void **state)
{
	struct harness *h = *state;
	struct client *c = harness_client(h);
	AUTO_JSON struct json_object *answers = NULL;
	struct json_object *o;

	client_send_line(
		c, "[{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"daemon.ping\"},"
		   "{\"jsonrpc\":\"2.0\",\"method\":\"daemon.ping\"},"
		   "{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"vm.get\",\"params\":{\"vm\":\"x\"}},"
		   "{\"jsonrpc\":\"2.0\",\"id\":3,\"method\":\"nonsense\"},"
		   "{\"jsonrpc\":\"2.0\",\"id\":4,\"method\":\"vm.console\",\"params\":{\"vm\":"
		   "\"x\"}},"
		   "7]");
	answers = client_next(c);
	assert_true(json_object_is_type(answers, json_type_array));
	assert_int_equal(json_object_array_length(answers), 5);
	assert_non_null(json_get(batch_find(answers, 1), "result"));
	o = json_get(batch_find(answers, 2), "error");
	assert_int_equal(json_get_int(o, "code", 0), ERR_VM_NOT_FOUND);
	o = json_get(batch_find(answers, 3), "error");
	assert_int_equal(json_get_int(o, "code", 0), ERR_RPC_METHOD);
	o = json_get(batch_find(answers, 4), "error");
	assert_string_equal(json_get_str(o, "message", ""),
			    "vm.console answers with a descriptor and cannot be in a batch");
	o = json_object_array_get_idx(answers, 4);
	assert_string_equal(json_get_str(json_get(o, "error"), "message", ""),
			    "a message must be an object");
	/* nothing answers a batch of notifications */
	client_send_line(c, "[{\"jsonrpc\":\"2.0\",\"method\":\"daemon.ping\"},"
			    "{\"jsonrpc\":\"2.0\",\"method\":\"nonsense\"}]");
	json_object_put(client_result(c, "daemon.ping", NULL));
}

#define DEF "{'definition': {'name': 'one', 'boot': {'kernel': '/k'}}}"
#define WAITS(id)                          \
	"{\"jsonrpc\":\"2.0\",\"id\":" #id \
	",\"method\":\"vm.wait\",\"params\":{\"vm\":\"one\",\"for\":\"running\"}}"

/* The quick ones wait for the slow one; a client that goes meanwhile takes its batch with it. */
static void test_batch_waits(void **state)
{
	struct harness *h = *state;
	struct client *c = harness_client(h), *gone = harness_client(h), *other = harness_client(h);
	AUTO_JSON struct json_object *answers = NULL;
	struct json_object *o;

	json_object_put(client_result(other, "vm.apply", DEF));
	client_send_line(gone, "[" WAITS(1) "," WAITS(2) "]");
	client_send_line(
		c, "[{\"jsonrpc\":\"2.0\",\"id\":9,\"method\":\"daemon.ping\"}," WAITS(1) "]");
	json_object_put(client_result(c, "daemon.ping", NULL));
	json_object_put(client_result(gone, "daemon.ping", NULL));
	client_close(h, gone);
	json_object_put(client_result(other, "vm.delete", "{'vm': 'one'}"));
	answers = client_next(c);
	assert_int_equal(json_object_array_length(answers), 2);
	assert_non_null(json_get(batch_find(answers, 9), "result"));
	o = json_get(batch_find(answers, 1), "error");
	assert_string_equal(json_get_str(o, "message", ""), "VM 'one' was deleted");
	json_object_put(client_result(other, "daemon.ping", NULL));
}

/* --- limits --- */

static void test_in_flight(void **state)
{
	struct harness *h = *state;
	struct client *c = harness_client(h), *other = harness_client(h);
	AUTO_JSON struct json_object *refused = NULL;
	int last = 0;

	json_object_put(client_result(other, "vm.apply", DEF));
	for (int i = 0; i < 33; i++)
		last = client_ask(c, "vm.wait", "{'vm': 'one', 'for': 'running'}");
	refused = client_answer(c, last);
	assert_string_equal(json_get_str(json_get(refused, "error"), "message", ""),
			    "32 requests of this connection wait for their answer");
	assert_int_equal(json_get_int(json_get(refused, "error"), "code", 0), ERR_BUSY);
	/* another connection has its own */
	json_object_put(client_result(other, "vm.delete", "{'vm': 'one'}"));
	for (int i = 1; i < last; i++) {
		AUTO_JSON struct json_object *o = client_next(c);

		assert_string_equal(json_get_str(json_get(o, "error"), "message", ""),
				    "VM 'one' was deleted");
	}
	json_object_put(client_result(c, "daemon.ping", NULL));
}

static void test_subscriptions(void **state)
{
	struct harness *h = *state;
	struct client *c = harness_client(h);

	for (int i = 0; i < 16; i++)
		json_object_put(client_result(c, "event.subscribe", NULL));
	client_expect_error(c, "event.subscribe", NULL, ERR_BUSY,
			    "a connection has at most 16 subscriptions", "");
}

/* Asks and does not read the answers: vmd hangs up, and nobody else notices. */
static void expect_cut_off(struct harness *h, int requests)
{
	static const char request[] =
		"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"rpc.discover\"}\n";
	struct client *other = harness_client(h);
	AUTO_CLOSE int fd = conn_connect(h->socket, NULL);
	struct pollfd p = { .fd = fd };
	int sent = 0;

	while (sent < requests) {
		ssize_t n = send(fd, request, strlen(request), MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0 && errno == EPIPE)
			break;
		if (n == (ssize_t)strlen(request))
			sent++;
		else
			assert_int_equal(n, -1);
		json_object_put(client_result(other, "daemon.ping", NULL));
	}
	assert_int_equal(poll(&p, 1, HARNESS_WAIT_MS), 1);
	assert_true(p.revents & POLLHUP);
	json_object_put(client_result(other, "daemon.ping", NULL));
	client_close(h, other);
}

static void test_client_that_never_reads(void **state)
{
	struct harness *h = *state;
	unsigned int fds;
	struct client *c = harness_client(h);

	json_object_put(client_result(c, "daemon.ping", NULL));
	fds = harness_count_fds(h->vmd);
	/* more than a socket holds: the deadline ends it; more than CONN_OUT_MAX: at once */
	expect_cut_off(h, 20);
	expect_cut_off(h, 2000);
	json_object_put(client_result(c, "daemon.ping", NULL));
	assert_int_equal(harness_count_fds(h->vmd), fds);
}

/* Half a line, and the end; a request, and the end before its answer. */
static void test_client_that_dies(void **state)
{
	struct harness *h = *state;
	struct client *c = harness_client(h), *dying = harness_client(h);
	int fd = conn_connect(h->socket, NULL);
	unsigned int fds;

	json_object_put(client_result(c, "vm.apply", DEF));
	json_object_put(client_result(dying, "daemon.ping", NULL));
	fds = harness_count_fds(h->vmd);
	assert_true(fdio_write(fd, "{\"jsonrpc\":\"2.0\",\"id\":1,\"meth", 27) > 0);
	close(fd);
	client_ask(dying, "vm.wait", "{'vm': 'one', 'for': 'running'}");
	client_ask(dying, "vm.start", "{'vm': 'one'}");
	client_close(h, dying);
	/* its start goes on, and is told to those who are there */
	client_expect_error(c, "vm.start", "{'vm': 'one'}", ERR_FILE,
			    "kernel '/k': No such file or directory", "");
	json_object_put(client_result(c, "vm.delete", "{'vm': 'one'}"));
	assert_true(harness_count_fds(h->vmd) < fds);
}

/* --- appliers --- */

/* vmd has seen what others did before: in a turn of its loop it reads 16 times from a client. */
static void pass_turns(struct client *c)
{
	for (int i = 0; i < 3 * 16; i++)
		json_object_put(client_result(c, "daemon.ping", NULL));
}

/* Says no more, and listens: it gets what it asked for, alone and in a batch, then the end. */
static void test_half_closed_client(void **state)
{
	struct harness *h = *state;
	struct client *c = harness_client(h), *other = harness_client(h);
	AUTO_JSON struct json_object *waited = NULL, *answers = NULL;
	unsigned int fds;

	json_object_put(client_result(other, "vm.apply", DEF));
	fds = harness_count_fds(h->vmd);
	client_send_line(c, WAITS(1));
	client_send_line(
		c, "[{\"jsonrpc\":\"2.0\",\"id\":9,\"method\":\"daemon.ping\"}," WAITS(2) "]");
	assert_int_equal(shutdown(client_fd(c), SHUT_WR), 0);
	pass_turns(other);
	assert_int_equal(harness_count_fds(h->vmd), fds);
	json_object_put(client_result(other, "vm.delete", "{'vm': 'one'}"));
	for (int i = 0; i < 2; i++) { /* in any order */
		struct json_object *o = client_next(c);

		if (json_object_is_type(o, json_type_array))
			answers = o;
		else
			waited = o;
	}
	assert_string_equal(json_get_str(json_get(waited, "error"), "message", ""),
			    "VM 'one' was deleted");
	assert_int_equal(json_object_array_length(answers), 2);
	assert_non_null(json_get(batch_find(answers, 9), "result"));
	assert_null(client_next(c));
	assert_int_equal(harness_count_fds(h->vmd), fds - 1);
}

/* Nothing is asked, half a line is, or a call's time is over: the connection ends all the same. */
static void test_half_closed_ends(void **state)
{
	static const struct {
		const char *line;
		int code; /* of the answer; 0: none */
	} cases[] = {
		{ "", 0 },
		{ "{\"jsonrpc\":\"2.0\",\"method\":\"daemon.ping\"}\n", 0 },
		{ "{\"jsonrpc\":\"2.0\",\"id\":1,\"meth", ERR_RPC_PARSE },
		{ "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"nonsense\"}", ERR_RPC_METHOD },
		{ "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"vm.wait\",\"params\":"
		  "{\"vm\":\"one\",\"for\":\"running\",\"timeout_ms\":1}}",
		  ERR_TIMEOUT },
	};
	struct harness *h = *state;
	struct client *other = harness_client(h);

	json_object_put(client_result(other, "vm.apply", DEF));
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct client *c = harness_client(h);
		size_t len = strlen(cases[i].line);

		assert_int_equal(fdio_write(client_fd(c), cases[i].line, len), len);
		assert_int_equal(shutdown(client_fd(c), SHUT_WR), 0);
		if (cases[i].code) {
			AUTO_JSON struct json_object *o = client_next(c);

			assert_int_equal(json_get_int(json_get(o, "error"), "code", 0),
					 cases[i].code);
		}
		assert_null(client_next(c));
		client_close(h, c);
	}
}

/* A half-closed client that goes leaves its calls as any other does. */
static void test_half_closed_client_that_dies(void **state)
{
	struct harness *h = *state;
	struct client *c = harness_client(h), *dying = harness_client(h);
	unsigned int fds;

	json_object_put(client_result(c, "vm.apply", DEF));
	json_object_put(client_result(dying, "daemon.ping", NULL));
	fds = harness_count_fds(h->vmd);
	client_send_line(dying, WAITS(1));
	assert_int_equal(shutdown(client_fd(dying), SHUT_WR), 0);
	pass_turns(c);
	assert_int_equal(harness_count_fds(h->vmd), fds);
	client_close(h, dying);
	pass_turns(c);
	assert_int_equal(harness_count_fds(h->vmd), fds - 1);
	json_object_put(client_result(c, "vm.delete", "{'vm': 'one'}"));
}

static void test_two_appliers(void **state)
{
	static const char *const defs[] = {
		"{'definition': {'name': 'one', 'cpus': 2, 'boot': {'kernel': '/k'}}}",
		"{'definition': {'name': 'one', 'cpus': 3, 'boot': {'kernel': '/k'}}}",
	};
	static const char *const guarded[] = {
		"{'if_revision': 3, 'definition': {'name': 'one', 'cpus': 4, 'boot': {'kernel': "
		"'/k'}}}",
		"{'if_revision': 3, 'definition': {'name': 'one', 'cpus': 5, 'boot': {'kernel': "
		"'/k'}}}",
	};
	struct harness *h = *state;
	struct client *c[2] = { harness_client(h), harness_client(h) };
	int ids[2], won = -1;
	int64_t revisions[2], cpus[2] = { 2, 3 };
	AUTO_JSON struct json_object *got = NULL, *end = NULL;

	json_object_put(client_result(c[0], "vm.apply", DEF));
	/* both ask before either is answered: each gets a revision, the last one stays */
	for (int i = 0; i < 2; i++)
		ids[i] = client_ask(c[i], "vm.apply", defs[i]);
	for (int i = 0; i < 2; i++) {
		AUTO_JSON struct json_object *o = client_answer(c[i], ids[i]);

		revisions[i] = json_get_int(json_get(o, "result"), "revision", 0);
	}
	assert_int_equal(revisions[0] + revisions[1], 2 + 3);
	assert_true(revisions[0] == 2 || revisions[0] == 3);
	got = client_result(c[0], "vm.get", "{'vm': 'one'}");
	assert_int_equal(json_get_int(got, "revision", 0), 3);
	assert_int_equal(json_get_int(got, "cpus", 0), cpus[revisions[1] == 3]);
	/* with if_revision, one of them is told */
	for (int i = 0; i < 2; i++)
		ids[i] = client_ask(c[i], "vm.apply", guarded[i]);
	for (int i = 0; i < 2; i++) {
		AUTO_JSON struct json_object *o = client_answer(c[i], ids[i]);
		struct json_object *error = json_get(o, "error");

		if (!error) {
			assert_int_equal(won, -1);
			won = i;
			continue;
		}
		assert_int_equal(json_get_int(error, "code", 0), ERR_VM_REVISION);
		assert_string_equal(json_get_str(error, "message", ""),
				    "VM 'one' is at revision 4, not 3");
	}
	assert_true(won >= 0);
	end = client_result(c[0], "vm.get", "{'vm': 'one'}");
	assert_int_equal(json_get_int(end, "revision", 0), 4);
	assert_int_equal(json_get_int(end, "cpus", 0), 4 + won);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, harness_teardown)
		T(test_read_only_socket),
		T(test_read_only_socket_elsewhere),
		T(test_hello),
		T(test_bad_input),
		T(test_batch),
		T(test_batch_waits),
		T(test_in_flight),
		T(test_subscriptions),
		T(test_client_that_never_reads),
		T(test_client_that_dies),
		T(test_half_closed_client),
		T(test_half_closed_ends),
		T(test_half_closed_client_that_dies),
		T(test_two_appliers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
