// SPDX-License-Identifier: MIT
/*
 * See host.h. Two threads: the one of the attached loop, and that which waits for the device, which takes tasks off a list
 * and puts them on another; a lock that no vCPU takes is for the lists alone.
 */
#include "vmm/scsi/host.h"

#include <errno.h>
#include <linux/fs.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/auto.h"
#include "vmm/scsi/unit.h"
#include "vmm/virtio/iov.h"

#define HOST_TIMEOUT_MS 60000
#define HOST_MAX_BYTES (512 * KIB) /* where the kernel does not say */

struct scsi_host_list {
	struct scsi_task *first, **end;
};

struct scsi_host {
	int fd; /* owned */
	uint32_t max_bytes, block_size;
	bool blocks; /* a disk or CD-ROM drive, of block_size */
	int (*io)(void *arg, struct sg_io_hdr *hdr);
	void *io_arg;
	struct waiter_bell *work; /* owned */
	int back_fd; /* owned eventfd: wakes the attached loop; in a cage that could not make one */
	uv_poll_t *back; /* while attached: freed by its close callback */
	void (*ended_cb)(void *arg, struct scsi_task *t);
	void (*batch_done)(void *arg);
	void *arg;
	pthread_mutex_t lock; /* what follows */
	pthread_cond_t idle;
	struct scsi_host_list todo, ended;
	bool busy;
};

/* --- lists ------------------------------------------------------------------------------------------------- */

static void scsi_host_list_init(struct scsi_host_list *l)
{
	l->first = NULL;
	l->end = &l->first;
}

static void scsi_host_list_add(struct scsi_host_list *l, struct scsi_task *t)
{
	t->next = NULL;
	*l->end = t;
	l->end = &t->next;
}

static struct scsi_task *scsi_host_list_take(struct scsi_host_list *l)
{
	struct scsi_task *t = l->first;

	if (!t)
		return NULL;
	l->first = t->next;
	if (!l->first)
		l->end = &l->first;
	return t;
}

static bool scsi_host_list_cut(struct scsi_host_list *l, struct scsi_task *t)
{
	struct scsi_task **link = &l->first;

	while (*link && *link != t)
		link = &(*link)->next;
	if (!*link)
		return false;
	*link = t->next;
	if (!t->next)
		l->end = link;
	return true;
}

/* --- what passes ------------------------------------------------------------------------------------------- */

enum { HOST_NONE = 0, HOST_IN = BIT(0), HOST_OUT = BIT(1) };

/*
 * Commands, and which way their data goes: what reads and writes media, and what tells of them (SBC-3, SSC-4, MMC-6). Not
 * those that keep other initiators away (PERSISTENT RESERVE, RESERVE, RELEASE), that copy between devices, that
 * change a device for good (FORMAT UNIT, WRITE BUFFER), or whose answer is the target's (REPORT LUNS).
 */
static const struct {
	uint8_t opcode, ways;
} scsi_host_commands[] = {
	{ 0x28, HOST_IN },   { 0x2a, HOST_OUT },  { 0x88, HOST_IN },
	{ 0x8a, HOST_OUT },  { 0x00, HOST_NONE }, { 0x01, HOST_NONE },
	{ 0x03, HOST_IN },   { 0x05, HOST_IN },	  { 0x08, HOST_IN },
	{ 0x0a, HOST_OUT },  { 0x0b, HOST_NONE }, { 0x10, HOST_NONE },
	{ 0x11, HOST_NONE }, { 0x12, HOST_IN },	  { 0x15, HOST_OUT },
	{ 0x19, HOST_NONE }, { 0x1a, HOST_IN },	  { 0x1b, HOST_NONE },
	{ 0x1e, HOST_NONE }, { 0x25, HOST_IN },	  { 0x2b, HOST_NONE },
	{ 0x2e, HOST_OUT },  { 0x2f, HOST_NONE }, { 0x34, HOST_IN },
	{ 0x35, HOST_NONE }, { 0x41, HOST_OUT },  { 0x42, HOST_IN | HOST_OUT },
	{ 0x43, HOST_IN },   { 0x44, HOST_IN },	  { 0x46, HOST_IN },
	{ 0x4a, HOST_IN },   { 0x4d, HOST_IN },	  { 0x51, HOST_IN },
	{ 0x52, HOST_IN },   { 0x55, HOST_OUT },  { 0x5a, HOST_IN },
	{ 0x8e, HOST_OUT },  { 0x8f, HOST_NONE }, { 0x91, HOST_NONE },
	{ 0x93, HOST_OUT },  { 0x9e, HOST_IN },	  { 0xa8, HOST_IN },
	{ 0xaa, HOST_OUT },  { 0xac, HOST_IN },	  { 0xad, HOST_IN },
	{ 0xae, HOST_OUT },  { 0xb9, HOST_IN },	  { 0xbd, HOST_IN },
	{ 0xbe, HOST_IN },
};

