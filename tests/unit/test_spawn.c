// SPDX-License-Identifier: MIT
/*
 * The process that waits to become vmm (vmd/vmproc_spawn.c): made, refused, let go. It needs no
 * KVM.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/auto.h"
#include "tests/lib/tempdir.h"
#include "tests/lib/test.h"
#include "vmd/vmproc.h"

static const struct emptyns no_ns = { -1, -1, -1, -1 };

static int setup(void **state)
{
	*state = tempdir_new();
	return 0;
}

static int teardown(void **state)
{
	tempdir_remove(*state);
	return 0;
}

static unsigned int count_fds(void)
{
	unsigned int n = 0;

	for (int fd = 0; fd < 256; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

static void assert_no_children(void)
{
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
}

/* Nobody wants it any more: it ends without having run anything, and nothing of it stays. */
static void test_let_go(void **state)
{
	struct vmproc_program program = {
		.vmm = "/bin/true", .seccomp = "kill", .ns = &no_ns, .cgroup = -1
	};
	unsigned int before = count_fds();
	struct vmproc_child *child;
	struct err e = { 0 };

	for (int i = 0; i < 20; i++) {
		assert_int_equal(vmproc_prepare(*state, &program, &child, &e), 0);
		assert_int_equal(waitpid(-1, NULL, WNOHANG), 0);
		vmproc_child_free(child);
		assert_no_children();
	}
	assert_int_equal(count_fds(), before);
	assert_int_equal(umask(022), 022);
}

/* What goes wrong in the child is said by vmproc_prepare, not found out later. */
static void test_refused(void **state)
{
	/* a file is no namespace */
	AUTO_CLOSE int file = open("/dev/null", O_RDONLY | O_CLOEXEC);
	const struct emptyns bad = { file, file, file, file };
	struct vmproc_program program = {
		.vmm = "/bin/true", .seccomp = "kill", .ns = &bad, .cgroup = -1
	};
	unsigned int before = count_fds();
	struct vmproc_child *child = NULL;
	struct err e = { 0 };

	assert_int_equal(vmproc_prepare(*state, &program, &child, &e), -EINVAL);
	assert_string_equal(e.msg, "cannot make a process: namespaces: Invalid argument");
	assert_null(child);
	assert_no_children();
	program.ns = &no_ns;
	program.cgroup = file;
	assert_true(vmproc_prepare(*state, &program, &child, &e) < 0);
	assert_non_null(strstr(e.msg, "cannot make a process: clone3: "));
	assert_no_children();
	assert_int_equal(count_fds(), before);
}

static int record(void *arg, const struct state_process *process, struct err *e)
{
	(void)e;
	*(struct state_process *)arg = *process;
	return 0;
}

static int record_fails(void *arg, const struct state_process *process, struct err *e)
{
	(void)arg, (void)process;
	return err_set(e, EIO, "no");
}

static void gone(void *arg, const struct state_exit *exit)
{
	(void)arg, (void)exit;
}

static void lost(void *arg, const struct err *why)
{
	(void)arg, (void)why;
}

/* What could not be written down does not run; what was has the pid, and runs once it is let. */
static void test_written_down(void **state)
{
	static const struct vmproc_ops ops = { .gone = gone, .lost = lost };
	struct vmproc_program program = {
		.vmm = "/bin/true", .seccomp = "kill", .ns = &no_ns, .cgroup = -1
	};
	struct state_process p = { .pid = 0 };
	struct log log;
	uv_loop_t loop;
	struct vmproc_options options = {
		.loop = &loop, .log = &log, .dir = *state, .ops = &ops, .arg = &p
	};
	struct vmproc_child *child;
	struct vmproc *proc = NULL;
	struct err e = { 0 };

	log_init(&log, STDERR_FILENO, LOG_LEVEL_ERROR, "test");
	assert_int_equal(uv_loop_init(&loop), 0);
	assert_int_equal(vmproc_prepare(*state, &program, &child, &e), 0);
	assert_true(vmproc_spawn(&options, child, 12345, record_fails, &proc, &e) < 0);
	assert_no_children();
	assert_int_equal(vmproc_prepare(*state, &program, &child, &e), 0);
	assert_int_equal(vmproc_spawn(&options, child, 12345, record, &proc, &e), 0);
	assert_int_equal(p.pid, vmproc_pid(proc));
	assert_int_equal(p.uid, 12345);
	assert_true(p.start_time && p.start_time == vmproc_start_time(proc));
	assert_int_equal(waitpid(p.pid, NULL, WNOHANG), 0); /* at its gate */
	vmproc_go(proc);
	/* its connection breaks, its pidfd reports, and the loop has nothing left to do */
	uv_run(&loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&loop), 0);
	assert_no_children();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_let_go, setup, teardown),
		cmocka_unit_test_setup_teardown(test_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(test_written_down, setup, teardown),
	};

	return cmocka_run_group_tests_name("spawn", tests, NULL, NULL);
}
