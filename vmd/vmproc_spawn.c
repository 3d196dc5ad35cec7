// SPDX-License-Identifier: MIT
/*
 * Making a vmm process: a worker makes it, the loop writes it down and lets it run. It shares
 * vmd's memory until its exec (clone(2), CLONE_VM and CLONE_VFORK, as posix_spawn(3) does): a fork
 * would copy the page tables, and cost vmd a fault for each page that it writes to afterwards. The
 * thread that makes it sleeps until the exec, so it is one of its own. In the child only what is
 * async-signal-safe (signal-safety(7)).
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/auto.h"
#include "lib/conn.h"
#include "vmd/host.h"
#include "vmd/vmproc_priv.h"

#define SPAWN_BACKLOG 64
#define SPAWN_ROOT_FD 5
#define SPAWN_STACK (256 * 1024)

/* Held by its owner and by the thread that makes the process. */
struct vmproc_child {
	atomic_uint holds;
	struct vmproc_program program;
	struct emptyns
		ns;   /* a copy: vmd may close its own, which is the same memory, before the exec */
	char uid[24]; /* "" for ours; filled in before the gate opens */
	char memlock[24];
	int listen, log, null, gate[2]; /* owned; gate: the child reads, vmd writes */
	int log_end;			/* owned: what vmd reads; there before the first word */
	int pidfd;			/* owned */
	sem_t settled;			/* the child waits at its gate, or there is none */
	bool waits;
	atomic_bool told; /* all that the child reads behind its gate is there */
	const char *what; /* the child's: the step that failed, and its errno */
	int code;
	struct state_process process;
};

/* The ends that are the child's: it has its own copies. */
static void spawn_close_ends(struct vmproc_child *s)
{
	int *fds[] = { &s->listen, &s->log, &s->null, &s->gate[0] };

	for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
		if (*fds[i] >= 0)
			close(*fds[i]);
		*fds[i] = -1;
	}
}

static void spawn_put(struct vmproc_child *s)
{
	if (atomic_fetch_sub(&s->holds, 1) > 1)
		return;
	sem_destroy(&s->settled);
	free(s);
}

/* --- the child --- */

/*
 * Its descriptors, its signals and its end by their system calls: a sanitizer's wrappers keep books about the
 * process, in memory, which is vmd's.
 */
_Noreturn static void spawn_exit(int status)
{
	for (;;)
		syscall(SYS_exit_group, status);
}

static long spawn_dup(int fd, int as)
{
	return syscall(SYS_dup2, fd, as);
}

static int spawn_high(int fd)
{
	return (int)syscall(SYS_fcntl, fd, F_DUPFD, 10);
}

static void spawn_default_signals(void)
{
	/* the kernel's own struct sigaction, and its mask of 64 signals */
	static const uint64_t dfl[4], none;

	for (int sig = 1; sig < NSIG; sig++)
		syscall(SYS_rt_sigaction, sig, dfl, NULL, sizeof(none));
	syscall(SYS_rt_sigprocmask, SIG_SETMASK, &none, NULL, sizeof(none));
}

/*
 * All but the mount namespace, in which vmm and its libraries could not be found: it enters that one itself, with
 * the descriptor at root_fd.
 */
static bool spawn_namespaces(const struct emptyns *ns)
{
	return ns->mnt < 0 ||
	       (!setns(ns->net, CLONE_NEWNET) && !setns(ns->ipc, CLONE_NEWIPC) &&
		!setns(ns->uts, CLONE_NEWUTS) && spawn_dup(ns->mnt, SPAWN_ROOT_FD) >= 0 &&
		!syscall(SYS_fcntl, SPAWN_ROOT_FD, F_SETFD, 0));
}

static void spawn_exec(const struct vmproc_child *s)
{
	const struct vmproc_program *p = &s->program;
	const char *argv[14] = { p->vmm, "--control-fd", "3", "--seccomp", p->seccomp };
	char *envp[] = { (char *)"PATH=/usr/sbin:/usr/bin:/sbin:/bin", (char *)"LANG=C.UTF-8",
			 NULL };
	size_t n = 5;

	if (s->ns.mnt >= 0) {
		argv[n++] = "--root-fd";
		argv[n++] = "5"; /* SPAWN_ROOT_FD */
	}
	if (s->uid[0]) {
		argv[n++] = "--uid";
		argv[n++] = s->uid;
	}
	if (p->memlock) {
		argv[n++] = "--memlock";
		argv[n++] = s->memlock;
	}
	execve(p->vmm, (char **)argv, envp);
}

