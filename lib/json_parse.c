// SPDX-License-Identifier: MIT
/*
 * The reader of JSON text (RFC 8259): recursive descent that builds json-c values. json-c's own
 * tokener, strict as it can be set, still takes NaN, lone surrogates and duplicate keys, and saturates
 * integers, and none of this can be seen afterwards; what comes from a socket is refused here instead.
 * Beyond the RFC: depth at most JSON_DEPTH_MAX, integers within +-JSON_INT_MAX, no NUL in a string (C
 * programs would silently cut it), no duplicate keys, and the caller's struct json_limits. Any thread.
 */
#include "lib/json.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/auto.h"
#include "lib/errcat.h"

struct json_reader {
	const char *text;
	size_t len, pos;
	unsigned int depth;
	size_t values;
	struct json_limits limits;
	struct err *e;
};

static int json_read_value(struct json_reader *r, struct json_object **ret_value);

PRINTF_LIKE(3, 4)
static int json_fail(struct json_reader *r, size_t at, const char *fmt, ...)
{
	char what[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	return err_set(r->e, ERR_SYNTAX, "byte %zu: %s", at, what);
}

/* The next character, 0 at the end: a NUL in the text is no valid character anywhere either. */
static char json_peek(const struct json_reader *r)
{
	return r->pos < r->len ? r->text[r->pos] : '\0';
}

static bool json_is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static void json_skip_space(struct json_reader *r)
{
	while (r->pos < r->len && json_is_space(r->text[r->pos]))
		r->pos++;
}

static int json_unexpected(struct json_reader *r, const char *expected)
{
	unsigned char c = (unsigned char)json_peek(r);

	if (r->pos >= r->len)
		return json_fail(r, r->pos, "expected %s, got the end of the text", expected);
	if (c <= ' ' || c >= 0x7f)
		return json_fail(r, r->pos, "expected %s, got byte 0x%02x", expected, c);
	return json_fail(r, r->pos, "expected %s, got '%c'", expected, c);
}

size_t json_utf8_len(const char *text, size_t len)
{
	const unsigned char *s = (const unsigned char *)text;
	unsigned char low = 0x80, high = 0xbf;
	size_t n;

	if (!len)
		return 0;
	if (s[0] < 0x80)
		return 1;
	n = s[0] >= 0xc2 && s[0] <= 0xdf ? 2 : (s[0] & 0xf0) == 0xe0 ? 3 : 4;
	if (s[0] < 0xc2 || s[0] > 0xf4 || len < n)
		return 0;
	/* Unicode table 3-7: no overlong forms, no surrogates, nothing above U+10FFFF */
	if (s[0] == 0xe0)
		low = 0xa0;
	if (s[0] == 0xed)
		high = 0x9f;
	if (s[0] == 0xf0)
		low = 0x90;
	if (s[0] == 0xf4)
		high = 0x8f;
	if (s[1] < low || s[1] > high)
		return 0;
	for (size_t i = 2; i < n; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	return n;
}

static size_t json_utf8_put(char *out, uint32_t c)
{
	if (c < 0x80) {
		out[0] = (char)c;
		return 1;
	}
	if (c < 0x800) {
		out[0] = (char)(0xc0 | c >> 6);
		out[1] = (char)(0x80 | (c & 0x3f));
		return 2;
	}
	if (c < 0x10000) {
		out[0] = (char)(0xe0 | c >> 12);
		out[1] = (char)(0x80 | (c >> 6 & 0x3f));
		out[2] = (char)(0x80 | (c & 0x3f));
		return 3;
	}
	out[0] = (char)(0xf0 | c >> 18);
	out[1] = (char)(0x80 | (c >> 12 & 0x3f));
	out[2] = (char)(0x80 | (c >> 6 & 0x3f));
	out[3] = (char)(0x80 | (c & 0x3f));
	return 4;
}

/* The four digits behind "\u" at pos; moves behind them. */
static int json_read_hex(struct json_reader *r, uint32_t *ret_unit)
{
	uint32_t v = 0;

	for (int i = 0; i < 4; i++, r->pos++) {
		char c = json_peek(r);

		if (!isxdigit((unsigned char)c))
			return json_unexpected(r, "a hexadecimal digit");
		v = v << 4 | (uint32_t)(c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
	}
	*ret_unit = v;
	return 0;
}

static int json_read_unicode(struct json_reader *r, char *out, size_t *n)
{
	size_t at = r->pos - 2;
	uint32_t c = 0, low = 0;

	if (json_read_hex(r, &c) < 0)
		return -ERR_SYNTAX;
	if (c >= 0xd800 && c <= 0xdbff) {
		if (r->len - r->pos < 6 || memcmp(r->text + r->pos, "\\u", 2))
			return json_fail(r, at, "half of a surrogate pair");
		r->pos += 2;
		if (json_read_hex(r, &low) < 0)
			return -ERR_SYNTAX;
		if (low < 0xdc00 || low > 0xdfff)
			return json_fail(r, at, "half of a surrogate pair");
		c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
	} else if (c >= 0xdc00 && c <= 0xdfff) {
		return json_fail(r, at, "half of a surrogate pair");
	}
	if (!c)
		return json_fail(r, at, "a NUL character in a string is not supported");
	*n += json_utf8_put(out + *n, c);
	return 0;
}

/* pos is behind the backslash; an escape is never shorter than what it stands for */
static int json_read_escape(struct json_reader *r, char *out, size_t *n)
{
	static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
	char c = json_peek(r);
	const char *p = c ? strchr(from, c) : NULL;

	if (p) {
		out[(*n)++] = to[p - from];
		r->pos++;
		return 0;
	}
	if (c != 'u')
		return json_unexpected(r, "an escape of JSON behind '\\'");
	r->pos++;
	return json_read_unicode(r, out, n);
}

/* How much of a string can be taken as it is: ASCII up to a quote, a backslash or what is refused. */
static size_t json_plain_len(const struct json_reader *r)
{
	size_t i = r->pos;

	while (i < r->len && r->text[i] >= ' ' && r->text[i] < 0x7f && r->text[i] != '"' &&
	       r->text[i] != '\\')
		i++;
	return i - r->pos;
}

/* A string's content, NUL-terminated; pos is at its opening quote. */
static int json_read_text(struct json_reader *r, char **ret_text, size_t *ret_len)
{
	const char *end = memchr(r->text + r->pos + 1, '"', r->len - r->pos - 1);
	size_t n = 0, room, step, start = r->pos;
	AUTO_FREE char *out = NULL;

	/* the first quote ends most strings; where it is escaped, take what is left */
	room = end && end[-1] != '\\' ? (size_t)(end - r->text) - r->pos : r->len - r->pos;
	out = malloc(room + 1);
	if (!out)
		return json_fail(r, r->pos, "no memory for a string");
	r->pos++;
	for (;;) {
		unsigned char c;

		step = json_plain_len(r);
		memcpy(out + n, r->text + r->pos, step);
		n += step;
		r->pos += step;
		c = (unsigned char)json_peek(r);
		if (c == '"')
			break;
		if (r->pos >= r->len)
			return json_fail(r, r->pos, "the string does not end");
		if (c < ' ')
			return json_fail(r, r->pos, "control character 0x%02x in a string", c);
		if (c == '\\') {
			r->pos++;
			if (json_read_escape(r, out, &n) < 0)
				return -ERR_SYNTAX;
			continue;
		}
		step = json_utf8_len(r->text + r->pos, r->len - r->pos);
		if (!step)
			return json_fail(r, r->pos, "invalid UTF-8");
		memcpy(out + n, r->text + r->pos, step);
		n += step;
		r->pos += step;
	}
	if (r->limits.string && n > r->limits.string)
		return json_fail(r, start, "a string of more than %zu bytes", r->limits.string);
	r->pos++;
	out[n] = '\0';
	*ret_text = TAKE_PTR(out);
	*ret_len = n;
	return 0;
}

static int json_read_string(struct json_reader *r, struct json_object **ret_value)
{
	AUTO_FREE char *text = NULL;
	size_t len = 0, plain;

	/* most strings are as they stand there */
	r->pos++;
	plain = json_plain_len(r);
	if (r->pos + plain < r->len && r->text[r->pos + plain] == '"' &&
	    (!r->limits.string || plain <= r->limits.string)) {
		*ret_value = json_object_new_string_len(r->text + r->pos, (int)plain);
		r->pos += plain + 1;
		return *ret_value ? 0 : json_fail(r, r->pos, "no memory for a string");
	}
	r->pos--;
	if (json_read_text(r, &text, &len) < 0)
		return -ERR_SYNTAX;
	*ret_value = json_object_new_string_len(text, (int)len);
	return *ret_value ? 0 : json_fail(r, r->pos, "no memory for a string");
}

static bool json_skip_digits(struct json_reader *r)
{
	size_t start = r->pos;

	while (isdigit((unsigned char)json_peek(r)))
		r->pos++;
	return r->pos > start;
}

/* Moves behind a number and says whether it was written as an integer. */
static int json_scan_number(struct json_reader *r, bool *ret_integer)
{
	*ret_integer = true;
	if (json_peek(r) == '-')
		r->pos++;
	if (json_peek(r) == '0')
		r->pos++;
	else if (!json_skip_digits(r))
		return json_unexpected(r, "a digit");
	if (json_peek(r) == '.') {
		*ret_integer = false;
		r->pos++;
		if (!json_skip_digits(r))
			return json_unexpected(r, "a digit");
	}
	if ((json_peek(r) | 0x20) == 'e') {
		*ret_integer = false;
		r->pos++;
		if (json_peek(r) == '+' || json_peek(r) == '-')
			r->pos++;
		if (!json_skip_digits(r))
			return json_unexpected(r, "a digit");
	}
	return 0;
}

static int json_read_number(struct json_reader *r, struct json_object **ret_value)
{
	size_t start = r->pos, len;
	char digits[256];
	bool integer;
	int ret;

	if (json_scan_number(r, &integer) < 0)
		return -ERR_SYNTAX;
	len = r->pos - start;
	if (len >= sizeof(digits))
		return json_fail(r, start, "a number of %zu characters", len);
	memcpy(digits, r->text + start, len);
	digits[len] = '\0';
	ret = integer ? json_int_from_text(digits, 10, ret_value)
		      : json_float_from_text(digits, ret_value);
	return ret < 0 ? json_fail(r, start, "number %.40s is out of range", digits) : 0;
}

static int json_read_array(struct json_reader *r, struct json_object **ret_value)
{
	AUTO_JSON struct json_object *array = json_object_new_array();

	r->pos++;
	json_skip_space(r);
	if (json_peek(r) == ']')
		goto done;
	for (;;) {
		struct json_object *item = NULL;

		if (json_read_value(r, &item) < 0)
			return -ERR_SYNTAX;
		json_object_array_add(array, item);
		json_skip_space(r);
		if (json_peek(r) == ']')
			break;
		if (json_peek(r) != ',')
			return json_unexpected(r, "',' or ']'");
		r->pos++;
	}
done:
	r->pos++;
	*ret_value = TAKE_PTR(array);
	return 0;
}

static bool json_is_note(const struct json_reader *r, const char *key,
			 const struct json_object *value)
{
	if (!r->limits.notes || !json_object_is_type(value, json_type_string))
		return false;
	for (const char *const *note = r->limits.notes; *note; note++)
		if (!strcmp(*note, key))
			return true;
	return false;
}

static int json_read_member(struct json_reader *r, struct json_object *object)
{
	struct json_object *value = NULL;
	AUTO_FREE char *key = NULL;
	size_t at, len;

	json_skip_space(r);
	at = r->pos;
	if (json_peek(r) != '"')
		return json_unexpected(r, "a key in double quotes");
	if (json_read_text(r, &key, &len) < 0)
		return -ERR_SYNTAX;
	if (json_object_object_get_ex(object, key, NULL))
		return json_fail(r, at, "duplicate key '%.80s'", key);
	json_skip_space(r);
	if (json_peek(r) != ':')
		return json_unexpected(r, "':'");
	r->pos++;
	if (json_read_value(r, &value) < 0)
		return -ERR_SYNTAX;
	if (json_is_note(r, key, value))
		json_object_put(value);
	else
		json_object_object_add_ex(object, key, value, JSON_C_OBJECT_ADD_KEY_IS_NEW);
	return 0;
}

static int json_read_object(struct json_reader *r, struct json_object **ret_value)
{
	AUTO_JSON struct json_object *object = json_object_new_object();

	r->pos++;
	json_skip_space(r);
	if (json_peek(r) == '}')
		goto done;
	for (;;) {
		if (json_read_member(r, object) < 0)
			return -ERR_SYNTAX;
		json_skip_space(r);
		if (json_peek(r) == '}')
			break;
		if (json_peek(r) != ',')
			return json_unexpected(r, "',' or '}'");
		r->pos++;
	}
done:
	r->pos++;
	*ret_value = TAKE_PTR(object);
	return 0;
}

static int json_read_nested(struct json_reader *r, struct json_object **ret_value)
{
	int ret;

	if (r->depth == JSON_DEPTH_MAX)
		return json_fail(r, r->pos, "more than %d levels", JSON_DEPTH_MAX);
	r->depth++;
	ret = json_peek(r) == '[' ? json_read_array(r, ret_value) : json_read_object(r, ret_value);
	r->depth--;
	return ret;
}

static int json_read_word(struct json_reader *r, struct json_object **ret_value)
{
	static const char *const words[] = { "null", "false", "true" };

	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		size_t n = strlen(words[i]);

		if (r->len - r->pos < n || memcmp(r->text + r->pos, words[i], n))
			continue;
		r->pos += n;
		*ret_value = i ? json_object_new_boolean(i == 2) : NULL;
		return 0;
	}
	return json_unexpected(r, "a value");
}

static int json_read_value(struct json_reader *r, struct json_object **ret_value)
{
	char c;

	json_skip_space(r);
	if (r->limits.values && ++r->values > r->limits.values)
		return json_fail(r, r->pos, "more than %zu values", r->limits.values);
	c = json_peek(r);
	if (c == '{' || c == '[')
		return json_read_nested(r, ret_value);
	if (c == '"')
		return json_read_string(r, ret_value);
	if (c == '-' || isdigit((unsigned char)c))
		return json_read_number(r, ret_value);
	return json_read_word(r, ret_value);
}

int json_parse_limited(const char *text, size_t len, const struct json_limits *limits,
		       struct json_object **ret_value, struct err *e)
{
	struct json_reader r = { .text = text, .len = len, .limits = *limits, .e = e };
	AUTO_JSON struct json_object *value = NULL;

	if (json_read_value(&r, &value) < 0)
		return -ERR_SYNTAX;
	json_skip_space(&r);
	if (r.pos < len)
		return json_unexpected(&r, "nothing behind the value");
	*ret_value = TAKE_PTR(value);
	return 0;
}

int json_parse(const char *text, size_t len, struct json_object **ret_value, struct err *e)
{
	return json_parse_limited(text, len, &(struct json_limits){ 0 }, ret_value, e);
}
