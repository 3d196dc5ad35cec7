// SPDX-License-Identifier: MIT
/* vmd-hostsim: a host that does not exist, and vmd-hostio for it. See sim.h and vmd-hostsim(8). */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "hostio/sim.h"
#include "hostio/step.h"
#include "lib/errcat.h"

struct sim_options {
	const char *sysroot, *make, *reboot;
	bool renumber;
	int parent;
	struct sim_host host;
};

static int sim_main_usage(int status)
{
	fprintf(status ? stderr : stdout, "usage: vmd-hostsim --sysroot DIR [--parent PID]\n"
					  "       vmd-hostsim --make DIR [--pfs N] [--vfs N] "
					  "[--nvmes N] [--no-iommu] [--iommufd]\n"
					  "       vmd-hostsim --reboot DIR [--renumber]\n"
					  "A host that does not exist, to try SR-IOV with vmd "
					  "--sysroot DIR: vmd-hostsim(8).\n");
	return status;
}

static int sim_main_number(const char *text, unsigned int most, unsigned int *ret_n)
{
	char *end;
	unsigned long n = strtoul(text, &end, 10);

	if (*end || end == text || n > most)
		return -EINVAL;
	*ret_n = (unsigned int)n;
	return 0;
}

static int sim_main_option(struct sim_options *o, int c, const char *value)
{
	switch (c) {
	case 's':
		o->sysroot = value;
		return 0;
	case 'p':
		o->parent = atoi(value);
		return 0;
	case 'm':
		o->make = value;
		return 0;
	case 'r':
		o->reboot = value;
		return 0;
	case 'R':
		o->renumber = true;
		return 0;
	case 'f':
		return sim_main_number(value, SIM_PFS_MAX, &o->host.pfs);
	case 'v':
		return sim_main_number(value, SIM_VFS_MAX, &o->host.vfs);
	case 'n':
		return sim_main_number(value, SIM_NVMES_MAX, &o->host.nvmes);
	case 'i':
		o->host.iommu = false;
		return 0;
	case 'I':
		o->host.iommufd = true;
		return 0;
	default:
		return -EINVAL;
	}
}

static int sim_main_serve(const struct sim_options *o, struct err *e)
{
	struct kernel k;
	int ret;

	signal(SIGPIPE, SIG_IGN);
	/* whatever vmd was started with is not for here: a lock or a device held in a hanging helper stays held */
	close_range(3, ~0u, 0);
	ret = sim_init(&k, o->sysroot, e);
	if (ret < 0)
		return ret;
	k.parent = o->parent;
	ret = step_serve(&k, e);
	hostfs_fini(&k.fs);
	return ret;
}

int main(int argc, char **argv)
{
	static const struct option table[] = {
		{ "sysroot", required_argument, NULL, 's' },
		{ "parent", required_argument, NULL, 'p' },
		{ "make", required_argument, NULL, 'm' },
		{ "pfs", required_argument, NULL, 'f' },
		{ "vfs", required_argument, NULL, 'v' },
		{ "nvmes", required_argument, NULL, 'n' },
		{ "no-iommu", no_argument, NULL, 'i' },
		{ "iommufd", no_argument, NULL, 'I' },
		{ "reboot", required_argument, NULL, 'r' },
		{ "renumber", no_argument, NULL, 'R' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ 0 },
	};
	struct sim_options o = { .host = { .pfs = 2, .vfs = 8, .nvmes = 1, .iommu = true } };
	struct err e = { 0 };
	int c, ret;

	while ((c = getopt_long(argc, argv, "", table, NULL)) != -1) {
		if (c == 'h')
			return sim_main_usage(EXIT_OK);
		if (c == 'V') {
			printf("vmd-hostsim " VERSION "\n");
			return EXIT_OK;
		}
		if (sim_main_option(&o, c, optarg) < 0)
			return sim_main_usage(EXIT_USAGE);
	}
	if (optind < argc || !!o.sysroot + !!o.make + !!o.reboot != 1)
		return sim_main_usage(EXIT_USAGE);
	ret = o.make	 ? sim_make(o.make, &o.host, &e)
	      : o.reboot ? sim_reboot(o.reboot, o.renumber, &e)
			 : sim_main_serve(&o, &e);
	if (ret < 0)
		fprintf(stderr, "vmd-hostsim: %s\n", e.msg);
	return ret < 0 ? EXIT_FAILED : EXIT_OK;
}
