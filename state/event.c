// SPDX-License-Identifier: MIT
/*
 * Table event, a ring: every EVENT_TRIM_EVERY events those beyond STATE_EVENTS_MAX go. AUTOINCREMENT, so
 * that a number is never used twice. On the loop's thread.
 */
#include "lib/errcat.h"
#include "state/db.h"

#define EVENT_TRIM_EVERY 100

int state_event_add(struct state *s, const struct state_event *event, int64_t *ret_seq,
		    struct err *e)
{
	int64_t seq;
	int ret;

	db_begins(s);
	ret = db_run(s, DB_EVENT_ADD,
		     "INSERT INTO event (time, type, vm, data, actor) VALUES (?, ?, ?, ?, ?)", e,
		     "itttt", event->time_ms, event->type, event->vm, event->data, event->actor);
	if (ret < 0)
		return ret;
	seq = sqlite3_last_insert_rowid(s->db);
	*ret_seq = seq;
	if (seq % EVENT_TRIM_EVERY)
		return 0;
	return db_run(s, DB_EVENT_TRIM, "DELETE FROM event WHERE seq <= ?", e, "i",
		      seq - STATE_EVENTS_MAX);
}

static int event_number(struct state *s, sqlite3_stmt *stmt, int64_t *ret_seq, struct err *e)
{
	int ret;

	if (!stmt)
		return -ERR_STATE;
	ret = db_step(s, stmt, e);
	if (ret > 0)
		*ret_seq = sqlite3_column_int64(stmt, 0);
	db_end(stmt);
	return MIN(ret, 0);
}

int state_event_last(struct state *s, int64_t *ret_seq, struct err *e)
{
	return event_number(
		s,
		db_query(s, DB_EVENT_LAST,
			 "SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'event'",
			 e, ""),
		ret_seq, e);
}

int state_event_first(struct state *s, int64_t *ret_seq, struct err *e)
{
	return event_number(
		s, db_query(s, DB_EVENT_FIRST, "SELECT coalesce(min(seq), 0) FROM event", e, ""),
		ret_seq, e);
}

int state_event_list(struct state *s, int64_t since, int64_t limit,
		     int (*each)(void *arg, const struct state_event *event), void *arg,
		     struct err *e)
{
	sqlite3_stmt *stmt = db_query(s, DB_EVENT_LIST,
				      "SELECT seq, time, type, vm, data, actor FROM event"
				      " WHERE seq > ? ORDER BY seq LIMIT ?",
				      e, "ii", since, limit);
	int ret;

	if (!stmt)
		return -ERR_STATE;
	while ((ret = db_step(s, stmt, e)) > 0) {
		struct state_event event = {
			.seq = sqlite3_column_int64(stmt, 0),
			.time_ms = sqlite3_column_int64(stmt, 1),
			.type = (const char *)sqlite3_column_text(stmt, 2),
			.vm = (const char *)sqlite3_column_text(stmt, 3),
			.data = (const char *)sqlite3_column_text(stmt, 4),
			.actor = (const char *)sqlite3_column_text(stmt, 5),
		};

		ret = each(arg, &event);
		if (ret)
			break;
	}
	db_end(stmt);
	return MIN(ret, 0);
}

int state_event_last_states(struct state *s,
			    int (*each)(void *arg, const char *vm, const char *from,
					const char *to),
			    void *arg, struct err *e)
{
	/* the other columns are of the row with the maximum (https://sqlite.org/lang_select.html, 2.5) */
	sqlite3_stmt *stmt = db_query(s, DB_EVENT_LAST_STATES,
				      "SELECT vm, data ->> 'from', data ->> 'to', max(seq)"
				      " FROM event WHERE type = 'vm.state' GROUP BY vm",
				      e, "");
	char vm[STATE_ID_SIZE], from[16], to[16];
	int ret;

	if (!stmt)
		return -ERR_STATE;
	while ((ret = db_step(s, stmt, e)) > 0) {
		db_text(stmt, 0, vm, sizeof(vm));
		db_text(stmt, 1, from, sizeof(from));
		db_text(stmt, 2, to, sizeof(to));
		ret = each(arg, vm, from, to);
		if (ret < 0)
			break;
	}
	db_end(stmt);
	return ret;
}