/* -1: it does not pass */
static int scsi_host_ways(uint8_t opcode)
{
	for (size_t i = 0; i < ARRAY_SIZE(scsi_host_commands); i++)
		if (scsi_host_commands[i].opcode == opcode)
			return scsi_host_commands[i].ways;
	return -1;
}

/* SPC-4, section 4.3.4; those of the table have no other lengths */
static uint8_t scsi_host_cdb_len(uint8_t opcode)
{
	static const uint8_t lens[] = { 6, 10, 10, 0, 16, 12, 0, 0 };

	return lens[opcode >> 5];
}

/*
 * READ and WRITE of any length, and WRITE AND VERIFY (SBC-3, chapter 5) can be done in pieces: who sends them may not have
 * heard what the host takes, as that is told before a device comes.
 */
static bool scsi_host_divides(const struct scsi_host *h, const struct scsi_task *t, uint64_t size)
{
	static const uint8_t opcodes[] = { 0x08, 0x0a, 0x28, 0x2a, 0x2e, 0x88,
					   0x8a, 0x8e, 0xa8, 0xaa, 0xae };

	return h->blocks && h->max_bytes >= h->block_size &&
	       memchr(opcodes, t->cdb[0], sizeof(opcodes)) &&
	       (uint64_t)scsi_cdb_range(t->cdb).blocks * h->block_size == size;
}

static enum scsi_sense scsi_host_check(const struct scsi_host *h, const struct scsi_task *t)
{
	int ways = scsi_host_ways(t->cdb[0]);
	uint64_t out = iov_size(t->out, t->nout), in = iov_size(t->in, t->nin);

	if (ways < 0)
		return SCSI_INVALID_OPCODE;
	if (t->cdb[scsi_host_cdb_len(t->cdb[0]) - 1] & 0x04) /* NACA */
		return SCSI_INVALID_FIELD;
	if ((out && !(ways & HOST_OUT)) || (in && !(ways & HOST_IN)))
		return SCSI_INVALID_FIELD;
	if (MAX(out, in) > h->max_bytes && !scsi_host_divides(h, t, MAX(out, in)))
		return SCSI_INVALID_FIELD;
	return SCSI_NO_SENSE;
}

/* --- the thread that waits ---------------------------------------------------------------------------------- */

static int scsi_host_ioctl(void *arg, struct sg_io_hdr *hdr)
{
	const struct scsi_host *h = arg;

	return ioctl(h->fd, SG_IO, hdr) < 0 ? -errno : 0;
}

static void scsi_host_do(struct scsi_host *h, struct scsi_task *t, uint8_t *cdb, int direction,
			 struct iovec *iov, unsigned int n)
{
	struct sg_io_hdr hdr = {
		.interface_id = 'S',
		.dxfer_direction = direction,
		.cmd_len = scsi_host_cdb_len(cdb[0]),
		.cmdp = cdb,
		.mx_sb_len = sizeof(t->sense),
		.sbp = t->sense,
		.timeout = HOST_TIMEOUT_MS,
	};

	if (direction != SG_DXFER_NONE) {
		hdr.iovec_count = (unsigned short)n;
		hdr.dxferp = iov;
		hdr.dxfer_len = (unsigned int)iov_size(iov, n);
	}
	t->host_error = h->io(h->io_arg, &hdr);
	if (t->host_error < 0)
		return;
	t->status = hdr.status & 0x7e;
	t->sense_len = t->status == SCSI_CHECK_CONDITION
			       ? (uint8_t)MIN(hdr.sb_len_wr, sizeof(t->sense))
			       : 0;
	t->moved += hdr.dxfer_len - (unsigned int)MIN(MAX(hdr.resid, 0), (int)hdr.dxfer_len);
	if (hdr.host_status &&
	    !t->status) /* it did not come so far: a timeout, a device that is gone */
		t->host_error = -EIO;
}

/* SPC-4, section 4.5: the device has done it, with some effort. */
static bool scsi_host_recovered(const struct scsi_task *t)
{
	bool descriptors = (t->sense[0] & 0x7f) >= 0x72;

	return t->sense_len > 2 && (t->sense[descriptors ? 1 : 2] & 0x0f) == 1;
}

/* As much of it as the host takes, again and again; the first that does not end well is the end of it. */
static void scsi_host_divide(struct scsi_host *h, struct scsi_task *t, int direction,
			     struct iovec *iov)
{
	struct scsi_range all = scsi_cdb_range(t->cdb), r = { .lba = all.lba };
	uint32_t most = h->max_bytes / h->block_size;
	uint64_t done = 0;

