// SPDX-License-Identifier: MIT
/* Consoles: scrollback, many readers and one writer, slow readers, input's flow, files as clients. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#include "vmm/console.h"

struct fixture {
	uv_loop_t loop;
	struct console *console;
	unsigned int ready; /* input_ready calls */
	char in[8192];	    /* what the guest took */
	size_t in_len;
	bool pull; /* take input when told */
};

static void fixture_ready(void *arg)
{
	struct fixture *f = arg;

	f->ready++;
	if (f->pull)
		f->in_len += console_pull(f->console, f->in + f->in_len, sizeof(f->in) - f->in_len);
}

static const struct console_guest_ops fixture_guest = { .input_ready = fixture_ready };

static void fixture_init(struct fixture *f)
{
	memset(f, 0, sizeof(*f));
	uv_loop_init(&f->loop);
	assert_int_equal(console_new(&f->loop, "com1", &f->console, NULL), 0);
	console_set_guest(f->console, &fixture_guest, f);
	f->pull = true;
}

static void fixture_fini(struct fixture *f)
{
	console_close(f->console);
	uv_run(&f->loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&f->loop), 0);
}

/* The loop, until what is pending has been served (the hold timer has run out). */
static void fixture_settle(struct fixture *f)
{
	struct pollfd p = { .fd = uv_backend_fd(&f->loop), .events = POLLIN };

	/* not UV_RUN_ONCE: it waits for ever when the timer runs out just before it looks */
	while (uv_run(&f->loop, UV_RUN_NOWAIT) && uv_backend_timeout(&f->loop) >= 0)
		poll(&p, 1, uv_backend_timeout(&f->loop));
}

static int fixture_client(struct fixture *f, enum console_mode mode, bool scrollback, int *ret)
{
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	*ret = fds[0];
	return console_attach(f->console, fds[1], -1, mode, scrollback, NULL);
}

/* Exactly this is there to read. */
static void fixture_expect(int fd, const char *text)
{
	char got[256];
	ssize_t n = recv(fd, got, sizeof(got) - 1, MSG_DONTWAIT);

	got[MAX(n, 0)] = '\0';
	assert_string_equal(got, text);
}

static void readers_get_the_scrollback(void **state)
{
	struct fixture f;
	int a, b;

	(void)state;
	fixture_init(&f);
	console_write(f.console, "one ", 4);
	assert_int_equal(fixture_client(&f, CONSOLE_READ_ONLY, true, &a), 0);
	assert_int_equal(fixture_client(&f, CONSOLE_READ_ONLY, false, &b), 0);
	console_write(f.console, "two ", 4);
	fixture_settle(&f);
	console_write(f.console, "three", 5);
	fixture_settle(&f);
	fixture_expect(a, "one two three");
	fixture_expect(b, "two three");
	close(a);
	close(b);
	fixture_fini(&f);
}

static void one_writer_and_take(void **state)
{
	struct fixture f;
	bool writer;
	int a, b, c;

	(void)state;
	fixture_init(&f);
	assert_int_equal(fixture_client(&f, CONSOLE_READ_WRITE, false, &a), 0);
	assert_int_equal(fixture_client(&f, CONSOLE_READ_WRITE, false, &b), -EBUSY);
	assert_int_equal(fixture_client(&f, CONSOLE_TAKE, false, &c), 0);
	assert_int_equal(write(a, "old", 3), 3);
	assert_int_equal(write(c, "new", 3), 3);
	fixture_settle(&f);
	assert_int_equal(f.in_len, 3);
	assert_memory_equal(f.in, "new", 3);
	/* the taken one still reads */
	console_write(f.console, "x", 1);
	fixture_settle(&f);
	fixture_expect(a, "x");
	close(c);
	fixture_settle(&f);
	assert_int_equal(console_clients(f.console, &writer), 1);
	assert_false(writer);
	close(a);
	close(b);
	fixture_fini(&f);
}

static void a_slow_reader_is_told(void **state)
{
	static char big[CONSOLE_RING_SIZE], got[8 * CONSOLE_RING_SIZE + 1];
	struct fixture f;
	size_t len = 0;
	ssize_t n;
	char *lost;
	int a;

	(void)state;
	fixture_init(&f);
	assert_int_equal(fixture_client(&f, CONSOLE_READ_ONLY, false, &a), 0);
	memset(big, 'x', sizeof(big));
	for (unsigned int i = 0; i < 32; i++) {
		console_write(f.console, big, sizeof(big));
		fixture_settle(&f);
	}
	console_write(f.console, "end", 3);
	for (unsigned int turn = 0; turn < 64; turn++) {
		while ((n = recv(a, got + len, sizeof(got) - 1 - len, MSG_DONTWAIT)) > 0)
			len += (size_t)n;
		fixture_settle(&f);
	}
	got[len] = '\0';
	lost = strstr(got, "\r\n[");
	assert_non_null(lost);
	assert_non_null(strstr(lost, " bytes lost]\r\n"));
	assert_string_equal(got + len - 4, "xend");
	/* what was said plus what came is what was written */
	n = (ssize_t)strtoul(lost + 3, NULL, 10);
	assert_int_equal(strspn(got, "x") + strspn(strchr(lost + 2, '\n') + 1, "x") + (size_t)n,
			 32 * sizeof(big));
	close(a);
	fixture_fini(&f);
}

