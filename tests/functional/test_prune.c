// SPDX-License-Identifier: MIT
/* vmctl apply --prune with a real vmd: VMs follow the files of a folder, and nothing else goes. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/errcat.h"
#include "tests/functional/scene.h"

struct prune {
	struct harness *h;
	struct client *c;
	char vms[PATH_MAX], other[PATH_MAX]; /* folders, by their real paths */
	struct harness_output got;
};

static void prune_folder(struct harness *h, const char *name, char out[static PATH_MAX])
{
	char path[300];

	snprintf(path, sizeof(path), "%s/%s", h->dir, name);
	assert_int_equal(mkdir(path, 0755), 0);
	assert_non_null(realpath(path, out));
}

static void prune_file(struct prune *p, const char *folder, const char *vm, const char *more)
{
	char name[100], text[400];

	snprintf(name, sizeof(name), "%s/%s.yaml", folder, vm);
	snprintf(text, sizeof(text), "name: %s\nboot:\n  kernel: %s/kernel\n%s", vm, p->h->dir,
		 more);
	harness_file(p->h, name, text);
}

static void prune_unlink(struct prune *p, const char *folder, const char *vm)
{
	char path[300];

	snprintf(path, sizeof(path), "%s/%s/%s.yaml", p->h->dir, folder, vm);
	assert_int_equal(unlink(path), 0);
}

/* Run with up to five words, and compare; NULL for what does not matter. */
static void prune_expect(struct prune *p, int status, const char *out, const char *err,
			 const char *const *words)
{
	int ret = harness_vmctl(p->h, NULL, &p->got, words[0], words[1], words[2], words[3],
				words[4], words[5], NULL);

	if (err)
		assert_string_equal(p->got.err, err);
	if (out)
		assert_string_equal(p->got.out, out);
	assert_int_equal(ret, status);
}

#define EXPECT(p, status, out, err, ...) \
	prune_expect(p, status, out, err, (const char *const[7]){ __VA_ARGS__ })

static int setup(void **state)
{
	struct prune *p = calloc(1, sizeof(*p));

	assert_non_null(p);
	p->h = harness_new();
	prune_folder(p->h, "vms", p->vms);
	prune_folder(p->h, "other", p->other);
	harness_file(p->h, "kernel", "not looked at by the fake");
	prune_file(p, "vms", "a", "");
	prune_file(p, "vms", "b", "");
	prune_file(p, "vms", "c", "");
	prune_file(p, "other", "x", "");
	harness_vmd(p->h, "ok", NULL);
	p->c = harness_client(p->h);
	EXPECT(p, 0, "a: created\nb: created\nc: created\n", "", "apply", "-f", p->vms);
	EXPECT(p, 0, "x: created\n", "", "apply", "-f", p->other);
	*state = p;
	return 0;
}

static int teardown(void **state)
{
	struct prune *p = *state;

	harness_free(p->h);
	free(p);
	return 0;
}

static void test_follows_the_folder(void **state)
{
	struct prune *p = *state;

	/* one that was made by hand is of no folder */
	scene_define(p->c, "mine", "/k");
	prune_unlink(p, "vms", "b");
	EXPECT(p, 0, "a: unchanged\nc: unchanged\nb: would be deleted\n", "", "apply", "-f", p->vms,
	       "--prune", "-n");
	EXPECT(p, 0, "a\nb\nc\nmine\nx\n", "", "list", "-q");
	EXPECT(p, 2, "",
	       "vmctl: 'apply' needs --yes where it cannot ask: standard input is no terminal\n",
	       "apply", "-f", p->vms, "--prune");
	EXPECT(p, 0, "a: unchanged\nc: unchanged\nb: deleted\n",
	       "'b' is in no file: delete removes: definition, 1 revision, logs\n", "apply", "-f",
	       p->vms, "--prune", "-y");
	EXPECT(p, 0, "a\nc\nmine\nx\n", "", "list", "-q");
	EXPECT(p, 0, "a: unchanged\nc: unchanged\n", "", "apply", "-f", p->vms, "--prune", "-y");
	/* without the option nothing goes */
	prune_unlink(p, "vms", "c");
	EXPECT(p, 0, "a: unchanged\n", "", "apply", "-f", p->vms);
	EXPECT(p, 0, "a\nc\n", "", "list", "-q", "--origin", p->vms);
}

static void test_json(void **state)
{
	struct prune *p = *state;

	prune_unlink(p, "vms", "b");
	prune_unlink(p, "vms", "c");
	EXPECT(p, 0, NULL, NULL, "apply", "-f", p->vms, "--prune", "-y", "--json");
	assert_non_null(strstr(p->got.out, ",{\"name\":\"b\",\"result\":\"deleted\",\"removed\":["
					   "\"definition\",\"1 revision\",\"logs\"]},{\"name\":"
					   "\"c\",\"result\":\"deleted\""));
}

