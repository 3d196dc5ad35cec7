// SPDX-License-Identifier: MIT
// The virtio PCI transport as a driver sees it: capabilities, registers, notifications, BAR moves.
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <linux/pci_regs.h>
#include <linux/virtio_config.h>
#include <linux/virtio_pci.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/guest_virtio.h"
#include "vmm/devices.h"
#include "vmm/virtio/virtio.h"
#include "vmm/x86/map.h"

#define SLOT 3
#define IRQ (MAP_GSI_PCI + SLOT)
#define V1 BIT64(VIRTIO_F_VERSION_1)

/* A device that gives every request back and counts. */
struct echo {
	struct virtio_dev v;
	unsigned int kicks[2];
	uint8_t wrote;
};

static void echo_kick(struct virtio_dev *v, unsigned int q)
{
	struct echo *d = container_of(v, struct echo, v);
	struct virtq_req r;

	d->kicks[q]++;
	while (virtio_pop(v, q, &r) > 0)
		virtq_push(&v->queues[q].vq, r.head, (uint32_t)iov_size(r.iov, r.nout));
	virtio_flush(v, q);
}

static void echo_config_write(struct virtio_dev *v, size_t off, const void *data, size_t len)
{
	struct echo *d = container_of(v, struct echo, v);

	memcpy(v->config + off, data, len);
	d->wrote++;
}

static const struct virtio_ops echo_ops = {
	.id = 42,
	.nqueues = 2,
	.queue_max = 256,
	.features = BIT64(3),
	.config_size = 7,
	.config_write = echo_config_write,
	.kick = echo_kick,
};

static int echo_init(struct device *d, struct err *e)
{
	struct virtio_dev *v = container_of(d, struct virtio_dev, dev);

	memcpy(v->config, "config!", 7);
	return virtio_init(v, &echo_ops, BIT64(5), "00:03.0", e);
}

static const struct device_class echo_class = {
	.type = "echo",
	.size = sizeof(struct echo),
	.init = echo_init,
	.start = virtio_device_start,
	.stop = virtio_device_stop,
	.reset = virtio_device_reset,
	.fini = virtio_device_fini,
};

struct pci_fixture {
	struct fake_board fb;
	struct device *host, *dev;
	struct echo *echo;
	struct guest_virtio g;
};

static int setup(void **state)
{
	struct pci_fixture *f = calloc(1, sizeof(*f));

	fake_board_init(&f->fb, MIB);
	f->fb.log.fd = -1;
	f->host = fake_board_add(&f->fb, &pci_host_class, "pci", NULL);
	f->dev = fake_board_add(&f->fb, &echo_class, "echo0", NULL);
	f->dev->class->start(f->dev);
	f->echo = container_of(f->dev, struct echo, v.dev);
	guest_virtio_find(&f->g, &f->fb, SLOT);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct pci_fixture *f = *state;

	f->dev->class->stop(f->dev);
	fake_board_remove(&f->fb, f->dev);
	assert_int_equal(f->fb.nioeventfds, 0);
	fake_board_remove(&f->fb, f->host);
	fake_board_fini(&f->fb);
	free(f);
	return 0;
}

static void test_identity(void **state)
{
	struct pci_fixture *f = *state;

	assert_int_equal(guest_pci_read(&f->fb, SLOT, PCI_DEVICE_ID, 2), 0x1040 + 42);
	assert_int_equal(guest_pci_read(&f->fb, SLOT, PCI_REVISION_ID, 1), 1);
	assert_true(guest_pci_read(&f->fb, SLOT, PCI_SUBSYSTEM_ID, 2) >= 0x40);
	assert_int_equal(guest_pci_read(&f->fb, SLOT, PCI_INTERRUPT_PIN, 1), 1);
	assert_int_not_equal(f->g.device, 0);
	assert_int_not_equal(f->g.cfg_cap, 0);
	assert_int_equal(f->g.notify_multiplier, 4);
}

static void test_features(void **state)
{
	struct pci_fixture *f = *state;

	assert_int_equal(guest_virtio_features(&f->g), V1 | 3ull << 28 | BIT64(3) | BIT64(5));
	/* a word that does not exist */
	guest_virtio_write(&f->g, VIRTIO_PCI_COMMON_DFSELECT, 4, 2);
	assert_int_equal(guest_virtio_read(&f->g, VIRTIO_PCI_COMMON_DF, 4), 0);
	guest_virtio_write(&f->g, VIRTIO_PCI_COMMON_GFSELECT, 4, UINT32_MAX);
	guest_virtio_write(&f->g, VIRTIO_PCI_COMMON_GF, 4, UINT32_MAX);
	assert_int_equal(guest_virtio_read(&f->g, VIRTIO_PCI_COMMON_GF, 4), 0);
	assert_int_equal(f->echo->v.driver_features, 0);
}

