// SPDX-License-Identifier: MIT
/* vmctl history, diff, revert, export against a scripted vmd: what is asked, what is printed. */
#include <stdio.h>
#include <string.h>

#include "lib/util.h"
#include "tests/lib/test.h"
#include "tests/unit/vmctl_peer.h"

#define CHANGES                                                                   \
	"[{\"path\":\"/memory\",\"from\":\"1GiB\",\"to\":\"2GiB\"},{\"path\":\"/" \
	"a\\u001b\",\"to\":\"\\u001b\\u007f\"}]"
#define ITEM(n, more)                                                                 \
	"{\"revision\":" n ",\"time\":\"2020-01-01T00:00:00Z\",\"actor\":{\"uid\":0," \
	"\"pid\":7,\"program\":\"ansi\\u001bble\"}" more "}"
#define HISTORY(list, more) \
	"{\"id\":\"0f\",\"name\":\"db\",\"revision\":3,\"revisions\":[" list "],\"more\":" more "}"

static const struct peer_row three[] = {
	{ "vm.history",
	  .result = HISTORY(ITEM("3", ",\"note\":\"revert to 1\",\"changes\":" CHANGES) "," ITEM(
				    "2", ",\"changes\":[]") "," ITEM("1", ""),
			    "false") },
	{ 0 }
};

static void test_history(void **state)
{
	struct peer_run r;

	(void)state;
	peer_run(three, "history db --no-header", NULL, &r);
	assert_int_equal(r.status, 0);
	assert_non_null(strstr(r.out, "  root  ansi?ble  7  revert to 1: /memory, /a?\n"));
	assert_non_null(strstr(r.out, "  root  ansi?ble  7  created\n"));
	assert_string_equal(r.requests, "vm.history {\"vm\":\"db\",\"limit\":20}\n");
	peer_run_free(&r);
	peer_check(three, "history db -q", NULL, 0, "3\n2\n1\n", "");
	peer_check(three, "history db --diff", NULL, 0,
		   "revision 3, 2020-01-01T00:00:00Z, root by ansi?ble (7): revert to 1\n"
		   "  - /memory: \"1GiB\"\n  + /memory: \"2GiB\"\n  + /a?: \"\\u001b?\"\n"
		   "\nrevision 2, 2020-01-01T00:00:00Z, root by ansi?ble (7)\n"
		   "\nrevision 1, 2020-01-01T00:00:00Z, root by ansi?ble (7)\n",
		   "");
	peer_check(three, "history db -l 0", NULL, 2, "", "vmctl: --limit must be at least 1\n");
}

/* vmd's answers are bounded: vmctl goes on until it has what was asked for. */
static void test_history_goes_on(void **state)
{
	static const struct peer_row script[] = {
		{ "vm.history", "{\"vm\":\"db\",\"limit\":20}",
		  .result = HISTORY(ITEM("3", ""), "true") },
		{ "vm.history", "{\"vm\":\"db\",\"limit\":19,\"before\":3}",
		  .result = HISTORY(ITEM("2", ""), "true") },
		{ "vm.history", "{\"vm\":\"db\",\"limit\":18,\"before\":2}",
		  .result = HISTORY("", "true") },
		{ "vm.history", "{\"vm\":\"db\",\"limit\":1,\"before\":9}",
		  .result = HISTORY(ITEM("8", ""), "true") },
		{ 0 }
	};

	(void)state;
	peer_check(script, "history db -q", NULL, 0, "3\n2\n", "");
	peer_check(script, "history db -q -l 1 --before 9", NULL, 0, "8\n", "");
}

