// SPDX-License-Identifier: MIT
/*
 * The block device with a worker for each of four queues, as real threads: what one thread does is in test_virtio_blk.c.
 * What races shows itself here, or to ThreadSanitizer.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <fcntl.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_config.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/auto.h"
#include "lib/json.h"
#include "tests/lib/skip.h"
#include "tests/lib/tempdir.h"
#include "tests/unit/guest_virtio.h"
#include "vmm/devices.h"
#include "vmm/virtio/blk.h"
#include "vmm/virtio/blk_impl.h"

#define SLOT 3
#define QUEUES 4
#define DEPTH 5 /* requests in a queue at a time: as many as its ring has descriptors for */
#define DISK (4 * MIB)
#define SECTORS (DISK / 512)
#define UNTOUCHED 0xee
#define FEATURES (BIT64(VIRTIO_F_VERSION_1) | BIT64(VIRTIO_BLK_F_FLUSH) | BIT64(VIRTIO_BLK_F_MQ))
#define DISK_JSON                                                                                 \
	"{\"type\":\"virtio-blk\",\"id\":\"disk0\",\"address\":\"00:03.0\",\"path\":{\"fd\":0}, " \
	"\"queues\":4,\"worker\":\"per-queue\""

struct fixture {
	struct fake_board fb;
	struct device *host, *dev;
	struct blk *blk;
	struct guest_virtio g;
	int fd; /* the image */
};

static struct fixture *open_image(const char *json, int fd, bool caged)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	f->fd = fd;
	fake_board_init(&f->fb, MIB);
	fake_board_threads(&f->fb);
	f->fb.log.fd = -1;
	f->fb.board.caged = caged;
	f->host = fake_board_add(&f->fb, &pci_host_class, "pci", NULL);
	f->dev = fake_board_start(&f->fb, json, fd);
	f->blk = container_of(f->dev, struct blk, v.dev);
	guest_virtio_find(&f->g, &f->fb, SLOT);
	assert_true(guest_virtio_start(&f->g, FEATURES, QUEUES));
	return f;
}

static int setup(void **state)
{
	*state = open_image(DISK_JSON "}", fake_image(DISK), false);
	return 0;
}

static int setup_polling(void **state)
{
	*state = open_image(DISK_JSON ",\"poll_us\":20}", fake_image(DISK), false);
	return 0;
}

static int setup_stop(void **state)
{
	*state = open_image(DISK_JSON ",\"on_error\":\"stop\"}", fake_image(DISK), false);
	return 0;
}

static int setup_caged(void **state)
{
	*state = open_image(DISK_JSON "}", fake_image(DISK), true);
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	device_free(f->dev);
	fake_board_remove(&f->fb, f->host);
	fake_board_fini(&f->fb);
	close(f->fd);
	free(f);
	return 0;
}

/* --- the driver ----------------------------------------------------------------------------------------------- */

static uint8_t *data_of(struct fixture *f, unsigned int q, unsigned int i)
{
	return f->fb.mem + 0x10000 + (q * DEPTH + i) * 512;
}

static uint8_t *status_of(struct fixture *f, unsigned int q, unsigned int i)
{
	return f->fb.mem + 0x9000 + q * DEPTH + i;
}

/* Request i of queue q: a sector at DATA. Not yet kicked. */
static void add(struct fixture *f, unsigned int q, unsigned int i, uint32_t type, uint64_t sector)
{
	struct virtio_blk_outhdr h = { .type = type, .sector = sector };
	uint64_t hdr = 0x8000 + (q * DEPTH + i) * sizeof(h);
	uint16_t d = (uint16_t)(3 * i), to_guest = type == VIRTIO_BLK_T_IN ? VRING_DESC_F_WRITE : 0;
	struct guest_ring *r = &f->g.rings[q];

	memcpy(f->fb.mem + hdr, &h, sizeof(h));
	*status_of(f, q, i) = UNTOUCHED;
	guest_ring_set(r, d, hdr, sizeof(h), VRING_DESC_F_NEXT, d + 1);
	guest_ring_set(r, d + 1u, (uint64_t)(data_of(f, q, i) - f->fb.mem), 512,
		       VRING_DESC_F_NEXT | to_guest, d + 2);
	guest_ring_set(r, d + 2u, (uint64_t)(status_of(f, q, i) - f->fb.mem), 1, VRING_DESC_F_WRITE,
		       0);
	guest_ring_add(r, d);
}

