// SPDX-License-Identifier: MIT
// The split virtqueue against honest and hostile drivers.
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/guest_ring.h"
#include "vmm/virtio/queue.h"
#include "vmm/virtio/virtio.h"

#define MEM_SIZE MIB
#define BUF 0x80000 /* guest buffers: far from the ring */

struct virtq_fixture {
	uint8_t *mem;
	struct gmem gmem;
	struct guest_ring g;
	struct virtq q;
	struct virtq_req r;
	const char *why;
};

static void fixture_start(struct virtq_fixture *f, uint16_t size)
{
	struct err e = { 0 };

	guest_ring_init(&f->g, f->mem, size, 0x1000);
	virtq_reset(&f->q);
	f->q.gmem = &f->gmem;
	f->q.size = size;
	f->q.desc = f->g.desc;
	f->q.avail = f->g.avail;
	f->q.used = f->g.used;
	f->q.indirect = true;
	f->why = NULL;
	assert_int_equal(virtq_start(&f->q, &e), 0);
}

static int setup(void **state)
{
	struct virtq_fixture *f = calloc(1, sizeof(*f));

	f->mem = aligned_alloc(4096, MEM_SIZE);
	memset(f->mem, 0, MEM_SIZE);
	gmem_init_buffer(&f->gmem, f->mem, MEM_SIZE);
	fixture_start(f, 8);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct virtq_fixture *f = *state;

	gmem_fini(&f->gmem);
	free(f->mem);
	free(f);
	return 0;
}

static int fixture_pop(struct virtq_fixture *f)
{
	return virtq_pop(&f->q, &f->r, &f->why);
}

/* The chain at descriptor 0 is made available and must be refused for this reason, once and for all. */
static void expect_malformed(struct virtq_fixture *f, const char *why)
{
	guest_ring_add(&f->g, 0);
	assert_int_equal(fixture_pop(f), -EPROTO);
	assert_string_equal(f->why, why);
	assert_true(f->q.broken);
	assert_int_equal(fixture_pop(f), -EPROTO);
	assert_false(virtq_kick_enable(&f->q, true));
}

static void test_empty(void **state)
{
	assert_int_equal(fixture_pop(*state), 0);
}

static void test_chain(void **state)
{
	struct virtq_fixture *f = *state;
	struct vring_used_elem u;

	guest_ring_set(&f->g, 3, BUF, 16, VRING_DESC_F_NEXT, 5);
	guest_ring_set(&f->g, 5, BUF + 16, 100, VRING_DESC_F_NEXT | VRING_DESC_F_WRITE, 0);
	guest_ring_set(&f->g, 0, BUF + 4096, 1, VRING_DESC_F_WRITE, 7);
	guest_ring_add(&f->g, 3);
	assert_int_equal(fixture_pop(f), 1);
	assert_int_equal(f->r.head, 3);
	assert_int_equal(f->r.nout, 1);
	assert_int_equal(f->r.nin, 2);
	assert_ptr_equal(f->r.iov[0].iov_base, f->mem + BUF);
	assert_ptr_equal(f->r.iov[1].iov_base, f->mem + BUF + 16);
	assert_int_equal(f->r.iov[1].iov_len, 100);
	assert_ptr_equal(f->r.iov[2].iov_base, f->mem + BUF + 4096);
	assert_int_equal(fixture_pop(f), 0);

	virtq_push(&f->q, f->r.head, 101);
	assert_false(guest_ring_get(&f->g, &u)); /* not before the flush */
	assert_true(virtq_flush(&f->q));
	assert_true(guest_ring_get(&f->g, &u));
	assert_int_equal(u.id, 3);
	assert_int_equal(u.len, 101);
	assert_false(virtq_flush(&f->q)); /* nothing new, no interrupt */
}

static void test_zero_length(void **state)
{
	struct virtq_fixture *f = *state;

	/* legal, wherever it points to; it gets no segment */
	guest_ring_set(&f->g, 0, UINT64_MAX, 0, VRING_DESC_F_NEXT, 1);
	guest_ring_set(&f->g, 1, BUF, 4, VRING_DESC_F_WRITE, 0);
	guest_ring_add(&f->g, 0);
	assert_int_equal(fixture_pop(f), 1);
	assert_int_equal(f->r.nout, 0);
	assert_int_equal(f->r.nin, 1);
	/* a request of nothing at all is one, too */
	guest_ring_set(&f->g, 2, 0, 0, 0, 0);
	guest_ring_add(&f->g, 2);
	assert_int_equal(fixture_pop(f), 1);
	assert_int_equal(f->r.nout + f->r.nin, 0);
}

