// SPDX-License-Identifier: MIT
/* See rows.h. */
#include "tests/functional/rows.h"

#include <sqlite3.h>
#include <stdio.h>

int64_t rows_count(const struct harness *h, const char *table)
{
	char path[300], sql[64];
	sqlite3_stmt *stmt;
	sqlite3 *db;
	int64_t n;

	snprintf(path, sizeof(path), "%s/state.db", h->state_dir);
	snprintf(sql, sizeof(sql), "SELECT count(*) FROM %s", table);
	assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &stmt, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
	n = sqlite3_column_int64(stmt, 0);
	sqlite3_finalize(stmt);
	sqlite3_close(db);
	return n;
}
