// SPDX-License-Identifier: MIT
/*
 * Which step goes when, and what becomes of it: see hostio.h. All steps are in one list, in the order in which they
 * came; one begins when no earlier one in the list has its device. On the loop's thread.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/auto.h"
#include "lib/errcat.h"
#include "lib/pci_addr.h"
#include "vmd/hostio_priv.h"

#define HOSTIO_HOLDERS_SHOWN 4

static void hostio_step_free(struct hostio_step *step)
{
	free(step->line);
	free(step);
}

/* A PCI address as a number that is never 0; 0 for what is none. */
static uint64_t hostio_device(struct json_object *step, const char *key)
{
	const char *text = json_get_str(step, key, "");
	struct pci_addr a;

	if (pci_addr_parse(text, &a, NULL) < 0)
		return 0;
	return BIT64(63) | (uint64_t)a.domain << 16 | (uint64_t)a.bus << 8 |
	       (uint64_t)(a.dev << 3 | a.fn);
}

static bool hostio_share(const uint64_t a[2], const uint64_t b[2])
{
	return (a[0] && (a[0] == b[0] || a[0] == b[1])) || (a[1] && (a[1] == b[0] || a[1] == b[1]));
}

static void hostio_drop(struct hostio *io, struct hostio_step *step)
{
	TAILQ_REMOVE(&io->steps, step, link);
	io->n_steps--;
	hostio_step_free(step);
}

/* The last that happens to a step. Its owner may do anything in done, end all of this too. */
static void hostio_finish(struct hostio *io, struct hostio_step *step, struct json_object *result,
			  const struct err *why)
{
	void (*done)(void *arg, struct json_object *result, const struct err *why) = step->done;
	void *arg = step->arg;

	hostio_drop(io, step);
	hostio_kick(io);
	done(arg, result, why);
}

static bool hostio_blocked(const struct hostio *io, const struct hostio_step *step)
{
	const struct hostio_step *other;

	for (other = TAILQ_FIRST(&io->steps); other; other = TAILQ_NEXT(other, link)) {
		if (other == step)
			return false;
		if (hostio_share(step->devices, other->devices))
			return true;
	}
	return false;
}

/* Somebody still hangs in the kernel with its device: another would only hang beside it. */
static bool hostio_refuse_stuck(const struct hostio *io, struct hostio_step *step)
{
	const struct hostio_helper *h;

	for (h = LIST_FIRST(&io->helpers); h; h = LIST_NEXT(h, link))
		if (h->left && hostio_share(h->devices, step->devices)) {
			err_set(&step->why, ERR_HOST_STUCK,
				"%s: not begun, for an earlier step still hangs in the kernel (pid "
				"%d)",
				step->text, h->process.pid);
			err_hint(&step->why,
				 "what it waits for: cat /proc/%d/stack; in the end only a "
				 "restart of the host helps",
				 h->process.pid);
			return true;
		}
	return false;
}

/* One that is free, or a new one: 0 and NULL when all are at work. */
static int hostio_take_helper(struct hostio *io, struct hostio_helper **ret_helper, struct err *e)
{
	struct hostio_helper *h;

	*ret_helper = NULL;
	for (h = LIST_FIRST(&io->helpers); h; h = LIST_NEXT(h, link))
		if (!h->step && !h->ending) {
			*ret_helper = h;
			return 0;
		}
	if (io->n_left >= HOSTIO_LEFT_MAX)
		return err_set(e, ERR_HOST_STUCK,
			       "%u helpers hang in the kernel: no more are started", io->n_left);
	if (io->n_helpers - io->n_left >= HOSTIO_HELPERS)
		return 0;
	return hostio_helper_new(io, ret_helper, e);
}

/* False when no helper is free. */
static bool hostio_begin(struct hostio *io, struct hostio_step *step)
{
	struct hostio_helper *h = NULL;

	step->failed = step->failed || hostio_refuse_stuck(io, step) ||
		       hostio_take_helper(io, &h, &step->why) < 0;
	if (step->failed) {
		struct err why = step->why;

		hostio_answered(io, step, NULL, &why);
		return true;
	}
	if (h)
		hostio_helper_begin(h, step);
	return h;
}

static void hostio_kicked(uv_timer_t *timer)
{
	struct hostio *io = container_of(timer, struct hostio, kick);
	struct hostio_step *step;

	/* from the front again after each: a callback may have changed the list */
	for (;;) {
		for (step = TAILQ_FIRST(&io->steps); step; step = TAILQ_NEXT(step, link))
			if (!step->at_work && !hostio_blocked(io, step))
				break;
		if (!step || io->ended || !hostio_begin(io, step))
			return;
	}
}

void hostio_kick(struct hostio *io)
{
	if (!io->ended && !TAILQ_EMPTY(&io->steps))
		uv_timer_start(&io->kick, hostio_kicked, 0, 0);
}

/* --- a device that does not come back ---------------------------------------------------------- */

