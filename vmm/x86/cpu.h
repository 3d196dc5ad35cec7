/* SPDX-License-Identifier: MIT */
/* A vCPU's CPUID (cpuid.c) and its register state at boot (regs.c). */
#ifndef VMM_X86_CPU_H
#define VMM_X86_CPU_H

#include "lib/err.h"
#include "vmm/gmem.h"
#include "vmm/x86/boot.h"

struct kvm_cpuid2;

#define CPU_CPUID_MAX 256 /* entries */

struct cpu_topology {
	unsigned int vcpu, nvcpus; /* vcpu is also the APIC id */
	uint32_t tsc_khz;	   /* 0: not known */
	bool tsc_deadline;
};

/*
 * What this host's KVM can give a vCPU, once a machine. To ask takes long: the kernel executes CPUID for each leaf, and
 * on a host that is a guest itself each of these is an exit to its hypervisor. So vmd asks once and hands a file to all:
 * a struct kvm_cpuid2 with nent entries and nothing behind them. ERR_RPC_PARAMS when it is anything else.
 */
struct cpu_support {
	struct kvm_cpuid2 *cpuid; /* owned; NULL: not asked yet */
	bool tsc_deadline;
};

/* take_list_fd: that file; -1: ask KVM */
int cpu_support_get(struct cpu_support *s, int kvm_fd, int take_list_fd, struct err *e);
void cpu_support_fini(struct cpu_support *s); /* also of what is all zero */

/*
 * What KVM_GET_SUPPORTED_CPUID said becomes the CPUID of one vCPU; c has room for CPU_CPUID_MAX entries.
 * -E2BIG when they are not enough. The part of cpu_set_cpuid that needs no KVM.
 */
int cpu_edit_cpuid(struct kvm_cpuid2 *c, const struct cpu_topology *t);
/*
 * CPUID of one vCPU from what is supported: APIC id and topology (leaves 1, 4, 0xb, 0x1f,
 * 0x8000001e, 0x80000008: one socket, one thread a core), x2APIC, hypervisor bit, kvm-clock leaves
 * (0x40000000, 0x40000001). On a host whose TSC is invariant (0x80000007) also what builds on that: the TSC
 * deadline timer, the TSC's frequency (0x15) where KVM knows it, and kvm-clock's stable bit.
 */
int cpu_set_cpuid(const struct cpu_support *s, int vcpu_fd, unsigned int vcpu, unsigned int nvcpus,
		  struct err *e);
/* How many bits its physical addresses have (leaf 0x80000008), 36 where it is not known */
unsigned int cpu_phys_bits(const struct cpu_support *s);
/* GDT and page tables in guest memory, once a boot. */
int cpu_write_tables(const struct gmem *g, const struct boot_entry *entry, struct err *e);
/*
 * Registers, MSRs, FPU, LAPIC and MP state. The boot processor (0) at the kernel's entry as its protocol
 * wants it, at the reset vector, or where a guest wakes up; the others uninitialized, waiting for INIT and
 * SIPI. fresh: KVM has just made the vCPU, so that it has what is the same for all of them after RESET; else it
 * is put back (reset).
 */
int cpu_reset(int vcpu_fd, unsigned int vcpu, const struct boot_entry *entry, bool fresh,
	      struct err *e);

#endif
