// SPDX-License-Identifier: MIT
// The memory balloon, driven through its registers.
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <linux/pci_regs.h>
#include <linux/virtio_balloon.h>
#include <linux/virtio_config.h>
#include <linux/virtio_pci.h>
#include <stdlib.h>
#include <string.h>

#include "lib/errcat.h"
#include "tests/unit/fake_vfio.h"
#include "tests/unit/guest_virtio.h"
#include "vmm/devices.h"
#include "vmm/virtio/balloon.h"

#define SLOT 4
#define MEM MIB
#define BUF 0x8000    /* requests */
#define PAGES 0x40000 /* what goes into the balloon */
#define PFN(gpa) ((uint32_t)((gpa) >> VIRTIO_BALLOON_PFN_SHIFT))
#define ALL_FEATURES                                                                  \
	(BIT64(VIRTIO_F_VERSION_1) | BIT64(VIRTIO_BALLOON_F_STATS_VQ) |               \
	 BIT64(VIRTIO_BALLOON_F_DEFLATE_ON_OOM) | BIT64(VIRTIO_BALLOON_F_REPORTING) | \
	 BIT64(VIRTIO_BALLOON_F_PAGE_POISON))

enum { INFLATE, DEFLATE, STATS, REPORT };

struct balloon_fixture {
	struct fake_board fb;
	struct device *host, *dev;
	struct guest_virtio g;
};

static int setup(void **state)
{
	struct balloon_fixture *f = calloc(1, sizeof(*f));
	/* the address, then both switches */
	static const char cfg[18] = "00:04.0\0\0\0\0\0\0\0\0\0\1\1";

	fake_board_init(&f->fb, MEM);
	f->fb.log.fd = -1;
	f->host = fake_board_add(&f->fb, &pci_host_class, "pci", NULL);
	f->dev = fake_board_add(&f->fb, &virtio_balloon_class, "balloon0", cfg);
	f->dev->class->start(f->dev);
	guest_virtio_find(&f->g, &f->fb, SLOT);
	assert_true(guest_virtio_start(&f->g, ALL_FEATURES, 4));
	memset(f->fb.mem + PAGES, 0xaa, MEM - PAGES);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct balloon_fixture *f = *state;

	f->dev->class->stop(f->dev);
	fake_board_remove(&f->fb, f->dev);
	fake_board_remove(&f->fb, f->host);
	fake_board_fini(&f->fb);
	free(f);
	return 0;
}

static bool answered(struct balloon_fixture *f, unsigned int q)
{
	struct vring_used_elem u = { 0 };

	fake_board_run(&f->fb);
	return guest_ring_get(&f->g.rings[q], &u);
}

/* len bytes at addr are a request; answered? */
static bool request(struct balloon_fixture *f, unsigned int q, uint64_t addr, uint32_t len,
		    uint16_t flags)
{
	guest_ring_set(&f->g.rings[q], 0, addr, len, flags, 0);
	guest_ring_add(&f->g.rings[q], 0);
	guest_virtio_kick(&f->g, q);
	return answered(f, q);
}

static bool pages(struct balloon_fixture *f, unsigned int q, const uint32_t *pfns, uint32_t n)
{
	memcpy(f->fb.mem + BUF, pfns, n * sizeof(*pfns));
	return request(f, q, BUF, n * (uint32_t)sizeof(*pfns), 0);
}

/* A bit for each page from PAGES on, of the first 32: is it zero? 0xaa all over: no. */
static uint32_t zero_pages(const struct balloon_fixture *f)
{
	uint32_t bits = 0;

	for (unsigned int i = 0; i < 32; i++) {
		const uint8_t *p = f->fb.mem + PAGES + i * 4096u;
		unsigned int zeros = 0;

		for (unsigned int k = 0; k < 4096; k++)
			zeros += !p[k];
		assert_true(zeros == 0 || zeros == 4096); /* all of a page, or nothing */
		bits |= zeros ? BIT(i) : 0;
	}
	return bits;
}

