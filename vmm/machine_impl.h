/* SPDX-License-Identifier: MIT */
/* What machine.c (life) and machine_board.c (services for devices) share; nobody else includes it. */
#ifndef VMM_MACHINE_IMPL_H
#define VMM_MACHINE_IMPL_H

#include <pthread.h>
#include <stdatomic.h>
#include "vmm/board.h"
#include "vmm/device.h"
#include "vmm/guestclock.h"
#include "vmm/input.h"
#include "vmm/irq.h"
#include "vmm/kvm.h"
#include "vmm/machine.h"
#include "vmm/vcpu.h"

struct viewer;

#define MACHINE_CONSOLES_MAX 16
#define MACHINE_WORKERS_MAX 32
#define MACHINE_RESETS_MAX 10 /* by the guest, in a second; more wait for the next one */
#define MACHINE_FIRE_MAX 64   /* timers in one turn of the loop */

/* What ends or resets a machine; the first one counts until the loop has seen it. */
enum machine_cause {
	MACHINE_CAUSE_NONE,
	MACHINE_CAUSE_RESET,
	MACHINE_CAUSE_SHUTDOWN,
	MACHINE_CAUSE_SUSPEND,
	MACHINE_CAUSE_WAKE,
	MACHINE_CAUSE_WATCHDOG,
	MACHINE_CAUSE_PANIC,
	MACHINE_CAUSE_PANIC_HANDLED,
	MACHINE_CAUSE_EXIT,
	MACHINE_CAUSE_TRIPLE_FAULT,
	MACHINE_CAUSE_FAULT,
};

struct machine_cause_slot {
	enum machine_cause cause;
	int code;
	char msg[512];
};

/* How KVM gets much memory: by a thread */
struct machine_mapping {
	pthread_t thread;
	bool has_thread;
	int ret; /* as err: the thread's until machine_mapped */
	struct err err;
};

struct machine {
	uv_loop_t *loop; /* borrowed */
	uv_async_t wake; /* a cause or a timer is there */
	uv_timer_t timer;
	uv_timer_t throttle; /* runs while a reset waits for its turn */
	unsigned int handles;
	const struct log *log; /* borrowed */
	const struct machine_ops *ops;
	void *arg;
	struct machine_config config;
	enum machine_state state;
	bool drowsy; /* paused before it was suspended: that follows */
	bool booted; /* guest memory is no longer as it was made: all zero */
	struct lastwords words;
	struct log_limit log_limit;
	uint64_t panicked_ms;	 /* when its guest's panic was told last; 0: never */
	uint64_t slept_ms;	 /* when it was suspended last; 0: never */
	uint64_t resets_from_ms; /* the second that `resets` counts in */
	unsigned int resets;
	struct gmem gmem;
	struct kvm kvm;
	bool kvm_made;
	struct machine_mapping mapping;
	struct bus pio, mmio;
	struct board board;
	struct input input;
	struct viewer *viewer;			    /* owned; of its screen, NULL: none yet */
	struct irq irq;				    /* the lines of a split interrupt chip */
	struct device *devices[CONFIG_DEVICES_MAX]; /* owned, in the configuration's order */
	unsigned int ndevices;
	struct console *consoles[MACHINE_CONSOLES_MAX]; /* owned */
	unsigned int nconsoles;
	struct worker *workers[MACHINE_WORKERS_MAX]; /* owned */
	struct worker *shared_worker;		     /* one of them */
	unsigned int nworkers;
	struct waiters *waiters; /* owned; NULL: no device needed one */
	struct vcpus vcpus;
	struct guestclock guestclock;
	atomic_bool slots_gone; /* the guest has let functions go: machine_unplug_gone */
	_Atomic uint64_t marks[MACHINE_MARKS]; /* microseconds; each is set once */
	bool kick_told;

	pthread_mutex_t lock;	    /* machine.lock: devices, buses, timers, the clock */
	struct board_timer *timers; /* armed ones by time; embedded in the devices */
	bool clock_runs;
	uint64_t clock_base_ns; /* running: CLOCK_MONOTONIC at guest time 0; else guest time */

	pthread_mutex_t cause_lock;
	struct machine_cause_slot cause;
};

/* machine_boot.c: memory and registers as after power-on; vCPUs are held. */
int machine_boot(struct machine *m, struct err *e);
/* machine_memory.c: m->gmem, as the configuration says; -ERR_MEMORY, -ERR_NUMA_NODE, -ERR_NUMA_MEMORY */
int machine_make_memory(struct machine *m, struct err *e);
/* KVM gets m->gmem by a thread, or at once where there can be none. */
void machine_map(struct machine *m);
/* Wait until it has. -ERR_KVM: what KVM refused, each time that it is asked; e may be NULL. */
int machine_mapped(struct machine *m, struct err *e);

/* machine_board.c */
extern const struct board_ops machine_board_ops;
extern const struct vcpu_ops machine_vcpu_ops;
int machine_board_init(struct machine *m, struct err *e);
void machine_board_fini(struct machine *m); /* after the devices: workers, consoles, handles */
void machine_clock_run(struct machine *m, bool run); /* under machine.lock */
/* Any thread: take note, park the vCPUs, and let the loop act. */
void machine_raise(struct machine *m, enum machine_cause cause, int code, const char *msg);

/* machine_watch.c: board_ops.watch and unwatch */
struct board_watch *machine_watch(void *arg, int fd, void (*ready)(void *ready_arg),
				  void *ready_arg, struct err *e);
void machine_unwatch(void *arg, struct board_watch *w);

/* Now, unless it was set before: true when it is new. Any thread. */
bool machine_mark(struct machine *m, enum machine_mark mark);

/* machine.c: on the loop, a cause was raised */
void machine_on_cause(struct machine *m, const struct machine_cause_slot *slot);
/* After vcpus_hold, for something that the guest does not see: its vCPUs run again, if they did. */
void machine_go_on(struct machine *m);

/* What machine_sleep.c needs of it; vCPUs are held. */
void machine_devices_stop(struct machine *m);
void machine_run(struct machine *m);
void machine_end(struct machine *m, enum lastwords_reason reason, int code, const char *msg);
bool machine_is_up(const struct machine *m); /* running, paused or suspended */
int machine_wrong_state(const struct machine *m, const char *what, struct err *e);
/* The first of a class, or NULL. */
struct device *machine_device_of(const struct machine *m, const struct device_class *class);

/* machine_sleep.c: on the loop, the guest went to sleep (its vCPUs are held), something woke it */
void machine_suspend(struct machine *m);
/* Without a waking vector it boots, which is a reset that the guest has asked for. */
void machine_wake(struct machine *m);
/* It sleeps no longer, and is stopped like one that is paused: for a reset, for the end. */
void machine_sleep_over(struct machine *m);

/* machine_hotplug.c: vCPUs are held; functions that the guest was asked for: no guest uses them after a reset */
void machine_unplug_asked(struct machine *m);

/* machine_disk.c: whose the disk at a controller is, or NULL; and as machine_device_set, of such a disk. */
struct device *machine_disk_owner(const struct machine *m, const char *id);
int machine_disk_set(struct machine *m, const char *id, struct json_object *change,
		     struct json_object **ret_settings, struct err *e);
/* On the loop: those that the guest has let go, if there are any. */
void machine_unplug_gone(struct machine *m);
void machine_pci_gone(void *arg); /* board_ops.pci_gone */

#endif
