/* SPDX-License-Identifier: MIT */
/*
 * How fast does this machine's KVM run a guest? One VM, one vCPU, a counted loop in real mode that says
 * by an OUT where it begins and where it ends, three times; the best counts. A processor does some
 * thousand million instructions a second, KVM's instruction emulator about one million.
 *
 *	fast N MIPS		exit 0
 *	slow N MIPS		exit 1: a distribution kernel would take minutes
 *	missing: reason		exit 2
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define SPEED_THRESHOLD_MIPS 100
#define SPEED_TRIES 3
#define SPEED_ROUNDS 10000
#define SPEED_ORIGIN 0x1000
#define SPEED_BEGIN 0xe0
#define SPEED_END 0xe1
/* exits that no try needs: interrupted calls */
#define SPEED_EXITS_MAX 64

/* "dec cx; jnz" with ROUNDS rounds, again and again */
static const uint8_t speed_code[] = {
	0xe6,
	SPEED_BEGIN, /* again: out BEGIN, al */
	0xb9,
	SPEED_ROUNDS & 0xff,
	SPEED_ROUNDS >> 8, /* mov cx, ROUNDS */
	0x49,		   /* loop: dec cx */
	0x75,
	0xfd, /* jnz loop */
	0xe6,
	SPEED_END, /* out END, al */
	0xeb,
	0xf4, /* jmp again */
};

static _Noreturn void speed_missing(const char *what)
{
	printf("missing: %s: %s\n", what, strerror(errno));
	exit(2);
}

static double speed_now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

/* A vCPU in real mode at the code. run_size: what KVM_GET_VCPU_MMAP_SIZE says. */
static int speed_vcpu(int kvm, struct kvm_run **ret_run)
{
	struct kvm_userspace_memory_region slot = { .memory_size = 0x10000 };
	struct kvm_regs regs = { .rip = SPEED_ORIGIN, .rflags = 2 };
	struct kvm_sregs sregs;
	int vm, vcpu, run_size;
	uint8_t *ram;

	vm = ioctl(kvm, KVM_CREATE_VM, 0UL);
	if (vm < 0)
		speed_missing("KVM_CREATE_VM");
	ram = mmap(NULL, slot.memory_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		   0);
	if (ram == MAP_FAILED)
		speed_missing("mmap");
	memcpy(ram + SPEED_ORIGIN, speed_code, sizeof(speed_code));
	slot.userspace_addr = (uintptr_t)ram;
	if (ioctl(vm, KVM_SET_USER_MEMORY_REGION, &slot) < 0)
		speed_missing("KVM_SET_USER_MEMORY_REGION");
	vcpu = ioctl(vm, KVM_CREATE_VCPU, 0UL);
	if (vcpu < 0)
		speed_missing("KVM_CREATE_VCPU");
	run_size = ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0UL);
	if (run_size < 0)
		speed_missing("KVM_GET_VCPU_MMAP_SIZE");
	*ret_run = mmap(NULL, (size_t)run_size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);
	if (*ret_run == MAP_FAILED)
		speed_missing("mmap of the vCPU");
	if (ioctl(vcpu, KVM_GET_SREGS, &sregs) < 0)
		speed_missing("KVM_GET_SREGS");
	sregs.cs.base = 0;
	sregs.cs.selector = 0;
	if (ioctl(vcpu, KVM_SET_SREGS, &sregs) < 0 || ioctl(vcpu, KVM_SET_REGS, &regs) < 0)
		speed_missing("KVM_SET_REGS");
	return vcpu;
}

/* Runs until the guest writes to the port. */
static void speed_run_to(int vcpu, const struct kvm_run *run, unsigned int port)
{
	for (int i = 0; i < SPEED_EXITS_MAX; i++) {
		if (ioctl(vcpu, KVM_RUN, 0UL) < 0) {
			if (errno == EINTR || errno == EAGAIN)
				continue;
			speed_missing("KVM_RUN");
		}
		if (run->exit_reason == KVM_EXIT_IO && run->io.port == port)
			return;
		if (run->exit_reason != KVM_EXIT_IO)
			break;
	}
	printf("missing: KVM_RUN: unexpected exit %u\n", run->exit_reason);
	exit(2);
}

int main(void)
{
	double best_us = 0, mips;
	struct kvm_run *run;
	int kvm, vcpu;

	kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (kvm < 0)
		speed_missing("/dev/kvm");
	if (ioctl(kvm, KVM_GET_API_VERSION, 0UL) != KVM_API_VERSION) {
		printf("missing: /dev/kvm: not KVM's API version %d\n", KVM_API_VERSION);
		return 2;
	}
	vcpu = speed_vcpu(kvm, &run);
	for (int i = 0; i < SPEED_TRIES; i++) {
		double start_us, us;

		speed_run_to(vcpu, run, SPEED_BEGIN);
		start_us = speed_now_us();
		speed_run_to(vcpu, run, SPEED_END);
		us = speed_now_us() - start_us;
		if (i == 0 || us < best_us)
			best_us = us;
	}
	mips = 2.0 * SPEED_ROUNDS / best_us;
	printf("%s %.0f MIPS\n", mips >= SPEED_THRESHOLD_MIPS ? "fast" : "slow", mips);
	return mips >= SPEED_THRESHOLD_MIPS ? 0 : 1;
}
