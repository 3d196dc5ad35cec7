// SPDX-License-Identifier: MIT
/*
 * A vCPU's registers at boot and after a reset. The state after RESET: Intel SDM vol. 3A, table 9-1; the
 * boot processor at a kernel's entry: Linux Documentation/arch/x86/boot.rst, "64-bit Boot Protocol", or
 * Xen docs/misc/pvh.pandoc; at a waking vector: ACPI 6.4, section 5.2.10. On the control loop while the vCPU does not run.
 */
#include <errno.h>
#include <linux/kvm.h>
#include <string.h>
#include <sys/ioctl.h>

#include "lib/errcat.h"
#include "vmm/x86/cpu.h"
#include "vmm/x86/map.h"

#define REGS_CS 0x10 /* __BOOT_CS */
#define REGS_DS 0x18 /* __BOOT_DS */
#define REGS_TSS 0x20

#define REGS_CR0_PE BIT64(0)
#define REGS_CR0_ET BIT64(4)
#define REGS_CR0_NE BIT64(5)
#define REGS_CR0_NW BIT64(29)
#define REGS_CR0_CD BIT64(30)
#define REGS_CR0_PG BIT64(31)
#define REGS_CR4_PAE BIT64(5)
#define REGS_EFER_LME BIT64(8)
#define REGS_EFER_LMA BIT64(10)

#define REGS_PTE_PRESENT BIT64(0)
#define REGS_PTE_WRITE BIT64(1)
#define REGS_PTE_LARGE BIT64(7)

#define REGS_APIC_BASE_ENABLE BIT64(11)
#define REGS_APIC_BASE_BSP BIT64(8)

#define REGS_RFLAGS 2 /* bit 1 is always set */

enum {
	/* register offsets in the LAPIC page: SDM vol. 3A, table 11-1 */
	REGS_LAPIC_ID = 0x20,
	REGS_LAPIC_VERSION = 0x30,
	REGS_LAPIC_DFR = 0xe0,
	REGS_LAPIC_SVR = 0xf0,
	REGS_LAPIC_LVT_CMCI = 0x2f0,
	REGS_LAPIC_LVT_TIMER = 0x320, /* thermal, counters, LINT0, LINT1, error follow */
	REGS_LAPIC_LVT_LINT0 = 0x350,
	REGS_LAPIC_LVT_LINT1 = 0x360,
	REGS_LAPIC_LVT_ERROR = 0x370,

	REGS_LAPIC_MASKED = 0x10000,
	REGS_LAPIC_EXTINT = 0x700,
	REGS_LAPIC_NMI = 0x400,
};

/* --- tables in guest memory ------------------------------------------------------------------- */

static int regs_write_gdt(const struct gmem *g, bool long_mode)
{
	const uint64_t gdt[] = {
		0,
		0,
		long_mode ? 0x00af9b000000ffff : 0x00cf9b000000ffff, /* REGS_CS: code, flat */
		0x00cf93000000ffff,				     /* REGS_DS: data, flat */
		0x00008b0000000067,				     /* REGS_TSS */
		0, /* its upper half in long mode */
	};

	return gmem_write(g, MAP_GDT, gdt, sizeof(gdt));
}

/* Identity map of the first 4 GiB: a PML4, a PDPT and four directories of 2 MiB pages. */
static int regs_write_page_tables(const struct gmem *g)
{
	uint64_t *t = gmem_ptr(g, MAP_PAGE_TABLES, 6 * 4096ull);
	const uint64_t flags = REGS_PTE_PRESENT | REGS_PTE_WRITE;
	uint64_t *pdpt, *pd;

	if (!t)
		return -EFAULT;
	pdpt = t + 512;
	pd = pdpt + 512;
	memset(t, 0, 2 * 4096);
	t[0] = (MAP_PAGE_TABLES + 0x1000) | flags;
	for (unsigned int i = 0; i < 4; i++)
		pdpt[i] = (MAP_PAGE_TABLES + 0x2000 + i * 0x1000ull) | flags;
	for (uint64_t i = 0; i < 4 * 512; i++)
		pd[i] = i << 21 | flags | REGS_PTE_LARGE;
	return 0;
}

int cpu_write_tables(const struct gmem *g, const struct boot_entry *entry, struct err *e)
{
	bool long_mode = entry->protocol == BOOT_LINUX64;
	int r;

	if (entry->protocol == BOOT_RESET_VECTOR)
		return 0;
	r = regs_write_gdt(g, long_mode);
	if (r == 0 && long_mode)
		r = regs_write_page_tables(g);
	if (r < 0)
		return err_set(e, ERR_MEMORY, "the guest has too little memory for boot tables");
	return 0;
}

