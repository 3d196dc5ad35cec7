// SPDX-License-Identifier: MIT
/* vmctl sriov pf, pool and lease: virtual functions of the host, and their pools. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/errcat.h"
#include "lib/vmfile.h"
#include "vmctl/history.h"
#include "vmctl/table.h"
#include "vmctl/vmctl.h"

#define SRIOV_REVISIONS 200 /* of one answer of vmd */

static int sriov_usage(struct vmctl *v, const char *what)
{
	struct err e;

	err_set(&e, EINVAL, "%s", what);
	output_error(&v->out, &e, NULL, NULL);
	return EXIT_USAGE;
}

static const char *sriov_operand(const struct vmctl *v, size_t i)
{
	return i < v->args.noperands ? v->args.operands[i] : NULL;
}

static void sriov_number(struct table *t, struct json_object *o, const char *key)
{
	char text[24];

	snprintf(text, sizeof(text), "%lld", (long long)json_get_int(o, key, 0));
	table_cell(t, text, NULL);
}

/* --- what is told of steps ---------------------------------------------------------------------------- */

static void sriov_print_steps(struct vmctl *v, struct json_object *result)
{
	struct json_object *steps = json_get(result, "steps");

	for (size_t i = 0; steps && i < json_object_array_length(steps); i++) {
		struct json_object *step = json_object_array_get_idx(steps, i);
		const char *undo = json_get_str(step, "undo", NULL);

		fprintf(v->out.out, "  %zu. %s\n", i + 1, json_get_str(step, "do", "?"));
		if (undo)
			fprintf(v->out.out, "     undo: %s\n", undo);
	}
}

/* A change: what was done, or with --dry-run each step of what would be. */
static int sriov_change(struct vmctl *v, const char *method, struct json_object *take_params,
			const char *op, const char *key, const char *done, const char *would)
{
	bool dry = args_flag(&v->args, "dry-run");
	struct client_reply reply;
	char schema[32];
	int status;

	if (dry)
		json_add_bool(take_params, "dry_run", true);
	status = vmctl_call(v, method, take_params, &reply, op);
	if (status == EXIT_OK && v->out.format == OUTPUT_JSON) {
		output_json(&v->out, vmctl_schema(v, schema, sizeof(schema)), reply.result);
	} else if (status == EXIT_OK && v->out.format == OUTPUT_NAME) {
		fprintf(v->out.out, "%s\n", json_get_str(reply.result, key, ""));
	} else if (status == EXIT_OK) {
		fprintf(v->out.out, "%s: %s\n", json_get_str(reply.result, key, "?"),
			dry ? would : done);
		if (dry)
			sriov_print_steps(v, reply.result);
	}
	client_reply_fini(&reply);
	return status;
}

/* --- PFs ---------------------------------------------------------------------------------------------- */

static void sriov_pf_row(struct table *t, struct json_object *pf)
{
	struct json_object *netdevs = json_get(pf, "netdevs");
	const char *link = json_get_str(pf, "link", NULL);
	const char *netdev = NULL;

	if (netdevs && json_object_array_length(netdevs))
		netdev = json_object_get_string(json_object_array_get_idx(netdevs, 0));
	table_cell(t, json_get_str(pf, "pci", NULL), NULL);
	table_cell(t, netdev, NULL);
	table_cell(t, link, link && !strcmp(link, "down") ? "31" : NULL);
	table_cell(t, json_get_str(pf, "driver", NULL), NULL);
	if (json_get_int(pf, "numa", -1) < 0)
		table_cell(t, NULL, NULL);
	else
		sriov_number(t, pf, "numa");
	sriov_number(t, pf, "total");
	sriov_number(t, pf, "vfs");
	sriov_number(t, pf, "leased");
	sriov_number(t, pf, "free");
	table_cell(t, json_get_str(pf, "pool", NULL), NULL);
}

static void sriov_pf_table(struct vmctl *v, struct json_object *list)
{
	static const char *const columns[] = { "PCI", "INTERFACE", "LINK", "DRIVER", "NUMA",
					       "MAX", "VFS",	   "USED", "FREE",   "POOL" };
	struct table t;

	table_init(&t);
	for (size_t i = 0; i < ARRAY_SIZE(columns); i++)
		table_column(&t, columns[i], i < 4 || i == 9 ? TABLE_LEFT : TABLE_RIGHT);
	for (size_t i = 0; list && i < json_object_array_length(list); i++)
		sriov_pf_row(&t, json_object_array_get_idx(list, i));
	table_print(&t, v->out.out, v->out.header, v->out.color);
	table_fini(&t);
}

