-- The folder of VM files that a VM was applied from last, as vmctl named it; NULL: none. vmd does not open it.
ALTER TABLE vm ADD COLUMN origin TEXT;
CREATE INDEX vm_origin ON vm (origin, name) WHERE origin IS NOT NULL;
