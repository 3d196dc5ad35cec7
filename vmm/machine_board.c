// SPDX-License-Identifier: MIT
/*
 * The services of a machine for its devices (board.h) and vCPUs: interrupts, timers, workers, consoles,
 * events. Calls come under machine.lock, but for `event`.
 */
#include "vmm/machine_impl.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "lib/errcat.h"
#include "vmm/console.h"
#include "vmm/dev/ioapic.h"
#include "vmm/waiter.h"
#include "vmm/worker.h"

/* --- interrupts -------------------------------------------------------------------------------------- */

static void machine_irq_set(void *arg, unsigned int gsi, bool level)
{
	struct machine *m = arg;

	if (m->kvm.split)
		irq_set(&m->irq, gsi, level);
	else
		kvm_irq_line(&m->kvm, gsi, level);
}

static void machine_irq_drive(void *arg, unsigned int gsi, bool level)
{
	struct machine *m = arg;

	if (m->board.ioapic)
		ioapic_set_pin(m->board.ioapic, gsi, level);
}

static int machine_level_irqfd(void *arg, unsigned int gsi, int raise_fd, int ended_fd, bool assign,
			       struct err *e)
{
	struct machine *m = arg;

	if (!m->kvm.split)
		return kvm_level_irqfd(&m->kvm, gsi, raise_fd, ended_fd, assign, e);
	if (assign)
		return irq_level_attach(&m->irq, gsi, raise_fd, ended_fd, e);
	irq_level_detach(&m->irq, gsi, raise_fd);
	return 0;
}

static void machine_irq_ended(void *arg, unsigned int gsi)
{
	struct machine *m = arg;

	irq_ended(&m->irq, gsi);
}

static void machine_msi_send(void *arg, const struct msi_msg *msg)
{
	struct machine *m = arg;

	kvm_signal_msi(&m->kvm, msg);
}

static int machine_irqfd_attach(void *arg, int eventfd, const struct msi_msg *msg, int *gsi,
				struct err *e)
{
	struct machine *m = arg;

	return kvm_irqfd_attach(&m->kvm, eventfd, msg, gsi, e);
}

static void machine_irqfd_detach(void *arg, int eventfd, int gsi)
{
	struct machine *m = arg;

	kvm_irqfd_detach(&m->kvm, eventfd, gsi);
}

static void machine_irqfd_release(void *arg, int gsi)
{
	struct machine *m = arg;

	kvm_irqfd_release(&m->kvm, gsi);
}

static int machine_ioeventfd(void *arg, uint64_t addr, unsigned int size, int eventfd, bool assign,
			     struct err *e)
{
	struct machine *m = arg;

	return kvm_ioeventfd(&m->kvm, addr, size, eventfd, assign, e);
}

static void machine_ioapic_route(void *arg, unsigned int pin, const struct msi_msg *msg, bool level)
{
	struct machine *m = arg;

	kvm_ioapic_route(&m->kvm, pin, msg, level);
}

static void machine_eoi(void *arg, uint8_t vector)
{
	struct machine *m = arg;

	if (m->board.ioapic)
		ioapic_eoi(m->board.ioapic, vector);
}

static uint64_t machine_monotonic_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000ull + (uint64_t)t.tv_nsec;
}

/* --- what passed-through devices need -------------------------------------------------------------- */

static int machine_mem_map(void *arg, uint64_t gpa, uint64_t size, void *host, struct err *e)
{
	struct machine *m = arg;

	return kvm_slot_add(&m->kvm, gpa, size, host, e);
}

static int machine_rom_map(void *arg, uint64_t gpa, uint64_t size, void *host, struct err *e)
{
	struct machine *m = arg;

	return kvm_slot_add_rom(&m->kvm, gpa, size, host, e);
}

static void machine_mem_unmap(void *arg, int slot)
{
	struct machine *m = arg;

	kvm_slot_del(&m->kvm, slot);
}

static int machine_mem_log(void *arg, int slot, uint64_t gpa, uint64_t size, void *host, bool on)
{
	struct machine *m = arg;

	return kvm_slot_log(&m->kvm, slot, gpa, size, host, on);
}

static int machine_mem_written(void *arg, int slot, uint64_t *ret_bitmap)
{
	struct machine *m = arg;

	return kvm_slot_written(&m->kvm, slot, ret_bitmap);
}

