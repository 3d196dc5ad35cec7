// SPDX-License-Identifier: MIT
/*
 * A viewer that asks for pictures and reads none of them: libvncserver, which waits for room in its socket by select(2), is never
 * made to (display/slice.h), in no encoding, of no picture, by no kind of socket.
 */
#include "tests/lib/test.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "display/vnc.h"
#include "lib/util.h"

#define WIDTH 1024
#define HEIGHT 768
#define ASKED 60 /* times: more than a screen of the smallest slices */

enum picture { FLAT, NOISE, STRIPES, TEXT, PICTURES };
enum transport { UNIX, TCP, BROWSER, TRANSPORTS };

struct fixture {
	uv_loop_t loop;
	struct screen screen;
	struct vnc *vnc;
	struct sockaddr_storage at;
	socklen_t at_len;
};

/* In the place of the C library's */
static unsigned int waits;

int select(int n, fd_set *r, fd_set *w, fd_set *e, struct timeval *t)
{
	(void)n, (void)r, (void)w, (void)e, (void)t;
	waits++;
	return 0; /* in vain */
}

static void nothing(void *arg)
{
	(void)arg;
}

static void no_key(void *arg, uint16_t key, bool down)
{
	(void)arg, (void)key, (void)down;
}

static void no_pointer(void *arg, const struct link_pointer *p)
{
	(void)arg, (void)p;
}

static const struct vnc_ops ops = { nothing, nothing, no_key, no_pointer };

static int listening(struct fixture *f, enum transport t)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	struct sockaddr_in in = { .sin_family = AF_INET,
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd =
		socket(t == TCP ? AF_INET : AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	f->at_len = sizeof(f->at);
	if (t == TCP)
		assert_int_equal(bind(fd, (struct sockaddr *)&in, sizeof(in)), 0);
	else
		assert_int_equal(bind(fd, (struct sockaddr *)&un, sizeof(un.sun_family)), 0);
	assert_int_equal(listen(fd, 4), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&f->at, &f->at_len), 0);
	return fd;
}

static void begin(struct fixture *f, enum transport t)
{
	struct vnc_options o = {
		.loop = &f->loop, .screen = &f->screen, .name = "hold", .ops = &ops, .arg = f
	};
	struct err e;

	assert_int_equal(uv_loop_init(&f->loop), 0);
	assert_int_equal(screen_init(&f->screen, NULL), 0);
	f->screen.width = WIDTH;
	f->screen.height = HEIGHT;
	assert_int_equal(vnc_new(&o, listening(f, t), &f->vnc, &e), 0);
}

static void end(struct fixture *f)
{
	vnc_free(f->vnc);
	uv_run(&f->loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&f->loop), 0);
	screen_fini(&f->screen);
}

static void paint(struct fixture *f, enum picture picture)
{
	unsigned int seed = 1;

	for (size_t i = 0; i < (size_t)WIDTH * HEIGHT; i++) {
		uint32_t pixel = 0, dice = (uint32_t)rand_r(&seed);

		if (picture == NOISE)
			pixel = dice & 0xffffff;
		else if (picture == STRIPES)
			pixel = i % 2 ? 0xffffff : 0;
		else if (picture == TEXT && i / WIDTH % 16 < 12)
			pixel = dice % 4 ? 0 : 0xc0c0c0;
		memcpy(f->screen.pixels + i * SCREEN_PIXEL, &pixel, SCREEN_PIXEL);
	}
	vnc_screen_ops.changed(f->vnc, 0, 0, WIDTH, HEIGHT);
}

/* As one frame where frames are (RFC 6455, section 5.2), with a mask that changes nothing. */
static void say(struct fixture *f, int fd, enum transport t, const void *bytes, size_t n)
{
	uint8_t head[] = { 0x82, (uint8_t)(0x80 | n), 0, 0, 0, 0 };

	if (t == BROWSER)
		assert_int_equal(send(fd, head, sizeof(head), 0), sizeof(head));
	assert_int_equal(send(fd, bytes, n, 0), n);
	for (unsigned int i = 0; i < 4; i++)
		uv_run(&f->loop, UV_RUN_NOWAIT);
}

static int look(struct fixture *f, enum transport t, int encoding)
{
	static const char ask[] = "GET / HTTP/1.1\r\nUpgrade: websocket\r\n"
				  "Sec-WebSocket-Version: 13\r\n"
				  "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
	uint8_t encodings[] = { 2, 0, 0, 1, 0, 0, 0, 0 };
	int fd = socket(f->at.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	uint32_t number = htonl((uint32_t)encoding);
	uint8_t login[512];
	int least = 1, one = 1;

	/* of TCP, what is sent and not read is mostly here */
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &least, sizeof(least)), 0);
	if (t == TCP) /* each request is to come at once */
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	assert_int_equal(connect(fd, (struct sockaddr *)&f->at, f->at_len), 0);
	if (t == BROWSER)
		say(f, fd, UNIX, ask, sizeof(ask) - 1);
	say(f, fd, t, "RFB 003.008\n\1\1", 14);
	while (recv(fd, login, sizeof(login), MSG_DONTWAIT) > 0)
		;
	memcpy(encodings + 4, &number, sizeof(number));
	say(f, fd, t, encodings, sizeof(encodings));
	assert_int_equal(vnc_viewers(f->vnc), 1);
	return fd;
}

static void hold(enum transport t, int encoding, enum picture picture)
{
	static const uint8_t request[] = { 3, 0, 0, 0, 0, 0, WIDTH >> 8, 0, HEIGHT >> 8, 0 };
	struct fixture f;
	uint8_t byte;
	int fd;

	begin(&f, t);
	paint(&f, picture);
	fd = look(&f, t, encoding);
	vnc_drawn(f.vnc);
	for (unsigned int i = 0; i < ASKED; i++)
		say(&f, fd, t, request, sizeof(request));
	if (waits)
		print_error("transport %d, encoding %d, picture %d\n", t, encoding, picture);
	assert_int_equal(waits, 0);
	/* it is there, and something is there for it: after what a frame begins with, an update, 0 */
	assert_int_equal(vnc_viewers(f.vnc), 1);
	assert_int_equal(recv(fd, &byte, 1, MSG_DONTWAIT), 1);
	assert_int_equal(byte, t == BROWSER ? 0x82 : 0);
	close(fd);
	end(&f);
}

static void hold_all(enum transport t)
{
	/* raw, RRE, CoRRE, hextile, zlib, Tight, Ultra, ZRLE, ZYWRLE, TightPng */
	static const int encodings[] = { 0, 2, 4, 5, 6, 7, 9, 16, 17, -260 };

	waits = 0;
	for (size_t i = 0; i < ARRAY_SIZE(encodings); i++)
		for (enum picture p = 0; p < PICTURES; p++)
			hold(t, encodings[i], p);
}

static void test_unix(void **state)
{
	(void)state;
	hold_all(UNIX);
}

static void test_tcp(void **state)
{
	(void)state;
	hold_all(TCP);
}

static void test_browser(void **state)
{
	(void)state;
	hold_all(BROWSER);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_unix), cmocka_unit_test(test_tcp),
					    cmocka_unit_test(test_browser) };

	signal(SIGPIPE, SIG_IGN);
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
