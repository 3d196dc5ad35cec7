-- Jobs, and who caused an event. Times are milliseconds since 1970 (UTC).

-- seq orders them and bounds their number (state/job.c). vm and name stay after the VM is deleted.
CREATE TABLE job (
	seq     INTEGER PRIMARY KEY AUTOINCREMENT,
	id      TEXT NOT NULL UNIQUE,
	vm      TEXT NOT NULL,
	name    TEXT NOT NULL,
	op      TEXT NOT NULL,
	state   TEXT NOT NULL CHECK (state IN ('running', 'done', 'failed', 'cancelled')),
	phase   TEXT NOT NULL,
	done    INTEGER NOT NULL,
	total   INTEGER NOT NULL, -- 0: not known
	unit    TEXT NOT NULL,
	timeout INTEGER NOT NULL, -- milliseconds from created on; -1: none
	force   INTEGER NOT NULL, -- end the VM at the timeout
	result  TEXT,             -- JSON: of done the method's result, of the others the error
	uid     INTEGER NOT NULL,
	pid     INTEGER NOT NULL,
	program TEXT NOT NULL,
	created INTEGER NOT NULL,
	updated INTEGER NOT NULL
) STRICT;

-- a JSON object {uid, pid, program}; NULL: nobody, it happened
ALTER TABLE event ADD COLUMN actor TEXT;
