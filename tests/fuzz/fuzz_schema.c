// SPDX-License-Identifier: MIT
/*
 * Schemas: the input is a line with a schema and, behind it, a value; an empty line stands for that of VM
 * definitions. What compiles must give a verdict, twice the same, whose pointer leads to something; a
 * definition that is valid must expand, and its expansion must be the same each time.
 */
#include <stdlib.h>
#include <string.h>

#include "lib/auto.h"
#include "lib/vmdef.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The error's pointer leads to a value; that of an unknown or missing key at least to its parent. */
static void fuzz_schema_pointer(struct json_object *value, const struct schema_error *where)
{
	char pointer[sizeof(where->pointer)];
	char *slash;

	memcpy(pointer, where->pointer, sizeof(pointer));
	if (!memchr(pointer, 0, sizeof(pointer)) || !memchr(where->msg, 0, sizeof(where->msg)))
		__builtin_trap();
	if (strlen(pointer) >= sizeof(pointer) - 1)
		return; /* cut */
	slash = strrchr(pointer, '/');
	if (!json_at(value, pointer) && slash) {
		*slash = '\0';
		if (!json_at(value, pointer))
			__builtin_trap();
	}
}

static void fuzz_schema_own(struct json_object *schema, struct json_object *value)
{
	struct schema_error where = { 0 }, again = { 0 };
	struct schema *s;
	struct err e;
	int ret;

	if (schema_compile(schema, NULL, NULL, &s, &e) < 0)
		return;
	ret = schema_validate(s, value, &where);
	if (ret != schema_validate(s, value, &again) || strcmp(where.msg, again.msg))
		__builtin_trap();
	if (ret < 0)
		fuzz_schema_pointer(value, &where);
	schema_free(s);
}

static void fuzz_schema_vm(struct json_object *def)
{
	AUTO_JSON struct json_object *config = NULL, *again = NULL;
	struct schema_error where = { 0 };
	struct err e = { 0 };

	if (vmdef_check(def, &where, &e) < 0) {
		fuzz_schema_pointer(def, &where);
		return;
	}
	/* a definition may still not fit: too many devices for the slots */
	if (vmdef_expand(def, NULL, &config, &e) < 0) {
		if (!e.msg[0])
			__builtin_trap();
		return;
	}
	if (vmdef_expand(def, config, &again, &e) < 0 || !json_equal(config, again))
		__builtin_trap();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO_JSON struct json_object *schema = NULL, *value = NULL;
	const uint8_t *lf = memchr(data, '\n', size);
	size_t len = lf ? (size_t)(lf - data) : 0;

	if (!lf || json_parse((const char *)lf + 1, size - len - 1, &value, NULL) < 0)
		return 0;
	if (!len)
		fuzz_schema_vm(value);
	else if (json_parse((const char *)data, len, &schema, NULL) >= 0)
		fuzz_schema_own(schema, value);
	return 0;
}
