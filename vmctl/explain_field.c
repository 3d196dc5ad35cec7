// SPDX-License-Identifier: MIT
/* vmctl explain vm.KEY: what the embedded schemas say of a key of a VM file. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/auto.h"
#include "lib/errcat.h"
#include "lib/schema.h"
#include "vmctl/explain.h"
#include "vmctl/help.h"

#define FIELD_FILES_MAX 64
#define FIELD_INLINE_MAX 20 /* a longer name has a line of its own */

/* A walk through the schemas; those that it came through stay. */
struct field_walk {
	struct json_object *files[FIELD_FILES_MAX]; /* owned */
	size_t n;
};

static struct json_object *field_load(struct field_walk *w, const char *name)
{
	if (w->n == FIELD_FILES_MAX || schema_json(name, &w->files[w->n], NULL) < 0)
		return NULL;
	return w->files[w->n++];
}

/* "#/$defs/size", of the file that was read last and has it */
static struct json_object *field_local(struct field_walk *w, const char *pointer)
{
	struct json_object *found = NULL;

	for (size_t i = w->n; !found && i > 0; i--)
		found = json_at(w->files[i - 1], pointer);
	return found;
}

/* What a node says by itself and by what it refers to; where both say something, the node does. New. */
static struct json_object *field_resolve(struct field_walk *w, struct json_object *node)
{
	struct json_object *all = json_new(), *at = node;

	for (int depth = 0; at && depth < JSON_DEPTH_MAX; depth++) {
		const char *ref = json_get_str(at, "$ref", NULL);

		json_object_object_foreach(at, key, value) {
			if (!json_object_object_get_ex(all, key, NULL))
				json_add(all, key, json_object_get(value));
		}
		if (!ref)
			break;
		at = ref[0] == '#' ? field_local(w, ref + 1) : field_load(w, ref);
	}
	json_object_object_del(all, "$ref");
	return all;
}

/* The types that an object may be of, each with a schema of its own: {TYPE: REFERENCE}, or NULL. */
static struct json_object *field_mapping(struct json_object *node)
{
	return json_get(json_get(node, "discriminator"), "mapping");
}

/* The branch of oneOf that is for one type. */
static struct json_object *field_branch(struct json_object *node, const char *type)
{
	const char *ref = json_get_str(field_mapping(node), type, NULL);
	struct json_object *one = json_get(node, "oneOf");

	for (size_t i = 0; ref && one && i < json_object_array_length(one); i++) {
		struct json_object *branch = json_object_array_get_idx(one, i);

		if (!strcmp(json_get_str(branch, "$ref", ""), ref))
			return branch;
	}
	return NULL;
}

/* The member that a word names: a property, one of an alternative's, a type of the list's items. New, or NULL. */
static struct json_object *field_step(struct field_walk *w, struct json_object *node,
				      const char *word)
{
	struct json_object *found = json_get(json_get(node, "properties"), word), *all = NULL;
	struct json_object *any = json_get(node, "anyOf"), *items = json_get(node, "items");

	if (found)
		return field_resolve(w, found);
	for (size_t i = 0; any && !all && i < json_object_array_length(any); i++) {
		struct json_object *one = field_resolve(w, json_object_array_get_idx(any, i));

		all = field_step(w, one, word);
		json_object_put(one);
	}
	if (all || !items)
		return all;
	items = field_resolve(w, items);
	found = field_branch(items, word);
	all = found ? field_resolve(w, found) : field_step(w, items, word);
	json_object_put(items);
	return all;
}

/* --- names ------------------------------------------------------------------------------------------ */

struct field_names {
	const char *names[128];		 /* borrowed from objects */
	struct json_object *objects[16]; /* owned: what they stand in */
	struct json_object *values[128]; /* borrowed: their schemas */
	size_t n, nobjects;
};

static void field_add_name(struct field_names *f, const char *name, struct json_object *value)
{
	if (f->n + 1 >= ARRAY_SIZE(f->names))
		return;
	f->values[f->n] = value;
	f->names[f->n++] = name;
}

