-- When each phase of a pass began and how long it took, as JSON; of the newest passes only.
ALTER TABLE sync_pass ADD COLUMN phases TEXT;
-- Lists of passes by outcome. A collection's own list is found by both.
CREATE INDEX sync_pass_outcome ON sync_pass (outcome);
CREATE INDEX sync_pass_collection_outcome ON sync_pass (collection, outcome);
-- Open conflicts in the order of their numbers, however many were closed before.
CREATE INDEX sync_conflict_waiting ON sync_conflict (closed_at) WHERE closed_at IS NULL;
CREATE INDEX sync_conflict_waiting_collection ON sync_conflict (collection) WHERE closed_at IS NULL;
-- The last full scan, however many passes came since.
CREATE INDEX sync_pass_full_scan ON sync_pass (collection) WHERE "trigger" = 'full_scan';
