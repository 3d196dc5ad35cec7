// SPDX-License-Identifier: MIT
/* vmctl host info and doctor, version, daemon … and rpc: what is told about the host, the daemon, and its API raw. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/auto.h"
#include "lib/errcat.h"
#include "lib/rpc.h"
#include "vmctl/table.h"
#include "vmctl/vmctl.h"

#define DAEMON_PING_MS 5000

static void host_memory(struct table *t, struct json_object *memory)
{
	struct json_object *pages = json_get(memory, "hugepages");
	char a[24], b[24];

	table_pair(t, "Memory:", "%s, %s available",
		   output_size((uint64_t)json_get_int(memory, "total", 0), a),
		   output_size((uint64_t)json_get_int(memory, "available", 0), b));
	for (size_t i = 0; pages && i < json_object_array_length(pages); i++) {
		struct json_object *p = json_object_array_get_idx(pages, i);

		table_pair(t, "Huge pages:", "%s: %" PRId64 " of %" PRId64 " free",
			   output_size((uint64_t)json_get_int(p, "size", 0), a),
			   json_get_int(p, "free", 0), json_get_int(p, "total", 0));
	}
}

static void host_kvm(struct table *t, struct json_object *kvm)
{
	int64_t max = json_get_int(kvm, "max_vcpus", 0);

	if (!json_get_bool(kvm, "usable", false))
		table_pair(t, "KVM:", "not usable: %s", json_get_str(kvm, "reason", "unknown"));
	else if (max)
		table_pair(t, "KVM:", "usable, API %" PRId64 ", up to %" PRId64 " vCPUs",
			   json_get_int(kvm, "api_version", 0), max);
	else
		table_pair(t, "KVM:", "usable");
}

static void host_print(struct vmctl *v, struct json_object *host)
{
	struct json_object *vmm = json_get(host, "vmm");
	struct table table;

	table_init(&table);
	table_column(&table, "", TABLE_LEFT);
	table_column(&table, "", TABLE_LEFT);
	table_pair(&table, "Host:", "%s", json_get_str(host, "hostname", "?"));
	table_pair(&table, "Kernel:", "%s", json_get_str(host, "kernel", "?"));
	table_pair(&table, "CPUs:", "%" PRId64, json_get_int(host, "cpus", 0));
	host_memory(&table, json_get(host, "memory"));
	host_kvm(&table, json_get(host, "kvm"));
	table_pair(&table, "Monitor:", "%s (%s)", json_get_str(vmm, "path", "?"),
		   json_get_str(vmm, "version", "?"));
	table_print(&table, v->out.out, false, false);
	table_fini(&table);
}

int cmd_host_info(struct vmctl *v)
{
	struct client_reply reply;
	int status = vmctl_call(v, "host.info", NULL, &reply, "show the host");

	if (status != EXIT_OK)
		; /* printed */
	else if (v->out.format == OUTPUT_JSON)
		output_json(&v->out, "host.info", reply.result);
	else if (v->out.format == OUTPUT_NAME)
		fprintf(v->out.out, "%s\n", json_get_str(reply.result, "hostname", "?"));
	else
		host_print(v, reply.result);
	client_reply_fini(&reply);
	return status;
}

static const char *host_color(const char *status)
{
	if (!strcmp(status, "ok"))
		return "32";
	return strcmp(status, "fail") ? "33" : "31";
}

static void host_checks(struct vmctl *v, struct json_object *checks)
{
	struct table t;

	table_init(&t);
	table_column(&t, "CHECK", TABLE_LEFT);
	table_column(&t, "RESULT", TABLE_LEFT);
	table_column(&t, "WHAT", TABLE_LEFT);
	for (size_t i = 0; i < json_object_array_length(checks); i++) {
		struct json_object *o = json_object_array_get_idx(checks, i);
		const char *status = json_get_str(o, "status", "?");

		table_cell(&t, json_get_str(o, "name", NULL), NULL);
		table_cell(&t, status, host_color(status));
		table_cell(&t, json_get_str(o, "what", NULL), NULL);
	}
	table_print(&t, v->out.out, v->out.header, v->out.color);
	table_fini(&t);
	for (size_t i = 0; i < json_object_array_length(checks); i++) {
		struct json_object *o = json_object_array_get_idx(checks, i);

		if (json_get(o, "hint"))
			fprintf(v->out.out, "hint: %s: %s\n", json_get_str(o, "name", "?"),
				json_get_str(o, "hint", ""));
	}
}

int cmd_host_doctor(struct vmctl *v)
{
	struct client_reply reply;
	int status = vmctl_call(v, "host.doctor", NULL, &reply, "examine the host");
	const char *worst = json_get_str(reply.result, "status", "?");

	if (status != EXIT_OK) {
		client_reply_fini(&reply); /* printed */
		return status;
	}
	if (!strcmp(worst, "fail"))
		status = EXIT_PRECONDITION;
	if (v->out.format == OUTPUT_JSON)
		output_json(&v->out, "host.doctor", reply.result);
	else if (v->out.format == OUTPUT_NAME)
		fprintf(v->out.out, "%s\n", worst);
	else
		host_checks(v, json_get(reply.result, "checks"));
	client_reply_fini(&reply);
	return status;
}

