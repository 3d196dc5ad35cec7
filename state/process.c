// SPDX-License-Identifier: MIT
/* Tables process and exit: see state.h. On the loop's thread. */
#include "lib/errcat.h"
#include "state/db.h"

int state_process_put(struct state *s, const struct state_process *p, struct err *e)
{
	return db_run(s, DB_PROCESS_PUT,
		      /* not OR REPLACE: a uid that is taken must not remove its owner's row */
		      "INSERT INTO process (vm, pid, start_time, boot_id, socket, revision, paused,"
		      " time, uid, cgroup)"
		      " VALUES (?, ?, ?, ?, ?, ?, ?, ?, NULLIF(?, -1), ?)"
		      " ON CONFLICT (vm) DO UPDATE SET pid = excluded.pid,"
		      " start_time = excluded.start_time, boot_id = excluded.boot_id,"
		      " socket = excluded.socket, revision = excluded.revision,"
		      " paused = excluded.paused, time = excluded.time, uid = excluded.uid,"
		      " cgroup = excluded.cgroup",
		      e, "tiittiiiit", p->vm, (int64_t)p->pid, (int64_t)p->start_time, p->boot_id,
		      p->socket, p->revision, (int64_t)p->paused, p->time_ms, p->uid, p->cgroup);
}

int state_process_delete(struct state *s, const char *vm, struct err *e)
{
	return db_run(s, DB_PROCESS_DELETE, "DELETE FROM process WHERE vm = ?", e, "t", vm);
}

static void process_row(sqlite3_stmt *stmt, struct state_process *p)
{
	*p = (struct state_process){ .pid = sqlite3_column_int(stmt, 1),
				     .start_time = (uint64_t)sqlite3_column_int64(stmt, 2),
				     .revision = sqlite3_column_int64(stmt, 5),
				     .paused = sqlite3_column_int(stmt, 6),
				     .time_ms = sqlite3_column_int64(stmt, 7),
				     .uid = sqlite3_column_int64(stmt, 8) };
	db_text(stmt, 0, p->vm, sizeof(p->vm));
	db_text(stmt, 3, p->boot_id, sizeof(p->boot_id));
	db_text(stmt, 4, p->socket, sizeof(p->socket));
	db_text(stmt, 9, p->cgroup, sizeof(p->cgroup));
}

int state_process_list(struct state *s, int (*each)(void *arg, const struct state_process *p),
		       void *arg, struct err *e)
{
	sqlite3_stmt *stmt =
		db_query(s, DB_PROCESS_LIST,
			 "SELECT vm, pid, start_time, boot_id, socket, revision, paused, time,"
			 " ifnull(uid, -1), cgroup FROM process",
			 e, "");
	struct state_process p;
	int ret;

	if (!stmt)
		return -ERR_STATE;
	while ((ret = db_step(s, stmt, e)) > 0) {
		process_row(stmt, &p);
		ret = each(arg, &p);
		if (ret < 0)
			break;
	}
	db_end(stmt);
	return ret;
}

int state_process_free_uid(struct state *s, uid_t first, uid_t last, int64_t *ret_uid,
			   struct err *e)
{
	sqlite3_stmt *stmt =
		db_query(s, DB_PROCESS_UIDS,
			 "SELECT uid FROM process WHERE uid BETWEEN ? AND ? ORDER BY uid", e, "ii",
			 (int64_t)first, (int64_t)last);
	int64_t uid = first;
	int ret;

	if (!stmt)
		return -ERR_STATE;
	while ((ret = db_step(s, stmt, e)) > 0 && sqlite3_column_int64(stmt, 0) == uid)
		uid++;
	db_end(stmt);
	if (ret < 0)
		return ret;
	if (uid > last)
		return err_set(e, ERR_FAILED, "all monitor uids (%u to %u) are taken", first, last);
	*ret_uid = uid;
	return 0;
}

static int exit_write(struct state *s, const char *vm, const struct state_exit *exit, struct err *e)
{
	int ret = state_process_delete(s, vm, e);

	if (ret < 0)
		return ret;
	return db_run(s, DB_EXIT_PUT, "INSERT OR REPLACE INTO exit VALUES (?, ?, ?, ?, ?)", e,
		      "ttiti", vm, exit->reason, exit->code, exit->message, exit->time_ms);
}

int state_exit_put(struct state *s, const char *vm, const struct state_exit *exit, struct err *e)
{
	bool own = sqlite3_get_autocommit(s->db);
	int ret = own ? state_begin(s, e) : 0;

	if (ret >= 0)
		ret = exit_write(s, vm, exit, e);
	if (own && ret >= 0)
		ret = state_commit(s, e);
	if (own && ret < 0)
		state_rollback(s);
	return ret;
}

int state_exit_delete(struct state *s, const char *vm, struct err *e)
{
	return db_run(s, DB_EXIT_DELETE, "DELETE FROM exit WHERE vm = ?", e, "t", vm);
}
