// SPDX-License-Identifier: MIT
/* The device core: classes are found, configuration is bound, failures unwind and say which device. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "lib/errcat.h"
#include "tests/unit/fake_board.h"

static int make(struct fake_board *fb, const char *text, struct fdset *fds, struct device **ret,
		struct err *e)
{
	struct json_object *json;
	int r;

	assert_int_equal(json_parse(text, strlen(text), &json, e), 0);
	r = device_new(&fb->board, json, fds, ret, e);
	json_object_put(json);
	return r;
}

static void refused(struct fake_board *fb, const char *text, int code, const char *msg)
{
	struct device *d;
	struct fdset fds;
	struct err e = { 0 };

	fdset_init(&fds);
	assert_int_equal(make(fb, text, &fds, &d, &e), -code);
	assert_string_equal(e.msg, msg);
	fdset_fini(&fds);
}

static void classes_are_found(void **state)
{
	(void)state;
	assert_null(device_class_find("parallel"));
	for (unsigned int i = 0; device_classes[i]; i++)
		assert_ptr_equal(device_class_find(device_classes[i]->type), device_classes[i]);
}

static void says_which_device_and_why(void **state)
{
	struct fake_board fb;

	(void)state;
	fake_board_init(&fb, MIB);
	refused(&fb, "{\"id\":\"x\"}", ERR_INVALID, "a device without a type");
	refused(&fb, "{\"type\":\"parallel\",\"id\":\"lpt1\"}", ERR_INVALID,
		"device 'lpt1': unknown type 'parallel'");
	fake_board_fini(&fb);
}

static void two_at_one_port_unwind(void **state)
{
	static const char com1[] = "{\"type\":\"serial\",\"id\":\"com1\",\"port\":\"com1\"}";
	static const char again[] = "{\"type\":\"serial\",\"id\":\"odd\",\"port\":\"com1\"}";
	struct device *d, *other;
	struct fake_board fb;
	struct fdset fds;
	unsigned int regions;
	struct err e = { 0 };

	(void)state;
	fake_board_init(&fb, MIB);
	fdset_init(&fds);
	assert_int_equal(make(&fb, com1, &fds, &d, &e), 0);
	regions = fb.board.pio->nregions;
	assert_int_equal(make(&fb, again, &fds, &other, &e), -EEXIST);
	assert_ptr_equal(strstr(e.msg, "device 'odd': "), e.msg);
	assert_int_equal(fb.board.pio->nregions, regions);
	device_free(d);
	assert_int_equal(fb.board.pio->nregions, regions - 1);
	fdset_fini(&fds);
	fake_board_fini(&fb);
}

static void the_core_closes_descriptors(void **state)
{
	/* the address is refused after the descriptor was bound */
	static const char disk[] = "{\"type\":\"virtio-blk\",\"id\":\"d\",\"path\":{\"fd\":0},"
				   "\"address\":\"00:40.0\"}";
	struct fake_board fb;
	struct device *d;
	struct fdset fds;
	struct err e = { 0 };
	int fd = open("/dev/null", O_RDWR | O_CLOEXEC);

	(void)state;
	fake_board_init(&fb, MIB);
	fdset_init(&fds);
	fdset_add(&fds, fd);
	assert_true(make(&fb, disk, &fds, &d, &e) < 0);
	assert_ptr_equal(strstr(e.msg, "device 'd': "), e.msg);
	fdset_fini(&fds);
	assert_int_equal(fcntl(fd, F_GETFD), -1);
	fake_board_fini(&fb);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(classes_are_found),
		cmocka_unit_test(says_which_device_and_why),
		cmocka_unit_test(two_at_one_port_unwind),
		cmocka_unit_test(the_core_closes_descriptors),
	};

	return cmocka_run_group_tests_name("device", tests, NULL, NULL);
}
