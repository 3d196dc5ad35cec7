// SPDX-License-Identifier: MIT
/*
 * vmctl apply and validate: VM files are read and checked here, so that an error says where it stands; what
 * only vmd can find comes back with a JSON Pointer and is looked up in the file. No VM is touched before
 * every file has been read.
 */
#include <stdlib.h>
#include <string.h>

#include "lib/auto.h"
#include "lib/errcat.h"
#include "lib/vmdef.h"
#include "lib/vmfile.h"
#include "vmctl/commands.h"
#include "vmctl/table.h"
#include "vmctl/vmctl.h"

#define APPLY_FILES_MAX 1000

struct apply_file {
	const char *path; /* borrowed */
	struct vmfile file;
	bool loaded;
	int status;
	struct err e;
	struct client_reply reply;
};

struct apply_set {
	struct apply_file *files; /* owned */
	int *statuses;		  /* owned */
	size_t n;
};

static const char *apply_vm_name(const struct apply_file *f)
{
	return json_get_str(f->loaded ? f->file.root : NULL, "name", "?");
}

static void apply_fail(struct apply_file *f, const struct err *e)
{
	f->e = *e;
	f->status = errcat_find(e->code)->exit;
}

/* Two files with one name: the second would silently undo the first. */
static int apply_check_double(const struct apply_set *s, size_t at, struct err *e)
{
	const struct apply_file *f = &s->files[at];
	unsigned int line = 0, column = 0;

	for (size_t i = 0; i < at; i++) {
		if (!s->files[i].loaded || strcmp(apply_vm_name(&s->files[i]), apply_vm_name(f)))
			continue;
		vmfile_locate(&f->file, "/name", false, &line, &column);
		return err_set(e, ERR_INVALID, "%s:%u:%u: /name: '%s' is in '%s' already",
			       f->file.name, line, column, apply_vm_name(f), s->files[i].file.name);
	}
	return 0;
}

static void apply_load(struct apply_set *s, size_t at)
{
	struct apply_file *f = &s->files[at];
	struct err e;
	int ret = vmfile_load(f->path, &f->file, &e);

	f->loaded = ret >= 0;
	if (ret >= 0)
		ret = vmdef_check_file(&f->file, &e);
	if (ret >= 0)
		ret = apply_check_double(s, at, &e);
	if (ret < 0)
		apply_fail(f, &e);
}

static void apply_set_init(struct apply_set *s, size_t n)
{
	*s = (struct apply_set){ .n = n };
	s->files = calloc(n + 1, sizeof(*s->files));
	s->statuses = calloc(n + 1, sizeof(*s->statuses));
	if (!s->files || !s->statuses)
		abort();
}

static void apply_set_fini(struct apply_set *s)
{
	for (size_t i = 0; i < s->n; i++) {
		if (s->files[i].loaded)
			vmfile_fini(&s->files[i].file);
		client_reply_fini(&s->files[i].reply);
	}
	free(s->files);
	free(s->statuses);
}

static int apply_set_status(struct apply_set *s)
{
	for (size_t i = 0; i < s->n; i++) {
		if (s->files[i].status != s->files[0].status)
			return EXIT_PARTIAL;
	}
	return s->n ? s->files[0].status : EXIT_OK;
}

static void apply_print_errors(struct vmctl *v, const struct apply_set *s)
{
	for (size_t i = 0; i < s->n; i++) {
		const struct apply_file *f = &s->files[i];
		const char *name = json_get_str(json_get(f->reply.error, "data"), "name", NULL);
		char op[100];

		if (f->status == EXIT_OK)
			continue;
		snprintf(op, sizeof(op), "apply '%.80s'", apply_vm_name(f));
		/* an error with a place reads like a compiler's: editors find it */
		if (f->reply.error && !json_get(json_get(f->reply.error, "data"), "path"))
			output_error(&v->out, &f->e, name, op);
		else
			output_error(&v->out, &f->e, name, NULL);
	}
}

static struct json_object *apply_row(const struct apply_file *f, bool validate)
{
	struct json_object *row = json_add_str(json_new(), "file", f->path);

	if (f->status != EXIT_OK) {
		if (validate)
			json_add_bool(row, "valid", false);
		json_add(row, "error", output_error_json(&f->e, f->reply.error));
		return row;
	}
	if (validate)
		return json_add_str(json_add_bool(row, "valid", true), "name", apply_vm_name(f));
	json_object_object_foreach(f->reply.result, key, value) {
		json_add(row, key, json_object_get(value));
	}
	return row;
}

static void apply_print_json(struct vmctl *v, const struct apply_set *s, bool validate)
{
	AUTO_JSON struct json_object *doc = json_new();
	struct json_object *results = json_object_new_array();

	json_add(doc, "results", results);
	for (size_t i = 0; i < s->n; i++)
		json_object_array_add(results, apply_row(&s->files[i], validate));
	output_json(&v->out, v->args.command->name, doc);
}

