// SPDX-License-Identifier: MIT
// Requests: checked, cut into steps, and continued when a step was short. A request is a small state machine,
// block_first_step then block_step_done, and whoever has carried a step out turns its crank: block_go for the
// steps that are run on the spot, uring.c for those in its ring. On the thread of the attached loop, but for
// open and free.
#include "vmm/block/block.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <linux/falloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "lib/auto.h"
#include "lib/errcat.h"
#include "vmm/block/engine.h"

#define BLOCK_RETRIES 16 /* of EINTR and EAGAIN in a row */

/* --- the steps of a request ------------------------------------------------------------------------ */

static int block_check(const struct block *b, const struct block_req *r)
{
	if (r->op == BLOCK_FLUSH)
		return 0;
	if (r->op != BLOCK_READ && b->info.readonly)
		return -EROFS;
	if (!range_fits(r->offset, r->len, b->info.size))
		return -ERANGE;
	if (r->len == 0 || (r->offset | r->len) % BLOCK_SECTOR || r->niov > IOV_MAX)
		return -EINVAL;
	return 0;
}

/* Write zeroes by the best means that are left; the last writes them. */
static void block_zero_step(const struct block *b, struct block_req *r)
{
	struct block_step *s = &r->step;

	s->offset = r->offset + r->pos;
	s->len = r->len - r->pos;
	s->kind = BLOCK_STEP_FALLOCATE;
	if (r->unmap && !b->no_punch) {
		s->mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
	} else if (!b->no_zero_range) {
		s->mode = FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE;
	} else {
		s->len = MIN(s->len, BLOCK_ZEROES);
		r->zero_iov = (struct iovec){ .iov_base = b->zeroes, .iov_len = s->len };
		s->kind = BLOCK_STEP_WRITEV;
		s->iov = &r->zero_iov;
		s->niov = 1;
		s->mode = 0;
	}
}

static void block_first_step(const struct block *b, struct block_req *r)
{
	struct block_step *s = &r->step;

	r->pos = 0;
	r->retries = 0;
	r->error = block_check(b, r);
	*s = (struct block_step){ .fd = b->fd, .offset = r->offset, .len = r->len };
	if (r->error < 0)
		return;
	if (b->qcow2) {
		s->kind = BLOCK_STEP_FORMAT;
		return;
	}
	switch (r->op) {
	case BLOCK_READ:
	case BLOCK_WRITE:
		s->kind = r->op == BLOCK_READ ? BLOCK_STEP_READV : BLOCK_STEP_WRITEV;
		s->iov = r->iov;
		s->niov = r->niov;
		s->mode = r->op == BLOCK_WRITE && r->stable ? RWF_DSYNC : 0;
		break;
	case BLOCK_FLUSH:
		s->kind = b->unsafe ? BLOCK_STEP_FAIL /* with no error */ : BLOCK_STEP_SYNC;
		break;
	case BLOCK_DISCARD:
		s->kind = b->is_device	? BLOCK_STEP_DISCARD
			  : b->no_punch ? BLOCK_STEP_FAIL
					: /* with no error */
				  BLOCK_STEP_FALLOCATE;
		s->mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
		break;
	case BLOCK_WRITE_ZEROES:
		block_zero_step(b, r);
		break;
	}
}

static bool block_finish(struct block_req *r, int ret)
{
	r->done(r, ret);
	return true;
}

/* The zeroes are written */
static bool block_zeroes_done(struct block_req *r)
{
	if (!r->stable)
		return block_finish(r, 0);
	r->step.kind = BLOCK_STEP_SYNC;
	return false;
}

static bool block_is_unsupported(int64_t res)
{
	return res == -EOPNOTSUPP || res == -ENOSYS || res == -ENOTTY;
}

void block_iov_skip(struct iovec **iov, unsigned int *niov, uint64_t n)
{
	while (*niov && n >= (*iov)->iov_len) {
		n -= (*iov)->iov_len;
		(*iov)++;
		(*niov)--;
	}
	if (!*niov)
		return;
	(*iov)->iov_base = (uint8_t *)(*iov)->iov_base + n;
	(*iov)->iov_len -= n;
}