static void test_loops(void **state)
{
	struct virtq_fixture *f = *state;

	guest_ring_set(&f->g, 0, BUF, 1, VRING_DESC_F_NEXT, 0);
	expect_malformed(f, "chain too long or looped");
	fixture_start(f, 8);
	for (unsigned int i = 0; i < 8; i++)
		guest_ring_set(&f->g, i, BUF, 0, VRING_DESC_F_NEXT, (uint16_t)((i + 1) % 8));
	expect_malformed(f, "chain too long or looped");
	/* inside of an indirect table */
	fixture_start(f, 8);
	guest_ring_set(&f->g, 0, BUF, 32, VRING_DESC_F_INDIRECT, 0);
	guest_ring_set_at(&f->g, BUF, 0, BUF, 1, VRING_DESC_F_NEXT, 1);
	guest_ring_set_at(&f->g, BUF, 1, BUF, 1, VRING_DESC_F_NEXT, 0);
	expect_malformed(f, "chain too long or looped");
}

static void test_longest_chain(void **state)
{
	struct virtq_fixture *f = *state;

	fixture_start(f, 512);
	for (unsigned int i = 0; i < 512; i++)
		guest_ring_set(&f->g, i, BUF + i, 1, VRING_DESC_F_NEXT, (uint16_t)(i + 1));
	guest_ring_set(&f->g, VIRTQ_SEGS_MAX - 1, BUF, 1, 0, 0);
	guest_ring_add(&f->g, 0);
	assert_int_equal(fixture_pop(f), 1);
	assert_int_equal(f->r.nout, VIRTQ_SEGS_MAX);
	guest_ring_set(&f->g, VIRTQ_SEGS_MAX - 1, BUF, 1, VRING_DESC_F_NEXT, VIRTQ_SEGS_MAX);
	guest_ring_set(&f->g, VIRTQ_SEGS_MAX, BUF, 1, 0, 0);
	expect_malformed(f, "chain too long or looped");
}

static void test_longest_indirect(void **state)
{
	struct virtq_fixture *f = *state;
	unsigned int last = VIRTQ_SEGS_MAX - 1;

	guest_ring_set(&f->g, 0, BUF, 16 * (VIRTQ_SEGS_MAX + 1), VRING_DESC_F_INDIRECT, 0);
	for (unsigned int i = 0; i < last; i++)
		guest_ring_set_at(&f->g, BUF, i, BUF, 1, VRING_DESC_F_NEXT, (uint16_t)(i + 1));
	guest_ring_set_at(&f->g, BUF, last, BUF, 1, 0, 0);
	guest_ring_add(&f->g, 0);
	assert_int_equal(fixture_pop(f), 1);
	assert_int_equal(f->r.nout, VIRTQ_SEGS_MAX);
	guest_ring_set_at(&f->g, BUF, last, BUF, 1, VRING_DESC_F_NEXT, VIRTQ_SEGS_MAX);
	guest_ring_set_at(&f->g, BUF, VIRTQ_SEGS_MAX, BUF, 1, 0, 0);
	expect_malformed(f, "chain too long or looped");
}

static void test_ranges(void **state)
{
	struct virtq_fixture *f = *state;
	static const struct {
		uint64_t addr;
		uint32_t len;
	} bad[] = {
		{ MEM_SIZE, 1 },	 { MEM_SIZE - 1, 2 }, { UINT64_MAX, 1 },
		{ UINT64_MAX - 15, 16 }, { BUF, UINT32_MAX }, { 1ull << 63, 8 },
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++) {
		fixture_start(f, 8);
		guest_ring_set(&f->g, 0, bad[i].addr, bad[i].len, 0, 0);
		expect_malformed(f, "buffer outside of RAM");
	}
	fixture_start(f, 8);
	guest_ring_set(&f->g, 0, MEM_SIZE - 1, 1, 0, 0);
	guest_ring_add(&f->g, 0);
	assert_int_equal(fixture_pop(f), 1);
}

