// SPDX-License-Identifier: MIT
/*
 * See guestclock.h. KVM stops neither clock when it does not run a vCPU, so both are set back by what has passed: the
 * TSC of each vCPU by the same number of ticks, so that they stay as far apart as they were, which is mostly not at
 * all, and KVM goes on to see that. On the control loop.
 */
#include "vmm/guestclock.h"

#include <errno.h>
#include <sys/ioctl.h>

#define GUESTCLOCK_MSR_TSC 0x10

static int guestclock_tsc(const struct vcpus *v, uint64_t *ret_tsc, struct err *e)
{
	union {
		struct kvm_msrs msrs;
		uint8_t room[sizeof(struct kvm_msrs) + sizeof(struct kvm_msr_entry)];
	} u = { .msrs = { .nmsrs = 1 } };

	u.msrs.entries[0].index = GUESTCLOCK_MSR_TSC;
	if (ioctl(v->list[0].fd, KVM_GET_MSRS, &u) != 1)
		return err_errno(e, "the guest's TSC cannot be read");
	*ret_tsc = u.msrs.entries[0].data;
	return 0;
}

int guestclock_stop(struct guestclock *c, int vm_fd, const struct vcpus *v, struct err *e)
{
	struct kvm_clock_data now = { 0 };
	int r;

	c->stopped = false;
	if (ioctl(vm_fd, KVM_GET_CLOCK, &now))
		return err_errno(e, "the guest's clock cannot be read");
	r = guestclock_tsc(v, &c->tsc, e);
	if (r < 0)
		return r;
	c->ns = now.clock;
	c->stopped = true;
	return 0;
}

static int guestclock_turn_back(const struct vcpus *v, uint64_t ticks, struct err *e)
{
	uint64_t offset = 0;
	struct kvm_device_attr attr = { .group = KVM_VCPU_TSC_CTRL,
					.attr = KVM_VCPU_TSC_OFFSET,
					.addr = (uintptr_t)&offset };

	for (unsigned int i = 0; i < v->n; i++) {
		if (ioctl(v->list[i].fd, KVM_GET_DEVICE_ATTR, &attr))
			return errno == ENXIO || errno == ENOTTY
				       ? 0
				       : err_errno(e, "the TSC of vCPU %u cannot be read", i);
		offset -= ticks; /* modulo 2^64, as it is defined */
		if (ioctl(v->list[i].fd, KVM_SET_DEVICE_ATTR, &attr))
			return err_errno(e, "the TSC of vCPU %u cannot be set", i);
	}
	return 0;
}

int guestclock_go(struct guestclock *c, int vm_fd, const struct vcpus *v, struct err *e)
{
	struct kvm_clock_data then = { .clock = c->ns };
	uint64_t tsc = 0;
	int r;

	if (!c->stopped)
		return 0;
	c->stopped = false;
	r = guestclock_tsc(v, &tsc, e);
	if (r >= 0)
		r = guestclock_turn_back(v, tsc - c->tsc, e);
	if (ioctl(vm_fd, KVM_SET_CLOCK, &then) && r >= 0)
		r = err_errno(e, "the guest's clock cannot be set");
	return r;
}

void guestclock_forget(struct guestclock *c)
{
	c->stopped = false;
}
