// SPDX-License-Identifier: MIT
/* Table timeline: the last STATE_TIMELINES_MAX starts of each VM. On the loop's thread. */
#include "lib/errcat.h"
#include "state/db.h"

int state_timeline_add(struct state *s, const struct state_timeline *t, int64_t *ret_seq,
		       struct err *e)
{
	int ret = db_run(s, DB_TIMELINE_ADD,
			 "INSERT INTO timeline (vm, time, revision, ok, phases)"
			 " VALUES (?, ?, ?, ?, ?)",
			 e, "tiiit", t->vm, t->time_ms, t->revision, (int64_t)t->ok, t->phases);

	if (ret < 0)
		return ret;
	*ret_seq = sqlite3_last_insert_rowid(s->db);
	return db_run(s, DB_TIMELINE_TRIM,
		      "DELETE FROM timeline WHERE vm = ?1 AND seq <= (SELECT seq FROM timeline"
		      " WHERE vm = ?1 ORDER BY seq DESC LIMIT 1 OFFSET ?2)",
		      e, "ti", t->vm, (int64_t)STATE_TIMELINES_MAX);
}

int state_timeline_update(struct state *s, int64_t seq, const char *phases, struct err *e)
{
	return db_run(s, DB_TIMELINE_UPDATE, "UPDATE timeline SET phases = ? WHERE seq = ?", e,
		      "ti", phases, seq);
}

int state_timeline_list(struct state *s, const char *vm,
			int (*each)(void *arg, const struct state_timeline *t), void *arg,
			struct err *e)
{
	sqlite3_stmt *stmt = db_query(s, DB_TIMELINE_LIST,
				      "SELECT time, revision, ok, phases FROM timeline"
				      " WHERE vm = ? ORDER BY seq DESC",
				      e, "t", vm);
	int ret;

	if (!stmt)
		return -ERR_STATE;
	while ((ret = db_step(s, stmt, e)) > 0) {
		struct state_timeline t = {
			.vm = vm,
			.time_ms = sqlite3_column_int64(stmt, 0),
			.revision = sqlite3_column_int64(stmt, 1),
			.ok = sqlite3_column_int(stmt, 2),
			.phases = (const char *)sqlite3_column_text(stmt, 3),
		};

		ret = each(arg, &t);
		if (ret < 0)
			break;
	}
	db_end(stmt);
	return ret;
}
