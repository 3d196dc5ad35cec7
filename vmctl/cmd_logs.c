// SPDX-License-Identifier: MIT
/*
 * vmctl logs: what a VM's console has said, from vmd's log, page by page; with --follow each next page is
 * waited for, over the end of vmd too. What a guest says is hostile to a terminal: there, it is shown without its control
 * characters. Elsewhere, every byte is as the guest sent it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "lib/auto.h"
#include "lib/base64.h"
#include "lib/errcat.h"
#include "vmctl/vmctl.h"

#define LOGS_POLL_MS 30000 /* one call waits so long for more */
#define LOGS_BYTES 8192	   /* more than a record has */

struct logs {
	struct vmctl *v;
	const char *vm;
	bool clean, times;
	bool inside; /* the last record was a piece of a line */
};

/* The length of an escape sequence that text begins with (ECMA-48, 5.4), or 0. */
static size_t logs_escape(const char *text, size_t len)
{
	size_t n = 2;

	if (len < 2 || text[0] != 0x1b || text[1] != '[')
		return 0;
	while (n < len && text[n] >= 0x20 && text[n] < 0x40)
		n++;
	return n < len ? n + 1 : n;
}

/* Text for a terminal, in place: no escapes, no control characters, in UTF-8's second range either. */
static size_t logs_clean(char *text, size_t len)
{
	size_t to = 0;

	while (len && text[len - 1] == '\r')
		len--;
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)text[i];
		size_t skip = logs_escape(text + i, len - i);

		if (skip) {
			i += skip - 1;
			continue;
		}
		if (c == 0xc2 && i + 1 < len && (unsigned char)text[i + 1] < 0xa0) {
			i++;
			c = '?';
		} else if ((c < ' ' && c != '\t') || c == 0x7f) {
			c = '?';
		}
		text[to++] = (char)c;
	}
	return to;
}

static void logs_text(struct logs *l, struct json_object *record, bool line)
{
	const char *text = json_get_str(record, "text", "");
	const char *base64 = json_get_str(record, "data_base64", NULL);
	FILE *out = l->v->out.out;
	char data[LOGS_BYTES];
	size_t len = MIN(strlen(text), sizeof(data));

	/* the bytes themselves, but a terminal gets what is text of them */
	if (l->clean || !base64 || !base64_decode(base64, data, sizeof(data), &len)) {
		len = MIN(strlen(text), sizeof(data));
		memcpy(data, text, len);
	}
	if (l->clean)
		len = logs_clean(data, len);
	if (l->times && !l->inside)
		fprintf(out, "%s ", json_get_str(record, "time", "-"));
	fwrite(data, 1, len, out);
	if (line)
		fputc('\n', out);
	l->inside = !line;
}

static void logs_record(struct logs *l, struct json_object *record)
{
	const char *kind = json_get_str(record, "kind", "");
	const char *time = json_get_str(record, "time", "-");
	bool line = !strcmp(kind, "line");

	if (l->v->out.format == OUTPUT_JSON) {
		output_json_line(&l->v->out, "logs", record);
		return;
	}
	if (line || !strcmp(kind, "part")) {
		logs_text(l, record, line);
		return;
	}
	if (l->inside)
		fputc('\n', l->v->out.out);
	l->inside = false;
	if (!strcmp(kind, "lost"))
		output_note(&l->v->out, "(%lld bytes are missing here, %s)",
			    (long long)json_get_int(record, "bytes", 0), time);
	else if (!strcmp(kind, "begin"))
		output_note(&l->v->out, "(started, %s)", time);
}

/* "10m" ago, or a time as it stands. False when it is neither. */
static bool logs_since(const char *text, char *out, size_t size)
{
	struct timespec now;
	uint64_t ms, then;
	struct tm tm;
	time_t t;
	size_t n;

	if (output_time_parse(text, &t)) {
		snprintf(out, size, "%s", text);
		return true;
	}
	if (!args_time_parse(text, &ms))
		return false;
	clock_gettime(CLOCK_REALTIME, &now);
	then = (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
	then -= MIN(then, ms);
	t = (time_t)(then / 1000);
	gmtime_r(&t, &tm);
	n = strftime(out, size, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(out + n, size - n, ".%03dZ", (int)(then % 1000));
	return true;
}

/* What every page is asked with; NULL after bad usage. */
static struct json_object *logs_params(struct logs *l, int *ret_status)
{
	const struct args *a = &l->v->args;
	const char *console = args_str(a, "console", NULL), *since = args_str(a, "since", NULL);
	struct json_object *params = json_add_str(json_new(), "vm", l->vm);
	char time[64];

	if (console)
		json_add_str(params, "console", console);
	if (args_flag(a, "monitor"))
		json_add_bool(params, "monitor", true);
	if (!since)
		return params;
	if (strlen(since) < sizeof(time) && logs_since(since, time, sizeof(time)))
		return json_add_str(params, "since", time);
	json_object_put(params);
	*ret_status = vmctl_usage(l->v,
				  "--since: '%s' is no time (2026-01-31T12:00:00Z, or 10m for "
				  "ten minutes ago)",
				  since);
	return NULL;
}

/* One page. *ret_more: there is another one, or it is followed. */
static int logs_page(struct logs *l, struct json_object *take_params, int64_t *ret_next,
		     bool *ret_more)
{
	struct client_reply reply = { 0 };
	struct json_object *records;
	char op[100];
	int status;

	snprintf(op, sizeof(op), "show the log of '%.70s'", l->vm);
	status = vmctl_call(l->v, "vm.logs", take_params, &reply, op);
	records = json_get(reply.result, "records");
	for (size_t i = 0; records && i < json_object_array_length(records); i++)
		logs_record(l, json_object_array_get_idx(records, i));
	fflush(l->v->out.out);
	*ret_next = json_get_int(reply.result, "next", 0);
	*ret_more = json_get_bool(reply.result, "more", false);
	client_reply_fini(&reply);
	return status;
}

static int logs_pages(struct logs *l, struct json_object *params)
{
	const struct args *a = &l->v->args;
	bool follow = args_flag(a, "follow"), more = true, first = true;
	int64_t next = 0;
	int status = EXIT_OK;

	while (status == EXIT_OK && (more || follow)) {
		struct json_object *page = json_clone(params);
		int64_t at = next;

		if (!first)
			json_add_int(page, "after", next);
		else if (args_flag(a, "lines"))
			json_add_int(page, "last", (int64_t)args_number(a, "lines", 0));
		if (!first && !more)
			json_add_int(page, "timeout_ms", LOGS_POLL_MS);
		status = logs_page(l, page, &next, &more);
		if (status == VMCTL_LOST) { /* the page is asked for again */
			status = vmctl_resume(l->v);
			next = at;
			more = true;
		}
		first = false;
		l->v->resumes = follow;
	}
	return status;
}

int cmd_logs(struct vmctl *v)
{
	AUTO_JSON struct json_object *params = NULL;
	struct logs l = { .v = v, .vm = v->args.operands[0] };
	int status = EXIT_OK;

	l.clean = isatty(fileno(v->out.out)) == 1 && !args_flag(&v->args, "raw");
	l.times = args_flag(&v->args, "timestamps");
	if (args_flag(&v->args, "monitor") && args_flag(&v->args, "console"))
		return vmctl_usage(v, "--console and --monitor exclude each other");
	params = logs_params(&l, &status);
	if (params)
		status = vmctl_connect(v);
	if (status == EXIT_OK)
		status = logs_pages(&l, params);
	if (l.inside && l.clean)
		fputc('\n', v->out.out);
	return status;
}
