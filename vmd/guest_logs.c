// SPDX-License-Identifier: MIT
/*
 * What a VM's process says goes to its logs (vmlog.h): vmd is a reader of each console. Which consoles
 * there are is known from the machine's configuration, not from the process. On the loop's thread.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/auto.h"
#include "lib/errcat.h"
#include "vmd/guest.h"
#include "vmd/host.h"
#include "vmd/vmlog.h"

const char *guest_console_at(struct json_object *config, size_t n)
{
	struct json_object *devices = json_get(config, "devices");

	for (size_t i = 0; devices && i < json_object_array_length(devices); i++) {
		struct json_object *device = json_object_array_get_idx(devices, i);

		if (!strcmp(json_get_str(device, "backend", ""), "console") && !n--)
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

/* The process, so that the next vmd sees whether it is the one that the log is about. */
static int guest_run_name(const struct guest *g, char *out, size_t size, struct err *e)
{
	uint64_t start;
	int ret = host_process_start(vmproc_pid(g->proc), &start, e);

	if (ret >= 0)
		snprintf(out, size, "%d-%" PRIu64, (int)vmproc_pid(g->proc), start);
	return ret;
}

void guest_logs_monitor(struct guest *g)
{
	struct vmlog *l = vmlog_get(g->d, g->id, VMLOG_MONITOR, NULL);
	char run[LOGREAD_RUN_SIZE];
	struct err e = { 0 };
	AUTO_CLOSE int fd = l ? vmproc_take_log(g->proc, &e) : err_ret(&e, -ENOMEM, "monitor");

	if (fd >= 0 && guest_run_name(g, run, sizeof(run), &e) >= 0)
		vmlog_attach(l, run, TAKE_FD(fd));
	else
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

static int guest_log_console(struct guest *g, const char *console, const char *run, struct err *e)
{
	struct vmlog *l = vmlog_get(g->d, g->id, VMLOG_CONSOLE, console);
	struct json_object *params;
	struct fdset fds;
	int ends[2];

	if (!l)
		return err_ret(e, -ENOMEM, "console '%s'", console);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
		return err_errno(e, "console '%s'", console);
	vmlog_attach(l, run, ends[0]);
	fdset_init(&fds);
	fdset_add(&fds, ends[1]);
	params = json_add_str(json_new(), "console", console);
	vmproc_call(g->proc, "console.attach", json_add_str(params, "mode", "log"), &fds,
		    GUEST_CALL_MS, guest_log_attached, g);
	return 0;
}

void guest_logs_attach(struct guest *g, struct json_object *config)
{
	char run[LOGREAD_RUN_SIZE];
	struct err e = { 0 };
	const char *id;
	int ret = guest_run_name(g, run, sizeof(run), &e);

	for (size_t i = 0; ret >= 0 && (id = guest_console_at(config, i)); i++)
		ret = guest_log_console(g, id, run, &e);
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
