// SPDX-License-Identifier: MIT
/*
 * vmm, the monitor of one virtual machine: vmm(8). Under vmd with a control socket, or alone with a VM file.
 * Nothing here may end it with its starter: VMs outlive vmd.
 */
#include <errno.h>
#include <stdio.h>
#include <unistd.h>
#include <uv.h>

#include "vmm/caged.h"
#include "vmm/control.h"
#include "vmm/standalone.h"

#define MAIN_EXIT_FAULT 1

struct main_options {
	struct caged caged;
	struct standalone_options alone;
	enum log_level log_level;
};

enum main_option { MAIN_CONFIG = CAGED_OWN, MAIN_CONSOLE, MAIN_LEVEL, MAIN_MEMLOCK };

static const struct option main_long_options[] = {
	{ "config", required_argument, NULL, MAIN_CONFIG },
	{ "console", required_argument, NULL, MAIN_CONSOLE },
	{ "log-level", required_argument, NULL, MAIN_LEVEL },
	{ "memlock", required_argument, NULL, MAIN_MEMLOCK },
	CAGED_OPTIONS,
	{ NULL, 0, NULL, 0 },
};

static const char main_usage[] =
	"Usage: vmm --config FILE [--console ID] [OPTION]...\n"
	"       vmm --control-fd N [OPTION]...\n"
	"\n"
	"Runs one virtual machine on KVM.\n"
	"\n"
	"  --config FILE      a VM file (YAML or JSON; - is standard input), its console on\n"
	"                     stdin and stdout; Ctrl-] ends it\n"
	"  --console ID       which console; default: the first\n"
	"  --control-fd N     serve vmd on this listening socket instead\n"
	"  --root-fd N        enter this mount namespace, whose root is empty, and make none\n"
	"  --uid UID          become this user and group\n"
	"  --memlock BYTES    what devices of the host are going to pin\n"
	"  --seccomp MODE     a system call that is not allowed: kill (the default), errno,\n"
	"                     log, off\n"
	"  --log-level LEVEL  error, warn, info or debug; default: warn\n"
	"  --version, --help\n";

/* Beside what vmm itself may lock: known before its configuration is. */
static int main_memlock(struct caged *c)
{
	long v;

	if (caged_number(c, "number of bytes", LONG_MAX, &v) < 0)
		return -EINVAL;
	c->sandbox.memlock = (uint64_t)v;
	return 0;
}

static int main_option(struct main_options *o, int option)
{
	switch (option) {
	case MAIN_CONFIG:
		o->alone.config = optarg;
		return 0;
	case MAIN_CONSOLE:
		o->alone.console = optarg;
		return 0;
	case MAIN_LEVEL:
		if (!log_level_parse(optarg, &o->log_level))
			return 0;
		fprintf(stderr, "vmm: unknown log level '%s': error, warn, info or debug\n",
			optarg);
		return -EINVAL;
	case MAIN_MEMLOCK:
		return main_memlock(&o->caged);
	default:
		return caged_option(&o->caged, option);
	}
}

static int main_parse(int argc, char **argv, struct main_options *o)
{
	int option;

	while ((option = getopt_long(argc, argv, "", main_long_options, NULL)) != -1)
		if (main_option(o, option) < 0)
			return -EINVAL;
	if (o->caged.done)
		return 0;
	if (caged_no_more(&o->caged, argc, argv) < 0)
		return -EINVAL;
	if (!o->alone.config == (o->caged.control_fd < 0)) {
		fputs("vmm: either --config or --control-fd\n", stderr);
		return -EINVAL;
	}
	return 0;
}

static int main_control(struct caged *c, const struct log *log, struct err *e)
{
	struct control *control;
	uv_loop_t loop;
	int r;

	/* before the first byte that somebody sends */
	r = caged_enter(c, log, e);
	if (r < 0)
		return r;
	r = uv_loop_init(&loop);
	if (r < 0)
		return err_ret(e, r, "cannot make an event loop");
	r = control_new(&loop, c->control_fd, &c->sandbox, log, &control, e);
	if (r < 0)
		return r;
	while (!control_over(control))
		uv_run(&loop, UV_RUN_ONCE);
	_exit(control_status(control));
}

int main(int argc, char **argv)
{
	struct main_options o = { .caged = { .program = "vmm",
					     .usage = main_usage,
					     .control_fd = -1,
					     .sandbox = { .root_fd = -1 } },
				  .log_level = LOG_LEVEL_WARN };
	atomic_ulong dropped = 0;
	struct err e = { 0 };
	struct log log;
	int r;

	if (main_parse(argc, argv, &o) < 0)
		return CAGED_EXIT_USAGE;
	if (o.caged.done)
		return 0;
	caged_prepare();
	log_init(&log, STDERR_FILENO, o.log_level, o.caged.program);
	log.dropped = &dropped; /* vmd reads it from a FIFO, and may be away */
	o.alone.sandbox = &o.caged.sandbox;
	r = o.caged.control_fd >= 0 ? main_control(&o.caged, &log, &e)
				    : standalone_run(&o.alone, &log, &e);
	if (r >= 0)
		return r;
	caged_say(&o.caged, &e);
	return MAIN_EXIT_FAULT;
}
