// SPDX-License-Identifier: MIT
/* Getting ready what a start needs: see gather.h. gather_run is on a worker, the rest on the loop's thread. */
#include "vmd/gather.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/auto.h"
#include "lib/errcat.h"
#include "lib/vmdef.h"
#include "vmd/host.h"
#include "vmd/host_numa.h"
#include "vmd/ident.h"

#define GATHER_BEFORE_MS 2000

static int gather_cpuid(struct gather *g, int kvm_fd, struct err *e)
{
	struct host_cpuid copy;
	int ret = host_cpuid_refresh(&g->cpuids, kvm_fd, e);

	if (ret < 0)
		return ret;
	g->asked = ret;
	host_cpuid_copy(&g->cpuids, &copy);
	ret = copy.fd < 0 ? -EMFILE : fdset_add(&g->fds, copy.fd);
	if (ret < 0)
		return err_ret(e, ret, "too many files");
	g->cpuid = (unsigned int)ret;
	return 0;
}

static int gather_kvm(struct gather *g, struct err *e)
{
	struct host_kvm kvm;
	int fd = host_kvm_open(g->host, &kvm, e), ret;

	if (fd < 0)
		return fd;
	ret = fdset_add(&g->fds, fd);
	if (ret < 0)
		return err_ret(e, ret, "too many files");
	g->kvm = (unsigned int)ret;
	if (g->program.vmm) {
		ret = gather_cpuid(g, fd, e);
		if (ret < 0)
			return ret;
	}
	return host_check_limits(g->host, &kvm, g->config, g->name, e);
}

static int gather_files(struct gather *g, struct err *e)
{
	struct vmdef_file files[VMDEF_FILES_MAX];
	int n = vmdef_find_firmware(g->config, "", e);

	if (n >= 0)
		n = vmdef_files(g->config, files, e);
	for (int i = 0; i < n; i++) {
		int fd, index, ret;

		if (!strcmp(files[i].pointer, "/boot/kernel"))
			snprintf(g->kernel, sizeof(g->kernel), "%s", files[i].path);
		if (!strcmp(files[i].pointer, "/boot/firmware"))
			snprintf(g->firmware, sizeof(g->firmware), "%s", files[i].path);
		files[i].confined = g->confined;
		fd = vmdef_open(&files[i], e);
		if (fd >= 0)
			fd = gather_scsi(g, &files[i], fd, e);
		if (fd < 0) {
			if (e)
				e->code = ERR_FILE;
			return -ERR_FILE;
		}
		ret = gather_lock(g, &files[i], fd, e);
		if (ret < 0) {
			close(fd);
			return ret;
		}
		index = fdset_add(&g->fds, fd);
		if (index < 0)
			return err_ret(e, index, "too many files");
		vmdef_set_fd(g->config, files[i].pointer, (unsigned int)index);
	}
	return MIN(n, 0);
}

/* With no more rights than the owner has: vmd could open every file of the host. */
static int gather_files_once(struct gather *g, struct err *e)
{
	struct ident old;
	int ret;

	if (!g->confined)
		return gather_files(g, e);
	ret = ident_enter(g->owner, &old, e);
	if (ret < 0)
		return ret;
	ret = gather_files(g, e);
	ident_leave(&old);
	return ret;
}

/* Files that are open already are in their places, and are not opened anew. */
static int gather_files_as_owner(struct gather *g, struct err *e)
{
	unsigned int tries = 0;
	int ret;

	do
		ret = gather_files_once(g, e);
	while (ret == -ERR_FILE_IN_USE && (ret = gather_in_use(g, tries++, e)) > 0);
	return ret;
}

/* What vmm writes at its end: a file of ours that it has only a descriptor of. */
static int gather_make(struct gather *g, const char *name, unsigned int *ret_index, struct err *e)
{
	char path[sizeof(g->dir) + 16];
	int fd, index;

	snprintf(path, sizeof(path), "%s/%s", g->dir, name);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return err_errno(e, "cannot make '%s'", path);
	index = fdset_add(&g->fds, fd);
	if (index < 0)
		return err_ret(e, index, "too many files");
	*ret_index = (unsigned int)index;
	return 0;
}

