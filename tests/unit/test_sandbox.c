// SPDX-License-Identifier: MIT
/*
 * The cage from inside, without seccomp, which test_seccomp.c has: a child enters it as vmm does and tries the
 * ways out. The errors are the kernel's, and show that each way is shut before a filter looks at it.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "lib/emptyns.h"
#include "tests/lib/skip.h"
#include "vmm/sandbox.h"
#include "vmm/thread.h"

#define PROBE_UID 1879113727u /* the last of vmd's range */
#define PROBES_MAX 32

/* What is outside, for the child to reach for. */
struct outside {
	pid_t pid;
	struct sockaddr_un abstract;
	socklen_t abstract_len;
	struct sockaddr_in tcp;
	key_t key;
	char program[256];
};

struct probe {
	const char *name;
	long (*run)(const struct outside *o);
	int error, or_error; /* or_error: with Landlock, in a user namespace; 0: the same */
};

static long probe_root(const struct outside *o)
{
	(void)o;
	return open("/", O_RDONLY | O_CLOEXEC);
}

static long probe_program(const struct outside *o)
{
	return open(o->program, O_RDONLY | O_CLOEXEC);
}

static long probe_proc(const struct outside *o)
{
	(void)o;
	return open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
}

static long probe_create(const struct outside *o)
{
	(void)o;
	return open("/x", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
}

static long probe_up(const struct outside *o)
{
	(void)o;
	return open("../../../../../../etc/passwd", O_RDONLY | O_CLOEXEC);
}

static long probe_execve(const struct outside *o)
{
	char *argv[] = { (char *)o->program, NULL };

	return execve(o->program, argv, argv + 1);
}

static long probe_abstract(const struct outside *o)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	return connect(fd, (const struct sockaddr *)&o->abstract, o->abstract_len);
}

static long probe_tcp(const struct outside *o)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	return connect(fd, (const struct sockaddr *)&o->tcp, sizeof(o->tcp));
}

static long probe_packet(const struct outside *o)
{
	(void)o;
	return socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
}

static long probe_kill(const struct outside *o)
{
	return kill(o->pid, 0);
}

static long probe_ptrace(const struct outside *o)
{
	return ptrace(PTRACE_SEIZE, o->pid, NULL, NULL);
}

static long probe_memory(const struct outside *o)
{
	char byte;
	struct iovec to = { &byte, 1 }, from = { (void *)(uintptr_t)probe_memory, 1 };

	return syscall(SYS_process_vm_readv, o->pid, &to, 1ul, &from, 1ul, 0ul);
}

static long probe_take_fd(const struct outside *o)
{
	int fd = (int)syscall(SYS_pidfd_open, o->pid, 0);

	return syscall(SYS_pidfd_getfd, fd, 0, 0);
}

static long probe_shm(const struct outside *o)
{
	return shmget(o->key, 1, 0600);
}

static long probe_mount(const struct outside *o)
{
	(void)o;
	return mount("none", "/", "tmpfs", 0, NULL);
}

static long probe_chroot(const struct outside *o)
{
	(void)o;
	return chroot("/");
}

static long probe_mknod(const struct outside *o)
{
	(void)o;
	return mknod("/null", S_IFCHR | 0600, 0x103);
}

static long probe_setns(const struct outside *o)
{
	int fd = (int)syscall(SYS_pidfd_open, o->pid, 0);

	return setns(fd, CLONE_NEWNET);
}

static long probe_setuid(const struct outside *o)
{
	(void)o;
	return setuid(0);
}

static long probe_setgroups(const struct outside *o)
{
	const gid_t root = 0;

	(void)o;
	return setgroups(1, &root);
}

static long probe_hostname(const struct outside *o)
{
	(void)o;
	return sethostname("x", 1);
}

static long probe_limit(const struct outside *o)
{
	struct rlimit more = { RLIM_INFINITY, RLIM_INFINITY };

	(void)o;
	return setrlimit(RLIMIT_NOFILE, &more);
}

static long probe_core(const struct outside *o)
{
	struct rlimit some = { 1, 1 };

	(void)o;
	return setrlimit(RLIMIT_CORE, &some);
}

static const struct probe probes[] = {
	{ "the root", probe_root, EACCES, 0 },
	{ "a program", probe_program, ENOENT, EACCES },
	{ "/proc", probe_proc, ENOENT, EACCES },
	{ "make a file", probe_create, EROFS, EACCES },
	{ "above the root", probe_up, ENOENT, EACCES },
	{ "execute", probe_execve, ENOENT, EACCES },
	{ "an abstract socket", probe_abstract, ECONNREFUSED, EPERM },
	{ "TCP", probe_tcp, ENETUNREACH, EACCES },
	{ "raw packets", probe_packet, EPERM, 0 },
	{ "signal", probe_kill, EPERM, 0 },
	{ "trace", probe_ptrace, EPERM, 0 },
	{ "another's memory", probe_memory, EPERM, 0 },
	{ "another's descriptor", probe_take_fd, EPERM, 0 },
	{ "shared memory", probe_shm, ENOENT, 0 },
	{ "mount", probe_mount, EPERM, 0 },
	{ "chroot", probe_chroot, EPERM, 0 },
	{ "a device node", probe_mknod, EPERM, EROFS },
	{ "another's network", probe_setns, EPERM, 0 },
	{ "root again", probe_setuid, EPERM, EINVAL },
	{ "root's group", probe_setgroups, EPERM, 0 },
	{ "the host's name", probe_hostname, EPERM, 0 },
	{ "more descriptors", probe_limit, EPERM, 0 },
	{ "core dumps", probe_core, EPERM, 0 },
};

