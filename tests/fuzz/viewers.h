/* SPDX-License-Identifier: MIT */
/* What the fuzz targets of vmm-display have in common: a socket where viewers connect, and no waiting for one. */
#ifndef TESTS_FUZZ_VIEWERS_H
#define TESTS_FUZZ_VIEWERS_H

#include <stdlib.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <uv.h>

#define VIEWERS_TURNS 4 /* of the loop, in which all that is there is read */

/* libvncserver waits by this alone, for the rest of what it reads or sends: whoever makes it wait holds up all viewers. */
int select(int n, fd_set *r, fd_set *w, fd_set *e, struct timeval *t)
{
	(void)n, (void)r, (void)w, (void)e, (void)t;
	__builtin_trap();
}

/* Listens, at an address of the kernel's choice. */
static inline int viewers_listen(struct sockaddr_un *at, socklen_t *len)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	*at = (struct sockaddr_un){ .sun_family = AF_UNIX };
	*len = sizeof(*at);
	if (fd < 0 || bind(fd, (struct sockaddr *)at, sizeof(at->sun_family)) < 0 ||
	    listen(fd, 16) < 0 || getsockname(fd, (struct sockaddr *)at, len) < 0)
		abort();
	return fd;
}

static inline int viewers_dial(const struct sockaddr_un *at, socklen_t len)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0 || connect(fd, (const struct sockaddr *)at, len) < 0)
		abort();
	return fd;
}

static inline void viewers_turn(uv_loop_t *loop)
{
	for (unsigned int i = 0; i < VIEWERS_TURNS; i++)
		uv_run(loop, UV_RUN_NOWAIT);
}

/* All that is there for it. */
static inline void viewers_drain(int fd)
{
	char bytes[65536];

	while (read(fd, bytes, sizeof(bytes)) > 0)
		;
}

#endif
