// SPDX-License-Identifier: MIT
/* vmctl media: what is in the drives of a VM; another medium for one, or none. */
#include <stdio.h>
#include <string.h>

#include "lib/errcat.h"
#include "vmctl/table.h"
#include "vmctl/vmctl.h"

static void media_table(struct vmctl *v, struct json_object *drives)
{
	struct table t;

	table_init(&t);
	table_column(&t, "DRIVE", TABLE_LEFT);
	table_column(&t, "MEDIUM", TABLE_LEFT);
	table_column(&t, "TRAY", TABLE_LEFT);
	table_column(&t, "LOCKED", TABLE_LEFT);
	for (size_t i = 0; i < json_object_array_length(drives); i++) {
		struct json_object *d = json_object_array_get_idx(drives, i);

		table_cell(&t, json_get_str(d, "id", "?"), NULL);
		table_cell(&t, json_get_bool(d, "medium", false) ? "yes" : "-", NULL);
		table_cell(&t, json_get_bool(d, "open", false) ? "open" : "closed", NULL);
		table_cell(&t, json_get_bool(d, "locked", false) ? "yes" : "-", NULL);
	}
	table_print(&t, v->out.out, v->out.header, false);
	table_fini(&t);
}

static void media_show(struct vmctl *v, struct json_object *r)
{
	struct json_object *drives = json_get(r, "drives");
	size_t n =
		json_object_is_type(drives, json_type_array) ? json_object_array_length(drives) : 0;

	if (v->out.format == OUTPUT_JSON)
		output_json(&v->out, "media", r);
	else if (v->out.format == OUTPUT_NAME)
		for (size_t i = 0; i < n; i++)
			fprintf(v->out.out, "%s\n",
				json_get_str(json_object_array_get_idx(drives, i), "id", "?"));
	else if (n)
		media_table(v, drives);
	else
		output_note(&v->out, "%s: has no drive", v->args.operands[0]);
}

static int media_strict(struct vmctl *v, struct json_object *r, const char *op)
{
	struct err e;

	if (!args_flag(&v->args, "strict") || args_flag(&v->args, "dry-run") ||
	    json_get_bool(r, "changed", true))
		return EXIT_OK;
	err_set(&e, ERR_VM_STATE, "%s", json_get_str(r, "note", "there is nothing to do"));
	err_hint(&e, "without --strict this is no error");
	return vmctl_fail(v, &e, NULL, "%s", op);
}

static void media_changed(struct vmctl *v, struct json_object *r)
{
	const char *drive = v->args.operands[1];
	bool changed = json_get_bool(r, "changed", true);

	if (v->out.format == OUTPUT_JSON)
		output_json(&v->out, "media", r);
	else if (v->out.format == OUTPUT_NAME)
		fprintf(v->out.out, "%s\n", drive);
	else if (!changed)
		output_note(&v->out, "%s: %s: %s", v->args.operands[0], drive,
			    json_get_str(r, "note", "nothing to do"));
	else
		fprintf(v->out.out, "%s: %s %s\n", v->args.operands[0], drive,
			args_flag(&v->args, "eject") ? "emptied" : "loaded");
}

/* EXIT_OK, or the status after the error was printed. */
static int media_params(struct vmctl *v, struct json_object *params)
{
	const char *path = v->args.noperands > 2 ? v->args.operands[2] : NULL;
	const char *format = args_str(&v->args, "format", NULL);
	bool eject = args_flag(&v->args, "eject");
	int status = EXIT_OK;

	if (v->args.noperands < 2)
		return eject || format
			       ? vmctl_usage(v, "media: which drive? `vmctl media VM` lists them")
			       : EXIT_OK;
	json_add_str(params, "drive", v->args.operands[1]);
	if (!path == !eject)
		return vmctl_usage(v, "media VM DRIVE: give the PATH of an image, or --eject");
	if (eject)
		json_add_bool(params, "eject", true);
	if (format)
		json_add_str(params, "format", format);
	if (path)
		status = vmctl_add_path(v, params, path, "load");
	if (args_flag(&v->args, "readonly"))
		json_add_bool(params, "readonly", true);
	if (args_flag(&v->args, "force"))
		json_add_bool(params, "force", true);
	if (args_flag(&v->args, "dry-run"))
		json_add_bool(params, "dry_run", true);
	return status;
}

int cmd_media(struct vmctl *v)
{
	bool change = v->args.noperands > 1;
	struct json_object *params = json_add_str(json_new(), "vm", v->args.operands[0]);
	struct client_reply reply;
	char op[160];
	int status = media_params(v, params);

	if (status != EXIT_OK) {
		json_object_put(params);
		return status;
	}
	if (change)
		snprintf(op, sizeof(op), "change the medium in '%.60s' of '%.60s'",
			 v->args.operands[1], v->args.operands[0]);
	else
		snprintf(op, sizeof(op), "show the drives of '%.70s'", v->args.operands[0]);
	status = vmctl_call(v, "vm.media", params, &reply, op);
	if (status == EXIT_OK && change)
		status = media_strict(v, reply.result, op);
	if (status == EXIT_OK && change)
		media_changed(v, reply.result);
	else if (status == EXIT_OK)
		media_show(v, reply.result);
	client_reply_fini(&reply);
	return status;
}
