// SPDX-License-Identifier: MIT
/* See drives.h. */
#include "tests/functional/drives.h"

#include <stdio.h>
#include <string.h>

#include "tests/functional/scene.h"

const char *drives_image(struct harness *h, const char *name)
{
	char text[4096 + 1];
	int n = snprintf(text, sizeof(text), "cd %s", name);

	memset(text + n, '.', sizeof(text) - 1 - (size_t)n);
	text[sizeof(text) - 1] = '\0';
	return harness_file(h, name, text);
}

struct client *drives_start_guest(struct harness *h, const char *profile, const char *type)
{
	char members[600];

	snprintf(members, sizeof(members),
		 "'profile': '%s', 'devices': [{'type': '%s', 'disks': [{'path': '%s'},"
		 " {'id': 'cd0', 'kind': 'cdrom', 'unit': 2}]}]",
		 profile, type, drives_image(h, "root"));
	return scene_start_guest(h, "halt", "", members);
}

void drives_expect_media(struct harness *h, const char *table)
{
	struct harness_output got;

	assert_int_equal(harness_vmctl(h, NULL, &got, "media", "one", NULL), 0);
	assert_string_equal(got.out, table);
}

void drives_expect_change(struct harness *h)
{
	struct harness_output got;

	drives_expect_media(h, "DRIVE  MEDIUM  TRAY    LOCKED\ncd0    -       closed  -\n");
	assert_int_equal(harness_vmctl(h, NULL, &got, "media", "one", "cd0", drives_image(h, "cd"),
				       NULL),
			 0);
	assert_string_equal(got.out, "one: cd0 loaded\n");
	assert_int_equal(harness_vmctl(h, NULL, &got, "media", "one", "cd0", "--eject", NULL), 0);
	drives_expect_media(h, "DRIVE  MEDIUM  TRAY  LOCKED\ncd0    -       open  -\n");
}
