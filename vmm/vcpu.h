/* SPDX-License-Identifier: MIT */
/*
 * The vCPUs: a thread each that runs the guest and serves its exits on the buses, under machine.lock. All
 * of them are held (parked, outside of KVM_RUN, no exit half done) or released together; they start held.
 */
#ifndef VMM_VCPU_H
#define VMM_VCPU_H

#include <linux/kvm.h>
#include <pthread.h>
#include <stdatomic.h>
#include "lib/err.h"
#include "vmm/board.h"
#include "vmm/kvm.h"

struct vcpu_ops {
	/* A vCPU's thread begins; from it. */
	void (*begin)(void *arg);
	/* A level interrupt's vector was ended; split irqchip. Under machine.lock. */
	void (*eoi)(void *arg, uint8_t vector);
	/* The guest shut this vCPU down: three faults in a row. From its thread, all are being held. */
	void (*triple_fault)(void *arg, unsigned int vcpu);
	/* KVM cannot run it any more. From its thread, all are being held. */
	void (*fault)(void *arg, const char *msg);
};

struct vcpus;

struct vcpu {
	struct vcpus *all; /* borrowed */
	unsigned int index;
	int fd;		     /* owned */
	struct kvm_run *run; /* owned mapping */
	pthread_t thread;
	bool spawned;
	bool half_done; /* an I/O exit whose result KVM takes with the next KVM_RUN */
};

struct vcpus {
	struct board *board;	     /* borrowed */
	pthread_mutex_t *board_lock; /* borrowed: machine.lock */
	const struct vcpu_ops *ops;
	void *arg;
	size_t run_size;
	struct vcpu *list; /* owned */
	unsigned int n;
	atomic_bool hold;
	pthread_mutex_t lock;		     /* what follows */
	pthread_cond_t released, all_parked; /* all_parked: or ended, at the end */
	unsigned int parked, ended;
	bool quit;
};

/* n vCPUs, held. -ERR_CPUS: more than the host's KVM has. */
int vcpus_init(struct vcpus *v, struct kvm *k, unsigned int n, struct board *board,
	       pthread_mutex_t *board_lock, const struct vcpu_ops *ops, void *arg, struct err *e);
/* Ends the threads. False when one does not stop: then nothing is freed, the process has to end. */
bool vcpus_fini(struct vcpus *v);

/* Ask all to park; does not wait. Any thread, a vCPU's too. */
void vcpus_kick(struct vcpus *v);
/* Ask and wait until all are parked: 0 or -ETIMEDOUT. Control loop, without machine.lock. */
int vcpus_hold(struct vcpus *v, unsigned int timeout_ms);
void vcpus_release(struct vcpus *v);
/* Tell the guest's watchdogs that it was stopped (KVM_KVMCLOCK_CTRL); held. */
void vcpus_note_pause(struct vcpus *v);

#endif
