// SPDX-License-Identifier: MIT
/*
 * CPUID: what KVM supports, with the topology of our machine: one package, one thread a core. Intel SDM
 * vol. 2A, "CPUID"; AMD APM vol. 3, appendix E; kvm-clock: Linux Documentation/virt/kvm/x86/cpuid.rst.
 * Nested virtualization is left out. On the control loop, before a vCPU first runs.
 *
 * Time: where the host's TSC goes at one pace in all states ("invariant", leaf 0x80000007), a guest may take it for a
 * clock. Elsewhere it gets kvm-clock alone, which KVM corrects, and no promise about the TSC: no deadline timer, no
 * frequency, no stable bit.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "lib/auto.h"
#include "lib/errcat.h"
#include "lib/fdio.h"
#include "vmm/x86/cpu.h"

#define CPUID_LAPIC_HZ 1000000000u /* KVM's LAPIC timer; Linux takes the crystal's rate for it */

#define CPUID_1_ECX_VMX BIT(5)
#define CPUID_1_ECX_X2APIC BIT(21)
#define CPUID_1_ECX_TSC_DEADLINE BIT(24)
#define CPUID_1_ECX_HYPERVISOR BIT(31)
#define CPUID_1_EDX_HTT BIT(28)
#define CPUID_KVM_EAX_CLOCK_STABLE BIT(24) /* KVM_FEATURE_CLOCKSOURCE_STABLE_BIT */
#define CPUID_80000001_ECX_CMP_LEGACY BIT(1)
#define CPUID_80000001_ECX_SVM BIT(2)
#define CPUID_80000007_EDX_INVARIANT_TSC BIT(8)

struct cpuid_ctx {
	const struct cpu_topology *t;
	unsigned int shift; /* bits of the APIC id that number the cores of the package */
	bool amd;
	bool invariant_tsc;
};

static struct kvm_cpuid_entry2 *cpuid_find(struct kvm_cpuid2 *c, uint32_t function)
{
	for (uint32_t i = 0; i < c->nent; i++)
		if (c->entries[i].function == function)
			return &c->entries[i];
	return NULL;
}

static bool cpuid_is_amd(struct kvm_cpuid2 *c)
{
	const struct kvm_cpuid_entry2 *leaf = cpuid_find(c, 0);

	/* "AuthenticAMD" and "HygonGenuine", by EBX */
	return leaf && (leaf->ebx == 0x68747541 || leaf->ebx == 0x6f677948);
}

static bool cpuid_has_invariant_tsc(struct kvm_cpuid2 *c)
{
	const struct kvm_cpuid_entry2 *leaf = cpuid_find(c, 0x80000007);

	return leaf && leaf->edx & CPUID_80000007_EDX_INVARIANT_TSC;
}

static uint32_t cpuid_max(struct kvm_cpuid2 *c)
{
	const struct kvm_cpuid_entry2 *leaf = cpuid_find(c, 0);

	return leaf ? leaf->eax : 0;
}

static void cpuid_remove(struct kvm_cpuid2 *c, uint32_t function)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < c->nent; i++)
		if (c->entries[i].function != function)
			c->entries[n++] = c->entries[i];
	c->nent = n;
}

static void cpuid_leaf1(struct kvm_cpuid_entry2 *l, const struct cpuid_ctx *x)
{
	l->ebx &= 0x0000ffff;
	l->ebx |= (x->t->vcpu & 0xff) << 24 | MIN(1u << x->shift, 255u) << 16;
	l->ecx &= ~CPUID_1_ECX_VMX;
	l->ecx |= CPUID_1_ECX_X2APIC | CPUID_1_ECX_HYPERVISOR;
	if (x->t->tsc_deadline && x->invariant_tsc)
		l->ecx |= CPUID_1_ECX_TSC_DEADLINE;
	else
		l->ecx &= ~CPUID_1_ECX_TSC_DEADLINE;
	l->edx &= ~CPUID_1_EDX_HTT;
	if (x->t->nvcpus > 1)
		l->edx |= CPUID_1_EDX_HTT;
}

