// SPDX-License-Identifier: MIT
/* Facts of the host: see host.h; proc(5), sysfs's ABI documents, Documentation/virt/kvm/api.rst. Any thread. */
#include "vmd/host.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "lib/auto.h"
#include "lib/errcat.h"
#include "lib/fdio.h"

static int host_meminfo_line(const char *text, const char *key, uint64_t *ret_bytes)
{
	const char *p = strstr(text, key);
	unsigned long long kib;

	if (!p || sscanf(p + strlen(key), "%llu", &kib) != 1)
		return -EINVAL;
	return checked_mul(kib, KIB, ret_bytes) ? 0 : -ERANGE;
}

int host_memory(const struct hostfs *h, uint64_t *ret_total, uint64_t *ret_available, struct err *e)
{
	char text[4096];
	uint64_t total, available;
	ssize_t n = hostfs_read(h, "proc/meminfo", text, sizeof(text), e);

	if (n < 0)
		return (int)n;
	if (host_meminfo_line(text, "MemTotal:", &total) < 0 ||
	    host_meminfo_line(text, "MemAvailable:", &available) < 0)
		return err_set(e, ERR_FAILED, "'/proc/meminfo' has no MemTotal or MemAvailable");
	*ret_total = total;
	*ret_available = available;
	return 0;
}

int host_cpus(const struct hostfs *h, unsigned int *ret_cpus, struct err *e)
{
	char text[1024], *p = text;
	unsigned int cpus = 0;
	ssize_t n = hostfs_read(h, "sys/devices/system/cpu/online", text, sizeof(text), e);

	if (n < 0)
		return (int)n;
	while (*p) { /* "0-3,6" */
		unsigned long first = strtoul(p, &p, 10), last = first;

		if (*p == '-')
			last = strtoul(p + 1, &p, 10);
		if (last < first || last > UINT16_MAX || (*p && *p != ','))
			return err_set(e, ERR_FAILED, "cannot read the list of CPUs '%s'", text);
		cpus += (unsigned int)(last - first + 1);
		p += *p == ',';
	}
	*ret_cpus = cpus;
	return 0;
}

int host_boot_id(const struct hostfs *h, char *out, size_t size, struct err *e)
{
	ssize_t n = hostfs_read(h, "proc/sys/kernel/random/boot_id", out, size, e);

	return (int)MIN(n, 0);
}

static int host_kvm_hint(int code, struct err *e)
{
	if (code == EACCES || code == EPERM)
		return err_hint(e,
				"run vmd as root or as a member of the group that owns /dev/kvm");
	return err_hint(e,
			"load kvm_intel or kvm_amd, and switch virtualization on in the firmware "
			"or the outer hypervisor");
}

int host_kvm_open(const struct hostfs *h, struct host_kvm *ret_kvm, struct err *e)
{
	AUTO_CLOSE int fd = hostfs_open(h, "dev/kvm", O_RDWR, NULL);
	struct host_kvm kvm;
	int ret;

	if (fd < 0) {
		err_set(e, ERR_KVM, "KVM is not usable: cannot open '/dev/kvm': %s", strerror(-fd));
		host_kvm_hint(-fd, e);
		return -ERR_KVM;
	}
	kvm.api_version = ioctl(fd, KVM_GET_API_VERSION, 0);
	if (kvm.api_version != KVM_API_VERSION)
		return err_set(e, ERR_KVM,
			       "KVM is not usable: '/dev/kvm' has API version %d, not %d",
			       kvm.api_version, KVM_API_VERSION);
	ret = ioctl(fd, KVM_CHECK_EXTENSION, KVM_CAP_MAX_VCPUS);
	kvm.max_vcpus = ret > 0 ? (unsigned int)ret : 4; /* the default of its documentation */
	if (ret_kvm)
		*ret_kvm = kvm;
	return TAKE_FD(fd);
}

/* Of /proc/PID/stat: utime, stime and starttime, fields 14, 15 and 22, in clock ticks; rss, field 24, in pages. */
struct host_stat {
	unsigned long long utime, stime, starttime;
	long rss;
};

static int host_process_stat(pid_t pid, struct host_stat *ret, struct err *e)
{
	AUTO_CLOSE int fd = -1;
	char path[64], text[1024];
	const char *p;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return err_errno(e, "cannot open '%s'", path);
	n = fdio_read(fd, text, sizeof(text) - 1);
	if (n < 0)
		return err_ret(e, (int)n, "cannot read '%s'", path);
	text[n] = '\0';
	/* the name may hold anything but ends with the last ')'; the state, field 3, follows */
	p = strrchr(text, ')');
	if (!p ||
	    sscanf(p + 1,
		   " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu %*d %*d %*d %*d %*d "
		   "%*d %llu %*u %ld",
		   &ret->utime, &ret->stime, &ret->starttime, &ret->rss) != 4)
		return err_set(e, EINVAL, "cannot understand '%s'", path);
	return 0;
}

int host_process_start(pid_t pid, uint64_t *ret_ticks, struct err *e)
{
	struct host_stat stat = { 0 };
	int r = host_process_stat(pid, &stat, e);

	if (r >= 0)
		*ret_ticks = stat.starttime;
	return r;
}

