/* SPDX-License-Identifier: MIT */
/* vmd's command line. */
#ifndef VMD_OPTIONS_H
#define VMD_OPTIONS_H

#include "vmd/daemon.h"

struct options {
	struct daemon_options daemon;
	const char *check; /* --check FILE, or NULL */
	bool foreground, version, help;
	char vmm_path[4096], hostio_path[4096], display_path[4096];
};

/* -EINVAL with what is wrong with the command line. */
int options_parse(struct options *o, int argc, char **argv, struct err *e);
void options_help(void);

#endif
