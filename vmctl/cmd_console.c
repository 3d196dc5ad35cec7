// SPDX-License-Identifier: MIT
/*
 * vmctl console, and start --console: the VM is started with its vCPUs held, the console attached, then
 * the vCPUs let go, so that nothing that the guest says is lost however fast it ends.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "lib/auto.h"
#include "lib/errcat.h"
#include "vmctl/command.h"
#include "vmctl/console.h"
#include "vmctl/target.h"

#define CONSOLE_END_MS 5000 /* from the end of the stream until vmd knows why */

/* What is said about an end, and whether it counts as a failure. */
static const struct {
	const char *reason, *says;
	int status;
} console_reasons[] = {
	{ "shutdown", "has shut down", EXIT_OK },
	{ "reset", "was reset, and ends with it", EXIT_OK },
	{ "guest-exit", "has ended itself", EXIT_OK },
	{ "killed", "was killed", EXIT_OK },
	{ "triple-fault", "ended with a triple fault", EXIT_FAILED },
	{ "watchdog", "was ended by its watchdog", EXIT_FAILED },
	{ "panic", "ended with a panic of its kernel", EXIT_FAILED },
	{ "fault", "ended with a fault of its monitor", EXIT_FAILED },
	{ "died", "ended: its monitor died", EXIT_FAILED },
	{ "lost", "is lost", EXIT_FAILED },
};

static int console_say_exit(struct vmctl *v, const char *vm, struct json_object *exit)
{
	const char *reason = json_get_str(exit, "reason", "unknown");
	const char *message = json_get_str(exit, "message", "");
	int64_t code = json_get_int(exit, "code", 0);

	for (size_t i = 0; i < ARRAY_SIZE(console_reasons); i++) {
		if (strcmp(console_reasons[i].reason, reason))
			continue;
		if (console_reasons[i].status != EXIT_OK && message[0])
			output_note(&v->out, "VM '%s' %s: %s", vm, console_reasons[i].says,
				    message);
		else if (!strcmp(reason, "guest-exit"))
			output_note(&v->out, "VM '%s' %s (code %lld)", vm, console_reasons[i].says,
				    (long long)code);
		else
			output_note(&v->out, "VM '%s' %s", vm, console_reasons[i].says);
		return console_reasons[i].status;
	}
	output_note(&v->out, "VM '%s' has ended (%s)", vm, reason);
	return EXIT_OK;
}

/* The stream has ended. vmd says why, if it was the VM's end. */
static int console_say_end(struct vmctl *v, const char *vm, int64_t wait_id)
{
	struct client_reply reply;
	struct err e;
	int status = EXIT_FAILED;

	if (client_wait(&v->client, wait_id, CONSOLE_END_MS, &reply, &e) >= 0)
		status = console_say_exit(v, vm, json_get(reply.result, "exit"));
	else if (e.code == ERR_TIMEOUT)
		output_note(&v->out,
			    "the console of '%s' was closed, the VM goes on: "
			    "somebody else took it?",
			    vm);
	else if (e.code == ERR_VM_NOT_FOUND)
		output_note(&v->out, "VM '%s' was deleted", vm);
	else
		output_note(&v->out, "the console of '%s' was closed: %s", vm, e.msg);
	client_reply_fini(&reply);
	return status;
}

static int console_talk(struct vmctl *v, const char *vm, int take_fd, bool send, int64_t wait_id)
{
	struct console_io io = { .in = fileno(v->in), .out = fileno(v->out.out), .send = send };
	enum console_end end = CONSOLE_CLOSED;
	int signum = 0, ret;
	struct err e;

	io.terminal = send && isatty(io.in) == 1;
	if (isatty(fileno(v->out.err)) == 1)
		output_note(&v->out, "console of '%s'; %s", vm,
			    io.terminal ? "Ctrl-] detaches"
			    : send	? "standard input goes to the guest"
					: "read only, Ctrl-C detaches");
	fflush(v->out.out);
	ret = console_run(&v->client.loop, take_fd, &io, &end, &signum, &e);
	if (ret < 0)
		return vmctl_fail(v, &e, NULL, "attach to the console of '%s'", vm);
	switch (end) {
	case CONSOLE_CLOSED:
		return console_say_end(v, vm, wait_id);
	case CONSOLE_SIGNAL:
		signal(signum, SIG_DFL);
		raise(signum);
		return 128 + signum;
	case CONSOLE_DETACHED:
		if (io.terminal)
			fputc('\n', v->out.err);
		output_note(&v->out, "detached from '%s', which goes on", vm);
		return EXIT_OK;
	case CONSOLE_OUTPUT:
		break;
	}
	return EXIT_FAILED;
}

