// SPDX-License-Identifier: MIT
/* See serial_host.h. The worker has descriptors and polls; the rings are both threads', with the lock. */
#include "vmm/dev/serial_host.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/auto.h"
#include "vmm/worker.h"

#define SERIAL_HOST_CTS (SERIAL_HOST_OUT * 3 / 4) /* beyond that CTS asks the guest to wait */
#define SERIAL_HOST_TURNS 4			  /* reads or writes of one turn of the loop */

struct serial_host_ring {
	unsigned int start, len;
};

struct serial_host {
	const struct board *board; /* borrowed */
	struct worker *worker;	   /* borrowed */
	void (*changed)(void *arg);
	void *arg;
	int event; /* owned eventfd: wakes the control loop */
	struct board_watch *watch;
	struct worker_bell *bell; /* owned: wakes the worker */
	char name[PORT_NAME_MAX];
	enum port_kind kind;
	int fd, hold; /* owned */
	uint64_t limit;

	/* The worker's */
	bool running;
	int client; /* fd, or an accepted one, owned; -1: nobody is there */
	bool eof;   /* the client sends no more, but may still read */
	uv_poll_t *listener, *poll;
	int watched;
	struct worker_timer *patience; /* runs while nothing is taken */
	struct log_limit log_limit;
	bool lost; /* the file did not take all of the last bytes, which was told */

	pthread_mutex_t lock; /* of the following */
	struct serial_host_ring out, in;
	uint8_t out_data[SERIAL_HOST_OUT], in_data[SERIAL_HOST_IN];
	bool there;
	bool deaf; /* has taken nothing for too long */
};

/* --- rings: with the lock ----------------------------------------------------------------------- */

static void serial_host_put(struct serial_host_ring *r, uint8_t *ring, unsigned int size,
			    const uint8_t *data, size_t n)
{
	for (size_t i = 0; i < n; i++)
		ring[(r->start + r->len++) % size] = data[i];
}

/* Of the oldest; they stay until serial_host_pop */
static size_t serial_host_peek(const struct serial_host_ring *r, const uint8_t *ring,
			       unsigned int size, uint8_t *data, size_t n)
{
	n = MIN(n, (size_t)r->len);
	for (size_t i = 0; i < n; i++)
		data[i] = ring[(r->start + i) % size];
	return n;
}

static void serial_host_pop(struct serial_host_ring *r, unsigned int size, size_t n)
{
	r->start = (unsigned int)((r->start + n) % size);
	r->len -= (unsigned int)n;
}

/* --- the worker ----------------------------------------------------------------------------------- */

static void serial_host_update(struct serial_host *h);

static void serial_host_tell(struct serial_host *h)
{
	uint64_t one = 1;

	if (write(h->event, &one, sizeof(one)) < 0)
		return; /* a full counter wakes too */
}

static void serial_host_poll_closed(uv_handle_t *handle)
{
	free(handle);
}

static void serial_host_unpoll(uv_poll_t **poll)
{
	if (*poll)
		uv_close((uv_handle_t *)*poll, serial_host_poll_closed);
	*poll = NULL;
}

static uv_poll_t *serial_host_poll_new(struct serial_host *h, int fd)
{
	AUTO_FREE uv_poll_t *poll = malloc(sizeof(*poll));

	if (!poll || uv_poll_init(worker_loop(h->worker), poll, fd) < 0)
		return NULL;
	poll->data = h;
	return TAKE_PTR(poll);
}

static void serial_host_set_there(struct serial_host *h, bool there)
{
	pthread_mutex_lock(&h->lock);
	h->there = there;
	h->deaf = false;
	if (!there)
		h->out.len = 0;
	pthread_mutex_unlock(&h->lock);
	serial_host_tell(h);
}

static void serial_host_hang_up(struct serial_host *h, int error)
{
	if (h->kind == PORT_PTY)
		log_limited(h->board->log, &h->log_limit, "%s: %s", h->name, strerror(error));
	serial_host_unpoll(&h->poll);
	if (h->kind == PORT_SOCKET)
		close(h->client);
	h->client = -1;
	h->eof = false;
	serial_host_set_there(h, false);
}

