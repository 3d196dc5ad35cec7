// SPDX-License-Identifier: MIT
/*
 * The floor: the least KVM calls from a process's start to a guest's exit. One vCPU in real mode, split
 * irqchip, memory slots first, a guest that writes to the debug-exit port. Usage: kvm_floor MEMORY_MIB.
 */
#include <err.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib/util.h"

/* mov al, 0; out 0xf4, al */
static const unsigned char floor_code[] = { 0xb0, 0x00, 0xe6, 0xf4 };

static int floor_ioctl(int fd, unsigned long request, const void *arg, const char *what)
{
	int ret = ioctl(fd, request, arg);

	if (ret < 0)
		err(1, "%s", what);
	return ret;
}

static void floor_registers(int vcpu)
{
	struct kvm_regs regs = { .rip = 0x1000, .rflags = 2 };
	struct kvm_sregs sregs;

	floor_ioctl(vcpu, KVM_GET_SREGS, &sregs, "KVM_GET_SREGS");
	sregs.cs.base = 0;
	sregs.cs.selector = 0;
	floor_ioctl(vcpu, KVM_SET_SREGS, &sregs, "KVM_SET_SREGS");
	floor_ioctl(vcpu, KVM_SET_REGS, &regs, "KVM_SET_REGS");
}

int main(int argc, char **argv)
{
	size_t size = (argc > 1 ? strtoul(argv[1], NULL, 10) : 128) * MIB;
	struct kvm_enable_cap split = { .cap = KVM_CAP_SPLIT_IRQCHIP, .args = { 24 } };
	struct kvm_userspace_memory_region slot = { .memory_size = MIN(size, 3 * GIB) };
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC), memfd, vm, vcpu, run_size;
	struct kvm_run *run;
	unsigned char *mem;

	if (kvm < 0)
		err(1, "/dev/kvm");
	memfd = memfd_create("ram", MFD_CLOEXEC);
	if (memfd < 0 || ftruncate(memfd, (off_t)size) < 0)
		err(1, "guest memory");
	mem = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, memfd, 0);
	if (mem == MAP_FAILED)
		err(1, "mmap");
	memcpy(mem + 0x1000, floor_code, sizeof(floor_code));
	vm = floor_ioctl(kvm, KVM_CREATE_VM, NULL, "KVM_CREATE_VM");
	slot.userspace_addr = (uintptr_t)mem;
	floor_ioctl(vm, KVM_SET_USER_MEMORY_REGION, &slot, "KVM_SET_USER_MEMORY_REGION");
	floor_ioctl(vm, KVM_ENABLE_CAP, &split, "KVM_CAP_SPLIT_IRQCHIP");
	vcpu = floor_ioctl(vm, KVM_CREATE_VCPU, NULL, "KVM_CREATE_VCPU");
	run_size = floor_ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, NULL, "KVM_GET_VCPU_MMAP_SIZE");
	run = mmap(NULL, (size_t)run_size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);
	if (run == MAP_FAILED)
		err(1, "mmap of the vCPU");
	floor_registers(vcpu);
	floor_ioctl(vcpu, KVM_RUN, NULL, "KVM_RUN");
	return run->exit_reason == KVM_EXIT_IO && run->io.port == 0xf4 ? 0 : 1;
}
