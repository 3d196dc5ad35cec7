-- VMs with their revisions, the processes that run them, and what happened. Times are milliseconds since 1970 (UTC).

CREATE TABLE meta (
	key   TEXT PRIMARY KEY,
	value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE vm (
	id       TEXT PRIMARY KEY CHECK (length(id) = 36),
	name     TEXT NOT NULL UNIQUE,
	created  INTEGER NOT NULL,
	updated  INTEGER NOT NULL,
	desired  TEXT NOT NULL DEFAULT 'stopped' CHECK (desired IN ('stopped', 'running')),
	revision INTEGER NOT NULL,
	-- out of the newest revision, so that a list reads no JSON
	profile  TEXT NOT NULL,
	vcpus    INTEGER NOT NULL,
	memory   INTEGER NOT NULL
) STRICT;

-- config is the machine configuration: the definition with every default written out
CREATE TABLE revision (
	vm         TEXT NOT NULL REFERENCES vm (id) ON DELETE CASCADE,
	number     INTEGER NOT NULL,
	definition TEXT NOT NULL,
	config     TEXT NOT NULL,
	time       INTEGER NOT NULL,
	uid        INTEGER NOT NULL,
	pid        INTEGER NOT NULL,
	program    TEXT NOT NULL,
	PRIMARY KEY (vm, number)
) STRICT, WITHOUT ROWID;

-- a monitor process, written before it runs; start_time in clock ticks after boot (/proc/PID/stat)
CREATE TABLE process (
	vm         TEXT PRIMARY KEY REFERENCES vm (id) ON DELETE CASCADE,
	pid        INTEGER NOT NULL,
	start_time INTEGER NOT NULL,
	boot_id    TEXT NOT NULL,
	socket     TEXT NOT NULL,
	revision   INTEGER NOT NULL,
	paused     INTEGER NOT NULL, -- was asked to start paused
	time       INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- how the last process of a VM ended
CREATE TABLE exit (
	vm      TEXT PRIMARY KEY REFERENCES vm (id) ON DELETE CASCADE,
	reason  TEXT NOT NULL,
	code    INTEGER NOT NULL,
	message TEXT NOT NULL,
	time    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- a ring: the oldest go (state/event.c). vm stays after the VM is deleted.
CREATE TABLE event (
	seq  INTEGER PRIMARY KEY AUTOINCREMENT,
	time INTEGER NOT NULL,
	type TEXT NOT NULL,
	vm   TEXT,
	data TEXT NOT NULL
) STRICT;
