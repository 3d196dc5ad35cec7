// SPDX-License-Identifier: MIT
/*
 * Consoles: see console.h. Output goes to a ring with a running count; each client has its own place in
 * it and the control loop copies from there (console_client.c). After a wake-up the loop is left alone
 * for CONSOLE_HOLD_MS: a guest that prints byte by byte costs one wake-up per hold, not one per byte.
 * `lock` protects the rings; clients belong to the loop's thread.
 */
#include "vmm/console_priv.h"

#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define CONSOLE_HOLD_MS 2
#define CONSOLE_LOG_END_MS 1000 /* for vmd to take the last of a console's output */

size_t console_copy(struct console *c, uint64_t *pos, char *out, size_t max, uint64_t *ret_lost)
{
	uint64_t oldest;
	size_t n, at, first;

	pthread_mutex_lock(&c->lock);
	oldest = c->total - MIN(c->total, (uint64_t)CONSOLE_RING_SIZE);
	*ret_lost = oldest > *pos ? oldest - *pos : 0;
	*pos += *ret_lost;
	n = (size_t)MIN(c->total - *pos, (uint64_t)max);
	at = (size_t)(*pos % CONSOLE_RING_SIZE);
	first = MIN(n, CONSOLE_RING_SIZE - at);
	memcpy(out, c->ring + at, first);
	memcpy(out + first, c->ring, n - first);
	pthread_mutex_unlock(&c->lock);
	return n;
}

void console_count_clients(struct console *c)
{
	bool any = c->log != NULL;

	for (unsigned int i = 0; i < CONSOLE_CLIENTS_MAX; i++)
		any |= c->clients[i] != NULL;
	pthread_mutex_lock(&c->lock);
	c->has_clients = any;
	pthread_mutex_unlock(&c->lock);
}

/* True when the guest wrote more since the last time; otherwise the next write wakes the loop again. */
static bool console_more(struct console *c)
{
	bool more;

	pthread_mutex_lock(&c->lock);
	more = c->total != c->seen;
	c->seen = c->total;
	c->woken = more;
	pthread_mutex_unlock(&c->lock);
	return more;
}

static void console_hold_cb(uv_timer_t *t)
{
	struct console *c = t->data;

	if (!console_more(c))
		return;
	console_flush(c);
	uv_timer_start(&c->hold, console_hold_cb, CONSOLE_HOLD_MS, 0);
}

static void console_tell_first(struct console *c)
{
	void (*first)(void *arg, uint64_t at_us) = c->first;
	uint64_t at_us;

	if (!first)
		return;
	pthread_mutex_lock(&c->lock);
	at_us = c->first_us;
	pthread_mutex_unlock(&c->lock);
	if (!at_us)
		return;
	c->first = NULL;
	first(c->first_arg, at_us);
}

static void console_wake_cb(uv_async_t *a)
{
	struct console *c = a->data;

	if (c->closing)
		return;
	console_tell_first(c);
	console_feed(c);
	if (uv_is_active((uv_handle_t *)&c->hold))
		return;
	if (console_more(c)) {
		console_flush(c);
		uv_timer_start(&c->hold, console_hold_cb, CONSOLE_HOLD_MS, 0);
	}
}

/* --- the device's side -------------------------------------------------------------------------- */

void console_set_guest(struct console *c, const struct console_guest_ops *ops, void *arg)
{
	c->guest = ops;
	c->guest_arg = arg;
}

void console_set_door(struct console *c, pthread_mutex_t *door)
{
	c->door = door;
}

void console_set_first(struct console *c, void (*first)(void *arg, uint64_t at_us), void *arg)
{
	c->first = first;
	c->first_arg = arg;
}

static uint64_t console_now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

