// SPDX-License-Identifier: MIT
/* The history of definitions: who, when, what; and the ways back. */
#include "tests/functional/harness.h"

#include <fcntl.h>
#include <glob.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/auto.h"
#include "lib/errcat.h"
#include "lib/fdio.h"
#include "tests/lib/skip.h"

#define OTHER_UID 4242

#define DEF(more) "{'definition': {'name': 'one'," more " 'boot': {'kernel': '/k'}}}"

static const char *plain(struct json_object *o)
{
	return json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN |
							 JSON_C_TO_STRING_NOSLASHESCAPE);
}

static void apply(struct client *c, const char *params)
{
	json_object_put(client_result(c, "vm.apply", params));
}

/* Three revisions: cpus, then memory and description at once. */
static struct client *begin(struct harness *h)
{
	struct client *c;

	harness_vmd(h, "ok", NULL);
	c = harness_client(h);
	apply(c, DEF(""));
	apply(c, DEF("'cpus': 2,"));
	apply(c, DEF("'memory': '1GiB', 'description': 'x',"));
	return c;
}

static void test_who_when_what(void **state)
{
	struct harness *h = *state;
	struct client *c = begin(h);
	AUTO_JSON struct json_object *all = client_result(c, "vm.history", "{'vm': 'one'}");
	AUTO_JSON struct json_object *got = client_result(c, "vm.get", "{'vm': 'one'}");
	struct json_object *newest = json_at(all, "/revisions/0");

	assert_int_equal(json_object_array_length(json_get(all, "revisions")), 3);
	assert_false(json_get_bool(all, "more", true));
	assert_int_equal(json_get_int(all, "revision", 0), 3);
	assert_int_equal(json_get_int(newest, "revision", 0), 3);
	assert_string_equal(json_get_str(newest, "time", "?"), json_get_str(got, "updated", ""));
	assert_int_equal(json_get_int(json_get(newest, "actor"), "uid", -1), geteuid());
	assert_int_equal(json_get_int(json_get(newest, "actor"), "pid", -1), getpid());
	assert_string_equal(json_get_str(json_get(newest, "actor"), "program", ""), "test_history");
	assert_null(json_get(newest, "note"));
	assert_string_equal(plain(json_get(newest, "changes")),
			    "[{\"path\":\"/memory\",\"to\":\"1GiB\"},"
			    "{\"path\":\"/description\",\"to\":\"x\"},"
			    "{\"path\":\"/cpus\",\"from\":2}]");
	assert_string_equal(plain(json_at(all, "/revisions/1/changes")),
			    "[{\"path\":\"/cpus\",\"to\":2}]");
	/* the first has nothing to differ from */
	assert_null(json_at(all, "/revisions/2/changes"));
}

static void test_pages(void **state)
{
	struct harness *h = *state;
	struct client *c = begin(h);
	AUTO_JSON struct json_object *one =
		client_result(c, "vm.history", "{'vm': 'one', 'limit': 1}");
	AUTO_JSON struct json_object *rest =
		client_result(c, "vm.history", "{'vm': 'one', 'before': 3, 'limit': 2}");

	assert_int_equal(json_object_array_length(json_get(one, "revisions")), 1);
	assert_true(json_get_bool(one, "more", false));
	/* the last one of a page is compared with the first of the next */
	assert_non_null(json_at(one, "/revisions/0/changes"));
	assert_int_equal(json_object_array_length(json_get(rest, "revisions")), 2);
	assert_false(json_get_bool(rest, "more", true));
	client_expect_error(c, "vm.history", "{'vm': 'two'}", ERR_VM_NOT_FOUND, "no VM 'two'", "");
}