static void assert_broken(struct balloon_fixture *f)
{
	fake_board_run(&f->fb);
	assert_true(guest_virtio_status(&f->g) & VIRTIO_CONFIG_S_NEEDS_RESET);
}

static void test_identity(void **state)
{
	struct balloon_fixture *f = *state;

	assert_int_equal(guest_pci_read(&f->fb, SLOT, PCI_DEVICE_ID, 2), 0x1045);
	assert_int_equal(guest_virtio_features(&f->g) & 0xffffff, ALL_FEATURES & 0xffffff);
}

/* Any order, with neighbours up and down, and the same page twice: these pages, and no others. */
static void test_inflate(void **state)
{
	struct balloon_fixture *f = *state;
	const uint32_t up[] = { PFN(PAGES), PFN(PAGES) + 1, PFN(PAGES) + 2 };
	const uint32_t mixed[] = { PFN(PAGES) + 9, PFN(PAGES) + 8, PFN(PAGES) + 20, PFN(PAGES) + 7,
				   PFN(PAGES) + 20 };

	assert_true(pages(f, INFLATE, up, 3));
	assert_int_equal(guest_virtio_irqs(&f->g, INFLATE + 1), 1);
	assert_int_equal(zero_pages(f), 0x7);
	assert_true(pages(f, INFLATE, mixed, 5));
	assert_int_equal(zero_pages(f), 0x7 | 0x380 | BIT(20));
}

static void test_deflate(void **state)
{
	struct balloon_fixture *f = *state;
	const uint32_t pfn = PFN(PAGES) + 3;

	assert_true(pages(f, DEFLATE, &pfn, 1));
	assert_int_equal(zero_pages(f), 0); /* what the guest has taken back is its own */
}

/* The array may lie in pieces that cut a number. */
static void test_inflate_in_pieces(void **state)
{
	struct balloon_fixture *f = *state;
	const uint32_t pfns[] = { PFN(PAGES) + 4, PFN(PAGES) + 6 };

	memcpy(f->fb.mem + BUF, pfns, 5);
	memcpy(f->fb.mem + BUF + 512, (const uint8_t *)pfns + 5, 3);
	guest_ring_set(&f->g.rings[INFLATE], 1, BUF + 512, 3, 0, 0);
	guest_ring_set(&f->g.rings[INFLATE], 0, BUF, 5, VRING_DESC_F_NEXT, 1);
	guest_ring_add(&f->g.rings[INFLATE], 0);
	guest_virtio_kick(&f->g, INFLATE);
	assert_true(answered(f, INFLATE));
	assert_int_equal(zero_pages(f), BIT(4) | BIT(6));
}

static void test_no_memory_breaks(void **state)
{
	struct balloon_fixture *f = *state;
	const uint32_t pfns[] = { PFN(PAGES), PFN(MEM) };

	assert_false(pages(f, INFLATE, pfns, 2));
	assert_broken(f);
}

static void test_last_page_number_breaks(void **state)
{
	struct balloon_fixture *f = *state;
	const uint32_t pfn = UINT32_MAX;

	assert_false(pages(f, INFLATE, &pfn, 1));
	assert_broken(f);
	assert_int_equal(zero_pages(f), 0);
}

static void test_wrong_length_breaks(void **state)
{
	struct balloon_fixture *f = *state;

	assert_false(request(f, INFLATE, BUF, 6, 0));
	assert_broken(f);
}

static void test_too_many_pages_break(void **state)
{
	struct balloon_fixture *f = *state;

	memset(f->fb.mem + BUF, 0, 4 * 4097);
	assert_false(request(f, INFLATE, BUF, 4 * 4097, 0));
	assert_broken(f);
}

