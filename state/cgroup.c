// SPDX-License-Identifier: MIT
/* Table cgroup: see state.h. On the loop's thread. */
#include "lib/errcat.h"
#include "state/db.h"

/* After a boot there are no groups but the new ones. */
static int cgroup_end(struct state *s, int ret, struct err *e)
{
	if (ret >= 0)
		ret = state_commit(s, e);
	if (ret < 0)
		state_rollback(s);
	return ret;
}

int state_cgroup_put(struct state *s, const char *name, const char *vm, struct err *e)
{
	int ret = state_begin_boot(s, e);

	if (ret >= 0)
		ret = db_run(s, DB_CGROUP_PUT, "INSERT OR REPLACE INTO cgroup VALUES (?, ?)", e,
			     "tt", name, vm);
	return cgroup_end(s, ret, e);
}

int state_cgroup_delete(struct state *s, const char *name, struct err *e)
{
	int ret = state_begin_boot(s, e);

	if (ret >= 0)
		ret = db_run(s, DB_CGROUP_DELETE, "DELETE FROM cgroup WHERE name = ?", e, "t",
			     name);
	return cgroup_end(s, ret, e);
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
