/* SPDX-License-Identifier: MIT */
/* A function of the host's in a guest, on a fake board with a fake VFIO behind it: for the test_vfio_*.c. */
#ifndef TESTS_UNIT_VFIO_FIXTURE_H
#define TESTS_UNIT_VFIO_FIXTURE_H

#include "tests/lib/test.h"
#include "tests/unit/fake_vfio.h"
#include "tests/unit/guest_virtio.h"

#define VFIO_SLOT 5
#define VFIO_ADDRESS "00:05.0"
#define VFIO_MEM (3 * MIB)

struct vfio_fixture {
	struct fake_board fb;
	struct fake_vfio fv;
	struct device *host, *d;
};

/* cmocka's: *state is a struct vfio_fixture without a device so far. */
int vfio_fixture_setup(void **state);
int vfio_fixture_teardown(void **state);

void vfio_plug(struct vfio_fixture *f);
/* The second function of the same group, at 00:06.0 */
struct device *vfio_plug_sibling(struct vfio_fixture *f);
/* Nothing of it is left. Nothing where there is none. */
void vfio_unplug(struct vfio_fixture *f);
/* Make one that fails; its descriptors back to the kernel, as the core does it. What init returned. */
int vfio_fails(struct vfio_fixture *f, struct err *e);

/* The guest's accesses to configuration space. */
uint32_t vfio_get(struct vfio_fixture *f, unsigned int off, unsigned int size);
void vfio_put(struct vfio_fixture *f, unsigned int off, unsigned int size, uint32_t val);
/* Beyond the first 256 bytes */
uint32_t vfio_ecam(struct vfio_fixture *f, unsigned int off);
/* The device's own. */
uint32_t vfio_device_cfg(const struct vfio_fixture *f, unsigned int off, unsigned int size);
void vfio_device_cfg_put(struct vfio_fixture *f, unsigned int off, unsigned int size, uint32_t val);

#endif
