// SPDX-License-Identifier: MIT
/* Commands on VMs: see target.h. */
#include "vmctl/target.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

#include "lib/auto.h"
#include "lib/errcat.h"
#include "vmctl/command.h"
#include "vmctl/lease.h"
#include "vmctl/progress.h"
#include "vmctl/table.h"

#define TARGET_AT_ONCE 16 /* requests under way; vmd takes 32 a connection */

struct target {
	const char *typed; /* borrowed from the set */
	int64_t id;
	int status;
	struct client_reply reply;
	struct err e;
};

/* Options that become parameters of the same meaning; those that were not given are vmd's to choose. */
static const struct {
	const char *option, *param;
} target_params_table[] = {
	{ "timeout", "timeout_ms" }, { "force", "force" },
	{ "dry-run", "dry_run" },    { "for", "for" },
	{ "console", "console" },    { "keep-nvram", "keep_nvram" },
};

static void target_set_add(struct target_set *s, const char *name)
{
	for (size_t i = 0; i < s->n; i++)
		if (!strcmp(s->names[i], name))
			return;
	s->names = realloc(s->names, (s->n + 1) * sizeof(*s->names));
	if (!s->names)
		abort();
	s->names[s->n] = strdup(name);
	if (!s->names[s->n++])
		abort();
}

void target_set_fini(struct target_set *s)
{
	for (size_t i = 0; i < s->n; i++)
		free(s->names[i]);
	free(s->names);
	*s = (struct target_set){ 0 };
}

/* Add the VMs that match; how many did. */
static size_t target_set_glob(struct target_set *s, const char *glob, struct json_object *vms)
{
	size_t n = 0;

	for (size_t i = 0; i < json_object_array_length(vms); i++) {
		const char *name = json_get_str(json_object_array_get_idx(vms, i), "name", "");

		if (fnmatch(glob, name, 0))
			continue;
		target_set_add(s, name);
		n++;
	}
	return n;
}

int target_set_find(struct vmctl *v, size_t first, struct target_set *ret)
{
	struct client_reply reply = { 0 };
	int status = EXIT_OK;

	*ret = (struct target_set){ 0 };
	for (size_t i = first; i < v->args.noperands && status == EXIT_OK; i++) {
		const char *word = v->args.operands[i];
		struct err e;

		if (!strpbrk(word, "*?[")) {
			target_set_add(ret, word);
			continue;
		}
		if (!reply.result)
			status = vmctl_call(v, "vm.list", NULL, &reply, "list VMs");
		if (status != EXIT_OK)
			break;
		if (!target_set_glob(ret, word, json_get(reply.result, "vms"))) {
			err_set(&e, ERR_VM_NOT_FOUND, "no VM matches '%s'", word);
			err_hint(&e, "vmctl list shows all");
			status = vmctl_fail(v, &e, NULL, "%s", v->args.command->name);
		}
	}
	client_reply_fini(&reply);
	return status;
}

/* --for console=REGEX is two parameters. */
static void target_param_for(struct json_object *params, const char *word)
{
	static const char console[] = "console=";

	if (strncmp(word, console, strlen(console))) {
		json_add_str(params, "for", word);
		return;
	}
	json_add_str(params, "for", "console");
	json_add_str(params, "regex", word + strlen(console));
}

static struct json_object *target_params(const struct args *a, const char *vm)
{
	struct json_object *params = json_add_str(json_new(), "vm", vm);

	for (size_t i = 0; i < ARRAY_SIZE(target_params_table); i++) {
		const char *option = target_params_table[i].option;
		const char *param = target_params_table[i].param;

		for (size_t k = 0; k < a->nvalues; k++) {
			const struct args_value *value = &a->values[k];

			if (strcmp(value->option->name, option))
				continue;
			if (value->option->type == ARGS_FLAG)
				json_add_bool(params, param, true);
			else if (value->option->type == ARGS_TIME)
				json_add_int(params, param, (int64_t)value->number);
			else if (!strcmp(param, "for"))
				target_param_for(params, value->text);
			else
				json_add_str(params, param, value->text);
		}
	}
	if (args_flag(a, "no-wait"))
		json_add_bool(params, "wait", false);
	/* OpenBSD's `vmctl wait VM` waits for the end, too */
	if (!strcmp(a->command->name, "wait") && !args_str(a, "for", NULL))
		json_add_str(params, "for", "stopped");
	return params;
}

int target_status(size_t n, const int *statuses)
{
	for (size_t i = 1; i < n; i++)
		if (statuses[i] != statuses[0])
			return EXIT_PARTIAL;
	return n ? statuses[0] : EXIT_OK;
}

/* A list of strings, or of objects with a name, as text. */
static void target_join(struct json_object *list, char *out, size_t out_size)
{
	out[0] = '\0';
	for (size_t i = 0; list && i < json_object_array_length(list); i++)
		snprintf(out + strlen(out), out_size - strlen(out), "%s%s", i ? ", " : "",
			 json_object_get_string(json_object_array_get_idx(list, i)));
}

