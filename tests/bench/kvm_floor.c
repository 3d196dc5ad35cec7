// SPDX-License-Identifier: MIT
/*
 * The floor: the least KVM calls from a process's start to a guest's exit. One vCPU in real mode, split
 * irqchip, memory slots first, a guest that writes to the debug-exit port. With `uart N` or `mmio N` it
 * first makes N exits, which are served by doing nothing. Usage: kvm_floor MEMORY_MIB [uart|mmio N].
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

#define FLOOR_CODE 0x1000
#define FLOOR_LOW (64 * KIB) /* all the memory of the guest that writes to MMIO, right above it */

/* mov al, 0; out 0xf4, al */
static const unsigned char floor_end[] = { 0xb0, 0x00, 0xe6, 0xf4 };
/* mov ecx, N; mov dx, 0x3f8; 1: out dx, al; dec ecx; jnz 1b */
static const unsigned char floor_uart[] = { 0x66, 0xb9, 0,    0,    0,	  0,	0xba,
					    0xf8, 0x03, 0xee, 0x66, 0x49, 0x75, 0xfb };
/* mov ecx, N; mov ax, 0x1000; mov ds, ax; 1: mov [0], eax; dec ecx; jnz 1b */
static const unsigned char floor_mmio[] = { 0x66, 0xb9, 0,    0,    0,	  0,	0xb8,
					    0x00, 0x10, 0x8e, 0xd8, 0x66, 0xa3, 0x00,
					    0x00, 0x66, 0x49, 0x75, 0xf8 };

static int floor_ioctl(int fd, unsigned long request, const void *arg, const char *what)
{
	int ret = ioctl(fd, request, arg);

	if (ret < 0)
		err(1, "%s", what);
	return ret;
}

static void floor_registers(int vcpu)
{
	struct kvm_regs regs = { .rip = FLOOR_CODE, .rflags = 2 };
	struct kvm_sregs sregs;

	floor_ioctl(vcpu, KVM_GET_SREGS, &sregs, "KVM_GET_SREGS");
	sregs.cs.base = 0;
	sregs.cs.selector = 0;
	floor_ioctl(vcpu, KVM_SET_SREGS, &sregs, "KVM_SET_SREGS");
	floor_ioctl(vcpu, KVM_SET_REGS, &regs, "KVM_SET_REGS");
}

static void floor_load(unsigned char *at, const char *kind, uint32_t n)
{
	size_t len = 0;

	if (!strcmp(kind, "uart")) {
		len = sizeof(floor_uart);
		memcpy(at, floor_uart, len);
	} else if (!strcmp(kind, "mmio")) {
		len = sizeof(floor_mmio);
		memcpy(at, floor_mmio, len);
	}
	if (!n)
		len = 0;
	else
		memcpy(at + 2, &n, sizeof(n));
	memcpy(at + len, floor_end, sizeof(floor_end));
}

static int floor_run(int vcpu, const struct kvm_run *run)
{
	for (;;) {
		floor_ioctl(vcpu, KVM_RUN, NULL, "KVM_RUN");
		if (run->exit_reason == KVM_EXIT_IO && run->io.port == 0xf4)
			return 0;
		if (run->exit_reason != KVM_EXIT_IO && run->exit_reason != KVM_EXIT_MMIO)
			errx(1, "exit reason %u", run->exit_reason);
	}
}

int main(int argc, char **argv)
{
	const char *kind = argc > 3 ? argv[2] : "";
	uint32_t n = argc > 3 ? (uint32_t)strtoul(argv[3], NULL, 10) : 0;
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
	floor_load(mem + FLOOR_CODE, kind, n);
	if (!strcmp(kind, "mmio"))
		slot.memory_size = FLOOR_LOW;
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
	return floor_run(vcpu, run);
}