/* DEPTH in each queue; the sectors are the queue's own, and next to those of the others. */
static void add_all(struct fixture *f, uint32_t type, uint64_t first)
{
	for (unsigned int q = 0; q < QUEUES; q++)
		for (unsigned int i = 0; i < DEPTH; i++)
			add(f, q, i, type, (first + i * QUEUES + q) % SECTORS);
	for (unsigned int q = 0; q < QUEUES; q++)
		guest_virtio_kick(&f->g, q);
}

static uint16_t waiting(struct fixture *f, unsigned int q)
{
	const struct guest_ring *r = &f->g.rings[q];

	return (uint16_t)(r->avail_idx -
			  __atomic_load_n(&guest_ring_used(r)->idx, __ATOMIC_ACQUIRE));
}

static unsigned int all_waiting(struct fixture *f)
{
	unsigned int n = 0;

	for (unsigned int q = 0; q < QUEUES; q++)
		n += waiting(f, q);
	return n;
}

static void wait_for_all(struct fixture *f)
{
	while (all_waiting(f))
		sched_yield();
}

static void expect_all_ok(struct fixture *f)
{
	wait_for_all(f);
	for (unsigned int q = 0; q < QUEUES; q++)
		for (unsigned int i = 0; i < DEPTH; i++)
			assert_int_equal(*status_of(f, q, i), VIRTIO_BLK_S_OK);
}

static uint8_t byte_for(unsigned int round, unsigned int q, unsigned int i)
{
	return (uint8_t)(1 + round * 31 + q * DEPTH + i);
}

/* What is written by all queues is read by all. */
static void write_and_read(struct fixture *f, unsigned int round)
{
	uint64_t first = round * 97 % (SECTORS / 2);

	for (unsigned int q = 0; q < QUEUES; q++)
		for (unsigned int i = 0; i < DEPTH; i++)
			memset(data_of(f, q, i), byte_for(round, q, i), 512);
	add_all(f, VIRTIO_BLK_T_OUT, first);
	expect_all_ok(f);
	memset(f->fb.mem + 0x10000, 0, QUEUES * DEPTH * 512);
	add_all(f, VIRTIO_BLK_T_IN, first);
	expect_all_ok(f);
	for (unsigned int q = 0; q < QUEUES; q++)
		for (unsigned int i = 0; i < DEPTH; i++)
			for (unsigned int k = 0; k < 512; k += 511)
				assert_int_equal(data_of(f, q, i)[k], byte_for(round, q, i));
}

/* --- tests ---------------------------------------------------------------------------------------------------- */

static void all_at_once(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(f->fb.nthreads, QUEUES);
	for (unsigned int q = 0; q < QUEUES; q++)
		guest_virtio_irqs(&f->g, 1 + q);
	for (unsigned int round = 0; round < 50; round++)
		write_and_read(f, round);
	for (unsigned int q = 0; q < QUEUES; q++)
		assert_in_range(guest_virtio_irqs(&f->g, 1 + q), 1, 100 * DEPTH);
}

/* One thread serves all: there is no other in the cage. */
static void plugged_later(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(f->fb.nthreads, 1);
	write_and_read(f, 1);
}

/* On return of a stop nothing is with the host: what was not begun is in the queues, and runs after the start. */
static void stop_and_start(void **state)
{
	struct fixture *f = *state;

	for (unsigned int round = 0; round < 40; round++) {
		unsigned int left;

		add_all(f, VIRTIO_BLK_T_IN, round);
		f->dev->class->stop(f->dev);
		left = all_waiting(f);
		for (unsigned int q = 0; q < QUEUES; q++)
			assert_null(f->blk->lanes[q].held);
		for (int i = 0; i < 10; i++)
			sched_yield();
		assert_int_equal(all_waiting(f), left);
		f->dev->class->start(f->dev);
		expect_all_ok(f);
	}
}

/* Nothing is answered behind a reset, whatever was under way in any queue. */
static void reset_in_flight(void **state)
{
	struct fixture *f = *state;

	for (unsigned int round = 0; round < 40; round++) {
		add_all(f, round % 2 ? VIRTIO_BLK_T_OUT : VIRTIO_BLK_T_IN, round);
		assert_true(guest_virtio_start(&f->g, FEATURES, QUEUES));
		memset(f->fb.mem + 0x9000, UNTOUCHED, QUEUES * DEPTH);
		for (int i = 0; i < 10; i++)
			sched_yield();
		for (unsigned int i = 0; i < QUEUES * DEPTH; i++)
			assert_int_equal(f->fb.mem[0x9000 + i], UNTOUCHED);
		assert_int_equal(all_waiting(f), 0);
		write_and_read(f, round);
	}
}

