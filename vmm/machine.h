/* SPDX-License-Identifier: MIT */
/*
 * A machine: memory, KVM's VM, buses, devices and vCPUs, and what they go through together. All functions
 * run on the control loop; events of vCPUs and workers come to it by themselves.
 */
#ifndef VMM_MACHINE_H
#define VMM_MACHINE_H

#include <uv.h>
#include "lib/err.h"
#include "lib/fdio.h"
#include "lib/log.h"
#include "vmm/block/block.h"
#include "vmm/config.h"
#include "vmm/lastwords.h"
#include "vmm/seccomp_calls.h"

struct console;
struct machine;

enum machine_state {
	MACHINE_CREATED,
	MACHINE_RUNNING,
	MACHINE_PAUSED,
	MACHINE_SUSPENDED, /* the guest sleeps: ACPI S3 */
	MACHINE_ENDED,
};

struct machine_ops {
	/* Something happened that goes on: "reset", "suspended", "awake"; message may be NULL. */
	void (*event)(void *arg, const char *type, const char *message);
	/*
	 * Optional: the guest's kernel has panicked; handled: it says that it looks after it itself. console: the last 100
	 * lines of the first console, 16 KiB at most, printable ASCII and LF.
	 */
	void (*panic)(void *arg, bool handled, const char *console);
	/* Optional: the guest has let this device go; it is no more, and its descriptors are closed. */
	void (*removed)(void *arg, const char *id);
	/* Optional: machine_marks has one more. */
	void (*marked)(void *arg);
	/* It has ended for good. The owner calls machine_close, now or later. */
	void (*ended)(void *arg, const struct lastwords *w);
	/* A thread of such a kind begins; from that thread. May be NULL. */
	void (*thread)(void *arg, enum seccomp_table kind);
};

/*
 * Its memory and KVM's VM, without a look at what a guest or its files hold: who has no cage yet enters it between this
 * and machine_fit. Where much memory is to be mapped a thread is at that then, with its filter (machine_ops.thread).
 * take_config is taken over (also on failure), with its descriptors; take_kvm_fd is /dev/kvm. The machine is
 * MACHINE_CREATED.
 */
int machine_new(uv_loop_t *loop, struct machine_config *take_config, int take_kvm_fd,
		const struct log *log, const struct machine_ops *ops, void *arg,
		struct machine **ret_machine, struct err *e);
/* Its devices, with the descriptors that they take from fds, and its vCPUs; once. On failure it has ended, without a word. */
int machine_fit(struct machine *m, struct fdset *fds, struct err *e);
/* Ends it if need be, then frees it from the loop. False: a vCPU does not stop; only _exit helps now. */
bool machine_close(struct machine *m);
/*
 * For a process that calls _exit next: end it if need be and give back what outlives the process, the
 * consoles' terminals. The kernel takes the rest in one go, which is cheaper than piece by piece.
 */
void machine_leave(struct machine *m);

/* -ERR_VM_STATE where the state does not fit; what is so already is fine. */
int machine_start(struct machine *m, struct err *e);
int machine_pause(struct machine *m, struct err *e);
int machine_resume(struct machine *m, struct err *e);
int machine_reset(struct machine *m, struct err *e);
/* In MACHINE_SUSPENDED it wakes the guest first: acpi_pm_power_button. */
int machine_power_button(struct machine *m, struct err *e);
/* Wake a guest that sleeps. */
int machine_wakeup(struct machine *m, struct err *e);
/*
 * The memory that the guest shall have, in bytes: a balloon takes the rest. -ERR_VM_STATE when the VM has none,
 * -ERR_INVALID for what it cannot have. *ret_changed: it is (dry_run: would be) another size than before.
 */
int machine_set_memory(struct machine *m, uint64_t size, bool dry_run, bool *ret_changed,
		       struct err *e);
struct balloon_info;
/* False: it has no balloon. */
bool machine_get_balloon(struct machine *m, struct balloon_info *ret);
/* End now: LASTWORDS_KILLED with the reason. */
void machine_kill(struct machine *m, const char *message);

/*
 * Add a PCI device while the machine is there, running or paused: its JSON, its descriptors as in lib/field.h. The
 * guest is told, and gives it addresses when it likes. -ERR_VM_STATE, -ERR_VM_DEVICE_EXISTS, -ERR_VM_DEVICE_FIXED: not one
 * that can come and go; what the device itself says.
 */
int machine_device_add(struct machine *m, struct json_object *json, struct fdset *fds,
		       struct err *e);
/*
 * Ask the guest to let it go; asking again is fine. machine_ops.removed follows once it has, or when it is reset; a
 * guest may never. -ERR_VM_STATE, -ERR_VM_NO_DEVICE, -ERR_VM_DEVICE_FIXED
 */
