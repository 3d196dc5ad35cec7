// SPDX-License-Identifier: MIT
/* vmctl list: the columns that a VM has, and which are shown. */
#include <fnmatch.h>
#include <inttypes.h>
#include <pwd.h>
#include <string.h>
#include <time.h>

#include "lib/auto.h"
#include "lib/errcat.h"
#include "vmctl/files.h"
#include "vmctl/table.h"
#include "vmctl/vmctl.h"

struct list_column {
	const char *name; /* for -c */
	const char *header;
	bool wide; /* only with --wide or by name */
	enum table_align align;
	/* text into buf, or a string of the VM's */
	const char *(*get)(struct json_object *vm, time_t now, char buf[static 64]);
	const char *field; /* that vm.list has to give for it; NULL: of the same name */
};

static const char *list_name(struct json_object *vm, time_t now, char buf[static 64])
{
	(void)now, (void)buf;
	return json_get_str(vm, "name", NULL);
}

static const char *list_id(struct json_object *vm, time_t now, char buf[static 64])
{
	(void)now, (void)buf;
	return json_get_str(vm, "id", NULL);
}

static const char *list_state(struct json_object *vm, time_t now, char buf[static 64])
{
	(void)now, (void)buf;
	return json_get_str(vm, "state", NULL);
}

static const char *list_desired(struct json_object *vm, time_t now, char buf[static 64])
{
	(void)now, (void)buf;
	return json_get_str(vm, "desired", NULL);
}

static const char *list_profile(struct json_object *vm, time_t now, char buf[static 64])
{
	(void)now, (void)buf;
	return json_get_str(vm, "profile", NULL);
}

static const char *list_int(struct json_object *o, const char *key, char buf[static 64])
{
	int64_t n = json_get_int(o, key, -1);

	if (n < 0)
		return NULL;
	snprintf(buf, 64, "%" PRId64, n);
	return buf;
}

static const char *list_cpus(struct json_object *vm, time_t now, char buf[static 64])
{
	(void)now;
	return list_int(vm, "cpus", buf);
}

static const char *list_memory(struct json_object *vm, time_t now, char buf[static 64])
{
	int64_t bytes = json_get_int(vm, "memory", -1);

	(void)now;
	return bytes < 0 ? NULL : output_size((uint64_t)bytes, buf);
}

static const char *list_since(struct json_object *vm, time_t now, char buf[static 64])
{
	return output_age(json_get_str(vm, "since", NULL), now, buf);
}

static const char *list_pid(struct json_object *vm, time_t now, char buf[static 64])
{
	(void)now;
	return list_int(json_get(vm, "observed"), "pid", buf);
}

static const char *list_revision(struct json_object *vm, time_t now, char buf[static 64])
{
	(void)now;
	return list_int(vm, "revision", buf);
}

static const char *list_owner(struct json_object *vm, time_t now, char buf[static 64])
{
	int64_t uid = json_get_int(vm, "owner", -1);
	struct passwd pw, *found = NULL;
	char space[1024];

	(void)now;
	if (uid < 0 || getpwuid_r((uid_t)uid, &pw, space, sizeof(space), &found) || !found)
		return list_int(vm, "owner", buf);
	snprintf(buf, 64, "%s", pw.pw_name);
	return buf;
}

static const char *list_exit(struct json_object *vm, time_t now, char buf[static 64])
{
	(void)now, (void)buf;
	return json_get_str(json_get(json_get(vm, "observed"), "exit"), "reason", NULL);
}

static const struct list_column list_columns[] = {
	{ "name", "NAME", false, TABLE_LEFT, list_name },
	{ "state", "STATE", false, TABLE_LEFT, list_state },
	{ "since", "SINCE", false, TABLE_RIGHT, list_since },
	{ "cpus", "CPUS", false, TABLE_RIGHT, list_cpus },
	{ "memory", "MEMORY", false, TABLE_RIGHT, list_memory },
	{ "profile", "PROFILE", false, TABLE_LEFT, list_profile },
	{ "desired", "DESIRED", true, TABLE_LEFT, list_desired },
	{ "exit", "EXIT", true, TABLE_LEFT, list_exit, "observed" },
	{ "revision", "REVISION", true, TABLE_RIGHT, list_revision },
	{ "owner", "OWNER", true, TABLE_LEFT, list_owner },
	{ "pid", "PID", true, TABLE_RIGHT, list_pid, "observed" },
	{ "id", "ID", true, TABLE_LEFT, list_id },
};

/* The columns asked for with -c, in that order. */
static int list_choose(struct vmctl *v, const struct list_column **ret, size_t max, size_t *ret_n)
{
	const char *p = v->columns;
	size_t n = 0;

	while (*p) {
		size_t len = strcspn(p, ","), i = 0;
		char all[160] = "";

		while (i < ARRAY_SIZE(list_columns) && (strlen(list_columns[i].name) != len ||
							memcmp(list_columns[i].name, p, len)))
			i++;
		if (i == ARRAY_SIZE(list_columns) || n == max) {
			for (i = 0; i < ARRAY_SIZE(list_columns); i++)
				snprintf(all + strlen(all), sizeof(all) - strlen(all), "%s%s",
					 i ? ", " : "", list_columns[i].name);
			return vmctl_usage(v, "no column '%.*s'; there are %s", (int)len, p, all);
		}
		ret[n++] = &list_columns[i];
		p += len + (p[len] == ',');
	}
	*ret_n = n;
	return EXIT_OK;
}

