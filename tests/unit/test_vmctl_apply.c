// SPDX-License-Identifier: MIT
/* vmctl apply, validate: errors say where they stand, also those that only vmd finds. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/lib/tempdir.h"
#include "tests/lib/test.h"
#include "tests/unit/vmctl_peer.h"

#define GOOD "name: hello\nmemory: 512MiB\nboot:\n  kernel: /k\n"

/* standard input is read by descriptor: peer_run makes it the process's own */
static void test_validate(void **state)
{
	(void)state;
	peer_check(NULL, "validate -", GOOD, 0, "-: valid (VM 'hello')\n", "");
	peer_check(NULL, "validate - -q", GOOD, 0, "hello\n", "");
	peer_check(NULL, "validate --json -", GOOD, 0,
		   "{\"schema\":\"vmctl.validate/1\",\"results\":[{\"file\":\"-\",\"valid\":true,"
		   "\"name\":\"hello\"}]}\n",
		   "");
}

static void test_misspelt_key(void **state)
{
	static const char text[] = "name: hello\nmemroy: 512MiB\nboot:\n  kernel: /k\n";

	(void)state;
	peer_check(NULL, "validate -", text, 5, "",
		   "vmctl: <stdin>:2:1: /memroy: unknown key 'memroy'; did you mean 'memory'?\n"
		   "code: E1100 (definition.invalid)\n");
	/* vmd is not even asked */
	peer_check(NULL, "apply -f -", text, 5, "",
		   "vmctl: <stdin>:2:1: /memroy: unknown key 'memroy'; did you mean 'memory'?\n"
		   "code: E1100 (definition.invalid)\n");
}

static void test_files_that_cannot_be_read(void **state)
{
	(void)state;
	peer_check(NULL, "apply -f /nonexistent/x.yaml", NULL, 5, "",
		   "vmctl: cannot open '/nonexistent/x.yaml': No such file or directory\n"
		   "code: E1006 (file.unusable)\n");
	peer_check(NULL, "apply", NULL, 2, "",
		   "vmctl: 'apply' needs --file FILE\nhint: vmctl apply -f FILE\n"
		   "usage: vmctl apply --file=FILE... [--prune] [--yes] [--dry-run]\n");
}

static void test_results(void **state)
{
	static const struct peer_row created[] = {
		{ "vm.apply", .result = "{\"id\":\"1\",\"name\":\"hello\",\"revision\":1,"
					"\"result\":\"created\",\"changes\":[],"
					"\"restart_required\":false}" },
		{ 0 }
	};
	static const struct peer_row updated[] = {
		{ "vm.apply", .result = "{\"id\":\"1\",\"name\":\"hello\",\"revision\":2,"
					"\"result\":\"updated\",\"changes\":[\"/memory\"],"
					"\"restart_required\":true}" },
		{ 0 }
	};
	static const struct peer_row unchanged[] = {
		{ "vm.apply", .result = "{\"id\":\"1\",\"name\":\"hello\",\"revision\":2,"
					"\"result\":\"unchanged\",\"changes\":[],"
					"\"restart_required\":false}" },
		{ 0 }
	};

	(void)state;
	peer_check(created, "apply -f -", GOOD, 0, "hello: created\n", "");
	peer_check(created, "apply -nf -", GOOD, 0, "hello: would be created\n", "");
	peer_check(updated, "apply -f -", GOOD, 0, "hello: updated\n  /memory\n",
		   "hello: runs with the old definition until: vmctl restart hello\n");
	peer_check(unchanged, "apply -f -", GOOD, 0, "hello: unchanged\n", "");
	peer_check(unchanged, "apply -f - --strict", GOOD, 4, "", NULL);
	peer_check(
		created, "apply --json -f -", GOOD, 0,
		"{\"schema\":\"vmctl.apply/1\",\"results\":[{\"file\":\"-\",\"id\":\"1\",\"name\":"
		"\"hello\",\"revision\":1,\"result\":\"created\",\"changes\":[],"
		"\"restart_required\":false}]}\n",
		"");
}

static void test_what_vmd_finds_is_located(void **state)
{
	static const struct peer_row script[] = {
		{ "vm.apply",
		  .error = "{\"code\":1301,\"message\":\"the host has 1.0G\",\"data\":{\"name\":"
			   "\"host.memory_short\",\"path\":\"/definition/memory\"}}" },
		{ 0 }
	};
	static const struct peer_row plain[] = {
		{ "vm.apply", .error =
				      "{\"code\":1600,\"message\":\"disk full\",\"data\":{\"name\":"
				      "\"state.database\"}}" },
		{ 0 }
	};

	(void)state;
	peer_check(script, "apply -f -", GOOD, 5, "",
		   "vmctl: <stdin>:2:9: the host has 1.0G\ncode: E1301 (host.memory_short)\n");
	peer_check(plain, "apply -f -", GOOD, 1, "",
		   "vmctl: cannot apply 'hello': disk full\ncode: E1600 (state.database)\n");
}

