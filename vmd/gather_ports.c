// SPDX-License-Identifier: MIT
/*
 * Sockets and terminals of consoles' ports, got ready for a vmm: see gather.h. Sockets at a path of the definition are made with
 * the rights of a confined VM's owner, those in the folder of ours are given to the owner. On a worker.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/auto.h"
#include "lib/errcat.h"
#include "lib/hostport.h"
#include "vmd/gather.h"
#include "vmd/ident.h"
#include "vmd/ports.h"

static int gather_port_mkdir(const char *path, struct err *e)
{
	if ((mkdir(path, 0711) < 0 && errno != EEXIST) || chmod(path, 0711) < 0)
		return err_errno(e, "cannot make '%s'", path);
	return 0;
}

/* 1: what is made belongs to the VM's owner, until ident_leave; 0: that is vmd's user. No CAP_CHOWN is needed. */
static int gather_port_as_owner(const struct gather *g, struct ident *old, struct err *e)
{
	int ret = g->owner == geteuid() ? 0 : ident_make(g->owner, old, e);

	return ret < 0 ? ret : g->owner != geteuid();
}

/* The folder of ours beside the VM's run directory: only vmd writes to it, so that a path in it is what it seems. */
static int gather_port_own(struct gather *g, const char *path, struct err *e)
{
	const char *slash = strrchr(path, '/');
	struct ident old;
	char folder[128];
	int fd, ret;

	snprintf(folder, sizeof(folder), "%.*s", (int)(slash - path), path);
	*strrchr(folder, '/') = '\0';
	ret = gather_port_mkdir(folder, e);
	snprintf(folder, sizeof(folder), "%.*s", (int)(slash - path), path);
	if (ret >= 0)
		ret = gather_port_mkdir(folder, e);
	if (ret < 0)
		return ret;
	ret = gather_port_as_owner(g, &old, e);
	if (ret < 0)
		return ret;
	fd = hostport_socket(path, false, e);
	if (ret)
		ident_leave(&old);
	return fd;
}

static int gather_port_elsewhere(const struct gather *g, const char *path, struct err *e)
{
	struct ident old;
	int fd;

	if (!g->confined)
		return hostport_socket(path, false, e);
	fd = ident_enter(g->owner, &old, e);
	if (fd < 0)
		return fd;
	fd = hostport_socket(path, true, e);
	ident_leave(&old);
	return fd;
}

static int gather_port_socket(struct gather *g, struct hostport *p, struct err *e)
{
	const char *slash = strrchr(g->dir, '/');
	char ours[sizeof(g->dir) + 80];
	int fd;

	snprintf(ours, sizeof(ours), "%.*s/" PORTS_FOLDER "%s/%s", (int)(slash - g->dir), g->dir,
		 slash, p->name);
	uv_mutex_lock(g->ports_lock);
	if (!strcmp(p->path, ours)) /* and no other way there: one by `..` is the user's */
		fd = gather_port_own(g, p->path, e);
	else
		fd = gather_port_elsewhere(g, p->path, e);
	uv_mutex_unlock(g->ports_lock);
	if (fd < 0)
		return fd;
	if (p->display) {
		g->display.listen_fd = fd; /* no monitor's */
		return 0;
	}
	return hostport_give(p, "path", fd, &g->fds, e);
}

static int gather_port_pty(struct gather *g, struct hostport *p, struct err *e)
{
	int ret, master, slave;
	char name[HOSTPORT_PTY_MAX];
	struct ident old;

	ret = gather_port_as_owner(g, &old, e);
	if (ret < 0)
		return ret;
	master = hostport_pty(&slave, name, e);
	if (ret)
		ident_leave(&old);
	if (master < 0)
		return master;
	ret = hostport_give(p, "path", master, &g->fds, e);
	if (ret < 0) {
		close(slave);
		return ret;
	}
	json_add_str(g->ports, p->name, name);
	return hostport_give(p, "hold", slave, &g->fds, e);
}

static int gather_port(void *arg, struct hostport *p, struct err *e)
{
	struct gather *g = arg;

	if (!strcmp(p->backend, "pty"))
		return gather_port_pty(g, p, e);
	return p->path && !strcmp(p->backend, "socket") ? gather_port_socket(g, p, e) : 0;
}

int gather_ports(struct gather *g, struct err *e)
{
	return g->ports_lock ? hostport_each(g->config, gather_port, g, e) : 0;
}