static bool block_transfer_done(struct block *b, struct block_req *r, uint64_t n)
{
	struct block_step *s = &r->step;

	r->pos += n;
	if (r->pos >= r->len)
		return r->op == BLOCK_WRITE_ZEROES ? block_zeroes_done(r) : block_finish(r, 0);
	if (r->op == BLOCK_WRITE_ZEROES) {
		block_zero_step(b, r);
		return false;
	}
	s->offset += n;
	block_iov_skip(&s->iov, &s->niov, n);
	if (!s->niov) /* len was more than the sum of iov */
		return block_finish(r, -EINVAL);
	return false;
}

static bool block_fallocate_done(struct block *b, struct block_req *r, int64_t res)
{
	bool punch = r->step.mode & FALLOC_FL_PUNCH_HOLE;

	if (res == 0)
		return r->op == BLOCK_DISCARD ? block_finish(r, 0) : block_zeroes_done(r);
	if (!block_is_unsupported(res))
		return block_finish(r, (int)res);
	if (punch)
		b->no_punch = true;
	else
		b->no_zero_range = true;
	if (r->op == BLOCK_DISCARD)
		return block_finish(r, 0);
	block_zero_step(b, r);
	return false;
}

bool block_step_done(struct block *b, struct block_req *r, int64_t res)
{
	if ((res == -EINTR || res == -EAGAIN) && ++r->retries <= BLOCK_RETRIES)
		return false;
	r->retries = 0;
	if (b->qcow2 && r->step.kind != BLOCK_STEP_FAIL)
		return qcow2_step_done(b, r, res);
	switch ((enum block_step_kind)r->step.kind) {
	case BLOCK_STEP_FAIL:
	case BLOCK_STEP_FORMAT: /* not reached: there is none */
		return block_finish(r, r->error);
	case BLOCK_STEP_READV:
	case BLOCK_STEP_WRITEV:
	case BLOCK_STEP_BOUNCE_READ:
	case BLOCK_STEP_BOUNCE_WRITE:
		if (direct_retry(b, &r->step, res, false))
			return false;
		if (res <= 0) /* 0: the image has become shorter */
			return block_finish(r, res < 0 ? (int)res : -EIO);
		return block_transfer_done(b, r, (uint64_t)res);
	case BLOCK_STEP_SYNC:
		return block_finish(r, (int)res);
	case BLOCK_STEP_FALLOCATE:
		return block_fallocate_done(b, r, res);
	case BLOCK_STEP_DISCARD:
		return block_finish(r, block_is_unsupported(res) ? 0 : (int)res);
	}
	return block_finish(r, -EINVAL);
}

int block_map(struct block *b, uint64_t pos, uint64_t len, struct block_extent *ret)
{
	if (pos >= b->info.size) {
		*ret = (struct block_extent){ .kind = BLOCK_EXTENT_ZEROES, .len = len };
		return 0;
	}
	len = MIN(len, b->info.size - pos);
	if (b->qcow2)
		return qcow2_map(b->qcow2, pos, len, ret);
	*ret = (struct block_extent){
		.kind = BLOCK_EXTENT_FILE, .fd = b->fd, .offset = pos, .len = len
	};
	return 0;
}

/* --- the queue ---------------------------------------------------------------------------------------- */

struct block_req *block_take(struct block *b)
{
	struct block_req *r = b->head;

	if (!r)
		return NULL;
	b->head = r->next;
	if (!b->head)
		b->tail = &b->head;
	return r;
}

void block_put_back(struct block *b, struct block_req *r)
{
	r->next = b->head;
	b->head = r;
	if (!r->next)
		b->tail = &r->next;
}

void block_queue(struct block *b, struct block_req *r)
{
	r->stable = r->stable && !b->unsafe;
	block_first_step(b, r);
	r->next = NULL;
	*b->tail = r;
	b->tail = &r->next;
}

static bool block_run_here(struct block *b)
{
	struct block_req *r;
	bool any = false;

	while ((r = block_take(b))) {
		do
			direct_yield(b);
		while (!block_step_done(b, r, direct_run(b, &r->step)));
		any = true;
	}
	return any;
}

/*
 * done and batch_done may queue and submit: that comes back here, finds running set, and is served by the
 * loop of the outer call instead of by recursion.
 */
