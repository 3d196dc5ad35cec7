// SPDX-License-Identifier: MIT
/* See trouble.h. init, fini and what is told on the control loop, under machine.lock; the rest on workers. */
#include "vmm/block/trouble.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "lib/auto.h"

#define TROUBLE_TELL_NS 1000000000ull
#define TROUBLE_AGAIN_NS 2000000000ull

static const char *const trouble_ops[] = {
	[BLOCK_READ] = "read",
	[BLOCK_WRITE] = "write",
	[BLOCK_FLUSH] = "flush",
	[BLOCK_DISCARD] = "discard",
	[BLOCK_WRITE_ZEROES] = "write of zeroes",
};

/* A worker may be writing the next one: then what is said is of two, which harms nobody. */
static void trouble_tell(struct trouble *t, struct trouble_disk *d)
{
	uint64_t now = board_now_ns(t->board);
	char msg[256];

	if (!atomic_load(&d->untold) && !atomic_load(&d->held))
		return;
	if (now < d->quiet_ns)
		return;
	snprintf(msg, sizeof(msg), "disk '%s': %s at byte %llu: %s%s", d->id,
		 trouble_ops[atomic_load(&d->op)], (unsigned long long)atomic_load(&d->offset),
		 strerror(atomic_load(&d->error)),
		 atomic_exchange(&d->untold, 0) > 1 ? ", and others" : "");
	d->quiet_ns = now + TROUBLE_TELL_NS;
	t->board->ops->notice(t->board->arg, d->stop ? "disk-stopped" : "disk-error", msg);
}

static void trouble_look(void *arg)
{
	struct trouble *t = arg;
	bool held = false;

	for (unsigned int i = 0; i < t->n; i++) {
		if (!t->disks[i].id)
			continue;
		trouble_tell(t, &t->disks[i]);
		held = held || atomic_load(&t->disks[i].held);
	}
	if (held)
		board_timer_arm(t->board, &t->again, board_now_ns(t->board) + TROUBLE_AGAIN_NS);
}

static void trouble_ready(void *arg)
{
	struct trouble *t = arg;
	uint64_t count;

	if (read(t->fd, &count, sizeof(count)) >= 0)
		trouble_look(t);
}

static void trouble_wake(const struct trouble *t)
{
	uint64_t one = 1;

	/* a full counter tells too */
	if (write(t->fd, &one, sizeof(one)) < 0)
		return;
}

/* What the guest got wrong is told to the guest alone. */
static bool trouble_is_the_hosts(int ret)
{
	return ret < 0 && ret != -ERANGE && ret != -EROFS;
}

bool trouble_note(struct trouble *t, struct trouble_disk *d, const struct block_req *r, int ret)
{
	if (!trouble_is_the_hosts(ret))
		return false;
	atomic_store(&d->error, -ret);
	atomic_store(&d->op, r->op);
	atomic_store(&d->offset, r->offset);
	atomic_fetch_add(&d->untold, 1);
	atomic_store(&d->held, d->stop);
	trouble_wake(t);
	return d->stop;
}

void trouble_over(struct trouble_disk *d)
{
	atomic_store(&d->held, false);
}

int trouble_init(struct trouble *t, const struct board *board, struct trouble_disk *disks,
		 unsigned int n, struct err *e)
{
	t->board = board;
	t->disks = disks;
	t->n = n;
	t->again = (struct board_timer){ .fire = trouble_look, .arg = t };
	t->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (t->fd < 0)
		return err_errno(e, "eventfd");
	t->watch = board->ops->watch(board->arg, t->fd, trouble_ready, t, e);
	return t->watch ? 0 : -EAGAIN; /* e has the reason */
}

void trouble_fini(struct trouble *t)
{
	if (t->watch) {
		t->board->ops->unwatch(t->board->arg, t->watch);
		board_timer_cancel(t->board, &t->again);
	}
	if (t->fd > 0)
		close(t->fd);
}
