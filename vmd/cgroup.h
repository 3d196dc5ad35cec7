/* SPDX-License-Identifier: MIT */
/*
 * Control groups for VMs, version 2 (Documentation/admin-guide/cgroup-v2.rst): each vmm in a group of its own
 * with the limits of its definition. Two ways:
 *
 *	CGROUP_TREE	vmd makes the groups below a folder of the cgroup file system that is its own
 *	CGROUP_SCOPE	systemd owns the tree: a scope for each, in machine.slice (vmd/scope.h)
 *
 * A group's name is its path, or the scope's unit name. Names are not used twice. systemd removes a scope with its
 * last process, and what the kernel has counted there is gone; so each scope is in a slice of its own, which vmd
 * stops when it has read that.
 */
#ifndef VMD_CGROUP_H
#define VMD_CGROUP_H

#include "lib/err.h"
#include "lib/json.h"
#include "state/state.h"

#define CGROUP_SLICE_SIZE 128

enum cgroup_kind { CGROUP_NONE, CGROUP_TREE, CGROUP_SCOPE };

enum cgroup_controller { CGROUP_CPU = BIT(0), CGROUP_MEMORY = BIT(1), CGROUP_PIDS = BIT(2) };

struct cgroups {
	enum cgroup_kind kind;
	char base[256];		  /* CGROUP_TREE */
	unsigned int controllers; /* CGROUP_TREE: enum cgroup_controller, those that are there */
	char why[512];		  /* what there is not, for people; "" when all is there */
};

struct cgroup_limits {
	bool required;			  /* the definition asks for them */
	uint32_t cpu_percent, cpu_weight; /* cpu_percent 0: no limit */
	uint64_t memory, tasks;		  /* bytes; 0: no limit */
};

/*
 * option: --cgroup's value: a path, "none", "systemd", or NULL for the best that this host has: scopes under
 * systemd, else the folder "vmd" of the cgroup file system. A path that cannot be used is an error; NULL is
 * none in the worst case, and c->why says why. Blocks for some milliseconds: at the start only.
 */
int cgroups_init(struct cgroups *c, const char *option, struct err *e);
/* A name for a new group of the VM. */
void cgroup_name(const struct cgroups *c, const char *vm, char out[static STATE_CGROUP_SIZE]);
/* The slice of a scope: "vmd-NAME-XXXXXXXX.scope" is in "machine-vmd_NAME_XXXXXXXX.slice". */
void cgroup_slice(const char *scope, char out[static CGROUP_SLICE_SIZE]);
/*
 * The folder where what the kernel has counted of a group stays after its last process, until vmd removes it: its
 * own, or that of a scope's slice.
 */
void cgroup_counts(const char *name, char *out, size_t size);
/* Of a machine configuration; one from before there were limits has none. */
void cgroup_limits(struct json_object *config, struct cgroup_limits *ret_limits);
/* Can what the definition asks for be kept here? -ERR_LIMITS with a hint. */
int cgroup_check(const struct cgroups *c, const struct cgroup_limits *limits, const char *vm,
		 struct err *e);

/* CGROUP_TREE. Make the group, for a worker. Its folder's descriptor, for clone3(2). */
int cgroup_make(const struct cgroups *c, const char *name, const struct cgroup_limits *limits,
		struct err *e);
/* End what is in there, remove it: 0 when it is gone, or was; -EBUSY: once more, later. Any thread. */
int cgroup_remove(const char *name);

/*
 * The group of a process, its folder: "/sys/fs/cgroup/…". A zombie's is the last that it was in, gone or not. Small
 * files of procfs.
 */
int cgroup_of(pid_t pid, char *out, size_t size);
/* Is the folder that of a group with this name? */
bool cgroup_is(const char *folder, const char *name);

#endif
