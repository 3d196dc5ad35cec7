// SPDX-License-Identifier: MIT
/*
 * Drives of an IDE controller, as vmd and vmctl have them: media change, drives stay, images are
 * locked.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/errcat.h"
#include "tests/functional/drives.h"
#include "tests/functional/scene.h"

static void test_media(void **state)
{
	struct harness *h = *state;
	struct client *c;

	NEEDS_KVM;
	c = drives_start_guest(h, "legacy-pc", "ide");
	drives_expect_change(h);
	/* a disk is no drive */
	json_object_put(
		client_error(c, "vm.media", "{'vm': 'one', 'drive': 'ide0.0', 'eject': true}"));
}

static void test_fixed(void **state)
{
	struct harness *h = *state;
	struct client *c;

	NEEDS_KVM;
	c = drives_start_guest(h, "legacy-pc", "ide");
	client_expect_error(
		c, "vm.detach", "{'vm': 'one', 'device': 'ide0.0'}", ERR_VM_DEVICE_FIXED,
		"drive 'ide0.0' of controller 'ide0' cannot be removed from a VM that "
		"runs",
		"remove it from the definition, and restart the VM; vmctl media changes "
		"what is in a drive");
	client_expect_error(
		c, "vm.detach", "{'vm': 'one', 'device': 'cd0'}", ERR_VM_DEVICE_FIXED,
		"drive 'cd0' of controller 'ide0' cannot be removed from a VM that "
		"runs",
		"remove it from the definition, and restart the VM; vmctl media changes "
		"what is in a drive");
}

/* Offered behind `vmctl detach one` */
static void complete(struct harness_output *ret)
{
	char vmctl[256], how[] = "__complete", what[] = "detach", one[] = "one", begin[] = "";
	char *argv[] = { vmctl, how, what, one, begin, NULL };

	harness_program("vmctl", vmctl, sizeof(vmctl));
	assert_int_equal(harness_run(NULL, ret, argv), 0);
}

/* What can be asked to go is offered, and drives cannot. */
static void test_completion(void **state)
{
	struct harness *h = *state;
	struct harness_output got;

	NEEDS_KVM;
	drives_start_guest(h, "legacy-pc", "ide");
	setenv("VMD_SOCKET", h->socket, 1);
	complete(&got);
	assert_string_equal(got.err, "");
	assert_null(strstr(got.out, "ide0.0"));
	assert_null(strstr(got.out, "cd0"));
	unsetenv("VMD_SOCKET");
}

/* An image is one VM's alone. */
static void test_lock(void **state)
{
	struct harness *h = *state;
	AUTO_JSON struct json_object *o = NULL;
	struct client *c;
	char params[600];

	NEEDS_KVM;
	c = drives_start_guest(h, "legacy-pc", "ide");
	snprintf(params, sizeof(params),
		 "{'definition': {'name': 'two', 'profile': 'legacy-pc', 'memory': '32MiB', 'boot':"
		 " {'kernel': '/bin/true'}, 'devices': [{'type': 'ide', 'disks': ["
		 "{'path': '%s'}]}]}}",
		 drives_image(h, "root"));
	json_object_put(client_result(c, "vm.apply", params));
	o = client_error(c, "vm.start", "{'vm': 'two'}");
	assert_int_equal(json_get_int(o, "code", 0), ERR_FILE_IN_USE);
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, harness_setup, harness_teardown)
	const struct CMUnitTest tests[] = { T(test_media), T(test_fixed), T(test_completion),
					    T(test_lock) };
#undef T

	return cmocka_run_group_tests(tests, NULL, NULL);
}