/* A file takes what it has room for; the rest is lost, which is said. */
static ssize_t serial_host_write_file(struct serial_host *h, const uint8_t *data, size_t n)
{
	struct stat st;
	size_t room = 0;
	ssize_t done = 0;

	if (!fstat(h->fd, &st) && (uint64_t)st.st_size < h->limit)
		room = (size_t)MIN(h->limit - (uint64_t)st.st_size, n);
	if (room)
		done = write(h->fd, data, room);
	if (done < (ssize_t)n && !h->lost)
		log_limited(h->board->log, &h->log_limit, "%s: output is lost: its file: %s",
			    h->name, done < 0 ? strerror(errno) : "it is as large as it may be");
	h->lost = done < (ssize_t)n;
	return (ssize_t)n;
}

/* Bytes, 0: not now, or -errno: nobody is there any more. */
static ssize_t serial_host_write(struct serial_host *h, const uint8_t *data, size_t n)
{
	ssize_t done;

	if (h->kind == PORT_FILE)
		return serial_host_write_file(h, data, n);
	done = write(h->client, data, n);
	if (done < 0 && errno != EAGAIN)
		return -errno;
	return MAX(done, 0);
}

static void serial_host_took(struct serial_host *h, size_t n)
{
	bool told;

	pthread_mutex_lock(&h->lock);
	/* the control loop cares when it was told to wait */
	told = h->out.len > SERIAL_HOST_CTS || h->deaf;
	serial_host_pop(&h->out, SERIAL_HOST_OUT, n);
	told = told && h->out.len <= SERIAL_HOST_CTS;
	h->deaf = h->deaf && !told;
	pthread_mutex_unlock(&h->lock);
	if (told)
		serial_host_tell(h);
}

/* true: all is out; else it is to be waited for */
static bool serial_host_flush(struct serial_host *h)
{
	uint8_t data[512];

	for (unsigned int i = 0; i < SERIAL_HOST_TURNS && h->client >= 0; i++) {
		ssize_t done;
		size_t n;

		pthread_mutex_lock(&h->lock);
		n = serial_host_peek(&h->out, h->out_data, SERIAL_HOST_OUT, data, sizeof(data));
		pthread_mutex_unlock(&h->lock);
		if (!n)
			return true;
		done = serial_host_write(h, data, n);
		if (done < 0)
			serial_host_hang_up(h, (int)-done);
		if (done <= 0)
			return h->client < 0;
		worker_timer_free(TAKE_PTR(h->patience));
		serial_host_took(h, (size_t)done);
	}
	return h->client < 0;
}

/* One turn of the loop; false: that was all for now. */
static bool serial_host_fill_some(struct serial_host *h)
{
	uint8_t data[SERIAL_HOST_IN];
	size_t room;
	ssize_t n;

	pthread_mutex_lock(&h->lock);
	room = SERIAL_HOST_IN - h->in.len;
	pthread_mutex_unlock(&h->lock);
	if (!room || h->eof || h->kind == PORT_FILE)
		return false;
	n = read(h->client, data, room);
	if (n < 0 && errno == EAGAIN)
		return false;
	if (n == 0 && h->kind == PORT_SOCKET)
		h->eof = true;
	else if (n <= 0)
		serial_host_hang_up(h, n ? errno : EIO);
	if (n <= 0)
		return false;
	pthread_mutex_lock(&h->lock);
	serial_host_put(&h->in, h->in_data, SERIAL_HOST_IN, data, (size_t)n);
	pthread_mutex_unlock(&h->lock);
	serial_host_tell(h);
	return true;
}

/* Who has taken nothing for so long is not waited for, until something is taken. */
static void serial_host_impatient(void *arg)
{
	struct serial_host *h = arg;

	if (serial_host_flush(h) || !h->patience) {
		serial_host_update(h);
		return;
	}
	worker_timer_free(TAKE_PTR(h->patience));
	pthread_mutex_lock(&h->lock);
	h->deaf = true;
	pthread_mutex_unlock(&h->lock);
	log_limited(h->board->log, &h->log_limit,
		    "%s: nobody has read for %d ms: output is not waited for", h->name,
		    SERIAL_HOST_PATIENCE_MS);
	serial_host_tell(h);
}

