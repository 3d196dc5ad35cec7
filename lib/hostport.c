// SPDX-License-Identifier: MIT
/* See hostport.h. No state. */
#include "lib/hostport.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <termios.h>
#include <unistd.h>

#include "lib/auto.h"
#include "lib/errcat.h"
#include "lib/vmdef.h"

#define HOSTPORT_BACKLOG 4 /* clients that wait for the one before them to leave */

/* --- the configuration ------------------------------------------------------------------------------------- */

static int hostport_each_of(struct json_object *device,
			    int (*each)(void *arg, struct hostport *p, struct err *e), void *arg,
			    struct err *e)
{
	struct json_object *ports = json_get(device, "ports");
	size_t n =
		json_object_is_type(ports, json_type_array) ? json_object_array_length(ports) : 0;
	int ret = 0;

	for (size_t i = 0; i < n && ret >= 0; i++) {
		struct json_object *o = json_object_array_get_idx(ports, i);
		struct hostport p = { .device = json_get_str(device, "id", ""),
				      .name = json_get_str(o, "name", ""),
				      .backend = json_get_str(o, "backend", "socket"),
				      .path = json_get_str(o, "path", NULL),
				      .json = o };

		ret = each(arg, &p, e);
		if (ret < 0)
			err_wrap(e, "device '%s', port '%s'", p.device, p.name);
	}
	return ret;
}

static int hostport_each_display(struct json_object *config,
				 int (*each)(void *arg, struct hostport *p, struct err *e),
				 void *arg, struct err *e)
{
	struct json_object *o = json_get(config, "display");
	struct hostport p = { .device = "display",
			      .name = HOSTPORT_DISPLAY,
			      .backend = "socket",
			      .path = json_get_str(o, "path", NULL),
			      .json = o,
			      .display = true };
	int ret = !o || json_get(o, "port") ? 0 : each(arg, &p, e);

	return ret < 0 ? err_wrap(e, "display") : ret;
}

int hostport_each(struct json_object *config,
		  int (*each)(void *arg, struct hostport *p, struct err *e), void *arg,
		  struct err *e)
{
	struct json_object *devices = json_get(config, "devices");
	size_t n = devices ? json_object_array_length(devices) : 0;
	int ret = 0;

	for (size_t i = 0; i < n && ret >= 0; i++)
		ret = hostport_each_of(json_object_array_get_idx(devices, i), each, arg, e);
	if (ret >= 0)
		ret = hostport_each_display(config, each, arg, e);
	return MIN(ret, 0);
}

int hostport_give(struct hostport *p, const char *key, int take_fd, struct fdset *fds,
		  struct err *e)
{
	int index = fdset_add(fds, take_fd);

	if (index < 0)
		return err_ret(e, index, "too many files");
	json_add(p->json, key, json_add_int(json_new(), "fd", index));
	return 0;
}

/* --- sockets ----------------------------------------------------------------------------------------------- */

/* The place of a socket: of a confined one by its folder, so that no link on the way to it counts twice. */
struct hostport_place {
	int folder; /* owned; -1: none */
	struct sockaddr_un un;
};

static int hostport_place(const char *path, bool confined, struct hostport_place *ret,
			  struct err *e)
{
	const char *name = "";

	*ret = (struct hostport_place){ .folder = -1, .un.sun_family = AF_UNIX };
	if (strlen(path) >= sizeof(ret->un.sun_path))
		return err_set(e, ENAMETOOLONG, "more than %zu bytes",
			       sizeof(ret->un.sun_path) - 1);
	snprintf(ret->un.sun_path, sizeof(ret->un.sun_path), "%s", path);
	if (!confined)
		return 0;
	ret->folder = vmdef_open_folder(path, true, &name, e);
	if (ret->folder < 0)
		return ret->folder;
	if (snprintf(ret->un.sun_path, sizeof(ret->un.sun_path), "/proc/self/fd/%d/%s", ret->folder,
		     name) >= (int)sizeof(ret->un.sun_path))
		return err_set(e, ENAMETOOLONG, "its name is too long");
	return 0;
}

