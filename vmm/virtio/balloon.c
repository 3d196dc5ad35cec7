// SPDX-License-Identifier: MIT
/*
 * Virtio memory balloon: VIRTIO 1.2, section 5.5, on the machine's shared worker. Pages that the guest puts into it, and
 * those that it reports as free (5.5.6.7), go back to the host at once, and come back as zeroes when they are touched.
 *
 * Statistics (5.5.6.3): the driver's buffer is held until somebody asks, giving it back is the question, and the
 * next buffer the answer. So nobody waits, and an idle guest is not woken.
 *
 * The driver says how large the balloon is (5.5.4) with each request that changes it. That is passed on when it is what was
 * asked for, or has come to rest, and not more often than vmd may be told.
 */
#include "vmm/virtio/balloon.h"

#include <endian.h>
#include <linux/virtio_balloon.h>
#include <linux/virtio_ids.h>
#include <stdio.h>
#include <string.h>

#include "lib/errcat.h"
#include "vmm/devices.h"
#include "vmm/vfio/dma.h"
#include "vmm/virtio/virtio.h"

#define BALLOON_PAGE (1ull << VIRTIO_BALLOON_PFN_SHIFT)
#define BALLOON_PFNS_MAX 4096 /* of one request; drivers send 256, some 1024 */
#define BALLOON_ROUND 4096 /* ranges given back before the worker's other queues get their turn */
#define BALLOON_REPORT_UNIT (64 * KIB) /* of a reported range, counts as one of these */
#define BALLOON_STATS_FRESH_MS 200
#define BALLOON_TELL_NS 1000000000ull /* between two words about its size */

/*
 * Reporting is queue 4 in the specification's text, but drivers number only the queues that are there: without
 * free page hints 3, and 2 without statistics.
 */
enum { BALLOON_INFLATE, BALLOON_DEFLATE, BALLOON_STATS_QUEUE, BALLOON_QUEUES = 5 };

struct balloon_cfg {
	char address[16];
	bool deflate_on_oom, free_page_reporting;
};

struct balloon {
	struct virtio_dev v;	 /* first */
	_Atomic uint32_t poison; /* poison_val, for the worker */
	atomic_bool stats_wanted;
	_Atomic int64_t stats[BALLOON_STATS];
	_Atomic uint64_t stats_ns; /* uv_hrtime of the last ones; 0: none yet */
	/* the worker's */
	bool stats_held;
	uint16_t stats_head;
	unsigned int budget; /* of this round */
	/* what was said of its size: under machine.lock */
	struct board_timer tell;
	uint64_t told_ns;	   /* 0: never */
	uint32_t told, told_pages; /* little-endian: actual and num_pages then */
};

/* Neighbours are given back by one call. */
struct balloon_run {
	uint8_t *start;
	uint64_t len;
};

/* --- the worker's side --------------------------------------------------------------------------------- */

/* Memory that cannot be given back stays the guest's: advice, no error. */
static void balloon_discard(struct balloon *b, struct balloon_run *run)
{
	if (run->len)
		gmem_discard(b->v.dev.board->gmem, run->start, run->len);
	run->len = 0;
}

static void balloon_discard_page(struct balloon *b, struct balloon_run *run, uint8_t *page)
{
	if (run->len && page == run->start + run->len) {
		run->len += BALLOON_PAGE;
	} else if (run->len && page + BALLOON_PAGE == run->start) {
		run->start = page;
		run->len += BALLOON_PAGE;
	} else {
		balloon_discard(b, run);
		*run = (struct balloon_run){ page, BALLOON_PAGE };
	}
}

/* Section 5.5.6: an array of page numbers. NULL, or what is wrong with it. */
static const char *balloon_inflate(struct balloon *b, const struct virtq_req *r)
{
	size_t len = iov_size(r->iov, r->nout), off = 0;
	struct balloon_run run = { 0 };
	uint32_t pfns[256];

	if (len % sizeof(pfns[0]) || len / sizeof(pfns[0]) > BALLOON_PFNS_MAX)
		return "a balloon request of a wrong length";
	while (off < len) {
		size_t got = iov_read(r->iov, r->nout, off, pfns, sizeof(pfns));

		for (size_t i = 0; i < got / sizeof(pfns[0]); i++) {
			uint64_t gpa = (uint64_t)le32toh(pfns[i]) << VIRTIO_BALLOON_PFN_SHIFT;
			uint8_t *page = gmem_ptr(b->v.dev.board->gmem, gpa, BALLOON_PAGE);

			if (!page)
				return "a page in the balloon that is no memory";
			balloon_discard_page(b, &run, page);
		}
		off += got;
	}
	balloon_discard(b, &run);
	b->budget -= MIN(b->budget, (unsigned int)(len / sizeof(pfns[0])));
	return NULL;
}

