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
	int vfio_fd; /* owned: KVM's VFIO device; -1 until a device is passed through */
	/* in-kernel chip: the state of power-on */
	struct kvm_irqchip chips[3];
	struct kvm_pit_state2 pit;
};

/*
 * take_fd: /dev/kvm. Makes the VM with g's memory (slots first: the other order costs milliseconds) and
 * the interrupt chip: split (LAPICs in the kernel, IOAPIC ours) or all in the kernel with PIC and PIT.
 * -ERR_KVM: what is missing.
 */
int kvm_init(struct kvm *k, int take_fd, const struct gmem *g, bool split, const struct log *log,
	     struct err *e);
void kvm_fini(struct kvm *k);
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
