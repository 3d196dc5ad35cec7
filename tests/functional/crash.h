/* SPDX-License-Identifier: MIT */
/*
 * A vmd whose every step is seen: ptrace(2) stops each of its threads at each system call. A step is a call
 * that changes something outside of the process: writes (but to standard error), fsync, files and
 * sockets made, renamed and removed, messages sent, processes made and signalled. vmd can be killed at
 * the n-th, or from the n-th on writes of its database fail. vmd itself knows nothing of it.
 *
 * Processes that vmd makes are not traced.
 */
#ifndef TESTS_FUNCTIONAL_CRASH_H
#define TESTS_FUNCTIONAL_CRASH_H

#include <stdbool.h>
#include <sys/types.h>

struct crash {
	pid_t pid;
	unsigned int steps;	/* since crash_attach */
	unsigned int kill_at;	/* 0: never */
	unsigned int fail_from; /* 0: never; counts writes of the database's files only */
	unsigned int fail_only; /* so many of them; 0: all from there on */
	unsigned int writes;	/* of the database, since crash_attach */
	bool first_was_sync;	/* of those that have failed */
	int fail_errno;
	int signal_at_kill; /* SIGKILL unless set */
};

/* Can this process trace another here? */
bool crash_possible(void);
/* Trace vmd, a child of ours that runs. Set kill_at, fail_from before. */
void crash_attach(struct crash *c, pid_t pid);
/*
 * Let it run until there is something to read from fd: true; or until it has been killed at its step, or
 * has ended: false, and *ret_status is its wait status. It stays traced: stopped at its system calls
 * while nobody is in crash_run.
 */
bool crash_run(struct crash *c, int fd, int *ret_status);
/* Trace it no longer; it runs on. */
void crash_detach(struct crash *c);

#endif
