-- What is settled leaves the table, so every row is outstanding: no index needs to know the state, which changes with each
-- step of a write, and the key orders the rows themselves.
ALTER TABLE sync_intent RENAME TO sync_intent_before;
CREATE TABLE sync_intent (
  key TEXT PRIMARY KEY NOT NULL,
  collection TEXT NOT NULL,
  upstream TEXT NOT NULL,
  binding INTEGER NOT NULL,
  record TEXT NOT NULL,
  remote_id TEXT,
  op TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('prepared', 'sent', 'unknown', 'parked')),
  payload_hash TEXT NOT NULL,
  "values" TEXT NOT NULL,
  expected_version TEXT,
  attempts INTEGER NOT NULL,
  not_before INTEGER,
  pass INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  sent_at INTEGER,
  note TEXT,
  checks INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;
INSERT INTO sync_intent SELECT key, collection, upstream, binding, record, remote_id, op, state, payload_hash, "values",
  expected_version, attempts, not_before, pass, created_at, sent_at, note, checks
  FROM sync_intent_before WHERE state IN ('prepared', 'sent', 'unknown', 'parked');
DROP TABLE sync_intent_before;
-- At most one outstanding write per (record, upstream).
CREATE UNIQUE INDEX sync_intent_one ON sync_intent (record, binding);
