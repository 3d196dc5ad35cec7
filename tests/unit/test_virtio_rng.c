// SPDX-License-Identifier: MIT
// The entropy device, driven through its registers.
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <linux/pci_regs.h>
#include <linux/virtio_config.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/guest_virtio.h"
#include "vmm/devices.h"

#define SLOT 4
#define BUF 0x8000

struct rng_fixture {
	struct fake_board fb;
	struct device *host, *dev;
	struct guest_virtio g;
};

/* As the field table lays it out: virtio/rng.c. */
struct rng_cfg {
	char address[16];
	uint64_t bytes_per_s;
	uint32_t burst_ms;
};

static int setup_limited(void **state, uint64_t bytes_per_s, uint32_t burst_ms)
{
	struct rng_cfg cfg = { "00:04.0", bytes_per_s, burst_ms };
	struct rng_fixture *f = calloc(1, sizeof(*f));

	fake_board_init(&f->fb, MIB);
	f->fb.log.fd = -1;
	f->host = fake_board_add(&f->fb, &pci_host_class, "pci", NULL);
	assert_int_equal(virtio_rng_class.cfg_size, sizeof(cfg));
	f->dev = fake_board_add(&f->fb, &virtio_rng_class, "rng0", &cfg);
	f->dev->class->start(f->dev);
	guest_virtio_find(&f->g, &f->fb, SLOT);
	assert_true(guest_virtio_start(&f->g, BIT64(VIRTIO_F_VERSION_1), 1));
	*state = f;
	return 0;
}

static int setup(void **state)
{
	return setup_limited(state, 0, 1000);
}

static int setup_slow(void **state)
{
	return setup_limited(state, 64000, 1);
}

static int teardown(void **state)
{
	struct rng_fixture *f = *state;

	f->dev->class->stop(f->dev);
	fake_board_remove(&f->fb, f->dev);
	fake_board_remove(&f->fb, f->host);
	fake_board_fini(&f->fb);
	free(f);
	return 0;
}

/* Serve the chain at descriptor 0; bytes written. */
static uint32_t request(struct rng_fixture *f)
{
	struct vring_used_elem u = { 0 };

	guest_ring_add(&f->g.rings[0], 0);
	guest_virtio_kick(&f->g, 0);
	fake_board_run(&f->fb);
	assert_true(guest_ring_get(&f->g.rings[0], &u));
	assert_int_equal(u.id, 0);
	return u.len;
}

static unsigned int zeros(const uint8_t *p, unsigned int n)
{
	unsigned int count = 0;

	for (unsigned int i = 0; i < n; i++)
		count += !p[i];
	return count;
}

static void test_identity(void **state)
{
	struct rng_fixture *f = *state;

	assert_int_equal(guest_pci_read(&f->fb, SLOT, PCI_DEVICE_ID, 2), 0x1044);
	assert_int_equal(f->g.device, 0); /* no configuration: section 5.4.4 */
}

static void test_fills(void **state)
{
	struct rng_fixture *f = *state;

	guest_ring_set(&f->g.rings[0], 0, BUF, 64, VRING_DESC_F_WRITE | VRING_DESC_F_NEXT, 1);
	guest_ring_set(&f->g.rings[0], 1, BUF + 128, 64, VRING_DESC_F_WRITE, 0);
	assert_int_equal(request(f), 128);
	assert_int_equal(guest_virtio_irqs(&f->g, 1), 1);
	assert_true(zeros(f->fb.mem + BUF, 64) < 16);
	assert_int_equal(zeros(f->fb.mem + BUF + 64, 64), 64); /* and nothing else */
	assert_true(zeros(f->fb.mem + BUF + 128, 64) < 16);
	assert_int_equal(zeros(f->fb.mem + BUF + 192, 64), 64);
}

static void test_large(void **state)
{
	struct rng_fixture *f = *state;
	uint32_t got;

	guest_ring_set(&f->g.rings[0], 0, BUF, MIB / 2, VRING_DESC_F_WRITE, 0);
	got = request(f);
	assert_in_range(got, 1, MIB / 2);
	assert_int_equal(zeros(f->fb.mem + BUF + got, MIB / 2 - got), MIB / 2 - got);
}

/* Nothing writable: no bytes, and the request's own are left alone. */
static void test_read_only_buffer(void **state)
{
	struct rng_fixture *f = *state;

	guest_ring_set(&f->g.rings[0], 0, BUF, 64, 0, 0);
	assert_int_equal(request(f), 0);
	assert_int_equal(zeros(f->fb.mem + BUF, 64), 64);
}

static bool answered(void *arg)
{
	const struct guest_ring *r = &((struct rng_fixture *)arg)->g.rings[0];

	return guest_ring_used(r)->idx != r->used_idx;
}

/* What is over the limit stays in the queue until its time has come, and is not lost. */
static void test_limit(void **state)
{
	struct rng_fixture *f = *state;
	uint64_t begun = uv_hrtime();

	guest_ring_set(&f->g.rings[0], 0, BUF, 4096, VRING_DESC_F_WRITE, 0);
	assert_int_equal(request(f), 4096); /* 63 ms of it were drawn beforehand */
	guest_ring_add(&f->g.rings[0], 0);
	guest_virtio_kick(&f->g, 0);
	fake_board_run(&f->fb);
	assert_false(answered(f));
	fake_board_run_until(&f->fb, answered, f);
	assert_true(uv_hrtime() - begun > 60000000);
}

/* A pause takes the timer away, not the request. */
static void test_limit_pause(void **state)
{
	struct rng_fixture *f = *state;

	guest_ring_set(&f->g.rings[0], 0, BUF, 4096, VRING_DESC_F_WRITE, 0);
	assert_int_equal(request(f), 4096);
	guest_ring_add(&f->g.rings[0], 0);
	guest_virtio_kick(&f->g, 0);
	fake_board_run(&f->fb);
	f->dev->class->stop(f->dev);
	fake_board_run(&f->fb);
	f->dev->class->start(f->dev);
	fake_board_run_until(&f->fb, answered, f);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_identity),
		T(test_fills),
		T(test_large),
		T(test_read_only_buffer),
		cmocka_unit_test_setup_teardown(test_limit, setup_slow, teardown),
		cmocka_unit_test_setup_teardown(test_limit_pause, setup_slow, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
