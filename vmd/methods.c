// SPDX-License-Identifier: MIT
/* THE method table, and the schemas of its rows: see methods.h. On the loop's thread. */
#include "vmd/methods.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/auto.h"
#include "lib/embed.h"
#include "lib/errcat.h"

/* clang-format off */
const struct method methods[] = {
	{ "daemon.ping", method_daemon_ping },
	{ "daemon.version", method_daemon_version },
	{ "event.list", method_event_list },
	{ "event.subscribe", method_event_subscribe },
	{ "host.doctor", method_host_doctor },
	{ "host.info", method_host_info },
	{ "job.cancel", method_job_cancel },
	{ "job.get", method_job_get },
	{ "job.list", method_job_list },
	{ "job.wait", method_job_wait },
	{ "lease.list", method_lease_list },
	{ "pci.doctor", method_pci_doctor },
	{ "pci.get", method_pci_get },
	{ "pci.groups", method_pci_groups },
	{ "pci.list", method_pci_list },
	{ "pci.release", method_pci_release },
	{ "pool.apply", method_pool_apply },
	{ "pool.delete", method_pool_delete },
	{ "pool.diff", method_pool_diff },
	{ "pool.export", method_pool_export },
	{ "pool.get", method_pool_get },
	{ "pool.history", method_pool_history },
	{ "pool.list", method_pool_list },
	{ "pool.revert", method_pool_revert },
	{ "rpc.discover", method_rpc_discover },
	{ "sriov.pf.get", method_sriov_pf_get },
	{ "sriov.pf.list", method_sriov_pf_list },
	{ "sriov.pf.set", method_sriov_pf_set },
	{ "vm.apply", method_vm_apply, .own_vm = true },
	{ "vm.attach", method_vm_attach },
	{ "vm.balloon", method_vm_balloon },
	{ "vm.console", method_vm_console },
	{ "vm.delete", method_vm_delete, .own_vm = true },
	{ "vm.detach", method_vm_detach },
	{ "vm.diff", method_vm_diff },
	{ "vm.display", method_vm_display },
	{ "vm.export", method_vm_export },
	{ "vm.get", method_vm_get },
	{ "vm.history", method_vm_history },
	{ "vm.kill", method_vm_kill },
	{ "vm.list", method_vm_list },
	{ "vm.logs", method_vm_logs },
	{ "vm.media", method_vm_media },
	{ "vm.pause", method_vm_pause },
	{ "vm.reset", method_vm_reset },
	{ "vm.resize", method_vm_resize },
	{ "vm.restart", method_vm_restart },
	{ "vm.resume", method_vm_resume },
	{ "vm.revert", method_vm_revert },
	{ "vm.screenshot", method_vm_screenshot },
	{ "vm.send_key", method_vm_send_key },
	{ "vm.set_link", method_vm_set_link },
	{ "vm.set_rate", method_vm_set_rate },
	{ "vm.start", method_vm_start, .own_vm = true },
	{ "vm.stats", method_vm_stats },
	{ "vm.stop", method_vm_stop },
	{ "vm.timeline", method_vm_timeline },
	{ "vm.validate", method_vm_validate },
	{ "vm.wait", method_vm_wait, .own_vm = true },
	{ "vm.wakeup", method_vm_wakeup },
	{ NULL, NULL },
};
/* clang-format on */

struct method_schemas {
	struct json_object *all; /* owned: {"vm.start": {summary, …}, …} of all files */
	struct schema *params[ARRAY_SIZE(methods)]; /* owned; by row */
	struct method_info info[ARRAY_SIZE(methods)];
};

/* All of schemas/rpc/ in one object. */
static int method_load(struct json_object *all, struct err *e)
{
	for (const struct embed *f = embed_schemas; f->name; f++) {
		struct json_object *file;
		int ret;

		if (strncmp(f->name, "rpc/", 4))
			continue;
		ret = json_parse(f->data, f->size, &file, e);
		if (ret < 0)
			return err_wrap(e, "schema %s", f->name);
		json_object_object_foreach(file, name, value) {
			json_add(all, name, json_object_get(value));
		}
		json_object_put(file);
	}
	return 0;
}

bool method_requires(struct json_object *params, const char *name)
{
	struct json_object *list = json_get(params, "required");

	for (size_t i = 0; list && i < json_object_array_length(list); i++)
		if (!strcmp(json_object_get_string(json_object_array_get_idx(list, i)), name))
			return true;
	return false;
}

static void method_add_error(struct json_object *errors, const char *name)
{
	for (size_t i = 0; i < json_object_array_length(errors); i++)
		if (!strcmp(json_object_get_string(json_object_array_get_idx(errors, i)), name))
			return;
	json_object_array_add(errors, json_object_new_string(name));
}

