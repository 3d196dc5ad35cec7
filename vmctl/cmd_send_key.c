// SPDX-License-Identifier: MIT
/* vmctl send-key: type on a VM's keyboard. */
#include <stdio.h>

#include "lib/errcat.h"
#include "vmctl/vmctl.h"

/* EXIT_OK, or the status after the error was printed. */
static int send_key_params(struct vmctl *v, struct json_object *params)
{
	const char *text = args_str(&v->args, "text", NULL);
	bool keys = v->args.noperands > 1;
	struct json_object *list;

	if (!text == !keys)
		return vmctl_usage(v, "send-key VM: give KEYs such as ctrl+alt+delete, or --text");
	json_add_int(params, "hold_ms", (int64_t)args_number(&v->args, "hold", 20));
	if (text) {
		json_add_str(params, "text", text);
		return EXIT_OK;
	}
	list = json_object_new_array();
	for (size_t i = 1; i < v->args.noperands; i++)
		json_object_array_add(list, json_object_new_string(v->args.operands[i]));
	json_add(params, "keys", list);
	return EXIT_OK;
}

static void send_key_print(struct vmctl *v, struct json_object *r)
{
	char name[80];

	snprintf(name, sizeof(name), "%s", json_get_str(r, "name", "?"));
	output_clean(name);
	if (v->out.format == OUTPUT_JSON)
		output_json(&v->out, "keys", r);
	else
		fprintf(v->out.out, v->out.format == OUTPUT_NAME ? "%s\n" : "%s: sent\n", name);
}

int cmd_send_key(struct vmctl *v)
{
	struct json_object *params = json_add_str(json_new(), "vm", v->args.operands[0]);
	struct client_reply reply;
	char op[100];
	int status = send_key_params(v, params);

	if (status != EXIT_OK) {
		json_object_put(params);
		return status;
	}
	snprintf(op, sizeof(op), "type on '%.70s'", v->args.operands[0]);
	status = vmctl_call(v, "vm.send_key", params, &reply, op);
	if (status == EXIT_OK)
		send_key_print(v, reply.result);
	client_reply_fini(&reply);
	return status;
}
