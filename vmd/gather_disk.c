// SPDX-License-Identifier: MIT
/* Images that a start opens are locked, and who has one that is not free: see gather.h. On the worker. */
#include "vmd/gather.h"

#include <sys/stat.h>
#include <time.h>

#include "lib/errcat.h"
#include "lib/imagelock.h"

#define GATHER_TRIES 100
#define GATHER_TRY_NS 20000000

int gather_lock(struct gather *g, const struct vmdef_file *file, int fd, struct err *e)
{
	int ret = vmdef_lock(file, fd, e);
	struct stat st;

	if (ret == -ERR_FILE_IN_USE)
		g->busy = fstat(fd, &st) < 0 ? 0 : st.st_ino;
	return ret;
}

/*
 * A process that is gone may still have it: the kernel closes what its io_uring used some time after its end, and
 * nothing tells when.
 */
int gather_in_use(struct gather *g, unsigned int tries, struct err *e)
{
	struct timespec pause = { .tv_nsec = GATHER_TRY_NS };
	char who[96];

	g->holder = imagelock_holder(g->host, g->busy);
	if (!g->holder && tries < GATHER_TRIES) {
		clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, NULL);
		return 1;
	}
	/* a VM of somebody else is nothing that the owner of this one need know of */
	imagelock_name(g->host, g->confined && g->holder != getpid() ? 0 : g->holder, who,
		       sizeof(who));
	return imagelock_blame(e, who);
}
