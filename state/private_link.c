// SPDX-License-Identifier: MIT
/* Table private_link: see state.h. On the loop's thread. */
#include "lib/errcat.h"
#include "state/db.h"

int state_private_put(struct state *s, const char *bridge, struct err *e)
{
	return db_run(s, DB_PRIVATE_PUT, "INSERT OR REPLACE INTO private_link (bridge) VALUES (?)",
		      e, "t", bridge);
}

int state_private_delete(struct state *s, int64_t id, struct err *e)
{
	return db_run(s, DB_PRIVATE_DELETE, "DELETE FROM private_link WHERE id = ?", e, "i", id);
}

int state_private_list(struct state *s, int (*each)(void *arg, int64_t id, const char *bridge),
		       void *arg, struct err *e)
{
	sqlite3_stmt *stmt = db_query(s, DB_PRIVATE_LIST,
				      "SELECT id, bridge FROM private_link ORDER BY id", e, "");
	char bridge[16];
	int ret;

	if (!stmt)
		return -ERR_STATE;
	while ((ret = db_step(s, stmt, e)) > 0) {
		db_text(stmt, 1, bridge, sizeof(bridge));
		ret = each(arg, sqlite3_column_int64(stmt, 0), bridge);
		if (ret < 0)
			break;
	}
	db_end(stmt);
	return ret;
}
