// SPDX-License-Identifier: MIT
/* vmctl show: all about one VM, for people in blocks of "Name: value". */
#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "lib/auto.h"
#include "lib/errcat.h"
#include "vmctl/lease.h"
#include "vmctl/stats.h"
#include "vmctl/table.h"
#include "vmctl/vmctl.h"

#define SHOW_PATH_KEYS 3

static void show_time(struct table *t, const char *name, const char *rfc3339)
{
	char age[24];

	if (rfc3339)
		table_pair(t, name, "%s (%s ago)", rfc3339, output_age(rfc3339, time(NULL), age));
}

static void show_exit(struct table *t, struct json_object *exit)
{
	const char *message = json_get_str(exit, "message", "");

	if (!exit)
		return;
	table_pair(t, "Last exit:", "%s%s%s", json_get_str(exit, "reason", "?"),
		   message[0] ? ": " : "", message);
	show_time(t, "", json_get_str(exit, "time", NULL));
}

static void show_state(struct table *t, struct json_object *vm)
{
	struct json_object *observed = json_get(vm, "observed");
	const char *state = json_get_str(observed, "state", "?");
	int64_t pid = json_get_int(observed, "pid", 0);
	int64_t revision = json_get_int(vm, "revision", 0);
	int64_t runs = json_get_int(observed, "revision", revision);

	table_pair(t, "State:", "%s (asked for: %s)", state, json_get_str(vm, "desired", "?"));
	show_time(t, "Since:", json_get_str(observed, "since", NULL));
	if (pid)
		table_pair(t, "Process:", "%" PRId64, pid);
	if (runs != revision)
		table_pair(t,
			   "Revision:", "%" PRId64 " (revision %" PRId64 " runs until a restart)",
			   revision, runs);
	else
		table_pair(t, "Revision:", "%" PRId64, revision);
	show_exit(t, json_get(observed, "exit"));
}

static void show_consoles(struct table *t, struct json_object *consoles)
{
	char text[200] = "";

	for (size_t i = 0; consoles && i < json_object_array_length(consoles); i++)
		snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%s", i ? ", " : "",
			 json_object_get_string(json_object_array_get_idx(consoles, i)));
	if (text[0])
		table_pair(t, "Consoles:", "%s", text);
}

static void show_boot(struct table *t, struct json_object *boot)
{
	static const char *const names[][2] = { { "kernel", "Kernel:" },
						{ "initrd", "Initrd:" },
						{ "cmdline", "Command line:" },
						{ "firmware", "Firmware:" } };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (json_get_str(boot, names[i][0], NULL))
			table_pair(t, names[i][1], "%s", json_get_str(boot, names[i][0], ""));
}

/* What a device stands on: its file or its backend. */
static const char *show_backend(struct json_object *device)
{
	static const char *const keys[SHOW_PATH_KEYS] = { "path", "backend", "source" };

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		if (json_get_str(device, keys[i], NULL))
			return json_get_str(device, keys[i], NULL);
	return NULL;
}

/* "bridge br0, VLAN 100", of a definition or of what runs; NULL for what is no network card's. */
static const char *show_network(struct json_object *network, char *out, size_t size)
{
	static const char *const kinds[] = { "bridge", "private", "tap", "user" };
	int64_t vlan = json_get_int(network, "vlan", 0);
	const char *name;
	size_t i = 0;

	while (i < ARRAY_SIZE(kinds) && !json_get(network, kinds[i]))
		i++;
	if (i == ARRAY_SIZE(kinds))
		return NULL;
	name = json_get_str(network, kinds[i], "");
	snprintf(out, size, "%s%s%s", kinds[i], name[0] ? " " : "", name);
	if (vlan)
		snprintf(out + strlen(out), size - strlen(out), ", VLAN %" PRId64, vlan);
	return out;
}

