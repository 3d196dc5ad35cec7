// SPDX-License-Identifier: MIT
// Device status, negotiation, and the hand-over of queues to a worker, by a device that keeps a diary.
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <linux/pci_regs.h>
#include <linux/virtio_config.h>
#include <linux/virtio_pci.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/guest_virtio.h"
#include "vmm/devices.h"
#include "vmm/virtio/virtio.h"

#define SLOT 3
#define V1 BIT64(VIRTIO_F_VERSION_1)
#define EVENT_IDX BIT64(VIRTIO_RING_F_EVENT_IDX)
#define LIVE                                                                                  \
	(VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER | VIRTIO_CONFIG_S_FEATURES_OK | \
	 VIRTIO_CONFIG_S_DRIVER_OK)
#define QUEUES 3
#define NEEDS_RESET VIRTIO_CONFIG_S_NEEDS_RESET

struct diary {
	struct virtio_dev v;
	struct virtio_ops ops;
	unsigned int activated, deactivated, resets, kicked[QUEUES], served[QUEUES];
	bool begun[QUEUES]; /* workers */
	unsigned int ends;
	pthread_t threads[QUEUES];	      /* of the workers */
	atomic_bool strange;		      /* called elsewhere, or too early or late */
	bool fail_activate, fail_begin, lazy; /* lazy: does not look into its queue */
	bool refill; /* a guest that makes everything available again at once */
	struct guest_virtio *guest;
	int *active; /* the fixture's: activated and not yet deactivated */
};

static struct diary *diary_of(struct virtio_dev *v)
{
	return container_of(v, struct diary, v);
}

static void diary_kick(struct virtio_dev *v, unsigned int q)
{
	struct diary *d = diary_of(v);
	unsigned int w = q % MAX(d->ops.nworkers, 1u);
	struct virtq_req r;

	if (!d->begun[w] || !pthread_equal(d->threads[w], pthread_self()))
		atomic_store(&d->strange, true);
	d->kicked[q]++;
	while (!d->lazy && virtio_pop(v, q, &r) > 0) {
		d->served[q]++;
		virtq_push(&v->queues[q].vq, r.head, 0);
		virtio_flush(v, q);
		if (d->refill)
			guest_ring_add(&d->guest->rings[q], r.head);
	}
}

static int diary_activate(struct virtio_dev *v)
{
	diary_of(v)->activated++;
	if (diary_of(v)->active)
		++*diary_of(v)->active;
	return diary_of(v)->fail_activate ? -EIO : 0;
}

static void diary_deactivate(struct virtio_dev *v)
{
	diary_of(v)->deactivated++;
	if (diary_of(v)->active)
		--*diary_of(v)->active;
}

static int diary_begin(struct virtio_dev *v, unsigned int w)
{
	struct diary *d = diary_of(v);

	if (d->begun[w] || d->activated == d->deactivated)
		atomic_store(&d->strange, true);
	d->begun[w] = true;
	d->threads[w] = pthread_self();
	return d->fail_begin && w == d->ops.nworkers - 1u ? -EIO : 0;
}

static void diary_end(struct virtio_dev *v, unsigned int w)
{
	struct diary *d = diary_of(v);

	if (d->activated == d->deactivated)
		atomic_store(&d->strange, true);
	d->begun[w] = false;
	d->ends++;
}

static void diary_reset(struct virtio_dev *v)
{
	diary_of(v)->resets++;
}

static const struct virtio_ops diary_ops = {
	.id = 42,
	.nqueues = 2,
	.queue_max = 256,
	.activate = diary_activate,
	.begin = diary_begin,
	.kick = diary_kick,
	.end = diary_end,
	.deactivate = diary_deactivate,
	.reset = diary_reset,
};

/* 0: two queues, and the worker that all devices share; or QUEUES of them over so many of its own */
struct diary_cfg {
	uint16_t nworkers;
};

