// SPDX-License-Identifier: MIT
/*
 * The processes that write to the host: how they are started, spoken to and ended. What hangs in the kernel cannot be
 * ended; it is left alone then, watched until it is gone. On the loop's thread.
 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/auto.h"
#include "lib/errcat.h"
#include "lib/rpc.h"
#include "vmd/hostio_priv.h"

#define HOSTIO_ANSWER_MAX 65536
#define HOSTIO_ANSWER_VALUES 4096

static void hostio_helper_free(struct hostio_helper *h)
{
	struct hostio *io = h->io;

	if (--h->handles)
		return;
	LIST_REMOVE(h, link);
	io->n_helpers--;
	io->n_left -= h->left;
	free(h);
	hostio_kick(io);
	hostio_maybe_free(io);
}

static void hostio_helper_process_closed(uv_handle_t *handle)
{
	hostio_helper_free(container_of(handle, struct hostio_helper, process));
}

static void hostio_helper_timer_closed(uv_handle_t *handle)
{
	hostio_helper_free(container_of(handle, struct hostio_helper, timer));
}

static void hostio_helper_close(struct hostio_helper *h)
{
	h->ending = true;
	if (!uv_is_closing((uv_handle_t *)&h->timer))
		uv_close((uv_handle_t *)&h->timer, hostio_helper_timer_closed);
	if (!uv_is_closing((uv_handle_t *)&h->process))
		uv_close((uv_handle_t *)&h->process, hostio_helper_process_closed);
}

static void hostio_helper_timeout(uv_timer_t *timer);

/* The end of its input ends it; if not, it is killed. */
static void hostio_helper_end(struct hostio_helper *h)
{
	h->ending = true;
	uv_timer_start(&h->timer, hostio_helper_timeout, HOSTIO_GRACE_MS, 0);
	if (!h->closed)
		conn_close(&h->conn);
}

void hostio_helper_leave(struct hostio_helper *h)
{
	h->step = NULL;
	hostio_helper_end(h);
	hostio_helper_close(h);
}

static void hostio_helper_died(struct hostio_helper *h, struct hostio_step *step)
{
	struct err why = h->why;

	if (!h->bad && h->signal)
		err_set(&why, ERR_HOST_HELPER, "%s: the helper was ended by signal %d (%s)",
			step->text, h->signal, strsignal(h->signal));
	else if (!h->bad)
		err_set(&why, ERR_HOST_HELPER,
			"%s: the helper ended with status %" PRId64 " before it answered",
			step->text, h->status);
	err_hint(&why, "whether it was done is not known; vmd's log has what %s said",
		 h->io->options.program);
	hostio_answered(h->io, step, NULL, &why);
}

/* Gone: the process, and all that it has said is read. */
static void hostio_helper_gone(struct hostio_helper *h)
{
	struct hostio_step *step = h->step;
	struct hostio *io = h->io;

	if (!h->exited || !h->closed || io->ended)
		return;
	h->step = NULL;
	hostio_helper_close(h);
	if (step && h->killed && !h->bad)
		hostio_stuck(io, step, h);
	else if (step)
		hostio_helper_died(h, step);
}

static void hostio_helper_exit(uv_process_t *process, int64_t status, int signal)
{
	struct hostio_helper *h = container_of(process, struct hostio_helper, process);

	h->exited = true;
	h->status = status;
	h->signal = signal;
	if (h->left)
		log_info(h->io->options.log, "the helper with pid %d that hung is gone",
			 process->pid);
	hostio_helper_gone(h);
}

static void hostio_helper_conn_closed(struct conn *c, const struct err *why)
{
	struct hostio_helper *h = c->arg;

	h->closed = true;
	h->ending = true;
	if (why && h->step && !h->bad && !h->killed)
		log_debug(h->io->options.log, "helper: %s", why->msg);
	hostio_helper_gone(h);
	hostio_helper_free(h);
}

static void hostio_helper_timeout(uv_timer_t *timer)
{
	struct hostio_helper *h = container_of(timer, struct hostio_helper, timer);
	struct hostio_step *step = h->step;

	if (!step && !h->ending) {
		hostio_helper_end(h);
		return;
	}
	if (!h->killed) {
		h->killed = true;
		h->ending = true;
		uv_process_kill(&h->process, SIGKILL);
		uv_timer_start(timer, hostio_helper_timeout, HOSTIO_GRACE_MS, 0);
		return;
	}
	if (!step)
		return;
	h->left = true;
	h->io->n_left++;
	memcpy(h->devices, step->devices, sizeof(h->devices));
	h->step = NULL;
	log_warn(h->io->options.log, "%s: the helper with pid %d hangs in the kernel", step->text,
		 h->process.pid);
	hostio_helper_end(h);
	hostio_stuck(h->io, step, h);
}

