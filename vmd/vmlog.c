// SPDX-License-Identifier: MIT
/*
 * The logs of VMs: see vmlog.h. Here is what becomes of the bytes; which logs there are is in vmlogs.c.
 * On the loop's thread.
 */
#include "vmd/vmlog.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/auto.h"
#include "lib/console_log.h"
#include "vmd/daemon.h"
#include "vmd/vmlog_priv.h"
#include "vmd/vmlog_wait.h"

#define VMLOG_FLUSH_MS 50	     /* from the last byte of a line without its end to a record */
#define VMLOG_LINE_MS 500	     /* from its first byte */
#define VMLOG_RECORD 45		     /* about what a record has beside its data */
#define VMLOG_TURN (64 * 1024)	     /* bytes of records in one turn of the loop */
#define VMLOG_LAST_MAX (1024 * 1024) /* of a source that has ended */

struct vmlog_source {
	uv_poll_t poll;
	struct vmlog *log;
	int fd; /* owned */
};

static void vmlog_readable(uv_poll_t *poll, int status, int events);

/* Listen to the source while what it says can be taken. */
static void vmlog_listen(struct vmlog *l)
{
	if (!l->source)
		return;
	if (!l->begun || !logfile_room(l->file) || uv_is_active((uv_handle_t *)&l->pause))
		uv_poll_stop(&l->source->poll);
	else if (!uv_is_active((uv_handle_t *)&l->source->poll)) /* it costs two system calls */
		uv_poll_start(&l->source->poll, UV_READABLE, vmlog_readable);
}

static void vmlog_source_closed(uv_handle_t *handle)
{
	struct vmlog_source *s = container_of((uv_poll_t *)handle, struct vmlog_source, poll);

	close(s->fd);
	free(s);
}

/* --- bytes to records --- */

static void vmlog_record(struct vmlog *l, enum logrec_kind kind, uint64_t offset, const char *data,
			 size_t len)
{
	struct logrec rec = {
		.time_ms = state_now_ms(), .kind = kind, .offset = offset, .len = len, .data = data
	};

	logfile_add(l->file, &rec);
	l->came += len + VMLOG_RECORD;
}

static void vmlog_flush(struct vmlog *l)
{
	uv_timer_stop(&l->flush);
	if (l->len)
		vmlog_record(l, LOGREC_PART, l->offset - l->len, l->line, l->len);
	l->len = 0;
}

static void vmlog_flush_cb(uv_timer_t *timer)
{
	vmlog_flush(container_of(timer, struct vmlog, flush));
}

static void vmlog_byte(struct vmlog *l, char byte)
{
	l->offset++;
	if (byte == '\n') {
		vmlog_record(l, LOGREC_LINE, l->offset - 1 - l->len, l->line, l->len);
		l->len = 0;
		return;
	}
	/* what a monitor says is shown to people; a console's bytes are the guest's, and kept */
	if (l->kind == VMLOG_MONITOR && ((unsigned char)byte < ' ' || byte == 0x7f))
		byte = ' ';
	if (!l->len)
		l->line_since = uv_now(&l->d->loop);
	l->line[l->len++] = byte;
	if (l->len == sizeof(l->line))
		vmlog_flush(l);
}

static void vmlog_lost(struct vmlog *l, uint64_t n)
{
	char text[24];

	vmlog_flush(l);
	snprintf(text, sizeof(text), "%" PRIu64, n);
	vmlog_record(l, LOGREC_LOST, l->offset, text, strlen(text));
	l->offset += n;
}

/* Bytes from offset on; those that the log has are skipped. */
static void vmlog_input(struct vmlog *l, uint64_t offset, const char *data, size_t len)
{
	if (offset > l->offset)
		vmlog_lost(l, offset - l->offset);
	if (offset + len <= l->offset)
		return;
	data += l->offset - offset;
	len -= (size_t)(l->offset - offset);
	for (size_t i = 0; i < len; i++)
		vmlog_byte(l, data[i]);
	/* a line may stand there unfinished, but not for long */
	if (l->len && uv_now(&l->d->loop) - l->line_since < VMLOG_LINE_MS)
		uv_timer_start(&l->flush, vmlog_flush_cb, VMLOG_FLUSH_MS, 0);
}

