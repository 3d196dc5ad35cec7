// SPDX-License-Identifier: MIT
/*
 * sd_notify(3) and sd_watchdog_enabled(3): see notify.h. The protocol is a datagram of lines, which needs no
 * library. A service manager that does not read must not hold up the loop: but for READY, before which
 * nobody is served, a datagram that does not go at once is lost. On the loop's thread.
 */
#include "vmd/notify.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/fdio.h"

#define NOTIFY_TEXT 256
#define NOTIFY_READY_S 2 /* for the service manager to take READY */

static int notify_connect(const char *path)
{
	struct timeval limit = { .tv_sec = NOTIFY_READY_S };
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	size_t len = strlen(path);
	int fd;

	if ((path[0] != '/' && path[0] != '@') || len >= sizeof(addr.sun_path))
		return -EINVAL;
	memcpy(addr.sun_path, path, len);
	if (path[0] == '@')
		addr.sun_path[0] = '\0'; /* an abstract name */
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	if (connect(fd, (struct sockaddr *)&addr,
		    (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)) < 0) {
		int ret = -errno;

		close(fd);
		return ret;
	}
	return fd;
}

static uint64_t notify_watchdog_ms(const struct log *log)
{
	const char *usec = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");
	unsigned long long value;
	char *end;

	if (!usec || (pid && atoll(pid) != getpid()))
		return 0;
	errno = 0;
	value = strtoull(usec, &end, 10);
	if (errno || *end || end == usec || value < 2000) {
		log_warn(log, "WATCHDOG_USEC is no interval: '%.32s'", usec);
		return 0;
	}
	return value / 1000;
}

void notify_init(struct notify *n, const struct log *log)
{
	const char *path = getenv("NOTIFY_SOCKET");

	*n = (struct notify){ .log = log, .fd = -1 };
	if (path && path[0]) {
		n->fd = notify_connect(path);
		if (n->fd < 0)
			log_warn(log, "cannot reach the service manager at '%s': %s", path,
				 strerror(-n->fd));
	}
	if (n->fd >= 0)
		n->watchdog_ms = notify_watchdog_ms(log);
	unsetenv("NOTIFY_SOCKET");
	unsetenv("WATCHDOG_USEC");
	unsetenv("WATCHDOG_PID");
}

void notify_fini(struct notify *n)
{
	if (n->fd >= 0)
		close(n->fd);
	n->fd = -1;
}

static void notify_send(struct notify *n, const char *text, int fd, int flags)
{
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	struct iovec iov = { .iov_base = (char *)text, .iov_len = strlen(text) };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (n->fd < 0)
		return;
	if (fd >= 0) {
		msg.msg_control = &control;
		msg.msg_controllen = sizeof(control.space);
		control.header = (struct cmsghdr){ .cmsg_level = SOL_SOCKET,
						   .cmsg_type = SCM_RIGHTS,
						   .cmsg_len = CMSG_LEN(sizeof(int)) };
		memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
	}
	if (sendmsg(n->fd, &msg, MSG_NOSIGNAL | flags) < 0)
		log_debug(n->log, "cannot tell the service manager '%.32s': %s", text,
			  strerror(errno));
}

static void notify_beat(uv_timer_t *timer)
{
	notify_send(container_of(timer, struct notify, watchdog), "WATCHDOG=1\n", -1, MSG_DONTWAIT);
}

void notify_ready(struct notify *n, uv_loop_t *loop)
{
	notify_send(n, "READY=1\n", -1, 0);
	if (!n->watchdog_ms)
		return;
	uv_timer_init(loop, &n->watchdog);
	uv_timer_start(&n->watchdog, notify_beat, 0, MAX(n->watchdog_ms / 2, 1));
	n->watching = true;
}

void notify_stopping(struct notify *n)
{
	notify_send(n, "STOPPING=1\n", -1, MSG_DONTWAIT);
	if (n->watching)
		uv_close((uv_handle_t *)&n->watchdog, NULL);
	n->watching = false;
}

void notify_status(struct notify *n, const char *fmt, ...)
{
	char text[NOTIFY_TEXT] = "STATUS=";
	size_t at = strlen(text);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text + at, sizeof(text) - at, fmt, ap);
	va_end(ap);
	notify_send(n, text, -1, MSG_DONTWAIT);
}

void notify_store(struct notify *n, const char *name, int fd)
{
	char text[NOTIFY_TEXT];

	snprintf(text, sizeof(text), "FDSTORE=1\nFDNAME=%s\n", name);
	notify_send(n, text, fd, MSG_DONTWAIT);
}

void notify_forget(struct notify *n, const char *name)
{
	char text[NOTIFY_TEXT];

	snprintf(text, sizeof(text), "FDSTOREREMOVE=1\nFDNAME=%s\n", name);
	notify_send(n, text, -1, MSG_DONTWAIT);
}