_Noreturn static void spawn_fail(struct vmproc_child *s, const char *what)
{
	s->what = what;
	s->code = errno;
	spawn_exit(126);
}

/* Its descriptors: what it is to have from 0 on, its gate at 4, and nothing of vmd's. */
static void spawn_descriptors(struct vmproc_child *s)
{
	/* all above 5 first, so that no dup2 hits a source of another */
	int null = spawn_high(s->null), log = spawn_high(s->log);
	int control = spawn_high(s->listen), gate = spawn_high(s->gate[0]);
	struct emptyns ns = s->ns;

	if (ns.mnt >= 0)
		ns.mnt = spawn_high(ns.mnt);
	if (spawn_dup(null, 0) < 0 || spawn_dup(null, 1) < 0 || spawn_dup(log, 2) < 0 ||
	    spawn_dup(control, 3) < 0 || spawn_dup(gate, 4) < 0)
		spawn_fail(s, "descriptors");
	if (!spawn_namespaces(&ns))
		spawn_fail(s, "namespaces");
	/*
	 * at once: what is vmd's own ends with vmd, its clients' connections and the gate's other
	 * end too
	 */
	syscall(SYS_close_range, ns.mnt >= 0 ? SPAWN_ROOT_FD + 1 : SPAWN_ROOT_FD, ~0u, 0);
}

/* It runs only when vmd says so; when vmd dies before, the pipe ends and so does this. */
_Noreturn static void spawn_child(struct vmproc_child *s)
{
	static const char sorry[] = "vmd: cannot execute vmm: ";
	const char *why;
	char go;

	setsid();
	s->process.pid = getpid();
	spawn_descriptors(s);
	/* from now on the socket bears our pid: a vmd that comes later looks at it (vmproc_conn.c) */
	if (syscall(SYS_listen, 3, SPAWN_BACKLOG) < 0)
		spawn_fail(s, "listen");
	s->waits = true;
	sem_post(&s->settled);
	/* no signal interrupts it: they are blocked; of the pipe's order the language knows nothing */
	if (syscall(SYS_read, 4, &go, 1) != 1 || !atomic_load(&s->told))
		spawn_exit(126);
	syscall(SYS_close, 4);
	if (chdir("/") < 0)
		spawn_exit(126);
	spawn_default_signals();
	spawn_exec(s);
	why = strerrordesc_np(errno);
	if (write(2, sorry, sizeof(sorry) - 1) > 0 && why && write(2, why, strlen(why)) > 0)
		spawn_exit(127);
	spawn_exit(127);
}

/* --- the thread that makes it --- */

/*
 * The child runs on this stack, below this frame, while the caller sleeps; so it must not return from here, and
 * nothing here may be put into a function of its own. clone(2): systemd refuses clone3 under RestrictNamespaces=,
 * as it cannot see its flags.
 */
static __attribute__((noinline)) long spawn_clone(struct vmproc_child *s)
{
	register long none __asm__("r10") = 0;
	register long no_tls __asm__("r8") = 0;
	long ret;

	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "0"(SYS_clone), "D"(CLONE_VM | CLONE_VFORK | CLONE_PIDFD | SIGCHLD),
			   "S"(0), "d"(&s->pidfd), "r"(none), "r"(no_tls)
			 : "rcx", "r11", "memory");
	if (!ret)
		spawn_child(s);
	return ret;
}

/* The same, and the child begins in its control group: moving it later is slow and seen. */
static __attribute__((noinline)) long spawn_clone_into(struct vmproc_child *s)
{
	struct clone_args args = {
		.flags = CLONE_VM | CLONE_VFORK | CLONE_PIDFD | CLONE_INTO_CGROUP,
		.pidfd = (uintptr_t)&s->pidfd,
		.exit_signal = SIGCHLD,
		.cgroup = (uint64_t)s->program.cgroup,
	};
	long ret;

	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "0"(SYS_clone3), "D"(&args), "S"(sizeof(args))
			 : "rcx", "r11", "memory");
	if (!ret)
		spawn_child(s);
	return ret;
}

static void *spawn_thread(void *arg)
{
	struct vmproc_child *s = arg;
	sigset_t all;
	long ret;

	/* a handler of vmd's in the child would do things to vmd */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, NULL);
	ret = s->program.cgroup < 0 ? spawn_clone(s) : spawn_clone_into(s);
	if (ret < 0) {
		s->what = s->program.cgroup < 0 ? "clone" : "clone3";
		s->code = (int)-ret;
	}
	sem_post(&s->settled); /* it has ended before its gate */
	spawn_put(s);
	return NULL;
}

