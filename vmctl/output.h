/* SPDX-License-Identifier: MIT */
/*
 * What vmctl prints. Standard output is data in one of four formats; notes, questions and errors go to
 * standard error. Text that came from outside is printed without its control characters.
 */
#ifndef VMCTL_OUTPUT_H
#define VMCTL_OUTPUT_H

#include <stdarg.h>
#include <stdio.h>
#include <time.h>

#include "lib/err.h"
#include "lib/json.h"

enum output_format { OUTPUT_TABLE, OUTPUT_WIDE, OUTPUT_NAME, OUTPUT_JSON };

struct output {
	FILE *out, *err; /* borrowed */
	enum output_format format;
	bool header; /* of tables */
	bool color;  /* out is a terminal that wants it */
	bool pretty; /* JSON for people: out is a terminal */
};

/*
 * "vmctl: cannot OP: MSG", cause:, hint: and code: lines of e. op may be NULL; remote_name is data.name of vmd's
 * answer, or NULL.
 */
void output_error(const struct output *o, const struct err *e, const char *remote_name,
		  const char *op);
/* "vmctl: MSG" and the hint: bad usage, which has no code */
void output_usage_error(const struct output *o, const struct err *e);
/* A line on standard error: "hello: already running" */
void output_note(const struct output *o, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* One document: {"schema":"vmctl.NAME/1", members of body…}. */
void output_json(const struct output *o, const char *name, const struct json_object *body);
/* A value as it is, one line, or indented for a terminal. */
void output_json_raw(const struct output *o, struct json_object *value);
/* The same on one line always: an element of a stream */
void output_json_line(const struct output *o, const char *name, const struct json_object *body);
/* {code, message, data:{name, cause, hint?, …}}: error as received, or made of e when that is NULL. New. */
struct json_object *output_error_json(const struct err *e, struct json_object *error);

/* Control characters become '?', in place. Returns text. */
char *output_clean(char *text);

/* 4294967296 -> "4.0G", 536870912 -> "512M"; never rounded up */
const char *output_size(uint64_t bytes, char out[static 24]);
/* RFC 3339 in UTC to seconds since 1970; false when it is none */
bool output_time_parse(const char *text, time_t *ret_time);
/* How long ago: "3s", "5m", "2h", "4d"; "-" without a time */
const char *output_age(const char *rfc3339, time_t now, char out[static 24]);

#endif
