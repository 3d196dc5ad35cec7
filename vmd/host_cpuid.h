/* SPDX-License-Identifier: MIT */
/*
 * What KVM can give a vCPU (KVM_GET_SUPPORTED_CPUID; Documentation/virt/kvm/api.rst, 4.46), kept for all starts: the
 * kernel executes CPUID for each leaf, and on a host that is a guest itself each of these is an exit, together a tenth of
 * the time that vmm takes to start. A sealed memfd with a struct kvm_cpuid2 and its entries, which vmm is given
 * (vmm/control.h). Any thread; one struct belongs to one of them.
 */
#ifndef VMD_HOST_CPUID_H
#define VMD_HOST_CPUID_H

#include <sys/types.h>
#include <time.h>
#include "lib/err.h"

struct host_cpuid {
	int fd; /* owned; -1: none yet */
	/* the /dev/kvm that was asked: it is made anew when KVM's module is loaded again, which may decide otherwise */
	dev_t dev;
	ino_t ino;
	struct timespec changed;
};

void host_cpuid_init(struct host_cpuid *c);
void host_cpuid_fini(struct host_cpuid *c);
/* Another descriptor of the same list, or none. */
void host_cpuid_copy(const struct host_cpuid *c, struct host_cpuid *ret_copy);
/* Make c the list of this /dev/kvm: 0 when it is that already, 1 when KVM was asked, or negative. */
int host_cpuid_refresh(struct host_cpuid *c, int kvm_fd, struct err *e);

#endif
