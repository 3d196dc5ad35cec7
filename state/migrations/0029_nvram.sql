-- Stores of UEFI variables: written before the file is made (its name is the id), deleted after the file is removed, so no
-- reference to the VM. phase: "used" by that VM; "kept" for the next VM of that name and owner; "over", to be removed.
CREATE TABLE nvram (
	id    INTEGER PRIMARY KEY AUTOINCREMENT,
	vm    TEXT NOT NULL,
	name  TEXT NOT NULL,
	owner INTEGER NOT NULL,             -- uid of the VM's
	phase TEXT NOT NULL DEFAULT 'used'
) STRICT;

CREATE INDEX nvram_vm ON nvram (vm);
