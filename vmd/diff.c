// SPDX-License-Identifier: MIT
/* Differences of JSON values: see diff.h. The depth is bounded by the parser's (JSON_DEPTH_MAX). Any thread. */
#include "vmd/diff.h"

#include <stdio.h>

static void diff_walk(struct json_object *a, struct json_object *b, const char *at,
		      struct json_object *list);

static void diff_add(struct json_object *a, struct json_object *b, const char *at,
		     struct json_object *list)
{
	struct json_object *change = json_add_str(json_new(), "path", at);

	if (a)
		json_add(change, "from", json_object_get(a));
	if (b)
		json_add(change, "to", json_object_get(b));
	json_object_array_add(list, change);
}

static void diff_members(struct json_object *a, struct json_object *b, const char *at,
			 struct json_object *list)
{
	char pointer[512];

	json_object_object_foreach(b, key, value) {
		if (json_pointer_add(pointer, sizeof(pointer), at, key))
			diff_walk(json_get(a, key), value, pointer, list);
	}
	json_object_object_foreach(a, name, old) {
		(void)old;
		if (!json_object_object_get_ex(b, name, NULL) &&
		    json_pointer_add(pointer, sizeof(pointer), at, name))
			diff_walk(old, NULL, pointer, list);
	}
}

static void diff_items(struct json_object *a, struct json_object *b, const char *at,
		       struct json_object *list)
{
	size_t na = json_object_array_length(a), nb = json_object_array_length(b);
	char pointer[512];

	for (size_t i = 0; i < MAX(na, nb); i++)
		if (snprintf(pointer, sizeof(pointer), "%s/%zu", at, i) < (int)sizeof(pointer))
			diff_walk(i < na ? json_object_array_get_idx(a, i) : NULL,
				  i < nb ? json_object_array_get_idx(b, i) : NULL, pointer, list);
}

static void diff_walk(struct json_object *a, struct json_object *b, const char *at,
		      struct json_object *list)
{
	enum json_type type = json_object_get_type(a);

	if (json_equal(a, b) || json_object_array_length(list) >= DIFF_MAX)
		return;
	if (type != json_object_get_type(b) ||
	    (type != json_type_object && type != json_type_array))
		diff_add(a, b, at, list);
	else if (type == json_type_object)
		diff_members(a, b, at, list);
	else
		diff_items(a, b, at, list);
}

struct json_object *diff_changes(struct json_object *before, struct json_object *after)
{
	struct json_object *list = json_object_new_array();

	diff_walk(before, after, "", list);
	return list;
}

struct json_object *diff_pointers(struct json_object *before, struct json_object *after)
{
	struct json_object *changes = diff_changes(before, after);
	struct json_object *list = json_object_new_array();

	for (size_t i = 0; i < json_object_array_length(changes); i++)
		json_object_array_add(
			list,
			json_object_get(json_get(json_object_array_get_idx(changes, i), "path")));
	json_object_put(changes);
	return list;
}
