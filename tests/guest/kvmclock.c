// SPDX-License-Identifier: MIT
/* KVM's CPUID leaves: Linux Documentation/virt/kvm/x86/cpuid.rst; and the clock behind one of them. */
#include "lib/guest.h"

static volatile struct {
	uint32_t version, pad;
	uint64_t tsc, system_ns;
	uint32_t mul;
	int8_t shift;
	uint8_t flags, pad2[2];
} __attribute__((aligned(64))) clock;

int guest_main(const struct start_info *si)
{
	struct cpuid c = cpuid(0x40000000, 0);
	bool invariant;

	(void)si;
	CHECK_EQ(c.ebx, 0x4b4d564b);
	CHECK_EQ(c.ecx, 0x564b4d56);
	CHECK_EQ(c.edx, 0x4d);
	CHECK(c.eax >= 0x40000001);
	CHECK(cpuid(0x40000001, 0).eax & 1 << 3); /* CLOCKSOURCE2 */
	/* what is promised of the TSC is promised altogether, or not at all */
	invariant = cpuid(0x80000000, 0).eax >= 0x80000007 && cpuid(0x80000007, 0).edx & 1 << 8;
	CHECK_EQ(!!(cpuid(0x40000001, 0).eax & 1 << 24), invariant);
	CHECK(invariant || !(cpuid(1, 0).ecx & 1 << 24));
	CHECK(cpuid(1, 0).ecx & 1 << 21); /* x2APIC */
	wrmsr(0x4b564d01, (uint64_t)&clock | 1);
	(void)inb(0x80); /* an exit, after which KVM has filled it */
	CHECK(clock.version && !(clock.version & 1));
	CHECK(clock.mul);
	wrmsr(0x4b564d01, 0);
	return 0;
}
