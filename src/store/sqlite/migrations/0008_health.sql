-- Whether each upstream is up, and since when.
CREATE TABLE sync_health (
  upstream TEXT PRIMARY KEY NOT NULL,
  up INTEGER NOT NULL CHECK (up IN (0, 1)),
  since INTEGER NOT NULL,
  seen_at INTEGER NOT NULL,
  error TEXT,
  error_at INTEGER
) STRICT, WITHOUT ROWID;
-- How long its answers took, by minute and by hour (`seconds` is how long that is). `buckets` counts answers by their
-- latency, as `upstream::Latency` writes it.
CREATE TABLE sync_latency (
  upstream TEXT NOT NULL,
  seconds INTEGER NOT NULL,
  at INTEGER NOT NULL,
  failed INTEGER NOT NULL,
  buckets TEXT NOT NULL,
  PRIMARY KEY (upstream, seconds, at)
) STRICT, WITHOUT ROWID;
