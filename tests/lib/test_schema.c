// SPDX-License-Identifier: MIT
#include "lib/schema.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "lib/auto.h"
#include "lib/embed.h"
#include "lib/errcat.h"
#include "tests/lib/test.h"

static struct json_object *parse(const char *text)
{
	struct json_object *v = NULL;
	struct err e = { 0 };

	if (json_parse(text, strlen(text), &v, &e) < 0)
		fail_msg("%s: %s", text, e.msg);
	return v;
}

static struct json_object *other_file(void *arg, const char *name)
{
	return strcmp(name, "other.json") ? NULL : arg;
}

static struct schema *compile(const char *text)
{
	AUTO_JSON struct json_object *root = parse(text);
	AUTO_JSON struct json_object *other =
		parse("{\"$defs\":{\"n\":{\"type\":\"integer\"}},\"type\":\"array\","
		      "\"items\":{\"$ref\":\"#/$defs/n\"}}");
	struct schema *s = NULL;
	struct err e = { 0 };

	if (schema_compile(root, other_file, other, &s, &e) < 0)
		fail_msg("%s: %s", text, e.msg);
	return s;
}

/* msg NULL: valid. Otherwise "POINTER: message", with "(key) " before it when the place is a key. */
static void assert_check(const struct schema *s, const char *value, const char *msg)
{
	AUTO_JSON struct json_object *v = parse(value);
	struct schema_error err = { .msg = "untouched" };
	char got[600];
	int ret = schema_validate(s, v, &err);

	if (ret < 0)
		snprintf(got, sizeof(got), "%s%s: %s", err.at_key ? "(key) " : "", err.pointer,
			 err.msg);
	if (!msg != !ret || (msg && strcmp(got, msg)))
		fail_msg("%s: expected %s\ngot %s", value, msg ? msg : "it to pass",
			 ret < 0 ? got : "a pass");
	assert_int_equal(ret, msg ? -ERR_INVALID : 0);
	if (!msg)
		assert_string_equal(err.msg, "untouched");
}

struct row {
	const char *schema, *value, *msg;
};

static void check_rows(const struct row *rows, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct schema *s = compile(rows[i].schema);

		assert_check(s, rows[i].value, rows[i].msg);
		schema_free(s);
	}
}

