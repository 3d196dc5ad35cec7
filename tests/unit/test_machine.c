// SPDX-License-Identifier: MIT
/*
 * A whole machine on the host's KVM, with guests of a few instructions: how each kind of end is told apart,
 * pause and resume, and reset. Skips without /dev/kvm.
 */
#include "tests/unit/tiny_machine.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "lib/errcat.h"
#include "tests/lib/skip.h"
#include "vmm/machine_impl.h"

static const uint8_t guest_s5[] = { 0x66, 0xb8, 0x00, 0x34, 0x66, 0xba,
				    0x04, 0x06, 0x66, 0xef, 0xeb, 0xfe };
static const uint8_t guest_reset[] = {
	TINY_SAY_A 0xb0, 6, 0x66, 0xba, 0xf9, 0x0c, 0xee, 0xeb, 0xfe
};
/* Dirties its .bss and resets itself, once; 9: the .bss was not zero, 7: it was, both times. */
static const uint8_t guest_bss[] = {
	0x80, 0x3d, 0x00, 0x10, 0x20, 0x00, 0x00, 0x75, 0x26, /* [bss] != 0: 9 */
	0xc6, 0x05, 0x00, 0x10, 0x20, 0x00, 0x01,	      /* [bss] = 1 */
	0x80, 0x3d, 0x00, 0x00, 0x30, 0x00, 0x00, 0x75, 0x10, /* [counter] != 0: 7 */
	0xc6, 0x05, 0x00, 0x00, 0x30, 0x00, 0x01,	      /* [counter] = 1 */
	0xb0, 6,    0x66, 0xba, 0xf9, 0x0c, 0xee, 0xeb, 0xfe, /* reset */
	0xb0, 7,    0xe6, 0xf4, 0xeb, 0xfe, 0xb0, 9,	0xe6, 0xf4, 0xeb, 0xfe,
};

static void ends_by_the_debug_port(void **state)
{
	struct tiny f;

	(void)state;
	tiny_start(&f, (&(struct tiny_options){ 0 }), tiny_exit_7);
	tiny_expect_exit(&f, 7);
	tiny_fini(&f);
	assert_int_equal(f.ended, 1);
}

static void ends_by_acpi(void **state)
{
	struct tiny f;

	(void)state;
	tiny_start(&f, (&(struct tiny_options){ .vcpus = 2 }), guest_s5);
	tiny_until_ended(&f);
	assert_int_equal(f.words.reason, LASTWORDS_SHUTDOWN);
	tiny_fini(&f);
}

static void a_reset_stops_when_told_so(void **state)
{
	struct tiny f;

	(void)state;
	tiny_start(&f, (&(struct tiny_options){ .stop_on_reboot = true }), guest_reset);
	tiny_until_ended(&f);
	assert_int_equal(f.words.reason, LASTWORDS_RESET);
	assert_int_equal(f.events, 0);
	tiny_fini(&f);
}

static void a_reset_clears_the_bss(void **state)
{
	struct tiny f;

	(void)state;
	tiny_start(&f, (&(struct tiny_options){ 0 }), guest_bss);
	tiny_expect_exit(&f, 7);
	assert_int_equal(f.events, 1);
	tiny_fini(&f);
}

static void a_reset_loop_is_throttled(void **state)
{
	struct tiny f;
	uint64_t start = uv_hrtime();

	(void)state;
	tiny_start(&f, (&(struct tiny_options){ .vcpus = 2 }), guest_reset);
	while (f.events <= MACHINE_RESETS_MAX)
		uv_run(&f.loop, UV_RUN_ONCE);
	/* the eleventh came in another second */
	assert_true(uv_hrtime() - start > 500000000);
	machine_kill(f.machine, "enough");
	assert_int_equal(f.words.reason, LASTWORDS_KILLED);
	assert_string_equal(f.words.message, "enough");
	tiny_fini(&f);
}

static void pause_stops_and_resume_goes_on(void **state)
{
	struct tiny f;
	uint32_t at;

	(void)state;
	tiny_start(&f, (&(struct tiny_options){ .vcpus = 2 }), tiny_count);
	for (unsigned int i = 0; i < 20; i++) {
		tiny_until_counting(&f);
		assert_int_equal(machine_pause(f.machine, NULL), 0);
		assert_int_equal(machine_pause(f.machine, NULL), 0);
		at = tiny_counter(&f);
		uv_run(&f.loop, UV_RUN_NOWAIT);
		assert_int_equal(tiny_counter(&f), at);
		assert_int_equal(machine_resume(f.machine, NULL), 0);
	}
	assert_int_equal(machine_pause(f.machine, NULL), 0);
	assert_int_equal(machine_reset(f.machine, NULL), 0);
	assert_int_equal(machine_get_state(f.machine), MACHINE_PAUSED);
	at = tiny_counter(&f);
	uv_run(&f.loop, UV_RUN_NOWAIT);
	assert_int_equal(tiny_counter(&f), at);
	assert_int_equal(machine_resume(f.machine, NULL), 0);
	tiny_until_counting(&f);
	tiny_fini(&f);
	assert_int_equal(f.words.reason, LASTWORDS_KILLED);
}

