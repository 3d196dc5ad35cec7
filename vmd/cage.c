// SPDX-License-Identifier: MIT
/* The monitors' cages, vmd's part: see cage.h. On the loop's thread. */
#include "vmd/cage.h"

#include <unistd.h>

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
	emptyns_fini(&d->ns);
}

int cage_program(struct daemon *d, struct vmproc_program *ret_program, struct err *e)
{
	const struct daemon_options *o = d->options;
	struct vmproc_program p = {
		.vmm = o->vmm, .seccomp = o->seccomp, .ns = &d->ns, .uid = -1, .cgroup = -1
	};
	int ret = 0;

	if (geteuid() == 0)
		ret = state_process_free_uid(d->state, o->monitor_uid_first, o->monitor_uid_last,
					     &p.uid, e);
	if (ret < 0)
		return err_hint(e, "vmd --monitor-uids: a larger range");
	*ret_program = p;
	return 0;
}
