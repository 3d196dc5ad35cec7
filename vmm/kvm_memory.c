// SPDX-License-Identifier: MIT
/*
 * The memory slots of a VM (Linux Documentation/virt/kvm/api.rst, KVM_SET_USER_MEMORY_REGION): the guest's own memory
 * first, then what devices map.
 */
#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>

#include "lib/errcat.h"
#include "vmm/kvm.h"

/*
 * With more memory than this a thread pays: KVM with shadow page tables (in a host that is a guest, most of all) fills 10
 * bytes for each page of a slot, a third of a millisecond for a GiB and more.
 */
#define KVM_MAP_BESIDE GIB

static struct kvm_userspace_memory_region kvm_region(unsigned int slot, uint32_t flags,
						     uint64_t gpa, uint64_t size, void *host)
{
	return (struct kvm_userspace_memory_region){
		.slot = slot,
		.flags = flags,
		.guest_phys_addr = gpa,
		.memory_size = size,
		.userspace_addr = (uintptr_t)host,
	};
}

static int kvm_set_slot(struct kvm *k, unsigned int slot, uint32_t flags, uint64_t gpa,
			uint64_t size, void *host)
{
	struct kvm_userspace_memory_region region = kvm_region(slot, flags, gpa, size, host);

	return ioctl(k->vm_fd, KVM_SET_USER_MEMORY_REGION, &region) ? -errno : 0;
}

static int kvm_slot_take(struct kvm *k, uint32_t flags, uint64_t gpa, uint64_t size, void *host,
			 struct err *e)
{
	unsigned int slot;
	int r;

	for (slot = 0; slot < KVM_SLOTS_MAX && k->slots[slot]; slot++)
		;
	if (slot == KVM_SLOTS_MAX)
		return err_set(e, ENOSPC, "all %d memory slots are taken", KVM_SLOTS_MAX);
	r = kvm_set_slot(k, slot, flags, gpa, size, host);
	if (r < 0)
		return err_ret(e, r, "cannot map memory at 0x%llx", (unsigned long long)gpa);
	k->slots[slot] = true;
	return (int)slot;
}

int kvm_slot_add(struct kvm *k, uint64_t gpa, uint64_t size, void *host, struct err *e)
{
	return kvm_slot_take(k, 0, gpa, size, host, e);
}

int kvm_slot_add_rom(struct kvm *k, uint64_t gpa, uint64_t size, void *host, struct err *e)
{
	return kvm_slot_take(k, KVM_MEM_READONLY, gpa, size, host, e);
}

void kvm_slot_del(struct kvm *k, int slot)
{
	if (slot < 0 || slot >= KVM_SLOTS_MAX || !k->slots[slot])
		return;
	(void)kvm_set_slot(k, (unsigned int)slot, 0, 0, 0, NULL);
	k->slots[slot] = false;
}

int kvm_slot_log(struct kvm *k, int slot, uint64_t gpa, uint64_t size, void *host, bool on)
{
	return kvm_set_slot(k, (unsigned int)slot, on ? KVM_MEM_LOG_DIRTY_PAGES : 0, gpa, size,
			    host);
}

int kvm_slot_written(struct kvm *k, int slot, uint64_t *ret_bitmap)
{
	struct kvm_dirty_log log = { .slot = (uint32_t)slot, .dirty_bitmap = ret_bitmap };

	return ioctl(k->vm_fd, KVM_GET_DIRTY_LOG, &log) < 0 ? -errno : 0;
}

/* --- the guest's own memory ------------------------------------------------------------------------ */

static void kvm_map_add(struct kvm *k, uint32_t flags, uint64_t gpa, uint64_t size, void *host)
{
	struct kvm_mapping *m = &k->mapping;

	assert(m->n < ARRAY_SIZE(m->regions));
	k->slots[m->n] = true;
	m->regions[m->n] = kvm_region(m->n, flags, gpa, size, host);
	m->n++;
}

static void kvm_map_part(struct kvm *k, const struct gmem *g, const struct gmem_region *region,
			 uint64_t from, uint64_t to)
{
	kvm_map_add(k, 0, region->gpa + from, to - from, g->base + region->offset + from);
}

/* Where a display has its window, the guest has no memory: accesses exit. */
static void kvm_map_region(struct kvm *k, const struct gmem *g, const struct gmem_region *region)
{
	uint64_t end = GMEM_VGA_START + GMEM_VGA_SIZE;

	if (!g->vga || region->gpa || region->size <= end) {
		kvm_map_part(k, g, region, 0, region->size);
		return;
	}
	kvm_map_part(k, g, region, 0, GMEM_VGA_START);
	kvm_map_part(k, g, region, end, region->size);
}

int kvm_map(const struct kvm *k, struct err *e)
{
	const struct kvm_mapping *m = &k->mapping;

	for (unsigned int i = 0; i < m->n; i++)
		if (ioctl(k->vm_fd, KVM_SET_USER_MEMORY_REGION, &m->regions[i]))
			return err_set(e, ERR_KVM, "cannot give the VM its memory at 0x%llx: %s",
				       (unsigned long long)m->regions[i].guest_phys_addr,
				       strerror(errno));
	return 0;
}

/* Slots that come while the kernel's own chip is made cost 20 ms. */
bool kvm_maps_beside(uint64_t size, bool split)
{
	return split && size > KVM_MAP_BESIDE;
}

int kvm_map_list(struct kvm *k, const struct gmem *g, struct err *e)
{
	for (unsigned int i = 0; i < g->nregions; i++)
		kvm_map_region(k, g, &g->regions[i]);
	if (g->rom.base && kvm_has(k, KVM_CAP_READONLY_MEM) <= 0)
		return err_set(e, ERR_KVM,
			       "the host's KVM is too old for firmware: no KVM_CAP_READONLY_MEM");
	if (g->rom.base)
		kvm_map_add(k, KVM_MEM_READONLY, g->rom.gpa, g->rom.size, g->rom.base);
	return 0;
}
