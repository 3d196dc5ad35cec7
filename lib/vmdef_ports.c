// SPDX-License-Identifier: MIT
/*
 * The ports of consoles in a definition: what no schema can say of them, and what they are once they are written out in
 * full. See vmdef_plan.h. Any thread.
 */
#include "lib/vmdef_plan.h"

#include <stdio.h>
#include <string.h>
#include <sys/un.h>

#include "lib/auto.h"

struct vmdef_port {
	const struct vmdef_slot *slot;
	size_t index;
	struct json_object *port; /* borrowed */
	const char *backend;
	struct schema_error *where;
	struct err *e;
};

static int vmdef_port_refuse(const struct vmdef_port *p, const char *key, const char *what)
{
	char pointer[64];
	int n = snprintf(pointer, sizeof(pointer), "/%s/%d/ports/%zu", p->slot->list,
			 p->slot->index, p->index);

	if (json_get(p->port, key))
		snprintf(pointer + n, sizeof(pointer) - (size_t)n, "/%s", key);
	return vmdef_refuse(p->where, p->e, pointer, "%s", what);
}

static bool vmdef_port_is(const struct vmdef_port *p, const char *backend)
{
	return !strcmp(p->backend, backend);
}

static int vmdef_port_check(const struct vmdef_port *p)
{
	const char *path = json_get_str(p->port, "path", NULL);
	const struct sockaddr_un *un = NULL;

	if (vmdef_port_is(p, "file") && !path)
		return vmdef_port_refuse(p, "path", "needs a path: where the file is");
	if (vmdef_port_is(p, "pty") && path)
		return vmdef_port_refuse(p, "path",
					 "a terminal has no path; vmctl show tells its name");
	if (!vmdef_port_is(p, "file") && json_get(p->port, "limit"))
		return vmdef_port_refuse(p, "limit", "goes with `backend: file`");
	if (vmdef_port_is(p, "socket") && path && strlen(path) >= sizeof(un->sun_path))
		return vmdef_port_refuse(p, "path", "expected at most 107 bytes for a socket");
	return 0;
}

/* names: of the VM's ports up to here */
static int vmdef_ports_check_slot(struct vmdef_port *p, struct json_object *names)
{
	struct json_object *ports = json_get(p->slot->entry, "ports");
	size_t n = ports ? json_object_array_length(ports) : 0;
	int ret = 0;

	for (p->index = 0; p->index < n && !ret; p->index++) {
		const char *name;

		p->port = json_object_array_get_idx(ports, p->index);
		p->backend = json_get_str(p->port, "backend", "socket");
		name = json_get_str(p->port, "name", "");
		if (json_get(names, name))
			return vmdef_port_refuse(p, "name", "another port has this name");
		json_add_bool(names, name, true);
		ret = vmdef_port_check(p);
	}
	return ret;
}

int vmdef_check_ports(const struct vmdef_plan *p, struct schema_error *where, struct err *e)
{
	AUTO_JSON struct json_object *names = json_new();
	int ret = 0;

	for (size_t i = 0; i < p->n && !ret; i++) {
		struct vmdef_port port = { .slot = &p->slots[i], .where = where, .e = e };

		if (!port.slot->off && !strcmp(port.slot->type, VMDEF_CONSOLE))
			ret = vmdef_ports_check_slot(&port, names);
	}
	return ret;
}

struct json_object *vmdef_expand_ports(const struct vmdef_slot *s)
{
	struct json_object *properties =
		json_get(json_get(vmdef_slot_property(s, "ports"), "items"), "properties");
	static const char *const no_file[] = { "limit", NULL };
	struct json_object *out = json_object_new_array(), *ports = json_get(s->entry, "ports");

	for (size_t i = 0; ports && i < json_object_array_length(ports); i++) {
		struct json_object *from = json_object_array_get_idx(ports, i), *d = json_new();
		bool file = !strcmp(json_get_str(from, "backend", ""), "file");

		vmdef_copy(d, from, properties, file ? NULL : no_file);
		json_object_array_add(out, d);
	}
	return out;
}
