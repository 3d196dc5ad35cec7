/* SPDX-License-Identifier: MIT */
/* ACPI fixed hardware (class "acpi-pm"): what the core asks of it. */
#ifndef VMM_DEV_ACPI_PM_H
#define VMM_DEV_ACPI_PM_H

#include <stdbool.h>

struct device;

/*
 * Press the power button: ACPI 6.4, section 4.8.2.2.1.1. A guest that listens gets the SCI; for others the
 * status bit waits. A guest that sleeps in S3 is woken by it, which is all that it takes it for: so it is pressed
 * again each second, a minute long, once the guest listens. d is of acpi_pm_class. Under machine.lock.
 */
void acpi_pm_power_button(struct device *d);
/* The same without the second thoughts: wake a guest that sleeps in S3; nothing to one that does not. */
void acpi_pm_wake(struct device *d);
/* Has the guest gone to sleep (BOARD_SUSPEND), with nothing that woke it since (BOARD_WAKE)? */
bool acpi_pm_asleep(const struct device *d);
/* The real-time clock interrupts: RTC_STS, which wakes a guest that has enabled it. */
void acpi_pm_rtc(struct device *d);
/*
 * A general-purpose event, 0 to 7: sections 4.8.4.1 and 5.6.4. The guest runs \_GPE._Exx once it has enabled it; until
 * then the status bit waits. d is of acpi_pm_class. Under machine.lock.
 */
void acpi_pm_gpe(struct device *d, unsigned int gpe);

#endif
