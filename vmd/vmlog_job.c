// SPDX-License-Identifier: MIT
/*
 * Reading a log for a call: see vmlog_job.h. What is in a record may be any bytes: the guest's. On a
 * worker.
 */
#include "vmd/vmlog_job.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/auto.h"
#include "lib/base64.h"
#include "lib/buf.h"
#include "lib/errcat.h"
#include "vmd/event.h"

#define VMLOG_JOB_RECORD 96   /* bytes of JSON around a record's text */
#define VMLOG_JOB_REPEAT 1000 /* most repetitions that an expression's {n,m} multiply to */

/* --- reading --- */

/* Text for JSON: what is no UTF-8, or NUL, becomes U+FFFD. False when something was replaced. */
static bool vmlog_job_text(const char *data, size_t len, struct buf *out, size_t *cost)
{
	bool exact = true;

	for (size_t i = 0; i < len;) {
		size_t n = data[i] ? json_utf8_len(data + i, len - i) : 0;

		*cost += n == 1 && (unsigned char)data[i] < ' ' ? 6 : n == 1 ? 2 : 3;
		if (buf_add(out, n ? data + i : "\xef\xbf\xbd", n ? n : 3) < 0)
			abort(); /* 12 KiB at most */
		exact = exact && n;
		i += MAX(n, 1u);
	}
	return exact;
}

static struct json_object *vmlog_job_record(const struct logrec *rec, size_t *cost)
{
	int64_t lost = rec->kind == LOGREC_LOST ? strtoll(rec->data, NULL, 10) : 0;
	struct json_object *o = json_new();
	char time[EVENT_TIME_SIZE];
	struct buf text;

	*cost = VMLOG_JOB_RECORD;
	event_time(rec->time_ms, time);
	json_add_str(o, "time", time);
	if (rec->kind == LOGREC_BEGIN)
		return json_add_str(o, "kind", "begin");
	if (rec->kind == LOGREC_LOST) {
		json_add_str(o, "kind", "lost");
		/* a monitor may claim anything; JSON takes no more */
		return json_add_int(o, "bytes", lost > JSON_INT_MAX ? JSON_INT_MAX : lost);
	}
	json_add_str(o, "kind", rec->kind == LOGREC_LINE ? "line" : "part");
	buf_init(&text, 3 * LOGREC_DATA_MAX);
	if (!vmlog_job_text(rec->data, rec->len, &text, cost)) {
		char base64[BASE64_SIZE(LOGREC_DATA_MAX)];

		base64_encode(rec->data, rec->len, base64);
		json_add_str(o, "data_base64", base64);
		*cost += strlen(base64);
	}
	json_add(o, "text",
		 json_object_new_string_len(buf_len(&text) ? buf_head(&text) : "",
					    (int)buf_len(&text)));
	buf_fini(&text);
	return o;
}

/* The position from which on there are `last` lines; what is left of a longer one counts as none. */
static uint64_t vmlog_job_last(struct logread *r, uint64_t last, int64_t since_ms)
{
	AUTO_FREE uint64_t *begins = calloc(MAX(last, 1ul), sizeof(*begins));
	uint64_t begin, n = 0;
	bool inside = false;
	struct logrec rec;

	if (!begins)
		return r->pos;
	for (begin = r->pos; logread_next(r, &rec) > 0; begin = r->pos) {
		if (rec.time_ms < since_ms || rec.kind == LOGREC_BEGIN)
			continue;
		if (!inside && last)
			begins[n++ % last] = begin;
		inside = rec.kind == LOGREC_PART;
	}
	return !n ? r->pos : begins[n < last ? 0 : n % last];
}

static void vmlog_job_read(struct vmlog_job *job, struct logread *r)
{
	struct logrec rec;
	unsigned int n = 0;

	if (job->read.last >= 0) {
		logread_seek(r, vmlog_job_last(r, (uint64_t)job->read.last, job->read.since_ms));
		job->read.last = -1;
	}
	while (!job->more && (job->ret = logread_next(r, &rec)) > 0) {
		size_t cost;

		if (rec.time_ms < job->read.since_ms)
			continue;
		if (!job->records)
			job->records = json_object_new_array();
		json_object_array_add(job->records, vmlog_job_record(&rec, &cost));
		job->bytes += cost;
		job->more = ++n == VMLOG_PAGE_RECORDS || job->bytes >= VMLOG_PAGE_MAX;
	}
	job->pos = r->pos;
}

/* --- matching --- */

