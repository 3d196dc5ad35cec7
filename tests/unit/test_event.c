// SPDX-License-Identifier: MIT
/* Events of a full ring: pages, replays and what is gone; a server in this process, its client a socket. */
#include "tests/lib/test.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "lib/auto.h"
#include "lib/conn.h"
#include "lib/errcat.h"
#include "lib/fdio.h"
#include "tests/lib/tempdir.h"
#include "vmd/daemon.h"
#include "vmd/event.h"
#include "vmd/server.h"

#define LOST 200 /* beyond the ring */

struct fixture {
	char *dir;
	struct daemon_options options;
	struct daemon d;
	int fd; /* the client's */
	char buf[1 << 20];
	size_t len;
};

static void fill(struct state *s, int64_t n)
{
	struct state_event ev = { .type = "vm.reset", .data = "{\"name\":\"one\"}" };
	struct err e = { 0 };
	int64_t seq = 0;

	assert_int_equal(state_begin(s, &e), 0);
	for (int64_t i = 0; i < n; i++) {
		ev.type = i % 1000 ? "vm.reset" : "vm.created";
		ev.actor = i % 2 ? NULL : "{\"uid\":7,\"pid\":8,\"program\":\"x\"}";
		assert_int_equal(state_event_add(s, &ev, &seq, &e), 0);
	}
	assert_int_equal(state_commit(s, &e), 0);
	assert_int_equal(seq, n);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	char path[128];
	struct err e = { 0 };

	f->dir = tempdir_new();
	f->d.options = &f->options;
	log_init(&f->d.log, 2, LOG_LEVEL_ERROR, "test");
	uv_loop_init(&f->d.loop);
	assert_int_equal(state_open(f->dir, &f->d.state, &e), 0);
	f->d.events = event_hub_new(&f->d.loop, f->d.state, &f->d.log);
	snprintf(path, sizeof(path), "%s/s", f->dir);
	assert_int_equal(server_new(&f->d, &f->d.server, &e), 0);
	assert_int_equal(server_listen(f->d.server, path, false, &e), 0);
	server_open(f->d.server);
	f->fd = conn_connect(path, &e);
	assert_true(f->fd >= 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	close(f->fd);
	server_close(f->d.server);
	event_hub_close(f->d.events);
	uv_run(&f->d.loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&f->d.loop), 0);
	server_free(f->d.server);
	event_hub_free(f->d.events);
	state_close(f->d.state);
	tempdir_remove(f->dir);
	free(f);
	return 0;
}

static void ask(struct fixture *f, const char *line)
{
	assert_int_equal(fdio_write(f->fd, line, strlen(line)), strlen(line));
}

/* The next message of this method, or the next answer; the loop turns until it is here. */
static struct json_object *next(struct fixture *f, const char *method)
{
	for (;;) {
		struct pollfd p = { .fd = f->fd, .events = POLLIN };
		char *lf = memchr(f->buf, '\n', f->len);
		struct json_object *o;
		ssize_t n;

		if (lf) {
			assert_int_equal(json_parse(f->buf, (size_t)(lf - f->buf), &o, NULL), 0);
			f->len -= (size_t)(lf + 1 - f->buf);
			memmove(f->buf, lf + 1, f->len);
			if (!strcmp(json_get_str(o, "method", ""), method))
				return o;
			json_object_put(o);
			continue;
		}
		uv_run(&f->d.loop, UV_RUN_NOWAIT);
		if (poll(&p, 1, 0) != 1)
			continue;
		n = read(f->fd, f->buf + f->len, sizeof(f->buf) - f->len);
		assert_true(n > 0);
		f->len += (size_t)n;
	}
}

