-- Whose a VM is, and which requests were seen.

-- confined: its definition was written by somebody who is no administrator, so that its files are opened with its
-- owner's rights
ALTER TABLE vm ADD COLUMN owner INTEGER NOT NULL DEFAULT 0;
ALTER TABLE vm ADD COLUMN confined INTEGER NOT NULL DEFAULT 0 CHECK (confined IN (0, 1));
UPDATE vm SET owner = coalesce((SELECT uid FROM revision WHERE vm = vm.id AND number = 1), 0);

-- requests with a request_id: written before they are carried out. answer: {"result": …} or {"error": …}, NULL until
-- there is one. The oldest go (state/request.c).
CREATE TABLE request (
	seq    INTEGER PRIMARY KEY AUTOINCREMENT,
	uid    INTEGER NOT NULL,
	id     TEXT NOT NULL,
	method TEXT NOT NULL,
	digest INTEGER NOT NULL, -- of its parameters
	answer TEXT,
	time   INTEGER NOT NULL,
	UNIQUE (uid, id)
) STRICT;
CREATE INDEX request_order ON request (uid, seq);
