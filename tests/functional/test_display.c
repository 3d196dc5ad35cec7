// SPDX-License-Identifier: MIT
/*
 * Viewers of a screen: vm.display, vmctl display, vmm-display in its cage beside the real vmm, and a guest that draws and tells what
 * it was typed (tests/guest/look.c). What a viewer sees is compared with the screenshot, pixel by pixel.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/errcat.h"
#include "tests/functional/rfb.h"
#include "tests/functional/scene.h"

#define XK_ESCAPE 0xff1b
#define XK_CONTROL 0xffe3
#define RAW "raw"

#define MEMBERS(display) "'profile': 'legacy-pc', 'devices': [{'type': 'vga'}], 'display': " display

/* --- what all begin with ------------------------------------------------------------------------------------------- */

/* Where it is, once somebody answers there. Valid until the next call. */
static const char *address(struct client *c)
{
	static char path[256];

	for (unsigned int i = 0; i < 100000; i++) {
		AUTO_JSON struct json_object *r = client_result(c, "vm.display", "{'vm': 'one'}");

		snprintf(path, sizeof(path), "%s", json_get_str(r, "address", ""));
		if (!strcmp(json_get_str(r, "state", ""), "up"))
			return path;
	}
	fail_msg("the display does not come up");
	return NULL;
}

static struct client *start(struct harness *h, const char *members)
{
	struct client *c = scene_start_guest(h, "look", "", members);

	scene_says(c, "^ready");
	return c;
}

static void look(struct rfb *r, struct client *c)
{
	assert_true(rfb_connect(r, address(c), 0, RAW, NULL));
}

/* What the screen shows is what the viewer sees, soon. */
static void expect_same(struct rfb *r, struct client *c)
{
	AUTO_JSON struct json_object *answer = client_result(c, "vm.screenshot", "{'vm': 'one'}");
	unsigned int width = (unsigned int)json_get_int(answer, "width", 0);
	unsigned int height = (unsigned int)json_get_int(answer, "height", 0);
	size_t size = (size_t)width * height * 3;
	int fd = client_take_fd(c);
	uint8_t *rgb = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);

	assert_true(rgb != MAP_FAILED);
	rfb_expect(r, width, height, rgb);
	munmap(rgb, size);
	close(fd);
}

static void look_same(struct rfb *r, struct client *c)
{
	look(r, c);
	expect_same(r, c);
}

/* A guest that draws, and a viewer that sees what its screen shows */
static struct client *start_looking(struct harness *h, struct rfb *r)
{
	struct client *c = start(h, MEMBERS("{}"));

	look_same(r, c);
	return c;
}

/* The guest draws something when it has this. */
static void type_a(struct rfb *r, struct client *c)
{
	rfb_key(r, 'a', true);
	scene_says(c, "^code 1e");
}

static int64_t viewers(struct client *c)
{
	AUTO_JSON struct json_object *r = client_result(c, "vm.display", "{'vm': 'one'}");

	return json_get_int(r, "viewers", -1);
}

/* The process that shows the screen: the one that has so many viewers is asked by nobody else. */
static pid_t display_pid(struct harness *h)
{
	char command[400];
	struct harness_output got;
	char *argv[] = { (char *)"/bin/sh", (char *)"-c", command, NULL };

	/* its directory is named by its monitor; the row of the database has its own number */
	snprintf(command, sizeof(command),
		 "for p in /proc/[0-9]*; do tr '\\0' ' ' <$p/cmdline 2>/dev/null |"
		 " grep -q 'vmm-displa[y].*--uid %u ' && echo ${p#/proc/}; done; true",
		 h->uid_first);
	assert_int_equal(harness_run(NULL, &got, argv), 0);
	return (pid_t)atoi(got.out);
}

