// SPDX-License-Identifier: MIT
/* Changes of a definition: see changes.h. */
#include "vmctl/changes.h"

#include <stdlib.h>
#include <string.h>

#include "lib/auto.h"

static void changes_line(const struct output *o, char sign, int indent, const char *path,
			 struct json_object *value)
{
	const char *json = json_object_to_json_string_ext(
		value, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE);
	const char *color = sign == '-' ? "31" : "32";
	AUTO_FREE char *text = strdup(json); /* JSON's escapes leave no control character but DEL */

	if (!text)
		abort();
	output_clean(text);
	if (o->color)
		fprintf(o->out, "\033[%sm", color);
	fprintf(o->out, "%*s%c %s: %s", indent, "", sign, path, text);
	fputs(o->color ? "\033[0m\n" : "\n", o->out);
}

void changes_print(const struct output *o, struct json_object *changes, int indent)
{
	for (size_t i = 0; changes && i < json_object_array_length(changes); i++) {
		struct json_object *change = json_object_array_get_idx(changes, i), *value;
		AUTO_FREE char *path = strdup(json_get_str(change, "path", "?"));

		if (!path)
			abort();
		output_clean(path);
		if (json_object_object_get_ex(change, "from", &value))
			changes_line(o, '-', indent, path, value);
		if (json_object_object_get_ex(change, "to", &value))
			changes_line(o, '+', indent, path, value);
	}
}

void changes_join(struct json_object *changes, char *out, size_t out_size)
{
	size_t len = 0;

	out[0] = '\0';
	for (size_t i = 0; changes && i < json_object_array_length(changes); i++) {
		const char *path = json_get_str(json_object_array_get_idx(changes, i), "path", "?");
		size_t n = strlen(path) + (i ? 2 : 0);

		if (len + n + strlen(", …") >= out_size) {
			snprintf(out + len, out_size - len, "%s…", i ? ", " : "");
			break;
		}
		len += (size_t)snprintf(out + len, out_size - len, "%s%s", i ? ", " : "", path);
	}
	output_clean(out);
}
