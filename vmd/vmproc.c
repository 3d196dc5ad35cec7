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

static void vmproc_unref(struct vmproc *p)
{
	if (--p->handles)
		return;
	close(p->pidfd);
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

static void vmproc_call_closed(uv_handle_t *handle)
{
	struct vmproc_call *call = container_of((uv_timer_t *)handle, struct vmproc_call, timer);

	vmproc_unref(call->proc);
	json_object_put(call->result);
	free(call);
}

/* Take a call off the list and end it; result and why are copied by nobody, so they live until done ends. */
static void vmproc_call_end(struct vmproc_call *call, struct json_object *result,
			    const struct err *why)
{
	struct vmproc_call **link = &call->proc->calls;

	while (*link != call)
		link = &(*link)->next;
	*link = call->next;
	uv_close((uv_handle_t *)&call->timer, vmproc_call_closed);
	call->done(call->arg, result, why);
}

static void vmproc_fail_calls(struct vmproc *p, const struct err *why)
{
	while (p->calls)
		vmproc_call_end(p->calls, NULL, why);
}

static void vmproc_call_timeout(uv_timer_t *timer)
{
	struct vmproc_call *call = container_of(timer, struct vmproc_call, timer);
	struct err e;

	if (call->failed_code) /* it could not be sent: told from the loop, as promised */
		err_set(&e, call->failed_code, "vmm cannot be asked (%s): no connection",
			call->method);
	else
		err_set(&e, ERR_TIMEOUT, "vmm has not answered %s within %.1f s", call->method,
			call->timeout_ms / 1000.0);
	vmproc_call_end(call, NULL, &e);
}

void vmproc_call(struct vmproc *p, const char *method, struct json_object *take_params,
		 struct fdset *take_fds, unsigned int timeout_ms,
		 void (*done)(void *arg, struct json_object *result, const struct err *why),
		 void *arg)
{
	struct vmproc_call *call = calloc(1, sizeof(*call));

	if (!call)
		abort(); /* a small object, and the state machine would stand still */
	call->proc = p;
	call->id = ++p->last_id;
	call->method = method;
	call->done = done;
	call->arg = arg;
	call->timeout_ms = timeout_ms;
	call->next = p->calls;
	p->calls = call;
	p->handles++;
	uv_timer_init(p->options.loop, &call->timer);
	if (p->connected) {
		conn_send(&p->conn, rpc_request(call->id, method, take_params), take_fds);
	} else {
		json_object_put(take_params);
		fdset_fini(take_fds);
		call->failed_code = ERR_VMM_PROTOCOL;
		timeout_ms = 0;
	}
	uv_timer_start(&call->timer, vmproc_call_timeout, timeout_ms, 0);
}

/* The same for text whose LFs stay. */
static void vmproc_printable_lines(char *text)
{
	while (*text) {
		size_t len = strcspn(text, "\n");
		char end = text[len];

		text[len] = '\0';
		vmproc_printable(text);
		text[len] = end;
		text += len + (end == '\n');
	}
}

/* vmm's error: its code counts where it is one of the catalogue's for such errors, its words made safe. */
static void vmproc_take_error(struct json_object *error, struct err *e)
{
	rpc_error_to_err(error, e);
	if (e->code < ERR_FAILED || errcat_find(e->code)->code != e->code)
		e->code = ERR_FAILED;
	vmproc_printable(e->msg);
	vmproc_printable(e->hint);
	vmproc_printable_lines(e->cause);
}

static void vmproc_answer(struct vmproc *p, const struct rpc_msg *m)
{
	struct vmproc_call *call = p->calls;
	struct err e;

	if (!json_object_is_type(m->id, json_type_int))
		return;
	while (call && call->id != json_object_get_int64(m->id))
		call = call->next;
	if (!call)
		return; /* late: it had timed out */
	if (m->kind == RPC_RESULT) {
		vmproc_call_end(call, m->result, NULL);
		return;
	}
	vmproc_take_error(m->error, &e);
	vmproc_call_end(call, NULL, &e);
}

static void vmproc_hello(struct vmproc *p, struct json_object *params)
{
	int64_t pid = json_get_int(params, "pid", 0);
	struct err e;

	if (p->greeted)
		return;
	if (pid != p->pid) {
		err_set(&e, ERR_VMM_PROTOCOL, "vmm says that it is process %lld, it is %d",
			(long long)pid, (int)p->pid);
		p->options.ops->lost(p->options.arg, &e);
		return;
	}
	p->greeted = true;
	p->options.ops->hello(p->options.arg, json_get_str(params, "state", ""));
}

static void vmproc_notification(struct vmproc *p, const struct rpc_msg *m)
{
	char type[32], message[256];

	if (!strcmp(m->method, "vmm.hello")) {
		vmproc_hello(p, m->params);
		return;
	}
	if (strcmp(m->method, "machine.event"))
		return;
	snprintf(type, sizeof(type), "%s", json_get_str(m->params, "type", ""));
	snprintf(message, sizeof(message), "%s", json_get_str(m->params, "message", ""));
	vmproc_printable(type);
	vmproc_printable(message);
	p->options.ops->event(p->options.arg, type, message);
}

static void vmproc_message(struct conn *conn, struct json_object *msg, struct fdset *fds)
{
	struct vmproc *p = conn->arg;
	struct rpc_msg m;
	struct err e;

	(void)fds; /* nothing is taken from vmm */
	if (p->released)
		return;
	if (rpc_msg_parse(msg, &m, &e) < 0) {
		log_limited(p->options.log, &p->log_limit, "vmm %d: %s", (int)p->pid, e.msg);
		return;
	}
	if (m.kind == RPC_RESULT || m.kind == RPC_ERROR)
		vmproc_answer(p, &m);
	else if (m.kind == RPC_NOTIFICATION)
		vmproc_notification(p, &m);
}

static void vmproc_ended(struct vmproc *p);

static void vmproc_conn_closed(struct conn *conn, const struct err *why)
{
	struct vmproc *p = conn->arg;
	struct err e;

	p->connected = false;
	if (p->exited && !p->gone && !p->released) {
		vmproc_ended(p); /* all that it said has been heard */
	} else if (!p->gone && !p->released) {
		err_set(&e, ERR_VMM_PROTOCOL, "the connection to vmm %d broke: %s", (int)p->pid,
			why ? why->msg : "it was closed");
		vmproc_fail_calls(p, &e);
		/* an end of a call may have let go of it */
		if (!p->released)
			p->options.ops->lost(p->options.arg, &e);
	}
	vmproc_unref(p);
}

static const struct conn_ops vmproc_conn_ops = {
	/* no bad_input: a vmm that sends what is no JSON is not spoken to any more */
	.message = vmproc_message,
	.closed = vmproc_conn_closed,
};

static void vmproc_close(struct vmproc *p, const struct err *why)
{
	if (!p->closing) {
		p->closing = true;
		uv_close((uv_handle_t *)&p->poll, vmproc_poll_closed);
		uv_close((uv_handle_t *)&p->exit_timer, vmproc_timer_closed);
	}
	p->handles++; /* p outlives the ends of its calls */
	vmproc_fail_calls(p, why);
	if (p->connected)
		conn_close(&p->conn);
	p->connected = false;
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
	siginfo_t info = { 0 };
	bool known = p->child && waitid(P_PIDFD, (id_t)p->pidfd, &info, WEXITED | WNOHANG) == 0 &&
		     info.si_pid;

	vmproc_last_words(p->options.dir, exit);
	if (strcmp(exit->reason, "lost"))
		return;
	if (p->killed) {
		snprintf(exit->reason, sizeof(exit->reason), "killed");
		snprintf(exit->message, sizeof(exit->message), "vmm was ended by SIGKILL");
	} else if (known) {
		snprintf(exit->reason, sizeof(exit->reason), "died");
		exit->code = info.si_status;
		if (info.si_code == CLD_EXITED)
			snprintf(exit->message, sizeof(exit->message), "vmm ended with status %d",
				 info.si_status);
		else
			snprintf(exit->message, sizeof(exit->message), "vmm ended by signal %d",
				 info.si_status);
	}
}

static void vmproc_ended(struct vmproc *p)
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
	if (p->connected)
		uv_timer_start(&p->exit_timer, vmproc_exit_timeout, VMPROC_DRAIN_MS, 0);
	else
		vmproc_ended(p);
}

