-- Ports of consoles of VMs that run or are being started: written before their sockets are made, deleted after those are
-- removed, so no reference to the VM. over: its process is gone, or never was. A new start has rows of its own.
CREATE TABLE port (
	id       INTEGER PRIMARY KEY AUTOINCREMENT,
	vm       TEXT NOT NULL,
	device   TEXT NOT NULL,
	name     TEXT NOT NULL,
	backend  TEXT NOT NULL,              -- "socket", "pty", "file"
	path     TEXT NOT NULL,              -- of a terminal: its name, once it has one
	owner    INTEGER NOT NULL,           -- uid of the VM's
	confined INTEGER NOT NULL,           -- made with the owner's rights, and removed with them
	over     INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE INDEX port_vm ON port (vm);
