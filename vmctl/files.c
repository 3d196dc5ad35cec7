// SPDX-License-Identifier: MIT
/* The VM files of a command line: see files.h. */
#include "vmctl/files.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/auto.h"
#include "lib/errcat.h"
#include "lib/pooldef.h"

const char *files_vm_name(const struct files_item *item)
{
	return json_get_str(item->loaded ? item->file.root : NULL, "name", "?");
}

void files_fail(struct files_item *item, const struct err *e)
{
	item->e = *e;
	item->status = errcat_find(e->code)->exit;
}

static struct files_item *files_new_item(struct files_set *s, const char *path)
{
	struct files_item *item;

	if (!(s->n & (s->n - 1))) { /* full at 0, 1, 2, 4, 8, … */
		s->items = realloc(s->items, (s->n ? s->n * 2 : 1) * sizeof(*s->items));
		if (!s->items)
			abort();
	}
	item = &s->items[s->n++];
	*item = (struct files_item){ .path = strdup(path) };
	if (!item->path)
		abort();
	return item;
}

static void files_add_bad(struct files_set *s, const char *path, const struct err *e)
{
	files_fail(files_new_item(s, path), e);
	s->bad++;
}

/* Two documents with one name: the second would silently undo the first. */
static int files_check_double(const struct files_set *s, const struct files_item *item,
			      struct err *e)
{
	unsigned int line = 0, column = 0;

	for (const struct files_item *other = s->items; other < item; other++) {
		if (!other->loaded || other->pool != item->pool ||
		    strcmp(files_vm_name(other), files_vm_name(item)))
			continue;
		vmfile_locate(&item->file, "/name", false, &line, &column);
		return err_set(e, ERR_INVALID, "%s:%u:%u: /name: '%s' is in '%s' already",
			       item->file.name, line, column, files_vm_name(item),
			       other->file.name);
	}
	return 0;
}

static void files_add_document(struct files_set *s, const char *path, struct vmfile *take_file)
{
	struct files_item *item = files_new_item(s, path);
	struct err e;
	int ret;

	if (!s->schemas)
		s->schemas = schema_set_new();
	item->file = *take_file;
	item->loaded = true;
	item->pool = pooldef_is(item->file.root);
	ret = pooldef_check_file(s->schemas, &item->file, &e);
	if (ret >= 0)
		ret = files_check_double(s, item, &e);
	if (ret >= 0)
		return;
	files_fail(item, &e);
	s->bad++;
}

static void files_add_file(struct files_set *s, const char *path)
{
	struct vmfile *files = NULL;
	struct err e;
	size_t n = 0;
	int ret = vmfile_load_all(path, &files, &n, &e);

	if (ret >= 0 && s->n + n > FILES_MAX)
		ret = err_set(&e, ERR_INVALID, "%s: more than %d VMs and pools at once", path,
			      FILES_MAX);
	if (ret < 0) {
		vmfile_free_all(files, n);
		files_add_bad(s, path, &e);
		return;
	}
	for (size_t i = 0; i < n; i++)
		files_add_document(s, path, &files[i]);
	free(files); /* what they own has moved */
}

static bool files_is_utf8(const char *text)
{
	size_t left = strlen(text), n = 1;

	for (; left && n; text += n, left -= n)
		n = json_utf8_len(text, left);
	return n;
}

char *files_real_folder(const char *path)
{
	char *real = realpath(path, NULL);

	if (!real || (files_is_utf8(real) && schema_format_valid("path", real)))
		return real;
	free(real);
	return NULL;
}

/* The set's own string of it. */
static const char *files_add_folder(struct files_set *s, const char *path)
{
	char *real = files_real_folder(path);

	for (size_t i = 0; real && i < s->nfolders; i++) {
		if (strcmp(s->folders[i], real) != 0)
			continue;
		free(real);
		return s->folders[i];
	}
	if (!real)
		return NULL;
	s->folders = realloc(s->folders, (s->nfolders + 1) * sizeof(*s->folders));
	if (!s->folders)
		abort();
	s->folders[s->nfolders++] = real;
	return real;
}

bool files_has_vm(const struct files_set *s, const char *name)
{
	for (size_t i = 0; i < s->n; i++)
		if (!s->items[i].pool && !strcmp(files_vm_name(&s->items[i]), name))
			return true;
	return false;
}

static int files_is_vm_file(const struct dirent *d)
{
	const char *dot = strrchr(d->d_name, '.');

	return d->d_name[0] != '.' && dot &&
	       (!strcmp(dot, ".yaml") || !strcmp(dot, ".yml") || !strcmp(dot, ".json"));
}

static void files_add_dir(struct files_set *s, const char *path)
{
	struct dirent **names;
	int n = scandir(path, &names, files_is_vm_file, alphasort);
	size_t len = strlen(path), first = s->n;
	const char *folder;
	struct err e;

	if (n <= 0) {
		if (n < 0)
			err_set(&e, ERR_FILE, "cannot read '%s': %s", path, strerror(errno));
		else
			err_set(&e, ERR_FILE, "'%s' has no *.yaml, *.yml or *.json in it", path);
		files_add_bad(s, path, &e);
		free(n < 0 ? NULL : names);
		return;
	}
	for (int i = 0; i < n; i++) {
		AUTO_FREE char *name = NULL;

		if (asprintf(&name, "%s%s%s", path, path[len - 1] == '/' ? "" : "/",
			     names[i]->d_name) < 0)
			abort();
		if (s->n <= FILES_MAX)
			files_add_file(s, name);
		free(names[i]);
	}
	free(names);
	folder = files_add_folder(s, path);
	if (!folder)
		s->unkept = path;
	for (size_t i = first; i < s->n; i++)
		s->items[i].folder = folder;
}

