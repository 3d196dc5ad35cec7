// SPDX-License-Identifier: MIT
/*
 * Table request: what was asked with a request_id, for STATE_REQUEST_MS. Every REQUEST_TRIM_EVERY new ones those
 * that are older go, and of each user all but the newest STATE_REQUESTS_MAX. On the loop's thread.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/errcat.h"
#include "state/db.h"

#define REQUEST_TRIM_EVERY 100
#define REQUEST_LONGEST_MS (2 * 86400 * INT64_C(1000))

static int request_trim(struct state *s, uid_t uid, int64_t now_ms, struct err *e)
{
	/* one without an answer may still be under way: a day at most, says the schema of timeout_ms */
	int ret =
		db_run(s, DB_REQUEST_EXPIRE,
		       "DELETE FROM request WHERE time <= ? AND (answer IS NOT NULL OR time <= ?)",
		       e, "ii", now_ms - STATE_REQUEST_MS, now_ms - REQUEST_LONGEST_MS);

	if (ret < 0)
		return ret;
	return db_run(s, DB_REQUEST_TRIM,
		      "DELETE FROM request WHERE uid = ?1 AND seq <= (SELECT seq FROM request"
		      " WHERE uid = ?1 ORDER BY seq DESC LIMIT 1 OFFSET ?2)",
		      e, "ii", (int64_t)uid, (int64_t)STATE_REQUESTS_MAX);
}

int state_request_begin(struct state *s, const struct state_request *r, int64_t now_ms,
			struct err *e)
{
	int ret = db_run(s, DB_REQUEST_BEGIN,
			 "INSERT OR REPLACE INTO request (uid, id, method, digest, time)"
			 " VALUES (?, ?, ?, ?, ?)",
			 e, "ittii", (int64_t)r->uid, r->id, r->method, r->digest, now_ms);

	if (ret < 0 || sqlite3_last_insert_rowid(s->db) % REQUEST_TRIM_EVERY)
		return ret;
	return request_trim(s, r->uid, now_ms, e);
}

int state_request_end(struct state *s, uid_t uid, const char *id, const char *answer,
		      int64_t now_ms, struct err *e)
{
	return db_run(s, DB_REQUEST_END,
		      "UPDATE request SET answer = ?, time = ? WHERE uid = ? AND id = ?", e, "tiit",
		      answer, now_ms, (int64_t)uid, id);
}

int state_request_forget(struct state *s, uid_t uid, const char *id, struct err *e)
{
	return db_run(s, DB_REQUEST_FORGET, "DELETE FROM request WHERE uid = ? AND id = ?", e, "it",
		      (int64_t)uid, id);
}

int state_request_find(struct state *s, uid_t uid, const char *id, int64_t now_ms,
		       struct state_request *ret_request, char **ret_answer, struct err *e)
{
	sqlite3_stmt *stmt = db_query(s, DB_REQUEST_FIND,
				      "SELECT method, digest, answer FROM request"
				      " WHERE uid = ? AND id = ? AND time > ?",
				      e, "iti", (int64_t)uid, id, now_ms - STATE_REQUEST_MS);
	const char *answer;
	int ret;

	if (!stmt)
		return -ERR_STATE;
	ret = db_step(s, stmt, e);
	if (ret > 0) {
		*ret_request = (struct state_request){ .uid = uid };
		snprintf(ret_request->id, sizeof(ret_request->id), "%s", id);
		db_text(stmt, 0, ret_request->method, sizeof(ret_request->method));
		ret_request->digest = sqlite3_column_int64(stmt, 1);
		answer = (const char *)sqlite3_column_text(stmt, 2);
		*ret_answer = answer ? strdup(answer) : NULL;
		if (answer && !*ret_answer)
			ret = err_ret(e, -ENOMEM, "cannot read the answer to request '%s'", id);
	}
	db_end(stmt);
	return ret;
}
