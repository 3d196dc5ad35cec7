// SPDX-License-Identifier: MIT
/* Tables lease and device: see state.h. On the loop's thread. */
#include <string.h>

#include "lib/errcat.h"
#include "state/db.h"

#define LEASE_COLUMNS                                                                \
	"generation, address, vm, name, device, pool, state, identity, mac, reason," \
	" quarantine, boot_id, created, updated, requested, node, distance"

static const char *const lease_states[] = {
	[STATE_LEASE_RESERVED] = "reserved",   [STATE_LEASE_CONFIGURED] = "configured",
	[STATE_LEASE_BOUND] = "bound",	       [STATE_LEASE_IN_USE] = "in-use",
	[STATE_LEASE_RELEASING] = "releasing", [STATE_LEASE_QUARANTINED] = "quarantined",
};

const char *state_lease_name(enum state_lease_state state)
{
	return lease_states[state];
}

static const char *lease_or_null(const char *text)
{
	return text[0] ? text : NULL;
}

int state_lease_add(struct state *s, struct state_lease *lease, struct err *e)
{
	int64_t now = state_now_ms();
	int ret = db_run(s, DB_LEASE_ADD,
			 "INSERT INTO lease (address, vm, name, device, pool, state, identity, mac,"
			 " reason, boot_id, created, updated, node, distance)"
			 " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
			 e, "ttttttttttiiii", lease->address, lease->vm, lease->name, lease->device,
			 lease_or_null(lease->pool), lease_states[lease->state], lease->identity,
			 lease_or_null(lease->mac), lease->reason, lease->boot_id, now, now,
			 (int64_t)lease->node, (int64_t)lease->distance);

	if (ret < 0)
		return ret;
	lease->generation = sqlite3_last_insert_rowid(s->db);
	lease->created_ms = lease->updated_ms = now;
	return 0;
}

/* Did the statement meet the row of that generation? */
static int lease_met(struct state *s, int ret, int64_t generation, struct err *e)
{
	if (ret < 0 || sqlite3_changes(s->db))
		return ret;
	return err_set(e, ERR_LEASE_NOT_FOUND, "lease %lld is over", (long long)generation);
}

int state_lease_set(struct state *s, int64_t generation, enum state_lease_state state,
		    struct err *e)
{
	return lease_met(s,
			 db_run(s, DB_LEASE_SET,
				"UPDATE lease SET state = ?, quarantine = NULL, updated = ?"
				" WHERE generation = ?",
				e, "tii", lease_states[state], state_now_ms(), generation),
			 generation, e);
}

int state_lease_quarantine(struct state *s, int64_t generation, const char *why, struct err *e)
{
	return lease_met(s,
			 db_run(s, DB_LEASE_QUARANTINE,
				"UPDATE lease SET state = 'quarantined', quarantine = ?,"
				" updated = ? WHERE generation = ?",
				e, "tii", why, state_now_ms(), generation),
			 generation, e);
}

int state_lease_request(struct state *s, int64_t generation, struct err *e)
{
	return lease_met(s,
			 db_run(s, DB_LEASE_REQUEST,
				"UPDATE lease SET requested = ? WHERE generation = ?", e, "ii",
				state_now_ms(), generation),
			 generation, e);
}

int state_lease_delete(struct state *s, int64_t generation, struct err *e)
{
	return lease_met(s,
			 db_run(s, DB_LEASE_DELETE, "DELETE FROM lease WHERE generation = ?", e,
				"i", generation),
			 generation, e);
}

