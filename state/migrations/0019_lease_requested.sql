-- Milliseconds since 1970 (UTC): the host wants the device back since then, which was told once. NULL: it does not.
ALTER TABLE lease ADD COLUMN requested INTEGER;
