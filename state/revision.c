// SPDX-License-Identifier: MIT
/* Table revision: see state.h. On the loop's thread. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/auto.h"
#include "lib/errcat.h"
#include "state/db.h"

int db_revision_add(struct state *s, const struct state_vm *vm, const char *definition,
		    const char *config, const struct state_actor *actor, struct err *e)
{
	int ret = db_run(s, DB_REVISION_INSERT,
			 "INSERT INTO revision (vm, number, definition, config, time, uid, pid,"
			 " program, note) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
			 e, "tittiiitt", vm->id, vm->revision, definition, config, vm->updated_ms,
			 (int64_t)actor->uid, (int64_t)actor->pid, actor->program, actor->note);

	if (ret < 0 || vm->revision <= STATE_REVISIONS_MAX)
		return ret;
	return db_run(s, DB_REVISION_TRIM,
		      "DELETE FROM revision WHERE vm = ?1 AND number <= ?2"
		      " AND number NOT IN (SELECT revision FROM process WHERE vm = ?1)",
		      e, "ti", vm->id, vm->revision - STATE_REVISIONS_MAX);
}

static int revision_copy_text(sqlite3_stmt *stmt, int column, char **ret_text, struct err *e)
{
	const char *text = (const char *)sqlite3_column_text(stmt, column);

	*ret_text = strdup(text ? text : "");
	return *ret_text ? 0 : err_ret(e, -ENOMEM, "cannot read a revision");
}

int state_revision_get(struct state *s, const char *id, int64_t number, char **ret_definition,
		       char **ret_config, struct err *e)
{
	sqlite3_stmt *stmt =
		db_query(s, DB_REVISION_GET,
			 "SELECT definition, config FROM revision WHERE vm = ? AND number = ?", e,
			 "ti", id, number);
	AUTO_FREE char *definition = NULL, *config = NULL;
	int ret;

	if (!stmt)
		return -ERR_STATE;
	ret = db_step(s, stmt, e);
	if (!ret)
		ret = err_set(e, ERR_VM_NO_REVISION, "VM %s has no revision %lld", id,
			      (long long)number);
	if (ret > 0)
		ret = revision_copy_text(stmt, 0, &definition, e);
	if (ret >= 0)
		ret = revision_copy_text(stmt, 1, &config, e);
	db_end(stmt);
	if (ret < 0)
		return ret;
	if (ret_definition)
		*ret_definition = TAKE_PTR(definition);
	if (ret_config)
		*ret_config = TAKE_PTR(config);
	return 0;
}

static void revision_row(sqlite3_stmt *stmt, struct state_revision *r)
{
	*r = (struct state_revision){ .number = sqlite3_column_int64(stmt, 0),
				      .time_ms = sqlite3_column_int64(stmt, 1),
				      .definition = (const char *)sqlite3_column_text(stmt, 2) };
	r->actor.uid = (uid_t)sqlite3_column_int64(stmt, 3);
	r->actor.pid = (pid_t)sqlite3_column_int64(stmt, 4);
	db_text(stmt, 5, r->actor.program, sizeof(r->actor.program));
	db_text(stmt, 6, r->actor.note, sizeof(r->actor.note));
}

int state_revision_list(struct state *s, const char *id, int64_t before,
			int (*each)(void *arg, const struct state_revision *revision), void *arg,
			struct err *e)
{
	sqlite3_stmt *stmt = db_query(s, DB_REVISION_LIST,
				      "SELECT number, time, definition, uid, pid, program, note"
				      " FROM revision WHERE vm = ? AND number < ?"
				      " ORDER BY number DESC",
				      e, "ti", id, before);
	struct state_revision revision;
	int ret;

	if (!stmt)
		return -ERR_STATE;
	while ((ret = db_step(s, stmt, e)) > 0) {
		revision_row(stmt, &revision);
		ret = each(arg, &revision);
		if (ret)
			break;
	}
	db_end(stmt);
	return MIN(ret, 0);
}
