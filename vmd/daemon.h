/* SPDX-License-Identifier: MIT */
/* vmd as a whole: its options, its parts, one libuv loop. Everything here is on the loop's thread. */
#ifndef VMD_DAEMON_H
#define VMD_DAEMON_H

#include <uv.h>
#include "lib/emptyns.h"
#include "lib/hostfs.h"
#include "lib/log.h"
#include "state/state.h"
#include "vmd/activation.h"
#include "vmd/cgroup.h"
#include "vmd/host_cpuid.h"
#include "vmd/notify.h"
#include "vmd/role.h"

struct daemon_options {
	const char *socket, *state_dir, *run_dir, *sysroot, *vmm; /* borrowed */
	const char *display;		/* vmm-display, where it would be; borrowed */
	const char *hostio;		/* borrowed: the program that writes to the host */
	const char *cgroup;		/* borrowed; NULL: what is best */
	const char *ro_socket;		/* borrowed; NULL: vmd-ro.sock beside vmd.sock */
	const char *groups[ROLE_COUNT]; /* borrowed; NULL: the usual ones */
	unsigned int step_timeout_ms;	/* for a vmm to answer each step of its start */
	enum log_level log_level;
	size_t log_size;     /* of one log of a VM: vmd/logfile.h */
	const char *seccomp; /* the monitors' mode; borrowed */
	uid_t monitor_uid_first, monitor_uid_last;
	const char *policy; /* borrowed; NULL: the usual file, if it is there */
};

struct event_hub;
struct scope_bus;
struct guests;
struct hostio;
struct jobs;
struct nets;
struct nvram;
struct ports;
struct leases;
struct pools;
struct pci_policy;
struct server;
struct turn;
struct vmlogs;

struct daemon {
	const struct daemon_options *options;
	struct log log;
	struct notify notify;
	struct activation activation; /* what is left of it after the start: nothing */
	uv_loop_t loop;
	uv_signal_t sigterm, sigint;
	struct hostfs hostfs;
	struct cgroups cgroups;
	struct host_cpuid cpuid;    /* the newest that a start has made */
	struct scope_bus *scopes;   /* owned; NULL without scopes */
	struct state *state;	    /* owned */
	struct turn *turn;	    /* owned */
	struct event_hub *events;   /* owned */
	struct jobs *jobs;	    /* owned */
	struct guests *guests;	    /* owned */
	struct hostio *hostio;	    /* owned */
	struct leases *leases;	    /* owned */
	struct pools *pools;	    /* owned */
	struct nets *nets;	    /* owned */
	struct ports *ports;	    /* owned */
	struct nvram *nvram;	    /* owned */
	struct display *displays;   /* owned: a list */
	struct server *server;	    /* owned */
	struct vmlogs *logs;	    /* owned */
	struct schema_set *schemas; /* owned: of VM definitions */
	struct pci_policy *policy;  /* owned */
	int lock_fd;		    /* owned: held as long as we live */
	int uid_lock_fd;	    /* owned: likewise, of the monitors' users */
	struct emptyns ns;	    /* owned: the monitors' */
	char boot_id[64];
	int64_t started_ms;
	unsigned int screenshots; /* that are being taken: method_screen.c */
	int ready_fd;		  /* owned: gets a byte when we serve; or -1 */
};

/*
 * Run until SIGTERM or SIGINT. log_fd is borrowed; take_ready_fd (may be -1) gets one byte once vmd
 * serves. 0, or negative with why it could not begin.
 */
int daemon_run(const struct daemon_options *options, int log_fd, int take_ready_fd, struct err *e);

#endif
