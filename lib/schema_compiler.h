/* SPDX-License-Identifier: MIT */
/* Inside of the schema compiler: what its files share. */
#ifndef LIB_SCHEMA_COMPILER_H
#define LIB_SCHEMA_COMPILER_H

#include "lib/schema_node.h"

struct schema_compiler {
	struct schema *s;
	schema_loader loader;
	void *arg;
	struct schema_set *set; /* borrowed; NULL: files come from the loader */
	struct err *e;
	struct schema_doc *doc; /* that is being read */
	char at[256];		/* where in it */
};

struct schema_keyword {
	const char *name;
	int (*read)(struct schema_compiler *c, struct schema_node *n,
		    const struct schema_keyword *k, struct json_object *v);
	size_t offset; /* of the member of struct schema_node */
};

PRINTF_LIKE(2, 3)
int schema_refuse(struct schema_compiler *c, const char *fmt, ...);
/* The node of the subschema v: an old one where v has one, so that schemas may refer to themselves. */
int schema_sub(struct schema_compiler *c, struct json_object *v, struct schema_node **ret_node);

/* schema_ref.c */
struct schema_doc *schema_doc_add(struct schema *s, const char *name, struct json_object *root);
int schema_read_ref(struct schema_compiler *c, struct schema_node *n,
		    const struct schema_keyword *k, struct json_object *v);
/* OpenAPI 3.1, "Discriminator Object" */
int schema_read_chooser(struct schema_compiler *c, struct schema_node *n,
			const struct schema_keyword *k, struct json_object *v);

#endif
