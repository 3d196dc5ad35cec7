// SPDX-License-Identifier: MIT
/* Table display: see state.h. On the loop's thread. */
#include "lib/errcat.h"
#include "state/db.h"

int state_display_put(struct state *s, const struct state_process *p, struct err *e)
{
	return db_run(s, DB_DISPLAY_PUT,
		      "INSERT OR REPLACE INTO display (vm, pid, start_time, boot_id, socket, time)"
		      " VALUES (?, ?, ?, ?, ?, ?)",
		      e, "tiitti", p->vm, (int64_t)p->pid, (int64_t)p->start_time, p->boot_id,
		      p->socket, p->time_ms);
}

int state_display_delete(struct state *s, const char *vm, pid_t pid, struct err *e)
{
	return db_run(s, DB_DISPLAY_DELETE, "DELETE FROM display WHERE vm = ? AND pid = ?", e, "ti",
		      vm, (int64_t)pid);
}

int state_display_list(struct state *s, int (*each)(void *arg, const struct state_process *p),
		       void *arg, struct err *e)
{
	sqlite3_stmt *stmt =
		db_query(s, DB_DISPLAY_LIST,
			 "SELECT vm, pid, start_time, boot_id, socket, time FROM display", e, "");
	int ret;

	if (!stmt)
		return -ERR_STATE;
	while ((ret = db_step(s, stmt, e)) > 0) {
		struct state_process p = { .pid = sqlite3_column_int(stmt, 1),
					   .start_time = (uint64_t)sqlite3_column_int64(stmt, 2),
					   .time_ms = sqlite3_column_int64(stmt, 5),
					   .uid = -1 };

		db_text(stmt, 0, p.vm, sizeof(p.vm));
		db_text(stmt, 3, p.boot_id, sizeof(p.boot_id));
		db_text(stmt, 4, p.socket, sizeof(p.socket));
		ret = each(arg, &p);
		if (ret < 0)
			break;
	}
	db_end(stmt);
	return ret;
}
