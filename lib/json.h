/* SPDX-License-Identifier: MIT */
/*
 * json-c with our limits and without its surprises: strict parsing, typed access, one-line output.
 * Objects are json-c's; json_object_put ends them (AUTO_JSON).
 */
#ifndef LIB_JSON_H
#define LIB_JSON_H

#include <json-c/json.h>
#include "lib/err.h"

#define JSON_DEPTH_MAX 64
#define JSON_INT_MAX 9007199254740991LL /* 2^53 - 1: what every JSON reader keeps exact */

/*
 * Parse exactly one value (RFC 8259, UTF-8 checked, depth at most JSON_DEPTH_MAX, nothing after it; no
 * duplicate keys, no integer beyond JSON_INT_MAX, no NUL inside of a string). JSON's null is NULL.
 * Errors: ERR_SYNTAX with the byte offset and what was wrong.
 */
int json_parse(const char *text, size_t len, struct json_object **ret_value, struct err *e);
/* Bounds for a text from elsewhere, beside depth and integers; 0: none. */
struct json_limits {
	size_t values; /* in the whole text, objects and arrays counted too */
	size_t string; /* bytes of a string or key, without its quotes and escapes */
	/* names of members that are left out where they are strings (doubled or not), NULL at the end; or NULL */
	const char *const *notes;
};
int json_parse_limited(const char *text, size_t len, const struct json_limits *limits,
		       struct json_object **ret_value, struct err *e);
/* Bytes of the well-formed UTF-8 character that text begins with, or 0. */
size_t json_utf8_len(const char *text, size_t len);

/* Member or NULL (also when o is NULL or no object). Borrowed. */
struct json_object *json_get(const struct json_object *o, const char *key);
const char *json_get_str(const struct json_object *o, const char *key, const char *fallback);
int64_t json_get_int(const struct json_object *o, const char *key, int64_t fallback);
bool json_get_bool(const struct json_object *o, const char *key, bool fallback);

/* True for a number without a fraction (1.0 is one) that an int64_t holds; sets *ret_int only then. */
bool json_int(const struct json_object *value, int64_t *ret_int);
/* Numbers from text: -EINVAL when it is none, -ERANGE beyond JSON_INT_MAX or a double's range. */
int json_int_from_text(const char *digits, int base, struct json_object **ret_value);
int json_float_from_text(const char *digits, struct json_object **ret_value);

/* Adders return o, so that they can be nested; they abort when memory for a small object is short. */
struct json_object *json_new(void);
struct json_object *json_add(struct json_object *o, const char *key,
			     struct json_object *take_value);
struct json_object *json_add_str(struct json_object *o, const char *key, const char *value);
struct json_object *json_add_fmt(struct json_object *o, const char *key, const char *fmt, ...)
	PRINTF_LIKE(3, 4);
struct json_object *json_add_int(struct json_object *o, const char *key, int64_t value);
struct json_object *json_add_bool(struct json_object *o, const char *key, bool value);

/* Deep copy. */
/*
 * A value whose text is there already, to be a part of what is written: a long list made row by row costs no
 * object a row. It can be written and put, nothing else.
 */
struct json_object *json_raw(char *take_text);
struct json_object *json_clone(const struct json_object *o);
/* Equal as JSON values: 1 is 1.0, the order of members does not matter. */
bool json_equal(const struct json_object *a, const struct json_object *b);

/* Value at a JSON Pointer (RFC 6901), or NULL. Borrowed. */
struct json_object *json_at(struct json_object *o, const char *pointer);
/* "base/token" with RFC 6901 escapes into out; false when it does not fit. */
bool json_pointer_add(char *out, size_t out_size, const char *base, const char *token);

/* Sizes for people: "4GiB", "512MiB", "1536KiB", "10GB" (10^9), "4096" -> bytes. -EINVAL, -ERANGE. */
int json_size_parse(const char *text, uint64_t *ret_bytes);
/* The shortest exact form with a binary unit: 536870912 -> "512MiB". */
void json_size_format(uint64_t bytes, char *out, size_t out_size);

#endif
