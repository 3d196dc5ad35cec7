// SPDX-License-Identifier: MIT
/* See activation.h; sd_listen_fds_with_names(3), systemd.exec(5) "LISTEN_FDS". On the loop's thread. */
#include "vmd/activation.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/auto.h"

#define ACTIVATION_FIRST 3 /* SD_LISTEN_FDS_START */

static int activation_number(const char *key, const char *text, unsigned long max, struct err *e)
{
	unsigned long n;
	char *end;

	errno = 0;
	n = strtoul(text, &end, 10);
	if (errno || *end || end == text || text[0] == '-' || n > max)
		return err_set(e, EINVAL, "%s is no number up to %lu: '%.32s'", key, max, text);
	return (int)n;
}

/* Names are in the order of the descriptors, with colons between them. */
static void activation_name(struct activation *a)
{
	char *rest = a->names;

	for (size_t i = 0; i < a->n; i++) {
		char *name = strsep(&rest, ":");

		a->items[i].name = name ? name : "";
	}
}

static int activation_fill(struct activation *a, int n, const char *names, struct err *e)
{
	a->items = calloc((size_t)MAX(n, 1), sizeof(*a->items));
	a->names = strdup(names ? names : "");
	if (!a->items || !a->names)
		return err_ret(e, -ENOMEM, "cannot take the service manager's descriptors");
	for (; a->n < (size_t)n; a->n++) {
		int fd = ACTIVATION_FIRST + (int)a->n;

		if (fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
			return err_errno(e, "LISTEN_FDS says %d, but descriptor %d", n, fd);
		a->items[a->n].fd = fd;
	}
	activation_name(a);
	return 0;
}

static int activation_read(struct activation *a, struct err *e)
{
	const char *count = getenv("LISTEN_FDS"), *pid = getenv("LISTEN_PID");
	int n;

	if (!count || !pid)
		return 0;
	n = activation_number("LISTEN_PID", pid, INT32_MAX, e);
	if (n < 0 || n != getpid())
		return MIN(n, 0);
	n = activation_number("LISTEN_FDS", count, ACTIVATION_MAX, e);
	return n <= 0 ? n : activation_fill(a, n, getenv("LISTEN_FDNAMES"), e);
}

int activation_init(struct activation *a, struct err *e)
{
	int ret;

	*a = (struct activation){ 0 };
	ret = activation_read(a, e);
	/* nobody whom we start may take them for his */
	unsetenv("LISTEN_FDS");
	unsetenv("LISTEN_FDNAMES");
	unsetenv("LISTEN_PID");
	if (ret < 0)
		activation_fini(a);
	return ret;
}

void activation_fini(struct activation *a)
{
	for (size_t i = 0; i < a->n; i++)
		if (a->items[i].fd >= 0)
			close(a->items[i].fd);
	free(a->items);
	free(a->names);
	*a = (struct activation){ 0 };
}

int activation_take(struct activation *a, const char *name)
{
	for (size_t i = 0; i < a->n; i++)
		if (a->items[i].fd >= 0 && !strcmp(a->items[i].name, name))
			return TAKE_FD(a->items[i].fd);
	return -ENOENT;
}