/* All words that field_step takes. node is taken over. */
static void field_collect(struct field_walk *w, struct json_object *take_node,
			  struct field_names *f)
{
	struct json_object *properties = json_get(take_node, "properties");
	struct json_object *any = json_get(take_node, "anyOf"),
			   *items = json_get(take_node, "items");
	struct json_object *types = field_mapping(take_node);

	if (f->nobjects == ARRAY_SIZE(f->objects)) {
		json_object_put(take_node);
		return;
	}
	f->objects[f->nobjects++] = take_node;
	if (properties) {
		json_object_object_foreach(properties, key, value) {
			field_add_name(f, key, value);
		}
	}
	for (size_t i = 0; any && i < json_object_array_length(any); i++)
		field_collect(w, field_resolve(w, json_object_array_get_idx(any, i)), f);
	if (types) {
		json_object_object_foreach(types, type, ref) {
			(void)ref;
			field_add_name(f, type, field_branch(take_node, type));
		}
	}
	if (items)
		field_collect(w, field_resolve(w, items), f);
}

static void field_names_fini(struct field_names *f)
{
	for (size_t i = 0; i < f->nobjects; i++)
		json_object_put(f->objects[i]);
}

/* --- printing --------------------------------------------------------------------------------------- */

static const char *field_plain(struct json_object *value)
{
	return json_object_is_type(value, json_type_string)
		       ? json_object_get_string(value)
		       : json_object_to_json_string_ext(
				 value, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE);
}

/* "string", "string or integer", "one of a, b" */
static void field_type(struct json_object *node, char *out, size_t out_size)
{
	struct json_object *list = json_get(node, "enum"), *type = json_get(node, "type");
	const char *format = json_get_str(node, "format", NULL);
	bool values = list;

	out[0] = '\0';
	if (json_get(node, "const")) {
		snprintf(out, out_size, "%s", field_plain(json_get(node, "const")));
		return;
	}
	if (!list && json_object_is_type(type, json_type_array))
		list = type;
	for (size_t i = 0; list && i < json_object_array_length(list); i++)
		snprintf(out + strlen(out), out_size - strlen(out), "%s%s",
			 !i	  ? ""
			 : values ? ", "
				  : " or ",
			 field_plain(json_object_array_get_idx(list, i)));
	if (!list)
		snprintf(out, out_size, "%s", type ? field_plain(type) : "");
	if (format)
		snprintf(out + strlen(out), out_size - strlen(out), " (%s)", format);
}

static void field_types(struct field_walk *w, struct json_object *node, char *out, size_t out_size)
{
	struct json_object *any = json_get(node, "anyOf");

	field_type(node, out, out_size);
	for (size_t i = 0; any && i < json_object_array_length(any); i++) {
		struct json_object *one = field_resolve(w, json_object_array_get_idx(any, i));
		char text[200];

		field_type(one, text, sizeof(text));
		snprintf(out + strlen(out), out_size - strlen(out), "%s%s", i ? ", or " : "", text);
		json_object_put(one);
	}
}

static void field_range(struct json_object *node, char *out, size_t out_size)
{
	static const char *const pairs[][3] = { { "minimum", "maximum", "" },
						{ "minLength", "maxLength", " characters" },
						{ "minItems", "maxItems", " entries" } };

	out[0] = '\0';
	for (size_t i = 0; i < ARRAY_SIZE(pairs); i++) {
		struct json_object *min = json_get(node, pairs[i][0]);
		struct json_object *max = json_get(node, pairs[i][1]);

		if (min && max)
			snprintf(out, out_size, "%s to %s%s", json_object_get_string(min),
				 json_object_get_string(max), pairs[i][2]);
		else if (min || max)
			snprintf(out, out_size, "at %s %s%s", min ? "least" : "most",
				 json_object_get_string(min ? min : max), pairs[i][2]);
	}
}

static void field_required(struct json_object *node, char *out, size_t out_size)
{
	struct json_object *list = json_get(node, "required");

	out[0] = '\0';
	for (size_t i = 0; list && i < json_object_array_length(list); i++)
		snprintf(out + strlen(out), out_size - strlen(out), "%s%s", i ? ", " : "",
			 field_plain(json_object_array_get_idx(list, i)));
}

