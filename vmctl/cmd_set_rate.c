// SPDX-License-Identifier: MIT
/* vmctl set-rate: the limits of a running VM's disk. */
#include <inttypes.h>
#include <stdio.h>

#include "lib/errcat.h"
#include "vmctl/stats.h"
#include "vmctl/vmctl.h"

static void set_rate_line(struct vmctl *v, struct json_object *r)
{
	int64_t ops = json_get_int(r, "ops_per_second", 0);
	char name[80], device[80], bytes[24];

	snprintf(name, sizeof(name), "%s", json_get_str(r, "name", "?"));
	snprintf(device, sizeof(device), "%s", json_get_str(r, "device", "?"));
	output_clean(name);
	output_clean(device);
	fprintf(v->out.out, "%s: disk '%s' may do ", name, device);
	if (!json_get_int(r, "bytes_per_second", 0))
		fprintf(v->out.out, "any number of bytes");
	else
		fprintf(v->out.out, "%s", stats_size(r, "bytes_per_second", bytes));
	if (ops)
		fprintf(v->out.out, " and %" PRId64 " requests", ops);
	else
		fprintf(v->out.out, " and any number of requests");
	fprintf(v->out.out, " a second, those of %" PRId64 " ms at once\n",
		json_get_int(r, "burst_ms", 0));
}

static bool set_rate_wants(const struct vmctl *v)
{
	return args_str(&v->args, "bytes", NULL) || args_str(&v->args, "ops", NULL) ||
	       args_str(&v->args, "burst", NULL);
}

static int set_rate_print(struct vmctl *v, struct json_object *r, const char *op)
{
	const char *note = json_get_str(r, "note", NULL);
	struct err e;

	if (set_rate_wants(v) && note && args_flag(&v->args, "strict") &&
	    !args_flag(&v->args, "dry-run")) {
		err_set(&e, ERR_VM_STATE, "%s", note);
		err_hint(&e, "without --strict this is no error");
		return vmctl_fail(v, &e, NULL, "%s", op);
	}
	if (v->out.format == OUTPUT_JSON)
		output_json(&v->out, "set-rate", r);
	else if (v->out.format == OUTPUT_NAME)
		fprintf(v->out.out, "%s\n", json_get_str(r, "device", "?"));
	else
		set_rate_line(v, r);
	if ((v->out.format == OUTPUT_TABLE || v->out.format == OUTPUT_WIDE) && set_rate_wants(v) &&
	    note)
		output_note(&v->out, "%s", note);
	return EXIT_OK;
}

int cmd_set_rate(struct vmctl *v)
{
	struct json_object *params = json_add_str(json_new(), "vm", v->args.operands[0]);
	const char *bytes = args_str(&v->args, "bytes", NULL);
	struct client_reply reply;
	char op[160];
	int status;

	json_add_str(params, "device", v->args.operands[1]);
	if (bytes)
		json_add_str(params, "bytes_per_second", bytes);
	if (args_str(&v->args, "ops", NULL))
		json_add_int(params, "ops_per_second", (int64_t)args_number(&v->args, "ops", 0));
	if (args_str(&v->args, "burst", NULL))
		json_add_int(params, "burst_ms", (int64_t)args_number(&v->args, "burst", 0));
	if (args_flag(&v->args, "dry-run"))
		json_add_bool(params, "dry_run", true);
	snprintf(op, sizeof(op), "set the limits of disk '%.60s' of '%.60s'", v->args.operands[1],
		 v->args.operands[0]);
	status = vmctl_call(v, "vm.set_rate", params, &reply, op);
	if (status == EXIT_OK)
		status = set_rate_print(v, reply.result, op);
	client_reply_fini(&reply);
	return status;
}
