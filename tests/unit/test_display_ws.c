// SPDX-License-Identifier: MIT
/* A viewer in a browser: WebSocket's handshake and frames (display/ws.h; RFC 6455), and the bridge to who knows no frames. */
#include "tests/lib/test.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "display/bridge.h"
#include "display/ws.h"
#include "lib/util.h"

/* --- the handshake ------------------------------------------------------------------------------------------ */

#define GET "GET /chat HTTP/1.1\r\n"
#define UPGRADE "Upgrade: websocket\r\n"
#define VERSION13 "Sec-WebSocket-Version: 13\r\n"
#define KEY "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
#define ASK GET UPGRADE VERSION13 KEY
#define ANSWER                                                                              \
	"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" \
	"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"

static void test_request(void **state)
{
	static const char *const asked[] = {
		ASK "\r\n",
		ASK "Sec-WebSocket-Protocol: chat, binary \r\n\r\n",
		("GET / HTTP/1.1\r\nHost: x\r\nupgrade:\t WebSocket "
		 "\r\nsec-websocket-version:13\r\n"
		 "SEC-WEBSOCKET-KEY: dGhlIHNhbXBsZSBub25jZQ==\t\r\n\r\n"),
	};
	char answer[WS_ANSWER_MAX];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(asked); i++) {
		size_t len = strlen(asked[i]);

		for (size_t n = 1; n < len; n++)
			assert_int_equal(ws_request(asked[i], n, answer), 0);
		assert_int_equal(ws_request(asked[i], len, answer), len);
		/* section 1.3 has this answer to that key */
		assert_string_equal(answer, i == 1 ? ANSWER "Sec-WebSocket-Protocol: binary\r\n\r\n"
						   : ANSWER "\r\n");
	}
	/* what follows is not looked at */
	assert_int_equal(ws_request(ASK "\r\n\0more", sizeof(ASK "\r\n\0more") - 1, answer),
			 sizeof(ASK "\r\n") - 1);
}

static void test_bad_request(void **state)
{
	static const char *const asked[] = {
		"POST / HTTP/1.1\r\n",
		"GEX",
		GET VERSION13 KEY "\r\n",
		GET UPGRADE KEY "\r\n",
		GET UPGRADE VERSION13 "\r\n",
		GET UPGRADE "Sec-WebSocket-Version: 8\r\n" KEY "\r\n",
		GET "Upgrade: h2c\r\n" VERSION13 KEY "\r\n",
		GET UPGRADE VERSION13 "Sec-WebSocket-Key: dGhlIHNhbXBsZQ==\r\n\r\n",
		GET UPGRADE VERSION13 "Sec-WebSocket-Key: ????????????????????????\r\n\r\n",
		GET UPGRADE VERSION13 "Sec-WebSocket-Key:\r\n\r\n",
		GET UPGRADE VERSION13 "Sec-WebSocket-Key\r\n\r\n",
		GET UPGRADE VERSION13 "X-Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
	};
	char many[WS_REQUEST_MAX], answer[WS_ANSWER_MAX];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(asked); i++)
		assert_int_equal(ws_request(asked[i], strlen(asked[i]), answer), -EPROTO);
	assert_int_equal(ws_request("GET \0" UPGRADE VERSION13 KEY "\r\n",
				    sizeof("GET \0" UPGRADE VERSION13 KEY "\r\n") - 1, answer),
			 -EPROTO);
	/* too long: as a whole, or a value */
	memset(many, 'a', sizeof(many));
	memcpy(many, "GET ", 4);
	assert_int_equal(ws_request(many, sizeof(many) - 1, answer), 0);
	assert_int_equal(ws_request(many, sizeof(many), answer), -EPROTO);
	memcpy(many, GET UPGRADE VERSION13 "Sec-WebSocket-Key: ",
	       sizeof(GET UPGRADE VERSION13 "Sec-WebSocket-Key: ") - 1);
	memcpy(many + sizeof(many) - 4, "\r\n\r\n", 4);
	assert_int_equal(ws_request(many, sizeof(many), answer), -EPROTO);
}

