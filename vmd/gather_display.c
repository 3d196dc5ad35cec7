// SPDX-License-Identifier: MIT
/*
 * What a VM's screen needs so that viewers can look at it (schemas/vm.json, "display"): see gather.h. The screen's memory becomes a
 * file, which the monitor gets, and a read-only descriptor of it for whom it tells; the listening socket is made here, and the
 * password read with the rights of a confined VM's owner. On a worker.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/auto.h"
#include "lib/errcat.h"
#include "lib/vmdef.h"
#include "vmd/gather.h"
#include "vmd/ident.h"

#define GATHER_SCREEN_MEMORY (16 * MIB) /* vmm/display/vga_impl.h */
#define GATHER_VIEWERS 4		/* that wait for the one before them to be greeted */

/* --- who may look -------------------------------------------------------------------------------------------- */

static int gather_password_refuse(const char *path, const char *what, struct err *e)
{
	err_set(e, ERR_FILE, "VNC password file '%s': %s", path, what);
	return err_hint(e, "one line of 1 to %d characters: the protocol has no longer ones",
			GATHER_PASSWORD_MAX);
}

static int gather_password_open(const struct gather *g, const char *path, struct err *e)
{
	struct vmdef_file file = { .path = path,
				   .open_flags = O_RDONLY | O_CLOEXEC,
				   .confined = g->confined,
				   .what = "VNC password file" };
	struct ident old;
	int fd;

	if (!g->confined)
		return vmdef_open(&file, e);
	fd = ident_enter(g->owner, &old, e);
	if (fd < 0)
		return fd;
	fd = vmdef_open(&file, e);
	ident_leave(&old);
	return fd;
}

/* The first line of text is the password. */
static int gather_password_take(struct gather *g, const char *path, char *text, struct err *e)
{
	text[strcspn(text, "\r\n")] = '\0';
	if (!*text)
		return gather_password_refuse(path, "it is empty", e);
	if (strlen(text) > GATHER_PASSWORD_MAX)
		return gather_password_refuse(path, "a password of more than 8 characters", e);
	snprintf(g->display.password, sizeof(g->display.password), "%s", text);
	return 0;
}

static int gather_password(struct gather *g, const char *path, struct err *e)
{
	AUTO_CLOSE int fd = gather_password_open(g, path, e);
	char text[GATHER_PASSWORD_MAX + 3] = "";
	ssize_t n;
	int ret;

	if (fd < 0)
		return e ? (e->code = ERR_FILE, -ERR_FILE) : -ERR_FILE;
	n = fdio_read(fd, text, sizeof(text) - 1);
	ret = n < 0 ? gather_password_refuse(path, strerror((int)-n), e)
		    : gather_password_take(g, path, text, e);
	explicit_bzero(text, sizeof(text)); /* whatever it was */
	return ret;
}

/* --- where they connect ---------------------------------------------------------------------------------------- */

static int gather_listen(uint16_t port, struct err *e)
{
	const struct sockaddr_in at = { .sin_family = AF_INET,
					.sin_port = htons(port),
					.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	AUTO_CLOSE int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	const int one = 1;

	if (fd >= 0 && !setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) &&
	    !bind(fd, (const struct sockaddr *)&at, sizeof(at)) && !listen(fd, GATHER_VIEWERS))
		return TAKE_FD(fd);
	err_set(e, ERR_FILE, "display: port %u of 127.0.0.1: %s", port, strerror(errno));
	return err_hint(e, "ss -ltnp shows who has it; or give the display another port");
}

/* --- what they see ------------------------------------------------------------------------------------------------ */

/* Its size is for good: whoever maps it is not surprised. */
static int gather_memory(struct err *e)
{
	AUTO_CLOSE int fd = memfd_create("screen", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd >= 0 && !ftruncate(fd, GATHER_SCREEN_MEMORY) &&
	    !fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL))
		return TAKE_FD(fd);
	return err_errno(e, "cannot make the memory of the screen");
}

/* An own open file description, so that nobody writes by it. */
static int gather_read_only(int fd, struct err *e)
{
	char path[32];
	int view;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	view = open(path, O_RDONLY | O_CLOEXEC);
	return view < 0 ? err_errno(e, "cannot open the memory of the screen") : view;
}

static int gather_give(struct gather *g, struct json_object *device, const char *key, int take_fd,
		       struct err *e)
{
	int index = fdset_add(&g->fds, take_fd);

	if (index < 0)
		return err_ret(e, index, "too many files");
	json_add(device, key, json_add_int(json_new(), "fd", index));
	return 0;
}

static int gather_screen(struct gather *g, struct err *e)
{
	struct json_object *devices = json_get(g->config, "devices");
	size_t n = devices ? json_object_array_length(devices) : 0;

	for (size_t i = 0; i < n; i++) {
		struct json_object *d = json_object_array_get_idx(devices, i);
		int fd, view, ret;

		if (strcmp(json_get_str(d, "type", ""), "vga") != 0)
			continue;
		fd = gather_memory(e);
		if (fd < 0)
			return fd;
		view = gather_read_only(fd, e);
		ret = gather_give(g, d, "memory", fd, e);
		if (view < 0)
			return view;
		if (ret >= 0)
			return gather_give(g, d, "view", view, e);
		close(view);
		return ret;
	}
	return 0;
}

int gather_display(struct gather *g, struct err *e)
{
	struct json_object *display = json_get(g->config, "display");
	const char *password = json_get_str(display, "password_file", NULL);
	int64_t port = json_get_int(display, "port", 0);
	int ret = 0;

	if (!display)
		return 0;
	if (password)
		ret = gather_password(g, password, e);
	if (ret >= 0 && port && g->dir[0])
		ret = g->display.listen_fd = gather_listen((uint16_t)port, e);
	if (ret >= 0 && g->dir[0])
		ret = gather_screen(g, e);
	/* the monitor has nothing to do with it */
	g->display.config = json_object_get(display);
	json_object_object_del(g->config, "display");
	return MIN(ret, 0);
}

void gather_display_fini(struct gather_display *d)
{
	if (d->listen_fd >= 0)
		close(d->listen_fd);
	json_object_put(d->config);
	explicit_bzero(d->password, sizeof(d->password));
	*d = (struct gather_display){ .listen_fd = -1 };
}

/* --- the process that shows it ---------------------------------------------------------------------------------- */

static int gather_viewer_dir(const char *dir, struct err *e)
{
	char parent[sizeof(((struct gather *)0)->viewer_dir)];

	snprintf(parent, sizeof(parent), "%s", dir);
	*strrchr(parent, '/') = '\0';
	if (mkdir(parent, 0700) < 0 && errno != EEXIST)
		return err_errno(e, "cannot make '%s'", parent);
	if (mkdir(dir, 0700) < 0 && errno != EEXIST)
		return err_errno(e, "cannot make '%s'", dir);
	return 0;
}

int gather_viewer_run(struct gather *g, struct err *e)
{
	AUTO_CLOSE int cgroup = -1;
	int ret = 0;

	if (g->display.listen_fd < 0) {
		ret = gather_ports(g, e);
		if (ret >= 0)
			ret = gather_display(g, e);
	}
	if (ret >= 0)
		ret = gather_viewer_dir(g->viewer_dir, e);
	if (ret < 0)
		return ret;
	/* that of the monitor; one that has just gone is of a VM that has */
	if (g->cgroup[0]) {
		cgroup = open(g->cgroup, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (cgroup < 0)
			return err_errno(e, "control group '%s'", g->cgroup);
	}
	g->program.cgroup = cgroup;
	return vmproc_prepare(g->viewer_dir, &g->program, &g->child, e);
}