/* Section 5.5.6.1: a page that comes back needs nothing of us. */
static const char *balloon_deflate(struct balloon *b, const struct virtq_req *r)
{
	(void)r;
	b->budget--;
	return NULL;
}

/* Section 5.5.6.7: ranges, as buffers. What must keep a pattern (5.5.6.6) cannot come back as zeroes. */
static const char *balloon_report(struct balloon *b, const struct virtq_req *r)
{
	bool keep = virtio_has(&b->v, VIRTIO_BALLOON_F_PAGE_POISON) && atomic_load(&b->poison);

	for (unsigned int i = r->nout; i < (unsigned int)r->nout + r->nin && !keep; i++) {
		struct balloon_run run = { r->iov[i].iov_base, r->iov[i].iov_len };
		uint64_t cost = 1 + run.len / BALLOON_REPORT_UNIT;

		balloon_discard(b, &run);
		b->budget -= (unsigned int)MIN(b->budget, cost);
	}
	return NULL;
}

/* Requests of a queue, until there are none, or the round is over: the rest is for the next one. */
static void balloon_serve(struct balloon *b, unsigned int q,
			  const char *(*serve)(struct balloon *b, const struct virtq_req *r))
{
	const char *why = NULL;
	struct virtq_req r;

	b->budget = BALLOON_ROUND;
	while (!why && b->budget && virtio_pop(&b->v, q, &r) > 0) {
		why = serve(b, &r);
		if (!why)
			virtq_push(&b->v.queues[q].vq, r.head, 0);
	}
	if (why)
		virtio_broken(&b->v, why);
	else if (!b->budget)
		virtio_kick(&b->v, q);
	virtio_flush(&b->v, q);
}

/* Section 5.5.6.3: those that have no name here are skipped, the last of a tag counts. */
static void balloon_take_stats(struct balloon *b, const struct virtq_req *r)
{
	struct virtio_balloon_stat entries[32];
	size_t got = iov_read(r->iov, r->nout, 0, entries, sizeof(entries));

	for (unsigned int i = 0; i < BALLOON_STATS; i++)
		atomic_store(&b->stats[i], -1);
	for (size_t i = 0; i < got / sizeof(entries[0]); i++) {
		uint16_t tag = le16toh(entries[i].tag);
		uint64_t value = MIN(le64toh(entries[i].val), BALLOON_STATS_MAX);

		if (tag < BALLOON_STATS)
			atomic_store(&b->stats[tag], (int64_t)value);
	}
	atomic_store(&b->stats_ns, uv_hrtime());
}

static void balloon_return_stats(struct balloon *b)
{
	if (!b->stats_held)
		return;
	b->stats_held = false;
	virtq_push(&b->v.queues[BALLOON_STATS_QUEUE].vq, b->stats_head, 0);
	virtio_flush(&b->v, BALLOON_STATS_QUEUE);
}

static void balloon_serve_stats(struct balloon *b)
{
	struct virtq_req r;

	if (atomic_load(&b->stats_wanted))
		balloon_return_stats(b);
	while (virtio_pop(&b->v, BALLOON_STATS_QUEUE, &r) > 0) {
		if (b->stats_held) {
			virtio_broken(&b->v, "a second buffer of statistics");
			return;
		}
		balloon_take_stats(b, &r);
		atomic_store(&b->stats_wanted, false);
		b->stats_held = true;
		b->stats_head = r.head;
	}
}

static void balloon_kick(struct virtio_dev *v, unsigned int q)
{
	struct balloon *b = container_of(v, struct balloon, v);

	if (q == BALLOON_INFLATE)
		balloon_serve(b, q, balloon_inflate);
	else if (q == BALLOON_DEFLATE)
		balloon_serve(b, q, balloon_deflate);
	else if (q == BALLOON_STATS_QUEUE && virtio_has(v, VIRTIO_BALLOON_F_STATS_VQ))
		balloon_serve_stats(b);
	else if (virtio_has(v, VIRTIO_BALLOON_F_REPORTING))
		balloon_serve(b, q, balloon_report);
	else
		virtio_broken(v, "a kick of a queue that was not negotiated");
}