/* It said what is no answer: it is of no use any more. */
static void hostio_helper_bad(struct hostio_helper *h, const char *why)
{
	if (h->bad || h->killed)
		return;
	h->bad = true;
	h->ending = true;
	err_set(&h->why, ERR_HOST_HELPER, "%s: the helper's answer is none: %s",
		h->step ? h->step->text : "nothing", why);
	uv_process_kill(&h->process, SIGKILL);
}

static void hostio_helper_message(struct conn *c, struct json_object *msg, struct fdset *fds)
{
	struct hostio_helper *h = c->arg;
	struct hostio_step *step = h->step;
	struct rpc_msg answer;
	struct err why = { 0 };

	(void)fds;
	if (h->killed || h->bad)
		return;
	if (!step) {
		hostio_helper_bad(h, "nothing was asked");
		return;
	}
	if (rpc_msg_parse(msg, &answer, &why) < 0) {
		hostio_helper_bad(h, why.msg);
		return;
	}
	if (answer.kind == RPC_RESULT && !json_object_is_type(answer.result, json_type_object)) {
		hostio_helper_bad(h, "the result is no object");
		return;
	}
	if (answer.kind != RPC_RESULT && answer.kind != RPC_ERROR) {
		hostio_helper_bad(h, "it asks something");
		return;
	}
	h->step = NULL;
	uv_timer_start(&h->timer, hostio_helper_timeout, HOSTIO_IDLE_MS, 0);
	if (answer.kind == RPC_ERROR)
		rpc_error_to_err(answer.error, &why);
	hostio_answered(h->io, step, answer.kind == RPC_RESULT ? answer.result : NULL, &why);
}

static void hostio_helper_bad_input(struct conn *c, const struct err *why)
{
	hostio_helper_bad(c->arg, why->msg);
}

static const struct conn_ops hostio_conn_ops = {
	.message = hostio_helper_message,
	.bad_input = hostio_helper_bad_input,
	.closed = hostio_helper_conn_closed,
};

static int hostio_helper_spawn(struct hostio_helper *h, int sock, struct err *e)
{
	const struct hostio_options *o = &h->io->options;
	char parent[16];
	char *args[] = { (char *)o->program,
			 (char *)"--sysroot",
			 (char *)o->sysroot,
			 (char *)"--parent",
			 parent,
			 NULL };
	char *env[] = { (char *)"PATH=/usr/sbin:/usr/bin:/sbin:/bin", (char *)"LANG=C.UTF-8",
			NULL };
	uv_stdio_container_t io[] = {
		{ .flags = UV_INHERIT_FD, .data.fd = sock },
		{ .flags = UV_INHERIT_FD, .data.fd = sock },
		{ .flags = UV_INHERIT_FD, .data.fd = o->log->fd },
	};
	uv_process_options_t options = {
		.exit_cb = hostio_helper_exit,
		.file = o->program,
		.args = args,
		.env = env,
		.cwd = "/",
		.flags = UV_PROCESS_DETACHED, /* a terminal's Ctrl-C is vmd's */
		.stdio_count = ARRAY_SIZE(io),
		.stdio = io,
	};
	int ret;

	snprintf(parent, sizeof(parent), "%d", getpid());
	ret = uv_spawn(o->loop, &h->process, &options);
	if (ret >= 0)
		return 0;
	err_set(e, ERR_HOST_HELPER, "cannot run '%s', which does all writes to the host: %s",
		o->program, uv_strerror(ret));
	return err_hint(e, "it is installed with vmd: make install");
}

int hostio_helper_new(struct hostio *io, struct hostio_helper **ret_helper, struct err *e)
{
	const struct conn_limits limits = { .line = HOSTIO_ANSWER_MAX,
					    .json = { .values = HOSTIO_ANSWER_VALUES },
					    .no_fds = true };
	struct hostio_helper *h = calloc(1, sizeof(*h));
	int pair[2], ret;

	if (!h)
		return err_set(e, ENOMEM, "no memory for a helper");
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) {
		free(h);
		return err_errno(e, "cannot make a socket for a helper");
	}
	h->io = io;
	ret = conn_init(&h->conn, io->options.loop, pair[0], &hostio_conn_ops, h, e);
	if (ret < 0) {
		close(pair[1]);
		free(h);
		return ret;
	}
	conn_set_limits(&h->conn, &limits);
	uv_timer_init(io->options.loop, &h->timer);
	h->handles = 3;
	LIST_INSERT_HEAD(&io->helpers, h, link);
	io->n_helpers++;
	ret = hostio_helper_spawn(h, pair[1], e);
	close(pair[1]);
	if (ret < 0) {
		h->exited = true;
		hostio_helper_leave(h);
		return ret;
	}
	*ret_helper = h;
	return 0;
}

void hostio_helper_begin(struct hostio_helper *h, struct hostio_step *step)
{
	h->step = step;
	step->at_work = true;
	uv_timer_start(&h->timer, hostio_helper_timeout, step->deadline_ms, 0);
	conn_send_text(&h->conn, step->line, strlen(step->line));
}