void block_go(struct block *b, bool wait)
{
	bool any;

	if (b->running)
		return;
	b->running = true;
	direct_enter(b);
	do {
		any = b->uring ? block_uring_run(b, wait) : block_run_here(b);
		if (any && b->batch_done)
			b->batch_done(b->batch_arg);
	} while (any && b->head);
	if (!b->uring || !block_uring_busy(b->uring))
		direct_leave(b);
	b->running = false;
}

void block_submit(struct block *b)
{
	if (b->head)
		block_go(b, false);
}

bool block_poll(struct block *b)
{
	if (!b->uring || !block_uring_ready(b->uring))
		return false;
	block_go(b, false);
	return true;
}

void block_drain(struct block *b)
{
	assert(!b->running);
	while (b->head || (b->uring && block_uring_busy(b->uring)))
		block_go(b, true);
}

/* --- life ----------------------------------------------------------------------------------------------- */

/* NULL: there is no memory */
static struct block *block_new(int take_fd, bool readonly, bool unsafe)
{
	AUTO_CLOSE int fd = take_fd;
	struct block *b = calloc(1, sizeof(*b));

	if (!b)
		return NULL;
	b->fd = TAKE_FD(fd);
	b->info.readonly = readonly;
	b->tail = &b->head;
	b->step = raw_step;
	b->unsafe = unsafe;
	b->info.engine = "psync";
	return b;
}

static int block_set_format(struct block *b, enum block_format format, struct err *e)
{
	int ret = b->direct ? direct_init(b, e) : 0;

	if (ret < 0)
		return ret;
	b->info.format = format == BLOCK_FORMAT_QCOW2 ? "qcow2" : "raw";
	if (format == BLOCK_FORMAT_QCOW2)
		return qcow2_open(b, e);
	if (format == BLOCK_FORMAT_UNSAID && qcow2_probe(b)) {
		err_set(e, ERR_FILE, "the disk image looks like a qcow2 image");
		return err_hint(e, "say which it is: `format: qcow2`, or `format: raw`");
	}
	return b->direct ? direct_check_size(b, e) : raw_check_size(b, e);
}

static int block_backing_format(const char *name, enum block_format *ret, struct err *e)
{
	if (!strcmp(name, "qcow2") || !strcmp(name, "raw")) {
		*ret = name[0] == 'q' ? BLOCK_FORMAT_QCOW2 : BLOCK_FORMAT_RAW;
		return 0;
	}
	if (!name[0]) {
		err_set(e, ERR_FILE, "the image does not say which format its backing file has");
		return err_hint(e, "qemu-img rebase -u -b BACKING -F FORMAT IMAGE");
	}
	return err_set(e, ERR_FILE, "a backing file in the format '%s' is not supported", name);
}

/* Image number level of the chain, and all that is below. */
static int block_open_level(struct block_image *image, unsigned int level, enum block_format format,
			    struct block **ret_block, struct err *e)
{
	int *fd = level ? &image->backing[level - 1] : &image->fd, ret;
	struct block *b = block_new(TAKE_FD(*fd), level || image->readonly, image->unsafe),
		     *below = NULL;
	const char *name, *name_format = "";

	if (!b) {
		err_set(e, ENOMEM, "disk image: no memory");
		return -ENOMEM;
	}
	*ret_block = b; /* with what there is of it */
	ret = raw_probe(b, e);
	if (ret >= 0)
		ret = block_set_format(b, format, e);
	name = ret >= 0 && b->qcow2 ? qcow2_backing(b->qcow2, &name_format) : NULL;
	if (!name)
		return ret;
	if (level >= image->nbacking) {
		err_set(e, ERR_FILE, "the image is based on '%.256s', and %s", name,
			level ? "that is not given" : "no backing file is given");
		return err_hint(e, "`backing: [PATH, …]` lists all that the image is based on");
	}
	ret = block_backing_format(name_format, &format, e);
	if (ret >= 0)
		ret = block_open_level(image, level + 1, format, &below, e);
	if (ret < 0)
		err_wrap(e, "backing file %u", level + 1);
	qcow2_set_backing(b->qcow2, below);
	return ret;
}

