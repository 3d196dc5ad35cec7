-- The processes that show VMs' screens to viewers (vmm-display): written before one runs, deleted when it has ended. A VM may
-- be gone before its own, so no reference to it.
CREATE TABLE display (
	vm         TEXT PRIMARY KEY,
	pid        INTEGER NOT NULL,
	start_time INTEGER NOT NULL,          -- clock ticks after boot
	boot_id    TEXT NOT NULL,
	socket     TEXT NOT NULL,             -- of its control connection
	time       INTEGER NOT NULL           -- milliseconds of UTC
) STRICT, WITHOUT ROWID;