/* A thread that is older than the cage, with its filter, until the other end of fds[0] is closed. */
struct older {
	pthread_t thread;
	int fds[2];
	struct sandbox sandbox;
};

static void *older_run(void *arg)
{
	struct older *o = arg;
	char byte = 'f';

	sandbox_thread(&o->sandbox, SECCOMP_VCPU);
	return write(o->fds[0], &byte, 1) == 1 && !read(o->fds[0], &byte, 1) ? o : NULL;
}

static void older_begin(struct older *o)
{
	char byte;

	o->sandbox = (struct sandbox){ .seccomp = SECCOMP_KILL, .root_fd = -1 };
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, o->fds) < 0 ||
	    thread_spawn(&o->thread, older_run, o) < 0 || read(o->fds[1], &byte, 1) != 1)
		_exit(4);
}

static void older_end(struct older *o)
{
	void *well = NULL;

	close(o->fds[1]);
	if (pthread_join(o->thread, &well) || !well)
		_exit(5);
}

/*
 * The child: enter as told, then try all; their errnos go to fd. Root's is there beside another thread, as where KVM is
 * given much memory meanwhile.
 */
static void probe_all(const struct outside *o, struct sandbox *s, int fd)
{
	int errors[PROBES_MAX] = { 0 };
	bool beside = geteuid() == 0;
	struct older older;
	struct log log;
	struct err e;

	log_init(&log, STDERR_FILENO, LOG_LEVEL_DEBUG, "probe");
	if (beside)
		older_begin(&older);
	if (sandbox_enter(s, &log, &e) < 0) {
		fprintf(stderr, "%s\n", e.msg);
		_exit(1);
	}
	if (beside)
		older_end(&older);
	for (size_t i = 0; i < ARRAY_SIZE(probes); i++)
		errors[i] = probes[i].run(o) < 0 ? errno : 0;
	_exit(write(fd, errors, sizeof(errors)) == (ssize_t)sizeof(errors) ? 0 : 2);
}

static void probe_from(struct sandbox *s, const struct outside *o)
{
	int errors[PROBES_MAX], pipefd[2], status;
	pid_t pid;

	assert_int_equal(pipe2(pipefd, O_CLOEXEC), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid)
		probe_all(o, s, pipefd[1]);
	close(pipefd[1]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(read(pipefd[0], errors, sizeof(errors)), sizeof(errors));
	close(pipefd[0]);
	for (size_t i = 0; i < ARRAY_SIZE(probes); i++)
		if (errors[i] != probes[i].error &&
		    (!probes[i].or_error || errors[i] != probes[i].or_error))
			fail_msg("%s: %s", probes[i].name, strerror(errors[i]));
}

/* Sockets that listen, a key that is taken: from out here all of it can be reached. */
static void reach_out(struct outside *o, int listeners[2], int *ret_shm)
{
	socklen_t len = sizeof(o->tcp);

	*o = (struct outside){ .pid = getpid(), .key = 0x766d6d00 + (getpid() & 0xff) };
	o->abstract.sun_family = AF_UNIX;
	o->abstract_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 +
				      (size_t)snprintf(o->abstract.sun_path + 1, 64, "vmm-probe-%d",
						       (int)getpid()));
	o->tcp.sin_family = AF_INET;
	o->tcp.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	listeners[0] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	listeners[1] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(listeners[0], (struct sockaddr *)&o->abstract, o->abstract_len), 0);
	assert_int_equal(bind(listeners[1], (struct sockaddr *)&o->tcp, sizeof(o->tcp)), 0);
	assert_int_equal(listen(listeners[0], 8) | listen(listeners[1], 8), 0);
	assert_int_equal(getsockname(listeners[1], (struct sockaddr *)&o->tcp, &len), 0);
	*ret_shm = shmget(o->key, 4096, IPC_CREAT | 0666);
	assert_true(*ret_shm >= 0);
	assert_true(readlink("/proc/self/exe", o->program, sizeof(o->program) - 1) > 0);
	assert_int_equal(probe_abstract(o) | probe_tcp(o) | probe_kill(o), 0);
	assert_true(probe_shm(o) >= 0);
}