static void test_messages(void **state)
{
	static const struct row rows[] = {
		{ "{\"type\":\"string\"}", "true", ": expected a string, got a boolean" },
		{ "{\"type\":\"integer\"}", "1.5", ": expected a whole number, got 1.5" },
		{ "{\"type\":\"integer\"}", "1.0", NULL },
		{ "{\"type\":[\"string\",\"null\"]}", "[]",
		  ": expected a string or null, got a list" },
		{ "{\"type\":[\"string\",\"integer\"],\"format\":\"size\"}", "true",
		  ": expected a size such as \"4GiB\", got a boolean" },
		{ "{\"format\":\"size\"}", "\"4G\"",
		  ": expected a size such as \"4GiB\", got \"4G\"" },
		{ "{\"format\":\"name\"}", "\"a b\"",
		  ": expected a name of at most 63 of a-z, 0-9, '.', '_' and '-' that starts with "
		  "a "
		  "letter or digit, got \"a b\"" },
		{ "{\"format\":\"path\"}", "\"a\\nb\"",
		  ": expected a path without control characters, got \"a\\nb\"" },
		{ "{\"format\":\"path\"}", "7", NULL },
		{ "{\"format\":\"pci-address\"}", "\"00:1f.0\"",
		  ": expected a PCI address from \"00:01.0\" to \"00:1e.0\", got \"00:1f.0\"" },
		{ "{\"format\":\"pci-address\"}", "\"00:+1.0\"",
		  ": expected a PCI address from \"00:01.0\" to \"00:1e.0\", got \"00:+1.0\"" },
		{ "{\"format\":\"pci-address\"}", "\"00:1e.0\"", NULL },
		{ "{\"format\":\"pci-function\"}", "\"0000:3b:00.8\"",
		  ": expected a PCI function of the host such as \"0000:3b:00.0\", got "
		  "\"0000:3b:00.8\"" },
		{ "{\"format\":\"pci-function\"}", "\"3b:00.7\"", NULL },
		{ "{\"format\":\"pci-id\"}", "\"8086f\"",
		  ": expected four hexadecimal digits in quotes such as \"8086\", got \"8086f\"" },
		{ "{\"format\":\"pci-id\"}", "\"80fG\"",
		  ": expected four hexadecimal digits in quotes such as \"8086\", got \"80fG\"" },
		{ "{\"format\":\"pci-id\"}", "\"80fF\"", NULL },
		{ "{\"format\":\"mac\"}", "\"52:54:00:12:34:56:\"",
		  ": expected a MAC address such as \"52:54:00:12:34:56\", got "
		  "\"52:54:00:12:34:56:\"" },
		{ "{\"format\":\"mac\"}", "\"52:54:00:12:34-56\"",
		  ": expected a MAC address such as \"52:54:00:12:34:56\", got "
		  "\"52:54:00:12:34-56\"" },
		{ "{\"format\":\"mac\"}", "\"fF:54:00:12:34:56\"",
		  ": expected the MAC address of one device, not of a group (an odd first byte is "
		  "multicast), got \"fF:54:00:12:34:56\"" },
		{ "{\"format\":\"mac\"}", "\"00:00:00:00:00:00\"",
		  ": expected a MAC address that is not all zeros, got \"00:00:00:00:00:00\"" },
		{ "{\"format\":\"mac\"}", "\"00:00:00:00:00:01\"", NULL },
		{ "{\"format\":\"mac\"}", "\"FE:54:00:12:34:56\"", NULL },
		{ "{\"format\":\"ifname\"}", "\"fifteen-letters\"", NULL },
		{ "{\"format\":\"ifname\"}", "\"sixteen--letters\"",
		  ": expected the name of a network interface, at most 15 characters, got "
		  "\"sixteen--letters\"" },
		{ "{\"format\":\"ifname\"}", "\"a b\"",
		  ": expected the name of a network interface, at most 15 characters, got "
		  "\"a b\"" },
		{ "{\"format\":\"ifname\"}", "\"..\"",
		  ": expected the name of a network interface, at most 15 characters, got "
		  "\"..\"" },
		{ "{\"format\":\"forward\"}", "\"tcp:80\"",
		  ": expected PROTOCOL:[ADDRESS:]PORT:GUEST-PORT such as \"tcp:8080:80\", got "
		  "\"tcp:80\"" },
		{ "{\"format\":\"forward\"}", "\"tcp:8080:80\"", NULL },
		{ "{\"enum\":[\"a\",\"b\",3]}", "\"c\"",
		  ": expected \"a\", \"b\" or 3, got \"c\"" },
		{ "{\"enum\":[1]}", "1.0", NULL },
		{ "{\"const\":null}", "0", ": expected null, got 0" },
		{ "{\"minimum\":2}", "1", ": expected at least 2, got 1" },
		{ "{\"maximum\":2}", "3", ": expected at most 2, got 3" },
		{ "{\"exclusiveMinimum\":2}", "2", ": expected more than 2, got 2" },
		{ "{\"exclusiveMaximum\":2}", "2", ": expected less than 2, got 2" },
		{ "{\"multipleOf\":4096}", "4097", ": expected a multiple of 4096, got 4097" },
		{ "{\"minLength\":1}", "\"\"", ": expected at least 1 character, got 0" },
		{ "{\"maxLength\":2}", "\"\\u00e9\\u00e9\"", NULL },
		{ "{\"maxLength\":2}", "\"abc\"", ": expected at most 2 characters, got 3" },
		{ "{\"minItems\":1}", "[]", ": expected at least 1 item, got 0" },
		{ "{\"uniqueItems\":true}", "[1,2,1.0]", ": item 2 is the same as item 0" },
		{ "{\"maxProperties\":1}", "{\"a\":1,\"b\":2}", ": expected at most 1 key, got 2" },
		{ "{\"required\":[\"a\"]}", "{}", ": missing key 'a'" },
		{ "{\"properties\":{\"a/b\":{\"items\":false}}}", "{\"a/b\":[1]}",
		  "/a~1b/0: not allowed here" },
		{ "{\"not\":{\"type\":\"null\"}}", "null", ": not allowed here" },
		{ "{\"$ref\":\"other.json\"}", "[1,\"x\"]",
		  "/1: expected a whole number, got a string" },
		{ "{\"$ref\":\"other.json#/$defs/n\"}", "[]",
		  ": expected a whole number, got a list" },
		{ "{\"items\":{\"$ref\":\"#\"},\"type\":\"array\"}", "[[],[[1]]]",
		  "/1/0/0: expected a list, got a number" },
	};

	(void)state;
	check_rows(rows, ARRAY_SIZE(rows));
}

