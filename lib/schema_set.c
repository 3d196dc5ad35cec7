// SPDX-License-Identifier: MIT
/*
 * The embedded schemas, each read and compiled when it is first needed: see schema.h. A VM file with two
 * kinds of devices pays for two device schemas, and vmd pays once. One thread at a time.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/embed.h"
#include "lib/schema_node.h"

#define SCHEMA_SET_MAX 128

struct schema_set {
	struct schema_file files[SCHEMA_SET_MAX];
	size_t n;
};

/* For people: half of a file, and nothing that is checked. A property may have such a name; its schema is no string. */
static const char *const schema_notes[] = { "title", "description", "$comment", NULL };

static int schema_read(const char *name, const char *const *notes, struct json_object **ret_root,
		       struct err *e)
{
	struct json_limits limits = { .notes = notes };

	for (const struct embed *f = embed_schemas; f->name; f++) {
		int ret;

		if (strcmp(f->name, name) != 0)
			continue;
		ret = json_parse_limited(f->data, f->size, &limits, ret_root, e);
		return ret < 0 ? err_wrap(e, "schema %s", name) : 0;
	}
	return err_set(e, ENOENT, "no schema '%s'", name);
}

int schema_json(const char *name, struct json_object **ret_root, struct err *e)
{
	return schema_read(name, NULL, ret_root, e);
}

struct schema_set *schema_set_new(void)
{
	struct schema_set *set = calloc(1, sizeof(*set));

	if (!set)
		abort();
	return set;
}

void schema_set_free(struct schema_set *set)
{
	for (size_t i = 0; set && i < set->n; i++) {
		schema_free(set->files[i].schema);
		json_object_put(set->files[i].root);
	}
	free(set);
}

struct schema_file *schema_set_find(struct schema_set *set, const char *name)
{
	for (size_t i = 0; i < set->n; i++)
		if (!strcmp(set->files[i].name, name))
			return &set->files[i];
	for (const struct embed *f = embed_schemas; f->name; f++) {
		if (strcmp(f->name, name) != 0 || set->n == SCHEMA_SET_MAX)
			continue;
		set->files[set->n] = (struct schema_file){ .name = f->name, .set = set };
		return &set->files[set->n++];
	}
	return NULL;
}

static int schema_file_read(struct schema_file *file, struct err *e)
{
	return file->root ? 0 : schema_read(file->name, schema_notes, &file->root, e);
}

int schema_file_get(struct schema_file *file, const struct schema **ret_schema, struct err *e)
{
	int ret = schema_file_read(file, e);

	if (ret >= 0 && !file->schema)
		ret = schema_compile_file(file, e);
	if (ret < 0)
		return err_wrap(e, "%s", file->name);
	*ret_schema = file->schema;
	return 0;
}

int schema_set_json(struct schema_set *set, const char *name, struct json_object **ret_root,
		    struct err *e)
{
	struct schema_file *file = schema_set_find(set, name);
	int ret;

	if (!file)
		return err_set(e, ENOENT, "no schema '%s'", name);
	ret = schema_file_read(file, e);
	if (ret >= 0)
		*ret_root = file->root;
	return ret;
}

int schema_set_get(struct schema_set *set, const char *name, const struct schema **ret_schema,
		   struct err *e)
{
	struct schema_file *file = schema_set_find(set, name);

	if (!file)
		return err_set(e, ENOENT, "no schema '%s'", name);
	return schema_file_get(file, ret_schema, e);
}
