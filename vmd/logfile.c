// SPDX-License-Identifier: MIT
/*
 * Writing a log: see logfile.h. The loop's thread fills blocks and counts positions; the worker has the
 * first block and the files until its job ends (logfile_disk.c).
 */
#include "vmd/logfile.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/auto.h"
#include "vmd/logfile_priv.h"

struct logfile {
	struct logfile_options options;
	struct logfile_job job;
	struct logfile_block *head, *tail; /* owned; head is the worker's while a job runs */
	size_t queued;			   /* bytes in all blocks */
	struct logfile_run run;		   /* behind the last record that was added */
	uint64_t end;			   /* position likewise */
	bool ready, busy, failing, closing, removing;
	bool waiting; /* all that is queued is the begin of a process that has said nothing yet */
	uv_work_t work;
	uv_timer_t retry;
};

static void logfile_work(uv_work_t *work)
{
	logfile_job_run(&container_of(work, struct logfile, work)->job);
}

static void logfile_retry(uv_timer_t *timer);
static void logfile_after(uv_work_t *work, int status);

static void logfile_closed(uv_handle_t *handle)
{
	struct logfile *l = container_of((uv_timer_t *)handle, struct logfile, retry);

	while (l->head) {
		struct logfile_block *next = l->head->next;

		free(l->head);
		l->head = next;
	}
	l->options.ops->closed(l->options.arg);
	free(l);
}

/* Is there something to be written? */
static bool logfile_has_work(const struct logfile *l)
{
	return l->head && !l->waiting;
}

/* Start the next job, or end. */
static void logfile_go(struct logfile *l)
{
	bool work = !l->ready || logfile_has_work(l) || l->removing;

	if (l->busy || (l->failing && !l->closing))
		return;
	if (l->closing && (!work || (l->failing && !l->removing))) {
		if (!uv_is_closing((uv_handle_t *)&l->retry))
			uv_close((uv_handle_t *)&l->retry, logfile_closed);
		return;
	}
	if (!work)
		return;
	l->job.kind = l->removing ? LOGFILE_REMOVE : l->ready ? LOGFILE_APPEND : LOGFILE_OPEN;
	l->job.block = l->head;
	l->busy = !uv_queue_work(l->options.loop, &l->work, logfile_work, logfile_after);
	if (!l->busy)
		uv_timer_start(&l->retry, logfile_retry, LOGFILE_RETRY_MS, 0);
}

static void logfile_retry(uv_timer_t *timer)
{
	struct logfile *l = container_of(timer, struct logfile, retry);
	bool failing = l->failing;

	l->failing = false; /* for this one try */
	logfile_go(l);
	l->failing = failing;
}

static void logfile_failed(struct logfile *l)
{
	bool first = !l->failing;

	l->failing = true;
	if (!l->closing)
		uv_timer_start(&l->retry, logfile_retry, LOGFILE_RETRY_MS, 0);
	if (first && !l->closing)
		l->options.ops->failed(l->options.arg, &l->job.err);
}

static void logfile_opened(struct logfile *l)
{
	l->run = l->job.run;
	l->end = l->job.end;
	l->ready = true;
	if (!l->closing)
		l->options.ops->ready(l->options.arg);
}

static void logfile_appended(struct logfile *l)
{
	struct logfile_block *done = l->head;

	l->head = done->next;
	if (!l->head)
		l->tail = NULL;
	l->queued -= done->len;
	free(done);
	if (!l->closing)
		l->options.ops->written(l->options.arg);
}

static void logfile_after(uv_work_t *work, int status)
{
	struct logfile *l = container_of(work, struct logfile, work);
	bool resumed = l->failing && !l->closing;

	l->busy = false;
	if (status < 0)
		l->job.ret = err_ret(&l->job.err, status, "cannot write '%s'", l->job.path);
	if (l->job.kind == LOGFILE_REMOVE) {
		l->removing = false;
		l->failing = true; /* what is queued goes with it */
	} else if (l->job.ret < 0) {
		logfile_failed(l);
	} else {
		l->failing = false;
		if (resumed)
			l->options.ops->resumed(l->options.arg);
		if (l->job.kind == LOGFILE_OPEN)
			logfile_opened(l);
		else
			logfile_appended(l);
	}
	logfile_go(l);
}

int logfile_new(const struct logfile_options *options, struct logfile **ret_log, struct err *e)
{
	struct logfile *l = calloc(1, sizeof(*l));

	if (!l)
		return err_ret(e, -ENOMEM, "cannot open '%s'", options->path);
	l->options = *options;
	snprintf(l->job.path, sizeof(l->job.path), "%s", options->path);
	l->options.path = l->job.path;
	l->job.size = options->size;
	uv_timer_init(options->loop, &l->retry);
	logfile_go(l);
	*ret_log = l;
	return 0;
}

/* The block that has room for a record; the worker's own never has. */
static struct logfile_block *logfile_block(struct logfile *l, size_t len)
{
	struct logfile_block *b = l->tail;

	if (b && !(b == l->head && l->busy) && b->len + len <= LOGFILE_BLOCK)
		return b;
	b = malloc(sizeof(*b));
	if (!b)
		abort(); /* 32 KiB, and the log would have a hole that nobody knows of */
	b->next = NULL;
	b->len = 0;
	b->run = l->run;
	b->pos = l->end;
	if (l->tail)
		l->tail->next = b;
	else
		l->head = b;
	l->tail = b;
	return b;
}

void logfile_add(struct logfile *l, const struct logrec *rec)
{
	char text[LOGREC_MAX];
	size_t len = logrec_format(rec, text);
	struct logfile_block *b = logfile_block(l, len);

	/* a process that says nothing costs the disk nothing */
	l->waiting = rec->kind == LOGREC_BEGIN && (l->waiting || (b == l->head && !b->len));
	memcpy(b->data + b->len, text, len);
	b->len += len;
	l->queued += len;
	if (rec->kind == LOGREC_BEGIN) {
		snprintf(l->run.name, sizeof(l->run.name), "%.*s", (int)rec->len, rec->data);
		l->run.pos = l->end;
		l->run.next_offset = 0;
	} else {
		l->run.next_offset =
			logrec_next_offset(&(struct logrec){ rec->time_ms, rec->kind, rec->offset,
							     rec->len, text + len - rec->len - 1 });
	}
	l->end += len;
	logfile_go(l);
}

bool logfile_room(const struct logfile *l)
{
	return l->queued < LOGFILE_QUEUE_MAX;
}

bool logfile_is_ready(const struct logfile *l)
{
	return l->ready;
}

bool logfile_idle(const struct logfile *l)
{
	return !l->busy && !logfile_has_work(l);
}

bool logfile_busy(const struct logfile *l)
{
	return (l->busy || logfile_has_work(l) || !l->ready) && !l->failing;
}

const char *logfile_run(const struct logfile *l)
{
	return l->run.name;
}

uint64_t logfile_run_pos(const struct logfile *l)
{
	return l->run.pos;
}

uint64_t logfile_next_offset(const struct logfile *l)
{
	return l->run.next_offset;
}

uint64_t logfile_end(const struct logfile *l)
{
	return l->end;
}

uint64_t logfile_written(const struct logfile *l)
{
	return l->head ? l->head->pos : l->end;
}

const char *logfile_path(const struct logfile *l)
{
	return l->job.path;
}

void logfile_close(struct logfile *l, bool remove)
{
	if (!l || l->closing)
		return;
	l->closing = true;
	l->removing = remove;
	uv_timer_stop(&l->retry);
	logfile_go(l);
}