static void test_pages(void **state)
{
	struct fixture *f = *state;
	AUTO_JSON struct json_object *page = NULL, *rest = NULL, *few = NULL;
	struct event_filter all = { 0 }, some = { 0 };
	struct json_object *list;
	struct err e = { 0 };

	fill(f->d.state, STATE_EVENTS_MAX + LOST);
	assert_int_equal(event_list(f->d.events, &all, 0, 3, &page, &e), 0);
	assert_int_equal(json_get_int(json_get(page, "gone"), "from", 0), 1);
	assert_int_equal(json_get_int(json_get(page, "gone"), "to", 0), LOST);
	list = json_get(page, "events");
	assert_int_equal(json_object_array_length(list), 3);
	assert_int_equal(json_get_int(json_object_array_get_idx(list, 0), "seq", 0), LOST + 1);
	assert_int_equal(
		json_get_int(json_get(json_object_array_get_idx(list, 0), "actor"), "uid", 0), 7);
	assert_null(json_get(json_object_array_get_idx(list, 1), "actor"));
	assert_int_equal(json_get_int(page, "next", 0), LOST + 3);
	assert_true(json_get_bool(page, "more", false));
	assert_int_equal(event_list(f->d.events, &all, STATE_EVENTS_MAX + LOST - 2, 100, &rest, &e),
			 0);
	assert_null(json_get(rest, "gone"));
	assert_int_equal(json_object_array_length(json_get(rest, "events")), 2);
	assert_false(json_get_bool(rest, "more", true));
	/* a page looks at so many rows and no more, whether they fit or not */
	some.types = json_object_new_array();
	json_object_array_add(some.types, json_object_new_string("vm.created"));
	assert_int_equal(event_list(f->d.events, &some, LOST, 100, &few, &e), 0);
	assert_int_equal(json_object_array_length(json_get(few, "events")), 5);
	assert_int_equal(json_get_int(few, "next", 0), LOST + 5000);
	assert_true(json_get_bool(few, "more", false));
	event_filter_fini(&some);
}

/* All of the ring, to a reader that begins when vmd has no more to do. */
static void test_replay_of_a_full_ring(void **state)
{
	struct fixture *f = *state;
	AUTO_JSON struct json_object *gone = NULL;

	fill(f->d.state, STATE_EVENTS_MAX + LOST);
	ask(f, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"event.subscribe\",\"params\":{\"since\":"
	       "0}}\n");
	for (int i = 0; i < 1000; i++)
		uv_run(&f->d.loop, UV_RUN_NOWAIT);
	gone = next(f, "event.overflow");
	assert_int_equal(json_get_int(json_get(gone, "params"), "from", 0), 1);
	assert_int_equal(json_get_int(json_get(gone, "params"), "to", 0), LOST);
	assert_true(json_get_bool(json_get(gone, "params"), "gone", false));
	for (int64_t seq = LOST + 1; seq <= STATE_EVENTS_MAX + LOST; seq++) {
		AUTO_JSON struct json_object *o = next(f, "event");

		assert_int_equal(json_get_int(json_get(o, "params"), "seq", 0), seq);
	}
	/* now it is live */
	event_emit(f->d.events, "vm.created", NULL, NULL);
	json_object_put(next(f, "event"));
}

/* What has come from vmd and was not read. */
static size_t waiting(struct fixture *f, const char *what)
{
	ssize_t n = recv(f->fd, f->buf + f->len, sizeof(f->buf) - 1 - f->len, MSG_DONTWAIT);
	size_t found = 0;

	f->len += (size_t)MAX(n, 0);
	f->buf[f->len] = '\0';
	for (const char *p = f->buf; (p = strstr(p, what)); p++)
		found++;
	return found;
}

/* A turn of the loop has one part of a replay, whether much of it fits or little. */
static void test_replay_takes_turns(void **state)
{
	struct fixture *f = *state;
	size_t seen = 0;

	fill(f->d.state, STATE_EVENTS_MAX); /* each thousandth is a vm.created */
	ask(f, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"event.subscribe\",\"params\":{\"since\":"
	       "0,\"types\":[\"vm.created\"]}}\n");
	while (!waiting(f, "\"id\":1"))
		uv_run(&f->d.loop, UV_RUN_NOWAIT);
	while (seen < STATE_EVENTS_MAX / 1000) {
		size_t now;

		uv_run(&f->d.loop, UV_RUN_NOWAIT);
		now = waiting(f, "\"vm.created\"");
		assert_in_range(now, seen, seen + 1);
		seen = now;
	}
}

static void test_filter_of_unknown_vm(void **state)
{
	struct fixture *f = *state;
	AUTO_JSON struct json_object *o = NULL;

	ask(f, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"event.subscribe\",\"params\":{\"vms\":["
	       "\"none\"]}}\n");
	o = next(f, "");
	assert_int_equal(json_get_int(json_get(o, "error"), "code", 0), ERR_VM_NOT_FOUND);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		T(test_pages),
		T(test_replay_of_a_full_ring),
		T(test_replay_takes_turns),
		T(test_filter_of_unknown_vm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
