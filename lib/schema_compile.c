// SPDX-License-Identifier: MIT
/*
 * From a JSON Schema document to nodes (schema_node.h). One row a keyword; what has no row is refused, so
 * that a schema never says more than is checked. A node is registered before its keywords are read:
 * schemas may refer to themselves. JSON Schema 2020-12: Core sections 8 to 10, Validation section 6.
 */
#include "lib/schema_compiler.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SCHEMA_DIALECT "https://json-schema.org/draft/2020-12/schema"

#define SCHEMA_MEMBER(type, n, k) ((type *)((char *)(n) + (k)->offset))

int schema_refuse(struct schema_compiler *c, const char *fmt, ...)
{
	char what[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	return err_set(c->e, EINVAL, "schema %s#%s: %s", c->doc->name, c->at, what);
}

static int schema_sub_at(struct schema_compiler *c, const char *token, struct json_object *v,
			 struct schema_node **ret_node)
{
	size_t n = strlen(c->at);
	int ret;

	json_pointer_add(c->at, sizeof(c->at), c->at, token);
	ret = schema_sub(c, v, ret_node);
	c->at[n] = '\0';
	return ret;
}

/* --- one reader a kind of keyword ----------------------------------------------------------------- */

static int schema_read_note(struct schema_compiler *c, struct schema_node *n,
			    const struct schema_keyword *k, struct json_object *v)
{
	(void)c;
	(void)n;
	(void)k;
	(void)v;
	return 0;
}

static int schema_read_dialect(struct schema_compiler *c, struct schema_node *n,
			       const struct schema_keyword *k, struct json_object *v)
{
	(void)n;
	if (!json_object_is_type(v, json_type_string) ||
	    strcmp(json_object_get_string(v), SCHEMA_DIALECT) != 0)
		return schema_refuse(c, "keyword '%s': only %s", k->name, SCHEMA_DIALECT);
	return 0;
}

/* An $id further down would change what the references below it mean. */
static int schema_read_id(struct schema_compiler *c, struct schema_node *n,
			  const struct schema_keyword *k, struct json_object *v)
{
	(void)v;
	if (n->src != c->doc->root)
		return schema_refuse(c, "keyword '%s' is supported at the root only", k->name);
	return 0;
}

static int schema_read_type(struct schema_compiler *c, struct schema_node *n,
			    const struct schema_keyword *k, struct json_object *v)
{
	bool array = json_object_is_type(v, json_type_array);
	size_t count = array ? json_object_array_length(v) : 1;

	for (size_t i = 0; i < count; i++) {
		struct json_object *item = array ? json_object_array_get_idx(v, i) : v;
		unsigned int bit = 0;

		if (json_object_is_type(item, json_type_string))
			bit = schema_type_find(json_object_get_string(item));
		if (!bit)
			return schema_refuse(c, "keyword '%s': no such type", k->name);
		n->types |= bit;
	}
	return count ? 0 : schema_refuse(c, "keyword '%s': no type", k->name);
}

static int schema_read_const(struct schema_compiler *c, struct schema_node *n,
			     const struct schema_keyword *k, struct json_object *v)
{
	(void)c;
	(void)k;
	n->has_const = true;
	n->constant = v;
	return 0;
}

static int schema_read_list(struct schema_compiler *c, struct schema_node *n,
			    const struct schema_keyword *k, struct json_object *v)
{
	if (!json_object_is_type(v, json_type_array))
		return schema_refuse(c, "keyword '%s': expected an array", k->name);
	*SCHEMA_MEMBER(struct json_object *, n, k) = v;
	return 0;
}

static int schema_read_names(struct schema_compiler *c, struct schema_node *n,
			     const struct schema_keyword *k, struct json_object *v)
{
	if (schema_read_list(c, n, k, v) < 0)
		return -EINVAL;
	for (size_t i = 0; i < json_object_array_length(v); i++)
		if (!json_object_is_type(json_object_array_get_idx(v, i), json_type_string))
			return schema_refuse(c, "keyword '%s': expected strings", k->name);
	return 0;
}

static int schema_read_number(struct schema_compiler *c, struct schema_node *n,
			      const struct schema_keyword *k, struct json_object *v)
{
	if (!(schema_type_of(v) & SCHEMA_NUMBER))
		return schema_refuse(c, "keyword '%s': expected a number", k->name);
	*SCHEMA_MEMBER(struct json_object *, n, k) = v;
	return 0;
}

static int schema_read_multiple(struct schema_compiler *c, struct schema_node *n,
				const struct schema_keyword *k, struct json_object *v)
{
	if (schema_read_number(c, n, k, v) < 0)
		return -EINVAL;
	return json_object_get_double(v) > 0
		       ? 0
		       : schema_refuse(c, "keyword '%s': expected more than 0", k->name);
}

static int schema_read_count(struct schema_compiler *c, struct schema_node *n,
			     const struct schema_keyword *k, struct json_object *v)
{
	int64_t count;

	if (!json_int(v, &count) || count < 0)
		return schema_refuse(c, "keyword '%s': expected a whole number from 0", k->name);
	*SCHEMA_MEMBER(int64_t, n, k) = count;
	return 0;
}

static int schema_read_flag(struct schema_compiler *c, struct schema_node *n,
			    const struct schema_keyword *k, struct json_object *v)
{
	if (!json_object_is_type(v, json_type_boolean))
		return schema_refuse(c, "keyword '%s': expected true or false", k->name);
	*SCHEMA_MEMBER(bool, n, k) = json_object_get_boolean(v);
	return 0;
}

static int schema_read_format(struct schema_compiler *c, struct schema_node *n,
			      const struct schema_keyword *k, struct json_object *v)
{
	const char *name =
		json_object_is_type(v, json_type_string) ? json_object_get_string(v) : "";

	n->format = schema_format_find(name);
	return n->format ? 0 : schema_refuse(c, "keyword '%s': unknown format '%s'", k->name, name);
}

static int schema_read_schema(struct schema_compiler *c, struct schema_node *n,
			      const struct schema_keyword *k, struct json_object *v)
{
	return schema_sub_at(c, k->name, v, SCHEMA_MEMBER(struct schema_node *, n, k));
}

static int schema_read_schemas(struct schema_compiler *c, struct schema_node *n,
			       const struct schema_keyword *k, struct json_object *v)
{
	struct schema_list *list = SCHEMA_MEMBER(struct schema_list, n, k);
	size_t count, len = strlen(c->at);

	if (!json_object_is_type(v, json_type_array) || !json_object_array_length(v))
		return schema_refuse(c, "keyword '%s': expected an array of schemas", k->name);
	count = json_object_array_length(v);
	list->nodes = calloc(count, sizeof(*list->nodes));
	if (!list->nodes)
		return err_ret(c->e, -ENOMEM, "schema");
	json_pointer_add(c->at, sizeof(c->at), c->at, k->name);
	for (; list->n < count; list->n++) {
		char token[24];
		int ret;

		snprintf(token, sizeof(token), "%zu", list->n);
		ret = schema_sub_at(c, token, json_object_array_get_idx(v, list->n),
				    &list->nodes[list->n]);
		if (ret < 0)
			return ret;
	}
	c->at[len] = '\0';
	return 0;
}

static int schema_read_props(struct schema_compiler *c, struct schema_node *n,
			     const struct schema_keyword *k, struct json_object *v)
{
	size_t len = strlen(c->at);

	if (!json_object_is_type(v, json_type_object))
		return schema_refuse(c, "keyword '%s': expected an object", k->name);
	n->props = calloc((size_t)json_object_object_length(v) + 1, sizeof(*n->props));
	if (!n->props)
		return err_ret(c->e, -ENOMEM, "schema");
	json_pointer_add(c->at, sizeof(c->at), c->at, k->name);
	json_object_object_foreach(v, key, value) {
		int ret = schema_sub_at(c, key, value, &n->props[n->nprops].node);

		if (ret < 0)
			return ret;
		n->props[n->nprops++].name = key;
	}
	c->at[len] = '\0';
	return 0;
}

/* Nothing refers to a definition yet, but what it says is checked all the same. */
static int schema_read_defs(struct schema_compiler *c, struct schema_node *n,
			    const struct schema_keyword *k, struct json_object *v)
{
	struct schema_node unused = { 0 };
	int ret = schema_read_props(c, &unused, k, v);

	(void)n;
	free(unused.props);
	return ret;
}

/* --- the table ------------------------------------------------------------------------------------ */

#define SCHEMA_AT(member) offsetof(struct schema_node, member)

static const struct schema_keyword schema_keywords[] = {
	{ "$schema", schema_read_dialect, 0 },
	{ "$id", schema_read_id, 0 },
	{ "$defs", schema_read_defs, 0 },
	{ "$ref", schema_read_ref, 0 },
	{ "$comment", schema_read_note, 0 },
	{ "title", schema_read_note, 0 },
	{ "description", schema_read_note, 0 },
	{ "default", schema_read_note, 0 },
	{ "examples", schema_read_note, 0 },
	{ "type", schema_read_type, 0 },
	{ "const", schema_read_const, 0 },
	{ "enum", schema_read_list, SCHEMA_AT(enums) },
	{ "properties", schema_read_props, 0 },
	{ "required", schema_read_names, SCHEMA_AT(required) },
	{ "additionalProperties", schema_read_schema, SCHEMA_AT(additional) },
	{ "minProperties", schema_read_count, SCHEMA_AT(min_props) },
	{ "maxProperties", schema_read_count, SCHEMA_AT(max_props) },
	{ "items", schema_read_schema, SCHEMA_AT(items) },
	{ "minItems", schema_read_count, SCHEMA_AT(min_items) },
	{ "maxItems", schema_read_count, SCHEMA_AT(max_items) },
	{ "uniqueItems", schema_read_flag, SCHEMA_AT(unique) },
	{ "minimum", schema_read_number, SCHEMA_AT(minimum) },
	{ "maximum", schema_read_number, SCHEMA_AT(maximum) },
	{ "exclusiveMinimum", schema_read_number, SCHEMA_AT(above) },
	{ "exclusiveMaximum", schema_read_number, SCHEMA_AT(below) },
	{ "multipleOf", schema_read_multiple, SCHEMA_AT(multiple) },
	{ "minLength", schema_read_count, SCHEMA_AT(min_length) },
	{ "maxLength", schema_read_count, SCHEMA_AT(max_length) },
	{ "allOf", schema_read_schemas, SCHEMA_AT(all) },
	{ "anyOf", schema_read_schemas, SCHEMA_AT(any) },
	{ "oneOf", schema_read_schemas, SCHEMA_AT(one) },
	{ "discriminator", schema_read_chooser, 0 },
	{ "not", schema_read_schema, SCHEMA_AT(not ) },
	{ "if", schema_read_schema, SCHEMA_AT(cond) },
	{ "then", schema_read_schema, SCHEMA_AT(then) },
	{ "else", schema_read_schema, SCHEMA_AT(otherwise) },
	{ "format", schema_read_format, 0 },
};

static const struct schema_keyword *schema_keyword_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(schema_keywords); i++)
		if (schema_keywords[i].name[0] == name[0] && !strcmp(schema_keywords[i].name, name))
			return &schema_keywords[i];
	return NULL;
}

