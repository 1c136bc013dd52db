//! Owns: what must be true between the engine's own tables, as queries for what contradicts it, and the statements that mend that.
//!
//! Must not know: tables of collections (that is `tables`).

/// One thing that must be true.
pub(super) struct Check {
    /// What it is called.
    pub(super) name: &'static str,
    /// Finds what contradicts it: collection, upstream (both may be NULL) and subject.
    pub(super) finds: &'static str,
    /// What that is, in words.
    pub(super) says: &'static str,
    /// What mends it, in order; nothing where that would be a guess.
    pub(super) mends: &'static [&'static str],
    /// What mending does, or what a person has to do instead.
    pub(super) remedy: &'static str,
}

/// In the order in which they are mended: what is dropped first is not looked for later.
pub(super) const CHECKS: &[Check] = &[
    Check {
        name: "link_binding",
        finds: "SELECT NULL, 'binding ' || binding, remote_id FROM sync_link \
                WHERE binding NOT IN (SELECT binding FROM sync_binding)",
        says: "links of a binding that does not exist",
        mends: &[
            "DELETE FROM sync_remote WHERE binding NOT IN (SELECT binding FROM sync_binding)",
            "DELETE FROM sync_link WHERE binding NOT IN (SELECT binding FROM sync_binding)",
        ],
        remedy: "they are dropped: nothing reads them, and another binding could come by their number",
    },
    Check {
        name: "binding_collection",
        finds: "SELECT NULL, upstream, 'collection ' || collection FROM sync_binding \
                WHERE collection NOT IN (SELECT collection FROM sync_collection)",
        says: "bindings of a collection that does not exist",
        mends: &[],
        remedy: "restore a backup: whose links these are cannot be told",
    },
    Check {
        name: "link_form",
        finds: "SELECT c.name, b.upstream, l.remote_id FROM sync_link l LEFT JOIN sync_binding b USING (binding) \
                LEFT JOIN sync_collection c USING (collection) WHERE l.state NOT BETWEEN 0 AND 4 \
                OR typeof(l.record) NOT IN ('blob', 'text') OR typeof(l.record) = 'blob' AND length(l.record) <> 16",
        says: "links whose state or record cannot be read",
        mends: &[],
        remedy: "restore a backup: what they tie cannot be told",
    },
    Check {
        name: "link_base",
        finds: "SELECT c.name, b.upstream, l.remote_id FROM sync_link l LEFT JOIN sync_binding b USING (binding) \
                LEFT JOIN sync_collection c USING (collection) \
                WHERE NOT coalesce(json_valid(l.base_hub), 1) OR NOT coalesce(json_valid(l.base_remote), 1)",
        says: "links whose base cannot be read",
        mends: &[
            "UPDATE sync_remote SET fingerprint = 0 WHERE link IN (SELECT link FROM sync_link \
             WHERE NOT coalesce(json_valid(base_hub), 1) OR NOT coalesce(json_valid(base_remote), 1))",
            "DELETE FROM sync_cursor WHERE binding IN (SELECT binding FROM sync_link \
             WHERE NOT coalesce(json_valid(base_hub), 1) OR NOT coalesce(json_valid(base_remote), 1))",
            "UPDATE sync_link SET base_hub = NULL, base_remote = NULL, raw = x'', version = NULL, updated_at = NULL, mapping = 0 \
             WHERE NOT coalesce(json_valid(base_hub), 1) OR NOT coalesce(json_valid(base_remote), 1)",
        ],
        remedy: "they begin anew: both sides are read and merged as on first contact",
    },
    Check {
        name: "remote_link",
        finds: "SELECT c.name, b.upstream, r.remote_id FROM sync_remote r LEFT JOIN sync_binding b USING (binding) \
                LEFT JOIN sync_collection c USING (collection) WHERE NOT EXISTS (SELECT 1 FROM sync_link l \
                WHERE l.link = r.link AND l.binding = r.binding AND l.remote_id = r.remote_id)",
        says: "remote ids that lead to no link",
        mends: &["DELETE FROM sync_remote WHERE NOT EXISTS (SELECT 1 FROM sync_link l \
             WHERE l.link = sync_remote.link AND l.binding = sync_remote.binding AND l.remote_id = sync_remote.remote_id)"],
        remedy: "they are dropped, and laid again by the links that there are",
    },
    Check {
        name: "link_twice",
        finds: "SELECT c.name, b.upstream, l.remote_id FROM sync_link l JOIN sync_remote r USING (binding, remote_id) \
                LEFT JOIN sync_binding b USING (binding) LEFT JOIN sync_collection c USING (collection) WHERE r.link <> l.link \
                AND EXISTS (SELECT 1 FROM sync_link o WHERE o.link = r.link AND o.binding = l.binding AND o.remote_id = l.remote_id)",
        says: "remote records that are linked to two records here",
        mends: &[],
        remedy: "restore a backup: to which of the two it belongs cannot be told",
    },
    Check {
        name: "link_remote",
        finds: "SELECT c.name, b.upstream, l.remote_id FROM sync_link l LEFT JOIN sync_binding b USING (binding) \
                LEFT JOIN sync_collection c USING (collection) WHERE NOT EXISTS (SELECT 1 FROM sync_remote r \
                WHERE r.binding = l.binding AND r.remote_id = l.remote_id AND (r.link = l.link AND r.state = l.state \
                OR r.link <> l.link AND EXISTS (SELECT 1 FROM sync_link o \
                WHERE o.link = r.link AND o.binding = l.binding AND o.remote_id = l.remote_id)))",
        says: "links that are not found by their remote id, or in another state",
        mends: &[
            // The cursor goes first: what was not found may have been passed over by a listing of changes.
            "DELETE FROM sync_cursor WHERE binding IN (SELECT l.binding FROM sync_link l WHERE NOT EXISTS (SELECT 1 FROM sync_remote r \
             WHERE r.binding = l.binding AND r.remote_id = l.remote_id AND r.link = l.link AND r.state = l.state))",
            "INSERT OR IGNORE INTO sync_remote (binding, remote_id, link, fingerprint, state) \
             SELECT binding, remote_id, link, 0, state FROM sync_link",
            "UPDATE sync_remote SET fingerprint = 0, state = (SELECT state FROM sync_link l WHERE l.link = sync_remote.link) \
             WHERE state IS NOT (SELECT state FROM sync_link l WHERE l.link = sync_remote.link)",
        ],
        remedy: "they are found again, and their upstream is read anew",
    },
    Check {
        name: "hint_collection",
        finds: "SELECT NULL, NULL, record FROM sync_dirty WHERE collection NOT IN (SELECT collection FROM sync_collection)",
        says: "hints about records of a collection that does not exist",
        mends: &["DELETE FROM sync_dirty WHERE collection NOT IN (SELECT collection FROM sync_collection)"],
        remedy: "they are dropped: nothing reads them",
    },
    Check {
        name: "hint_number",
        finds: "SELECT NULL, NULL, 'number ' || max(seen) FROM sync_dirty \
                HAVING max(seen) > coalesce((SELECT seen FROM sync_engine), 0) \
                UNION ALL SELECT NULL, NULL, 'no number' WHERE NOT EXISTS (SELECT 1 FROM sync_engine)",
        says: "hints whose number is yet to come: a later edit could pass for one that was seen",
        mends: &[
            "INSERT OR IGNORE INTO sync_engine (one, seen) VALUES (1, 0)",
            "UPDATE sync_engine SET seen = max(seen, coalesce((SELECT max(seen) FROM sync_dirty), 0))",
        ],
        remedy: "the count goes on behind them",
    },
    Check {
        name: "staged",
        finds: "SELECT NULL, b.upstream, s.remote_id FROM sync_stage s LEFT JOIN sync_binding b USING (binding) \
                WHERE b.binding IS NULL OR b.collection <> s.collection",
        says: "observations of a binding that does not exist, or that is another collection's",
        mends: &[
            "DELETE FROM sync_cursor WHERE binding IN (SELECT s.binding FROM sync_stage s JOIN sync_binding b USING (binding) \
             WHERE b.collection <> s.collection)",
            "DELETE FROM sync_stage WHERE NOT EXISTS (SELECT 1 FROM sync_binding b \
             WHERE b.binding = sync_stage.binding AND b.collection = sync_stage.collection)",
        ],
        remedy: "they are dropped, and their upstream is read anew",
    },
    Check {
        name: "intent",
        finds: "SELECT i.collection, i.upstream, i.record FROM sync_intent i WHERE NOT EXISTS \
                (SELECT 1 FROM sync_binding b JOIN sync_collection c USING (collection) \
                WHERE b.binding = i.binding AND c.name = i.collection AND b.upstream = i.upstream)",
        says: "writes on their way to a binding that does not exist, or that is another one",
        mends: &[],
        remedy: "look at the upstream whether they were made, then restore a backup: a write is never forgotten on a guess",
    },
    Check {
        name: "intent_remote",
        finds: "SELECT i.collection, i.upstream, i.record FROM sync_intent i WHERE i.op <> 'create' AND NOT EXISTS \
                (SELECT 1 FROM sync_remote r WHERE r.binding = i.binding AND r.remote_id = i.remote_id)",
        says: "writes on their way to a remote record that is linked to nothing here",
        mends: &[],
        remedy: "look at the upstream whether they were made, and say so: each can be settled by a person",
    },
    Check {
        name: "cursor",
        finds: "SELECT NULL, NULL, 'binding ' || binding FROM sync_cursor WHERE binding NOT IN (SELECT binding FROM sync_binding) \
                UNION ALL SELECT NULL, NULL, 'binding ' || binding || ', parent ' || parent FROM sync_parent \
                WHERE binding NOT IN (SELECT binding FROM sync_binding)",
        says: "places in listings of a binding that does not exist",
        mends: &[
            "DELETE FROM sync_cursor WHERE binding NOT IN (SELECT binding FROM sync_binding)",
            "DELETE FROM sync_parent WHERE binding NOT IN (SELECT binding FROM sync_binding)",
        ],
        remedy: "they are dropped: nothing reads them, and another binding could come by their number",
    },
    Check {
        name: "turns",
        finds: "SELECT NULL, NULL, record FROM sync_turn WHERE binding NOT IN (SELECT binding FROM sync_binding)",
        says: "rings of values of a binding that does not exist",
        mends: &["DELETE FROM sync_turn WHERE binding NOT IN (SELECT binding FROM sync_binding)"],
        remedy: "they are dropped: nothing reads them",
    },
    Check {
        name: "provenance",
        finds: "SELECT NULL, NULL, record FROM sync_origin WHERE collection NOT IN (SELECT collection FROM sync_collection)",
        says: "provenance of records of a collection that does not exist",
        mends: &["DELETE FROM sync_origin WHERE collection NOT IN (SELECT collection FROM sync_collection)"],
        remedy: "it is dropped: nothing reads it",
    },
    Check {
        name: "match",
        finds: "SELECT NULL, NULL, 'collection ' || collection FROM sync_match \
                WHERE collection NOT IN (SELECT collection FROM sync_collection)",
        says: "match keys of records of a collection that does not exist",
        mends: &["DELETE FROM sync_match WHERE collection NOT IN (SELECT collection FROM sync_collection)"],
        remedy: "they are dropped: nothing reads them",
    },
    Check {
        name: "conflict",
        finds: "SELECT collection, NULL, record FROM sync_conflict WHERE closed_at IS NULL AND NOT json_valid(candidates)",
        says: "open conflicts whose sides cannot be read",
        mends: &[],
        remedy: "restore a backup, or decide them by a value of your own",
    },
];