	for (; all.blocks && !t->host_error && t->moved == done; all.blocks -= r.blocks) {
		uint8_t cdb[SCSI_CDB_MAX];
		unsigned int last = 0;
		struct iovec rest;
		size_t left;

		r.blocks = MIN(all.blocks, most);
		memcpy(cdb, t->cdb, sizeof(cdb));
		scsi_cdb_set_range(cdb, r);
		for (left = (size_t)r.blocks * h->block_size; left > iov[last].iov_len; last++)
			left -= iov[last].iov_len;
		rest = (struct iovec){ .iov_base = (uint8_t *)iov[last].iov_base + left,
				       .iov_len = iov[last].iov_len - left };
		iov[last].iov_len = left;
		scsi_host_do(h, t, cdb, direction, iov, last + 1);
		if (t->status && !scsi_host_recovered(t))
			return;
		iov[last] = rest;
		iov += last + !rest.iov_len;
		r.lba += r.blocks;
		done += (uint64_t)r.blocks * h->block_size;
	}
}

static void scsi_host_io(struct scsi_host *h, struct scsi_task *t)
{
	size_t out = iov_size(t->out, t->nout), in = iov_size(t->in, t->nin);
	struct iovec *iov = out ? t->out : t->in;
	unsigned int n = out ? t->nout : t->nin;
	int direction = out ? SG_DXFER_TO_DEV : in ? SG_DXFER_FROM_DEV : SG_DXFER_NONE;

	if (MAX(out, in) > h->max_bytes)
		scsi_host_divide(h, t, direction, iov);
	else
		scsi_host_do(h, t, t->cdb, direction, iov, n);
}

static void scsi_host_ring_back(struct scsi_host *h)
{
	uint64_t one = 1;

	if (write(h->back_fd, &one, sizeof(one)) < 0)
		return; /* a full counter rings too */
}

static bool scsi_host_work(void *arg)
{
	struct scsi_host *h = arg;
	struct scsi_task *t;
	bool more = false;

	pthread_mutex_lock(&h->lock);
	t = scsi_host_list_take(&h->todo);
	if (t) {
		h->busy = true;
		pthread_mutex_unlock(&h->lock);
		scsi_host_io(h, t);
		pthread_mutex_lock(&h->lock);
		if (!h->ended.first) /* else it was rung for those before */
			scsi_host_ring_back(h);
		scsi_host_list_add(&h->ended, t);
		h->busy = false;
		pthread_cond_signal(&h->idle);
		more = h->todo.first;
	}
	pthread_mutex_unlock(&h->lock);
	return more;
}

/* --- the attached loop's ----------------------------------------------------------------------------------- */

/* SBC-3, section 6.6.3: what one command may move is no more than the host's own limit. */
static void scsi_host_fix_limits(const struct scsi_host *h, struct scsi_task *t)
{
	uint32_t most = h->max_bytes / h->block_size, says;
	uint8_t page[12];

	if (t->cdb[0] != 0x12 || !(t->cdb[1] & 1) || t->cdb[2] != 0xb0 || t->status ||
	    t->moved < sizeof(page) ||
	    iov_read(t->in, t->nin, 0, page, sizeof(page)) < sizeof(page))
		return;
	says = scsi_get32(page + 8);
	scsi_put32(page + 8, says ? MIN(says, most) : most);
	iov_write(t->in, t->nin, 0, page, sizeof(page));
}

static void scsi_host_ended(struct scsi_host *h)
{
	struct scsi_task *t, *next;

	pthread_mutex_lock(&h->lock);
	t = h->ended.first;
	scsi_host_list_init(&h->ended);
	pthread_mutex_unlock(&h->lock);
	if (!t)
		return;
	for (; t; t = next) {
		next = t->next;
		if (!t->host_error)
			scsi_host_fix_limits(h, t);
		h->ended_cb(h->arg, t);
	}
	h->batch_done(h->arg); /* which may have freed us */
}

static void scsi_host_back(uv_poll_t *poll, int status, int events)
{
	struct scsi_host *h = poll->data;
	uint64_t rings;

	(void)events;
	if (status >= 0 && read(h->back_fd, &rings, sizeof(rings)) >= 0)
		scsi_host_ended(h);
}

bool scsi_host_start(struct scsi_host *h, struct scsi_task *t)
{
	enum scsi_sense sense = scsi_host_check(h, t);
	bool wake;

	if (sense) {
		scsi_fail(t, sense);
		return false;
	}
	pthread_mutex_lock(&h->lock);
	wake = !h->busy && !h->todo.first; /* else its turn comes anyway */
	scsi_host_list_add(&h->todo, t);
	pthread_mutex_unlock(&h->lock);
	if (wake)
		waiter_bell_ring(h->work);
	return true;
}

