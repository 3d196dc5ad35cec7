// SPDX-License-Identifier: MIT
/*
 * See journal.h. The end of a step and the beginning of the next are one transaction: a sync a step, and one
 * more for the last. On the loop's thread.
 */
#include "vmd/journal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/auto.h"
#include "lib/errcat.h"

struct journal {
	struct state *state;	  /* borrowed */
	struct hostio *io;	  /* borrowed */
	const struct log *log;	  /* borrowed */
	struct journal_run *runs; /* owned */
};

struct journal_run {
	struct journal_run *next;
	struct journal *j;
	char owner[JOURNAL_OWNER_SIZE];
	bool back;
	struct json_object *steps; /* owned: forth {action, undo}, back {seq, undo} */
	size_t at;
	int64_t seq; /* of the step that is under way */
	struct journal_ops ops;
	void *arg;
};

struct journal *journal_new(struct state *state, struct hostio *io, const struct log *log)
{
	struct journal *j = calloc(1, sizeof(*j));

	if (j)
		*j = (struct journal){ .state = state, .io = io, .log = log };
	return j;
}

static void journal_end(struct journal_run *r)
{
	struct journal_run **link = &r->j->runs;

	while (*link != r)
		link = &(*link)->next;
	*link = r->next;
	json_object_put(r->steps);
	free(r);
}

void journal_free(struct journal *j)
{
	while (j && j->runs)
		journal_end(j->runs);
	free(j);
}

void journal_add(struct json_object *steps, struct json_object *take_action,
		 struct json_object *take_undo)
{
	struct json_object *step = json_add(json_new(), "action", take_action);

	if (take_undo)
		json_add(step, "undo", take_undo);
	if (json_object_array_add(steps, step) < 0)
		abort(); /* a small object */
}

static struct journal_run *journal_begin(struct journal *j, const char *owner,
					 struct json_object *take_steps,
					 const struct journal_ops *ops, void *arg, struct err *e)
{
	struct journal_run *r = calloc(1, sizeof(*r));

	if (!r) {
		json_object_put(take_steps);
		err_ret(e, -ENOMEM, "cannot change the host");
		return NULL;
	}
	*r = (struct journal_run){
		.next = j->runs, .j = j, .steps = take_steps, .ops = *ops, .arg = arg
	};
	snprintf(r->owner, sizeof(r->owner), "%s", owner);
	j->runs = r;
	return r;
}

static struct json_object *journal_at(const struct journal_run *r, const char *key)
{
	return json_get(json_object_array_get_idx(r->steps, r->at), key);
}

static bool journal_more(const struct journal_run *r)
{
	return r->at < json_object_array_length(r->steps);
}

static struct json_object *journal_step(const struct journal_run *r)
{
	return journal_at(r, r->back ? "undo" : "action");
}

static void journal_finish(struct journal_run *r, const struct err *why)
{
	struct journal_ops ops = r->ops;
	void *arg = r->arg;

	journal_end(r);
	ops.done(arg, why);
}

/* --- what is written ------------------------------------------------------------------------------ */

static const char *journal_plain(struct json_object *o)
{
	return o ? json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN) : NULL;
}

/* The step that comes next is written before it happens. */
static int journal_write_next(struct journal_run *r, struct err *e)
{
	if (!journal_more(r))
		return 0;
	if (!r->back)
		return state_journal_add(r->j->state, r->owner,
					 journal_plain(journal_at(r, "action")),
					 journal_plain(journal_at(r, "undo")), &r->seq, e);
	r->seq = json_get_int(json_object_array_get_idx(r->steps, r->at), "seq", 0);
	return 0;
}

static int journal_write_end(struct journal_run *r, struct err *e)
{
	struct state *s = r->j->state;
	int ret = r->back ? state_journal_undone(s, r->seq, e) : state_journal_done(s, r->seq, e);

	if (ret >= 0 && r->ops.stored && !r->back)
		ret = r->ops.stored(r->arg, r->at, e);
	r->at++;
	return ret < 0 ? ret : journal_write_next(r, e);
}

static int journal_write(struct journal_run *r, int (*write)(struct journal_run *r, struct err *e),
			 struct err *e)
{
	int ret = state_begin(r->j->state, e);

