// SPDX-License-Identifier: MIT
/*
 * Methods daemon.*, host.* and rpc.discover (OpenRPC 1.3, https://spec.open-rpc.org). On the loop's
 * thread.
 */
#include "vmd/methods.h"

#include <string.h>
#include <unistd.h>

#include "lib/errcat.h"
#include "vmd/daemon.h"
#include "vmd/event.h"
#include "vmd/host.h"
#include "vmd/server.h"

void method_daemon_ping(struct daemon *d, struct call *call)
{
	(void)d;
	call_reply(call, json_new());
}

void method_daemon_version(struct daemon *d, struct call *call)
{
	struct json_object *o = json_add_str(json_new(), "version", VERSION);
	char started[EVENT_TIME_SIZE];

	event_time(d->started_ms, started);
	json_add(o, "api", json_add_int(json_add_int(json_new(), "major", 1), "minor", 0));
	json_add_int(o, "pid", getpid());
	call_reply(call, json_add_str(o, "started", started));
}

void method_host_info(struct daemon *d, struct call *call)
{
	struct json_object *o = host_info(&d->hostfs);
	struct json_object *vmm = json_add_str(json_new(), "path", d->options->vmm);

	/* built and installed together */
	json_add_str(vmm, "version", VERSION);
	call_reply(call, json_add(o, "vmm", vmm));
}

static struct json_object *discover_params(struct json_object *schema)
{
	struct json_object *list = json_object_new_array();
	struct json_object *properties = json_get(schema, "properties");

	if (!properties)
		return list;
	json_object_object_foreach(properties, name, value) {
		struct json_object *param = json_add_str(json_new(), "name", name);

		json_add_bool(param, "required", method_requires(schema, name));
		json_object_array_add(list, json_add(param, "schema", json_object_get(value)));
	}
	return list;
}

static struct json_object *discover_errors(struct json_object *names)
{
	struct json_object *list = json_object_new_array();

	for (size_t i = 0; names && i < json_object_array_length(names); i++) {
		const char *name = json_object_get_string(json_object_array_get_idx(names, i));
		const struct errcat_entry *entry = errcat_by_name(name);

		if (entry)
			json_object_array_add(
				list, json_add_str(json_add_int(json_new(), "code", entry->code),
						   "message", entry->name));
	}
	return list;
}

static struct json_object *discover_method(const char *name, struct json_object *schema)
{
	struct json_object *o = json_add_str(json_new(), "name", name);
	struct json_object *result = json_add_str(json_new(), "name", "result");
	struct json_object *tag = json_new(), *tags = json_object_new_array();

	json_add_str(o, "summary", json_get_str(schema, "summary", ""));
	json_add_fmt(tag, "name", "%.*s", (int)strcspn(name, "."), name);
	json_object_array_add(tags, tag);
	json_add(o, "tags", tags);
	json_add_str(o, "paramStructure", "by-name");
	json_add(o, "params", discover_params(json_get(schema, "params")));
	json_add(result, "schema", json_object_get(json_get(schema, "result")));
	json_add(json_add(o, "result", result), "errors",
		 discover_errors(json_get(schema, "errors")));
	/* with the answer; lib/conn.h says how */
	if (json_get_bool(schema, "fds", false))
		json_add_bool(o, "x-descriptor", true);
	return json_add_str(o, "x-access", json_get_str(schema, "access", ""));
}

void method_rpc_discover(struct daemon *d, struct call *call)
{
	struct json_object *o = json_add_str(json_new(), "openrpc", "1.3.2");
	struct json_object *list = json_object_new_array();
	struct json_object *info = json_add_str(json_new(), "title", "vmd");
	struct json_object *server = json_add_str(json_new(), "name", "vmd");
	struct json_object *servers = json_object_new_array();

	for (const struct method *m = methods; m->name; m++)
		json_object_array_add(
			list, discover_method(m->name,
					      method_schema(server_schemas(d->server), m->name)));
	json_add_str(info, "version", "1.0");
	json_add_fmt(server, "url", "unix://%s", d->options->socket);
	json_object_array_add(servers, server);
	json_add(json_add(o, "info", info), "servers", servers);
	call_reply(call, json_add(o, "methods", list));
}
