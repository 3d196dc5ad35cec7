// SPDX-License-Identifier: MIT
/* Table pool_revision: see state.h. On the loop's thread. */
#include "lib/errcat.h"
#include "state/db.h"

int db_pool_revision_add(struct state *s, const struct state_pool *pool, struct err *e)
{
	int ret =
		db_run(s, DB_POOL_REVISION_ADD,
		       "INSERT INTO pool_revision (pool, number, definition, time, uid, pid,"
		       " program) VALUES (?, ?, ?, ?, ?, ?, ?)",
		       e, "titiiit", pool->name, pool->revision, pool->definition, pool->updated_ms,
		       (int64_t)pool->actor.uid, (int64_t)pool->actor.pid, pool->actor.program);

	if (ret < 0 || pool->revision <= STATE_REVISIONS_MAX)
		return ret;
	return db_run(s, DB_POOL_REVISION_TRIM,
		      "DELETE FROM pool_revision WHERE pool = ? AND number <= ?", e, "ti",
		      pool->name, pool->revision - STATE_REVISIONS_MAX);
}

int db_pool_revision_clear(struct state *s, const char *pool, struct err *e)
{
	return db_run(s, DB_POOL_REVISION_CLEAR, "DELETE FROM pool_revision WHERE pool = ?", e, "t",
		      pool);
}

static void pool_revision_row(sqlite3_stmt *stmt, struct state_revision *r)
{
	*r = (struct state_revision){ .number = sqlite3_column_int64(stmt, 0),
				      .time_ms = sqlite3_column_int64(stmt, 1),
				      .definition = (const char *)sqlite3_column_text(stmt, 2) };
	r->actor.uid = (uid_t)sqlite3_column_int64(stmt, 3);
	r->actor.pid = (pid_t)sqlite3_column_int64(stmt, 4);
	db_text(stmt, 5, r->actor.program, sizeof(r->actor.program));
}

int state_pool_revision_list(struct state *s, const char *pool, int64_t before,
			     int (*each)(void *arg, const struct state_revision *revision),
			     void *arg, struct err *e)
{
	sqlite3_stmt *stmt = db_query(s, DB_POOL_REVISION_LIST,
				      "SELECT number, time, definition, uid, pid, program"
				      " FROM pool_revision WHERE pool = ? AND number < ?"
				      " ORDER BY number DESC",
				      e, "ti", pool, before);
	struct state_revision revision;
	int ret;

	if (!stmt)
		return -ERR_STATE;
	while ((ret = db_step(s, stmt, e)) > 0) {
		pool_revision_row(stmt, &revision);
		ret = each(arg, &revision);
		if (ret)
			break;
	}
	db_end(stmt);
	return MIN(ret, 0);
}
