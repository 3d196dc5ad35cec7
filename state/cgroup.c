// SPDX-License-Identifier: MIT
/* Table cgroup: see state.h. On the loop's thread. */
#include "lib/errcat.h"
#include "state/db.h"

int state_cgroup_put(struct state *s, const char *name, const char *vm, struct err *e)
{
	return db_run(s, DB_CGROUP_PUT, "INSERT OR REPLACE INTO cgroup VALUES (?, ?)", e, "tt",
		      name, vm);
}

int state_cgroup_delete(struct state *s, const char *name, struct err *e)
{
	return db_run(s, DB_CGROUP_DELETE, "DELETE FROM cgroup WHERE name = ?", e, "t", name);
}

int state_cgroup_list(struct state *s, int (*each)(void *arg, const char *name, const char *vm),
		      void *arg, struct err *e)
{
	sqlite3_stmt *stmt = db_query(s, DB_CGROUP_LIST, "SELECT name, vm FROM cgroup", e, "");
	char name[STATE_CGROUP_SIZE], vm[STATE_ID_SIZE];
	int ret;

	if (!stmt)
		return -ERR_STATE;
	while ((ret = db_step(s, stmt, e)) > 0) {
		db_text(stmt, 0, name, sizeof(name));
		db_text(stmt, 1, vm, sizeof(vm));
		ret = each(arg, name, vm);
		if (ret < 0)
			break;
	}
	db_end(stmt);
	return ret;
}
