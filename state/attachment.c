// SPDX-License-Identifier: MIT
/* Table attachment: see state.h. On the loop's thread. */
#include <string.h>

#include "lib/errcat.h"
#include "state/db.h"

static const char *const attachment_states[] = {
	[STATE_ATTACHING] = "attaching",
	[STATE_ATTACHED] = "attached",
	[STATE_DETACHING] = "detaching",
	[STATE_DETACHED] = "detached",
};

const char *state_attachment_name(enum state_attachment_state state)
{
	return attachment_states[state];
}

int state_attachment_put(struct state *s, const struct state_attachment *a, struct err *e)
{
	return db_run(s, DB_ATTACHMENT_PUT,
		      "INSERT OR REPLACE INTO attachment"
		      " (vm, device, state, defined, entry, config, persist, job, time)"
		      " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
		      e, "tttittiti", a->vm, a->device, attachment_states[a->state],
		      (int64_t)a->defined, a->entry, a->config, (int64_t)a->persist, a->job,
		      state_now_ms());
}

int state_attachment_delete(struct state *s, const char *vm, const char *device, struct err *e)
{
	return db_run(s, DB_ATTACHMENT_DELETE, "DELETE FROM attachment WHERE vm = ? AND device = ?",
		      e, "tt", vm, device);
}

int state_attachment_clear(struct state *s, const char *vm, struct err *e)
{
	return db_run(s, DB_ATTACHMENT_CLEAR, "DELETE FROM attachment WHERE vm = ?", e, "t", vm);
}

static void attachment_row(sqlite3_stmt *stmt, struct state_attachment *a)
{
	char state[16];

	*a = (struct state_attachment){
		.defined = sqlite3_column_int64(stmt, 3),
		.entry = (const char *)sqlite3_column_text(stmt, 4),
		.config = (const char *)sqlite3_column_text(stmt, 5),
		.persist = sqlite3_column_int64(stmt, 6),
		.time_ms = sqlite3_column_int64(stmt, 8),
	};
	db_text(stmt, 0, a->vm, sizeof(a->vm));
	db_text(stmt, 1, a->device, sizeof(a->device));
	db_text(stmt, 2, state, sizeof(state));
	db_text(stmt, 7, a->job, sizeof(a->job));
	for (size_t i = 0; i < ARRAY_SIZE(attachment_states); i++)
		if (!strcmp(attachment_states[i], state))
			a->state = (enum state_attachment_state)i;
}

int state_attachment_list(struct state *s, const char *vm,
			  int (*each)(void *arg, const struct state_attachment *a), void *arg,
			  struct err *e)
{
	sqlite3_stmt *stmt =
		db_query(s, DB_ATTACHMENT_LIST,
			 "SELECT vm, device, state, defined, entry, config, persist, job, time"
			 " FROM attachment WHERE ?1 IS NULL OR vm = ?1 ORDER BY vm, time, device",
			 e, "t", vm);
	struct state_attachment a;
	int ret;

	if (!stmt)
		return -ERR_STATE;
	while ((ret = db_step(s, stmt, e)) > 0) {
		attachment_row(stmt, &a);
		ret = each(arg, &a);
		if (ret < 0)
			break;
	}
	db_end(stmt);
	return ret;
}
