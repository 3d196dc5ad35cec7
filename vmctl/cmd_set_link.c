// SPDX-License-Identifier: MIT
/* vmctl set-link: the cable of a network card. */
#include <stdio.h>

#include "lib/errcat.h"
#include "lib/json.h"
#include "vmctl/command.h"
#include "vmctl/vmctl.h"

static int set_link_print(struct vmctl *v, struct json_object *r, const char *op)
{
	bool changed = json_get_bool(r, "changed", true);
	const char *note = json_get_str(r, "note", "nothing to do");
	struct err e;

	if (!changed && args_flag(&v->args, "strict") && !args_flag(&v->args, "dry-run")) {
		err_set(&e, ERR_VM_STATE, "%s", note);
		err_hint(&e, "without --strict this is no error");
		return vmctl_fail(v, &e, NULL, "%s", op);
	}
	if (v->out.format == OUTPUT_JSON)
		output_json(&v->out, "set-link", r);
	else if (v->out.format == OUTPUT_NAME)
		fprintf(v->out.out, "%s\n", json_get_str(r, "device", "?"));
	else if (changed)
		fprintf(v->out.out, "%s: link of %s is %s\n", json_get_str(r, "name", "?"),
			json_get_str(r, "device", "?"), json_get_str(r, "link", "?"));
	else
		output_note(&v->out, "%s: link of %s: %s", json_get_str(r, "name", "?"),
			    json_get_str(r, "device", "?"), note);
	return EXIT_OK;
}

int cmd_set_link(struct vmctl *v)
{
	struct json_object *params = json_add_str(json_new(), "vm", v->args.operands[0]);
	struct client_reply reply;
	char op[160];
	int status;

	json_add_str(params, "device", v->args.operands[1]);
	json_add_str(params, "link", v->args.operands[2]);
	if (args_flag(&v->args, "dry-run"))
		json_add_bool(params, "dry_run", true);
	snprintf(op, sizeof(op), "set the link of '%.60s' of '%.60s'", v->args.operands[1],
		 v->args.operands[0]);
	status = vmctl_call(v, "vm.set_link", params, &reply, op);
	if (status == EXIT_OK)
		status = set_link_print(v, reply.result, op);
	client_reply_fini(&reply);
	return status;
}