/* What vmd would remove, per VM, asked by dry run: so that the user sees what the answer means. */
static int target_ask_delete(struct vmctl *v, const struct target_set *set)
{
	for (size_t i = 0; i < set->n; i++) {
		struct json_object *params = json_add_str(json_new(), "vm", set->names[i]);
		struct client_reply reply;
		char removed[400];
		struct err e;
		int ret = client_call(&v->client, "vm.delete",
				      json_add_bool(params, "dry_run", true), &reply, &e);

		if (ret < 0) {
			ret = vmctl_fail(v, &e, &reply, "delete '%s'", set->names[i]);
			client_reply_fini(&reply);
			return ret;
		}
		target_join(json_get(reply.result, "removed"), removed, sizeof(removed));
		output_note(&v->out, "delete '%s' removes: %s",
			    json_get_str(reply.result, "name", set->names[i]), removed);
		client_reply_fini(&reply);
	}
	return EXIT_OK;
}

static int target_ask(struct vmctl *v, const struct target_set *set)
{
	const char *name = v->args.command->name;
	int status = EXIT_OK;

	if (!strcmp(name, "delete"))
		status = target_ask_delete(v, set);
	else
		for (size_t i = 0; i < set->n; i++)
			output_note(&v->out, "%s '%s': what the guest has not written is lost",
				    name, set->names[i]);
	return status == EXIT_OK ? vmctl_confirm(v) : status;
}

/* False: interrupted, and what goes on was said. */
static bool target_call_all(struct vmctl *v, const struct target_set *set, struct target *targets,
			    size_t n)
{
	struct progress p;
	size_t sent = 0;

	progress_init(&p, v);
	p.vms = (const char *const *)set->names;
	p.nvms = n;
	for (size_t i = 0; i < n; i++) {
		for (; sent < n && sent < i + TARGET_AT_ONCE; sent++)
			targets[sent].id =
				client_send(&v->client, v->args.command->method,
					    target_params(&v->args, targets[sent].typed));
		if (progress_wait(&p, targets[i].id, &targets[i].reply, &targets[i].e) < 0)
			targets[i].status = errcat_find(targets[i].e.code)->exit;
	}
	progress_fini(&p);
	return !p.told;
}

/* "started", "already running", "would be started", "stopped (shutdown)": for the result column */
static void target_result(const struct vmctl *v, const struct target *t, char *out, size_t out_size)
{
	struct json_object *r = t->reply.result, *exit = json_get(r, "exit");
	const char *done = v->args.command->done, *note = json_get_str(r, "note", NULL);
	const char *reason = json_get_str(exit, "reason", NULL);
	const char *line = json_get_str(r, "line", NULL); /* of a console */
	bool dry_run = args_flag(&v->args, "dry-run");

	if (t->status != EXIT_OK)
		snprintf(out, out_size, "failed");
	else if (args_flag(&v->args, "no-wait") && json_get_str(r, "job", NULL))
		snprintf(out, out_size, "job %s", json_get_str(r, "job", ""));
	else if (!json_get_bool(r, "changed", true) || (dry_run && note))
		snprintf(out, out_size, "%s", note ? note : "nothing to do");
	else if (dry_run)
		snprintf(out, out_size, "would be %s", done);
	else if (done)
		snprintf(out, out_size, "%s", done);
	else if (line)
		snprintf(out, out_size, "%s", line);
	else
		snprintf(out, out_size, "%s%s%s%s", json_get_str(r, "state", "?"),
			 reason ? " (" : "", reason ? reason : "", reason ? ")" : "");
}

/* --strict: what was to be done had been done before. */
static void target_strict(struct vmctl *v, struct target *t)
{
	if (t->status != EXIT_OK || !args_flag(&v->args, "strict") ||
	    args_flag(&v->args, "dry-run") || json_get_bool(t->reply.result, "changed", true))
		return;
	err_set(&t->e, ERR_VM_STATE, "%s",
		json_get_str(t->reply.result, "note", "there is nothing to do"));
	err_hint(&t->e, "without --strict this is no error");
	t->status = EXIT_CONFLICT;
}

static const char *target_name(const struct target *t)
{
	return json_get_str(t->reply.result, "name", t->typed);
}

static void target_print_json(struct vmctl *v, const struct target *targets, size_t n)
{
	AUTO_JSON struct json_object *doc = json_new();
	struct json_object *results = json_object_new_array();
	char schema[32];

	json_add(doc, "results", results);
	for (size_t i = 0; i < n; i++) {
		const struct target *t = &targets[i];
		struct json_object *row;

		if (t->status == EXIT_OK)
			row = json_clone(t->reply.result);
		else
			row = json_add(json_add_str(json_new(), "name", target_name(t)), "error",
				       output_error_json(&t->e, t->reply.error));
		json_object_array_add(results, row);
	}
	output_json(&v->out, vmctl_schema(v, schema, sizeof(schema)), doc);
}