#define CLOSED \
	"{\"properties\":{\"memory\":{},\"cpus\":{},\"name\":{}},\"additionalProperties\":false}"

static void test_unknown_keys(void **state)
{
	static const struct row rows[] = {
		{ CLOSED, "{\"memroy\":1}",
		  "(key) /memroy: unknown key 'memroy'; did you mean 'memory'?" },
		{ CLOSED, "{\"mem\":1}", "(key) /mem: unknown key 'mem'; did you mean 'memory'?" },
		{ CLOSED, "{\"vcpus\":1}",
		  "(key) /vcpus: unknown key 'vcpus'; did you mean 'cpus'?" },
		{ CLOSED, "{\"id\":1}",
		  "(key) /id: unknown key 'id'; known are memory, cpus, name" },
		{ CLOSED, "{\"\":1}", "(key) /: unknown key ''; known are memory, cpus, name" },
		{ "{\"additionalProperties\":false}", "{\"x\":1}", "(key) /x: unknown key 'x'" },
		/* a misspelt key that is required: the cause, not the effect */
		{ "{\"properties\":{\"name\":{}},\"required\":[\"name\"]}", "{\"nmae\":1}",
		  "(key) /nmae: unknown key 'nmae'; did you mean 'name'?" },
		{ "{\"properties\":{\"name\":{},\"names\":{}},\"required\":[\"name\"]}",
		  "{\"names\":1}", ": missing key 'name'" },
		{ "{\"additionalProperties\":{\"type\":\"null\"}}", "{\"x\":1}",
		  "/x: expected null, got a number" },
	};

	(void)state;
	check_rows(rows, ARRAY_SIZE(rows));
}

static void test_combined(void **state)
{
	static const char memory[] =
		"{\"anyOf\":[{\"type\":[\"string\",\"integer\"],\"format\":\"size\"},"
		"{\"type\":\"object\",\"properties\":{\"size\":{\"format\":\"size\"}},"
		"\"additionalProperties\":false}]}";
	static const char device[] =
		"{\"required\":[\"type\"],\"properties\":{\"type\":{\"enum\":[\"a\",\"b\"]}},"
		"\"if\":{\"properties\":{\"type\":{\"const\":\"a\"}}},"
		"\"then\":{\"properties\":{\"type\":{},\"x\":{\"type\":\"integer\"}},"
		"\"additionalProperties\":false},"
		"\"else\":{\"properties\":{\"type\":{},\"y\":{}},\"additionalProperties\":false}}";
	const struct row rows[] = {
		{ memory, "\"1GiB\"", NULL },
		{ memory, "{\"size\":\"1GiB\"}", NULL },
		{ memory, "true",
		  ": expected a size such as \"4GiB\" or an object, got a boolean" },
		{ memory, "\"1G\"", ": expected a size such as \"4GiB\", got \"1G\"" },
		{ memory, "{\"sise\":1}", "(key) /sise: unknown key 'sise'; did you mean 'size'?" },
		{ memory, "{\"size\":\"1G\"}",
		  "/size: expected a size such as \"4GiB\", got \"1G\"" },
		{ device, "{\"type\":\"a\",\"x\":1}", NULL },
		{ device, "{\"type\":\"a\",\"y\":1}",
		  "(key) /y: unknown key 'y'; known are type, x" },
		{ device, "{\"type\":\"b\",\"x\":1}",
		  "(key) /x: unknown key 'x'; known are type, y" },
		{ device, "{\"type\":\"c\"}", "/type: expected \"a\" or \"b\", got \"c\"" },
		{ "{\"oneOf\":[{\"minimum\":1},{\"maximum\":5}]}", "3",
		  ": matches 2 of the forms of which it may have one" },
		{ "{\"allOf\":[{\"minimum\":1},{\"maximum\":5}]}", "7",
		  ": expected at most 5, got 7" },
		/* 2020-12: what stands beside $ref counts too */
		{ "{\"$defs\":{\"n\":{\"type\":\"integer\"}},\"$ref\":\"#/$defs/n\",\"maximum\":2}",
		  "3", ": expected at most 2, got 3" },
	};

	(void)state;
	check_rows(rows, ARRAY_SIZE(rows));
}

