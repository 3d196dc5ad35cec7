// SPDX-License-Identifier: MIT
/*
 * vmm, the monitor of one virtual machine: vmm(8). Under vmd with a control socket, or alone with a VM file.
 * Nothing here may end it with its starter: VMs outlive vmd.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#include "lib/errcat.h"
#include "vmm/control.h"
#include "vmm/standalone.h"

#define MAIN_EXIT_FAULT 1
#define MAIN_EXIT_USAGE 2

struct main_options {
	struct standalone_options alone;
	int control_fd; /* -1: alone */
	struct sandbox sandbox;
	enum log_level log_level;
	bool done; /* --help, --version: nothing else to do */
};

enum main_option {
	MAIN_CONFIG = 256,
	MAIN_CONSOLE,
	MAIN_LEVEL,
	MAIN_CONTROL,
	MAIN_ROOT,
	MAIN_UID,
	MAIN_MEMLOCK,
	MAIN_SECCOMP,
	MAIN_VERSION,
	MAIN_HELP
};

static const struct option main_long_options[] = {
	{ "config", required_argument, NULL, MAIN_CONFIG },
	{ "console", required_argument, NULL, MAIN_CONSOLE },
	{ "log-level", required_argument, NULL, MAIN_LEVEL },
	{ "control-fd", required_argument, NULL, MAIN_CONTROL },
	{ "root-fd", required_argument, NULL, MAIN_ROOT },
	{ "uid", required_argument, NULL, MAIN_UID },
	{ "memlock", required_argument, NULL, MAIN_MEMLOCK },
	{ "seccomp", required_argument, NULL, MAIN_SECCOMP },
	{ "version", no_argument, NULL, MAIN_VERSION },
	{ "help", no_argument, NULL, MAIN_HELP },
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

static int main_number(const char *text, long max, long *ret)
{
	char *end;
	long v;

	errno = 0;
	v = strtol(text, &end, 10);
	if (errno || *end || end == text || v < 0 || v > max)
		return -EINVAL;
	*ret = v;
	return 0;
}

static int main_fd(int *ret_fd)
{
	long v;

	if (main_number(optarg, 1 << 20, &v)) {
		fprintf(stderr, "vmm: '%s' is no file descriptor\n", optarg);
		return -EINVAL;
	}
	*ret_fd = (int)v;
	return 0;
}

static int main_uid(struct sandbox *s)
{
	long v;

	if (main_number(optarg, UINT32_MAX - 1, &v)) {
		fprintf(stderr, "vmm: '%s' is no user's number\n", optarg);
		return -EINVAL;
	}
	s->uid = (uid_t)v;
	s->has_uid = true;
	return 0;
}

/* Beside what vmm itself may lock: known before its configuration is. */
static int main_memlock(struct sandbox *s)
{
	long v;

	if (main_number(optarg, LONG_MAX, &v)) {
		fprintf(stderr, "vmm: '%s' is no number of bytes\n", optarg);
		return -EINVAL;
	}
	s->memlock = (uint64_t)v;
	return 0;
}

static int main_seccomp(struct sandbox *s)
{
	if (!seccomp_mode_parse(optarg, &s->seccomp))
		return 0;
	fprintf(stderr, "vmm: unknown seccomp mode '%s': kill, errno, log or off\n", optarg);
	return -EINVAL;
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
	case MAIN_CONTROL:
		return main_fd(&o->control_fd);
	case MAIN_ROOT:
		return main_fd(&o->sandbox.root_fd);
	case MAIN_UID:
		return main_uid(&o->sandbox);
	case MAIN_MEMLOCK:
		return main_memlock(&o->sandbox);
	case MAIN_SECCOMP:
		return main_seccomp(&o->sandbox);
	case MAIN_VERSION:
		printf("vmm %s\n", VERSION);
		o->done = true;
		return 0;
	case MAIN_HELP:
		fputs(main_usage, stdout);
		o->done = true;
		return 0;
	default:
		return -EINVAL; /* getopt has said it */
	}
}

static int main_parse(int argc, char **argv, struct main_options *o)
{
	int option;

	while ((option = getopt_long(argc, argv, "", main_long_options, NULL)) != -1)
		if (main_option(o, option) < 0)
			return -EINVAL;
	if (o->done)
		return 0;
	if (optind < argc) {
		fprintf(stderr, "vmm: unexpected '%s'\n", argv[optind]);
		return -EINVAL;
	}
	if (!o->alone.config == (o->control_fd < 0)) {
		fputs("vmm: either --config or --control-fd\n", stderr);
		return -EINVAL;
	}
	return 0;
}

/* 0, 1 and 2 are there, whoever started us; no file of ours lands on one of them. */
static void main_fill_stdio(void)
{
	int fd;

	do {
		fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	} while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd >= 0)
		close(fd);
}

/* Descriptors that came by accident would be the guest's to reach. */
static void main_close_others(int keep)
{
	if (keep > STDERR_FILENO + 1)
		(void)close_range(STDERR_FILENO + 1, (unsigned int)keep - 1, 0);
	(void)close_range((unsigned int)keep + 1, ~0u, 0);
}

/* What they would do by themselves, the cage forbids. */
static void main_quiet_libraries(void)
{
	/* a heap a thread would ask for the number of CPUs, and mprotect; ours allocate next to nothing */
	mallopt(M_ARENA_MAX, 1);
	/* libuv's own ring would be one that takes any operation (libuv 1.45 and later) */
	setenv("UV_USE_IO_URING", "0", 1);
}

static int main_fail(const struct err *e)
{
	fprintf(stderr, "vmm: %s\n", e->msg);
	if (e->hint[0])
		fprintf(stderr, "  hint: %s\n", e->hint);
	return MAIN_EXIT_FAULT;
}

static int main_control(int control_fd, struct sandbox *sandbox, const struct log *log)
{
	struct control *control;
	struct err e = { 0 };
	uv_loop_t loop;

	/* before the first byte that somebody sends */
	if (sandbox_enter(sandbox, log, &e) < 0)
		return main_fail(&e);
	main_close_others(control_fd);
	if (fcntl(control_fd, F_SETFD, FD_CLOEXEC)) {
		fprintf(stderr, "vmm: control socket %d: %s\n", control_fd, strerror(errno));
		return MAIN_EXIT_USAGE;
	}
	uv_loop_init(&loop);
	if (control_new(&loop, control_fd, sandbox, log, &control, &e) < 0)
		return main_fail(&e);
	while (!control_over(control))
		uv_run(&loop, UV_RUN_ONCE);
	_exit(control_status(control));
}

int main(int argc, char **argv)
{
	struct main_options o = { .control_fd = -1,
				  .sandbox = { .root_fd = -1 },
				  .log_level = LOG_LEVEL_WARN };
	atomic_ulong dropped = 0;
	struct err e = { 0 };
	struct log log;
	int r;

	if (main_parse(argc, argv, &o) < 0)
		return MAIN_EXIT_USAGE;
	if (o.done)
		return 0;
	main_fill_stdio();
	main_quiet_libraries();
	signal(SIGPIPE, SIG_IGN);
	log_init(&log, STDERR_FILENO, o.log_level, "vmm");
	log.dropped = &dropped; /* vmd reads it from a FIFO, and may be away */
	if (o.control_fd >= 0)
		return main_control(o.control_fd, &o.sandbox, &log);
	o.alone.sandbox = &o.sandbox;
	r = standalone_run(&o.alone, &log, &e);
	return r < 0 ? main_fail(&e) : r;
}
