// SPDX-License-Identifier: MIT
/*
 * A machine's life: made, booted, paused, reset, ended. On the control loop; vCPUs are held before device
 * callbacks run, which run under machine.lock. The lock is never held while vCPUs are waited for: they may
 * need it to finish an exit.
 */
#include "vmm/machine_impl.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/auto.h"
#include "lib/errcat.h"
#include "vmm/console.h"
#include "vmm/devices.h"
#include "vmm/display/viewer.h"
#include "vmm/x86/cpu.h"
#include "vmm/x86/firmware.h"

/* A vCPU parks within microseconds, unless the host's KVM does not let it go */
#define MACHINE_HOLD_MS 5000
#define MACHINE_END_HOLD_MS 1000
#define MACHINE_PANIC_MS 1000
#define MACHINE_PANIC_LINES 100
#define MACHINE_PANIC_TEXT 16384

static const char *const machine_state_names[] = { "created", "running", "paused", "suspended",
						   "ended" };

enum machine_state machine_get_state(const struct machine *m)
{
	return m->state;
}

const char *machine_state_name(enum machine_state state)
{
	return machine_state_names[state];
}

uint64_t machine_memory(const struct machine *m)
{
	return m->config.memory.size;
}

const char *machine_name(const struct machine *m)
{
	return m->config.name;
}

const struct lastwords *machine_lastwords(const struct machine *m)
{
	return m->state == MACHINE_ENDED ? &m->words : NULL;
}

struct console *machine_console_at(struct machine *m, unsigned int index)
{
	return index < m->nconsoles ? m->consoles[index] : NULL;
}

struct console *machine_console(struct machine *m, const char *id)
{
	for (unsigned int i = 0; i < m->nconsoles; i++)
		if (!id || !strcmp(console_id(m->consoles[i]), id))
			return m->consoles[i];
	return NULL;
}

/* --- devices --------------------------------------------------------------------------------------- */

static void machine_devices_start(struct machine *m)
{
	pthread_mutex_lock(&m->lock);
	machine_clock_run(m, true);
	for (unsigned int i = 0; i < m->ndevices; i++)
		if (m->devices[i]->class->start)
			m->devices[i]->class->start(m->devices[i]);
	pthread_mutex_unlock(&m->lock);
}

void machine_devices_stop(struct machine *m)
{
	pthread_mutex_lock(&m->lock);
	for (unsigned int i = m->ndevices; i > 0; i--)
		if (m->devices[i - 1]->class->stop)
			m->devices[i - 1]->class->stop(m->devices[i - 1]);
	machine_clock_run(m, false);
	pthread_mutex_unlock(&m->lock);
}

static void machine_devices_reset(struct machine *m)
{
	pthread_mutex_lock(&m->lock);
	input_reset(&m->input);
	for (unsigned int i = 0; i < m->ndevices; i++)
		if (m->devices[i]->class->reset)
			m->devices[i]->class->reset(m->devices[i]);
	pthread_mutex_unlock(&m->lock);
}

static int machine_devices_new(struct machine *m, struct fdset *fds, struct err *e)
{
	size_t n = json_object_array_length(m->config.devices);
	int r = 0;

	pthread_mutex_lock(&m->lock);
	for (size_t i = 0; i < n && r >= 0; i++) {
		r = device_new(&m->board, json_object_array_get_idx(m->config.devices, i), fds,
			       &m->devices[m->ndevices], e);
		m->ndevices += r >= 0;
	}
	pthread_mutex_unlock(&m->lock);
	return r;
}

static void machine_devices_free(struct machine *m)
{
	pthread_mutex_lock(&m->lock);
	while (m->ndevices)
		device_free(m->devices[--m->ndevices]);
	pthread_mutex_unlock(&m->lock);
}

/* The first of a class, or NULL. */
struct device *machine_device_of(const struct machine *m, const struct device_class *class)
{
	for (unsigned int i = 0; i < m->ndevices; i++)
		if (m->devices[i]->class == class)
			return m->devices[i];
	return NULL;
}