static void test_widths(void **state)
{
	struct pci_fixture *f = *state;

	/* wrong widths are ignored, narrow reads give their bytes */
	guest_virtio_write(&f->g, VIRTIO_PCI_COMMON_STATUS, 2, 0x0101);
	guest_virtio_write(&f->g, VIRTIO_PCI_COMMON_MSIX, 4, 0);
	guest_virtio_write(&f->g, VIRTIO_PCI_COMMON_DFSELECT, 2, 1);
	guest_virtio_write(&f->g, VIRTIO_PCI_COMMON_DFSELECT + 1, 1, 1);
	assert_int_equal(guest_virtio_status(&f->g), 0);
	assert_int_equal(guest_virtio_read(&f->g, VIRTIO_PCI_COMMON_MSIX, 2), 0xffff);
	assert_int_equal(guest_virtio_read(&f->g, VIRTIO_PCI_COMMON_DFSELECT, 4), 0);
	assert_int_equal(guest_virtio_read(&f->g, VIRTIO_PCI_COMMON_NUMQ, 2), 2);
	assert_int_equal(guest_virtio_read(&f->g, VIRTIO_PCI_COMMON_MSIX, 4), 0x0002ffff);
	guest_virtio_write(&f->g, VIRTIO_PCI_COMMON_NUMQ, 2, 9);
	assert_int_equal(guest_virtio_read(&f->g, VIRTIO_PCI_COMMON_NUMQ, 2), 2);
	/* behind the structure */
	assert_int_equal(guest_virtio_read(&f->g, sizeof(struct virtio_pci_common_cfg), 4), 0);
	guest_virtio_write(&f->g, sizeof(struct virtio_pci_common_cfg), 4, UINT32_MAX);
	guest_virtio_write(&f->g, 0xffc, 4, UINT32_MAX);
}

static void test_queue_registers(void **state)
{
	struct pci_fixture *f = *state;
	struct guest_virtio *g = &f->g;

	assert_int_equal(guest_virtio_read(g, VIRTIO_PCI_COMMON_Q_SIZE, 2), 256);
	guest_virtio_write(g, VIRTIO_PCI_COMMON_Q_SIZE, 2, 100);
	guest_virtio_write(g, VIRTIO_PCI_COMMON_Q_SIZE, 2, 512);
	guest_virtio_write(g, VIRTIO_PCI_COMMON_Q_SIZE, 2, 0);
	assert_int_equal(guest_virtio_read(g, VIRTIO_PCI_COMMON_Q_SIZE, 2), 256);
	guest_virtio_write(g, VIRTIO_PCI_COMMON_Q_SIZE, 2, 16);
	guest_virtio_write(g, VIRTIO_PCI_COMMON_Q_DESCHI, 4, 0x11111111);
	guest_virtio_write(g, VIRTIO_PCI_COMMON_Q_DESCLO, 4, 0x22222220);
	guest_virtio_write(g, VIRTIO_PCI_COMMON_Q_USEDLO, 4, 0x33333330);
	assert_int_equal(f->echo->v.queues[0].vq.desc, 0x1111111122222220);
	assert_int_equal(guest_virtio_read(g, VIRTIO_PCI_COMMON_Q_DESCHI, 4), 0x11111111);
	/* enabled: fixed until reset */
	guest_virtio_write(g, VIRTIO_PCI_COMMON_Q_ENABLE, 2, 2);
	assert_int_equal(guest_virtio_read(g, VIRTIO_PCI_COMMON_Q_ENABLE, 2), 0);
	guest_virtio_write(g, VIRTIO_PCI_COMMON_Q_ENABLE, 2, 1);
	guest_virtio_write(g, VIRTIO_PCI_COMMON_Q_SIZE, 2, 8);
	guest_virtio_write(g, VIRTIO_PCI_COMMON_Q_USEDLO, 4, 0);
	guest_virtio_write(g, VIRTIO_PCI_COMMON_Q_ENABLE, 2, 0);
	assert_int_equal(guest_virtio_read(g, VIRTIO_PCI_COMMON_Q_SIZE, 2), 16);
	assert_int_equal(guest_virtio_read(g, VIRTIO_PCI_COMMON_Q_USEDLO, 4), 0x33333330);
	assert_int_equal(guest_virtio_read(g, VIRTIO_PCI_COMMON_Q_ENABLE, 2), 1);
	guest_virtio_write(g, VIRTIO_PCI_COMMON_Q_SELECT, 2, 1);
	assert_int_equal(guest_virtio_read(g, VIRTIO_PCI_COMMON_Q_ENABLE, 2), 0);
	assert_int_equal(guest_virtio_read(g, VIRTIO_PCI_COMMON_Q_NOFF, 2), 1);
	/* no such queue */
	guest_virtio_write(g, VIRTIO_PCI_COMMON_Q_SELECT, 2, 2);
	assert_int_equal(guest_virtio_read(g, VIRTIO_PCI_COMMON_Q_SIZE, 2), 0);
	guest_virtio_write(g, VIRTIO_PCI_COMMON_Q_SIZE, 2, 8);
	guest_virtio_write(g, VIRTIO_PCI_COMMON_Q_MSIX, 2, 0);
	guest_virtio_write(g, VIRTIO_PCI_COMMON_Q_ENABLE, 2, 1);
	guest_virtio_write(g, VIRTIO_PCI_COMMON_Q_DESCLO, 4, 16);
	assert_int_equal(guest_virtio_read(g, VIRTIO_PCI_COMMON_Q_MSIX, 2), 0xffff);
	guest_virtio_write(g, VIRTIO_PCI_COMMON_STATUS, 1, 0);
	assert_int_equal(guest_virtio_read(g, VIRTIO_PCI_COMMON_Q_SELECT, 2), 0);
	assert_int_equal(guest_virtio_read(g, VIRTIO_PCI_COMMON_Q_SIZE, 2), 256);
	assert_int_equal(guest_virtio_read(g, VIRTIO_PCI_COMMON_Q_DESCLO, 4), 0);
}