static struct schema_node *schema_node_add(struct schema *s, const struct json_object *src)
{
	struct schema_node **nodes = realloc(s->nodes, (s->nnodes + 1) * sizeof(*nodes));
	struct schema_node *n = calloc(1, sizeof(*n));

	if (nodes)
		s->nodes = nodes;
	if (!nodes || !n) {
		free(n);
		return NULL;
	}
	n->src = src;
	n->max_length = n->max_items = n->max_props = INT64_MAX;
	s->nodes[s->nnodes++] = n;
	return n;
}

int schema_sub(struct schema_compiler *c, struct json_object *v, struct schema_node **ret_node)
{
	bool flag = json_object_is_type(v, json_type_boolean);
	struct schema_node *n;

	if (!flag && !json_object_is_type(v, json_type_object))
		return schema_refuse(c, "expected a schema, got %s", schema_text_got(v));
	for (size_t i = 0; i < c->s->nnodes; i++) {
		if (c->s->nodes[i]->src != v)
			continue;
		*ret_node = c->s->nodes[i];
		return 0;
	}
	n = schema_node_add(c->s, v);
	if (!n)
		return err_ret(c->e, -ENOMEM, "schema");
	*ret_node = n;
	if (flag) {
		n->never = !json_object_get_boolean(v);
		return 0;
	}
	json_object_object_foreach(v, key, value) {
		const struct schema_keyword *k = schema_keyword_find(key);
		int ret =
			k ? k->read(c, n, k, value) : schema_refuse(c, "unknown keyword '%s'", key);

		if (ret < 0)
			return ret;
	}
	return 0;
}

