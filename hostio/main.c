// SPDX-License-Identifier: MIT
/* vmd-hostio: carries out vmd's writes to the host. See step.h and vmd-hostio(8). */
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "hostio/real.h"
#include "hostio/step.h"
#include "lib/errcat.h"

static int main_usage(int status)
{
	fprintf(status ? stderr : stdout,
		"usage: vmd-hostio [--sysroot DIR] [--parent PID]\n"
		"Reads steps from standard input, one JSON object a line, and answers each: "
		"vmd-hostio(8).\n");
	return status;
}

static int main_version(void)
{
	printf("vmd-hostio " VERSION "\n");
	return EXIT_OK;
}

int main(int argc, char **argv)
{
	static const struct option table[] = {
		{ "sysroot", required_argument, NULL, 'r' },
		{ "parent", required_argument, NULL, 'p' },
		{ "version", no_argument, NULL, 'v' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	const char *root = "/";
	struct kernel k;
	struct err e = { 0 };
	int c, parent = 0, ret;

	while ((c = getopt_long(argc, argv, "", table, NULL)) != -1) {
		if (c == 'r')
			root = optarg;
		else if (c == 'p')
			parent = atoi(optarg);
		else if (c == 'v')
			return main_version();
		else
			return main_usage(c == 'h' ? EXIT_OK : EXIT_USAGE);
	}
	if (optind < argc)
		return main_usage(EXIT_USAGE);
	signal(SIGPIPE, SIG_IGN);
	/* whatever vmd was started with is not for here: a lock or a device held in a hanging helper stays held */
	close_range(3, ~0u, 0);
	ret = real_init(&k, root, &e);
	if (ret >= 0) {
		k.parent = parent;
		ret = step_serve(&k, &e);
		hostfs_fini(&k.fs);
	}
	if (ret < 0)
		fprintf(stderr, "vmd-hostio: %s\n", e.msg);
	return ret < 0 ? EXIT_FAILED : EXIT_OK;
}