static void test_indexes(void **state)
{
	struct virtq_fixture *f = *state;

	guest_ring_set(&f->g, 0, BUF, 1, VRING_DESC_F_NEXT, 8);
	expect_malformed(f, "next descriptor out of range");
	fixture_start(f, 8);
	guest_ring_add(&f->g, 8);
	assert_int_equal(fixture_pop(f), -EPROTO);
	assert_string_equal(f->why, "head descriptor out of range");
	fixture_start(f, 8);
	f->g.avail_idx = 8;
	expect_malformed(f, "available index jumped");
	fixture_start(f, 8);
	f->g.avail_idx = (uint16_t)-2; /* backwards */
	expect_malformed(f, "available index jumped");
}

static void test_order(void **state)
{
	struct virtq_fixture *f = *state;

	guest_ring_set(&f->g, 0, BUF, 1, VRING_DESC_F_WRITE | VRING_DESC_F_NEXT, 1);
	guest_ring_set(&f->g, 1, BUF, 1, 0, 0);
	expect_malformed(f, "readable descriptor behind a writable one");
}

static void test_indirect(void **state)
{
	struct virtq_fixture *f = *state;

	/* behind a plain descriptor, at an odd address, with WRITE, which is ignored */
	guest_ring_set(&f->g, 0, BUF, 4, VRING_DESC_F_NEXT, 1);
	guest_ring_set(&f->g, 1, BUF + 1, 48, VRING_DESC_F_INDIRECT | VRING_DESC_F_WRITE, 0);
	guest_ring_set_at(&f->g, BUF + 1, 0, BUF + 100, 5, VRING_DESC_F_NEXT, 2);
	guest_ring_set_at(&f->g, BUF + 1, 2, BUF + 200, 6, VRING_DESC_F_WRITE, 0);
	guest_ring_add(&f->g, 0);
	assert_int_equal(fixture_pop(f), 1);
	assert_int_equal(f->r.nout, 2);
	assert_int_equal(f->r.nin, 1);
	assert_int_equal(iov_size(f->r.iov, 3), 15);
	assert_ptr_equal(f->r.iov[2].iov_base, f->mem + BUF + 200);
}

static void test_indirect_malformed(void **state)
{
	struct virtq_fixture *f = *state;
	static const struct {
		uint64_t addr;
		uint32_t len;
		uint16_t flags;
		const char *why;
	} bad[] = {
		{ BUF, 0, 0, "indirect table of a wrong length" },
		{ BUF, 15, 0, "indirect table of a wrong length" },
		{ BUF, 24, 0, "indirect table of a wrong length" },
		{ BUF, UINT32_MAX - 15, 0, "indirect table outside of RAM" },
		{ MEM_SIZE, 16, 0, "indirect table outside of RAM" },
		{ UINT64_MAX - 15, 16, 0, "indirect table outside of RAM" },
		{ BUF, 16, VRING_DESC_F_NEXT, "indirect descriptor with NEXT" },
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++) {
		fixture_start(f, 8);
		guest_ring_set(&f->g, 0, bad[i].addr, bad[i].len,
			       VRING_DESC_F_INDIRECT | bad[i].flags, 0);
		expect_malformed(f, bad[i].why);
	}
	fixture_start(f, 8);
	guest_ring_set(&f->g, 0, BUF, 16, VRING_DESC_F_INDIRECT, 0);
	guest_ring_set_at(&f->g, BUF, 0, BUF, 16, VRING_DESC_F_INDIRECT, 0);
	expect_malformed(f, "indirect descriptor inside of an indirect table");
	fixture_start(f, 8);
	guest_ring_set(&f->g, 0, BUF, 16, VRING_DESC_F_INDIRECT, 0);
	guest_ring_set_at(&f->g, BUF, 0, BUF, 16, VRING_DESC_F_NEXT, 1);
	expect_malformed(f, "next descriptor out of range");
	fixture_start(f, 8);
	f->q.indirect = false;
	guest_ring_set(&f->g, 0, BUF, 16, VRING_DESC_F_INDIRECT, 0);
	expect_malformed(f, "indirect descriptor without VIRTIO_F_INDIRECT_DESC");
}

