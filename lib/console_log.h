/* SPDX-License-Identifier: MIT */
/* What vmm gives to vmd's log of a console: messages on a SOCK_SEQPACKET socket, cut to their length. */
#ifndef LIB_CONSOLE_LOG_H
#define LIB_CONSOLE_LOG_H

#include <stdint.h>

#define CONSOLE_LOG_CHUNK 4096

struct console_log_msg {
	uint64_t
		offset; /* of the first byte, in all that the guest has written since the machine was made */
	char data[CONSOLE_LOG_CHUNK];
};

/*
 * What vmm leaves in a file when it ends while nobody logs a console: one of these for each console, each
 * followed by len bytes, the newest that it has.
 */
#define CONSOLE_TAIL_MAX (64 * 1024)

struct console_tail {
	char console[64]; /* its id, with a NUL */
	uint64_t offset;  /* as above */
	uint64_t len;	  /* CONSOLE_TAIL_MAX at most */
};

#endif
