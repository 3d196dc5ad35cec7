// SPDX-License-Identifier: MIT
/* Field tables: see field.h. Any thread. */
#include "lib/field.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/errcat.h"

struct field_binder {
	const struct field *f;
	struct json_object *value;
	void *member;
	struct fdset *fds;
	struct err *e;
};

static int field_fail(const struct field_binder *b, const char *expected)
{
	return err_set(b->e, ERR_INVALID, "%s: expected %s", b->f->name, expected);
}

static int field_set_bool(const struct field_binder *b)
{
	if (!json_object_is_type(b->value, json_type_boolean))
		return field_fail(b, "true or false");
	*(bool *)b->member = json_object_get_boolean(b->value);
	return 0;
}

static int field_set_u32(const struct field_binder *b)
{
	int64_t v;

	if (!json_int(b->value, &v) || v < 0 || v > UINT32_MAX)
		return field_fail(b, "a whole number from 0 to 4294967295");
	*(uint32_t *)b->member = (uint32_t)v;
	return 0;
}

static int field_set_u64(const struct field_binder *b)
{
	int64_t v;

	if (!json_int(b->value, &v) || v < 0)
		return field_fail(b, "a whole number from 0");
	*(uint64_t *)b->member = (uint64_t)v;
	return 0;
}

static int field_set_str(const struct field_binder *b)
{
	size_t len;

	if (!json_object_is_type(b->value, json_type_string))
		return field_fail(b, "a string");
	len = (size_t)json_object_get_string_len(b->value);
	if (len >= b->f->size)
		return err_set(b->e, ERR_INVALID, "%s: %zu bytes, at most %zu fit", b->f->name, len,
			       b->f->size - 1);
	memcpy(b->member, json_object_get_string(b->value), len + 1);
	return 0;
}

static int field_set_enum(const struct field_binder *b)
{
	const char *name = json_object_is_type(b->value, json_type_string)
				   ? json_object_get_string(b->value)
				   : NULL;

	for (int i = 0; name && b->f->names[i]; i++) {
		if (strcmp(name, b->f->names[i]))
			continue;
		*(int *)b->member = i;
		return 0;
	}
	return field_fail(b, "one of its known names");
}

static int field_take_fd(const struct field_binder *b, const struct json_object *value, int *ret)
{
	int64_t index = json_get_int(value, "fd", -1);
	int fd;

	if (index < 0 || index >= FDSET_MAX)
		return field_fail(b, "a file descriptor, {\"fd\": index}");
	fd = b->fds ? fdset_take(b->fds, (unsigned int)index) : -1;
	if (fd < 0)
		return err_set(b->e, ERR_INVALID, "%s: descriptor %d was not passed", b->f->name,
			       (int)index);
	*ret = fd;
	return 0;
}

static int field_set_fd(const struct field_binder *b)
{
	return field_take_fd(b, b->value, b->member);
}

static int field_set_fds(const struct field_binder *b)
{
	size_t n = json_object_is_type(b->value, json_type_array)
			   ? json_object_array_length(b->value)
			   : SIZE_MAX;
	int ret = 0;

	if (n > b->f->size / sizeof(int))
		return field_fail(b, "a list of file descriptors that is not too long");
	for (size_t i = 0; i < n && ret >= 0; i++)
		ret = field_take_fd(b, json_object_array_get_idx(b->value, i),
				    (int *)b->member + i);
	return ret;
}

static int field_set_json(const struct field_binder *b)
{
	*(struct json_object **)b->member = b->value;
	return 0;
}

/* The item is freed with its list, whatever comes of it. */
static int field_set_item(const struct field_binder *b, struct field_list *list, size_t i)
{
	char *item = (char *)list->items + i * b->f->item_size;
	int ret;

	field_init(b->f->item, item);
	list->n = i + 1;
	ret = field_bind(b->f->item, json_object_array_get_idx(b->value, i), item, b->fds, NULL,
			 b->e);
	if (ret < 0)
		err_wrap(b->e, "%s/%zu", b->f->name, i);
	return ret;
}

