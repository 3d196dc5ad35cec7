// SPDX-License-Identifier: MIT
/*
 * vmm-display, which shows the screen of one virtual machine to viewers: vmm-display(8). vmd starts it beside the VM's monitor, in a
 * cage like that one's; of the VM it has the screen's memory, read-only, and no more.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <uv.h>

#include "display/server.h"
#include "vmm/caged.h"

static const struct option main_long_options[] = { CAGED_OPTIONS, { NULL, 0, NULL, 0 } };

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

static int main_parse(int argc, char **argv, struct caged *c)
{
	int option;

	while ((option = getopt_long(argc, argv, "", main_long_options, NULL)) != -1)
		if (caged_option(c, option) < 0)
			return -EINVAL;
	if (c->done)
		return 0;
	if (caged_no_more(c, argc, argv) < 0)
		return -EINVAL;
	if (c->control_fd >= 0)
		return 0;
	fputs("vmm-display: --control-fd is needed; vmd gives it\n", stderr);
	return -EINVAL;
}

static int main_serve(struct caged *c, const struct log *log, struct err *e)
{
	struct server *server;
	uv_loop_t loop;
	int r = caged_enter(c, log, e);

	if (r < 0)
		return r;
	r = uv_loop_init(&loop);
	if (r < 0)
		return err_ret(e, r, "cannot make an event loop");
	r = server_new(&loop, c->control_fd, &c->sandbox, log, &server, e);
	if (r < 0)
		return r;
	while (server_status(server) < 0)
		uv_run(&loop, UV_RUN_ONCE);
	_exit(server_status(server));
}

int main(int argc, char **argv)
{
	struct caged c = { .program = "vmm-display",
			   .usage = main_usage,
			   .control_fd = -1,
			   .sandbox = { .root_fd = -1 } };
	atomic_ulong dropped = 0;
	struct err e = { 0 };
	struct log log;

	if (main_parse(argc, argv, &c) < 0)
		return CAGED_EXIT_USAGE;
	if (c.done)
		return 0;
	caged_prepare();
	log_init(&log, STDERR_FILENO, LOG_LEVEL_WARN, c.program);
	log.dropped = &dropped; /* vmd reads it from a FIFO, and may be away */
	main_serve(&c, &log, &e);
	caged_say(&c, &e);
	return EXIT_FAILURE;
}
