/* SPDX-License-Identifier: MIT */
/* What vmm sends to vmd's log of a console: messages on a SOCK_SEQPACKET socket, cut to their length. */
#ifndef LIB_CONSOLE_LOG_H
#define LIB_CONSOLE_LOG_H

#include <stdint.h>

#define CONSOLE_LOG_CHUNK 4096

struct console_log_msg {
	uint64_t
		offset; /* of the first byte, in all that the guest has written since the machine was made */
	char data[CONSOLE_LOG_CHUNK];
};

#endif
