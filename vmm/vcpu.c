// SPDX-License-Identifier: MIT
/*
 * vCPU threads: see vcpu.h. A vCPU is taken out of KVM_RUN by immediate_exit, for the case that it is about
 * to enter, and by a real-time signal, for the case that it is inside; its handler does nothing.
 */
#include "vmm/vcpu.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "lib/errcat.h"
#include "vmm/thread.h"

#define VCPU_FINISH_MAX 64 /* steps of a string instruction that are finished before it is parked */
#define VCPU_STOP_TIMEOUT_MS 2000 /* a parked vCPU ends at once */

static int vcpu_signal(void)
{
	return SIGRTMIN;
}

static void vcpu_signal_handler(int sig)
{
	(void)sig;
}

/* --- exits ----------------------------------------------------------------------------------------- */

static uint64_t vcpu_load(const void *p, unsigned int size)
{
	uint64_t v = 0;

	memcpy(&v, p, MIN(size, 8u));
	return v;
}

static void vcpu_exit_io(struct vcpu *c)
{
	struct kvm_run *run = c->run;
	struct bus *pio = c->all->board->pio;
	unsigned int size = run->io.size;
	uint8_t *data = (uint8_t *)run + run->io.data_offset;

	for (uint32_t i = 0; i < run->io.count; i++, data += size) {
		uint64_t v;

		if (run->io.direction == KVM_EXIT_IO_OUT) {
			bus_write(pio, run->io.port, size, vcpu_load(data, size));
			continue;
		}
		v = bus_read(pio, run->io.port, size);
		memcpy(data, &v, size);
	}
}

static void vcpu_exit_mmio(struct vcpu *c)
{
	struct kvm_run *run = c->run;
	struct bus *mmio = c->all->board->mmio;
	uint64_t v;

	if (run->mmio.is_write) {
		bus_write(mmio, run->mmio.phys_addr, run->mmio.len,
			  vcpu_load(run->mmio.data, run->mmio.len));
		return;
	}
	v = bus_read(mmio, run->mmio.phys_addr, run->mmio.len);
	memcpy(run->mmio.data, &v, sizeof(v));
}

PRINTF_LIKE(2, 3)
static void vcpu_fault(struct vcpu *c, const char *fmt, ...)
{
	struct kvm_regs regs = { 0 };
	char text[256], msg[384];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	ioctl(c->fd, KVM_GET_REGS, &regs);
	snprintf(msg, sizeof(msg), "vCPU %u: %s, at RIP 0x%llx", c->index, text,
		 (unsigned long long)regs.rip);
	vcpus_kick(c->all);
	c->all->ops->fault(c->all->arg, msg);
}

static void vcpu_internal_error(struct vcpu *c)
{
	static const char *const suberrors[] = {
		[KVM_INTERNAL_ERROR_EMULATION] = "an instruction that KVM cannot emulate",
		[KVM_INTERNAL_ERROR_SIMUL_EX] = "simultaneous exceptions",
		[KVM_INTERNAL_ERROR_DELIVERY_EV] = "an exit while an event was delivered",
		[KVM_INTERNAL_ERROR_UNEXPECTED_EXIT_REASON] = "an unexpected exit reason",
	};
	unsigned int sub = c->run->internal.suberror;
	char bytes[64] = "";

	if (sub == KVM_INTERNAL_ERROR_EMULATION && c->run->internal.ndata >= 3 &&
	    (c->run->emulation_failure.flags &
	     KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES)) {
		unsigned int n = MIN(c->run->emulation_failure.insn_size, 15u), len;

		len = (unsigned int)snprintf(bytes, sizeof(bytes), " (");
		for (unsigned int i = 0; i < n; i++)
			len += (unsigned int)snprintf(bytes + len, sizeof(bytes) - len, "%s%02x",
						      i ? " " : "",
						      c->run->emulation_failure.insn_bytes[i]);
		snprintf(bytes + len, sizeof(bytes) - len, ")");
	}
	vcpu_fault(c, "KVM internal error, suberror %u: %s%s", sub,
		   sub < ARRAY_SIZE(suberrors) && suberrors[sub] ? suberrors[sub] : "unknown",
		   bytes);
}

static void vcpu_exit_locked(struct vcpu *c)
{
	pthread_mutex_lock(c->all->board_lock);
	switch (c->run->exit_reason) {
	case KVM_EXIT_IO:
		vcpu_exit_io(c);
		break;
	case KVM_EXIT_MMIO:
		vcpu_exit_mmio(c);
		break;
	default:
		c->all->ops->eoi(c->all->arg, c->run->eoi.vector);
		break;
	}
	pthread_mutex_unlock(c->all->board_lock);
}