static void test_start(void **state)
{
	struct virtq_fixture *f = *state;
	struct virtq good = f->q;
	struct err e = { 0 };
	static const uint16_t sizes[] = { 0, 3, 1025, 2048, 65535 };

	for (unsigned int i = 0; i < ARRAY_SIZE(sizes); i++) {
		f->q = good;
		f->q.size = sizes[i];
		assert_int_equal(virtq_start(&f->q, &e), -EPROTO);
	}
	f->q = good;
	f->q.desc += 8;
	assert_int_equal(virtq_start(&f->q, &e), -EPROTO);
	assert_string_equal(e.msg, "descriptor table at 0x1008 is not aligned to 16");
	f->q = good;
	f->q.avail += 1;
	assert_int_equal(virtq_start(&f->q, &e), -EPROTO);
	f->q = good;
	f->q.used += 2;
	assert_int_equal(virtq_start(&f->q, &e), -EPROTO);
	f->q = good;
	f->q.used = MEM_SIZE - 68; /* 70 bytes are needed */
	assert_int_equal(virtq_start(&f->q, &e), -EPROTO);
	assert_string_equal(e.msg, "used ring at 0xfffbc, 70 bytes, is not RAM");
	f->q = good;
	f->q.desc = UINT64_MAX - 15;
	assert_int_equal(virtq_start(&f->q, &e), -EPROTO);
}

/* Indexes run over 65535 and nothing is lost: with and without EVENT_IDX. */
static void run_wrap(struct virtq_fixture *f, bool event_idx)
{
	struct vring_used_elem u;

	f->q.event_idx = event_idx;
	for (unsigned int i = 0; i < 70000; i++) {
		uint16_t head = i % 8;

		*guest_ring_used_event(&f->g) = f->g.used_idx;
		guest_ring_set(&f->g, head, BUF + i % 100, 1, 0, 0);
		guest_ring_add(&f->g, head);
		assert_int_equal(fixture_pop(f), 1);
		assert_int_equal(f->r.head, head);
		virtq_push(&f->q, head, i);
		assert_true(virtq_flush(&f->q));
		assert_true(guest_ring_get(&f->g, &u));
		assert_int_equal(u.id, head);
		assert_int_equal(u.len, i);
		assert_false(virtq_kick_enable(&f->q, true));
		if (event_idx)
			assert_int_equal(*guest_ring_avail_event(&f->g), (uint16_t)(i + 1));
	}
}

static void test_wrap(void **state)
{
	run_wrap(*state, false);
}

static void test_wrap_event_idx(void **state)
{
	run_wrap(*state, true);
}

static void test_interrupts_off(void **state)
{
	struct virtq_fixture *f = *state;

	guest_ring_avail(&f->g)->flags = VRING_AVAIL_F_NO_INTERRUPT;
	virtq_push(&f->q, 0, 0);
	assert_false(virtq_flush(&f->q));
	guest_ring_avail(&f->g)->flags = 0;
	virtq_push(&f->q, 0, 0);
	assert_true(virtq_flush(&f->q));
}

static void test_used_event(void **state)
{
	struct virtq_fixture *f = *state;

	f->q.event_idx = true;
	*guest_ring_used_event(&f->g) = 2; /* after the third */
	for (unsigned int i = 0; i < 6; i++) {
		virtq_push(&f->q, 0, 0);
		assert_int_equal(virtq_flush(&f->q), i == 2);
	}
	*guest_ring_used_event(&f->g) = 7;
	for (unsigned int i = 0; i < 4; i++)
		virtq_push(&f->q, 0, 0);
	assert_true(virtq_flush(&f->q)); /* one for all four */
	/* NO_INTERRUPT is not looked at then */
	guest_ring_avail(&f->g)->flags = VRING_AVAIL_F_NO_INTERRUPT;
	*guest_ring_used_event(&f->g) = 10;
	virtq_push(&f->q, 0, 0);
	assert_true(virtq_flush(&f->q));
}

static void test_kick_flags(void **state)
{
	struct virtq_fixture *f = *state;

	assert_false(virtq_kick_enable(&f->q, false));
	assert_int_equal(guest_ring_used(&f->g)->flags, VRING_USED_F_NO_NOTIFY);
	guest_ring_add(&f->g, 0);
	assert_true(virtq_kick_enable(&f->q, true)); /* came in between */
	assert_int_equal(guest_ring_used(&f->g)->flags, 0);
}

/* A driver thread and a device thread: every request comes through, once, in order, whole. */
#define RACE_REQUESTS 20000