void files_add(struct files_set *s, const char *path)
{
	struct stat st;

	if (strcmp(path, "-") && !stat(path, &st) && S_ISDIR(st.st_mode))
		files_add_dir(s, path);
	else
		files_add_file(s, path);
}

void files_add_options(struct files_set *s, const struct args *a)
{
	for (size_t i = 0; args_item(a, "file", i); i++)
		files_add(s, args_item(a, "file", i));
}

void files_fini(struct files_set *s)
{
	for (size_t i = 0; i < s->n; i++) {
		free(s->items[i].path);
		if (s->items[i].loaded)
			vmfile_fini(&s->items[i].file);
		client_reply_fini(&s->items[i].reply);
	}
	for (size_t i = 0; i < s->nfolders; i++)
		free(s->folders[i]);
	free(s->folders);
	free(s->items);
	schema_set_free(s->schemas);
	*s = (struct files_set){ 0 };
}

/* What vmd found in the definition stands somewhere in the file. */
static void files_locate(struct files_item *item)
{
	const char *path = json_get_str(json_get(item->reply.error, "data"), "path", NULL);
	unsigned int line = 0, column = 0;

	if (!path)
		return;
	/* of the parameter "definition" or "pool", or within the definition */
	if (!strncmp(path, "/definition/", strlen("/definition/")))
		path += strlen("/definition");
	else if (item->pool && !strncmp(path, "/pool/", strlen("/pool/")))
		path += strlen("/pool");
	if (vmfile_locate(&item->file, path, false, &line, &column) < 0 || !line)
		err_wrap(&item->e, "%s", item->file.name);
	else
		err_wrap(&item->e, "%s:%u:%u", item->file.name, line, column);
}

void files_call(struct vmctl *v, struct files_item *item, const char *method,
		struct json_object *take_params)
{
	struct err e;

	json_add(take_params, item->pool ? "pool" : "definition", json_object_get(item->file.root));
	if (client_call(&v->client, method, take_params, &item->reply, &e) < 0) {
		files_fail(item, &e);
		files_locate(item);
	}
}

int files_status(const struct files_set *s)
{
	for (size_t i = 0; i < s->n; i++)
		if (s->items[i].status != s->items[0].status)
			return EXIT_PARTIAL;
	return s->n ? s->items[0].status : EXIT_OK;
}

void files_print_errors(struct vmctl *v, const struct files_set *s, const char *op_verb)
{
	for (size_t i = 0; i < s->n; i++) {
		const struct files_item *item = &s->items[i];
		struct json_object *data = json_get(item->reply.error, "data");
		char op[120];

		if (item->status == EXIT_OK)
			continue;
		snprintf(op, sizeof(op), "%s '%.80s'", op_verb, files_vm_name(item));
		/* an error with a place reads like a compiler's: editors find it */
		output_error(&v->out, &item->e, json_get_str(data, "name", NULL),
			     item->reply.error && !json_get(data, "path") ? op : NULL);
	}
}

void files_print_applied(struct vmctl *v, const struct files_item *item)
{
	struct json_object *r = item->reply.result;
	const char *name = json_get_str(r, "name", files_vm_name(item));
	const char *result = json_get_str(r, "result", "?");
	struct json_object *changes = json_get(r, "changes"), *steps = json_get(r, "steps");
	bool dry_run = args_flag(&v->args, "dry-run"), unchanged = !strcmp(result, "unchanged");

	if (v->out.format == OUTPUT_NAME) {
		fprintf(v->out.out, "%s\n", name);
		return;
	}
	fprintf(v->out.out, "%s: %s%s\n", name, dry_run && !unchanged ? "would be " : "", result);
	for (size_t i = 0; dry_run && steps && i < json_object_array_length(steps); i++)
		fprintf(v->out.out, "  %zu. %s\n", i + 1,
			json_get_str(json_object_array_get_idx(steps, i), "do", "?"));
	if (strcmp(result, "updated"))
		return;
	for (size_t i = 0; changes && i < json_object_array_length(changes); i++)
		fprintf(v->out.out, "  %s\n",
			json_object_get_string(json_object_array_get_idx(changes, i)));
	if (json_get_bool(r, "restart_required", false))
		output_note(&v->out, "%s: runs with the old definition until: vmctl restart %s",
			    name, name);
}

struct json_object *files_row(const struct files_item *item)
{
	struct json_object *row = json_add_str(json_new(), "file", item->path);

	if (item->status != EXIT_OK)
		return json_add(row, "error", output_error_json(&item->e, item->reply.error));
	if (!item->reply.result)
		return row;
	json_object_object_foreach(item->reply.result, key, value) {
		json_add(row, key, json_object_get(value));
	}
	return row;
}
