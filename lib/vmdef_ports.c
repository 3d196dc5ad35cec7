// SPDX-License-Identifier: MIT
/*
 * The ports of consoles in a definition, and what its serial ports lead to: what no schema can say of them, and what they are once they are written out in
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

/* Its keys are those of a port, and its name is the device's. */
static int vmdef_serial_check(struct vmdef_port *p, struct json_object *names)
{
	const struct vmdef_slot *s = p->slot;
	const char *backend = json_object_get_string(vmdef_slot_value(s, "backend"));
	bool file = !strcmp(backend, "file"), socket = !strcmp(backend, "socket");
	const char *path = json_get_str(s->entry, "path", NULL);
	const struct sockaddr_un *un = NULL;

	if (path && !file && !socket)
		return vmdef_slot_refuse(p->where, p->e, s, "path",
					 "goes with `backend: socket` or `backend: file`");
	if (file && !path)
		return vmdef_slot_refuse(p->where, p->e, s, "path",
					 "needs a path: where the file is");
	if (!file && json_get(s->entry, "limit"))
		return vmdef_slot_refuse(p->where, p->e, s, "limit", "goes with `backend: file`");
	if (socket && path && strlen(path) >= sizeof(un->sun_path))
		return vmdef_slot_refuse(p->where, p->e, s, "path",
					 "expected at most 107 bytes for a socket");
	if (!file && !socket && strcmp(backend, "pty") != 0)
		return 0;
	if (json_get(names, s->id))
		return vmdef_slot_refuse(p->where, p->e, s, "id", "a port has the name '%s'",
					 s->id);
	json_add_bool(names, s->id, true);
	return 0;
}

int vmdef_check_ports(const struct vmdef_plan *p, struct schema_error *where, struct err *e)
{
	AUTO_JSON struct json_object *names = json_new();
	int ret = 0;

	for (size_t i = 0; i < p->n && !ret; i++) {
		struct vmdef_port port = { .slot = &p->slots[i], .where = where, .e = e };

		if (!port.slot->off && !strcmp(port.slot->type, VMDEF_CONSOLE))
			ret = vmdef_ports_check_slot(&port, names);
		if (!port.slot->off && !strcmp(port.slot->type, VMDEF_SERIAL))
			ret = vmdef_serial_check(&port, names);
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

void vmdef_expand_serial(struct json_object *device)
{
	const char *backend = json_get_str(device, "backend", ""), *path;
	bool file = !strcmp(backend, "file");
	struct json_object *port;

	if (file || !strcmp(backend, "socket") || !strcmp(backend, "pty")) {
		port = json_add_str(json_new(), "name", json_get_str(device, "id", ""));
		json_add_str(port, "backend", backend);
		path = json_get_str(device, "path", NULL);
		if (path)
			json_add_str(port, "path", path);
		if (file)
			json_add_int(port, "limit", json_get_int(device, "limit", 0));
		json_add(device, "ports", json_object_new_array());
		json_object_array_add(json_get(device, "ports"), port);
	}
	json_object_object_del(device, "path");
	json_object_object_del(device, "limit");
}
