// SPDX-License-Identifier: MIT
/* Table pool: see state.h. On the loop's thread. */
#include "lib/errcat.h"
#include "state/db.h"

#define POOL_COLUMNS "name, revision, definition, boot_id, uid, pid, program, created, updated"

int state_pool_put(struct state *s, struct state_pool *pool, struct err *e)
{
	int ret;

	pool->updated_ms = state_now_ms();
	if (!pool->created_ms)
		pool->created_ms = pool->updated_ms;
	ret = db_run(s, DB_POOL_PUT,
		     "INSERT OR REPLACE INTO pool (" POOL_COLUMNS
		     ") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
		     e, "tittiitii", pool->name, pool->revision, pool->definition, pool->boot_id,
		     (int64_t)pool->actor.uid, (int64_t)pool->actor.pid, pool->actor.program,
		     pool->created_ms, pool->updated_ms);
	return ret < 0 ? ret : db_pool_revision_add(s, pool, e);
}

int state_pool_set_boot(struct state *s, const char *name, const char *boot_id, struct err *e)
{
	return db_run(s, DB_POOL_SET_BOOT, "UPDATE pool SET boot_id = ? WHERE name = ?", e, "tt",
		      boot_id, name);
}

int state_pool_delete(struct state *s, const char *name, struct err *e)
{
	int ret = db_pool_revision_clear(s, name, e);

	return ret < 0 ? ret
		       : db_run(s, DB_POOL_DELETE, "DELETE FROM pool WHERE name = ?", e, "t", name);
}

static void pool_row(sqlite3_stmt *stmt, struct state_pool *pool)
{
	*pool = (struct state_pool){ .revision = sqlite3_column_int64(stmt, 1),
				     .definition = (const char *)sqlite3_column_text(stmt, 2),
				     .actor.uid = (uid_t)sqlite3_column_int64(stmt, 4),
				     .actor.pid = (pid_t)sqlite3_column_int64(stmt, 5),
				     .created_ms = sqlite3_column_int64(stmt, 7),
				     .updated_ms = sqlite3_column_int64(stmt, 8) };
	db_text(stmt, 0, pool->name, sizeof(pool->name));
	db_text(stmt, 3, pool->boot_id, sizeof(pool->boot_id));
	db_text(stmt, 6, pool->actor.program, sizeof(pool->actor.program));
}

int state_pool_list(struct state *s, const char *name,
		    int (*each)(void *arg, const struct state_pool *pool), void *arg, struct err *e)
{
	sqlite3_stmt *stmt = db_query(s, DB_POOL_LIST,
				      "SELECT " POOL_COLUMNS " FROM pool"
				      " WHERE ?1 IS NULL OR name = ?1 ORDER BY name",
				      e, "t", name);
	struct state_pool pool;
	int ret;

	if (!stmt)
		return -ERR_STATE;
	while ((ret = db_step(s, stmt, e)) > 0) {
		pool_row(stmt, &pool);
		ret = each(arg, &pool);
		if (ret < 0)
			break;
	}
	db_end(stmt);
	return ret;
}