/* An answer is bounded in bytes, too. */
static void test_large_definitions(void **state)
{
	struct harness *h = *state;
	struct client *c;
	AUTO_JSON struct json_object *page = NULL;
	char path[3000], params[120000];
	size_t n;

	harness_vmd(h, "ok", NULL);
	c = harness_client(h);
	memset(path, 'p', sizeof(path));
	path[0] = '/';
	path[sizeof(path) - 1] = '\0';
	for (int i = 1; i <= 6; i++) {
		n = (size_t)snprintf(params, sizeof(params),
				     "{'definition': {'name': 'one', 'cpus': %d, 'boot': {'kernel':"
				     " '/k'}, 'devices': [",
				     i);
		for (int k = 0; k < 24; k++)
			n += (size_t)snprintf(params + n, sizeof(params) - n,
					      "%s{'type': 'virtio-blk', 'path': '%s'}",
					      k ? "," : "", path);
		snprintf(params + n, sizeof(params) - n, "]}}");
		apply(c, params);
	}
	page = client_result(c, "vm.history", "{'vm': 'one'}");
	assert_true(json_get_bool(page, "more", false));
	n = json_object_array_length(json_get(page, "revisions"));
	assert_true(n >= 2 && n < 6);
}

static void test_diff(void **state)
{
	struct harness *h = *state;
	struct client *c = begin(h);
	AUTO_JSON struct json_object *since =
		client_result(c, "vm.diff", "{'vm': 'one', 'against': 1}");
	AUTO_JSON struct json_object *two =
		client_result(c, "vm.diff", "{'vm': 'one', 'against': 2, 'revision': 1}");
	AUTO_JSON struct json_object *same = client_result(c, "vm.diff", "{'vm': 'one'}");
	AUTO_JSON struct json_object *file = client_result(c, "vm.diff", DEF("'cpus': 3,"));
	AUTO_JSON struct json_object *none = client_result(
		c, "vm.diff", "{'definition': {'name': 'new', 'boot': {'kernel': '/k'}}}");
	AUTO_JSON struct json_object *bad = NULL;

	assert_string_equal(plain(since),
			    "{\"name\":\"one\",\"exists\":true,\"against\":1,\"revision\":3,"
			    "\"changes\":[{\"path\":\"/memory\",\"to\":\"1GiB\"},"
			    "{\"path\":\"/description\",\"to\":\"x\"}]}");
	assert_string_equal(plain(json_get(two, "changes")), "[{\"path\":\"/cpus\",\"from\":2}]");
	assert_string_equal(plain(json_get(same, "changes")), "[]");
	assert_string_equal(plain(file), "{\"name\":\"one\",\"exists\":true,\"against\":3,"
					 "\"changes\":[{\"path\":\"/cpus\",\"to\":3},"
					 "{\"path\":\"/memory\",\"from\":\"1GiB\"},"
					 "{\"path\":\"/description\",\"from\":\"x\"}]}");
	assert_string_equal(plain(none), "{\"name\":\"new\",\"exists\":false,\"changes\":["
					 "{\"path\":\"/name\",\"to\":\"new\"},"
					 "{\"path\":\"/boot\",\"to\":{\"kernel\":\"/k\"}}]}");
	client_expect_error(c, "vm.diff", "{'vm': 'one', 'against': 9}", ERR_VM_NO_REVISION,
			    "VM 'one' has no revision 9",
			    "it has revisions 1 to 3: vmctl history one");
	client_expect_error(c, "vm.diff", "{}", ERR_RPC_PARAMS,
			    "vm.diff: either 'definition', or 'vm' with 'revision' or 'against'",
			    "");
	bad = client_error(c, "vm.diff", DEF("'cpus': 0,"));
	assert_int_equal(json_get_int(bad, "code", 0), ERR_INVALID);
	assert_string_equal(json_get_str(json_get(bad, "data"), "path", ""), "/cpus");
	assert_string_equal(json_get_str(json_get(bad, "data"), "target", ""), "one");
}

