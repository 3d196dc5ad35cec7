-- Where a leased device is on a host with NUMA: its node (-1: not known), and how far the VM's memory, or its other
-- devices, are from there (ACPI SLIT; 0: not known).
ALTER TABLE lease ADD COLUMN node INTEGER NOT NULL DEFAULT -1;
ALTER TABLE lease ADD COLUMN distance INTEGER NOT NULL DEFAULT 0;
