//! Owns: the shape of `[collection.NAME]` and its fields.
//!
//! Must not know: bindings.

use super::{OnAmbiguous, PolicyWord, TypeWord};
use crate::record::Normalize;
use crate::rules::model::{Drift, Limit, OnEdit, OnLocalDelete, OnRemoteDelete, UpdateVsDelete};
use crate::rules::shape::{Either, List, Named, OneOrMany, table};
use crate::rules::units::{Jq, Period, Text};

table! {
    /// A named set of records; locally one plain table with a column per field.
    Collection, "a collection table" {
        /// When passes run: a cron expression of five fields, or six with seconds first. Default: only on demand.
        schedule: Text,
        /// When passes run: every so often, instead of `schedule`.
        every: Period,
        /// Time zone of the cron expressions, e.g. `Europe/London`. Default UTC.
        timezone: Text,
        /// When everything is read anew, to catch what cursors miss and to prove deletes: a cron expression or a duration. Default never.
        full_scan: Text,
        /// Scheduled passes begin up to so much later, so that not all begin in the same second. Default 0s.
        jitter: Period,
        /// Rows were edited here while the daemon runs: sync, a pass at once, or wait for the next one. Default sync.
        on_edit: OnEdit,
        /// For `source_priority`: `local` and upstreams, most trusted first.
        priority: List<Text>,
        /// The chain of policies of fields that have none of their own; the last must always decide. Default: latest, `source_priority`, manual, as far as they apply.
        merge: OneOrMany<PolicyWord>,
        /// One side updated, the other deleted. Default `update_wins`.
        update_vs_delete: UpdateVsDelete,
        /// A record was deleted at an upstream and is untouched here. Default queue.
        on_remote_delete: OnRemoteDelete,
        /// A record was deleted here and is untouched at the upstreams. Default propagate.
        on_local_delete: OnLocalDelete,
        /// Guards: a pass that would change more halts before its first write.
        limits: Limits,
        /// How records that exist on two sides find each other.
        r#match: Match,
        /// The fields in order: `name = "text"`, or a table.
        fields: Named<FieldShape> = required,
    }
}

/// A field: its type, or a table.
pub type FieldShape = Either<TypeWord, Field>;

table! {
    /// Guards of a collection, per target (the local table, and each upstream).
    Limits, "a limits table" {
        /// Deletes. Default 5%.
        delete: Limit,
        /// Updates. Default no limit.
        update: Limit,
        /// Creates. Default no limit.
        create: Limit,
    }
}

table! {
    /// How records that exist on two sides find each other.
    Match, "a match table" {
        /// Lists of fields by preference; two records match where all fields of a list are equal and non-empty.
        keys: List<List<Text>> = required,
        /// Several candidates: queue, a person decides (the default and the only choice).
        on_ambiguous: OnAmbiguous,
    }
}

table! {
    /// A field.
    Field, "a field table" {
        /// text, integer, real, decimal, boolean, date, datetime, json, set, list or ref.
        r#type: TypeWord = required,
        /// A record without it is set aside. Default false.
        required: bool,
        /// No two records share a value. Default false.
        unique: bool,
        /// When two texts are the same: trim, lowercase, uppercase, digits, `collapse_space`, nfc, in order. For text and set.
        normalize: List<Normalize>,
        /// The closed list of allowed texts.
        one_of: List<Text>,
        /// The field's own chain of policies.
        merge: OneOrMany<PolicyWord>,
        /// Digits after the decimal point, 0 to 28; for decimal.
        scale: u64,
        /// The collection that a ref points to.
        to: Text,
        /// Where the identity of a list's item is: lists of the same items are equal in any order. For list.
        key: Jq,
        /// Fields of one group move as one.
        group: Text,
        /// Only this origin (`local` or an upstream) may set it.
        owner: Text,
        /// What happens to edits by others than the owner. Default revert.
        drift: Drift,
    }
    later {
        "order": "it serves the policy state_order",
    }
}