void console_write(struct console *c, const void *data, size_t len)
{
	const char *from = data;
	size_t at, first;
	bool wake;

	pthread_mutex_lock(&c->lock);
	if (len > CONSOLE_RING_SIZE) {
		c->total += len - CONSOLE_RING_SIZE;
		from += len - CONSOLE_RING_SIZE;
		len = CONSOLE_RING_SIZE;
	}
	at = (size_t)(c->total % CONSOLE_RING_SIZE);
	first = MIN(len, CONSOLE_RING_SIZE - at);
	memcpy(c->ring + at, from, first);
	memcpy(c->ring, from + first, len - first);
	c->total += len;
	wake = c->has_clients && !c->woken && len;
	c->woken |= wake;
	if (!c->first_us && len) {
		c->first_us = console_now_us();
		wake = true;
	}
	pthread_mutex_unlock(&c->lock);
	if (wake)
		uv_async_send(&c->wake);
}

size_t console_pull(struct console *c, void *data, size_t len)
{
	char *to = data;
	bool wake;

	pthread_mutex_lock(&c->lock);
	len = MIN(len, c->in_len);
	for (size_t i = 0; i < len; i++)
		to[i] = c->input[(c->in_start + i) % CONSOLE_INPUT_SIZE];
	c->in_start = (unsigned int)((c->in_start + len) % CONSOLE_INPUT_SIZE);
	c->in_len -= (unsigned int)len;
	wake = len && c->input_blocked;
	c->input_blocked &= !wake;
	pthread_mutex_unlock(&c->lock);
	if (wake)
		uv_async_send(&c->wake);
	return len;
}

bool console_has_input(struct console *c)
{
	bool any;

	pthread_mutex_lock(&c->lock);
	any = c->in_len > 0;
	pthread_mutex_unlock(&c->lock);
	return any;
}

const char *console_id(const struct console *c)
{
	return c->id;
}

/* --- the console itself -------------------------------------------------------------------------- */

int64_t console_now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

void console_drain(struct console *c, int timeout_ms)
{
	int64_t end = console_now_ms() + timeout_ms;

	for (unsigned int i = 0; i < CONSOLE_CLIENTS_MAX; i++) {
		struct console_client *cl = c->clients[i];

		while (cl && !console_send(cl)) {
			struct pollfd p = { .fd = cl->out_fd, .events = POLLOUT };
			int64_t left = end - console_now_ms();

			if (left <= 0 || poll(&p, 1, (int)left) <= 0)
				break;
		}
	}
}

int console_new(uv_loop_t *loop, const char *id, struct console **ret_console, struct err *e)
{
	struct console *c = malloc(sizeof(*c));
	int r;

	if (!c)
		return err_ret(e, -ENOMEM, "console '%s'", id);
	/* the ring is read where it was written: its pages are not needed before */
	memset(c, 0, offsetof(struct console, ring));
	c->loop = loop;
	snprintf(c->id, sizeof(c->id), "%s", id);
	pthread_mutex_init(&c->lock, NULL);
	r = uv_async_init(loop, &c->wake, console_wake_cb);
	if (r < 0) {
		pthread_mutex_destroy(&c->lock);
		free(c);
		return err_ret(e, r, "console '%s'", id);
	}
	uv_timer_init(loop, &c->hold);
	c->wake.data = c;
	c->hold.data = c;
	c->handles = 2;
	*ret_console = c;
	return 0;
}

static void console_closed(uv_handle_t *h)
{
	struct console *c = h->data;

	if (--c->handles)
		return;
	pthread_mutex_destroy(&c->lock);
	free(c);
}

void console_close(struct console *c)
{
	if (!c)
		return;
	c->closing = true;
	console_set_guest(c, NULL, NULL);
	console_flush(c);
	console_log_end(c, CONSOLE_LOG_END_MS);
	for (unsigned int i = 0; i < CONSOLE_CLIENTS_MAX; i++)
		if (c->clients[i])
			console_detach(c->clients[i]);
	uv_close((uv_handle_t *)&c->wake, console_closed);
	uv_close((uv_handle_t *)&c->hold, console_closed);
}