static int field_set_list(const struct field_binder *b)
{
	struct field_list *list = b->member;
	size_t n = json_object_is_type(b->value, json_type_array)
			   ? json_object_array_length(b->value)
			   : SIZE_MAX;
	int ret = 0;

	if (n == SIZE_MAX || n > b->f->most)
		return err_set(b->e, ERR_INVALID, "%s: expected a list of at most %zu", b->f->name,
			       b->f->most);
	list->items = calloc(n + 1, b->f->item_size);
	if (!list->items)
		return err_set(b->e, ENOMEM, "%s: no memory", b->f->name);
	for (size_t i = 0; i < n && ret >= 0; i++)
		ret = field_set_item(b, list, i);
	return ret;
}

static int (*const field_setters[])(const struct field_binder *) = {
	[FIELD_TYPE_BOOL] = field_set_bool, [FIELD_TYPE_U32] = field_set_u32,
	[FIELD_TYPE_U64] = field_set_u64,   [FIELD_TYPE_STR] = field_set_str,
	[FIELD_TYPE_ENUM] = field_set_enum, [FIELD_TYPE_FD] = field_set_fd,
	[FIELD_TYPE_FDS] = field_set_fds,   [FIELD_TYPE_JSON] = field_set_json,
	[FIELD_TYPE_LIST] = field_set_list,
};

/* How many descriptors a member has place for. */
static size_t field_fds(const struct field *f)
{
	return f->type == FIELD_TYPE_FD || f->type == FIELD_TYPE_FDS ? f->size / sizeof(int) : 0;
}

void field_init(const struct field *fields, void *out)
{
	for (const struct field *f = fields; f->type != FIELD_TYPE_END; f++)
		for (size_t i = 0; i < field_fds(f); i++)
			((int *)(void *)((char *)out + f->offset))[i] = -1;
}

static void field_list_fini(const struct field *f, struct field_list *list)
{
	for (size_t i = 0; i < list->n; i++)
		field_fini(f->item, (char *)list->items + i * f->item_size);
	free(list->items);
	*list = (struct field_list){ 0 };
}

void field_fini(const struct field *fields, void *out)
{
	for (const struct field *f = fields; f->type != FIELD_TYPE_END; f++) {
		void *member = (char *)out + f->offset;

		for (size_t i = 0; i < field_fds(f); i++) {
			if (((int *)member)[i] >= 0)
				close(((int *)member)[i]);
			((int *)member)[i] = -1;
		}
		if (f->type == FIELD_TYPE_LIST)
			field_list_fini(f, member);
	}
}

static const struct field *field_find(const struct field *fields, const char *name)
{
	for (const struct field *f = fields; f->type != FIELD_TYPE_END; f++)
		if (!strcmp(f->name, name))
			return f;
	return NULL;
}

static bool field_ignored(const char *const *ignore, const char *name)
{
	for (; ignore && *ignore; ignore++)
		if (!strcmp(*ignore, name))
			return true;
	return false;
}

int field_bind(const struct field *fields, struct json_object *o, void *out, struct fdset *fds,
	       const char *const *ignore, struct err *e)
{
	if (!json_object_is_type(o, json_type_object))
		return err_set(e, ERR_INVALID, "expected an object");
	json_object_object_foreach(o, key, value) {
		const struct field *f = field_find(fields, key);
		struct field_binder b = { .f = f, .value = value, .fds = fds, .e = e };
		int ret;

		if (!f && field_ignored(ignore, key))
			continue;
		if (!f)
			return err_set(e, ERR_INVALID, "unknown key '%.80s'", key);
		b.member = (char *)out + f->offset;
		ret = field_setters[f->type](&b);
		if (ret < 0)
			return ret;
	}
	return 0;
}