static void hostport_place_fini(struct hostport_place *p)
{
	if (p->folder >= 0)
		close(p->folder);
}

/*
 * Is it a socket that no process has any more? Asked with the wrong type, so that nobody who listens there is
 * called: the kernel looks for whose it is first.
 */
static int hostport_is_dead(const struct hostport_place *p)
{
	AUTO_CLOSE int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct stat st;

	if (fd < 0 || lstat(p->un.sun_path, &st) < 0 || !S_ISSOCK(st.st_mode))
		return 0;
	if (connect(fd, (const struct sockaddr *)&p->un, sizeof(p->un)) < 0 &&
	    errno == ECONNREFUSED)
		return 1;
	return -EBUSY;
}

static int hostport_bind(int fd, const struct hostport_place *p)
{
	const struct sockaddr *at = (const struct sockaddr *)&p->un;
	int ret = bind(fd, at, sizeof(p->un));

	if (ret < 0 && errno == EADDRINUSE) {
		if (hostport_is_dead(p) > 0 && !unlink(p->un.sun_path))
			ret = bind(fd, at, sizeof(p->un));
		else
			errno = EADDRINUSE;
	}
	return ret;
}

static int hostport_socket_error(const char *path, int error, struct err *e)
{
	err_set(e, ERR_FILE, "socket '%s': %s", path, strerror(error));
	if (error == EADDRINUSE)
		return err_hint(e, "something is there that a program has, or that is no socket: "
				   "ss -xlp; or give the port another path");
	return -ERR_FILE;
}

int hostport_socket(const char *path, bool confined, struct err *e)
{
	AUTO_CLOSE int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct hostport_place place;
	struct err why;
	int ret, error;

	if (fd < 0)
		return hostport_socket_error(path, errno, e);
	ret = hostport_place(path, confined, &place, &why);
	if (ret < 0) {
		hostport_place_fini(&place);
		return err_set(e, ERR_FILE, "socket '%s': %s", path, why.msg);
	}
	ret = fchmod(fd, 0600); /* before it is there */
	if (ret >= 0)
		ret = hostport_bind(fd, &place);
	if (ret >= 0)
		ret = listen(fd, HOSTPORT_BACKLOG);
	error = errno;
	hostport_place_fini(&place);
	return ret < 0 ? hostport_socket_error(path, error, e) : TAKE_FD(fd);
}

int hostport_remove(const char *path, bool confined)
{
	struct hostport_place place;
	int ret = hostport_place(path, confined, &place, NULL);

	if (ret >= 0)
		ret = hostport_is_dead(&place);
	if (ret > 0)
		ret = !unlink(place.un.sun_path);
	hostport_place_fini(&place);
	return ret;
}

/* --- terminals --------------------------------------------------------------------------------------------- */

static int hostport_pty_open(int *ret_master, char ret_name[static HOSTPORT_PTY_MAX])
{
	AUTO_CLOSE int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
	AUTO_CLOSE int slave = -1;
	struct termios raw;

	if (master < 0 || grantpt(master) < 0 || unlockpt(master) < 0 ||
	    ptsname_r(master, ret_name, HOSTPORT_PTY_MAX))
		return -1;
	slave = open(ret_name, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (slave < 0 || tcgetattr(slave, &raw) < 0)
		return -1;
	cfmakeraw(&raw); /* without it the guest would hear itself */
	if (tcsetattr(slave, TCSANOW, &raw) < 0 || fchmod(slave, 0600) < 0)
		return -1;
	*ret_master = TAKE_FD(master);
	return TAKE_FD(slave);
}

int hostport_pty(int *ret_slave, char ret_name[static HOSTPORT_PTY_MAX], struct err *e)
{
	int master, slave = hostport_pty_open(&master, ret_name);

	if (slave < 0)
		return err_set(e, ERR_FILE, "a terminal: %s", strerror(errno));
	*ret_slave = slave;
	return master;
}