/* Requests of more pages than a round has are all served, in several. */
static void test_more_than_a_round(void **state)
{
	struct balloon_fixture *f = *state;
	struct vring_used_elem u;
	uint32_t *pfns = (uint32_t *)(f->fb.mem + BUF);
	unsigned int done = 0;

	for (unsigned int i = 0; i < 4096; i++)
		pfns[i] = PFN(PAGES) + i % 4;
	for (uint16_t i = 0; i < 3; i++) {
		guest_ring_set(&f->g.rings[INFLATE], i, BUF, 4 * 4096, 0, 0);
		guest_ring_add(&f->g.rings[INFLATE], i);
	}
	guest_virtio_kick(&f->g, INFLATE);
	for (unsigned int i = 0; i < 3; i++)
		fake_board_run(&f->fb);
	while (guest_ring_get(&f->g.rings[INFLATE], &u))
		done++;
	assert_int_equal(done, 3);
	assert_int_equal(zero_pages(f), 0xf);
}

static void test_report(void **state)
{
	struct balloon_fixture *f = *state;

	/* two whole pages and the ends of others */
	assert_true(request(f, REPORT, PAGES + 100, 3 * 4096, VRING_DESC_F_WRITE));
	assert_int_equal(zero_pages(f), 0x6);
	/* less than a page */
	assert_true(request(f, REPORT, PAGES + 5 * 4096 + 1, 4095, VRING_DESC_F_WRITE));
	assert_int_equal(zero_pages(f), 0x6);
}

/* A driver that counts as the specification's text does. */
static void test_report_on_queue_4(void **state)
{
	struct balloon_fixture *f = *state;
	struct guest_ring r;
	struct vring_used_elem u;

	guest_virtio_negotiate(&f->g, ALL_FEATURES);
	guest_ring_init(&r, f->fb.mem, GUEST_VIRTIO_RING_SIZE, 0x6000);
	guest_virtio_write(&f->g, VIRTIO_PCI_COMMON_Q_SELECT, 2, 4);
	guest_virtio_write(&f->g, VIRTIO_PCI_COMMON_Q_SIZE, 2, GUEST_VIRTIO_RING_SIZE);
	guest_virtio_write(&f->g, VIRTIO_PCI_COMMON_Q_DESCLO, 4, (uint32_t)r.desc);
	guest_virtio_write(&f->g, VIRTIO_PCI_COMMON_Q_AVAILLO, 4, (uint32_t)r.avail);
	guest_virtio_write(&f->g, VIRTIO_PCI_COMMON_Q_USEDLO, 4, (uint32_t)r.used);
	guest_virtio_write(&f->g, VIRTIO_PCI_COMMON_Q_ENABLE, 2, 1);
	guest_virtio_write(&f->g, VIRTIO_PCI_COMMON_STATUS, 1, 15);
	guest_ring_set(&r, 0, PAGES, 4096, VRING_DESC_F_WRITE, 0);
	guest_ring_add(&r, 0);
	guest_virtio_kick(&f->g, 4);
	fake_board_run(&f->fb);
	assert_true(guest_ring_get(&r, &u));
	assert_int_equal(zero_pages(f), 0x1);
}

/* What must hold a pattern when it is taken again cannot come back as zeroes. */
static void test_poison_keeps(void **state)
{
	struct balloon_fixture *f = *state;
	uint64_t at = f->g.device + offsetof(struct virtio_balloon_config, poison_val);

	fake_mmio_write(&f->fb, at, 4, 0xaaaaaaaa);
	assert_int_equal(fake_mmio_read(&f->fb, at, 4), 0xaaaaaaaa);
	assert_true(request(f, REPORT, PAGES, 4096, VRING_DESC_F_WRITE));
	assert_int_equal(zero_pages(f), 0);
	fake_mmio_write(&f->fb, at, 4, 0);
	assert_true(request(f, REPORT, PAGES, 4096, VRING_DESC_F_WRITE));
	assert_int_equal(zero_pages(f), 1);
}

