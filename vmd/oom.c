// SPDX-License-Identifier: MIT
/* See oom.h; Documentation/admin-guide/cgroup-v2.rst, "memory.events". On the loop's thread. */
#include "vmd/oom.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/auto.h"
#include "lib/fdio.h"

struct oom_watch {
	uv_poll_t poll;
	int fd; /* owned */
	uint64_t kills;
};

/* What cannot be read any more changes nothing. */
static void oom_read(struct oom_watch *w)
{
	char text[512];
	ssize_t n = fdio_pread(w->fd, text, sizeof(text) - 1, 0);
	unsigned long long kills;
	char *line;

	if (n <= 0)
		return;
	text[n] = '\0';
	line = strstr(text, "\noom_kill ");
	if (line && sscanf(line, "\noom_kill %llu", &kills) == 1)
		w->kills = kills;
}

static void oom_changed(uv_poll_t *poll, int status, int events)
{
	struct oom_watch *w = container_of(poll, struct oom_watch, poll);

	(void)events;
	oom_read(w);
	/* the group is gone: no more news, and the descriptor would stay ready */
	if (status < 0 || fdio_pread(w->fd, (char[1]){ 0 }, 1, 0) < 0)
		uv_poll_stop(poll);
}

struct oom_watch *oom_watch_new(uv_loop_t *loop, const char *folder)
{
	struct oom_watch *w = NULL;
	AUTO_CLOSE int fd = -1;
	char path[512];

	if (snprintf(path, sizeof(path), "%s/memory.events", folder) >= (int)sizeof(path))
		return NULL;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return NULL;
	w = calloc(1, sizeof(*w));
	if (!w || uv_poll_init(loop, &w->poll, fd) < 0) {
		free(w);
		return NULL;
	}
	w->fd = TAKE_FD(fd);
	uv_poll_start(&w->poll, UV_PRIORITIZED, oom_changed);
	return w;
}

static void oom_closed(uv_handle_t *handle)
{
	struct oom_watch *w = container_of((uv_poll_t *)handle, struct oom_watch, poll);

	close(w->fd);
	free(w);
}

void oom_watch_free(struct oom_watch *w)
{
	if (w)
		uv_close((uv_handle_t *)&w->poll, oom_closed);
}

uint64_t oom_watch_kills(struct oom_watch *w)
{
	if (!w)
		return 0;
	oom_read(w);
	return w->kills;
}
