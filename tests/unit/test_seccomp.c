// SPDX-License-Identifier: MIT
/*
 * vmm's seccomp filters: the tables say why, and from under each of them, in each mode, the ways out are closed.
 * A child process is confined and tries; what it finds comes back through a pipe.
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/keyctl.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "lib/util.h"
#include "tests/lib/skip.h"
#include "vmm/sandbox.h"

/* --- the tables ------------------------------------------------------------------------------------ */

static bool seen_before(size_t index, unsigned int tables)
{
	for (size_t i = 0; i < index; i++)
		if (seccomp_call_at(i)->tables & tables &&
		    !strcmp(seccomp_call_at(i)->name, seccomp_call_at(index)->name))
			return true;
	return false;
}

static void rows_are_few_and_say_why(void **state)
{
	const struct seccomp_ioctl *io;
	const struct seccomp_call *c;
	/* ioctl, which has rows of its own */
	unsigned int calls = 1, display = 1;
	size_t i;

	(void)state;
	for (i = 0; (c = seccomp_call_at(i)); i++) {
		calls +=
			!seen_before(i, ~BIT(SECCOMP_DISPLAY)) && c->tables & ~BIT(SECCOMP_DISPLAY);
		display +=
			!seen_before(i, BIT(SECCOMP_DISPLAY)) && c->tables & BIT(SECCOMP_DISPLAY);
		if (strlen(c->why) < 7 || !c->tables || c->tables >> SECCOMP_TABLES)
			fail_msg("the row of %s", c->name);
		assert_string_not_equal(c->name, "ioctl");
	}
	assert_in_range(calls, 20, 39);
	assert_in_range(display, 20, 45);
	for (i = 0; (io = seccomp_ioctl_at(i)); i++)
		if (strlen(io->why) < 7 || !io->request || !io->tables ||
		    io->tables >> SECCOMP_TABLES)
			fail_msg("the row of %s", io->name);
	assert_in_range(i, 10, 80);
}

static void rows_have_no_way_out(void **state)
{
	static const char *const never[] = {
		"open",
		"openat",
		"openat2",
		"socket",
		"connect",
		"bind",
		"listen",
		"clone",
		"clone3",
		"fork",
		"vfork",
		"execve",
		"execveat",
		"ptrace",
		"kill",
		"tkill",
		"pidfd_open",
		"mount",
		"unshare",
		"setns",
		"bpf",
		"keyctl",
		"add_key",
		"io_uring_setup",
		"userfaultfd",
		"mprotect",
		"io_uring_register",
		"prctl",
		"seccomp",
		"memfd_create",
		"setuid",
		"process_vm_readv",
		"perf_event_open",
		"sendto",
		"unlink",
		"chmod",
	};
	const struct seccomp_call *c;

	(void)state;
	for (size_t i = 0; (c = seccomp_call_at(i)); i++)
		for (size_t n = 0; n < ARRAY_SIZE(never); n++)
			assert_string_not_equal(c->name, never[n]);
}

static void modes_have_names(void **state)
{
	enum seccomp_mode mode = SECCOMP_OFF;

	(void)state;
	assert_int_equal(seccomp_mode_parse("kill", &mode), 0);
	assert_int_equal(mode, SECCOMP_KILL);
	assert_int_equal(seccomp_mode_parse("log", &mode), 0);
	assert_int_equal(mode, SECCOMP_LOG);
	assert_int_equal(seccomp_mode_parse("errno", &mode), 0);
	assert_int_equal(mode, SECCOMP_ERRNO);
	assert_int_equal(seccomp_mode_parse("off", &mode), 0);
	assert_int_equal(mode, SECCOMP_OFF);
	assert_int_equal(seccomp_mode_parse("", &mode), -EINVAL);
	assert_int_equal(seccomp_mode_parse("Kill", &mode), -EINVAL);
	assert_int_equal(mode, SECCOMP_OFF);
}

/* --- from inside ----------------------------------------------------------------------------------- */

struct attempt {
	const char *name;
	long (*run)(pid_t victim);
};

static long try_open(pid_t victim)
{
	(void)victim;
	return syscall(SYS_openat, AT_FDCWD, "/", O_RDONLY, 0);
}

static long try_socket(pid_t victim)
{
	(void)victim;
	return syscall(SYS_socket, AF_UNIX, SOCK_STREAM, 0);
}