void machine_go_on(struct machine *m)
{
	bool ends;

	pthread_mutex_lock(&m->cause_lock);
	ends = m->cause.cause != MACHINE_CAUSE_NONE; /* the guest asked: the loop is about to see */
	pthread_mutex_unlock(&m->cause_lock);
	/* a guest whose reset waits for its turn does not run until then */
	if (m->state == MACHINE_RUNNING && !ends && !uv_is_active((uv_handle_t *)&m->throttle))
		vcpus_release(&m->vcpus);
}

void machine_run(struct machine *m)
{
	machine_devices_start(m);
	m->state = MACHINE_RUNNING;
	machine_mark(m, MACHINE_MARK_START); /* before the guest can do anything */
	machine_go_on(m);
}

/* --- the end ------------------------------------------------------------------------------------------ */

void machine_end(struct machine *m, enum lastwords_reason reason, int code, const char *msg)
{
	bool ran = m->state == MACHINE_RUNNING;

	if (m->state == MACHINE_ENDED)
		return;
	uv_timer_stop(&m->throttle);
	machine_sleep_over(m);
	/* devices are not stopped under a vCPU that does not park: its owner has to _exit */
	if (!vcpus_hold(&m->vcpus, MACHINE_END_HOLD_MS) && ran)
		machine_devices_stop(m);
	m->state = MACHINE_ENDED;
	m->words = (struct lastwords){ .reason = reason, .code = code };
	snprintf(m->words.message, sizeof(m->words.message), "%s", msg ? msg : "");
	log_info(m->log, "%s: %s%s%s", m->config.name, lastwords_reason_name(reason),
		 msg && *msg ? ": " : "", msg ? msg : "");
	m->ops->ended(m->arg, &m->words);
}

void machine_kill(struct machine *m, const char *message)
{
	machine_end(m, LASTWORDS_KILLED, 0, message);
}

/* --- life ---------------------------------------------------------------------------------------------- */

bool machine_is_up(const struct machine *m)
{
	return m->state == MACHINE_RUNNING || m->state == MACHINE_PAUSED ||
	       m->state == MACHINE_SUSPENDED;
}

int machine_wrong_state(const struct machine *m, const char *what, struct err *e)
{
	return err_set(e, ERR_VM_STATE, "cannot %s: the VM is %s", what,
		       machine_state_name(m->state));
}

int machine_start(struct machine *m, struct err *e)
{
	int r;

	if (m->state == MACHINE_RUNNING)
		return 0;
	if (m->state != MACHINE_CREATED)
		return machine_wrong_state(m, "start", e);
	machine_devices_reset(m);
	r = machine_boot(m, e);
	if (r >= 0)
		r = machine_mapped(m, e);
	if (r < 0)
		return r;
	machine_mark(m, MACHINE_MARK_KERNEL);
	machine_run(m);
	return 0;
}

/* The guest's time is worth a line in the log, not a pause that fails. */
static void machine_stop_guestclock(struct machine *m)
{
	struct err e;

	if (guestclock_stop(&m->guestclock, m->kvm.vm_fd, &m->vcpus, &e) < 0)
		log_limited(m->log, &m->log_limit, "%s: pause: %s", m->config.name, e.msg);
}

static void machine_go_guestclock(struct machine *m)
{
	struct err e;

	if (guestclock_go(&m->guestclock, m->kvm.vm_fd, &m->vcpus, &e) < 0)
		log_limited(m->log, &m->log_limit, "%s: resume: %s", m->config.name, e.msg);
}

int machine_pause(struct machine *m, struct err *e)
{
	if (m->state == MACHINE_PAUSED)
		return 0;
	if (m->state != MACHINE_RUNNING)
		return machine_wrong_state(m, "pause", e);
	if (vcpus_hold(&m->vcpus, MACHINE_HOLD_MS) < 0) {
		vcpus_release(&m->vcpus);
		return err_set(e, ERR_TIMEOUT, "a vCPU did not stop within %d ms", MACHINE_HOLD_MS);
	}
	machine_stop_guestclock(m);
	machine_devices_stop(m);
	m->state = MACHINE_PAUSED;
	return 0;
}

