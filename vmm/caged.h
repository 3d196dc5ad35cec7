/* SPDX-License-Identifier: MIT */
/* What the programs of the cage, vmm and vmm-display, have in common before they enter it: options, and what is put away. */
#ifndef VMM_CAGED_H
#define VMM_CAGED_H

#include <getopt.h>
#include "vmm/sandbox.h"

#define CAGED_EXIT_USAGE 2

struct caged {
	const char *program;
	const char *usage; /* what --help prints */
	int control_fd;	   /* owned; -1: none was given */
	struct sandbox sandbox;
	bool done; /* --help, --version: nothing else to do */
};

enum caged_option {
	CAGED_CONTROL = 256,
	CAGED_ROOT,
	CAGED_UID,
	CAGED_SECCOMP,
	CAGED_VERSION,
	CAGED_HELP,
	CAGED_OWN, /* the first of the program's own */
};

/* clang-format off */
#define CAGED_OPTIONS                                              \
	{ "control-fd", required_argument, NULL, CAGED_CONTROL },  \
	{ "root-fd", required_argument, NULL, CAGED_ROOT },        \
	{ "uid", required_argument, NULL, CAGED_UID },             \
	{ "seccomp", required_argument, NULL, CAGED_SECCOMP },     \
	{ "version", no_argument, NULL, CAGED_VERSION },           \
	{ "help", no_argument, NULL, CAGED_HELP }
/* clang-format on */

/* optarg as a number of 0 to max; -EINVAL: "'x' is no WHAT" is on stderr. */
int caged_number(const struct caged *c, const char *what, long max, long *ret);
/* An option of getopt_long that is not the program's own. -EINVAL: what is wrong is on stderr. */
int caged_option(struct caged *c, int option);
/* Behind the last option nothing may stand: -EINVAL, and it is on stderr. */
int caged_no_more(const struct caged *c, int argc, char **argv);

/* First of all: 0, 1 and 2 are open, libraries begin nothing that the cage forbids, SIGPIPE is ignored. */
void caged_prepare(void);
/* The cage, with control_fd as the only descriptor beside those three. */
int caged_enter(struct caged *c, const struct log *log, struct err *e);
/* Why the program cannot go on, with the hint, on stderr. */
void caged_say(const struct caged *c, const struct err *e);

#endif