static void test_vectors(void **state)
{
	struct pci_fixture *f = *state;
	struct guest_virtio *g = &f->g;

	guest_virtio_write(g, VIRTIO_PCI_COMMON_MSIX, 2, 2);
	assert_int_equal(guest_virtio_read(g, VIRTIO_PCI_COMMON_MSIX, 2), 2);
	guest_virtio_write(g, VIRTIO_PCI_COMMON_MSIX, 2, 3); /* there are three: 0 to 2 */
	assert_int_equal(guest_virtio_read(g, VIRTIO_PCI_COMMON_MSIX, 2), 0xffff);
	guest_virtio_write(g, VIRTIO_PCI_COMMON_Q_MSIX, 2, 1);
	guest_virtio_write(g, VIRTIO_PCI_COMMON_Q_MSIX, 2, 0xffff);
	assert_int_equal(guest_virtio_read(g, VIRTIO_PCI_COMMON_Q_MSIX, 2), 0xffff);
}

static void test_device_config(void **state)
{
	struct pci_fixture *f = *state;
	uint64_t at = f->g.device;

	assert_int_equal(fake_mmio_read(&f->fb, at, 4), 0x666e6f63); /* "conf" */
	assert_int_equal(fake_mmio_read(&f->fb, at + 6, 1), '!');
	assert_int_equal(fake_mmio_read(&f->fb, at + 6, 2), 0); /* not all of it exists */
	assert_int_equal(fake_mmio_read(&f->fb, at + 0xff8, 8), 0);
	fake_mmio_write(&f->fb, at + 1, 1, 'O');
	assert_int_equal(fake_mmio_read(&f->fb, at, 2), 'c' | 'O' << 8);
	fake_mmio_write(&f->fb, at + 6, 2, 0);
	fake_mmio_write(&f->fb, at + 7, 1, 0);
	assert_int_equal(f->echo->wrote, 1);
}

