// SPDX-License-Identifier: MIT
// See vfio_fixture.h.
#include "tests/unit/vfio_fixture.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vmm/devices.h"

int vfio_fixture_setup(void **state)
{
	struct vfio_fixture *f = calloc(1, sizeof(*f));

	fake_board_init(&f->fb, VFIO_MEM);
	fake_vfio_init(&f->fv);
	f->fb.board.vfio_sys = &f->fv.sys;
	f->host = fake_board_add(&f->fb, &pci_host_class, "pci", NULL);
	*state = f;
	return 0;
}

void vfio_plug(struct vfio_fixture *f)
{
	struct vfio_pci_cfg cfg = fake_vfio_cfg(&f->fv, VFIO_ADDRESS);

	f->d = fake_board_add(&f->fb, &vfio_pci_class, "nic", &cfg);
	f->d->class->start(f->d);
	/* the second device's copies, and what was not taken, are the core's to close */
}

struct device *vfio_plug_sibling(struct vfio_fixture *f)
{
	struct vfio_pci_cfg cfg = fake_vfio_cfg(&f->fv, "00:06.0");
	struct device *two;

	memcpy(cfg.host, FAKE_VFIO_SIBLING, sizeof(FAKE_VFIO_SIBLING));
	two = fake_board_add(&f->fb, &vfio_pci_class, "two", &cfg);
	two->class->start(two);
	/* the first one's are taken already: these are the core's to close */
	close(cfg.group_fd);
	close(cfg.container_fd);
	return two;
}

void vfio_unplug(struct vfio_fixture *f)
{
	if (!f->d)
		return;
	fake_board_remove(&f->fb, f->d);
	f->d = NULL;
	assert_null(f->fb.board.vfio);
	assert_int_equal(f->fb.vfio_files, 0);
	assert_int_equal(f->fv.mmaps, 0);
	for (int i = 0; i < FAKE_SLOTS; i++)
		assert_int_equal(f->fb.slots[i].size, 0);
	for (int i = 0; i < FAKE_IRQFDS; i++)
		assert_false(f->fb.irqfds[i].used);
	for (int i = 0; i < FAKE_WATCHES; i++)
		assert_int_equal(f->fb.watches[i].fd, -1);
}

int vfio_fixture_teardown(void **state)
{
	struct vfio_fixture *f = *state;

	vfio_unplug(f);
	fake_board_remove(&f->fb, f->host);
	fake_vfio_fini(&f->fv);
	fake_board_fini(&f->fb);
	free(f);
	return 0;
}

int vfio_fails(struct vfio_fixture *f, struct err *e)
{
	struct vfio_pci_cfg cfg = fake_vfio_cfg(&f->fv, VFIO_ADDRESS);
	int r = fake_board_add_fails(&f->fb, &vfio_pci_class, "nic", &cfg, e);

	assert_null(f->fb.board.vfio);
	assert_int_equal(f->fb.vfio_files, 0);
	assert_int_equal(f->fv.mmaps, 0);
	return r;
}

uint32_t vfio_get(struct vfio_fixture *f, unsigned int off, unsigned int size)
{
	return guest_pci_read(&f->fb, VFIO_SLOT, off, size);
}

void vfio_put(struct vfio_fixture *f, unsigned int off, unsigned int size, uint32_t val)
{
	guest_pci_write(&f->fb, VFIO_SLOT, off, size, val);
}

uint32_t vfio_ecam(struct vfio_fixture *f, unsigned int off)
{
	return (uint32_t)fake_mmio_read(&f->fb, GMEM_ECAM_START + (VFIO_SLOT << 15) + off, 4);
}

uint32_t vfio_device_cfg(const struct vfio_fixture *f, unsigned int off, unsigned int size)
{
	uint32_t val = 0;

	memcpy(&val, f->fv.cfg + off, size);
	return val;
}

void vfio_device_cfg_put(struct vfio_fixture *f, unsigned int off, unsigned int size, uint32_t val)
{
	memcpy(f->fv.cfg + off, &val, size);
}
