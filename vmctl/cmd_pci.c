// SPDX-License-Identifier: MIT
/* vmctl pci list, show, groups and doctor: the host's PCI functions, and what can be passed through. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "lib/auto.h"
#include "lib/errcat.h"
#include "vmctl/table.h"
#include "vmctl/vmctl.h"

/* of a device's name, so that a line has at most 80 columns */
#define PCI_NAME_WIDTH 24
#define PCI_LINE 4 /* addresses in one */

static void pci_int(struct table *t, struct json_object *o, const char *key)
{
	int64_t n = json_get_int(o, key, -1);
	char text[24];

	snprintf(text, sizeof(text), "%" PRId64, n);
	table_cell(t, n < 0 ? NULL : text, NULL);
}

/* Its name, or its numbers where the list of names does not have it; at most width columns (0: all). */
static void pci_name(struct table *t, struct json_object *f, bool vendor, size_t width)
{
	const char *name = json_get_str(f, "device_name", "");
	char text[300];

	if (!name[0])
		snprintf(text, sizeof(text), "%s:%s", json_get_str(f, "vendor", "?"),
			 json_get_str(f, "device", "?"));
	else
		snprintf(text, sizeof(text), "%s%s%s",
			 vendor ? json_get_str(f, "vendor_name", "") : "", vendor ? " " : "", name);
	if (width && strlen(text) > width)
		text[width] = '\0';
	table_cell(t, text, NULL);
}

/* "host", "stray", or who has leased it */
static void pci_state(struct table *t, struct json_object *f)
{
	const char *state = json_get_str(f, "state", NULL);
	bool bad = state && (!strcmp(state, "stray") || !strcmp(state, "broken") ||
			     !strcmp(state, "quarantined"));

	table_cell(t, json_get_str(json_get(f, "lease"), "vm", state), bad ? "31" : NULL);
}

/* "eth0,eth1" */
static void pci_join(struct json_object *list, const char *between, char *out, size_t size)
{
	out[0] = '\0';
	for (size_t i = 0; list && i < json_object_array_length(list); i++)
		snprintf(out + strlen(out), size - strlen(out), "%s%s", i ? between : "",
			 json_object_get_string(json_object_array_get_idx(list, i)));
}

static void pci_row(struct table *t, struct json_object *f, bool wide)
{
	char netdevs[80];

	table_cell(t, json_get_str(f, "pci", NULL), NULL);
	table_cell(t, json_get_str(f, "role", NULL), NULL);
	table_cell(t, json_get_str(f, "driver", NULL), NULL);
	pci_int(t, f, "group");
	pci_int(t, f, "numa");
	pci_state(t, f);
	pci_name(t, f, wide, wide ? 0 : PCI_NAME_WIDTH);
	if (!wide)
		return;
	pci_join(json_get(f, "netdevs"), ",", netdevs, sizeof(netdevs));
	table_cell(t, json_get_str(f, "class_name", NULL), NULL);
	table_cell(t, netdevs, NULL);
}

static void pci_table(struct vmctl *v, struct json_object *list)
{
	bool wide = v->out.format == OUTPUT_WIDE;
	struct table t;

	table_init(&t);
	table_column(&t, "ADDRESS", TABLE_LEFT);
	table_column(&t, "ROLE", TABLE_LEFT);
	table_column(&t, "DRIVER", TABLE_LEFT);
	table_column(&t, "GROUP", TABLE_RIGHT);
	table_column(&t, "NUMA", TABLE_RIGHT);
	table_column(&t, "STATE", TABLE_LEFT);
	table_column(&t, "DEVICE", TABLE_LEFT);
	if (wide) {
		table_column(&t, "CLASS", TABLE_LEFT);
		table_column(&t, "INTERFACES", TABLE_LEFT);
	}
	for (size_t i = 0; list && i < json_object_array_length(list); i++)
		pci_row(&t, json_object_array_get_idx(list, i), wide);
	table_print(&t, v->out.out, v->out.header, v->out.color);
	table_fini(&t);
}

static void pci_addresses(struct vmctl *v, struct json_object *list)
{
	for (size_t i = 0; list && i < json_object_array_length(list); i++)
		fprintf(v->out.out, "%s\n",
			json_get_str(json_object_array_get_idx(list, i), "pci", "?"));
}