static void test_config_change(void **state)
{
	struct pci_fixture *f = *state;
	uint32_t before = guest_virtio_read(&f->g, VIRTIO_PCI_COMMON_CFGGENERATION, 1);

	virtio_config_changed(&f->echo->v);
	assert_int_equal(fake_mmio_read(&f->fb, f->g.isr, 1), 0); /* no driver yet */
	assert_true(guest_virtio_start(&f->g, V1, 2));
	virtio_config_changed(&f->echo->v);
	assert_int_equal(guest_virtio_irqs(&f->g, 0), 1);
	assert_int_equal(guest_virtio_read(&f->g, VIRTIO_PCI_COMMON_CFGGENERATION, 1), before + 2);
	assert_int_equal(fake_mmio_read(&f->fb, f->g.isr, 1), 2);
	assert_int_equal(fake_mmio_read(&f->fb, f->g.isr, 1), 0); /* read to clear */
}

/* One request through queue q; the interrupts that came for it. */
static unsigned int request(struct pci_fixture *f, unsigned int q)
{
	struct guest_ring *r = &f->g.rings[q];
	struct vring_used_elem u = { 0 };

	guest_ring_set(r, 1, 0x8000, 33, 0, 0);
	guest_ring_add(r, 1);
	guest_virtio_kick(&f->g, q);
	fake_board_run(&f->fb);
	assert_true(guest_ring_get(r, &u));
	assert_int_equal(u.id, 1);
	assert_int_equal(u.len, 33);
	return guest_virtio_irqs(&f->g, q + 1);
}

static void test_request(void **state)
{
	struct pci_fixture *f = *state;

	assert_int_equal(f->fb.nioeventfds, 0);
	assert_true(guest_virtio_start(&f->g, V1, 2));
	assert_int_equal(f->fb.nioeventfds, 2);
	fake_board_run(&f->fb);
	assert_int_equal(request(f, 0), 1);
	assert_int_equal(request(f, 1), 1);
	assert_int_equal(guest_virtio_irqs(&f->g, 1), 0);
	guest_virtio_write(&f->g, VIRTIO_PCI_COMMON_STATUS, 1, 0);
	assert_int_equal(f->fb.nioeventfds, 0);
}

static void test_notify_without_ioeventfd(void **state)
{
	struct pci_fixture *f = *state;

	assert_true(guest_virtio_start(&f->g, V1, 2));
	fake_board_run(&f->fb);
	f->echo->kicks[1] = 0;
	fake_mmio_write(&f->fb, f->g.notify + 4, 2, 1);
	fake_mmio_write(&f->fb, f->g.notify + 8, 2, 2); /* no such queue */
	fake_mmio_write(&f->fb, f->g.notify + 5, 1, 1); /* nor is this one */
	fake_mmio_write(&f->fb, f->g.notify + 0xffc, 4, 1);
	fake_board_run(&f->fb);
	assert_int_equal(f->echo->kicks[1], 1);
}

/* Without MSI-X the pin interrupts, and the ISR byte says why and lowers it. */
static void test_isr(void **state)
{
	struct pci_fixture *f = *state;

	assert_true(guest_virtio_start(&f->g, V1, 2));
	guest_pci_write(&f->fb, SLOT, f->g.msix_cap + PCI_MSIX_FLAGS, 2, 0);
	assert_int_equal(request(f, 0), 0);
	assert_false(f->fb.irq[IRQ]);
	fake_board_watched(&f->fb);
	assert_true(f->fb.irq[IRQ]);
	assert_int_equal(fake_mmio_read(&f->fb, f->g.isr, 1), 1);
	assert_false(f->fb.irq[IRQ]);
	assert_int_equal(fake_mmio_read(&f->fb, f->g.isr, 1), 0);
	/* one that was read before the loop came to it is none */
	request(f, 1);
	assert_int_equal(fake_mmio_read(&f->fb, f->g.isr, 1), 1);
	fake_board_watched(&f->fb);
	assert_int_equal(f->fb.irq_raised[IRQ], 1);
	/* MSI-X takes over from a pin that waits, and a reset of the device ends it */
	virtio_config_changed(&f->echo->v);
	fake_board_watched(&f->fb);
	assert_true(f->fb.irq[IRQ]);
	guest_pci_write(&f->fb, SLOT, f->g.msix_cap + PCI_MSIX_FLAGS, 2, PCI_MSIX_FLAGS_ENABLE);
	assert_false(f->fb.irq[IRQ]);
	guest_pci_write(&f->fb, SLOT, f->g.msix_cap + PCI_MSIX_FLAGS, 2, 0);
	assert_true(f->fb.irq[IRQ]);
	guest_virtio_write(&f->g, VIRTIO_PCI_COMMON_STATUS, 1, 0);
	assert_false(f->fb.irq[IRQ]);
}