static void lease_row(sqlite3_stmt *stmt, struct state_lease *lease)
{
	char state[16];

	*lease = (struct state_lease){ .generation = sqlite3_column_int64(stmt, 0),
				       .created_ms = sqlite3_column_int64(stmt, 12),
				       .updated_ms = sqlite3_column_int64(stmt, 13),
				       .requested_ms = sqlite3_column_int64(stmt, 14),
				       .node = sqlite3_column_int(stmt, 15),
				       .distance = (unsigned int)sqlite3_column_int(stmt, 16) };
	db_text(stmt, 1, lease->address, sizeof(lease->address));
	db_text(stmt, 2, lease->vm, sizeof(lease->vm));
	db_text(stmt, 3, lease->name, sizeof(lease->name));
	db_text(stmt, 4, lease->device, sizeof(lease->device));
	db_text(stmt, 5, lease->pool, sizeof(lease->pool));
	db_text(stmt, 6, state, sizeof(state));
	for (size_t i = 0; i < ARRAY_SIZE(lease_states); i++)
		if (!strcmp(lease_states[i], state))
			lease->state = (enum state_lease_state)i;
	db_text(stmt, 7, lease->identity, sizeof(lease->identity));
	db_text(stmt, 8, lease->mac, sizeof(lease->mac));
	db_text(stmt, 9, lease->reason, sizeof(lease->reason));
	db_text(stmt, 10, lease->quarantine, sizeof(lease->quarantine));
	db_text(stmt, 11, lease->boot_id, sizeof(lease->boot_id));
}

/* The first row of a statement, or all of them. */
static int lease_rows(struct state *s, sqlite3_stmt *stmt,
		      int (*each)(void *arg, const struct state_lease *lease), void *arg,
		      struct err *e)
{
	struct state_lease lease;
	int ret;

	if (!stmt)
		return -ERR_STATE;
	while ((ret = db_step(s, stmt, e)) > 0) {
		lease_row(stmt, &lease);
		ret = each(arg, &lease);
		if (ret < 0)
			break;
	}
	db_end(stmt);
	return ret;
}

static int lease_one(struct state *s, sqlite3_stmt *stmt, struct state_lease *ret_lease,
		     struct err *e)
{
	int ret = stmt ? db_step(s, stmt, e) : -ERR_STATE;

	if (ret > 0)
		lease_row(stmt, ret_lease);
	db_end(stmt);
	return ret;
}

int state_lease_at(struct state *s, const char *address, struct state_lease *ret_lease,
		   struct err *e)
{
	return lease_one(s,
			 db_query(s, DB_LEASE_AT,
				  "SELECT " LEASE_COLUMNS " FROM lease WHERE address = ?", e, "t",
				  address),
			 ret_lease, e);
}

int state_lease_of_mac(struct state *s, const char *mac, struct state_lease *ret_lease,
		       struct err *e)
{
	return lease_one(s,
			 db_query(s, DB_LEASE_OF_MAC,
				  "SELECT " LEASE_COLUMNS " FROM lease WHERE mac = ?", e, "t", mac),
			 ret_lease, e);
}

int state_lease_list(struct state *s, const char *vm,
		     int (*each)(void *arg, const struct state_lease *lease), void *arg,
		     struct err *e)
{
	return lease_rows(s,
			  db_query(s, DB_LEASE_LIST,
				   "SELECT " LEASE_COLUMNS " FROM lease"
				   " WHERE ?1 IS NULL OR vm = ?1 ORDER BY generation",
				   e, "t", vm),
			  each, arg, e);
}

int state_device_put(struct state *s, const char *vm, const char *address, const char *identity,
		     struct err *e)
{
	return db_run(s, DB_DEVICE_PUT, "INSERT OR REPLACE INTO device VALUES (?, ?, ?)", e, "ttt",
		      vm, address, identity);
}

int state_device_get(struct state *s, const char *vm, const char *address, char *ret_identity,
		     size_t size, struct err *e)
{
	sqlite3_stmt *stmt = db_query(s, DB_DEVICE_GET,
				      "SELECT identity FROM device WHERE vm = ? AND address = ?", e,
				      "tt", vm, address);
	int ret = stmt ? db_step(s, stmt, e) : -ERR_STATE;

	if (ret > 0)
		db_text(stmt, 0, ret_identity, size);
	db_end(stmt);
	return ret;
}
