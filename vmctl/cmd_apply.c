// SPDX-License-Identifier: MIT
/*
 * vmctl apply and validate: VM files are read and checked here, so that an error says where it stands; what
 * only vmd can find comes back with a JSON Pointer and is looked up in the file. No VM is touched before
 * every file has been read; with --prune, VMs are deleted after every file was applied.
 */
#include <string.h>

#include "lib/auto.h"
#include "lib/errcat.h"
#include "vmctl/command.h"
#include "vmctl/files.h"
#include "vmctl/prune.h"

static struct json_object *validate_row(const struct files_item *item)
{
	struct json_object *row = json_add_str(json_new(), "file", item->path);

	json_add_bool(row, "valid", item->status == EXIT_OK);
	if (item->status != EXIT_OK)
		return json_add(row, "error", output_error_json(&item->e, NULL));
	return json_add_str(row, "name", files_vm_name(item));
}

/* prune: NULL for none */
static void apply_print_json(struct vmctl *v, const struct files_set *s, const struct prune *prune,
			     struct json_object *(*row)(const struct files_item *item))
{
	AUTO_JSON struct json_object *doc = json_new();
	struct json_object *results = json_object_new_array();

	json_add(doc, "results", results);
	for (size_t i = 0; i < s->n; i++)
		json_object_array_add(results, row(&s->items[i]));
	if (prune)
		prune_rows(prune, results);
	output_json(&v->out, v->args.command->name, doc);
}

static void validate_print(struct vmctl *v, const struct files_set *s)
{
	if (v->out.format == OUTPUT_JSON) {
		apply_print_json(v, s, NULL, validate_row);
		return;
	}
	for (size_t i = 0; i < s->n; i++) {
		const struct files_item *item = &s->items[i];

		if (item->status != EXIT_OK)
			continue;
		if (v->out.format == OUTPUT_NAME)
			fprintf(v->out.out, "%s\n", files_vm_name(item));
		else
			fprintf(v->out.out, "%s: valid (%s '%s')\n", item->path,
				item->pool ? "pool" : "VM", files_vm_name(item));
	}
}

int cmd_validate(struct vmctl *v)
{
	struct files_set set = { 0 };
	int status;

	for (size_t i = 0; i < v->args.noperands; i++)
		files_add(&set, v->args.operands[i]);
	files_print_errors(v, &set, "validate");
	validate_print(v, &set);
	status = files_status(&set);
	files_fini(&set);
	return status;
}

static void apply_strict(struct vmctl *v, struct files_item *item)
{
	struct err e;

	if (item->status != EXIT_OK || !args_flag(&v->args, "strict") ||
	    strcmp(json_get_str(item->reply.result, "result", ""), "unchanged"))
		return;
	err_set(&e, ERR_VM_STATE, "%s: unchanged", files_vm_name(item));
	err_hint(&e, "without --strict this is no error");
	files_fail(item, &e);
}

static void apply_files(struct vmctl *v, struct files_set *s)
{
	for (size_t i = 0; i < s->n && !v->client.interrupted; i++) {
		struct files_item *item = &s->items[i];
		struct json_object *params = json_new();

		if (args_flag(&v->args, "dry-run"))
			json_add_bool(params, "dry_run", true);
		if (item->folder && !item->pool)
			json_add_str(params, "origin", item->folder);
		files_call(v, item, item->pool ? "pool.apply" : "vm.apply", params);
		apply_strict(v, item);
	}
}

static int apply_all(struct vmctl *v, struct files_set *s, struct prune *p)
{
	bool pruned = false;

	apply_files(v, s);
	if (files_status(s) == EXIT_OK && !v->client.interrupted) {
		pruned = true; /* also by a dry run, which prune_find was */
		if (!args_flag(&v->args, "dry-run"))
			prune_run(v, p);
	}
	if (v->client.interrupted) {
		output_note(&v->out, "vmctl: interrupted; vmctl list shows what was applied");
		return VMCTL_EXIT_INTERRUPTED;
	}
	files_print_errors(v, s, "apply");
	if (pruned)
		prune_print_errors(v, p);
	else if (p->n)
		output_note(&v->out, "vmctl: no VM was deleted");
	if (v->out.format == OUTPUT_JSON)
		apply_print_json(v, s, pruned ? p : NULL, files_row);
	for (size_t i = 0; v->out.format != OUTPUT_JSON && i < s->n; i++)
		if (s->items[i].status == EXIT_OK)
			files_print_applied(v, &s->items[i]);
	if (pruned && v->out.format != OUTPUT_JSON)
		prune_print(v, p);
	return pruned ? prune_status(p, EXIT_OK) : files_status(s);
}

/* One status of all that are bad, or the first of several; never EXIT_PARTIAL: nothing was done at all. */
static int apply_refuse(struct vmctl *v, const struct files_set *s, const struct prune *p)
{
	int status = EXIT_OK;

	files_print_errors(v, s, "apply");
	prune_print_errors(v, p);
	if (v->out.format == OUTPUT_JSON)
		apply_print_json(v, s, p, files_row);
	else if (s->bad < s->n)
		output_note(&v->out, "vmctl: nothing was applied");
	for (size_t i = 0; i < s->n; i++)
		if (s->items[i].status != EXIT_OK)
			status = s->items[i].status;
	for (size_t i = 0; i < p->n && status == EXIT_OK; i++)
		status = p->items[i].status;
	return status;
}

/* Which VMs go, and may they? */
static int apply_prepare(struct vmctl *v, const struct files_set *s, bool ask, struct prune *p)
{
	int status = EXIT_OK;

	if (!args_flag(&v->args, "prune"))
		return EXIT_OK;
	status = prune_find(v, s, p);
	if (status != EXIT_OK || !p->n || args_flag(&v->args, "dry-run"))
		return status;
	if (p->bad)
		return apply_refuse(v, s, p);
	prune_announce(v, p);
	return ask ? vmctl_confirm(v) : EXIT_OK;
}

/* --prune is for folders: in a single file, nothing says what is not there. */
static int apply_check_options(struct vmctl *v, const struct files_set *s, bool *ret_ask)
{
	*ret_ask = false;
	if (!args_flag(&v->args, "prune"))
		return EXIT_OK;
	if (!s->bad && s->unkept)
		return vmctl_usage(v,
				   "'--prune': '%s' is no path that vmd can keep: at most 4095 "
				   "bytes of UTF-8 without control characters",
				   s->unkept);
	if (!s->bad && !s->nfolders)
		return vmctl_usage(v, "'--prune' goes with a folder: vmctl apply -f DIR --prune");
	return vmctl_must_ask(v, ret_ask);
}

int cmd_apply(struct vmctl *v)
{
	struct files_set set = { 0 };
	struct prune prune = { 0 };
	bool ask;
	int status;

	files_add_options(&set, &v->args);
	status = apply_check_options(v, &set, &ask);
	if (status == EXIT_OK && set.bad) {
		status = apply_refuse(v, &set, &prune);
	} else if (status == EXIT_OK) {
		status = vmctl_connect(v);
		if (status == EXIT_OK)
			status = apply_prepare(v, &set, ask, &prune);
		if (status == EXIT_OK)
			status = apply_all(v, &set, &prune);
	}
	prune_fini(&prune);
	files_fini(&set);
	return status;
}