/* The branch that is named is the one that is checked; without a name it is a oneOf as any. */
static void test_discriminator(void **state)
{
	static const char s[] =
		"{\"$defs\":{\"a\":{\"type\":\"object\",\"properties\":{\"type\":{\"const\":\"a\"},"
		"\"x\":{\"maximum\":"
		"1}},"
		"\"required\":[\"type\"]},\"b\":{\"type\":\"object\",\"properties\":{\"type\":{"
		"\"const\":\"b\"}},"
		"\"required\":[\"type\",\"y\"]},\"n\":{\"type\":\"null\"}},"
		/* not all of it in the mapping's order */
		"\"oneOf\":[{\"$ref\":\"#/$defs/a\"},{\"$ref\":\"#/$defs/n\"},{\"$ref\":\"#/$defs/"
		"b\"}],"
		"\"discriminator\":{\"propertyName\":\"type\","
		"\"mapping\":{\"a\":\"#/$defs/a\",\"b\":\"#/$defs/b\"}}}";
	const struct row rows[] = {
		{ s, "{\"type\":\"a\"}", NULL },
		{ s, "{\"type\":\"a\",\"x\":2}", "/x: expected at most 1, got 2" },
		{ s, "{\"type\":\"b\",\"y\":2}", NULL },
		{ s, "{\"type\":\"b\"}", ": missing key 'y'" },
		{ s, "null", NULL },
		{ s, "{\"type\":\"c\",\"y\":1}", "/type: expected \"a\", got \"c\"" },
		{ s, "{}", ": missing key 'type'" },
	};

	(void)state;
	check_rows(rows, ARRAY_SIZE(rows));
}

static void test_document_order(void **state)
{
	static const char s[] = "{\"required\":[\"z\"],\"maxProperties\":1,\"properties\":{\"a\":{"
				"\"type\":\"null\"},"
				"\"b\":{\"items\":{\"type\":\"null\"},\"maxItems\":1}},"
				"\"additionalProperties\":false}";
	const struct row rows[] = {
		{ s, "{\"b\":[null,1],\"a\":1}", "/b/1: expected null, got a number" },
		{ s, "{\"a\":1,\"b\":[1]}", "/a: expected null, got a number" },
		{ s, "{\"q\":1,\"a\":1}", "(key) /q: unknown key 'q'; known are a, b" },
		{ s, "{\"b\":[null,null],\"q\":1}", "/b: expected at most 1 item, got 2" },
	};

	(void)state;
	check_rows(rows, ARRAY_SIZE(rows));
}

