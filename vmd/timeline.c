// SPDX-License-Identifier: MIT
/* What a start takes: see timeline.h. */
#include "vmd/timeline.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lib/auto.h"
#include "vmd/daemon.h"
#include "vmd/event.h"

#define TIMELINE_LATE_MS 1000  /* the first console byte and kick of most guests come together */
#define TIMELINE_HISTORY_MIN 3 /* other starts that make a median */

static const char *const timeline_names[] = {
#define X(id, name) name,
	TIMELINE_PHASES(X)
#undef X
};

static int64_t timeline_now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

void timeline_init(struct timeline *t, struct daemon *d, const char *vm)
{
	*t = (struct timeline){ .d = d, .vm = vm };
	uv_timer_init(&d->loop, &t->timer);
}

/* --- one start ------------------------------------------------------------------------------------ */

static struct json_object *timeline_json(const struct timeline *t)
{
	struct json_object *o = json_new();

	for (size_t i = 0; i < TIMELINE_COUNT; i++)
		if (t->at_us[i] >= 0)
			json_add_int(o, timeline_names[i], t->at_us[i]);
	return o;
}

void timeline_flush(struct timeline *t)
{
	AUTO_JSON struct json_object *o = NULL;
	struct err e;

	if (!t->unwritten || !t->seq)
		return;
	t->unwritten = false;
	o = timeline_json(t);
	if (state_timeline_update(t->d->state, t->seq,
				  json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN),
				  &e) < 0)
		log_error(&t->d->log, "timeline: %s", e.msg);
}

static void timeline_late(uv_timer_t *timer)
{
	timeline_flush(container_of(timer, struct timeline, timer));
}

void timeline_close(struct timeline *t, uv_close_cb closed)
{
	timeline_flush(t);
	uv_close((uv_handle_t *)&t->timer, closed);
}

void timeline_begin(struct timeline *t)
{
	timeline_flush(t);
	uv_timer_stop(&t->timer);
	t->unwritten = false;
	t->seq = 0;
	t->time_ms = state_now_ms();
	t->begun_us = timeline_now_us();
	for (size_t i = 0; i < TIMELINE_COUNT; i++)
		t->at_us[i] = -1;
}

static void timeline_set(struct timeline *t, enum timeline_phase phase, int64_t at_us)
{
	t->at_us[phase] = at_us;
	t->unwritten = true;
	if (t->seq && !uv_is_active((uv_handle_t *)&t->timer))
		uv_timer_start(&t->timer, timeline_late, TIMELINE_LATE_MS, 0);
}

void timeline_mark(struct timeline *t, enum timeline_phase phase)
{
	if (t->begun_us && t->at_us[phase] < 0)
		timeline_set(t, phase, timeline_now_us() - t->begun_us);
}

/* Not before the phases that it follows. What the guest does first, console or kick, is its affair. */
static int64_t timeline_not_before(const struct timeline *t, enum timeline_phase phase)
{
	int64_t at = 0;

	for (int i = 0; i < (int)MIN(phase, TIMELINE_CONSOLE); i++)
		at = MAX(at, t->at_us[i]);
	return at;
}

void timeline_take(struct timeline *t, struct json_object *said)
{
	int64_t now = timeline_now_us();

	if (!t->begun_us)
		return;
	for (int i = TIMELINE_MEMORY; i < TIMELINE_COUNT; i++) {
		int64_t at = json_get_int(said, timeline_names[i], -1);

		if (at < 0 || at > now || t->at_us[i] >= 0)
			continue;
		at -= t->begun_us;
		if (at >= timeline_not_before(t, (enum timeline_phase)i))
			timeline_set(t, (enum timeline_phase)i, at);
	}
}

int timeline_write(struct timeline *t, int64_t revision, bool ok, struct err *e)
{
	AUTO_JSON struct json_object *o = NULL;
	struct state_timeline row = {
		.vm = t->vm, .time_ms = t->time_ms, .revision = revision, .ok = ok
	};

	if (!t->begun_us || t->seq)
		return 0;
	o = timeline_json(t);
	row.phases = json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN);
	t->unwritten = false;
	return state_timeline_add(t->d->state, &row, &t->seq, e);
}

void timeline_rolled_back(struct timeline *t, int64_t seq)
{
	t->seq = seq;
	t->unwritten = true;
}

/* --- all that are kept ------------------------------------------------------------------------------ */

struct timeline_past {
	int64_t took[TIMELINE_COUNT][STATE_TIMELINES_MAX]; /* of starts that came up */
	size_t n[TIMELINE_COUNT];
	int64_t total[STATE_TIMELINES_MAX];
	size_t ntotal;
	struct json_object *starts; /* borrowed */
};

