//! Owns: the result of deciding, as plain data: comparable, printable, serialisable.
//!
//! Must not know: how it is stored, sent or shown.

use crate::record::{RecordId, Slot, Value};
use crate::rules::Origin;

use super::{Candidate, Evidence, LinkState, Provenance, Turn};

/// What is to be done about one record. Empty lists mean: nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecordPlan {
    /// The record; `None` for one that `local` inserts.
    pub record: Option<RecordId>,
    /// The change of the local row.
    pub local: LocalChange,
    /// Remote writes, at most one per binding.
    pub writes: Vec<Write>,
    /// What the bases become in the same commit, at most one per binding.
    pub bases: Vec<BaseAdvance>,
    /// Links that change their state, by binding position.
    pub links: Vec<(usize, LinkState)>,
    /// Conflicts that are opened (or stay open with new candidates).
    pub conflicts: Vec<Conflict>,
    /// Open conflicts that are over, by their fields.
    pub closed: Vec<Closed>,
    /// New provenance of fields, by position.
    pub origins: Vec<(usize, Provenance)>,
    /// Why, per field that changed anywhere or was decided by a rule.
    pub decisions: Vec<Decision>,
    /// Fields that stand still at one binding, because they cannot be read or said there.
    pub blocked: Vec<Blocked>,
    /// What is written over spokes' own words.
    pub turns: Vec<Turn>,
    /// Fields whose turns before do not count any more.
    pub calmed: Vec<usize>,
    /// The record is set aside whole, with the reason.
    pub quarantine: Option<String>,
}

/// A unit of fields that stands still at one binding while the rest of the record goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blocked {
    /// The binding's position in its collection.
    pub binding: usize,
    /// The fields of the unit.
    pub fields: Vec<usize>,
    /// Which field, and why.
    pub reason: String,
}

/// A change of the local row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum LocalChange {
    /// None.
    #[default]
    None,
    /// A new row, one value per field.
    Insert(Vec<Value>),
    /// New values of some fields, by position.
    Update(Vec<(usize, Value)>),
    /// The row goes.
    Delete,
}

/// A remote write, decided but not yet shaped into a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    /// The binding's position in its collection.
    pub binding: usize,
    /// What to do.
    pub op: WriteOp,
    /// The version that the decision was merged against: the write's precondition.
    pub expected_version: Option<String>,
}

/// The operation of a write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WriteOp {
    /// Create with these values, one per field position that is mapped for writing.
    Create(Vec<(usize, Value)>),
    /// Change these fields and no others.
    Update(Vec<(usize, Value)>),
    /// Delete.
    Delete,
    /// Archive, in place of a delete.
    Archive,
}

/// What a link's base becomes by the commit itself (not by a later write): the observation is accepted for these fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaseAdvance {
    /// The binding's position in its collection.
    pub binding: usize,
    /// The hub half, one per field.
    pub hub: Vec<Option<Value>>,
    /// The remote half, one per field.
    pub remote: Vec<Slot>,
}

/// A field, group or record that no rule could decide.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// The fields of the unit; empty for existence.
    pub fields: Vec<usize>,
    /// What it is about.
    pub kind: ConflictKind,
    /// The base value(s), where the sides once agreed.
    pub base: Option<Vec<Value>>,
    /// Every side's say.
    pub candidates: Vec<Candidate>,
}

/// What a conflict is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ConflictKind {
    /// Both sides changed a field or group.
    Edit,
    /// Two sides take each other's value of a field or group back again and again.
    Oscillation,
    /// One side changed, the other deleted.
    UpdateVsDelete,
    /// A delete waits for a person (`on_remote_delete = "queue"`).
    DeleteQueued,
}

/// How an open conflict ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Closed {
    /// The fields of the unit.
    pub fields: Vec<usize>,
    /// `agreed`, `resolved`, `stale resolution refused`…
    pub how: CloseReason,
}

/// Why a conflict is over (or a resolution was refused).
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CloseReason {
    /// The sides agree by themselves.
    Agreed,
    /// A person's resolution was applied.
    Resolved,
    /// The record is gone.
    RecordGone,
}

/// Why one unit of fields became what it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The fields of the unit; empty for existence.
    pub fields: Vec<usize>,
    /// The rule that decided.
    pub rule: Rule,
    /// Whose value it is now.
    pub winner: Option<Origin>,
    /// The values before (hub).
    pub before: Vec<Value>,
    /// The values now (hub).
    pub after: Vec<Value>,
    /// Values that lost, kept in history (I3).
    pub losers: Vec<Candidate>,
    /// The rules of the chain that were tried and could not decide, with the reason.
    pub tried: Vec<(Rule, &'static str)>,
}

/// The rule that decided a field.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// Only one side changed.
    OneSide,
    /// All sides say the same.
    SameValue,
    /// First contact: inserted or matched against an empty base.
    FirstContact,
    /// A policy of the chain.
    Policy(String),
    /// The owner's value.
    Owner,
    /// A person's resolution.
    Resolution,
    /// A delete, with its evidence.
    Deleted(Evidence),
    /// A local delete.
    LocalDelete,
    /// `update_vs_delete`, `on_remote_delete`, `on_local_delete` with the setting's value.
    DeletePolicy(String),
    /// Frozen by an open conflict.
    Frozen,
    /// The upstream was set back to a backup, and a person said which side wins.
    SetBack,
    /// Left out: the field cannot be read or expressed at that upstream.
    Blocked(String),
}

/// What a guard found too much.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Halt {
    /// `local`, or the upstream whose records would change.
    pub target: Origin,
    /// `delete`, `update`, `create`, `emptied`.
    pub what: String,
    /// How many would change.
    pub count: u64,
    /// Out of how many.
    pub total: u64,
    /// The limit as written in the rules.
    pub limit: String,
}
