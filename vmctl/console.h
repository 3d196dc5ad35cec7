/* SPDX-License-Identifier: MIT */
/*
 * A VM's console on this terminal: the guest's bytes to standard output, the keyboard (or whatever standard
 * input is) to the guest. On a terminal the keyboard is raw and Ctrl-] detaches; the terminal is put back
 * on every way out, signals too.
 */
#ifndef VMCTL_CONSOLE_H
#define VMCTL_CONSOLE_H

#include <uv.h>

#include "lib/err.h"

#define CONSOLE_ESCAPE 0x1d /* Ctrl-] */

enum console_end {
	CONSOLE_CLOSED,	  /* the stream ended: the VM did, or somebody took the console */
	CONSOLE_DETACHED, /* Ctrl-], or the terminal went away */
	CONSOLE_SIGNAL,	  /* ret_signal says which */
	CONSOLE_OUTPUT,	  /* standard output cannot be written */
};

struct console_io {
	int in, out;   /* borrowed */
	bool send;     /* in goes to the guest */
	bool terminal; /* in is one: raw, with the escape */
};

/* Turn the loop until the stream ends. take_fd: the stream socket. -errno when it cannot begin. */
int console_run(uv_loop_t *loop, int take_fd, const struct console_io *io,
		enum console_end *ret_end, int *ret_signal, struct err *e);

#endif