static void field_print_keys(struct vmctl *v, struct field_walk *w, struct json_object *node)
{
	struct field_names f = { 0 };

	field_collect(w, json_object_get(node), &f);
	for (size_t i = 0; i < f.n; i++) {
		struct json_object *one = field_resolve(w, f.values[i]);
		int n = fprintf(v->out.out, "%s  %s", i ? "" : "keys:\n", f.names[i]) -
			(i ? 0 : (int)strlen("keys:\n"));

		fprintf(v->out.out, "%*s", n < 18 ? 18 - n : 2, "");
		help_wrap(v->out.out, n < 18 ? 18 : (size_t)n + 2,
			  json_get_str(one, "description", ""));
		json_object_put(one);
	}
	field_names_fini(&f);
}

static void field_print(struct vmctl *v, struct field_walk *w, const char *word,
			struct json_object *node)
{
	struct json_object *fallback = json_get(node, "default");
	char text[600], range[100];

	if (strlen(word) < FIELD_INLINE_MAX)
		fprintf(v->out.out, "%s: ", word);
	else
		fprintf(v->out.out, "%s:\n  ", word);
	help_wrap(v->out.out, strlen(word) < FIELD_INLINE_MAX ? strlen(word) + 2 : 2,
		  json_get_str(node, "description", ""));
	field_types(w, node, text, sizeof(text));
	field_range(node, range, sizeof(range));
	fputc('\n', v->out.out);
	explain_line(v, json_get(node, "enum") ? "values" : "type", text);
	explain_line(v, "range", range);
	explain_line(v, "default", fallback ? field_plain(fallback) : "");
	field_required(node, text, sizeof(text));
	explain_line(v, "needs", text);
	field_print_keys(v, w, node);
}

static int field_unknown(struct field_walk *w, struct json_object *node, const char *before,
			 const char *word, struct err *e)
{
	struct field_names f = { 0 };
	const char *near;

	field_collect(w, json_object_get(node), &f);
	near = args_near(word, f.names);
	err_set(e, ENOENT, "%.100s has no key '%.64s'", before, word);
	if (near)
		err_hint(e, "did you mean '%.60s.%s'?", before, near);
	else
		err_hint(e, "vmctl explain %.80s lists its keys", f.n ? before : "vm");
	field_names_fini(&f);
	return -ENOENT;
}

/* Follow "memory.size" from node, which is replaced. */
static int field_follow(struct field_walk *w, const char *path, struct json_object **node,
			struct err *e)
{
	AUTO_FREE char *copy = strdup(path);
	AUTO_FREE char *before = strdup(path);
	char *save = NULL;

	if (!copy || !before)
		abort();
	for (char *word = strtok_r(copy, ".", &save); word; word = strtok_r(NULL, ".", &save)) {
		struct json_object *next;

		if (word == copy)
			continue; /* "vm" */
		next = field_step(w, *node, word);
		if (!next) {
			before[word - copy - 1] = '\0';
			return field_unknown(w, *node, before, word, e);
		}
		json_object_put(*node);
		*node = next;
	}
	return 0;
}

int explain_field(struct vmctl *v, const char *word, struct err *e)
{
	struct field_walk w = { 0 };
	struct json_object *node;
	int ret;

	if (strncmp(word, "vm", 2) || (word[2] && word[2] != '.'))
		return err_set(e, EINVAL, "no key of a VM file");
	node = field_resolve(&w, field_load(&w, "vm.json"));
	ret = field_follow(&w, word, &node, e);
	if (ret >= 0 && v->out.format == OUTPUT_JSON) {
		AUTO_JSON struct json_object *doc = json_add_str(json_new(), "field", word);

		json_add(doc, "definition", json_object_get(node));
		output_json(&v->out, "explain", doc);
	} else if (ret >= 0 && v->out.format == OUTPUT_NAME) {
		fprintf(v->out.out, "%s\n", word);
	} else if (ret >= 0) {
		field_print(v, &w, word, node);
	}
	json_object_put(node);
	for (size_t i = 0; i < w.n; i++)
		json_object_put(w.files[i]);
	return ret < 0 ? ret : EXIT_OK;
}