/* --- segments and control registers ------------------------------------------------------------- */

static struct kvm_segment regs_flat(uint16_t selector, bool code, bool long_mode)
{
	return (struct kvm_segment){
		.selector = selector,
		.limit = 0xffffffff,
		.type = code ? 0xb : 0x3, /* accessed */
		.present = 1,
		.s = 1,
		.g = 1,
		.db = !(code && long_mode),
		.l = code && long_mode,
	};
}

static void regs_boot_sregs(struct kvm_sregs *s, const struct boot_entry *entry)
{
	bool long_mode = entry->protocol == BOOT_LINUX64;

	s->cs = regs_flat(REGS_CS, true, long_mode);
	s->ds = s->es = s->fs = s->gs = s->ss = regs_flat(REGS_DS, false, long_mode);
	s->tr = (struct kvm_segment){
		.selector = REGS_TSS, .limit = 0x67, .type = 0xb, .present = 1
	};
	s->gdt.base = MAP_GDT;
	s->gdt.limit = 6 * 8 - 1;
	s->cr0 = REGS_CR0_PE | REGS_CR0_ET | REGS_CR0_NE;
	if (long_mode) {
		s->cr0 |= REGS_CR0_PG;
		s->cr3 = MAP_PAGE_TABLES;
		s->cr4 = REGS_CR4_PAE;
		s->efer = REGS_EFER_LME | REGS_EFER_LMA;
	}
}

/* Real mode at the reset vector, as RESET and INIT leave it. */
static void regs_reset_sregs(struct kvm_sregs *s)
{
	const struct kvm_segment data = { .limit = 0xffff, .type = 0x3, .present = 1, .s = 1 };

	s->ds = s->es = s->fs = s->gs = s->ss = data;
	s->cs = data;
	s->cs.base = 0xffff0000;
	s->cs.selector = 0xf000;
	s->cs.type = 0xb;
	s->tr = (struct kvm_segment){ .limit = 0xffff, .type = 0xb, .present = 1 };
	s->gdt.limit = 0xffff;
	s->cr0 = REGS_CR0_ET | REGS_CR0_NW | REGS_CR0_CD;
}

/* What firmware leaves: caches on. CS:IP is the vector's paragraph and the rest. */
static void regs_wake_sregs(struct kvm_sregs *s, const struct boot_entry *entry)
{
	regs_reset_sregs(s);
	s->cs.base = entry->rip & ~0xfull;
	s->cs.selector = (uint16_t)(entry->rip >> 4);
	s->cr0 = REGS_CR0_ET;
}

/* The boot processor's. */
static void regs_entry_sregs(struct kvm_sregs *s, const struct boot_entry *entry)
{
	if (entry->protocol == BOOT_WAKE_REAL) {
		regs_wake_sregs(s, entry);
		return;
	}
	regs_boot_sregs(s, entry);
	/* where the GDT was is the guest's memory by now */
	if (entry->protocol == BOOT_WAKE_PROTECTED)
		s->gdt = (struct kvm_dtable){ 0 };
}

static int regs_set_sregs(int fd, unsigned int vcpu, const struct boot_entry *entry, struct err *e)
{
	struct kvm_sregs s = { .idt.limit = 0xffff };

	s.ldt = (struct kvm_segment){ .limit = 0xffff, .type = 0x2, .present = 1 };
	s.apic_base = GMEM_LAPIC_BASE | REGS_APIC_BASE_ENABLE;
	if (vcpu == 0)
		s.apic_base |= REGS_APIC_BASE_BSP;
	if (vcpu == 0 && entry->protocol != BOOT_RESET_VECTOR)
		regs_entry_sregs(&s, entry);
	else
		regs_reset_sregs(&s);
	if (ioctl(fd, KVM_SET_SREGS, &s) < 0)
		return err_errno(e, "KVM_SET_SREGS of vCPU %u", vcpu);
	return 0;
}

static void regs_entry_regs(struct kvm_regs *r, const struct boot_entry *entry)
{
	bool wakes = entry->protocol == BOOT_WAKE_REAL || entry->protocol == BOOT_WAKE_PROTECTED;

	r->rip = entry->protocol == BOOT_WAKE_REAL ? entry->rip & 0xf : entry->rip;
	if (!wakes)
		r->rsp = r->rbp = MAP_BOOT_STACK;
	if (entry->protocol == BOOT_LINUX64)
		r->rsi = entry->param;
	else if (entry->protocol == BOOT_PVH)
		r->rbx = entry->param;
}