	if (ret >= 0)
		ret = write(r, e);
	if (ret >= 0)
		ret = state_commit(r->j->state, e);
	if (ret < 0)
		state_rollback(r->j->state);
	return ret;
}

/* --- what happens ---------------------------------------------------------------------------------- */

static void journal_stepped(void *arg, struct json_object *result, const struct err *why);

static void journal_do(struct journal_run *r)
{
	char text[192];

	log_debug(r->j->log, "%s: %s%s", r->owner, r->back ? "undo: " : "",
		  hostio_text(journal_step(r), text, sizeof(text)));
	hostio_do(r->j->io, journal_step(r), journal_stepped, r);
}

static void journal_stepped(void *arg, struct json_object *result, const struct err *why)
{
	struct journal_run *r = arg;
	struct err e = { 0 };
	char text[192];

	(void)result;
	if (why) {
		e = *why;
		hostio_text(journal_step(r), text, sizeof(text));
		if (strncmp(e.msg, text, strlen(text)) != 0) /* it does not say so itself */
			err_because(&e, "cannot %s", text);
		journal_finish(r, &e);
	} else if (journal_write(r, journal_write_end, &e) < 0) {
		journal_finish(r, &e);
	} else if (journal_more(r)) {
		journal_do(r);
	} else {
		journal_finish(r, NULL);
	}
}

int journal_run(struct journal *j, const char *owner, struct json_object *steps,
		const struct journal_ops *ops, void *arg, struct err *e)
{
	struct journal_run *r = journal_begin(j, owner, json_object_get(steps), ops, arg, e);
	int ret = r ? journal_write(r, journal_write_next, e) : -ENOMEM;

	if (r && ret < 0)
		journal_end(r);
	if (ret >= 0)
		journal_do(r);
	return ret;
}

/* --- and is taken back ------------------------------------------------------------------------------ */

/* A reset that did not come to its end: nobody has had the device since, so nothing is to be wiped out of it. */
static bool journal_spares(const struct state_journal *row, struct json_object *undo)
{
	return row->begun && !strcmp(json_get_str(undo, "op", ""), "reset");
}

static int journal_take(void *arg, const struct state_journal *row)
{
	struct json_object *steps = arg, *undo;

	if (!row->undo || row->undone)
		return 0;
	if (json_parse(row->undo, strlen(row->undo), &undo, NULL) < 0)
		return -ERR_STATE;
	if (journal_spares(row, undo)) {
		json_object_put(undo);
		return 0;
	}
	undo = json_add(json_add_int(json_new(), "seq", row->seq), "undo", undo);
	return json_object_array_add(steps, undo) < 0 ? -ENOMEM : 0;
}

static int journal_load(struct journal *j, const char *owner, struct json_object **ret_steps,
			struct err *e)
{
	AUTO_JSON struct json_object *steps = json_object_new_array();
	int ret = state_journal_list(j->state, owner, journal_take, steps, e);

	if (ret < 0)
		return err_set(e, ERR_STATE, "the journal of '%s' cannot be read", owner);
	*ret_steps = TAKE_PTR(steps);
	return 0;
}

int journal_undos(struct journal *j, const char *owner, struct json_object **ret_undos,
		  struct err *e)
{
	AUTO_JSON struct json_object *steps = NULL;
	int ret = journal_load(j, owner, &steps, e);

	if (ret < 0)
		return ret;
	*ret_undos = json_object_new_array();
	for (size_t i = 0; i < json_object_array_length(steps); i++)
		json_object_array_add(
			*ret_undos,
			json_object_get(json_get(json_object_array_get_idx(steps, i), "undo")));
	return 0;
}

int journal_undo(struct journal *j, const char *owner, const struct journal_ops *ops, void *arg,
		 struct err *e)
{
	struct json_object *steps = NULL;
	struct journal_run *r;
	int ret = journal_load(j, owner, &steps, e);

	if (ret < 0)
		return ret;
	if (!json_object_array_length(steps)) {
		json_object_put(steps);
		return 0;
	}
	r = journal_begin(j, owner, steps, ops, arg, e);
	if (!r)
		return -ENOMEM;
	r->back = true;
	journal_write_next(r, e); /* which one it is; nothing to write: it stands there */
	journal_do(r);
	return 1;
}