static int gather_record(struct gather *g, struct err *e)
{
	int ret;

	if (mkdir(g->dir, 0700) < 0 && errno != EEXIST)
		return err_errno(e, "cannot make '%s'", g->dir);
	ret = gather_make(g, GATHER_RECORD, &g->record, e);
	return ret < 0 ? ret : gather_make(g, GATHER_TAIL, &g->tail, e);
}

static int gather_process(struct gather *g, struct err *e)
{
	AUTO_CLOSE int fd = -1;
	int ret;

	if (g->cgroup[0] == '/') { /* a scope is made once there is a process to put in */
		fd = cgroup_make(g->cgroups, g->cgroup, &g->limits, e);
		if (fd < 0)
			return fd;
	}
	ret = gather_net_users(g, fd, e);
	if (ret < 0)
		return ret;
	g->program.cgroup = fd;
	/* each disk's ring counts for itself; what cannot be locked it does without */
	g->program.memlock = g->memlock + vmdef_pinning(g->config) *
						  (uint64_t)json_get_int(
							  json_get(g->config, "memory"), "size", 0);
	return vmproc_prepare(g->dir, &g->program, &g->child, e);
}

/* Before anything is made: vmm could only tell that it does not get memory there. */
static int gather_node(struct gather *g, struct err *e)
{
	struct json_object *memory = json_get(g->config, "memory");
	int64_t node = json_get_int(memory, "node", -1);
	uint64_t size = (uint64_t)json_get_int(memory, "size", 0);
	uint64_t hugepages = (uint64_t)json_get_int(memory, "hugepages", 0);
	int ret = node < 0 ? 0 : host_numa_check(g->host, (unsigned int)node, e);

	if (ret < 0 || strcmp(json_get_str(memory, "policy", ""), "strict") != 0)
		return ret;
	return host_numa_fits(g->host, (unsigned int)node, size, hugepages, &g->room, e);
}

static void gather_run_more(struct gather *g)
{
	g->ret = gather_files_as_owner(g, &g->err);
	if (g->ret >= 0)
		g->ret = gather_vfio(g, &g->err);
	if (g->ret >= 0)
		g->ret = gather_net(g, &g->err);
	if (g->ret >= 0)
		g->ret = gather_net_users(g, -1, &g->err);
}

/* What has been killed has its socket until it is gone, which is soon. */
static int gather_ports_late(struct gather *g, struct err *e)
{
	struct pollfd before = { .fd = g->before_fd, .events = POLLIN };

	if (g->before_fd >= 0 && poll(&before, 1, GATHER_BEFORE_MS) < 0 && errno != EINTR)
		return err_errno(e, "the display of the start before");
	return gather_ports(g, e);
}

static void gather_run(struct gather *g)
{
	int ret = cgroup_check(g->cgroups, &g->limits, g->name, &g->err);

	if (ret >= 0)
		ret = gather_node(g, &g->err);
	if (ret >= 0)
		ret = gather_kvm(g, &g->err);
	if (ret >= 0)
		ret = gather_files_as_owner(g, &g->err);
	if (ret >= 0)
		ret = gather_nvram(g, &g->err);
	if (ret >= 0)
		ret = gather_vfio(g, &g->err);
	if (ret >= 0)
		ret = gather_net(g, &g->err);
	if (ret >= 0)
		ret = gather_ports_late(g, &g->err);
	if (ret >= 0)
		ret = gather_display(g, &g->err);
	if (ret >= 0 && g->dir[0])
		ret = gather_record(g, &g->err);
	if (ret >= 0 && g->program.vmm)
		ret = gather_process(g, &g->err);
	g->ret = ret;
}

static void gather_work(uv_work_t *work)
{
	struct gather *g = container_of(work, struct gather, work);

	if (g->viewer)
		g->ret = gather_viewer_run(g, &g->err);
	else if (g->more)
		gather_run_more(g);
	else
		gather_run(g);
	if (g->ret < 0)
		fdset_fini(&g->fds); /* here: the end of a tap takes its time */
}

