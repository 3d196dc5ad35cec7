// SPDX-License-Identifier: MIT
/*
 * A VM in a list: see vm_row.h. It is text from the start: the objects of thousands of rows would
 * take many times the memory, and most of a list's time. On the loop's thread.
 */
#include "vmd/vm_row.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "lib/auto.h"
#include "vmd/event.h"
#include "vmd/guest.h"

#define VM_ROW_MAX (64 * KIB)

/* What a member is made of. */
struct vm_row {
	struct daemon *d;
	const struct state_vm *vm;
	const struct guest *g; /* NULL when it does nothing */
	struct buf *out;
};

static int vm_row_json(struct buf *out, struct json_object *take_value)
{
	AUTO_JSON struct json_object *value = take_value;
	size_t len;
	const char *text = json_object_to_json_string_length(
		value, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE, &len);

	return buf_add(out, text, len);
}

static bool vm_row_is_plain(const char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < ' ' || *text == '"' || *text == '\\')
			return false;
	return true;
}

static int vm_row_str(struct buf *out, const char *text)
{
	size_t len = strlen(text);
	char *room;

	if (!vm_row_is_plain(text))
		return vm_row_json(out, json_object_new_string(text));
	room = buf_reserve(out, len + 2);
	if (!room)
		return -ENOBUFS;
	room[0] = room[len + 1] = '"';
	memcpy(room + 1, text, len);
	buf_commit(out, len + 2);
	return 0;
}

static int vm_row_int(struct buf *out, int64_t n)
{
	char text[24];

	return buf_add(out, text, (size_t)snprintf(text, sizeof(text), "%" PRId64, n));
}

static int vm_row_id(const struct vm_row *r)
{
	return vm_row_str(r->out, r->vm->id);
}

static int vm_row_name(const struct vm_row *r)
{
	return vm_row_str(r->out, r->vm->name);
}

static int vm_row_profile(const struct vm_row *r)
{
	return vm_row_str(r->out, r->vm->profile);
}

static int vm_row_cpus(const struct vm_row *r)
{
	return vm_row_int(r->out, r->vm->vcpus);
}

static int vm_row_memory(const struct vm_row *r)
{
	return vm_row_int(r->out, r->vm->memory);
}

static int vm_row_revision(const struct vm_row *r)
{
	return vm_row_int(r->out, r->vm->revision);
}

static int vm_row_owner(const struct vm_row *r)
{
	return vm_row_int(r->out, r->vm->owner);
}

static int vm_row_desired(const struct vm_row *r)
{
	return vm_row_str(r->out, r->vm->desired_running ? "running" : "stopped");
}

static int vm_row_observed(const struct vm_row *r)
{
	return vm_row_json(r->out, guest_observed(r->g, r->vm));
}

static int vm_row_state(const struct vm_row *r)
{
	return vm_row_str(r->out, guest_state_name(r->g));
}

static int vm_row_since(const struct vm_row *r)
{
	char time[EVENT_TIME_SIZE];

	event_time(guest_since_ms(r->g, r->vm), time);
	return vm_row_str(r->out, time);
}

static const struct {
	const char *name;
	int (*add)(const struct vm_row *r);
	bool extra; /* only by name: observed has it too */
} vm_row_members[] = {
	{ "id", vm_row_id },
	{ "name", vm_row_name },
	{ "profile", vm_row_profile },
	{ "cpus", vm_row_cpus },
	{ "memory", vm_row_memory },
	{ "revision", vm_row_revision },
	{ "owner", vm_row_owner },
	{ "desired", vm_row_desired },
	{ "observed", vm_row_observed },
	{ "state", vm_row_state, true },
	{ "since", vm_row_since, true },
};

unsigned int vm_row_fields(struct json_object *names)
{
	unsigned int fields = 0;

	for (size_t k = 0; k < ARRAY_SIZE(vm_row_members); k++) {
		bool wanted = !names && !vm_row_members[k].extra;

		for (size_t i = 0; names && i < json_object_array_length(names); i++)
			wanted |=
				!strcmp(json_object_get_string(json_object_array_get_idx(names, i)),
					vm_row_members[k].name);
		fields |= wanted ? BIT(k) : 0;
	}
	return fields;
}

int vm_row_add(struct daemon *d, const struct state_vm *vm, unsigned int fields, struct buf *out)
{
	const struct vm_row r = { d, vm, guest_find(d, vm->id), out };
	const char *before = "{";
	int ret = 0;

	for (size_t k = 0; k < ARRAY_SIZE(vm_row_members) && ret >= 0; k++) {
		if (!(fields & BIT(k)))
			continue;
		ret = buf_add(out, before, 1);
		if (ret >= 0)
			ret = vm_row_str(out, vm_row_members[k].name);
		if (ret >= 0)
			ret = buf_add(out, ":", 1);
		if (ret >= 0)
			ret = vm_row_members[k].add(&r);
		before = ",";
	}
	if (ret >= 0 && *before == '{')
		ret = buf_add(out, before, 1);
	return ret < 0 ? ret : buf_add(out, "}", 1);
}

struct json_object *vm_row(struct daemon *d, const struct state_vm *vm)
{
	struct json_object *o = NULL;
	struct buf text;

	buf_init(&text, VM_ROW_MAX);
	if (vm_row_add(d, vm, vm_row_fields(NULL), &text) < 0 ||
	    json_parse(buf_head(&text), buf_len(&text), &o, NULL) < 0)
		abort(); /* what we wrote ourselves, of bounded members */
	buf_fini(&text);
	return o;
}
