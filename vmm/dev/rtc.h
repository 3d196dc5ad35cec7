/* SPDX-License-Identifier: MIT */
/* The real-time clock (class "rtc"): what the core asks of it. */
#ifndef VMM_DEV_RTC_H
#define VMM_DEV_RTC_H

#include <stdint.h>

struct device;

/* What a BIOS looks at first after RESET, as the PC AT's did: 0 for a boot */
#define RTC_CMOS_SHUTDOWN 0x0f
#define RTC_SHUTDOWN_S3 0xfe

/*
 * A byte of CMOS RAM, as a setup program would leave it: from 0x0e on, and not the century. Before the first start, or while
 * the vCPUs are held; a guest may change it, and it stays over a reset. d is of rtc_class.
 */
void rtc_set_cmos(struct device *d, unsigned int reg, uint8_t val);

#endif
