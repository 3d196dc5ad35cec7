// SPDX-License-Identifier: MIT
/* vmctl export: definitions as `vmctl apply -f` takes them. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/auto.h"
#include "lib/errcat.h"
#include "lib/vmfile.h"
#include "vmctl/target.h"

struct export
{
	struct client_reply *replies; /* owned */
	int *statuses;		      /* owned */
	size_t n;
};

static int export_call(struct vmctl *v, const char *vm, struct client_reply *ret)
{
	struct json_object *params = json_add_str(json_new(), "vm", vm);
	uint64_t revision = args_number(&v->args, "revision", 0);
	struct err e;
	char op[100];

	if (revision)
		json_add_int(params, "revision", (int64_t)revision);
	if (client_call(&v->client, "vm.export", params, ret, &e) >= 0)
		return EXIT_OK;
	if (e.code == EINTR)
		return VMCTL_EXIT_INTERRUPTED;
	snprintf(op, sizeof(op), "export '%.80s'", vm);
	output_error(&v->out, &e, json_get_str(json_get(ret->error, "data"), "name", NULL), op);
	return (int)errcat_find(e.code)->exit;
}

/* An error that is not of vmd's making has been printed, and is in the status. */
static void export_print_json(struct vmctl *v, const struct export *x)
{
	AUTO_JSON struct json_object *doc = json_new();
	struct json_object *vms = json_object_new_array();

	json_add(doc, "vms", vms);
	for (size_t i = 0; i < x->n; i++) {
		if (x->replies[i].result)
			json_object_array_add(vms, json_object_get(x->replies[i].result));
		else if (x->replies[i].error)
			json_object_array_add(vms, json_add(json_new(), "error",
							    json_object_get(x->replies[i].error)));
	}
	output_json(&v->out, "export", doc);
}

static int export_print_yaml(struct vmctl *v, const struct export *x)
{
	AUTO_FREE struct json_object **documents = calloc(x->n + 1, sizeof(*documents));
	struct err e;
	size_t n = 0;

	if (!documents)
		abort();
	for (size_t i = 0; i < x->n; i++)
		if (x->statuses[i] == EXIT_OK)
			documents[n++] = json_get(x->replies[i].result, "definition");
	if (!n || vmfile_write(v->out.out, documents, n, &e) >= 0)
		return EXIT_OK;
	return vmctl_fail(v, &e, NULL, "%s", "");
}

static int export_print(struct vmctl *v, const struct export *x)
{
	if (v->out.format == OUTPUT_JSON)
		export_print_json(v, x);
	else if (v->out.format != OUTPUT_NAME)
		return export_print_yaml(v, x);
	for (size_t i = 0; v->out.format == OUTPUT_NAME && i < x->n; i++)
		if (x->statuses[i] == EXIT_OK)
			fprintf(v->out.out, "%s\n", json_get_str(x->replies[i].result, "name", ""));
	return EXIT_OK;
}

static int export_all(struct vmctl *v, const struct target_set *set)
{
	struct export x = { .replies = calloc(set->n + 1, sizeof(*x.replies)),
			    .statuses = calloc(set->n + 1, sizeof(*x.statuses)),
			    .n = set->n };
	int status;

	if (!x.replies || !x.statuses)
		abort();
	for (size_t i = 0; i < x.n && !v->client.interrupted; i++)
		x.statuses[i] = export_call(v, set->names[i], &x.replies[i]);
	if (v->client.interrupted) {
		status = VMCTL_EXIT_INTERRUPTED;
	} else {
		status = export_print(v, &x);
		status = status == EXIT_OK ? target_status(x.n, x.statuses) : status;
	}
	for (size_t i = 0; i < x.n; i++)
		client_reply_fini(&x.replies[i]);
	free(x.replies);
	free(x.statuses);
	return status;
}

int cmd_export(struct vmctl *v)
{
	struct target_set set = { 0 };
	int status;

	if (args_str(&v->args, "revision", NULL) && !args_number(&v->args, "revision", 0))
		return vmctl_usage(v, "--revision must be at least 1");
	status = vmctl_connect(v);
	if (status == EXIT_OK)
		status = target_set_find(v, 0, &set);
	if (status == EXIT_OK)
		status = export_all(v, &set);
	target_set_fini(&set);
	return status;
}
