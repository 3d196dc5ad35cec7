// SPDX-License-Identifier: MIT
/*
 * GRUB from its CD, in a drive at a virtio-scsi controller, by the boot order; its prompt is on the serial port and on the
 * screen, of which a picture is left in BUILD/pictures.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/functional/grub.h"
#include "tests/functional/scene.h"

static int setup(void **state)
{
	*state = harness_new();
	return 0;
}

static int teardown(void **state)
{
	harness_free(*state);
	return 0;
}

static bool screen_has(struct json_object *text, const char *words)
{
	for (size_t i = 0; i < json_object_array_length(text); i++)
		if (strstr(json_object_get_string(json_object_array_get_idx(text, i)), words))
			return true;
	return false;
}

/* SeaBIOS writes to the screen first, and then to the serial port, where the prompt was seen. */
static void expect_screen(struct harness *h)
{
	struct client *c = harness_client(h);
	AUTO_JSON struct json_object *shot = client_result(c, "vm.screenshot", "{'vm': 'one'}");
	struct json_object *text = json_get(shot, "text");
	struct harness_output got;
	char path[512];

	harness_program("../pictures", path, sizeof(path));
	if (mkdir(path, 0777))
		assert_int_equal(errno, EEXIST);
	strcat(path, "/grub.png");
	assert_int_equal(harness_vmctl(h, NULL, &got, "screenshot", "one", path, NULL), 0);
	assert_true(json_object_is_type(text, json_type_array));
	assert_true(screen_has(text, "GNU GRUB"));
	assert_true(screen_has(text, "grub>"));
}

static void test_cd(void **state)
{
	struct harness *h = *state;
	char more[600];

	snprintf(more, sizeof(more),
		 "'boot': {'firmware': 'bios', 'order': ['cd']}, 'devices': ["
		 "{'type': 'vga'}, {'type': 'virtio-scsi', 'disks': [{'id': 'cd', 'kind': 'cdrom', "
		 "'path': '%s'}]}]",
		 GRUB_IMAGES "cdrom.iso");
	grub_boots(h, GRUB_IMAGES "cdrom.iso", more);
	expect_screen(h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_cd, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