/* --- frames ---------------------------------------------------------------------------------------------------- */

/* Section 5.7's "Hello", masked; and then in two parts, with a ping between them; one of nothing. */
static const uint8_t frames[] = {
	0x82, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58, /* Hello */
	0x02, 0x83, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d,		  /* Hel */
	0x89, 0x82, 1,	  2,	3,    4,    9,	  9,			  /* ping */
	0x80, 0x82, 0x3d, 0x37, 0xfa, 0x21, 0x51, 0x58,			  /* lo */
	0x82, 0x80, 1,	  2,	3,    4,				  /* nothing */
	0x82, 0xfe, 0,	  1,	0,    0,    0,	  0,	'!',		  /* 16 bits of length */
	0x82, 0xff, 0,	  0,	0,    0,    0,	  0,	0,    1,    0,	  0, 0, 0, '?',
};

static void test_frames(void **state)
{
	(void)state;
	/* in pieces of each size */
	for (size_t piece = 1; piece <= sizeof(frames); piece++) {
		struct ws_in in = { 0 };
		char text[sizeof(frames)];
		size_t len = 0;

		for (size_t at = 0; at < sizeof(frames); at += piece) {
			uint8_t buf[sizeof(frames)];
			size_t n = MIN(piece, sizeof(frames) - at);
			ssize_t got;

			memcpy(buf, frames + at, n);
			got = ws_decode(&in, buf, n);
			assert_in_range(got, 0, n);
			memcpy(text + len, buf, (size_t)got);
			len += (size_t)got;
		}
		assert_int_equal(len, 12);
		assert_memory_equal(text, "HelloHello!?", 12);
		assert_false(in.inside);
	}
}

static void expect_bad(const char *bytes, size_t n, int code)
{
	struct ws_in in = { 0 };
	uint8_t buf[64];

	memcpy(buf, bytes, n);
	assert_int_equal(ws_decode(&in, buf, n), code);
}

static void test_bad_frames(void **state)
{
	(void)state;
	expect_bad("\x82\1\0\0\0\0", 6, -EPROTO);		     /* not masked */
	expect_bad("\x81\x81\0\0\0\0a", 7, -EPROTO);		     /* text */
	expect_bad("\xc2\x81\0\0\0\0a", 7, -EPROTO);		     /* an extension's */
	expect_bad("\x80\x81\0\0\0\0a", 7, -EPROTO);		     /* goes on with nothing */
	expect_bad("\2\x81\0\0\0\0a\x82\x81\0\0\0\0a", 14, -EPROTO); /* begins in another */
	expect_bad("\x83\x80\0\0\0\0", 6, -EPROTO);
	expect_bad("\x8b\x80\0\0\0\0", 6, -EPROTO);
	expect_bad("\x09\x80\0\0\0\0", 6, -EPROTO);	  /* a ping in parts */
	expect_bad("\x89\xfe\0\x7e\0\0\0\0", 8, -EPROTO); /* or too long */
	expect_bad("\x82\xff\x80\0\0\0\0\0\0\0\0\0\0\0", 14, -EPROTO);
	expect_bad("\x88\x80\0\0\0\0", 6, -ECONNRESET);
}

static void test_heads(void **state)
{
	uint8_t head[WS_HEAD_MAX];

	(void)state;
	assert_int_equal(ws_head(head, 125), 2);
	assert_memory_equal(head, "\x82\x7d", 2);
	assert_int_equal(ws_head(head, 126), 4);
	assert_memory_equal(head, "\x82\x7e\0\x7e", 4);
	assert_int_equal(ws_head(head, 0xffff), 4);
	assert_memory_equal(head, "\x82\x7e\xff\xff", 4);
	assert_int_equal(ws_head(head, 0x10000), 10);
	assert_memory_equal(head, "\x82\x7f\0\0\0\0\0\1\0\0", 10);
}

/* --- the bridge -------------------------------------------------------------------------------------------------- */

struct ends {
	uv_loop_t loop;
	int viewer, plain;
};