/* One queue's driver breaks the protocol: the device stops, until it is reset. */
static void one_is_malformed(void **state)
{
	struct fixture *f = *state;

	for (unsigned int round = 0; round < 20; round++) {
		add_all(f, VIRTIO_BLK_T_IN, round);
		guest_ring_add(&f->g.rings[round % QUEUES], 999);
		guest_virtio_kick(&f->g, round % QUEUES);
		while (!(guest_virtio_status(&f->g) & VIRTIO_CONFIG_S_NEEDS_RESET))
			sched_yield();
		assert_true(guest_virtio_start(&f->g, FEATURES, QUEUES));
		write_and_read(f, round);
	}
}

static void set_limits(struct fixture *f, const char *json)
{
	AUTO_JSON struct json_object *change = NULL;
	struct err e = { 0 };

	assert_int_equal(json_parse(json, strlen(json), &change, &e), 0);
	assert_int_equal(f->dev->class->set(f->dev, change, &e), 1);
}

static bool has_turn(struct fixture *f, unsigned int q)
{
	bool has;

	pthread_mutex_lock(&f->blk->limit.lock);
	has = f->blk->lanes[q].turn;
	pthread_mutex_unlock(&f->blk->limit.lock);
	return has;
}

/* A byte a second: of all queues together one request passes, and all others would wait for minutes. */
static void limits_are_the_disks(void **state)
{
	struct fixture *f = *state;

	set_limits(f, "{\"bytes_per_second\": 1, \"burst_ms\": 1}");
	for (unsigned int round = 0; round < 20; round++) {
		add_all(f, VIRTIO_BLK_T_IN, 0);
		for (unsigned int q = 0; q < QUEUES; q++)
			while (!has_turn(f, q))
				sched_yield();
		f->dev->class->stop(f->dev);
		assert_int_equal(all_waiting(f), QUEUES * DEPTH - 1);
		for (unsigned int q = 0; q < QUEUES; q++)
			assert_false(has_turn(f, q));
		f->dev->class->start(f->dev);
		set_limits(f, "{\"bytes_per_second\": 0}");
		expect_all_ok(f);
		set_limits(f, "{\"bytes_per_second\": 1}");
	}
}

/* None of them is left out, and all together have no more than they may. */
static void limits_are_shared(void **state)
{
	struct fixture *f = *state;
	uint64_t began = uv_hrtime();
	unsigned int done[QUEUES] = { 0 };

	set_limits(f, "{\"ops_per_second\": 1000, \"burst_ms\": 1}");
	add_all(f, VIRTIO_BLK_T_IN, 0);
	/* each queue is refilled as it goes, until the slowest has had its 20 */
	for (bool all = false; !all;) {
		all = true;
		for (unsigned int q = 0; q < QUEUES; q++) {
			struct vring_used_elem u;

			while (guest_ring_get(&f->g.rings[q], &u)) {
				assert_int_equal(*status_of(f, q, u.id / 3), VIRTIO_BLK_S_OK);
				done[q]++;
				add(f, q, u.id / 3, VIRTIO_BLK_T_IN, q);
				guest_virtio_kick(&f->g, q);
			}
			all = all && done[q] >= 20;
		}
		sched_yield();
	}
	for (unsigned int q = 1; q < QUEUES; q++)
		done[0] += done[q];
	/* one more than there was time for, and the burst of one */
	assert_true(uv_hrtime() - began >= (done[0] - 2) * 1000000ull);
	set_limits(f, "{\"ops_per_second\": 0}");
	wait_for_all(f);
}

