// SPDX-License-Identifier: MIT
/*
 * Making a vmm process: fork, write it down, exec. Between fork and exec the child calls only what is
 * async-signal-safe (signal-safety(7)), for libuv's workers are threads. On the loop's thread.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
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

struct spawn {
	const struct vmproc_program *program;
	char uid[16];
	int listen, log, null, gate[2]; /* owned; gate: the child reads, vmd writes */
	int log_end;			/* owned: what vmd reads; there before the first word */
	struct state_process process;
};

static void spawn_fini(struct spawn *s)
{
	int fds[] = { s->listen, s->log, s->log_end, s->null, s->gate[0], s->gate[1] };

	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		if (fds[i] >= 0)
			close(fds[i]);
}

static void spawn_default_signals(void)
{
	struct sigaction dfl = { .sa_handler = SIG_DFL };
	sigset_t none;

	for (int sig = 1; sig < NSIG; sig++)
		sigaction(sig, &dfl, NULL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

/*
 * All but the mount namespace, in which vmm and its libraries could not be found: it enters that one itself, with
 * the descriptor at root_fd.
 */
static bool spawn_namespaces(const struct emptyns *ns)
{
	return ns->mnt < 0 || (!setns(ns->net, CLONE_NEWNET) && !setns(ns->ipc, CLONE_NEWIPC) &&
			       !setns(ns->uts, CLONE_NEWUTS) && dup2(ns->mnt, SPAWN_ROOT_FD) >= 0 &&
			       !fcntl(SPAWN_ROOT_FD, F_SETFD, 0));
}

static void spawn_exec(const struct spawn *s)
{
	const struct vmproc_program *p = s->program;
	const char *argv[12] = { p->vmm, "--control-fd", "3", "--seccomp", p->seccomp };
	char *envp[] = { (char *)"PATH=/usr/sbin:/usr/bin:/sbin:/bin", (char *)"LANG=C.UTF-8",
			 NULL };
	size_t n = 5;

	if (p->ns->mnt >= 0) {
		argv[n++] = "--root-fd";
		argv[n++] = "5"; /* SPAWN_ROOT_FD */
	}
	if (p->uid >= 0) {
		argv[n++] = "--uid";
		argv[n++] = s->uid;
	}
	execve(p->vmm, (char **)argv, envp);
}

/* The child. It runs only when vmd says so; when vmd dies before, the pipe ends and so does this. */
static void spawn_child(const struct spawn *s)
{
	static const char sorry[] = "vmd: cannot execute vmm: ";
	const char *why;
	char go;

	setsid();
	/* all above 5 first, so that no dup2 hits a source of another */
	int null = fcntl(s->null, F_DUPFD, 10), log = fcntl(s->log, F_DUPFD, 10);
	int control = fcntl(s->listen, F_DUPFD, 10), gate = fcntl(s->gate[0], F_DUPFD, 10);
	struct emptyns ns = *s->program->ns;

	if (ns.mnt >= 0)
		ns.mnt = fcntl(ns.mnt, F_DUPFD, 10);

	if (dup2(null, 0) < 0 || dup2(null, 1) < 0 || dup2(log, 2) < 0 || dup2(control, 3) < 0 ||
	    dup2(gate, 4) < 0)
		_exit(126);
	if (!spawn_namespaces(&ns))
		_exit(126);
	/* at once: what is vmd's own ends with vmd, its clients' connections and its socket too */
	syscall(SYS_close_range, ns.mnt >= 0 ? SPAWN_ROOT_FD + 1 : SPAWN_ROOT_FD, ~0u, 0);
	/* from now on the socket bears our pid: a vmd that comes later looks at it (vmproc_conn.c) */
	if (listen(3, SPAWN_BACKLOG) < 0 || fdio_read(4, &go, 1) != 1)
		_exit(126);
	close(4);
	if (chdir("/") < 0)
		_exit(126);
	spawn_default_signals();
	spawn_exec(s);
	why = strerrordesc_np(errno);
	if (write(2, sorry, sizeof(sorry) - 1) > 0 && why && write(2, why, strlen(why)) > 0)
		_exit(127);
	_exit(127);
}

static int spawn_files(struct spawn *s, const char *dir, struct err *e)
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

/* fork(2), with the child in its control group from its first moment: moving it later is slow and seen. */
static pid_t spawn_clone(int cgroup)
{
	struct clone_args args = { .flags = CLONE_INTO_CGROUP,
				   .exit_signal = SIGCHLD,
				   .cgroup = (uint64_t)cgroup };

	return cgroup < 0 ? fork() : (pid_t)syscall(SYS_clone3, &args, sizeof(args));
}

/* Fork, learn who it is, have it written down. The pidfd, or negative and no process. */
static int spawn_fork(struct spawn *s,
		      int (*record)(void *arg, const struct state_process *process, struct err *e),
		      void *arg, struct err *e)
{
	AUTO_CLOSE int pidfd = -1;
	pid_t pid = spawn_clone(s->program->cgroup);
	int ret = 0;

	if (pid < 0)
		return err_errno(e, "cannot make a process");
	if (!pid) {
		close(s->gate[1]); /* else the child's own copy keeps its gate from ending */
		spawn_child(s);
	}
	s->process.pid = pid;
	s->process.time_ms = state_now_ms();
	pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (pidfd < 0)
		ret = err_errno(e, "cannot watch vmm");
	if (ret >= 0)
		ret = host_process_start(pid, &s->process.start_time, e);
	if (ret >= 0)
		ret = record(arg, &s->process, e);
	if (ret >= 0)
		return TAKE_FD(pidfd);
	close(TAKE_FD(s->gate[1])); /* it ends by itself, at once */
	waitpid(pid, NULL, 0);
	return ret;
}

int vmproc_spawn(const struct vmproc_options *options, const struct vmproc_program *program,
		 int (*record)(void *arg, const struct state_process *process, struct err *e),
		 struct vmproc **ret_proc, struct err *e)
{
	struct spawn s = { .program = program,
			   .listen = -1,
			   .log = -1,
			   .log_end = -1,
			   .null = -1,
			   .gate = { -1, -1 } };
	int ret = snprintf(s.process.socket, sizeof(s.process.socket), "%s/control.sock",
			   options->dir);

	s.process.uid = program->uid;
	snprintf(s.uid, sizeof(s.uid), "%lld", (long long)program->uid);
	if (ret >= (int)sizeof(s.process.socket))
		return err_set(e, ENAMETOOLONG, "'%s/control.sock' is too long for a socket",
			       options->dir);
	ret = spawn_files(&s, options->dir, e);
	if (ret >= 0)
		ret = spawn_fork(&s, record, options->arg, e);
	if (ret >= 0)
		ret = vmproc_new(options, s.process.pid, s.process.socket, ret, true, ret_proc, e);
	if (ret >= 0)
		(*ret_proc)->log = TAKE_FD(s.log_end);
	if (ret >= 0)
		(*ret_proc)->gate = TAKE_FD(s.gate[1]);
	spawn_fini(&s);
	return ret;
}
