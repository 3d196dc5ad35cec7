// SPDX-License-Identifier: MIT
/* vmm/x86/cpuid.c by itself; regs.c on a vCPU of /dev/kvm where there is one. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib/errcat.h"
#include "vmm/x86/cpu.h"
#include "vmm/x86/map.h"
#include "tests/lib/skip.h"

#define RAM (2 * MIB)

/* --- cpuid ------------------------------------------------------------------------------------ */

#define MAX_BYTES (sizeof(struct kvm_cpuid2) + CPU_CPUID_MAX * sizeof(struct kvm_cpuid_entry2))

static struct kvm_cpuid2 *cpuid_host(bool amd)
{
	const struct kvm_cpuid_entry2 leaves[] = {
		{ .function = 0, .eax = 0x1f, .ebx = amd ? 0x68747541 : 0x756e6547 },
		{ .function = 1, .ebx = 0x07100800, .ecx = 0xffffffff, .edx = 0xffffffff },
		{ .function = 4, .index = 0, .eax = 0xfc004121 },
		{ .function = 4, .index = 1, .eax = 0xfc01c163 },
		{ .function = 4, .index = 2, .eax = 0 },
		{ .function = 0xb, .index = 0, .eax = 5, .ebx = 77, .edx = 77 },
		{ .function = 0x15, .eax = 2, .ebx = 200 },
		{ .function = 0x40000000, .eax = 0x40000001, .ebx = 0x4b4d564b },
		{ .function = 0x40000001, .eax = 0x01007efb },
		{ .function = 0x80000001, .ecx = 0xffffffff },
		{ .function = 0x80000007, .edx = 0x100 },
		{ .function = 0x80000008, .eax = 0x3028, .ecx = 0x700f },
		{ .function = 0x8000001e, .eax = 9, .ebx = 0x109, .ecx = 3 },
	};
	struct kvm_cpuid2 *c = calloc(1, MAX_BYTES);

	c->nent = ARRAY_SIZE(leaves);
	memcpy(c->entries, leaves, sizeof(leaves));
	return c;
}

static const struct kvm_cpuid_entry2 *cpuid_get(const struct kvm_cpuid2 *c, uint32_t function,
						uint32_t index)
{
	const struct kvm_cpuid_entry2 *found = NULL;

	for (uint32_t i = 0; i < c->nent; i++) {
		if (c->entries[i].function != function || c->entries[i].index != index)
			continue;
		assert_null(found); /* once */
		found = &c->entries[i];
	}
	assert_non_null(found);
	return found;
}

static void cpuid_topology(void **state)
{
	const struct cpu_topology t = { .vcpu = 5, .nvcpus = 6, .tsc_khz = 2500000 };
	struct kvm_cpuid2 *c = cpuid_host(false);
	const uint32_t leaves[] = { 0xb, 0x1f };

	(void)state;
	assert_int_equal(cpu_edit_cpuid(c, &t), 0);
	assert_int_equal(cpuid_get(c, 1, 0)->ebx, 0x05080800);
	assert_true(cpuid_get(c, 1, 0)->edx & BIT(28));
	for (size_t i = 0; i < ARRAY_SIZE(leaves); i++) {
		assert_int_equal(cpuid_get(c, leaves[i], 0)->eax, 0);
		assert_int_equal(cpuid_get(c, leaves[i], 0)->ebx, 1);
		assert_int_equal(cpuid_get(c, leaves[i], 0)->ecx, 0x100);
		assert_int_equal(cpuid_get(c, leaves[i], 1)->eax, 3);
		assert_int_equal(cpuid_get(c, leaves[i], 1)->ebx, 6);
		assert_int_equal(cpuid_get(c, leaves[i], 1)->ecx, 0x201);
		assert_int_equal(cpuid_get(c, leaves[i], 1)->edx, 5);
		assert_int_equal(cpuid_get(c, leaves[i], 2)->ecx, 2);
	}
	/* the first level is a core's own, the last is shared by the 8 ids of the package */
	assert_int_equal(cpuid_get(c, 4, 0)->eax, 0x1c000121);
	assert_int_equal(cpuid_get(c, 4, 1)->eax, 0x1c01c163);
	assert_int_equal(cpuid_get(c, 4, 2)->eax, 0);
	free(c);
}