/* --- looking -------------------------------------------------------------------------------------------------------- */

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
	c = start(h, MEMBERS("{'type': 'vnc'}"));
	for (unsigned int i = 0; i < ARRAY_SIZE(encodings); i++) {
		assert_true(rfb_connect(&r, address(c), 0, encodings[i], NULL));
		expect_same(&r, c);
		assert_int_equal(viewers(c), 1);
		rfb_close(&r);
	}
	/* two at once, and the guest draws meanwhile */
	look(&r, c);
	look(&other, c);
	expect_same(&r, c);
	type_a(&r, c);
	expect_same(&r, c);
	expect_same(&other, c);
	assert_int_equal(rfb_pixel(&other, 7, 0x1e), 0xffffff);
	assert_int_equal(viewers(c), 2);
	rfb_close(&other);
	rfb_close(&r);
	/* only its owner gets there */
	assert_int_equal(stat(address(c), &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(harness_vmctl(h, NULL, &got, "display", "one", NULL), 0);
	snprintf(text, sizeof(text), "%s\n", address(c));
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
	look_same(&r, c);
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
	c = start_looking(h, &r);
	assert_int_equal(r.client->width, 320);
	rfb_key(&r, 'r', true);
	scene_says(c, "^code 13");
	expect_same(&r, c);
	assert_int_equal(r.client->width, 400);
	assert_int_equal(r.client->height, 300);
	rfb_close(&r);
	/* one that takes no other size is sent away rather than shown something else */
	look_same(&r, c);
	rfb_close(&r);
}

/* --- typing -------------------------------------------------------------------------------------------------------- */

static int dial(const char *path)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(un.sun_path, sizeof(un.sun_path), "%s", path);
	assert_int_equal(connect(fd, (struct sockaddr *)&un, sizeof(un)), 0);
	return fd;
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
	int fd = dial(path);

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
	c = start_looking(h, &r);
	rfb_key(&r, 'q', true);
	rfb_key(&r, 'q', false);
	scene_says(c, "^code 90");
	rfb_key(&r, 0xe4, true); /* no key of a US keyboard: nothing, and what follows comes */
	/* by scan code, whatever the keysym: what was the key of a Z in Germany */
	expect_scan_codes(address(c));
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
	look(&r, c);
	rfb_key(&r, XK_ESCAPE, true);
	rfb_key(&r, XK_ESCAPE, false);
	scene_says(c, "^code 81");
	rfb_close(&r);
}

/* --- nothing happens ------------------------------------------------------------------------------------------------- */

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
	c = start_looking(h, &r);
	pid = display_pid(h);
	assert_true(pid > 0);
	/* its answer to the last request is the next frame: none is on its way any more */
	type_a(&r, c);
	expect_same(&r, c);
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

/* --- its end --------------------------------------------------------------------------------------------------------- */

static bool never(struct rfb *r, const void *arg)
{
	(void)r, (void)arg;
	return false;
}

static void expect_killed(struct client *c, bool again)
{
	AUTO_JSON struct json_object *event = client_event(c, "vm.display", NULL);
	struct json_object *data = json_get(event, "data");

	assert_string_equal(json_get_str(data, "name", ""), "one");
	assert_string_equal(json_get_str(data, "state", ""), "ended");
	assert_string_equal(json_get_str(data, "message", ""), "vmm-display ended by signal 9");
	assert_int_equal(json_get_bool(data, "again", !again), again);
}

static void test_dies(void **state)
{
	struct harness *h = *state;
	AUTO_JSON struct json_object *down = NULL;
	struct client *c;
	char path[256];
	struct rfb r;
	pid_t pid;

	NEEDS_KVM;
	c = start_looking(h, &r);
	snprintf(path, sizeof(path), "%s", address(c));
	rfb_key(&r, XK_CONTROL, true);
	scene_says(c, "^code 1d");
	pid = display_pid(h);
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_false(rfb_until(&r, never, NULL));
	rfb_close(&r);
	expect_killed(c, true);
	scene_says(c, "^code 9d"); /* the key that was held */
	look_same(&r, c);
	assert_int_not_equal(display_pid(h), pid);
	rfb_close(&r);
	/* each of its successors ends at once: it is left at that, and the VM runs on */
	for (unsigned int i = 0; i < 2; i++) {
		assert_int_equal(kill(display_pid(h), SIGKILL), 0);
		expect_killed(c, !i);
		if (!i)
			address(c);
	}
	down = client_result(c, "vm.display", "{'vm': 'one'}");
	assert_string_equal(json_get_str(down, "state", ""), "down");
	assert_null(json_get(down, "viewers"));
	scene_expect_state(c, "one", "running");
	json_object_put(client_result(c, "vm.kill", "{'vm': 'one'}"));
	/* a worker removes it */
	for (unsigned int i = 0; !access(path, F_OK) && i < 10000; i++)
		scene_expect_state(c, "one", "stopped");
	assert_int_equal(access(path, F_OK), -1);
}