static void gather_after(uv_work_t *work, int status)
{
	struct gather *g = container_of(work, struct gather, work);

	if (status < 0)
		g->ret = err_ret(&g->err, status, "cannot open the files");
	g->done(g);
}

static struct gather *gather_new(const struct hostfs *host, const struct state_vm *vm,
				 struct json_object *take_config, void (*done)(struct gather *g),
				 void *arg)
{
	struct gather *g = calloc(1, sizeof(*g));

	if (!g) {
		json_object_put(take_config);
		return NULL;
	}
	g->host = host;
	snprintf(g->id, sizeof(g->id), "%s", vm->id);
	snprintf(g->name, sizeof(g->name), "%s", vm->name);
	g->owner = vm->owner;
	g->confined = vm->confined;
	g->config = take_config;
	g->nets = json_new();
	g->ports = json_new();
	g->display.listen_fd = g->before_fd = -1;
	fdset_init(&g->fds);
	host_cpuid_init(&g->cpuids);
	g->done = done;
	g->arg = arg;
	return g;
}

static struct gather *gather_queue(uv_loop_t *loop, struct gather *g)
{
	if (uv_queue_work(loop, &g->work, gather_work, gather_after) >= 0)
		return g;
	gather_free(g);
	return NULL;
}

struct gather *gather_more(uv_loop_t *loop, const struct hostfs *host, const struct state_vm *vm,
			   struct json_object *take_config, void (*done)(struct gather *g),
			   void *arg)
{
	struct gather *g = gather_new(host, vm, take_config, done, arg);

	if (!g)
		return NULL;
	g->more = true;
	return gather_queue(loop, g);
}

struct gather *gather_viewer(uv_loop_t *loop, const struct hostfs *host, const struct state_vm *vm,
			     const char *dir, const char *viewer_dir,
			     struct gather_display *take_display,
			     const struct gather_process *process, void (*done)(struct gather *g),
			     void *arg)
{
	struct gather *g = gather_new(host, vm, json_new(), done, arg);

	if (!g) {
		gather_display_fini(take_display);
		return NULL;
	}
	g->viewer = true;
	snprintf(g->dir, sizeof(g->dir), "%s", dir);
	snprintf(g->viewer_dir, sizeof(g->viewer_dir), "%s", viewer_dir);
	snprintf(g->cgroup, sizeof(g->cgroup), "%s", process->cgroup);
	g->ports_lock = process->ports;
	g->program = *process->program;
	if (take_display->listen_fd < 0) {
		json_add(g->config, "display", take_display->config);
		*take_display = (struct gather_display){ .listen_fd = -1 };
	}
	g->display = *take_display;
	*take_display = (struct gather_display){ .listen_fd = -1 };
	return gather_queue(loop, g);
}

struct gather *gather_start(uv_loop_t *loop, const struct hostfs *host, const struct state_vm *vm,
			    const char *dir, struct json_object *take_config,
			    const struct gather_process *process, void (*done)(struct gather *g),
			    void *arg)
{
	struct gather *g = gather_new(host, vm, take_config, done, arg);

	if (!g) {
		if (process->before_fd >= 0)
			close(process->before_fd);
		return NULL;
	}
	g->before_fd = process->before_fd;
	snprintf(g->dir, sizeof(g->dir), "%s", dir);
	g->cgroups = process->cgroups;
	snprintf(g->cgroup, sizeof(g->cgroup), "%s", process->cgroup);
	cgroup_limits(g->config, &g->limits);
	g->ports_lock = process->ports;
	if (process->program) {
		g->program = *process->program;
		host_cpuid_copy(process->cpuid, &g->cpuids);
	}
	return gather_queue(loop, g);
}

void gather_free(struct gather *g)
{
	if (!g)
		return;
	fdset_fini(&g->fds);
	json_object_put(g->config);
	json_object_put(g->nets);
	json_object_put(g->ports);
	gather_display_fini(&g->display);
	if (g->before_fd >= 0)
		close(g->before_fd);
	vmproc_child_free(g->child);
	host_cpuid_fini(&g->cpuids);
	free(g);
}
