-- How the devices of a VM that runs differ from those of the revision that it was started with. Rows go with the
-- VM's process. Times are milliseconds since 1970 (UTC).
--
-- device: its id in the VM. defined: it is of the revision; else it was attached. entry: what was asked for, as a
-- definition has it: {"devices": {…}} or {"passthrough": {…}}. config: the device as the machine configuration has it.
CREATE TABLE attachment (
	vm      TEXT NOT NULL REFERENCES vm (id) ON DELETE CASCADE,
	device  TEXT NOT NULL,
	state   TEXT NOT NULL CHECK (state IN ('attaching', 'attached', 'detaching', 'detached')),
	defined INTEGER NOT NULL,
	entry   TEXT NOT NULL,    -- JSON
	config  TEXT NOT NULL,    -- JSON
	persist INTEGER NOT NULL, -- what is being done is written to the definition too
	job     TEXT NOT NULL,    -- that does it, or did last
	time    INTEGER NOT NULL,
	PRIMARY KEY (vm, device)
) STRICT, WITHOUT ROWID;
