/* SPDX-License-Identifier: MIT */
/* A vCPU's CPUID (cpuid.c) and its register state at boot (regs.c). */
#ifndef VMM_X86_CPU_H
#define VMM_X86_CPU_H

#include "lib/err.h"
#include "vmm/gmem.h"
#include "vmm/x86/boot.h"

/*
 * CPUID of one vCPU from KVM_GET_SUPPORTED_CPUID: APIC id and topology (leaves 1, 4, 0xb, 0x1f,
 * 0x8000001e, 0x80000008: one socket, one thread a core), x2APIC, TSC deadline timer, hypervisor bit,
 * kvm-clock leaves (0x40000000, 0x40000001), TSC frequency (0x15) where KVM knows it.
 */
int cpu_set_cpuid(int kvm_fd, int vcpu_fd, unsigned int vcpu, unsigned int nvcpus, struct err *e);
/* GDT and page tables in guest memory, once a boot. */
int cpu_write_tables(const struct gmem *g, const struct boot_entry *entry, struct err *e);
/*
 * Registers, MSRs, FPU, LAPIC and MP state. The boot processor (0) at the kernel's entry as its protocol
 * wants it; the others uninitialized, waiting for INIT and SIPI. Also puts a used vCPU back (reset).
 */
int cpu_reset(int vcpu_fd, unsigned int vcpu, const struct boot_entry *entry, struct err *e);

#endif
