// SPDX-License-Identifier: MIT
/*
 * What goes to the images of floppy drives: one request at a time, done by a worker of the controller's
 * own, with system calls, for which it needs no ring. It never touches the guest's memory. A guest has no
 * way to flush a floppy disk: what was written is stable before it is told so.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "lib/auto.h"
#include "vmm/dev/floppy.h"
#include "vmm/worker.h"

/* --- the worker ------------------------------------------------------------------------------- */

static void floppy_io_finish(struct floppy_io *io, int ret)
{
	uint64_t one = 1;

	io->ret = ret;
	atomic_store(&io->done, true);
	if (write(io->fd, &one, sizeof(one)) < 0)
		return; /* a full counter wakes too */
}

static void floppy_io_req_done(struct block_req *r, int ret)
{
	floppy_io_finish(container_of(r, struct floppy_io, req), ret);
}

static void floppy_io_work(void *arg)
{
	struct floppy_io *io = arg;
	struct block *b;

	if (!io->attached || !atomic_exchange(&io->todo, false))
		return;
	b = io->blocks[io->drive];
	if (!b) {
		floppy_io_finish(io, -ENOMEDIUM);
		return;
	}
	block_queue(b, &io->req);
	block_submit(b);
}

static int floppy_io_attach(struct floppy_io *io, unsigned int drive)
{
	struct block *b = io->blocks[drive];

	return b ? block_attach(b, worker_loop(io->worker), NULL, NULL) : 0;
}

static void floppy_io_detach(struct floppy_io *io, unsigned int drive)
{
	if (io->blocks[drive])
		block_detach(io->blocks[drive]); /* drains */
}

static void floppy_io_start_on_worker(void *arg)
{
	struct floppy_io *io = arg;
	int ret = floppy_io_attach(io, 0);

	if (ret >= 0) {
		ret = floppy_io_attach(io, 1);
		if (ret < 0)
			floppy_io_detach(io, 0);
	}
	if (ret < 0) {
		log_error(io->board->log, "floppy drives: %s", strerror(-ret));
		io->board->ops->event(io->board->arg, BOARD_FAULT, 0, "no memory for disks");
		return;
	}
	io->attached = true;
	floppy_io_work(io);
}

static void floppy_io_drain_on_worker(void *arg)
{
	struct floppy_io *io = arg;

	floppy_io_work(io); /* what was begun */
	for (unsigned int i = 0; i < FLOPPY_DRIVES && io->attached; i++)
		if (io->blocks[i])
			block_drain(io->blocks[i]);
}

static void floppy_io_stop_on_worker(void *arg)
{
	struct floppy_io *io = arg;

	for (unsigned int i = 0; i < FLOPPY_DRIVES && io->attached; i++)
		floppy_io_detach(io, i);
	io->attached = false;
}

struct floppy_swap {
	struct floppy_io *io;
	unsigned int drive;
	struct block *block;
	int ret;
};

static void floppy_io_swap_on_worker(void *arg)
{
	struct floppy_swap *s = arg;
	struct floppy_io *io = s->io;

	if (io->attached) {
		floppy_io_work(io);
		floppy_io_detach(io, s->drive);
	}
	block_free(io->blocks[s->drive]);
	io->blocks[s->drive] = s->block;
	s->ret = io->attached ? floppy_io_attach(io, s->drive) : 0;
	if (s->ret < 0)
		block_free(TAKE_PTR(io->blocks[s->drive]));
}

/* --- the control loop ------------------------------------------------------------------------- */

static void floppy_io_reap(struct floppy_io *io)
{
	bool abandoned = io->abandoned;

	if (!atomic_exchange(&io->done, false))
		return;
	io->busy = false;
	io->abandoned = false;
	if (!abandoned)
		io->ended(io->arg, io->ret);
}

static void floppy_io_ready(void *arg)
{
	struct floppy_io *io = arg;
	uint64_t count;

	if (read(io->fd, &count, sizeof(count)) < 0 && errno != EAGAIN)
		return;
	floppy_io_reap(io);
}

void floppy_io_go(struct floppy_io *io, unsigned int drive, enum block_op op, uint64_t offset,
		  uint32_t at, uint32_t len)
{
	io->busy = true;
	io->drive = drive;
	io->iov = (struct iovec){ .iov_base = io->data + at, .iov_len = len };
	io->req = (struct block_req){ .op = op,
				      .iov = &io->iov,
				      .niov = 1,
				      .offset = offset,
				      .len = len,
				      .stable = op == BLOCK_WRITE,
				      .done = floppy_io_req_done };
	atomic_store(&io->todo, true);
	worker_bell_ring(io->bell);
}

int floppy_io_swap(struct floppy_io *io, unsigned int drive, struct block *take_block)
{
	struct floppy_swap s = { .io = io, .drive = drive, .block = take_block };

	worker_call(io->worker, floppy_io_swap_on_worker, &s);
	return s.ret;
}

void floppy_io_start(struct floppy_io *io)
{
	worker_call(io->worker, floppy_io_start_on_worker, io);
}

void floppy_io_stop(struct floppy_io *io)
{
	/* the end of one request may begin another: the second side of a cylinder */
	do {
		worker_call(io->worker, floppy_io_drain_on_worker, io);
		floppy_io_reap(io);
	} while (io->busy && io->attached);
	worker_call(io->worker, floppy_io_stop_on_worker, io);
}

/* --- life ------------------------------------------------------------------------------------- */

int floppy_io_init(struct floppy_io *io, const struct board *board, struct err *e)
{
	io->board = board;
	io->data = calloc(1, FLOPPY_CYLINDER);
	if (!io->data)
		return err_set(e, ENOMEM, "no memory for a cylinder");
	io->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (io->fd < 0)
		return err_errno(e, "eventfd");
	io->watch = board->ops->watch(board->arg, io->fd, floppy_io_ready, io, e);
	if (!io->watch)
		return -EAGAIN; /* e has the reason */
	io->worker = board->ops->worker(board->arg, true, e);
	if (!io->worker)
		return -EAGAIN;
	return worker_bell_new(io->worker, floppy_io_work, io, &io->bell, e);
}

void floppy_io_fini(struct floppy_io *io)
{
	worker_bell_free(io->bell);
	if (io->watch)
		io->board->ops->unwatch(io->board->arg, io->watch);
	if (io->fd > 0)
		close(io->fd);
	for (unsigned int i = 0; i < FLOPPY_DRIVES; i++)
		block_free(io->blocks[i]);
	free(io->data);
}
