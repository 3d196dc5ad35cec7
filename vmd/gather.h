/* SPDX-License-Identifier: MIT */
/*
 * Everything that a start can get ready away from the loop: what a vmm is given, opened (the files
 * of the machine configuration, /dev/kvm, the file for its last words), and the process that is to
 * become it. All of that may block (network file systems), so a uv worker does it; the worker owns
 * the struct until done is called on the loop's thread.
 */
#ifndef VMD_GATHER_H
#define VMD_GATHER_H

#include <uv.h>
#include "lib/fdio.h"
#include "lib/hostfs.h"
#include "lib/json.h"
#include "lib/vmdef.h"
#include "state/state.h"
#include "vmd/cgroup.h"
#include "vmd/host_cpuid.h"
#include "vmd/vmproc.h"

/* The process, borrowed: NULL when none is to be made, as for a dry run. */
struct gather_process {
	const struct cgroups *cgroups; /* the daemon's; never changes while it lives */
	const char *cgroup;	       /* that it will run in: its name; "" for none */
	const struct vmproc_program *program;
	const struct host_cpuid *cpuid; /* what is known: the gather has its own copy */
	uv_mutex_t *ports;		/* ports_lock */
	int before_fd;			/* taken over: display_ended_fd; -1: none */
};

#define GATHER_PASSWORD_MAX 8 /* of VNC (RFC 6143, section 7.2.2) */

/* Where viewers of a screen connect, got ready. */
struct gather_display {
	struct json_object *config; /* owned: schemas/vm.json, "display"; NULL: nobody looks */
	int listen_fd;		    /* owned; -1: not made */
	char password[GATHER_PASSWORD_MAX + 1]; /* "": none is asked for */
};

struct gather {
	uv_work_t work;
	const struct hostfs *host; /* the daemon's; never changes while it lives */
	char id[STATE_ID_SIZE];	   /* the VM's */
	char name[64];		   /* the VM's */
	uid_t owner;		   /* the VM's */
	bool confined;		   /* its files are opened with the owner's rights */
	bool more;		   /* gather_more */
	bool viewer;		   /* gather_viewer */
	char viewer_dir[256];
	struct gather_display display; /* gather_display.c */
	int before_fd; /* owned: can be read when the display's process of the start before has ended; -1 */
	char dir[256];		    /* the VM's run directory; made if missing */
	struct json_object *config; /* owned: the machine configuration, files as {"fd": n} after */
	char kernel[256];	    /* its path, for messages; cut */
	char firmware[256];	    /* the same */
	struct fdset fds;	    /* owned */
	unsigned int kvm, cpuid, record, tail; /* indices into fds */
	struct host_cpuid cpuids;	       /* owned; after: as new as /dev/kvm */
	bool asked;			       /* cpuids was renewed */
	uint64_t memlock;		       /* gather_vfio.c */
	uint64_t room; /* of the node that all memory is to be of: host_numa.h */
	ino_t busy;    /* the image that makes ret -ERR_FILE_IN_USE */
	pid_t holder;  /* whose it is, as far as can be told; else 0 */
	struct json_object
		*ports;		/* owned: gather_ports.c, {name of a port: name of its terminal} */
	uv_mutex_t *ports_lock; /* borrowed; NULL: none is made */
	struct json_object *nets; /* owned: gather_net.c, {ID of a card: what became of it} */
	const struct cgroups *cgroups;
	char cgroup[STATE_CGROUP_SIZE];
	struct cgroup_limits limits;
	struct vmproc_program program; /* vmm NULL: no process */
	struct vmproc_child *child;    /* owned; waits to become vmm */
	int ret;
	struct err err;
	void (*done)(struct gather *g); /* the caller frees it there */
	void *arg;
};

/* Begin, for vm. take_config is taken over. NULL when there is no memory or the loop refuses. */
struct gather *gather_start(uv_loop_t *loop, const struct hostfs *host, const struct state_vm *vm,
			    const char *dir, struct json_object *take_config,
			    const struct gather_process *process, void (*done)(struct gather *g),
			    void *arg);
/*
 * The same for devices of a VM that runs: only their files are opened. take_config: {memory: {size, node?}, devices, held: [the
 * addresses of those of the host that it has already]}.
 */
struct gather *gather_more(uv_loop_t *loop, const struct hostfs *host, const struct state_vm *vm,
			   struct json_object *take_config, void (*done)(struct gather *g),
			   void *arg);
/*
 * The same for the process that shows the screen of a VM that runs: child, in its directory viewer_dir, and display, of which
 * take_display has what is there already, its config at least. process: the monitor's control group is a folder. dir: the VM's.
 */
struct gather *gather_viewer(uv_loop_t *loop, const struct hostfs *host, const struct state_vm *vm,
			     const char *dir, const char *viewer_dir,
			     struct gather_display *take_display,
			     const struct gather_process *process, void (*done)(struct gather *g),
			     void *arg);
void gather_free(struct gather *g);

/* gather_disk.c, on the worker: lock a file that was just opened; notes which image is in use. */
int gather_lock(struct gather *g, const struct vmdef_file *file, int fd, struct err *e);
/* An image is in use: by whom, into e. 1: nobody has it any more, it may be tried again. */
int gather_in_use(struct gather *g, unsigned int tries, struct err *e);

/*
 * gather_scsi.c, on the worker: of a file that is a SCSI device of the host, the descriptor that vmm gets: fd, or that of
 * the block device behind a generic one. Nobody else can have it as long as vmm does. fd is taken.
 */
int gather_scsi(struct gather *g, const struct vmdef_file *file, int take_fd, struct err *e);

/*
 * gather_vfio.c: the devices of the host (type vfio-pci, their "pci" is known) as vmm takes them:
 * {host, group, group_fd, container_fd}, or {host, device_fd, iommu_fd} where the kernel has iommufd and device files
 * (Documentation/driver-api/vfio.rst, "VFIO Device cdev"). memlock: what vmm has to be able to lock, all of the
 * guest's memory and of the devices'. Without a dir nothing is opened. -ERR_LEASE_VFIO.
 */
int gather_vfio(struct gather *g, struct err *e);

/*
 * gather_net.c: network cards (type virtio-net) as vmm takes them: "network" and "vhost" become tap_fds and vhost_fds. nets:
 * {network: "bridge" | "private" | "tap" | "user", bridge?, private?, vlan?, tap?, vhost?, guarded?, forwards?} of each. Without a dir nothing is made.
 * -ERR_NET_…, -ERR_DENIED.
 */
int gather_net(struct gather *g, struct err *e);
/* Those of network: user get their passt, in a control group (borrowed; -1: vmd's own), and a stream_fd. -ERR_NET_USER. */
int gather_net_users(struct gather *g, int cgroup, struct err *e);

/* gather_ports.c: sockets and terminals of consoles' ports, as vmm takes them. -ERR_FILE */
int gather_ports(struct gather *g, struct err *e);

/* gather_nvram.c: the store of UEFI variables (vmd/nvram.h) in the place of its template. -ERR_FILE, -ERR_FIRMWARE */
int gather_nvram(struct gather *g, struct err *e);

/*
 * gather_display.c: display, its socket made where gather_ports has not, the screen's memory in its device. config has no display
 * then. Without a dir nothing is made. -ERR_FILE
 */
int gather_display(struct gather *g, struct err *e);
void gather_display_fini(struct gather_display *d);
int gather_viewer_run(struct gather *g, struct err *e);

#define GATHER_RECORD "exit.json"  /* in dir */
#define GATHER_TAIL "console.tail" /* what its consoles said last while vmd was away */

#endif
