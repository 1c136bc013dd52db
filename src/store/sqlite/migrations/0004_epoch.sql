-- Which database this is, and how many durable commits it has seen: both stand in the file DATABASE.epoch as well.
-- `reason` says why the database was found not to be the one that was worked on last; NULL where it never was.
CREATE TABLE sync_epoch (
  one INTEGER PRIMARY KEY NOT NULL CHECK (one = 1),
  epoch TEXT NOT NULL,
  sequence INTEGER NOT NULL,
  reason TEXT,
  noticed_at INTEGER
) STRICT;
