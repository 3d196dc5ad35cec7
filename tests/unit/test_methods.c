// SPDX-License-Identifier: MIT
/* The method table: each row has its schema, each schema its row, and both are well formed. */
#include "tests/lib/test.h"

#include <string.h>

#include "lib/auto.h"
#include "lib/embed.h"
#include "lib/errcat.h"
#include "vmd/methods.h"

static void check_schema(const char *file, const char *name, struct json_object *o)
{
	struct json_object *errors = json_get(o, "errors");
	const char *access = json_get_str(o, "access", "");

	if (!method_find(name))
		fail_msg("%s has a schema in %s and no row", name, file);
	/* "rpc/vm.json" has "vm.…" */
	if (strncmp(name, file + 4, strcspn(file + 4, ".") + 1))
		fail_msg("%s stands in %s", name, file);
	if (strcmp(access, "read") && strcmp(access, "write"))
		fail_msg("%s: access '%s'", name, access);
	assert_true(strlen(json_get_str(o, "summary", "")) > 3);
	assert_true(json_object_is_type(json_get(o, "params"), json_type_object));
	assert_true(json_object_is_type(json_get(o, "result"), json_type_object));
	assert_false(json_get_bool(json_get(o, "params"), "additionalProperties", true));
	for (size_t i = 0; i < json_object_array_length(errors); i++)
		if (!errcat_by_name(json_object_get_string(json_object_array_get_idx(errors, i))))
			fail_msg("%s: unknown error", name);
}

static void test_each_schema_has_a_row(void **state)
{
	unsigned int n = 0;

	(void)state;
	for (const struct embed *f = embed_schemas; f->name; f++) {
		AUTO_JSON struct json_object *file = NULL;

		if (strncmp(f->name, "rpc/", 4))
			continue;
		assert_int_equal(json_parse(f->data, f->size, &file, NULL), 0);
		json_object_object_foreach(file, name, value) {
			check_schema(f->name, name, value);
			n++;
		}
	}
	for (const struct method *m = methods; m->name; m++)
		n--;
	assert_int_equal(n, 0);
}

static void test_each_row_has_a_schema(void **state)
{
	struct method_schemas *schemas = NULL;
	struct err e = { 0 };

	(void)state;
	if (method_schemas_new(&schemas, &e) < 0)
		fail_msg("%s", e.msg);
	for (const struct method *m = methods; m->name; m++) {
		assert_non_null(method_schema(schemas, m->name));
		assert_non_null(m->handle);
		if (m != methods)
			assert_true(strcmp(m[-1].name, m->name) < 0); /* sorted */
	}
	method_schemas_free(schemas);
}

static void test_params(void **state)
{
	struct method_schemas *schemas;
	struct schema_error where;
	AUTO_JSON struct json_object *p = NULL, *q = NULL;
	struct err e = { 0 };

	(void)state;
	assert_int_equal(method_schemas_new(&schemas, &e), 0);
	assert_int_equal(json_parse("{}", 2, &p, NULL), 0);
	assert_true(method_check(schemas, method_find("vm.get"), p, &where, &e) < 0);
	assert_int_equal(e.code, ERR_RPC_PARAMS);
	assert_int_equal(method_check(schemas, method_find("daemon.ping"), p, &where, &e), 0);
	q = json_add_int(json_add_str(json_new(), "vm", "x"), "timeout_ms", -1);
	assert_true(method_check(schemas, method_find("vm.stop"), q, &where, &e) < 0);
	assert_string_equal(where.pointer, "/timeout_ms");
	method_schemas_free(schemas);
}

/* The common members: with what changes something, not over a method's own, shown to rpc.discover. */
static void test_common_members(void **state)
{
	struct method_schemas *schemas;
	struct json_object *start, *stop, *apply, *list, *console;
	struct err e = { 0 };

	(void)state;
	assert_int_equal(method_schemas_new(&schemas, &e), 0);
	start = json_at(method_schema(schemas, "vm.start"), "/params/properties");
	stop = json_at(method_schema(schemas, "vm.stop"), "/params/properties");
	apply = json_at(method_schema(schemas, "vm.apply"), "/params/properties");
	list = json_at(method_schema(schemas, "vm.list"), "/params/properties");
	console = json_at(method_schema(schemas, "vm.console"), "/params/properties");
	assert_non_null(json_get(start, "request_id"));
	assert_null(json_at(start, "/timeout_ms/default"));
	assert_int_equal(json_get_int(json_get(start, "if_revision"), "minimum", 0), 1);
	assert_true(method_info(schemas, method_find("vm.start"))->if_revision);
	assert_true(method_info(schemas, method_find("vm.start"))->may_expire);
	assert_int_equal(json_get_int(json_get(stop, "timeout_ms"), "default", 0), 60000);
	assert_false(method_info(schemas, method_find("vm.stop"))->may_expire);
	assert_int_equal(json_get_int(json_get(apply, "if_revision"), "minimum", 1), 0);
	assert_false(method_info(schemas, method_find("vm.apply"))->if_revision);
	assert_null(json_get(list, "request_id"));
	assert_null(json_get(console, "request_id"));
	assert_non_null(strstr(json_object_to_json_string(method_schema(schemas, "vm.delete")),
			       "\"request.reused\""));
	method_schemas_free(schemas);
}

static void test_near(void **state)
{
	(void)state;
	assert_string_equal(method_near("vm.strat"), "vm.start");
	assert_string_equal(method_near("start"), "vm.start");
	assert_null(method_near("x"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_schema_has_a_row),
		cmocka_unit_test(test_each_row_has_a_schema),
		cmocka_unit_test(test_params),
		cmocka_unit_test(test_common_members),
		cmocka_unit_test(test_near),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
