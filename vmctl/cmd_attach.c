// SPDX-License-Identifier: MIT
/* vmctl attach and detach: devices that come and go while a VM runs. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/auto.h"
#include "lib/errcat.h"
#include "lib/json.h"
#include "vmctl/command.h"
#include "vmctl/lease.h"
#include "vmctl/progress.h"
#include "vmctl/vmctl.h"

static void attach_str(const struct vmctl *v, struct json_object *o, const char *key)
{
	const char *value = args_str(&v->args, key, NULL);

	if (value)
		json_add_str(o, key, value);
}

static void attach_number(const struct vmctl *v, struct json_object *o, const char *key)
{
	uint64_t value = args_number(&v->args, key, UINT64_MAX);

	if (value != UINT64_MAX)
		json_add_int(o, key, (int64_t)MIN(value, (uint64_t)INT64_MAX));
}

static void attach_switch(const struct vmctl *v, struct json_object *o, const char *key)
{
	const char *value = args_str(&v->args, key, NULL);

	if (value)
		json_add_bool(o, key, !strcmp(value, "on"));
}

/* "500", or "100-500": the least and the most, in Mbit/s. */
static int attach_rate(const struct vmctl *v, struct json_object *o)
{
	const char *text = args_str(&v->args, "rate", NULL);
	struct json_object *both;
	int64_t min, max;
	char *end;

	if (!text)
		return 0;
	errno = 0;
	min = max = strtoll(text, &end, 10);
	if (end > text && *end == '-' && end[1] >= '0' && end[1] <= '9')
		max = strtoll(end + 1, &end, 10);
	if (*text < '0' || *text > '9' || *end || errno)
		return -EINVAL;
	if (!strchr(text, '-')) {
		json_add_int(o, "rate", max);
		return 0;
	}
	both = json_add_int(json_new(), "min", min);
	json_add(o, "rate", json_add_int(both, "max", max));
	return 0;
}

static int attach_pci(struct vmctl *v, const char *what, struct json_object *params)
{
	const char *pool = args_str(&v->args, "pool", NULL);
	struct json_object *o = json_new();

	json_add(params, "passthrough", o);
	if (!what == !pool)
		return vmctl_usage(v, "attach VM pci: give the ADDRESS of a device, or --pool");
	if (what)
		json_add_str(o, "pci", what);
	attach_str(v, o, "pool");
	attach_str(v, o, "id");
	attach_str(v, o, "mac");
	attach_number(v, o, "vlan");
	attach_number(v, o, "qos");
	attach_switch(v, o, "trust");
	attach_switch(v, o, "spoofchk");
	if (attach_rate(v, o) < 0)
		return vmctl_usage(v,
				   "attach VM pci: --rate '%s' is not the most, or the least "
				   "and the most, in Mbit/s: 500, 100-500",
				   args_str(&v->args, "rate", ""));
	return EXIT_OK;
}

/* The option that names one; NULL: none does */
static const char *attach_controller_kind(const struct vmctl *v)
{
	if (args_flag(&v->args, "scsi"))
		return "scsi";
	return args_flag(&v->args, "ahci") ? "ahci" : NULL;
}

/* Of two controllers, or the place at another one: what is wrong. Else NULL */
static const char *attach_misplaced(const struct vmctl *v)
{
	if (args_flag(&v->args, "scsi") && args_flag(&v->args, "ahci"))
		return "--scsi and --ahci are two controllers";
	if (args_flag(&v->args, "lun") && !args_flag(&v->args, "scsi"))
		return "--lun goes with --scsi";
	return args_flag(&v->args, "unit") && !args_flag(&v->args, "ahci")
		       ? "--unit goes with --ahci"
		       : NULL;
}

/* To a controller: not a device, but one of its disks */
static void attach_to_controller(const struct vmctl *v, struct json_object *params)
{
	const char *kind = attach_controller_kind(v);
	struct json_object *o = json_get(params, "device");

	if (!kind)
		return;
	json_add(params, "disk", json_object_get(o));
	json_object_object_del(o, "type");
	json_object_object_del(params, "device");
	json_add_str(params, "controller", args_str(&v->args, kind, ""));
	attach_number(v, o, "lun");
	attach_number(v, o, "unit");
}

static int attach_backing(struct vmctl *v, struct json_object *o)
{
	struct json_object *list = NULL, *one;
	const char *path;

	for (size_t i = 0; (path = args_item(&v->args, "backing", i)); i++) {
		int status;

		one = json_new();
		status = vmctl_add_path(v, one, path, "attach");
		if (!list)
			json_add(o, "backing", list = json_object_new_array());
		if (status == EXIT_OK)
			json_object_array_add(list, json_object_get(json_get(one, "path")));
		json_object_put(one);
		if (status != EXIT_OK)
			return status;
	}
	return EXIT_OK;
}

