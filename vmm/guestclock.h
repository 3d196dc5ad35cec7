/* SPDX-License-Identifier: MIT */
/*
 * A guest's clocks over a pause: kvm-clock and the TSC, so the guest's CLOCK_MONOTONIC whichever of the two it is
 * counted by, stand still. Time of day is the guest's affair: the RTC and kvm-clock's wall clock tell the host's, and
 * a guest that keeps time (chrony with ptp_kvm, NTP) sees that it is behind. Linux Documentation/virt/kvm/api.rst,
 * 4.29 and 4.30; devices/vcpu.rst, KVM_VCPU_TSC_CTRL. vCPUs are held.
 */
#ifndef VMM_GUESTCLOCK_H
#define VMM_GUESTCLOCK_H

#include <stdint.h>
#include "lib/err.h"
#include "vmm/vcpu.h"

struct guestclock {
	bool stopped;
	uint64_t ns;  /* of kvm-clock, where it was stopped */
	uint64_t tsc; /* of the first vCPU */
};

/* Take note of what they show. On failure they are not stopped, and guestclock_go does nothing. */
int guestclock_stop(struct guestclock *c, int vm_fd, const struct vcpus *v, struct err *e);
/* Let them go on from there, if they are stopped. A host without KVM_VCPU_TSC_OFFSET (Linux 5.16) lets the TSC run on. */
int guestclock_go(struct guestclock *c, int vm_fd, const struct vcpus *v, struct err *e);
/* Do not: the clocks have been set since, by a reset. */
void guestclock_forget(struct guestclock *c);

#endif
