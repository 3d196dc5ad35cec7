// SPDX-License-Identifier: MIT
/*
 * Checking a value against a compiled schema (JSON Schema 2020-12, Validation section 6 and Core section
 * 10). The whole value is always gone through, and of all errors the one that stands first in the
 * document is kept; what an object lacks counts as standing at its end, so that a misspelt key is
 * named before the key that is missing because of it. Any thread; a schema is constant once compiled.
 */
#include "lib/schema.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "lib/errcat.h"
#include "lib/schema_node.h"

#define SCHEMA_RECURSION_MAX 512 /* nodes on the way down: ends a schema that refers to itself */

struct schema_frame {
	const char *key; /* NULL for an item of an array */
	size_t index;	 /* of the member or the item */
};

struct schema_run {
	struct schema_frame path[JSON_DEPTH_MAX + 1];
	unsigned int depth, recursion;
	const char *format; /* what schema_visit looks for */
	schema_visitor visit;
	void *arg;
};

struct schema_result {
	bool failed;
	bool wrong_type; /* the kept error says that the value at `depth` is of another type */
	unsigned int depth;
	size_t order[JSON_DEPTH_MAX + 1];
	struct schema_error err;
};

static void schema_check(struct schema_run *run, const struct schema_node *n, struct json_object *v,
			 struct schema_result *res);

/* --- errors --------------------------------------------------------------------------------------- */

static bool schema_is_earlier(const struct schema_run *run, const struct schema_result *res)
{
	for (unsigned int i = 0; i < MIN(run->depth, res->depth); i++)
		if (run->path[i].index != res->order[i])
			return run->path[i].index < res->order[i];
	return run->depth >
	       res->depth; /* what lies inside comes before what is said of the whole */
}

static void schema_pointer(const struct schema_run *run, char *out, size_t out_size)
{
	out[0] = '\0';
	for (unsigned int i = 0; i < run->depth; i++) {
		char index[24];

		snprintf(index, sizeof(index), "%zu", run->path[i].index);
		if (!json_pointer_add(out, out_size, out,
				      run->path[i].key ? run->path[i].key : index))
			return; /* the longest part that fits */
	}
}

/* True when the error is the earliest so far and was kept. */
PRINTF_LIKE(3, 4)
static bool schema_fail(const struct schema_run *run, struct schema_result *res, const char *fmt,
			...)
{
	va_list ap;

	if (res->failed && !schema_is_earlier(run, res))
		return false;
	res->failed = true;
	res->wrong_type = false;
	res->depth = run->depth;
	for (unsigned int i = 0; i < run->depth; i++)
		res->order[i] = run->path[i].index;
	res->err.at_key = false;
	schema_pointer(run, res->err.pointer, sizeof(res->err.pointer));
	va_start(ap, fmt);
	vsnprintf(res->err.msg, sizeof(res->err.msg), fmt, ap);
	va_end(ap);
	return true;
}

static void schema_fail_key(struct schema_run *run, struct schema_result *res, const char *msg)
{
	if (schema_fail(run, res, "%s", msg))
		res->err.at_key = true;
}

static void schema_fail_type(const struct schema_run *run, const struct schema_node *n,
			     struct json_object *v, struct schema_result *res)
{
	char expected[160], got[48];

	schema_text_expected(n, expected, sizeof(expected));
	if (json_object_is_type(v, json_type_double)) /* 1.5 says why it is no whole number */
		schema_text_value(v, got, sizeof(got));
	else
		snprintf(got, sizeof(got), "%s", schema_text_got(v));
	if (schema_fail(run, res, "expected %s, got %s", expected, got))
		res->wrong_type = true;
}

/* --- going down ----------------------------------------------------------------------------------- */

static void schema_check_member(struct schema_run *run, const struct schema_node *n,
				struct schema_frame frame, struct json_object *v,
				struct schema_result *res)
{
	if (run->depth == JSON_DEPTH_MAX) {
		schema_fail(run, res, "more than %d levels", JSON_DEPTH_MAX);
		return;
	}
	run->path[run->depth++] = frame;
	schema_check(run, n, v, res);
	run->depth--;
}

/* Does v satisfy n? Visits nothing: whether n applies is not known yet. */
static bool schema_try(struct schema_run *run, const struct schema_node *n, struct json_object *v,
		       struct schema_result *res)
{
	schema_visitor visit = run->visit;

	run->visit = NULL;
	res->failed = false;
	schema_check(run, n, v, res);
	run->visit = visit;
	return !res->failed;
}

