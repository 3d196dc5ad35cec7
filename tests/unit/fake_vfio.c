// SPDX-License-Identifier: MIT
// The kernel's VFIO of the unit tests: see fake_vfio.h.
#include "tests/unit/fake_vfio.h"

#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/pci_regs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/auto.h"
#include "vmm/vfio/iommufd_abi.h"

#define FAKE_VFIO_SHIFT 40 /* a region's offset: its index, shifted */

static struct fake_vfio *fake_vfio_of(const struct vfio_sys *s)
{
	return container_of((struct vfio_sys *)(uintptr_t)s, struct fake_vfio, sys);
}

static int fake_vfio_fd(const char *name)
{
	int fd = memfd_create(name, MFD_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

/* Which file that is, whoever has opened it. */
static void fake_vfio_file(int fd, char out[static 64])
{
	struct stat st;

	assert_int_equal(fstat(fd, &st), 0);
	snprintf(out, 64, "%llu", (unsigned long long)st.st_ino);
}

/* --- regions ------------------------------------------------------------------------------------------------ */

/* The bytes at an offset of the device's descriptor, or NULL. */
static uint8_t *fake_vfio_at(struct fake_vfio *fv, uint64_t off, size_t len)
{
	uint64_t index = off >> FAKE_VFIO_SHIFT;

	off &= BIT64(FAKE_VFIO_SHIFT) - 1;
	if (index == VFIO_PCI_CONFIG_REGION_INDEX)
		return range_fits(off, len, fv->cfg_size) ? fv->cfg + off : NULL;
	if (index >= FAKE_VFIO_REGIONS || !range_fits(off, len, fv->regions[index].size))
		return NULL;
	return fv->regions[index].mem + off;
}

static ssize_t fake_vfio_pread(const struct vfio_sys *s, int fd, void *data, size_t len,
			       uint64_t off)
{
	struct fake_vfio *fv = fake_vfio_of(s);
	const uint8_t *at = fake_vfio_at(fv, off, len);

	assert_true(fd == fv->device || fd == fv->sibling);
	if (!at || (fv->rom_fails && off >> FAKE_VFIO_SHIFT == VFIO_PCI_ROM_REGION_INDEX))
		return -EINVAL;
	memcpy(data, at, len);
	return (ssize_t)len;
}

static ssize_t fake_vfio_pwrite(const struct vfio_sys *s, int fd, const void *data, size_t len,
				uint64_t off)
{
	struct fake_vfio *fv = fake_vfio_of(s);
	uint8_t *at = fake_vfio_at(fv, off, len);

	assert_true(fd == fv->device || fd == fv->sibling);
	if (!at)
		return -EINVAL;
	fv->cfg_writes += off >> FAKE_VFIO_SHIFT == VFIO_PCI_CONFIG_REGION_INDEX;
	memcpy(at, data, len);
	return (ssize_t)len;
}

static int fake_vfio_mmap(const struct vfio_sys *s, int fd, size_t len, int prot, uint64_t off,
			  void **ret)
{
	struct fake_vfio *fv = fake_vfio_of(s);
	uint8_t *at = fake_vfio_at(fv, off, len);

	assert_true(fd == fv->device || fd == fv->sibling);
	assert_int_equal(prot, PROT_READ | PROT_WRITE);
	assert_int_equal((off | len) % 4096, 0);
	if (!at || !(fv->regions[off >> FAKE_VFIO_SHIFT].flags & VFIO_REGION_INFO_FLAG_MMAP))
		return -EINVAL;
	fv->mmaps++;
	*ret = at;
	return 0;
}

static void fake_vfio_munmap(const struct vfio_sys *s, void *at, size_t len)
{
	(void)at;
	(void)len;
	fake_vfio_of(s)->mmaps--;
}

static int fake_vfio_region_info(struct fake_vfio *fv, struct vfio_region_info *info)
{
	const struct fake_vfio_region *r;
	uint32_t room = info->argsz;
	/* followed by one area */
	struct vfio_region_info_cap_sparse_mmap cap = {
		.header = { .id = VFIO_REGION_INFO_CAP_SPARSE_MMAP }, .nr_areas = 1
	};
	struct vfio_region_sparse_mmap_area area;

	info->offset = (uint64_t)info->index << FAKE_VFIO_SHIFT;
	if (info->index == VFIO_PCI_CONFIG_REGION_INDEX) {
		info->size = fv->cfg_size;
		return 0;
	}
	if (info->index >= FAKE_VFIO_REGIONS)
		return -EINVAL;
	r = &fv->regions[info->index];
	info->size = r->size;
	info->flags = r->flags;
	info->argsz = sizeof(*info);
	if (!r->sparse_size)
		return 0;
	info->flags |= VFIO_REGION_INFO_FLAG_CAPS;
	info->argsz = (uint32_t)(sizeof(*info) + sizeof(cap) + sizeof(area));
	if (room < info->argsz)
		return 0;
	area.offset = r->sparse_off;
	area.size = r->sparse_size;
	info->cap_offset = sizeof(*info);
	memcpy(info + 1, &cap, sizeof(cap));
	memcpy((char *)(info + 1) + sizeof(cap), &area, sizeof(area));
	return 0;
}

/* --- interrupts ------------------------------------------------------------------------------------------- */

static void fake_vfio_irqs_clear(struct fake_vfio *fv, unsigned int index)
{
	for (unsigned int i = 0; i < fv->enabled[index]; i++)
		close(fv->fds[index][i]);
	fv->enabled[index] = 0;
	if (index == VFIO_PCI_INTX_IRQ_INDEX && fv->unmask >= 0)
		close(TAKE_FD(fv->unmask));
}

/* What ends an interrupt of the pin: only of one that is on. */
static int fake_vfio_set_unmask(struct fake_vfio *fv, const struct vfio_irq_set *set)
{
	int fd;

	if (set->index != VFIO_PCI_INTX_IRQ_INDEX || set->count != 1 || !fv->enabled[set->index])
		return -EINVAL;
	memcpy(&fd, set->data, sizeof(fd));
	fv->unmask = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	return 0;
}

static int fake_vfio_set_irqs(struct fake_vfio *fv, const struct vfio_irq_set *set)
{
	const int *fds = (const void *)set->data;
	bool one = set->index <= VFIO_PCI_MSIX_IRQ_INDEX;

	assert_true(set->index < VFIO_PCI_NUM_IRQS);
	assert_int_equal(set->start, 0);
	if (set->flags & VFIO_IRQ_SET_DATA_NONE) {
		fake_vfio_irqs_clear(fv, set->index);
		return 0;
	}
	if (set->flags == (VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_UNMASK))
		return fake_vfio_set_unmask(fv, set);
	assert_int_equal(set->flags, VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER);
	assert_int_equal(set->argsz, sizeof(*set) + set->count * sizeof(int));
	if (!set->count || set->count > fv->irq_count[set->index])
		return -EINVAL;
	/* one of them at a time, as the kernel has it; and not twice without an end in between */
	for (unsigned int i = VFIO_PCI_INTX_IRQ_INDEX; i <= VFIO_PCI_MSIX_IRQ_INDEX; i++)
		assert_false(one && fv->enabled[i]);
	if (one && fv->irqs_max && set->count > fv->irqs_max)
		return (int)fv->irqs_max;
	for (unsigned int i = 0; i < set->count; i++)
		fv->fds[set->index][i] = fcntl(fds[i], F_DUPFD_CLOEXEC, 0);
	fv->enabled[set->index] = set->count;
	return 0;
}

static int fake_vfio_irq_info(const struct fake_vfio *fv, struct vfio_irq_info *info)
{
	if (info->index >= VFIO_PCI_NUM_IRQS)
		return -EINVAL;
	info->count = fv->irq_count[info->index];
	info->flags = VFIO_IRQ_INFO_EVENTFD;
	return 0;
}

void fake_vfio_interrupt(struct fake_vfio *fv, unsigned int index, unsigned int vector)
{
	uint64_t one = 1;

	assert_true(vector < fv->enabled[index]);
	assert_int_equal(write(fv->fds[index][vector], &one, sizeof(one)), sizeof(one));
}

/* --- memory ----------------------------------------------------------------------------------------------- */

static int fake_vfio_map(struct fake_vfio *fv, uint64_t iova, uint64_t size, uint64_t host)
{
	assert_true(fv->nmaps < FAKE_VFIO_MAPS);
	for (unsigned int i = 0; i < fv->nmaps; i++)
		if (iova < fv->maps[i].iova + fv->maps[i].size && fv->maps[i].iova < iova + size)
			return -EEXIST;
	fv->maps[fv->nmaps++] = (struct fake_vfio_map){ .iova = iova, .size = size, .host = host };
	return 0;
}

/* As the kernel has it: what was mapped at once, whole. */
static int fake_vfio_unmap(struct fake_vfio *fv, uint64_t iova, uint64_t size)
{
	for (unsigned int i = 0; i < fv->nmaps; i++)
		if (fv->maps[i].iova == iova && fv->maps[i].size == size) {
			fv->maps[i] = fv->maps[--fv->nmaps];
			return 0;
		}
	return -ENOENT;
}

/* --- reset of the bus ----------------------------------------------------------------------------------- */

static int fake_vfio_hot_info(const struct fake_vfio *fv, struct vfio_pci_hot_reset_info *info)
{
	if (!fv->nhot)
		return -ENODEV;
	info->count = fv->nhot;
	info->flags = fv->cdev ? 1u | (fv->hot_owned ? VFIO_ABI_HOT_RESET_DEV_ID_OWNED : 0) : 0;
	if (info->argsz < sizeof(*info) + fv->nhot * sizeof(fv->hot[0]))
		return -ENOSPC;
	memcpy(info->devices, fv->hot, fv->nhot * sizeof(fv->hot[0]));
	return 0;
}

/* As the kernel has it: each group once, by descriptors that prove that the caller has them. */
static int fake_vfio_hot_reset(struct fake_vfio *fv, const struct vfio_pci_hot_reset *set)
{
	char one[64], two[64];

	if (set->argsz != sizeof(*set) + set->count * sizeof(set->group_fds[0]) || set->flags)
		return -EINVAL;
	if (fv->cdev ? set->count || !fv->hot_owned : set->count != 1)
		return -EINVAL;
	if (set->count) {
		fake_vfio_file(set->group_fds[0], one);
		fake_vfio_file(fv->group, two);
		assert_string_equal(one, two);
	}
	for (unsigned int i = 0; i <= VFIO_PCI_MSIX_IRQ_INDEX; i++)
		assert_int_equal(fv->enabled[i], 0);
	fv->hot_resets++;
	return 0;
}

/* --- requests ----------------------------------------------------------------------------------------------- */

static int fake_vfio_device_ioctl(struct fake_vfio *fv, int fd, unsigned long request, void *arg)
{
	struct vfio_device_info *info = arg;
	struct iommufd_abi_device_bind *bind = arg;

	switch (request) {
	case IOMMUFD_ABI_DEVICE_BIND:
		if (!fv->cdev || fv->bound_to >= 0)
			return -EINVAL;
		fv->bound_to = bind->iommufd;
		return 0;
	case IOMMUFD_ABI_DEVICE_ATTACH:
		fv->attached = fv->bound_to >= 0;
		return fv->attached ? 0 : -EINVAL;
	case VFIO_DEVICE_GET_INFO:
		info->flags = fv->device_flags;
		info->num_regions = VFIO_PCI_NUM_REGIONS;
		info->num_irqs = VFIO_PCI_NUM_IRQS;
		return 0;
	case VFIO_DEVICE_GET_REGION_INFO:
		return fake_vfio_region_info(fv, arg);
	case VFIO_DEVICE_GET_IRQ_INFO:
		return fake_vfio_irq_info(fv, arg);
	case VFIO_DEVICE_SET_IRQS:
		return fd == fv->sibling ? 0 : fake_vfio_set_irqs(fv, arg);
	case VFIO_DEVICE_RESET:
		fv->resets++;
		return 0;
	case VFIO_DEVICE_GET_PCI_HOT_RESET_INFO:
		return fake_vfio_hot_info(fv, arg);
	case VFIO_DEVICE_PCI_HOT_RESET:
		return fake_vfio_hot_reset(fv, arg);
	default:
		return -ENOTTY;
	}
}

static int fake_vfio_group_ioctl(struct fake_vfio *fv, unsigned long request, void *arg)
{
	struct vfio_group_status *status = arg;

	switch (request) {
	case VFIO_GROUP_GET_STATUS:
		status->flags = fv->viable ? VFIO_GROUP_FLAGS_VIABLE : 0;
		return 0;
	case VFIO_GROUP_SET_CONTAINER:
		if (fv->in_container)
			return -EBUSY;
		fv->in_container = true;
		return 0;
	case VFIO_GROUP_GET_DEVICE_FD:
		assert_true(fv->has_iommu);
		if (!strcmp(arg, FAKE_VFIO_HOST))
			return fv->device < 0 ? fv->device = fake_vfio_fd("device") : -EBUSY;
		if (!strcmp(arg, FAKE_VFIO_SIBLING))
			return fv->sibling < 0 ? fv->sibling = fake_vfio_fd("sibling") : -EBUSY;
		return -ENODEV;
	default:
		return -ENOTTY;
	}
}

static int fake_vfio_space_ioctl(struct fake_vfio *fv, unsigned long request, void *arg)
{
	const struct vfio_iommu_type1_dma_map *map = arg;
	const struct vfio_iommu_type1_dma_unmap *unmap = arg;
	const struct iommufd_abi_ioas_map *ioas_map = arg;
	struct iommufd_abi_ioas_alloc *alloc = arg;

	switch (request) {
	case VFIO_GET_API_VERSION:
		return VFIO_API_VERSION;
	case VFIO_IOMMU_MAP_DMA:
		assert_true(fv->has_iommu);
		return fake_vfio_map(fv, map->iova, map->size, map->vaddr);
	case VFIO_IOMMU_UNMAP_DMA:
		return fake_vfio_unmap(fv, unmap->iova, unmap->size);
	case IOMMUFD_ABI_IOAS_ALLOC:
		alloc->out_ioas_id = 7;
		return 0;
	case IOMMUFD_ABI_IOAS_MAP:
		assert_int_equal(ioas_map->ioas_id, 7);
		assert_true(fv->attached); /* else the kernel pins nothing yet */
		return fake_vfio_map(fv, ioas_map->iova, ioas_map->length, ioas_map->user_va);
	default:
		return -ENOTTY;
	}
}

static int fake_vfio_ioctl(const struct vfio_sys *s, int fd, unsigned long request, void *arg)
{
	struct fake_vfio *fv = fake_vfio_of(s);

	if (request == fv->fail_request && !fv->fail_after--)
		return -fv->fail_errno;
	if (fd == fv->device || fd == fv->sibling)
		return fake_vfio_device_ioctl(fv, fd, request, arg);
	if (request == VFIO_GROUP_GET_STATUS || request == VFIO_GROUP_SET_CONTAINER ||
	    request == VFIO_GROUP_GET_DEVICE_FD)
		return fake_vfio_group_ioctl(fv, request, arg);
	return fake_vfio_space_ioctl(fv, request, arg);
}

static int fake_vfio_ioctl_value(const struct vfio_sys *s, int fd, unsigned long request,
				 unsigned long value)
{
	struct fake_vfio *fv = fake_vfio_of(s);

	(void)fd;
	if (request == fv->fail_request && !fv->fail_after--)
		return -fv->fail_errno;
	if (request == VFIO_CHECK_EXTENSION)
		return value == VFIO_TYPE1v2_IOMMU;
	if (request != VFIO_SET_IOMMU)
		return -ENOTTY;
	if (!fv->in_container || value != VFIO_TYPE1v2_IOMMU)
		return -EINVAL;
	fv->has_iommu = true;
	return 0;
}

/* --- what the function is ----------------------------------------------------------------------------------- */

static void fake_vfio_put(struct fake_vfio *fv, unsigned int off, unsigned int size, uint64_t val)
{
	memcpy(fv->cfg + off, &val, size);
}

static void fake_vfio_region(struct fake_vfio *fv, unsigned int bar, uint64_t size, uint32_t flags,
			     uint32_t reg)
{
	struct fake_vfio_region *r = &fv->regions[bar];

	r->size = size;
	r->flags = flags | VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE;
	assert_int_equal(posix_memalign((void **)&r->mem, 4096, MAX(size, 4096ull)), 0);
	for (uint64_t i = 0; i < size; i++)
		r->mem[i] = (uint8_t)(bar + i);
	fake_vfio_put(fv, PCI_BASE_ADDRESS_0 + 4 * bar, 4, reg);
}

static void fake_vfio_header(struct fake_vfio *fv)
{
	fake_vfio_put(fv, PCI_VENDOR_ID, 4, 0x10ca8086);
	fake_vfio_put(fv, PCI_COMMAND, 4, (uint32_t)(PCI_STATUS_CAP_LIST | 0x8000) << 16);
	fake_vfio_put(fv, PCI_CLASS_REVISION, 4, 0x02000003);
	fv->cfg[PCI_HEADER_TYPE] = 0x80;
	fv->cfg[PCI_LATENCY_TIMER] = 0x40;
	fake_vfio_put(fv, PCI_SUBSYSTEM_VENDOR_ID, 4, 0x00011af4);
	fake_vfio_put(fv, PCI_ROM_ADDRESS, 4, 0xfffe0001);
	fv->cfg[PCI_CAPABILITY_LIST] = FAKE_VFIO_PM;
	fv->cfg[PCI_INTERRUPT_PIN] = 1;
	fake_vfio_region(fv, 0, 64 * KIB, VFIO_REGION_INFO_FLAG_MMAP,
			 PCI_BASE_ADDRESS_MEM_TYPE_64 | PCI_BASE_ADDRESS_MEM_PREFETCH);
	fake_vfio_region(fv, 2, 4 * KIB, 0, 0);
	fake_vfio_region(fv, 3, 32, 0, PCI_BASE_ADDRESS_SPACE_IO);
	fake_vfio_region(fv, 4, 16 * KIB, VFIO_REGION_INFO_FLAG_MMAP, 0);
	fv->regions[4].sparse_off = 4 * KIB;
	fv->regions[4].sparse_size = 8 * KIB;
}

void fake_vfio_add_rom(struct fake_vfio *fv, uint64_t size)
{
	struct fake_vfio_region *r = &fv->regions[PCI_ROM];

	*r = (struct fake_vfio_region){ .size = size, .flags = VFIO_REGION_INFO_FLAG_READ };
	assert_int_equal(posix_memalign((void **)&r->mem, 4096, MAX(size, 4096ull)), 0);
	for (uint64_t i = 0; i < size; i++)
		r->mem[i] = (uint8_t)(0x55 + i * 7);
}

static void fake_vfio_cap(struct fake_vfio *fv, unsigned int at, uint8_t id, unsigned int next)
{
	fv->cfg[at] = id;
	fv->cfg[at + 1] = (uint8_t)next;
}

static void fake_vfio_caps(struct fake_vfio *fv)
{
	fake_vfio_cap(fv, FAKE_VFIO_PM, PCI_CAP_ID_PM, FAKE_VFIO_MSI);
	fake_vfio_put(fv, FAKE_VFIO_PM + PCI_PM_PMC, 2, 0xc803);
	fake_vfio_cap(fv, FAKE_VFIO_MSI, PCI_CAP_ID_MSI, FAKE_VFIO_MSIX);
	fake_vfio_put(fv, FAKE_VFIO_MSI + PCI_MSI_FLAGS, 2, 0x0184);
	fake_vfio_cap(fv, FAKE_VFIO_MSIX, PCI_CAP_ID_MSIX, FAKE_VFIO_PCIE);
	fake_vfio_put(fv, FAKE_VFIO_MSIX + PCI_MSIX_FLAGS, 2, FAKE_VFIO_VECTORS - 1);
	fake_vfio_put(fv, FAKE_VFIO_MSIX + PCI_MSIX_TABLE, 4, 0x2000);
	fake_vfio_put(fv, FAKE_VFIO_MSIX + PCI_MSIX_PBA, 4, 0x3000);
	fake_vfio_cap(fv, FAKE_VFIO_PCIE, PCI_CAP_ID_EXP, FAKE_VFIO_VENDOR);
	fake_vfio_put(fv, FAKE_VFIO_PCIE + PCI_EXP_FLAGS, 2,
		      0x0102); /* endpoint with a slot, version 2 */
	fake_vfio_put(fv, FAKE_VFIO_PCIE + PCI_EXP_DEVCAP, 4, PCI_EXP_DEVCAP_FLR | 2);
	fake_vfio_put(fv, FAKE_VFIO_PCIE + PCI_EXP_DEVCTL, 2, 0x2810);
	fake_vfio_put(fv, FAKE_VFIO_PCIE + PCI_EXP_LNKCAP, 4, 0x00477c83);
	fake_vfio_put(fv, FAKE_VFIO_PCIE + PCI_EXP_DEVCAP2, 4, 0x000c081f);
	fake_vfio_cap(fv, FAKE_VFIO_VENDOR, PCI_CAP_ID_VNDR, FAKE_VFIO_AF);
	fake_vfio_put(fv, FAKE_VFIO_VENDOR + 2, 4, 0x11223306); /* 6 bytes */
	fake_vfio_cap(fv, FAKE_VFIO_AF, PCI_CAP_ID_AF, FAKE_VFIO_AGP);
	fake_vfio_put(fv, FAKE_VFIO_AF + 2, 2, 0x0306);
	fake_vfio_cap(fv, FAKE_VFIO_AGP, PCI_CAP_ID_AGP, 0);
	fake_vfio_put(fv, 0x100, 4, 0x14020001); /* AER */
	fake_vfio_put(fv, 0x140, 4, 0x18010010); /* SR-IOV */
	fake_vfio_put(fv, 0x180, 4, 0x19010003); /* DSN */
	fake_vfio_put(fv, 0x184, 8, 0x5254000102030405);
	fake_vfio_put(fv, 0x190, 4, 0x0001000b); /* VSEC of 16 bytes */
	fake_vfio_put(fv, 0x194, 4, 0x01000042);
	fake_vfio_put(fv, 0x198, 8, 0x1122334455667788);
}

void fake_vfio_init(struct fake_vfio *fv)
{
	*fv = (struct fake_vfio){
		.sys = { .ioctl = fake_vfio_ioctl,
			 .ioctl_value = fake_vfio_ioctl_value,
			 .pread = fake_vfio_pread,
			 .pwrite = fake_vfio_pwrite,
			 .mmap = fake_vfio_mmap,
			 .munmap = fake_vfio_munmap },
		.device_flags = VFIO_DEVICE_FLAGS_PCI | VFIO_DEVICE_FLAGS_RESET,
		.viable = true,
		.cfg_size = PCI_CFG_SIZE,
		.bound_to = -1,
		.unmask = -1,
		.irq_count = { 1, 4, FAKE_VFIO_VECTORS, 1, 1 },
	};
	fv->container = fake_vfio_fd("container");
	fv->group = fake_vfio_fd("group");
	fv->device = fv->sibling = -1;
	fv->iommu = fake_vfio_fd("iommu");
	fake_vfio_header(fv);
	fake_vfio_caps(fv);
}

void fake_vfio_fini(struct fake_vfio *fv)
{
	for (unsigned int i = 0; i < VFIO_PCI_NUM_IRQS; i++)
		fake_vfio_irqs_clear(fv, i);
	for (unsigned int i = 0; i < FAKE_VFIO_REGIONS; i++)
		free(fv->regions[i].mem);
	close(fv->container);
	close(fv->group);
	close(fv->iommu);
}

struct vfio_pci_cfg fake_vfio_cfg(struct fake_vfio *fv, const char *address)
{
	struct vfio_pci_cfg cfg = { .host = FAKE_VFIO_HOST,
				    .rom = true,
				    .group = 12,
				    .group_fd = -1,
				    .container_fd = -1,
				    .device_fd = -1,
				    .iommu_fd = -1 };

	memcpy(cfg.address, address, strlen(address) + 1);
	if (fv->cdev) {
		fv->device = fake_vfio_fd("device");
		cfg.device_fd = fv->device;
		cfg.iommu_fd = fcntl(fv->iommu, F_DUPFD_CLOEXEC, 0);
	} else {
		cfg.group_fd = fcntl(fv->group, F_DUPFD_CLOEXEC, 0);
		cfg.container_fd = fcntl(fv->container, F_DUPFD_CLOEXEC, 0);
	}
	return cfg;
}
