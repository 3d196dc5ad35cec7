// SPDX-License-Identifier: MIT
/*
 * The power button, and suspend to RAM: ACPI S3 (ACPI 6.4, sections 7.4.2.4 and 16.1.3). The devices lose their power, which
 * is a reset, but for those on standby; the vCPUs go back to RESET when the guest wakes, and the first one to the vector that
 * the guest left in the FACS, by way of firmware where there is one. The clocks run on: who sleeps has missed something. On
 * the control loop.
 */
#include "vmm/machine_impl.h"

#include <stdio.h>

#include "lib/errcat.h"
#include "vmm/dev/acpi_pm.h"
#include "vmm/dev/rtc.h"
#include "vmm/devices.h"
#include "vmm/x86/acpi.h"
#include "vmm/x86/cpu.h"

#define MACHINE_SLEEP_HOLD_MS 5000
#define MACHINE_SLEEP_MS \
	1000 /* from one sleep to the next: each is two events, and vmd takes four a second */

static void machine_sleep_failed(struct machine *m, const char *what, const struct err *why)
{
	char msg[512];

	snprintf(msg, sizeof(msg), "%s: %.400s", what, why->msg);
	machine_end(m, LASTWORDS_FAULT, 0, msg);
}

/* The power goes off. The time of those that keep theirs goes on. */
static void machine_power_off_devices(struct machine *m)
{
	machine_devices_stop(m);
	pthread_mutex_lock(&m->lock);
	for (unsigned int i = 0; i < m->ndevices; i++)
		if (m->devices[i]->class->reset && !m->devices[i]->class->standby)
			m->devices[i]->class->reset(m->devices[i]);
	machine_clock_run(m, true);
	pthread_mutex_unlock(&m->lock);
}

static void machine_sleep_later(uv_timer_t *t)
{
	struct machine *m = t->data;

	machine_suspend(m);
}

/* A guest that sleeps and wakes in a loop is slowed down. */
static bool machine_sleeps_too_often(struct machine *m)
{
	uint64_t now;

	uv_update_time(m->loop);
	now = uv_now(m->loop);
	if (!m->slept_ms || now - m->slept_ms >= MACHINE_SLEEP_MS) {
		m->slept_ms = now;
		return false;
	}
	uv_timer_start(&m->throttle, machine_sleep_later, m->slept_ms + MACHINE_SLEEP_MS - now, 0);
	return true;
}

static bool machine_asleep(struct machine *m)
{
	bool asleep;

	pthread_mutex_lock(&m->lock);
	asleep = acpi_pm_asleep(machine_device_of(m, &acpi_pm_class));
	pthread_mutex_unlock(&m->lock);
	return asleep;
}

void machine_suspend(struct machine *m)
{
	struct err err;

	if (m->state == MACHINE_PAUSED)
		m->drowsy = true;
	if (m->state != MACHINE_RUNNING || machine_sleeps_too_often(m))
		return;
	if (vcpus_hold(&m->vcpus, MACHINE_SLEEP_HOLD_MS) < 0) {
		err_set(&err, ERR_TIMEOUT, "a vCPU did not stop");
		machine_sleep_failed(m, "suspend", &err);
		return;
	}
	machine_power_off_devices(m);
	m->state = MACHINE_SUSPENDED;
	m->ops->event(m->arg, "suspended", NULL);
	/* it was woken before it slept */
	if (!machine_asleep(m))
		machine_wake(m);
}

/*
 * Where vCPU 0 begins. Firmware begins as ever, finds in CMOS that this is no boot, and the vector by itself; its code is in
 * memory that the guest has kept. False: nobody knows how it would go on.
 */
static bool machine_wake_entry(struct machine *m, struct boot_entry *ret)
{
	struct device *rtc = machine_device_of(m, &rtc_class);
	struct acpi_waking to;

	*ret = (struct boot_entry){ .protocol = BOOT_RESET_VECTOR };
	if (m->config.boot.firmware_fd >= 0) {
		if (rtc)
			rtc_set_cmos(rtc, RTC_CMOS_SHUTDOWN, RTC_SHUTDOWN_S3);
		return rtc;
	}
	if (!acpi_get_waking(&m->gmem, &to))
		return false;
	ret->protocol = to.protected_mode ? BOOT_WAKE_PROTECTED : BOOT_WAKE_REAL;
	ret->rip = to.vector;
	return true;
}

static int machine_wake_vcpus(struct machine *m, const struct boot_entry *entry, struct err *e)
{
	int r = kvm_irqchip_reset(&m->kvm, e);

	for (unsigned int i = 0; i < m->vcpus.n && r >= 0; i++)
		r = cpu_reset(m->vcpus.list[i].fd, i, entry, false, e);
	return r;
}

/* It has been seen to. */
static void machine_woken(struct machine *m)
{
	pthread_mutex_lock(&m->cause_lock);
	if (m->cause.cause == MACHINE_CAUSE_WAKE)
		m->cause.cause = MACHINE_CAUSE_NONE;
	pthread_mutex_unlock(&m->cause_lock);
}

void machine_wake(struct machine *m)
{
	static const struct machine_cause_slot boots = {
		.cause = MACHINE_CAUSE_RESET, .msg = "it woke up with no vector in the FACS"
	};
	struct boot_entry entry;
	struct err err;

	if (m->state != MACHINE_SUSPENDED)
		return;
	if (!machine_wake_entry(m, &entry)) {
		log_limited(m->log, &m->log_limit, "%s: %s", m->config.name, boots.msg);
		machine_on_cause(m, &boots);
		return;
	}
	if (machine_wake_vcpus(m, &entry, &err) < 0) {
		machine_sleep_failed(m, "wake-up", &err);
		return;
	}
	machine_woken(m);
	machine_run(m);
	m->ops->event(m->arg, "awake", NULL);
}

int machine_power_button(struct machine *m, struct err *e)
{
	struct device *d = machine_device_of(m, &acpi_pm_class);

	if (!machine_is_up(m))
		return machine_wrong_state(m, "press the power button", e);
	if (!d)
		return err_set(e, ERR_VM_STATE, "the VM has no power button (no acpi-pm device)");
	pthread_mutex_lock(&m->lock);
	acpi_pm_power_button(d);
	pthread_mutex_unlock(&m->lock);
	machine_wake(m);
	return 0;
}

int machine_wakeup(struct machine *m, struct err *e)
{
	struct device *pm = machine_device_of(m, &acpi_pm_class);

	if (m->state == MACHINE_RUNNING)
		return 0;
	if (m->state != MACHINE_SUSPENDED)
		return machine_wrong_state(m, "wake it up", e);
	pthread_mutex_lock(&m->lock);
	acpi_pm_wake(pm);
	pthread_mutex_unlock(&m->lock);
	machine_wake(m);
	return 0;
}

void machine_sleep_over(struct machine *m)
{
	if (m->state != MACHINE_SUSPENDED)
		return;
	pthread_mutex_lock(&m->lock);
	machine_clock_run(m, false);
	pthread_mutex_unlock(&m->lock);
	m->state = MACHINE_PAUSED;
}
