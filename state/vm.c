// SPDX-License-Identifier: MIT
/* Table vm: see state.h. On the loop's thread. */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/errcat.h"
#include "state/db.h"

#define VM_COLUMNS                                                                           \
	"id, name, profile, vcpus, memory, created, updated, revision, desired = 'running'," \
	" reason, code, message, exit.time, owner, confined"
#define VM_FROM " FROM vm LEFT JOIN exit ON exit.vm = vm.id "
#define VM_PREFIX_MIN 4

static void vm_row(sqlite3_stmt *stmt, struct state_vm *vm)
{
	*vm = (struct state_vm){ 0 };
	db_text(stmt, 0, vm->id, sizeof(vm->id));
	db_text(stmt, 1, vm->name, sizeof(vm->name));
	db_text(stmt, 2, vm->profile, sizeof(vm->profile));
	vm->vcpus = sqlite3_column_int64(stmt, 3);
	vm->memory = sqlite3_column_int64(stmt, 4);
	vm->created_ms = sqlite3_column_int64(stmt, 5);
	vm->updated_ms = sqlite3_column_int64(stmt, 6);
	vm->revision = sqlite3_column_int64(stmt, 7);
	vm->desired_running = sqlite3_column_int(stmt, 8);
	vm->owner = (uid_t)sqlite3_column_int64(stmt, 13);
	vm->confined = sqlite3_column_int(stmt, 14);
	vm->has_exit = sqlite3_column_type(stmt, 9) != SQLITE_NULL;
	if (!vm->has_exit)
		return;
	db_text(stmt, 9, vm->exit.reason, sizeof(vm->exit.reason));
	vm->exit.code = sqlite3_column_int64(stmt, 10);
	db_text(stmt, 11, vm->exit.message, sizeof(vm->exit.message));
	vm->exit.time_ms = sqlite3_column_int64(stmt, 12);
}

int state_vm_insert(struct state *s, struct state_vm *vm, const char *definition,
		    const char *config, const struct state_actor *actor, struct err *e)
{
	int ret;

	vm->created_ms = vm->updated_ms = state_now_ms();
	vm->revision = 1;
	vm->owner = actor->uid;
	vm->confined = actor->confined;
	ret = db_run(s, DB_VM_INSERT,
		     "INSERT INTO vm (id, name, created, updated, revision, profile, vcpus, memory,"
		     " owner, confined) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
		     e, "ttiiitiiii", vm->id, vm->name, vm->created_ms, vm->updated_ms,
		     vm->revision, vm->profile, vm->vcpus, vm->memory, (int64_t)vm->owner,
		     (int64_t)vm->confined);
	if (ret < 0 && sqlite3_extended_errcode(s->db) == SQLITE_CONSTRAINT_UNIQUE)
		return err_set(e, ERR_VM_EXISTS, "VM '%s' exists already", vm->name);
	return ret < 0 ? ret : db_revision_add(s, vm, definition, config, actor, e);
}

int state_vm_update(struct state *s, struct state_vm *vm, const char *definition,
		    const char *config, const struct state_actor *actor, struct err *e)
{
	int ret;

	vm->updated_ms = state_now_ms();
	vm->revision++;
	vm->confined = vm->confined || actor->confined;
	ret = db_run(s, DB_VM_UPDATE,
		     "UPDATE vm SET updated = ?, revision = ?, profile = ?, vcpus = ?, memory = ?,"
		     " confined = ? WHERE id = ?",
		     e, "iitiiit", vm->updated_ms, vm->revision, vm->profile, vm->vcpus, vm->memory,
		     (int64_t)vm->confined, vm->id);
	return ret < 0 ? ret : db_revision_add(s, vm, definition, config, actor, e);
}

int state_vm_delete(struct state *s, const char *id, struct err *e)
{
	return db_run(s, DB_VM_DELETE, "DELETE FROM vm WHERE id = ?", e, "t", id);
}

int state_vm_set_desired(struct state *s, const char *id, bool running, struct err *e)
{
	/* no write, no fsync, when nothing changes */
	return db_run(s, DB_VM_DESIRED,
		      "UPDATE vm SET desired = ?1 WHERE id = ?2 AND desired <> ?1", e, "tt",
		      running ? "running" : "stopped", id);
}

/* 1 found, 0 not, or -ERR_STATE */
static int vm_one(struct state *s, sqlite3_stmt *stmt, struct state_vm *ret_vm, struct err *e)
{
	int ret;

	if (!stmt)
		return -ERR_STATE;
	ret = db_step(s, stmt, e);
	if (ret > 0)
		vm_row(stmt, ret_vm);
	db_end(stmt);
	return ret;
}

int state_vm_get(struct state *s, const char *id, struct state_vm *ret_vm, struct err *e)
{
	sqlite3_stmt *stmt =
		db_query(s, DB_VM_GET, "SELECT " VM_COLUMNS VM_FROM "WHERE id = ?", e, "t", id);
	int ret = vm_one(s, stmt, ret_vm, e);

	return ret ? MIN(ret, 0) : err_set(e, ERR_VM_NOT_FOUND, "no VM '%s'", id);
}

/* The number of edits from a to b, two letters changed about counted as one. For short names. */
static unsigned int vm_distance(const char *a, const char *b)
{
	size_t na = MIN(strlen(a), 64u), nb = MIN(strlen(b), 64u);
	uint8_t d[65][65];

	for (size_t i = 0; i <= na; i++)
		d[i][0] = (uint8_t)i;
	for (size_t j = 0; j <= nb; j++)
		d[0][j] = (uint8_t)j;
	for (size_t i = 1; i <= na; i++) {
		for (size_t j = 1; j <= nb; j++) {
			unsigned int best = d[i - 1][j - 1] + (a[i - 1] != b[j - 1]);

			best = MIN(best, d[i - 1][j] + 1u);
			best = MIN(best, d[i][j - 1] + 1u);
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				best = MIN(best, d[i - 2][j - 2] + 1u);
			d[i][j] = (uint8_t)best;
		}
	}
	return d[na][nb];
}

