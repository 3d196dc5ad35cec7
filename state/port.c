// SPDX-License-Identifier: MIT
/* Table port: see state.h. On the loop's thread. */
#include <errno.h>
#include <stdio.h>

#include "lib/errcat.h"
#include "state/db.h"

#define PORT_COLUMNS "id, vm, device, name, backend, path, owner, confined"

int state_port_add(struct state *s, const struct state_port *p, struct err *e)
{
	return db_run(s, DB_PORT_ADD,
		      "INSERT INTO port (vm, device, name, backend, path, owner, confined)"
		      " VALUES (?, ?, ?, ?, ?, ?, ?)",
		      e, "tttttii", p->vm, p->device, p->name, p->backend, p->path,
		      (int64_t)p->owner, (int64_t)p->confined);
}

int state_port_set_path(struct state *s, const char *vm, const char *name, const char *path,
			struct err *e)
{
	return db_run(s, DB_PORT_SET_PATH,
		      "UPDATE port SET path = ? WHERE vm = ? AND name = ? AND over = 0", e, "ttt",
		      path, vm, name);
}

int state_port_end(struct state *s, const char *vm, struct err *e)
{
	return db_run(s, DB_PORT_END, "UPDATE port SET over = 1 WHERE vm = ? AND over = 0", e, "t",
		      vm);
}

int state_port_end_lost(struct state *s, struct err *e)
{
	return db_run(s, DB_PORT_END_LOST,
		      "UPDATE port SET over = 1 WHERE over = 0"
		      " AND vm NOT IN (SELECT vm FROM process)",
		      e, "");
}

int state_port_delete(struct state *s, int64_t id, struct err *e)
{
	return db_run(s, DB_PORT_DELETE, "DELETE FROM port WHERE id = ?", e, "i", id);
}

static int port_each(struct state *s, sqlite3_stmt *stmt,
		     int (*each)(void *arg, const struct state_port *p), void *arg, struct err *e)
{
	struct state_port p;
	int ret;

	if (!stmt)
		return -ERR_STATE;
	while ((ret = db_step(s, stmt, e)) > 0) {
		p.id = sqlite3_column_int64(stmt, 0);
		db_text(stmt, 1, p.vm, sizeof(p.vm));
		db_text(stmt, 2, p.device, sizeof(p.device));
		db_text(stmt, 3, p.name, sizeof(p.name));
		db_text(stmt, 4, p.backend, sizeof(p.backend));
		p.path = (const char *)sqlite3_column_text(stmt, 5);
		p.owner = (uid_t)sqlite3_column_int64(stmt, 6);
		p.confined = sqlite3_column_int64(stmt, 7);
		ret = p.path ? each(arg, &p) : -ENOMEM;
		if (ret < 0)
			break;
	}
	db_end(stmt);
	return ret;
}

int state_port_list(struct state *s, const char *vm,
		    int (*each)(void *arg, const struct state_port *p), void *arg, struct err *e)
{
	return port_each(s,
			 db_query(s, DB_PORT_LIST,
				  "SELECT " PORT_COLUMNS
				  " FROM port WHERE vm = ? AND over = 0 ORDER BY id",
				  e, "t", vm),
			 each, arg, e);
}

int state_port_list_over(struct state *s, int (*each)(void *arg, const struct state_port *p),
			 void *arg, struct err *e)
{
	return port_each(s,
			 db_query(s, DB_PORT_LIST_OVER,
				  "SELECT " PORT_COLUMNS " FROM port WHERE over = 1 ORDER BY id", e,
				  ""),
			 each, arg, e);
}