#define HOUR_NS (3600 * 1000000000ull)

static uint64_t tiny_kvmclock(const struct tiny *f)
{
	struct kvm_clock_data d = { 0 };

	assert_int_equal(ioctl(f->machine->kvm.vm_fd, KVM_GET_CLOCK, &d), 0);
	return d.clock;
}

static uint64_t tiny_tsc(const struct tiny *f, unsigned int vcpu)
{
	union {
		struct kvm_msrs m;
		uint8_t room[sizeof(struct kvm_msrs) + sizeof(struct kvm_msr_entry)];
	} u = { .m = { .nmsrs = 1 } };

	u.m.entries[0].index = 0x10;
	assert_int_equal(ioctl(f->machine->vcpus.list[vcpu].fd, KVM_GET_MSRS, &u), 1);
	return u.m.entries[0].data;
}

/* As if an hour had passed since the machine was paused */
static void tiny_pass_an_hour(const struct tiny *f)
{
	struct kvm_clock_data d = { .clock = tiny_kvmclock(f) + HOUR_NS };

	assert_int_equal(ioctl(f->machine->kvm.vm_fd, KVM_SET_CLOCK, &d), 0);
}

/* The same for the TSCs; ticks: of an hour. False: they cannot be set here. */
static bool tiny_pass_ticks(const struct tiny *f, uint64_t ticks)
{
	uint64_t offset, before = tiny_tsc(f, 0);
	struct kvm_device_attr attr = { .group = KVM_VCPU_TSC_CTRL,
					.attr = KVM_VCPU_TSC_OFFSET,
					.addr = (uintptr_t)&offset };

	for (unsigned int i = 0; i < f->machine->vcpus.n; i++) {
		if (ioctl(f->machine->vcpus.list[i].fd, KVM_GET_DEVICE_ATTR, &attr))
			return false;
		offset += ticks;
		assert_int_equal(ioctl(f->machine->vcpus.list[i].fd, KVM_SET_DEVICE_ATTR, &attr),
				 0);
	}
	return tiny_tsc(f, 0) - before >= ticks;
}

/* An hour's pause is none for the guest, nor does it come back with the next one. */
static void an_hour_of_pause_is_not_seen(void **state)
{
	struct tiny f;
	uint64_t ns;

	(void)state;
	for (int reset = 0; reset < 2; reset++) {
		tiny_start(&f, (&(struct tiny_options){ .vcpus = 2 }), tiny_count);
		tiny_until_counting(&f);
		assert_int_equal(machine_pause(f.machine, NULL), 0);
		if (reset) /* while it is paused: the clock stands still from then on */
			assert_int_equal(machine_reset(f.machine, NULL), 0);
		ns = tiny_kvmclock(&f);
		tiny_pass_an_hour(&f);
		assert_true(tiny_kvmclock(&f) >= ns + HOUR_NS);
		for (unsigned int i = 0; i < 2; i++) {
			assert_int_equal(machine_resume(f.machine, NULL), 0);
			tiny_until_counting(&f);
			assert_int_equal(machine_pause(f.machine, NULL), 0);
			assert_true(tiny_kvmclock(&f) + HOUR_NS / 60 - ns < HOUR_NS / 30);
		}
		tiny_fini(&f);
	}
}

static void an_hour_of_pause_is_not_counted(void **state)
{
	uint64_t tsc, hour;
	struct tiny f;
	bool counted;
	int khz;

	(void)state;
	tiny_start(&f, (&(struct tiny_options){ .vcpus = 2 }), tiny_count);
	tiny_until_counting(&f);
	assert_int_equal(machine_pause(f.machine, NULL), 0);
	khz = ioctl(f.machine->vcpus.list[0].fd, KVM_GET_TSC_KHZ, 0);
	assert_true(khz > 0);
	hour = (uint64_t)khz * 3600 * 1000;
	tsc = tiny_tsc(&f, 0);
	counted = tiny_pass_ticks(&f, hour);
	for (unsigned int i = 0; i < 2 && counted; i++) {
		assert_int_equal(machine_resume(f.machine, NULL), 0);
		tiny_until_counting(&f);
		assert_int_equal(machine_pause(f.machine, NULL), 0);
		assert_true(tiny_tsc(&f, 0) + hour / 60 - tsc < hour / 30);
		assert_true(tiny_tsc(&f, 1) + hour / 60 - tsc < hour / 30);
	}
	tiny_fini(&f);
	if (!counted)
		SKIP_BECAUSE("this KVM does not set a guest's TSC (KVM_VCPU_TSC_OFFSET)");
}