static struct json_object *pci_filters(struct vmctl *v)
{
	static const char *const names[] = { "class", "driver", "vendor", "role", "state" };
	struct json_object *params = json_new();

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (args_str(&v->args, names[i], NULL))
			json_add_str(params, names[i], args_str(&v->args, names[i], ""));
	if (args_flag(&v->args, "group"))
		json_add_int(params, "group", (int64_t)args_number(&v->args, "group", 0));
	return params;
}

int cmd_pci_list(struct vmctl *v)
{
	struct client_reply reply;
	struct json_object *list;
	int status = vmctl_call(v, "pci.list", pci_filters(v), &reply, "list PCI devices");

	list = json_get(reply.result, "functions");
	if (status != EXIT_OK)
		; /* printed */
	else if (v->out.format == OUTPUT_JSON)
		output_json(&v->out, "pci.list", reply.result);
	else if (v->out.format == OUTPUT_NAME)
		pci_addresses(v, list);
	else
		pci_table(v, list);
	if (status == EXIT_OK && v->out.format <= OUTPUT_WIDE && !json_object_array_length(list))
		output_note(&v->out, "no such PCI devices");
	client_reply_fini(&reply);
	return status;
}

int cmd_pci_groups(struct vmctl *v)
{
	struct client_reply reply;
	struct json_object *groups;
	AUTO_JSON struct json_object *all = json_object_new_array();
	int status = vmctl_call(v, "pci.groups", NULL, &reply, "list IOMMU groups");

	groups = json_get(reply.result, "groups");
	for (size_t i = 0; groups && i < json_object_array_length(groups); i++) {
		struct json_object *group = json_object_array_get_idx(groups, i);
		struct json_object *members = json_get(group, "members");

		if (v->out.format == OUTPUT_NAME)
			fprintf(v->out.out, "%" PRId64 "\n", json_get_int(group, "group", 0));
		for (size_t k = 0; k < json_object_array_length(members); k++)
			json_object_array_add(
				all, json_object_get(json_object_array_get_idx(members, k)));
	}
	if (status == EXIT_OK && v->out.format == OUTPUT_JSON)
		output_json(&v->out, "pci.groups", reply.result);
	else if (status == EXIT_OK && v->out.format != OUTPUT_NAME)
		pci_table(v, all);
	if (status == EXIT_OK && v->out.format <= OUTPUT_WIDE && !json_object_array_length(groups))
		output_note(&v->out, "no IOMMU groups; vmctl host doctor says why");
	client_reply_fini(&reply);
	return status;
}

/* --- one of them ----------------------------------------------------------------------------------- */

/* A card may have hundreds of VFs. */
static void pci_show_addresses(struct table *t, const char *name, struct json_object *list)
{
	char text[PCI_LINE * 24] = "";

	for (size_t i = 0; list && i < json_object_array_length(list); i++) {
		snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%.20s",
			 text[0] ? " " : "",
			 json_object_get_string(json_object_array_get_idx(list, i)));
		if (i % PCI_LINE != PCI_LINE - 1 && i + 1 < json_object_array_length(list))
			continue;
		table_pair(t, name, "%s", text);
		text[0] = '\0';
		name = " ";
	}
}

static void pci_show_sriov(struct table *t, struct json_object *f)
{
	struct json_object *vfs = json_get(f, "vfs");

	if (json_get(f, "pf"))
		table_pair(t, "VF:", "%" PRId64 " of %s", json_get_int(f, "vf", -1),
			   json_get_str(f, "pf", "?"));
	pci_show_addresses(t, "Siblings:", json_get(f, "siblings"));
	if (!vfs)
		return;
	table_pair(t, "VFs:", "%" PRId64 " of %" PRId64 "%s", json_get_int(vfs, "count", 0),
		   json_get_int(vfs, "total", 0),
		   json_get_bool(vfs, "autoprobe", true) ? "" : ", left without drivers");
	pci_show_addresses(t, " ", json_get(f, "children"));
}

