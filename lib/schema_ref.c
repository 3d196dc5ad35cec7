// SPDX-License-Identifier: MIT
/*
 * Keywords of a schema that lead elsewhere: $ref into the same document or another one, and the discriminator, which
 * says where a value belongs without trying. One thread at a time.
 */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/auto.h"
#include "lib/schema_compiler.h"

struct schema_doc *schema_doc_add(struct schema *s, const char *name, struct json_object *root)
{
	struct schema_doc **docs = realloc(s->docs, (s->ndocs + 1) * sizeof(*docs));
	struct schema_doc *doc = calloc(1, sizeof(*doc));

	if (docs)
		s->docs = docs;
	if (!docs || !doc || !(doc->name = strdup(name))) {
		free(doc);
		return NULL;
	}
	doc->root = json_object_get(root);
	s->docs[s->ndocs++] = doc;
	return doc;
}

static struct schema_doc *schema_doc_find(struct schema_compiler *c, const char *name)
{
	struct json_object *root;

	for (size_t i = 0; i < c->s->ndocs; i++)
		if (!strcmp(c->s->docs[i]->name, name))
			return c->s->docs[i];
	root = c->loader ? c->loader(c->arg, name) : NULL;
	return root ? schema_doc_add(c->s, name, root) : NULL;
}

/* RFC 3986 section 2.1, in place */
static bool schema_percent_decode(char *text)
{
	char *out = text;

	for (const char *p = text; *p; p++) {
		char hex[3] = "";

		if (*p != '%') {
			*out++ = *p;
			continue;
		}
		if (!isxdigit((unsigned char)p[1]) || !isxdigit((unsigned char)p[2]))
			return false;
		memcpy(hex, p + 1, 2);
		*out++ = (char)strtoul(hex, NULL, 16);
		p += 2;
	}
	*out = '\0';
	return true;
}

int schema_read_ref(struct schema_compiler *c, struct schema_node *n,
		    const struct schema_keyword *k, struct json_object *v)
{
	const char *text =
		json_object_is_type(v, json_type_string) ? json_object_get_string(v) : "";
	AUTO_FREE char *name = strdup(text);
	struct schema_doc *doc = c->doc, *back = c->doc;
	char *fragment = name ? strchr(name, '#') : NULL, at[sizeof(c->at)];
	struct json_object *target = NULL;
	int ret;

	if (fragment)
		*fragment++ = '\0';
	if (name && *name && c->set && !fragment) {
		n->file = schema_set_find(c->set, name);
		return n->file ? 0
			       : schema_refuse(c, "keyword '%s': nothing at '%s'", k->name, text);
	}
	if (name && *name)
		doc = schema_doc_find(c, name);
	if (doc && fragment && *fragment)
		target = *fragment == '/' && schema_percent_decode(fragment)
				 ? json_at(doc->root, fragment)
				 : NULL;
	else if (doc && name && (*name || fragment))
		target = doc->root;
	if (!target)
		return schema_refuse(c, "keyword '%s': nothing at '%s'", k->name, text);
	memcpy(at, c->at, sizeof(at));
	c->doc = doc;
	snprintf(c->at, sizeof(c->at), "%s", fragment ? fragment : "");
	ret = schema_sub(c, target, &n->ref);
	c->doc = back;
	memcpy(c->at, at, sizeof(at));
	return ret;
}

static bool schema_refers_to(const struct schema_node *n, const char *ref)
{
	return !strcmp(json_get_str(n->src, "$ref", ""), ref);
}

/* at: where it is when both lists have the same order, as ours do. */
static struct schema_node *schema_find_branch(const struct schema_node *n, size_t at,
					      const char *ref)
{
	if (at < n->one.n && schema_refers_to(n->one.nodes[at], ref))
		return n->one.nodes[at];
	for (size_t i = 0; i < n->one.n; i++)
		if (schema_refers_to(n->one.nodes[i], ref))
			return n->one.nodes[i];
	return NULL;
}

int schema_read_chooser(struct schema_compiler *c, struct schema_node *n,
			const struct schema_keyword *k, struct json_object *v)
{
	struct json_object *mapping = json_get(v, "mapping");

	n->chooser = json_get_str(v, "propertyName", NULL);
	if (!n->chooser || !json_object_is_type(mapping, json_type_object))
		return schema_refuse(c, "keyword '%s': expected propertyName and mapping", k->name);
	n->choices = calloc((size_t)json_object_object_length(mapping) + 1, sizeof(*n->choices));
	if (!n->choices)
		return err_ret(c->e, -ENOMEM, "schema");
	json_object_object_foreach(mapping, key, value) {
		const char *ref = json_object_get_string(value);
		struct schema_node *branch = schema_find_branch(n, n->nchoices, ref ? ref : "");

		if (!branch)
			return schema_refuse(c, "keyword '%s': '%s' is none of the oneOf before it",
					     k->name, key);
		n->choices[n->nchoices++] = (struct schema_prop){ .name = key, .node = branch };
	}
	return 0;
}
