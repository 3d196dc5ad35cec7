/* SPDX-License-Identifier: MIT */
/*
 * The virtio device contract, VIRTIO 1.2 chapters 2 and 3. Three layers that do not know each other:
 * queue.c has the rings; a device (rng.c, blk.c, …) knows requests and its backend; a transport (pci.c)
 * knows registers. core.c holds status, features and the hand-over of queues to I/O workers.
 *
 * From DRIVER_OK until reset (or stop) each queue belongs to a worker of the device: ops->kick runs there and
 * is the only code that touches the queue. Everything else runs under machine.lock.
 */
#ifndef VMM_VIRTIO_VIRTIO_H
#define VMM_VIRTIO_VIRTIO_H

#include <uv.h>
#include "lib/log.h"
#include "vmm/device.h"
#include "vmm/virtio/iov.h"
#include "vmm/virtio/queue.h"

#define VIRTIO_QUEUES_MAX 36 /* a console: 17 ports and its control queues */
#define VIRTIO_CONFIG_MAX 256

struct virtio_dev;

/* Const, one per kind of device. */
struct virtio_ops {
	uint16_t id; /* VIRTIO_ID_*: section 5 */
	uint16_t nqueues;
	uint16_t queue_max;    /* largest queue size offered */
	uint64_t features;     /* device-specific ones that are always offered */
	size_t config_size;    /* bytes of v->config that the guest may read */
	bool dedicated_worker; /* a worker of its own, else the machine's shared one */
	/* So many of its own, at most nqueues: queue q is that of number q % nworkers. 0: one. */
	uint16_t nworkers;
	/* Optional: a guest write to the configuration (section 2.5); default: ignored. */
	void (*config_write)(struct virtio_dev *v, size_t off, const void *data, size_t len);
	/*
	 * Optional, on the worker, or the first, at DRIVER_OK and again at each resume: the queues are handed over.
	 * -errno: the device becomes broken.
	 */
	int (*activate)(struct virtio_dev *v);
	/* The same, after it: on each worker, for its own queues, while others may be served already. */
	int (*begin)(struct virtio_dev *v, unsigned int w);
	/*
	 * On its worker: queue q may have requests. Pop until virtio_pop gives 0, which asks the driver
	 * for the next kick; who stops earlier must look again by itself (virtio_kick).
	 */
	void (*kick)(struct virtio_dev *v, unsigned int q);
	/*
	 * Optional, on the worker, or the first, before the queues are taken away: on return no request is in flight.
	 * Also after an activate that failed.
	 */
	void (*deactivate)(struct virtio_dev *v);
	/* The same, before it: on each worker, for its own queues, while others may be served still. */
	void (*end)(struct virtio_dev *v, unsigned int w);
	/* Optional, under machine.lock: the driver's settings are void; no queue is with the worker. */
	void (*reset)(struct virtio_dev *v);
};

/* Const, the transport's. */
struct virtio_transport_ops {
	/* These two may be called from the workers. */
	void (*notify_queue)(struct virtio_dev *v, unsigned int q);
	void (*notify_config)(struct virtio_dev *v);
	/* On the worker, in activate: an eventfd (borrowed) whose signal is queue q's interrupt; -1: there is none. */
	int (*queue_fd)(struct virtio_dev *v, unsigned int q);
	/* The rest under machine.lock. Kicks go straight to the kick_fds from now on, or no more. */
	void (*queues_live)(struct virtio_dev *v, bool live);
	void (*reset)(struct virtio_dev *v);	/* the driver reset the device */
	void (*power_on)(struct virtio_dev *v); /* after reset: to power-on state */
	void (*fini)(struct virtio_dev *v);
};

#define VIRTIO_ROUND 128 /* most requests popped before other queues get their turn */

struct virtio_queue {
	struct virtq vq;
	bool enabled;	      /* queue_enable: section 4.1.5.1.3 */
	int kick_fd;	      /* owned eventfd: ioeventfd -> worker; there from init to fini */
	uv_poll_t *kick_poll; /* on the worker's loop while active; freed by its close callback */
	struct virtio_dev *v;
	struct worker *worker; /* borrowed: whose it is while active */
	bool direct;	       /* its interrupts go by the transport's queue_fd while active */
	bool own_kick;	       /* the core's, when the worker got the queue: not the driver's */
	bool kicked;	       /* by the driver, once */
	unsigned int round;    /* requests that may still be popped in this one */
};