static void hostio_add_holders(struct hostio_step *step, struct json_object *result)
{
	struct json_object *holders = json_get(result, "holders");
	size_t n = json_object_is_type(holders, json_type_array) ? json_object_array_length(holders)
								 : 0;

	for (size_t i = 0; i < MIN(n, (size_t)HOSTIO_HOLDERS_SHOWN); i++) {
		struct json_object *h = json_object_array_get_idx(holders, i);

		err_add_cause(&step->why, "process %" PRId64 " (%.32s) holds %.64s",
			      json_get_int(h, "pid", 0), json_get_str(h, "comm", "?"),
			      json_get_str(h, "path", "?"));
	}
	if (n)
		err_hint(&step->why, "end what holds the device, then: vmctl pci release %s",
			 step->device);
	if (n > HOSTIO_HOLDERS_SHOWN)
		err_add_cause(&step->why, "and others");
}

static struct hostio_step *hostio_step_new(struct json_object *o)
{
	struct hostio_step *step = calloc(1, sizeof(*step));

	if (!step)
		return NULL;
	if (asprintf(&step->line, "%s", json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN)) <
	    0) {
		free(step);
		return NULL;
	}
	hostio_text(o, step->text, sizeof(step->text));
	step->deadline_ms = HOSTIO_MS;
	step->devices[0] = hostio_device(o, "pci");
	step->devices[1] = hostio_device(o, "pf");
	snprintf(step->device, sizeof(step->device), "%s",
		 json_get_str(o, "pci", json_get_str(o, "pf", "")));
	return step;
}

static void hostio_insert(struct hostio *io, struct hostio_step *step, bool first)
{
	if (io->options.most_ms)
		step->deadline_ms = MIN(step->deadline_ms, io->options.most_ms);
	if (first)
		TAILQ_INSERT_HEAD(&io->steps, step, link);
	else
		TAILQ_INSERT_TAIL(&io->steps, step, link);
	io->n_steps++;
	hostio_kick(io);
}

/* The step keeps its place, and its device, until it is known who holds that. */
static bool hostio_look(struct hostio *io, struct hostio_step *step)
{
	AUTO_JSON struct json_object *o =
		json_add_str(json_add_str(json_new(), "op", "holders"), "pci", step->device);
	struct hostio_step *look = step->device[0] ? hostio_step_new(o) : NULL;

	if (!look)
		return false;
	look->of = step;
	look->devices[0] = look->devices[1] = 0;
	hostio_insert(io, look, true);
	return true;
}

void hostio_stuck(struct hostio *io, struct hostio_step *step, const struct hostio_helper *h)
{
	struct err why = { 0 };
	char text[sizeof(step->text)];

	if (step->of) { /* who holds it is not known, then */
		hostio_answered(io, step, NULL, &why);
		return;
	}
	snprintf(text, sizeof(text), "%s", step->text);
	err_set(&step->why, ERR_HOST_STUCK, "%s: not done within %g s%s", text,
		step->deadline_ms / 1000.0,
		h->left ? ", and the kernel does not let the helper go" : "");
	err_hint(&step->why, "dmesg | grep %s may say what it waits for", step->device);
	if (!hostio_look(io, step)) {
		why = step->why;
		hostio_finish(io, step, NULL, &why);
	}
}

void hostio_answered(struct hostio *io, struct hostio_step *step, struct json_object *result,
		     const struct err *why)
{
	struct hostio_step *of = step->of;
	struct err stuck;

	if (!of) {
		hostio_finish(io, step, result, result ? NULL : why);
		return;
	}
	if (result)
		hostio_add_holders(of, result);
	hostio_drop(io, step);
	stuck = of->why;
	hostio_finish(io, of, NULL, &stuck);
}

/* --- from outside ---------------------------------------------------------------------------- */

int hostio_new(const struct hostio_options *options, struct hostio **ret_hostio, struct err *e)
{
	struct hostio *io = calloc(1, sizeof(*io));

	if (!io)
		return err_set(e, ENOMEM, "no memory");
	io->options = *options;
	TAILQ_INIT(&io->steps);
	LIST_INIT(&io->helpers);
	uv_timer_init(options->loop, &io->kick);
	io->kick_open = true;
	*ret_hostio = io;
	return 0;
}

void hostio_maybe_free(struct hostio *io)
{
	if (io->ended && !io->n_helpers && !io->kick_open)
		free(io);
}

static void hostio_kick_closed(uv_handle_t *handle)
{
	struct hostio *io = container_of((uv_timer_t *)handle, struct hostio, kick);

	io->kick_open = false;
	hostio_maybe_free(io);
}

void hostio_free(struct hostio *io)
{
	struct hostio_helper *h;

	if (!io)
		return;
	io->ended = true;
	for (h = LIST_FIRST(&io->helpers); h; h = LIST_NEXT(h, link))
		hostio_helper_leave(h);
	while (!TAILQ_EMPTY(&io->steps))
		hostio_drop(io, TAILQ_FIRST(&io->steps));
	uv_close((uv_handle_t *)&io->kick, hostio_kick_closed);
}

void hostio_do(struct hostio *io, struct json_object *o,
	       void (*done)(void *arg, struct json_object *result, const struct err *why),
	       void *arg)
{
	struct hostio_step *step = hostio_step_new(o);

	/* the caller's own error could not be told otherwise: like json-c's, this needs its few bytes */
	if (!step)
		abort();
	step->done = done;
	step->arg = arg;
	if (io->n_steps >= HOSTIO_STEPS_MAX) {
		step->failed = true;
		err_set(&step->why, ERR_BUSY, "%s: %d steps wait already", step->text,
			HOSTIO_STEPS_MAX);
		step->devices[0] = step->devices[1] = 0;
	}
	hostio_insert(io, step, false);
}
