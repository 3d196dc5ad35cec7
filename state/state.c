// SPDX-License-Identifier: MIT
/*
 * The database: opening, migrations, transactions, statements. Migrations are numbered files; the number
 * of the last one that ran is PRAGMA user_version, set in the same transaction. On the loop's thread.
 */
#include "state/state.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "lib/embed.h"
#include "lib/errcat.h"
#include "state/db.h"

int64_t state_now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

void state_uuid(char out[static STATE_ID_SIZE])
{
	unsigned char b[16];

	/* 16 bytes come whole once the pool is ready; without it nothing of the host works yet */
	if (getrandom(b, sizeof(b), 0) != sizeof(b))
		abort();
	b[6] = (unsigned char)((b[6] & 0x0f) | 0x40);
	b[8] = (unsigned char)((b[8] & 0x3f) | 0x80);
	snprintf(out, STATE_ID_SIZE,
		 "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[0], b[1],
		 b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13], b[14],
		 b[15]);
}

int db_fail(struct state *s, const char *what, struct err *e)
{
	return err_set(e, ERR_STATE, "state database: %s: %s", what, sqlite3_errmsg(s->db));
}

static int db_bind(sqlite3_stmt *stmt, const char *format, va_list ap)
{
	int ret = SQLITE_OK;

	for (int i = 0; format[i] && ret == SQLITE_OK; i++)
		if (format[i] == 't')
			ret = sqlite3_bind_text(stmt, i + 1, va_arg(ap, const char *), -1,
						SQLITE_STATIC);
		else
			ret = sqlite3_bind_int64(stmt, i + 1, va_arg(ap, int64_t));
	return ret;
}

static sqlite3_stmt *db_vquery(struct state *s, enum db_slot slot, const char *sql, struct err *e,
			       const char *format, va_list ap)
{
	sqlite3_stmt **stmt = &s->stmt[slot];

	if (!*stmt && sqlite3_prepare_v3(s->db, sql, -1, SQLITE_PREPARE_PERSISTENT, stmt, NULL) !=
			      SQLITE_OK) {
		db_fail(s, "cannot prepare a statement", e);
		return NULL;
	}
	if (db_bind(*stmt, format, ap) != SQLITE_OK) {
		db_fail(s, "cannot bind", e);
		db_end(*stmt);
		return NULL;
	}
	return *stmt;
}

sqlite3_stmt *db_query(struct state *s, enum db_slot slot, const char *sql, struct err *e,
		       const char *format, ...)
{
	sqlite3_stmt *stmt;
	va_list ap;

	va_start(ap, format);
	stmt = db_vquery(s, slot, sql, e, format, ap);
	va_end(ap);
	return stmt;
}

int db_step(struct state *s, sqlite3_stmt *stmt, struct err *e)
{
	switch (sqlite3_step(stmt)) {
	case SQLITE_ROW:
		return 1;
	case SQLITE_DONE:
		return 0;
	default:
		return db_fail(s, "cannot run a statement", e);
	}
}

void db_end(sqlite3_stmt *stmt)
{
	sqlite3_reset(stmt);
	if (stmt)
		sqlite3_clear_bindings(stmt);
}

int db_run(struct state *s, enum db_slot slot, const char *sql, struct err *e, const char *format,
	   ...)
{
	bool commits = slot == DB_COMMIT || (slot != DB_BEGIN && sqlite3_get_autocommit(s->db));
	sqlite3_stmt *stmt;
	va_list ap;
	int ret, code;

	va_start(ap, format);
	stmt = db_vquery(s, slot, sql, e, format, ap);
	va_end(ap);
	if (!stmt)
		return -ERR_STATE;
	ret = db_step(s, stmt, e);
	code = sqlite3_extended_errcode(s->db);
	db_end(stmt);
	if (ret < 0 && commits)
		return db_commit_failed(s, code, e);
	return ret < 0 ? ret : 0;
}

void db_text(sqlite3_stmt *stmt, int column, char *out, size_t size)
{
	const unsigned char *text = sqlite3_column_text(stmt, column);
	size_t len = text ? MIN(strlen((const char *)text), size - 1) : 0;

	if (len)
		memcpy(out, text, len);
	out[len] = '\0';
}

static int state_exec(struct state *s, const char *sql, const char *what, struct err *e)
{
	if (sqlite3_exec(s->db, sql, NULL, NULL, NULL) != SQLITE_OK)
		return db_fail(s, what, e);
	return 0;
}

/* It can only be set between transactions. */
static int state_sync(struct state *s, bool full, struct err *e)
{
	int ret = 0;

	if (s->unsynced == full)
		ret = state_exec(s,
				 full ? "PRAGMA synchronous = FULL" : "PRAGMA synchronous = NORMAL",
				 "cannot set how it is written", e);
	if (ret >= 0)
		s->unsynced = !full;
	return ret;
}

static int state_begin_as(struct state *s, bool full, struct err *e)
{
	int ret = state_sync(s, full, e);

	if (ret >= 0)
		ret = db_run(s, DB_BEGIN, "BEGIN IMMEDIATE", e, "");
	if (ret < 0)
		state_sync(s, true, NULL);
	return ret;
}

void state_on_begin(struct state *s, void (*begin)(void *arg), void *arg)
{
	s->begin = begin;
	s->begin_arg = arg;
}

void db_begins(struct state *s)
{
	if (s->begin && sqlite3_get_autocommit(s->db))
		s->begin(s->begin_arg);
}

