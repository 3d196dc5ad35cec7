// SPDX-License-Identifier: MIT
/*
 * Suspend to RAM (ACPI 6.4, section 16.1.3), loops= times: memory stays, the vCPUs come back as after RESET, the first one
 * at the FACS's waking vector, and devices without standby power have lost their state. alarm=1: the real-time clock's
 * alarm wakes it; else somebody else does. It says what it is about to do. button=1: then it does what its power button
 * says, once that is pressed for it and not to wake it.
 */
#include "lib/guest.h"

#define PM1_STS 0x600
#define PM1_EN 0x602
#define PM1_CNT 0x604
#define WAK 0x8000
#define RTC 0x0400
#define PWRBTN 0x0100
#define SCRATCH 0x3ff /* COM1's */
#define CMOS_RAM 0x50
#define TRAMPOLINE 0x8000

static uint32_t cpus, loops, slept;
static bool alarm, button;
static uint64_t memory[512];
static volatile uint8_t *facs;

static void cmos_set(uint8_t reg, uint8_t v)
{
	outb(0x70, reg);
	outb(0x71, v);
}

static uint8_t cmos(uint8_t reg)
{
	outb(0x70, reg);
	return inb(0x71);
}

/* Any second */
static void alarm_set(void)
{
	(void)cmos(12);
	cmos_set(1, 0xff);
	cmos_set(3, 0xff);
	cmos_set(5, 0xff);
	cmos_set(11, 0x22);
	outw(PM1_STS, RTC);
	outw(PM1_EN, RTC);
}

static void fall_asleep(void)
{
	for (uint32_t i = 0; i < ARRAY_SIZE(memory); i++)
		memory[i] = (uint64_t)i * 0x0101010101010101ull + slept;
	outb(SCRATCH, 0x5a);
	cmos_set(CMOS_RAM, 0xa5);
	if (alarm)
		alarm_set();
	slept++;
	print("sleeps\n");
	outw(PM1_STS, WAK);
	outw(PM1_CNT, 3 << 10 | 1 << 13);
	CHECK(!"it goes on after SLP_EN");
}

static void check_awake(void)
{
	uint16_t status = inw(PM1_STS);

	CHECK(status & WAK);
	CHECK(status & (alarm ? RTC : PWRBTN));
	CHECK_EQ(cmos(CMOS_RAM), 0xa5);
	CHECK_EQ(inb(SCRATCH), 0);
	for (uint32_t i = 0; i < ARRAY_SIZE(memory); i++)
		CHECK_EQ(memory[i], (uint64_t)i * 0x0101010101010101ull + slept - 1);
	CHECK(rdmsr(0x1b) & 1 << 8); /* the boot processor */
	CHECK_EQ(mmio_read32(LAPIC + LAPIC_SVR), 0xff);
	outw(PM1_STS, status);
	if (alarm)
		(void)cmos(12);
}

/* What has woken it does not count. */
static void obey_button(void)
{
	print("listens\n");
	outw(PM1_EN, PWRBTN);
	outw(PM1_STS, PWRBTN);
	while (!(inw(PM1_STS) & PWRBTN))
		__asm__ volatile("pause");
	outw(PM1_CNT, 5 << 10 | 1 << 13);
	for (;;)
		__asm__ volatile("cli; hlt");
}

static void others_start(void)
{
	smp_started = 0;
	smp_start();
	smp_wait(cpus - 1);
}

void smp_main(uint32_t index)
{
	(void)index;
	if (mmio_read32(LAPIC + LAPIC_ID) >> 24)
		return;
	print("awake\n");
	check_awake();
	others_start();
	if (slept < loops)
		fall_asleep();
	if (button)
		obey_button();
	guest_exit(0);
}

int guest_main(const struct start_info *si)
{
	const uint8_t *fadt = acpi_find(si, "FACP");

	cpus = (uint32_t)cmdline_number(si, "cpus", 1);
	loops = (uint32_t)cmdline_number(si, "loops", 1);
	alarm = cmdline_number(si, "alarm", 0);
	button = cmdline_number(si, "button", 0);
	CHECK(fadt);
	/* FIX_RTC, inverted: there is an RTC that can wake */
	CHECK(!alarm || !(fadt[112] & 1 << 6));
	facs = (volatile uint8_t *)(uintptr_t) * (const uint32_t *)(fadt + 36);
	CHECK(!memcmp((const void *)facs, "FACS", 4));
	interrupts_init();
	others_start();
	*(volatile uint32_t *)(facs + 12) = cmdline_number(si, "vector", TRAMPOLINE);
	fall_asleep();
	return 1;
}
