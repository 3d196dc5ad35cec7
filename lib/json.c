// SPDX-License-Identifier: MIT
/* Typed access to JSON values, numbers and sizes: see json.h. The reader is json_parse.c. Any thread. */
#include "lib/json.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct json_object *json_get(const struct json_object *o, const char *key)
{
	struct json_object *value = NULL;

	if (!json_object_is_type(o, json_type_object))
		return NULL;
	json_object_object_get_ex(o, key, &value);
	return value;
}

const char *json_get_str(const struct json_object *o, const char *key, const char *fallback)
{
	struct json_object *value = json_get(o, key);

	return json_object_is_type(value, json_type_string) ? json_object_get_string(value)
							    : fallback;
}

int64_t json_get_int(const struct json_object *o, const char *key, int64_t fallback)
{
	int64_t value;

	return json_int(json_get(o, key), &value) ? value : fallback;
}

bool json_get_bool(const struct json_object *o, const char *key, bool fallback)
{
	struct json_object *value = json_get(o, key);

	return json_object_is_type(value, json_type_boolean) ? json_object_get_boolean(value)
							     : fallback;
}

bool json_int(const struct json_object *value, int64_t *ret_int)
{
	double d;

	if (json_object_is_type(value, json_type_int)) {
		*ret_int = json_object_get_int64(value);
		return true;
	}
	if (!json_object_is_type(value, json_type_double))
		return false;
	d = json_object_get_double(value);
	if (!(d <= (double)JSON_INT_MAX && d >= (double)-JSON_INT_MAX) || d != (double)(int64_t)d)
		return false;
	*ret_int = (int64_t)d;
	return true;
}

int json_int_from_text(const char *digits, int base, struct json_object **ret_value)
{
	char *end;
	long long v;

	errno = 0;
	v = strtoll(digits, &end, base);
	if (*end || end == digits)
		return -EINVAL;
	if (errno || v > JSON_INT_MAX || v < -JSON_INT_MAX)
		return -ERANGE;
	*ret_value = json_object_new_int64(v);
	return 0;
}

int json_float_from_text(const char *digits, struct json_object **ret_value)
{
	char *end;
	double v = strtod(digits, &end); /* none of our programs leaves the C locale */

	if (*end || end == digits)
		return -EINVAL;
	if (!isfinite(v))
		return -ERANGE;
	*ret_value = json_object_new_double_s(v, digits);
	return 0;
}

static struct json_object *json_check(struct json_object *o)
{
	if (!o)
		abort(); /* no memory for a few bytes */
	return o;
}

struct json_object *json_new(void)
{
	return json_check(json_object_new_object());
}

struct json_object *json_add(struct json_object *o, const char *key, struct json_object *take_value)
{
	if (json_object_object_add(o, key, take_value) < 0)
		abort();
	return o;
}

struct json_object *json_add_str(struct json_object *o, const char *key, const char *value)
{
	return json_add(o, key, value ? json_check(json_object_new_string(value)) : NULL);
}

struct json_object *json_add_fmt(struct json_object *o, const char *key, const char *fmt, ...)
{
	char *text = NULL;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vasprintf(&text, fmt, ap);
	va_end(ap);
	if (n < 0)
		abort();
	json_add_str(o, key, text);
	free(text);
	return o;
}

struct json_object *json_add_int(struct json_object *o, const char *key, int64_t value)
{
	return json_add(o, key, json_check(json_object_new_int64(value)));
}

struct json_object *json_add_bool(struct json_object *o, const char *key, bool value)
{
	return json_add(o, key, json_check(json_object_new_boolean(value)));
}

static int json_raw_write(struct json_object *o, struct printbuf *out, int level, int flags)
{
	const char *text = json_object_get_userdata(o);

	(void)level, (void)flags;
	return printbuf_memappend(out, text, (int)strlen(text));
}

struct json_object *json_raw(char *take_text)
{
	struct json_object *o = json_check(json_object_new_array());

