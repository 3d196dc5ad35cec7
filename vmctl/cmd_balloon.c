// SPDX-License-Identifier: MIT
/* vmctl balloon: how much of its memory a VM shall have, and has; and the lines that `show` has of it too. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "lib/errcat.h"
#include "vmctl/stats.h"
#include "vmctl/table.h"
#include "vmctl/vmctl.h"

const char *stats_size(struct json_object *o, const char *member, char out[static 24])
{
	int64_t n = json_get_int(o, member, -1);

	return n < 0 ? NULL : output_size((uint64_t)n, out);
}

void stats_pairs(struct table *t, struct json_object *stats)
{
	struct json_object *balloon = json_get(stats, "balloon"), *s = json_get(balloon, "stats");
	int64_t cpu_us = json_get_int(stats, "cpu_us", -1);
	char a[24], b[24], c[24];

	if (cpu_us >= 0)
		table_pair(t, "CPU time:", "%" PRId64 ".%02d s", cpu_us / 1000000,
			   (int)(cpu_us / 10000 % 100));
	if (stats_size(stats, "rss", a))
		table_pair(t, "Resident:", "%s", a);
	if (!stats_size(balloon, "target", a) || !stats_size(balloon, "actual", b))
		return;
	if (!json_get_bool(balloon, "driver", false))
		table_pair(t, "Balloon:", "the guest shall have %s; it has no driver for it", a);
	else
		table_pair(t, "Balloon:", "the guest has %s and shall have %s", b, a);
	if (stats_size(s, "total", a) && stats_size(s, "free", b))
		table_pair(t, "In the guest:", "%s, %s free%s%s, %" PRId64 "s ago", a, b,
			   stats_size(s, "available", c) ? ", available " : "",
			   stats_size(s, "available", c) ? c : "",
			   json_get_int(s, "age_ms", 0) / 1000);
}

static int balloon_show(struct vmctl *v)
{
	struct client_reply reply;
	struct table t;
	char op[100];
	int status;

	snprintf(op, sizeof(op), "show the memory of '%.70s'", v->args.operands[0]);
	status = vmctl_call(v, "vm.stats", json_add_str(json_new(), "vm", v->args.operands[0]),
			    &reply, op);
	if (status == EXIT_OK && v->out.format == OUTPUT_JSON) {
		output_json(&v->out, "balloon", reply.result);
	} else if (status == EXIT_OK && v->out.format == OUTPUT_NAME) {
		fprintf(v->out.out, "%s\n", json_get_str(reply.result, "name", "?"));
	} else if (status == EXIT_OK) {
		table_init(&t);
		table_column(&t, "", TABLE_LEFT);
		table_column(&t, "", TABLE_LEFT);
		table_pair(&t, "Name:", "%s", json_get_str(reply.result, "name", "?"));
		stats_pairs(&t, reply.result);
		table_print(&t, v->out.out, false, false);
		table_fini(&t);
	}
	client_reply_fini(&reply);
	return status;
}

static int balloon_strict(struct vmctl *v, struct json_object *r, const char *op)
{
	struct err e;

	if (!args_flag(&v->args, "strict") || args_flag(&v->args, "dry-run") ||
	    json_get_bool(r, "changed", true))
		return EXIT_OK;
	err_set(&e, ERR_VM_STATE, "%s", json_get_str(r, "note", "there is nothing to do"));
	err_hint(&e, "without --strict this is no error");
	return vmctl_fail(v, &e, NULL, "%s", op);
}

static void balloon_print(struct vmctl *v, struct json_object *r)
{
	const char *note = json_get_str(r, "note", NULL);
	char target[24], actual[24], name[80];

	snprintf(name, sizeof(name), "%s", json_get_str(r, "name", "?"));
	output_clean(name);
	if (v->out.format == OUTPUT_JSON)
		output_json(&v->out, "balloon", r);
	else if (v->out.format == OUTPUT_NAME)
		fprintf(v->out.out, "%s\n", name);
	else if (!json_get_bool(r, "changed", true))
		output_note(&v->out, "%s: %s", name, note ? note : "nothing to do");
	else
		fprintf(v->out.out, "%s: shall have %s, has %s\n", name,
			stats_size(r, "target", target) ? target : "?",
			stats_size(r, "actual", actual) ? actual : "?");
	if (note && json_get_bool(r, "changed", true) && v->out.format != OUTPUT_JSON)
		output_note(&v->out, "%s: %s", name, note);
}

int cmd_balloon(struct vmctl *v)
{
	struct json_object *params;
	struct client_reply reply;
	char op[100];
	int status;

	if (v->args.noperands < 2)
		return balloon_show(v);
	params = json_add_str(json_new(), "vm", v->args.operands[0]);
	json_add_str(params, "size", v->args.operands[1]);
	if (args_flag(&v->args, "dry-run"))
		json_add_bool(params, "dry_run", true);
	snprintf(op, sizeof(op), "change the memory of '%.70s'", v->args.operands[0]);
	status = vmctl_call(v, "vm.balloon", params, &reply, op);
	if (status == EXIT_OK)
		status = balloon_strict(v, reply.result, op);
	if (status == EXIT_OK)
		balloon_print(v, reply.result);
	client_reply_fini(&reply);
	return status;
}