int host_process_usage(pid_t pid, uint64_t start_ticks, struct host_usage *ret, struct err *e)
{
	uint64_t tick_us = 1000000 / (uint64_t)sysconf(_SC_CLK_TCK);
	struct host_stat stat = { 0 };
	int r = host_process_stat(pid, &stat, e);

	if (r < 0)
		return r;
	if (stat.starttime != start_ticks)
		return err_set(e, ESRCH, "process %d is another one by now", (int)pid);
	*ret = (struct host_usage){ .cpu_us = (stat.utime + stat.stime) * tick_us,
				    .rss = (uint64_t)MAX(stat.rss, 0) *
					   (uint64_t)sysconf(_SC_PAGESIZE) };
	return 0;
}

int host_pidfd_pid(int fd, pid_t *ret_pid)
{
	AUTO_CLOSE int info = -1;
	char path[64], text[1024], *p;
	ssize_t n;
	int pid;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	info = open(path, O_RDONLY | O_CLOEXEC);
	if (info < 0)
		return -errno;
	n = fdio_read(info, text, sizeof(text) - 1);
	if (n < 0)
		return (int)n;
	text[n] = '\0';
	p = strstr(text, "\nPid:");
	if (!p || sscanf(p, "\nPid: %d", &pid) != 1)
		return -EINVAL;
	if (pid <= 0)
		return -ESRCH;
	*ret_pid = pid;
	return 0;
}

int host_check_limits(const struct hostfs *h, const struct host_kvm *kvm,
		      struct json_object *config, const char *name, struct err *e)
{
	uint64_t size = (uint64_t)json_get_int(json_get(config, "memory"), "size", 0);
	int64_t vcpus = json_get_int(config, "vcpus", 1);
	uint64_t total = 0, available = 0;
	int ret = host_memory(h, &total, &available, e);

	if (ret < 0)
		return ret;
	if (size > total)
		return err_set(e, ERR_MEMORY,
			       "VM '%s' wants %.1f GiB of memory, the host has %.1f GiB", name,
			       (double)size / (double)GIB, (double)total / (double)GIB);
	if (kvm && vcpus > (int64_t)kvm->max_vcpus)
		return err_set(e, ERR_CPUS,
			       "VM '%s' wants %lld vCPUs, KVM on this host has at most %u", name,
			       (long long)vcpus, kvm->max_vcpus);
	return 0;
}

struct host_pages {
	const struct hostfs *h;
	struct json_object *list;
};

static int host_add_pages(void *arg, const char *name)
{
	struct host_pages *p = arg;
	unsigned long long kib;
	uint64_t total = 0, free_pages = 0;
	char path[128];

	if (sscanf(name, "hugepages-%llukB", &kib) != 1 || strlen(name) > 40)
		return 0;
	snprintf(path, sizeof(path), "sys/kernel/mm/hugepages/%.40s/nr_hugepages", name);
	hostfs_read_u64(p->h, path, &total, NULL);
	snprintf(path, sizeof(path), "sys/kernel/mm/hugepages/%.40s/free_hugepages", name);
	hostfs_read_u64(p->h, path, &free_pages, NULL);
	json_object_array_add(p->list, json_add_int(json_add_int(json_add_int(json_new(), "size",
									      (int64_t)(kib * KIB)),
								 "total", (int64_t)total),
						    "free", (int64_t)free_pages));
	return 0;
}

static struct json_object *host_memory_info(const struct hostfs *h)
{
	struct host_pages pages = { .h = h, .list = json_object_new_array() };
	struct json_object *o = json_new();
	uint64_t total = 0, available = 0;

	host_memory(h, &total, &available, NULL);
	hostfs_each(h, "sys/kernel/mm/hugepages", host_add_pages, &pages, NULL);
	json_add_int(o, "total", (int64_t)total);
	json_add_int(o, "available", (int64_t)available);
	return json_add(o, "hugepages", pages.list);
}

static struct json_object *host_kvm_info(const struct hostfs *h)
{
	struct json_object *o = json_new();
	struct host_kvm kvm = { 0 };
	struct err e = { 0 };
	AUTO_CLOSE int fd = host_kvm_open(h, &kvm, &e);

	json_add_bool(o, "usable", fd >= 0);
	if (fd < 0)
		return json_add_str(o, "reason", e.msg);
	json_add_int(o, "api_version", kvm.api_version);
	return json_add_int(o, "max_vcpus", kvm.max_vcpus);
}

struct json_object *host_info(const struct hostfs *h)
{
	struct json_object *o = json_new();
	char text[256] = "";
	unsigned int cpus = 0;
	struct utsname u;

	uname(&u);
	json_add_str(o, "hostname",
		     hostfs_read(h, "proc/sys/kernel/hostname", text, sizeof(text), NULL) < 0
			     ? u.nodename
			     : text);
	json_add_str(o, "kernel",
		     hostfs_read(h, "proc/sys/kernel/osrelease", text, sizeof(text), NULL) < 0
			     ? u.release
			     : text);
	host_cpus(h, &cpus, NULL);
	json_add_int(o, "cpus", cpus);
	json_add(o, "memory", host_memory_info(h));
	return json_add(o, "kvm", host_kvm_info(h));
}