/* What runs is not deleted, and then nothing is done at all. */
static void test_one_that_runs(void **state)
{
	static const char hint[] = "vmctl: cannot delete 'b': VM 'b' is running\n"
				   "hint: stop it first: vmctl stop b\n"
				   "code: E1202 (vm.wrong_state)\n";
	struct prune *p = *state;
	char err[400];

	NEEDS_KVM;
	json_object_put(client_result(p->c, "vm.start", "{'vm': 'b'}"));
	prune_unlink(p, "vms", "b");
	prune_unlink(p, "vms", "c");
	prune_file(p, "vms", "d", "");
	snprintf(err, sizeof(err), "%svmctl: nothing was applied\n", hint);
	EXPECT(p, 4, "", err, "apply", "-f", p->vms, "--prune", "-y");
	EXPECT(p, 0, "a\nb\nc\nx\n", "", "list", "-q");
	/* a dry run says all of it */
	EXPECT(p, 9, "a: unchanged\nd: would be created\nc: would be deleted\n", hint, "apply",
	       "-f", p->vms, "--prune", "-n");
	json_object_put(client_result(p->c, "vm.kill", "{'vm': 'b'}"));
	EXPECT(p, 0, "a: unchanged\nd: created\nb: deleted\nc: deleted\n", NULL, "apply", "-f",
	       p->vms, "--prune", "-y");
}

/* One of the files is not applied: nothing is deleted. */
static void test_one_that_fails(void **state)
{
	struct prune *p = *state;

	prune_unlink(p, "vms", "b");
	prune_file(p, "vms", "c", "cpus: 2\n");
	EXPECT(p, 9, "c: updated\n  /cpus\n", NULL, "apply", "--strict", "-f", p->vms, "--prune",
	       "-y");
	assert_non_null(strstr(p->got.err, "a: unchanged\nhint: without --strict this is no error\n"
					   "code: E1202 (vm.wrong_state)\nvmctl: no VM was "
					   "deleted\n"));
	EXPECT(p, 0, "a\nb\nc\nx\n", "", "list", "-q");
}

/* A VM is of the folder that it was applied from last; a single file leaves it there. */
static void test_moves(void **state)
{
	struct prune *p = *state;
	AUTO_JSON struct json_object *vm = NULL;
	char file[PATH_MAX + 20];

	prune_unlink(p, "vms", "b");
	prune_unlink(p, "vms", "c");
	prune_file(p, "other", "b", "");
	snprintf(file, sizeof(file), "%s/b.yaml", p->other);
	EXPECT(p, 0, "b: unchanged\n", "", "apply", "-f", file);
	vm = client_result(p->c, "vm.get", "{'vm': 'b'}");
	assert_string_equal(json_get_str(vm, "origin", ""), p->vms);
	/* a dry run moves nothing */
	EXPECT(p, 0, "b: unchanged\nx: unchanged\n", "", "apply", "-n", "-f", p->other);
	EXPECT(p, 0, "a\nb\nc\n", "", "list", "-q", "--origin", p->vms);
	EXPECT(p, 0, "b: unchanged\nx: unchanged\n", "", "apply", "-f", p->other);
	EXPECT(p, 0, "a: unchanged\nc: deleted\n", NULL, "apply", "-f", p->vms, "--prune", "-y");
	EXPECT(p, 0, "a\nb\nx\n", "", "list", "-q");
	/* named twice, one of them elsewhere: it is in a file */
	prune_unlink(p, "other", "b");
	snprintf(file, sizeof(file), "%s/b.yaml", p->h->dir);
	prune_file(p, ".", "b", "");
	EXPECT(p, 0, "x: unchanged\nb: unchanged\n", "", "apply", "-yf", p->other, "-f", file,
	       "--prune");
	EXPECT(p, 0, "a\nb\nx\n", "", "list", "-q");
	/* the next vmd knows */
	harness_vmd_end(p->h, 9);
	harness_vmd(p->h, "ok", NULL);
	EXPECT(p, 0, "x: unchanged\nb: deleted\n", NULL, "apply", "-f", p->other, "--prune", "-y");
}

static void test_wrong_turns(void **state)
{
	struct prune *p = *state;
	char file[PATH_MAX + 20], err[PATH_MAX + 200];

	snprintf(file, sizeof(file), "%s/a.yaml", p->vms);
	EXPECT(p, 2, "", "vmctl: '--prune' goes with a folder: vmctl apply -f DIR --prune\n",
	       "apply", "-f", file, "--prune", "-y");
	prune_unlink(p, "other", "x");
	snprintf(err, sizeof(err),
		 "vmctl: '%s' has no *.yaml, *.yml or *.json in it\ncode: E1006 (file.unusable)\n",
		 p->other);
	EXPECT(p, 5, "", err, "apply", "-f", p->other, "--prune", "-y");
	prune_folder(p->h, "bad\xff", file);
	prune_file(p, "bad\xff", "a", "");
	snprintf(err, sizeof(err),
		 "vmctl: '--prune': '%s' is no path that vmd can keep: at most 4095 bytes of "
		 "UTF-8 without control characters\n",
		 file);
	EXPECT(p, 2, "", err, "apply", "-f", file, "--prune", "-y");
	EXPECT(p, 0, "a: unchanged\n", "", "apply", "-f", file);
	EXPECT(p, 0, "a\nb\nc\nx\n", "", "list", "-q");
	client_expect_error(p->c, "vm.list", "{'origin': ''}", ERR_RPC_PARAMS,
			    "vm.list: /origin: expected a path, got \"\"", "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		T(test_follows_the_folder), T(test_json),  T(test_one_that_runs),
		T(test_one_that_fails),	    T(test_moves), T(test_wrong_turns),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
