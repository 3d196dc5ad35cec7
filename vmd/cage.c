// SPDX-License-Identifier: MIT
/* The monitors' cages, vmd's part: see cage.h. On the loop's thread. */
#include "vmd/cage.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/errcat.h"

/* Byte N is locked by the vmd that may give user N away: a range that overlaps is found by the kernel. */
#define CAGE_UID_LOCK "/run/vmd-monitor-uids.lock"

static int cage_taken(const struct daemon *d, const struct flock *mine, struct err *e)
{
	struct flock other = *mine;
	char pid[16] = "unknown";

	if (fcntl(d->uid_lock_fd, F_GETLK, &other) < 0 || other.l_type == F_UNLCK)
		other = *mine; /* it has just ended */
	else if (other.l_pid > 0)
		snprintf(pid, sizeof(pid), "%d", (int)other.l_pid);
	err_set(e, ERR_BUSY, "another vmd has users %lld to %lld for its monitors: process %s",
		(long long)other.l_start, (long long)(other.l_start + other.l_len - 1), pid);
	return err_hint(e, "give this one a range of its own with --monitor-uids");
}

int cage_claim_uids(struct daemon *d, struct err *e)
{
	const struct daemon_options *o = d->options;
	const struct flock lock = { .l_type = F_WRLCK,
				    .l_whence = SEEK_SET,
				    .l_start = o->monitor_uid_first,
				    .l_len =
					    (off_t)o->monitor_uid_last - o->monitor_uid_first + 1 };

	if (geteuid() != 0)
		return 0;
	d->uid_lock_fd = open(CAGE_UID_LOCK, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (d->uid_lock_fd >= 0 && !fcntl(d->uid_lock_fd, F_SETLK, &lock))
		return 0;
	if (d->uid_lock_fd >= 0 && (errno == EAGAIN || errno == EACCES))
		return cage_taken(d, &lock, e);
	log_warn(&d->log, "users %u to %u may be those of another vmd's monitors, too: '%s': %s",
		 (unsigned int)o->monitor_uid_first, (unsigned int)o->monitor_uid_last,
		 CAGE_UID_LOCK, strerror(errno));
	return 0;
}

void cage_init(struct daemon *d)
{
	struct err e;

	if (geteuid() != 0)
		log_warn(&d->log,
			 "not root: monitors run as user %u too, and make their own cage as far"
			 " as they may",
			 (unsigned int)geteuid());
	else if (emptyns_make(&d->ns, &e) < 0)
		log_warn(&d->log, "no empty namespaces for monitors, each has to make its own: %s",
			 e.msg);
}

void cage_fini(struct daemon *d)
{
	if (d->uid_lock_fd >= 0)
		close(d->uid_lock_fd);
	emptyns_fini(&d->ns);
}

void cage_program(const struct daemon *d, struct vmproc_program *ret_program)
{
	*ret_program = (struct vmproc_program){
		.vmm = d->options->vmm, .seccomp = d->options->seccomp, .ns = &d->ns, .cgroup = -1
	};
}

int cage_uid(struct daemon *d, int64_t *ret_uid, struct err *e)
{
	const struct daemon_options *o = d->options;
	int ret;

	if (geteuid() != 0) {
		*ret_uid = -1;
		return 0;
	}
	ret = state_process_free_uid(d->state, o->monitor_uid_first, o->monitor_uid_last, ret_uid,
				     e);
	return ret < 0 ? err_hint(e, "vmd --monitor-uids: a larger range") : ret;
}