static void pci_show_bars(struct table *t, struct json_object *bars)
{
	char size[24];

	for (size_t i = 0; bars && i < json_object_array_length(bars); i++) {
		struct json_object *b = json_object_array_get_idx(bars, i);

		table_pair(t, i ? " " : "BARs:", "%" PRId64 ": %s %s%s%s",
			   json_get_int(b, "bar", 0),
			   output_size((uint64_t)json_get_int(b, "size", 0), size),
			   json_get_str(b, "type", "?"),
			   json_get_bool(b, "64bit", false) ? ", 64 bit" : "",
			   json_get_bool(b, "prefetchable", false) ? ", prefetchable" : "");
	}
}

static void pci_show_texts(struct table *t, const char *name, struct json_object *list,
			   const char *key)
{
	for (size_t i = 0; list && i < json_object_array_length(list); i++)
		table_pair(t, i ? " " : name, "%s",
			   json_get_str(json_object_array_get_idx(list, i), key, "?"));
}

static void pci_show_identity(struct table *t, struct json_object *f)
{
	struct json_object *id = json_get(f, "identity");

	table_pair(t, "Address:", "%s", json_get_str(f, "pci", "?"));
	table_pair(t, "Device:", "%s %s [%s:%s] rev %s", json_get_str(f, "vendor_name", ""),
		   json_get_str(f, "device_name", ""), json_get_str(f, "vendor", "?"),
		   json_get_str(f, "device", "?"), json_get_str(f, "revision", "?"));
	table_pair(t, "Class:", "%s [%s]", json_get_str(f, "class_name", ""),
		   json_get_str(f, "class", "?"));
	if (json_get(id, "serial"))
		table_pair(t, "Serial:", "%s", json_get_str(id, "serial", ""));
	if (json_get(id, "mac"))
		table_pair(t, "MAC:", "%s%s", json_get_str(id, "mac", ""),
			   json_get(f, "pf") ? " (of its PF)" : "");
	if (json_get(id, "slot"))
		table_pair(t, "Slot:", "%s", json_get_str(id, "slot", ""));
}

static void pci_show_host(struct table *t, struct json_object *f)
{
	struct json_object *link = json_get(f, "link");
	const char *driver = json_get_str(f, "driver", "");
	char text[200];

	table_pair(t, "State:", "%s", json_get_str(f, "state", "?"));
	if (json_get(f, "lease"))
		table_pair(t, "Lease:", "%s", json_get_str(json_get(f, "lease"), "vm", "?"));
	table_pair(t, "Driver:", "%s%s%s", driver[0] ? driver : "none",
		   json_get(f, "override") ? ", override " : "", json_get_str(f, "override", ""));
	if (json_get(f, "group"))
		table_pair(t, "IOMMU group:", "%" PRId64, json_get_int(f, "group", 0));
	else
		table_pair(t, "IOMMU group:", "none");
	if (json_get(f, "numa"))
		table_pair(t, "NUMA node:", "%" PRId64, json_get_int(f, "numa", 0));
	pci_join(json_get(f, "reset"), " ", text, sizeof(text));
	table_pair(t, "Reset:", "%s", text[0] ? text : "none");
	if (link)
		table_pair(t, "Link:", "%s x%s, at most %s x%s", json_get_str(link, "speed", "?"),
			   json_get_str(link, "width", "?"), json_get_str(link, "max_speed", "?"),
			   json_get_str(link, "max_width", "?"));
	if (json_get(f, "parent"))
		table_pair(t, "Bridge:", "%s", json_get_str(f, "parent", ""));
}

static void pci_show(struct vmctl *v, struct json_object *f)
{
	struct table t;

	table_init(&t);
	table_column(&t, "", TABLE_LEFT);
	table_column(&t, "", TABLE_LEFT);
	pci_show_identity(&t, f);
	pci_show_host(&t, f);
	pci_show_sriov(&t, f);
	pci_show_bars(&t, json_get(f, "bars"));
	pci_show_texts(&t, "Capabilities:", json_get(f, "capabilities"), "name");
	pci_show_texts(&t, "Used by:", json_get(f, "uses"), "text");
	if (json_get_bool(f, "more_uses", false))
		table_pair(&t, " ", "and more");
	table_print(&t, v->out.out, false, false);
	table_fini(&t);
}

