// SPDX-License-Identifier: MIT
/*
 * Viewers of a screen that say something half, one byte at a time, or nothing: before they have logged in, which anybody can be who
 * reaches the port, and after that. The others look, type and log in meanwhile. See test_display.c.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/functional/viewing.h"

#define PASSWORD "sesame"
#define PLACES 8     /* of viewers that have logged in */
#define NEWCOMERS 16 /* that have not */

/* A VM with a display on TCP, and a viewer that has logged in. */
struct fixture {
	struct harness *h;
	struct client *c;
	struct rfb r;
	int port;
};

static int free_port(void)
{
	struct sockaddr_in at = { .sin_family = AF_INET,
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(at);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &len), 0);
	close(fd);
	return ntohs(at.sin_port);
}

static void begin(struct fixture *f, struct harness *h)
{
	char members[600];

	*f = (struct fixture){ .h = h, .port = free_port() };
	snprintf(members, sizeof(members),
		 "'profile': 'legacy-pc', 'devices': [{'type': 'vga'}],"
		 " 'display': {'port': %d, 'password_file': '%s'}",
		 f->port, harness_file(h, "password", PASSWORD "\n"));
	f->c = viewing_start(h, members);
	viewing_address(f->c);
	assert_true(rfb_connect(&f->r, "127.0.0.1", f->port, RAW, PASSWORD));
	viewing_expect_same(&f->r, f->c);
}

/* The process answers: a pixel, whether or not it is new. */
static void expect_alive(struct fixture *f)
{
	assert_true(SendFramebufferUpdateRequest(f->r.client, 0, 0, 1, 1, FALSE));
	rfb_update(&f->r);
}

static void expect_another(struct fixture *f)
{
	struct rfb other;

	assert_true(rfb_connect(&other, "127.0.0.1", f->port, RAW, PASSWORD));
	viewing_expect_same(&other, f->c);
	rfb_close(&other);
	expect_alive(f); /* it has seen that one go */
}

/* --- one that is slow ---------------------------------------------------------------------------------------- */

struct slow {
	struct fixture *f;
	int fd;
	bool frames;	   /* it is a browser */
	unsigned int left; /* of the frame that is being read */
};

static int dial(struct fixture *f)
{
	struct sockaddr_in at = { .sin_family = AF_INET,
				  .sin_port = htons((uint16_t)f->port),
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct timeval limit = { .tv_sec = HARNESS_WAIT_MS / 1000 };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;

	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)), 0);
	assert_int_equal(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)), 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	return fd;
}

/* A byte at a time, and others are served between them. */
static void say_raw(struct slow *s, const void *bytes, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		assert_int_equal(send(s->fd, (const char *)bytes + i, 1, MSG_NOSIGNAL), 1);
		expect_alive(s->f);
	}
}

static void say(struct slow *s, const void *bytes, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		/* final, binary; masked, of one byte; the mask (RFC 6455, section 5.2) */
		uint8_t frame[] = {
			0x82, 0x81, 0x11, 0x22, 0x33, 0x44, ((const uint8_t *)bytes)[i] ^ 0x11
		};

		if (s->frames)
			say_raw(s, frame, sizeof(frame));
		else
			say_raw(s, (const uint8_t *)bytes + i, 1);
	}
}

static void hear_raw(struct slow *s, void *to, size_t size)
{
	assert_int_equal(recv(s->fd, to, size, MSG_WAITALL), size);
}

static void hear(struct slow *s, void *to, size_t size)
{
	uint8_t head[4];

	for (size_t at = 0; at < size; at++) {
		while (s->frames && !s->left) {
			hear_raw(s, head, 2);
			assert_int_equal(head[0], 0x82);
			if (head[1] == 126)
				hear_raw(s, head + 2, 2);
			s->left = head[1] == 126 ? (unsigned int)head[2] << 8 | head[3] : head[1];
		}
		hear_raw(s, (uint8_t *)to + at, 1);
		s->left -= s->frames;
	}
}

static void log_in(struct slow *s)
{
	uint8_t buf[64];

	hear(s, buf, 12);
	assert_memory_equal(buf, "RFB 003.008\n", 12);
	say(s, buf, 6);
	expect_another(s->f);
	say(s, buf + 6, 6);
	hear(s, buf, 2);
	assert_memory_equal(buf, "\x01\x02", 2); /* a password is asked for */
	expect_another(s->f);
	say(s, buf + 1, 1);
	hear(s, buf, 16);
	rfbEncryptBytes(buf, (char *)PASSWORD);
	say(s, buf, 15);
	expect_another(s->f);
	say(s, buf + 15, 1);
	hear(s, buf, 4);
	assert_memory_equal(buf, "\0\0\0\0", 4);
	expect_another(s->f);
	say(s, "\1", 1);
	hear(s, buf, 24 + 3);
	assert_memory_equal(buf + 24, "one", 3);
}

