// SPDX-License-Identifier: MIT
/* Sockets whose news is told once (display/edge.h). */
#include "tests/lib/test.h"

#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "display/edge.h"
#include "lib/util.h"

#define PAIRS 100 /* more than one turn of the loop looks at */

struct pair {
	struct fixture *f;
	int fd, peer;
	unsigned int told;
	uint32_t events; /* all that were told */
};

struct fixture {
	uv_loop_t loop;
	struct edge *edge;
	struct pair pairs[PAIRS];
	struct pair *removes; /* by the one that is told of first */
};

static void pair_close(struct pair *p)
{
	edge_remove(p->f->edge, p->fd);
	close(p->fd);
	p->fd = -1;
}

static void told(void *what, uint32_t events)
{
	struct pair *p = what, *other = p->f->removes;

	p->told++;
	p->events |= events;
	if (!other)
		return;
	p->f->removes = NULL;
	pair_close(other);
}

static int setup(void **state)
{
	struct fixture *f = test_calloc(1, sizeof(*f));

	assert_int_equal(uv_loop_init(&f->loop), 0);
	assert_int_equal(edge_new(&f->loop, told, &f->edge), 0);
	for (size_t i = 0; i < PAIRS; i++) {
		struct pair *p = &f->pairs[i];
		int fds[2];

		assert_int_equal(
			socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds), 0);
		*p = (struct pair){ .f = f, .fd = fds[0], .peer = fds[1] };
		assert_int_equal(edge_add(f->edge, p->fd, p), 0);
	}
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	for (size_t i = 0; i < PAIRS; i++) {
		if (f->pairs[i].fd >= 0)
			close(f->pairs[i].fd);
		if (f->pairs[i].peer >= 0)
			close(f->pairs[i].peer);
	}
	edge_free(f->edge);
	uv_run(&f->loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&f->loop), 0);
	test_free(f);
	return 0;
}

/* All that there is to be told: one turn leaves what is over its share to the next. */
static void run(struct fixture *f)
{
	for (int i = 0; i < 4; i++)
		uv_run(&f->loop, UV_RUN_NOWAIT);
}

static void say(struct pair *p)
{
	assert_int_equal(write(p->peer, "x", 1), 1);
}

static void is_told_once(void **state)
{
	struct fixture *f = *state;
	struct pair *p = &f->pairs[7];

	run(f);
	assert_int_equal(p->told, 0);
	say(p);
	run(f);
	assert_int_equal(p->told, 1);
	assert_int_equal(p->events, EPOLLIN);
	run(f); /* it has left the byte there */
	assert_int_equal(p->told, 1);
	say(p);
	run(f);
	assert_int_equal(p->told, 2);
	assert_int_equal(f->pairs[6].told, 0);
}

static void tells_again_when_asked(void **state)
{
	struct fixture *f = *state;
	struct pair *p = &f->pairs[0];

	say(p);
	run(f);
	edge_again(f->edge, p->fd, p, 0);
	run(f);
	assert_int_equal(p->told, 2);
	assert_int_equal(p->events, EPOLLIN);
	edge_again(f->edge, p->fd, p, 1);
	run(f);
	assert_int_equal(p->told, 3);
	assert_int_equal(p->events, EPOLLIN | EPOLLOUT);
}

static void tells_of_the_end(void **state)
{
	struct fixture *f = *state;
	struct pair *p = &f->pairs[0];

	assert_int_equal(shutdown(p->peer, SHUT_WR), 0);
	run(f);
	assert_int_equal(p->events, EPOLLIN | EPOLLRDHUP);
	close(p->peer);
	p->peer = -1;
	run(f);
	assert_int_equal(p->told, 2);
	assert_true(p->events & EPOLLHUP);
}

static void all_have_their_turn(void **state)
{
	struct fixture *f = *state;

	for (size_t i = 0; i < PAIRS; i++)
		say(&f->pairs[i]);
	run(f);
	for (size_t i = 0; i < PAIRS; i++)
		assert_int_equal(f->pairs[i].told, 1);
}

/* What one of them removes is not told of, though it had news at the same time. */
static void who_is_removed_is_not_told(void **state)
{
	struct fixture *f = *state;

	f->removes = &f->pairs[1];
	say(&f->pairs[0]);
	say(&f->pairs[1]);
	say(&f->pairs[2]);
	run(f);
	assert_int_equal(f->pairs[0].told, 1);
	assert_int_equal(f->pairs[1].told, 0);
	assert_int_equal(f->pairs[2].told, 1);
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(is_told_once),	T(tells_again_when_asked),     T(tells_of_the_end),
		T(all_have_their_turn), T(who_is_removed_is_not_told),
	};
#undef T

	return cmocka_run_group_tests(tests, NULL, NULL);
}