static void test_diff(void **state)
{
	static const struct peer_row script[] = {
		{ "vm.diff", "{\"vm\":\"db\",\"against\":2}",
		  .result = "{\"name\":\"db\",\"exists\":true,\"against\":2,\"revision\":3,"
			    "\"changes\":" CHANGES "}" },
		{ "vm.diff", "{\"vm\":\"db\",\"against\":2,\"revision\":1}",
		  .result = "{\"name\":\"db\",\"exists\":true,\"against\":2,\"revision\":1,"
			    "\"changes\":[]}" },
		{ "vm.diff", "{\"definition\":{\"name\":\"db\",\"boot\":{\"kernel\":\"/k\"}}}",
		  .result = "{\"name\":\"db\",\"exists\":false,\"changes\":[{\"path\":\"/name\","
			    "\"to\":\"db\"}]}" },
		{ "vm.diff", .error = "{\"code\":1000,\"message\":\"no "
				      "luck\",\"data\":{\"name\":\"failed\"}}" },
		{ 0 }
	};
	static const char file[] = "name: db\nboot:\n  kernel: /k\n";

	(void)state;
	peer_check(script, "diff db -r 2", NULL, 1,
		   "--- db (revision 2)\n+++ db (revision 3)\n- /memory: \"1GiB\"\n"
		   "+ /memory: \"2GiB\"\n+ /a?: \"\\u001b?\"\n",
		   "");
	peer_check(script, "diff db --revision=2..1", NULL, 0, "", "");
	peer_check(script, "diff -f -", file, 1, "--- /dev/null\n+++ -\n+ /name: \"db\"\n", "");
	peer_check(script, "diff -f - -q", file, 1, "db\n", "");
	peer_check(script, "diff -f - --json", file, 1,
		   "{\"schema\":\"vmctl.diff/1\",\"results\":[{\"file\":\"-\",\"name\":\"db\","
		   "\"exists\":false,\"changes\":[{\"path\":\"/name\",\"to\":\"db\"}]}]}\n",
		   "");
	/* 1 says "different": a failure is 2 */
	peer_check(script, "diff db -r 9", NULL, 2, "",
		   "vmctl: cannot compare revisions of 'db': no luck\ncode: E1000 (failed)\n");
	peer_check(script, "diff -f -", "name: x\nboot:\n  kernel: /k\n", 2, "",
		   "vmctl: cannot compare 'x': no luck\ncode: E1000 (failed)\n");
	peer_check(script, "diff -f -", "nam: x\n", 5, "",
		   "vmctl: <stdin>:1:1: /nam: unknown key 'nam'; did you mean 'name'?\n"
		   "code: E1100 (definition.invalid)\n");
}

static void test_diff_usage(void **state)
{
	static const struct peer_row none[] = { { 0 } };
	static const char *const bad[] = { "0",	    "-1",  "x",
					   "2..",   "..2", "2...3",
					   "2..3x", "2.3", "99999999999999999999" };

	(void)state;
	peer_check(none, "diff", NULL, 2, "",
		   "vmctl: diff takes --file FILE, or a VM with --revision N\n");
	peer_check(none, "diff db", NULL, 2, "",
		   "vmctl: diff takes --file FILE, or a VM with --revision N\n");
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		char args[80], err[160];

		snprintf(args, sizeof(args), "diff db --revision=%s", bad[i]);
		snprintf(err, sizeof(err),
			 "vmctl: --revision takes a number, or two as in 3..5, not '%s'\n", bad[i]);
		peer_check(none, args, NULL, 2, "", err);
	}
}

static const struct peer_row revert[] = {
	{ "vm.revert", "{\"vm\":\"db\",\"to\":1,\"dry_run\":true}",
	  .result = "{\"name\":\"db\",\"revision\":4,\"result\":\"updated\",\"changes\":[\"/a\"],"
		    "\"restart_required\":false}" },
	{ "vm.diff", "{\"vm\":\"db\",\"against\":3,\"revision\":1}",
	  .result = "{\"name\":\"db\",\"exists\":true,\"changes\":" CHANGES "}" },
	{ "vm.revert", "{\"vm\":\"db\",\"to\":1,\"if_revision\":3}",
	  .result = "{\"name\":\"db\",\"revision\":4,\"result\":\"updated\",\"changes\":[\"/a\"],"
		    "\"restart_required\":true}" },
	{ "vm.revert", "{\"vm\":\"db\",\"to\":1}",
	  .result = "{\"name\":\"db\",\"revision\":3,\"result\":\"unchanged\",\"changes\":[],"
		    "\"restart_required\":false}" },
	{ 0 }
};

