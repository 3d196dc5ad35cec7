/* SPDX-License-Identifier: MIT */
/* What the host has: read through hostfs each time it is asked for. Any thread. */
#ifndef VMD_HOST_H
#define VMD_HOST_H

#include "lib/hostfs.h"
#include "lib/json.h"

struct host_kvm {
	int api_version;
	unsigned int max_vcpus;
};

/* Bytes, out of /proc/meminfo. */
int host_memory(const struct hostfs *h, uint64_t *ret_total, uint64_t *ret_available,
		struct err *e);
/* CPUs that are online. */
int host_cpus(const struct hostfs *h, unsigned int *ret_cpus, struct err *e);
int host_boot_id(const struct hostfs *h, char *out, size_t size, struct err *e);
/* /dev/kvm, opened and asked. The descriptor, or -ERR_KVM with a hint. */
int host_kvm_open(const struct hostfs *h, struct host_kvm *ret_kvm, struct err *e);
/* When a process of this host started, in clock ticks after boot: with the pid, its identity. */
int host_process_start(pid_t pid, uint64_t *ret_ticks, struct err *e);
/* What it has used: CPU time of all its threads, and memory of its own that is there. */
struct host_usage {
	uint64_t cpu_us, rss; /* bytes */
};
/* -ESRCH when it is not the process that started then. */
int host_process_usage(pid_t pid, uint64_t start_ticks, struct host_usage *ret, struct err *e);
/* The process that a pidfd stands for; -ESRCH when it has been reaped, -EINVAL when fd is no pidfd. */
int host_pidfd_pid(int fd, pid_t *ret_pid);
/*
 * Does the machine configuration fit? -ERR_MEMORY, -ERR_CPUS. kvm may be NULL (then its limit is not
 * checked). name is the VM's.
 */
int host_check_limits(const struct hostfs *h, const struct host_kvm *kvm,
		      struct json_object *config, const char *name, struct err *e);
/* The result of host.info, without "vmm". */
struct json_object *host_info(const struct hostfs *h);

#endif
