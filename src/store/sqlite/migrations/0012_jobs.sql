-- A write that a job of the upstream has taken up, and how that is asked about (JSON, shaped by `reconcile`).
ALTER TABLE sync_intent ADD COLUMN job TEXT;