int machine_resume(struct machine *m, struct err *e)
{
	if (m->state == MACHINE_RUNNING)
		return 0;
	if (m->state != MACHINE_PAUSED)
		return machine_wrong_state(m, "resume", e);
	machine_go_guestclock(m);
	vcpus_note_pause(&m->vcpus);
	if (m->drowsy) /* before it could run */
		machine_raise(m, MACHINE_CAUSE_SUSPEND, 0, NULL);
	m->drowsy = false;
	machine_run(m);
	return 0;
}

/* What the guest asked for before it was reset is no longer wanted. */
static void machine_forget_cause(struct machine *m)
{
	pthread_mutex_lock(&m->cause_lock);
	if (m->cause.cause != MACHINE_CAUSE_FAULT)
		m->cause.cause = MACHINE_CAUSE_NONE;
	pthread_mutex_unlock(&m->cause_lock);
}

int machine_reset(struct machine *m, struct err *e)
{
	bool sleeps = m->state == MACHINE_SUSPENDED, runs = m->state == MACHINE_RUNNING || sleeps;
	int r;

	if (!machine_is_up(m))
		return machine_wrong_state(m, "reset", e);
	machine_sleep_over(m);
	r = machine_pause(m, e);
	if (r < 0)
		return r;
	m->drowsy = false;
	machine_forget_cause(m);
	uv_timer_stop(&m->throttle);
	machine_unplug_asked(m);
	machine_devices_reset(m);
	r = kvm_irqchip_reset(&m->kvm, e);
	if (r >= 0)
		r = machine_boot(m, e);
	if (r < 0) {
		char msg[512];

		snprintf(msg, sizeof(msg), "reset: %.480s", e ? e->msg : "failed");
		machine_end(m, LASTWORDS_FAULT, 0, msg);
		return r;
	}
	/* the reset has set them, from which on they stand still, or do not */
	guestclock_forget(&m->guestclock);
	if (runs)
		machine_run(m);
	else
		machine_stop_guestclock(m);
	if (sleeps)
		m->ops->event(m->arg, "awake", NULL);
	m->ops->event(m->arg, "reset", NULL);
	return 0;
}

/* A guest that panics all the time is told of once in a while. */
static void machine_tell_panic(struct machine *m, bool handled)
{
	uint64_t now = uv_hrtime() / 1000000;
	AUTO_FREE char *text = NULL;

	if (!m->ops->panic || (m->panicked_ms && now - m->panicked_ms < MACHINE_PANIC_MS))
		return;
	m->panicked_ms = now;
	text = calloc(1, MACHINE_PANIC_TEXT);
	if (text && m->nconsoles)
		console_tail_text(m->consoles[0], MACHINE_PANIC_LINES, text, MACHINE_PANIC_TEXT);
	m->ops->panic(m->arg, handled, text ? text : "");
}

/*
 * A guest that resets itself in a loop costs neither the host's CPU nor vmd's event log: 0 when it may go on
 * now, else the milliseconds to wait.
 */
static uint64_t machine_throttle(struct machine *m)
{
	uint64_t now = uv_hrtime() / 1000000;

	if (now - m->resets_from_ms >= 1000) {
		m->resets_from_ms = now;
		m->resets = 0;
	}
	if (m->resets < MACHINE_RESETS_MAX) {
		m->resets++;
		return 0;
	}
	return m->resets_from_ms + 1000 - now;
}

static void machine_throttled_cb(uv_timer_t *t);

