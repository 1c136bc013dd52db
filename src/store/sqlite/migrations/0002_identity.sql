-- Links have a state more, 4: archived there. They, too, are looked at under changed rules.
DROP INDEX sync_link_mapping;
CREATE INDEX sync_link_mapping ON sync_link (binding, mapping) WHERE state IN (0, 3, 4);

-- How often a create of unknown outcome was looked for and not found.
ALTER TABLE sync_intent ADD COLUMN checks INTEGER NOT NULL DEFAULT 0;
