// SPDX-License-Identifier: MIT
/*
 * See flash_file.h. One write is under way at a time, of a copy that is the worker's until it has signalled its end; what changes
 * meanwhile is gathered, and goes in one piece after it. So a guest that programs without an end has two copies of its chip
 * at most in the monitor's memory.
 */
#include "vmm/dev/flash_file.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/uio.h>
#include <unistd.h>

#include "lib/errcat.h"
#include "vmm/worker.h"

/* Bytes of the chip; end 0: none */
struct flash_range {
	size_t start, end;
};

struct flash_file {
	struct board *board; /* borrowed */
	const char *id;	     /* borrowed */
	const uint8_t *data; /* borrowed: the chip's */
	size_t size;
	int fd;			   /* owned */
	struct flash_range dirty;  /* since the last flush point */
	struct flash_range wanted; /* behind a flush point, and not yet on its way */
	struct worker *worker;	   /* borrowed: the board's */
	struct worker_timer *go;   /* of the worker's loop */
	int done_fd;		   /* owned: an eventfd */
	struct board_watch *watch;
	uint8_t *copy; /* owned; the worker's while busy */
	struct flash_range under_way;
	bool busy;
	bool armed;  /* the worker's: it has not begun yet */
	bool failed; /* and told; until a write succeeds */
	atomic_int ret;
};

static void flash_range_add(struct flash_range *r, struct flash_range more)
{
	if (!more.end)
		return;
	if (!r->end)
		*r = more;
	r->start = MIN(r->start, more.start);
	r->end = MAX(r->end, more.end);
}

/* --- on the worker ------------------------------------------------------------------------------------ */

static int flash_file_write(const struct flash_file *f)
{
	size_t at = f->under_way.start;

	while (at < f->under_way.end) {
		struct iovec iov = { f->copy + at, f->under_way.end - at };
		ssize_t n = pwritev2(f->fd, &iov, 1, (off_t)at, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -ENOSPC;
		at += (size_t)n;
	}
	return fdatasync(f->fd) < 0 ? -errno : 0;
}

/* Once for each time that it was armed. */
static void flash_file_write_once(void *arg)
{
	struct flash_file *f = arg;

	if (f->armed)
		atomic_store(&f->ret, flash_file_write(f));
	f->armed = false;
}

static void flash_file_work(void *arg)
{
	struct flash_file *f = arg;
	uint64_t one = 1;

	if (!f->armed)
		return;
	flash_file_write_once(f);
	if (write(f->done_fd, &one, sizeof(one)) < 0)
		return; /* a full counter tells too */
}

static void flash_file_arm(void *arg)
{
	struct flash_file *f = arg;

	f->armed = true;
	worker_timer_arm(f->go, 0);
}

static void flash_file_make_timer(void *arg)
{
	struct flash_file *f = arg;

	atomic_store(&f->ret, worker_timer_new(worker_loop(f->worker), flash_file_work, f, &f->go));
}

static void flash_file_free_timer(void *arg)
{
	struct flash_file *f = arg;

	worker_timer_free(f->go);
}

/* --- under machine.lock ------------------------------------------------------------------------------------ */

/* The worker is idle then, so that the call takes no longer than waking it. */
static void flash_file_begin(struct flash_file *f)
{
	if (f->busy || !f->wanted.end)
		return;
	f->under_way = f->wanted;
	f->wanted = (struct flash_range){ 0 };
	memcpy(f->copy + f->under_way.start, f->data + f->under_way.start,
	       f->under_way.end - f->under_way.start);
	f->busy = true;
	worker_call(f->worker, flash_file_arm, f);
}

/* What could not be written is tried again with what comes next. */
static void flash_file_ended(struct flash_file *f)
{
	int ret = atomic_load(&f->ret);
	char msg[192];

	f->busy = false;
	if (ret < 0) {
		flash_range_add(&f->dirty, f->under_way);
		snprintf(msg, sizeof(msg), "%s: the variables cannot be written: %s", f->id,
			 strerror(-ret));
		if (!f->failed)
			f->board->ops->notice(f->board->arg, "device", msg);
	}
	f->failed = ret < 0;
}

static bool flash_file_is_done(struct flash_file *f)
{
	uint64_t count;

	return read(f->done_fd, &count, sizeof(count)) == sizeof(count);
}

static void flash_file_done(void *arg)
{
	struct flash_file *f = arg;

	if (!flash_file_is_done(f) || !f->busy)
		return;
	flash_file_ended(f);
	flash_file_begin(f);
}

void flash_file_dirty(struct flash_file *f, size_t off, size_t len)
{
	flash_range_add(&f->dirty, (struct flash_range){ off, off + len });
}

void flash_file_flush(struct flash_file *f)
{
	flash_range_add(&f->wanted, f->dirty);
	f->dirty = (struct flash_range){ 0 };
	flash_file_begin(f);
}

/* A call comes behind what the worker is at; what it was only about to begin, it does then. */
static void flash_file_finish(struct flash_file *f)
{
	if (!f->busy)
		return;
	worker_call(f->worker, flash_file_write_once, f);
	(void)flash_file_is_done(f);
	flash_file_ended(f);
}

void flash_file_settle(struct flash_file *f)
{
	flash_file_finish(f);
	flash_file_flush(f);
	flash_file_finish(f);
}

/* --- making it ---------------------------------------------------------------------------------------- */

static int flash_file_start(struct flash_file *f, struct err *e)
{
	const struct board_ops *ops = f->board->ops;

	f->done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (f->done_fd < 0)
		return err_errno(e, "eventfd");
	f->worker = ops->worker(f->board->arg, true, e);
	if (!f->worker)
		return -ERR_FAILED;
	worker_call(f->worker, flash_file_make_timer, f);
	if (atomic_load(&f->ret) < 0)
		return err_ret(e, atomic_load(&f->ret), "timer");
	f->watch = ops->watch(f->board->arg, f->done_fd, flash_file_done, f, e);
	return f->watch ? 0 : -ERR_FAILED;
}

int flash_file_new(struct board *board, const char *id, int take_fd, const uint8_t *data,
		   size_t size, struct flash_file **ret_file, struct err *e)
{
	struct flash_file *f = calloc(1, sizeof(*f));
	int ret;

	if (!f) {
		close(take_fd);
		return err_ret(e, -ENOMEM, "flash");
	}
	*f = (struct flash_file){
		.board = board, .id = id, .fd = take_fd, .data = data, .size = size, .done_fd = -1
	};
	f->copy = malloc(size);
	ret = f->copy ? flash_file_start(f, e) : err_ret(e, -ENOMEM, "flash");
	if (ret < 0) {
		flash_file_free(f);
		return ret;
	}
	*ret_file = f;
	return 0;
}

void flash_file_free(struct flash_file *f)
{
	if (!f)
		return;
	if (f->watch)
		f->board->ops->unwatch(f->board->arg, f->watch);
	if (f->go)
		worker_call(f->worker, flash_file_free_timer, f);
	if (f->done_fd >= 0)
		close(f->done_fd);
	close(f->fd);
	free(f->copy);
	free(f);
}