static unsigned int block_levels(const struct block *b)
{
	unsigned int n = 0;

	while ((b = b->qcow2 ? qcow2_below(b->qcow2) : NULL))
		n++;
	return n;
}

/* The image, and all that it is based on */
static bool block_in_memory(const struct block *b)
{
	while (b && raw_in_memory(b))
		b = b->qcow2 ? qcow2_below(b->qcow2) : NULL;
	return !b;
}

static int block_set_engine(struct block *b, const struct block_image *image, struct err *e)
{
	int ret;

	if (image->engine == BLOCK_ENGINE_PSYNC ||
	    (image->engine == BLOCK_ENGINE_AUTO && block_in_memory(b)))
		return 0;
	ret = block_uring_new(b, image, image->engine == BLOCK_ENGINE_URING ? e : NULL);
	if (ret < 0)
		return image->engine == BLOCK_ENGINE_URING ? ret : 0;
	b->info.engine = "io_uring";
	return 0;
}

static int block_setup(struct block *b, const struct block_image *image, struct err *e)
{
	if (block_levels(b) < image->nbacking) {
		err_set(e, ERR_FILE, "%u backing files are given, and the image is based on %u",
			image->nbacking, block_levels(b));
		return err_hint(e, "qemu-img info --backing-chain FILE shows them");
	}
	if (!b->info.readonly) {
		/* aligned, as O_DIRECT likes it */
		b->zeroes = mmap(NULL, BLOCK_ZEROES, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (b->zeroes == MAP_FAILED) {
			b->zeroes = NULL;
			return err_set(e, ENOMEM, "disk image: no memory");
		}
	}
	return block_set_engine(b, image, e);
}

int block_open(const struct block_image *take_image, struct block **ret_block, struct err *e)
{
	struct block_image image = *take_image;
	struct block *b = NULL;
	int ret = block_open_level(&image, 0, image.format, &b, e);

	if (ret >= 0)
		ret = block_setup(b, &image, e);
	for (unsigned int i = 0; i < image.nbacking; i++)
		if (image.backing[i] >= 0)
			close(image.backing[i]);
	if (ret < 0) {
		block_free(b);
		return ret;
	}
	*ret_block = b;
	return 0;
}

int block_also(struct block *b, const struct block_image *image, struct block **ret_block,
	       struct err *e)
{
	struct block *also = calloc(1, sizeof(*also));
	int ret = 0;

	assert(!b->loop);
	if (!also)
		return err_set(e, ENOMEM, "disk image: no memory");
	if (b->direct && !b->gate)
		ret = direct_share(b, e);
	*also = *b;
	also->first = b;
	also->tail = &also->head;
	also->uring = NULL;
	also->bounce = NULL;
	also->info.pinned = false;
	also->info.engine = "psync";
	if (ret >= 0 && b->direct)
		ret = direct_init(also, e);
	if (ret >= 0)
		ret = block_set_engine(also, image, e);
	if (ret < 0) {
		block_free(also);
		return ret;
	}
	*ret_block = also;
	return 0;
}

void block_free(struct block *b)
{
	if (!b)
		return;
	assert(!b->loop);
	block_uring_free(b->uring);
	direct_fini(b);
	if (!b->first) {
		qcow2_free(b->qcow2);
		if (b->zeroes)
			munmap(b->zeroes, BLOCK_ZEROES);
		close(b->fd);
	}
	free(b);
}

const struct block_info *block_info(const struct block *b)
{
	return &b->info;
}

int block_attach(struct block *b, uv_loop_t *loop, void (*batch_done)(void *arg), void *arg)
{
	int ret;

	assert(!b->loop);
	b->loop = loop;
	b->batch_done = batch_done;
	b->batch_arg = arg;
	ret = b->uring ? block_uring_attach(b) : 0;
	if (ret < 0)
		b->loop = NULL;
	else if (b->qcow2)
		qcow2_attach(b->qcow2);
	return ret;
}

void block_detach(struct block *b)
{
	if (!b->loop)
		return;
	block_drain(b);
	if (b->qcow2)
		qcow2_detach(b->qcow2);
	if (b->uring)
		block_uring_detach(b);
	b->loop = NULL;
	b->batch_done = NULL;
}