static void test_revert(void **state)
{
	struct harness *h = *state;
	struct client *c = begin(h);
	AUTO_JSON struct json_object *dry =
		client_result(c, "vm.revert", "{'vm': 'one', 'to': 2, 'dry_run': true}");
	AUTO_JSON struct json_object *old = client_result(c, "vm.get", "{'vm': 'one'}");
	AUTO_JSON struct json_object *back =
		client_result(c, "vm.revert", "{'vm': 'one', 'to': 2, 'if_revision': 3}");
	AUTO_JSON struct json_object *got = client_result(c, "vm.get", "{'vm': 'one'}");
	AUTO_JSON struct json_object *again =
		client_result(c, "vm.revert", "{'vm': 'one', 'to': 4}");
	AUTO_JSON struct json_object *all = client_result(c, "vm.history", "{'vm': 'one'}");

	assert_string_equal(json_get_str(dry, "result", ""), "updated");
	assert_int_equal(json_get_int(old, "revision", 0), 3);
	assert_int_equal(json_get_int(back, "revision", 0), 4);
	assert_string_equal(plain(json_get(back, "changes")),
			    "[\"/cpus\",\"/memory\",\"/description\"]");
	assert_int_equal(json_get_int(got, "cpus", 0), 2);
	assert_string_equal(json_get_str(again, "result", ""), "unchanged");
	assert_string_equal(json_get_str(json_at(all, "/revisions/0"), "note", ""), "revert to 2");
	assert_int_equal(json_object_array_length(json_get(all, "revisions")), 4);
	client_expect_error(c, "vm.revert", "{'vm': 'one', 'to': 1, 'if_revision': 3}",
			    ERR_VM_REVISION, "VM 'one' is at revision 4, not 3", "");
	client_expect_error(c, "vm.revert", "{'vm': 'one', 'to': 5}", ERR_VM_NO_REVISION,
			    "VM 'one' has no revision 5",
			    "it has revisions 1 to 4: vmctl history one");
}

static void test_export(void **state)
{
	struct harness *h = *state;
	struct client *c = begin(h);
	AUTO_JSON struct json_object *now = client_result(c, "vm.export", "{'vm': 'one'}");
	AUTO_JSON struct json_object *first =
		client_result(c, "vm.export", "{'vm': 'one', 'revision': 1}");

	assert_int_equal(json_get_int(now, "revision", 0), 3);
	/* as it was given: no default added, no size counted out */
	assert_string_equal(plain(json_get(now, "definition")),
			    "{\"name\":\"one\",\"memory\":\"1GiB\",\"description\":\"x\","
			    "\"boot\":{\"kernel\":\"/k\"}}");
	assert_string_equal(plain(json_get(first, "definition")),
			    "{\"name\":\"one\",\"boot\":{\"kernel\":\"/k\"}}");
}

/* The history goes with the VM; the event of its end keeps what it was. */
static void test_delete(void **state)
{
	struct harness *h = *state;
	struct client *c = begin(h);
	AUTO_JSON struct json_object *event = NULL, *all = NULL;

	json_object_put(client_result(c, "event.subscribe", NULL));
	json_object_put(client_result(c, "vm.delete", "{'vm': 'one'}"));
	event = client_event(c, "vm.deleted", NULL);
	assert_string_equal(plain(json_at(event, "/data/definition/memory")), "\"1GiB\"");
	client_expect_error(c, "vm.history", "{'vm': 'one'}", ERR_VM_NOT_FOUND, "no VM 'one'", "");
	apply(c, DEF(""));
	all = client_result(c, "vm.history", "{'vm': 'one'}");
	assert_int_equal(json_object_array_length(json_get(all, "revisions")), 1);
}

static void test_kept_by_the_next_vmd(void **state)
{
	struct harness *h = *state;
	struct client *c = begin(h);
	AUTO_JSON struct json_object *before = client_result(c, "vm.history", "{'vm': 'one'}");
	AUTO_JSON struct json_object *after = NULL;

	harness_vmd_end(h, SIGKILL);
	harness_vmd(h, "ok", NULL);
	c = harness_client(h);
	after = client_result(c, "vm.history", "{'vm': 'one'}");
	assert_string_equal(plain(after), plain(before));
}

/* What export prints for a file's VMs is, applied again, no change; and it is so to diff. */
static void check_round_trip(struct harness *h, const char *path)
{
	static struct harness_output got, exported;
	int status = harness_vmctl(h, NULL, &got, "apply", "-q", "-f", path, NULL);

	if (status)
		fail_msg("%s: %s", path, got.err);
	got.out[strcspn(got.out, "\n")] = '\0';
	status = harness_vmctl(h, NULL, &exported, "export", got.out, NULL);
	if (status)
		fail_msg("%s: %s", path, exported.err);
	status = harness_vmctl(h, exported.out, &got, "diff", "-f", "-", NULL);
	if (status)
		fail_msg("%s: exported as\n%s%s%s", path, exported.out, got.out, got.err);
	status = harness_vmctl(h, exported.out, &got, "apply", "-f", "-", NULL);
	assert_int_equal(status, 0);
	assert_non_null(strstr(got.out, ": unchanged\n"));
}