int state_begin(struct state *s, struct err *e)
{
	db_begins(s);
	return state_begin_as(s, true, e);
}

int state_begin_boot(struct state *s, struct err *e)
{
	return state_begin_as(s, false, e);
}

int state_commit(struct state *s, struct err *e)
{
	int ret = db_run(s, DB_COMMIT, "COMMIT", e, "");

	if (ret >= 0)
		state_sync(s, true,
			   NULL); /* when memory is short, the next transaction tries again */
	return ret;
}

void state_rollback(struct state *s)
{
	/* SQLite may have rolled back by itself */
	if (!sqlite3_get_autocommit(s->db))
		db_run(s, DB_ROLLBACK, "ROLLBACK", NULL, "");
	state_sync(s, true, NULL);
}

static int state_version(struct state *s, struct err *e)
{
	sqlite3_stmt *stmt;
	int ret;

	if (sqlite3_prepare_v2(s->db, "PRAGMA user_version", -1, &stmt, NULL) != SQLITE_OK)
		return db_fail(s, "cannot read the version", e);
	ret = db_step(s, stmt, e);
	if (ret > 0)
		ret = sqlite3_column_int(stmt, 0);
	sqlite3_finalize(stmt);
	return ret;
}

static int state_migrate_one(struct state *s, const struct embed *file, int number, struct err *e)
{
	char version[64];
	int ret = state_begin(s, e);

	if (ret < 0)
		return ret;
	snprintf(version, sizeof(version), "PRAGMA user_version = %d", number);
	ret = state_exec(s, file->data, file->name, e);
	if (ret >= 0)
		ret = state_exec(s, version, file->name, e);
	if (ret >= 0)
		ret = state_commit(s, e);
	if (ret < 0)
		state_rollback(s);
	return ret;
}

static int state_migrate(struct state *s, struct err *e)
{
	int newest = 0, version = state_version(s, e);

	if (version < 0)
		return version;
	for (const struct embed *f = embed_migrations; f->name; f++) {
		int number = atoi(f->name), ret;

		newest = MAX(newest, number);
		if (number <= version)
			continue;
		ret = state_migrate_one(s, f, number, e);
		if (ret < 0)
			return ret;
	}
	if (version > newest) {
		err_set(e, ERR_STATE,
			"the state database is from a newer vmd: its version is %d, this vmd knows "
			"%d",
			version, newest);
		return err_hint(e, "run the newer vmd, or start with another --state-dir");
	}
	return 0;
}

static int state_load_server_id(struct state *s, struct err *e)
{
	sqlite3_stmt *stmt =
		db_query(s, DB_META_GET, "SELECT value FROM meta WHERE key = 'server_id'", e, "");
	int ret;

	if (!stmt)
		return -ERR_STATE;
	ret = db_step(s, stmt, e);
	if (ret > 0)
		db_text(stmt, 0, s->server_id, sizeof(s->server_id));
	db_end(stmt);
	if (ret)
		return ret;
	state_uuid(s->server_id);
	return db_run(s, DB_META_PUT, "INSERT INTO meta VALUES ('server_id', ?)", e, "t",
		      s->server_id);
}

/* What to do about a database that cannot be opened. */
static int state_explain(struct state *s, int ret, struct err *e)
{
	switch (sqlite3_errcode(s->db)) {
	case SQLITE_NOTADB:
	case SQLITE_CORRUPT:
		return err_hint(e, "restore it with its -wal from a copy, or move both away to "
				   "begin without definitions; VMs that run go on");
	case SQLITE_FULL:
	case SQLITE_IOERR:
		return err_hint(e, "make room on its file system, or see the kernel's log");
	default:
		return ret;
	}
}

static int state_setup(struct state *s, const char *path, struct err *e)
{
	int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, ret;

	if (sqlite3_open_v2(path, &s->db, flags, NULL) != SQLITE_OK)
		return err_set(e, ERR_STATE, "cannot open '%s': %s", path, sqlite3_errmsg(s->db));
	/* it was opened all the same, and every write would fail */
	if (sqlite3_db_readonly(s->db, "main") == 1)
		return err_set(e, ERR_STATE, "cannot open '%s' for writing: it is read-only", path);
	sqlite3_busy_timeout(s->db, 2000);
	ret = state_exec(s,
			 "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
			 "PRAGMA foreign_keys = ON; PRAGMA trusted_schema = OFF;",
			 path, e);
	if (ret >= 0)
		ret = state_migrate(s, e);
	if (ret >= 0)
		ret = state_load_server_id(s, e);
	return ret < 0 ? state_explain(s, ret, e) : ret;
}

int state_open(const char *dir, struct state **ret_state, struct err *e)
{
	struct state *s = calloc(1, sizeof(*s));
	char path[4096];
	int ret;

	if (!s)
		return err_ret(e, -ENOMEM, "cannot open the state database");
	if (snprintf(path, sizeof(path), "%s/state.db", dir) >= (int)sizeof(path))
		ret = err_set(e, ENAMETOOLONG, "the state directory's path is too long");
	else
		ret = state_setup(s, path, e);
	if (ret < 0) {
		state_close(s);
		return ret;
	}
	*ret_state = s;
	return 0;
}

void state_close(struct state *s)
{
	if (!s)
		return;
	state_settle(s, NULL);
	for (int i = 0; i < DB_SLOTS; i++)
		sqlite3_finalize(s->stmt[i]);
	sqlite3_close(s->db);
	free(s);
}

const char *state_server_id(const struct state *s)
{
	return s->server_id;
}
