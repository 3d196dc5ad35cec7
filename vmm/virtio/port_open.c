// SPDX-License-Identifier: MIT
/* See port_open.h. Before the machine is made, and the cage. */
#include "vmm/virtio/port_open.h"

#include <string.h>
#include <unistd.h>

#include "lib/errcat.h"
#include "lib/hostport.h"

struct port_opener {
	const struct log *log;
	struct fdset *fds;
};

static int port_open_pty(struct port_opener *o, struct hostport *p, struct err *e)
{
	char name[HOSTPORT_PTY_MAX];
	int slave, master = hostport_pty(&slave, name, e), ret;

	if (master < 0)
		return master;
	ret = hostport_give(p, "path", master, o->fds, e);
	if (ret < 0) {
		close(slave);
		return ret;
	}
	/* shown at the level that there is without an option: nothing else tells */
	log_warn(o->log, "%s: port '%s' is %s", p->device, p->name, name);
	return hostport_give(p, "hold", slave, o->fds, e);
}

static int port_open_socket(struct port_opener *o, struct hostport *p, struct err *e)
{
	int fd;

	if (!p->path) {
		err_set(e, ERR_INVALID, "a socket needs a path");
		return err_hint(e, "vmd has a folder for those without one");
	}
	fd = hostport_socket(p->path, false, e);
	return fd < 0 ? fd : hostport_give(p, "path", fd, o->fds, e);
}

static int port_open_one(void *arg, struct hostport *p, struct err *e)
{
	if (!strcmp(p->backend, "pty"))
		return port_open_pty(arg, p, e);
	return !strcmp(p->backend, "socket") ? port_open_socket(arg, p, e) : 0;
}

int port_open_all(struct json_object *config, const struct log *log, struct fdset *fds,
		  struct err *e)
{
	struct port_opener o = { log, fds };

	return hostport_each(config, port_open_one, &o, e);
}