/* Files of kind pool have no VM. */
static bool defines_pool(const char *path)
{
	AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
	char text[4096] = "\n";

	assert_true(fdio_read(fd, text + 1, sizeof(text) - 2) > 0);
	return strstr(text, "\nkind: pool\n");
}

static void test_export_of_every_example(void **state)
{
	static const char *const patterns[] = { "schemas/examples/*.yaml",
						"tests/config/pass-*.yaml" };
	static struct harness_output exported, got;
	struct harness *h = *state;
	size_t n = 0;

	harness_vmd(h, "ok", NULL);
	for (size_t k = 0; k < ARRAY_SIZE(patterns); k++) {
		glob_t found;

		assert_int_equal(glob(patterns[k], 0, NULL, &found), 0);
		for (size_t i = 0; i < found.gl_pathc; i++) {
			if (defines_pool(found.gl_pathv[i]))
				continue;
			check_round_trip(h, found.gl_pathv[i]);
			n++;
		}
		globfree(&found);
	}
	assert_true(n >= 9);
	/* all at once: several documents */
	assert_int_equal(harness_vmctl(h, NULL, &exported, "export", "*", NULL), 0);
	assert_non_null(strstr(exported.out, "\n---\n"));
	assert_int_equal(harness_vmctl(h, exported.out, &got, "diff", "-f", "-", NULL), 0);
	assert_string_equal(got.out, "");
}

static void test_vmctl_revert(void **state)
{
	static struct harness_output got;
	struct harness *h = *state;

	begin(h);
	assert_int_equal(harness_vmctl(h, NULL, &got, "revert", "one", "--to", "2", NULL), 2);
	assert_string_equal(got.err, "vmctl: 'revert' needs --yes where it cannot ask: "
				     "standard input is no terminal\n");
	assert_int_equal(harness_vmctl(h, NULL, &got, "revert", "one", "--to", "2", "-y", NULL), 0);
	assert_string_equal(got.out, "one: reverted to 2 (revision 4)\n");
	assert_int_equal(harness_vmctl(h, NULL, &got, "revert", "one", "--to", "2", "-y", NULL), 0);
	assert_string_equal(got.err, "one: unchanged\n");
	assert_int_equal(harness_vmctl(h, NULL, &got, "diff", "one", "-r", "3..4", NULL), 1);
	assert_string_equal(got.out, "--- one (revision 3)\n+++ one (revision 4)\n"
				     "+ /cpus: 2\n- /memory: \"1GiB\"\n"
				     "- /description: \"x\"\n");
	assert_int_equal(harness_vmctl(h, NULL, &got, "diff", "one", "-r", "2", NULL), 0);
	assert_int_equal(harness_vmctl(h, NULL, &got, "revert", "one", "--to", "7", "-y", NULL), 3);
	assert_string_equal(got.err, "vmctl: cannot revert 'one' to 7: VM 'one' has no revision 7\n"
				     "hint: it has revisions 1 to 4: vmctl history one\n"
				     "code: E1220 (vm.no_revision)\n");
}

static int edit(struct harness *h, const char *editor, struct harness_output *got)
{
	setenv("VISUAL", "", 1);
	setenv("EDITOR", editor, 1);
	setenv("TMPDIR", h->dir, 1);
	return harness_vmctl(h, NULL, got, "edit", "one", NULL);
}

/* What edit leaves behind: the name of its file, or "". */
static const char *left_behind(struct harness *h)
{
	static char path[256];
	char pattern[160];
	glob_t found;

	snprintf(pattern, sizeof(pattern), "%s/vmctl-one-*", h->dir);
	path[0] = '\0';
	if (!glob(pattern, 0, NULL, &found))
		snprintf(path, sizeof(path), "%s", found.gl_pathv[0]);
	globfree(&found);
	return path;
}

