-- The record as a webhook shows it, while it waits.
ALTER TABLE sync_hook ADD COLUMN record BLOB;
-- Lists of webhooks by state, in the order in which they came.
CREATE INDEX sync_hook_state ON sync_hook (state);