/* Caches: Intel's leaf 4 and AMD's 0x8000001d. All cores share the last level, none the others. */
static void cpuid_cache(struct kvm_cpuid_entry2 *l, const struct cpuid_ctx *x)
{
	unsigned int level = l->eax >> 5 & 7;
	uint32_t sharing = level >= 3 ? (1u << x->shift) - 1 : 0;
	uint32_t cores = l->function == 4 ? MIN((1u << x->shift) - 1, 63u) : 0;

	if ((l->eax & 0x1f) == 0)
		return;
	l->eax &= 0x3fff;
	l->eax |= MIN(sharing, 0xfffu) << 14 | cores << 26;
}

static void cpuid_edit(struct kvm_cpuid_entry2 *l, const struct cpuid_ctx *x)
{
	switch (l->function) {
	case 1:
		cpuid_leaf1(l, x);
		break;
	case 4:
	case 0x8000001d:
		cpuid_cache(l, x);
		break;
	case 0x40000001:
		if (!x->invariant_tsc)
			l->eax &= ~CPUID_KVM_EAX_CLOCK_STABLE;
		break;
	case 0x80000001:
		l->ecx &= ~(CPUID_80000001_ECX_SVM | CPUID_80000001_ECX_CMP_LEGACY);
		if (x->amd && x->t->nvcpus > 1)
			l->ecx |= CPUID_80000001_ECX_CMP_LEGACY;
		break;
	case 0x80000008:
		if (x->amd)
			l->ecx = x->shift << 12 | MIN(x->t->nvcpus - 1, 0xffu);
		break;
	case 0x8000001e:
		l->eax = x->t->vcpu;
		l->ebx = x->t->vcpu & 0xff; /* core id, one thread */
		l->ecx = 0;		    /* node 0 of 1 */
		l->edx = 0;
		break;
	default:
		break;
	}
}

static int cpuid_add(struct kvm_cpuid2 *c, const struct kvm_cpuid_entry2 *l)
{
	if (c->nent >= CPU_CPUID_MAX)
		return -E2BIG;
	c->entries[c->nent++] = *l;
	return 0;
}

/* Leaves 0xb and 0x1f: the levels of the topology. Type 1 is SMT, 2 is core. */
static int cpuid_add_topology(struct kvm_cpuid2 *c, uint32_t function, const struct cpuid_ctx *x)
{
	struct kvm_cpuid_entry2 l = { .function = function,
				      .flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX,
				      .edx = x->t->vcpu };
	int r;

	l.ebx = 1;
	l.ecx = 1 << 8;
	r = cpuid_add(c, &l);
	if (r < 0)
		return r;
	l.index = 1;
	l.eax = x->shift;
	l.ebx = x->t->nvcpus;
	l.ecx = 2 << 8 | 1;
	r = cpuid_add(c, &l);
	if (r < 0)
		return r;
	l.index = 2;
	l.eax = 0;
	l.ebx = 0;
	l.ecx = 2;
	return cpuid_add(c, &l);
}

/* TSC = crystal * EBX / EAX */
static int cpuid_add_tsc(struct kvm_cpuid2 *c, const struct cpuid_ctx *x)
{
	struct kvm_cpuid_entry2 l = { .function = 0x15,
				      .eax = CPUID_LAPIC_HZ / 1000,
				      .ebx = x->t->tsc_khz,
				      .ecx = CPUID_LAPIC_HZ };

	cpuid_remove(c, 0x15);
	return x->t->tsc_khz && x->invariant_tsc ? cpuid_add(c, &l) : 0;
}

int cpu_edit_cpuid(struct kvm_cpuid2 *c, const struct cpu_topology *t)
{
	struct cpuid_ctx x = { .t = t,
			       .amd = cpuid_is_amd(c),
			       .invariant_tsc = cpuid_has_invariant_tsc(c) };
	uint32_t max = cpuid_max(c);
	int r = 0;

	while (x.shift < 31 && 1u << x.shift < t->nvcpus)
		x.shift++;
	cpuid_remove(c, 0xb);
	cpuid_remove(c, 0x1f);
	cpuid_remove(c, 0x80000026); /* AMD's newer form of 0xb: the host's */
	for (uint32_t i = 0; i < c->nent; i++)
		cpuid_edit(&c->entries[i], &x);
	if (max >= 0xb)
		r = cpuid_add_topology(c, 0xb, &x);
	if (r == 0 && max >= 0x1f)
		r = cpuid_add_topology(c, 0x1f, &x);
	if (r == 0 && max >= 0x15)
		r = cpuid_add_tsc(c, &x);
	return r;
}