/* As they are called in a definition */
static void attach_disk_options(struct vmctl *v, struct json_object *o)
{
	static const struct {
		const char *option, *key;
		bool number;
	} options[] = {
		{ "serial", "serial", false },
		{ "format", "format", false },
		{ "cache", "cache", false },
		{ "on-error", "on_error", false },
		{ "bytes", "bytes_per_second", false },
		{ "queues", "queues", true },
		{ "ops", "ops_per_second", true },
		{ "burst", "burst_ms", true },
	};

	for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
		const char *value = args_str(&v->args, options[i].option, NULL);

		if (value && options[i].number)
			json_add_int(o, options[i].key,
				     (int64_t)MIN(args_number(&v->args, options[i].option, 0),
						  (uint64_t)INT64_MAX));
		else if (value)
			json_add_str(o, options[i].key, value);
	}
	if (args_flag(&v->args, "read-only"))
		json_add_bool(o, "readonly", true);
	if (args_flag(&v->args, "share"))
		json_add_bool(o, "share", true);
}

static int attach_disk(struct vmctl *v, const char *what, struct json_object *params)
{
	struct json_object *o = json_add_str(json_new(), "type", "virtio-blk");
	int status;

	json_add(params, "device", o);
	if (!what)
		return vmctl_usage(v, "attach VM disk: give the PATH of its image");
	attach_str(v, o, "id");
	attach_disk_options(v, o);
	if (attach_misplaced(v))
		return vmctl_usage(v, "attach VM disk: %s", attach_misplaced(v));
	attach_to_controller(v, params);
	status = vmctl_add_path(v, o, what, "attach");
	return status == EXIT_OK ? attach_backing(v, o) : status;
}

static int attach_cdrom(struct vmctl *v, const char *what, struct json_object *params)
{
	struct json_object *o = json_add_str(json_new(), "kind", "cdrom");

	json_add(params, "device", o);
	if (!attach_controller_kind(v))
		return vmctl_usage(v, "attach VM cdrom: give its controller: --scsi ID, --ahci ID");
	if (attach_misplaced(v))
		return vmctl_usage(v, "attach VM cdrom: %s", attach_misplaced(v));
	attach_str(v, o, "id");
	attach_str(v, o, "serial");
	attach_to_controller(v, params);
	return what ? vmctl_add_path(v, json_get(params, "disk"), what, "attach") : EXIT_OK;
}

/* A SCSI device of the host, as it is */
static int attach_scsi(struct vmctl *v, const char *what, struct json_object *params)
{
	struct json_object *o = json_add_str(json_new(), "kind", "passthrough");

	json_add(params, "device", o);
	if (!what)
		return vmctl_usage(v, "attach VM scsi: give the PATH of a SCSI device of the host: "
				      "/dev/sg2");
	if (!args_flag(&v->args, "scsi"))
		return vmctl_usage(v, "attach VM scsi: give its controller: --scsi ID");
	attach_str(v, o, "id");
	attach_to_controller(v, params);
	return vmctl_add_path(v, o, what, "attach");
}

static int attach_rng(struct vmctl *v, const char *what, struct json_object *params)
{
	struct json_object *o = json_add_str(json_new(), "type", "virtio-rng");

	json_add(params, "device", o);
	if (what)
		return vmctl_usage(v, "attach VM rng: what is '%s'?", what);
	attach_str(v, o, "id");
	return EXIT_OK;
}

/* "user", "bridge:br0" */
static int attach_nic(struct vmctl *v, const char *what, struct json_object *params)
{
	static const char *const kinds[] = { "bridge", "private", "tap" };
	const char *type = args_str(&v->args, "type", "virtio-net");
	struct json_object *o = json_add_str(json_new(), "type", type);
	struct json_object *network = json_new();
	uint64_t vlan = args_number(&v->args, "vlan", UINT64_MAX);
	const char *name = what ? strchr(what, ':') : NULL;
	size_t i = 0;

	json_add(params, "device", json_add(o, "network", network));
	attach_str(v, o, "id");
	attach_str(v, o, "mac");
	if (vlan != UINT64_MAX)
		json_add_int(network, "vlan", (int64_t)MIN(vlan, (uint64_t)INT64_MAX));
	if (what && !strcmp(what, "user")) {
		json_add(network, "user", json_new());
		return EXIT_OK;
	}
	while (name && i < ARRAY_SIZE(kinds) &&
	       (strncmp(what, kinds[i], (size_t)(name - what)) != 0 ||
		strlen(kinds[i]) != (size_t)(name - what)))
		i++;
	if (!name || i == ARRAY_SIZE(kinds))
		return vmctl_usage(v, "attach VM nic: give its network: user, bridge:NAME, "
				      "private:NAME or tap:NAME");
	json_add_str(network, kinds[i], name + 1);
	return EXIT_OK;
}

/* A kind, and the options that not all have. */
static const struct {
	const char *name;
	int (*params)(struct vmctl *v, const char *what, struct json_object *params);
	const char *options[16];
} attach_kinds[] = {
	{ "pci", attach_pci, { "pool", "mac", "vlan", "qos", "trust", "spoofchk", "rate" } },
	{ "disk",
	  attach_disk,
	  { "serial", "read-only", "format", "backing", "cache", "on-error", "share", "queues",
	    "bytes", "ops", "burst", "scsi", "lun", "ahci", "unit" } },
	{ "cdrom", attach_cdrom, { "serial", "scsi", "lun", "ahci", "unit" } },
	{ "scsi", attach_scsi, { "scsi", "lun" } },
	{ "nic", attach_nic, { "type", "mac", "vlan" } },
	{ "rng", attach_rng, { NULL } },
};