pid_t vmproc_pid(const struct vmproc *p)
{
	return p->pid;
}

int vmproc_pidfd(const struct vmproc *p)
{
	return p->pidfd;
}

bool vmproc_gone(const struct vmproc *p)
{
	return p->gone;
}

bool vmproc_connected(const struct vmproc *p)
{
	return p->connected;
}

void vmproc_kill(struct vmproc *p)
{
	p->killed = true;
	if (syscall(SYS_pidfd_send_signal, p->pidfd, SIGKILL, NULL, 0) < 0 && errno != ESRCH)
		log_error(p->options.log, "cannot kill vmm %d: %s", (int)p->pid, strerror(errno));
}

int vmproc_new(const struct vmproc_options *options, pid_t pid, int take_pidfd, bool child,
	       struct vmproc **ret_proc, struct err *e)
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
	p->pid = pid;
	p->pidfd = take_pidfd;
	p->child = child;
	uv_timer_init(options->loop, &p->exit_timer);
	p->handles = 2;
	uv_poll_start(&p->poll, UV_READABLE, vmproc_exited);
	*ret_proc = p;
	return 0;
}

int vmproc_connect(struct vmproc *p, const char *socket, struct err *e)
{
	int fd = conn_connect(socket, e), ret;

	if (fd < 0)
		return fd;
	ret = conn_init(&p->conn, p->options.loop, fd, &vmproc_conn_ops, p, e);
	if (ret < 0)
		return ret;
	p->handles++;
	p->connected = true;
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
	ret = vmproc_new(options, process->pid, TAKE_FD(pidfd), false, ret_proc, e);
	if (ret < 0)
		return ret;
	/* without a connection it is still ours to watch and to kill; the caller sees vmproc_connected */
	vmproc_connect(*ret_proc, process->socket, e);
	return 0;
}
