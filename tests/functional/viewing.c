// SPDX-License-Identifier: MIT
/* See viewing.h. */
#include "tests/functional/viewing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

const char *viewing_address(struct client *c)
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

struct client *viewing_start(struct harness *h, const char *members)
{
	struct client *c = scene_start_guest(h, "look", "", members);

	scene_says(c, "^ready");
	return c;
}

void viewing_expect_same(struct rfb *r, struct client *c)
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

void viewing_look(struct rfb *r, struct client *c)
{
	assert_true(rfb_connect(r, viewing_address(c), 0, RAW, NULL));
}

void viewing_look_same(struct rfb *r, struct client *c)
{
	viewing_look(r, c);
	viewing_expect_same(r, c);
}

struct client *viewing_start_looking(struct harness *h, struct rfb *r)
{
	struct client *c = viewing_start(h, MEMBERS("{}"));

	viewing_look_same(r, c);
	return c;
}

void viewing_type_a(struct rfb *r, struct client *c)
{
	rfb_key(r, 'a', true);
	scene_says(c, "^code 1e");
}

int64_t viewing_count(struct client *c)
{
	AUTO_JSON struct json_object *r = client_result(c, "vm.display", "{'vm': 'one'}");

	return json_get_int(r, "viewers", -1);
}

pid_t viewing_pid(struct harness *h)
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

int viewing_dial(const char *path)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(un.sun_path, sizeof(un.sun_path), "%s", path);
	assert_int_equal(connect(fd, (struct sockaddr *)&un, sizeof(un)), 0);
	return fd;
}
