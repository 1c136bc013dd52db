-- The record as a webhook shows it, while it waits.
ALTER TABLE sync_hook ADD COLUMN record BLOB;