static void cpuid_one_cpu(void **state)
{
	const struct cpu_topology t = { .vcpu = 0, .nvcpus = 1 };
	struct kvm_cpuid2 *c = cpuid_host(false);

	(void)state;
	assert_int_equal(cpu_edit_cpuid(c, &t), 0);
	assert_int_equal(cpuid_get(c, 1, 0)->ebx, 0x00010800);
	assert_false(cpuid_get(c, 1, 0)->edx & BIT(28));
	assert_int_equal(cpuid_get(c, 0xb, 1)->eax, 0);
	for (uint32_t i = 0; i < c->nent; i++)
		assert_int_not_equal(c->entries[i].function, 0x15);
	free(c);
}

static void cpuid_features(void **state)
{
	struct cpu_topology t = { .nvcpus = 2, .tsc_khz = 2500000, .tsc_deadline = true };
	struct kvm_cpuid2 *c = cpuid_host(false);
	const struct kvm_cpuid_entry2 *l;

	(void)state;
	assert_int_equal(cpu_edit_cpuid(c, &t), 0);
	l = cpuid_get(c, 1, 0);
	assert_true(l->ecx & BIT(21)); /* x2APIC */
	assert_true(l->ecx & BIT(24)); /* TSC deadline */
	assert_true(l->ecx & BIT(31)); /* hypervisor */
	assert_false(l->ecx & BIT(5)); /* VMX */
	assert_int_equal(cpuid_get(c, 0x40000000, 0)->ebx, 0x4b4d564b);
	assert_int_equal(cpuid_get(c, 0x40000001, 0)->eax, 0x01007efb);
	l = cpuid_get(c, 0x15, 0);
	assert_int_equal((uint64_t)l->ecx * l->ebx / l->eax, 2500000000ull);
	t.tsc_deadline = false;
	assert_int_equal(cpu_edit_cpuid(c, &t), 0);
	assert_false(cpuid_get(c, 1, 0)->ecx & BIT(24));
	free(c);
}

/* A TSC whose pace changes, or that stops: nobody may count on it, and KVM's clock is all that is left. */
static void cpuid_varying_tsc(void **state)
{
	const struct cpu_topology t = { .nvcpus = 2, .tsc_khz = 2500000, .tsc_deadline = true };
	const bool there[] = { true, false };

	(void)state;
	for (size_t k = 0; k < ARRAY_SIZE(there); k++) {
		struct kvm_cpuid2 *c = cpuid_host(false);

		for (uint32_t i = 0; i < c->nent; i++)
			if (c->entries[i].function == 0x80000007) {
				/* the leaf without the bit; or no such leaf */
				c->entries[i].edx = 0xfffffeff;
				if (!there[k])
					c->entries[i].function = 0x80000006;
			}
		assert_int_equal(cpu_edit_cpuid(c, &t), 0);
		assert_false(cpuid_get(c, 1, 0)->ecx & BIT(24));
		assert_int_equal(cpuid_get(c, 0x40000001, 0)->eax, 0x00007efb);
		for (uint32_t i = 0; i < c->nent; i++)
			assert_int_not_equal(c->entries[i].function, 0x15);
		free(c);
	}
}

static void cpuid_amd(void **state)
{
	const struct cpu_topology t = { .vcpu = 3, .nvcpus = 4 };
	struct kvm_cpuid2 *c = cpuid_host(true);

	(void)state;
	assert_int_equal(cpu_edit_cpuid(c, &t), 0);
	assert_int_equal(cpuid_get(c, 0x80000008, 0)->ecx, 0x2003);
	assert_int_equal(cpuid_get(c, 0x8000001e, 0)->eax, 3);
	assert_int_equal(cpuid_get(c, 0x8000001e, 0)->ebx, 3);
	assert_int_equal(cpuid_get(c, 0x8000001e, 0)->ecx, 0);
	assert_int_equal(cpuid_get(c, 0x80000001, 0)->ecx, 0xfffffffb);
	free(c);
}