struct virtio_dev {
	struct device dev; /* first */
	const struct virtio_ops *ops;
	const struct virtio_transport_ops *transport;
	void *transport_data;  /* owned by the transport */
	struct worker *worker; /* borrowed: of queue 0 */
	uint64_t device_features, driver_features;
	uint8_t status; /* section 2.1 */
	atomic_bool needs_reset;
	bool started; /* the guest runs: between the class's start and stop */
	bool live;    /* DRIVER_OK with good queues, until reset */
	bool dma;     /* the transport may reach the guest's memory */
	bool active;  /* queues are with their workers: started, live and dma */
	uint32_t config_generation;
	uint8_t config[VIRTIO_CONFIG_MAX]; /* little-endian, as the guest reads it */
	struct virtio_queue queues[VIRTIO_QUEUES_MAX];
	struct log_limit log_limit;
};

/*
 * The part of a class's init, start, stop, reset and fini that is the same for all. extra_features: those
 * that depend on the configuration. address: the PCI address, "00:03.0".
 */
int virtio_init(struct virtio_dev *v, const struct virtio_ops *ops, uint64_t extra_features,
		const char *address, struct err *e);
void virtio_device_start(struct device *d);
void virtio_device_stop(struct device *d);
void virtio_device_reset(struct device *d);
void virtio_device_fini(struct device *d);

static inline bool virtio_has(const struct virtio_dev *v, unsigned int feature_bit)
{
	return v->driver_features & BIT64(feature_bit);
}

/* On the worker: the guest broke the protocol. DEVICE_NEEDS_RESET, config interrupt, one limited log line. */
void virtio_broken(struct virtio_dev *v, const char *why);
/*
 * On the worker: pop; a malformed queue becomes virtio_broken and gives 0. 0 otherwise: kicks are asked
 * for, or the queue's round is over and it has been kicked already.
 */
int virtio_pop(struct virtio_dev *v, unsigned int q, struct virtq_req *r);
/* The same; of a request that is not needed now, the driver need not tell: no kick is asked for. */
int virtio_pop_if(struct virtio_dev *v, unsigned int q, struct virtq_req *r, bool needed);
/* On the worker: it has the queue; a driver may leave some out. */
bool virtio_has_queue(const struct virtio_dev *v, unsigned int q);
/* On the worker: virtq_flush and, when the driver wants it, the interrupt. */
void virtio_flush(struct virtio_dev *v, unsigned int q);

/*
 * On the worker, where a device serves queue q by itself and not for a kick: its round begins. After that it pops
 * as ops->kick does.
 */
void virtio_begin(struct virtio_dev *v, unsigned int q);
/*
 * On the worker, in ops->activate: queue q is another's until deactivate; its kicks are not read here, and the first
 * one is on its way. The eventfd for its interrupts, or -1: then virtio_notify has to be called for each.
 */
int virtio_lend(struct virtio_dev *v, unsigned int q);
/* On the worker: it is the device's again. Who does so after ops->activate kicks it. -errno: nobody sees its kicks. */
int virtio_take_back(struct virtio_dev *v, unsigned int q);
/* On the worker: the interrupt of a queue that is lent. */
void virtio_notify(struct virtio_dev *v, unsigned int q);

/* Any thread, at any time: have ops->kick called for queue q. */
void virtio_kick(struct virtio_dev *v, unsigned int q);
/* v->config was changed by the host. Under machine.lock. */
void virtio_config_changed(struct virtio_dev *v);
/*
 * Under machine.lock: take the queues away from the worker, and hand them over again, around a change of what
 * ops->activate depends on. Nothing happens to those that are not with it.
 */
void virtio_suspend(struct virtio_dev *v);
void virtio_resume(struct virtio_dev *v);

/* For the transport (core.c). Under machine.lock. */
/* virtio_init without a transport; the caller sets v->transport. */
int virtio_core_init(struct virtio_dev *v, const struct virtio_ops *ops, uint64_t extra_features,
		     struct err *e);
uint8_t virtio_get_status(const struct virtio_dev *v);
void virtio_set_status(struct virtio_dev *v, uint8_t status); /* section 3.1; 0 resets */
/* 32 bits of the features that the driver accepts, word 0 or 1; too late after FEATURES_OK */
void virtio_set_features(struct virtio_dev *v, uint32_t word, uint32_t bits);
void virtio_reset(struct virtio_dev *v);
/* How the interrupts of queue q are sent has changed, or of all (UINT_MAX). */
void virtio_vector_changed(struct virtio_dev *v, unsigned int q);
/* The transport may (not) reach the guest's memory; not at first. On return of false nothing of it is on the way. */
void virtio_set_dma(struct virtio_dev *v, bool on);

#endif
