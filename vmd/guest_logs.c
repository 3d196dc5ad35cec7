// SPDX-License-Identifier: MIT
/*
 * What a VM's process says goes to its logs (vmlog.h): vmd is a reader of each console. Which consoles
 * there are is known from the machine's configuration, not from the process. On the loop's thread.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/auto.h"
#include "lib/console_log.h"
#include "lib/errcat.h"
#include "vmd/guest.h"
#include "vmd/vmlog.h"

/* A debug port has no other backend, and no member for it. */
static bool guest_is_console(struct json_object *device)
{
	return !strcmp(json_get_str(device, "backend", ""), "console") ||
	       !strcmp(json_get_str(device, "type", ""), "debug-port") ||
	       !strcmp(json_get_str(device, "type", ""), "debug-console");
}

const char *guest_console_at(struct json_object *config, size_t n)
{
	struct json_object *devices = json_get(config, "devices");

	for (size_t i = 0; devices && i < json_object_array_length(devices); i++) {
		struct json_object *device = json_object_array_get_idx(devices, i);

		if (guest_is_console(device) && !n--)
			return json_get_str(device, "id", NULL);
	}
	return NULL;
}

void guest_logs_prepare(struct guest *g, struct json_object *config)
{
	const char *id;

	vmlog_get(g->d, g->id, VMLOG_MONITOR, NULL);
	for (size_t i = 0; (id = guest_console_at(config, i)); i++)
		vmlog_get(g->d, g->id, VMLOG_CONSOLE, id);
}

void guest_run_name(pid_t pid, uint64_t start, char *out, size_t size)
{
	snprintf(out, size, "%d-%" PRIu64, (int)pid, start);
}

void guest_logs_monitor(struct guest *g)
{
	struct vmlog *l = vmlog_get(g->d, g->id, VMLOG_MONITOR, NULL);
	struct err e = { 0 };
	AUTO_CLOSE int fd = l ? vmproc_take_log(g->proc, &e) : err_ret(&e, -ENOMEM, "monitor");

	guest_run_name(vmproc_pid(g->proc), vmproc_start_time(g->proc), g->run, sizeof(g->run));
	if (l && fd >= 0) {
		vmlog_attach(l, g->run, TAKE_FD(fd));
		l->held = true;
		return;
	}
	log_warn(&g->d->log, "VM '%s': its monitor is not logged: %s", g->name, e.msg);
}

static void guest_log_attached(void *arg, struct json_object *result, const struct err *why)
{
	struct guest *g = arg;

	(void)result;
	/* the log sees its socket's end; that the process has ended is said elsewhere */
	if (why && why->code != ERR_VMM_DIED && why->code != ECANCELED)
		log_warn(&g->d->log, "VM '%s': a console is not logged: %s", g->name, why->msg);
}

static int guest_log_console(struct guest *g, const char *console, struct err *e)
{
	struct vmlog *l = vmlog_get(g->d, g->id, VMLOG_CONSOLE, console);
	struct json_object *params;
	struct fdset fds;
	int ends[2];

	if (!l)
		return err_ret(e, -ENOMEM, "console '%s'", console);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
		return err_errno(e, "console '%s'", console);
	vmlog_attach(l, g->run, ends[0]);
	fdset_init(&fds);
	fdset_add(&fds, ends[1]);
	params = json_add_str(json_new(), "console", console);
	vmproc_call(g->proc, "console.attach", json_add_str(params, "mode", "log"), &fds,
		    GUEST_CALL_MS, guest_log_attached, g);
	return 0;
}

void guest_logs_attach(struct guest *g, struct json_object *config)
{
	struct err e = { 0 };
	const char *id;
	int ret = 0;

	for (size_t i = 0; g->run[0] && ret >= 0 && (id = guest_console_at(config, i)); i++)
		ret = guest_log_console(g, id, &e);
	if (ret < 0)
		log_warn(&g->d->log, "VM '%s': its consoles are not logged: %s", g->name, e.msg);
}

void guest_logs_adopt(struct guest *g)
{
	AUTO_JSON struct json_object *config = NULL;
	AUTO_FREE char *text = NULL;
	struct err e = { 0 };

	if (state_revision_get(g->d->state, g->id, g->revision, NULL, &text, &e) < 0 ||
	    json_parse(text, strlen(text), &config, &e) < 0)
		log_warn(&g->d->log, "VM '%s': its consoles are not logged: %s", g->name, e.msg);
	else
		guest_logs_attach(g, config);
}

/* --- a process that ended while nobody was there --- */

static bool guest_has_console(struct json_object *config, const char *console)
{
	const char *id;

	for (size_t i = 0; (id = guest_console_at(config, i)); i++)
		if (!strcmp(id, console))
			return true;
	return false;
}

/* Say what one console has said, as vmm would have: a socket takes all of it, and nobody waits. */
static int guest_replay_tail(struct vmlog *l, const char *run, int fd,
			     const struct console_tail *tail)
{
	struct console_log_msg msg = { .offset = tail->offset };
	AUTO_CLOSE int out = -1;
	uint64_t left = tail->len;
	int ends[2];

	if (!l || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
		return -ENOMEM;
	vmlog_attach(l, run, ends[0]);
	out = ends[1];
	while (left) {
		ssize_t n = fdio_read(fd, msg.data, (size_t)MIN(left, (uint64_t)CONSOLE_LOG_CHUNK));

		if (n <= 0)
			return n < 0 ? (int)n : -EPROTO;
		if (send(out, &msg, offsetof(struct console_log_msg, data) + (size_t)n,
			 MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
			return -errno;
		msg.offset += (uint64_t)n;
		left -= (uint64_t)n;
	}
	return 0;
}

static int guest_replay(struct daemon *d, const char *vm, const char *run, int fd,
			struct json_object *config)
{
	struct console_tail tail;
	ssize_t n = 0;
	int ret = 0;

	/* vmm is not trusted: no more of them than there are consoles, and each as large as it may be */
	for (size_t i = 0; guest_console_at(config, i) && ret >= 0; i++) {
		n = fdio_read(fd, &tail, sizeof(tail));
		if (n != sizeof(tail))
			break;
		tail.console[sizeof(tail.console) - 1] = '\0';
		if (tail.len > CONSOLE_TAIL_MAX || !guest_has_console(config, tail.console))
			return -EPROTO;
		ret = guest_replay_tail(vmlog_get(d, vm, VMLOG_CONSOLE, tail.console), run, fd,
					&tail);
	}
	vmlogs_drain(d, vm);
	return n < 0 ? (int)n : n && n != sizeof(tail) ? -EPROTO : ret;
}

void guest_logs_ended(struct daemon *d, const char *vm, int64_t revision, const char *run,
		      const char *dir)
{
	AUTO_JSON struct json_object *config = NULL;
	AUTO_FREE char *text = NULL;
	AUTO_CLOSE int fd = -1;
	char path[300];
	struct err e = { 0 };
	int ret;

	snprintf(path, sizeof(path), "%s/" GATHER_TAIL, dir);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0)
		return; /* one of an older vmd, or of another boot */
	ret = state_revision_get(d->state, vm, revision, NULL, &text, &e);
	if (ret >= 0)
		ret = json_parse(text, strlen(text), &config, &e);
	if (ret >= 0)
		ret = guest_replay(d, vm, run, fd, config);
	if (ret < 0)
		log_warn(&d->log, "VM %s: what its consoles said last is not logged: %s", vm,
			 e.msg[0] ? e.msg : strerror(-ret));
}