static void vcpu_exit(struct vcpu *c)
{
	c->half_done = false;
	switch (c->run->exit_reason) {
	case KVM_EXIT_IO:
	case KVM_EXIT_MMIO:
		c->half_done = true;
		vcpu_exit_locked(c);
		return;
	case KVM_EXIT_IOAPIC_EOI:
		vcpu_exit_locked(c);
		return;
	case KVM_EXIT_INTR:
	case KVM_EXIT_IRQ_WINDOW_OPEN:
		return;
	case KVM_EXIT_SHUTDOWN:
		vcpus_kick(c->all);
		c->all->ops->triple_fault(c->all->arg, c->index);
		return;
	case KVM_EXIT_FAIL_ENTRY:
		vcpu_fault(c, "KVM cannot enter the guest, hardware reason 0x%llx",
			   (unsigned long long)c->run->fail_entry.hardware_entry_failure_reason);
		return;
	case KVM_EXIT_INTERNAL_ERROR:
		vcpu_internal_error(c);
		return;
	default:
		vcpu_fault(c, "exit reason %u, which nobody serves", c->run->exit_reason);
	}
}

/* One KVM_RUN and what came of it. False when it did not run (a kick). */
static bool vcpu_step(struct vcpu *c)
{
	if (!ioctl(c->fd, KVM_RUN, 0)) {
		vcpu_exit(c);
		return true;
	}
	/* EAGAIN: an application processor was woken without a SIPI */
	if (errno == EINTR || errno == EAGAIN) {
		c->half_done = false;
		return false;
	}
	if (errno == EFAULT)
		vcpu_fault(c, "the guest's memory cannot be reached by the host");
	else
		vcpu_fault(c, "KVM_RUN: %s", strerror(errno));
	return false;
}

/* --- parking --------------------------------------------------------------------------------------- */

/* KVM puts an I/O exit's result into the registers with the next KVM_RUN: let it, without running on. */
static void vcpu_finish(struct vcpu *c)
{
	for (unsigned int i = 0; c->half_done && i < VCPU_FINISH_MAX; i++) {
		__atomic_store_n(&c->run->immediate_exit, 1, __ATOMIC_SEQ_CST);
		vcpu_step(c);
	}
}

/* False: end the thread. */
static bool vcpu_park(struct vcpu *c)
{
	struct vcpus *v = c->all;
	bool quit;

	vcpu_finish(c);
	pthread_mutex_lock(&v->lock);
	if (++v->parked == v->n)
		pthread_cond_signal(&v->all_parked);
	while (atomic_load(&v->hold) && !v->quit)
		pthread_cond_wait(&v->released, &v->lock);
	v->parked--;
	quit = v->quit;
	if (quit) {
		v->ended++;
		pthread_cond_signal(&v->all_parked);
	}
	pthread_mutex_unlock(&v->lock);
	return !quit;
}

static void *vcpu_main(void *arg)
{
	struct vcpu *c = arg;
	char name[16];
	sigset_t set;

	snprintf(name, sizeof(name), "vcpu %u", c->index);
	pthread_setname_np(pthread_self(), name);
	sigfillset(&set);
	sigdelset(&set, vcpu_signal());
	pthread_sigmask(SIG_SETMASK, &set, NULL);
	c->all->ops->begin(c->all->arg);
	for (;;) {
		/* cleared before hold is read: a kick sets hold first, so that one of the two is seen */
		__atomic_store_n(&c->run->immediate_exit, 0, __ATOMIC_SEQ_CST);
		if (atomic_load(&c->all->hold)) {
			if (!vcpu_park(c))
				return NULL;
			continue;
		}
		vcpu_step(c);
	}
}

void vcpus_kick(struct vcpus *v)
{
	atomic_store(&v->hold, true);
	for (unsigned int i = 0; i < v->n; i++) {
		struct vcpu *c = &v->list[i];

		if (c->run)
			__atomic_store_n(&c->run->immediate_exit, 1, __ATOMIC_SEQ_CST);
		if (c->spawned && !pthread_equal(c->thread, pthread_self()))
			pthread_kill(c->thread, vcpu_signal());
	}
}

static struct timespec vcpus_deadline(unsigned int timeout_ms)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	t.tv_sec += timeout_ms / 1000;
	t.tv_nsec += (long)(timeout_ms % 1000) * 1000000;
	if (t.tv_nsec >= 1000000000) {
		t.tv_sec++;
		t.tv_nsec -= 1000000000;
	}
	return t;
}

/* Nobody else lets them go than who asks here. */
static bool vcpus_are_held(struct vcpus *v)
{
	bool held;

	pthread_mutex_lock(&v->lock);
	held = atomic_load(&v->hold) && v->parked == v->n;
	pthread_mutex_unlock(&v->lock);
	return held;
}

int vcpus_hold(struct vcpus *v, unsigned int timeout_ms)
{
	struct timespec deadline = vcpus_deadline(timeout_ms);
	int r = 0;

	/* a guest that ended itself has parked them already: no signal to wake them for nothing */
	if (vcpus_are_held(v))
		return 0;
	vcpus_kick(v);
	pthread_mutex_lock(&v->lock);
	while (v->parked < v->n && !r)
		r = pthread_cond_timedwait(&v->all_parked, &v->lock, &deadline);
	r = v->parked == v->n ? 0 : -ETIMEDOUT;
	pthread_mutex_unlock(&v->lock);
	return r;
}