static void schema_merge(const struct schema_result *from, struct schema_result *res)
{
	struct schema_run at = { .depth = from->depth };

	for (unsigned int i = 0; i < from->depth; i++)
		at.path[i].index = from->order[i];
	if (!res->failed || schema_is_earlier(&at, res))
		*res = *from;
}

/* --- keywords of one type ------------------------------------------------------------------------- */

static void schema_check_number(struct schema_run *run, const struct schema_node *n,
				struct json_object *v, struct schema_result *res)
{
	double d = json_object_get_double(v);
	char got[48];

	schema_text_value(v, got, sizeof(got));
	if (n->minimum && d < json_object_get_double(n->minimum))
		schema_fail(run, res, "expected at least %s, got %s",
			    json_object_get_string(n->minimum), got);
	if (n->maximum && d > json_object_get_double(n->maximum))
		schema_fail(run, res, "expected at most %s, got %s",
			    json_object_get_string(n->maximum), got);
	if (n->above && d <= json_object_get_double(n->above))
		schema_fail(run, res, "expected more than %s, got %s",
			    json_object_get_string(n->above), got);
	if (n->below && d >= json_object_get_double(n->below))
		schema_fail(run, res, "expected less than %s, got %s",
			    json_object_get_string(n->below), got);
	if (n->multiple) {
		double q = d / json_object_get_double(n->multiple), slack = 1e-9;
		bool exact = q <= (double)JSON_INT_MAX && q >= (double)-JSON_INT_MAX;

		/* decimal fractions are not exact in binary: 0.0075 is 75 times 0.0001 */
		if (exact)
			q -= (double)(int64_t)(q < 0 ? q - 0.5 : q + 0.5);
		if (!exact || q > slack || q < -slack)
			schema_fail(run, res, "expected a multiple of %s, got %s",
				    json_object_get_string(n->multiple), got);
	}
}

static int64_t schema_code_points(const char *text, size_t len)
{
	int64_t count = 0;

	for (size_t i = 0; i < len; i++)
		count += ((unsigned char)text[i] & 0xc0) != 0x80;
	return count;
}

static void schema_check_count(struct schema_run *run, int64_t count, int64_t min, int64_t max,
			       const char *what, struct schema_result *res)
{
	if (count < min)
		schema_fail(run, res, "expected at least %lld %s%s, got %lld", (long long)min, what,
			    min == 1 ? "" : "s", (long long)count);
	if (count > max)
		schema_fail(run, res, "expected at most %lld %s%s, got %lld", (long long)max, what,
			    max == 1 ? "" : "s", (long long)count);
}

static void schema_check_string(struct schema_run *run, const struct schema_node *n,
				struct json_object *v, struct schema_result *res)
{
	const char *text = json_object_get_string(v);
	size_t len = (size_t)json_object_get_string_len(v);
	char got[48], pointer[256];
	const char *wrong;

	schema_check_count(run, schema_code_points(text, len), n->min_length, n->max_length,
			   "character", res);
	if (!n->format)
		return;
	wrong = n->format->check(text);
	if (wrong) {
		schema_text_value(v, got, sizeof(got));
		schema_fail(run, res, "expected %s, got %s", wrong, got);
	} else if (run->visit && !strcmp(n->format->name, run->format)) {
		schema_pointer(run, pointer, sizeof(pointer));
		run->visit(run->arg, v, pointer);
	}
}

static void schema_check_unique(struct schema_run *run, struct json_object *v,
				struct schema_result *res)
{
	size_t count = json_object_array_length(v);

	for (size_t i = 1; i < count; i++)
		for (size_t j = 0; j < i; j++) {
			if (!json_equal(json_object_array_get_idx(v, i),
					json_object_array_get_idx(v, j)))
				continue;
			schema_fail(run, res, "item %zu is the same as item %zu", i, j);
			return;
		}
}

static void schema_check_array(struct schema_run *run, const struct schema_node *n,
			       struct json_object *v, struct schema_result *res)
{
	size_t count = json_object_array_length(v);

	schema_check_count(run, (int64_t)count, n->min_items, n->max_items, "item", res);
	for (size_t i = 0; n->items && i < count; i++)
		schema_check_member(run, n->items, (struct schema_frame){ .index = i },
				    json_object_array_get_idx(v, i), res);
	if (n->unique)
		schema_check_unique(run, v, res);
}