static long try_connect(pid_t victim)
{
	struct sockaddr a = { .sa_family = AF_UNIX };

	(void)victim;
	return syscall(SYS_connect, 0, &a, sizeof(a));
}

static long try_kill(pid_t victim)
{
	return syscall(SYS_kill, victim, 0);
}

static long try_tgkill(pid_t victim)
{
	return syscall(SYS_tgkill, victim, victim, 0);
}

static long try_ptrace(pid_t victim)
{
	return syscall(SYS_ptrace, PTRACE_SEIZE, victim, 0, 0);
}

static long try_fork(pid_t victim)
{
	(void)victim;
	return syscall(SYS_clone, CLONE_VM | CLONE_VFORK, 0, 0, 0, 0) == 0 ? _exit(99), 0L : -1;
}

static long try_execve(pid_t victim)
{
	char *argv[] = { (char *)"x", NULL };

	(void)victim;
	return syscall(SYS_execve, "/nowhere", argv, argv);
}

static long try_mount(pid_t victim)
{
	(void)victim;
	return syscall(SYS_mount, "none", "/", "tmpfs", 0, NULL);
}

static long try_unshare(pid_t victim)
{
	(void)victim;
	return syscall(SYS_unshare, CLONE_NEWUSER);
}

static long try_bpf(pid_t victim)
{
	(void)victim;
	return syscall(SYS_bpf, 0, NULL, 0);
}

static long try_keyctl(pid_t victim)
{
	(void)victim;
	return syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_PROCESS_KEYRING, 0);
}

static long try_io_uring(pid_t victim)
{
	(void)victim;
	return syscall(SYS_io_uring_setup, 1, NULL);
}

static long try_exec_memory(pid_t victim)
{
	(void)victim;
	return syscall(SYS_mmap, NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		       0);
}

static long try_tiocsti(pid_t victim)
{
	(void)victim;
	return syscall(SYS_ioctl, 0, TIOCSTI, "x");
}

static const struct attempt attempts[] = {
	{ "openat", try_open },	      { "socket", try_socket },	   { "connect", try_connect },
	{ "kill", try_kill },	      { "tgkill", try_tgkill },	   { "ptrace", try_ptrace },
	{ "clone", try_fork },	      { "execve", try_execve },	   { "mount", try_mount },
	{ "unshare", try_unshare },   { "bpf", try_bpf },	   { "keyctl", try_keyctl },
	{ "io_uring", try_io_uring }, { "mmap", try_exec_memory }, { "ioctl", try_tiocsti },
};