static void target_print_table(struct vmctl *v, const struct target *targets, size_t n)
{
	struct table table;
	char result[160];

	table_init(&table);
	table_column(&table, "NAME", TABLE_LEFT);
	table_column(&table, "STATE", TABLE_LEFT);
	table_column(&table, "RESULT", TABLE_LEFT);
	for (size_t i = 0; i < n; i++) {
		target_result(v, &targets[i], result, sizeof(result));
		table_cell(&table, target_name(&targets[i]), NULL);
		table_cell(&table, json_get_str(targets[i].reply.result, "state", NULL), NULL);
		table_cell(&table, result, targets[i].status == EXIT_OK ? NULL : "31");
	}
	table_print(&table, v->out.out, v->out.header, v->out.color);
	table_fini(&table);
}

/* One VM: a line, on standard error when there was nothing to do. */
static void target_print_one(struct vmctl *v, const struct target *t)
{
	char result[400], removed[400], name[100];

	if (t->status != EXIT_OK)
		return;
	target_result(v, t, result, sizeof(result));
	if (!json_get_bool(t->reply.result, "changed", true) && !args_flag(&v->args, "dry-run")) {
		output_note(&v->out, "%s: %s", target_name(t), result);
		return;
	}
	if (json_get(t->reply.result, "removed") && args_flag(&v->args, "dry-run")) {
		target_join(json_get(t->reply.result, "removed"), removed, sizeof(removed));
		snprintf(result, sizeof(result), "would remove: %.380s", removed);
	}
	snprintf(name, sizeof(name), "%s", target_name(t));
	fprintf(v->out.out, "%s: %s\n", output_clean(name), output_clean(result));
	if (json_get(t->reply.result, "plan"))
		lease_plan_print(v, json_get(t->reply.result, "plan"));
}

static void target_print_names(struct vmctl *v, const struct target *targets, size_t n)
{
	/* without waiting, the job's name is what goes on from here */
	const char *member = args_flag(&v->args, "no-wait") ? "job" : "name";

	for (size_t i = 0; i < n; i++)
		if (targets[i].status == EXIT_OK)
			fprintf(v->out.out, "%s\n",
				json_get_str(targets[i].reply.result, member,
					     target_name(&targets[i])));
}

static void target_print_error(struct vmctl *v, const struct target *t)
{
	char op[100];

	if (t->status == EXIT_OK)
		return;
	snprintf(op, sizeof(op), "%s '%.80s'", v->args.command->name, target_name(t));
	output_error(&v->out, &t->e, json_get_str(json_get(t->reply.error, "data"), "name", NULL),
		     op);
}

static void target_print(struct vmctl *v, const struct target *targets, size_t n)
{
	for (size_t i = 0; i < n; i++)
		target_print_error(v, &targets[i]);
	if (v->out.format == OUTPUT_JSON)
		target_print_json(v, targets, n);
	else if (v->out.format == OUTPUT_NAME)
		target_print_names(v, targets, n);
	else if (n == 1)
		target_print_one(v, &targets[0]);
	else
		target_print_table(v, targets, n);
}

static int target_run_all(struct vmctl *v, const struct target_set *set)
{
	AUTO_FREE struct target *targets = calloc(set->n + 1, sizeof(*targets));
	AUTO_FREE int *statuses = calloc(set->n + 1, sizeof(*statuses));
	bool said;

	if (!targets || !statuses)
		abort();
	for (size_t i = 0; i < set->n; i++)
		targets[i].typed = set->names[i];
	said = !target_call_all(v, set, targets, set->n);
	if (v->client.interrupted) {
		if (v->args.command->access == COMMAND_WRITE && !said)
			output_note(&v->out, "vmctl: interrupted; the %s goes on in vmd",
				    v->args.command->name);
	} else {
		for (size_t i = 0; i < set->n; i++)
			target_strict(v, &targets[i]);
		target_print(v, targets, set->n);
	}
	for (size_t i = 0; i < set->n; i++) {
		statuses[i] = targets[i].status;
		client_reply_fini(&targets[i].reply);
	}
	return v->client.interrupted ? VMCTL_EXIT_INTERRUPTED : target_status(set->n, statuses);
}

int target_run(struct vmctl *v)
{
	struct target_set set = { 0 };
	bool ask;
	int status = vmctl_must_ask(v, &ask);

	if (status == EXIT_OK)
		status = vmctl_connect(v);
	if (status == EXIT_OK)
		status = target_set_find(v, 0, &set);
	if (status == EXIT_OK && ask)
		status = target_ask(v, &set);
	if (status == EXIT_OK)
		status = target_run_all(v, &set);
	target_set_fini(&set);
	return status;
}