/* The next vmd finds it, and what it did not see it finds out. */
static void test_vmd_dies(void **state)
{
	struct harness *h = *state;
	struct client *c;
	struct rfb r;
	pid_t pid;
	int pidfd;

	NEEDS_KVM;
	c = start_looking(h, &r);
	pid = display_pid(h);
	c = scene_restart(h, c, SIGKILL, NULL);
	assert_int_equal(viewers(c) < 0 ? 1 : viewers(c), 1);
	assert_int_equal(display_pid(h), pid);
	expect_same(&r, c);
	type_a(&r, c);
	expect_same(&r, c);
	rfb_close(&r);
	client_close(h, c);
	harness_vmd_end(h, SIGKILL);
	pidfd = harness_pidfd(pid);
	assert_int_equal(kill(pid, SIGKILL), 0);
	harness_wait_pidfd(pidfd);
	harness_vmd(h, NULL, NULL);
	c = harness_client(h);
	look_same(&r, c);
	rfb_close(&r);
	/* and a VM that ends takes it along, also while no vmd is there */
	pidfd = harness_pidfd(display_pid(h));
	scene_end_all(h, c, "one");
	harness_wait_pidfd(pidfd);
	harness_vmd(h, NULL, NULL);
	c = harness_client(h);
	scene_expect_state(c, "one", "stopped");
	json_object_put(client_result(c, "vm.start", "{'vm': 'one'}"));
	look(&r, c);
	rfb_close(&r);
	json_object_put(client_result(c, "vm.kill", "{'vm': 'one'}"));
}

/* --- what goes wrong --------------------------------------------------------------------------------------------------- */

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
	c = start_looking(h, &r);
	pid = display_pid(h);
	for (unsigned int i = 0; i < 40; i++) {
		char bytes[512];
		int fd = dial(address(c));

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
	expect_same(&r, c);
	assert_int_equal(display_pid(h), pid);
	assert_int_equal(viewers(c), 1);
	rfb_close(&r);
	scene_expect_state(c, "one", "running");
}

/* --- TCP, and passwords ----------------------------------------------------------------------------------------------- */

/* A port that nobody has; held: its socket, which listens, stays. */
static int free_port(int *ret_held)
{
	struct sockaddr_in at = { .sin_family = AF_INET,
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(at);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &len), 0);
	assert_int_equal(listen(fd, 1), 0);
	*ret_held = fd;
	return ntohs(at.sin_port);
}

static const char *tcp_members(int port, const char *password_file)
{
	static char members[600];

	snprintf(members, sizeof(members),
		 "'profile': 'legacy-pc', 'devices': [{'type': 'vga'}], 'display': {'port': %d,"
		 " 'password_file': '%s'}",
		 port, password_file);
	return members;
}

static void test_tcp(void **state)
{
	struct harness *h = *state;
	struct harness_output got;
	int held, port = free_port(&held);
	struct client *c;
	struct rfb r;

	NEEDS_KVM;
	close(held);
	c = start(h, tcp_members(port, harness_file(h, "password", "sesame\n")));
	address(c);
	assert_false(rfb_connect(&r, "127.0.0.1", port, RAW, "Sesame"));
	assert_false(rfb_connect(&r, "127.0.0.1", port, RAW, NULL));
	assert_true(rfb_connect(&r, "127.0.0.1", port, RAW, "sesame"));
	expect_same(&r, c);
	type_a(&r, c);
	rfb_close(&r);
	assert_int_equal(harness_vmctl(h, NULL, &got, "display", "one", "--json", NULL), 0);
	assert_non_null(strstr(got.out, "\"host\":\"127.0.0.1\""));
	assert_non_null(strstr(got.out, "\"password\":true"));
	/* nobody is shown it */
	assert_null(strstr(got.out, "sesame"));
	assert_int_equal(harness_vmctl(h, NULL, &got, "show", "one", "--json", NULL), 0);
	assert_null(strstr(got.out, "sesame"));
	assert_int_equal(harness_vmctl(h, NULL, &got, "logs", "one", NULL), 0);
	assert_null(strstr(got.out, "sesame"));
}