static void test_edit(void **state)
{
	static struct harness_output got;
	struct harness *h = *state;
	struct client *c = begin(h);
	AUTO_JSON struct json_object *vm = NULL;

	assert_int_equal(edit(h, "true", &got), 0);
	assert_string_equal(got.out, "one: unchanged\n");
	assert_int_equal(edit(h, "sed -i s/1GiB/2GiB/", &got), 0);
	assert_string_equal(got.out, "one: updated\n  /memory\n");
	assert_string_equal(left_behind(h), "");
	vm = client_result(c, "vm.get", "{'vm': 'one'}");
	assert_int_equal(json_get_int(vm, "memory", 0), 2ll << 30);
	assert_int_equal(json_get_int(vm, "revision", 0), 4);
}

static void test_edit_fails(void **state)
{
	static struct harness_output got;
	struct harness *h = *state;
	struct client *c = begin(h);
	char err[1000], vmctl[4096], meanwhile[4400];

	assert_int_equal(edit(h, "sed -i s/memory/memroy/", &got), 5);
	snprintf(err, sizeof(err),
		 "vmctl: cannot edit 'one': %s:4:1: /memroy: unknown key 'memroy'; did you mean "
		 "'memory'?\ncode: E1100 (definition.invalid)\nvmctl: the file is kept: %s\n",
		 left_behind(h), left_behind(h));
	assert_string_equal(got.err, err);
	unlink(left_behind(h));
	assert_int_equal(edit(h, "false", &got), 1);
	assert_non_null(strstr(got.err, "the editor 'false' failed: exit status 1\n"));
	unlink(left_behind(h));
	assert_int_equal(edit(h, "sed -i s/one/two/", &got), 5);
	assert_non_null(strstr(got.err, "the name was changed from 'one' to 'two'\n"));
	unlink(left_behind(h));
	/* somebody is faster */
	harness_program("vmctl", vmctl, sizeof(vmctl));
	snprintf(meanwhile, sizeof(meanwhile),
		 "%s -s %s revert one --to 1 -y >&2; sed -i s/1GiB/2GiB/", vmctl, h->socket);
	assert_int_equal(edit(h, meanwhile, &got), 4);
	assert_non_null(strstr(got.err, "VM 'one' is at revision 4, not 3\n"));
	assert_int_not_equal(left_behind(h)[0], '\0');
	client_expect_error(c, "vm.get", "{'vm': 'two'}", ERR_VM_NOT_FOUND, "no VM 'two'", "");
}

/* vmd as another user, who may ask it as root may: two actors. */
static void test_two_users(void **state)
{
	struct harness *h = *state;
	AUTO_JSON struct json_object *all = NULL;
	struct client *root, *other;
	char notify[160];

	if (geteuid())
		SKIP_BECAUSE("needs root");
	snprintf(notify, sizeof(notify), "%s/notify", h->dir);
	assert_int_equal(chown(h->dir, OTHER_UID, (gid_t)-1), 0);
	assert_int_equal(chown(notify, OTHER_UID, (gid_t)-1), 0);
	assert_int_equal(setresuid(OTHER_UID, OTHER_UID, 0), 0);
	harness_vmd(h, "ok", NULL);
	other = harness_client(h);
	assert_int_equal(setresuid(0, 0, 0), 0);
	root = harness_client(h);
	apply(root, DEF(""));
	apply(other, DEF("'cpus': 2,"));
	json_object_put(client_result(root, "vm.revert", "{'vm': 'one', 'to': 1}"));
	all = client_result(other, "vm.history", "{'vm': 'one'}");
	assert_int_equal(json_get_int(json_at(all, "/revisions/0/actor"), "uid", -1), 0);
	assert_int_equal(json_get_int(json_at(all, "/revisions/1/actor"), "uid", -1), OTHER_UID);
	assert_int_equal(json_get_int(json_at(all, "/revisions/2/actor"), "uid", -1), 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, harness_setup, harness_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_who_when_what),
		TEST(test_pages),
		TEST(test_large_definitions),
		TEST(test_diff),
		TEST(test_revert),
		TEST(test_export),
		TEST(test_delete),
		TEST(test_kept_by_the_next_vmd),
		TEST(test_two_users),
		TEST(test_export_of_every_example),
		TEST(test_vmctl_revert),
		TEST(test_edit),
		TEST(test_edit_fails),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
