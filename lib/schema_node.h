/* SPDX-License-Identifier: MIT */
/*
 * Inside of the schema validator: a compiled schema is a graph of nodes, one a subschema. Strings and
 * JSON values in it are borrowed from the schema's documents, which the struct schema keeps.
 */
#ifndef LIB_SCHEMA_NODE_H
#define LIB_SCHEMA_NODE_H

#include "lib/schema.h"

enum schema_type {
	SCHEMA_OBJECT = BIT(0),
	SCHEMA_ARRAY = BIT(1),
	SCHEMA_STRING = BIT(2),
	SCHEMA_INTEGER = BIT(3),
	SCHEMA_NUMBER = BIT(4),
	SCHEMA_BOOLEAN = BIT(5),
	SCHEMA_NULL = BIT(6),
};

struct schema_format {
	const char *name;
	const char *noun; /* "a path", where another type was given */
	bool or_integer;  /* an integer says the same, messages do not name it */
	/* NULL, or what was expected instead of this text */
	const char *(*check)(const char *text);
};

struct schema_list {
	struct schema_node **nodes; /* the array is owned, the nodes are the schema's */
	size_t n;
};

struct schema_prop {
	const char *name;
	struct schema_node *node;
};

/* A file of a set. */
struct schema_file {
	const char *name;	  /* borrowed: embedded */
	struct schema_set *set;	  /* that it is in */
	struct json_object *root; /* owned; NULL: not read yet */
	struct schema *schema;	  /* owned; NULL: not compiled yet */
};

struct schema_node {
	const struct json_object *src; /* what it was compiled from */
	bool never;		       /* the schema `false` */
	bool has_const, unique;
	unsigned int types; /* enum schema_type; 0 is any */
	const struct schema_format *format;
	struct json_object *constant, *enums, *required;
	struct json_object *minimum, *maximum, *above, *below, *multiple;
	int64_t min_length, max_length, min_items, max_items, min_props, max_props;
	struct schema_prop *props; /* owned */
	size_t nprops;
	const char *chooser; /* the member that says which branch of oneOf is meant; or NULL */
	struct schema_prop *choices; /* owned: by that value */
	size_t nchoices;
	struct schema_node *additional, *items, *ref, *not, *cond, *then, *otherwise;
	struct schema_list all, any, one;
	struct schema_file *file; /* a $ref to a whole file of a set; borrowed */
};

struct schema_doc {
	char *name;		  /* owned; "" for the root that schema_compile got */
	struct json_object *root; /* a reference of our own */
};

struct schema {
	struct schema_node *root;
	struct schema_node **nodes; /* owned */
	size_t nnodes;
	struct schema_doc **docs; /* owned */
	size_t ndocs;
};

/* schema_compile of a set's file: a reference to another whole file is followed when a value gets there. */
int schema_compile_file(struct schema_file *file, struct err *e);
/* Compiles it if need be. */
int schema_file_get(struct schema_file *file, const struct schema **ret_schema, struct err *e);
struct schema_file *schema_set_find(struct schema_set *set, const char *name);

/* "string" -> SCHEMA_STRING, or 0 */
unsigned int schema_type_find(const char *name);
/* Bits of all types that a value has: 1.0 is a number and an integer. */
unsigned int schema_type_of(const struct json_object *value);
const struct schema_format *schema_format_find(const char *name);

/* Texts of messages, cut to out_size. */
void schema_text_expected(const struct schema_node *n, char *out, size_t out_size);
const char *schema_text_got(const struct json_object *value);
void schema_text_value(struct json_object *value, char *out, size_t out_size);
void schema_text_list(struct json_object *values, char *out, size_t out_size);
void schema_text_unknown(const struct schema_node *n, const char *key, char *out, size_t out_size);
/* True when a and b are so alike that one may be the other misspelt. */
bool schema_text_near(const char *a, const char *b);

#endif
