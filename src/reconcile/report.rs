//! Owns: what a pass tells about itself: progress while it runs, a report when it ends; plain data.
//!
//! Must not know: terminals, JSON layouts of commands.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::merge::{ConflictKind, Halt};
use crate::upstream::SendOp;

use super::phases::Phase;
use super::{settle, targeted};

/// Hears of a pass's progress. Called often; must be cheap and must not block.
pub trait Progress: Send + Sync {
    /// One step.
    fn step(&self, step: &Step<'_>);
}

/// A progress step. Totals are `None` where the upstream does not tell.
#[derive(Clone, Debug, PartialEq)]
pub enum Step<'a> {
    /// A collection's pass begins.
    Began {
        /// The collection.
        collection: &'a str,
    },
    /// A page was read and staged.
    Pulled {
        /// The collection.
        collection: &'a str,
        /// The upstream.
        upstream: &'a str,
        /// Records read so far in this listing.
        records: u64,
        /// Of these, changed or new.
        changed: u64,
        /// How many links the binding has: an estimate of the total.
        expected: Option<u64>,
    },
    /// Records were decided.
    Decided {
        /// The collection.
        collection: &'a str,
        /// So far.
        records: u64,
    },
    /// Writes were sent.
    Pushed {
        /// The collection.
        collection: &'a str,
        /// The upstream.
        upstream: &'a str,
        /// Sent so far, whatever their outcome.
        done: u64,
        /// To be sent in this pass.
        total: u64,
    },
    /// The collection's pass ended.
    Ended {
        /// The report.
        report: &'a PassReport,
    },
}

/// Hears nothing.
#[derive(Clone, Copy, Debug)]
pub struct Silent;

impl Progress for Silent {
    fn step(&self, _step: &Step<'_>) {}
}

/// What a pass of one collection did (or, in a dry run, would do).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PassReport {
    /// The collection.
    pub collection: String,
    /// The pass's number in the store.
    pub pass: i64,
    /// How it ended.
    pub outcome: Outcome,
    /// Nothing was committed or sent.
    pub dry_run: bool,
    /// Rows inserted, updated, deleted locally.
    pub local: Counts,
    /// Per upstream, by name.
    pub upstreams: Vec<UpstreamReport>,
    /// Conflicts open after the pass.
    pub conflicts_open: u64,
    /// Conflicts opened by this pass.
    pub conflicts_opened: u64,
    /// Resolutions that were not followed, and why, and upstreams that were read after too long a gap; at most [`PassReport::CHANGES_MAX`].
    pub notes: Vec<String>,
    /// Deletes that wait for the next pass, because an upstream was read after too long a gap, shows older records or may have
    /// left some out.
    pub deletes_held: u64,
    /// Records set aside after the pass.
    pub quarantined: u64,
    /// Records waiting for another (a child for its parent).
    pub parked: u64,
    /// Guards that tripped; then nothing was committed or sent.
    pub halts: Vec<Halt>,
    /// The halt's number, to be approved; absent in a dry run, unless a pass stored the halt before.
    pub halt: Option<i64>,
    /// What changed (or would), at most [`PassReport::CHANGES_MAX`] entries unless a plan asked for all.
    pub changes: Vec<Change>,
    /// Changes beyond the list.
    pub changes_omitted: u64,
    /// The hash of the rules that it went by.
    #[serde(default)]
    pub rules: String,
    /// What was decided on (or would be), as SHA-256: two passes with the same one make the same changes. Absent where nothing was decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
    /// It was to make a saved plan, and would have made another one: nothing was changed, and `changes` are those.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stale: bool,
    /// Wall time, in milliseconds.
    pub elapsed_ms: u64,
    /// When its phases began, and how long they took; in their order.
    #[serde(default)]
    pub phases: Vec<Phase>,
    /// The store's or engine's error, where the pass failed.
    pub error: Option<String>,
}

impl PassReport {
    /// The default bound of `changes`.
    pub const CHANGES_MAX: usize = 200;