static void show_devices(struct vmctl *v, struct json_object *devices)
{
	struct table table;
	char text[160];

	if (!devices || !json_object_array_length(devices))
		return;
	table_init(&table);
	table_column(&table, "DEVICE", TABLE_LEFT);
	table_column(&table, "TYPE", TABLE_LEFT);
	table_column(&table, "ADDRESS", TABLE_LEFT);
	table_column(&table, "BACKEND", TABLE_LEFT);
	for (size_t i = 0; i < json_object_array_length(devices); i++) {
		struct json_object *d = json_object_array_get_idx(devices, i);

		table_cell(&table, json_get_str(d, "id", NULL), NULL);
		table_cell(&table, json_get_str(d, "type", NULL), NULL);
		table_cell(&table, json_get_str(d, "address", json_get_str(d, "port", NULL)), NULL);
		table_cell(&table,
			   json_get(d, "network")
				   ? show_network(json_get(d, "network"), text, sizeof(text))
				   : show_backend(d),
			   NULL);
	}
	fputc('\n', v->out.out);
	table_print(&table, v->out.out, v->out.header, false);
	table_fini(&table);
}

/* Those of the host that it has, or had and could not give back. */
static void show_leases(struct vmctl *v, struct json_object *leases)
{
	if (!leases || !json_object_array_length(leases))
		return;
	fputc('\n', v->out.out);
	lease_table(v, leases, false);
}

/* Of one that runs, what it uses; NULL where that cannot be had, which is no failure of `show`. */
static struct json_object *show_stats(struct vmctl *v, struct json_object *vm)
{
	struct json_object *stats = NULL;
	struct client_reply reply;

	if (!json_get(json_get(vm, "observed"), "pid"))
		return NULL;
	if (client_call(&v->client, "vm.stats",
			json_add_str(json_new(), "vm", json_get_str(vm, "id", "")), &reply,
			NULL) >= 0)
		stats = json_object_get(reply.result);
	client_reply_fini(&reply);
	return stats;
}

static const char *show_yes(struct json_object *o, const char *key)
{
	if (!json_get(o, key))
		return NULL;
	return json_get_bool(o, key, false) ? "yes" : "no";
}

/* "bridge, VLAN 100", "private backstage" */
static const char *show_kind(struct json_object *nic, char *out, size_t size)
{
	const char *name = json_get_str(nic, "private", "");
	int64_t vlan = json_get_int(nic, "vlan", 0);

	snprintf(out, size, "%s%s%s", json_get_str(nic, "network", "-"), name[0] ? " " : "", name);
	if (vlan)
		snprintf(out + strlen(out), size - strlen(out), ", VLAN %" PRId64, vlan);
	return out;
}

/* Where the ports of its consoles lead to. */
static void show_ports(struct vmctl *v, struct json_object *list)
{
	static const char *const columns[] = { "DEVICE", "PORT", "BACKEND", "PATH" };
	static const char *const keys[] = { "device", "name", "backend", "path" };
	struct table table;

	if (!list || !json_object_array_length(list))
		return;
	table_init(&table);
	for (size_t i = 0; i < ARRAY_SIZE(columns); i++)
		table_column(&table, columns[i], TABLE_LEFT);
	for (size_t i = 0; i < json_object_array_length(list); i++)
		for (size_t k = 0; k < ARRAY_SIZE(keys); k++)
			table_cell(&table,
				   json_get_str(json_object_array_get_idx(list, i), keys[k], NULL),
				   NULL);
	fputc('\n', v->out.out);
	table_print(&table, v->out.out, v->out.header, false);
	table_fini(&table);
}

/* The cards of one that runs, as the host has them. */
static void show_networks(struct vmctl *v, struct json_object *list)
{
	static const char *const columns[] = { "DEVICE", "MAC",	  "NETWORK", "BRIDGE",
					       "TAP",	 "VHOST", "GUARDED", "LINK" };
	struct table table;
	char text[160];

	if (!list || !json_object_array_length(list))
		return;
	table_init(&table);
	for (size_t i = 0; i < ARRAY_SIZE(columns); i++)
		table_column(&table, columns[i], TABLE_LEFT);
	for (size_t i = 0; i < json_object_array_length(list); i++) {
		struct json_object *n = json_object_array_get_idx(list, i);

		table_cell(&table, json_get_str(n, "device", NULL), NULL);
		table_cell(&table, json_get_str(n, "mac", NULL), NULL);
		table_cell(&table, show_kind(n, text, sizeof(text)), NULL);
		table_cell(&table, json_get_str(n, "bridge", NULL), NULL);
		table_cell(&table, json_get_str(n, "tap", NULL), NULL);
		table_cell(&table,
			   json_get_bool(n, "vhost_failed", false) ? "failed"
								   : show_yes(n, "vhost"),
			   NULL);
		table_cell(&table, show_yes(n, "guarded"), NULL);
		table_cell(&table,
			   json_get_bool(n, "lost", false) ? "lost" : json_get_str(n, "link", NULL),
			   NULL);
	}
	fputc('\n', v->out.out);
	table_print(&table, v->out.out, v->out.header, false);
	table_fini(&table);
}

