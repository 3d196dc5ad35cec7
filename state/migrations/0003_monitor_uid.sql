-- The user that a monitor runs as, and no other does; NULL: vmd's own.
ALTER TABLE process ADD COLUMN uid INTEGER;
CREATE UNIQUE INDEX process_uid ON process (uid);