static void test_memory_that_is_kept(void **state)
{
	struct balloon_fixture *f = *state;
	const uint32_t pfn = PFN(PAGES);

	gmem_keep(&f->fb.gmem, true);
	assert_true(pages(f, INFLATE, &pfn, 1));
	assert_true(request(f, REPORT, PAGES, 4096, VRING_DESC_F_WRITE));
	assert_int_equal(zero_pages(f), 0);
}

/* A device of the host comes and goes: what is in the balloon by then may come out, and nothing more go in. */
static void test_pinned_by_a_device(void **state)
{
	struct balloon_fixture *f = *state;
	const uint32_t pfn = PFN(PAGES);
	struct fake_vfio fv;
	struct vfio_pci_cfg cfg;
	struct device *nic;
	struct err e = { 0 };

	assert_int_equal(balloon_set(f->dev, 64 * KIB, false, &e), 1);
	fake_vfio_init(&fv);
	cfg = fake_vfio_cfg(&fv, "00:05.0");
	f->fb.board.vfio_sys = &fv.sys;
	nic = fake_board_add(&f->fb, &vfio_pci_class, "nic", &cfg);
	assert_int_equal(balloon_set(f->dev, 68 * KIB, true, &e), -ERR_VM_PINNED);
	assert_int_equal(balloon_set(f->dev, 68 * KIB, false, &e), -ERR_VM_PINNED);
	assert_string_equal(e.msg, "all memory is pinned for 'nic', a device of the host: the "
				   "balloon can give no more back");
	assert_int_equal(fake_mmio_read(&f->fb, f->g.device, 4), 16);
	assert_int_equal(balloon_set(f->dev, 64 * KIB, false, &e), 0);
	assert_int_equal(balloon_set(f->dev, 60 * KIB, false, &e), 1);
	assert_true(pages(f, INFLATE, &pfn, 1));
	assert_int_equal(zero_pages(f), 0);
	fake_board_remove(&f->fb, nic);
	assert_int_equal(balloon_set(f->dev, 68 * KIB, false, &e), 1);
	assert_true(pages(f, INFLATE, &pfn, 1));
	assert_int_equal(zero_pages(f), 1);
	fake_vfio_fini(&fv);
}

/* --- the host's side ----------------------------------------------------------------------------------- */

static void test_target(void **state)
{
	struct balloon_fixture *f = *state;
	struct balloon_info info;

	assert_int_equal(fake_mmio_read(&f->fb, f->g.device, 4), 0);
	guest_virtio_irqs(&f->g, 0);
	assert_true(balloon_set(f->dev, 64 * KIB + 4095, true, NULL));
	assert_int_equal(fake_mmio_read(&f->fb, f->g.device, 4), 0);
	assert_true(balloon_set(f->dev, 64 * KIB + 4095, false, NULL));
	assert_int_equal(fake_mmio_read(&f->fb, f->g.device, 4), 16);
	assert_int_equal(guest_virtio_irqs(&f->g, 0), 1);
	assert_false(balloon_set(f->dev, 64 * KIB, false, NULL));
	assert_int_equal(guest_virtio_irqs(&f->g, 0), 0); /* nothing new */
	/* the driver cannot write it, but say how far it is */
	fake_mmio_write(&f->fb, f->g.device, 4, 1);
	fake_mmio_write(&f->fb, f->g.device + 4, 4, 10);
	balloon_get(f->dev, &info);
	assert_int_equal(info.target, 64 * KIB);
	assert_int_equal(info.actual, 40 * KIB);
	assert_true(info.driver);
	fake_mmio_write(&f->fb, f->g.device + 4, 4, UINT32_MAX);
	balloon_get(f->dev, &info);
	assert_int_equal(info.actual, MEM); /* whatever it says */
	balloon_set(f->dev, UINT64_MAX, false, NULL);
	assert_int_equal(fake_mmio_read(&f->fb, f->g.device, 4), MEM / 4096);
}

