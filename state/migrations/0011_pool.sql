-- Pools of virtual functions, as they were declared (schemas/pool.json). Times are milliseconds since 1970 (UTC).

-- boot_id: of the host's run that the journal's rows "pool:NAME/…" are of. uid, pid, program: who wrote the revision.
CREATE TABLE pool (
	name       TEXT PRIMARY KEY,
	revision   INTEGER NOT NULL,
	definition TEXT NOT NULL,
	boot_id    TEXT NOT NULL,
	uid        INTEGER NOT NULL,
	pid        INTEGER NOT NULL,
	program    TEXT NOT NULL,
	created    INTEGER NOT NULL,
	updated    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
