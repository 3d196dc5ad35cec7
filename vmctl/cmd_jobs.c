// SPDX-License-Identifier: MIT
/* vmctl jobs, job show, job wait, job cancel. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/auto.h"
#include "lib/errcat.h"
#include "lib/rpc.h"
#include "vmctl/progress.h"
#include "vmctl/table.h"

/* "12s", "1.5s", "350ms": how long it takes, or took */
static void jobs_time(struct json_object *job, char *out, size_t size)
{
	int64_t ms = json_get_int(job, "age_ms", 0);

	if (ms < 1000)
		snprintf(out, size, "%" PRId64 "ms", ms);
	else if (ms < 10000)
		snprintf(out, size, "%.1fs", (double)ms / 1000);
	else if (ms < 600000)
		snprintf(out, size, "%" PRId64 "s", ms / 1000);
	else
		snprintf(out, size, "%" PRId64 "m", ms / 60000);
}

/* "vmctl, uid 0" */
static void jobs_actor(struct json_object *job, char *out, size_t size)
{
	struct json_object *actor = json_get(job, "actor");

	snprintf(out, size, "%s, uid %" PRId64, json_get_str(actor, "program", "?"),
		 json_get_int(actor, "uid", -1));
}

static void jobs_row(struct table *t, struct json_object *job)
{
	char time[32], actor[64];

	jobs_time(job, time, sizeof(time));
	jobs_actor(job, actor, sizeof(actor));
	table_cell(t, json_get_str(job, "job", NULL), NULL);
	table_cell(t, json_get_str(job, "name", NULL), NULL);
	table_cell(t, json_get_str(job, "op", NULL), NULL);
	table_cell(t, json_get_str(job, "state", NULL),
		   strcmp(json_get_str(job, "state", ""), "failed") ? NULL : "31");
	table_cell(t, json_get_str(job, "phase", NULL), NULL);
	table_cell(t, time, NULL);
	table_cell(t, actor, NULL);
}

static void jobs_table(struct vmctl *v, struct json_object *list)
{
	static const char *const columns[] = { "JOB", "VM", "OP", "STATE", "PHASE", "TIME", "BY" };
	struct table t;

	table_init(&t);
	for (size_t i = 0; i < ARRAY_SIZE(columns); i++)
		table_column(&t, columns[i], strcmp(columns[i], "TIME") ? TABLE_LEFT : TABLE_RIGHT);
	for (size_t i = 0; list && i < json_object_array_length(list); i++)
		jobs_row(&t, json_object_array_get_idx(list, i));
	table_print(&t, v->out.out, v->out.header, v->out.color);
	table_fini(&t);
}

int cmd_jobs(struct vmctl *v)
{
	struct json_object *params = json_new(), *list;
	struct client_reply reply;
	char schema[32];
	int status;

	if (v->args.noperands)
		json_add_str(params, "vm", v->args.operands[0]);
	status = vmctl_call(v, "job.list", params, &reply, "list jobs");
	list = json_get(reply.result, "jobs");
	if (status == EXIT_OK && v->out.format == OUTPUT_JSON)
		output_json(&v->out, vmctl_schema(v, schema, sizeof(schema)), reply.result);
	else if (status == EXIT_OK && v->out.format == OUTPUT_NAME)
		for (size_t i = 0; i < json_object_array_length(list); i++)
			fprintf(v->out.out, "%s\n",
				json_get_str(json_object_array_get_idx(list, i), "job", ""));
	else if (status == EXIT_OK)
		jobs_table(v, list);
	client_reply_fini(&reply);
	return status;
}

static struct json_object *job_params(const struct vmctl *v)
{
	struct json_object *params = json_add_str(json_new(), "job", v->args.operands[0]);

	if (args_flag(&v->args, "timeout"))
		json_add_int(params, "timeout_ms", (int64_t)args_number(&v->args, "timeout", 0));
	return params;
}