static void *race_driver(void *arg)
{
	struct guest_ring *g = arg;
	struct vring_used_elem u;
	unsigned int inflight = 0, sent = 0;
	uintptr_t bad = 0;

	for (unsigned int done = 0; done < RACE_REQUESTS;) {
		while (inflight < g->size && sent < RACE_REQUESTS) {
			uint16_t head = (uint16_t)(sent % g->size);

			guest_ring_set(g, head, BUF + 4ull * head, 4, 0, 0);
			memcpy(g->mem + BUF + 4ull * head, &sent, 4);
			guest_ring_add(g, head);
			sent++;
			inflight++;
		}
		while (guest_ring_get(g, &u)) {
			bad += u.len != done;
			done++;
			inflight--;
		}
		sched_yield();
	}
	return (void *)bad;
}

static void test_race(void **state)
{
	struct virtq_fixture *f = *state;
	unsigned int got;
	pthread_t t;
	void *bad;

	assert_int_equal(pthread_create(&t, NULL, race_driver, &f->g), 0);
	for (unsigned int i = 0; i < RACE_REQUESTS;) {
		int ret = fixture_pop(f);

		assert_true(ret >= 0);
		if (!ret) {
			sched_yield();
			continue;
		}
		iov_read(f->r.iov, f->r.nout, 0, &got, sizeof(got));
		assert_int_equal(got, i);
		virtq_push(&f->q, f->r.head, i++);
		virtq_flush(&f->q);
	}
	assert_int_equal(pthread_join(t, &bad), 0);
	assert_null(bad);
}

/* Any memory at all: popping ends and stays inside of RAM. */
static void test_noise(void **state)
{
	struct virtq_fixture *f = *state;
	unsigned int seed = 1, popped = 0;

	for (unsigned int round = 0; round < 3000; round++) {
		fixture_start(f, (uint16_t)(1 << (round % 6)));
		f->q.event_idx = round & 1;
		for (uint64_t at = f->g.desc; at < f->g.used; at += 2) {
			uint16_t v = (uint16_t)rand_r(&seed);

			if (rand_r(&seed) % 4)
				v &= 7;
			memcpy(f->mem + at, &v, 2);
		}
		while (fixture_pop(f) == 1 && popped++ < 1000000) {
			assert_true(f->r.nout + f->r.nin <= VIRTQ_SEGS_MAX);
			for (unsigned int i = 0; i < (unsigned int)f->r.nout + f->r.nin; i++) {
				uint8_t *p = f->r.iov[i].iov_base;

				assert_true(p >= f->mem);
				assert_true(range_fits((uint64_t)(p - f->mem), f->r.iov[i].iov_len,
						       MEM_SIZE));
			}
		}
	}
}

static void test_iov(void **state)
{
	char a[] = "abc", b[] = "", c[] = "defgh", out[16] = { 0 };
	struct iovec iov[] = { { a, 3 }, { b, 0 }, { c, 5 } };

	(void)state;
	assert_int_equal(iov_size(iov, 3), 8);
	assert_int_equal(iov_read(iov, 3, 0, out, 16), 8);
	assert_string_equal(out, "abcdefgh");
	memset(out, 0, sizeof(out));
	assert_int_equal(iov_read(iov, 3, 2, out, 3), 3);
	assert_string_equal(out, "cde");
	assert_int_equal(iov_read(iov, 3, 8, out, 3), 0);
	assert_int_equal(iov_read(iov, 3, SIZE_MAX, out, 3), 0);
	assert_int_equal(iov_write(iov, 3, 2, "XYZ", 3), 3);
	assert_string_equal(a, "abX");
	assert_string_equal(c, "YZfgh");
	assert_int_equal(iov_write(iov, 3, 7, "12", 2), 1);
	assert_string_equal(c, "YZfg1");
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_empty),
		T(test_chain),
		T(test_zero_length),
		T(test_loops),
		T(test_longest_chain),
		T(test_longest_indirect),
		T(test_ranges),
		T(test_indexes),
		T(test_order),
		T(test_indirect),
		T(test_indirect_malformed),
		T(test_start),
		T(test_wrap),
		T(test_wrap_event_idx),
		T(test_interrupts_off),
		T(test_used_event),
		T(test_kick_flags),
		T(test_race),
		T(test_noise),
		cmocka_unit_test(test_iov),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