static int diary_init(struct device *d, struct err *e)
{
	struct diary *diary = container_of(d, struct diary, v.dev);
	const struct diary_cfg *cfg = d->cfg;

	diary->ops = diary_ops;
	if (cfg->nworkers) {
		diary->ops.nqueues = QUEUES;
		diary->ops.nworkers = cfg->nworkers;
		diary->ops.dedicated_worker = true;
	}
	return virtio_init(&diary->v, &diary->ops, 0, "00:03.0", e);
}

static const struct device_class diary_class = {
	.type = "diary",
	.size = sizeof(struct diary),
	.cfg_size = sizeof(struct diary_cfg),
	.init = diary_init,
	.start = virtio_device_start,
	.stop = virtio_device_stop,
	.reset = virtio_device_reset,
	.fini = virtio_device_fini,
};

struct core_fixture {
	struct fake_board fb;
	struct device *host, *dev;
	struct diary *d;
	struct guest_virtio g;
	int active;
};

static struct core_fixture *fixture_new(uint16_t nworkers, bool threads)
{
	struct core_fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	fake_board_init(&f->fb, MIB);
	if (threads)
		fake_board_threads(&f->fb);
	f->fb.log.fd = -1;
	f->host = fake_board_add(&f->fb, &pci_host_class, "pci", NULL);
	f->dev = fake_board_add(&f->fb, &diary_class, "diary0", &(struct diary_cfg){ nworkers });
	f->d = container_of(f->dev, struct diary, v.dev);
	f->d->guest = &f->g;
	f->d->active = &f->active;
	f->dev->class->start(f->dev);
	guest_virtio_find(&f->g, &f->fb, SLOT);
	return f;
}

static int setup(void **state)
{
	*state = fixture_new(0, false);
	return 0;
}

static int setup_two_workers(void **state)
{
	*state = fixture_new(2, false);
	return 0;
}

static int teardown(void **state)
{
	struct core_fixture *f = *state;

	/* without a stop: fini takes the queues back by itself */
	assert_false(atomic_load(&f->d->strange));
	fake_board_remove(&f->fb, f->dev);
	assert_int_equal(f->active, 0);
	fake_board_remove(&f->fb, f->host);
	fake_board_fini(&f->fb);
	free(f);
	return 0;
}

static void set_status(struct core_fixture *f, uint8_t status)
{
	guest_virtio_write(&f->g, VIRTIO_PCI_COMMON_STATUS, 1, status);
}

/* Make n empty requests available. */
static void add(struct core_fixture *f, unsigned int q, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++) {
		guest_ring_set(&f->g.rings[q], i % GUEST_VIRTIO_RING_SIZE, 0x8000, 1, 0, 0);
		guest_ring_add(&f->g.rings[q], (uint16_t)(i % GUEST_VIRTIO_RING_SIZE));
	}
}

static void settle(struct core_fixture *f)
{
	for (int i = 0; i < 4; i++)
		fake_board_run(&f->fb);
}

static void test_features_ok(void **state)
{
	struct core_fixture *f = *state;

	assert_false(guest_virtio_negotiate(&f->g, 0));		    /* a legacy driver */
	assert_false(guest_virtio_negotiate(&f->g, V1 | BIT64(7))); /* never offered */
	assert_false(guest_virtio_negotiate(&f->g, V1 | BIT64(63)));
	assert_true(guest_virtio_negotiate(&f->g, V1 | EVENT_IDX));
	/* too late now */
	guest_virtio_write(&f->g, VIRTIO_PCI_COMMON_GFSELECT, 4, 0);
	guest_virtio_write(&f->g, VIRTIO_PCI_COMMON_GF, 4, 0);
	assert_int_equal(f->d->v.driver_features, V1 | EVENT_IDX);
}

