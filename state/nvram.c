// SPDX-License-Identifier: MIT
/* Table nvram: see state.h. On the loop's thread. */
#include "lib/errcat.h"
#include "state/db.h"

/* The first column of the first row; 0: there is none. */
static int nvram_id(struct state *s, sqlite3_stmt *stmt, int64_t *ret_id, struct err *e)
{
	int ret;

	if (!stmt)
		return -ERR_STATE;
	ret = db_step(s, stmt, e);
	*ret_id = ret > 0 ? sqlite3_column_int64(stmt, 0) : 0;
	db_end(stmt);
	return ret;
}

int state_nvram_of(struct state *s, const char *vm, int64_t *ret_id, struct err *e)
{
	return nvram_id(s,
			db_query(s, DB_NVRAM_OF,
				 "SELECT id FROM nvram WHERE vm = ? AND phase = 'used'", e, "t",
				 vm),
			ret_id, e);
}

static int nvram_kept(struct state *s, const struct state_vm *vm, int64_t *ret_id, struct err *e)
{
	return nvram_id(s,
			db_query(s, DB_NVRAM_KEPT,
				 "SELECT id FROM nvram WHERE name = ? AND owner = ?"
				 " AND phase = 'kept' ORDER BY id DESC",
				 e, "ti", vm->name, (int64_t)vm->owner),
			ret_id, e);
}

int state_nvram_add(struct state *s, const struct state_vm *vm, int64_t *ret_id, struct err *e)
{
	int64_t id;
	int ret = nvram_kept(s, vm, &id, e);

	if (ret < 0)
		return ret;
	if (ret)
		ret = db_run(s, DB_NVRAM_TAKE,
			     "UPDATE nvram SET vm = ?, phase = 'used' WHERE id = ?", e, "ti",
			     vm->id, id);
	else
		ret = db_run(s, DB_NVRAM_ADD,
			     "INSERT INTO nvram (vm, name, owner) VALUES (?, ?, ?)", e, "tti",
			     vm->id, vm->name, (int64_t)vm->owner);
	return ret < 0 ? ret : state_nvram_of(s, vm->id, ret_id, e);
}

int state_nvram_end(struct state *s, const struct state_vm *vm, bool keep, struct err *e)
{
	int64_t id;
	int ret = state_nvram_of(s, vm->id, &id, e);

	if (ret <= 0)
		return ret;
	if (keep)
		ret = db_run(s, DB_NVRAM_REPLACE,
			     "UPDATE nvram SET phase = 'over' WHERE name = ? AND owner = ?"
			     " AND phase = 'kept'",
			     e, "ti", vm->name, (int64_t)vm->owner);
	return ret < 0 ? ret
		       : db_run(s, DB_NVRAM_END, "UPDATE nvram SET phase = ? WHERE id = ?", e, "ti",
				keep ? "kept" : "over", id);
}

int state_nvram_delete(struct state *s, int64_t id, struct err *e)
{
	return db_run(s, DB_NVRAM_DELETE, "DELETE FROM nvram WHERE id = ?", e, "i", id);
}

int state_nvram_list_over(struct state *s, int (*each)(void *arg, int64_t id), void *arg,
			  struct err *e)
{
	sqlite3_stmt *stmt =
		db_query(s, DB_NVRAM_LIST_OVER,
			 "SELECT id FROM nvram WHERE phase = 'over' ORDER BY id", e, "");
	int ret;

	if (!stmt)
		return -ERR_STATE;
	while ((ret = db_step(s, stmt, e)) > 0) {
		ret = each(arg, sqlite3_column_int64(stmt, 0));
		if (ret < 0)
			break;
	}
	db_end(stmt);
	return ret;
}
