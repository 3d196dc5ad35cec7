/* SPDX-License-Identifier: MIT */
/*
 * What a device is plugged into: memory, buses, interrupts and the few services of its machine. A unit
 * test makes one from a malloc'ed buffer and fake ops; the real one is in machine.c.
 */
#ifndef VMM_BOARD_H
#define VMM_BOARD_H

#include "lib/err.h"
#include "lib/log.h"
#include "vmm/bus.h"
#include "vmm/gmem.h"

struct board_watch;
struct console;
struct device;
struct i8042;
struct input;
struct net_sys;
struct pci_host;
struct ps2;
struct vfio_dma;
struct vfio_sys;
struct waiters;
struct worker;

/* What a guest, or the monitor on its behalf, asks of the machine. */
enum board_event {
	BOARD_SHUTDOWN,	     /* ACPI S5 */
	BOARD_SUSPEND,	     /* ACPI S3 */
	BOARD_WAKE,	     /* ended by something that the guest is to wake up for */
	BOARD_RESET,	     /* reset register, i8042, PCI 0xCF9 */
	BOARD_WATCHDOG,	     /* has timed out, and the machine ends with it: msg is its id */
	BOARD_PANIC,	     /* of the guest's kernel: a crash */
	BOARD_PANIC_HANDLED, /* … that it looks after itself, and goes on */
	BOARD_EXIT,	     /* debug port: code is the guest's exit status */
	BOARD_FAULT,	     /* the monitor cannot go on; see err */
};

/*
 * A device's timer, embedded in it; all zero is a timer that is not armed. It fires once, on the control
 * loop under machine.lock, and may be armed again from there.
 */
struct board_timer {
	void (*fire)(void *arg);
	void *arg;
	uint64_t at_ns; /* valid while armed; of board_ops.now_ns */
	bool armed;
	struct board_timer *next; /* the board's: armed ones by time */
};

/* A message-signalled interrupt: PCI Local Bus 3.0, section 6.8.1 */
struct msi_msg {
	uint64_t addr;
	uint32_t data;
};

