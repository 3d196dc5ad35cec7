// SPDX-License-Identifier: MIT
/* vmctl resize: a running VM is told that the image of one of its disks has become larger. */
#include <stdio.h>

#include "lib/errcat.h"
#include "vmctl/stats.h"
#include "vmctl/vmctl.h"

static void resize_print(struct vmctl *v, struct json_object *r)
{
	const char *note = json_get_str(r, "note", NULL);
	char name[80], device[80], size[24];

	snprintf(name, sizeof(name), "%s", json_get_str(r, "name", "?"));
	snprintf(device, sizeof(device), "%s", json_get_str(r, "device", "?"));
	output_clean(name);
	output_clean(device);
	if (v->out.format == OUTPUT_JSON)
		output_json(&v->out, "resize", r);
	else if (v->out.format == OUTPUT_NAME)
		fprintf(v->out.out, "%s\n", name);
	else if (note)
		output_note(&v->out, "%s: disk '%s': %s", name, device, note);
	else
		fprintf(v->out.out, "%s: disk '%s' has %s\n", name, device,
			stats_size(r, "size", size) ? size : "?");
}

static int resize_strict(struct vmctl *v, struct json_object *r, const char *op)
{
	struct err e;

	if (!args_flag(&v->args, "strict") || args_flag(&v->args, "dry-run") ||
	    json_get_bool(r, "changed", true))
		return EXIT_OK;
	err_set(&e, ERR_VM_STATE, "%s", json_get_str(r, "note", "there is nothing to do"));
	err_hint(&e, "without --strict this is no error");
	return vmctl_fail(v, &e, NULL, "%s", op);
}

int cmd_resize(struct vmctl *v)
{
	struct json_object *params = json_add_str(json_new(), "vm", v->args.operands[0]);
	struct client_reply reply;
	char op[160];
	int status;

	json_add_str(params, "device", v->args.operands[1]);
	if (args_flag(&v->args, "dry-run"))
		json_add_bool(params, "dry_run", true);
	snprintf(op, sizeof(op), "resize disk '%.60s' of '%.70s'", v->args.operands[1],
		 v->args.operands[0]);
	status = vmctl_call(v, "vm.resize", params, &reply, op);
	if (status == EXIT_OK)
		status = resize_strict(v, reply.result, op);
	if (status == EXIT_OK)
		resize_print(v, reply.result);
	client_reply_fini(&reply);
	return status;
}