static int regs_set_regs(int fd, unsigned int vcpu, const struct boot_entry *entry, struct err *e)
{
	struct kvm_regs r = { .rflags = REGS_RFLAGS, .rip = 0xfff0 };

	if (vcpu == 0 && entry->protocol != BOOT_RESET_VECTOR)
		regs_entry_regs(&r, entry);
	if (ioctl(fd, KVM_SET_REGS, &r) < 0)
		return err_errno(e, "KVM_SET_REGS of vCPU %u", vcpu);
	return 0;
}

/* --- FPU, debug registers, pending events -------------------------------------------------------- */

static int regs_reset_fpu(int fd, struct err *e)
{
	/* FCW, MXCSR and XSTATE_BV = x87 and SSE; a component that is not there gets its initial state */
	struct kvm_xsave x = { .region = { [0] = 0x37f, [6] = 0x1f80, [128] = 3 } };
	struct kvm_xcrs xcrs = { 0 };

	if (ioctl(fd, KVM_SET_XSAVE, &x) < 0)
		return err_errno(e, "KVM_SET_XSAVE");
	if (ioctl(fd, KVM_GET_XCRS, &xcrs) < 0 || xcrs.nr_xcrs == 0)
		return 0; /* a host without XSAVE */
	xcrs = (struct kvm_xcrs){ .nr_xcrs = 1, .xcrs = { { .xcr = 0, .value = 1 } } };
	if (ioctl(fd, KVM_SET_XCRS, &xcrs) < 0)
		return err_errno(e, "KVM_SET_XCRS");
	return 0;
}

static int regs_reset_events(int fd, struct err *e)
{
	struct kvm_debugregs d = { .dr6 = 0xffff0ff0, .dr7 = 0x400 };
	/* Nothing injected, pending, blocked or latched; not in SMM */
	struct kvm_vcpu_events ev = { .flags = KVM_VCPUEVENT_VALID_NMI_PENDING |
					       KVM_VCPUEVENT_VALID_SIPI_VECTOR |
					       KVM_VCPUEVENT_VALID_SHADOW |
					       KVM_VCPUEVENT_VALID_SMM };

	if (ioctl(fd, KVM_SET_DEBUGREGS, &d) < 0)
		return err_errno(e, "KVM_SET_DEBUGREGS");
	if (ioctl(fd, KVM_SET_VCPU_EVENTS, &ev) < 0)
		return err_errno(e, "KVM_SET_VCPU_EVENTS");
	return 0;
}

/* --- MSRs ------------------------------------------------------------------------------------- */

struct regs_msr {
	uint32_t index, count; /* count registers from index on get the value */
	uint64_t value;
};

/*
 * The values after RESET, but for MISC_ENABLE and the MTRRs, which firmware would set. What the host's KVM does
 * not know is left out. While MTRRs are on and a device is passed through, KVM acts on each that is written, and
 * warns in the host's log of an empty one.
 */
static const struct regs_msr regs_msrs[] = {
	{ 0x000001a0, 1, 1 },		       /* IA32_MISC_ENABLE: fast strings */
	{ 0x000002ff, 1, 0 },		       /* IA32_MTRR_DEF_TYPE: off while they change */
	{ 0x00000200, 16, 0 },		       /* variable MTRRs */
	{ 0x00000250, 1, 0 },		       /* fixed MTRRs, off */
	{ 0x00000258, 2, 0 },		       /* … */
	{ 0x00000268, 8, 0 },		       /* … */
	{ 0x000002ff, 1, 0x806 },	       /* IA32_MTRR_DEF_TYPE: on, write-back */
	{ 0x00000277, 1, 0x0007040600070406 }, /* IA32_PAT */
	{ 0x00000010, 1, 0 },		       /* IA32_TSC */
	{ 0x000006e0, 1, 0 },		       /* IA32_TSC_DEADLINE */
	{ 0x00000174, 3, 0 },		       /* IA32_SYSENTER_CS, _ESP, _EIP */
	{ 0xc0000081, 4, 0 },		       /* STAR, LSTAR, CSTAR, SYSCALL_MASK */
	{ 0xc0000102, 2, 0 },		       /* KERNEL_GS_BASE, TSC_AUX */
	{ 0x00000048, 1, 0 },		       /* IA32_SPEC_CTRL */
	{ 0x00000da0, 1, 0 },		       /* IA32_XSS */
	{ 0x4b564d00, 5,
	  0 }, /* kvm-clock's wall clock and time, async page fault, steal time, EOI */
	{ 0x4b564d05, 1, 1 }, /* halt polling by the host */
	{ 0x4b564d06, 1, 0 }, /* async page fault vector */
};

#define REGS_MSRS_MAX 64

