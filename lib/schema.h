/* SPDX-License-Identifier: MIT */
/*
 * JSON Schema 2020-12, the part that we use. schema_compile refuses a schema with a keyword that is not
 * implemented, so that what a schema says is what is checked.
 *
 * Keywords: $schema $id $defs $ref (to "#/…" or to another embedded file) $comment title description
 * default examples, type enum const, properties required additionalProperties minProperties
 * maxProperties, items minItems maxItems uniqueItems, minimum maximum exclusiveMinimum exclusiveMaximum
 * multipleOf, minLength maxLength, allOf anyOf oneOf not, if then else, discriminator (of OpenAPI 3.1:
 * behind a oneOf of references), format (asserted: size, name,
 * path, pci-address, pci-function, pci-id, mac, ifname, forward, cpu-list; others are refused).
 */
#ifndef LIB_SCHEMA_H
#define LIB_SCHEMA_H

#include "lib/err.h"
#include "lib/json.h"

struct schema;

struct schema_error {
	char pointer
		[256]; /* JSON Pointer of the offending value (for an unknown key: of that key) */
	char msg[256]; /* "unknown key 'memroy'; did you mean 'memory'?" */
	bool at_key; /* the pointer names a key, not its value (where the location is asked for) */
};

/* Resolves $ref to other files: name as written ("device/virtio-blk.json"). Borrowed result or NULL. */
typedef struct json_object *(*schema_loader)(void *arg, const char *name);

int schema_compile(struct json_object *root, schema_loader loader, void *arg,
		   struct schema **ret_schema, struct err *e);
void schema_free(struct schema *s);
/* The JSON text of one of schemas/ as a value; the caller owns it. ENOENT. */
int schema_json(const char *name, struct json_object **ret_root, struct err *e);

/*
 * schemas/ for who uses them more than once: each file is read and compiled when it is first needed, also
 * where another one refers to it, and kept. Used by one thread at a time. What comes out is borrowed.
 */
struct schema_set;
struct schema_set *schema_set_new(void); /* aborts without memory */
void schema_set_free(struct schema_set *set);
int schema_set_json(struct schema_set *set, const char *name, struct json_object **ret_root,
		    struct err *e);
int schema_set_get(struct schema_set *set, const char *name, const struct schema **ret_schema,
		   struct err *e);

/* 0 and nothing, or -ERR_INVALID and the first error in document order. err may be NULL. */
int schema_validate(const struct schema *s, struct json_object *value, struct schema_error *err);

/* Does the text have one of the formats above? */
bool schema_format_valid(const char *format, const char *text);

/*
 * Call fn for every string of a valid value that the schema gives this format ("path"), maybe more than
 * once. fn may change the string (json_object_set_string).
 */
typedef void (*schema_visitor)(void *arg, struct json_object *string, const char *pointer);
void schema_visit(const struct schema *s, struct json_object *value, const char *format,
		  schema_visitor fn, void *arg);

#endif