static void test_reset_keeps_the_target(void **state)
{
	struct balloon_fixture *f = *state;
	struct balloon_info info;

	balloon_set(f->dev, 64 * KIB, false, NULL);
	fake_mmio_write(&f->fb, f->g.device + 4, 4, 10);
	f->dev->class->stop(f->dev);
	f->dev->class->reset(f->dev);
	f->dev->class->start(f->dev);
	balloon_get(f->dev, &info);
	assert_false(info.driver);
	assert_int_equal(info.target, 64 * KIB);
	assert_int_equal(info.actual, 0);
	guest_virtio_find(&f->g, &f->fb, SLOT);
	assert_true(guest_virtio_start(&f->g, ALL_FEATURES, 4));
	assert_int_equal(fake_mmio_read(&f->fb, f->g.device, 4), 16);
	assert_int_equal(fake_mmio_read(&f->fb, f->g.device + 4, 4), 0);
}

static uint32_t put_stats(struct balloon_fixture *f, uint16_t tag, uint64_t value, unsigned int at)
{
	struct virtio_balloon_stat s = { .tag = tag, .val = value };

	memcpy(f->fb.mem + BUF + at * sizeof(s), &s, sizeof(s));
	return (at + 1) * (uint32_t)sizeof(s);
}

/* The first buffer is held; a question gives it back, and the next one is the answer. */
static void test_stats(void **state)
{
	struct balloon_fixture *f = *state;
	struct balloon_info info;

	balloon_get(f->dev, &info);
	assert_false(info.has_stats);
	put_stats(f, VIRTIO_BALLOON_S_MEMFREE, 12345, 0);
	put_stats(f, 77, 1, 1);
	assert_false(
		request(f, STATS, BUF, put_stats(f, VIRTIO_BALLOON_S_SWAP_IN, UINT64_MAX, 2), 0));
	balloon_get(f->dev, &info);
	assert_true(info.has_stats);
	assert_int_equal(info.stats[VIRTIO_BALLOON_S_MEMFREE], 12345);
	assert_int_equal(info.stats[VIRTIO_BALLOON_S_SWAP_IN], BALLOON_STATS_MAX);
	assert_int_equal(info.stats[VIRTIO_BALLOON_S_MEMTOT], -1);
	assert_false(answered(f, STATS)); /* these are new enough */
	while (info.stats_age_ms < 200)
		balloon_get(f->dev, &info);
	assert_true(answered(f, STATS));
	assert_false(request(f, STATS, BUF, put_stats(f, VIRTIO_BALLOON_S_MEMTOT, 7, 0), 0));
	balloon_get(f->dev, &info);
	assert_int_equal(info.stats[VIRTIO_BALLOON_S_MEMTOT], 7);
	assert_int_equal(info.stats[VIRTIO_BALLOON_S_MEMFREE], -1);
	assert_false(guest_virtio_status(&f->g) & VIRTIO_CONFIG_S_NEEDS_RESET);
}

/* While the machine is stopped nothing of the driver's is kept. */
static void test_stats_over_a_pause(void **state)
{
	struct balloon_fixture *f = *state;

	assert_false(request(f, STATS, BUF, put_stats(f, VIRTIO_BALLOON_S_MEMTOT, 7, 0), 0));
	f->dev->class->stop(f->dev);
	f->dev->class->start(f->dev);
	assert_true(answered(f, STATS));
	assert_false(request(f, STATS, BUF, put_stats(f, VIRTIO_BALLOON_S_MEMTOT, 8, 0), 0));
	assert_false(guest_virtio_status(&f->g) & VIRTIO_CONFIG_S_NEEDS_RESET);
}

static void test_two_stats_break(void **state)
{
	struct balloon_fixture *f = *state;

	assert_false(request(f, STATS, BUF, 10, 0));
	assert_false(request(f, STATS, BUF, 10, 0));
	assert_broken(f);
}

