-- What was written over an upstream's own word, per field: a short ring, by which two sides that take each other's value
-- back for ever are told.
CREATE TABLE sync_turn (
  record TEXT NOT NULL,
  binding INTEGER NOT NULL,
  field TEXT NOT NULL,
  turns TEXT NOT NULL,
  PRIMARY KEY (record, binding, field)
) STRICT, WITHOUT ROWID;
