// SPDX-License-Identifier: MIT
/*
 * See viewer.h. A frame goes out at most each VIEWER_FRAME_MS. What exits write is told at once (vga_watch), by any thread; what
 * a guest writes in a linear mode KVM has to be asked for, the less often the longer nothing was written. Control loop, but for
 * viewer_changed.
 */
#include "vmm/display/viewer.h"

#include <errno.h>
#include <linux/input-event-codes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/auto.h"
#include "lib/errcat.h"
#include "vmm/display/link.h"
#include "vmm/display/vga.h"

#define VIEWER_MESSAGES 64 /* in one turn of the loop */

struct viewer {
	struct viewer_options o;
	int fd; /* owned; -1: the link is broken */
	uv_poll_t poll;
	uv_timer_t timer;
	uv_async_t wake;
	unsigned int handles;
	bool looks;	   /* somebody does: the screen notes what is new */
	bool wanted, all;  /* a frame is; all of it */
	uint64_t frame_ms; /* the last one; 0: none yet */
	uint64_t pause_ms; /* to the next question */
	uint64_t down[(KEY_CNT + 63) / 64];
	uint8_t buttons;
};

static void viewer_closed(uv_handle_t *h)
{
	struct viewer *v = h->data;

	if (!--v->handles)
		free(v);
}

/* --- out -------------------------------------------------------------------------------------------------- */

/* Any thread, under machine.lock */
static void viewer_changed(void *arg)
{
	struct viewer *v = arg;

	uv_async_send(&v->wake);
}

static void viewer_break(struct viewer *v);

static void viewer_send(struct viewer *v, const void *msg, size_t size)
{
	/* one at a time was asked for: there is room, unless who asks does not keep to it */
	if (write(v->fd, msg, size) != (ssize_t)size)
		viewer_break(v);
}

static void viewer_timeout(uv_timer_t *timer);

/* A frame, if it is time and there is something new; else when that is to be seen again. */
static void viewer_try(struct viewer *v)
{
	uint64_t now = uv_now(v->o.loop), next = v->frame_ms + VIEWER_FRAME_MS;
	struct link_frame frame;
	bool any, silent;

	if (!v->wanted)
		return;
	if (v->frame_ms && now < next) {
		uv_timer_start(&v->timer, viewer_timeout, next - now, 0);
		return;
	}
	pthread_mutex_lock(v->o.lock);
	any = vga_look(v->o.screen, v->all, &frame);
	silent = vga_is_silent(v->o.screen);
	pthread_mutex_unlock(v->o.lock);
	if (any) {
		v->wanted = v->all = false;
		v->frame_ms = now;
		v->pause_ms = VIEWER_FRAME_MS;
		uv_timer_stop(&v->timer);
		viewer_send(v, &frame, sizeof(frame));
	} else if (silent) {
		uv_timer_start(&v->timer, viewer_timeout, v->pause_ms, 0);
		v->pause_ms = MIN(v->pause_ms * 2, (uint64_t)VIEWER_IDLE_MS);
	}
}

static void viewer_timeout(uv_timer_t *timer)
{
	viewer_try(timer->data);
}

static void viewer_woken(uv_async_t *wake)
{
	viewer_try(wake->data);
}

static void viewer_watch(struct viewer *v, bool looks)
{
	if (v->looks == looks)
		return;
	v->looks = looks;
	pthread_mutex_lock(v->o.lock);
	vga_watch(v->o.screen, looks ? viewer_changed : NULL, v);
	pthread_mutex_unlock(v->o.lock);
}

/* --- in --------------------------------------------------------------------------------------------------- */

static void viewer_look(struct viewer *v, bool all)
{
	/* what was new while nobody looked is not known */
	v->all = v->all || all || !v->looks;
	viewer_watch(v, true);
	v->wanted = true;
	viewer_try(v);
}

static void viewer_rest(struct viewer *v)
{
	v->wanted = v->all = false;
	uv_timer_stop(&v->timer);
	viewer_watch(v, false);
}

/* A guest that is typed to is about to draw. */
static void viewer_hurry(struct viewer *v)
{
	v->pause_ms = VIEWER_FRAME_MS;
	if (v->wanted && uv_is_active((uv_handle_t *)&v->timer))
		uv_timer_start(&v->timer, viewer_timeout, v->pause_ms, 0);
}

static void viewer_key(struct viewer *v, uint16_t key, bool down)
{
	uint64_t bit = BIT64(key % 64);

	v->down[key / 64] = down ? v->down[key / 64] | bit : v->down[key / 64] & ~bit;
	pthread_mutex_lock(v->o.lock);
	input_key(v->o.input, key, down);
	pthread_mutex_unlock(v->o.lock);
}

/* Nobody is there to let them go: keys and buttons. */
static void viewer_let_go(struct viewer *v)
{
	static const struct input_pointer none;

	for (unsigned int key = 0; key < KEY_CNT; key++)
		if (v->down[key / 64] & BIT64(key % 64))
			viewer_key(v, (uint16_t)key, false);
	if (!v->buttons)
		return;
	pthread_mutex_lock(v->o.lock);
	input_move(v->o.input, &none);
	pthread_mutex_unlock(v->o.lock);
}

