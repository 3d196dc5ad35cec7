// SPDX-License-Identifier: MIT
/* Faults of a simulated host, by its sim/faults.json: see sim.h. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "hostio/sim.h"
#include "lib/auto.h"
#include "lib/fdio.h"

#define SIM_ERRNO_MAX 133

int sim_lock(struct kernel *k, struct err *e)
{
	AUTO_CLOSE int fd = openat(k->fs.root, "sim/lock", O_RDWR | O_CREAT | O_CLOEXEC, 0644);

	if (fd < 0)
		return err_errno(e, "cannot open '%s/sim/lock': is it a simulated host?", k->root);
	while (flock(fd, LOCK_EX) < 0)
		if (errno != EINTR)
			return err_errno(e, "cannot lock '%s/sim/lock'", k->root);
	return TAKE_FD(fd);
}

/* "EBUSY" -> EBUSY; what is no name of an error is EIO. */
static int sim_fault_errno(const char *name)
{
	for (int i = 1; i <= SIM_ERRNO_MAX; i++)
		if (strerrorname_np(i) && !strcmp(strerrorname_np(i), name))
			return i;
	return EIO;
}

/* A fault that says nothing about a thing fits whatever it is. */
static bool sim_fault_fits(struct kernel *k, struct json_object *fault, const char *at)
{
	const char *op = json_get_str(fault, "op", k->op),
		   *pci = json_get_str(fault, "pci", k->device);

	return k->op && !strcmp(op, k->op) && !strcmp(pci, k->device) &&
	       !strcmp(json_get_str(fault, "at", at), at) && json_get_int(fault, "times", 1) > 0;
}

/* Found, and counted down. NULL: none. Owned by the caller. */
static struct json_object *sim_fault_find(struct kernel *k, const char *at)
{
	AUTO_JSON struct json_object *faults = NULL;
	AUTO_CLOSE int lock = sim_lock(k, NULL);
	size_t n = 0;

	if (lock >= 0 && sim_json_read(k, "sim/faults.json", &faults, NULL) >= 0 &&
	    json_object_is_type(faults, json_type_array))
		n = json_object_array_length(faults);
	for (size_t i = 0; i < n; i++) {
		struct json_object *fault = json_object_array_get_idx(faults, i);

		if (!sim_fault_fits(k, fault, at))
			continue;
		if (json_get(fault, "times")) {
			json_add_int(fault, "times", json_get_int(fault, "times", 1) - 1);
			sim_json_write(k, "sim/faults.json", faults, NULL);
		}
		return json_object_get(fault);
	}
	return NULL;
}

/* For ever, until somebody writes to the FIFO, or until vmd ends: nothing imitated has to outlive its test. */
static void sim_hang(struct kernel *k)
{
	AUTO_CLOSE int fd = -1;
	char byte;

	if (k->parent) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != k->parent)
			raise(SIGKILL);
	}
	mkfifoat(k->fs.root, "sim/hang", 0644);
	fd = openat(k->fs.root, "sim/hang", O_RDONLY | O_CLOEXEC);
	if (fd >= 0)
		fdio_read(fd, &byte, 1);
}

int sim_fault(struct kernel *k, const char *at, struct sim_fault *ret_fault, struct err *e)
{
	AUTO_JSON struct json_object *fault = sim_fault_find(k, at);
	const char *error = json_get_str(fault, "error", "");

	*ret_fault = (struct sim_fault){ .ignore = json_get_bool(fault, "ignore", false),
					 .broken = json_get_bool(fault, "broken", false),
					 .vanish = json_get_bool(fault, "vanish", false),
					 .count = (int)json_get_int(fault, "count", -1) };
	if (json_get_bool(fault, "garbage", false))
		fdio_write(STDOUT_FILENO, "what?\n", strlen("what?\n"));
	if (json_get_bool(fault, "exit", false))
		raise(SIGKILL);
	if (json_get_bool(fault, "hang", false))
		sim_hang(k);
	if (!error[0])
		return 0;
	return err_set(e, sim_fault_errno(error), "%s", strerrordesc_np(sim_fault_errno(error)));
}
