// SPDX-License-Identifier: MIT
/* See monitor.h. The monitor faces the guest and is not believed: sizes are checked, the memory is a file that cannot shrink. */
#include "display/monitor.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/auto.h"
#include "lib/errcat.h"
#include "lib/fdio.h"
#include "vmm/display/link.h"

struct monitor {
	struct monitor_options o;
	int fd; /* owned; -1: the link is over */
	uv_poll_t poll;
	struct screen screen;
	struct vnc *vnc;  /* owned */
	bool met, wanted; /* hello has come; somebody looks */
	bool gone, freed; /* nothing of the loop knows it; nobody else does */
};

static void monitor_fini(struct monitor *m)
{
	if (m->screen.memory)
		munmap((void *)m->screen.memory, VGA_VRAM_SIZE);
	screen_fini(&m->screen);
	free(m);
}

static void monitor_gone(uv_handle_t *h)
{
	struct monitor *m = h->data;

	m->gone = true;
	if (m->freed)
		monitor_fini(m);
}

static void monitor_end(struct monitor *m, const struct err *why)
{
	if (m->fd < 0)
		return;
	uv_close((uv_handle_t *)&m->poll, monitor_gone);
	close(TAKE_FD(m->fd));
	if (!m->freed)
		m->o.ended(m->o.arg, why);
}

/* --- out -------------------------------------------------------------------------------------------------- */

static void monitor_send(struct monitor *m, const void *msg, size_t size)
{
	struct err e;

	if (m->fd < 0 || !m->met)
		return;
	/* a monitor that does not read for so long is paused by somebody: keys are lost then, as those of a hand are */
	if (write(m->fd, msg, size) == (ssize_t)size || errno == EAGAIN)
		return;
	err_errno(&e, "the monitor cannot be reached");
	monitor_end(m, &e);
}

static void monitor_ask(struct monitor *m, bool all)
{
	monitor_send(m, &(struct link_look){ LINK_LOOK, all }, sizeof(struct link_look));
}

static void monitor_look(void *arg)
{
	struct monitor *m = arg;

	m->wanted = true;
	monitor_ask(m, true);
}

static void monitor_rest(void *arg)
{
	struct monitor *m = arg;

	m->wanted = false;
	monitor_send(m, &(uint32_t){ LINK_REST }, sizeof(uint32_t));
}

static void monitor_key(void *arg, uint16_t key, bool down)
{
	monitor_send(arg, &(struct link_key){ LINK_KEY, key, down }, sizeof(struct link_key));
}

static void monitor_pointer(void *arg, const struct link_pointer *p)
{
	monitor_send(arg, p, sizeof(*p));
}

static const struct vnc_ops monitor_vnc_ops = { .look = monitor_look,
						.rest = monitor_rest,
						.key = monitor_key,
						.pointer = monitor_pointer };

/* --- in --------------------------------------------------------------------------------------------------- */

static int monitor_strange(struct err *e)
{
	err_set(e, ERR_VMM_PROTOCOL, "the monitor says what this vmm-display does not know");
	return err_hint(e, "it is of another version: restart the VM");
}

/* A memory that shrinks would end us by SIGBUS. */
static int monitor_map(struct monitor *m, int fd, struct err *e)
{
	int seals = fcntl(fd, F_GET_SEALS);
	struct stat st;
	void *map;

	if (seals < 0 || !(seals & F_SEAL_SHRINK) || fstat(fd, &st) || st.st_size != VGA_VRAM_SIZE)
		return err_set(e, ERR_VMM_PROTOCOL,
			       "the screen's memory is no sealed file of %llu"
			       " bytes",
			       VGA_VRAM_SIZE);
	map = mmap(NULL, VGA_VRAM_SIZE, PROT_READ, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		return err_errno(e, "the screen's memory");
	m->screen.memory = map;
	return 0;
}

static int monitor_hello(struct monitor *m, const struct link_hello *h, size_t size, int fd,
			 struct err *e)
{
	int r;

	if (m->met || size != sizeof(*h) || h->type != LINK_HELLO || h->version != LINK_VERSION ||
	    h->memory != VGA_VRAM_SIZE || h->frame_size != sizeof(struct link_frame) || fd < 0)
		return monitor_strange(e);
	r = monitor_map(m, fd, e);
	if (r < 0)
		return r;
	m->met = true;
	monitor_ask(m, true); /* the first viewer is told the right size */
	return 0;
}

static int monitor_frame(struct monitor *m, const struct link_frame *f, size_t size, struct err *e)
{
	int r;

	if (size != sizeof(*f) || f->type != LINK_FRAME)
		return monitor_strange(e);
	r = screen_draw(&m->screen, f, &vnc_screen_ops, m->vnc);
	if (r < 0)
		return err_ret(e, r, "cannot draw the screen");
	vnc_drawn(m->vnc);
	if (m->wanted)
		monitor_ask(m, false);
	else
		monitor_rest(m);
	return 0;
}

static void monitor_readable(uv_poll_t *poll, int status, int events)
{
	struct monitor *m = poll->data;
	AUTO_CLOSE int fd = -1;
	struct {
		struct link_frame f;
		char more; /* of a message that is longer than any there is */
	} msg;
	struct fdset fds;
	struct err e;
	ssize_t n;
	int r;

	(void)events;
	fdset_init(&fds);
	n = status < 0 ? status : fdio_recv(m->fd, &msg, sizeof(msg), &fds);
	fd = fdset_take(&fds, 0);
	fdset_fini(&fds); /* one is all that there can be */
	if (n == -EAGAIN)
		return;
	if (n <= 0) {
		monitor_end(m, NULL);
		return;
	}
	if (m->met)
		r = monitor_frame(m, &msg.f, (size_t)n, &e);
	else
		r = monitor_hello(m, (const struct link_hello *)&msg.f, (size_t)n, fd, &e);
	if (r < 0)
		monitor_end(m, &e);
}

int monitor_new(const struct monitor_options *o, int take_link_fd, int take_listen_fd,
		struct monitor **ret, struct err *e)
{
	struct monitor *m = calloc(1, sizeof(*m));
	struct vnc_options vnc = { .loop = o->loop,
				   .log = o->log,
				   .name = o->name,
				   .password = o->password,
				   .ops = &monitor_vnc_ops,
				   .arg = m };
	AUTO_CLOSE int listen_fd = take_listen_fd;
	int r;

	if (!m || screen_init(&m->screen, NULL) < 0) {
		free(m);
		close(take_link_fd);
		return err_ret(e, -ENOMEM, "a screen");
	}
	m->o = *o;
	m->fd = take_link_fd;
	vnc.screen = &m->screen;
	r = vnc_new(&vnc, TAKE_FD(listen_fd), &m->vnc, e);
	if (r >= 0) {
		r = uv_poll_init(o->loop, &m->poll, m->fd);
		if (r < 0)
			err_ret(e, r, "a screen");
	}
	if (r < 0) {
		vnc_free(m->vnc);
		screen_fini(&m->screen);
		close(m->fd);
		free(m);
		return r;
	}
	m->poll.data = m;
	uv_poll_start(&m->poll, UV_READABLE, monitor_readable);
	*ret = m;
	return 0;
}

void monitor_free(struct monitor *m)
{
	if (!m)
		return;
	m->freed = true;
	vnc_free(m->vnc);
	if (m->fd >= 0)
		monitor_end(m, NULL);
	else if (m->gone)
		monitor_fini(m);
}

unsigned int monitor_viewers(const struct monitor *m)
{
	return vnc_viewers(m->vnc);
}