/* The place of a disk at its controller stands for an address. */
static const char *show_attachment(struct json_object *o, const char *key, char place[static 96])
{
	const char *controller = json_get_str(o, "controller", NULL);

	if (!controller || strcmp(key, "address") != 0)
		return json_get_str(o, key, NULL);
	if (json_get(o, "unit"))
		snprintf(place, 96, "%s unit %lld", controller,
			 (long long)json_get_int(o, "unit", 0));
	else
		snprintf(place, 96, "%s LUN %lld", controller,
			 (long long)json_get_int(o, "lun", 0));
	return place;
}

/* How the devices of one that runs differ from those of its revision. */
static void show_attachments(struct vmctl *v, struct json_object *list)
{
	static const char *const columns[][2] = {
		{ "DEVICE", "device" }, { "TYPE", "type" }, { "ADDRESS", "address" },
		{ "STATE", "state" },	{ "PCI", "pci" },
	};
	struct table table;
	char place[96];

	if (!list || !json_object_array_length(list))
		return;
	table_init(&table);
	for (size_t i = 0; i < ARRAY_SIZE(columns); i++)
		table_column(&table, columns[i][0], TABLE_LEFT);
	for (size_t i = 0; i < json_object_array_length(list); i++)
		for (size_t k = 0; k < ARRAY_SIZE(columns); k++)
			table_cell(&table,
				   show_attachment(json_object_array_get_idx(list, i),
						   columns[k][1], place),
				   NULL);
	fputc('\n', v->out.out);
	table_print(&table, v->out.out, v->out.header, false);
	table_fini(&table);
}

static void show_print(struct vmctl *v, struct json_object *vm)
{
	AUTO_JSON struct json_object *stats = show_stats(v, vm);
	struct table table;
	char size[24];

	table_init(&table);
	table_column(&table, "", TABLE_LEFT);
	table_column(&table, "", TABLE_LEFT);
	table_pair(&table, "Name:", "%s", json_get_str(vm, "name", "?"));
	table_pair(&table, "Id:", "%s", json_get_str(vm, "id", "?"));
	show_state(&table, vm);
	table_pair(&table, "Profile:", "%s", json_get_str(vm, "profile", "?"));
	table_pair(&table, "CPUs:", "%" PRId64, json_get_int(vm, "cpus", 0));
	table_pair(&table, "Memory:", "%s",
		   output_size((uint64_t)json_get_int(vm, "memory", 0), size));
	if (json_get_str(vm, "origin", NULL))
		table_pair(&table, "Applied from:", "%s", json_get_str(vm, "origin", ""));
	stats_pairs(&table, stats);
	show_boot(&table, json_get(json_get(vm, "config"), "boot"));
	show_consoles(&table, json_get(vm, "consoles"));
	show_time(&table, "Created:", json_get_str(vm, "created", NULL));
	show_time(&table, "Updated:", json_get_str(vm, "updated", NULL));
	table_print(&table, v->out.out, false, false);
	table_fini(&table);
	show_devices(v, json_get(json_get(vm, "config"), "devices"));
	show_attachments(v, json_get(vm, "attachments"));
	show_networks(v, json_get(vm, "networks"));
	show_ports(v, json_get(vm, "ports"));
	show_leases(v, json_get(vm, "leases"));
}

int cmd_show(struct vmctl *v)
{
	struct client_reply reply;
	char op[100];
	int status;

	/* OpenBSD's `vmctl status` without a VM lists all of them */
	if (!v->args.noperands)
		return cmd_list(v);
	snprintf(op, sizeof(op), "show '%s'", v->args.operands[0]);
	status = vmctl_call(v, "vm.get", json_add_str(json_new(), "vm", v->args.operands[0]),
			    &reply, op);
	if (status != EXIT_OK)
		; /* printed */
	else if (v->out.format == OUTPUT_JSON)
		output_json(&v->out, "show", reply.result);
	else if (v->out.format == OUTPUT_NAME)
		fprintf(v->out.out, "%s\n", json_get_str(reply.result, "name", "?"));
	else
		show_print(v, reply.result);
	client_reply_fini(&reply);
	return status;
}