static void cpuid_full(void **state)
{
	const struct cpu_topology t = { .nvcpus = 1 };
	struct kvm_cpuid2 *c = cpuid_host(false);

	(void)state;
	while (c->nent < CPU_CPUID_MAX)
		c->entries[c->nent++] = (struct kvm_cpuid_entry2){ .function = 0xd };
	assert_int_equal(cpu_edit_cpuid(c, &t), -E2BIG);
	free(c);
}

/* --- tables ----------------------------------------------------------------------------------- */

static void tables_identity(void **state)
{
	const struct boot_entry entry = { .protocol = BOOT_LINUX64 };
	uint8_t *ram = calloc(1, RAM);
	uint64_t pml4e, pdpte, pde, cs;
	struct err e;
	struct gmem g;

	(void)state;
	gmem_init_buffer(&g, ram, RAM);
	assert_int_equal(cpu_write_tables(&g, &entry, &e), 0);
	memcpy(&cs, ram + MAP_GDT + 0x10, 8);
	assert_int_equal(cs, 0x00af9b000000ffff);
	memcpy(&pml4e, ram + MAP_PAGE_TABLES, 8);
	memcpy(&pdpte, ram + (pml4e & ~0xfffull) + 3 * 8, 8);
	memcpy(&pde, ram + (pdpte & ~0xfffull) + 511 * 8, 8);
	assert_int_equal(pde, 0xffe00083);
	assert_true((pdpte & ~0xfffull) + 0x1000 <= 0xf000);
	gmem_fini(&g);
	gmem_init_buffer(&g, ram, 0x1000);
	assert_int_not_equal(cpu_write_tables(&g, &entry, &e), 0);
	gmem_fini(&g);
	free(ram);
}

/* --- registers -------------------------------------------------------------------------------- */

struct fixture {
	int kvm, vm, cpu[2];
	uint8_t *ram;
	struct kvm_run *run;
	size_t run_size;
	struct gmem g;
	struct err e;
};