static void test_refused_schemas(void **state)
{
	static const struct {
		const char *text, *msg;
	} rows[] = {
		{ "{\"pattern\":\"x\"}", "schema #: unknown keyword 'pattern'" },
		{ "{\"properties\":{\"a\":{\"items\":{\"foo\":1}}}}",
		  "schema #/properties/a/items: unknown keyword 'foo'" },
		{ "{\"$defs\":{\"a\":{\"foo\":1}}}", "schema #/$defs/a: unknown keyword 'foo'" },
		{ "{\"anyOf\":[true,{\"foo\":1}]}", "schema #/anyOf/1: unknown keyword 'foo'" },
		{ "{\"format\":\"ipv4\"}", "schema #: keyword 'format': unknown format 'ipv4'" },
		{ "{\"type\":\"any\"}", "schema #: keyword 'type': no such type" },
		{ "{\"type\":[]}", "schema #: keyword 'type': no type" },
		{ "{\"items\":[{}]}", "schema #/items: expected a schema, got a list" },
		{ "{\"minLength\":-1}",
		  "schema #: keyword 'minLength': expected a whole number from 0" },
		{ "{\"multipleOf\":0}", "schema #: keyword 'multipleOf': expected more than 0" },
		{ "{\"exclusiveMinimum\":true}",
		  "schema #: keyword 'exclusiveMinimum': expected a number" },
		{ "{\"required\":[1]}", "schema #: keyword 'required': expected strings" },
		{ "{\"enum\":1}", "schema #: keyword 'enum': expected an array" },
		{ "{\"uniqueItems\":1}",
		  "schema #: keyword 'uniqueItems': expected true or false" },
		{ "{\"allOf\":[]}", "schema #: keyword 'allOf': expected an array of schemas" },
		{ "{\"properties\":[]}", "schema #: keyword 'properties': expected an object" },
		{ "{\"$ref\":\"#/$defs/x\"}", "schema #: keyword '$ref': nothing at '#/$defs/x'" },
		{ "{\"$ref\":\"none.json\"}", "schema #: keyword '$ref': nothing at 'none.json'" },
		{ "{\"$ref\":\"#anchor\"}", "schema #: keyword '$ref': nothing at '#anchor'" },
		{ "{\"$schema\":\"http://json-schema.org/draft-07/schema#\"}",
		  "schema #: keyword '$schema': only "
		  "https://json-schema.org/draft/2020-12/schema" },
		{ "{\"items\":{\"$id\":\"x\"}}",
		  "schema #/items: keyword '$id' is supported at the root only" },
		{ "{\"discriminator\":{\"propertyName\":\"type\"}}",
		  "schema #: keyword 'discriminator': expected propertyName and mapping" },
		{ "{\"oneOf\":[{\"$ref\":\"#\"}],\"discriminator\":{\"propertyName\":\"type\","
		  "\"mapping\":{\"a\":\"other.json\"}}}",
		  "schema #: keyword 'discriminator': 'a' is none of the oneOf before it" },
		{ "3", "schema #: expected a schema, got a number" },
		{ "null", "schema #: expected a schema, got null" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		AUTO_JSON struct json_object *root = parse(rows[i].text);
		struct schema *s = NULL;
		struct err e = { 0 };

		assert_int_equal(schema_compile(root, other_file, NULL, &s, &e), -EINVAL);
		assert_null(s);
		assert_string_equal(e.msg, rows[i].msg);
	}
}

/* A schema that refers to itself without going down in the value must end. */
static void test_circles(void **state)
{
	static const struct row rows[] = {
		{ "{\"$defs\":{\"a\":{\"$ref\":\"#/$defs/b\"},\"b\":{\"$ref\":\"#/$defs/a\"}},"
		  "\"$ref\":\"#/$defs/a\"}",
		  "1", ": the schema goes in circles here" },
		{ "{\"anyOf\":[{\"$ref\":\"#\"},{\"type\":\"null\"}]}", "null", NULL },
	};

	(void)state;
	check_rows(rows, ARRAY_SIZE(rows));
}

static void test_deep_values(void **state)
{
	struct schema *s = compile("{\"items\":{\"$ref\":\"#\"}}");
	struct json_object *v = json_object_new_array();
	struct schema_error err;

	(void)state;
	for (int i = 0; i < 200; i++) {
		struct json_object *outer = json_object_new_array();

		json_object_array_add(outer, v);
		v = outer;
	}
	assert_int_equal(schema_validate(s, v, &err), -ERR_INVALID);
	assert_string_equal(err.msg, "more than 64 levels");
	assert_int_equal(schema_validate(s, v, NULL), -ERR_INVALID);
	json_object_put(v);
	schema_free(s);
	schema_free(NULL);
}

static void count_visit(void *arg, struct json_object *string, const char *pointer)
{
	char *seen = arg;

	strcat(strcat(seen, pointer), "=");
	strcat(strcat(seen, json_object_get_string(string)), " ");
	json_object_set_string(string, "changed");
}

static void test_visit(void **state)
{
	struct schema *s = compile(
		"{\"properties\":{\"a\":{\"format\":\"path\"},\"b\":{\"type\":\"string\"}},"
		"\"not\":{\"properties\":{\"b\":{\"format\":\"path\"}},\"required\":[\"q\"]},"
		"\"anyOf\":[{\"required\":[\"q\"],\"properties\":{\"b\":{\"format\":\"path\"}}},"
		"{\"properties\":{\"c\":{\"items\":{\"format\":\"path\"}}}}]}");
	AUTO_JSON struct json_object *v = parse("{\"a\":\"1\",\"b\":\"2\",\"c\":[\"3\",\"4\"]}");
	char seen[200] = "";

	(void)state;
	schema_visit(s, v, "path", count_visit, seen);
	assert_string_equal(seen, "/a=1 /c/0=3 /c/1=4 ");
	assert_string_equal(json_get_str(v, "a", ""), "changed");
	schema_free(s);
}

/* Every property of a schema describes itself, wherever it is: manuals and `vmctl` show these. */
static void check_described(const char *file, struct json_object *v)
{
	if (json_object_is_type(v, json_type_array))
		for (size_t i = 0; i < json_object_array_length(v); i++)
			check_described(file, json_object_array_get_idx(v, i));
	if (!json_object_is_type(v, json_type_object))
		return;
	json_object_object_foreach(v, key, value) {
		if (!strcmp(key, "if"))
			continue; /* a question, not a description */
		if (!strcmp(key, "properties")) {
			json_object_object_foreach(value, name, property) {
				if (!json_get_str(property, "description", NULL))
					fail_msg("%s: '%s' has no description", file, name);
			}
		}
		check_described(file, value);
	}
}

static void test_builtin(void **state)
{
	struct schema_set *set = schema_set_new();
	const struct schema *s = NULL, *again = NULL;
	struct err e = { 0 };
	unsigned int n = 0;

	(void)state;
	for (const struct embed *f = embed_schemas; f->name; f++, n++) {
		AUTO_JSON struct json_object *root = NULL;

		if (!strncmp(f->name, "rpc/", 4) || !strcmp(f->name, "error.json"))
			continue; /* several schemas each, and the texts of the errors */
		assert_int_equal(schema_json(f->name, &root, &e), 0);
		check_described(f->name, root);
		if (schema_set_get(set, f->name, &s, &e) < 0)
			fail_msg("%s", e.msg);
		assert_string_equal(json_get_str(root, "$id", ""), f->name);
		assert_int_equal(schema_set_get(set, f->name, &again, &e), 0);
		assert_ptr_equal(again, s);
	}
	assert_true(n >= 11);
	assert_int_equal(schema_set_get(set, "none.json", &s, &e), -ENOENT);
	assert_string_equal(e.msg, "no schema 'none.json'");
	schema_set_free(set);
}

/* A set keeps what is checked, and a property whose name is that of a note; people get all. */
static void test_set_notes(void **state)
{
	AUTO_JSON struct json_object *full = NULL;
	struct schema_set *set = schema_set_new();
	struct json_object *root = NULL;
	struct err e = { 0 };

	(void)state;
	assert_int_equal(schema_set_json(set, "vm.json", &root, &e), 0);
	assert_int_equal(schema_json("vm.json", &full, &e), 0);
	assert_null(json_get(root, "description"));
	assert_null(json_at(root, "/properties/description/description"));
	assert_string_equal(json_get_str(json_at(root, "/properties/description"), "type", ""),
			    "string");
	assert_non_null(json_at(full, "/properties/description/description"));
	schema_set_free(set);
}

/* A reference to a file is followed when a value gets there, and refuses what the file refuses. */
static void test_set_refs(void **state)
{
	AUTO_JSON struct json_object *good = parse(
		"{\"name\":\"a\",\"boot\":{\"kernel\":\"/k\"},\"devices\":[{\"type\":\"rtc\"}]}");
	AUTO_JSON struct json_object *bad =
		parse("{\"name\":\"a\",\"boot\":{\"kernel\":\"/"
		      "k\"},\"devices\":[{\"type\":\"rtc\"},{\"type\":\"rtc\",\"x\":1}]}");
	struct schema_set *set = schema_set_new();
	struct json_object *root = NULL, *again = NULL;
	const struct schema *s = NULL;
	struct schema_error where;
	struct err e = { 0 };

	(void)state;
	assert_int_equal(schema_set_get(set, "vm.json", &s, &e), 0);
	assert_int_equal(schema_validate(s, good, &where), 0);
	assert_int_equal(schema_validate(s, bad, &where), -ERR_INVALID);
	assert_string_equal(where.pointer, "/devices/1/x");
	assert_int_equal(schema_set_json(set, "device/rtc.json", &root, &e), 0);
	assert_int_equal(schema_set_json(set, "device/rtc.json", &again, &e), 0);
	assert_ptr_equal(root, again);
	assert_int_equal(schema_set_json(set, "device/none.json", &root, &e), -ENOENT);
	schema_set_free(set);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_messages),      cmocka_unit_test(test_unknown_keys),
		cmocka_unit_test(test_combined),      cmocka_unit_test(test_document_order),
		cmocka_unit_test(test_discriminator), cmocka_unit_test(test_refused_schemas),
		cmocka_unit_test(test_circles),	      cmocka_unit_test(test_deep_values),
		cmocka_unit_test(test_visit),	      cmocka_unit_test(test_builtin),
		cmocka_unit_test(test_set_refs),      cmocka_unit_test(test_set_notes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
