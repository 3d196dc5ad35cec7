// SPDX-License-Identifier: MIT
/*
 * All vCPUs (cpus=) come up by INIT and SIPI, each with an APIC id of its own that CPUID agrees with, and
 * a topology of one package with a core a vCPU.
 */
#include "lib/guest.h"

static volatile uint32_t ids[32];
static volatile uint32_t done;
static uint32_t ncpus;

static void check_cpu(uint32_t index)
{
	uint32_t id = mmio_read32(LAPIC + LAPIC_ID) >> 24;
	struct cpuid c = cpuid(1, 0);

	CHECK_EQ(c.ebx >> 24, id);
	CHECK(c.ecx & 1u << 31);
	if (cpuid(0, 0).eax >= 0xb) {
		CHECK_EQ(cpuid(0xb, 0).edx, id);
		CHECK_EQ(cpuid(0xb, 0).ebx, 1);
		c = cpuid(0xb, 1);
		CHECK_EQ(c.edx, id);
		CHECK_EQ(c.ebx, ncpus);
		CHECK_EQ(c.ecx >> 8 & 0xff, 2);
		CHECK_EQ(id >> c.eax, 0); /* one package */
	}
	ids[index] = id;
}

void smp_main(uint32_t index)
{
	check_cpu(index);
	__asm__ volatile("lock incl %0" : "+m"(done));
}

int guest_main(const struct start_info *si)
{
	uint32_t seen = 0;

	ncpus = (uint32_t)cmdline_number(si, "cpus", 1);
	interrupts_init();
	CHECK(!!(rdmsr(0x1b) & 1 << 8)); /* the boot processor */
	smp_start();
	smp_wait(ncpus - 1);
	while (done < ncpus - 1)
		__asm__ volatile("pause");
	check_cpu(0);
	for (uint32_t i = 0; i < ncpus; i++) {
		CHECK(ids[i] < ncpus && !(seen & 1u << ids[i]));
		seen |= 1u << ids[i];
	}
	print("cpus: ");
	print_number(smp_started + 1);
	print("\n");
	return 0;
}