/* pci.get or pci.doctor of the operand. */
static int pci_ask(struct vmctl *v, const char *method, const char *verb,
		   struct client_reply *ret_reply)
{
	char op[100];

	snprintf(op, sizeof(op), "%s '%.64s'", verb, v->args.operands[0]);
	return vmctl_call(v, method, json_add_str(json_new(), "pci", v->args.operands[0]),
			  ret_reply, op);
}

int cmd_pci_show(struct vmctl *v)
{
	struct client_reply reply;
	int status = pci_ask(v, "pci.get", "show", &reply);

	if (status != EXIT_OK)
		; /* printed */
	else if (v->out.format == OUTPUT_JSON)
		output_json(&v->out, "pci.show", reply.result);
	else if (v->out.format == OUTPUT_NAME)
		fprintf(v->out.out, "%s\n", json_get_str(reply.result, "pci", "?"));
	else
		pci_show(v, reply.result);
	client_reply_fini(&reply);
	return status;
}

/* --- the doctor ------------------------------------------------------------------------------------- */

static void pci_doctor_says(struct vmctl *v, const char *what, struct json_object *list)
{
	for (size_t i = 0; list && i < json_object_array_length(list); i++) {
		struct json_object *o = json_object_array_get_idx(list, i);
		struct json_object *causes = json_get(o, "cause");

		fprintf(v->out.out, "\n%s: %s\n", what, json_get_str(o, "message", "?"));
		for (size_t k = 0; causes && k < json_object_array_length(causes); k++)
			fprintf(v->out.out, "  %s\n",
				json_object_get_string(json_object_array_get_idx(causes, k)));
		if (json_get(o, "hint"))
			fprintf(v->out.out, "  hint: %s\n", json_get_str(o, "hint", ""));
	}
}

static void pci_doctor_group(struct vmctl *v, struct json_object *f)
{
	struct json_object *members = json_get(f, "members"), *acs = json_get(f, "acs");

	if (!members || json_object_array_length(members) < 2)
		return;
	fprintf(v->out.out, "\nIOMMU group %" PRId64 ":\n", json_get_int(f, "group", 0));
	pci_table(v, members);
	for (size_t i = 0; acs && i < json_object_array_length(acs); i++) {
		struct json_object *b = json_object_array_get_idx(acs, i);

		fprintf(v->out.out, "together because %s %s\n", json_get_str(b, "bridge", "?"),
			json_get_str(b, "lacks", "?"));
	}
}

static void pci_doctor(struct vmctl *v, struct json_object *f)
{
	struct json_object *uses = json_get(f, "uses");
	const char *fragment = json_get_str(f, "fragment", NULL);

	fprintf(v->out.out, "%s %s %s: %s\n", json_get_str(f, "pci", "?"),
		json_get_str(f, "vendor_name", ""), json_get_str(f, "device_name", ""),
		json_get_bool(f, "assignable", false) ? "can be passed through"
						      : "cannot be passed through as it is");
	pci_doctor_says(v, "problem", json_get(f, "problems"));
	pci_doctor_says(v, "warning", json_get(f, "warnings"));
	for (size_t i = 0; uses && i < json_object_array_length(uses); i++)
		fprintf(v->out.out, "%s  %s\n", i ? "" : "\nThe host would lose:\n",
			json_get_str(json_object_array_get_idx(uses, i), "text", "?"));
	pci_doctor_group(v, f);
	if (fragment)
		fprintf(v->out.out, "\nIn a VM file:\n%s", fragment);
}

int cmd_pci_doctor(struct vmctl *v)
{
	struct client_reply reply;
	int status = pci_ask(v, "pci.doctor", "examine", &reply);

	if (status != EXIT_OK) {
		client_reply_fini(&reply); /* printed */
		return status;
	}
	if (!json_get_bool(reply.result, "assignable", false))
		status = EXIT_PRECONDITION;
	if (v->out.format == OUTPUT_JSON)
		output_json(&v->out, "pci.doctor", reply.result);
	else if (v->out.format == OUTPUT_NAME)
		fprintf(v->out.out, "%s\n", status == EXIT_OK ? "ok" : "fail");
	else
		pci_doctor(v, reply.result);
	client_reply_fini(&reply);
	return status;
}