static void test_revert(void **state)
{
	(void)state;
	peer_check(revert, "revert db --to 1 -n", NULL, 0,
		   "db: would be reverted to 1 (revision 4)\n", "");
	peer_check(revert, "revert db --to 1 -y", NULL, 0, "", "db: unchanged\n");
	peer_check(revert, "revert db --to 1 -y --strict", NULL, 4, "",
		   "vmctl: cannot revert 'db' to 1: it is so already\n"
		   "hint: without --strict this is no error\ncode: E1202 (vm.wrong_state)\n");
	peer_check(
		revert, "revert db --to 1", NULL, 2, "",
		"vmctl: 'revert' needs --yes where it cannot ask: standard input is no terminal\n");
}

/* On a terminal: the changes are shown, and what is confirmed is what was shown. */
static void test_revert_asks(void **state)
{
	struct peer_run r;
	bool restored;

	(void)state;
	peer_run_tty(revert, "revert db --to 1", "[y/N] ", "y\n", &r, &restored);
	assert_int_equal(r.status, 0);
	assert_non_null(strstr(r.out, "revert 'db' to 1 changes:\r\n  - /memory: \"1GiB\"\r\n"));
	assert_non_null(strstr(r.out, "db: reverted to 1 (revision 4)\r\n"));
	assert_non_null(strstr(r.out, "db: runs with the old definition until: vmctl restart db"));
	assert_non_null(
		strstr(r.requests, "vm.revert {\"vm\":\"db\",\"to\":1,\"if_revision\":3}\n"));
	peer_run_free(&r);
	peer_run_tty(revert, "revert db --to 1", "[y/N] ", "n\n", &r, &restored);
	assert_int_equal(r.status, 1);
	assert_null(strstr(r.requests, "if_revision"));
	peer_run_free(&r);
}

static void test_export(void **state)
{
	static const struct peer_row script[] = {
		{ "vm.export", "{\"vm\":\"a\"}",
		  .result = "{\"name\":\"a\",\"revision\":2,\"definition\":{\"name\":\"a\","
			    "\"description\":\"7\"}}" },
		{ "vm.export", "{\"vm\":\"b\",\"revision\":1}",
		  .result = "{\"name\":\"b\",\"revision\":1,\"definition\":{\"name\":\"b\"}}" },
		{ "vm.export", "{\"vm\":\"b\"}",
		  .result = "{\"name\":\"b\",\"revision\":2,\"definition\":{\"name\":\"b\"}}" },
		{ "vm.export", .error = "{\"code\":1200,\"message\":\"no VM 'x'\",\"data\":{"
					"\"name\":\"vm.not_found\"}}" },
		{ 0 }
	};

	(void)state;
	peer_check(script, "export a b", NULL, 0, "name: a\ndescription: \"7\"\n---\nname: b\n",
		   "");
	peer_check(script, "export -r 1 b", NULL, 0, "name: b\n", "");
	peer_check(script, "export a x", NULL, 9, "name: a\ndescription: \"7\"\n",
		   "vmctl: cannot export 'x': no VM 'x'\ncode: E1200 (vm.not_found)\n");
	peer_check(script, "export --json x b", NULL, 9,
		   "{\"schema\":\"vmctl.export/1\",\"vms\":[{\"error\":{\"code\":1200,\"message\":"
		   "\"no VM "
		   "'x'\",\"data\":{\"name\":\"vm.not_found\"}}},{\"name\":\"b\",\"revision\":2,"
		   "\"definition\":{\"name\":\"b\"}}]}\n",
		   "vmctl: cannot export 'x': no VM 'x'\ncode: E1200 (vm.not_found)\n");
	peer_check(script, "export x", NULL, 3, "",
		   "vmctl: cannot export 'x': no VM 'x'\ncode: E1200 (vm.not_found)\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_history), cmocka_unit_test(test_history_goes_on),
		cmocka_unit_test(test_diff),	cmocka_unit_test(test_diff_usage),
		cmocka_unit_test(test_revert),	cmocka_unit_test(test_revert_asks),
		cmocka_unit_test(test_export),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
