// SPDX-License-Identifier: MIT
/* Table journal: see state.h. On the loop's thread. */
#include <string.h>

#include "lib/errcat.h"
#include "state/db.h"

int state_journal_add(struct state *s, const char *owner, const char *action, const char *undo,
		      int64_t *ret_seq, struct err *e)
{
	int ret = db_run(s, DB_JOURNAL_ADD,
			 "INSERT INTO journal (owner, action, undo, state, time)"
			 " VALUES (?, ?, ?, 'begun', ?)",
			 e, "ttti", owner, action, undo, state_now_ms());

	if (ret >= 0)
		*ret_seq = sqlite3_last_insert_rowid(s->db);
	return ret;
}

static int journal_set(struct state *s, int64_t seq, const char *to, struct err *e)
{
	return db_run(s, DB_JOURNAL_SET, "UPDATE journal SET state = ?, time = ? WHERE seq = ?", e,
		      "tii", to, state_now_ms(), seq);
}

int state_journal_done(struct state *s, int64_t seq, struct err *e)
{
	return journal_set(s, seq, "done", e);
}

int state_journal_undone(struct state *s, int64_t seq, struct err *e)
{
	return journal_set(s, seq, "undone", e);
}

int state_journal_delete(struct state *s, const char *owner, struct err *e)
{
	return db_run(s, DB_JOURNAL_DELETE, "DELETE FROM journal WHERE owner = ?", e, "t", owner);
}

static void journal_row(sqlite3_stmt *stmt, struct state_journal *j)
{
	const char *state = (const char *)sqlite3_column_text(stmt, 4);

	*j = (struct state_journal){ .seq = sqlite3_column_int64(stmt, 0),
				     .action = (const char *)sqlite3_column_text(stmt, 2),
				     .undo = (const char *)sqlite3_column_text(stmt, 3),
				     .begun = !strcmp(state, "begun"),
				     .undone = !strcmp(state, "undone"),
				     .time_ms = sqlite3_column_int64(stmt, 5) };
	db_text(stmt, 1, j->owner, sizeof(j->owner));
}

int state_journal_list(struct state *s, const char *owner,
		       int (*each)(void *arg, const struct state_journal *j), void *arg,
		       struct err *e)
{
	sqlite3_stmt *stmt = db_query(s, DB_JOURNAL_LIST,
				      "SELECT seq, owner, action, undo, state, time FROM journal"
				      " WHERE ?1 IS NULL OR owner = ?1 ORDER BY seq DESC",
				      e, "t", owner);
	struct state_journal j;
	int ret;

	if (!stmt)
		return -ERR_STATE;
	while ((ret = db_step(s, stmt, e)) > 0) {
		journal_row(stmt, &j);
		ret = each(arg, &j);
		if (ret < 0)
			break;
	}
	db_end(stmt);
	return ret;
}