/* In place. The vCPUs are held since the guest asked. */
static void machine_guest_reset(struct machine *m)
{
	uint64_t wait_ms = machine_throttle(m);
	struct err err = { 0 };

	if (wait_ms) {
		log_limited(m->log, &m->log_limit, "%s: resets too often, waits %llu ms",
			    m->config.name, (unsigned long long)wait_ms);
		uv_update_time(m->loop);
		uv_timer_start(&m->throttle, machine_throttled_cb, wait_ms, 0);
	} else if (machine_reset(m, &err) < 0 && m->state != MACHINE_ENDED) {
		machine_end(m, LASTWORDS_FAULT, 0, err.msg);
	}
}

static void machine_throttled_cb(uv_timer_t *t)
{
	struct machine *m = t->data;

	if (machine_is_up(m))
		machine_guest_reset(m);
}

static void machine_asked_reset(struct machine *m, const char *msg)
{
	if (m->config.on_reboot == CONFIG_AFTER_STOP)
		machine_end(m, LASTWORDS_RESET, 0, msg);
	else
		machine_guest_reset(m);
}

static void machine_crashed(struct machine *m, enum lastwords_reason reason, const char *msg)
{
	if (m->config.on_crash == CONFIG_AFTER_STOP) {
		machine_end(m, reason, 0, msg);
		return;
	}
	log_limited(m->log, &m->log_limit, "%s: %s, reset", m->config.name, msg);
	machine_guest_reset(m);
}

void machine_on_cause(struct machine *m, const struct machine_cause_slot *slot)
{
	if (!machine_is_up(m))
		return;
	switch (slot->cause) {
	case MACHINE_CAUSE_SHUTDOWN:
		machine_end(m, LASTWORDS_SHUTDOWN, 0, slot->msg);
		break;
	case MACHINE_CAUSE_WATCHDOG:
		machine_end(m, LASTWORDS_WATCHDOG, 0, slot->msg);
		break;
	case MACHINE_CAUSE_PANIC:
		machine_tell_panic(m, false);
		machine_crashed(m, LASTWORDS_PANIC, slot->msg);
		break;
	case MACHINE_CAUSE_PANIC_HANDLED:
		machine_tell_panic(m, true);
		machine_go_on(m);
		break;
	case MACHINE_CAUSE_EXIT:
		machine_end(m, LASTWORDS_GUEST_EXIT, slot->code, slot->msg);
		break;
	case MACHINE_CAUSE_RESET:
		machine_asked_reset(m, slot->msg);
		break;
	case MACHINE_CAUSE_TRIPLE_FAULT:
		machine_crashed(m, LASTWORDS_TRIPLE_FAULT, slot->msg);
		break;
	case MACHINE_CAUSE_SUSPEND:
		machine_suspend(m);
		break;
	case MACHINE_CAUSE_WAKE:
		machine_wake(m);
		break;
	case MACHINE_CAUSE_FAULT:
	case MACHINE_CAUSE_NONE:
		machine_end(m, LASTWORDS_FAULT, slot->code, slot->msg);
		break;
	}
}

/* --- making and closing --------------------------------------------------------------------------------- */

static int machine_make_vcpus(struct machine *m, struct err *e)
{
	int r = vcpus_init(&m->vcpus, &m->kvm, m->config.vcpus, &m->board, &m->lock,
			   &machine_vcpu_ops, m, e);

	for (unsigned int i = 0; i < m->vcpus.n && r >= 0; i++)
		r = cpu_set_cpuid(&m->config.support, m->vcpus.list[i].fd, i, m->vcpus.n, e);
	return r;
}

/* What KVM's CPUs can decides where devices may be, too. */
static int machine_make_parts(struct machine *m, struct fdset *fds, struct err *e)
{
	int r;

	m->board.pci64 = gmem_pci64(&m->gmem, cpu_phys_bits(&m->config.support));
	r = machine_devices_new(m, fds, e);
	if (r >= 0 && m->board.vfio)
		machine_mark(m, MACHINE_MARK_PINNED);
	return r < 0 ? r : machine_make_vcpus(m, e);
}

