// SPDX-License-Identifier: MIT
/* See caged.h. Called by main(), while the process has one thread. */
#include "vmm/caged.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define CAGED_MAX_FD (1 << 20)

int caged_number(const struct caged *c, const char *what, long max, long *ret)
{
	char *end;
	long v;

	errno = 0;
	v = strtol(optarg, &end, 10);
	if (errno || *end || end == optarg || v < 0 || v > max) {
		fprintf(stderr, "%s: '%s' is no %s\n", c->program, optarg, what);
		return -EINVAL;
	}
	*ret = v;
	return 0;
}

static int caged_fd(const struct caged *c, int *ret_fd)
{
	long v;

	if (caged_number(c, "file descriptor", CAGED_MAX_FD, &v) < 0)
		return -EINVAL;
	if (fcntl((int)v, F_SETFD, FD_CLOEXEC)) {
		fprintf(stderr, "%s: no file is open at descriptor %ld\n", c->program, v);
		return -EINVAL;
	}
	*ret_fd = (int)v;
	return 0;
}

static int caged_uid(struct caged *c)
{
	long v;

	if (caged_number(c, "user's number", UINT32_MAX - 1, &v) < 0)
		return -EINVAL;
	c->sandbox.uid = (uid_t)v;
	c->sandbox.has_uid = true;
	return 0;
}

static int caged_seccomp(struct caged *c)
{
	if (!seccomp_mode_parse(optarg, &c->sandbox.seccomp))
		return 0;
	fprintf(stderr, "%s: unknown seccomp mode '%s': kill, errno, log or off\n", c->program,
		optarg);
	return -EINVAL;
}

int caged_option(struct caged *c, int option)
{
	switch (option) {
	case CAGED_CONTROL:
		return caged_fd(c, &c->control_fd);
	case CAGED_ROOT:
		return caged_fd(c, &c->sandbox.root_fd);
	case CAGED_UID:
		return caged_uid(c);
	case CAGED_SECCOMP:
		return caged_seccomp(c);
	case CAGED_VERSION:
		printf("%s %s\n", c->program, VERSION);
		c->done = true;
		return 0;
	case CAGED_HELP:
		fputs(c->usage, stdout);
		c->done = true;
		return 0;
	default:
		return -EINVAL; /* getopt has said it */
	}
}

int caged_no_more(const struct caged *c, int argc, char **argv)
{
	if (optind >= argc)
		return 0;
	fprintf(stderr, "%s: unexpected '%s'\n", c->program, argv[optind]);
	return -EINVAL;
}

/* Whoever started us; no file of ours lands on one of them. */
static void caged_fill_stdio(void)
{
	int fd;

	do {
		fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	} while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd >= 0)
		close(fd);
}

void caged_prepare(void)
{
	caged_fill_stdio();
	/* a heap a thread would ask for the number of CPUs, and mprotect; ours allocate next to nothing */
	mallopt(M_ARENA_MAX, 1);
	/* libuv's own ring would be one that takes any operation (libuv 1.45 and later) */
	setenv("UV_USE_IO_URING", "0", 1);
	signal(SIGPIPE, SIG_IGN);
}

/* Descriptors that came by accident would be a guest's, or a viewer's, to reach. */
static void caged_close_others(int keep)
{
	if (keep > STDERR_FILENO + 1)
		(void)close_range(STDERR_FILENO + 1, (unsigned int)keep - 1, 0);
	(void)close_range((unsigned int)MAX(keep, STDERR_FILENO) + 1, ~0u, 0);
}

int caged_enter(struct caged *c, const struct log *log, struct err *e)
{
	int r = sandbox_enter(&c->sandbox, log, e);

	if (r < 0)
		return r;
	caged_close_others(c->control_fd);
	return 0;
}

void caged_say(const struct caged *c, const struct err *e)
{
	fprintf(stderr, "%s: %s\n", c->program, e->msg);
	if (e->hint[0])
		fprintf(stderr, "  hint: %s\n", e->hint);
}
