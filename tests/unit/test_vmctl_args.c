// SPDX-License-Identifier: MIT
/* vmctl/args, commands: the command line by tables, and the exact message of every bad usage. */
#include "vmctl/args.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "lib/auto.h"
#include "tests/lib/test.h"
#include "vmctl/commands.h"

static int parse(const char *line, struct args *ret, struct err *e)
{
	static const char *const unless[] = { "help", NULL };
	static char copy[256]; /* the strings of ret live in it */
	static char *argv[32];
	int argc = 1;
	char *save = NULL;

	snprintf(copy, sizeof(copy), "%s", line);
	argv[0] = (char *)"vmctl";
	for (char *w = strtok_r(copy, " ", &save); w; w = strtok_r(NULL, " ", &save))
		argv[argc++] = w;
	argv[argc] = NULL;
	return args_parse(argc, argv, commands, command_globals, unless, ret, e);
}

static void check_command(const char *line, const char *title)
{
	struct args a;
	struct err e = { 0 };
	char got[32];

	if (parse(line, &a, &e) < 0)
		fail_msg("'%s': %s", line, e.msg);
	assert_string_equal(command_title(a.command, got, sizeof(got)), title);
	args_fini(&a);
}

static void check_bad(const char *line, const char *message)
{
	struct args a;
	struct err e = { 0 };

	assert_int_equal(parse(line, &a, &e), -EINVAL);
	assert_string_equal(e.msg, message);
	args_fini(&a);
}

static void test_commands_by_name_alias_and_prefix(void **state)
{
	(void)state;
	check_command("start a", "start");
	check_command("ls", "list");
	check_command("ps", "list");
	check_command("status", "show");
	check_command("info a", "show");
	check_command("unpause a", "resume");
	check_command("li", "list");
	check_command("sh a", "show");
	check_command("del a", "delete");
	check_command("host info", "host info");
	check_command("ho i", "host info");
	check_command("unp a", "resume");
}

static void test_options_of_both_kinds(void **state)
{
	struct args a;
	struct err e = { 0 };

	(void)state;
	assert_int_equal(parse("--json -s /a stop -ft5m --socket=/b x -q y", &a, &e), 0);
	assert_true(args_flag(&a, "json"));
	assert_true(args_flag(&a, "quiet"));
	assert_true(args_flag(&a, "force"));
	assert_false(args_flag(&a, "strict"));
	assert_string_equal(args_str(&a, "socket", ""), "/b");
	assert_int_equal(args_number(&a, "timeout", 0), 300000);
	assert_int_equal(a.noperands, 2);
	assert_string_equal(a.operands[1], "y");
	args_fini(&a);
	assert_int_equal(parse("apply -f a -f b --file=-", &a, &e), 0);
	assert_string_equal(args_item(&a, "file", 0), "a");
	assert_string_equal(args_item(&a, "file", 2), "-");
	assert_null(args_item(&a, "file", 3));
	args_fini(&a);
	assert_int_equal(parse("start -- --x -y", &a, &e), 0);
	assert_int_equal(a.noperands, 2);
	assert_string_equal(a.operands[0], "--x");
	args_fini(&a);
}

/* The command's letter hides the program's: -c is --console of start, --columns of list. */
static void test_letters_of_the_command_come_first(void **state)
{
	struct args a;
	struct err e = { 0 };

	(void)state;
	assert_int_equal(parse("start -c x", &a, &e), 0);
	assert_true(args_flag(&a, "console"));
	args_fini(&a);
	assert_int_equal(parse("list -c name,id", &a, &e), 0);
	assert_string_equal(args_str(&a, "columns", ""), "name,id");
	args_fini(&a);
}

static void test_nothing_or_help(void **state)
{
	struct args a;
	struct err e = { 0 };

	(void)state;
	assert_int_equal(parse("", &a, &e), 0);
	assert_null(a.command);
	args_fini(&a);
	assert_int_equal(parse("stop --help", &a, &e), 0);
	assert_string_equal(a.command->name, "stop");
	args_fini(&a);
}

