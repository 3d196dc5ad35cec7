// SPDX-License-Identifier: MIT
/* See pooldef.h. Any thread. */
#include "lib/pooldef.h"

#include <stdio.h>
#include <string.h>

#include "lib/errcat.h"
#include "lib/pci_addr.h"
#include "lib/vmdef_plan.h"

bool pooldef_is(struct json_object *def)
{
	return !strcmp(json_get_str(def, "kind", "vm"), "pool");
}

static int pooldef_check_double(struct json_object *pfs, size_t at, struct schema_error *where,
				struct err *e)
{
	const char *text = json_object_get_string(json_object_array_get_idx(pfs, at));
	struct pci_addr addr, other;
	char pointer[32];

	if (pci_addr_parse(text, &addr, NULL) < 0)
		return 0;
	for (size_t i = 0; i < at; i++) {
		struct json_object *o = json_object_array_get_idx(pfs, i);

		if (!json_object_is_type(o, json_type_string) ||
		    pci_addr_parse(json_object_get_string(o), &other, NULL) < 0 ||
		    pci_addr_cmp(&addr, &other) != 0)
			continue;
		snprintf(pointer, sizeof(pointer), "/pfs/%zu", at);
		return vmdef_refuse(where, e, pointer, "%s is in the list already, /pfs/%zu", text,
				    i);
	}
	return 0;
}

static int pooldef_check_rest(struct json_object *def, struct schema_error *where, struct err *e)
{
	static const char *const nvme[] = { "queues", "interrupts" };
	const char *class = json_get_str(def, "class", "any");
	struct json_object *pfs = json_get(def, "pfs");
	char pointer[32];
	int ret = 0;

	for (size_t i = 0; i < ARRAY_SIZE(nvme); i++) {
		if (!json_get(def, nvme[i]) || !strcmp(class, "nvme"))
			continue;
		snprintf(pointer, sizeof(pointer), "/%s", nvme[i]);
		return vmdef_refuse(where, e, pointer, "goes with class: nvme, not %s", class);
	}
	for (size_t i = 0; !ret && i < json_object_array_length(pfs); i++)
		if (json_object_is_type(json_object_array_get_idx(pfs, i), json_type_string))
			ret = pooldef_check_double(pfs, i, where, e);
	return ret;
}

int pooldef_check(struct schema_set *set, struct json_object *def, struct schema_error *ret_where,
		  struct err *e)
{
	struct schema_error where;
	const struct schema *s;
	int ret = schema_set_get(set, "pool.json", &s, e);

	if (ret < 0)
		return ret;
	ret = schema_validate(s, def, &where);
	if (ret >= 0)
		return pooldef_check_rest(def, ret_where, e);
	vmdef_refuse(ret_where, e, where.pointer, "%s", where.msg);
	if (ret_where)
		ret_where->at_key = where.at_key;
	return ret;
}

int pooldef_check_file(struct schema_set *set, struct vmfile *f, struct err *e)
{
	struct json_object *kind = json_get(f->root, "kind");
	struct schema_error where = { 0 };
	const char *text = json_get_str(f->root, "kind", "vm");
	int ret;

	if (json_object_is_type(kind, json_type_string) && strcmp(text, "vm") != 0 &&
	    strcmp(text, "pool") != 0)
		ret = vmdef_refuse(&where, e, "/kind", "expected \"vm\" or \"pool\", got \"%.64s\"",
				   text);
	else if (pooldef_is(f->root))
		ret = pooldef_check(set, f->root, &where, e);
	else
		return vmdef_check_file_in(set, f, e);
	return ret == -ERR_INVALID ? vmdef_file_error(f, &where, e) : ret;
}