/* --- asking KVM --------------------------------------------------------------------------------- */

static struct kvm_cpuid2 *cpuid_alloc(void)
{
	struct kvm_cpuid2 *c = calloc(1, sizeof(*c) + CPU_CPUID_MAX * sizeof(c->entries[0]));

	if (c)
		c->nent = CPU_CPUID_MAX;
	return c;
}

static int cpuid_ask(struct kvm_cpuid2 *c, int kvm_fd, struct err *e)
{
	if (ioctl(kvm_fd, KVM_GET_SUPPORTED_CPUID, c) < 0)
		return err_errno(e, "KVM_GET_SUPPORTED_CPUID");
	return 0;
}

static int cpuid_read(struct kvm_cpuid2 *c, int list_fd, struct err *e)
{
	size_t max = CPU_CPUID_MAX * sizeof(c->entries[0]);
	ssize_t n = fdio_pread(list_fd, c, sizeof(*c) + max, 0);

	if (n < 0)
		return err_ret(e, (int)n, "cannot read the list of CPUID leaves");
	if ((size_t)n < sizeof(*c) || c->nent > CPU_CPUID_MAX ||
	    (size_t)n != sizeof(*c) + c->nent * sizeof(c->entries[0]) || !cpuid_find(c, 0))
		return err_set(e, ERR_RPC_PARAMS, "'cpuid' is no list of CPUID leaves");
	return 0;
}

int cpu_support_get(struct cpu_support *s, int kvm_fd, int take_list_fd, struct err *e)
{
	AUTO_CLOSE int list_fd = take_list_fd;
	int r;

	s->cpuid = cpuid_alloc();
	if (!s->cpuid)
		return err_set(e, ENOMEM, "no memory for CPUID");
	s->tsc_deadline = ioctl(kvm_fd, KVM_CHECK_EXTENSION, KVM_CAP_TSC_DEADLINE_TIMER) > 0;
	r = list_fd < 0 ? cpuid_ask(s->cpuid, kvm_fd, e) : cpuid_read(s->cpuid, list_fd, e);
	if (r < 0)
		cpu_support_fini(s);
	return r;
}

void cpu_support_fini(struct cpu_support *s)
{
	free(s->cpuid);
	s->cpuid = NULL;
}

unsigned int cpu_phys_bits(const struct cpu_support *s)
{
	const struct kvm_cpuid_entry2 *leaf = cpuid_find(s->cpuid, 0x80000008);

	return leaf && (leaf->eax & 0xff) >= 32 ? leaf->eax & 0xff : 36;
}

int cpu_set_cpuid(const struct cpu_support *s, int vcpu_fd, unsigned int vcpu, unsigned int nvcpus,
		  struct err *e)
{
	struct cpu_topology t = { .vcpu = vcpu, .nvcpus = nvcpus, .tsc_deadline = s->tsc_deadline };
	AUTO_FREE struct kvm_cpuid2 *c = cpuid_alloc();
	int khz = ioctl(vcpu_fd, KVM_GET_TSC_KHZ, 0);

	if (!c)
		return err_set(e, ENOMEM, "no memory for CPUID");
	memcpy(c, s->cpuid, sizeof(*c) + s->cpuid->nent * sizeof(c->entries[0]));
	t.tsc_khz = khz > 0 ? (uint32_t)khz : 0;
	if (cpu_edit_cpuid(c, &t) < 0)
		return err_set(e, ERR_KVM, "KVM knows more than %d CPUID leaves", CPU_CPUID_MAX);
	if (ioctl(vcpu_fd, KVM_SET_CPUID2, c) < 0)
		return err_errno(e, "KVM_SET_CPUID2 of vCPU %u", vcpu);
	return 0;
}
