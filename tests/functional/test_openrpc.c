// SPDX-License-Identifier: MIT
/* rpc.discover: an OpenRPC document that the meta-schema of OpenRPC accepts, and that says what vmd does. */
#include "tests/functional/harness.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tests/lib/skip.h"

static int setup(void **state)
{
	struct harness *h = harness_new();

	harness_vmd(h, "ok", NULL);
	*state = h;
	return 0;
}

/* 0 when it is valid, else what the validator says. */
static int validate(struct harness *h, struct json_object *document, struct harness_output *ret)
{
	char program[] = "tests/functional/openrpc.py", path[256];
	char schema[] = "tests/fixtures/openrpc/schema.json";
	char *argv[] = { program, schema, path, NULL };

	snprintf(path, sizeof(path), "%s",
		 harness_file(h, "openrpc.json", json_object_to_json_string(document)));
	return harness_run(NULL, ret, argv);
}

static bool have_validator(void)
{
	char python[] = "/usr/bin/python3", c[] = "-c", import[] = "import jsonschema";
	char *argv[] = { python, c, import, NULL };
	struct harness_output *o = calloc(1, sizeof(*o));
	int status = harness_run(NULL, o, argv);

	free(o);
	return status == 0;
}

static struct json_object *find(struct json_object *list, const char *name)
{
	for (size_t i = 0; i < json_object_array_length(list); i++)
		if (!strcmp(json_get_str(json_object_array_get_idx(list, i), "name", ""), name))
			return json_object_array_get_idx(list, i);
	fail_msg("no %s", name);
	return NULL;
}

static void test_valid(void **state)
{
	struct harness *h = *state;
	struct harness_output *o = calloc(1, sizeof(*o));
	AUTO_JSON struct json_object *doc = client_result(harness_client(h), "rpc.discover", NULL);
	struct json_object *start = find(json_get(doc, "methods"), "vm.start"), *schema;
	int status;

	assert_non_null(o);
	if (!have_validator()) {
		free(o);
		SKIP_BECAUSE("no python3-jsonschema");
	}
	status = validate(h, doc, o);
	if (status)
		fail_msg("%s%s", o->out, o->err);
	/* and it would see what is wrong: a schema inside of a parameter, a member, a missing one */
	schema = json_get(find(json_get(start, "params"), "paused"), "schema");
	json_add_str(schema, "type", "bool");
	assert_int_equal(validate(h, doc, o), 1);
	json_add_str(schema, "type", "boolean");
	assert_int_equal(validate(h, doc, o), 0);
	json_add_str(start, "access", "write");
	assert_int_equal(validate(h, doc, o), 1);
	json_object_object_del(start, "access");
	json_object_object_del(start, "params");
	assert_int_equal(validate(h, doc, o), 1);
	free(o);
}

static void test_content(void **state)
{
	struct harness *h = *state;
	AUTO_JSON struct json_object *doc = client_result(harness_client(h), "rpc.discover", NULL);
	struct json_object *methods = json_get(doc, "methods"), *start = find(methods, "vm.start");
	struct json_object *vm = find(json_get(start, "params"), "vm");
	struct json_object *server = json_object_array_get_idx(json_get(doc, "servers"), 0);
	struct json_object *error = json_object_array_get_idx(json_get(start, "errors"), 1);
	char url[160];

	snprintf(url, sizeof(url), "unix://%s", h->socket);
	assert_string_equal(json_get_str(server, "url", ""), url);
	assert_string_equal(json_get_str(start, "paramStructure", ""), "by-name");
	assert_string_equal(json_get_str(start, "x-access", ""), "write");
	assert_string_equal(json_get_str(find(methods, "vm.list"), "x-access", ""), "read");
	assert_true(json_get_bool(find(methods, "vm.console"), "x-descriptor", false));
	assert_true(json_get_bool(vm, "required", false));
	assert_false(
		json_get_bool(find(json_get(start, "params"), "request_id"), "required", true));
	assert_int_equal(json_get_int(error, "code", 0), 1200);
	assert_string_equal(json_get_str(error, "message", ""), "vm.not_found");
	find(json_get(start, "tags"), "vm");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_valid, setup, harness_teardown),
		cmocka_unit_test_setup_teardown(test_content, setup, harness_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
