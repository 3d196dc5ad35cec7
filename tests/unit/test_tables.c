// SPDX-License-Identifier: MIT
/* The device table and what belongs to a row: schema, unit test, paragraph in vm.yaml(5). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <fcntl.h>
#include <cmocka.h>

#include "lib/auto.h"
#include "lib/embed.h"
#include "lib/fdio.h"
#include "lib/json.h"
#include "vmm/device.h"

static const struct embed *tables_schema(const char *name)
{
	for (const struct embed *f = embed_schemas; f->name; f++)
		if (!strcmp(f->name, name))
			return f;
	return NULL;
}

static char *tables_read(const char *path)
{
	AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
	char *text;
	size_t len;

	if (fd < 0 || fdio_read_file(fd, 1 << 20, &text, &len, NULL) < 0)
		fail_msg("cannot read %s", path);
	return text;
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

static void every_device_and_option_is_in_the_manual(void **state)
{
	AUTO_FREE char *man = tables_read("man/vm.yaml.5");
	char want[160];

	(void)state;
	for (size_t i = 0; device_classes[i]; i++) {
		AUTO_JSON struct json_object *schema = NULL;
		const struct embed *f;

		snprintf(want, sizeof(want), "device/%s.json", device_classes[i]->type);
		f = tables_schema(want);
		assert_non_null(f);
		assert_int_equal(json_parse(f->data, f->size, &schema, NULL), 0);
		snprintf(want, sizeof(want), ".It Cm %s\n", device_classes[i]->type);
		if (!strstr(man, want))
			fail_msg("vm.yaml(5) has no paragraph '%.*s'", (int)strlen(want) - 1, want);
		json_object_object_foreach(json_get(schema, "properties"), key, value)
		{
			(void)value;
			snprintf(want, sizeof(want), "Cm %s", key);
			if (!strstr(man, want))
				fail_msg("vm.yaml(5) lacks option '%s' of '%s'", key,
					 device_classes[i]->type);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_device_has_a_schema),
		cmocka_unit_test(every_schema_has_a_device),
		cmocka_unit_test(every_device_has_a_unit_test),
		cmocka_unit_test(every_device_and_option_is_in_the_manual),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
