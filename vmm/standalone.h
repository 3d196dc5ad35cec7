/* SPDX-License-Identifier: MIT */
/* `vmm --config FILE`: one VM definition, run from a shell until it ends. Opens the paths that it names. */
#ifndef VMM_STANDALONE_H
#define VMM_STANDALONE_H

#include "lib/err.h"
#include "lib/log.h"
#include "vmm/sandbox.h"

struct standalone_options {
	const char *config;	 /* path, "-": standard input */
	const char *console;	 /* id of the one on stdin and stdout; NULL: the first */
	struct sandbox *sandbox; /* borrowed; entered once the files are open */
};

/*
 * Runs it, writes the last words to stderr and ends the process with lastwords_status. Comes back with e when
 * there never was a running machine: -errno or -ERR_…
 */
int standalone_run(const struct standalone_options *o, const struct log *log, struct err *e);

#endif
