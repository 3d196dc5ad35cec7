// SPDX-License-Identifier: MIT
/* VMs whose files are gone: see prune.h. */
#include "vmctl/prune.h"

#include <stdlib.h>
#include <string.h>

#include "lib/auto.h"
#include "lib/errcat.h"

static void prune_add(struct prune *p, struct json_object *vm)
{
	struct prune_item *item;

	p->items = realloc(p->items, (p->n + 1) * sizeof(*p->items));
	if (!p->items)
		abort();
	item = &p->items[p->n++];
	*item = (struct prune_item){ .id = strdup(json_get_str(vm, "id", "")),
				     .name = strdup(json_get_str(vm, "name", "?")),
				     .revision = json_get_int(vm, "revision", 0) };
	if (!item->id || !item->name)
		abort();
}

void prune_fini(struct prune *p)
{
	for (size_t i = 0; i < p->n; i++) {
		free(p->items[i].id);
		free(p->items[i].name);
		client_reply_fini(&p->items[i].reply);
	}
	free(p->items);
	*p = (struct prune){ 0 };
}

static void prune_call(struct vmctl *v, struct prune_item *item, bool dry_run)
{
	struct json_object *params = json_add_str(json_new(), "vm", item->id);

	json_add_int(params, "if_revision", item->revision);
	if (dry_run)
		json_add_bool(params, "dry_run", true);
	client_reply_fini(&item->reply);
	item->status = EXIT_OK;
	if (client_call(&v->client, "vm.delete", params, &item->reply, &item->e) < 0)
		item->status = errcat_find(item->e.code)->exit;
}

/* A VM is of one folder, so that no two lists have it. */
static int prune_find_in(struct vmctl *v, const struct files_set *s, const char *folder,
			 struct prune *p)
{
	struct json_object *params = json_add_str(json_new(), "origin", folder);
	struct json_object *fields = json_object_new_array(), *vms;
	struct client_reply reply;
	int status;

	json_object_array_add(fields, json_object_new_string("id"));
	json_object_array_add(fields, json_object_new_string("name"));
	json_object_array_add(fields, json_object_new_string("revision"));
	status = vmctl_call(v, "vm.list", json_add(params, "fields", fields), &reply, "list VMs");
	vms = json_get(reply.result, "vms");
	for (size_t i = 0; vms && i < json_object_array_length(vms); i++) {
		struct json_object *vm = json_object_array_get_idx(vms, i);

		if (!files_has_vm(s, json_get_str(vm, "name", "")))
			prune_add(p, vm);
	}
	client_reply_fini(&reply);
	return status;
}

int prune_find(struct vmctl *v, const struct files_set *s, struct prune *ret)
{
	int status = EXIT_OK;

	*ret = (struct prune){ 0 };
	for (size_t i = 0; i < s->nfolders && status == EXIT_OK; i++)
		status = prune_find_in(v, s, s->folders[i], ret);
	for (size_t i = 0; i < ret->n && status == EXIT_OK && !v->client.interrupted; i++) {
		prune_call(v, &ret->items[i], true);
		ret->bad += ret->items[i].status != EXIT_OK;
	}
	return v->client.interrupted ? VMCTL_EXIT_INTERRUPTED : status;
}

void prune_announce(struct vmctl *v, const struct prune *p)
{
	for (size_t i = 0; i < p->n; i++) {
		struct json_object *removed = json_get(p->items[i].reply.result, "removed");
		char text[400] = "";

		for (size_t k = 0; removed && k < json_object_array_length(removed); k++)
			snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%s",
				 k ? ", " : "",
				 json_object_get_string(json_object_array_get_idx(removed, k)));
		output_note(&v->out, "'%s' is in no file: delete removes: %s", p->items[i].name,
			    text);
	}
}

void prune_run(struct vmctl *v, struct prune *p)
{
	for (size_t i = 0; i < p->n && !v->client.interrupted; i++)
		prune_call(v, &p->items[i], false);
}

void prune_print_errors(struct vmctl *v, const struct prune *p)
{
	for (size_t i = 0; i < p->n; i++) {
		const struct prune_item *item = &p->items[i];
		char op[100];

		if (item->status == EXIT_OK)
			continue;
		snprintf(op, sizeof(op), "delete '%.80s'", item->name);
		output_error(&v->out, &item->e,
			     json_get_str(json_get(item->reply.error, "data"), "name", NULL), op);
	}
}

void prune_print(struct vmctl *v, const struct prune *p)
{
	const char *would = args_flag(&v->args, "dry-run") ? "would be " : "";

	for (size_t i = 0; i < p->n; i++) {
		if (p->items[i].status != EXIT_OK)
			continue;
		if (v->out.format == OUTPUT_NAME)
			fprintf(v->out.out, "%s\n", p->items[i].name);
		else
			fprintf(v->out.out, "%s: %sdeleted\n", p->items[i].name, would);
	}
}

void prune_rows(const struct prune *p, struct json_object *rows)
{
	for (size_t i = 0; i < p->n; i++) {
		const struct prune_item *item = &p->items[i];
		struct json_object *row = json_add_str(json_new(), "name", item->name);

		if (item->status != EXIT_OK)
			json_add(row, "error", output_error_json(&item->e, item->reply.error));
		else
			json_add(json_add_str(row, "result", "deleted"), "removed",
				 json_object_get(json_get(item->reply.result, "removed")));
		json_object_array_add(rows, row);
	}
}

int prune_status(const struct prune *p, int files_status)
{
	for (size_t i = 0; i < p->n; i++)
		if (p->items[i].status != files_status)
			return EXIT_PARTIAL;
	return files_status;
}
