// SPDX-License-Identifier: MIT
/*
 * vmm-display, which shows the screen of one virtual machine to viewers: vmm-display(8). vmd starts it beside the VM's monitor, in a
 * cage like that one's; of the VM it has the screen's memory, read-only, and no more.
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

#include "display/server.h"

#define MAIN_EXIT_USAGE 2

enum main_option { MAIN_CONTROL = 256, MAIN_ROOT, MAIN_UID, MAIN_SECCOMP, MAIN_VERSION, MAIN_HELP };

static const struct option main_long_options[] = {
	{ "control-fd", required_argument, NULL, MAIN_CONTROL },
	{ "root-fd", required_argument, NULL, MAIN_ROOT },
	{ "uid", required_argument, NULL, MAIN_UID },
	{ "seccomp", required_argument, NULL, MAIN_SECCOMP },
	{ "version", no_argument, NULL, MAIN_VERSION },
	{ "help", no_argument, NULL, MAIN_HELP },
	{ NULL, 0, NULL, 0 },
};

static const char main_usage[] =
	"Usage: vmm-display --control-fd N [OPTION]...\n"
	"\n"
	"Shows the screen of a virtual machine to VNC viewers; vmd starts it.\n"
	"\n"
	"  --control-fd N     serve vmd on this listening socket\n"
	"  --root-fd N        enter this mount namespace, whose root is empty, and make none\n"
	"  --uid UID          become this user and group\n"
	"  --seccomp MODE     a system call that is not allowed: kill (the default), errno,\n"
	"                     log, off\n"
	"  --version, --help\n";

struct main_options {
	int control_fd;
	struct sandbox sandbox;
	bool done;
};

static int main_number(const char *what, long max, long *ret)
{
	char *end;

	errno = 0;
	*ret = strtol(optarg, &end, 10);
	if (!errno && !*end && end != optarg && *ret >= 0 && *ret <= max)
		return 0;
	fprintf(stderr, "vmm-display: '%s' is no %s\n", optarg, what);
	return -EINVAL;
}

static int main_option(struct main_options *o, int option)
{
	long v = 0;
	int r = 0;

	switch (option) {
	case MAIN_CONTROL:
		r = main_number("file descriptor", 1 << 20, &v);
		o->control_fd = (int)v;
		return r;
	case MAIN_ROOT:
		r = main_number("file descriptor", 1 << 20, &v);
		o->sandbox.root_fd = (int)v;
		return r;
	case MAIN_UID:
		r = main_number("user's number", UINT32_MAX - 1, &v);
		o->sandbox.uid = (uid_t)v;
		o->sandbox.has_uid = true;
		return r;
	case MAIN_SECCOMP:
		if (!seccomp_mode_parse(optarg, &o->sandbox.seccomp))
			return 0;
		fprintf(stderr, "vmm-display: unknown seccomp mode '%s': kill, errno, log or off\n",
			optarg);
		return -EINVAL;
	case MAIN_VERSION:
		printf("vmm-display %s\n", VERSION);
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
		fprintf(stderr, "vmm-display: unexpected '%s'\n", argv[optind]);
		return -EINVAL;
	}
	if (o->control_fd >= 0)
		return 0;
	fputs("vmm-display: --control-fd is needed; vmd gives it\n", stderr);
	return -EINVAL;
}

/* What they would do by themselves, the cage forbids: a second heap, libuv's ring. */
static void main_quiet_libraries(void)
{
	mallopt(M_ARENA_MAX, 1);
	setenv("UV_USE_IO_URING", "0", 1);
}

int main(int argc, char **argv)
{
	struct main_options o = { .control_fd = -1, .sandbox = { .root_fd = -1 } };
	struct server *server;
	atomic_ulong dropped = 0;
	struct err e = { 0 };
	uv_loop_t loop;
	struct log log;

	if (main_parse(argc, argv, &o) < 0)
		return MAIN_EXIT_USAGE;
	if (o.done)
		return 0;
	main_quiet_libraries();
	signal(SIGPIPE, SIG_IGN);
	log_init(&log, STDERR_FILENO, LOG_LEVEL_WARN, "vmm-display");
	log.dropped = &dropped; /* vmd reads it from a FIFO, and may be away */
	if (sandbox_enter(&o.sandbox, &log, &e) < 0 || uv_loop_init(&loop) < 0 ||
	    server_new(&loop, o.control_fd, &o.sandbox, &log, &server, &e) < 0) {
		fprintf(stderr, "vmm-display: %s\n", e.code ? e.msg : "out of memory");
		return EXIT_FAILURE;
	}
	(void)fcntl(o.control_fd, F_SETFD, FD_CLOEXEC);
	while (server_status(server) < 0)
		uv_run(&loop, UV_RUN_ONCE);
	_exit(server_status(server));
}
