// SPDX-License-Identifier: MIT
// The virtio console between its queues and a real console with a client.
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

#define SLOT 5
#define BUF 0x8000
enum { RX, TX };

struct console_fixture {
	struct fake_board fb;
	struct device *host, *dev;
	struct guest_virtio g;
};

/* As the field table lays it out: virtio/console.c. */
struct console_cfg {
	char address[16];
	int backend;
	struct field_list ports;
};

static void fixture_start(struct console_fixture *f)
{
	guest_virtio_find(&f->g, &f->fb, SLOT);
	assert_true(guest_virtio_start(&f->g, BIT64(VIRTIO_F_VERSION_1), 2));
	fake_board_run(&f->fb);
}

static int setup_backend(void **state, int backend)
{
	struct console_fixture *f = calloc(1, sizeof(*f));
	struct console_cfg cfg = { .address = "00:05.0", .backend = backend };

	fake_board_init(&f->fb, MIB);
	f->fb.log.fd = -1;
	f->host = fake_board_add(&f->fb, &pci_host_class, "pci", NULL);
	assert_int_equal(virtio_console_class.cfg_size, sizeof(cfg));
	f->dev = fake_board_add(&f->fb, &virtio_console_class, "hvc0", &cfg);
	f->dev->class->start(f->dev);
	*state = f;
	return 0;
}

static int setup(void **state)
{
	return setup_backend(state, 0);
}

static int setup_none(void **state)
{
	return setup_backend(state, 1);
}

static int teardown(void **state)
{
	struct console_fixture *f = *state;

	f->dev->class->stop(f->dev);
	fake_board_remove(&f->fb, f->dev);
	fake_board_remove(&f->fb, f->host);
	fake_board_fini(&f->fb);
	free(f);
	return 0;
}

static void transmit(struct console_fixture *f, const char *a, const char *b)
{
	struct guest_ring *r = &f->g.rings[TX];
	struct vring_used_elem u;

	memcpy(f->fb.mem + BUF, a, strlen(a));
	memcpy(f->fb.mem + BUF + 256, b, strlen(b));
	guest_ring_set(r, 0, BUF, (uint32_t)strlen(a), VRING_DESC_F_NEXT, 1);
	guest_ring_set(r, 1, BUF + 256, (uint32_t)strlen(b), 0, 0);
	guest_ring_add(r, 0);
	guest_virtio_kick(&f->g, TX);
	fake_board_run(&f->fb);
	assert_true(guest_ring_get(r, &u));
	assert_int_equal(u.len, 0);
	assert_int_equal(guest_virtio_irqs(&f->g, TX + 1), 1);
}

static void give_buffer(struct console_fixture *f, uint16_t i, uint32_t len)
{
	guest_ring_set(&f->g.rings[RX], i, BUF + 512ull * (i + 1), len, VRING_DESC_F_WRITE, 0);
	guest_ring_add(&f->g.rings[RX], i);
	guest_virtio_kick(&f->g, RX);
	fake_board_run(&f->fb);
}

static void expect_input(struct console_fixture *f, uint16_t i, const char *text)
{
	struct vring_used_elem u;

	assert_true(guest_ring_get(&f->g.rings[RX], &u));
	assert_int_equal(u.id, i);
	assert_int_equal(u.len, strlen(text));
	assert_memory_equal(f->fb.mem + BUF + 512 * (i + 1), text, strlen(text));
}

static void expect_no_input(struct console_fixture *f)
{
	struct vring_used_elem u;

	assert_false(guest_ring_get(&f->g.rings[RX], &u));
}

static void test_identity(void **state)
{
	struct console_fixture *f = *state;

	fixture_start(f);
	assert_int_equal(guest_pci_read(&f->fb, SLOT, PCI_DEVICE_ID, 2), 0x1043);
	assert_int_equal(guest_virtio_features(&f->g) & 0xffffff, 0);
}

static void test_output(void **state)
{
	struct console_fixture *f = *state;

	fixture_start(f);
	transmit(f, "Hello, ", "world\n");
	fake_console_expect(&f->fb, "hvc0", "Hello, world\n");
}

static void test_input(void **state)
{
	struct console_fixture *f = *state;

	fixture_start(f);
	give_buffer(f, 0, 4);
	give_buffer(f, 1, 100);
	expect_no_input(f); /* buffers wait for input */
	fake_console_type(&f->fb, "hvc0", "abcdef", 6);
	fake_board_run(&f->fb);
	expect_input(f, 0, "abcd");
	expect_input(f, 1, "ef");
	assert_int_equal(guest_virtio_irqs(&f->g, RX + 1), 1);
}

static void test_input_before_buffers(void **state)
{
	struct console_fixture *f = *state;

	fake_console_type(&f->fb, "hvc0", "early", 5); /* before there is a driver */
	fixture_start(f);
	expect_no_input(f);
	give_buffer(f, 0, 3);
	expect_input(f, 0, "ear");
	give_buffer(f, 1, 100);
	expect_input(f, 1, "ly");
	fake_console_type(&f->fb, "hvc0", "x", 1);
	fake_board_run(&f->fb);
	expect_no_input(f);
	give_buffer(f, 2, 100);
	expect_input(f, 2, "x");
}

static void test_pause(void **state)
{
	struct console_fixture *f = *state;

	fixture_start(f);
	give_buffer(f, 0, 100);
	f->dev->class->stop(f->dev);
	fake_console_type(&f->fb, "hvc0", "later", 5);
	fake_board_run(&f->fb);
	expect_no_input(f);
	f->dev->class->start(f->dev);
	fake_board_run(&f->fb);
	expect_input(f, 0, "later");
}

static void test_reset(void **state)
{
	struct console_fixture *f = *state;

	fixture_start(f);
	give_buffer(f, 0, 100);
	f->dev->class->stop(f->dev);
	f->dev->class->reset(f->dev);
	f->dev->class->start(f->dev);
	fake_console_type(&f->fb, "hvc0", "new", 3);
	fixture_start(f);
	give_buffer(f, 5, 100);
	expect_input(f, 5, "new");
	transmit(f, "a", "b");
	fake_console_expect(&f->fb, "hvc0", "ab");
}

static void test_no_backend(void **state)
{
	struct console_fixture *f = *state;

	fixture_start(f);
	assert_int_equal(f->fb.nconsoles, 0);
	give_buffer(f, 0, 100);
	transmit(f, "nobody", "hears");
	expect_no_input(f);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_identity),
		T(test_output),
		T(test_input),
		T(test_input_before_buffers),
		T(test_pause),
		T(test_reset),
		cmocka_unit_test_setup_teardown(test_no_backend, setup_none, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