static int spawn_settle(struct vmproc_child *s, struct err *e)
{
	pthread_attr_t attr;
	pthread_t thread;
	int ret;

	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, SPAWN_STACK);
	atomic_fetch_add(&s->holds, 1);
	ret = pthread_create(&thread, &attr, spawn_thread, s);
	pthread_attr_destroy(&attr);
	if (ret) {
		spawn_put(s);
		return err_ret(e, -ret, "cannot make a process");
	}
	while (sem_wait(&s->settled) < 0)
		;
	if (!s->waits)
		return err_ret(e, s->code ? -s->code : -ECHILD, "cannot make a process: %s",
			       s->what ? s->what : "it has ended");
	return 0;
}

/* --- what it is given --- */

static int spawn_files(struct vmproc_child *s, const char *dir, struct err *e)
{
	char path[512];

	s->listen = conn_listen(s->process.socket, 0600, e);
	if (s->listen < 0)
		return s->listen;
	snprintf(path, sizeof(path), "%s/" VMPROC_FIFO, dir);
	if (unlink(path) < 0 && errno != ENOENT)
		return err_errno(e, "cannot remove '%s'", path);
	if (mkfifo(path, 0600) < 0)
		return err_errno(e, "cannot make '%s'", path);
	/* both ends are its own: while vmd is away it is neither ended by SIGPIPE nor does it wait */
	s->log = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW);
	if (s->log < 0)
		return err_errno(e, "cannot open '%s'", path);
	s->log_end = vmproc_open_log(dir, e);
	if (s->log_end < 0)
		return s->log_end;
	s->null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (s->null < 0)
		return err_errno(e, "cannot open '/dev/null'");
	if (pipe2(s->gate, O_CLOEXEC) < 0)
		return err_errno(e, "cannot make a pipe");
	return 0;
}

int vmproc_prepare(const char *dir, const struct vmproc_program *program,
		   struct vmproc_child **ret_child, struct err *e)
{
	struct vmproc_child *s = calloc(1, sizeof(*s));
	size_t size = sizeof(s->process.socket);
	int ret = 0;

	if (!s)
		return err_ret(e, -ENOMEM, "cannot make a process");
	s->holds = 1;
	s->program = *program;
	snprintf(s->memlock, sizeof(s->memlock), "%llu", (unsigned long long)program->memlock);
	s->ns = *program->ns;
	s->listen = s->log = s->log_end = s->null = s->gate[0] = s->gate[1] = s->pidfd = -1;
	sem_init(&s->settled, 0, 0);
	if (snprintf(s->process.socket, size, "%s/control.sock", dir) >= (int)size)
		ret = err_set(e, ENAMETOOLONG, "'%s/control.sock' is too long for a socket", dir);
	if (ret >= 0)
		ret = spawn_files(s, dir, e);
	if (ret >= 0)
		ret = spawn_settle(s, e);
	spawn_close_ends(s);
	if (ret >= 0)
		ret = host_process_start(s->process.pid, &s->process.start_time, e);
	if (ret < 0) {
		vmproc_child_free(s);
		return ret;
	}
	s->process.time_ms = state_now_ms();
	*ret_child = s;
	return 0;
}

void vmproc_child_free(struct vmproc_child *s)
{
	siginfo_t info;

	if (!s)
		return;
	spawn_close_ends(s);
	if (s->gate[1] >= 0)
		close(s->gate[1]); /* one that waits there ends by itself, at once */
	if (s->log_end >= 0)
		close(s->log_end);
	if (s->pidfd >= 0) {
		waitid(P_PIDFD, (id_t)s->pidfd, &info, WEXITED);
		close(s->pidfd);
	}
	spawn_put(s);
}

int vmproc_spawn(const struct vmproc_options *options, struct vmproc_child *take_child, int64_t uid,
		 int (*record)(void *arg, const struct state_process *process, struct err *e),
		 struct vmproc **ret_proc, struct err *e)
{
	struct vmproc_child *s = take_child;
	int ret;

	s->process.uid = uid;
	if (uid >= 0)
		snprintf(s->uid, sizeof(s->uid), "%lld", (long long)uid);
	atomic_store(&s->told, true);
	ret = record(options->arg, &s->process, e);
	if (ret >= 0)
		ret = vmproc_new(options, &s->process, TAKE_FD(s->pidfd), true, ret_proc, e);
	if (ret >= 0) {
		(*ret_proc)->log = TAKE_FD(s->log_end);
		(*ret_proc)->gate = TAKE_FD(s->gate[1]);
	}
	vmproc_child_free(s);
	return ret;
}
