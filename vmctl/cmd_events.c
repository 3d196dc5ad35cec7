// SPDX-License-Identifier: MIT
/* vmctl events: what vmd keeps of the past, and with --follow what happens from now on. */
#include <errno.h>
#include <fnmatch.h>
#include <inttypes.h>
#include <string.h>

#include "lib/errcat.h"
#include "vmctl/vmctl.h"

/* Members of data without the name, which has a column, and what is for programs: "revision=2, changes=[…]" */
static void events_members(struct json_object *data, char *out, size_t out_size)
{
	json_object_object_foreach(data, key, value) {
		if (strcmp(key, "name") && strcmp(key, "definition"))
			snprintf(out + strlen(out), out_size - strlen(out), "%s%s=%s",
				 out[0] ? ", " : "", key,
				 json_object_to_json_string_ext(
					 value,
					 JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));
	}
}

/* "running -> stopped (shutdown)" of a state change, else what the event says */
static void events_detail(struct json_object *data, char *out, size_t out_size)
{
	const char *from = json_get_str(data, "from", NULL), *to = json_get_str(data, "to", NULL);
	const char *reason = json_get_str(json_get(data, "exit"), "reason", NULL);

	out[0] = '\0';
	if (from && to)
		snprintf(out, out_size, "%s -> %s%s%s%s", from, to, reason ? " (" : "",
			 reason ? reason : "", reason ? ")" : "");
	else if (json_object_is_type(data, json_type_object))
		events_members(data, out, out_size);
	output_clean(out);
}

/* Chosen here and not by vmd: names and patterns also fit VMs that are gone. */
static bool events_wanted(const struct args *a, struct json_object *params)
{
	const char *id = json_get_str(params, "vm", "");
	const char *name = json_get_str(json_get(params, "data"), "name", "");

	for (size_t i = 0; i < a->noperands; i++)
		if (!fnmatch(a->operands[i], name, 0) ||
		    (a->operands[i][0] && !strncmp(id, a->operands[i], strlen(a->operands[i]))))
			return true;
	return !a->noperands;
}

static void events_print(void *arg, struct json_object *params)
{
	struct vmctl *v = arg;
	char detail[400], vm[80];

	if (!events_wanted(&v->args, params))
		return;
	if (v->out.format == OUTPUT_JSON) {
		output_json_line(&v->out, "event", params);
		return;
	}
	/* "vm" is the id, which stays; people know the name */
	snprintf(vm, sizeof(vm), "%s",
		 json_get_str(json_get(params, "data"), "name", json_get_str(params, "vm", "-")));
	output_clean(vm);
	if (v->out.format == OUTPUT_NAME) {
		fprintf(v->out.out, "%s\n", vm);
	} else {
		/* fixed widths: a stream cannot know its widest line */
		events_detail(json_get(params, "data"), detail, sizeof(detail));
		fprintf(v->out.out, "%6" PRId64 "  %-24s  %-10s  %-12s%s%s\n",
			json_get_int(params, "seq", 0), json_get_str(params, "time", "-"),
			json_get_str(params, "type", "-"), vm, detail[0] ? "  " : "", detail);
	}
	fflush(v->out.out);
}

static struct json_object *events_params(const struct args *a)
{
	struct json_object *params = json_new(), *list = json_object_new_array();
	const char *type;

	for (size_t i = 0; (type = args_item(a, "type", i)); i++)
		json_object_array_add(list, json_object_new_string(type));
	if (json_object_array_length(list))
		json_add(params, "types", list);
	else
		json_object_put(list);
	/* nothing asked for: all that is kept; only --follow alone begins with what is new */
	if (args_flag(a, "since") || !args_flag(a, "follow"))
		json_add_int(params, "since", (int64_t)args_number(a, "since", 0));
	return params;
}

int cmd_events(struct vmctl *v)
{
	struct client_reply reply = { 0 };
	struct err e;
	int ret, status = vmctl_connect(v);

	if (status != EXIT_OK)
		return status;
	v->client.event = events_print;
	v->client.event_arg = v;
	if (v->out.header && (v->out.format == OUTPUT_TABLE || v->out.format == OUTPUT_WIDE))
		fprintf(v->out.out, "%6s  %-24s  %-10s  %-12s  %s\n", "SEQ", "TIME", "TYPE", "VM",
			"DETAIL");
	status = vmctl_call(v, "event.subscribe", events_params(&v->args), &reply, "show events");
	client_reply_fini(&reply);
	if (status != EXIT_OK)
		return status;
	/* vmd answers in order: when this answer is here, all that was kept has been sent */
	if (args_flag(&v->args, "follow"))
		ret = client_wait(&v->client, CLIENT_NEVER, 0, &reply, &e);
	else
		ret = client_call(&v->client, "daemon.ping", NULL, &reply, &e);
	if (ret < 0)
		status = vmctl_fail(v, &e, &reply, "follow events");
	client_reply_fini(&reply);
	return status;
}
