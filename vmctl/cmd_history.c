// SPDX-License-Identifier: MIT
/* vmctl history, revert: the revisions of a VM's definition, and the way back to one. */
#include <inttypes.h>
#include <pwd.h>
#include <string.h>
#include <time.h>

#include "lib/errcat.h"
#include "vmctl/changes.h"
#include "vmctl/history.h"
#include "vmctl/table.h"
#include "vmctl/vmctl.h"

#define HISTORY_LIMIT 20
#define HISTORY_CHANGES_WIDTH 36
#define HISTORY_PAGE 200 /* vmd gives at most so many in one answer */

/* "root", or the number where it has no name here */
static const char *history_user(struct json_object *actor, char *out, size_t out_size)
{
	int64_t uid = json_get_int(actor, "uid", -1);
	struct passwd entry, *found = NULL;
	char space[4096];

	if (uid >= 0 && uid < UINT32_MAX &&
	    !getpwuid_r((uid_t)uid, &entry, space, sizeof(space), &found) && found)
		snprintf(out, out_size, "%s", found->pw_name);
	else
		snprintf(out, out_size, "%" PRId64, uid);
	return out;
}

/* "revert to 3: /cpus", cut so that a line of the table fits 80 columns */
static const char *history_changes(struct json_object *r, bool wide, char *out, size_t out_size)
{
	const char *note = json_get_str(r, "note", NULL);
	struct json_object *changes = json_get(r, "changes");
	char paths[400];

	changes_join(changes, paths, wide ? sizeof(paths) : HISTORY_CHANGES_WIDTH);
	snprintf(out, out_size, "%s%s%s", note ? note : "", note && paths[0] ? ": " : "",
		 !changes && json_get_int(r, "revision", 0) == 1 ? "created" : paths);
	return out;
}

void history_table(struct vmctl *v, struct json_object *list)
{
	struct table table;
	bool wide = v->out.format == OUTPUT_WIDE;
	char text[500], age[24];
	time_t now = time(NULL);

	table_init(&table);
	table_column(&table, "REVISION", TABLE_RIGHT);
	table_column(&table, "AGE", TABLE_RIGHT);
	table_column(&table, "USER", TABLE_LEFT);
	table_column(&table, "PROGRAM", TABLE_LEFT);
	table_column(&table, "PID", TABLE_RIGHT);
	table_column(&table, "CHANGES", TABLE_LEFT);
	for (size_t i = 0; i < json_object_array_length(list); i++) {
		struct json_object *r = json_object_array_get_idx(list, i);
		struct json_object *actor = json_get(r, "actor");

		snprintf(text, sizeof(text), "%" PRId64, json_get_int(r, "revision", 0));
		table_cell(&table, text, NULL);
		table_cell(&table, output_age(json_get_str(r, "time", NULL), now, age), NULL);
		table_cell(&table, history_user(actor, text, sizeof(text)), NULL);
		table_cell(&table, json_get_str(actor, "program", NULL), NULL);
		snprintf(text, sizeof(text), "%" PRId64, json_get_int(actor, "pid", 0));
		table_cell(&table, text, NULL);
		table_cell(&table, history_changes(r, wide, text, sizeof(text)), NULL);
	}
	table_print(&table, v->out.out, v->out.header, v->out.color);
	table_fini(&table);
}

static void history_diffs(struct vmctl *v, struct json_object *list)
{
	for (size_t i = 0; i < json_object_array_length(list); i++) {
		struct json_object *r = json_object_array_get_idx(list, i);
		struct json_object *actor = json_get(r, "actor");
		const char *note = json_get_str(r, "note", NULL);
		char user[64], line[300];

		snprintf(line, sizeof(line), "revision %" PRId64 ", %s, %s by %s (%" PRId64 ")%s%s",
			 json_get_int(r, "revision", 0), json_get_str(r, "time", "?"),
			 history_user(actor, user, sizeof(user)),
			 json_get_str(actor, "program", "?"), json_get_int(actor, "pid", 0),
			 note ? ": " : "", note ? note : "");
		fprintf(v->out.out, "%s%s\n", i ? "\n" : "", output_clean(line));
		changes_print(&v->out, json_get(r, "changes"), 2);
	}
}

static int history_page(struct vmctl *v, const char *op, int64_t before, uint64_t limit,
			struct client_reply *ret)
{
	struct json_object *params = json_add_str(json_new(), "vm", v->args.operands[0]);

	json_add_int(params, "limit", (int64_t)MIN(limit, (uint64_t)HISTORY_PAGE));
	if (before)
		json_add_int(params, "before", before);
	return vmctl_call(v, "vm.history", params, ret, op);
}

/* The first page, with what the next ones have added to it: vmd bounds an answer. */
static int history_load(struct vmctl *v, const char *op, uint64_t limit, struct client_reply *ret)
{
	int status = history_page(v, op, (int64_t)args_number(&v->args, "before", 0), limit, ret);
	struct json_object *list = json_get(ret->result, "revisions");
	size_t n = list ? json_object_array_length(list) : 0;

	while (status == EXIT_OK && n && n < limit && json_get_bool(ret->result, "more", false)) {
		struct json_object *last = json_object_array_get_idx(list, n - 1), *more;
		struct client_reply page;

		status = history_page(v, op, json_get_int(last, "revision", 0), limit - n, &page);
		more = json_get(page.result, "revisions");
		for (size_t i = 0; more && i < json_object_array_length(more); i++)
			json_object_array_add(list,
					      json_object_get(json_object_array_get_idx(more, i)));
		json_add_bool(ret->result, "more",
			      json_get_bool(page.result, "more", false) &&
				      json_object_array_length(list) > n);
		n = json_object_array_length(list);
		client_reply_fini(&page);
	}
	return status;
}

