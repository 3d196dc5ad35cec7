-- What each start of a VM took: phases is a JSON object of microseconds after the request.
CREATE TABLE timeline (
	seq      INTEGER PRIMARY KEY AUTOINCREMENT,
	vm       TEXT NOT NULL REFERENCES vm (id) ON DELETE CASCADE,
	time     INTEGER NOT NULL, -- of the request, milliseconds since 1970 (UTC)
	revision INTEGER NOT NULL,
	ok       INTEGER NOT NULL, -- it came up
	phases   TEXT NOT NULL
) STRICT;

CREATE INDEX timeline_vm ON timeline (vm, seq);
