/* SPDX-License-Identifier: MIT */
/*
 * A board for unit tests of devices: malloc'ed RAM from address 0, two buses, a clock that only moves when
 * told to, and records of every interrupt, message and event. Workers run inline on the board's loop, or, with
 * fake_board_threads, as threads; consoles are real ones with a socket as their client. Anything that fails in here fails the test.
 *
 *	struct fake_board fb;
 *	fake_board_init(&fb, MIB);
 *	struct device *d = fake_board_add(&fb, &serial_class, "com1", &(struct serial_cfg){ ... });
 *	fake_out8(&fb, 0x3f8, 'x');
 *	fake_console_expect(&fb, "com1", "x");
 *	fake_board_remove(&fb, d);
 *	fake_board_fini(&fb);
 */
#ifndef TESTS_UNIT_FAKE_BOARD_H
#define TESTS_UNIT_FAKE_BOARD_H

#include <stdatomic.h>
#include <uv.h>
#include "vmm/board.h"
#include "vmm/device.h"
#include "vmm/input.h"
#include "vmm/irq.h"
#include "vmm/waiter.h"
#include "vmm/worker.h"

#define FAKE_GSIS 32
#define FAKE_MSIS 64
#define FAKE_EVENTS 16
#define FAKE_IRQFDS 32
#define FAKE_IOEVENTFDS 64
#define FAKE_CONSOLES 4
#define FAKE_SLOTS 32
#define FAKE_WATCHES 32
#define FAKE_THREADS 8

struct fake_event {
	enum board_event event;
	int code;
	char msg[128];
};

struct fake_route {
	struct msi_msg msg;
	bool level;
	unsigned int calls;
};

/* gsi is the index; fd -1 while detached */
struct fake_irqfd {
	bool used;
	int fd;
	struct msi_msg msg;
};

struct fake_ioeventfd {
	uint64_t addr;
	unsigned int size;
	int fd;
};

/* memory of the guest that a device put there; size 0: free. The index is the slot. */
struct fake_slot {
	uint64_t gpa, size;
	void *host;
	bool rom, logged;
	uint64_t written[64]; /* what KVM would have noted: mem_written gives it away */
};

struct board_watch {
	int fd; /* -1: free */
	void (*ready)(void *arg);
	void *arg;
};

struct fake_console {
	char id[64];
	struct console *console;
	int client; /* the test's end of the socket */
};

struct fake_board {
	struct board board;
	struct gmem gmem;
	struct bus pio, mmio;
	struct log log;
	uint8_t *mem; /* owned */
	uint64_t mem_size;
	uv_loop_t loop;
	struct worker *worker;
	bool fail_worker; /* the next worker() fails: -ENOMEM */
	bool threaded;
	struct worker *threads[FAKE_THREADS]; /* owned */
	unsigned int nthreads;
	struct waiters *waiters; /* owned; real ones */
	bool fail_waiters;	 /* where there are none yet */

	bool irq[FAKE_GSIS];		    /* level now */
	unsigned int irq_raised[FAKE_GSIS]; /* changes from low to high */
	struct irq lines;		    /* the real ones; they end in irq[] */
	struct msi_msg msis[FAKE_MSIS];	    /* msi_send, the oldest first; nmsis counts all */
	unsigned int nmsis;
	struct fake_event events[FAKE_EVENTS];
	unsigned int nevents;
	atomic_uint first_kicks;	     /* by any thread */
	struct fake_route routes[FAKE_GSIS]; /* ioapic_route by pin */
	struct fake_irqfd irqfds[FAKE_IRQFDS];
	struct fake_ioeventfd ioeventfds[FAKE_IOEVENTFDS];
	unsigned int nioeventfds;
	struct fake_slot slots[FAKE_SLOTS];
	struct board_watch watches[FAKE_WATCHES];
	int vfio_files;	  /* added and not removed */
	char notice[256]; /* the last one: "type: message" */
	unsigned int nnotices;
	unsigned int gone;  /* pci_gone was called */
	unsigned int asked; /* mem_written was */
	struct fake_console consoles[FAKE_CONSOLES];
	unsigned int nconsoles;

	struct input input;
	uint64_t now_ns, realtime_ns; /* both are moved by fake_board_advance */
	uint64_t realtime_step_ns;    /* what a look at realtime_ns takes */
	struct board_timer *timers;   /* by time */
};

void fake_board_init(struct fake_board *fb, uint64_t mem_size);
void fake_board_fini(struct fake_board *fb);
/* Devices that come from now on get real workers, each its own. */
void fake_board_threads(struct fake_board *fb);

/* As the core does: allocate, copy cfg (cfg_size bytes, may be NULL: defaults), init, reset. */
struct device *fake_board_add(struct fake_board *fb, const struct device_class *class,
			      const char *id, const void *cfg);
/* The same for an init that fails; what init returned. */
int fake_board_add_fails(struct fake_board *fb, const struct device_class *class, const char *id,
			 const void *cfg, struct err *e);
void fake_board_remove(struct fake_board *fb, struct device *d);

/* A device as a configuration says it, with a copy of fd for its descriptor 0; device_free. NULL: it was refused. */
struct device *fake_board_new(struct fake_board *fb, const char *json, int fd, struct err *e);
/* The same, reset and started: it has to work. */
struct device *fake_board_start(struct fake_board *fb, const char *json, int fd);
/* An empty file of this size, on a disk: what is in memory has no ring. */
int fake_image(uint64_t size);
/* One in memory, whose sectors of 512 bytes begin with their numbers (32 bits). */
int fake_numbered(uint32_t size);

/* Accesses through the buses, as a vCPU makes them. */
void fake_out(struct fake_board *fb, uint16_t port, unsigned int size, uint32_t val);
uint32_t fake_in(struct fake_board *fb, uint16_t port, unsigned int size);
void fake_mmio_write(struct fake_board *fb, uint64_t addr, unsigned int size, uint64_t val);
uint64_t fake_mmio_read(struct fake_board *fb, uint64_t addr, unsigned int size);

static inline void fake_out8(struct fake_board *fb, uint16_t port, uint8_t val)
{
	fake_out(fb, port, 1, val);
}

static inline uint8_t fake_in8(struct fake_board *fb, uint16_t port)
{
	return (uint8_t)fake_in(fb, port, 1);
}

/* Move the clocks; timers that are due fire in their order, each at its own time. */
void fake_board_advance(struct fake_board *fb, uint64_t ns);

/* Call who watches a descriptor that can be read. */
void fake_board_watched(struct fake_board *fb);
/* The slot at this guest address, or NULL. */
const struct fake_slot *fake_slot_at(const struct fake_board *fb, uint64_t gpa);

/* What is ready on the loop. */
void fake_board_run(struct fake_board *fb);
/* Run the loop until done(arg); the test fails after 10 s. */
void fake_board_run_until(struct fake_board *fb, bool (*done)(void *arg), void *arg);

/* The console of this id has written exactly this since the last look (waits for it). */
void fake_console_expect(struct fake_board *fb, const char *id, const char *text);
/* A client types; returns when the console has offered it to the device. */
void fake_console_type(struct fake_board *fb, const char *id, const void *data, size_t len);

#endif