int machine_device_remove(struct machine *m, const char *id, struct err *e);
/* Of a disk: blk_grow (vmm/virtio/blk.h). -ERR_VM_STATE, -ERR_VM_NO_DEVICE, -ERR_FILE */
int machine_disk_grow(struct machine *m, const char *id, bool dry_run, uint64_t *ret_size,
		      struct err *e);

/*
 * Change a device as its class says (vmm/device.h): {"link": "down"}. The guest may run. 1: something is different now.
 * *ret_settings, left alone where the class has none: what can be changed, as it is now. -ERR_VM_STATE,
 * -ERR_VM_NO_DEVICE, -ERR_VM_DEVICE_FIXED: nothing of it can be changed; what the device itself says.
 */
int machine_device_set(struct machine *m, const char *id, struct json_object *change,
		       struct json_object **ret_settings, struct err *e);

/* Somebody else runs the VM now: the devices' notices of what holds still come again. */
void machine_tell(struct machine *m);

/*
 * A disk that comes to a controller, or leaves it, at once: the guest is told. -ERR_VM_STATE, -ERR_VM_NO_DEVICE: no such
 * controller, or disk; -ERR_VM_DEVICE_FIXED: not a controller; -ERR_VM_DEVICE_EXISTS; what the device itself says.
 */
int machine_disk_add(struct machine *m, const char *controller, struct json_object *json,
		     struct fdset *fds, struct err *e);
int machine_disk_remove(struct machine *m, const char *id, struct err *e);
/* The disks of device number `device` by number; NULL behind the last, or where it has none. */
const char *machine_disk_at(const struct machine *m, unsigned int device, unsigned int index);

struct vga_shot;
/* What its screen shows now (display/vga.h), the caller's to free. -ERR_VM_NO_SCREEN */
int machine_screen(struct machine *m, struct vga_shot **ret_shot, struct err *e);
/* The process that shows it to viewers is at the other end (display/link.h); another one before is not any more. -ERR_VM_NO_SCREEN */
int machine_view(struct machine *m, int take_fd, struct err *e);

struct device_drive;
/* The drives whose media can be changed, by number; false behind the last. ret->id is good until a device goes. */
bool machine_drive_at(struct machine *m, unsigned int index, struct device_drive *ret);

struct machine_medium {
	const char *drive;	  /* by id */
	int fd;			  /* taken over, open for reading; -1: take the medium out */
	bool writable;		  /* and for writing */
	enum block_format format; /* block/block.h */
	bool force, dry_run;
};

/*
 * Another medium for a drive. -ERR_VM_STATE, -ERR_VM_NO_DEVICE, -ERR_FILE: cannot be one, -ERR_VM_MEDIUM_LOCKED.
 * *ret_changed: it is (dry_run: would be) another than before.
 */
int machine_set_medium(struct machine *m, const struct machine_medium *take_medium,
		       bool *ret_changed, struct err *e);

/*
 * Type on its keyboard: all of them or none; they wait for the guest to read them. -ERR_VM_STATE, -ERR_VM_NO_KEYBOARD,
 * -ERR_BUSY: as many wait as there can.
 */
struct input_chord;
int machine_type(struct machine *m, const struct input_chord *chords, unsigned int n,
		 struct err *e);

struct machine_device {
	const char *id; /* borrowed */
	bool ejecting;	/* the guest was asked, and has it still */
};

/* The devices by number; false behind the last. */
bool machine_device_at(const struct machine *m, unsigned int index, struct machine_device *ret);

/* What its first start took: when each was over, CLOCK_MONOTONIC in microseconds; 0: has not come. */
enum machine_mark {
	MACHINE_MARK_MEMORY,  /* the guest's memory is there */
	MACHINE_MARK_PINNED,  /* and pinned, for devices of the host: only where it has any */
	MACHINE_MARK_MACHINE, /* and KVM's VM, devices, vCPUs */
	MACHINE_MARK_KERNEL,  /* kernel and tables are loaded */
	MACHINE_MARK_START,   /* the vCPUs run */
	MACHINE_MARK_CONSOLE, /* the first byte on a console */
	MACHINE_MARK_KICK,    /* the first kick of a virtqueue */
	MACHINE_MARKS,
};

uint64_t machine_get_mark(const struct machine *m, enum machine_mark mark);

uint64_t machine_memory(const struct machine *m); /* of the configuration, bytes */
enum machine_state machine_get_state(const struct machine *m);
const char *machine_state_name(enum machine_state state);
const char *machine_name(const struct machine *m);
const struct lastwords *machine_lastwords(const struct machine *m); /* NULL until it has ended */
/* By id; NULL id: the first. NULL when there is none. */
struct console *machine_console(struct machine *m, const char *id);
struct console *machine_console_at(struct machine *m, unsigned int index);

#endif