/* No request is left with us: a paused guest is asked anew when it goes on. */
static void balloon_deactivate(struct virtio_dev *v)
{
	balloon_return_stats(container_of(v, struct balloon, v));
}

/* --- under machine.lock ------------------------------------------------------------------------------------ */

static struct virtio_balloon_config *balloon_config(struct balloon *b)
{
	return (struct virtio_balloon_config *)b->v.config;
}

/* On the control loop. */
static void balloon_tell(void *arg)
{
	struct balloon *b = arg;
	const struct virtio_balloon_config *c = balloon_config(b);
	const struct board *board = b->v.dev.board;
	uint64_t all = board->gmem->size;
	char text[64];

	if (b->told == c->actual && b->told_pages == c->num_pages)
		return;
	b->told = c->actual;
	b->told_pages = c->num_pages;
	b->told_ns = board_now_ns(board);
	snprintf(text, sizeof(text), "%llu of %llu bytes",
		 (unsigned long long)(all - MIN(le32toh(c->actual) * BALLOON_PAGE, all)),
		 (unsigned long long)(all - le32toh(c->num_pages) * BALLOON_PAGE));
	board->ops->notice(board->arg, "balloon", text);
}

/* At once when it is as large as it shall be; else when it has not changed for a while. */
static void balloon_changed(struct balloon *b)
{
	const struct virtio_balloon_config *c = balloon_config(b);
	const struct board *board = b->v.dev.board;
	uint64_t now = board_now_ns(board), when = now + BALLOON_TELL_NS;

	if (c->actual == c->num_pages)
		when = b->told_ns ? MAX(b->told_ns + BALLOON_TELL_NS, now) : now;
	board_timer_arm(board, &b->tell, when);
}

/* Section 5.5.4: the driver writes how large it is, and what free pages hold. */
static void balloon_config_write(struct virtio_dev *v, size_t off, const void *data, size_t len)
{
	struct balloon *b = container_of(v, struct balloon, v);
	struct virtio_balloon_config *c = balloon_config(b);
	uint32_t value;

	if (len != sizeof(value))
		return;
	memcpy(&value, data, sizeof(value));
	if (off == offsetof(struct virtio_balloon_config, actual)) {
		c->actual = value;
		balloon_changed(b);
	} else if (off == offsetof(struct virtio_balloon_config, poison_val)) {
		c->poison_val = value;
		atomic_store(&b->poison, le32toh(value));
	}
}

static int balloon_pinned(const char *by, struct err *e)
{
	err_set(e, ERR_VM_PINNED,
		"all memory is pinned for '%s', a device of the host: the balloon can give no more "
		"back",
		by);
	return err_hint(
		e, "vmctl detach VM %s first; the guest can still be given more than it has", by);
}

int balloon_set(struct device *d, uint64_t bytes, bool dry_run, struct err *e)
{
	struct balloon *b = container_of(d, struct balloon, v.dev);
	uint32_t pages = (uint32_t)(MIN(bytes, d->board->gmem->size) / BALLOON_PAGE);
	uint32_t now = le32toh(balloon_config(b)->num_pages);
	const char *pinned = vfio_dma_pinned_for(d->board);

	if (now == pages)
		return 0;
	if (pinned && pages > now)
		return balloon_pinned(pinned, e);
	if (!dry_run) {
		balloon_config(b)->num_pages = htole32(pages);
		virtio_config_changed(&b->v);
	}
	return 1;
}

void balloon_get(struct device *d, struct balloon_info *ret)
{
	struct balloon *b = container_of(d, struct balloon, v.dev);
	uint64_t at = atomic_load(&b->stats_ns), now = uv_hrtime();
	uint64_t actual = le32toh(balloon_config(b)->actual) * BALLOON_PAGE;

	*ret = (struct balloon_info){
		.target = le32toh(balloon_config(b)->num_pages) * BALLOON_PAGE,
		.driver = b->v.live,
		.has_stats = b->v.live && at,
	};
	ret->actual = ret->driver ? MIN(actual, d->board->gmem->size) : 0;
	ret->stats_age_ms = at && now > at ? (now - at) / 1000000 : 0;
	for (unsigned int i = 0; i < BALLOON_STATS; i++)
		ret->stats[i] = atomic_load(&b->stats[i]);
	if (b->v.active && (!at || ret->stats_age_ms >= BALLOON_STATS_FRESH_MS) &&
	    virtio_has(&b->v, VIRTIO_BALLOON_F_STATS_VQ)) {
		atomic_store(&b->stats_wanted, true);
		virtio_kick(&b->v, BALLOON_STATS_QUEUE);
	}
}