/* Without the feature the third queue is none. */
static void test_queue_without_feature_breaks(void **state)
{
	struct balloon_fixture *f = *state;

	assert_true(guest_virtio_start(&f->g, BIT64(VIRTIO_F_VERSION_1), 3));
	guest_virtio_kick(&f->g, STATS);
	assert_broken(f);
}

/* The driver says how large the balloon is. */
static void say_actual(struct balloon_fixture *f, uint32_t n)
{
	fake_mmio_write(&f->fb, f->g.device + offsetof(struct virtio_balloon_config, actual), 4, n);
}

static void expect_notice(struct balloon_fixture *f, unsigned int n, const char *text)
{
	assert_int_equal(f->fb.nnotices, n);
	if (text)
		assert_string_equal(f->fb.notice, text);
}

/* Its size is told when it is what was asked for, or when it rests; once a second at most. */
static void test_told(void **state)
{
	const uint64_t second = 1000000000;
	struct balloon_fixture *f = *state;

	fake_board_advance(&f->fb, second);
	say_actual(f, 0);
	fake_board_advance(&f->fb, 2 * second);
	expect_notice(f, 0, NULL); /* nothing new */
	assert_int_equal(balloon_set(f->dev, 64 * 4096, false, NULL), 1);
	for (uint32_t n = 16; n < 64; n += 16) {
		say_actual(f, n);
		fake_board_advance(&f->fb, second / 2);
		expect_notice(f, 0, NULL); /* it is on its way */
	}
	say_actual(f, 64);
	fake_board_advance(&f->fb, 1);
	expect_notice(f, 1, "balloon: 786432 of 786432 bytes");
	say_actual(f, 60);
	fake_board_advance(&f->fb, second / 4);
	say_actual(f, 64);
	fake_board_advance(&f->fb, 2 * second);
	expect_notice(f, 1, NULL); /* as before */
	say_actual(f, 32);
	fake_board_advance(&f->fb, second - 1);
	expect_notice(f, 1, NULL);
	fake_board_advance(&f->fb, 1);
	expect_notice(f, 2, "balloon: 917504 of 786432 bytes");
	say_actual(f, 64);
	fake_board_advance(&f->fb, second / 2);
	expect_notice(f, 2, NULL); /* not so soon again */
	fake_board_advance(&f->fb, second / 2);
	expect_notice(f, 3, "balloon: 786432 of 786432 bytes");
	/* more than there is */
	say_actual(f, UINT32_MAX);
	fake_board_advance(&f->fb, second);
	expect_notice(f, 4, "balloon: 0 of 786432 bytes");
	say_actual(f, 64);
	fake_board_advance(&f->fb, second);
	expect_notice(f, 5, "balloon: 786432 of 786432 bytes");
	/* a driver that begins anew has it all, and is told of when it comes to the same */
	assert_true(guest_virtio_start(&f->g, ALL_FEATURES, 4));
	assert_int_equal(
		fake_mmio_read(&f->fb, f->g.device + offsetof(struct virtio_balloon_config, actual),
			       4),
		0);
	fake_board_advance(&f->fb, 2 * second);
	expect_notice(f, 5, NULL);
	say_actual(f, 64);
	fake_board_advance(&f->fb, 1);
	expect_notice(f, 6, "balloon: 786432 of 786432 bytes");
	say_actual(f, 63); /* and ends with that on its way */
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_identity),
		T(test_inflate),
		T(test_deflate),
		T(test_inflate_in_pieces),
		T(test_no_memory_breaks),
		T(test_last_page_number_breaks),
		T(test_wrong_length_breaks),
		T(test_too_many_pages_break),
		T(test_more_than_a_round),
		T(test_report),
		T(test_report_on_queue_4),
		T(test_poison_keeps),
		T(test_memory_that_is_kept),
		T(test_pinned_by_a_device),
		T(test_target),
		T(test_reset_keeps_the_target),
		T(test_stats),
		T(test_stats_over_a_pause),
		T(test_two_stats_break),
		T(test_queue_without_feature_breaks),
		T(test_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