bool scsi_host_take_back(struct scsi_host *h, struct scsi_task *t)
{
	bool taken;

	pthread_mutex_lock(&h->lock);
	taken = scsi_host_list_cut(&h->todo, t);
	pthread_mutex_unlock(&h->lock);
	return taken;
}

/* --- life -------------------------------------------------------------------------------------------------- */

static void scsi_host_closed(uv_handle_t *handle)
{
	free((uv_poll_t *)handle);
}

int scsi_host_attach(struct scsi_host *h, uv_loop_t *loop,
		     void (*ended)(void *arg, struct scsi_task *t), void (*batch_done)(void *arg),
		     void *arg)
{
	AUTO_FREE uv_poll_t *poll = calloc(1, sizeof(*poll));
	int r = poll ? uv_poll_init(loop, poll, h->back_fd) : -ENOMEM;

	if (r < 0)
		return r;
	h->ended_cb = ended;
	h->batch_done = batch_done;
	h->arg = arg;
	poll->data = h;
	h->back = TAKE_PTR(poll);
	return uv_poll_start(h->back, UV_READABLE, scsi_host_back);
}

void scsi_host_recall(struct scsi_host *h, struct scsi_task **ret_left)
{
	pthread_mutex_lock(&h->lock);
	*ret_left = h->todo.first;
	scsi_host_list_init(&h->todo);
	pthread_mutex_unlock(&h->lock);
}

bool scsi_host_runs(struct scsi_host *h)
{
	bool runs;

	pthread_mutex_lock(&h->lock);
	runs = h->busy || h->ended.first;
	pthread_mutex_unlock(&h->lock);
	return runs;
}

void scsi_host_detach(struct scsi_host *h, struct scsi_task **ret_left)
{
	*ret_left = NULL;
	if (!h->back)
		return;
	scsi_host_recall(h, ret_left);
	pthread_mutex_lock(&h->lock);
	while (h->busy)
		pthread_cond_wait(&h->idle, &h->lock);
	pthread_mutex_unlock(&h->lock);
	scsi_host_ended(h);
	uv_close((uv_handle_t *)TAKE_PTR(h->back), scsi_host_closed);
}

/* As much as the kernel takes: of a block device in sectors, of a generic one in bytes. */
static void scsi_host_limits(struct scsi_host *h)
{
	unsigned short sectors = 0;
	struct stat st;
	int value = 0;

	h->max_bytes = HOST_MAX_BYTES;
	h->block_size = 512;
	if (fstat(h->fd, &st) < 0)
		return;
	if (S_ISBLK(st.st_mode) && !ioctl(h->fd, BLKSECTGET, &sectors) && sectors)
		h->max_bytes = sectors * 512u;
	else if (S_ISCHR(st.st_mode) && !ioctl(h->fd, BLKSECTGET, &value) && value > 0)
		h->max_bytes = (uint32_t)value;
	h->blocks = S_ISBLK(st.st_mode);
	if (h->blocks && !ioctl(h->fd, BLKSSZGET, &value) && value >= 512)
		h->block_size = (uint32_t)value;
}

int scsi_host_new(int take_fd, struct waiters *waiters, bool own, struct scsi_host **ret_host,
		  struct err *e)
{
	struct scsi_host *h = calloc(1, sizeof(*h));
	int r;

	if (!h) {
		close(take_fd);
		return err_set(e, ENOMEM, "a SCSI device of the host: no memory");
	}
	h->fd = take_fd;
	h->io = scsi_host_ioctl;
	h->io_arg = h;
	scsi_host_list_init(&h->todo);
	scsi_host_list_init(&h->ended);
	pthread_mutex_init(&h->lock, NULL);
	pthread_cond_init(&h->idle, NULL);
	scsi_host_limits(h);
	h->back_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (h->back_fd < 0)
		r = err_errno(e, "a SCSI device of the host");
	else
		r = waiter_bell_new(waiters, own, scsi_host_work, h, &h->work, e);
	if (r < 0) {
		scsi_host_free(h);
		return r;
	}
	*ret_host = h;
	return 0;
}

void scsi_host_free(struct scsi_host *h)
{
	if (!h)
		return;
	waiter_bell_free(h->work);
	pthread_cond_destroy(&h->idle);
	pthread_mutex_destroy(&h->lock);
	if (h->back_fd >= 0)
		close(h->back_fd);
	close(h->fd);
	free(h);
}

void scsi_host_set_io(struct scsi_host *h, int (*io)(void *arg, struct sg_io_hdr *hdr), void *arg)
{
	h->io = io;
	h->io_arg = arg;
}

void scsi_host_set_limits(struct scsi_host *h, uint32_t max_bytes, uint32_t block_size)
{
	h->max_bytes = max_bytes;
	h->block_size = block_size;
	h->blocks = true;
}

uint32_t scsi_host_max_bytes(const struct scsi_host *h)
{
	return h->max_bytes;
}
