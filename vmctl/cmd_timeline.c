// SPDX-License-Identifier: MIT
/* vmctl timeline: what a start took, phase by phase, beside what it usually takes. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "lib/errcat.h"
#include "vmctl/table.h"
#include "vmctl/vmctl.h"

#define TIMELINE_BAR 20

/* "0.35ms", "12.3ms", "4.56s" */
static const char *timeline_time(int64_t us, char out[static 24])
{
	if (us < 0)
		return NULL;
	if (us < 10000)
		snprintf(out, 24, "%.2fms", (double)us / 1e3);
	else if (us < 1000000)
		snprintf(out, 24, "%.1fms", (double)us / 1e3);
	else
		snprintf(out, 24, "%.2fs", (double)us / 1e6);
	return out;
}

static void timeline_cell(struct table *t, struct json_object *o, const char *key)
{
	char text[24];

	table_cell(t, timeline_time(json_get_int(o, key, -1), text), NULL);
}

static struct json_object *timeline_find(struct json_object *list, const char *phase)
{
	for (size_t i = 0; list && i < json_object_array_length(list); i++) {
		struct json_object *o = json_object_array_get_idx(list, i);

		if (!strcmp(json_get_str(o, "phase", ""), phase))
			return o;
	}
	return NULL;
}

static void timeline_bar(struct table *t, int64_t took, int64_t longest)
{
	char bar[TIMELINE_BAR + 1] = "";

	if (took > 0 && longest > 0)
		memset(bar, '#', (size_t)(((double)took / (double)longest) * TIMELINE_BAR));
	table_cell(t, bar[0] ? bar : took > 0 ? "." : NULL, NULL);
}

static void timeline_start(struct vmctl *v, struct json_object *start, struct json_object *stats)
{
	struct json_object *phases = json_get(start, "phases");
	size_t n = phases ? json_object_array_length(phases) : 0;
	int64_t longest = 0;
	struct table t;

	table_init(&t);
	table_column(&t, "PHASE", TABLE_LEFT);
	table_column(&t, "AT", TABLE_RIGHT);
	table_column(&t, "TOOK", TABLE_RIGHT);
	table_column(&t, "P50", TABLE_RIGHT);
	table_column(&t, "P95", TABLE_RIGHT);
	table_column(&t, "SHARE", TABLE_LEFT);
	for (size_t i = 0; i < n; i++)
		longest = MAX(longest,
			      json_get_int(json_object_array_get_idx(phases, i), "took_us", 0));
	for (size_t i = 0; i < n; i++) {
		struct json_object *o = json_object_array_get_idx(phases, i);
		const char *phase = json_get_str(o, "phase", "");

		table_cell(&t, phase, NULL);
		timeline_cell(&t, o, "at_us");
		timeline_cell(&t, o, "took_us");
		timeline_cell(&t, timeline_find(stats, phase), "p50_us");
		timeline_cell(&t, timeline_find(stats, phase), "p95_us");
		timeline_bar(&t, json_get_int(o, "took_us", 0), longest);
	}
	table_print(&t, v->out.out, v->out.header, v->out.color);
	table_fini(&t);
}

static void timeline_all(struct vmctl *v, struct json_object *starts)
{
	static const char *const phases[] = { "hello", "machine", "start", "console", "kick" };
	static const char *const columns[] = { "TIME",	  "REVISION", "RESULT",	 "HELLO",
					       "MACHINE", "START",    "CONSOLE", "KICK" };
	struct table t;
	char number[24];

	table_init(&t);
	for (size_t i = 0; i < ARRAY_SIZE(columns); i++)
		table_column(&t, columns[i], i && i != 2 ? TABLE_RIGHT : TABLE_LEFT);
	for (size_t i = 0; i < json_object_array_length(starts); i++) {
		struct json_object *o = json_object_array_get_idx(starts, i);
		bool ok = json_get_bool(o, "ok", false), slow = json_get_bool(o, "slow", false);

		snprintf(number, sizeof(number), "%" PRId64, json_get_int(o, "revision", 0));
		table_cell(&t, json_get_str(o, "time", NULL), NULL);
		table_cell(&t, number, NULL);
		table_cell(&t, !ok ? "failed" : slow ? "slow" : "ok", !ok ? "31" : NULL);
		for (size_t k = 0; k < ARRAY_SIZE(phases); k++)
			timeline_cell(&t, timeline_find(json_get(o, "phases"), phases[k]), "at_us");
	}
	table_print(&t, v->out.out, v->out.header, v->out.color);
	table_fini(&t);
}

static void timeline_warn(struct vmctl *v, const char *name, struct json_object *start,
			  int64_t median_us)
{
	char total[24], median[24];

	if (!json_get_bool(start, "ok", true))
		output_note(&v->out, "%s: this start failed", name);
	if (json_get_bool(start, "slow", false))
		output_note(&v->out,
			    "%s: this start took %s to the first instruction; the median is %s",
			    name, timeline_time(json_get_int(start, "total_us", 0), total),
			    timeline_time(median_us, median));
}

static void timeline_print(struct vmctl *v, struct json_object *r)
{
	struct json_object *starts = json_get(r, "starts"), *last;
	char name[80], schema[32];

	snprintf(name, sizeof(name), "%s", json_get_str(r, "name", v->args.operands[0]));
	output_clean(name);
	last = starts ? json_object_array_get_idx(starts, 0) : NULL;
	if (v->out.format == OUTPUT_JSON)
		output_json(&v->out, vmctl_schema(v, schema, sizeof(schema)), r);
	else if (v->out.format == OUTPUT_NAME)
		fprintf(v->out.out, "%s\n", name);
	else if (!last)
		output_note(&v->out, "%s: no start is known", name);
	else if (args_flag(&v->args, "all"))
		timeline_all(v, starts);
	else
		timeline_start(v, last, json_get(r, "stats"));
	if (last && v->out.format != OUTPUT_JSON)
		timeline_warn(v, name, last, json_get_int(r, "median_us", 0));
}

int cmd_timeline(struct vmctl *v)
{
	struct json_object *params = json_add_str(json_new(), "vm", v->args.operands[0]);
	struct client_reply reply;
	int status;

	if (!args_flag(&v->args, "all"))
		json_add_int(params, "limit", 1);
	status = vmctl_call(v, "vm.timeline", params, &reply, "show the timeline");
	if (status == EXIT_OK)
		timeline_print(v, reply.result);
	client_reply_fini(&reply);
	return status;
}
