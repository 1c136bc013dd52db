-- Everything of the engine's own. Plain tables of collections are made by `prepare`, as the rules say.

-- Facts about the store itself.
CREATE TABLE sync_meta (
  name TEXT PRIMARY KEY NOT NULL,
  value ANY
) STRICT, WITHOUT ROWID;

-- One row. `seen` numbers the hints: a hint that came back after it was read never has the number that was read.
CREATE TABLE sync_engine (
  one INTEGER PRIMARY KEY NOT NULL CHECK (one = 1),
  seen INTEGER NOT NULL
) STRICT;
INSERT INTO sync_engine (one, seen) VALUES (1, 0);

CREATE TABLE sync_collection (
  collection INTEGER PRIMARY KEY NOT NULL,
  name TEXT NOT NULL UNIQUE
) STRICT;

-- What `prepare` made of each column; `gone` marks fields that left the rules while their column stayed.
CREATE TABLE sync_column (
  collection INTEGER NOT NULL,
  name TEXT NOT NULL,
  affinity TEXT NOT NULL,
  says TEXT NOT NULL,
  rule TEXT NOT NULL,
  gone INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (collection, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE sync_binding (
  binding INTEGER PRIMARY KEY NOT NULL,
  collection INTEGER NOT NULL,
  upstream TEXT NOT NULL,
  UNIQUE (collection, upstream)
) STRICT;

CREATE TABLE sync_mapping (
  mapping INTEGER PRIMARY KEY NOT NULL,
  hash TEXT NOT NULL UNIQUE
) STRICT;

-- state: 0 live, 1 deleted, 2 detached, 3 out of scope. `raw` stands last, so that the rest is read without its overflow pages.
-- `record` is the 16 bytes of a UUID here (else the id's text), as in sync_match: `WHERE record = unhex(replace(:id, '-', ''))`.
CREATE TABLE sync_link (
  link INTEGER PRIMARY KEY NOT NULL,
  binding INTEGER NOT NULL,
  record ANY NOT NULL,
  remote_id TEXT NOT NULL,
  state INTEGER NOT NULL,
  version TEXT,
  mapping INTEGER NOT NULL,
  updated_at INTEGER,
  observed_at INTEGER NOT NULL,
  made_pass INTEGER,
  made_source_time INTEGER,
  made_observed_at INTEGER,
  base_hub TEXT,
  base_remote TEXT,
  raw BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX sync_link_record ON sync_link (record, binding);
CREATE INDEX sync_link_mapping ON sync_link (binding, mapping) WHERE state IN (0, 3);

-- The narrow side of a link: all that an unchanged record needs.
CREATE TABLE sync_remote (
  binding INTEGER NOT NULL,
  remote_id TEXT NOT NULL,
  link INTEGER NOT NULL,
  fingerprint INTEGER NOT NULL,
  state INTEGER NOT NULL,
  PRIMARY KEY (binding, remote_id)
) STRICT, WITHOUT ROWID;

-- Rows are appended; what is random, and touches a page per record in an initial load, is the index by hash alone:
-- it is kept to a 32-bit hash (of collection, key and text) and a row number.
CREATE TABLE sync_match (
  match INTEGER PRIMARY KEY NOT NULL,
  collection INTEGER NOT NULL,
  hash INTEGER NOT NULL,
  record ANY NOT NULL
) STRICT;
CREATE INDEX sync_match_hash ON sync_match (hash);
CREATE INDEX sync_match_record ON sync_match (record);

CREATE TABLE sync_dirty (
  collection INTEGER NOT NULL,
  record TEXT NOT NULL,
  op TEXT NOT NULL,
  at INTEGER NOT NULL,
  seen INTEGER NOT NULL,
  PRIMARY KEY (collection, record)
) STRICT, WITHOUT ROWID;

CREATE TABLE sync_origin (
  collection INTEGER NOT NULL,
  record TEXT NOT NULL,
  field TEXT NOT NULL,
  origin TEXT NOT NULL,
  source_time INTEGER,
  observed_at INTEGER NOT NULL,
  pass INTEGER NOT NULL,
  rule TEXT NOT NULL,
  PRIMARY KEY (collection, record, field)
) STRICT, WITHOUT ROWID;

CREATE TABLE sync_stage (
  stage INTEGER PRIMARY KEY NOT NULL,
  binding INTEGER NOT NULL,
  remote_id TEXT NOT NULL,
  collection INTEGER NOT NULL,
  record TEXT,
  kind TEXT NOT NULL,
  fingerprint INTEGER NOT NULL,
  version TEXT,
  observed_at INTEGER NOT NULL,
  parked TEXT,
  raw BLOB NOT NULL,
  UNIQUE (binding, remote_id)
) STRICT;
CREATE INDEX sync_stage_record ON sync_stage (collection, record) WHERE record IS NOT NULL;
CREATE INDEX sync_stage_unmatched ON sync_stage (binding, remote_id) WHERE record IS NULL;

CREATE TABLE sync_cursor (
  binding INTEGER PRIMARY KEY NOT NULL,
  state TEXT NOT NULL
) STRICT;

CREATE TABLE sync_upstream (
  upstream TEXT PRIMARY KEY NOT NULL,
  state TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE sync_history (
  id INTEGER PRIMARY KEY NOT NULL,
  pass INTEGER NOT NULL,
  at INTEGER NOT NULL,
  collection TEXT NOT NULL,
  record TEXT NOT NULL,
  field TEXT NOT NULL,
  kind TEXT NOT NULL,
  origin TEXT NOT NULL,
  target TEXT,
  rule TEXT NOT NULL,
  before TEXT,
  after TEXT,
  detail TEXT
) STRICT;
CREATE INDEX sync_history_record ON sync_history (record);
CREATE INDEX sync_history_pass ON sync_history (pass);

CREATE TABLE sync_conflict (
  id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
  collection TEXT NOT NULL,
  record TEXT NOT NULL,
  fields TEXT NOT NULL,
  kind TEXT NOT NULL,
  base TEXT,
  candidates TEXT NOT NULL,
  resolution TEXT,
  pass INTEGER NOT NULL,
  opened_at INTEGER NOT NULL,
  closed_at INTEGER,
  closed_how TEXT
) STRICT;
CREATE UNIQUE INDEX sync_conflict_open ON sync_conflict (collection, record, fields) WHERE closed_at IS NULL;
CREATE INDEX sync_conflict_resolved ON sync_conflict (collection, record) WHERE closed_at IS NULL AND resolution IS NOT NULL;
CREATE INDEX sync_conflict_record ON sync_conflict (record);

CREATE TABLE sync_intent (
  key TEXT PRIMARY KEY NOT NULL,
  collection TEXT NOT NULL,
  upstream TEXT NOT NULL,
  binding INTEGER NOT NULL,
  record TEXT NOT NULL,
  remote_id TEXT,
  op TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('prepared', 'sent', 'unknown', 'settled', 'refused', 'parked', 'dropped')),
  payload_hash TEXT NOT NULL,
  "values" TEXT NOT NULL,
  expected_version TEXT,
  attempts INTEGER NOT NULL,
  not_before INTEGER,
  pass INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  sent_at INTEGER,
  note TEXT
) STRICT;
-- At most one outstanding write per (record, upstream).
CREATE UNIQUE INDEX sync_intent_one ON sync_intent (record, binding) WHERE state IN ('prepared', 'sent', 'unknown', 'parked');
CREATE INDEX sync_intent_outstanding ON sync_intent (collection, record) WHERE state IN ('prepared', 'sent', 'unknown', 'parked');

CREATE TABLE sync_quarantine (
  collection TEXT NOT NULL,
  upstream TEXT NOT NULL,
  subject TEXT NOT NULL,
  stage TEXT NOT NULL,
  reason TEXT NOT NULL,
  inputs TEXT NOT NULL,
  since INTEGER NOT NULL,
  pass INTEGER NOT NULL,
  PRIMARY KEY (collection, upstream, subject)
) STRICT, WITHOUT ROWID;

-- AUTOINCREMENT: an approval names a halt by number, which must never come to mean another one.
CREATE TABLE sync_halt (
  id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
  collection TEXT NOT NULL,
  pass INTEGER NOT NULL,
  fingerprint TEXT NOT NULL,
  halts TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  approved_at INTEGER,
  closed_at INTEGER
) STRICT;
CREATE UNIQUE INDEX sync_halt_open ON sync_halt (collection) WHERE closed_at IS NULL;

CREATE TABLE sync_pass (
  id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
  collection TEXT NOT NULL,
  "trigger" TEXT NOT NULL,
  started_at INTEGER NOT NULL,
  ended_at INTEGER,
  outcome TEXT NOT NULL,
  counts TEXT NOT NULL,
  rules_hash TEXT NOT NULL,
  error TEXT
) STRICT;
CREATE INDEX sync_pass_collection ON sync_pass (collection);