static void test_driver_ok_needs_features_ok(void **state)
{
	struct core_fixture *f = *state;

	set_status(f, VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER);
	set_status(f, VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER |
			      VIRTIO_CONFIG_S_DRIVER_OK);
	assert_int_equal(guest_virtio_status(&f->g),
			 VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER);
	assert_int_equal(f->d->activated, 0);
}

static void test_status_bits_stay(void **state)
{
	struct core_fixture *f = *state;

	assert_true(guest_virtio_start(&f->g, V1, 2));
	set_status(f, VIRTIO_CONFIG_S_ACKNOWLEDGE);
	assert_int_equal(guest_virtio_status(&f->g), LIVE);
	set_status(f, LIVE | NEEDS_RESET | 0x30); /* not the driver's to set */
	assert_int_equal(guest_virtio_status(&f->g), LIVE);
	assert_int_equal(f->d->activated, 1);
	set_status(f, LIVE | VIRTIO_CONFIG_S_FAILED);
	assert_int_equal(guest_virtio_status(&f->g), LIVE | VIRTIO_CONFIG_S_FAILED);
	set_status(f, 0);
	assert_int_equal(guest_virtio_status(&f->g), 0);
	assert_int_equal(f->d->deactivated, 1);
	assert_int_equal(f->d->v.driver_features, 0);
}

static void test_requests_before_driver_ok(void **state)
{
	struct core_fixture *f = *state;

	assert_true(guest_virtio_negotiate(&f->g, V1));
	guest_virtio_queue(&f->g, 0, GUEST_VIRTIO_RINGS);
	add(f, 0, 3);
	guest_virtio_kick(&f->g, 0);
	settle(f);
	assert_int_equal(f->d->kicked[0], 0);
	set_status(f, LIVE);
	settle(f);
	assert_int_equal(f->d->served[0], 3); /* section 3.1.1: also without another kick */
	assert_int_equal(f->d->kicked[1], 0); /* never enabled */
	guest_virtio_kick(&f->g, 1);
	settle(f);
	assert_int_equal(f->d->kicked[1], 0);
}

/* The driver's first kick of a queue is told once; those that the core makes itself are none. */
static void test_first_kick(void **state)
{
	struct core_fixture *f = *state;

	assert_true(guest_virtio_start(&f->g, V1, 2));
	settle(f);
	assert_int_equal(f->d->kicked[0], 1);
	assert_int_equal(f->fb.first_kicks, 0);
	f->dev->class->stop(f->dev);
	f->dev->class->start(f->dev);
	settle(f);
	assert_int_equal(f->d->kicked[0], 2);
	assert_int_equal(f->fb.first_kicks, 0);
	for (int i = 0; i < 3; i++) {
		guest_virtio_kick(&f->g, 0);
		settle(f);
		assert_int_equal(f->fb.first_kicks, 1);
	}
	f->dev->class->stop(f->dev);
	f->dev->class->start(f->dev);
	guest_virtio_kick(&f->g, 0);
	settle(f);
	assert_int_equal(f->fb.first_kicks, 1);
	/* one that comes together with the core's own counts */
	f->dev->class->stop(f->dev);
	f->dev->class->start(f->dev);
	guest_virtio_kick(&f->g, 1);
	settle(f);
	assert_int_equal(f->fb.first_kicks, 2);
}

static void test_bad_ring(void **state)
{
	struct core_fixture *f = *state;

	assert_true(guest_virtio_negotiate(&f->g, V1));
	guest_pci_write(&f->fb, SLOT, f->g.msix_cap + PCI_MSIX_FLAGS, 2, PCI_MSIX_FLAGS_ENABLE);
	guest_msix_set(&f->fb, f->g.msix, 0xfee00000, 0x4000, false);
	guest_virtio_write(&f->g, VIRTIO_PCI_COMMON_MSIX, 2, 0);
	guest_virtio_write(&f->g, VIRTIO_PCI_COMMON_Q_DESCHI, 4, 0xffff);
	guest_virtio_write(&f->g, VIRTIO_PCI_COMMON_Q_ENABLE, 2, 1);
	set_status(f, LIVE);
	assert_int_equal(guest_virtio_status(&f->g), LIVE | NEEDS_RESET);
	assert_int_equal(guest_virtio_irqs(&f->g, 0), 1);
	assert_int_equal(f->d->activated, 0);
	assert_int_equal(f->fb.nioeventfds, 0);
	/* a stop and a start do not wake it, a reset does */
	f->dev->class->stop(f->dev);
	f->dev->class->start(f->dev);
	assert_int_equal(f->d->activated, 0);
	assert_true(guest_virtio_start(&f->g, V1, 2));
	assert_int_equal(guest_virtio_status(&f->g), LIVE);
}