/* Without bus mastering nothing is read, written or sent; what was asked for meanwhile comes with it. */
static void test_bus_master(void **state)
{
	struct pci_fixture *f = *state;
	struct vring_used_elem u = { 0 };

	assert_true(guest_virtio_start(&f->g, V1, 2));
	fake_board_run(&f->fb);
	f->echo->kicks[0] = 0;
	guest_pci_write(&f->fb, SLOT, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	guest_ring_set(&f->g.rings[0], 1, 0x8000, 33, 0, 0);
	guest_ring_add(&f->g.rings[0], 1);
	guest_virtio_kick(&f->g, 0);
	virtio_config_changed(&f->echo->v);
	fake_board_run(&f->fb);
	f->dev->class->stop(f->dev); /* a pause and a resume change nothing of that */
	f->dev->class->start(f->dev);
	fake_board_run(&f->fb);
	assert_int_equal(f->echo->kicks[0], 0);
	assert_false(guest_ring_get(&f->g.rings[0], &u));
	assert_int_equal(guest_virtio_irqs(&f->g, 0), 0);
	/* pending, as the PBA says */
	assert_int_equal(fake_mmio_read(&f->fb, f->g.msix + 0x800, 4), 1);
	guest_pci_write(&f->fb, SLOT, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	fake_board_run(&f->fb);
	assert_true(guest_ring_get(&f->g.rings[0], &u));
	assert_int_equal(u.id, 1);
	assert_int_equal(guest_virtio_irqs(&f->g, 0), 1);
	assert_int_equal(guest_virtio_irqs(&f->g, 1), 1);
	/* a reset takes it away */
	f->dev->class->stop(f->dev);
	f->dev->class->reset(f->dev);
	assert_false(f->echo->v.dma);
	f->dev->class->start(f->dev);
}

static void test_bar_move(void **state)
{
	struct pci_fixture *f = *state;
	uint64_t old = f->g.notify;

	assert_true(guest_virtio_start(&f->g, V1, 2));
	guest_pci_write(&f->fb, SLOT, PCI_BASE_ADDRESS_0, 4, 0xd0000000);
	f->g.common = 0xd0000000;
	f->g.notify = 0xd0000000 + (old & 0xffff);
	assert_int_equal(f->fb.nioeventfds, 2);
	assert_in_range(f->fb.ioeventfds[0].addr, f->g.notify, f->g.notify + 4);
	assert_in_range(f->fb.ioeventfds[1].addr, f->g.notify, f->g.notify + 4);
	assert_int_equal(request(f, 0), 1);
	guest_pci_write(&f->fb, SLOT, PCI_COMMAND, 2, 0);
	assert_int_equal(f->fb.nioeventfds, 0);
	guest_pci_write(&f->fb, SLOT, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	assert_int_equal(f->fb.nioeventfds, 2);
	assert_int_equal(request(f, 1), 1);
	/* over RAM, and back by the machine's reset */
	guest_pci_write(&f->fb, SLOT, PCI_BASE_ADDRESS_0, 4, 0x4000);
	assert_int_equal(f->fb.nioeventfds, 0);
	f->dev->class->stop(f->dev);
	f->dev->class->reset(f->dev);
	f->dev->class->start(f->dev);
	guest_virtio_find(&f->g, &f->fb, SLOT);
	assert_int_equal(f->g.notify, old);
	assert_true(guest_virtio_start(&f->g, V1, 2));
	assert_int_equal(request(f, 0), 1);
}

static void window(struct pci_fixture *f, uint32_t bar, uint32_t off, uint32_t len)
{
	unsigned int cap = f->g.cfg_cap;

	guest_pci_write(&f->fb, SLOT, cap + VIRTIO_PCI_CAP_BAR, 1, bar);
	guest_pci_write(&f->fb, SLOT, cap + VIRTIO_PCI_CAP_OFFSET, 4, off);
	guest_pci_write(&f->fb, SLOT, cap + VIRTIO_PCI_CAP_LENGTH, 4, len);
}

static uint32_t window_read(struct pci_fixture *f, unsigned int size)
{
	return guest_pci_read(&f->fb, SLOT, f->g.cfg_cap + 16, size);
}

static void window_write(struct pci_fixture *f, unsigned int size, uint32_t val)
{
	guest_pci_write(&f->fb, SLOT, f->g.cfg_cap + 16, size, val);
}

/* Firmware drives the device so, before or without BARs. */
static void test_cfg_window(void **state)
{
	struct pci_fixture *f = *state;
	uint64_t base = guest_pci_bar(&f->fb, SLOT, 0);
	uint32_t device = (uint32_t)(f->g.device - base), isr = (uint32_t)(f->g.isr - base);

	guest_pci_write(&f->fb, SLOT, PCI_COMMAND, 2, 0);
	window(f, 0, VIRTIO_PCI_COMMON_STATUS, 1);
	window_write(f, 1, 3);
	assert_int_equal(window_read(f, 1), 3);
	assert_int_equal(f->echo->v.status, 3);
	window(f, 0, VIRTIO_PCI_COMMON_NUMQ, 2);
	assert_int_equal(window_read(f, 2), 2);
	window(f, 0, device, 4);
	assert_int_equal(window_read(f, 4), 0x666e6f63);
	window_write(f, 4, 0x31313131);
	assert_int_equal(window_read(f, 4), 0x31313131);
	/* looking at the capability around the window must not read it: ISR clears by that */
	f->echo->v.transport->notify_config(&f->echo->v);
	window(f, 0, isr, 1);
	guest_pci_read(&f->fb, SLOT, f->g.cfg_cap + VIRTIO_PCI_CAP_LENGTH, 4);
	assert_int_equal(window_read(f, 1), 2);
	assert_int_equal(window_read(f, 1), 0);
	/* what makes no sense does nothing */
	window(f, 1, 0, 4);
	window_write(f, 4, UINT32_MAX);
	window(f, 0, 0x4000, 4);
	window_write(f, 4, UINT32_MAX);
	window(f, 0, UINT32_MAX, 4);
	window_write(f, 4, UINT32_MAX);
	window(f, 0, 1, 2);
	window_write(f, 4, UINT32_MAX);
	window(f, 0, 0, 3);
	window_write(f, 4, UINT32_MAX);
	window(f, 0, 0, 0);
	window_write(f, 4, UINT32_MAX);
	assert_int_equal(f->echo->v.status, 3);
}

static void test_init_fails(void **state)
{
	struct pci_fixture *f = *state;
	struct err e = { 0 };

	assert_int_equal(fake_board_add_fails(&f->fb, &echo_class, "echo1", NULL, &e), -EEXIST);
	assert_string_equal(e.msg, "PCI address 00:03.0 is taken by 'echo0'");
	f->fb.fail_worker = true;
	fake_board_add_fails(&f->fb, &echo_class, "echo1", NULL, &e);
	assert_string_equal(e.msg, "no worker");
}

/* Any register writes at all. */
static void test_noise(void **state)
{
	struct pci_fixture *f = *state;
	unsigned int seed = 3;

	for (unsigned int i = 0; i < 100000; i++) {
		unsigned int size = 1u << (rand_r(&seed) % 4);
		uint64_t off = (uint64_t)rand_r(&seed) % 4 << 12 | (unsigned int)rand_r(&seed) % 64;
		uint32_t val = (uint32_t)rand_r(&seed);

		if (rand_r(&seed) % 2)
			val &= 0xf;
		if (rand_r(&seed) % 64 == 0)
			guest_virtio_start(&f->g, V1, 2);
		fake_mmio_write(&f->fb, f->g.common + off, size, val);
		fake_mmio_read(&f->fb, f->g.common + off, size);
		if (rand_r(&seed) % 16 == 0)
			fake_mmio_write(&f->fb, f->g.msix + off % 2048, 4, val);
		if (rand_r(&seed) % 16 == 0)
			fake_board_run(&f->fb);
	}
	guest_pci_write(&f->fb, SLOT, f->g.msix_cap + PCI_MSIX_FLAGS, 2, 0);
	assert_true(guest_virtio_start(&f->g, V1, 2));
	fake_board_run(&f->fb);
	guest_virtio_irqs(&f->g, 1);
	assert_int_equal(request(f, 0), 1);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_identity),
		T(test_features),
		T(test_widths),
		T(test_queue_registers),
		T(test_vectors),
		T(test_device_config),
		T(test_config_change),
		T(test_request),
		T(test_notify_without_ioeventfd),
		T(test_isr),
		T(test_bus_master),
		T(test_bar_move),
		T(test_cfg_window),
		T(test_init_fails),
		T(test_noise),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
