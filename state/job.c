// SPDX-License-Identifier: MIT
/*
 * Table job: bounded by age and by number, of those that have ended; those that run are few (a VM has
 * its own, and no queue). On the loop's thread.
 */
#include <string.h>

#include "lib/errcat.h"
#include "state/db.h"

#define JOB_COLUMNS                                                                             \
	"id, vm, name, op, state, phase, done, total, unit, timeout, force, uid, pid, program," \
	" created, updated, result"

#define JOB_EXPIRE_MS 60000 /* by age they are looked at that often: all of them are, then */

static int job_trim(struct state *s, int64_t seq, int64_t now_ms, struct err *e)
{
	int ret = db_run(s, DB_JOB_TRIM, "DELETE FROM job WHERE seq <= ? AND state <> 'running'", e,
			 "i", seq - STATE_JOBS_MAX);

	/* a clock may be set back */
	if (ret < 0 ||
	    (now_ms >= s->jobs_expired_ms && now_ms - s->jobs_expired_ms < JOB_EXPIRE_MS))
		return ret;
	ret = db_run(s, DB_JOB_EXPIRE, "DELETE FROM job WHERE state <> 'running' AND updated < ?",
		     e, "i", now_ms - STATE_JOB_KEEP_MS);
	if (ret >= 0)
		s->jobs_expired_ms = now_ms;
	return ret;
}

int state_job_add(struct state *s, const struct state_job *j, struct err *e)
{
	int ret = db_run(s, DB_JOB_ADD,
			 "INSERT INTO job (id, vm, name, op, state, phase, done, total, unit,"
			 " timeout, force, uid, pid, program, created, updated)"
			 " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
			 e, "ttttttiitiiiitii", j->id, j->vm, j->name, j->op, j->state, j->phase,
			 j->done, j->total, j->unit, j->timeout_ms, (int64_t)j->force,
			 (int64_t)j->actor.uid, (int64_t)j->actor.pid, j->actor.program,
			 j->created_ms, j->updated_ms);

	return ret < 0 ? ret : job_trim(s, sqlite3_last_insert_rowid(s->db), j->created_ms, e);
}

int state_job_update(struct state *s, const struct state_job *j, const char *result, struct err *e)
{
	return db_run(s, DB_JOB_UPDATE,
		      "UPDATE job SET state = ?, phase = ?, done = ?, total = ?, unit = ?,"
		      " timeout = ?, force = ?, updated = ?, result = ? WHERE id = ?",
		      e, "ttiitiiitt", j->state, j->phase, j->done, j->total, j->unit,
		      j->timeout_ms, (int64_t)j->force, j->updated_ms, result, j->id);
}

static void job_row(sqlite3_stmt *stmt, struct state_job *j)
{
	*j = (struct state_job){ .done = sqlite3_column_int64(stmt, 6),
				 .total = sqlite3_column_int64(stmt, 7),
				 .timeout_ms = sqlite3_column_int64(stmt, 9),
				 .force = sqlite3_column_int(stmt, 10),
				 .actor.uid = (uid_t)sqlite3_column_int64(stmt, 11),
				 .actor.pid = (pid_t)sqlite3_column_int64(stmt, 12),
				 .created_ms = sqlite3_column_int64(stmt, 14),
				 .updated_ms = sqlite3_column_int64(stmt, 15) };
	db_text(stmt, 0, j->id, sizeof(j->id));
	db_text(stmt, 1, j->vm, sizeof(j->vm));
	db_text(stmt, 2, j->name, sizeof(j->name));
	db_text(stmt, 3, j->op, sizeof(j->op));
	db_text(stmt, 4, j->state, sizeof(j->state));
	db_text(stmt, 5, j->phase, sizeof(j->phase));
	db_text(stmt, 8, j->unit, sizeof(j->unit));
	db_text(stmt, 13, j->actor.program, sizeof(j->actor.program));
}

static int job_each(struct state *s, sqlite3_stmt *stmt,
		    int (*each)(void *arg, const struct state_job *j, const char *result),
		    void *arg, struct err *e)
{
	struct state_job j;
	int ret;

	if (!stmt)
		return -ERR_STATE;
	while ((ret = db_step(s, stmt, e)) > 0) {
		job_row(stmt, &j);
		ret = each(arg, &j, (const char *)sqlite3_column_text(stmt, 16));
		if (ret < 0)
			break;
	}
	db_end(stmt);
	return ret;
}

int state_job_list(struct state *s, const char *vm, const char *state, int64_t now_ms,
		   int (*each)(void *arg, const struct state_job *j, const char *result), void *arg,
		   struct err *e)
{
	return job_each(s,
			db_query(s, DB_JOB_LIST,
				 "SELECT " JOB_COLUMNS " FROM job"
				 " WHERE (?1 IS NULL OR vm = ?1) AND (?2 IS NULL OR state = ?2)"
				 " AND (state = 'running' OR updated >= ?3) ORDER BY seq DESC",
				 e, "tti", vm, state, now_ms - STATE_JOB_KEEP_MS),
			each, arg, e);
}

int state_job_get(struct state *s, const char *id,
		  int (*each)(void *arg, const struct state_job *j, const char *result), void *arg,
		  struct err *e)
{
	return job_each(s,
			db_query(s, DB_JOB_GET, "SELECT " JOB_COLUMNS " FROM job WHERE id = ?", e,
				 "t", id),
			each, arg, e);
}