static int timeline_compare(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

/* The nearest rank: the smallest of which percent of all are not greater. Sorts. */
static int64_t timeline_percentile(int64_t *values, size_t n, unsigned int percent)
{
	qsort(values, n, sizeof(*values), timeline_compare);
	return values[(n * percent + 99) / 100 - 1];
}

struct timeline_at {
	int64_t at_us;
	size_t phase;
};

static int timeline_compare_at(const void *a, const void *b)
{
	const struct timeline_at *x = a, *y = b;

	return x->at_us == y->at_us ? (x->phase > y->phase) - (x->phase < y->phase)
				    : (x->at_us > y->at_us) - (x->at_us < y->at_us);
}

/* The phases of a row in the order in which they were over. */
static size_t timeline_sort(struct json_object *phases, struct timeline_at *out)
{
	size_t n = 0;

	for (size_t i = 0; i < TIMELINE_COUNT; i++) {
		int64_t at = json_get_int(phases, timeline_names[i], -1);

		if (at >= 0)
			out[n++] = (struct timeline_at){ .at_us = at, .phase = i };
	}
	qsort(out, n, sizeof(*out), timeline_compare_at);
	return n;
}

static void timeline_add_phases(struct timeline_past *past, struct json_object *o, bool ok,
				struct json_object *phases)
{
	struct json_object *list = json_object_new_array();
	struct timeline_at at[TIMELINE_COUNT] = { 0 };
	size_t n = timeline_sort(phases, at);
	int64_t before = 0;

	for (size_t i = 0; i < n; i++) {
		struct json_object *phase =
			json_add_str(json_new(), "phase", timeline_names[at[i].phase]);
		int64_t took = at[i].at_us - before;

		before = at[i].at_us;
		json_add_int(json_add_int(phase, "at_us", at[i].at_us), "took_us", took);
		json_object_array_add(list, phase);
		if (ok)
			past->took[at[i].phase][past->n[at[i].phase]++] = took;
	}
	json_add(o, "phases", list);
}

static int timeline_one(void *arg, const struct state_timeline *row)
{
	struct timeline_past *past = arg;
	AUTO_JSON struct json_object *phases = NULL;
	struct json_object *o = json_new();
	char time[EVENT_TIME_SIZE];
	int64_t total;

	if (json_object_array_length(past->starts) >= STATE_TIMELINES_MAX)
		return json_object_put(o), 0;
	if (json_parse(row->phases, strlen(row->phases), &phases, NULL) < 0)
		phases = json_new();
	event_time(row->time_ms, time);
	json_add_str(o, "time", time);
	json_add_int(o, "revision", row->revision);
	json_add_bool(o, "ok", row->ok);
	timeline_add_phases(past, o, row->ok, phases);
	total = json_get_int(phases, "start", -1);
	if (row->ok && total >= 0) {
		json_add_int(o, "total_us", total);
		past->total[past->ntotal++] = total;
	}
	json_object_array_add(past->starts, o);
	return 0;
}

static struct json_object *timeline_stats(struct timeline_past *past)
{
	struct json_object *list = json_object_new_array();

	for (size_t i = 0; i < TIMELINE_COUNT; i++) {
		struct json_object *o;

		if (!past->n[i])
			continue;
		o = json_add_str(json_new(), "phase", timeline_names[i]);
		json_add_int(o, "n", (int64_t)past->n[i]);
		json_add_int(o, "p50_us", timeline_percentile(past->took[i], past->n[i], 50));
		json_add_int(o, "p95_us", timeline_percentile(past->took[i], past->n[i], 95));
		json_object_array_add(list, o);
	}
	return list;
}

/* The median of all but one, which is in the sorted list. */
static int64_t timeline_median_without(const struct timeline_past *past, int64_t total)
{
	size_t middle = (past->ntotal - 2) / 2;

	return past->total[middle] < total ? past->total[middle] : past->total[middle + 1];
}

static void timeline_judge(struct timeline_past *past)
{
	qsort(past->total, past->ntotal, sizeof(past->total[0]), timeline_compare);
	for (size_t i = 0; i < json_object_array_length(past->starts); i++) {
		struct json_object *o = json_object_array_get_idx(past->starts, i);
		int64_t total = json_get_int(o, "total_us", -1);

		if (total >= 0 && past->ntotal > TIMELINE_HISTORY_MIN &&
		    total >= 2 * timeline_median_without(past, total))
			json_add_bool(o, "slow", true);
	}
}

int timeline_list(struct daemon *d, const char *vm, int64_t limit, struct json_object **ret,
		  struct err *e)
{
	AUTO_FREE struct timeline_past *past = calloc(1, sizeof(*past));
	struct json_object *o;
	int r;

	if (!past)
		return err_ret(e, -ENOMEM, "timeline");
	past->starts = json_object_new_array();
	r = state_timeline_list(d->state, vm, timeline_one, past, e);
	if (r < 0) {
		json_object_put(past->starts);
		return r;
	}
	timeline_judge(past);
	o = json_add(json_new(), "stats", timeline_stats(past));
	if (past->ntotal)
		json_add_int(o, "median_us", timeline_percentile(past->total, past->ntotal, 50));
	while ((int64_t)json_object_array_length(past->starts) > limit)
		json_object_array_del_idx(past->starts, (size_t)limit, 1);
	*ret = json_add(o, "starts", past->starts);
	return 0;
}
