// SPDX-License-Identifier: MIT
/*
 * vmctl diff: what differs between VMs and files, or between two revisions. vmd compares. Its exit status is
 * diff(1)'s: 0 the same, 1 different, 2 and above trouble.
 */
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "lib/auto.h"
#include "lib/errcat.h"
#include "vmctl/changes.h"
#include "vmctl/files.h"

enum diff_exit { DIFF_SAME = 0, DIFF_DIFFERS = 1, DIFF_TROUBLE = 2 };

static int diff_trouble(int status)
{
	return status == EXIT_FAILED ? DIFF_TROUBLE : status;
}

static bool diff_differs(struct json_object *r)
{
	struct json_object *changes = json_get(r, "changes");

	return changes && json_object_array_length(changes);
}

/* "hello (revision 3)", or what stands for a VM that there is not */
static void diff_side(struct json_object *r, const char *member, char *out, size_t out_size)
{
	int64_t revision = json_get_int(r, member, 0);

	if (json_get_bool(r, "exists", true))
		snprintf(out, out_size, "%s (revision %" PRId64 ")", json_get_str(r, "name", "?"),
			 revision);
	else
		snprintf(out, out_size, "/dev/null");
	output_clean(out);
}

static void diff_print(struct vmctl *v, struct json_object *r, const char *path)
{
	char side[200];

	if (!diff_differs(r))
		return;
	if (v->out.format == OUTPUT_NAME) {
		fprintf(v->out.out, "%s\n", json_get_str(r, "name", "?"));
		return;
	}
	diff_side(r, "against", side, sizeof(side));
	fprintf(v->out.out, "--- %s\n", side);
	if (!path)
		diff_side(r, "revision", side, sizeof(side));
	fprintf(v->out.out, "+++ %s\n", path ? path : side);
	changes_print(&v->out, json_get(r, "changes"), 0);
}

static void diff_print_files(struct vmctl *v, const struct files_set *s)
{
	AUTO_JSON struct json_object *doc = json_new();
	struct json_object *results = json_object_new_array();

	json_add(doc, "results", results);
	for (size_t i = 0; i < s->n; i++) {
		if (v->out.format == OUTPUT_JSON)
			json_object_array_add(results, files_row(&s->items[i]));
		else if (s->items[i].status == EXIT_OK)
			diff_print(v, s->items[i].reply.result, s->items[i].path);
	}
	if (v->out.format == OUTPUT_JSON)
		output_json(&v->out, "diff", doc);
}

/* Trouble with one is trouble with all: 0 and 1 say that everything was compared. */
static int diff_status(const struct files_set *s)
{
	int status = files_status(s);

	if (status != EXIT_OK)
		return diff_trouble(status);
	for (size_t i = 0; i < s->n; i++)
		if (diff_differs(s->items[i].reply.result))
			return DIFF_DIFFERS;
	return DIFF_SAME;
}

static int diff_files(struct vmctl *v)
{
	struct files_set set = { 0 };
	int status = EXIT_OK;

	files_add_options(&set, &v->args);
	if (set.bad < set.n)
		status = vmctl_connect(v);
	for (size_t i = 0; status == EXIT_OK && i < set.n; i++) {
		if (v->client.interrupted)
			status = VMCTL_EXIT_INTERRUPTED;
		else if (set.items[i].status == EXIT_OK)
			files_call(v, &set.items[i], set.items[i].pool ? "pool.diff" : "vm.diff",
				   json_new());
	}
	if (status == EXIT_OK) {
		files_print_errors(v, &set, "compare");
		diff_print_files(v, &set);
		status = diff_status(&set);
	} else {
		status = diff_trouble(status);
	}
	files_fini(&set);
	return status;
}

static bool diff_number(const char **text, int64_t *ret)
{
	char *end;

	errno = 0;
	*ret = strtoll(*text, &end, 10);
	if (!isdigit((unsigned char)**text) || errno || *ret < 1 || *ret > JSON_INT_MAX)
		return false;
	*text = end;
	return true;
}

/* "3" or "3..5" */
static bool diff_range(const char *text, struct json_object *params)
{
	int64_t number;

	if (!diff_number(&text, &number))
		return false;
	json_add_int(params, "against", number);
	if (!*text)
		return true;
	if (strncmp(text, "..", 2))
		return false;
	text += 2;
	if (!diff_number(&text, &number) || *text)
		return false;
	json_add_int(params, "revision", number);
	return true;
}

static int diff_revisions(struct vmctl *v)
{
	const char *range = args_str(&v->args, "revision", NULL);
	struct json_object *params = json_add_str(json_new(), "vm", v->args.operands[0]);
	struct client_reply reply;
	char op[100];
	int status;

	if (!diff_range(range, params)) {
		json_object_put(params);
		return vmctl_usage(v, "--revision takes a number, or two as in 3..5, not '%s'",
				   range);
	}
	snprintf(op, sizeof(op), "compare revisions of '%.60s'", v->args.operands[0]);
	status = vmctl_call(v, "vm.diff", params, &reply, op);
	if (status != EXIT_OK) {
		status = diff_trouble(status);
	} else {
		if (v->out.format == OUTPUT_JSON)
			output_json(&v->out, "diff", reply.result);
		else
			diff_print(v, reply.result, NULL);
		status = diff_differs(reply.result) ? DIFF_DIFFERS : DIFF_SAME;
	}
	client_reply_fini(&reply);
	return status;
}

int cmd_diff(struct vmctl *v)
{
	bool file = args_item(&v->args, "file", 0), revision = args_str(&v->args, "revision", NULL);
	bool vm = v->args.noperands;

	if (file && !vm && !revision)
		return diff_files(v);
	if (vm && revision && !file)
		return diff_revisions(v);
	return vmctl_usage(v, "diff takes --file FILE, or a VM with --revision N");
}
