/* SPDX-License-Identifier: MIT */
/*
 * One VM of /dev/kvm: memory slots, interrupt chip, routes, irqfds and ioeventfds
 * (Linux Documentation/virt/kvm/api.rst). Under machine.lock after kvm_init, except where noted.
 */
#ifndef VMM_KVM_H
#define VMM_KVM_H

#include <linux/kvm.h>

#include "lib/err.h"
#include "lib/log.h"
#include "vmm/board.h"
#include "vmm/gmem.h"

#define KVM_PINS 24	       /* IOAPIC pins: the GSIs below the MSI routes */
#define KVM_MSI_ROUTES_MAX 512 /* MSI and MSI-X vectors of all devices together */
#define KVM_SLOTS_MAX 256      /* memory slots: the guest's RAM first, then what devices map */

struct kvm_route {
	bool used;
	struct msi_msg msg; /* addr 0: nothing is sent */
};

/* The guest's own memory, as KVM is given it */
struct kvm_mapping {
	struct kvm_userspace_memory_region
		regions[4]; /* RAM to both sides of a window and above 4 GiB, a ROM */
	unsigned int n;
};

struct kvm {
	int fd;	   /* owned: /dev/kvm */
	int vm_fd; /* owned */
	bool split;
	unsigned int max_vcpus;
	size_t run_size; /* bytes of a vCPU's shared page(s) */
	const struct log *log;
	struct kvm_route pins[KVM_PINS]; /* split: level pins, for their EOI */
	struct kvm_route msis[KVM_MSI_ROUTES_MAX];
	unsigned int nmsis; /* used ones are below */
	struct log_limit log_limit;
	bool slots[KVM_SLOTS_MAX]; /* used ones */
	struct kvm_mapping mapping;
	int vfio_fd; /* owned: KVM's VFIO device; -1 until a device is passed through */
	/* in-kernel chip: the state of power-on */
	struct kvm_irqchip chips[3];
	struct kvm_pit_state2 pit;
};

/*
 * take_fd: /dev/kvm. take_vm_fd: what kvm_new_vm made of it, or -1. Makes the VM with g's memory and the interrupt chip:
 * split (LAPICs in the kernel, IOAPIC ours) or all in the kernel with PIC and PIT. Where kvm_maps_beside says so, the
 * memory is left to kvm_map. -ERR_KVM: what is missing.
 */
int kvm_init(struct kvm *k, int take_fd, int take_vm_fd, const struct gmem *g, bool split,
	     const struct log *log, struct err *e);
/* Do so many bytes take long enough to give them to KVM by a thread, beside what else a machine is made of? */
bool kvm_maps_beside(uint64_t size, bool split);
/* Give KVM the guest's memory, once, before a vCPU runs. Any thread. -ERR_KVM: what it refused. */
int kvm_map(const struct kvm *k, struct err *e);
/* Of kvm_init: what kvm_map is to give. */
int kvm_map_list(struct kvm *k, const struct gmem *g, struct err *e);
/* KVM_CHECK_EXTENSION */
int kvm_has(const struct kvm *k, int cap);
void kvm_fini(struct kvm *k);
/* A VM of KVM without anything in it: its descriptor. -ERR_KVM. */
int kvm_new_vm(int kvm_fd, struct err *e);
/* Open /dev/kvm, with a hint about what to do when it cannot be (standalone only). */
int kvm_open(struct err *e);

/* The in-kernel chip back to power-on; nothing for a split one. No vCPU runs. */
int kvm_irqchip_reset(struct kvm *k, struct err *e);
void kvm_irq_line(struct kvm *k, unsigned int gsi, bool level); /* in-kernel chip */
void kvm_signal_msi(struct kvm *k, const struct msi_msg *msg);
/* See board_ops. */
void kvm_ioapic_route(struct kvm *k, unsigned int pin, const struct msi_msg *msg, bool level);
int kvm_irqfd_attach(struct kvm *k, int eventfd, const struct msi_msg *msg, int *gsi,
		     struct err *e);
void kvm_irqfd_detach(struct kvm *k, int eventfd, int gsi);
void kvm_irqfd_release(struct kvm *k, int gsi);
/* In-kernel chip: see board_ops.level_irqfd. */
int kvm_level_irqfd(struct kvm *k, unsigned int gsi, int raise_fd, int ended_fd, bool assign,
		    struct err *e);
int kvm_ioeventfd(struct kvm *k, uint64_t addr, unsigned int size, int eventfd, bool assign,
		  struct err *e);
/* Pages of the monitor at a guest address: the slot's number. */
int kvm_slot_add(struct kvm *k, uint64_t gpa, uint64_t size, void *host, struct err *e);
/* The same without writes, which exit (KVM_CAP_READONLY_MEM, which a machine with firmware has). */
int kvm_slot_add_rom(struct kvm *k, uint64_t gpa, uint64_t size, void *host, struct err *e);
void kvm_slot_del(struct kvm *k, int slot);
/* Of one that was added with these: see board_ops.mem_log and mem_written. */
int kvm_slot_log(struct kvm *k, int slot, uint64_t gpa, uint64_t size, void *host, bool on);
int kvm_slot_written(struct kvm *k, int slot, uint64_t *ret_bitmap);
/* A VFIO group or device is (no longer) a part of the VM (Documentation/virt/kvm/devices/vfio.rst). */
int kvm_vfio_file(struct kvm *k, int fd, bool add, struct err *e);

#endif