/* The last VMLOG_TAIL_SIZE bytes of what the monitor says, for the message of a start that fails. */
static void vmlog_keep_tail(struct vmlog *l, const char *data, size_t len)
{
	size_t have = strlen(l->tail), drop;

	if (len > VMLOG_TAIL_SIZE) {
		data += len - VMLOG_TAIL_SIZE;
		len = VMLOG_TAIL_SIZE;
	}
	drop = have + len > VMLOG_TAIL_SIZE ? have + len - VMLOG_TAIL_SIZE : 0;
	memmove(l->tail, l->tail + drop, have - drop);
	for (size_t i = 0; i < len; i++)
		l->tail[have - drop + i] = data[i] ? data[i] : ' ';
	l->tail[have - drop + len] = '\0';
}

/* --- the source --- */

static void vmlog_source_end(struct vmlog *l)
{
	struct vmlog_source *s = l->source;

	if (!s)
		return;
	if (l->begun)
		vmlog_flush(l);
	l->begun = false;
	l->source = NULL;
	uv_close((uv_handle_t *)&s->poll, vmlog_source_closed);
}

/* One message or read. Its bytes; 0 at the end, -EAGAIN when there is nothing, other negatives: no good. */
static ssize_t vmlog_take(struct vmlog *l)
{
	const size_t head = offsetof(struct console_log_msg, data);
	struct console_log_msg msg;
	uint64_t end;
	ssize_t n;

	if (l->kind == VMLOG_MONITOR) {
		n = read(l->source->fd, msg.data, sizeof(msg.data));
		if (n > 0)
			vmlog_keep_tail(l, msg.data, (size_t)n);
		if (n > 0)
			vmlog_input(l, l->offset, msg.data, (size_t)n);
		return n < 0 ? -errno : n;
	}
	n = read(l->source->fd, &msg, sizeof(msg));
	if (n <= 0)
		return n < 0 ? -errno : 0;
	if ((size_t)n <= head || !checked_add(msg.offset, (uint64_t)n, &end))
		return -EPROTO;
	vmlog_input(l, msg.offset, msg.data, (size_t)n - head);
	return n - (ssize_t)head;
}

static void vmlog_pause_cb(uv_timer_t *timer)
{
	vmlog_listen(container_of(timer, struct vmlog, pause));
}

/* Is it enough for this second? */
static bool vmlog_enough(struct vmlog *l)
{
	uint64_t now = uv_now(&l->d->loop);

	if (now - l->second >= 1000) {
		l->second = now;
		l->came = 0;
	}
	if (l->came < VMLOG_RATE)
		return false;
	uv_timer_start(&l->pause, vmlog_pause_cb, l->second + 1000 - now, 0);
	return true;
}

static void vmlog_readable(uv_poll_t *poll, int status, int events)
{
	struct vmlog *l = container_of(poll, struct vmlog_source, poll)->log;
	ssize_t n = status < 0 ? status : 1;
	size_t turn;

	(void)events;
	vmlog_enough(l); /* it may be another second */
	turn = l->came + VMLOG_TURN;
	while (n > 0 && l->came < turn && logfile_room(l->file) && !vmlog_enough(l))
		n = vmlog_take(l);
	if (n > 0 || n == -EAGAIN || n == -EINTR) {
		vmlog_listen(l);
		return;
	}
	if (n < 0)
		log_warn(&l->d->log, "VM %s: %s: what comes is no log: %s", l->vm, l->name,
			 strerror((int)-n));
	vmlog_source_end(l);
	vmlog_wait_wake(l);
	vmlog_put(l);
}

/* A monitor that has ended before its log could be read: why is wanted now. It waits as a line. */
static void vmlog_take_early(struct vmlog *l)
{
	ssize_t n = l->kind == VMLOG_MONITOR
			    ? read(l->source->fd, l->line + l->len, sizeof(l->line) - 1 - l->len)
			    : 0;

	if (n <= 0)
		return;
	vmlog_keep_tail(l, l->line + l->len, (size_t)n);
	l->len += (size_t)n;
}

