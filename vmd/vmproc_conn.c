// SPDX-License-Identifier: MIT
/*
 * The connection to a vmm: made, checked, and made again for as long as the process lives. Who listens
 * has to be the process that is watched (SO_PEERCRED of unix(7): who called listen(2)), then hello has to
 * say so too; only then is anything sent. Nothing here waits: neither connect(2) nor a peer that is
 * silent. On the loop's thread.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/auto.h"
#include "lib/errcat.h"
#include "lib/rpc.h"
#include "vmd/vmproc_priv.h"

/* Tell the owner, once for each connection that was good and for each reason that is new. */
static void vmproc_lost(struct vmproc *p, const struct err *why)
{
	bool again = p->lost && !strcmp(p->why.msg, why->msg);

	p->lost = true;
	p->why = *why;
	if (!again)
		p->options.ops->lost(p->options.arg, why);
}

static void vmproc_retry(struct vmproc *p)
{
	if (p->closing || p->exited)
		return;
	uv_timer_start(&p->conn_timer, vmproc_conn_timeout, p->retry_ms, 0);
	p->retry_ms = MIN(p->retry_ms * 2, VMPROC_RETRY_MAX_MS);
}

/* It speaks, but not as the process that is watched would: not with this connection. */
static void vmproc_refuse(struct vmproc *p, const struct err *why)
{
	p->refused = true;
	conn_close(&p->conn);
	vmproc_lost(p, why);
}

/* --- what comes --- */

static bool vmproc_known_state(const char *state)
{
	static const char *const known[] = { "empty",  "created",   "running",
					     "paused", "suspended", "ended" };

	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		if (!strcmp(state, known[i]))
			return true;
	return false;
}

static void vmproc_hello(struct vmproc *p, struct json_object *params)
{
	const char *state = json_get_str(params, "state", "");
	int64_t pid = json_get_int(params, "pid", 0);
	struct err e;

	if (p->greeted)
		return;
	if (pid != p->pid) {
		err_set(&e, ERR_VMM_PROTOCOL, "vmm says that it is process %lld, it is %d",
			(long long)pid, (int)p->pid);
		vmproc_refuse(p, &e);
		return;
	}
	if (!vmproc_known_state(state)) {
		err_set(&e, ERR_VMM_PROTOCOL, "vmm %d says that its state is '%.32s'", (int)p->pid,
			state);
		vmproc_printable(e.msg);
		vmproc_refuse(p, &e);
		return;
	}
	p->greeted = true;
	p->lost = false;
	p->greeted_ms = uv_now(p->options.loop);
	uv_timer_stop(&p->conn_timer);
	p->options.ops->hello(p->options.arg, state);
}

/* Events are stored and sent on: vmm gets so many of them, and those beyond are counted in the log. */
static bool vmproc_event_allowed(struct vmproc *p)
{
	uint64_t now = uv_now(p->options.loop);
	uint64_t earned = (now - p->events_ms) / VMPROC_EVENT_MS;

	if (earned) {
		p->events = (unsigned int)MIN(p->events + earned, (uint64_t)VMPROC_EVENTS_MAX);
		p->events_ms = now;
	}
	if (!p->events)
		return false;
	p->events--;
	return true;
}

static void vmproc_event(struct vmproc *p, struct json_object *params)
{
	char type[32], message[256];

	if (!vmproc_event_allowed(p)) {
		log_limited(p->options.log, &p->log_limit,
			    "vmm %d sends too many events, this one is dropped", (int)p->pid);
		return;
	}
	snprintf(type, sizeof(type), "%s", json_get_str(params, "type", ""));
	snprintf(message, sizeof(message), "%s", json_get_str(params, "message", ""));
	vmproc_printable(type);
	vmproc_printable(message);
	p->options.ops->event(p->options.arg, type, message);
}

static void vmproc_removed(struct vmproc *p, struct json_object *params)
{
	char device[64];

	/* one that is dropped is found when the VM is asked what it has */
	if (!vmproc_event_allowed(p))
		return;
	snprintf(device, sizeof(device), "%s", json_get_str(params, "id", ""));
	vmproc_printable(device);
	p->options.ops->removed(p->options.arg, device);
}

