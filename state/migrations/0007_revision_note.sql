-- What made a revision where it was not an ordinary apply: "revert to 3".

ALTER TABLE revision ADD COLUMN note TEXT NOT NULL DEFAULT '';
