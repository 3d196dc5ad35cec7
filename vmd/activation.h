/* SPDX-License-Identifier: MIT */
/*
 * Descriptors that the service manager hands over at the start, each with a name: listening sockets
 * (systemd.socket(5)) and what notify_store has had kept. The protocol is that of sd_listen_fds_with_names(3).
 * On the loop's thread.
 */
#ifndef VMD_ACTIVATION_H
#define VMD_ACTIVATION_H

#include "lib/err.h"

#define ACTIVATION_MAX 65536 /* descriptors */

struct activation_item {
	int fd;		  /* owned; -1 once taken */
	const char *name; /* in names */
};

struct activation {
	struct activation_item *items; /* owned */
	size_t n;
	char *names; /* owned */
};

/*
 * Takes LISTEN_FDS, LISTEN_FDNAMES and LISTEN_PID out of the environment. Nothing is handed over when they
 * are missing or for another process. All descriptors become CLOEXEC. Negative when they cannot be what
 * they say.
 */
int activation_init(struct activation *a, struct err *e);
/* Closes what was not taken. */
void activation_fini(struct activation *a);
/* The first descriptor of that name, now the caller's; -ENOENT. */
int activation_take(struct activation *a, const char *name);

#endif
