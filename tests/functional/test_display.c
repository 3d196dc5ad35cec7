// SPDX-License-Identifier: MIT
/*
 * Viewers of a screen: vm.display, vmctl display, vmm-display in its cage beside the real vmm, and a guest that draws and tells what
 * it was typed (tests/guest/look.c). What a viewer sees is compared with the screenshot, pixel by pixel.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/functional/viewing.h"

static void test_looks(void **state)
{
	static const char *const encodings[] = { "raw", "hextile", "zlib", "zrle", "tight" };
	struct harness *h = *state;
	struct harness_output got;
	struct rfb r, other;
	struct client *c;
	char text[400];
	struct stat st;

	NEEDS_KVM;
	c = viewing_start(h, MEMBERS("{'type': 'vnc'}"));
	for (unsigned int i = 0; i < ARRAY_SIZE(encodings); i++) {
		assert_true(rfb_connect(&r, viewing_address(c), 0, encodings[i], NULL));
		viewing_expect_same(&r, c);
		assert_int_equal(viewing_count(c), 1);
		rfb_close(&r);
	}
	/* two at once, and the guest draws meanwhile */
	viewing_look(&r, c);
	viewing_look(&other, c);
	viewing_expect_same(&r, c);
	viewing_type_a(&r, c);
	viewing_expect_same(&r, c);
	viewing_expect_same(&other, c);
	assert_int_equal(rfb_pixel(&other, 7, 0x1e), 0xffffff);
	assert_int_equal(viewing_count(c), 2);
	rfb_close(&other);
	rfb_close(&r);
	/* only its owner gets there */
	assert_int_equal(stat(viewing_address(c), &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(harness_vmctl(h, NULL, &got, "display", "one", NULL), 0);
	snprintf(text, sizeof(text), "%s\n", viewing_address(c));
	assert_string_equal(got.out, text);
}

/* Text, whose memory is written by exits. */
static void test_text(void **state)
{
	struct harness *h = *state;
	struct client *c;
	struct rfb r;

	NEEDS_KVM;
	c = scene_start_guest(h, "screen", "mode=1 stay=1", MEMBERS("{}"));
	scene_says(c, "^screen: drawn");
	viewing_look_same(&r, c);
	assert_int_equal(r.client->width, 720);
	assert_int_equal(r.client->height, 400);
	rfb_close(&r);
}

static void test_resize(void **state)
{
	struct harness *h = *state;
	struct client *c;
	struct rfb r;

	NEEDS_KVM;
	c = viewing_start_looking(h, &r);
	assert_int_equal(r.client->width, 320);
	rfb_key(&r, 'r', true);
	scene_says(c, "^code 13");
	viewing_expect_same(&r, c);
	assert_int_equal(r.client->width, 400);
	assert_int_equal(r.client->height, 300);
	rfb_close(&r);
	/* one that takes no other size is sent away rather than shown something else */
	viewing_look_same(&r, c);
	rfb_close(&r);
}

static void take_bytes(int fd, void *to, size_t size)
{
	assert_int_equal(recv(fd, to, size, MSG_WAITALL), size);
}

/* A viewer that knows of scan codes is told that the server does: by a rectangle of that encoding (rfbproto). */
static void expect_scan_codes(const char *path)
{
	static const uint8_t encodings[] = { 2, 0, 0, 2, 0, 0, 0, 0, 0xff, 0xff, 0xfe, 0xfe };
	static const uint8_t request[] = { 3, 0, 0, 0, 0, 0, 0, 1, 0, 1 };
	uint8_t buf[64], rect[12];
	int fd = viewing_dial(path);

	take_bytes(fd, buf, 12);
	assert_memory_equal(buf, "RFB 003.008\n", 12);
	assert_int_equal(write(fd, buf, 12), 12);
	take_bytes(fd, buf, 2);
	assert_memory_equal(buf, "\x01\x01", 2); /* no password */
	assert_int_equal(write(fd, buf, 1), 1);
	take_bytes(fd, buf, 4);
	assert_int_equal(write(fd, buf + 3, 1), 1); /* ClientInit: 0, shared as they all are */
	take_bytes(fd, buf, 24 + 3);
	assert_memory_equal(buf + 24, "one", 3);
	assert_int_equal(write(fd, encodings, sizeof(encodings)), sizeof(encodings));
	assert_int_equal(write(fd, request, sizeof(request)), sizeof(request));
	for (unsigned int i = 0; i < 2; i++) {
		take_bytes(fd, buf, 4);
		assert_memory_equal(buf, "\0\0\0\1", 4);
		take_bytes(fd, rect, sizeof(rect));
		if (i)
			assert_memory_equal(rect + 8, encodings + 8, 4);
		else
			take_bytes(fd, buf, 4); /* a pixel */
	}
	close(fd);
}

static void test_keys(void **state)
{
	struct harness *h = *state;
	struct client *c;
	struct rfb r;

	NEEDS_KVM;
	c = viewing_start_looking(h, &r);
	rfb_key(&r, 'q', true);
	rfb_key(&r, 'q', false);
	scene_says(c, "^code 90");
	rfb_key(&r, 0xe4, true); /* no key of a US keyboard: nothing, and what follows comes */
	/* by scan code, whatever the keysym: what was the key of a Z in Germany */
	expect_scan_codes(viewing_address(c));
	/* the library's own list has not got it */
	r.client->supportedMessages.client2server[rfbQemuEvent / 8] |= BIT(rfbQemuEvent % 8);
	assert_true(SendExtendedKeyEvent(r.client, 'z', 0x15, TRUE));
	scene_says(c, "^code 15");
	assert_true(SendExtendedKeyEvent(r.client, 0xff51, 0xcb, TRUE));
	scene_says(c, "^code 4b");
	/* the mouse moves by as much as the viewer's pointer did since its last word */
	assert_true(SendPointerEvent(r.client, 100, 100, 0));
	assert_true(SendPointerEvent(r.client, 103, 98, rfbButton1Mask));
	scene_says(c, "^mouse [01]9 03 02");
	/* what a viewer held when it left is let go */
	rfb_key(&r, XK_CONTROL, true);
	scene_says(c, "^code 1d");
	rfb_close(&r);
	scene_says(c, "^code 9d");
	scene_says(c, "^mouse [01]8 00 00");
	viewing_look(&r, c);
	rfb_key(&r, XK_ESCAPE, true);
	rfb_key(&r, XK_ESCAPE, false);
	scene_says(c, "^code 81");
	rfb_close(&r);
}

static unsigned long switches(pid_t pid)
{
	char path[64], line[128];
	unsigned long n = 0, one;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	f = fopen(path, "r");
	assert_non_null(f);
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "voluntary_ctxt_switches: %lu", &one) == 1)
			n += one;
	fclose(f);
	return n;
}