static void sriov_vf_table(struct vmctl *v, struct json_object *list)
{
	static const char *const columns[] = { "VF", "PCI", "DRIVER", "STATE", "VM" };
	struct table t;

	table_init(&t);
	for (size_t i = 0; i < ARRAY_SIZE(columns); i++)
		table_column(&t, columns[i], i ? TABLE_LEFT : TABLE_RIGHT);
	for (size_t i = 0; list && i < json_object_array_length(list); i++) {
		struct json_object *vf = json_object_array_get_idx(list, i);

		sriov_number(&t, vf, "vf");
		for (size_t k = 1; k < ARRAY_SIZE(columns); k++) {
			static const char *const keys[] = { "", "pci", "driver", "state", "vm" };
			const char *text = json_get_str(vf, keys[k], NULL);

			table_cell(&t, text && text[0] ? text : NULL, NULL);
		}
	}
	table_print(&t, v->out.out, v->out.header, v->out.color);
	table_fini(&t);
}

/* key: of what -q prints; NULL: the result is one. */
static void sriov_print_names(struct vmctl *v, struct json_object *list, const char *key)
{
	for (size_t i = 0; list && i < json_object_array_length(list); i++)
		fprintf(v->out.out, "%s\n",
			json_get_str(json_object_array_get_idx(list, i), key, ""));
}

static int sriov_pf_list(struct vmctl *v)
{
	struct client_reply reply;
	char schema[32];
	int status = vmctl_call(v, "sriov.pf.list", json_new(), &reply, "list PFs");
	struct json_object *list = json_get(reply.result, "pfs");

	if (status == EXIT_OK && v->out.format == OUTPUT_JSON)
		output_json(&v->out, vmctl_schema(v, schema, sizeof(schema)), reply.result);
	else if (status == EXIT_OK && v->out.format == OUTPUT_NAME)
		sriov_print_names(v, list, "pci");
	else if (status == EXIT_OK)
		sriov_pf_table(v, list);
	client_reply_fini(&reply);
	return status;
}

static int sriov_pf_show(struct vmctl *v, const char *pci)
{
	struct json_object *one = json_object_new_array();
	struct client_reply reply;
	char schema[32], op[64];
	int status;

	snprintf(op, sizeof(op), "show '%.40s'", pci);
	status = vmctl_call(v, "sriov.pf.get", json_add_str(json_new(), "pci", pci), &reply, op);
	json_object_array_add(one, json_object_get(reply.result));
	if (status == EXIT_OK && v->out.format == OUTPUT_JSON) {
		output_json(&v->out, vmctl_schema(v, schema, sizeof(schema)), reply.result);
	} else if (status == EXIT_OK && v->out.format == OUTPUT_NAME) {
		sriov_print_names(v, json_get(reply.result, "functions"), "pci");
	} else if (status == EXIT_OK) {
		sriov_pf_table(v, one);
		fputc('\n', v->out.out);
		sriov_vf_table(v, json_get(reply.result, "functions"));
	}
	json_object_put(one);
	client_reply_fini(&reply);
	return status;
}

static int sriov_pf_set(struct vmctl *v, const char *pci)
{
	struct json_object *params = json_add_str(json_new(), "pci", pci);
	int64_t vfs = (int64_t)args_number(&v->args, "vfs", UINT32_MAX);
	char op[64], done[64], would[64];

	if (vfs == UINT32_MAX) {
		json_object_put(params);
		return sriov_usage(v, "sriov pf set needs --vfs N");
	}
	snprintf(op, sizeof(op), "change the VFs of '%.40s'", pci);
	snprintf(done, sizeof(done), "%lld VFs", (long long)vfs);
	snprintf(would, sizeof(would), "would get %lld VFs", (long long)vfs);
	return sriov_change(v, "sriov.pf.set", json_add_int(params, "vfs", vfs), op, "pci", done,
			    would);
}

int cmd_sriov_pf(struct vmctl *v)
{
	const char *verb = sriov_operand(v, 0), *pci = sriov_operand(v, 1);

	if (!strcmp(verb, "list") && !pci)
		return sriov_pf_list(v);
	if (!strcmp(verb, "show") && pci)
		return sriov_pf_show(v, pci);
	if (!strcmp(verb, "set") && pci)
		return sriov_pf_set(v, pci);
	return sriov_usage(v, "expected list, show ADDRESS, or set ADDRESS --vfs N");
}

