// SPDX-License-Identifier: MIT
/*
 * Files of VMs whose owner is no administrator are opened with the owner's rights: real uids, real files, vmd as
 * root.
 */
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/conn.h"
#include "lib/errcat.h"
#include "tests/functional/scene.h"

#define WWW_DATA 33 /* base-passwd has it on every Debian, with its group */

/* --- files: with the rights of the owner --- */

static void expect_start(struct client *c, const char *name, const char *message, const char *hint)
{
	char params[160];

	snprintf(params, sizeof(params), "{'vm': '%s'}", name);
	if (message) {
		client_expect_error(c, "vm.start", params, ERR_FILE, message, hint);
		return;
	}
	json_object_put(client_result(c, "vm.start", params));
	json_object_put(client_result(c, "vm.kill", params));
}

static const char *file(struct harness *h, const char *name, mode_t mode, gid_t group)
{
	const char *path = harness_file(h, name, "a kernel");

	assert_int_equal(chown(path, 0, group), 0);
	assert_int_equal(chmod(path, mode), 0);
	return path;
}

static void test_files_of_an_operator(void **state)
{
	struct harness *h = *state;
	char secret[256], open[256], shared[256], link[300], message[400];
	struct client *c, *www, *root;

	if (geteuid())
		SKIP_BECAUSE("not root");
	c = harness_client_as(h, 1001, SCENE_OPERATORS);
	www = harness_client_as(h, WWW_DATA, SCENE_OPERATORS);
	root = harness_client(h);
	snprintf(secret, sizeof(secret), "%s", file(h, "secret", 0600, 0));
	snprintf(open, sizeof(open), "%s", file(h, "open", 0644, 0));
	snprintf(shared, sizeof(shared), "%s", file(h, "shared", 0640, WWW_DATA));
	snprintf(link, sizeof(link), "%s/link", h->dir);
	assert_int_equal(symlink(secret, link), 0);
	snprintf(message, sizeof(message), "kernel '%s': Permission denied", secret);
	scene_define(c, "mine", secret);
	expect_start(c, "mine", message,
		     "user uid 1001 needs to read it and to enter the folders above it");
	/* nor for others: an administrator that starts it, and one that changes it */
	expect_start(root, "mine", message,
		     "user uid 1001 needs to read it and to enter the folders above it");
	snprintf(message, sizeof(message), "kernel '%s': Permission denied", link);
	scene_define(root, "mine", link);
	expect_start(root, "mine", message,
		     "user uid 1001 needs to read it and to enter the folders above it");
	scene_define(c, "mine", open);
	expect_start(c, "mine", NULL, NULL);
	/* its groups are those of a login */
	scene_define(www, "www", shared);
	expect_start(www, "www", NULL, NULL);
	scene_define(www, "www", secret);
	snprintf(message, sizeof(message), "kernel '%s': Permission denied", secret);
	expect_start(www, "www", message,
		     "user www-data (uid 33) needs to read it and to enter the folders above it");
	/* every worker of vmd is itself again after that */
	scene_define(root, "roots", secret);
	for (int i = 0; i < 8; i++)
		expect_start(root, "roots", NULL, NULL);
}

/* What vmd has open, by the links of /proc that lead there: the path's rights would not be asked. */
static void test_files_by_proc(void **state)
{
	struct harness *h = *state;
	struct client *c;
	char path[64], message[200];

	if (geteuid())
		SKIP_BECAUSE("not root");
	c = harness_client_as(h, 1001, SCENE_OPERATORS);
	for (int fd = 0; fd < 12; fd++) {
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		snprintf(message, sizeof(message), "kernel '%s': Too many levels of symbolic links",
			 path);
		scene_define(c, "mine", path);
		expect_start(c, "mine", message,
			     "too many links, or one of /proc's, which are not followed");
	}
	scene_define(c, "mine", "/proc/self/maps");
	expect_start(c, "mine", "kernel '/proc/self/maps' is a file of /proc", "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_files_of_an_operator, scene_setup_roles,
						harness_teardown),
		cmocka_unit_test_setup_teardown(test_files_by_proc, scene_setup_roles,
						harness_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
