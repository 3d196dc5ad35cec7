// SPDX-License-Identifier: MIT
/* Images that a start opens are locked, and who has one that is not free: see gather.h. On the worker. */
#include "vmd/gather.h"

#include <sys/stat.h>
#include <unistd.h>

#include "lib/errcat.h"
#include "lib/imagelock.h"

int gather_lock(struct gather *g, const struct vmdef_file *file, int fd, struct err *e)
{
	int ret = vmdef_lock(file, fd, e);
	struct stat st;

	if (ret == -ERR_FILE_IN_USE)
		g->busy = fstat(fd, &st) < 0 ? 0 : st.st_ino;
	return ret;
}

int gather_in_use(struct gather *g, unsigned int tries, struct err *e)
{
	char who[96];

	if (imagelock_again(g->host, g->busy, tries, &g->holder))
		return 1;
	/* a VM of somebody else is nothing that the owner of this one need know of */
	imagelock_name(g->host, g->confined && g->holder != getpid() ? 0 : g->holder, who,
		       sizeof(who));
	return imagelock_blame(e, who);
}