static bool attach_given(const struct vmctl *v, const char *name)
{
	for (size_t i = 0; i < v->args.nvalues; i++)
		if (!strcmp(v->args.values[i].option->name, name))
			return true;
	return false;
}

static bool attach_has_option(size_t kind, const char *name)
{
	for (const char *const *o = attach_kinds[kind].options; *o; o++)
		if (!strcmp(*o, name))
			return true;
	return false;
}

static int attach_params(struct vmctl *v, struct json_object *params)
{
	const char *kind = v->args.operands[1];
	const char *what = v->args.noperands > 2 ? v->args.operands[2] : NULL;
	size_t of = ARRAY_SIZE(attach_kinds);

	for (size_t i = 0; i < ARRAY_SIZE(attach_kinds); i++)
		if (!strcmp(attach_kinds[i].name, kind))
			of = i;
	if (of == ARRAY_SIZE(attach_kinds))
		return vmctl_usage(v, "attach: '%s' is not pci, scsi, disk, cdrom, nic or rng",
				   kind);
	for (size_t i = 0; i < ARRAY_SIZE(attach_kinds); i++)
		for (const char *const *o = attach_kinds[i].options; i != of && *o; o++)
			if (attach_given(v, *o) && !attach_has_option(of, *o))
				return vmctl_usage(v, "attach VM %s: --%s goes with %s", kind, *o,
						   attach_kinds[i].name);
	return attach_kinds[of].params(v, what, params);
}

static void attach_print(struct vmctl *v, struct json_object *r, const char *done)
{
	const char *note = json_get_str(r, "note", NULL), *job = json_get_str(r, "job", NULL);
	const char *device = json_get_str(r, "device", "?"), *pci = json_get_str(r, "pci", NULL);
	bool changed = json_get_bool(r, "changed", true);
	int64_t revision = json_get_int(r, "revision", 0);
	char schema[32];

	if (v->out.format == OUTPUT_JSON) {
		output_json(&v->out, vmctl_schema(v, schema, sizeof(schema)), r);
		return;
	}
	if (v->out.format == OUTPUT_NAME) {
		fprintf(v->out.out, "%s\n", device);
		return;
	}
	fprintf(v->out.out, "%s: %s", json_get_str(r, "name", "?"), device);
	if (job && args_flag(&v->args, "no-wait"))
		fprintf(v->out.out, " job %s\n", job);
	else if (!changed)
		fprintf(v->out.out, " %s\n", note ? note : "is as it was");
	else
		fprintf(v->out.out, " %s%s%s%s\n", done, pci ? " (" : "", pci ? pci : "",
			pci ? ")" : "");
	if (json_get(r, "plan"))
		lease_plan_print(v, json_get(r, "plan"));
	if (changed && note)
		output_note(&v->out, "%s", note);
	if (revision)
		output_note(&v->out, "written into the definition: revision %lld",
			    (long long)revision);
}

static int attach_call(struct vmctl *v, const char *method, struct json_object *take_params)
{
	struct json_object *params = take_params;
	struct client_reply reply;
	struct progress p;
	char op[100];
	struct err e;
	int status = vmctl_connect(v), r;

	json_add_str(params, "vm", v->args.operands[0]);
	if (args_flag(&v->args, "dry-run"))
		json_add_bool(params, "dry_run", true);
	if (args_flag(&v->args, "persist"))
		json_add_bool(params, "persist", true);
	if (args_flag(&v->args, "no-wait"))
		json_add_bool(params, "wait", false);
	if (status != EXIT_OK) {
		json_object_put(params);
		return status;
	}
	snprintf(op, sizeof(op), "%s a device %s '%.40s'", v->args.command->name,
		 strcmp(method, "vm.attach") ? "of" : "to", v->args.operands[0]);
	progress_init(&p, v);
	r = progress_wait(&p, client_send(&v->client, method, params), &reply, &e);
	progress_fini(&p);
	if (p.told)
		status = VMCTL_EXIT_INTERRUPTED; /* and the job's id was said */
	else if (r < 0)
		status = vmctl_fail(v, &e, &reply, "%s", op);
	else
		attach_print(v, reply.result, v->args.command->done);
	client_reply_fini(&reply);
	return status;
}

int cmd_attach(struct vmctl *v)
{
	struct json_object *params = json_new();
	int status = attach_params(v, params);

	if (status == EXIT_OK)
		return attach_call(v, "vm.attach", params);
	json_object_put(params);
	return status;
}

int cmd_detach(struct vmctl *v)
{
	struct json_object *params = json_add_str(json_new(), "device", v->args.operands[1]);
	uint64_t timeout_ms = args_number(&v->args, "timeout", UINT64_MAX);

	if (timeout_ms != UINT64_MAX)
		json_add_int(params, "timeout_ms", (int64_t)MIN(timeout_ms, (uint64_t)INT64_MAX));
	return attach_call(v, "vm.detach", params);
}