static int machine_vfio_file(void *arg, int fd, bool add, struct err *e)
{
	struct machine *m = arg;

	return kvm_vfio_file(&m->kvm, fd, add, e);
}

static void machine_notice(void *arg, const char *type, const char *msg)
{
	struct machine *m = arg;

	m->ops->event(m->arg, type, msg);
}

/* --- events ------------------------------------------------------------------------------------------ */

bool machine_mark(struct machine *m, enum machine_mark mark)
{
	uint64_t none = 0;

	return atomic_compare_exchange_strong(&m->marks[mark], &none,
					      machine_monotonic_ns() / 1000);
}

uint64_t machine_get_mark(const struct machine *m, enum machine_mark mark)
{
	return atomic_load(&m->marks[mark]);
}

static void machine_first_kick(void *arg)
{
	struct machine *m = arg;

	if (machine_mark(m, MACHINE_MARK_KICK))
		uv_async_send(&m->wake);
}

static void machine_tell_kick(struct machine *m)
{
	if (m->kick_told || !machine_get_mark(m, MACHINE_MARK_KICK))
		return;
	m->kick_told = true;
	if (m->ops->marked)
		m->ops->marked(m->arg);
}

static void machine_first_byte(void *arg, uint64_t at_us)
{
	struct machine *m = arg;
	uint64_t none = 0;

	if (atomic_compare_exchange_strong(&m->marks[MACHINE_MARK_CONSOLE], &none, at_us) &&
	    m->ops->marked)
		m->ops->marked(m->arg);
}

void machine_raise(struct machine *m, enum machine_cause cause, int code, const char *msg)
{
	pthread_mutex_lock(&m->cause_lock);
	/* a wake-up is a nudge to look, no more */
	if (m->cause.cause == MACHINE_CAUSE_NONE || m->cause.cause == MACHINE_CAUSE_WAKE) {
		m->cause.cause = cause;
		m->cause.code = code;
		snprintf(m->cause.msg, sizeof(m->cause.msg), "%s", msg ? msg : "");
	}
	pthread_mutex_unlock(&m->cause_lock);
	uv_async_send(&m->wake);
}

static void machine_event(void *arg, enum board_event event, int code, const char *msg)
{
	static const enum machine_cause causes[] = {
		[BOARD_SHUTDOWN] = MACHINE_CAUSE_SHUTDOWN,
		[BOARD_SUSPEND] = MACHINE_CAUSE_SUSPEND,
		[BOARD_WAKE] = MACHINE_CAUSE_WAKE,
		[BOARD_RESET] = MACHINE_CAUSE_RESET,
		[BOARD_EXIT] = MACHINE_CAUSE_EXIT,
		[BOARD_FAULT] = MACHINE_CAUSE_FAULT,
		[BOARD_WATCHDOG] = MACHINE_CAUSE_WATCHDOG,
		[BOARD_PANIC] = MACHINE_CAUSE_PANIC,
		[BOARD_PANIC_HANDLED] = MACHINE_CAUSE_PANIC_HANDLED,
	};
	struct machine *m = arg;

	/* the guest asked to be stopped: it gets no further than this instruction */
	if (event != BOARD_WAKE)
		vcpus_kick(&m->vcpus);
	machine_raise(m, causes[event], code, msg);
}

static void machine_triple_fault(void *arg, unsigned int vcpu)
{
	char msg[64];

	snprintf(msg, sizeof(msg), "triple fault on vCPU %u", vcpu);
	machine_raise(arg, MACHINE_CAUSE_TRIPLE_FAULT, 0, msg);
}

static void machine_vcpu_fault(void *arg, const char *msg)
{
	machine_raise(arg, MACHINE_CAUSE_FAULT, 0, msg);
}

static void machine_vcpu_begin(void *arg)
{
	struct machine *m = arg;

	if (m->ops->thread)
		m->ops->thread(m->arg, SECCOMP_VCPU);
}

const struct vcpu_ops machine_vcpu_ops = {
	.begin = machine_vcpu_begin,
	.eoi = machine_eoi,
	.triple_fault = machine_triple_fault,
	.fault = machine_vcpu_fault,
};

/* --- clock and timers ---------------------------------------------------------------------------------- */

static uint64_t machine_now_ns(void *arg)
{
	struct machine *m = arg;

	return m->clock_runs ? machine_monotonic_ns() - m->clock_base_ns : m->clock_base_ns;
}

static void machine_timer_cb(uv_timer_t *t);