static void input_waits_for_the_guest(void **state)
{
	static char big[16384];
	struct fixture f;
	size_t total = 0;
	ssize_t sent;
	int a;

	(void)state;
	fixture_init(&f);
	f.pull = false;
	assert_int_equal(fixture_client(&f, CONSOLE_READ_WRITE, false, &a), 0);
	sent = write(a, big, sizeof(big));
	assert_int_equal(sent, sizeof(big));
	fixture_settle(&f);
	assert_true(f.ready > 0 && console_has_input(f.console));
	while (console_has_input(f.console)) {
		total += console_pull(f.console, f.in, 1000);
		fixture_settle(&f);
	}
	assert_int_equal(total, sizeof(big));
	close(a);
	fixture_fini(&f);
}

/* Regular files cannot be polled; /dev/null ends at once. */
static void files_as_stdin_and_stdout(void **state)
{
	int in = memfd_create("in", MFD_CLOEXEC), out = memfd_create("out", MFD_CLOEXEC);
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	struct fixture f;
	char text[16];

	(void)state;
	fixture_init(&f);
	assert_int_equal(write(in, "typed", 5), 5);
	lseek(in, 0, SEEK_SET);
	assert_int_equal(console_attach_stdio(f.console, in, out, NULL, NULL, NULL), 0);
	console_write(f.console, "said", 4);
	fixture_settle(&f);
	assert_int_equal(f.in_len, 5);
	assert_memory_equal(f.in, "typed", 5);
	assert_int_equal(pread(out, text, sizeof(text), 0), 4);
	assert_int_equal(console_attach_stdio(f.console, null, null, NULL, NULL, NULL), 0);
	fixture_settle(&f);
	fixture_fini(&f);
	/* they are still ours */
	close(in);
	close(out);
	close(null);
}

static void a_dead_client_makes_room(void **state)
{
	struct fixture f;
	bool writer;
	int fds[CONSOLE_CLIENTS_MAX + 1];

	(void)state;
	fixture_init(&f);
	for (unsigned int i = 0; i < CONSOLE_CLIENTS_MAX; i++)
		assert_int_equal(fixture_client(&f, CONSOLE_READ_ONLY, false, &fds[i]), 0);
	assert_int_equal(fixture_client(&f, CONSOLE_READ_ONLY, false, &fds[CONSOLE_CLIENTS_MAX]),
			 -EBUSY);
	close(fds[CONSOLE_CLIENTS_MAX]);
	close(fds[3]);
	assert_int_equal(fixture_client(&f, CONSOLE_READ_ONLY, false, &fds[3]), 0);
	assert_int_equal(console_clients(f.console, &writer), CONSOLE_CLIENTS_MAX);
	for (unsigned int i = 0; i < CONSOLE_CLIENTS_MAX; i++)
		close(fds[i]);
	fixture_settle(&f);
	assert_int_equal(console_clients(f.console, &writer), 0);
	fixture_fini(&f);
}

static void *writer_main(void *arg)
{
	for (unsigned int i = 0; i < 5000; i++)
		console_write(arg, "0123456789", 10);
	return NULL;
}

static void writes_of_a_vcpu_all_arrive(void **state)
{
	struct fixture f;
	pthread_t thread;
	size_t total = 0;
	char got[4096];
	int a;

	(void)state;
	fixture_init(&f);
	assert_int_equal(fixture_client(&f, CONSOLE_READ_ONLY, false, &a), 0);
	assert_int_equal(pthread_create(&thread, NULL, writer_main, f.console), 0);
	while (total < 50000) {
		ssize_t n;

		uv_run(&f.loop, UV_RUN_ONCE);
		while ((n = recv(a, got, sizeof(got), MSG_DONTWAIT)) > 0)
			total += (size_t)n;
	}
	pthread_join(thread, NULL);
	assert_int_equal(total, 50000);
	close(a);
	fixture_fini(&f);
}

static int fixture_log(struct fixture *f)
{
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), 0);
	assert_int_equal(console_attach_log(f->console, fds[1], NULL), 0);
	return fds[0];
}

/* The next message has this; "" when there is none. */
static void expect_log(int fd, uint64_t offset, const char *text)
{
	struct console_log_msg msg = { 0 };
	ssize_t n = recv(fd, &msg, sizeof(msg), MSG_DONTWAIT);
	size_t len = strlen(text);

	assert_int_equal(n, len ? (ssize_t)(offsetof(struct console_log_msg, data) + len) : -1);
	assert_int_equal(msg.offset, offset);
	assert_memory_equal(msg.data, text, len);
}

