-- Network cards of VMs that run or are being started. Rows go with the VM's process. mac: in lower case; no two VMs of
-- this host have the same. detail: what it is connected to, as vm.get shows it, once that is known; a JSON object.
CREATE TABLE nic (
	vm     TEXT NOT NULL REFERENCES vm (id) ON DELETE CASCADE,
	device TEXT NOT NULL,
	mac    TEXT NOT NULL UNIQUE,
	detail TEXT NOT NULL DEFAULT '{}', -- JSON
	PRIMARY KEY (vm, device)
) STRICT, WITHOUT ROWID;

-- Bridges of private links: written before they are made, deleted after they are removed. Each use gives another id, so
-- that who has removed one does not delete the row of who has made it again.
CREATE TABLE private_link (
	id     INTEGER PRIMARY KEY AUTOINCREMENT,
	bridge TEXT NOT NULL UNIQUE
) STRICT;
