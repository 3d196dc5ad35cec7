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

/* "start failed, j-1a2b3c4d: no VM …", "start running, j-1a2b3c4d: boot" */
static void events_job(struct json_object *data, char *out, size_t out_size)
{
	const char *state = json_get_str(data, "state", "?");
	const char *more = json_get_str(json_get(data, "error"), "message", NULL);

	if (!more && !strcmp(state, "running"))
		more = json_get_str(data, "phase", NULL);
	snprintf(out, out_size, "%s %s, %s%s%s", json_get_str(data, "op", "?"), state,
		 json_get_str(data, "job", "?"), more ? ": " : "", more ? more : "");
}

/* "running -> stopped (shutdown)" of a state change, else what the event says */
static void events_detail(struct json_object *data, char *out, size_t out_size)
{
	const char *from = json_get_str(data, "from", NULL), *to = json_get_str(data, "to", NULL);
	const char *reason = json_get_str(json_get(data, "exit"), "reason", NULL);

	out[0] = '\0';
	if (json_get_str(data, "job", NULL))
		events_job(data, out, out_size);
	else if (from && to)
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

static void events_print(struct vmctl *v, struct json_object *event)
{
	char detail[400], vm[80];

	if (!events_wanted(&v->args, event))
		return;
	if (v->out.format == OUTPUT_JSON) {
		output_json_line(&v->out, "event", event);
		return;
	}
	/* "vm" is the id, which stays; people know the name */
	snprintf(vm, sizeof(vm), "%s",
		 json_get_str(json_get(event, "data"), "name", json_get_str(event, "vm", "-")));
	output_clean(vm);
	if (v->out.format == OUTPUT_NAME) {
		fprintf(v->out.out, "%s\n", vm);
		return;
	}
	/* fixed widths: a stream cannot know its widest line */
	events_detail(json_get(event, "data"), detail, sizeof(detail));
	fprintf(v->out.out, "%6" PRId64 "  %-24s  %-12s  %-12s%s%s\n",
		json_get_int(event, "seq", 0), json_get_str(event, "time", "-"),
		json_get_str(event, "type", "-"), vm, detail[0] ? "  " : "", detail);
}

/* The types asked for, and nothing else. */
static struct json_object *events_params(const struct args *a)
{
	struct json_object *params = json_new(), *list = json_object_new_array();
	const char *type;

	for (size_t i = 0; (type = args_item(a, "type", i)); i++)
		json_object_array_add(list, json_object_new_string(type));
	if (json_object_array_length(list))
		return json_add(params, "types", list);
	json_object_put(list);
	return params;
}

/* Following: what was printed last, and what came that was not printed. */
struct events_follow {
	struct vmctl *v;
	int64_t last, seen;
	bool behind; /* events are missing: what comes is read again in its order */
};

/* What is kept of those after *last, all of it. told: what is not kept any more is worth a word. */
static int events_read(struct vmctl *v, int64_t *last, bool told)
{
	struct client_reply reply;
	bool more = true;
	int status = EXIT_OK;

	while (more && status == EXIT_OK) {
		struct json_object *params = events_params(&v->args), *list, *gone;

		json_add_int(json_add_int(params, "since", *last), "limit", 1000);
		status = vmctl_call(v, "event.list", params, &reply, "show events");
		list = json_get(reply.result, "events");
		gone = json_get(reply.result, "gone");
		if (gone && told)
			output_note(&v->out,
				    "events %" PRId64 " to %" PRId64 " are not kept any more",
				    json_get_int(gone, "from", 0), json_get_int(gone, "to", 0));
		for (size_t i = 0; list && i < json_object_array_length(list); i++)
			events_print(v, json_object_array_get_idx(list, i));
		/* a vmd that does not move on would have us ask for ever */
		more = json_get_bool(reply.result, "more", false) &&
		       json_get_int(reply.result, "next", 0) > *last;
		*last = MAX(*last, json_get_int(reply.result, "next", 0));
		client_reply_fini(&reply);
	}
	return status;
}

static void events_arrived(void *arg, const char *method, struct json_object *params)
{
	struct events_follow *f = arg;
	int64_t seq = json_get_int(params, "seq", 0);

	if (strcmp(method, "event")) {
		f->behind = f->v->client.wake = true;
		f->seen = MAX(f->seen, json_get_int(params, "to", 0));
		return;
	}
	f->seen = MAX(f->seen, seq);
	if (f->behind || seq <= f->last)
		return;
	events_print(f->v, params);
	fflush(f->v->out.out);
	f->last = seq;
}

/* vmd has left some out because we were slow: none is lost as long as it keeps them. */
static int events_catch_up(struct events_follow *f)
{
	int64_t from;
	int status;

	do {
		from = f->last;
		status = events_read(f->v, &f->last, true);
	} while (status == EXIT_OK && f->seen > f->last && f->last > from);
	f->behind = f->v->client.wake = false;
	return status;
}

/* Over one connection: from what was printed last to its end. */
static int events_listen(struct events_follow *f)
{
	struct vmctl *v = f->v;
	struct client_reply reply;
	struct err e;
	int status =
		vmctl_call(v, "event.subscribe", events_params(&v->args), &reply, "follow events");

	f->seen = MAX(f->seen, json_get_int(reply.result, "seq", 0));
	client_reply_fini(&reply);
	if (f->last < 0)
		f->last = f->seen; /* only what is new */
	else if (f->seen > f->last)
		f->behind = v->client.wake = true;
	while (status == EXIT_OK) {
		v->resumes = true;
		if (f->behind)
			status = events_catch_up(f);
		if (status != EXIT_OK)
			break;
		fflush(v->out.out);
		if (client_wait(&v->client, CLIENT_NEVER, 0, &reply, &e) < 0)
			status = vmctl_fail(v, &e, &reply, "follow events");
		client_reply_fini(&reply);
	}
	return status;
}

static int events_follow(struct vmctl *v, int64_t last)
{
	struct events_follow f = { .v = v, .last = last };
	int status;

	v->client.event = events_arrived;
	v->client.event_arg = &f;
	do {
		status = events_listen(&f);
		if (status != VMCTL_LOST)
			break;
		status = vmctl_resume(v);
	} while (status == EXIT_OK);
	v->client.event = NULL;
	return status;
}

int cmd_events(struct vmctl *v)
{
	bool since = args_flag(&v->args, "since"), follow = args_flag(&v->args, "follow");
	int64_t last = (int64_t)args_number(&v->args, "since", 0);
	int status = vmctl_connect(v);

	if (status != EXIT_OK)
		return status;
	if (v->out.header && (v->out.format == OUTPUT_TABLE || v->out.format == OUTPUT_WIDE))
		fprintf(v->out.out, "%6s  %-24s  %-12s  %-12s  %s\n", "SEQ", "TIME", "TYPE", "VM",
			"DETAIL");
	/* nothing asked for: all that is kept; only --follow alone begins with what is new */
	if (follow)
		return events_follow(v, since ? last : -1);
	return events_read(v, &last, since);
}