struct board_ops {
	/* Level of a global system interrupt (ACPI GSI = IOAPIC pin). Under machine.lock. */
	void (*irq_set)(void *arg, unsigned int gsi, bool level);
	/* Send one MSI now. Under machine.lock (the IOAPIC does it). */
	void (*msi_send)(void *arg, const struct msi_msg *msg);
	/*
	 * An eventfd that fires an MSI: *gsi is -1 at first and names the route afterwards; called again with
	 * it, the message is replaced. An event that is already counted in the eventfd fires at once.
	 */
	int (*irqfd_attach)(void *arg, int eventfd, const struct msi_msg *msg, int *gsi,
			    struct err *e);
	/* Stop firing (masked); events then stay counted in the eventfd. The route is kept for a next attach. */
	void (*irqfd_detach)(void *arg, int eventfd, int gsi);
	/* Give the route back. */
	void (*irqfd_release)(void *arg, int gsi);
	/*
	 * A level interrupt of a device of the host: a signal of raise_fd holds the GSI, which others may share,
	 * until the guest has ended the interrupt (EOI). Then it is let go, and ended_fd is signalled: who still
	 * has a reason signals again. Both eventfds are borrowed until assign is false; that also lets go.
	 */
	int (*level_irqfd)(void *arg, unsigned int gsi, int raise_fd, int ended_fd, bool assign,
			   struct err *e);
	/* For the IOAPIC: the guest has ended a level interrupt of this pin. Devices see it by level_irqfd. */
	void (*irq_ended)(void *arg, unsigned int gsi);
	/* A guest write to MMIO addr becomes a signal of eventfd; size 0 matches any width. */
	int (*ioeventfd)(void *arg, uint64_t addr, unsigned int size, int eventfd, bool assign,
			 struct err *e);
	/*
	 * Split irqchip: tell KVM which message each IOAPIC pin sends, so that it reports the EOI of level
	 * ones; masked pins that wait for none have addr 0. No-op with the in-kernel IOAPIC.
	 */
	void (*ioapic_route)(void *arg, unsigned int pin, const struct msi_msg *msg, bool level);
	/* From any thread; acted on by the control loop. msg is copied, may be NULL. */
	void (*event)(void *arg, enum board_event event, int code, const char *msg);
	/* An I/O worker: a thread with a libuv loop. dedicated: one of its own, else the shared one. */
	struct worker *(*worker)(void *arg, bool dedicated, struct err *e);
	/* The threads that wait for devices of the host (vmm/waiter.h). In the cage there are those from before, or none. */
	struct waiters *(*waiters)(void *arg, struct err *e);
	/* A console that clients can attach to (vmm/console.h), by the device's id. Owned by the machine. */
	struct console *(*console)(void *arg, const char *id, struct err *e);
	/* Nanoseconds of the guest's running time (stops while paused): for the devices' timers. */
	uint64_t (*now_ns)(void *arg);
	/*
	 * Under machine.lock, from any thread. Fire at at_ns, or soon when that has passed, never from
	 * inside of the call; an armed timer is moved.
	 */
	void (*timer_arm)(void *arg, struct board_timer *t, uint64_t at_ns);
	void (*timer_cancel)(void *arg, struct board_timer *t); /* one that is not armed is fine */
	/* Optional, from any thread: a driver has kicked a virtqueue for the first time. */
	void (*first_kick)(void *arg);
	/*
	 * Pages of this process as memory of the guest at gpa: the slot's number. No access to it exits any
	 * more. Under machine.lock, from any thread.
	 */
	int (*mem_map)(void *arg, uint64_t gpa, uint64_t size, void *host, struct err *e);
	/* The same, and its writes come to the bus: a ROM. */
	int (*rom_map)(void *arg, uint64_t gpa, uint64_t size, void *host, struct err *e);
	void (*mem_unmap)(void *arg, int slot);
	/*
	 * Have the guest's writes to a slot noted, or no longer; gpa, size and host as it was mapped with. -errno. Then the pages
	 * of it that were written since they were asked for last: a bit each of 4096 bytes, from the lowest of bitmap[0] on.
	 */
	int (*mem_log)(void *arg, int slot, uint64_t gpa, uint64_t size, void *host, bool on);
	int (*mem_written)(void *arg, int slot, uint64_t *ret_bitmap);
	/* A VFIO group or device takes part in the VM, or no longer does. */
	int (*vfio_file)(void *arg, int fd, bool add, struct err *e);
	/* Call ready on the control loop, under machine.lock, whenever fd (borrowed) can be read. */
	struct board_watch *(*watch)(void *arg, int fd, void (*ready)(void *ready_arg),
				     void *ready_arg, struct err *e);
	void (*unwatch)(void *arg, struct board_watch *w); /* before fd is closed; NULL is fine */
	/* Optional: the guest has let go of functions that it was asked for: pci_hotplug_gone */
	void (*pci_gone)(void *arg);
	/* On the control loop: something that goes on and that whoever runs the VM should know. */
	void (*notice)(void *arg, const char *type, const char *msg);
	/* Optional: nanoseconds of UTC since 1970, for the RTC; NULL: CLOCK_REALTIME. */
	uint64_t (*realtime_ns)(void *arg);
};

struct board {
	struct gmem *gmem;
	struct bus *pio, *mmio;
	struct gmem_window pci64; /* for BARs of 64 bits */
	bool caged; /* no thread and no ring can be made any more (seccomp.h), no limit read */
	struct pci_host *pci;	/* set by the pci-host device, the first in every profile */
	struct device *acpi_pm; /* set by the acpi-pm device; NULL without */
	struct i8042 *i8042;	/* set by the i8042 device; NULL without */
	struct ps2 *ps2[2];	/* what is plugged into it: dev/ps2.h */
	struct input *input;	/* what is typed; the machine's */
	struct ioapic *ioapic;	/* set by the ioapic device; NULL with the in-kernel one */
	struct vfio_dma *vfio;	/* what vfio-pci devices share; theirs; NULL without any */
	const struct vfio_sys *vfio_sys; /* VFIO in a unit test; NULL: the kernel's */
	const struct net_sys *net_sys;	 /* the same of taps and vhost-net */
	const struct log *log;
	const struct board_ops *ops;
	void *arg; /* for ops */
};

/* An interrupt line of a device; level until it is lowered. */
struct irq_line {
	struct board *board;
	unsigned int gsi;
};

static inline uint64_t board_now_ns(const struct board *b)
{
	return b->ops->now_ns(b->arg);
}

static inline void board_timer_arm(const struct board *b, struct board_timer *t, uint64_t at_ns)
{
	b->ops->timer_arm(b->arg, t, at_ns);
}

static inline void board_timer_cancel(const struct board *b, struct board_timer *t)
{
	b->ops->timer_cancel(b->arg, t);
}

static inline void irq_line_set(const struct irq_line *l, bool level)
{
	l->board->ops->irq_set(l->board->arg, l->gsi, level);
}

#endif