static void probe_with(bool given)
{
	struct sandbox s = { .has_uid = true, .uid = PROBE_UID, .root_fd = -1 };
	struct emptyns ns = { -1, -1, -1, -1 };
	struct outside o;
	int listeners[2], shm;
	struct err e;

	if (SANDBOX_SANITIZER)
		SKIP_BECAUSE("a build with a sanitizer has no whole cage");
	if (geteuid() != 0)
		SKIP_BECAUSE("not root: there is no other user to become");
	reach_out(&o, listeners, &shm);
	if (given && emptyns_make(&ns, &e) < 0)
		fail_msg("%s", e.msg);
	if (given) {
		/* as vmd's child does */
		pid_t pid = fork();
		int status;

		assert_true(pid >= 0);
		if (!pid) {
			if (setns(ns.net, CLONE_NEWNET) || setns(ns.ipc, CLONE_NEWIPC) ||
			    setns(ns.uts, CLONE_NEWUTS))
				_exit(3);
			s.root_fd = ns.mnt;
			probe_from(&s, &o);
			_exit(0);
		}
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_int_equal(status, 0);
	} else {
		probe_from(&s, &o);
	}
	emptyns_fini(&ns);
	close(listeners[0]);
	close(listeners[1]);
	shmctl(shm, IPC_RMID, NULL);
}

static void no_way_out_of_own_namespaces(void **state)
{
	(void)state;
	probe_with(false);
}

static void no_way_out_of_given_namespaces(void **state)
{
	(void)state;
	probe_with(true);
}

/* vmd may be in one: a monitor must not come out of it. */
static void no_way_out_of_a_chroot(void **state)
{
	char dir[] = "/tmp/vmm-probe-XXXXXX";
	int status;
	pid_t pid;

	(void)state;
	if (SANDBOX_SANITIZER)
		SKIP_BECAUSE("a build with a sanitizer has no whole cage");
	if (geteuid() != 0)
		SKIP_BECAUSE("not root: there is no other user to become");
	assert_non_null(mkdtemp(dir));
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL))
			_exit(77);
		if (mount("/", dir, NULL, MS_BIND | MS_REC, NULL) || chroot(dir) || chdir("/"))
			_exit(3);
		probe_with(false);
		probe_with(true);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(rmdir(dir), 0);
	if (WEXITSTATUS(status) == 77)
		SKIP_BECAUSE("the tests are in a chroot themselves, which the others look at then");
	assert_int_equal(status, 0);
}

/* As vmm started by a user, without a right: the namespaces are in a user namespace. */
static void no_way_out_for_a_user(void **state)
{
	struct sandbox s = { .root_fd = -1 };
	struct outside o;
	int listeners[2], shm, status;
	pid_t pid;

	(void)state;
	if (SANDBOX_SANITIZER)
		SKIP_BECAUSE("a build with a sanitizer has no whole cage");
	if (geteuid() != 0)
		SKIP_BECAUSE("not root: there is no other user to become");
	reach_out(&o, listeners, &shm);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		if (setgroups(0, NULL) || setresgid(PROBE_UID, PROBE_UID, PROBE_UID) ||
		    setresuid(PROBE_UID, PROBE_UID, PROBE_UID))
			_exit(3);
		if (!fork())
			_exit(unshare(CLONE_NEWUSER) ? 1 : 0);
		if (wait(&status) < 0 || status)
			_exit(77);
		probe_from(&s, &o);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	close(listeners[0]);
	close(listeners[1]);
	shmctl(shm, IPC_RMID, NULL);
	if (WEXITSTATUS(status) == 77)
		SKIP_BECAUSE("the host allows users no user namespaces");
	assert_int_equal(status, 0);
}

/* What cannot be had is an error where vmd asked for it: no vmm in half a cage. */
static void half_a_cage_is_refused(void **state)
{
	struct log log;
	int status;
	pid_t pid;

	(void)state;
	if (geteuid() != 0)
		SKIP_BECAUSE("not root: there is no other user to become");
	if (SANDBOX_SANITIZER)
		SKIP_BECAUSE("a build with a sanitizer has no whole cage");
	log_init(&log, STDERR_FILENO, LOG_LEVEL_ERROR, "probe");
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		struct sandbox s = { .root_fd = open("/dev/null", O_RDONLY | O_CLOEXEC) };
		struct sandbox other = { .has_uid = true, .uid = PROBE_UID, .root_fd = -1 };
		struct err e = { 0 };

		if (sandbox_enter(&s, &log, &e) >= 0 ||
		    strcmp(e.msg, "cage: cannot enter the empty root: Invalid argument"))
			_exit(1);
		if (setresuid(PROBE_UID - 1, PROBE_UID - 1, PROBE_UID - 1) < 0 ||
		    sandbox_enter(&other, &log, &e) >= 0)
			_exit(2);
		_exit(strncmp(e.msg, "cage: cannot ", 13) ? 3 : 0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_way_out_of_own_namespaces),
		cmocka_unit_test(no_way_out_of_given_namespaces),
		cmocka_unit_test(no_way_out_of_a_chroot),
		cmocka_unit_test(no_way_out_for_a_user),
		cmocka_unit_test(half_a_cage_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