/* A method's own member of that name is its own affair. */
static bool method_add_common(struct json_object *properties, struct json_object *common,
			      const char *name)
{
	if (json_get(properties, name))
		return false;
	json_add(properties, name, json_object_get(json_get(common, name)));
	return true;
}

/* The members of schemas/common.json, and the errors that come with them. */
static void method_merge(struct json_object *o, struct json_object *common,
			 struct method_info *info)
{
	static const char *const errors[] = { "denied", "busy", "request.reused",
					      "request.answer_lost" };
	struct json_object *properties = json_get(json_get(o, "params"), "properties");
	struct json_object *list = json_get(o, "errors");

	if (info->read || info->fds)
		return;
	method_add_common(properties, common, "request_id");
	info->may_expire = method_add_common(properties, common, "timeout_ms");
	info->if_revision =
		json_get(properties, "vm") && method_add_common(properties, common, "if_revision");
	for (size_t i = 0; i < ARRAY_SIZE(errors); i++)
		method_add_error(list, errors[i]);
	if (info->may_expire)
		method_add_error(list, "timeout");
	if (info->if_revision)
		method_add_error(list, "vm.revision_mismatch");
}

static int method_compile(struct method_schemas *s, size_t row, struct json_object *common,
			  struct err *e)
{
	struct json_object *o = json_get(s->all, methods[row].name);
	struct json_object *params = json_get(o, "params");
	int ret;

	if (!params)
		return err_set(e, ENOENT, "method %s has no schema", methods[row].name);
	s->info[row] = (struct method_info){
		.read = !strcmp(json_get_str(o, "access", ""), "read"),
		.fds = json_get_bool(o, "fds", false),
		.urgent = json_get_bool(o, "urgent", false),
		.owner = !strcmp(json_get_str(o, "rights", ""), "owner"),
		.any = !strcmp(json_get_str(o, "rights", ""), "any"),
		.needs_vm = method_requires(params, "vm") || method_requires(params, "definition"),
	};
	method_merge(o, common, &s->info[row]);
	ret = schema_compile(params, NULL, NULL, &s->params[row], e);
	return ret < 0 ? err_wrap(e, "%s", methods[row].name) : 0;
}

int method_schemas_new(struct method_schemas **ret_schemas, struct err *e)
{
	struct method_schemas *s = calloc(1, sizeof(*s));
	AUTO_JSON struct json_object *common = NULL;
	int ret;

	if (!s)
		return err_ret(e, -ENOMEM, "cannot load the schemas");
	s->all = json_new();
	ret = method_load(s->all, e);
	if (ret >= 0)
		ret = schema_json("common.json", &common, e);
	for (size_t i = 0; ret >= 0 && methods[i].name; i++)
		ret = method_compile(s, i, json_get(common, "$defs"), e);
	if (ret < 0) {
		method_schemas_free(s);
		return ret;
	}
	*ret_schemas = s;
	return 0;
}

void method_schemas_free(struct method_schemas *schemas)
{
	if (!schemas)
		return;
	for (size_t i = 0; i < ARRAY_SIZE(methods); i++)
		schema_free(schemas->params[i]);
	json_object_put(schemas->all);
	free(schemas);
}

int method_check(const struct method_schemas *schemas, const struct method *method,
		 struct json_object *params, struct schema_error *ret_where, struct err *e)
{
	if (schema_validate(schemas->params[method - methods], params, ret_where) >= 0)
		return 0;
	if (!ret_where->pointer[0])
		return err_set(e, ERR_RPC_PARAMS, "%s: %s", method->name, ret_where->msg);
	return err_set(e, ERR_RPC_PARAMS, "%s: %s: %s", method->name, ret_where->pointer,
		       ret_where->msg);
}

const struct method *method_find(const char *name)
{
	for (const struct method *m = methods; m->name; m++)
		if (!strcmp(m->name, name))
			return m;
	return NULL;
}

/* Near: the same noun and begin of the verb, or the same verb. Enough for "vm.lst" and "list". */
const char *method_near(const char *name)
{
	const struct method *best = NULL;
	size_t best_len = 3;

	for (const struct method *m = methods; m->name; m++) {
		const char *verb = strchr(m->name, '.') + 1;
		size_t len = 0;

		if (!strcmp(name, verb))
			return m->name;
		while (name[len] && name[len] == m->name[len])
			len++;
		if (len > best_len) {
			best = m;
			best_len = len;
		}
	}
	return best ? best->name : NULL;
}

struct json_object *method_schema(const struct method_schemas *schemas, const char *name)
{
	return json_get(schemas->all, name);
}

const struct method_info *method_info(const struct method_schemas *schemas,
				      const struct method *method)
{
	return &schemas->info[method - methods];
}
