// SPDX-License-Identifier: MIT
/*
 * Checking VM definitions: see vmdef.h. The schema comes first, then what no schema can say. Any thread.
 */
#include "lib/vmdef.h"

#include <stdio.h>
#include <string.h>

#include "lib/auto.h"
#include "lib/errcat.h"
#include "lib/vmdef_limits.h"
#include "lib/vmdef_memory.h"
#include "lib/vmdef_plan.h"

bool vmdef_name_valid(const char *name)
{
	return schema_format_valid("name", name);
}

/* --- memory ---------------------------------------------------------------------------------------- */

uint64_t vmdef_bytes(struct json_object *size, uint64_t fallback)
{
	uint64_t bytes = fallback;
	int64_t n;

	if (json_object_is_type(size, json_type_string))
		json_size_parse(json_object_get_string(size), &bytes);
	else if (json_int(size, &n) && n >= 0)
		bytes = (uint64_t)n;
	return bytes;
}

struct vmdef_memory vmdef_memory(struct json_object *def)
{
	struct json_object *memory = json_get(def, "memory");
	bool object = json_object_is_type(memory, json_type_object);

	return (struct vmdef_memory){
		.size = vmdef_bytes(object ? json_get(memory, "size") : memory,
				    VMDEF_MEMORY_DEFAULT),
		.hugepages = vmdef_bytes(json_get(memory, "hugepages"), 0),
		.node = (int)json_get_int(memory, "node", -1),
		.strict = !strcmp(json_get_str(memory, "policy", ""), "strict"),
		.pointer = object && json_get(memory, "size") ? "/memory/size" : "/memory",
	};
}

static int vmdef_check_memory(struct json_object *def, struct schema_error *where, struct err *e)
{
	struct vmdef_memory m = vmdef_memory(def);
	uint64_t unit = m.hugepages ? m.hugepages : VMDEF_PAGE_SIZE;
	char least[32], step[32], got[32];

	json_size_format(VMDEF_MEMORY_MIN, least, sizeof(least));
	json_size_format(unit, step, sizeof(step));
	json_size_format(m.size, got, sizeof(got));
	if (m.size < VMDEF_MEMORY_MIN)
		return vmdef_refuse(where, e, m.pointer, "expected at least %s, got %s", least,
				    got);
	if (m.size % unit)
		return vmdef_refuse(where, e, m.pointer, "expected a multiple of %s, got %s", step,
				    got);
	if (m.node < 0 && json_get(json_get(def, "memory"), "policy"))
		return vmdef_refuse(where, e, "/memory/policy",
				    "it is about the memory of a node: 'memory.node'");
	return 0;
}

/* --- strings that a guest reads have a limit in bytes, a schema counts characters -------------------- */

static int vmdef_check_bytes(struct json_object *o, const char *pointer, size_t max,
			     struct schema_error *where, struct err *e)
{
	size_t len = o ? (size_t)json_object_get_string_len(o) : 0;

	if (len <= max)
		return 0;
	return vmdef_refuse(where, e, pointer, "expected at most %zu bytes, got %zu", max, len);
}

static int vmdef_check_strings(struct json_object *def, struct schema_error *where, struct err *e)
{
	struct json_object *devices = json_get(def, "devices");
	size_t count = devices ? json_object_array_length(devices) : 0;
	int ret = vmdef_check_bytes(json_get(json_get(def, "boot"), "cmdline"), "/boot/cmdline",
				    2047, where, e);

	for (size_t i = 0; !ret && i < count; i++) {
		struct json_object *d = json_object_array_get_idx(devices, i);
		char pointer[64];

		snprintf(pointer, sizeof(pointer), "/devices/%zu/serial", i);
		ret = vmdef_check_bytes(json_get(d, "serial"), pointer, 20, where, e);
	}
	return ret;
}

/* --- paths ----------------------------------------------------------------------------------------- */

struct vmdef_paths {
	const char *dir; /* "": look for the first relative path only */
	bool relative;
	char pointer[sizeof(((struct schema_error *)0)->pointer)];
	char path[64];
};

static void vmdef_find_relative(void *arg, struct json_object *string, const char *pointer)
{
	struct vmdef_paths *p = arg;
	const char *path = json_object_get_string(string);

	if (path[0] == '/' || p->relative)
		return;
	p->relative = true;
	snprintf(p->pointer, sizeof(p->pointer), "%s", pointer);
	snprintf(p->path, sizeof(p->path), "%.60s", path);
}

static void vmdef_make_absolute(void *arg, struct json_object *string, const char *pointer)
{
	const struct vmdef_paths *p = arg;
	const char *path = json_object_get_string(string);
	AUTO_FREE char *absolute = NULL;

	(void)pointer;
	if (path[0] == '/')
		return;
	while (!strncmp(path, "./", 2))
		path += 2;
	if (asprintf(&absolute, "%s/%s", strcmp(p->dir, "/") ? p->dir : "", path) < 0 ||
	    !json_object_set_string(string, absolute))
		abort();
}

/* --- the checks ------------------------------------------------------------------------------------ */