static int schema_run_compiler(struct schema_compiler *c, struct json_object *root,
			       struct schema **ret_schema)
{
	int ret;

	c->s = calloc(1, sizeof(*c->s));
	c->doc = c->s ? schema_doc_add(c->s, "", root) : NULL;
	ret = c->doc ? schema_sub(c, root, &c->s->root) : err_ret(c->e, -ENOMEM, "schema");
	if (ret < 0) {
		schema_free(c->s);
		return ret;
	}
	*ret_schema = c->s;
	return 0;
}

int schema_compile(struct json_object *root, schema_loader loader, void *arg,
		   struct schema **ret_schema, struct err *e)
{
	struct schema_compiler c = { .loader = loader, .arg = arg, .e = e };

	return schema_run_compiler(&c, root, ret_schema);
}

int schema_compile_file(struct schema_file *file, struct err *e)
{
	struct schema_compiler c = { .set = file->set, .e = e };

	return schema_run_compiler(&c, file->root, &file->schema);
}

static void schema_node_free(struct schema_node *n)
{
	free(n->props);
	free(n->choices);
	free(n->all.nodes);
	free(n->any.nodes);
	free(n->one.nodes);
	free(n);
}

void schema_free(struct schema *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < s->nnodes; i++)
		schema_node_free(s->nodes[i]);
	for (size_t i = 0; i < s->ndocs; i++) {
		json_object_put(s->docs[i]->root);
		free(s->docs[i]->name);
		free(s->docs[i]);
	}
	free(s->nodes);
	free(s->docs);
	free(s);
}