/* Is a device of this type in the configuration? None is made yet. */
static bool machine_lists(const struct machine *m, const char *type)
{
	size_t n = json_object_array_length(m->config.devices);

	for (size_t i = 0; i < n; i++)
		if (!strcmp(json_get_str(json_object_array_get_idx(m->config.devices, i), "type",
					 ""),
			    type))
			return true;
	return false;
}

static int machine_make_kvm(struct machine *m, int take_kvm_fd, struct err *e)
{
	bool split = m->config.irqchip == CONFIG_IRQCHIP_SPLIT;
	int r = machine_make_memory(m, e);

	if (r >= 0 && m->config.boot.firmware_fd >= 0)
		r = firmware_load(&m->gmem, m->config.boot.firmware_fd, e);
	if (r < 0) {
		close(take_kvm_fd);
		return r;
	}
	m->gmem.vga = machine_lists(m, vga_class.type);
	machine_mark(m, MACHINE_MARK_MEMORY);
	r = kvm_init(&m->kvm, take_kvm_fd, TAKE_FD(m->config.vm_fd), &m->gmem, split, m->log, e);
	m->kvm_made = r >= 0;
	return r;
}

static int machine_make(struct machine *m, int take_kvm_fd, struct err *e)
{
	bool split = m->config.irqchip == CONFIG_IRQCHIP_SPLIT;
	int r = machine_make_kvm(m, take_kvm_fd, e);

	if (r >= 0 && kvm_maps_beside(m->config.memory.size, split))
		machine_map(m);
	return r;
}

int machine_new(uv_loop_t *loop, struct machine_config *take_config, int take_kvm_fd,
		const struct log *log, const struct machine_ops *ops, void *arg,
		struct machine **ret_machine, struct err *e)
{
	struct machine *m = calloc(1, sizeof(*m));
	int r;

	if (!m) {
		config_fini(take_config);
		close(take_kvm_fd);
		return err_ret(e, -ENOMEM, "machine");
	}
	m->config = *take_config;
	take_config->devices = NULL;
	take_config->smbios = NULL;
	take_config->boot.order = NULL;
	take_config->support.cpuid = NULL;
	take_config->vm_fd = -1;
	take_config->boot.kernel_fd = -1;
	take_config->boot.initrd_fd = -1;
	take_config->boot.firmware_fd = -1;
	m->loop = loop;
	m->log = log;
	m->ops = ops;
	m->arg = arg;
	r = machine_board_init(m, e);
	if (r >= 0)
		r = machine_make(m, take_kvm_fd, e);
	else
		close(take_kvm_fd);
	if (r < 0) {
		m->state = MACHINE_ENDED; /* without a word: the caller has the error */
		machine_close(m);
		return r;
	}
	*ret_machine = m;
	return 0;
}

int machine_fit(struct machine *m, struct fdset *fds, struct err *e)
{
	struct cpu_support *support = &m->config.support;
	int r = support->cpuid ? 0 : cpu_support_get(support, m->kvm.fd, -1, e);

	if (r >= 0)
		r = machine_make_parts(m, fds, e);
	cpu_support_fini(support);
	if (r < 0) {
		m->state = MACHINE_ENDED;
		return r;
	}
	machine_mark(m, MACHINE_MARK_MACHINE);
	m->board.caged = true; /* soon; what comes from now on has to do with that */
	return 0;
}

void machine_leave(struct machine *m)
{
	machine_kill(m, "closed");
	for (unsigned int i = 0; i < m->nconsoles; i++)
		console_close(m->consoles[i]);
	m->nconsoles = 0;
}

bool machine_close(struct machine *m)
{
	if (!m)
		return true;
	machine_kill(m, "closed");
	/* first, so that no exit meets a device that is gone */
	if (!vcpus_fini(&m->vcpus))
		return false;
	viewer_free(TAKE_PTR(m->viewer));
	machine_devices_free(m);
	(void)machine_mapped(m, NULL);
	if (m->kvm_made)
		kvm_fini(&m->kvm);
	firmware_unload(&m->gmem);
	gmem_fini(&m->gmem);
	config_fini(&m->config);
	machine_board_fini(m);
	return true;
}
