// SPDX-License-Identifier: MIT
/*
 * Descriptors that devices have watched: board_ops.watch; and what they have to say. On the control loop, calls under
 * machine.lock.
 */
#include "vmm/machine_impl.h"

#include <stdlib.h>

struct board_watch {
	uv_poll_t poll;
	struct machine *m; /* borrowed */
	void (*ready)(void *ready_arg);
	void *ready_arg;
};

static void machine_watch_closed(uv_handle_t *h)
{
	free(h->data);
}

static void machine_watch_cb(uv_poll_t *poll, int status, int events)
{
	struct board_watch *w = poll->data;
	struct machine *m = w->m;

	(void)events;
	if (status < 0) {
		uv_poll_stop(poll);
		return;
	}
	pthread_mutex_lock(&m->lock);
	w->ready(w->ready_arg);
	pthread_mutex_unlock(&m->lock);
}

struct board_watch *machine_watch(void *arg, int fd, void (*ready)(void *ready_arg),
				  void *ready_arg, struct err *e)
{
	struct machine *m = arg;
	struct board_watch *w = calloc(1, sizeof(*w));
	int r = w ? uv_poll_init(m->loop, &w->poll, fd) : UV_ENOMEM;

	if (r < 0) {
		free(w);
		err_ret(e, r, "cannot watch a descriptor");
		return NULL;
	}
	w->m = m;
	w->ready = ready;
	w->ready_arg = ready_arg;
	w->poll.data = w;
	r = uv_poll_start(&w->poll, UV_READABLE, machine_watch_cb);
	if (r < 0) {
		uv_close((uv_handle_t *)&w->poll, machine_watch_closed);
		err_ret(e, r, "cannot watch a descriptor");
		return NULL;
	}
	return w;
}

void machine_unwatch(void *arg, struct board_watch *w)
{
	(void)arg;
	if (w)
		uv_close((uv_handle_t *)&w->poll, machine_watch_closed);
}

void machine_tell(struct machine *m)
{
	pthread_mutex_lock(&m->lock);
	for (unsigned int i = 0; i < m->ndevices; i++)
		if (m->devices[i]->class->tell)
			m->devices[i]->class->tell(m->devices[i]);
	pthread_mutex_unlock(&m->lock);
}