static int setup(void **state)
{
	static struct ends e;
	int pair[2];

	assert_int_equal(uv_loop_init(&e.loop), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair),
			 0);
	e.viewer = pair[0];
	e.plain = bridge_new(&e.loop, pair[1]);
	assert_true(e.plain >= 0);
	*state = &e;
	return 0;
}

/* The bridge has gone by itself: nothing is left on the loop. */
static int teardown(void **state)
{
	struct ends *e = *state;

	close(e->viewer);
	close(e->plain);
	uv_run(&e->loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&e->loop), 0);
	return 0;
}

static size_t hear(struct ends *e, int fd, uint8_t *to, size_t size)
{
	size_t len = 0;

	for (unsigned int i = 0; i < 10000 && len < size; i++) {
		ssize_t n = recv(fd, to + len, size - len, 0);

		len += n > 0 ? (size_t)n : 0;
		uv_run(&e->loop, UV_RUN_NOWAIT);
	}
	return len;
}

static void test_bridge(void **state)
{
	struct ends *e = *state;
	uint8_t buf[64];

	assert_int_equal(send(e->viewer, frames, sizeof(frames), 0), sizeof(frames));
	assert_int_equal(hear(e, e->plain, buf, 12), 12);
	assert_memory_equal(buf, "HelloHello!?", 12);
	assert_int_equal(send(e->plain, "back", 4, 0), 4);
	assert_int_equal(hear(e, e->viewer, buf, 6), 6);
	assert_memory_equal(buf, "\x82\4back", 6);
}

/* More than the sockets take at once, and nobody reads at first: nothing is lost, and nothing is out of order. */
static void test_bridge_full(void **state)
{
	struct ends *e = *state;
	size_t sent = 0, got = 0;
	uint8_t buf[5000], head[4];

	while (sent < 4 << 20) {
		ssize_t n;

		for (size_t i = 0; i < sizeof(buf); i++)
			buf[i] = (uint8_t)((sent + i) % 251);
		n = send(e->plain, buf, sizeof(buf), 0);
		if (n < 0)
			break;
		sent += (size_t)n;
		uv_run(&e->loop, UV_RUN_NOWAIT);
	}
	assert_in_range(sent, 100000, (4 << 20) - 1);
	while (got < sent) {
		size_t n = 2;

		assert_int_equal(hear(e, e->viewer, head, 2), 2);
		assert_int_equal(head[0], 0x82);
		if (head[1] == 126)
			assert_int_equal(hear(e, e->viewer, head + 2, 2), 2);
		n = head[1] == 126 ? (size_t)head[2] << 8 | head[3] : head[1];
		for (uint8_t byte; n; n--, got++) {
			assert_int_equal(hear(e, e->viewer, &byte, 1), 1);
			assert_int_equal(byte, got % 251);
		}
	}
	assert_int_equal(got, sent);
}

static void test_bridge_ends(void **state)
{
	struct ends *e = *state;
	uint8_t byte;

	assert_int_equal(send(e->viewer, "\x82\1\0\0\0\0", 6, 0), 6); /* not masked */
	uv_run(&e->loop, UV_RUN_DEFAULT);
	assert_int_equal(recv(e->plain, &byte, 1, 0), 0);
	assert_int_equal(recv(e->viewer, &byte, 1, 0), 0);
}

static void test_bridge_leaves(void **state)
{
	struct ends *e = *state;
	uint8_t buf[6];

	assert_int_equal(send(e->plain, "last", 4, 0), 4);
	close(e->plain);
	e->plain = -1;
	uv_run(&e->loop, UV_RUN_DEFAULT);
	assert_int_equal(recv(e->viewer, buf, 6, 0), 6);
	assert_int_equal(recv(e->viewer, buf, 6, 0), 0);
}

int main(void)
{
#define B(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_request),
		cmocka_unit_test(test_bad_request),
		cmocka_unit_test(test_frames),
		cmocka_unit_test(test_bad_frames),
		cmocka_unit_test(test_heads),
		B(test_bridge),
		B(test_bridge_full),
		B(test_bridge_ends),
		B(test_bridge_leaves),
	};
#undef B

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
