-- Devices of the host that VMs have, and what was changed of the host for it. Times are milliseconds since 1970 (UTC).

-- A device without a row is free. generation is never used twice: what is late does not hit the next lease of the
-- same device. vm is an id; vm and name stay after the VM is deleted (a quarantined device).
CREATE TABLE lease (
	generation INTEGER PRIMARY KEY AUTOINCREMENT,
	address    TEXT NOT NULL UNIQUE, -- 0000:3b:00.0
	vm         TEXT NOT NULL,
	name       TEXT NOT NULL,
	device     TEXT NOT NULL,        -- its id in the VM
	pool       TEXT,                 -- NULL: the VM names the address itself
	state      TEXT NOT NULL CHECK (state IN
	           ('reserved', 'configured', 'bound', 'in-use', 'releasing', 'quarantined')),
	identity   TEXT NOT NULL,        -- JSON
	mac        TEXT UNIQUE,          -- given to the VF; NULL: none
	reason     TEXT NOT NULL,        -- why this device
	quarantine TEXT,                 -- why it is not given back, and not given away
	boot_id    TEXT NOT NULL,
	created    INTEGER NOT NULL,
	updated    INTEGER NOT NULL
) STRICT;
CREATE INDEX lease_vm ON lease (vm);

-- Changes of the host, each written before it is made. owner: "lease:GENERATION", "pool:NAME".
CREATE TABLE journal (
	seq    INTEGER PRIMARY KEY AUTOINCREMENT,
	owner  TEXT NOT NULL,
	action TEXT NOT NULL, -- JSON, as vmd/hostio.h has it
	undo   TEXT,          -- likewise; NULL: there is nothing to take back
	state  TEXT NOT NULL CHECK (state IN ('begun', 'done', 'undone')),
	time   INTEGER NOT NULL
) STRICT;
CREATE INDEX journal_owner ON journal (owner, seq);

-- Which device a VM had at an address: another one that is there later is not given to it.
CREATE TABLE device (
	vm       TEXT NOT NULL REFERENCES vm (id) ON DELETE CASCADE,
	address  TEXT NOT NULL,
	identity TEXT NOT NULL, -- JSON
	PRIMARY KEY (vm, address)
) STRICT, WITHOUT ROWID;
