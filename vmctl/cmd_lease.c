// SPDX-License-Identifier: MIT
/* vmctl lease list, pci release, and what else shows devices of the host that VMs have: see lease.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lib/auto.h"
#include "lib/errcat.h"
#include "vmctl/lease.h"
#include "vmctl/table.h"

static void lease_row(struct table *t, struct json_object *lease, bool vms)
{
	const char *state = json_get_str(lease, "state", "?");
	char age[24];

	output_age(json_get_str(lease, "since", NULL), time(NULL), age);
	table_cell(t, json_get_str(lease, "pci", NULL), NULL);
	if (vms)
		table_cell(t, json_get_str(lease, "vm", NULL), NULL);
	table_cell(t, json_get_str(lease, "device", NULL), NULL);
	table_cell(t, state, strcmp(state, "quarantined") ? NULL : "31");
	table_cell(t, age, NULL);
	table_cell(t, json_get_str(lease, "reason", NULL), NULL);
}

void lease_table(struct vmctl *v, struct json_object *leases, bool vms)
{
	static const char *const columns[] = { "PCI", "VM", "DEVICE", "STATE", "SINCE", "WHY" };
	struct table t;

	table_init(&t);
	for (size_t i = 0; i < ARRAY_SIZE(columns); i++)
		if (vms || strcmp(columns[i], "VM") != 0)
			table_column(&t, columns[i], TABLE_LEFT);
	for (size_t i = 0; leases && i < json_object_array_length(leases); i++)
		lease_row(&t, json_object_array_get_idx(leases, i), vms);
	table_print(&t, v->out.out, v->out.header, v->out.color);
	table_fini(&t);
	for (size_t i = 0; leases && i < json_object_array_length(leases); i++) {
		struct json_object *lease = json_object_array_get_idx(leases, i);
		const char *why = json_get_str(lease, "quarantine", NULL);
		const char *wanted = json_get_str(lease, "requested", NULL);

		if (why)
			output_note(&v->out, "%s is in quarantine: %s",
				    json_get_str(lease, "pci", "?"), why);
		else if (wanted)
			output_note(&v->out, "the host wants %s back since %s",
				    json_get_str(lease, "pci", "?"), wanted);
	}
}

int cmd_lease_list(struct vmctl *v)
{
	struct json_object *params = json_new(), *list;
	struct client_reply reply;
	char schema[32];
	int status;

	if (v->args.noperands)
		json_add_str(params, "vm", v->args.operands[0]);
	status = vmctl_call(v, "lease.list", params, &reply, "list leases");
	list = json_get(reply.result, "leases");
	if (status == EXIT_OK && v->out.format == OUTPUT_JSON)
		output_json(&v->out, vmctl_schema(v, schema, sizeof(schema)), reply.result);
	else if (status == EXIT_OK && v->out.format == OUTPUT_NAME)
		for (size_t i = 0; i < json_object_array_length(list); i++)
			fprintf(v->out.out, "%s\n",
				json_get_str(json_object_array_get_idx(list, i), "pci", ""));
	else if (status == EXIT_OK)
		lease_table(v, list, true);
	client_reply_fini(&reply);
	return status;
}

static struct json_object *release_params(const struct vmctl *v, bool dry)
{
	struct json_object *params = json_add_str(json_new(), "pci", v->args.operands[0]);

	return dry ? json_add_bool(params, "dry_run", true) : params;
}

/* What would be done is asked of vmd: it knows whether there is anything. */
static int release_ask(struct vmctl *v)
{
	struct client_reply reply;
	char op[64];
	int status;

	snprintf(op, sizeof(op), "release '%.40s'", v->args.operands[0]);
	status = vmctl_call(v, "pci.release", release_params(v, true), &reply, op);
	client_reply_fini(&reply);
	if (status != EXIT_OK)
		return status;
	output_note(&v->out,
		    "release '%s': the device is reset and given back to the host; who has it open "
		    "loses it",
		    v->args.operands[0]);
	return vmctl_confirm(v);
}

int cmd_pci_release(struct vmctl *v)
{
	bool dry = args_flag(&v->args, "dry-run"), ask = false;
	struct client_reply reply;
	char op[64], schema[32];
	int status = dry ? EXIT_OK : vmctl_must_ask(v, &ask);

	if (status == EXIT_OK && ask)
		status = release_ask(v);
	if (status != EXIT_OK)
		return status;
	snprintf(op, sizeof(op), "release '%.40s'", v->args.operands[0]);
	status = vmctl_call(v, "pci.release", release_params(v, dry), &reply, op);
	if (status != EXIT_OK)
		; /* printed */
	else if (v->out.format == OUTPUT_JSON)
		output_json(&v->out, vmctl_schema(v, schema, sizeof(schema)), reply.result);
	else if (v->out.format == OUTPUT_NAME)
		fprintf(v->out.out, "%s\n", json_get_str(reply.result, "pci", ""));
	else
		fprintf(v->out.out, "%s: %s\n", json_get_str(reply.result, "pci", ""),
			dry ? "would be released" : "released");
	client_reply_fini(&reply);
	return status;
}

/* --- a start's plan --------------------------------------------------------------------------------- */

static void plan_step(struct vmctl *v, struct json_object *step, size_t number)
{
	const char *undo = json_get_str(step, "undo", NULL);

	fprintf(v->out.out, "    %zu. %s\n", number, json_get_str(step, "do", "?"));
	if (undo)
		fprintf(v->out.out, "       undo: %s\n", undo);
}

static void plan_memory(struct vmctl *v, struct json_object *memory)
{
	bool strict = !strcmp(json_get_str(memory, "policy", ""), "strict");
	char size[24], room[24];

	fprintf(v->out.out, "  memory: %s of NUMA node %d%s",
		output_size((uint64_t)json_get_int(memory, "size", 0), size),
		(int)json_get_int(memory, "node", 0),
		strict ? ", taken at the start" : ", and of others when it has no more");
	if (json_get(memory, "room"))
		fprintf(v->out.out, "; it has %s for it",
			output_size((uint64_t)json_get_int(memory, "room", 0), room));
	fputc('\n', v->out.out);
}

static void plan_pinned(struct vmctl *v, struct json_object *plan)
{
	char a[24], b[24];

	fprintf(v->out.out, "  memory pinned: %s",
		output_size((uint64_t)json_get_int(plan, "pinned", 0), a));
	if (json_get(plan, "memlock"))
		fprintf(v->out.out, "; the monitor may lock %s",
			output_size((uint64_t)json_get_int(plan, "memlock", 0), b));
	fputc('\n', v->out.out);
}

void lease_plan_print(struct vmctl *v, struct json_object *plan)
{
	struct json_object *devices = json_get(plan, "devices");

	for (size_t i = 0; devices && i < json_object_array_length(devices); i++) {
		struct json_object *d = json_object_array_get_idx(devices, i);
		struct json_object *steps = json_get(d, "steps");

		fprintf(v->out.out, "  %s: %s, %s\n", json_get_str(d, "device", "?"),
			json_get_str(d, "pci", "?"), json_get_str(d, "reason", ""));
		for (size_t k = 0; steps && k < json_object_array_length(steps); k++)
			plan_step(v, json_object_array_get_idx(steps, k), k + 1);
	}
	if (json_get(plan, "memory"))
		plan_memory(v, json_get(plan, "memory"));
	if (devices && json_object_array_length(devices))
		plan_pinned(v, plan);
	if (json_get(plan, "advice"))
		fprintf(v->out.out, "  %s\n", json_get_str(plan, "advice", ""));
}
