// SPDX-License-Identifier: MIT
/* Table nic: see state.h. On the loop's thread. */
#include <stdio.h>

#include "lib/errcat.h"
#include "state/db.h"

static void nic_row(sqlite3_stmt *stmt, struct state_nic *n)
{
	db_text(stmt, 0, n->vm, sizeof(n->vm));
	db_text(stmt, 1, n->device, sizeof(n->device));
	db_text(stmt, 2, n->mac, sizeof(n->mac));
	n->detail = (const char *)sqlite3_column_text(stmt, 3);
}

int state_nic_put(struct state *s, const char *vm, const char *device, const char *mac,
		  struct err *e)
{
	return db_run(s, DB_NIC_PUT,
		      "INSERT INTO nic (vm, device, mac) VALUES (?, ?, ?)"
		      " ON CONFLICT (vm, device) DO UPDATE SET mac = excluded.mac, detail = '{}'",
		      e, "ttt", vm, device, mac);
}

int state_nic_set(struct state *s, const char *vm, const char *device, const char *detail,
		  struct err *e)
{
	return db_run(s, DB_NIC_SET, "UPDATE nic SET detail = ? WHERE vm = ? AND device = ?", e,
		      "ttt", detail, vm, device);
}

int state_nic_delete(struct state *s, const char *vm, const char *device, struct err *e)
{
	return db_run(s, DB_NIC_DELETE, "DELETE FROM nic WHERE vm = ? AND device = ?", e, "tt", vm,
		      device);
}

int state_nic_clear(struct state *s, const char *vm, struct err *e)
{
	return db_run(s, DB_NIC_CLEAR, "DELETE FROM nic WHERE vm = ?", e, "t", vm);
}

int state_nic_of_mac(struct state *s, const char *mac, struct state_nic *ret_nic, struct err *e)
{
	sqlite3_stmt *stmt =
		db_query(s, DB_NIC_OF_MAC, "SELECT vm, device, mac, NULL FROM nic WHERE mac = ?", e,
			 "t", mac);
	int ret;

	if (!stmt)
		return -ERR_STATE;
	ret = db_step(s, stmt, e);
	if (ret > 0)
		nic_row(stmt, ret_nic);
	db_end(stmt);
	return ret;
}

int state_nic_list(struct state *s, const char *vm,
		   int (*each)(void *arg, const struct state_nic *nic), void *arg, struct err *e)
{
	sqlite3_stmt *stmt = db_query(s, DB_NIC_LIST,
				      "SELECT vm, device, mac, detail FROM nic"
				      " WHERE vm = ? ORDER BY device",
				      e, "t", vm);
	struct state_nic n;
	int ret;

	if (!stmt)
		return -ERR_STATE;
	while ((ret = db_step(s, stmt, e)) > 0) {
		nic_row(stmt, &n);
		ret = each(arg, &n);
		if (ret < 0)
			break;
	}
	db_end(stmt);
	return ret;
}