static void validate_print(struct vmctl *v, const struct apply_set *s)
{
	if (v->out.format == OUTPUT_JSON) {
		apply_print_json(v, s, true);
		return;
	}
	for (size_t i = 0; i < s->n; i++) {
		if (s->files[i].status != EXIT_OK)
			continue;
		if (v->out.format == OUTPUT_NAME)
			fprintf(v->out.out, "%s\n", apply_vm_name(&s->files[i]));
		else
			fprintf(v->out.out, "%s: valid (VM '%s')\n", s->files[i].path,
				apply_vm_name(&s->files[i]));
	}
}

int cmd_validate(struct vmctl *v)
{
	struct apply_set set;
	int status;

	apply_set_init(&set, v->args.noperands);
	for (size_t i = 0; i < set.n; i++) {
		set.files[i].path = v->args.operands[i];
		apply_load(&set, i);
	}
	apply_print_errors(v, &set);
	validate_print(v, &set);
	status = apply_set_status(&set);
	apply_set_fini(&set);
	return status;
}

/* "updated", "would be created", "unchanged", and what is to know about it */
static void apply_print_result(struct vmctl *v, const struct apply_file *f)
{
	struct json_object *r = f->reply.result;
	const char *name = json_get_str(r, "name", apply_vm_name(f));
	const char *result = json_get_str(r, "result", "?");
	struct json_object *changes = json_get(r, "changes");
	bool dry_run = args_flag(&v->args, "dry-run"), unchanged = !strcmp(result, "unchanged");

	if (v->out.format == OUTPUT_NAME) {
		fprintf(v->out.out, "%s\n", name);
		return;
	}
	fprintf(v->out.out, "%s: %s%s\n", name, dry_run && !unchanged ? "would be " : "", result);
	if (strcmp(result, "updated"))
		return;
	for (size_t i = 0; changes && i < json_object_array_length(changes); i++)
		fprintf(v->out.out, "  %s\n",
			json_object_get_string(json_object_array_get_idx(changes, i)));
	if (json_get_bool(r, "restart_required", false))
		output_note(&v->out, "%s: runs with the old definition until: vmctl restart %s",
			    name, name);
}

/* What vmd found in the definition stands somewhere in the file. */
static void apply_locate(struct apply_file *f)
{
	const char *path = json_get_str(json_get(f->reply.error, "data"), "path", NULL);
	unsigned int line = 0, column = 0;

	if (!path)
		return;
	/* of the parameter "definition", or within the definition */
	if (!strncmp(path, "/definition/", strlen("/definition/")))
		path += strlen("/definition");
	if (vmfile_locate(&f->file, path, false, &line, &column) < 0 || !line)
		err_wrap(&f->e, "%s", f->file.name);
	else
		err_wrap(&f->e, "%s:%u:%u", f->file.name, line, column);
}

static void apply_call(struct vmctl *v, struct apply_file *f)
{
	struct json_object *params =
		json_add(json_new(), "definition", json_object_get(f->file.root));
	struct err e;

	if (args_flag(&v->args, "dry-run"))
		json_add_bool(params, "dry_run", true);
	if (client_call(&v->client, "vm.apply", params, &f->reply, &e) < 0) {
		apply_fail(f, &e);
		apply_locate(f);
	}
}

static void apply_strict(struct vmctl *v, struct apply_file *f)
{
	struct err e;

	if (f->status != EXIT_OK || !args_flag(&v->args, "strict") ||
	    strcmp(json_get_str(f->reply.result, "result", ""), "unchanged"))
		return;
	err_set(&e, ERR_VM_STATE, "%s: unchanged", apply_vm_name(f));
	err_hint(&e, "without --strict this is no error");
	apply_fail(f, &e);
}

static int apply_all(struct vmctl *v, struct apply_set *s)
{
	for (size_t i = 0; i < s->n && !v->client.interrupted; i++) {
		apply_call(v, &s->files[i]);
		apply_strict(v, &s->files[i]);
	}
	if (v->client.interrupted) {
		output_note(&v->out, "vmctl: interrupted; vmctl list shows what was applied");
		return VMCTL_EXIT_INTERRUPTED;
	}
	apply_print_errors(v, s);
	if (v->out.format == OUTPUT_JSON)
		apply_print_json(v, s, false);
	for (size_t i = 0; v->out.format != OUTPUT_JSON && i < s->n; i++)
		if (s->files[i].status == EXIT_OK)
			apply_print_result(v, &s->files[i]);
	return apply_set_status(s);
}

int cmd_apply(struct vmctl *v)
{
	struct apply_set set;
	size_t n = 0, bad = 0;
	int status = EXIT_OK;

	while (n < APPLY_FILES_MAX && args_item(&v->args, "file", n))
		n++;
	apply_set_init(&set, n);
	for (size_t i = 0; i < n; i++) {
		set.files[i].path = args_item(&v->args, "file", i);
		apply_load(&set, i);
		if (set.files[i].status != EXIT_OK) {
			status = set.files[i].status;
			bad++;
		}
	}
	if (bad) {
		apply_print_errors(v, &set);
		if (v->out.format == OUTPUT_JSON)
			apply_print_json(v, &set, false);
		else if (bad < n)
			output_note(&v->out, "vmctl: nothing was applied");
	} else {
		status = vmctl_connect(v);
		if (status == EXIT_OK)
			status = apply_all(v, &set);
	}
	apply_set_fini(&set);
	return status;
}