/* How a confined child ended that made the attempt: its wait status, and errno + 1, or 0 for success, if it told. */
static int confined(enum seccomp_table table, enum seccomp_mode mode, const struct attempt *a,
		    int *ret_told)
{
	pid_t victim = getpid(), pid;
	int pipefd[2], status;

	assert_int_equal(pipe2(pipefd, O_CLOEXEC), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		int told = -1;

		prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
		if (seccomp_confine(table, mode, NULL) < 0)
			syscall(SYS_exit_group, 98);
		if (a)
			told = a->run(victim) < 0 ? errno + 1 : 0;
		syscall(SYS_exit_group,
			syscall(SYS_write, pipefd[1], &told, sizeof(told)) == sizeof(told) ? 0
											   : 97);
	}
	close(pipefd[1]);
	*ret_told = -2;
	(void)!read(pipefd[0], ret_told, sizeof(*ret_told));
	close(pipefd[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static void each_table_kills(void **state)
{
	int told;

	(void)state;
	for (unsigned int t = 0; t < SECCOMP_TABLES; t++) {
		/* what all do is let through */
		assert_int_equal(confined(t, SECCOMP_KILL, NULL, &told), 0);
		assert_int_equal(told, -1);
		for (size_t i = 0; i < ARRAY_SIZE(attempts); i++) {
			int status = confined(t, SECCOMP_KILL, &attempts[i], &told);

			if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGSYS || told != -2)
				fail_msg("%s, %s: status 0x%x, told %d", seccomp_table_name(t),
					 attempts[i].name, (unsigned int)status, told);
		}
	}
}

static void each_table_refuses(void **state)
{
	int told;

	(void)state;
	for (unsigned int t = 0; t < SECCOMP_TABLES; t++)
		for (size_t i = 0; i < ARRAY_SIZE(attempts); i++)
			if (confined(t, SECCOMP_ERRNO, &attempts[i], &told) || told != EPERM + 1)
				fail_msg("%s, %s: told %d", seccomp_table_name(t), attempts[i].name,
					 told);
}

/* Let through: what the kernel says is what it says without a filter. */
static void log_and_off_let_through(void **state)
{
	static const struct attempt open_root = { "openat", try_open };
	static const struct attempt no_program = { "execve", try_execve };
	int told;

	(void)state;
	for (unsigned int t = 0; t < SECCOMP_TABLES; t++) {
		assert_int_equal(confined(t, SECCOMP_LOG, &open_root, &told), 0);
		assert_int_equal(told, 0);
		assert_int_equal(confined(t, SECCOMP_LOG, &no_program, &told), 0);
		assert_int_equal(told, ENOENT + 1);
		assert_int_equal(confined(t, SECCOMP_OFF, &no_program, &told), 0);
		assert_int_equal(told, ENOENT + 1);
	}
}

static long own_thread(pid_t victim)
{
	(void)victim;
	return syscall(SYS_tgkill, getpid(), syscall(SYS_gettid), 0);
}

static long own_group_by_number(pid_t victim)
{
	(void)victim;
	return syscall(SYS_tgkill, SECCOMP_OWN_PID, 1, 0);
}

/* The one signal that is allowed: to a thread of the process itself, so that abort works. */
static void signals_to_itself_alone(void **state)
{
	static const struct attempt self = { "tgkill", own_thread };
	static const struct attempt mark = { "tgkill", own_group_by_number };
	int told;

	(void)state;
	for (unsigned int t = 0; t < SECCOMP_TABLES; t++) {
		assert_int_equal(confined(t, SECCOMP_KILL, &self, &told), 0);
		assert_int_equal(told, 0);
		assert_int_equal(confined(t, SECCOMP_ERRNO, &mark, &told), 0);
		assert_int_equal(told, EPERM + 1);
	}
}

static long do_abort(pid_t victim)
{
	(void)victim;
	abort();
}

static void abort_is_an_abort(void **state)
{
	static const struct attempt aborts = { "abort", do_abort };
	int told;

	(void)state;
	if (SANDBOX_SANITIZER)
		SKIP_BECAUSE("a sanitizer's abort asks /proc");
	for (unsigned int t = 0; t < SECCOMP_TABLES; t++)
		assert_int_equal(WTERMSIG(confined(t, SECCOMP_KILL, &aborts, &told)), SIGABRT);
}

static long do_assert(pid_t victim)
{
	(void)victim;
	__assert_fail("this", "here", 1, "there");
}

/* Its words come out too, and nothing that the C library does on the way is forbidden. */
static void an_assertion_speaks(void **state)
{
	static const struct attempt asserts = { "assert", do_assert };
	char text[256] = "";
	int told, pipefd[2], stderr_fd;

	(void)state;
	if (SANDBOX_SANITIZER)
		SKIP_BECAUSE("a sanitizer's abort asks /proc");
	stderr_fd = dup(STDERR_FILENO);
	for (unsigned int t = 0; t < SECCOMP_TABLES; t++) {
		int status;

		assert_int_equal(pipe2(pipefd, O_CLOEXEC), 0);
		dup2(pipefd[1], STDERR_FILENO);
		status = confined(t, SECCOMP_KILL, &asserts, &told);
		dup2(stderr_fd, STDERR_FILENO);
		close(pipefd[1]);
		assert_true(read(pipefd[0], text, sizeof(text) - 1) > 0);
		close(pipefd[0]);
		assert_int_equal(WTERMSIG(status), SIGABRT);
		assert_non_null(strstr(text, "here:1: there: Assertion `this' failed."));
	}
	close(stderr_fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rows_are_few_and_say_why),
		cmocka_unit_test(rows_have_no_way_out),
		cmocka_unit_test(modes_have_names),
		cmocka_unit_test(each_table_kills),
		cmocka_unit_test(each_table_refuses),
		cmocka_unit_test(log_and_off_let_through),
		cmocka_unit_test(signals_to_itself_alone),
		cmocka_unit_test(abort_is_an_abort),
		cmocka_unit_test(an_assertion_speaks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
