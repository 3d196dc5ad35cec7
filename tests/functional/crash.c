// SPDX-License-Identifier: MIT
/* See crash.h. ptrace(2): PTRACE_SEIZE, PTRACE_GET_SYSCALL_INFO (Linux 5.3). x86-64 alone. */
#include "tests/functional/crash.h"

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/util.h"
#include "tests/functional/harness.h"
#include "tests/lib/test.h"

#define CRASH_WAIT_MS 20000
#define CRASH_THREADS 64

static const long crash_steps[] = {
	SYS_write,     SYS_pwrite64, SYS_writev,   SYS_pwritev,	  SYS_fsync,
	SYS_fdatasync, SYS_unlink,   SYS_unlinkat, SYS_mkdir,	  SYS_mkdirat,
	SYS_rmdir,     SYS_rename,   SYS_open,	   SYS_openat,	  SYS_ftruncate,
	SYS_fallocate, SYS_sendmsg,  SYS_sendto,   SYS_bind,	  SYS_listen,
	SYS_connect,   SYS_clone,    SYS_clone3,   SYS_fork,	  SYS_vfork,
	SYS_kill,      SYS_tgkill,   SYS_fchmod,   SYS_symlinkat, SYS_pidfd_send_signal,
};

static const long crash_writes[] = { SYS_write, SYS_pwrite64, SYS_fsync, SYS_fdatasync,
				     SYS_ftruncate };

static bool crash_is(const long *list, size_t n, uint64_t nr)
{
	for (size_t i = 0; i < n; i++)
		if (list[i] == (long)nr)
			return true;
	return false;
}

static bool crash_is_step(const struct __ptrace_syscall_info *info)
{
	uint64_t nr = info->entry.nr;

	if (!crash_is(crash_steps, ARRAY_SIZE(crash_steps), nr))
		return false;
	if (nr == SYS_write && info->entry.args[0] == STDERR_FILENO)
		return false;
	/* opening is a step when it may make a file: O_CREAT */
	if (nr == SYS_open)
		return info->entry.args[1] & 0100;
	if (nr == SYS_openat)
		return info->entry.args[2] & 0100;
	return true;
}

static bool crash_is_database(const struct crash *c, const struct __ptrace_syscall_info *info)
{
	char link[64], path[512];
	ssize_t n;

	if (!crash_is(crash_writes, ARRAY_SIZE(crash_writes), info->entry.nr))
		return false;
	snprintf(link, sizeof(link), "/proc/%d/fd/%d", (int)c->pid, (int)info->entry.args[0]);
	n = readlink(link, path, sizeof(path) - 1);
	path[MAX(n, 0)] = '\0';
	return strstr(path, "/state.db") != NULL;
}

/* The call is not made and its result is an error: a number that there is not, then the result itself. */
static void crash_fail_call(const struct crash *c, pid_t tid)
{
	struct user_regs_struct regs;
	int status;

	assert_int_equal(ptrace(PTRACE_GETREGS, tid, NULL, &regs), 0);
	regs.orig_rax = (unsigned long long)-1;
	assert_int_equal(ptrace(PTRACE_SETREGS, tid, NULL, &regs), 0);
	assert_int_equal(ptrace(PTRACE_SYSCALL, tid, NULL, NULL), 0);
	if (waitpid(tid, &status, __WALL) != tid || !WIFSTOPPED(status))
		fail_msg("a traced thread is gone");
	assert_int_equal(ptrace(PTRACE_GETREGS, tid, NULL, &regs), 0);
	regs.rax = (unsigned long long)-c->fail_errno;
	assert_int_equal(ptrace(PTRACE_SETREGS, tid, NULL, &regs), 0);
}

static void crash_fail(struct crash *c, pid_t tid, uint64_t nr)
{
	if (c->fail_only && c->writes >= c->fail_from + c->fail_only)
		return;
	if (c->writes == c->fail_from)
		c->first_was_sync = nr == SYS_fsync || nr == SYS_fdatasync;
	crash_fail_call(c, tid);
}

static void crash_syscall(struct crash *c, pid_t tid)
{
	struct __ptrace_syscall_info info;

	if (ptrace(PTRACE_GET_SYSCALL_INFO, tid, sizeof(info), &info) < 0 ||
	    info.op != PTRACE_SYSCALL_INFO_ENTRY)
		return;
	if (crash_is_step(&info) && ++c->steps == c->kill_at)
		kill(c->pid, c->signal_at_kill ? c->signal_at_kill : SIGKILL);
	if (!c->fail_from || !crash_is_database(c, &info))
		return;
	if (++c->writes >= c->fail_from)
		crash_fail(c, tid, info.entry.nr);
}