int cmd_history(struct vmctl *v)
{
	uint64_t limit = args_number(&v->args, "limit", HISTORY_LIMIT);
	struct client_reply reply = { 0 };
	struct json_object *list;
	char op[100];
	int status;

	if (!limit)
		return vmctl_usage(v, "--limit must be at least 1");
	snprintf(op, sizeof(op), "show the history of '%.60s'", v->args.operands[0]);
	status = history_load(v, op, limit, &reply);
	list = json_get(reply.result, "revisions");
	if (status != EXIT_OK)
		; /* printed */
	else if (v->out.format == OUTPUT_JSON)
		output_json(&v->out, "history", reply.result);
	else if (v->out.format == OUTPUT_NAME)
		for (size_t i = 0; i < json_object_array_length(list); i++)
			fprintf(v->out.out, "%" PRId64 "\n",
				json_get_int(json_object_array_get_idx(list, i), "revision", 0));
	else if (args_flag(&v->args, "diff"))
		history_diffs(v, list);
	else
		history_table(v, list);
	client_reply_fini(&reply);
	return status;
}

static struct json_object *revert_params(struct vmctl *v)
{
	struct json_object *params = json_add_str(json_new(), "vm", v->args.operands[0]);

	return json_add_int(params, "to", (int64_t)args_number(&v->args, "to", 0));
}

/* What it changes, asked by dry run; it then holds for the revision that was shown only. */
static int revert_ask(struct vmctl *v, const char *op, struct json_object *params)
{
	struct client_reply reply, diff;
	struct json_object *against = json_add_str(json_new(), "vm", v->args.operands[0]);
	int64_t revision;
	int status;

	status = vmctl_call(v, "vm.revert", json_add_bool(revert_params(v), "dry_run", true),
			    &reply, op);
	revision = json_get_int(reply.result, "revision", 0);
	if (status != EXIT_OK || strcmp(json_get_str(reply.result, "result", ""), "updated")) {
		json_object_put(against);
		client_reply_fini(&reply);
		return status;
	}
	client_reply_fini(&reply);
	json_add_int(against, "against", revision - 1);
	json_add_int(against, "revision", (int64_t)args_number(&v->args, "to", 0));
	status = vmctl_call(v, "vm.diff", against, &diff, op);
	if (status == EXIT_OK) {
		struct output to_err = v->out;

		to_err.out = v->out.err;
		to_err.color = false;
		output_note(&v->out, "%s changes:", op);
		changes_print(&to_err, json_get(diff.result, "changes"), 2);
		json_add_int(params, "if_revision", revision - 1);
		status = vmctl_confirm(v);
	}
	client_reply_fini(&diff);
	return status;
}

static int revert_strict(struct vmctl *v, bool unchanged, const char *op)
{
	struct err e;

	if (!unchanged || !args_flag(&v->args, "strict"))
		return EXIT_OK;
	err_set(&e, ERR_VM_STATE, "it is so already");
	err_hint(&e, "without --strict this is no error");
	return vmctl_fail(v, &e, NULL, "%s", op);
}

static void revert_print(struct vmctl *v, struct json_object *r)
{
	const char *name = json_get_str(r, "name", "?");
	bool unchanged = !strcmp(json_get_str(r, "result", ""), "unchanged");

	if (v->out.format == OUTPUT_JSON)
		output_json(&v->out, "revert", r);
	else if (v->out.format == OUTPUT_NAME)
		fprintf(v->out.out, "%s\n", name);
	else if (unchanged)
		output_note(&v->out, "%s: unchanged", name);
	else
		fprintf(v->out.out, "%s: %s to %" PRIu64 " (revision %" PRId64 ")\n", name,
			args_flag(&v->args, "dry-run") ? "would be reverted" : "reverted",
			args_number(&v->args, "to", 0), json_get_int(r, "revision", 0));
	if (json_get_bool(r, "restart_required", false) && v->out.format != OUTPUT_JSON)
		output_note(&v->out, "%s: runs with the old definition until: vmctl restart %s",
			    name, name);
}

int cmd_revert(struct vmctl *v)
{
	struct json_object *params;
	struct client_reply reply = { 0 };
	char op[120];
	bool ask, unchanged;
	int status = vmctl_must_ask(v, &ask);

	if (status != EXIT_OK)
		return status;
	if (!args_number(&v->args, "to", 0))
		return vmctl_usage(v, "--to must be at least 1");
	snprintf(op, sizeof(op), "revert '%.60s' to %" PRIu64, v->args.operands[0],
		 args_number(&v->args, "to", 0));
	params = revert_params(v);
	if (args_flag(&v->args, "dry-run"))
		json_add_bool(params, "dry_run", true);
	if (ask)
		status = revert_ask(v, op, params);
	if (status != EXIT_OK) {
		json_object_put(params);
		return status;
	}
	status = vmctl_call(v, "vm.revert", params, &reply, op);
	if (status == EXIT_OK) {
		unchanged = !strcmp(json_get_str(reply.result, "result", ""), "unchanged");
		status = revert_strict(v, unchanged, op);
		if (status == EXIT_OK)
			revert_print(v, reply.result);
	}
	client_reply_fini(&reply);
	return status;
}