static void a_halted_guest_can_be_paused(void **state)
{
	struct tiny f;

	(void)state;
	tiny_start(&f, (&(struct tiny_options){ .vcpus = 4 }), tiny_halt);
	assert_int_equal(machine_pause(f.machine, NULL), 0);
	assert_int_equal(machine_resume(f.machine, NULL), 0);
	assert_int_equal(machine_power_button(f.machine, NULL), 0);
	tiny_fini(&f);
}

static void the_kernels_irqchip_works_too(void **state)
{
	struct tiny f;

	(void)state;
	tiny_start(&f, (&(struct tiny_options){ .kernel_irqchip = true }), tiny_count);
	tiny_until_counting(&f);
	assert_int_equal(machine_reset(f.machine, NULL), 0);
	tiny_until_counting(&f);
	assert_int_equal(f.events, 1);
	tiny_fini(&f);
}

/* Whether a pin of the kernel's I/O APIC is active */
static bool tiny_pin(const struct tiny *f, unsigned int pin)
{
	struct kvm_irqchip chip = { .chip_id = KVM_IRQCHIP_IOAPIC };

	assert_int_equal(ioctl(f->machine->kvm.vm_fd, KVM_GET_IRQCHIP, &chip), 0);
	return chip.chip.ioapic.irr & BIT(pin);
}

static bool eventfd_is_full(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, 0) == 1;
}

/* Both chips take level interrupts from an eventfd; what they do to the lines of ours is test_irq's. */
static void an_eventfd_holds_a_line(void **state)
{
	int raise = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	int ended = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);

	(void)state;
	for (int kernel = 0; kernel < 2; kernel++) {
		const struct board *b;
		struct tiny f;
		struct err e = { 0 };

		tiny_start(&f, (&(struct tiny_options){ .kernel_irqchip = kernel }), tiny_halt);
		b = &f.machine->board;
		assert_int_equal(b->ops->level_irqfd(b->arg, 20, raise, ended, true, &e), 0);
		assert_int_equal(eventfd_write(raise, 1), 0);
		while (kernel ? !tiny_pin(&f, 20) : eventfd_is_full(raise))
			uv_run(&f.loop, UV_RUN_NOWAIT);
		assert_int_equal(b->ops->level_irqfd(b->arg, 20, raise, ended, false, &e), 0);
		assert_false(kernel && tiny_pin(&f, 20));
		assert_int_equal(b->ops->level_irqfd(b->arg, 99, raise, ended, true, &e), -EINVAL);
		tiny_fini(&f);
	}
	close(raise);
	close(ended);
}

static void states_that_do_not_fit(void **state)
{
	struct tiny f;
	struct err e;

	(void)state;
	assert_int_equal(
		tiny_init(&f, &(struct tiny_options){ 0 }, tiny_halt, sizeof(tiny_halt), &e), 0);
	assert_int_equal(machine_pause(f.machine, &e), -ERR_VM_STATE);
	assert_string_equal(e.msg, "cannot pause: the VM is created");
	assert_int_equal(machine_resume(f.machine, &e), -ERR_VM_STATE);
	assert_int_equal(machine_reset(f.machine, &e), -ERR_VM_STATE);
	assert_int_equal(machine_power_button(f.machine, &e), -ERR_VM_STATE);
	assert_string_equal(e.msg, "cannot press the power button: the VM is created");
	machine_kill(f.machine, NULL);
	assert_int_equal(machine_start(f.machine, &e), -ERR_VM_STATE);
	assert_string_equal(e.msg, "cannot start: the VM is ended");
	tiny_fini(&f);
}

static void no_kernel_no_start(void **state)
{
	struct tiny f;
	struct err e;

	(void)state;
	assert_int_equal(
		tiny_init(&f, &(struct tiny_options){ 0 }, tiny_halt, sizeof(tiny_halt), &e), 0);
	assert_int_equal(ftruncate(f.machine->config.boot.kernel_fd, 0), 0);
	assert_int_equal(machine_start(f.machine, &e), -ERR_KERNEL_IMAGE);
	assert_int_equal(machine_get_state(f.machine), MACHINE_CREATED);
	tiny_fini(&f);
}