static void write_file(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

/* All or nothing, as far as it can be known here. */
static void test_several_files(void **state)
{
	char dir[] = "/tmp/vmctl-test-XXXXXX", a[64], b[64], args[200], err[400];

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(a, sizeof(a), "%s/a.yaml", dir);
	snprintf(b, sizeof(b), "%s/b.yaml", dir);
	write_file(a, GOOD);
	write_file(b, GOOD);
	snprintf(args, sizeof(args), "apply -f %s -f %s", a, b);
	snprintf(err, sizeof(err),
		 "vmctl: %s:1:7: /name: 'hello' is in '%s' already\n"
		 "code: E1100 (definition.invalid)\nvmctl: nothing was applied\n",
		 b, a);
	peer_check(NULL, args, NULL, 5, "", err);
	unlink(a);
	unlink(b);
	rmdir(dir);
}

#define DOCUMENT(name) "name: " name "\nboot:\n  kernel: /k\n"

static void test_several_documents(void **state)
{
	static const struct peer_row script[] = {
		{ "vm.apply", "{\"definition\":{\"name\":\"a\",\"boot\":{\"kernel\":\"/k\"}}}",
		  .result = "{\"name\":\"a\",\"result\":\"created\",\"changes\":[]}" },
		{ "vm.apply", "{\"definition\":{\"name\":\"b\",\"boot\":{\"kernel\":\"/k\"}}}",
		  .result = "{\"name\":\"b\",\"result\":\"unchanged\",\"changes\":[]}" },
		{ 0 }
	};
	static const char two[] = DOCUMENT("a") "---\n" DOCUMENT("b") "---\n";

	(void)state;
	peer_check(script, "apply -f -", two, 0, "a: created\nb: unchanged\n", "");
	peer_check(NULL, "validate -", two, 0, "-: valid (VM 'a')\n-: valid (VM 'b')\n", "");
	/* a fault in the second: the first is not applied */
	peer_check(NULL, "apply -f -", DOCUMENT("a") "---\nname: b\nbot: 1\n", 5, "",
		   "vmctl: <stdin>:6:1: /bot: unknown key 'bot'; did you mean 'boot'?\n"
		   "code: E1100 (definition.invalid)\nvmctl: nothing was applied\n");
	peer_check(NULL, "validate -", DOCUMENT("a") "---\n" DOCUMENT("a"), 9,
		   "-: valid (VM 'a')\n",
		   "vmctl: <stdin>:5:7: /name: 'a' is in '<stdin>' already\n"
		   "code: E1100 (definition.invalid)\n");
}

static void put_file(const char *dir, const char *name, const char *text)
{
	char path[200];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static void test_folder(void **state)
{
	char *dir = tempdir_new(), args[200], out[600], err[600];

	(void)state;
	snprintf(args, sizeof(args), "validate %s", dir);
	snprintf(err, sizeof(err),
		 "vmctl: '%s' has no *.yaml, *.yml or *.json in it\ncode: E1006 (file.unusable)\n",
		 dir);
	peer_check(NULL, args, NULL, 5, "", err);
	put_file(dir, "b.yaml", DOCUMENT("b1") "---\n" DOCUMENT("b2"));
	put_file(dir, "a.json", "{\"name\": \"a\", \"boot\": {\"kernel\": \"/k\"}}");
	put_file(dir, "c.yml", DOCUMENT("c"));
	put_file(dir, "README", "no VM");
	put_file(dir, ".hidden.yaml", "no VM");
	snprintf(out, sizeof(out),
		 "%s/a.json: valid (VM 'a')\n%s/b.yaml: valid (VM 'b1')\n"
		 "%s/b.yaml: valid (VM 'b2')\n%s/c.yml: valid (VM 'c')\n",
		 dir, dir, dir, dir);
	peer_check(NULL, args, NULL, 0, out, "");
	put_file(dir, "d.yaml", "name: d\nbot: 1\n");
	snprintf(args, sizeof(args), "apply -f %s/", dir);
	snprintf(err, sizeof(err),
		 "vmctl: %s/d.yaml:2:1: /bot: unknown key 'bot'; did you mean 'boot'?\n"
		 "code: E1100 (definition.invalid)\nvmctl: nothing was applied\n",
		 dir);
	peer_check(NULL, args, NULL, 5, "", err);
	tempdir_remove(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_validate),
		cmocka_unit_test(test_misspelt_key),
		cmocka_unit_test(test_files_that_cannot_be_read),
		cmocka_unit_test(test_results),
		cmocka_unit_test(test_what_vmd_finds_is_located),
		cmocka_unit_test(test_several_files),
		cmocka_unit_test(test_several_documents),
		cmocka_unit_test(test_folder),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