static int vmdef_check_schema(const struct schema *s, struct json_object *def,
			      struct schema_error *where, struct err *e)
{
	struct schema_error w;
	int ret = schema_validate(s, def, &w);

	if (ret < 0) {
		vmdef_refuse(where, e, w.pointer, "%s", w.msg);
		if (where)
			where->at_key = w.at_key;
	}
	return ret;
}

int vmdef_check_disk(struct json_object *disk, const char *at, struct schema_error *where,
		     struct err *e)
{
	bool qcow2 = !strcmp(json_get_str(disk, "format", ""), "qcow2");
	char pointer[96];

	if (json_get(disk, "worker_cpus") && !strcmp(json_get_str(disk, "worker", ""), "shared")) {
		snprintf(pointer, sizeof(pointer), "%s/worker_cpus", at);
		return vmdef_refuse(where, e, pointer,
				    "only threads of its own (`worker: own` or `per-queue`) are "
				    "the disk's to be placed");
	}
	if (qcow2 || !json_get(disk, "backing"))
		return 0;
	snprintf(pointer, sizeof(pointer), "%s/backing", at);
	return vmdef_refuse(where, e, pointer, "only a disk of `format: qcow2` is based on others");
}

static int vmdef_check_disks(struct json_object *def, struct schema_error *where, struct err *e)
{
	struct json_object *devices = json_get(def, "devices");
	size_t count = devices ? json_object_array_length(devices) : 0;
	int ret = 0;

	for (size_t i = 0; i < count && !ret; i++) {
		char at[64];

		snprintf(at, sizeof(at), "/devices/%zu", i);
		ret = vmdef_check_disk(json_object_array_get_idx(devices, i), at, where, e);
	}
	return ret;
}

static int vmdef_check_rest(struct schema_set *set, struct json_object *def,
			    struct schema_error *where, struct err *e)
{
	struct vmdef_plan plan;
	int ret = vmdef_check_memory(def, where, e);

	if (!ret)
		ret = vmdef_check_limits(def, where, e);
	if (!ret)
		ret = vmdef_check_strings(def, where, e);
	if (!ret)
		ret = vmdef_check_disks(def, where, e);
	return ret ? ret : vmdef_plan_init(&plan, set, def, where, e);
}

int vmdef_check_in(struct schema_set *set, struct json_object *def, struct schema_error *ret_where,
		   struct err *e)
{
	struct vmdef_paths paths = { .dir = "" };
	const struct schema *s;
	int ret = schema_set_get(set, "vm.json", &s, e);

	if (ret < 0)
		return ret;
	ret = vmdef_check_schema(s, def, ret_where, e);
	if (!ret)
		schema_visit(s, def, "path", vmdef_find_relative, &paths);
	if (paths.relative)
		return vmdef_refuse(ret_where, e, paths.pointer,
				    "expected an absolute path, got \"%s\"", paths.path);
	return ret ? ret : vmdef_check_rest(set, def, ret_where, e);
}

int vmdef_check(struct json_object *def, struct schema_error *ret_where, struct err *e)
{
	struct schema_set *set = schema_set_new();
	int ret = vmdef_check_in(set, def, ret_where, e);

	schema_set_free(set);
	return ret;
}

/* The place of what is at fault, or of the nearest thing around it that the file has. */
static void vmdef_locate(const struct vmfile *f, const struct schema_error *where,
			 unsigned int *ret_line, unsigned int *ret_column)
{
	char pointer[sizeof(where->pointer)];
	bool key = where->at_key;

	memcpy(pointer, where->pointer, sizeof(pointer));
	while (!vmfile_locate(f, pointer, key, ret_line, ret_column) && pointer[0]) {
		*strrchr(pointer, '/') = '\0';
		key = false;
	}
}

int vmdef_file_error(const struct vmfile *f, const struct schema_error *where, struct err *e)
{
	unsigned int line = 1, column = 1;

	vmdef_locate(f, where, &line, &column);
	return err_set(e, ERR_INVALID, "%s:%u:%u: %s%s%s", f->name, line, column, where->pointer,
		       where->pointer[0] ? ": " : "", where->msg);
}

int vmdef_check_file_in(struct schema_set *set, struct vmfile *f, struct err *e)
{
	struct vmdef_paths paths = { .dir = f->dir };
	struct schema_error where = { 0 };
	const struct schema *s;
	int ret = schema_set_get(set, "vm.json", &s, e);

	if (ret < 0)
		return ret;
	ret = vmdef_check_schema(s, f->root, &where, e);
	if (!ret && f->dir[0])
		schema_visit(s, f->root, "path", vmdef_make_absolute, &paths);
	if (!ret)
		ret = vmdef_check_rest(set, f->root, &where, e);
	return ret == -ERR_INVALID ? vmdef_file_error(f, &where, e) : ret;
}

int vmdef_check_file(struct vmfile *f, struct err *e)
{
	struct schema_set *set = schema_set_new();
	int ret = vmdef_check_file_in(set, f, e);

	schema_set_free(set);
	return ret;
}
