// SPDX-License-Identifier: MIT
/* What vmctl prints: see output.h. */
#include "vmctl/output.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "lib/auto.h"
#include "lib/errcat.h"
#include "lib/rpc.h"

char *output_clean(char *text)
{
	for (char *p = text; *p; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			*p = '?';
	return text;
}

static void output_line(FILE *f, const char *prefix, const char *fmt, va_list ap) PRINTF_LIKE(3, 0);
static void output_line(FILE *f, const char *prefix, const char *fmt, va_list ap)
{
	char text[1024];

	vsnprintf(text, sizeof(text), fmt, ap);
	fprintf(f, "%s%s", prefix, output_clean(text));
}

static void output_text(FILE *f, const char *fmt, ...) PRINTF_LIKE(2, 3);
static void output_text(FILE *f, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	output_line(f, "", fmt, ap);
	va_end(ap);
	fputc('\n', f);
}

void output_error(const struct output *o, const struct err *e, const char *remote_name,
		  const char *op)
{
	const struct errcat_entry *entry = errcat_find(e->code);
	const char *name = remote_name ? remote_name : entry->name;
	/* a code that a newer vmd knows and we do not is shown as it came */
	int code = e->code < 0 || e->code >= ERR_FAILED ? e->code : entry->code;
	const char *at = e->cause;
	char cause[sizeof(e->cause)], label[16];

	fflush(o->out);
	if (op)
		output_text(o->err, "vmctl: cannot %s: %s", op, e->msg);
	else
		output_text(o->err, "vmctl: %s", e->msg);
	while (err_next_cause(&at, cause, sizeof(cause)))
		output_text(o->err, "cause: %s", cause);
	if (e->hint[0])
		output_text(o->err, "hint: %s", e->hint);
	output_text(o->err, "code: %s (%s)", errcat_label(code, label), name);
}

void output_usage_error(const struct output *o, const struct err *e)
{
	output_text(o->err, "vmctl: %s", e->msg);
	if (e->hint[0])
		output_text(o->err, "hint: %s", e->hint);
}

void output_note(const struct output *o, const char *fmt, ...)
{
	va_list ap;

	fflush(o->out);
	va_start(ap, fmt);
	output_line(o->err, "", fmt, ap);
	va_end(ap);
	fputc('\n', o->err);
}

static struct json_object *output_document(const char *name, const struct json_object *body)
{
	struct json_object *doc = json_add_fmt(json_new(), "schema", "vmctl.%s/1", name);

	if (body) {
		json_object_object_foreach((struct json_object *)body, key, value) {
			json_add(doc, key, json_object_get(value));
		}
	}
	return doc;
}

static void output_value(FILE *out, struct json_object *value, bool pretty)
{
	int flags = JSON_C_TO_STRING_NOSLASHESCAPE |
		    (pretty ? JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED
			    : JSON_C_TO_STRING_PLAIN);

	fputs(json_object_to_json_string_ext(value, flags), out);
	fputc('\n', out);
}

void output_json_raw(const struct output *o, struct json_object *value)
{
	output_value(o->out, value, o->pretty);
}

void output_json(const struct output *o, const char *name, const struct json_object *body)
{
	AUTO_JSON struct json_object *doc = output_document(name, body);

	output_value(o->out, doc, o->pretty);
}

void output_json_line(const struct output *o, const char *name, const struct json_object *body)
{
	AUTO_JSON struct json_object *doc = output_document(name, body);

	output_value(o->out, doc, false);
	fflush(o->out);
}

struct json_object *output_error_json(const struct err *e, struct json_object *error)
{
	AUTO_JSON struct json_object *msg = NULL;

	if (error)
		return json_clone(error);
	msg = rpc_error(NULL, e, NULL);
	return json_object_get(json_get(msg, "error"));
}

const char *output_size(uint64_t bytes, char out[static 24])
{
	static const char units[] = "BKMGTPE";
	size_t unit = 0;
	uint64_t tenths;

	while (unit < sizeof(units) - 2 && bytes >> (10 * (unit + 1)))
		unit++;
	if (!unit) {
		snprintf(out, 24, "%" PRIu64 "B", bytes);
		return out;
	}
	/* rounded down: 4.0G is never less than 4 GiB */
	tenths = (bytes >> (10 * unit)) * 10 + (((bytes >> (10 * (unit - 1))) & 1023) * 10) / 1024;
	if (tenths >= 1000)
		snprintf(out, 24, "%" PRIu64 "%c", tenths / 10, units[unit]);
	else
		snprintf(out, 24, "%" PRIu64 ".%" PRIu64 "%c", tenths / 10, tenths % 10,
			 units[unit]);
	return out;
}

bool output_time_parse(const char *text, time_t *ret_time)
{
	struct tm tm = { 0 };
	const char *end = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);

	if (!end)
		return false;
	if (*end == '.')
		end += 1 + strspn(end + 1, "0123456789");
	if (strcmp(end, "Z"))
		return false;
	*ret_time = timegm(&tm);
	return true;
}

const char *output_age(const char *rfc3339, time_t now, char out[static 24])
{
	time_t then, age;

	if (!rfc3339 || !output_time_parse(rfc3339, &then)) {
		snprintf(out, 24, "-");
		return out;
	}
	age = now > then ? now - then : 0;
	if (age < 60)
		snprintf(out, 24, "%llds", (long long)age);
	else if (age < 3600)
		snprintf(out, 24, "%lldm", (long long)age / 60);
	else if (age < 2 * 86400)
		snprintf(out, 24, "%lldh", (long long)age / 3600);
	else
		snprintf(out, 24, "%lldd", (long long)age / 86400);
	return out;
}