static int list_columns_of(struct vmctl *v, const struct list_column **ret, size_t max,
			   size_t *ret_n)
{
	if (v->columns)
		return list_choose(v, ret, max, ret_n);
	for (size_t i = 0; i < ARRAY_SIZE(list_columns); i++)
		if (!list_columns[i].wide || v->out.format == OUTPUT_WIDE)
			ret[(*ret_n)++] = &list_columns[i];
	return EXIT_OK;
}

static const char *list_color(const char *state)
{
	if (!strcmp(state, "running"))
		return "32";
	return strcmp(state, "stopped") ? "33" : NULL;
}

static void list_print(struct vmctl *v, struct json_object *vms, const struct list_column **columns,
		       size_t n)
{
	struct table table;
	time_t now = time(NULL);

	table_init(&table);
	for (size_t i = 0; i < n; i++)
		table_column(&table, columns[i]->header, columns[i]->align);
	for (size_t k = 0; k < json_object_array_length(vms); k++) {
		struct json_object *vm = json_object_array_get_idx(vms, k);

		for (size_t i = 0; i < n; i++) {
			char buf[64];
			const char *text = columns[i]->get(vm, now, buf);

			table_cell(&table, text,
				   columns[i]->get == list_state && text ? list_color(text) : NULL);
		}
	}
	table_print(&table, v->out.out, v->out.header, v->out.color);
	table_fini(&table);
}

static bool list_wanted(const struct args *a, struct json_object *vm)
{
	const char *name, *id;

	if (!a->noperands)
		return true;
	name = json_get_str(vm, "name", "");
	id = json_get_str(vm, "id", "");
	for (size_t i = 0; i < a->noperands; i++) {
		const char *word = a->operands[i];

		/* as vmd reads a VM's name: a beginning of an id, not of a name */
		if (!fnmatch(word, name, 0) || (word[0] && !strncmp(id, word, strlen(word))))
			return true;
	}
	return false;
}

/* What is shown and searched, no more: a list of thousands is mostly what nobody looks at. */
static struct json_object *list_params(struct vmctl *v, const struct list_column **columns,
				       size_t n)
{
	struct json_object *fields = json_object_new_array(), *params = json_new();
	const char *folder = args_str(&v->args, "origin", NULL);
	AUTO_FREE char *real = folder ? files_real_folder(folder) : NULL;
	bool table = v->out.format != OUTPUT_NAME;

	/* it may be gone, and its VMs there */
	if (folder)
		json_add_str(params, "origin", real ? real : folder);
	if (v->out.format == OUTPUT_JSON) {
		json_object_put(fields);
		return params;
	}
	json_object_array_add(fields, json_object_new_string("name"));
	if (v->args.noperands)
		json_object_array_add(fields, json_object_new_string("id"));
	for (size_t i = 0; table && i < n; i++) {
		const char *field = columns[i]->field ? columns[i]->field : columns[i]->name;

		if (strcmp(field, "name") != 0)
			json_object_array_add(fields, json_object_new_string(field));
	}
	return json_add(params, "fields", fields);
}

/* Only the VMs asked for; an operand that names none is an error. */
static int list_filter(struct vmctl *v, struct json_object *vms, struct json_object *out)
{
	for (size_t i = 0; i < v->args.noperands; i++) {
		struct args one = { .operands = &v->args.operands[i], .noperands = 1 };
		size_t k = 0;
		struct err e;

		while (k < json_object_array_length(vms) &&
		       !list_wanted(&one, json_object_array_get_idx(vms, k)))
			k++;
		if (k < json_object_array_length(vms))
			continue;
		err_set(&e, ERR_VM_NOT_FOUND, "no VM '%s'", v->args.operands[i]);
		return vmctl_fail(v, &e, NULL, "list VMs");
	}
	for (size_t k = 0; k < json_object_array_length(vms); k++)
		if (list_wanted(&v->args, json_object_array_get_idx(vms, k)))
			json_object_array_add(out,
					      json_object_get(json_object_array_get_idx(vms, k)));
	return EXIT_OK;
}

int cmd_list(struct vmctl *v)
{
	AUTO_JSON struct json_object *doc = json_new();
	struct json_object *vms = json_object_new_array();
	const struct list_column *columns[TABLE_COLUMNS_MAX];
	struct client_reply reply = { 0 };
	size_t n = 0;
	int status = list_columns_of(v, columns, ARRAY_SIZE(columns), &n);

	json_add(doc, "vms", vms);
	if (status == EXIT_OK)
		status = vmctl_call(v, "vm.list", list_params(v, columns, n), &reply, "list VMs");
	if (status == EXIT_OK)
		status = list_filter(v, json_get(reply.result, "vms"), vms);
	client_reply_fini(&reply);
	if (status != EXIT_OK)
		return status;
	if (v->out.format == OUTPUT_JSON) {
		/* one name for the document, also when it is made by `show` without a VM */
		output_json(&v->out, "list", doc);
	} else if (v->out.format == OUTPUT_NAME) {
		for (size_t i = 0; i < json_object_array_length(vms); i++)
			fprintf(v->out.out, "%s\n",
				json_get_str(json_object_array_get_idx(vms, i), "name", "?"));
	} else {
		list_print(v, vms, columns, n);
		if (!json_object_array_length(vms))
			output_note(&v->out, "no VMs; vmctl apply -f FILE makes one");
	}
	return EXIT_OK;
}