static void test_broken(void **state)
{
	struct core_fixture *f = *state;

	assert_true(guest_virtio_start(&f->g, V1, 2));
	settle(f);
	add(f, 0, 2);
	guest_ring_add(&f->g.rings[0], 999);
	add(f, 0, 1);
	guest_virtio_kick(&f->g, 0);
	settle(f);
	assert_int_equal(f->d->served[0], 2);
	assert_int_equal(guest_virtio_status(&f->g), LIVE | NEEDS_RESET);
	assert_int_equal(guest_virtio_irqs(&f->g, 0), 1);
	assert_int_equal(fake_mmio_read(&f->fb, f->g.isr, 1), 2);
	/* the other queue is dead, too; kicks cost little; only a reset helps */
	f->d->kicked[0] = f->d->kicked[1] = 0;
	add(f, 1, 1);
	guest_virtio_kick(&f->g, 1);
	guest_virtio_kick(&f->g, 0);
	settle(f);
	assert_int_equal(f->d->kicked[0] + f->d->kicked[1], 0);
	assert_int_equal(guest_virtio_irqs(&f->g, 0), 0);
	assert_true(guest_virtio_start(&f->g, V1, 2));
	add(f, 0, 1);
	guest_virtio_kick(&f->g, 0);
	settle(f);
	assert_int_equal(f->d->served[0], 3);
}

static void test_activate_fails(void **state)
{
	struct core_fixture *f = *state;

	f->d->fail_activate = true;
	guest_virtio_start(&f->g, V1, 2);
	assert_int_equal(guest_virtio_status(&f->g), LIVE | NEEDS_RESET);
	settle(f);
	assert_int_equal(f->d->kicked[0], 0);
	f->d->fail_activate = false;
	assert_true(guest_virtio_start(&f->g, V1, 2));
	assert_int_equal(guest_virtio_status(&f->g), LIVE);
}

static void test_pause(void **state)
{
	struct core_fixture *f = *state;

	assert_true(guest_virtio_start(&f->g, V1 | EVENT_IDX, 2));
	add(f, 0, 5);
	guest_virtio_kick(&f->g, 0);
	settle(f);
	assert_int_equal(f->d->served[0], 5);
	f->dev->class->stop(f->dev);
	assert_int_equal(f->d->deactivated, 1);
	f->dev->class->stop(f->dev); /* twice is fine */
	/* as if these had come just before: nobody touches them now */
	add(f, 0, 4);
	guest_virtio_kick(&f->g, 0);
	add(f, 1, 2); /* its kick was lost with a snapshot, say */
	settle(f);
	assert_int_equal(f->d->served[0], 5);
	assert_int_equal(guest_ring_used(&f->g.rings[0])->idx, 5);
	f->dev->class->start(f->dev);
	settle(f);
	assert_int_equal(f->d->served[0], 9);
	assert_int_equal(f->d->served[1], 2);
	assert_int_equal(guest_ring_used(&f->g.rings[0])->idx, 9);
	assert_int_equal(f->d->activated, 2);
}