static void version_print(struct vmctl *v, struct json_object *daemon)
{
	struct json_object *api = json_get(daemon, "api");

	fprintf(v->out.out, "vmd   %s (API %" PRId64 ".%" PRId64 ", process %" PRId64 ")\n",
		json_get_str(daemon, "version", "?"), json_get_int(api, "major", 0),
		json_get_int(api, "minor", 0), json_get_int(daemon, "pid", 0));
}

/* Without a daemon this is no failure: its absence is the answer. */
int cmd_version(struct vmctl *v)
{
	AUTO_JSON struct json_object *doc = json_new();
	struct client_reply reply = { 0 };
	struct err e;
	int ret = client_open(&v->client, v->socket, &e);

	v->connected = ret >= 0;
	if (ret >= 0)
		ret = client_call(&v->client, "daemon.version", NULL, &reply, &e);
	json_add(doc, "client", json_add_str(json_new(), "version", VERSION));
	json_add(doc, "daemon", json_object_get(reply.result));
	if (ret < 0)
		json_add(doc, "error", output_error_json(&e, reply.error));
	if (v->out.format == OUTPUT_JSON)
		output_json(&v->out, "version", doc);
	else
		fputs("vmctl " VERSION "\n", v->out.out);
	if (v->out.format != OUTPUT_JSON && ret >= 0)
		version_print(v, reply.result);
	else if (v->out.format != OUTPUT_JSON)
		output_note(&v->out, "vmctl: %s", e.msg);
	client_reply_fini(&reply);
	return EXIT_OK;
}

/* Of the daemon alone: without one, it is a failure. */
int cmd_daemon_version(struct vmctl *v)
{
	struct client_reply reply;
	int status = vmctl_call(v, "daemon.version", NULL, &reply, "ask for vmd's version");

	if (status != EXIT_OK)
		; /* printed */
	else if (v->out.format == OUTPUT_JSON)
		output_json(&v->out, "daemon.version", reply.result);
	else if (v->out.format == OUTPUT_NAME)
		fprintf(v->out.out, "%s\n", json_get_str(reply.result, "version", "?"));
	else
		version_print(v, reply.result);
	client_reply_fini(&reply);
	return status;
}

/* One that hangs is not waited for: this is what asks whether it is well. */
int cmd_daemon_ping(struct vmctl *v)
{
	uint64_t timeout_ms = args_number(&v->args, "timeout", DAEMON_PING_MS);
	uint64_t begun = uv_hrtime(), us;
	int status = vmctl_connect(v);
	struct client_reply reply;
	struct err e;

	if (status != EXIT_OK)
		return status;
	if (client_wait(&v->client, client_send(&v->client, "daemon.ping", NULL),
			MAX(timeout_ms, (uint64_t)1), &reply, &e) < 0)
		status = vmctl_fail(v, &e, &reply, "%s", "");
	us = (uv_hrtime() - begun) / 1000;
	if (status == EXIT_OK && v->out.format == OUTPUT_JSON) {
		json_add_int(reply.result, "round_trip_us", (int64_t)us);
		output_json(&v->out, "daemon.ping", reply.result);
	} else if (status == EXIT_OK && v->out.format != OUTPUT_NAME) {
		fprintf(v->out.out, "vmd answers, after %.1f ms\n", (double)us / 1000);
	}
	client_reply_fini(&reply);
	return status;
}

/* The second operand, or standard input for "-", or nothing. Returns the status. */
static int rpc_params(struct vmctl *v, struct json_object **ret_params)
{
	const char *text = v->args.noperands > 1 ? v->args.operands[1] : "{}";
	AUTO_FREE char *data = NULL;
	size_t len = strlen(text);
	struct err e;
	int ret = 0;

	if (!strcmp(text, "-")) {
		ret = fdio_read_file(fileno(v->in), RPC_LINE_MAX, &data, &len, &e);
		text = data;
	}
	if (ret >= 0)
		ret = json_parse(text, len, ret_params, &e);
	if (ret < 0)
		return vmctl_usage(v, "the parameters are no JSON: %s", e.msg);
	if (!json_object_is_type(*ret_params, json_type_object))
		return vmctl_usage(v, "the parameters must be a JSON object");
	return EXIT_OK;
}

int cmd_rpc(struct vmctl *v)
{
	const char *method = v->args.operands[0];
	struct json_object *params = NULL;
	struct client_reply reply = { 0 };
	char op[160];
	int status = rpc_params(v, &params);

	if (status != EXIT_OK) {
		json_object_put(params);
		return status;
	}
	snprintf(op, sizeof(op), "call '%.140s'", method);
	status = vmctl_call(v, method, params, &reply, op);
	if (status == EXIT_OK)
		output_json_raw(&v->out, reply.result);
	client_reply_fini(&reply);
	return status;
}