static int console_resume(struct vmctl *v, const char *vm)
{
	struct client_reply reply;
	char op[100];
	int status;

	snprintf(op, sizeof(op), "resume '%.80s'", vm);
	status = vmctl_call(v, "vm.resume", json_add_str(json_new(), "vm", vm), &reply, op);
	client_reply_fini(&reply);
	return status;
}

/* Attach; with resume, let the vCPUs go once the stream is here. */
static int console_attach(struct vmctl *v, struct json_object *take_params, bool send, bool resume)
{
	const char *typed = v->args.operands[0];
	AUTO_FREE char *name = NULL;
	struct client_reply reply = { 0 };
	char op[160];
	int64_t wait_id;
	int fd, status;
	struct err e;

	snprintf(op, sizeof(op), "attach to the console of '%.100s'", typed);
	status = vmctl_call(v, "vm.console", take_params, &reply, op);
	if (status != EXIT_OK) {
		client_reply_fini(&reply);
		/* a VM without a console starts all the same */
		if (resume)
			console_resume(v, typed);
		return status;
	}
	name = strdup(json_get_str(reply.result, "name", typed));
	fd = fdset_take(&reply.fds, 0);
	client_reply_fini(&reply);
	if (fd < 0 || !name) {
		err_set(&e, ERR_FAILED, "vmd sent no descriptor");
		return vmctl_fail(v, &e, NULL, "%s", op);
	}
	/* asked for before the guest runs: its end is not missed, and not mixed up with a later one */
	wait_id = client_send(&v->client, "vm.wait",
			      json_add_str(json_add_str(json_new(), "vm", name), "for", "stopped"));
	if (resume)
		status = console_resume(v, name);
	if (status != EXIT_OK) {
		close(fd);
		return status;
	}
	return console_talk(v, name, fd, send, wait_id);
}

static struct json_object *console_params(const char *vm, const char *console, const char *mode)
{
	struct json_object *params = json_add_str(json_new(), "vm", vm);

	if (console)
		json_add_str(params, "console", console);
	return json_add_str(params, "mode", mode);
}

int cmd_console(struct vmctl *v)
{
	bool read_only = args_flag(&v->args, "read-only"), take = args_flag(&v->args, "take");
	const char *console = v->args.noperands > 1 ? v->args.operands[1] : NULL;
	struct json_object *params;

	if (read_only && take)
		return vmctl_usage(v, "--read-only and --take exclude each other");
	params = console_params(v->args.operands[0], console,
				read_only ? "read"
				: take	  ? "take"
					  : "write");
	if (args_flag(&v->args, "no-scrollback"))
		json_add_bool(params, "scrollback", false);
	return console_attach(v, params, !read_only, false);
}

static int start_console(struct vmctl *v)
{
	const char *vm = v->args.operands[0];
	struct client_reply reply = { 0 };
	char op[100];
	bool changed;
	int status;

	snprintf(op, sizeof(op), "start '%.80s'", vm);
	status = vmctl_call(v, "vm.start",
			    json_add_bool(json_add_str(json_new(), "vm", vm), "paused", true),
			    &reply, op);
	changed = json_get_bool(reply.result, "changed", true);
	if (status == EXIT_OK && !changed)
		output_note(&v->out, "%s: %s", json_get_str(reply.result, "name", vm),
			    json_get_str(reply.result, "note", "already running"));
	client_reply_fini(&reply);
	if (status != EXIT_OK)
		return status;
	if (!changed && args_flag(&v->args, "strict"))
		return EXIT_CONFLICT;
	return console_attach(v, console_params(vm, NULL, "write"), true, changed);
}

int cmd_start(struct vmctl *v)
{
	if (!args_flag(&v->args, "console"))
		return target_run(v);
	if (v->args.noperands > 1)
		return vmctl_usage(v, "--console takes one VM");
	if (args_flag(&v->args, "dry-run"))
		return vmctl_usage(v, "--console and --dry-run exclude each other");
	if (args_flag(&v->args, "no-wait"))
		return vmctl_usage(v, "--console and --no-wait exclude each other");
	if (v->out.format == OUTPUT_JSON)
		return vmctl_usage(v, "--console and --json exclude each other: "
				      "standard output is the guest's");
	return start_console(v);
}