static void serial_host_wait(struct serial_host *h)
{
	bool deaf;

	pthread_mutex_lock(&h->lock);
	deaf = h->deaf;
	pthread_mutex_unlock(&h->lock);
	if (deaf || h->patience || h->kind == PORT_FILE)
		return;
	if (worker_timer_new(worker_loop(h->worker), serial_host_impatient, h, &h->patience) >= 0)
		worker_timer_arm(h->patience, SERIAL_HOST_PATIENCE_MS);
}

static void serial_host_polled(uv_poll_t *poll, int status, int events)
{
	struct serial_host *h = poll->data;

	if (status < 0)
		h->watched = 0; /* libuv has stopped */
	if (status < 0 || (h->eof && events & UV_PRIORITIZED))
		serial_host_hang_up(h, -status);
	serial_host_update(h);
}

static void serial_host_accept(uv_poll_t *poll, int status, int events)
{
	struct serial_host *h = poll->data;
	int fd = status < 0 ? -1 : accept4(h->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	(void)events;
	if (fd < 0)
		return;
	h->client = fd;
	h->poll = serial_host_poll_new(h, fd);
	h->watched = 0;
	if (!h->poll)
		serial_host_hang_up(h, ENOMEM);
	else
		serial_host_set_there(h, true);
	serial_host_update(h);
}

/* What is waited for now. The end of a connection is seen by a read, for which there has to be room. */
static void serial_host_watch(struct serial_host *h, bool out)
{
	int events = out ? UV_WRITABLE : 0;

	if (h->listener && h->client < 0)
		uv_poll_start(h->listener, UV_READABLE, serial_host_accept);
	else if (h->listener)
		uv_poll_stop(h->listener);
	if (h->kind == PORT_FILE && out) /* it always takes: only this turn is over */
		worker_bell_ring(h->bell);
	if (!h->poll)
		return;
	pthread_mutex_lock(&h->lock);
	if (h->eof) /* never comes but with the end of the connection */
		events |= UV_PRIORITIZED;
	else if (h->in.len < SERIAL_HOST_IN)
		events |= UV_READABLE;
	pthread_mutex_unlock(&h->lock);
	if (events == h->watched)
		return;
	h->watched = events;
	if (events)
		uv_poll_start(h->poll, events, serial_host_polled);
	else
		uv_poll_stop(h->poll);
}

/* Move what moves, and wait for the rest */
static void serial_host_update(struct serial_host *h)
{
	bool out;

	for (unsigned int i = 0; i < SERIAL_HOST_TURNS && h->client >= 0; i++)
		if (!serial_host_fill_some(h))
			break;
	out = h->client >= 0 && !serial_host_flush(h);
	if (out)
		serial_host_wait(h);
	else
		worker_timer_free(TAKE_PTR(h->patience));
	serial_host_watch(h, out);
}

static void serial_host_rung(void *arg)
{
	struct serial_host *h = arg;

	if (h->running)
		serial_host_update(h);
}

static void serial_host_start_on_worker(void *arg)
{
	struct serial_host *h = arg;

	if (h->kind == PORT_SOCKET)
		h->listener = serial_host_poll_new(h, h->fd);
	if (h->kind != PORT_FILE && h->client >= 0)
		h->poll = serial_host_poll_new(h, h->client);
	if ((h->kind == PORT_SOCKET && !h->listener) ||
	    (h->kind != PORT_FILE && h->client >= 0 && !h->poll)) {
		h->board->ops->event(h->board->arg, BOARD_FAULT, 0, "no memory for a serial port");
		return;
	}
	h->watched = 0;
	h->running = true;
	serial_host_update(h);
}

static void serial_host_stop_on_worker(void *arg)
{
	struct serial_host *h = arg;

	h->running = false;
	serial_host_unpoll(&h->listener);
	serial_host_unpoll(&h->poll);
	worker_timer_free(TAKE_PTR(h->patience));
}

/* --- the port's side ------------------------------------------------------------------------------ */

void serial_host_send(struct serial_host *h, uint8_t byte)
{
	bool ring;

	pthread_mutex_lock(&h->lock);
	ring = h->there && !h->out.len;
	if (h->there && h->out.len < SERIAL_HOST_OUT)
		serial_host_put(&h->out, h->out_data, SERIAL_HOST_OUT, &byte, 1);
	pthread_mutex_unlock(&h->lock);
	if (ring) /* else it has been, and looks until nothing is left */
		worker_bell_ring(h->bell);
}

/* What nobody takes needs no room. */
bool serial_host_has_room(struct serial_host *h)
{
	bool room;

	pthread_mutex_lock(&h->lock);
	room = !h->there || h->deaf || h->out.len <= SERIAL_HOST_OUT - SERIAL_HOST_BURST;
	pthread_mutex_unlock(&h->lock);
	return room;
}

size_t serial_host_take(struct serial_host *h, void *data, size_t len)
{
	bool full;
	size_t n;

	pthread_mutex_lock(&h->lock);
	full = h->in.len == SERIAL_HOST_IN;
	n = serial_host_peek(&h->in, h->in_data, SERIAL_HOST_IN, data, len);
	serial_host_pop(&h->in, SERIAL_HOST_IN, n);
	pthread_mutex_unlock(&h->lock);
	if (full && n)
		worker_bell_ring(h->bell);
	return n;
}

bool serial_host_is_there(struct serial_host *h)
{
	bool there;

	pthread_mutex_lock(&h->lock);
	there = h->there;
	pthread_mutex_unlock(&h->lock);
	return there;
}

bool serial_host_is_ready(struct serial_host *h)
{
	bool ready;

	pthread_mutex_lock(&h->lock);
	ready = h->there && !h->deaf && h->out.len <= SERIAL_HOST_CTS;
	pthread_mutex_unlock(&h->lock);
	return ready;
}

static void serial_host_ready(void *arg)
{
	struct serial_host *h = arg;
	uint64_t count;

	if (read(h->event, &count, sizeof(count)) < 0 && errno != EAGAIN)
		return;
	h->changed(h->arg);
}

void serial_host_start(struct serial_host *h)
{
	worker_call(h->worker, serial_host_start_on_worker, h);
}

void serial_host_stop(struct serial_host *h)
{
	worker_call(h->worker, serial_host_stop_on_worker, h);
}

/* --- life ----------------------------------------------------------------------------------------- */

/* A file may block whoever writes it: it has a thread of its own. */
static int serial_host_init_threads(struct serial_host *h, struct err *e)
{
	const struct board *b = h->board;

	h->event = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (h->event < 0)
		return err_errno(e, "eventfd");
	h->watch = b->ops->watch(b->arg, h->event, serial_host_ready, h, e);
	if (!h->watch)
		return -EAGAIN; /* e has the reason */
	h->worker = b->ops->worker(b->arg, h->kind == PORT_FILE, e);
	if (!h->worker)
		return -EAGAIN;
	return worker_bell_new(h->worker, serial_host_rung, h, &h->bell, e);
}

int serial_host_new(const struct board *board, struct serial_host_cfg *take_cfg,
		    void (*changed)(void *arg), void *arg, struct serial_host **ret_host,
		    struct err *e)
{
	struct serial_host *h = calloc(1, sizeof(*h));
	int ret;

	if (!h)
		return err_set(e, ENOMEM, "no memory");
	h->board = board;
	h->changed = changed;
	h->arg = arg;
	h->kind = (enum port_kind)take_cfg->kind;
	h->limit = take_cfg->limit;
	h->event = -1;
	h->fd = TAKE_FD(take_cfg->fd);
	h->hold = TAKE_FD(take_cfg->hold);
	h->client = h->kind == PORT_SOCKET ? -1 : h->fd;
	h->there = h->client >= 0;
	snprintf(h->name, sizeof(h->name), "%s", take_cfg->name);
	pthread_mutex_init(&h->lock, NULL);
	ret = serial_host_init_threads(h, e);
	if (ret < 0) {
		serial_host_free(h);
		return ret;
	}
	*ret_host = h;
	return 0;
}

void serial_host_free(struct serial_host *h)
{
	if (!h)
		return;
	worker_bell_free(h->bell);
	if (h->watch)
		h->board->ops->unwatch(h->board->arg, h->watch);
	if (h->kind == PORT_SOCKET && h->client >= 0)
		close(h->client);
	if (h->event >= 0)
		close(h->event);
	if (h->fd >= 0)
		close(h->fd);
	if (h->hold >= 0)
		close(h->hold);
	pthread_mutex_destroy(&h->lock);
	free(h);
}