const char *balloon_stat_name(unsigned int tag)
{
	static const char *const names[BALLOON_STATS] = {
		[VIRTIO_BALLOON_S_SWAP_IN] = "swap_in",
		[VIRTIO_BALLOON_S_SWAP_OUT] = "swap_out",
		[VIRTIO_BALLOON_S_MAJFLT] = "major_faults",
		[VIRTIO_BALLOON_S_MINFLT] = "minor_faults",
		[VIRTIO_BALLOON_S_MEMFREE] = "free",
		[VIRTIO_BALLOON_S_MEMTOT] = "total",
		[VIRTIO_BALLOON_S_AVAIL] = "available",
		[VIRTIO_BALLOON_S_CACHES] = "caches",
		[VIRTIO_BALLOON_S_HTLB_PGALLOC] = "hugepages_taken",
		[VIRTIO_BALLOON_S_HTLB_PGFAIL] = "hugepages_failed",
	};

	return names[tag];
}

/* What the host asked for stays; the driver begins with all of its memory. */
static void balloon_reset(struct virtio_dev *v)
{
	struct balloon *b = container_of(v, struct balloon, v);

	board_timer_cancel(v->dev.board, &b->tell);
	b->told = b->told_pages = 0;
	balloon_config(b)->actual = 0;
	balloon_config(b)->poison_val = 0;
	atomic_store(&b->poison, 0);
	atomic_store(&b->stats_ns, 0);
}

static int balloon_init(struct device *d, struct err *e)
{
	static const struct virtio_ops ops = {
		.id = VIRTIO_ID_BALLOON,
		.nqueues = BALLOON_QUEUES,
		.queue_max = 128,
		.features = BIT64(VIRTIO_BALLOON_F_STATS_VQ),
		.config_size = sizeof(struct virtio_balloon_config),
		.config_write = balloon_config_write,
		.kick = balloon_kick,
		.deactivate = balloon_deactivate,
		.reset = balloon_reset,
	};
	struct balloon *b = container_of(d, struct balloon, v.dev);
	const struct balloon_cfg *cfg = d->cfg;
	uint64_t features = 0;

	b->tell.fire = balloon_tell;
	b->tell.arg = b;
	if (cfg->deflate_on_oom)
		features |= BIT64(VIRTIO_BALLOON_F_DEFLATE_ON_OOM);
	if (cfg->free_page_reporting)
		features |= BIT64(VIRTIO_BALLOON_F_REPORTING) | BIT64(VIRTIO_BALLOON_F_PAGE_POISON);
	return virtio_init(&b->v, &ops, features, cfg->address, e);
}

static void balloon_fini(struct device *d)
{
	board_timer_cancel(d->board, &container_of(d, struct balloon, v.dev)->tell);
	virtio_device_fini(d);
}

static void balloon_cfg_defaults(void *cfg)
{
	struct balloon_cfg *c = cfg;

	c->deflate_on_oom = c->free_page_reporting = true;
}

static const struct field balloon_fields[] = {
	FIELD_STR("address", struct balloon_cfg, address),
	FIELD_BOOL("deflate_on_oom", struct balloon_cfg, deflate_on_oom),
	FIELD_BOOL("free_page_reporting", struct balloon_cfg, free_page_reporting),
	FIELD_END,
};

const struct device_class virtio_balloon_class = {
	.type = "virtio-balloon",
	.size = sizeof(struct balloon),
	.cfg_size = sizeof(struct balloon_cfg),
	.cfg_fields = balloon_fields,
	.cfg_defaults = balloon_cfg_defaults,
	.init = balloon_init,
	.start = virtio_device_start,
	.stop = virtio_device_stop,
	.reset = virtio_device_reset,
	.fini = balloon_fini,
};