/* --- pools -------------------------------------------------------------------------------------------- */

static void sriov_pool_table(struct vmctl *v, struct json_object *list)
{
	static const char *const columns[] = { "NAME", "CLASS", "STATE", "PFS",
					       "VFS",  "USED",	"FREE" };
	static const char *const keys[] = { "pfs", "vfs", "leased", "free" };
	struct table t;

	table_init(&t);
	for (size_t i = 0; i < ARRAY_SIZE(columns); i++)
		table_column(&t, columns[i], i < 3 ? TABLE_LEFT : TABLE_RIGHT);
	for (size_t i = 0; list && i < json_object_array_length(list); i++) {
		struct json_object *pool = json_object_array_get_idx(list, i);
		const char *state = json_get_str(pool, "state", "?");

		table_cell(&t, json_get_str(pool, "name", NULL), NULL);
		table_cell(&t, json_get_str(pool, "class", NULL), NULL);
		table_cell(&t, state, !strcmp(state, "ready") ? NULL : "31");
		for (size_t k = 0; k < ARRAY_SIZE(keys); k++)
			sriov_number(&t, pool, keys[k]);
	}
	table_print(&t, v->out.out, v->out.header, v->out.color);
	table_fini(&t);
	for (size_t i = 0; list && i < json_object_array_length(list); i++) {
		struct json_object *pool = json_object_array_get_idx(list, i);
		const char *msg = json_get_str(pool, "message", NULL);

		if (msg)
			output_note(&v->out, "%s: %s", json_get_str(pool, "name", "?"), msg);
	}
}

static int sriov_pool_list(struct vmctl *v)
{
	struct client_reply reply;
	char schema[32];
	int status = vmctl_call(v, "pool.list", json_new(), &reply, "list pools");
	struct json_object *list = json_get(reply.result, "pools");

	if (status == EXIT_OK && v->out.format == OUTPUT_JSON)
		output_json(&v->out, vmctl_schema(v, schema, sizeof(schema)), reply.result);
	else if (status == EXIT_OK && v->out.format == OUTPUT_NAME)
		sriov_print_names(v, list, "name");
	else if (status == EXIT_OK)
		sriov_pool_table(v, list);
	client_reply_fini(&reply);
	return status;
}

static int sriov_pool_show(struct vmctl *v, const char *name)
{
	struct json_object *one = json_object_new_array();
	struct client_reply reply;
	char schema[32], op[96];
	int status;

	snprintf(op, sizeof(op), "show pool '%.63s'", name);
	status = vmctl_call(v, "pool.get", json_add_str(json_new(), "name", name), &reply, op);
	json_object_array_add(one, json_object_get(reply.result));
	if (status == EXIT_OK && v->out.format == OUTPUT_JSON) {
		output_json(&v->out, vmctl_schema(v, schema, sizeof(schema)), reply.result);
	} else if (status == EXIT_OK && v->out.format == OUTPUT_NAME) {
		sriov_print_names(v, json_get(reply.result, "members"), "pci");
	} else if (status == EXIT_OK) {
		sriov_pool_table(v, one);
		fputc('\n', v->out.out);
		sriov_pf_table(v, json_get(reply.result, "members"));
	}
	json_object_put(one);
	client_reply_fini(&reply);
	return status;
}

/* Unless it is a dry run. what: the change, and what goes with it */
static int sriov_confirm(struct vmctl *v, const char *what, const char *goes)
{
	bool ask = false;
	int status = args_flag(&v->args, "dry-run") ? EXIT_OK : vmctl_must_ask(v, &ask);

	if (status != EXIT_OK || !ask)
		return status;
	output_note(&v->out, "%s: %s", what, goes);
	return vmctl_confirm(v);
}

static int sriov_pool_revert(struct vmctl *v, const char *name)
{
	struct json_object *params;
	int64_t to = (int64_t)args_number(&v->args, "to", 0);
	char op[128], done[64], would[64];
	int status;

	if (!to)
		return sriov_usage(v, "sriov pool revert needs --to N, which is at least 1");
	snprintf(op, sizeof(op), "revert pool '%.63s' to %lld", name, (long long)to);
	snprintf(done, sizeof(done), "as in revision %lld", (long long)to);
	snprintf(would, sizeof(would), "would be as in revision %lld", (long long)to);
	status = sriov_confirm(v, op, "its VFs are made anew where their number changes");
	if (status != EXIT_OK)
		return status;
	params = json_add_int(json_add_str(json_new(), "name", name), "to", to);
	return sriov_change(v, "pool.revert", params, op, "name", done, would);
}