/* A viewer of a screen on which nothing happens gets no update, and the process that serves it is not woken. */
static void test_idle(void **state)
{
	struct harness *h = *state;
	unsigned int updates;
	unsigned long woken;
	struct client *c;
	struct rfb r;
	pid_t pid;

	NEEDS_KVM;
	c = viewing_start_looking(h, &r);
	pid = viewing_pid(h);
	assert_true(pid > 0);
	/* its answer to the last request is the next frame: none is on its way any more */
	viewing_type_a(&r, c);
	viewing_expect_same(&r, c);
	updates = r.nupdates;
	woken = switches(pid);
	/* the guest writes all of it once more, as it is: only the key and one frame to be compared wake it */
	rfb_key(&r, 't', true);
	scene_says(c, "^code 14");
	assert_int_equal(WaitForMessage(r.client, 1000000), 0);
	assert_int_equal(r.nupdates, updates);
	assert_true(switches(pid) - woken <= 8);
	rfb_close(&r);
}

/* Bytes that are no RFB, at each step of it: who sends them is gone, the others and the VM are not. */
static void test_hostile(void **state)
{
	static const char hello[] = "RFB 003.008\n\x01\x01";
	struct harness *h = *state;
	unsigned int seed = 1;
	struct client *c;
	struct rfb r;
	pid_t pid;

	NEEDS_KVM;
	c = viewing_start_looking(h, &r);
	pid = viewing_pid(h);
	for (unsigned int i = 0; i < 40; i++) {
		char bytes[512];
		int fd = viewing_dial(viewing_address(c));

		for (size_t n = 0; n < sizeof(bytes); n++)
			bytes[n] = (char)rand_r(&seed);
		/* after so much of the greeting as it takes to be somewhere else each time */
		if (i % 4)
			assert_true(send(fd, hello, i % 4 == 1 ? 12 : i % 4 == 2 ? 13 : 14, 0) > 0);
		bytes[0] = (char)(i / 4); /* each type of message there is */
		(void)send(fd, bytes, sizeof(bytes), MSG_NOSIGNAL);
		shutdown(fd, SHUT_WR);
		while (read(fd, bytes, sizeof(bytes)) > 0)
			;
		close(fd);
	}
	viewing_expect_same(&r, c);
	assert_int_equal(viewing_pid(h), pid);
	assert_int_equal(viewing_count(c), 1);
	rfb_close(&r);
	scene_expect_state(c, "one", "running");
}

/* As a browser's noVNC comes (RFC 6455): the same socket, and then the same protocol in frames. */
static void test_websocket(void **state)
{
	static const char ask[] = "GET /websockify HTTP/1.1\r\nHost: one\r\nUpgrade: websocket\r\n"
				  "Connection: Upgrade\r\nOrigin: http://one\r\n"
				  "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
				  "Sec-WebSocket-Protocol: binary\r\n"
				  "Sec-WebSocket-Version: 13\r\n\r\n";
	struct harness *h = *state;
	struct client *c;
	char answer[600] = "", *body;
	ssize_t n;
	int fd;

	NEEDS_KVM;
	c = viewing_start(h, MEMBERS("{}"));
	fd = viewing_dial(viewing_address(c));
	assert_int_equal(send(fd, ask, sizeof(ask) - 1, 0), sizeof(ask) - 1);
	for (size_t len = 0; !(body = strstr(answer, "\r\n\r\n")) || strlen(body) < 4 + 2 + 12;) {
		n = read(fd, answer + len, sizeof(answer) - 1 - len);
		assert_true(n > 0);
		len += (size_t)n;
	}
	assert_int_equal(strncmp(answer, "HTTP/1.1 101 ", 13), 0);
	/* section 1.3 has this answer to that key */
	assert_non_null(strstr(answer, "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
	assert_memory_equal(body + 4, "\x82\x0cRFB 003.008\n", 14);
	close(fd);
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, harness_setup, harness_teardown)
	const struct CMUnitTest tests[] = { T(test_looks),    T(test_text), T(test_resize),
					    T(test_keys),     T(test_idle), T(test_hostile),
					    T(test_websocket) };
#undef T

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
