// SPDX-License-Identifier: MIT
/* What the schema validator says to people. Any thread. */
#include "lib/schema_node.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define SCHEMA_KEY_MAX 48 /* a longer key is compared with no other */
#define SCHEMA_WORDS_MAX 8

const char *schema_text_got(const struct json_object *value)
{
	static const char *const words[] = {
		[json_type_null] = "null",	  [json_type_boolean] = "a boolean",
		[json_type_double] = "a number",  [json_type_int] = "a number",
		[json_type_object] = "an object", [json_type_array] = "a list",
		[json_type_string] = "a string",
	};

	return words[json_object_get_type(value)];
}

void schema_text_value(struct json_object *value, char *out, size_t out_size)
{
	const char *text =
		value ? json_object_to_json_string_ext(
				value, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE)
		      : "null";
	size_t n = strlen(text);

	if (n < out_size) {
		memcpy(out, text, n + 1);
		return;
	}
	n = out_size - 4;
	while (n && ((unsigned char)text[n] & 0xc0) == 0x80)
		n--; /* never half a character */
	memcpy(out, text, n);
	memcpy(out + n, "...", 4);
}

/* --- "expected …" ------------------------------------------------------------------------------- */

struct schema_words {
	const char *words[SCHEMA_WORDS_MAX];
	size_t n;
};

static void schema_words_add(struct schema_words *w, const char *word)
{
	for (size_t i = 0; i < w->n; i++)
		if (!strcmp(w->words[i], word))
			return;
	if (w->n < SCHEMA_WORDS_MAX)
		w->words[w->n++] = word;
}

static void schema_words_of_types(struct schema_words *w, const struct schema_node *n)
{
	static const struct {
		unsigned int bit;
		const char *word;
	} rows[] = {
		{ SCHEMA_STRING, "a string" },	{ SCHEMA_INTEGER, "a whole number" },
		{ SCHEMA_NUMBER, "a number" },	{ SCHEMA_BOOLEAN, "true or false" },
		{ SCHEMA_OBJECT, "an object" }, { SCHEMA_ARRAY, "a list" },
		{ SCHEMA_NULL, "null" },
	};
	unsigned int types = n->types;

	if (n->format && types & SCHEMA_STRING) {
		schema_words_add(w, n->format->noun);
		types &= ~(unsigned int)SCHEMA_STRING;
		if (n->format->or_integer)
			types &= ~(unsigned int)SCHEMA_INTEGER;
	}
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (types & rows[i].bit)
			schema_words_add(w, rows[i].word);
}

static void schema_words_of(struct schema_words *w, const struct schema_node *n, int depth)
{
	if (depth > 8)
		return; /* a schema may refer to itself */
	schema_words_of_types(w, n);
	if (n->ref)
		schema_words_of(w, n->ref, depth + 1);
	for (size_t i = 0; i < n->any.n; i++)
		schema_words_of(w, n->any.nodes[i], depth + 1);
	for (size_t i = 0; i < n->one.n; i++)
		schema_words_of(w, n->one.nodes[i], depth + 1);
}

PRINTF_LIKE(3, 4)
static void schema_append(char *out, size_t out_size, const char *fmt, ...)
{
	size_t n = strlen(out);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(out + n, out_size - n, fmt, ap);
	va_end(ap);
}

static const char *schema_separator(size_t i, size_t count)
{
	return !i ? "" : i + 1 < count ? ", " : " or ";
}

void schema_text_list(struct json_object *values, char *out, size_t out_size)
{
	size_t count = json_object_array_length(values);
	char text[48];

	out[0] = '\0';
	for (size_t i = 0; i < count; i++) {
		schema_text_value(json_object_array_get_idx(values, i), text, sizeof(text));
		if (strlen(out) + strlen(text) + sizeof(" or ...") > out_size) {
			schema_append(out, out_size, ", ...");
			return;
		}
		schema_append(out, out_size, "%s%s", schema_separator(i, count), text);
	}
}

void schema_text_expected(const struct schema_node *n, char *out, size_t out_size)
{
	struct schema_words w = { 0 };

	schema_words_of(&w, n, 0);
	out[0] = '\0';
	if (!w.n)
		schema_append(out, out_size, "another form");
	for (size_t i = 0; i < w.n; i++)
		schema_append(out, out_size, "%s%s", schema_separator(i, w.n), w.words[i]);
}

/* --- misspelt keys -------------------------------------------------------------------------------- */

/* Edits that make b of a; a swap of neighbours is one (optimal string alignment). */
static unsigned int schema_distance(const char *a, size_t na, const char *b, size_t nb)
{
	unsigned int rows[3][SCHEMA_KEY_MAX + 1];

	for (size_t j = 0; j <= nb; j++)
		rows[0][j] = (unsigned int)j;
	for (size_t i = 1; i <= na; i++) {
		unsigned int *now = rows[i % 3], *last = rows[(i + 2) % 3],
			     *before = rows[(i + 1) % 3];

		now[0] = (unsigned int)i;
		for (size_t j = 1; j <= nb; j++) {
			unsigned int d = last[j - 1] + (a[i - 1] != b[j - 1]);

			d = MIN(d, MIN(last[j], now[j - 1]) + 1);
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				d = MIN(d, before[j - 2] + 1);
			now[j] = d;
		}
	}
	return rows[na % 3][nb];
}

static unsigned int schema_key_distance(const char *a, const char *b)
{
	size_t na = strlen(a), nb = strlen(b), shorter = MIN(na, nb);

	if (!na || na > SCHEMA_KEY_MAX || nb > SCHEMA_KEY_MAX)
		return SCHEMA_KEY_MAX;
	if (shorter >= 3 && !strncmp(a, b, shorter))
		return 1; /* an abbreviation: "mem" */
	return schema_distance(a, na, b, nb);
}

/* How many edits are still a slip of the hand, and no other word. */
static unsigned int schema_slip(const char *key)
{
	size_t n = strlen(key);

	return n <= 1 ? 0 : n <= 3 ? 1 : 2;
}

bool schema_text_near(const char *a, const char *b)
{
	return schema_key_distance(a, b) <= MIN(schema_slip(a), schema_slip(b));
}

void schema_text_unknown(const struct schema_node *n, const char *key, char *out, size_t out_size)
{
	unsigned int best = SCHEMA_KEY_MAX;
	const char *nearest = NULL;

	for (size_t i = 0; i < n->nprops; i++) {
		unsigned int d = schema_key_distance(key, n->props[i].name);

		if (d >= best || !schema_text_near(key, n->props[i].name))
			continue;
		best = d;
		nearest = n->props[i].name;
	}
	snprintf(out, out_size, "unknown key '%.64s'", key);
	if (nearest)
		schema_append(out, out_size, "; did you mean '%s'?", nearest);
	else if (n->nprops && n->nprops <= 14)
		for (size_t i = 0; i < n->nprops; i++)
			schema_append(out, out_size, "%s%s", i ? ", " : "; known are ",
				      n->props[i].name);
}
