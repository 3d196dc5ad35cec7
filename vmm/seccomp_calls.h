/* SPDX-License-Identifier: MIT */
/*
 * The system calls that vmm's threads need once the guest runs, and vmm-display once it has viewers, a reason beside each. vmm/seccomp_gen makes
 * a filter of each table at build time (libseccomp), vmm/seccomp.c puts it on a thread.
 *
 * What is not here ends the process: opening, sockets, processes, threads, namespaces, ptrace, bpf, keys, and
 * memory that can be executed.
 */
#ifndef VMM_SECCOMP_CALLS_H
#define VMM_SECCOMP_CALLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Of vmm's threads, and of vmm-display, which has one. */
enum seccomp_table {
	SECCOMP_CONTROL,
	SECCOMP_VCPU,
	SECCOMP_WORKER,
	SECCOMP_WAITER, /* waiter.h */
	SECCOMP_DISPLAY,
	SECCOMP_TABLES
};

/* Stands in the filters for the process's own number, which only the running process knows. */
#define SECCOMP_OWN_PID 0x7ffffffeu

enum seccomp_match {
	SECCOMP_ANY,
	SECCOMP_EQUAL,	/* argument `arg` is `value` */
	SECCOMP_WITHOUT /* argument `arg` has no bit of `value` */
};

struct seccomp_call {
	const char *name;
	unsigned int tables; /* BIT(enum seccomp_table) */
	const char *why;
	enum seccomp_match match;
	unsigned int arg;
	uint32_t value;
};

/* ioctl is allowed for these requests alone. */
struct seccomp_ioctl {
	const char *name;
	uint32_t request;
	unsigned int tables;
	const char *why;
};

const char *seccomp_table_name(enum seccomp_table table);
/* The rows; NULL behind the last one. */
const struct seccomp_call *seccomp_call_at(size_t index);
const struct seccomp_ioctl *seccomp_ioctl_at(size_t index);

#endif