static bool viewer_far(int32_t way)
{
	return way > LINK_MOVE_MAX || way < -LINK_MOVE_MAX;
}

static bool viewer_move(struct viewer *v, const struct link_pointer *p)
{
	struct input_pointer ev = {
		.dx = p->dx, .dy = p->dy, .dz = p->dz, .buttons = (uint8_t)p->buttons
	};

	if (viewer_far(p->dx) || viewer_far(p->dy) || viewer_far(p->dz) || p->buttons > UINT8_MAX)
		return false;
	v->buttons = ev.buttons;
	pthread_mutex_lock(v->o.lock);
	input_move(v->o.input, &ev);
	pthread_mutex_unlock(v->o.lock);
	return true;
}

/* False: that is no message. */
static bool viewer_message(struct viewer *v, const union link_asked *m, size_t size)
{
	if (size < sizeof(m->type))
		return false;
	if (m->type == LINK_LOOK && size == sizeof(m->look)) {
		viewer_look(v, m->look.all);
	} else if (m->type == LINK_REST && size == sizeof(m->type)) {
		viewer_rest(v);
	} else if (m->type == LINK_KEY && size == sizeof(m->key) && m->key.key < KEY_CNT) {
		viewer_key(v, m->key.key, m->key.down);
		viewer_hurry(v);
	} else if (m->type == LINK_POINTER && size == sizeof(m->pointer)) {
		viewer_hurry(v);
		return viewer_move(v, &m->pointer);
	} else {
		return false;
	}
	return true;
}

static void viewer_readable(uv_poll_t *poll, int status, int events)
{
	struct viewer *v = poll->data;
	union link_asked m;
	ssize_t n;

	(void)events;
	for (unsigned int i = 0; i < VIEWER_MESSAGES && v->fd >= 0 && status >= 0; i++) {
		n = read(v->fd, &m, sizeof(m));
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n > 0 && viewer_message(v, &m, (size_t)n))
			continue;
		if (n > 0)
			log_warn(v->o.log, "the display's process sends what is no message");
		viewer_break(v);
	}
	if (status < 0)
		viewer_break(v);
}

/* --- making and breaking ------------------------------------------------------------------------------------ */

/* The memory goes along: with it and a frame's registers there is a picture. */
static int viewer_hello(struct viewer *v, struct err *e)
{
	struct link_hello hello = { .type = LINK_HELLO,
				    .version = LINK_VERSION,
				    .memory = VGA_VRAM_SIZE,
				    .frame_size = sizeof(struct link_frame) };
	struct iovec iov = { .iov_base = &hello, .iov_len = sizeof(hello) };
	union {
		struct cmsghdr align;
		char buf[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = control.buf,
			      .msg_controllen = sizeof(control.buf) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
	int fd = vga_view_fd(v->o.screen);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	if (sendmsg(v->fd, &msg, MSG_NOSIGNAL) != (ssize_t)sizeof(hello))
		return err_set(e, ERR_FAILED, "the display's process cannot be reached: %s",
			       strerror(errno));
	return 0;
}

static void viewer_break(struct viewer *v)
{
	if (v->fd < 0)
		return;
	viewer_rest(v);
	viewer_let_go(v);
	uv_close((uv_handle_t *)&v->poll, viewer_closed);
	close(TAKE_FD(v->fd));
}

int viewer_new(const struct viewer_options *o, int take_fd, struct viewer **ret, struct err *e)
{
	struct viewer *v = calloc(1, sizeof(*v));
	int r;

	if (!v) {
		close(take_fd);
		return err_ret(e, -ENOMEM, "a viewer");
	}
	v->o = *o;
	v->fd = take_fd;
	v->pause_ms = VIEWER_FRAME_MS;
	v->poll.data = v->timer.data = v->wake.data = v;
	r = uv_poll_init(o->loop, &v->poll, take_fd);
	if (r < 0) {
		close(take_fd);
		free(v);
		return err_ret(e, r, "a viewer");
	}
	v->handles = 1;
	uv_timer_init(o->loop, &v->timer);
	v->handles++;
	r = uv_async_init(o->loop, &v->wake, viewer_woken);
	if (r >= 0) {
		v->handles++;
		r = viewer_hello(v, e);
	} else {
		err_ret(e, r, "a viewer");
	}
	if (r >= 0)
		r = uv_poll_start(&v->poll, UV_READABLE, viewer_readable);
	if (r < 0) {
		viewer_free(v);
		return r;
	}
	*ret = v;
	return 0;
}

void viewer_free(struct viewer *v)
{
	if (!v)
		return;
	viewer_break(v);
	if (v->wake.loop)
		uv_close((uv_handle_t *)&v->wake, viewer_closed);
	uv_close((uv_handle_t *)&v->timer, viewer_closed);
}