static void expect_no_start(struct client *c, const char *members, const char *message)
{
	char program[512], params[1200];

	harness_program("../tests/guest/halt", program, sizeof(program));
	snprintf(params, sizeof(params),
		 "{'definition': {'name': 'one', 'memory': '32MiB', 'boot': {'kernel': '%s'}, %s}}",
		 program, members);
	json_object_put(client_result(c, "vm.apply", params));
	{
		AUTO_JSON struct json_object *e = client_error(c, "vm.start", "{'vm': 'one'}");

		assert_string_equal(json_get_str(e, "message", ""), message);
		assert_int_equal(json_get_int(e, "code", 0), ERR_FILE);
	}
}

static void test_bad_start(void **state)
{
	static const struct {
		const char *text, *what;
	} bad[] = { { "123456789\n", "a password of more than 8 characters" },
		    { "12345678901234567890", "a password of more than 8 characters" },
		    { "", "it is empty" },
		    { "\nsecond", "it is empty" } };
	struct harness *h = *state;
	char path[256], message[600], program[512];
	int held, port = free_port(&held);
	struct client *c;

	NEEDS_KVM;
	harness_vmd(h, NULL, "--cgroup", "none", NULL);
	c = harness_client(h);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		snprintf(path, sizeof(path), "%s", harness_file(h, "password", bad[i].text));
		snprintf(message, sizeof(message), "VNC password file '%s': %s", path, bad[i].what);
		expect_no_start(c, tcp_members(port, path), message);
	}
	expect_no_start(c, tcp_members(port, "/nowhere"),
			"VNC password file '/nowhere': No such file or directory");
	snprintf(path, sizeof(path), "%s", harness_file(h, "password", "12345678"));
	snprintf(message, sizeof(message), "display: port %d of 127.0.0.1: Address already in use",
		 port);
	expect_no_start(c, tcp_members(port, path), message);
	close(held);
	/* something that is no socket is where the socket would be */
	snprintf(program, sizeof(program),
		 "'profile': 'legacy-pc', 'devices': [{'type': 'vga'}], 'display': {'path': '%s'}",
		 path);
	snprintf(message, sizeof(message), "display: socket '%s': Address already in use", path);
	expect_no_start(c, program, message);
	scene_expect_state(c, "one", "stopped");
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
	c = start(h, MEMBERS("{}"));
	fd = dial(address(c));
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

static void test_refused(void **state)
{
	struct harness *h = *state;
	struct client *c;

	NEEDS_KVM;
	c = scene_start_guest(h, "screen", "mode=1 stay=1",
			      "'profile': 'legacy-pc', 'devices': [{'type': 'vga'}]");
	client_expect_error(c, "vm.display", "{'vm': 'one'}", ERR_VM_NO_DISPLAY,
			    "VM 'one' has no display",
			    "add `display: {type: vnc}` and `- {type: vga}` to its definition, and "
			    "restart it");
	json_object_put(client_result(c, "vm.kill", "{'vm': 'one'}"));
	client_expect_error(c, "vm.display", "{'vm': 'one'}", ERR_VM_STATE, "VM 'one' is stopped",
			    "start it first: vmctl start one");
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, harness_setup, harness_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_looks),	 T(test_text), T(test_resize),	  T(test_keys),
		T(test_idle),	 T(test_dies), T(test_vmd_dies),  T(test_hostile),
		T(test_refused), T(test_tcp),  T(test_bad_start), T(test_websocket),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
