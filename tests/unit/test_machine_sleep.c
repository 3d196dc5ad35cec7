// SPDX-License-Identifier: MIT
// A machine in suspend to RAM: what wakes it, and what comes in between. Skips without /dev/kvm.
#include "tests/unit/tiny_machine.h"

#include <pthread.h>
#include <string.h>

#include "lib/errcat.h"
#include "vmm/dev/acpi_pm.h"
#include "vmm/machine_impl.h"

/* Counts, and sleeps (S3), to wake at 0x7005 */
static const uint8_t guest_sleep[] = {
	0xc7, 0x05, 0x4c, 0x00, 0x0e, 0x00, 0x05, 0x70, 0x00, 0x00, /* [FACS + 12] = 0x7005 */
	0xff, 0x05, 0x00, 0x00, 0x30, 0x00,			    /* inc [counter] */
	0x66, 0xb8, 0x00, 0x2c, 0x66, 0xba, 0x04, 0x06, 0x66, 0xef, /* out 0x604, 0x2c00 */
	0xf4,
};
/* 16 bits, where it wakes: 7, when it is at 0700:0005 */
static const uint8_t guest_awake[] = {
	0xe8, 0x00, 0x00,	      /* call the next */
	0x58,			      /* pop ax: 8 */
	0x3d, 0x08, 0x00, 0x75, 0x0b, /* not 8: 9 */
	0x8c, 0xc8,		      /* ax = cs */
	0x3d, 0x00, 0x07, 0x75, 0x04, /* not 0x700: 9 */
	0xb0, 7,    0xe6, 0xf4, 0xb0, 9, 0xe6, 0xf4, 0xeb, 0xfe,
};

static void tiny_until_suspended(struct tiny *f)
{
	while (machine_get_state(f->machine) != MACHINE_SUSPENDED)
		uv_run(&f->loop, UV_RUN_ONCE);
	memcpy(gmem_ptr(&f->machine->gmem, 0x7005, sizeof(guest_awake)), guest_awake,
	       sizeof(guest_awake));
}

/* It has written to PM1_CNT; the loop need not have seen it. */
static bool tiny_asleep(struct tiny *f)
{
	bool asleep;

	pthread_mutex_lock(&f->machine->lock);
	asleep = acpi_pm_asleep(f->machine->board.acpi_pm);
	pthread_mutex_unlock(&f->machine->lock);
	return asleep;
}

static void a_sleeper_wakes_at_its_vector(void **state)
{
	struct tiny f;

	(void)state;
	for (unsigned int i = 0; i < 4; i++) {
		tiny_start(&f, (&(struct tiny_options){ .vcpus = 2, .kernel_irqchip = i & 1 }),
			   guest_sleep);
		tiny_until_suspended(&f);
		assert_int_equal(f.suspended, 1);
		assert_int_equal(f.awake, 0);
		/* the power button does, too */
		assert_int_equal(i & 2 ? machine_power_button(f.machine, NULL)
				       : machine_wakeup(f.machine, NULL),
				 0);
		assert_int_equal(machine_get_state(f.machine), MACHINE_RUNNING);
		assert_int_equal(f.awake, 1);
		tiny_expect_exit(&f, 7);
		assert_int_equal(f.events, 0);
		tiny_fini(&f);
	}
}

static void a_sleeper_is_reset_and_killed(void **state)
{
	struct tiny f;
	struct err e;

	(void)state;
	tiny_start(&f, (&(struct tiny_options){ .vcpus = 2 }), guest_sleep);
	tiny_until_suspended(&f);
	assert_int_equal(tiny_counter(&f), 1);
	assert_int_equal(machine_pause(f.machine, &e), -ERR_VM_STATE);
	assert_string_equal(e.msg, "cannot pause: the VM is suspended");
	assert_int_equal(machine_resume(f.machine, &e), -ERR_VM_STATE);
	assert_int_equal(machine_start(f.machine, &e), -ERR_VM_STATE);
	assert_int_equal(machine_reset(f.machine, NULL), 0);
	assert_int_equal(machine_get_state(f.machine), MACHINE_RUNNING);
	assert_int_equal(f.awake, 1);
	assert_int_equal(f.events, 1);
	/* it has booted, and sleeps again; then it is as good as off */
	tiny_until_suspended(&f);
	assert_int_equal(f.suspended, 2);
	machine_kill(f.machine, "enough");
	assert_int_equal(f.words.reason, LASTWORDS_KILLED);
	assert_int_equal(machine_wakeup(f.machine, &e), -ERR_VM_STATE);
	assert_string_equal(e.msg, "cannot wake it up: the VM is ended");
	tiny_fini(&f);
}

/* Paused in the moment in which it falls asleep: it does so when it may. */
static void a_pause_comes_before_sleep(void **state)
{
	struct tiny f;

	(void)state;
	tiny_start(&f, (&(struct tiny_options){ .vcpus = 2 }), guest_sleep);
	while (!tiny_asleep(&f))
		;
	assert_int_equal(machine_pause(f.machine, NULL), 0);
	assert_int_equal(uv_run(&f.loop, UV_RUN_NOWAIT) != 0, 1);
	assert_int_equal(machine_get_state(f.machine), MACHINE_PAUSED);
	assert_int_equal(f.suspended, 0);
	assert_int_equal(machine_resume(f.machine, NULL), 0);
	tiny_until_suspended(&f);
	assert_int_equal(f.suspended, 1);
	assert_int_equal(machine_wakeup(f.machine, NULL), 0);
	tiny_expect_exit(&f, 7);
	tiny_fini(&f);
}

/* One that sleeps without end does so once a second. */
static void a_sleep_loop_is_throttled(void **state)
{
	uint64_t start = uv_hrtime();
	struct tiny f;

	(void)state;
	tiny_start(&f, (&(struct tiny_options){ .vcpus = 2 }), guest_sleep);
	for (unsigned int i = 0; i < 3; i++) {
		tiny_until_suspended(&f);
		/* it wakes to sleep: mov ax, 0x2c00; mov dx, 0x604; out dx, ax; hlt */
		memcpy(gmem_ptr(&f.machine->gmem, 0x7005, 8), "\xb8\x00\x2c\xba\x04\x06\xef\xf4",
		       8);
		assert_int_equal(machine_wakeup(f.machine, NULL), 0);
	}
	assert_true(uv_hrtime() - start > 1900000000);
	machine_kill(f.machine, "enough");
	tiny_fini(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_sleeper_wakes_at_its_vector),
		cmocka_unit_test(a_sleeper_is_reset_and_killed),
		cmocka_unit_test(a_pause_comes_before_sleep),
		cmocka_unit_test(a_sleep_loop_is_throttled),
	};

	return cmocka_run_group_tests_name("machine_sleep", tests, NULL, NULL);
}
