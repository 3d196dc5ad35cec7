// SPDX-License-Identifier: MIT
/*
 * A vmm process: see vmproc.h. Making one is in vmproc_spawn.c, its last words and files in
 * vmproc_files.c. Only the pidfd says that a process has ended (pidfd_open(2)). On the loop's thread.
 */
#include "vmd/vmproc.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/auto.h"
#include "lib/conn.h"
#include "lib/errcat.h"
#include "lib/rpc.h"
#include "vmd/host.h"
#include "vmd/vmproc_priv.h"

#define VMPROC_DRAIN_MS 500

void vmproc_unref(struct vmproc *p)
{
	if (--p->handles)
		return;
	close(p->pidfd);
	if (p->log >= 0)
		close(p->log);
	free(p);
}

static void vmproc_poll_closed(uv_handle_t *handle)
{
	vmproc_unref(container_of((uv_poll_t *)handle, struct vmproc, poll));
}

static void vmproc_timer_closed(uv_handle_t *handle)
{
	vmproc_unref(container_of((uv_timer_t *)handle, struct vmproc, exit_timer));
}

static void vmproc_conn_timer_closed(uv_handle_t *handle)
{
	vmproc_unref(container_of((uv_timer_t *)handle, struct vmproc, conn_timer));
}

static void vmproc_close(struct vmproc *p, const struct err *why)
{
	if (!p->closing) {
		p->closing = true;
		uv_close((uv_handle_t *)&p->poll, vmproc_poll_closed);
		uv_close((uv_handle_t *)&p->exit_timer, vmproc_timer_closed);
		uv_close((uv_handle_t *)&p->conn_timer, vmproc_conn_timer_closed);
	}
	if (p->gate >= 0)
		close(TAKE_FD(p->gate)); /* it has not run, and ends now */
	p->handles++;			 /* p outlives the ends of its calls */
	vmproc_fail_calls(p, why);
	if (p->open)
		conn_close(&p->conn);
	vmproc_unref(p);
}

void vmproc_release(struct vmproc *p)
{
	struct err e = { .code = ECANCELED, .msg = "vmd ends" };

	if (!p || p->released || p->gone)
		return;
	p->released = true;
	vmproc_close(p, &e);
}

static void vmproc_how_it_ended(struct vmproc *p, struct state_exit *exit)
{
	const char *name = p->options.program ? p->options.program : "vmm";
	siginfo_t info = { 0 };
	bool known = p->child && waitid(P_PIDFD, (id_t)p->pidfd, &info, WEXITED | WNOHANG) == 0 &&
		     info.si_pid;

	vmproc_last_words(p->options.dir, exit);
	if (strcmp(exit->reason, "lost"))
		return;
	if (p->killed) {
		snprintf(exit->reason, sizeof(exit->reason), "killed");
		snprintf(exit->message, sizeof(exit->message), "%s was ended by SIGKILL", name);
	} else if (known) {
		snprintf(exit->reason, sizeof(exit->reason), "died");
		exit->code = info.si_status;
		if (info.si_code == CLD_EXITED)
			snprintf(exit->message, sizeof(exit->message), "%s ended with status %d",
				 name, info.si_status);
		else
			snprintf(exit->message, sizeof(exit->message), "%s ended by signal %d%s",
				 name, info.si_status,
				 info.si_status == SIGSYS
					 ? " (SIGSYS, a system call that its cage forbids)"
					 : "");
	}
}

void vmproc_ended(struct vmproc *p)
{
	struct state_exit exit;
	struct err e;

	vmproc_how_it_ended(p, &exit);
	p->gone = true;
	err_set(&e, ERR_VMM_DIED, "%s", exit.message);
	p->handles++; /* until after the callback */
	vmproc_close(p, &e);
	p->options.ops->gone(p->options.arg, &exit);
	vmproc_unref(p);
}

static void vmproc_exit_timeout(uv_timer_t *timer)
{
	vmproc_ended(container_of(timer, struct vmproc, exit_timer));
}

