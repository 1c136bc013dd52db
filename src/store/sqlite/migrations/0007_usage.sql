-- What was asked of each upstream, by day (days since 1970-01-01, in UTC).
CREATE TABLE sync_usage (
  day INTEGER NOT NULL,
  upstream TEXT NOT NULL,
  requests INTEGER NOT NULL,
  retries INTEGER NOT NULL,
  refused INTEGER NOT NULL,
  throttled INTEGER NOT NULL,
  failed INTEGER NOT NULL,
  sent_bytes INTEGER NOT NULL,
  received_bytes INTEGER NOT NULL,
  cost_nano_usd INTEGER NOT NULL,
  PRIMARY KEY (day, upstream)
) STRICT, WITHOUT ROWID;