static int regs_setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct kvm_userspace_memory_region r = { .memory_size = RAM };
	struct kvm_enable_cap split = { .cap = KVM_CAP_SPLIT_IRQCHIP, .args = { 24 } };
	struct cpu_support support;

	*state = f;
	f->kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (f->kvm < 0)
		return 0;
	f->ram = mmap(NULL, RAM, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_true(f->ram != MAP_FAILED);
	gmem_init_buffer(&f->g, f->ram, RAM);
	f->vm = ioctl(f->kvm, KVM_CREATE_VM, 0);
	assert_true(f->vm >= 0);
	r.userspace_addr = (uint64_t)f->ram;
	assert_int_equal(ioctl(f->vm, KVM_SET_USER_MEMORY_REGION, &r), 0);
	ioctl(f->vm, KVM_SET_TSS_ADDR, GMEM_KVM_TSS);
	assert_int_equal(ioctl(f->vm, KVM_ENABLE_CAP, &split), 0);
	assert_int_equal(cpu_support_get(&support, f->kvm, -1, &f->e), 0);
	for (unsigned int i = 0; i < 2; i++) {
		f->cpu[i] = ioctl(f->vm, KVM_CREATE_VCPU, i);
		assert_true(f->cpu[i] >= 0);
		assert_int_equal(cpu_set_cpuid(&support, f->cpu[i], i, 2, &f->e), 0);
	}
	cpu_support_fini(&support);
	f->run_size = (size_t)ioctl(f->kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
	f->run = mmap(NULL, f->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, f->cpu[0], 0);
	assert_true(f->run != MAP_FAILED);
	return 0;
}

static int regs_teardown(void **state)
{
	struct fixture *f = *state;

	if (f->kvm >= 0) {
		munmap(f->run, f->run_size);
		close(f->cpu[1]);
		close(f->cpu[0]);
		close(f->vm);
		close(f->kvm);
		gmem_fini(&f->g);
		munmap(f->ram, RAM);
	}
	free(f);
	return 0;
}

static void regs_reset_both(struct fixture *f, const struct boot_entry *entry, bool fresh)
{
	if (f->kvm < 0)
		SKIP_BECAUSE("no /dev/kvm");
	assert_int_equal(cpu_write_tables(&f->g, entry, &f->e), 0);
	for (unsigned int i = 0; i < 2; i++)
		if (cpu_reset(f->cpu[i], i, entry, fresh, &f->e) < 0)
			fail_msg("%s", f->e.msg);
}

static uint32_t regs_lapic(int fd, unsigned int reg)
{
	struct kvm_lapic_state s;
	uint32_t v;

	assert_int_equal(ioctl(fd, KVM_GET_LAPIC, &s), 0);
	memcpy(&v, s.regs + reg, sizeof(v));
	return v;
}

static uint64_t regs_msr(int fd, uint32_t index)
{
	union {
		struct kvm_msrs m;
		uint8_t room[sizeof(struct kvm_msrs) + sizeof(struct kvm_msr_entry)];
	} u = { .m = { .nmsrs = 1 } };

	u.m.entries[0].index = index;
	assert_int_equal(ioctl(fd, KVM_GET_MSRS, &u), 1);
	return u.m.entries[0].data;
}

static void regs_set_msr(int fd, uint32_t index, uint64_t value)
{
	union {
		struct kvm_msrs m;
		uint8_t room[sizeof(struct kvm_msrs) + sizeof(struct kvm_msr_entry)];
	} u = { .m = { .nmsrs = 1 } };

	u.m.entries[0].index = index;
	u.m.entries[0].data = value;
	assert_int_equal(ioctl(fd, KVM_SET_MSRS, &u), 1);
}

/* Runs code at the entry until its first OUT, whose value is returned. */
static uint32_t regs_run(struct fixture *f, const struct boot_entry *entry, const void *code,
			 size_t len)
{
	memcpy(f->ram + entry->rip, code, len);
	assert_int_equal(ioctl(f->cpu[0], KVM_RUN, 0), 0);
	assert_int_equal(f->run->exit_reason, KVM_EXIT_IO);
	assert_int_equal(f->run->io.port, 0xf4);
	return *(uint32_t *)((uint8_t *)f->run + f->run->io.data_offset);
}

static void regs_pvh(void **state)
{
	/* mov eax, ebx; out 0xf4, eax: in 16-bit code this would be another instruction length */
	static const uint8_t code[] = { 0x89, 0xd8, 0xe7, 0xf4 };
	const struct boot_entry entry = { BOOT_PVH, 0x100000, 0x12345678 };
	struct fixture *f = *state;
	struct kvm_sregs s;

	regs_reset_both(f, &entry, true);
	assert_int_equal(ioctl(f->cpu[0], KVM_GET_SREGS, &s), 0);
	assert_int_equal(s.cr0 & 0x80000001, 1);
	assert_int_equal(s.efer, 0);
	assert_int_equal(s.cs.db, 1);
	assert_int_equal(regs_run(f, &entry, code, sizeof(code)), 0x12345678);
}

static void regs_linux64(void **state)
{
	/* mov rax, rsi; shr rax, 32; out 0xf4, eax */
	static const uint8_t code[] = { 0x48, 0x89, 0xf0, 0x48, 0xc1, 0xe8, 0x20, 0xe7, 0xf4 };
	const struct boot_entry entry = { BOOT_LINUX64, 0x100000, 0x1234500007000 };
	struct fixture *f = *state;

	regs_reset_both(f, &entry, true);
	assert_int_equal(regs_run(f, &entry, code, sizeof(code)), 0x12345);
}

/* What cpu_reset puts back, and what it leaves to KVM when that has just made a vCPU. */
static void regs_expect_common(struct fixture *f)
{
	struct kvm_vcpu_events ev;
	struct kvm_debugregs d;
	struct kvm_xsave fpu;
	struct kvm_mp_state m;
	struct kvm_xcrs x;

	for (unsigned int i = 0; i < 2; i++) {
		assert_int_equal(ioctl(f->cpu[i], KVM_GET_XSAVE, &fpu), 0);
		assert_int_equal(fpu.region[0] & 0xffff, 0x37f);
		assert_int_equal(fpu.region[6], 0x1f80);
		if (!ioctl(f->cpu[i], KVM_GET_XCRS, &x) && x.nr_xcrs)
			assert_int_equal(x.xcrs[0].value, 1);
		assert_int_equal(ioctl(f->cpu[i], KVM_GET_DEBUGREGS, &d), 0);
		for (unsigned int k = 0; k < 4; k++)
			assert_int_equal(d.db[k], 0);
		assert_int_equal(d.dr6, 0xffff0ff0);
		assert_int_equal(d.dr7, 0x400);
		assert_int_equal(ioctl(f->cpu[i], KVM_GET_VCPU_EVENTS, &ev), 0);
		assert_int_equal(ev.exception.injected + ev.exception.pending, 0);
		assert_int_equal(ev.interrupt.injected + ev.interrupt.shadow, 0);
		assert_int_equal(ev.nmi.injected + ev.nmi.pending + ev.nmi.masked, 0);
		assert_int_equal(ev.smi.smm + ev.smi.pending, 0);
		assert_int_equal(ioctl(f->cpu[i], KVM_GET_MP_STATE, &m), 0);
		assert_int_equal(m.mp_state,
				 i ? KVM_MP_STATE_UNINITIALIZED : KVM_MP_STATE_RUNNABLE);
	}
}

static void regs_platform(void **state)
{
	const struct boot_entry entry = { BOOT_LINUX64, 0x100000, 0x7000 };
	struct fixture *f = *state;
	struct kvm_sregs s;

	regs_reset_both(f, &entry, true);
	assert_int_equal(regs_msr(f->cpu[0], 0x2ff), 0x806);
	assert_int_equal(regs_msr(f->cpu[0], 0x1a0) & 1, 1);
	assert_int_equal(regs_lapic(f->cpu[0], 0x350), 0x700);
	assert_int_equal(regs_lapic(f->cpu[0], 0x360), 0x400);
	assert_int_equal(regs_lapic(f->cpu[1], 0x350), 0x10000);
	assert_int_equal(regs_lapic(f->cpu[1], 0x20), 1 << 24);
	regs_expect_common(f);
	assert_int_equal(ioctl(f->cpu[1], KVM_GET_SREGS, &s), 0);
	assert_int_equal(s.apic_base, 0xfee00800);
	assert_int_equal(s.cr0 & 0x80000001, 0);
}

/* A vCPU that has been through a guest comes back as new. */
static void regs_used(void **state)
{
	static const uint8_t code[] = { 0x89, 0xd8, 0xe7, 0xf4 };
	const struct boot_entry linux64 = { BOOT_LINUX64, 0x100000, 0x7000 };
	const struct boot_entry pvh = { BOOT_PVH, 0x100000, 0x6000 };
	const uint32_t kept[] = { 0xc0000082, 0xc0000102, 0x174, 0x277, 0x4b564d01 };
	uint64_t before[ARRAY_SIZE(kept)];
	struct fixture *f = *state;
	struct kvm_debugregs d = { .db = { 1, 2, 3, 4 }, .dr6 = 0xffff0ff0, .dr7 = 0x401 };
	struct kvm_xsave fpu = { .region = { [0] = 0x27f, [6] = 0x1fa0, [128] = 3 } };
	struct kvm_mp_state m = { KVM_MP_STATE_RUNNABLE };

	regs_reset_both(f, &linux64, true);
	for (size_t i = 0; i < ARRAY_SIZE(kept); i++)
		before[i] = regs_msr(f->cpu[0], kept[i]);
	regs_run(f, &linux64, code, sizeof(code));
	/* x2APIC mode, a timer, a pending NMI, breakpoints, a clock page, another FPU mode */
	regs_set_msr(f->cpu[0], 0x1b, 0xfee00d00);
	regs_set_msr(f->cpu[0], 0x80f, 0x1ff);
	regs_set_msr(f->cpu[0], 0x832, 0x20030);
	regs_set_msr(f->cpu[0], 0xc0000082, 0xffffffff81000000);
	regs_set_msr(f->cpu[0], 0xc0000102, 0xffff888000000000);
	regs_set_msr(f->cpu[0], 0x174, 0x10);
	regs_set_msr(f->cpu[0], 0x277, 0x0407010600070106);
	regs_set_msr(f->cpu[0], 0x4b564d01, 0x3001);
	assert_int_equal(ioctl(f->cpu[0], KVM_NMI), 0);
	assert_int_equal(ioctl(f->cpu[0], KVM_SET_DEBUGREGS, &d), 0);
	assert_int_equal(ioctl(f->cpu[0], KVM_SET_XSAVE, &fpu), 0);
	assert_int_equal(ioctl(f->cpu[1], KVM_SET_MP_STATE, &m), 0);

	regs_reset_both(f, &pvh, false);
	assert_int_equal(regs_msr(f->cpu[0], 0x1b), 0xfee00900);
	assert_int_equal(regs_lapic(f->cpu[0], 0xf0), 0xff);
	assert_int_equal(regs_lapic(f->cpu[0], 0x320), 0x10000);
	for (size_t i = 0; i < ARRAY_SIZE(kept); i++)
		assert_int_equal(regs_msr(f->cpu[0], kept[i]), before[i]);
	regs_expect_common(f);
	assert_int_equal(regs_run(f, &pvh, code, sizeof(code)), 0x6000);
}

/* Where a guest wakes up: no stack, no tables, but the state after RESET, and a code segment. */
static void regs_wake(void **state)
{
	/* mov ax, cs; shl eax, 16; call the next; pop ax; out 0xf4, eax */
	static const uint8_t real[] = { 0x8c, 0xc8, 0x66, 0xc1, 0xe0, 0x10, 0xe8,
					0x00, 0x00, 0x58, 0x66, 0xe7, 0xf4 };
	/* mov eax, cr0; out 0xf4, eax */
	static const uint8_t protected[] = { 0x0f, 0x20, 0xc0, 0xe7, 0xf4 };
	const struct boot_entry linux64 = { BOOT_LINUX64, 0x100000, 0x7000 };
	const struct boot_entry wake = { BOOT_WAKE_REAL, 0x9a123, 0 };
	const struct boot_entry flat = { BOOT_WAKE_PROTECTED, 0x123456, 0 };
	struct fixture *f = *state;
	struct kvm_sregs s;

	regs_reset_both(f, &linux64, true);
	regs_set_msr(f->cpu[0], 0xc0000102, 0xffff888000000000);
	memset(f->ram + MAP_GDT, 0xee, 64);
	for (unsigned int i = 0; i < 2; i++)
		assert_int_equal(cpu_reset(f->cpu[i], i, &wake, false, &f->e), 0);
	regs_expect_common(f);
	assert_int_equal(regs_msr(f->cpu[0], 0xc0000102), 0);
	assert_int_equal(ioctl(f->cpu[0], KVM_GET_SREGS, &s), 0);
	assert_int_equal(s.cr0, 0x10);
	assert_int_equal(s.apic_base, 0xfee00900);
	assert_int_equal(ioctl(f->cpu[1], KVM_GET_SREGS, &s), 0);
	assert_int_equal(s.cs.selector, 0xf000);
	assert_int_equal(regs_run(f, &wake, real, sizeof(real)), 0x9a12000c);
	assert_int_equal(cpu_reset(f->cpu[0], 0, &flat, false, &f->e), 0);
	assert_int_equal(regs_run(f, &flat, protected, sizeof(protected)) & 0x80000001, 1);
	/* nothing was written where the guest has its own */
	assert_int_equal(f->ram[MAP_GDT + 0x10], 0xee);
}

#define REGS_TEST(f) cmocka_unit_test_setup_teardown(f, regs_setup, regs_teardown)

/* --- the list that vmd hands over -------------------------------------------------------------- */

/* A list that says nent, and has room bytes of entries; its support is taken with a KVM that cannot be asked. */
static int cpuid_given(uint32_t nent, size_t room, struct cpu_support *ret_support, struct err *e)
{
	static const struct kvm_cpuid_entry2 first[2] = { { .function = 0, .eax = 0x10 },
							  { .function = 1, .ecx = 5 } };
	const struct kvm_cpuid2 head = { .nent = nent };
	int fd = memfd_create("cpuid", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, &head, sizeof(head)), sizeof(head));
	assert_int_equal(write(fd, first, MIN(room, sizeof(first))), MIN(room, sizeof(first)));
	assert_int_equal(ftruncate(fd, (off_t)(sizeof(head) + room)), 0);
	return cpu_support_get(ret_support, -1, fd, e);
}