    /// Remote writes acknowledged, over all upstreams.
    pub fn remote_writes(&self) -> u64 {
        self.upstreams.iter().map(|upstream| upstream.written.total()).sum()
    }
}

/// How a pass ended, worst first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The store or the engine failed.
    Failed,
    /// A guard tripped.
    Halted,
    /// An upstream could not be read or written.
    Unavailable,
    /// Conflicts are open (or records are set aside).
    Conflicts,
    /// A dry run that would change something, or writes that wait.
    Pending,
    /// In sync.
    #[default]
    Ok,
}

/// Creates, updates, deletes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Created or inserted.
    pub created: u64,
    /// Updated.
    pub updated: u64,
    /// Deleted.
    pub deleted: u64,
}

impl Counts {
    /// All together.
    pub fn total(&self) -> u64 {
        self.created + self.updated + self.deleted
    }
}

/// One upstream's part in a pass.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct UpstreamReport {
    /// Its name.
    pub upstream: String,
    /// `full`, `incremental`, `not_modified`, `targeted`, `skipped`.
    pub read: String,
    /// Records listed.
    pub listed: u64,
    /// Of these, as they were.
    pub unchanged: u64,
    /// Requests sent, also those that failed or were repeated.
    pub requests: u64,
    /// Writes that were planned.
    pub planned: Counts,
    /// Writes that were acknowledged.
    pub written: Counts,
    /// Writes whose outcome is not known yet.
    pub unknown: u64,
    /// Writes that will be derived again.
    pub deferred: u64,
    /// Writes refused for good (quarantined).
    pub refused: u64,
    /// Why the upstream could not be read or written, one line.
    pub error: Option<String>,
}

impl UpstreamReport {
    /// Whether it was asked for more than single records.
    pub fn has_listed(&self) -> bool {
        !matches!(self.read.as_str(), "" | "skipped" | targeted::READ)
    }

    /// Counts what came of a write. Returns whether something has to be decided again in this pass.
    pub(super) fn count(&mut self, outcome: &settle::Outcome) -> bool {
        match outcome {
            settle::Outcome::Done { op, again } => {
                match op {
                    SendOp::Create => self.written.created += 1,
                    SendOp::Update => self.written.updated += 1,
                    SendOp::Delete | SendOp::Archive => self.written.deleted += 1,
                }
                return *again;
            }
            settle::Outcome::Again => return true,
            settle::Outcome::Overtaken => self.deferred += 1,
            settle::Outcome::Deferred(words) | settle::Outcome::Stopped(words) => {
                self.deferred += 1;
                self.error.get_or_insert_with(|| words.clone());
            }
            settle::Outcome::Unknown(_) => self.unknown += 1,
            settle::Outcome::Refused | settle::Outcome::Hindered => self.refused += 1,
        }
        false
    }
}

/// One planned or made change, for people and programs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Change {
    /// The collection.
    pub collection: String,
    /// The local record id.
    pub record: String,
    /// A name for people: the first non-empty text field.
    pub title: String,
    /// `local`, or the upstream.
    pub target: String,
    /// `create`, `update`, `delete`, `conflict`, `link`, `detach`, `quarantine`.
    pub action: String,
    /// The fields concerned.
    pub fields: Vec<FieldChange>,
    /// The request's method and path, for remote writes.
    pub request: Option<String>,
    /// For a change of the whole record: the rule that decided.
    pub rule: Option<String>,
    /// False where the upstream cannot refuse a write that was overtaken.
    pub atomic: bool,
    /// For conflicts and quarantine: why.
    pub note: Option<String>,
    /// For conflicts: what it is about.
    pub conflict: Option<ConflictKind>,
}

/// One field of a change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FieldChange {
    /// The field.
    pub field: String,
    /// Canonical JSON text before.
    pub before: Option<String>,
    /// Canonical JSON text after.
    pub after: Option<String>,
    /// The rule that decided, e.g. `one_side`, `policy: latest`.
    pub rule: String,
    /// Whose value it is.
    pub winner: Option<String>,
}