/* Set the loop's timer for the first one that is due. On the loop, under machine.lock. */
static void machine_timer_update(struct machine *m)
{
	uint64_t now = machine_now_ns(m), ms = 0;

	if (!m->clock_runs || !m->timers) {
		uv_timer_stop(&m->timer);
		return;
	}
	/* rounded up: not before it is due */
	if (m->timers->at_ns > now)
		ms = (m->timers->at_ns - now + 999999) / 1000000;
	uv_update_time(m->loop);
	uv_timer_start(&m->timer, machine_timer_cb, ms, 0);
}

void machine_clock_run(struct machine *m, bool run)
{
	if (run == m->clock_runs)
		return;
	m->clock_base_ns = run ? machine_monotonic_ns() - m->clock_base_ns : machine_now_ns(m);
	m->clock_runs = run;
	machine_timer_update(m);
}

static void machine_timer_cancel(void *arg, struct board_timer *t)
{
	struct machine *m = arg;
	struct board_timer **at = &m->timers;

	if (!t->armed)
		return;
	while (*at && *at != t)
		at = &(*at)->next;
	if (*at)
		*at = t->next;
	t->armed = false;
	/* a wake-up for nothing is cheaper than telling the loop */
}

static void machine_timer_arm(void *arg, struct board_timer *t, uint64_t at_ns)
{
	struct machine *m = arg;
	struct board_timer **at = &m->timers;

	machine_timer_cancel(m, t);
	while (*at && (*at)->at_ns <= at_ns)
		at = &(*at)->next;
	t->at_ns = at_ns;
	t->armed = true;
	t->next = *at;
	*at = t;
	if (m->timers == t)
		uv_async_send(&m->wake);
}

static void machine_timer_cb(uv_timer_t *timer)
{
	struct machine *m = timer->data;
	uint64_t now;

	pthread_mutex_lock(&m->lock);
	now = machine_now_ns(m);
	for (unsigned int i = 0; i < MACHINE_FIRE_MAX && m->clock_runs; i++) {
		struct board_timer *t = m->timers;

		if (!t || t->at_ns > now)
			break;
		m->timers = t->next;
		t->armed = false;
		t->fire(t->arg);
	}
	machine_timer_update(m);
	pthread_mutex_unlock(&m->lock);
}

static void machine_wake_cb(uv_async_t *a)
{
	struct machine *m = a->data;
	struct machine_cause_slot slot;

	machine_tell_kick(m);
	pthread_mutex_lock(&m->cause_lock);
	slot = m->cause;
	m->cause.cause = MACHINE_CAUSE_NONE;
	pthread_mutex_unlock(&m->cause_lock);
	if (slot.cause != MACHINE_CAUSE_NONE) {
		machine_on_cause(m, &slot);
		return; /* it may be closing */
	}
	pthread_mutex_lock(&m->lock);
	machine_timer_update(m);
	pthread_mutex_unlock(&m->lock);
	machine_unplug_gone(m);
}

/* --- workers and consoles -------------------------------------------------------------------------------- */

static void machine_worker_begin(void *arg)
{
	struct machine *m = arg;

	if (m->ops->thread)
		m->ops->thread(m->arg, SECCOMP_WORKER);
}

static struct worker *machine_worker(void *arg, bool dedicated, struct err *e)
{
	struct machine *m = arg;
	struct worker *w;
	char name[16];

	if (!dedicated && m->shared_worker)
		return m->shared_worker;
	/* one that comes later shares, whoever it is with */
	if (m->board.caged && m->nworkers)
		return m->workers[0];
	if (m->board.caged) {
		err_set(e, ERR_VM_DEVICE_FIXED, "the VM runs without an I/O thread");
		err_hint(e, "add the device to the definition, and restart the VM");
		return NULL;
	}
	if (m->nworkers == MACHINE_WORKERS_MAX) {
		err_set(e, ERR_INVALID, "more than %d I/O workers", MACHINE_WORKERS_MAX);
		err_hint(e, "`worker: shared` for some of the disks");
		return NULL;
	}
	snprintf(name, sizeof(name), "io %u", m->nworkers);
	if (worker_new(name, machine_worker_begin, m, &w, e) < 0)
		return NULL;
	m->workers[m->nworkers++] = w;
	if (!dedicated)
		m->shared_worker = w;
	return w;
}