static const struct schema_node *schema_prop_find(const struct schema_node *n, const char *key)
{
	for (size_t i = 0; i < n->nprops; i++)
		if (!strcmp(n->props[i].name, key))
			return n->props[i].node;
	return NULL;
}

static void schema_check_extra(struct schema_run *run, const struct schema_node *n,
			       struct schema_frame frame, struct json_object *v,
			       struct schema_result *res)
{
	char msg[sizeof(res->err.msg)];

	if (!n->additional->never) {
		schema_check_member(run, n->additional, frame, v, res);
		return;
	}
	schema_text_unknown(n, frame.key, msg, sizeof(msg));
	run->path[run->depth++] = frame;
	schema_fail_key(run, res, msg);
	run->depth--;
}

/* A key of v that no property describes and that is like the missing one. */
static const char *schema_misspelt(const struct schema_node *n, struct json_object *v,
				   const char *missing, size_t *ret_index)
{
	size_t i = 0;

	json_object_object_foreach(v, key, value) {
		(void)value;
		if (!schema_prop_find(n, key) && schema_text_near(key, missing)) {
			*ret_index = i;
			return key;
		}
		i++;
	}
	return NULL;
}

static void schema_check_required(struct schema_run *run, const struct schema_node *n,
				  struct json_object *v, struct schema_result *res)
{
	for (size_t i = 0; i < json_object_array_length(n->required); i++) {
		const char *name =
			json_object_get_string(json_object_array_get_idx(n->required, i));
		struct schema_frame frame = { 0 };
		char msg[sizeof(res->err.msg)];

		if (json_object_object_get_ex(v, name, NULL))
			continue;
		frame.key = schema_misspelt(n, v, name, &frame.index);
		if (!frame.key || run->depth == JSON_DEPTH_MAX) {
			schema_fail(run, res, "missing key '%s'", name);
			continue;
		}
		snprintf(msg, sizeof(msg), "unknown key '%.64s'; did you mean '%.64s'?", frame.key,
			 name);
		run->path[run->depth++] = frame;
		schema_fail_key(run, res, msg);
		run->depth--;
	}
}

static void schema_check_object(struct schema_run *run, const struct schema_node *n,
				struct json_object *v, struct schema_result *res)
{
	size_t i = 0;

	if (run->depth == JSON_DEPTH_MAX) {
		schema_fail(run, res, "more than %d levels", JSON_DEPTH_MAX);
		return;
	}
	json_object_object_foreach(v, key, value) {
		const struct schema_node *prop = schema_prop_find(n, key);
		struct schema_frame frame = { .key = key, .index = i++ };

		if (prop)
			schema_check_member(run, prop, frame, value, res);
		else if (n->additional)
			schema_check_extra(run, n, frame, value, res);
	}
	if (n->required)
		schema_check_required(run, n, v, res);
	schema_check_count(run, json_object_object_length(v), n->min_props, n->max_props, "key",
			   res);
}

/* --- keywords of every type ----------------------------------------------------------------------- */

static void schema_check_const(struct schema_run *run, const struct schema_node *n,
			       struct json_object *v, struct schema_result *res)
{
	char expected[120], got[48];

	if (json_equal(n->constant, v))
		return;
	schema_text_value(n->constant, expected, sizeof(expected));
	schema_text_value(v, got, sizeof(got));
	schema_fail(run, res, "expected %s, got %s", expected, got);
}

static void schema_check_enum(struct schema_run *run, const struct schema_node *n,
			      struct json_object *v, struct schema_result *res)
{
	size_t count = json_object_array_length(n->enums);
	char list[180] = "", got[48];

	for (size_t i = 0; i < count; i++)
		if (json_equal(json_object_array_get_idx(n->enums, i), v))
			return;
	schema_text_list(n->enums, list, sizeof(list));
	schema_text_value(v, got, sizeof(got));
	schema_fail(run, res, "expected %s, got %s", list, got);
}

/* anyOf and oneOf. The branch that a person meant is the one whose type the value has. */
static void schema_check_branches(struct schema_run *run, const struct schema_node *n,
				  const struct schema_list *list, bool only_one,
				  struct json_object *v, struct schema_result *res)
{
	struct schema_result meant = { 0 }, branch = { 0 };
	size_t matches = 0;