	json_object_set_serializer(o, json_raw_write, take_text, json_object_free_userdata);
	return o;
}

struct json_object *json_clone(const struct json_object *o)
{
	struct json_object *copy = NULL;

	/* json-c only reads the source */
	if (o && json_object_deep_copy((struct json_object *)o, &copy, NULL) < 0)
		abort();
	return copy;
}

struct json_object *json_at(struct json_object *o, const char *pointer)
{
	struct json_object *value = NULL;

	return json_pointer_get(o, pointer, &value) ? NULL : value;
}

bool json_pointer_add(char *out, size_t out_size, const char *base, const char *token)
{
	size_t n = strlen(base);

	if (n + 2 > out_size)
		return false;
	memmove(out, base, n);
	out[n++] = '/';
	for (; *token; token++) {
		const char *escape = *token == '~' ? "~0" : *token == '/' ? "~1" : NULL;

		if (n + (escape ? 2 : 1) >= out_size)
			return false;
		out[n++] = escape ? escape[0] : *token;
		if (escape)
			out[n++] = escape[1];
	}
	out[n] = '\0';
	return true;
}

bool json_equal(const struct json_object *a, const struct json_object *b)
{
	enum json_type ta = json_object_get_type(a), tb = json_object_get_type(b);
	bool number = ta == json_type_int || ta == json_type_double;

	if (number && ta != tb)
		return (tb == json_type_int || tb == json_type_double) &&
		       json_object_get_double(a) == json_object_get_double(b);
	if (ta != tb)
		return false;
	if (ta == json_type_array) {
		size_t n = json_object_array_length(a);

		if (n != json_object_array_length(b))
			return false;
		for (size_t i = 0; i < n; i++)
			if (!json_equal(json_object_array_get_idx(a, i),
					json_object_array_get_idx(b, i)))
				return false;
		return true;
	}
	if (ta != json_type_object)
		return json_object_equal((struct json_object *)a, (struct json_object *)b);
	if (json_object_object_length(a) != json_object_object_length(b))
		return false;
	json_object_object_foreach((struct json_object *)a, key, value) {
		struct json_object *other = NULL;

		if (!json_object_object_get_ex(b, key, &other) || !json_equal(value, other))
			return false;
	}
	return true;
}

static const struct {
	const char *unit;
	uint64_t factor;
} json_size_units[] = {
	{ "", 1 },	   { "KiB", KIB },	  { "MiB", MIB },
	{ "GiB", GIB },	   { "TiB", 1024 * GIB }, { "KB", 1000 },
	{ "MB", 1000000 }, { "GB", 1000000000 },  { "TB", 1000000000000 },
};

int json_size_parse(const char *text, uint64_t *ret_bytes)
{
	uint64_t n = 0, bytes;
	const char *p = text;

	for (; isdigit((unsigned char)*p); p++)
		if (!checked_mul(n, (uint64_t)10, &n) || !checked_add(n, (uint64_t)(*p - '0'), &n))
			return -ERANGE;
	if (p == text)
		return -EINVAL;
	for (size_t i = 0; i < ARRAY_SIZE(json_size_units); i++) {
		if (strcmp(p, json_size_units[i].unit))
			continue;
		if (!checked_mul(n, json_size_units[i].factor, &bytes) || bytes > JSON_INT_MAX)
			return -ERANGE;
		*ret_bytes = bytes;
		return 0;
	}
	return -EINVAL;
}

void json_size_format(uint64_t bytes, char *out, size_t out_size)
{
	static const char *const units[] = { "", "KiB", "MiB", "GiB", "TiB" };
	size_t i = 0;

	while (i + 1 < ARRAY_SIZE(units) && bytes && !(bytes % 1024)) {
		bytes /= 1024;
		i++;
	}
	snprintf(out, out_size, "%llu%s", (unsigned long long)bytes, units[i]);
}
