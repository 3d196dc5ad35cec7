// SPDX-License-Identifier: MIT
/* vmctl/output, vmctl/table: what is printed, to the byte. */
#include "vmctl/output.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/auto.h"
#include "lib/errcat.h"
#include "tests/lib/test.h"
#include "vmctl/table.h"

struct text {
	struct output o;
	char *out, *err;
	size_t out_len, err_len;
};

static int setup(void **state)
{
	struct text *t = calloc(1, sizeof(*t));

	t->o = (struct output){ .out = open_memstream(&t->out, &t->out_len),
				.err = open_memstream(&t->err, &t->err_len),
				.header = true };
	*state = t;
	return 0;
}

static int teardown(void **state)
{
	struct text *t = *state;

	fclose(t->o.out);
	fclose(t->o.err);
	free(t->out);
	free(t->err);
	free(t);
	return 0;
}

static void check(struct text *t, const char *out, const char *err)
{
	fflush(t->o.out);
	fflush(t->o.err);
	assert_string_equal(t->out, out);
	assert_string_equal(t->err, err);
}

static void test_error(void **state)
{
	struct text *t = *state;
	struct err e;

	err_set(&e, ERR_VM_STATE, "VM 'db1' is running");
	err_hint(&e, "stop it first: vmctl stop db1");
	err_add_cause(&e, "it was\033started");
	err_add_cause(&e, "on_boot");
	output_error(&t->o, &e, NULL, "delete 'db1'");
	check(t, "",
	      "vmctl: cannot delete 'db1': VM 'db1' is running\n"
	      "cause: it was?started\n"
	      "cause: on_boot\n"
	      "hint: stop it first: vmctl stop db1\n"
	      "code: E1202 (vm.wrong_state)\n");
}

static void test_error_codes_of_other_kinds(void **state)
{
	struct text *t = *state;
	struct err e;

	err_set(&e, ENOENT, "no file");
	output_error(&t->o, &e, NULL, NULL);
	err_set(&e, ERR_RPC_METHOD, "no method 'x'");
	output_error(&t->o, &e, NULL, "call 'x'");
	err_set(&e, 7777, "new");
	output_error(&t->o, &e, "brand.new", NULL);
	check(t, "",
	      "vmctl: no file\ncode: E1006 (file.unusable)\n"
	      "vmctl: cannot call 'x': no method 'x'\ncode: -32601 (rpc.method_not_found)\n"
	      "vmctl: new\ncode: E7777 (brand.new)\n");
}

/* What a guest or a file says cannot drive the terminal. */
static void test_control_characters_are_not_printed(void **state)
{
	struct text *t = *state;
	struct err e;

	err_set(&e, ERR_FAILED, "a\033[2Jb\nc\td");
	output_error(&t->o, &e, NULL, NULL);
	output_note(&t->o, "x\033y: %s", "z\r");
	check(t, "", "vmctl: a?[2Jb?c?d\ncode: E1000 (failed)\nx?y: z?\n");
}

static void test_json_document(void **state)
{
	struct text *t = *state;
	AUTO_JSON struct json_object *body = json_add_str(json_new(), "path", "/a");

	output_json(&t->o, "list", body);
	output_json_line(&t->o, "event", body);
	output_json_raw(&t->o, body);
	t->o.pretty = true;
	output_json(&t->o, "list", NULL);
	check(t,
	      "{\"schema\":\"vmctl.list/1\",\"path\":\"/a\"}\n"
	      "{\"schema\":\"vmctl.event/1\",\"path\":\"/a\"}\n"
	      "{\"path\":\"/a\"}\n"
	      "{\n  \"schema\": \"vmctl.list/1\"\n}\n",
	      "");
}

static void test_sizes(void **state)
{
	char out[24];

	(void)state;
	assert_string_equal(output_size(0, out), "0B");
	assert_string_equal(output_size(1023, out), "1023B");
	assert_string_equal(output_size(1024, out), "1.0K");
	assert_string_equal(output_size(64 * MIB, out), "64.0M");
	assert_string_equal(output_size(512 * MIB, out), "512M");
	assert_string_equal(output_size(4 * GIB, out), "4.0G");
	assert_string_equal(output_size(4 * GIB - 1, out), "3.9G");
	assert_string_equal(output_size(1536 * MIB, out), "1.5G");
	assert_string_equal(output_size(UINT64_MAX, out), "15.9E");
}

static void test_ages(void **state)
{
	char out[24];
	time_t t = 0;

	(void)state;
	assert_true(output_time_parse("2026-01-31T12:00:00Z", &t));
	assert_int_equal(t, 1769860800);
	assert_string_equal(output_age("2026-01-31T12:00:00.250Z", t + 59, out), "59s");
	assert_string_equal(output_age("2026-01-31T12:00:00Z", t + 60, out), "1m");
	assert_string_equal(output_age("2026-01-31T12:00:00Z", t + 3600 * 47, out), "47h");
	assert_string_equal(output_age("2026-01-31T12:00:00Z", t + 3600 * 48, out), "2d");
	assert_string_equal(output_age("2026-01-31T12:00:00Z", t - 5, out), "0s");
	assert_string_equal(output_age("yesterday", t, out), "-");
	assert_string_equal(output_age("2026-01-31T12:00:00+01:00", t, out), "-");
	assert_string_equal(output_age(NULL, t, out), "-");
}

static void test_table(void **state)
{
	struct text *t = *state;
	struct table table;

	table_init(&table);
	table_column(&table, "NAME", TABLE_LEFT);
	table_column(&table, "N", TABLE_RIGHT);
	table_column(&table, "STATE", TABLE_LEFT);
	table_cell(&table, "a", NULL);
	table_cell(&table, "100", NULL);
	table_cell(&table, "running", "32");
	table_cell(&table,
		   "gr\xc3\xbc\xc3\x9f"
		   "e",
		   NULL);
	table_cell(&table, "7", NULL);
	table_cell(&table, NULL, NULL);
	table_print(&table, t->o.out, true, false);
	table_print(&table, t->o.out, false, true);
	table_fini(&table);
	check(t,
	      "NAME     N  STATE\n"
	      "a      100  running\n"
	      "gr\xc3\xbc\xc3\x9f"
	      "e    7  -\n"
	      "a      100  \033[32mrunning\033[0m\n"
	      "gr\xc3\xbc\xc3\x9f"
	      "e    7  -\n",
	      "");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_error),
		TEST(test_error_codes_of_other_kinds),
		TEST(test_control_characters_are_not_printed),
		TEST(test_json_document),
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_ages),
		TEST(test_table),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
