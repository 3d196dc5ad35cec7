// SPDX-License-Identifier: MIT
/*
 * virtio-balloon: what goes into it, or is reported as free, comes back as zeroes, and its neighbours stay.
 *
 *	dirty=MIB	write to so much memory first, and say T
 *	self=PAGES	inflate so many, and say I when the host has them
 *	serve=1		do what the host asks, for ever, and have statistics
 */
#include "lib/virtio.h"

#define VECTOR 0x60
#define FIRST (32ull << 20) /* guest address of the first page for the balloon */
#define PAGE 4096u
#define PAGES_MAX (512u << 8) /* 512 MiB */
#define REQUEST_MAX 1024u     /* pages */

#define COMMON_MSIX_CONFIG 0x10
#define CONFIG_NUM_PAGES 0
#define CONFIG_ACTUAL 4
#define F_STATS_VQ (1ull << 1)
#define F_REPORTING (1ull << 5)

struct stat {
	uint16_t tag;
	uint64_t value;
} __attribute__((packed));

static struct vq inflate, deflate, stats, report;
static uint32_t pfns[PAGES_MAX];

static volatile uint32_t *balloon_word(uint32_t page)
{
	return (volatile uint32_t *)(FIRST + (uint64_t)page * PAGE + 8);
}

static void balloon_move(struct vq *q, uint32_t from, uint32_t to)
{
	while (from < to) {
		uint32_t n = to - from < REQUEST_MAX ? to - from : REQUEST_MAX;
		const struct vq_part part = { &pfns[from], n * 4, false };

		virtio_send(q, &part, 1);
		virtio_wait(q);
		from += n;
	}
}

static void balloon_check(void)
{
	const struct vq_part free_pages = { (void *)(FIRST + 8ull * PAGE), 2 * PAGE, true };

	for (uint32_t i = 0; i < 16; i++)
		*balloon_word(i) = i + 1;
	balloon_move(&inflate, 2, 5);
	for (uint32_t i = 0; i < 16; i++)
		CHECK_EQ(*balloon_word(i), i >= 2 && i < 5 ? 0 : i + 1);
	balloon_move(&deflate, 2, 5);
	*balloon_word(3) = 77;
	virtio_send(&report, &free_pages, 1);
	virtio_wait(&report);
	CHECK_EQ(*balloon_word(7), 8);
	CHECK_EQ(*balloon_word(8), 0);
	CHECK_EQ(*balloon_word(9), 0);
	CHECK_EQ(*balloon_word(10), 11);
	CHECK_EQ(*balloon_word(3), 77);
}

static void balloon_send_stats(void)
{
	static const struct stat s[] = { { 4, 1000 << 10 }, { 5, 2000 << 10 } }; /* free, total */
	const struct vq_part part = { s, sizeof(s), false };

	virtio_send(&stats, &part, 1);
}

static _Noreturn void balloon_serve(const struct virtio *v)
{
	uint32_t actual = 0;

	balloon_send_stats();
	for (;;) {
		uint32_t next = interrupt_count[VECTOR] + 1;
		uint32_t target = mmio_read32(v->config + CONFIG_NUM_PAGES);

		if (target > PAGES_MAX)
			target = PAGES_MAX;
		balloon_move(&inflate, actual, target);
		balloon_move(&deflate, target, actual);
		if (target != actual)
			mmio_write32(v->config + CONFIG_ACTUAL, target);
		actual = target;
		if (stats.used.idx == stats.avail.idx)
			balloon_send_stats();
		interrupt_wait(VECTOR, next);
	}
}

int guest_main(const struct start_info *si)
{
	uint32_t dirty = (uint32_t)cmdline_number(si, "dirty", 0) << 8;
	uint32_t self = (uint32_t)cmdline_number(si, "self", 0);
	struct virtio v;

	interrupts_init();
	virtio_init(&v, VIRTIO_BALLOON, 0, F_STATS_VQ | F_REPORTING);
	virtio_msix(&v, 1, VECTOR);
	mmio_write16(v.common + COMMON_MSIX_CONFIG, 0);
	virtio_queue(&v, 0, &inflate, 0xffff);
	virtio_queue(&v, 1, &deflate, 0xffff);
	virtio_queue(&v, 2, &stats, 0);
	virtio_queue(&v, 3, &report, 0xffff);
	for (uint32_t i = 0; i < PAGES_MAX; i++)
		pfns[i] = (uint32_t)(FIRST / PAGE) + i;
	for (uint32_t i = 0; i < dirty; i++)
		*balloon_word(i) = 1;
	if (dirty)
		print("T");
	virtio_start(&v); /* who sees a driver knows that the memory is there */
	if (self) {
		balloon_move(&inflate, 0, self);
		print("I");
	}
	if (cmdline_number(si, "serve", 0))
		balloon_serve(&v);
	balloon_check();
	return 0;
}