	for (size_t i = 0; i < list->n; i++) {
		if (schema_try(run, list->nodes[i], v, &branch)) {
			matches++;
			if (run->visit)
				schema_check(run, list->nodes[i], v, res);
			continue;
		}
		if (branch.wrong_type && branch.depth == run->depth)
			continue;
		if (!meant.failed || branch.depth > meant.depth)
			meant = branch;
	}
	if (matches > 1 && only_one)
		schema_fail(run, res, "matches %zu of the forms of which it may have one", matches);
	if (matches)
		return;
	if (meant.failed)
		schema_merge(&meant, res);
	else
		schema_fail_type(run, n, v, res);
}

static const struct schema_node *schema_choose(const struct schema_node *n, struct json_object *v)
{
	const char *name = json_get_str(v, n->chooser, NULL);

	for (size_t i = 0; name && i < n->nchoices; i++)
		if (!strcmp(n->choices[i].name, name))
			return n->choices[i].node;
	return NULL;
}

static void schema_check_one(struct schema_run *run, const struct schema_node *n,
			     struct json_object *v, struct schema_result *res)
{
	const struct schema_node *chosen = n->chooser ? schema_choose(n, v) : NULL;

	if (chosen)
		schema_check(run, chosen, v, res);
	else if (!n->chooser || !res->failed) /* or the member itself was refused */
		schema_check_branches(run, n, &n->one, true, v, res);
}

static void schema_check_condition(struct schema_run *run, const struct schema_node *n,
				   struct json_object *v, struct schema_result *res)
{
	struct schema_result unused = { 0 };
	const struct schema_node *next =
		schema_try(run, n->cond, v, &unused) ? n->then : n->otherwise;

	if (next)
		schema_check(run, next, v, res);
}

static void schema_check_file(struct schema_run *run, struct schema_file *file,
			      struct json_object *v, struct schema_result *res)
{
	const struct schema *s;
	struct err e = { 0 };

	if (schema_file_get(file, &s, &e) < 0)
		schema_fail(run, res, "%s", e.msg);
	else
		schema_check(run, s->root, v, res);
}

static void schema_check_combined(struct schema_run *run, const struct schema_node *n,
				  struct json_object *v, struct schema_result *res)
{
	if (n->ref)
		schema_check(run, n->ref, v, res);
	if (n->file)
		schema_check_file(run, n->file, v, res);
	for (size_t i = 0; i < n->all.n; i++)
		schema_check(run, n->all.nodes[i], v, res);
	if (n->any.n)
		schema_check_branches(run, n, &n->any, false, v, res);
	if (n->one.n)
		schema_check_one(run, n, v, res);
	if (n->cond)
		schema_check_condition(run, n, v, res);
	if (n->not ) {
		struct schema_result unused = { 0 };

		if (schema_try(run, n->not, v, &unused))
			schema_fail(run, res, "not allowed here");
	}
}

static void schema_check_node(struct schema_run *run, const struct schema_node *n,
			      struct json_object *v, struct schema_result *res)
{
	unsigned int types = schema_type_of(v);

	if (n->never) {
		schema_fail(run, res, "not allowed here");
		return;
	}
	if (n->types && !(n->types & types)) {
		schema_fail_type(run, n, v, res);
		return; /* the rest would say the same once more */
	}
	if (n->has_const)
		schema_check_const(run, n, v, res);
	if (n->enums)
		schema_check_enum(run, n, v, res);
	if (types & SCHEMA_NUMBER)
		schema_check_number(run, n, v, res);
	else if (types & SCHEMA_STRING)
		schema_check_string(run, n, v, res);
	else if (types & SCHEMA_ARRAY)
		schema_check_array(run, n, v, res);
	else if (types & SCHEMA_OBJECT)
		schema_check_object(run, n, v, res);
	schema_check_combined(run, n, v, res);
}

static void schema_check(struct schema_run *run, const struct schema_node *n, struct json_object *v,
			 struct schema_result *res)
{
	if (run->recursion == SCHEMA_RECURSION_MAX) {
		schema_fail(run, res, "the schema goes in circles here");
		return;
	}
	run->recursion++;
	schema_check_node(run, n, v, res);
	run->recursion--;
}

int schema_validate(const struct schema *s, struct json_object *value, struct schema_error *err)
{
	struct schema_run run = { 0 };
	struct schema_result res = { 0 };

	schema_check(&run, s->root, value, &res);
	if (!res.failed)
		return 0;
	if (err)
		*err = res.err;
	return -ERR_INVALID;
}

void schema_visit(const struct schema *s, struct json_object *value, const char *format,
		  schema_visitor fn, void *arg)
{
	struct schema_run run = { .format = format, .visit = fn, .arg = arg };
	struct schema_result res = { 0 };

	schema_check(&run, s->root, value, &res);
}