static void a_log_knows_where_it_is(void **state)
{
	struct fixture f;
	int fds[CONSOLE_CLIENTS_MAX], first, second, pair[2];

	(void)state;
	fixture_init(&f);
	console_write(f.console, "one", 3);
	for (unsigned int i = 0; i < CONSOLE_CLIENTS_MAX; i++)
		assert_int_equal(fixture_client(&f, CONSOLE_READ_ONLY, false, &fds[i]), 0);
	first = fixture_log(&f);
	console_write(f.console, "two", 3);
	fixture_settle(&f);
	expect_log(first, 0, "one");
	expect_log(first, 3, "two");
	/* a new vmd: the same again, it knows what it has */
	second = fixture_log(&f);
	fixture_settle(&f);
	assert_int_equal(recv(first, pair, 1, MSG_DONTWAIT), 0);
	expect_log(second, 0, "onetwo");
	for (unsigned int i = 0; i < CONSOLE_CLIENTS_MAX; i++)
		close(fds[i]);
	close(first);
	close(second);
	/* nobody is left; the next write finds that out */
	fixture_settle(&f);
	console_write(f.console, "x", 1);
	fixture_settle(&f);
	fixture_fini(&f);
}

/* A guest that says something and ends: the loop has not looked yet, and will not. */
static void the_last_is_saved(void **state)
{
	int tail = memfd_create("tail", MFD_CLOEXEC), fd, n = 0;
	struct console_tail last = { 0 };
	struct fixture f;

	(void)state;
	fixture_init(&f);
	fd = fixture_log(&f);
	console_write(f.console, "last", 4);
	console_save(f.console, tail);
	expect_log(fd, 0, "last");
	assert_int_equal(lseek(tail, 0, SEEK_CUR), 0);
	/* a log that takes no more: the file has it */
	while (!lseek(tail, 0, SEEK_CUR) && n++ < 10000) {
		console_write(f.console, "more", 4);
		console_save(f.console, tail);
	}
	assert_int_equal(pread(tail, &last, sizeof(last), 0), sizeof(last));
	assert_string_equal(last.console, "com1");
	assert_int_equal(last.offset + last.len, 4 + 4 * n);
	close(fd);
	close(tail);
	fixture_fini(&f);
}

static void a_log_shows_its_gaps(void **state)
{
	static char big[CONSOLE_RING_SIZE];
	struct console_log_msg msg;
	uint64_t next = 0, lost = 0, got = 0;
	struct fixture f;
	ssize_t n;
	int fd;

	(void)state;
	fixture_init(&f);
	fd = fixture_log(&f);
	for (unsigned int i = 0; i < 32; i++) {
		console_write(f.console, big, sizeof(big));
		fixture_settle(&f);
	}
	for (unsigned int turn = 0; turn < 64; turn++) {
		while ((n = recv(fd, &msg, sizeof(msg), MSG_DONTWAIT)) > 0) {
			assert_true(msg.offset >= next);
			lost += msg.offset - next;
			next = msg.offset + (uint64_t)n - offsetof(struct console_log_msg, data);
			got += (uint64_t)n - offsetof(struct console_log_msg, data);
		}
		fixture_settle(&f);
	}
	assert_true(lost > 0);
	assert_int_equal(got + lost, 32 * sizeof(big));
	close(fd);
	fixture_fini(&f);
}

static void *reader_main(void *arg)
{
	struct console_log_msg msg;
	size_t *total = arg;
	int fd = (int)*total;
	ssize_t n;

	*total = 0;
	while ((n = recv(fd, &msg, sizeof(msg), 0)) > 0)
		*total += (size_t)n - offsetof(struct console_log_msg, data);
	return NULL;
}

/* The last words of a guest that has filled everything: the console's end waits for the log to take them. */
static void a_log_gets_the_end(void **state)
{
	static char big[CONSOLE_RING_SIZE];
	int size = 4096, fds[2];
	struct fixture f;
	pthread_t thread;
	size_t total;

	(void)state;
	fixture_init(&f);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), 0);
	assert_int_equal(setsockopt(fds[1], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)), 0);
	assert_int_equal(console_attach_log(f.console, fds[1], NULL), 0);
	console_write(f.console, big, sizeof(big));
	total = (size_t)fds[0];
	assert_int_equal(pthread_create(&thread, NULL, reader_main, &total), 0);
	fixture_fini(&f);
	pthread_join(thread, NULL);
	assert_int_equal(total, sizeof(big));
	close(fds[0]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(readers_get_the_scrollback),
		cmocka_unit_test(one_writer_and_take),
		cmocka_unit_test(a_slow_reader_is_told),
		cmocka_unit_test(input_waits_for_the_guest),
		cmocka_unit_test(files_as_stdin_and_stdout),
		cmocka_unit_test(a_dead_client_makes_room),
		cmocka_unit_test(writes_of_a_vcpu_all_arrive),
		cmocka_unit_test(a_log_knows_where_it_is),
		cmocka_unit_test(the_last_is_saved),
		cmocka_unit_test(a_log_shows_its_gaps),
		cmocka_unit_test(a_log_gets_the_end),
	};

	return cmocka_run_group_tests_name("console", tests, NULL, NULL);
}