/* All that its process has left behind. It is gone, so there is an end, unless it lent the other end out. */
static void vmlog_finish(struct vmlog *l)
{
	size_t all = 0;
	ssize_t n = 1;

	if (l->source && !l->begun)
		vmlog_take_early(l);
	if (!l->source || !l->begun)
		return; /* it is read once its log is */
	while (n > 0 && all < VMLOG_LAST_MAX) {
		n = vmlog_take(l);
		all += n > 0 ? (size_t)n : 0;
	}
	vmlog_source_end(l);
}

/* The log is there, and somebody speaks: does it go on, or begin? */
static void vmlog_begin(struct vmlog *l)
{
	char data[sizeof(l->line)];
	size_t early;

	if (!l->source || l->begun || !logfile_is_ready(l->file))
		return;
	if (strcmp(logfile_run(l->file), l->run)) {
		vmlog_record(l, LOGREC_BEGIN, 0, l->run, strlen(l->run));
		l->tail[0] = '\0';
	}
	l->offset = logfile_next_offset(l->file);
	l->begun = true;
	early = l->len;
	memcpy(data, l->line, early);
	l->len = 0;
	vmlog_input(l, l->offset, data, early);
	if (l->ended)
		vmlog_finish(l);
	vmlog_wait_wake(l);
	/* at once: a FIFO whose last writer had gone before we came says nothing to poll(2) */
	if (l->source)
		vmlog_readable(&l->source->poll, 0, UV_READABLE);
}

void vmlog_attach(struct vmlog *l, const char *run, int take_fd)
{
	struct vmlog_source *s = calloc(1, sizeof(*s));

	vmlog_finish(l);
	vmlog_source_end(l);
	fcntl(take_fd, F_SETFL, fcntl(take_fd, F_GETFL) | O_NONBLOCK);
	if (!s || uv_poll_init(&l->d->loop, &s->poll, take_fd) < 0) {
		log_error(&l->d->log, "VM %s: %s cannot be kept: out of memory", l->vm, l->name);
		close(take_fd);
		free(s);
		return;
	}
	s->log = l;
	s->fd = take_fd;
	l->source = s;
	l->ended = false;
	snprintf(l->run, sizeof(l->run), "%s", run);
	vmlog_begin(l);
}

void vmlog_drain(struct vmlog *l)
{
	l->ended = true;
	l->held = false;
	vmlog_finish(l);
	vmlog_wait_wake(l);
	vmlog_put(l);
}

/* --- what the file says --- */

static void vmlog_ready(void *arg)
{
	struct vmlog *l = arg;

	vmlog_begin(l);
	vmlog_wait_wake(l);
	if (l->ended)
		vmlog_put(l);
}

static void vmlog_written(void *arg)
{
	vmlog_listen(arg);
	vmlog_wait_wake(arg);
	vmlog_put(arg);
}

static void vmlog_failed(void *arg, const struct err *why)
{
	struct vmlog *l = arg;

	l->failing = true;
	vmlogs_tell(l, "console.log_failed", why->msg);
	vmlog_wait_wake(l);
}

static void vmlog_resumed(void *arg)
{
	struct vmlog *l = arg;

	l->failing = false;
	vmlogs_tell(l, "console.log_resumed", NULL);
}

static void vmlog_file_closed(void *arg)
{
	vmlogs_unref(arg);
}

const struct logfile_ops vmlog_file_ops = {
	.ready = vmlog_ready,
	.written = vmlog_written,
	.failed = vmlog_failed,
	.resumed = vmlog_resumed,
	.closed = vmlog_file_closed,
};

static void vmlog_flush_closed(uv_handle_t *handle)
{
	vmlogs_unref(container_of((uv_timer_t *)handle, struct vmlog, flush));
}

static void vmlog_pause_closed(uv_handle_t *handle)
{
	vmlogs_unref(container_of((uv_timer_t *)handle, struct vmlog, pause));
}

void vmlog_close(struct vmlog *l, bool remove)
{
	if (l->closing)
		return;
	vmlog_source_end(l);
	l->closing = true;
	uv_close((uv_handle_t *)&l->flush, vmlog_flush_closed);
	uv_close((uv_handle_t *)&l->pause, vmlog_pause_closed);
	logfile_close(l->file, remove);
}