static bool vmlog_job_fits(struct vmlog_job *job)
{
	size_t len = job->len;

	while (len && job->line[len - 1] == '\r')
		len--;
	job->line[len] = '\0';
	job->found = !regexec(&job->regex, job->line, 0, NULL, 0);
	if (!job->found && len < job->len)
		memset(job->line + len, '\r', job->len - len);
	return job->found;
}

/* A piece of the line in hand: at most VMLOG_MATCH_LINE bytes, so that two fit. True when it is found. */
static bool vmlog_job_piece(struct vmlog_job *job, const char *data, size_t len)
{
	if (job->len + len >
	    VMLOG_MATCH_LINE) { /* the last half may be the begin of what is looked for */
		size_t keep = MIN(job->len, (size_t)VMLOG_MATCH_LINE / 2);

		memmove(job->line, job->line + job->len - keep, keep);
		job->len = keep;
	}
	for (size_t i = 0; i < len; i++)
		if (data[i]) /* a C string has none */
			job->line[job->len++] = data[i];
	return vmlog_job_fits(job);
}

static void vmlog_job_match(struct vmlog_job *job, struct logread *r)
{
	uint64_t from = job->pos, at = r->pos;
	struct logrec rec;

	for (; !job->found && (job->ret = logread_next(r, &rec)) > 0; at = r->pos) {
		/* what is before the position was said by another process, and came to the disk late */
		bool text = (rec.kind == LOGREC_LINE || rec.kind == LOGREC_PART) && at >= from;
		size_t done = 0;

		while (text && !job->found && (done < rec.len || !rec.len)) {
			size_t n = MIN(rec.len - done, (size_t)VMLOG_MATCH_LINE / 2);

			vmlog_job_piece(job, rec.data + done, n);
			done += n;
			if (!n)
				break;
		}
		if (!job->found && rec.kind != LOGREC_PART)
			job->len = 0;
	}
	job->pos = r->pos;
}

void vmlog_job_run(struct vmlog_job *job)
{
	AUTO_FREE struct logread *r = malloc(sizeof(*r));

	job->ret = r ? logread_open(r, job->path, &job->err)
		     : err_ret(&job->err, -ENOMEM, "cannot read '%s'", job->path);
	if (!r)
		return;
	if (job->ret >= 0) {
		logread_seek(r, job->pos);
		if (job->match)
			vmlog_job_match(job, r);
		else
			vmlog_job_read(job, r);
		if (job->ret < 0)
			err_ret(&job->err, job->ret, "cannot read '%s'", job->path);
	}
	logread_fini(r);
}

void vmlog_job_fini(struct vmlog_job *job)
{
	json_object_put(job->records);
	if (job->compiled)
		regfree(&job->regex);
}

/* --- expressions --- */

/*
 * glibc takes exponential time for back-references, and memory for the product of nested repetitions.
 * Neither is worth telling apart from harmless uses.
 */
static bool vmlog_match_harmless(const char *regex)
{
	unsigned long product = 1, number = 0;

	for (const char *p = regex; *p; p++) {
		if (*p == '\\' && p[1] >= '1' && p[1] <= '9')
			return false;
		if (*p == '\\' && p[1]) {
			p++;
			continue;
		}
		if (*p != '{')
			continue;
		for (p++; *p && *p != '}'; p++) {
			if (*p < '0' || *p > '9')
				continue;
			number = MIN(number * 10 + (unsigned long)(*p - '0'),
				     VMLOG_JOB_REPEAT + 1ul);
			if (p[1] >= '0' && p[1] <= '9')
				continue;
			product *= MAX(number, 1ul);
			number = 0;
			if (product > VMLOG_JOB_REPEAT)
				return false;
		}
		if (!*p)
			break;
	}
	return true;
}

int vmlog_match_check(const char *regex, struct err *e)
{
	char why[128];
	regex_t r;
	int ret;

	if (!vmlog_match_harmless(regex)) {
		err_set(e, ERR_RPC_PARAMS, "the expression '%s' could take too long", regex);
		return err_hint(e, "no back-references, and {n,m} that multiply to %d at most",
				VMLOG_JOB_REPEAT);
	}
	ret = regcomp(&r, regex, REG_EXTENDED | REG_NOSUB);
	if (ret) {
		regerror(ret, &r, why, sizeof(why));
		err_set(e, ERR_RPC_PARAMS, "'%s' is no regular expression: %s", regex, why);
		return err_hint(e, "POSIX extended: regex(7)");
	}
	regfree(&r);
	return 0;
}