static void test_driver_ok_while_stopped(void **state)
{
	struct core_fixture *f = *state;

	f->dev->class->stop(f->dev);
	assert_true(guest_virtio_start(&f->g, V1, 2));
	add(f, 0, 1);
	settle(f);
	assert_int_equal(f->d->activated, 0);
	f->dev->class->start(f->dev);
	settle(f);
	assert_int_equal(f->d->served[0], 1);
}

static void test_machine_reset(void **state)
{
	struct core_fixture *f = *state;

	assert_true(guest_virtio_start(&f->g, V1, 2));
	f->dev->class->stop(f->dev);
	f->d->resets = 0;
	f->dev->class->reset(f->dev);
	assert_int_equal(f->d->resets, 1);
	assert_int_equal(f->fb.nioeventfds, 0);
	assert_int_equal(guest_virtio_status(&f->g), 0);
	f->dev->class->start(f->dev);
	assert_true(guest_virtio_start(&f->g, V1, 2));
	add(f, 0, 1);
	guest_virtio_kick(&f->g, 0);
	settle(f);
	assert_int_equal(f->d->served[0], 1);
}

/* A guest that never lets a queue run dry must not keep the loop from the other one. */
static void test_fair(void **state)
{
	struct core_fixture *f = *state;

	assert_true(guest_virtio_start(&f->g, V1, 2));
	settle(f);
	f->d->refill = true;
	add(f, 0, 16);
	add(f, 1, 16);
	guest_virtio_kick(&f->g, 0);
	guest_virtio_kick(&f->g, 1);
	fake_board_run(&f->fb);
	fake_board_run(&f->fb);
	assert_true(f->d->served[0] >= VIRTIO_ROUND);
	assert_true(f->d->served[0] <= 4 * VIRTIO_ROUND);
	assert_true(f->d->served[1] >= VIRTIO_ROUND);
	assert_true(f->d->served[1] <= 4 * VIRTIO_ROUND);
	/* and goes on by itself */
	f->d->served[0] = 0;
	settle(f);
	assert_true(f->d->served[0] >= VIRTIO_ROUND);
	f->d->refill = false;
	settle(f);
	assert_int_equal(virtq_kick_enable(&f->d->v.queues[0].vq, true), false);
}

/* After the device has seen its queue empty, a driver must be asked to kick, in both schemes. */
static void run_armed(struct core_fixture *f, uint64_t features)
{
	assert_true(guest_virtio_start(&f->g, V1 | features, 2));
	settle(f);
	for (unsigned int i = 0; i < 300; i++) {
		const struct guest_ring *r = &f->g.rings[0];
		uint16_t old = r->avail_idx;

		add(f, 0, 1 + i % 3);
		if (features)
			assert_true(
				vring_need_event(*guest_ring_avail_event(r), r->avail_idx, old));
		else
			assert_int_equal(guest_ring_used(r)->flags, 0);
		guest_virtio_kick(&f->g, 0);
		fake_board_run(&f->fb);
		assert_int_equal(guest_ring_used(r)->idx, r->avail_idx);
	}
}

static void test_armed_flags(void **state)
{
	run_armed(*state, 0);
}

static void test_armed_event_idx(void **state)
{
	run_armed(*state, EVENT_IDX);
}

/* A device that leaves requests where they are is not called over and over for them. */
static void test_lazy(void **state)
{
	struct core_fixture *f = *state;

	assert_true(guest_virtio_start(&f->g, V1, 2));
	settle(f);
	f->d->lazy = true;
	f->d->kicked[0] = 0;
	add(f, 0, 3);
	guest_virtio_kick(&f->g, 0);
	settle(f);
	assert_int_equal(f->d->kicked[0], 1);
	f->d->lazy = false;
	virtio_kick(&f->d->v, 0);
	settle(f);
	assert_int_equal(f->d->served[0], 3);
}

static void wait_used(struct core_fixture *f, unsigned int q)
{
	const struct guest_ring *r = &f->g.rings[q];

	while (__atomic_load_n(&guest_ring_used(r)->idx, __ATOMIC_ACQUIRE) != r->avail_idx)
		sched_yield();
}