/*
 * The process has ended. What it said before may still wait in the socket, so its end comes first; a
 * process that it left behind may hold the other end open, hence the limit.
 */
static void vmproc_exited(uv_poll_t *poll, int status, int events)
{
	struct vmproc *p = container_of(poll, struct vmproc, poll);

	(void)status, (void)events;
	uv_poll_stop(poll);
	p->exited = true;
	uv_timer_stop(&p->conn_timer);
	if (p->open)
		uv_timer_start(&p->exit_timer, vmproc_exit_timeout, VMPROC_DRAIN_MS, 0);
	else
		vmproc_ended(p);
}

pid_t vmproc_pid(const struct vmproc *p)
{
	return p->pid;
}

uint64_t vmproc_start_time(const struct vmproc *p)
{
	return p->start_time;
}

int vmproc_pidfd(const struct vmproc *p)
{
	return p->pidfd;
}

bool vmproc_gone(const struct vmproc *p)
{
	return p->gone;
}

void vmproc_go(struct vmproc *p)
{
	if (p->gate < 0)
		return;
	if (fdio_write(p->gate, "g", 1) != 1)
		log_debug(p->options.log, "vmm %d has ended before its start", (int)p->pid);
	close(TAKE_FD(p->gate));
}

void vmproc_kill(struct vmproc *p)
{
	p->killed = true;
	if (syscall(SYS_pidfd_send_signal, p->pidfd, SIGKILL, NULL, 0) < 0 && errno != ESRCH)
		log_error(p->options.log, "cannot kill vmm %d: %s", (int)p->pid, strerror(errno));
}

int vmproc_new(const struct vmproc_options *options, const struct state_process *process,
	       int take_pidfd, bool child, struct vmproc **ret_proc, struct err *e)
{
	struct vmproc *p = calloc(1, sizeof(*p));
	int ret = p ? uv_poll_init(options->loop, &p->poll, take_pidfd) : -ENOMEM;

	if (ret < 0) {
		free(p);
		close(take_pidfd);
		return err_ret(e, ret, "cannot watch vmm");
	}
	p->options = *options;
	snprintf(p->dir, sizeof(p->dir), "%s", options->dir);
	p->options.dir = p->dir;
	snprintf(p->socket, sizeof(p->socket), "%s", process->socket);
	p->pid = process->pid;
	p->start_time = process->start_time;
	p->pidfd = take_pidfd;
	p->log = p->gate = -1;
	p->child = child;
	p->retry_ms = VMPROC_RETRY_MS;
	p->events = VMPROC_EVENTS_MAX;
	uv_timer_init(options->loop, &p->exit_timer);
	uv_timer_init(options->loop, &p->conn_timer);
	p->handles = 3;
	uv_poll_start(&p->poll, UV_READABLE, vmproc_exited);
	uv_timer_start(&p->conn_timer, vmproc_conn_timeout, 0, 0);
	*ret_proc = p;
	return 0;
}

/* The pidfd that was kept if it is of this process, else a new one. */
static int vmproc_adopt_pidfd(pid_t pid, int take_pidfd)
{
	pid_t kept;

	if (take_pidfd >= 0 && host_pidfd_pid(take_pidfd, &kept) == 0 && kept == pid)
		return take_pidfd;
	if (take_pidfd >= 0)
		close(take_pidfd);
	return (int)syscall(SYS_pidfd_open, pid, 0);
}

int vmproc_adopt(const struct vmproc_options *options, const struct state_process *process,
		 int take_pidfd, struct vmproc **ret_proc, struct err *e)
{
	AUTO_CLOSE int pidfd = vmproc_adopt_pidfd(process->pid, take_pidfd);
	uint64_t start;
	int ret;

	if (pidfd < 0)
		return err_errno(e, "process %d", (int)process->pid);
	/* after pidfd_open: if the number was used again, the start time is another one */
	ret = host_process_start(process->pid, &start, e);
	if (ret < 0 || start != process->start_time)
		return err_set(e, ESRCH, "process %d is another one", (int)process->pid);
	return vmproc_new(options, process, TAKE_FD(pidfd), false, ret_proc, e);
}
