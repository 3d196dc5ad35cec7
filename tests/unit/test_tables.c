// SPDX-License-Identifier: MIT
/* The device table and what belongs to a row: a schema, a unit test. (vm.yaml(5): tests/lib/test_vmdef.c) */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "lib/embed.h"
#include "vmm/device.h"

static const struct embed *tables_schema(const char *name)
{
	for (const struct embed *f = embed_schemas; f->name; f++)
		if (!strcmp(f->name, name))
			return f;
	return NULL;
}

static void every_device_has_a_schema(void **state)
{
	char name[128];

	(void)state;
	for (size_t i = 0; device_classes[i]; i++) {
		snprintf(name, sizeof(name), "device/%s.json", device_classes[i]->type);
		if (!tables_schema(name))
			fail_msg("device type '%s' has no schemas/%s", device_classes[i]->type,
				 name);
	}
}

static void every_schema_has_a_device(void **state)
{
	char type[128];

	(void)state;
	for (const struct embed *f = embed_schemas; f->name; f++) {
		if (sscanf(f->name, "device/%127[a-z0-9-].json", type) != 1)
			continue;
		if (!device_class_find(type))
			fail_msg("schemas/%s has no row in vmm/devices.c", f->name);
	}
}

static void every_device_has_a_unit_test(void **state)
{
	char path[256];

	(void)state;
	for (size_t i = 0; device_classes[i]; i++) {
		snprintf(path, sizeof(path), "tests/unit/test_%s.c", device_classes[i]->type);
		for (char *p = path + strlen("tests/unit/"); *p; p++)
			if (*p == '-')
				*p = '_';
		if (access(path, R_OK) < 0)
			fail_msg("device type '%s' has no %s", device_classes[i]->type, path);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_device_has_a_schema),
		cmocka_unit_test(every_schema_has_a_device),
		cmocka_unit_test(every_device_has_a_unit_test),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