static void cpuid_list_is_checked(void **state)
{
	size_t one = sizeof(struct kvm_cpuid_entry2);
	const struct {
		uint32_t nent;
		size_t room;
	} bad[] = {
		{ 0, 0 },
		{ 1, 0 },
		{ 2, one },
		{ 1, 2 * one },
		{ 2, 2 * one - 1 },
		{ CPU_CPUID_MAX + 1, (CPU_CPUID_MAX + 1) * one },
		{ UINT32_MAX, 2 * one },
	};
	struct cpu_support support;
	struct err e;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(cpuid_given(bad[i].nent, bad[i].room, &support, &e),
				 ERR_RPC_PARAMS);
		assert_string_equal(e.msg, "'cpuid' is no list of CPUID leaves");
		assert_null(support.cpuid);
	}
	assert_int_equal(cpuid_given(2, 2 * one, &support, &e), 0);
	assert_int_equal(support.cpuid->nent, 2);
	assert_int_equal(support.cpuid->entries[1].ecx, 5);
	cpu_support_fini(&support);
	assert_int_equal(cpuid_given(CPU_CPUID_MAX, CPU_CPUID_MAX * one, &support, &e), 0);
	cpu_support_fini(&support);
}

static void cpuid_asked_in_vain(void **state)
{
	struct cpu_support support;
	struct err e;
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

	(void)state;
	assert_int_equal(cpu_support_get(&support, null, -1, &e), -ENOTTY);
	assert_non_null(strstr(e.msg, "KVM_GET_SUPPORTED_CPUID"));
	assert_null(support.cpuid);
	close(null);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cpuid_list_is_checked),
		cmocka_unit_test(cpuid_asked_in_vain),
		cmocka_unit_test(cpuid_topology),
		cmocka_unit_test(cpuid_one_cpu),
		cmocka_unit_test(cpuid_features),
		cmocka_unit_test(cpuid_varying_tsc),
		cmocka_unit_test(cpuid_amd),
		cmocka_unit_test(cpuid_full),
		cmocka_unit_test(tables_identity),
		REGS_TEST(regs_pvh),
		REGS_TEST(regs_linux64),
		REGS_TEST(regs_platform),
		REGS_TEST(regs_used),
		REGS_TEST(regs_wake),
	};

	return cmocka_run_group_tests_name("cpu", tests, NULL, NULL);
}