/* What fails is held in each lane, told of, and whole when it is run again; a reset drops it. */
static void held_by_all(void **state)
{
	struct fixture *f = *state;

	for (unsigned int round = 0; round < 10; round++) {
		write_and_read(f, 100 + round);
		assert_int_equal(ftruncate(f->fd, 512), 0);
		add_all(f, VIRTIO_BLK_T_IN, SECTORS - 40);
		while (!atomic_load(&f->blk->disk.held))
			sched_yield();
		f->dev->class->stop(f->dev);
		fake_board_watched(&f->fb);
		assert_non_null(strstr(f->fb.notice, "disk-stopped: disk 'disk0': read"));
		assert_int_equal(all_waiting(f), QUEUES * DEPTH);
		assert_int_equal(ftruncate(f->fd, DISK), 0);
		if (round % 3 == 2) {
			assert_true(guest_virtio_start(&f->g, FEATURES, QUEUES));
			assert_false(atomic_load(&f->blk->disk.held));
		}
		f->dev->class->start(f->dev);
		if (round % 3 == 2)
			assert_int_equal(all_waiting(f), 0);
		else
			expect_all_ok(f);
		fake_board_advance(&f->fb, 5000000000);
	}
}

/* What the first lane has fails again at once, before the others begin: it is told again, too. */
static void held_again(void **state)
{
	struct fixture *f = *state;
	unsigned int told;

	assert_int_equal(ftruncate(f->fd, 512), 0);
	add(f, 0, 0, VIRTIO_BLK_T_IN, 8);
	guest_virtio_kick(&f->g, 0);
	for (unsigned int round = 0; round < 10; round++) {
		while (!atomic_load(&f->blk->disk.held))
			sched_yield();
		f->dev->class->stop(f->dev);
		f->dev->class->start(f->dev);
	}
	f->dev->class->stop(f->dev);
	assert_true(atomic_load(&f->blk->disk.held));
	fake_board_watched(&f->fb);
	told = f->fb.nnotices;
	fake_board_advance(&f->fb, 2100000000);
	assert_int_equal(f->fb.nnotices, told + 1);
	assert_int_equal(ftruncate(f->fd, DISK), 0);
	f->dev->class->start(f->dev);
	wait_for_all(f);
	assert_int_equal(*status_of(f, 0, 0), VIRTIO_BLK_S_OK);
}

static void grows(void **state)
{
	struct fixture *f = *state;
	struct err e = { 0 };
	uint64_t size = 0;

	assert_int_equal(ftruncate(f->fd, 2 * DISK), 0);
	assert_int_equal(blk_grow(f->dev, false, &size, &e), 1);
	for (unsigned int q = 0; q < QUEUES; q++) {
		add(f, q, 0, VIRTIO_BLK_T_IN, 2 * SECTORS - 1);
		guest_virtio_kick(&f->g, q);
	}
	wait_for_all(f);
	for (unsigned int q = 0; q < QUEUES; q++)
		assert_int_equal(*status_of(f, q, 0), VIRTIO_BLK_S_OK);
}

/* The format's tables are changed by all queues' threads. */
static void qcow2_image(void **state)
{
	char *dir = tempdir_new(), command[512];
	struct fixture *f;

	(void)state;
	snprintf(command, sizeof(command),
		 "qemu-img create -q -f qcow2 -o cluster_size=4k %s/disk 4M 2>/dev/null", dir);
	if (system(command)) {
		tempdir_remove(dir);
		SKIP_BECAUSE("there is no qemu-img");
	}
	snprintf(command, sizeof(command), "%s/disk", dir);
	f = open_image(DISK_JSON ",\"format\":\"qcow2\"}", open(command, O_RDWR | O_CLOEXEC),
		       false);
	for (unsigned int round = 0; round < 60; round++) {
		write_and_read(f, round);
		if (round % 7 == 3) {
			f->dev->class->stop(f->dev);
			f->dev->class->start(f->dev);
		}
	}
	teardown(&(void *){ f });
	snprintf(command, sizeof(command), "qemu-img check -q %s/disk", dir);
	assert_int_equal(system(command), 0);
	tempdir_remove(dir);
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(all_at_once),
		cmocka_unit_test_setup_teardown(plugged_later, setup_caged, teardown),
		T(stop_and_start),
		T(reset_in_flight),
		T(one_is_malformed),
		T(limits_are_the_disks),
		T(limits_are_shared),
		cmocka_unit_test_setup_teardown(held_by_all, setup_stop, teardown),
		cmocka_unit_test_setup_teardown(held_again, setup_stop, teardown),
		T(grows),
		{ "polling: all_at_once", all_at_once, setup_polling, teardown, NULL },
		{ "polling: stop_and_start", stop_and_start, setup_polling, teardown, NULL },
		{ "polling: reset_in_flight", reset_in_flight, setup_polling, teardown, NULL },
		cmocka_unit_test(qcow2_image),
	};
#undef T

	return cmocka_run_group_tests(tests, NULL, NULL);
}
