// SPDX-License-Identifier: MIT
/*
 * A commit that fails in its last step. SQLite appends a transaction's pages to the log, the last of them with the
 * mark of a commit, and syncs the file (https://www.sqlite.org/walformat.html, section 4). When only that fails, it
 * takes the transaction back in its memory alone: who opens the database next finds it whole, and done. The next
 * write goes over it; so one is made at once, and only where that fails too is the outcome unknown. On the
 * loop's thread.
 */
#include "lib/errcat.h"
#include "state/db.h"

/* Goes over the log's end. A new value each time: what changes nothing, SQLite may leave out. */
static int state_overwrite(struct state *s, struct err *e)
{
	char value[STATE_ID_SIZE];
	sqlite3_stmt *stmt;
	int ret;

	state_uuid(value);
	stmt = db_query(s, DB_META_SETTLE, "INSERT OR REPLACE INTO meta VALUES ('settled', ?)", e,
			"t", value);
	if (!stmt)
		return -ERR_STATE;
	ret = db_step(s, stmt, e);
	db_end(stmt);
	return ret;
}

int state_settle(struct state *s, struct err *e)
{
	int ret;

	if (!s->in_doubt)
		return 0;
	ret = state_overwrite(s, e);
	if (ret < 0)
		return ret;
	s->in_doubt = false;
	return 1;
}

void state_on_doubt(struct state *s, void (*doubt)(void *arg), void *arg)
{
	s->doubt = doubt;
	s->doubt_arg = arg;
}

/* Has the log nothing of it, or no whole page with the mark of a commit? */
static bool db_is_refused(int code)
{
	switch (code) {
	case SQLITE_FULL:
	case SQLITE_IOERR_WRITE:
		return true;
	default:
		return (code & 0xff) != SQLITE_IOERR && (code & 0xff) != SQLITE_NOMEM;
	}
}

int db_commit_failed(struct state *s, int code, struct err *e)
{
	if (db_is_refused(code))
		return -ERR_STATE;
	s->in_doubt = true;
	if (state_settle(s, NULL) >= 0)
		return -ERR_STATE;
	if (s->doubt)
		s->doubt(s->doubt_arg);
	err_set(e, ERR_STATE_UNKNOWN,
		"state database: it is not known whether this was written: %s",
		sqlite3_errstr(code));
	return err_hint(e, "vmd makes sure that it was not, once it can write; if vmd ends before "
			   "that, the next one may find it, and carry it out");
}