void vcpus_release(struct vcpus *v)
{
	pthread_mutex_lock(&v->lock);
	atomic_store(&v->hold, false);
	pthread_cond_broadcast(&v->released);
	pthread_mutex_unlock(&v->lock);
}

void vcpus_note_pause(struct vcpus *v)
{
	/* EINVAL: the guest has no kvm-clock */
	for (unsigned int i = 0; i < v->n; i++)
		(void)ioctl(v->list[i].fd, KVM_KVMCLOCK_CTRL, 0);
}

/* --- making and ending ------------------------------------------------------------------------------ */

static int vcpu_create(struct vcpu *c, struct kvm *k, struct err *e)
{
	void *run;

	c->fd = ioctl(k->vm_fd, KVM_CREATE_VCPU, c->index);
	if (c->fd < 0)
		return err_errno(e, "cannot make vCPU %u", c->index);
	run = mmap(NULL, k->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, c->fd, 0);
	if (run == MAP_FAILED)
		return err_errno(e, "cannot map vCPU %u", c->index);
	c->run = run;
	return 0;
}

static int vcpu_spawn(struct vcpu *c, struct err *e)
{
	int r = thread_spawn(&c->thread, vcpu_main, c);

	if (r < 0)
		return err_ret(e, r, "cannot start vCPU %u", c->index);
	c->spawned = true;
	return 0;
}

static void vcpus_init_sync(struct vcpus *v)
{
	pthread_condattr_t attr;

	pthread_mutex_init(&v->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&v->all_parked, &attr);
	pthread_condattr_destroy(&attr);
	pthread_cond_init(&v->released, NULL);
}

static int vcpus_make(struct vcpus *v, struct kvm *k, unsigned int n, struct err *e)
{
	int r = 0;

	v->list = calloc(n, sizeof(*v->list));
	if (!v->list)
		return err_ret(e, -ENOMEM, "vCPUs");
	for (v->n = 0; v->n < n && r >= 0; v->n++) {
		struct vcpu *c = &v->list[v->n];

		c->all = v;
		c->index = v->n;
		c->fd = -1;
		r = vcpu_create(c, k, e);
	}
	for (unsigned int i = 0; i < n && r >= 0; i++)
		r = vcpu_spawn(&v->list[i], e);
	return r;
}

int vcpus_init(struct vcpus *v, struct kvm *k, unsigned int n, struct board *board,
	       pthread_mutex_t *board_lock, const struct vcpu_ops *ops, void *arg, struct err *e)
{
	struct sigaction kick = { .sa_handler = vcpu_signal_handler };
	int r;

	memset(v, 0, sizeof(*v));
	v->board = board;
	v->board_lock = board_lock;
	v->ops = ops;
	v->arg = arg;
	v->run_size = k->run_size;
	if (n > k->max_vcpus)
		return err_set(e, ERR_CPUS, "the VM wants %u vCPUs, the host's KVM has at most %u",
			       n, k->max_vcpus);
	atomic_store(&v->hold, true);
	sigaction(vcpu_signal(), &kick, NULL);
	vcpus_init_sync(v);
	r = vcpus_make(v, k, n, e);
	if (r < 0)
		vcpus_fini(v);
	return r;
}

static bool vcpus_join(struct vcpus *v)
{
	struct timespec deadline = vcpus_deadline(VCPU_STOP_TIMEOUT_MS);
	unsigned int spawned = 0;
	bool all;
	int r = 0;

	for (unsigned int i = 0; i < v->n; i++)
		spawned += v->list[i].spawned;
	pthread_mutex_lock(&v->lock);
	while (v->ended < spawned && !r)
		r = pthread_cond_timedwait(&v->all_parked, &v->lock, &deadline);
	all = v->ended == spawned;
	pthread_mutex_unlock(&v->lock);
	for (unsigned int i = 0; i < v->n && all; i++)
		if (v->list[i].spawned)
			pthread_join(v->list[i].thread, NULL);
	return all;
}

bool vcpus_fini(struct vcpus *v)
{
	if (!v || !v->list)
		return true;
	vcpus_kick(v);
	pthread_mutex_lock(&v->lock);
	v->quit = true;
	pthread_cond_broadcast(&v->released);
	pthread_mutex_unlock(&v->lock);
	if (!vcpus_join(v))
		return false;
	for (unsigned int i = 0; i < v->n; i++) {
		if (v->list[i].run)
			munmap(v->list[i].run, v->run_size);
		if (v->list[i].fd >= 0)
			close(v->list[i].fd);
	}
	pthread_cond_destroy(&v->released);
	pthread_cond_destroy(&v->all_parked);
	pthread_mutex_destroy(&v->lock);
	free(v->list);
	v->list = NULL;
	v->n = 0;
	return true;
}