static void not_kvm_is_said(void **state)
{
	struct gmem g;
	struct kvm k;
	struct err e;
	uint8_t *ram = calloc(1, 4096);

	(void)state;
	gmem_init_buffer(&g, ram, 4096);
	assert_int_equal(kvm_init(&k, open("/dev/null", O_RDWR | O_CLOEXEC), -1, &g, true, NULL,
				  &e),
			 -ERR_KVM);
	assert_string_equal(e.msg, "not /dev/kvm, or its API version -1 is not 12");
	free(ram);
}

/* kvm_init of much memory, and what KVM says of that. */
static int map_large(struct kvm *k, struct gmem *g, struct err *e)
{
	int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC), r;

	if (fd < 0)
		skip();
	r = kvm_init(k, fd, -1, g, true, NULL, e);
	return r < 0 ? r : kvm_map(k, e);
}

static void much_memory_takes_long(void **state)
{
	struct gmem g;
	struct kvm k;
	struct err e;

	(void)state;
	assert_int_equal(gmem_init(&g, 4 * GIB, 0, &e), 0);
	assert_true(kvm_maps_beside(g.size, true));
	assert_false(
		kvm_maps_beside(g.size, false)); /* behind the kernel's chip it would take 20 ms */
	assert_false(kvm_maps_beside(GIB, true));
	if (map_large(&k, &g, &e) < 0)
		fail_msg("%s", e.msg);
	/* what devices map comes behind it, and may not be where it is */
	assert_int_equal(kvm_slot_add(&k, 16 * GIB, 4096, g.base, &e), g.nregions);
	assert_int_equal(kvm_slot_add(&k, 4 * GIB, 4096, g.base, &e), -EEXIST);
	kvm_fini(&k);
	gmem_fini(&g);
}

static void memory_that_kvm_refuses_is_said(void **state)
{
	struct gmem g;
	struct kvm k;
	struct err e = { 0 };

	(void)state;
	assert_int_equal(gmem_init(&g, 4 * GIB, 0, &e), 0);
	g.regions[1].gpa = 2 * GIB;
	assert_int_equal(map_large(&k, &g, &e), -ERR_KVM);
	assert_string_equal(e.msg, "cannot give the VM its memory at 0x80000000: File exists");
	kvm_fini(&k);
	gmem_fini(&g);
}

/* KVM gets it by a thread, which puts on a vCPU's filter first, as the vCPU itself does. */
static void much_memory_comes_by_a_caged_thread(void **state)
{
	static const uint64_t sizes[] = { GIB, 2 * GIB };
	unsigned int alone = sysconf(_SC_NPROCESSORS_ONLN) < 2;
	struct tiny f;

	(void)state;
	for (unsigned int i = 0; i < ARRAY_SIZE(sizes); i++) {
		tiny_start(&f, &((struct tiny_options){ .memory = sizes[i] }), tiny_exit_7);
		tiny_expect_exit(&f, 7);
		assert_int_equal(f.filtered, 1 + i * !alone);
		tiny_fini(&f);
	}
}

/* It is told where the machine starts, which does not. */
static void no_memory_no_start(void **state)
{
	struct tiny f;
	struct err e;

	(void)state;
	assert_int_equal(
		tiny_init(&f, &(struct tiny_options){ 0 }, tiny_halt, sizeof(tiny_halt), &e), 0);
	f.machine->mapping.ret = err_set(&f.machine->mapping.err, ERR_KVM, "no memory");
	assert_int_equal(machine_start(f.machine, &e), -ERR_KVM);
	assert_string_equal(e.msg, "no memory");
	assert_int_equal(machine_get_state(f.machine), MACHINE_CREATED);
	tiny_fini(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ends_by_the_debug_port),
		cmocka_unit_test(ends_by_acpi),
		cmocka_unit_test(a_reset_stops_when_told_so),
		cmocka_unit_test(a_reset_clears_the_bss),
		cmocka_unit_test(a_reset_loop_is_throttled),
		cmocka_unit_test(pause_stops_and_resume_goes_on),
		cmocka_unit_test(an_hour_of_pause_is_not_seen),
		cmocka_unit_test(an_hour_of_pause_is_not_counted),
		cmocka_unit_test(a_halted_guest_can_be_paused),
		cmocka_unit_test(the_kernels_irqchip_works_too),
		cmocka_unit_test(an_eventfd_holds_a_line),
		cmocka_unit_test(states_that_do_not_fit),
		cmocka_unit_test(no_kernel_no_start),
		cmocka_unit_test(not_kvm_is_said),
		cmocka_unit_test(much_memory_takes_long),
		cmocka_unit_test(memory_that_kvm_refuses_is_said),
		cmocka_unit_test(much_memory_comes_by_a_caged_thread),
		cmocka_unit_test(no_memory_no_start),
	};

	return cmocka_run_group_tests_name("machine", tests, NULL, NULL);
}