static int sriov_pool_delete(struct vmctl *v, const char *name)
{
	char op[96];
	int status;

	snprintf(op, sizeof(op), "delete pool '%.63s'", name);
	status = sriov_confirm(v, op, "the VFs that were made for it go");
	if (status != EXIT_OK)
		return status;
	return sriov_change(v, "pool.delete", json_add_str(json_new(), "name", name), op, "name",
			    "deleted", "would be deleted");
}

/* All that are kept are few: a pool is not changed often. */
static int sriov_pool_history(struct vmctl *v, const char *name)
{
	struct json_object *params = json_add_str(json_new(), "name", name), *list;
	struct client_reply reply;
	char schema[32], op[96];
	int status;

	snprintf(op, sizeof(op), "show the history of pool '%.63s'", name);
	status = vmctl_call(v, "pool.history", json_add_int(params, "limit", SRIOV_REVISIONS),
			    &reply, op);
	list = json_get(reply.result, "revisions");
	if (status == EXIT_OK && v->out.format == OUTPUT_JSON)
		output_json(&v->out, vmctl_schema(v, schema, sizeof(schema)), reply.result);
	else if (status == EXIT_OK && v->out.format != OUTPUT_NAME)
		history_table(v, list);
	for (size_t i = 0; status == EXIT_OK && v->out.format == OUTPUT_NAME &&
			   i < json_object_array_length(list);
	     i++)
		fprintf(v->out.out, "%lld\n",
			(long long)json_get_int(json_object_array_get_idx(list, i), "revision", 0));
	client_reply_fini(&reply);
	return status;
}

/* As `vmctl apply -f` takes it. */
static int sriov_pool_export(struct vmctl *v, const char *name)
{
	struct json_object *params = json_add_str(json_new(), "name", name), *definition;
	uint64_t revision = args_number(&v->args, "revision", 0);
	struct client_reply reply;
	char schema[32], op[96];
	struct err e;
	int status;

	if (revision)
		json_add_int(params, "revision", (int64_t)revision);
	snprintf(op, sizeof(op), "export pool '%.63s'", name);
	status = vmctl_call(v, "pool.export", params, &reply, op);
	definition = json_get(reply.result, "definition");
	if (status == EXIT_OK && v->out.format == OUTPUT_JSON)
		output_json(&v->out, vmctl_schema(v, schema, sizeof(schema)), reply.result);
	else if (status == EXIT_OK && v->out.format == OUTPUT_NAME)
		fprintf(v->out.out, "%s\n", json_get_str(reply.result, "name", ""));
	else if (status == EXIT_OK && vmfile_write(v->out.out, &definition, 1, &e) < 0)
		status = vmctl_fail(v, &e, NULL, "%s", op);
	client_reply_fini(&reply);
	return status;
}

int cmd_sriov_pool(struct vmctl *v)
{
	const char *verb = sriov_operand(v, 0), *name = sriov_operand(v, 1);

	if (!strcmp(verb, "list") && !name)
		return sriov_pool_list(v);
	if (!strcmp(verb, "show") && name)
		return sriov_pool_show(v, name);
	if (!strcmp(verb, "history") && name)
		return sriov_pool_history(v, name);
	if (!strcmp(verb, "export") && name)
		return sriov_pool_export(v, name);
	if (!strcmp(verb, "revert") && name)
		return sriov_pool_revert(v, name);
	if (!strcmp(verb, "delete") && name)
		return sriov_pool_delete(v, name);
	return sriov_usage(v, "expected list, or show, history, export, revert or delete NAME");
}

/* --- leases ------------------------------------------------------------------------------------------- */

int cmd_sriov_lease(struct vmctl *v)
{
	if (strcmp(sriov_operand(v, 0), "list") != 0)
		return sriov_usage(v, "expected list");
	v->args.noperands--; /* cmd_lease_list knows the VM alone */
	memmove(v->args.operands, v->args.operands + 1,
		v->args.noperands * sizeof(*v->args.operands));
	return cmd_lease_list(v);
}
