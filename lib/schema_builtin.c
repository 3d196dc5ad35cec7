// SPDX-License-Identifier: MIT
/* The schemas that the build put into the program (schemas/). Any thread. */
#include "lib/schema.h"

#include <errno.h>
#include <string.h>

#include "lib/auto.h"
#include "lib/embed.h"

#define SCHEMA_FILES_MAX 64

struct schema_files {
	struct json_object *roots[SCHEMA_FILES_MAX]; /* owned */
	size_t n;
};

int schema_json(const char *name, struct json_object **ret_root, struct err *e)
{
	for (const struct embed *f = embed_schemas; f->name; f++) {
		int ret;

		if (strcmp(f->name, name) != 0)
			continue;
		ret = json_parse(f->data, f->size, ret_root, e);
		return ret < 0 ? err_wrap(e, "schema %s", name) : 0;
	}
	return err_set(e, ENOENT, "no schema '%s'", name);
}

static struct json_object *schema_files_load(void *arg, const char *name)
{
	struct schema_files *files = arg;

	if (files->n == SCHEMA_FILES_MAX || schema_json(name, &files->roots[files->n], NULL) < 0)
		return NULL;
	return files->roots[files->n++];
}

int schema_builtin(const char *name, struct schema **ret_schema, struct err *e)
{
	AUTO_JSON struct json_object *root = NULL;
	struct schema_files files = { 0 };
	int ret = schema_json(name, &root, e);

	if (ret < 0)
		return ret;
	ret = schema_compile(root, schema_files_load, &files, ret_schema, e);
	for (size_t i = 0; i < files.n; i++)
		json_object_put(files.roots[i]);
	return ret < 0 ? err_wrap(e, "%s", name) : 0;
}