static void test_bad_usage(void **state)
{
	(void)state;
	check_bad("strat a", "unknown command 'strat'; did you mean 'start'?");
	check_bad("frobnicate", "unknown command 'frobnicate'");
	check_bad("res x", "ambiguous command 'res': restart, reset, resume, resize");
	check_bad("host", "'host' needs a command: info, doctor");
	check_bad("host inof", "unknown command 'host inof'; did you mean 'info'?");
	check_bad("start", "'start' needs VM...");
	check_bad("console", "'console' needs VM [CONSOLE]");
	check_bad("console a b c", "'console' takes at most 2 arguments: 'c' is too much");
	check_bad("show a b", "'show' takes at most 1 argument: 'b' is too much");
	check_bad("version x", "'version' takes no argument: 'x' is too much");
	check_bad("apply hello.yaml", "'apply' takes no argument: 'hello.yaml' is too much");
	check_bad("apply", "'apply' needs --file FILE");
	check_bad("apply -f", "option '--file' needs a value: FILE");
	check_bad("--jsno list", "unknown option '--jsno'; did you mean '--json'?");
	check_bad("stop --forse a", "unknown option '--forse' of 'stop'; did you mean '--force'?");
	check_bad("host info --frobnicate", "unknown option '--frobnicate' of 'host info'");
	check_bad("stop -x a", "unknown option '-x' of 'stop'");
	check_bad("-x", "unknown option '-x'");
	check_bad("list --json=yes", "option '--json' takes no value");
	check_bad("stop --timeout", "option '--timeout' needs a value: TIME");
	check_bad("stop --timeout=soon a",
		  "option '--timeout': 'soon' is no time (60, 90s, 5m, 1h)");
	check_bad("stop --timeout=-1 a", "option '--timeout': '-1' is no time (60, 90s, 5m, 1h)");
	check_bad("events --since 1x", "option '--since': '1x' is no number");
	check_bad("events --since 99999999999999999999",
		  "option '--since': '99999999999999999999' is no number");
	check_bad("wait --for up a", "option '--for': 'up' is none of stopped, running, paused, "
				     "suspended, console=REGEX");
	check_bad("list -o yaml", "option '--output': 'yaml' is none of table, wide, name, json");
}

static void test_times(void **state)
{
	uint64_t ms = 0;

	(void)state;
	assert_true(args_time_parse("60", &ms));
	assert_int_equal(ms, 60000);
	assert_true(args_time_parse("0", &ms));
	assert_int_equal(ms, 0);
	assert_true(args_time_parse("500ms", &ms));
	assert_int_equal(ms, 500);
	assert_true(args_time_parse("2h", &ms));
	assert_int_equal(ms, 7200000);
	ms = 7;
	assert_false(args_time_parse("", &ms));
	assert_false(args_time_parse("5d", &ms));
	assert_false(args_time_parse("9223372036854775807h", &ms));
	assert_int_equal(ms, 7);
}

/* What the parser and its users take for granted of the tables. */
static void check_options(const struct args_option *t)
{
	for (const struct args_option *o = t; o && o->name; o++) {
		assert_non_null(o->help);
		assert_int_equal(o->type == ARGS_FLAG, o->metavar == NULL);
		assert_int_equal(o->type == ARGS_CHOICE, o->choices != NULL);
		for (const struct args_option *p = o + 1; p->name; p++) {
			assert_string_not_equal(o->name, p->name);
			assert_true(!o->letter || o->letter != p->letter);
		}
	}
}

static void test_table(void **state)
{
	(void)state;
	check_options(command_globals);
	for (const struct command *c = commands; c->name; c++) {
		assert_non_null(c->run);
		assert_non_null(c->summary);
		check_options(c->options);
		for (const struct command *d = c + 1; d->name; d++)
			assert_false(!strcmp(c->name, d->name) && c->group == d->group);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_commands_by_name_alias_and_prefix),
		cmocka_unit_test(test_options_of_both_kinds),
		cmocka_unit_test(test_letters_of_the_command_come_first),
		cmocka_unit_test(test_nothing_or_help),
		cmocka_unit_test(test_bad_usage),
		cmocka_unit_test(test_times),
		cmocka_unit_test(test_table),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