/* A thread has stopped: let it go on. */
static void crash_stopped(struct crash *c, pid_t tid, int status)
{
	int sig = WSTOPSIG(status), event = status >> 16;

	if (sig == (SIGTRAP | 0x80)) {
		crash_syscall(c, tid);
		sig = 0;
	} else if (event) {
		sig = 0; /* a new thread, or one that has just been seized */
	}
	ptrace(PTRACE_SYSCALL, tid, NULL, sig);
}

bool crash_possible(void)
{
	int status;
	pid_t pid = fork();
	bool ok;

	if (!pid) {
		for (;;)
			pause();
	}
	ok = ptrace(PTRACE_SEIZE, pid, NULL, NULL) == 0;
	kill(pid, SIGKILL);
	waitpid(pid, &status, __WALL);
	return ok;
}

void crash_attach(struct crash *c, pid_t pid)
{
	long options = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE;
	struct dirent *entry;
	char path[64];
	DIR *tasks;

	c->pid = pid;
	c->steps = c->writes = 0;
	snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	tasks = opendir(path);
	assert_non_null(tasks);
	while ((entry = readdir(tasks))) {
		pid_t tid = atoi(entry->d_name);

		if (tid <= 0)
			continue;
		assert_int_equal(ptrace(PTRACE_SEIZE, tid, NULL, options), 0);
		assert_int_equal(ptrace(PTRACE_INTERRUPT, tid, NULL, NULL), 0);
	}
	closedir(tasks);
}

/* All that has happened to its threads. False: the process is gone. */
static bool crash_turn(struct crash *c, int *ret_status)
{
	int status;
	pid_t tid;

	while ((tid = waitpid(-1, &status, __WALL | WNOHANG)) > 0) {
		if (WIFSTOPPED(status)) {
			crash_stopped(c, tid, status);
		} else if (tid == c->pid) { /* the last of its threads */
			*ret_status = status;
			return false;
		}
	}
	return true;
}

bool crash_run(struct crash *c, int fd, int *ret_status)
{
	int64_t until = harness_now_ms() + CRASH_WAIT_MS;
	bool alive = true, readable = false;
	sigset_t chld, before;
	struct pollfd p[2];

	sigemptyset(&chld);
	sigaddset(&chld, SIGCHLD);
	sigprocmask(SIG_BLOCK, &chld, &before);
	p[0] = (struct pollfd){ .fd = signalfd(-1, &chld, SFD_CLOEXEC | SFD_NONBLOCK),
				.events = POLLIN };
	p[1] = (struct pollfd){ .fd = fd, .events = POLLIN };
	assert_true(p[0].fd >= 0);
	while (alive && !readable) {
		struct signalfd_siginfo info;

		alive = crash_turn(c, ret_status);
		if (!alive)
			break;
		if (poll(p, 2, CRASH_WAIT_MS) <= 0 || harness_now_ms() > until)
			fail_msg("vmd neither answers nor ends within %d s", CRASH_WAIT_MS / 1000);
		while (read(p[0].fd, &info, sizeof(info)) > 0)
			;
		if (c->kill_at && c->steps >= c->kill_at)
			p[1].fd = -1; /* only its end is awaited */
		else
			readable = p[1].revents;
	}
	close(p[0].fd);
	sigprocmask(SIG_SETMASK, &before, NULL);
	return alive;
}

void crash_detach(struct crash *c)
{
	struct dirent *entry;
	char path[64];
	DIR *tasks;
	int status;

	snprintf(path, sizeof(path), "/proc/%d/task", (int)c->pid);
	tasks = opendir(path);
	assert_non_null(tasks);
	while ((entry = readdir(tasks))) {
		pid_t tid = atoi(entry->d_name);

		if (tid <= 0)
			continue;
		/* it has to be stopped for that: as it is at its next call, or by this */
		ptrace(PTRACE_INTERRUPT, tid, NULL, NULL);
		if (waitpid(tid, &status, __WALL) == tid && WIFSTOPPED(status))
			ptrace(PTRACE_DETACH, tid, NULL, NULL);
	}
	closedir(tasks);
}