static void vmproc_message(struct conn *conn, struct json_object *msg, struct fdset *fds)
{
	struct vmproc *p = conn->arg;
	struct rpc_msg m;
	struct err e;

	(void)fds; /* there are none */
	if (p->released || p->refused)
		return;
	if (rpc_msg_parse(msg, &m, &e) < 0) {
		vmproc_printable(e.msg);
		log_limited(p->options.log, &p->log_limit, "vmm %d: %s", (int)p->pid, e.msg);
		return;
	}
	if (m.kind == RPC_NOTIFICATION && !strcmp(m.method, "vmm.hello"))
		vmproc_hello(p, m.params);
	else if (!p->greeted)
		return; /* nothing was asked yet, and who it is has not been said */
	else if (m.kind == RPC_RESULT || m.kind == RPC_ERROR)
		vmproc_answer(p, &m);
	else if (m.kind == RPC_NOTIFICATION && !strcmp(m.method, "machine.event"))
		vmproc_event(p, m.params);
	else if (m.kind == RPC_NOTIFICATION && !strcmp(m.method, "machine.panic") &&
		 vmproc_event_allowed(p))
		p->options.ops->panic(p->options.arg, json_get_bool(m.params, "handled", false),
				      json_get_str(m.params, "console", ""));
	else if (m.kind == RPC_NOTIFICATION && !strcmp(m.method, "device.removed"))
		vmproc_removed(p, m.params);
	else if (m.kind == RPC_NOTIFICATION && !strcmp(m.method, "machine.timeline") &&
		 vmproc_event_allowed(p))
		p->options.ops->timeline(p->options.arg, m.params);
}

static void vmproc_conn_closed(struct conn *conn, const struct err *why)
{
	struct vmproc *p = conn->arg;
	bool steady = p->greeted && uv_now(p->options.loop) - p->greeted_ms >= VMPROC_RETRY_MAX_MS;
	struct err e;

	p->open = p->greeted = false;
	if (steady)
		p->retry_ms = VMPROC_RETRY_MS;
	if (p->exited && !p->gone && !p->released) {
		vmproc_ended(p); /* all that it said has been heard */
	} else if (!p->gone && !p->released) {
		err_set(&e, ERR_VMM_PROTOCOL, "the connection to vmm %d broke: %s", (int)p->pid,
			why ? why->msg : "it was closed");
		if (p->refused)
			e = p->why;
		vmproc_fail_calls(p, &e);
		/* an end of a call may have let go of it */
		if (!p->released && !p->refused)
			vmproc_lost(p, &e);
		vmproc_retry(p);
	}
	vmproc_unref(p);
}

static const struct conn_ops vmproc_conn_ops = {
	/* no bad_input: a vmm that sends what is no JSON is not spoken to any more */
	.message = vmproc_message,
	.closed = vmproc_conn_closed,
};

/* --- connecting --- */

/* Who listens? A child of ours has called listen(2) before its gate. */
static int vmproc_check_peer(const struct vmproc *p, int fd, struct err *e)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0)
		return err_errno(e, "cannot see who listens on '%s'", p->socket);
	if (peer.pid == p->pid)
		return 0;
	err_set(e, ERR_VMM_PROTOCOL, "process %d listens on '%s' in place of vmm %d", (int)peer.pid,
		p->socket, (int)p->pid);
	return err_hint(e, "vmm runs on; vmctl kill ends it");
}

static int vmproc_connect(struct vmproc *p, struct err *e)
{
	AUTO_CLOSE int fd = conn_connect_now(p->socket, e);
	int ret = fd;

	if (ret >= 0)
		ret = vmproc_check_peer(p, fd, e);
	if (ret >= 0)
		ret = conn_init(&p->conn, p->options.loop, TAKE_FD(fd), &vmproc_conn_ops, p, e);
	if (ret < 0)
		return ret;
	conn_set_limits(&p->conn, &(struct conn_limits){ .line = RPC_LINE_MAX, .no_fds = true });
	p->handles++;
	p->open = true;
	p->refused = false;
	return 0;
}

/* The time for the next try; or vmm is silent: the connection stays, it may yet speak. */
void vmproc_conn_timeout(uv_timer_t *timer)
{
	struct vmproc *p = container_of(timer, struct vmproc, conn_timer);
	struct err e = { 0 };

	if (!p->open) {
		vmproc_start_conn(p);
		return;
	}
	err_set(&e, ERR_VMM_PROTOCOL, "vmm %d has not said hello within %d s", (int)p->pid,
		VMPROC_HELLO_MS / 1000);
	vmproc_lost(p, &e);
}

void vmproc_start_conn(struct vmproc *p)
{
	struct err e = { 0 };

	if (vmproc_connect(p, &e) >= 0) {
		uv_timer_start(&p->conn_timer, vmproc_conn_timeout, VMPROC_HELLO_MS, 0);
		return;
	}
	if (e.code < ERR_FAILED)
		e.code = ERR_VMM_PROTOCOL; /* a program is not to take it for its own ENOENT */
	vmproc_lost(p, &e);
	vmproc_retry(p);
}

bool vmproc_connected(const struct vmproc *p)
{
	return p->open && p->greeted && !p->refused;
}
