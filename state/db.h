/* SPDX-License-Identifier: MIT */
/* Inside of state/ only: statements, each prepared once and kept. */
#ifndef STATE_DB_H
#define STATE_DB_H

#include <sqlite3.h>
#include "lib/err.h"
#include "state/state.h"

/* A slot a statement. */
enum db_slot {
	DB_BEGIN,
	DB_COMMIT,
	DB_ROLLBACK,
	DB_META_GET,
	DB_META_PUT,
	DB_META_SETTLE,
	DB_VM_INSERT,
	DB_VM_UPDATE,
	DB_VM_DELETE,
	DB_VM_DESIRED,
	DB_VM_GET,
	DB_VM_BY_NAME,
	DB_VM_BY_PREFIX,
	DB_VM_NAMES,
	DB_VM_LIST,
	DB_VM_LIST_ORIGIN,
	DB_VM_SET_ORIGIN,
	DB_VM_ORIGIN,
	DB_REVISION_INSERT,
	DB_REVISION_TRIM,
	DB_REVISION_GET,
	DB_REVISION_LIST,
	DB_PROCESS_PUT,
	DB_PROCESS_DELETE,
	DB_PROCESS_LIST,
	DB_PROCESS_UIDS,
	DB_CGROUP_PUT,
	DB_CGROUP_DELETE,
	DB_CGROUP_LIST,
	DB_EXIT_PUT,
	DB_EXIT_DELETE,
	DB_EVENT_ADD,
	DB_EVENT_TRIM,
	DB_EVENT_LAST,
	DB_EVENT_FIRST,
	DB_EVENT_LIST,
	DB_EVENT_LAST_STATES,
	DB_REQUEST_BEGIN,
	DB_REQUEST_END,
	DB_REQUEST_EXPIRE,
	DB_REQUEST_FIND,
	DB_REQUEST_FORGET,
	DB_REQUEST_TRIM,
	DB_JOB_ADD,
	DB_JOB_TRIM,
	DB_JOB_EXPIRE,
	DB_JOB_UPDATE,
	DB_JOB_LIST,
	DB_JOB_GET,
	DB_TIMELINE_ADD,
	DB_TIMELINE_TRIM,
	DB_TIMELINE_UPDATE,
	DB_TIMELINE_LIST,
	DB_LEASE_ADD,
	DB_LEASE_SET,
	DB_LEASE_QUARANTINE,
	DB_LEASE_REQUEST,
	DB_LEASE_DELETE,
	DB_LEASE_AT,
	DB_LEASE_OF_MAC,
	DB_LEASE_LIST,
	DB_DEVICE_PUT,
	DB_DEVICE_GET,
	DB_ATTACHMENT_PUT,
	DB_ATTACHMENT_DELETE,
	DB_ATTACHMENT_CLEAR,
	DB_ATTACHMENT_LIST,
	DB_NIC_PUT,
	DB_NIC_SET,
	DB_NIC_DELETE,
	DB_NIC_CLEAR,
	DB_NIC_OF_MAC,
	DB_NIC_LIST,
	DB_PRIVATE_PUT,
	DB_PRIVATE_DELETE,
	DB_PRIVATE_LIST,
	DB_PORT_ADD,
	DB_PORT_SET_PATH,
	DB_PORT_END,
	DB_PORT_END_LOST,
	DB_PORT_DELETE,
	DB_PORT_LIST,
	DB_PORT_LIST_OVER,
	DB_NVRAM_OF,
	DB_NVRAM_KEPT,
	DB_NVRAM_TAKE,
	DB_NVRAM_ADD,
	DB_NVRAM_REPLACE,
	DB_NVRAM_END,
	DB_NVRAM_DELETE,
	DB_NVRAM_LIST_OVER,
	DB_DISPLAY_PUT,
	DB_DISPLAY_DELETE,
	DB_DISPLAY_LIST,
	DB_JOURNAL_ADD,
	DB_JOURNAL_SET,
	DB_JOURNAL_DELETE,
	DB_JOURNAL_LIST,
	DB_POOL_PUT,
	DB_POOL_SET_BOOT,
	DB_POOL_DELETE,
	DB_POOL_LIST,
	DB_POOL_REVISION_ADD,
	DB_POOL_REVISION_TRIM,
	DB_POOL_REVISION_CLEAR,
	DB_POOL_REVISION_LIST,
	DB_SLOTS,
};

struct state {
	sqlite3 *db;
	sqlite3_stmt *stmt[DB_SLOTS];
	char server_id[STATE_ID_SIZE];
	bool in_doubt; /* a commit's outcome is unknown, and was not settled yet */
	void (*doubt)(void *arg);
	void *doubt_arg;
	void (*begin)(void *arg); /* see state_on_begin */
	void *begin_arg;
	bool unsynced;		 /* what is committed waits for the next one that is synced */
	int64_t jobs_expired_ms; /* when jobs were last looked at for their age */
};

/*
 * The slot's statement with its parameters bound: format has a letter for each, 't' const char * (NULL
 * allowed; must live until the statement is reset) or 'i' int64_t. NULL and e on failure.
 */
sqlite3_stmt *db_query(struct state *s, enum db_slot slot, const char *sql, struct err *e,
		       const char *format, ...);
/* 1 a row, 0 the end, or -ERR_STATE. */
int db_step(struct state *s, sqlite3_stmt *stmt, struct err *e);
/* The statement is done with. Accepts NULL. */
void db_end(sqlite3_stmt *stmt);
/* Bind, run to the end, reset. */
int db_run(struct state *s, enum db_slot slot, const char *sql, struct err *e, const char *format,
	   ...);
/* The hook of state_on_begin, unless a transaction is open. */
void db_begins(struct state *s);
/* A text column, "" for NULL, cut to size. */
void db_text(sqlite3_stmt *stmt, int column, char *out, size_t size);
/* The newest revision of vm: its number and updated_ms. Those beyond STATE_REVISIONS_MAX go. */
int db_revision_add(struct state *s, const struct state_vm *vm, const char *definition,
		    const char *config, const struct state_actor *actor, struct err *e);
/* The same of a pool; and all of them go with it. */
int db_pool_revision_add(struct state *s, const struct state_pool *pool, struct err *e);
int db_pool_revision_clear(struct state *s, const char *pool, struct err *e);
/*
 * A commit, or a statement that is a transaction of its own, has failed with SQLite's extended code, e says so:
 * -ERR_STATE when it is certain that it is not in the database, else -ERR_STATE_UNKNOWN.
 */
int db_commit_failed(struct state *s, int code, struct err *e);
int db_fail(struct state *s, const char *what, struct err *e);

#endif
