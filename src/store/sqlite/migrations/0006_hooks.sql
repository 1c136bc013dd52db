-- Webhooks that were taken in: what a pass is still to look for, and what came already, by which a repeat is told.
CREATE TABLE sync_hook (
  -- AUTOINCREMENT: a pass settles what came before it by number, which must never come again.
  id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
  upstream TEXT NOT NULL,
  delivery TEXT NOT NULL,
  received_at INTEGER NOT NULL,
  event TEXT NOT NULL,
  collection TEXT,
  remote_id TEXT,
  state TEXT NOT NULL CHECK (state IN ('waiting', 'done', 'replaced', 'ignored', 'dead')),
  error TEXT
) STRICT;
CREATE UNIQUE INDEX sync_hook_delivery ON sync_hook (upstream, delivery);
CREATE INDEX sync_hook_waiting ON sync_hook (collection, upstream, remote_id) WHERE state = 'waiting';
CREATE INDEX sync_hook_age ON sync_hook (state, received_at);