/* What it says then, half and whole; the last of it is answered. */
static void look(struct slow *s)
{
	static const uint8_t encodings[] = { 2, 0, 0, 2, 0, 0, 0, 0, 0xff, 0xff, 0xfe, 0xfe };
	static const uint8_t cut[] = { 6, 0, 0, 0, 0, 0, 0, 20 };
	static const uint8_t request[] = { 3, 0, 0, 0, 0, 0, 0, 1, 0, 1 };
	uint8_t buf[32];

	say(s, encodings, 4);
	expect_another(s->f);
	say(s, encodings + 4, sizeof(encodings) - 4);
	say(s, cut, sizeof(cut));
	expect_another(s->f);
	say(s, "twenty bytes of text", 20);
	say(s, request, sizeof(request) - 1);
	expect_another(s->f);
	say(s, request + sizeof(request) - 1, 1);
	hear(s, buf, 4 + 12 + 4);
	assert_memory_equal(buf, "\0\0\0\1\0\0\0\0\0\1\0\1\0\0\0\0", 16);
	/* the other end of it */
	say(s, request, 5);
	assert_int_equal(viewing_count(s->f->c), 2);
	shutdown(s->fd, SHUT_WR);
	while (recv(s->fd, buf, sizeof(buf), 0) > 0)
		;
	close(s->fd);
	expect_alive(s->f);
	assert_int_equal(viewing_count(s->f->c), 1);
}

static void test_bytes(void **state)
{
	struct fixture f;
	struct slow s;

	NEEDS_KVM;
	begin(&f, *state);
	s = (struct slow){ .f = &f, .fd = dial(&f) };
	log_in(&s);
	look(&s);
	viewing_expect_same(&f.r, f.c);
	rfb_close(&f.r);
}

static void test_websocket(void **state)
{
	static const char ask[] = "GET / HTTP/1.1\r\nHost: one\r\nUpgrade: websocket\r\n"
				  "Connection: Upgrade\r\nOrigin: http://one\r\n"
				  "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
				  "Sec-WebSocket-Version: 13\r\n\r\n";
	char answer[400] = "";
	struct fixture f;
	struct slow s;

	NEEDS_KVM;
	begin(&f, *state);
	s = (struct slow){ .f = &f, .fd = dial(&f) };
	say_raw(&s, ask, 3);
	expect_another(&f);
	say_raw(&s, ask + 3, sizeof(ask) - 1 - 3 - 1);
	expect_another(&f);
	say_raw(&s, ask + sizeof(ask) - 2, 1);
	for (size_t n = 0; !strstr(answer, "\r\n\r\n") && n < sizeof(answer) - 1; n++)
		hear_raw(&s, answer + n, 1);
	assert_non_null(strstr(answer, "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"));
	s.frames = true;
	log_in(&s);
	look(&s);
	viewing_expect_same(&f.r, f.c);
	rfb_close(&f.r);
}

/* --- many ------------------------------------------------------------------------------------------------------ */

static void expect_gone(int fd)
{
	char bytes[64];
	ssize_t n;

	while ((n = recv(fd, bytes, sizeof(bytes), 0)) > 0)
		;
	assert_true(n == 0 || errno == ECONNRESET);
	close(fd);
}

/* However many come and say nothing, or a byte: who logs in is heard; those that came first make room. */
static void test_many(void **state)
{
	int fds[3 * NEWCOMERS];
	struct fixture f;

	NEEDS_KVM;
	begin(&f, *state);
	for (unsigned int i = 0; i < ARRAY_SIZE(fds); i++) {
		fds[i] = dial(&f);
		if (i % 3)
			assert_int_equal(send(fds[i], i % 3 == 1 ? "R" : "G", 1, MSG_NOSIGNAL), 1);
		expect_alive(&f);
	}
	expect_another(&f);
	viewing_expect_same(&f.r, f.c);
	assert_int_equal(viewing_count(f.c), 1);
	for (unsigned int i = 0; i < ARRAY_SIZE(fds); i++)
		if (i < ARRAY_SIZE(fds) - NEWCOMERS)
			expect_gone(fds[i]);
		else
			close(fds[i]);
	rfb_close(&f.r);
}

static bool never(struct rfb *r, const void *arg)
{
	(void)r, (void)arg;
	return false;
}

/* Those that look keep their places. */
static void test_places(void **state)
{
	struct rfb others[PLACES - 1], more;
	struct fixture f;

	NEEDS_KVM;
	begin(&f, *state);
	for (unsigned int i = 0; i < ARRAY_SIZE(others); i++)
		assert_true(rfb_connect(&others[i], "127.0.0.1", f.port, RAW, PASSWORD));
	viewing_expect_same(&others[PLACES - 2], f.c);
	assert_int_equal(viewing_count(f.c), PLACES);
	if (rfb_connect(&more, "127.0.0.1", f.port, RAW, PASSWORD)) {
		assert_false(rfb_until(&more, never, NULL));
		rfb_close(&more);
	}
	for (unsigned int i = 0; i < ARRAY_SIZE(others); i++) {
		viewing_expect_same(&others[i], f.c);
		rfb_close(&others[i]);
	}
	expect_another(&f);
	rfb_close(&f.r);
}

/* A clipboard is not here: its text goes by, however long it is. */
static void test_clipboard(void **state)
{
	size_t size = 3 << 20;
	char *text = malloc(size);
	struct fixture f;

	NEEDS_KVM;
	begin(&f, *state);
	memset(text, 4, size); /* would be keys */
	assert_true(SendClientCutText(f.r.client, text, (int)size));
	free(text);
	viewing_type_a(&f.r, f.c);
	viewing_expect_same(&f.r, f.c);
	rfb_close(&f.r);
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, harness_setup, harness_teardown)
	const struct CMUnitTest tests[] = { T(test_bytes), T(test_websocket), T(test_many),
					    T(test_places), T(test_clipboard) };
#undef T

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