static int regs_set_msrs(int fd, unsigned int vcpu, struct err *e)
{
	/* struct kvm_msrs and its entries */
	_Alignas(8) uint8_t
		buf[sizeof(struct kvm_msrs) + REGS_MSRS_MAX * sizeof(struct kvm_msr_entry)] = { 0 };
	struct kvm_msrs *batch = (struct kvm_msrs *)buf;
	struct kvm_msr_entry all[REGS_MSRS_MAX];
	uint32_t n = 0, done = 0;

	for (size_t i = 0; i < ARRAY_SIZE(regs_msrs); i++)
		for (uint32_t k = 0; k < regs_msrs[i].count && n < REGS_MSRS_MAX; k++)
			all[n++] = (struct kvm_msr_entry){ .index = regs_msrs[i].index + k,
							   .data = regs_msrs[i].value };
	/* KVM stops at the first that it does not know */
	while (done < n) {
		int r;

		batch->nmsrs = n - done;
		memcpy(batch->entries, all + done, (n - done) * sizeof(all[0]));
		r = ioctl(fd, KVM_SET_MSRS, batch);
		if (r < 0)
			return err_errno(e, "KVM_SET_MSRS of vCPU %u", vcpu);
		done += (uint32_t)r + 1;
	}
	return 0;
}

/* --- LAPIC ------------------------------------------------------------------------------------ */

static void regs_lapic_put(struct kvm_lapic_state *s, unsigned int reg, uint32_t v)
{
	memcpy(s->regs + reg, &v, sizeof(v));
}

/* After RESET; on the boot processor with LINT0 and LINT1 as firmware leaves them for the 8259. */
static int regs_reset_lapic(int fd, unsigned int vcpu, struct err *e)
{
	struct kvm_lapic_state old, s = { 0 };
	uint32_t version;

	if (ioctl(fd, KVM_GET_LAPIC, &old) < 0)
		return err_errno(e, "KVM_GET_LAPIC of vCPU %u", vcpu);
	memcpy(&version, old.regs + REGS_LAPIC_VERSION, sizeof(version));
	regs_lapic_put(&s, REGS_LAPIC_ID, vcpu << 24);
	regs_lapic_put(&s, REGS_LAPIC_VERSION, version);
	regs_lapic_put(&s, REGS_LAPIC_DFR, 0xffffffff);
	regs_lapic_put(&s, REGS_LAPIC_SVR, 0xff);
	regs_lapic_put(&s, REGS_LAPIC_LVT_CMCI, REGS_LAPIC_MASKED);
	for (unsigned int reg = REGS_LAPIC_LVT_TIMER; reg <= REGS_LAPIC_LVT_ERROR; reg += 0x10)
		regs_lapic_put(&s, reg, REGS_LAPIC_MASKED);
	if (vcpu == 0) {
		regs_lapic_put(&s, REGS_LAPIC_LVT_LINT0, REGS_LAPIC_EXTINT);
		regs_lapic_put(&s, REGS_LAPIC_LVT_LINT1, REGS_LAPIC_NMI);
	}
	if (ioctl(fd, KVM_SET_LAPIC, &s) < 0)
		return err_errno(e, "KVM_SET_LAPIC of vCPU %u", vcpu);
	return 0;
}

static int regs_set_mp_state(int fd, unsigned int vcpu, struct err *e)
{
	struct kvm_mp_state m = { .mp_state = vcpu == 0 ? KVM_MP_STATE_RUNNABLE
							: KVM_MP_STATE_UNINITIALIZED };

	if (ioctl(fd, KVM_SET_MP_STATE, &m) < 0)
		return err_errno(e, "KVM_SET_MP_STATE of vCPU %u", vcpu);
	return 0;
}

/* What a vCPU that KVM has just made has anyway: the state after RESET. */
static int regs_put_back(int fd, unsigned int vcpu, struct err *e)
{
	int r = regs_reset_fpu(fd, e);

	if (r == 0)
		r = regs_reset_events(fd, e);
	return r == 0 ? regs_set_mp_state(fd, vcpu, e) : r;
}

int cpu_reset(int vcpu_fd, unsigned int vcpu, const struct boot_entry *entry, bool fresh,
	      struct err *e)
{
	int r;

	/* The APIC base (sregs) decides how KVM reads the LAPIC page, so it comes before it */
	r = regs_set_sregs(vcpu_fd, vcpu, entry, e);
	if (r == 0)
		r = regs_set_regs(vcpu_fd, vcpu, entry, e);
	if (r == 0)
		r = regs_reset_lapic(vcpu_fd, vcpu, e);
	if (r == 0)
		r = regs_set_msrs(vcpu_fd, vcpu, e);
	if (r == 0 && !fresh)
		r = regs_put_back(vcpu_fd, vcpu, e);
	return r;
}