/*
 * With real workers: a driver thread's requests, while "vCPU" threads' register accesses, pauses and
 * resets go on here. Nothing to see unless it hangs or a sanitizer speaks.
 */
static void run_threads(uint16_t nworkers, unsigned int nqueues)
{
	struct core_fixture *f = fixture_new(nworkers, true);
	void *state = f;

	for (unsigned int round = 0; round < 30; round++) {
		assert_true(guest_virtio_start(&f->g, V1 | (round % 2 ? EVENT_IDX : 0), nqueues));
		for (unsigned int i = 0; i < 20; i++) {
			for (unsigned int q = 0; q < nqueues; q++) {
				add(f, q, 1 + (i + q) % 16);
				guest_virtio_kick(&f->g, q);
			}
			guest_virtio_status(&f->g);
			guest_msix_set(&f->fb, f->g.msix + 16, 0xfee00000, 0x4001, i & 1);
			guest_virtio_write(&f->g, VIRTIO_PCI_COMMON_Q_MSIX, 2, i % 3);
			if (i % 7 == 3) {
				f->dev->class->stop(f->dev);
				f->dev->class->start(f->dev);
			}
			for (unsigned int q = 0; q < nqueues; q++)
				wait_used(f, q);
		}
		if (round % 3 == 1) {
			guest_ring_add(&f->g.rings[round % nqueues], 999);
			guest_virtio_kick(&f->g, round % nqueues);
			while (!(guest_virtio_status(&f->g) & NEEDS_RESET))
				sched_yield();
		}
	}
	f->dev->class->stop(f->dev);
	assert_int_equal(f->fb.nthreads, MAX(nworkers, 1));
	teardown(&state);
}

static void test_threads(void **state)
{
	(void)state;
	run_threads(0, 2);
	run_threads(2, QUEUES);
	run_threads(QUEUES, QUEUES);
}

/* Each worker begins with its queues, and ends with them; activate comes first, deactivate last. */
static void test_two_workers(void **state)
{
	struct core_fixture *f = *state;

	assert_true(guest_virtio_start(&f->g, V1, QUEUES));
	settle(f);
	assert_int_equal(f->d->activated, 1);
	assert_true(f->d->begun[0] && f->d->begun[1]);
	for (unsigned int q = 0; q < QUEUES; q++) {
		add(f, q, q + 1);
		guest_virtio_kick(&f->g, q);
		settle(f);
		assert_int_equal(f->d->served[q], q + 1);
	}
	f->dev->class->stop(f->dev);
	assert_int_equal(f->d->ends, 2);
	assert_int_equal(f->d->deactivated, 1);
	/* one that fails is ended too, and so are the others */
	f->d->fail_begin = true;
	f->dev->class->start(f->dev);
	assert_true(guest_virtio_status(&f->g) & NEEDS_RESET);
	f->d->fail_begin = false;
	assert_true(guest_virtio_start(&f->g, V1, QUEUES));
	assert_int_equal(f->d->ends, 4);
	assert_int_equal(f->d->deactivated, 2);
	add(f, 2, 3);
	guest_virtio_kick(&f->g, 2);
	settle(f);
	assert_int_equal(f->d->served[2], 6);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_features_ok),
		T(test_driver_ok_needs_features_ok),
		T(test_status_bits_stay),
		T(test_requests_before_driver_ok),
		T(test_first_kick),
		T(test_bad_ring),
		T(test_broken),
		T(test_activate_fails),
		T(test_pause),
		T(test_driver_ok_while_stopped),
		T(test_machine_reset),
		T(test_fair),
		T(test_armed_flags),
		T(test_armed_event_idx),
		T(test_lazy),
		cmocka_unit_test_setup_teardown(test_two_workers, setup_two_workers, teardown),
		cmocka_unit_test(test_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