static void job_table(struct vmctl *v, struct json_object *job)
{
	struct json_object *error = json_get(job, "error");
	int64_t total = json_get_int(job, "total", 0);
	char time[32], actor[64];
	struct table t;

	jobs_time(job, time, sizeof(time));
	jobs_actor(job, actor, sizeof(actor));
	table_init(&t);
	table_column(&t, "", TABLE_LEFT);
	table_column(&t, "", TABLE_LEFT);
	table_pair(&t, "Job:", "%s", json_get_str(job, "job", ""));
	table_pair(&t, "VM:", "%s", json_get_str(job, "name", ""));
	table_pair(&t, "Operation:", "%s", json_get_str(job, "op", ""));
	table_pair(&t, "State:", "%s", json_get_str(job, "state", ""));
	if (total)
		table_pair(&t, "Phase:", "%s, %" PRId64 " of %" PRId64 " %s",
			   json_get_str(job, "phase", ""), json_get_int(job, "done", 0), total,
			   json_get_str(job, "unit", ""));
	else
		table_pair(&t, "Phase:", "%s", json_get_str(job, "phase", ""));
	table_pair(&t, "Begun:", "%s", json_get_str(job, "created", ""));
	table_pair(&t, "Time:", "%s", time);
	table_pair(&t, "By:", "%s, pid %" PRId64, actor,
		   json_get_int(json_get(job, "actor"), "pid", 0));
	if (error)
		table_pair(&t, "Error:", "%s", json_get_str(error, "message", ""));
	table_print(&t, v->out.out, false, v->out.color);
	table_fini(&t);
}

static void job_print(struct vmctl *v, struct json_object *job, bool all)
{
	char schema[32], name[80], state[32];

	if (v->out.format == OUTPUT_JSON) {
		output_json(&v->out, vmctl_schema(v, schema, sizeof(schema)), job);
	} else if (v->out.format == OUTPUT_NAME) {
		fprintf(v->out.out, "%s\n", json_get_str(job, "job", ""));
	} else if (all) {
		job_table(v, job);
	} else {
		snprintf(name, sizeof(name), "%s", json_get_str(job, "name", ""));
		snprintf(state, sizeof(state), "%s", json_get_str(job, "state", ""));
		fprintf(v->out.out, "%s: %s %s\n", output_clean(name), json_get_str(job, "op", ""),
			output_clean(state));
	}
}

int cmd_job_show(struct vmctl *v)
{
	struct client_reply reply;
	int status = vmctl_call(v, "job.get", job_params(v), &reply, "show the job");

	if (status == EXIT_OK)
		job_print(v, reply.result, true);
	client_reply_fini(&reply);
	return status;
}

/* The job's failure is ours. */
static int job_status(struct vmctl *v, struct json_object *job)
{
	struct json_object *error = json_get(job, "error");
	struct err e;

	if (!error)
		return EXIT_OK;
	rpc_error_to_err(error, &e);
	output_error(&v->out, &e, json_get_str(json_get(error, "data"), "name", NULL), NULL);
	return errcat_find(e.code)->exit;
}

int cmd_job_wait(struct vmctl *v)
{
	struct client_reply reply = { 0 };
	struct progress p;
	int status = vmctl_connect(v);
	struct err e;
	int ret;

	if (status != EXIT_OK)
		return status;
	progress_init(&p, v);
	p.job = v->args.operands[0];
	ret = progress_wait(&p, client_send(&v->client, "job.wait", job_params(v)), &reply, &e);
	progress_fini(&p);
	if (ret == -EINTR && p.told)
		status = VMCTL_EXIT_INTERRUPTED;
	else if (ret < 0)
		status = vmctl_fail(v, &e, &reply, "wait for the job");
	if (status == EXIT_OK) {
		job_print(v, reply.result, false);
		status = job_status(v, reply.result);
	}
	client_reply_fini(&reply);
	return status;
}

int cmd_job_cancel(struct vmctl *v)
{
	struct client_reply reply;
	int status = vmctl_call(v, "job.cancel", job_params(v), &reply, "cancel the job");

	if (status == EXIT_OK)
		job_print(v, reply.result, false);
	client_reply_fini(&reply);
	return status;
}