/* "no VM 'x'", with the nearest name as the hint when it is near enough to be meant. */
static int vm_not_found(struct state *s, const char *word, struct err *e)
{
	sqlite3_stmt *stmt = db_query(s, DB_VM_NAMES, "SELECT name FROM vm", NULL, "");
	unsigned int best = (unsigned int)MAX(strlen(word) / 3, 1u) + 1;
	char name[64] = "";

	while (stmt && db_step(s, stmt, NULL) > 0) {
		const char *other = (const char *)sqlite3_column_text(stmt, 0);
		unsigned int d = other ? vm_distance(word, other) : best;

		if (d >= best)
			continue;
		best = d;
		snprintf(name, sizeof(name), "%s", other);
	}
	db_end(stmt);
	err_set(e, ERR_VM_NOT_FOUND, "no VM '%.64s'", word);
	if (name[0])
		err_hint(e, "did you mean '%s'?", name);
	return -ERR_VM_NOT_FOUND;
}

/* Hexadecimal digits and hyphens only, so that no LIKE wildcard gets in. */
static bool vm_is_prefix(const char *word)
{
	return strlen(word) >= VM_PREFIX_MIN && strlen(word) < STATE_ID_SIZE &&
	       strspn(word, "0123456789abcdef-") == strlen(word);
}

static int vm_by_prefix(struct state *s, const char *word, struct state_vm *ret_vm, struct err *e)
{
	char pattern[STATE_ID_SIZE + 1];
	sqlite3_stmt *stmt;
	int ret;

	snprintf(pattern, sizeof(pattern), "%s%%", word);
	stmt = db_query(s, DB_VM_BY_PREFIX, "SELECT " VM_COLUMNS VM_FROM "WHERE id LIKE ? LIMIT 2",
			e, "t", pattern);
	if (!stmt)
		return -ERR_STATE;
	ret = db_step(s, stmt, e);
	if (ret > 0) {
		vm_row(stmt, ret_vm);
		ret = db_step(s, stmt, e);
		if (ret > 0)
			ret = err_set(e, ERR_VM_NOT_FOUND, "'%s' begins the ids of several VMs",
				      word);
		else if (!ret)
			ret = 1;
	}
	db_end(stmt);
	return ret;
}

int state_vm_find(struct state *s, const char *word, struct state_vm *ret_vm, struct err *e)
{
	sqlite3_stmt *stmt = db_query(s, DB_VM_BY_NAME,
				      "SELECT " VM_COLUMNS VM_FROM "WHERE name = ?", e, "t", word);
	int ret = vm_one(s, stmt, ret_vm, e);

	if (!ret && vm_is_prefix(word))
		ret = vm_by_prefix(s, word, ret_vm, e);
	return ret ? MIN(ret, 0) : vm_not_found(s, word, e);
}

int state_vm_set_origin(struct state *s, const char *id, const char *origin, struct err *e)
{
	return db_run(s, DB_VM_SET_ORIGIN,
		      "UPDATE vm SET origin = ?1 WHERE id = ?2 AND origin IS NOT ?1", e, "tt",
		      origin, id);
}

int state_vm_origin(struct state *s, const char *id, char **ret_origin, struct err *e)
{
	sqlite3_stmt *stmt =
		db_query(s, DB_VM_ORIGIN,
			 "SELECT origin FROM vm WHERE id = ? AND origin IS NOT NULL", e, "t", id);
	char *origin = NULL;
	int ret;

	if (!stmt)
		return -ERR_STATE;
	ret = db_step(s, stmt, e);
	if (ret > 0) {
		origin = strdup((const char *)sqlite3_column_text(stmt, 0));
		if (!origin)
			ret = err_ret(e, -ENOMEM, "the origin of VM %s", id);
	}
	db_end(stmt);
	if (ret >= 0)
		*ret_origin = origin;
	return MIN(ret, 0);
}

/* Each row of a statement, which this ends; NULL: it failed. */
static int vm_each(struct state *s, sqlite3_stmt *stmt,
		   int (*each)(void *arg, const struct state_vm *vm), void *arg, struct err *e)
{
	struct state_vm vm;
	int ret;

	if (!stmt)
		return -ERR_STATE;
	while ((ret = db_step(s, stmt, e)) > 0) {
		vm_row(stmt, &vm);
		ret = each(arg, &vm);
		if (ret < 0)
			break;
	}
	db_end(stmt);
	return ret;
}

int state_vm_list(struct state *s, const char *after, int64_t limit,
		  int (*each)(void *arg, const struct state_vm *vm), void *arg, struct err *e)
{
	return vm_each(s,
		       db_query(s, DB_VM_LIST,
				"SELECT " VM_COLUMNS VM_FROM "WHERE name > ? ORDER BY name LIMIT ?",
				e, "ti", after, limit),
		       each, arg, e);
}

int state_vm_list_origin(struct state *s, const char *origin, const char *after, int64_t limit,
			 int (*each)(void *arg, const struct state_vm *vm), void *arg,
			 struct err *e)
{
	return vm_each(s,
		       db_query(s, DB_VM_LIST_ORIGIN,
				"SELECT " VM_COLUMNS VM_FROM
				"WHERE origin = ? AND name > ? ORDER BY name LIMIT ?",
				e, "tti", origin, after, limit),
		       each, arg, e);
}