static void machine_waiter_begin(void *arg)
{
	struct machine *m = arg;

	if (m->ops->thread)
		m->ops->thread(m->arg, SECCOMP_WAITER);
}

static struct waiters *machine_waiters(void *arg, struct err *e)
{
	struct machine *m = arg;

	if (m->waiters)
		return m->waiters;
	if (m->board.caged) {
		err_set(e, ERR_VM_DEVICE_FIXED,
			"the VM has no thread that waits for devices of the host: its definition "
			"has no virtio-scsi controller");
		err_hint(e, "add one to the definition, and restart the VM");
		return NULL;
	}
	return waiters_new(machine_waiter_begin, m, &m->waiters, e) < 0 ? NULL : m->waiters;
}

static struct console *machine_make_console(void *arg, const char *id, struct err *e)
{
	struct machine *m = arg;
	struct console *c;

	if (m->nconsoles == MACHINE_CONSOLES_MAX) {
		err_set(e, ERR_INVALID, "more than %d consoles", MACHINE_CONSOLES_MAX);
		return NULL;
	}
	if (console_new(m->loop, id, &c, e) < 0)
		return NULL;
	console_set_door(c, &m->lock);
	console_set_first(c, machine_first_byte, m);
	m->consoles[m->nconsoles++] = c;
	return c;
}

const struct board_ops machine_board_ops = {
	.irq_set = machine_irq_set,
	.msi_send = machine_msi_send,
	.irqfd_attach = machine_irqfd_attach,
	.irqfd_detach = machine_irqfd_detach,
	.irqfd_release = machine_irqfd_release,
	.level_irqfd = machine_level_irqfd,
	.irq_ended = machine_irq_ended,
	.ioeventfd = machine_ioeventfd,
	.ioapic_route = machine_ioapic_route,
	.event = machine_event,
	.worker = machine_worker,
	.waiters = machine_waiters,
	.console = machine_make_console,
	.now_ns = machine_now_ns,
	.timer_arm = machine_timer_arm,
	.timer_cancel = machine_timer_cancel,
	.first_kick = machine_first_kick,
	.mem_map = machine_mem_map,
	.mem_unmap = machine_mem_unmap,
	.rom_map = machine_rom_map,
	.mem_log = machine_mem_log,
	.mem_written = machine_mem_written,
	.vfio_file = machine_vfio_file,
	.watch = machine_watch,
	.unwatch = machine_unwatch,
	.pci_gone = machine_pci_gone,
	.notice = machine_notice,
};

int machine_board_init(struct machine *m, struct err *e)
{
	int r;

	pthread_mutex_init(&m->lock, NULL);
	pthread_mutex_init(&m->cause_lock, NULL);
	bus_init(&m->pio, "pio");
	bus_init(&m->mmio, "mmio");
	m->board = (struct board){
		.gmem = &m->gmem,
		.pio = &m->pio,
		.mmio = &m->mmio,
		.log = m->log,
		.ops = &machine_board_ops,
		.arg = m,
		.input = &m->input,
	};
	input_init(&m->input, &m->board);
	irq_init(&m->irq, &m->board, machine_irq_drive, m);
	r = uv_async_init(m->loop, &m->wake, machine_wake_cb);
	if (r < 0)
		return err_ret(e, r, "machine");
	uv_timer_init(m->loop, &m->timer);
	uv_timer_init(m->loop, &m->throttle);
	m->wake.data = m;
	m->timer.data = m;
	m->throttle.data = m;
	m->handles = 3;
	return 0;
}

static void machine_closed(uv_handle_t *h)
{
	struct machine *m = h->data;

	if (--m->handles)
		return;
	pthread_mutex_destroy(&m->cause_lock);
	pthread_mutex_destroy(&m->lock);
	free(m);
}

void machine_board_fini(struct machine *m)
{
	irq_fini(&m->irq);
	input_fini(&m->input);
	for (unsigned int i = 0; i < m->nworkers; i++)
		worker_free(m->workers[i]);
	waiters_free(m->waiters);
	for (unsigned int i = 0; i < m->nconsoles; i++)
		console_close(m->consoles[i]);
	m->nworkers = 0;
	m->waiters = NULL;
	m->nconsoles = 0;
	if (!m->handles) {
		free(m);
		return;
	}
	uv_close((uv_handle_t *)&m->wake, machine_closed);
	uv_close((uv_handle_t *)&m->timer, machine_closed);
	uv_close((uv_handle_t *)&m->throttle, machine_closed);
}
