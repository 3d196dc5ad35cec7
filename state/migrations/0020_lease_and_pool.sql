-- Where a leased device is on a host with NUMA: its node (-1: not known), and how far the VM's memory, or its other
-- devices, are from there (ACPI SLIT; 0: not known).
ALTER TABLE lease ADD COLUMN node INTEGER NOT NULL DEFAULT -1;
ALTER TABLE lease ADD COLUMN distance INTEGER NOT NULL DEFAULT 0;

-- What a pool was declared as, the newest number being the pool's own revision. uid, pid, program: who declared it.
CREATE TABLE pool_revision (
	pool       TEXT NOT NULL,
	number     INTEGER NOT NULL,
	definition TEXT NOT NULL, -- JSON
	time       INTEGER NOT NULL,
	uid        INTEGER NOT NULL,
	pid        INTEGER NOT NULL,
	program    TEXT NOT NULL,
	PRIMARY KEY (pool, number)
) STRICT, WITHOUT ROWID;
INSERT INTO pool_revision SELECT name, revision, definition, updated, uid, pid, program FROM pool;
