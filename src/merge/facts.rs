//! Owns: what is known about one record before deciding, as plain data.
//!
//! Must not know: where the facts were loaded from.

use chrono::{DateTime, Utc};

use crate::record::{RecordId, Slot, Value};
use crate::rules::{Collection, Origin};

use super::{ConflictKind, Turn};

/// Everything known about one record of one collection at the barrier: all pulls are done, nothing is committed.
/// Ref values are local ids everywhere (translated before), or `Slot::Absent` while their parent is unknown here (then `parked` is set).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// The record's local id; `None` for a remote record on first contact that matched nothing.
    pub record: Option<RecordId>,
    /// The local side.
    pub hub: Hub,
    /// Who set each field last; one per field, `None` where nobody did yet.
    pub origins: Vec<Option<Provenance>>,
    /// One per binding of the collection, in its order.
    pub spokes: Vec<Spoke>,
    /// Fields whose column holds what their type forbids, by position: the hub's value of them is not known.
    pub unreadable: Vec<usize>,
    /// Open conflicts of this record.
    pub frozen: Vec<Freeze>,
    /// What was written over spokes' own words before, oldest first.
    pub turns: Vec<Turn>,
    /// When the pass began: the time of local edits that carry none, and of decisions.
    pub now: DateTime<Utc>,
}

/// The local row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hub {
    /// No row, and there never was one: first contact.
    Never,
    /// The row, one value per field.
    Row {
        /// One value per field of the collection.
        values: Vec<Value>,
        /// When the row was edited locally, as the dirty hint says; `None` without a hint.
        edited_at: Option<DateTime<Utc>>,
    },
    /// There was a row and it was deleted locally, by somebody else than the engine.
    Deleted {
        /// When, as the hint says.
        deleted_at: Option<DateTime<Utc>>,
    },
}

/// Who set a field, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Provenance {
    /// Local, or an upstream.
    pub origin: Origin,
    /// The time of the change by the source's own clock; `None` where the source gives none.
    pub source_time: Option<DateTime<Utc>>,
    /// When it was seen here.
    pub observed_at: DateTime<Utc>,
}

/// The record's state at one binding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spoke {
    /// The tie to the remote record, if there is one.
    pub link: Option<Link>,
    /// What this pass saw there.
    pub seen: Seen,
    /// The binding could not be read (or settled) this pass: nothing is decided about this spoke and nothing is written to it.
    pub blocked: Option<String>,
}

/// A link with its base pair.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// The remote id.
    pub remote_id: String,
    /// The remote version at the base.
    pub version: Option<String>,
    /// Base, hub half: one per field, the hub form of what the remote holds; `None` where hub and remote never met
    /// (first contact, newly mapped field). A push is due where the hub differs from it.
    pub base_hub: Vec<Option<Value>>,
    /// Base, remote half in canonical form: `Absent` where the remote never showed the field.
    pub base_remote: Vec<Slot>,
    /// Its life.
    pub state: LinkState,
    /// The upstream was set back, this record with it (it is older, or gone), and a person said that what is here wins, also over
    /// an owner.
    pub overruled: bool,
}

/// The life of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LinkState {
    /// Both sides exist.
    Live,
    /// The remote record left the binding's scope: it is left alone, and tied again when it comes back.
    OutOfScope,
    /// The remote record is archived: as out of scope, but it is the upstream that says so.
    Archived,
    /// The remote record is deleted (a tombstone: guards against resurrection by stale listings).
    Deleted,
    /// Deliberately untied: the remote record is left alone and not linked again.
    Detached,
}

impl LinkState {
    /// Every one of them.
    pub const ALL: [Self; 5] = [Self::Live, Self::OutOfScope, Self::Archived, Self::Deleted, Self::Detached];
}

/// What this pass saw of the record at one binding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// As at the base, or not listed by an incremental read: `observed ≈ base.remote`. See [`Seen::of`].
    Same,
    /// Observed, and not as at the base (or first contact).
    Record(Observation),
    /// Deleted, with evidence.
    Gone(Evidence),
    /// Observed, but outside the binding's scope.
    OutOfScope(Observation),
    /// Observed, and archived.
    Archived(Observation),
}

impl Seen {
    /// What an observation of a linked record amounts to: [`Seen::Same`] only if no field says anything else than the base.
    ///
    /// To be asked with the *stored* observation, too, when a record is decided about for another reason than a fresh
    /// listing: a field that stands still (an open conflict, an unreadable value) has not moved its base, so an unchanged
    /// fingerprint alone does not mean `Same`.
    pub fn of(collection: &Collection, link: &Link, observation: Observation) -> Self {
        let same = |(field, slot): (usize, &Slot)| match (slot, link.base_remote.get(field)) {
            (Slot::Absent, _) => true,
            (Slot::Value(value), Some(Slot::Value(base))) => collection.fields[field].domain.same(value, base),
            (Slot::Value(_), Some(Slot::Absent | Slot::Bad(_)) | None) | (Slot::Bad(_), _) => false,
        };
        let live = link.state == LinkState::Live;
        if live && observation.slots.iter().enumerate().all(same) { Self::Same } else { Self::Record(observation) }
    }
}

/// One remote record as really seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observation {
    /// One slot per field of the collection.
    pub slots: Vec<Slot>,
    /// Its version.
    pub version: Option<String>,
    /// Its own time of change.
    pub updated_at: Option<DateTime<Utc>>,
    /// When it was fetched.
    pub observed_at: DateTime<Utc>,
}

/// Why a remote record counts as deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Evidence {
    /// A tombstone in a listing.
    Tombstone,
    /// Missing from a complete generation, and a point read said 404 or 410.
    AbsenceConfirmed,
    /// Its upstream told of it by a webhook, and a point read said 404 or 410.
    WebhookConfirmed,
    /// An event of its upstream's feed tells of it, or the address that tells deletes, and a point read said 404 or 410.
    EventConfirmed,
    /// Missing from a complete generation at an upstream without a point read.
    Absence,
    /// A write met 404 or 410, confirmed by a point read.
    WriteFoundNothing,
    /// The remote id names another record now (its time of creation differs). What became of the old one is a person's to say.
    IdReused,
}

/// An open conflict, by which a field or group stands still.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Freeze {
    /// What it is about.
    pub kind: ConflictKind,
    /// The fields that stand still (one, or a whole group); empty for a conflict about the record's existence.
    pub fields: Vec<usize>,
    /// The candidates when it was opened.
    pub candidates: Vec<Candidate>,
    /// A person's choice, if it was made since.
    pub resolution: Option<Resolution>,
}

/// A person's choice for a conflict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resolution {
    /// Take the value(s) of this side, provided that it still says what it said when the choice was made.
    Take(Origin),
    /// Take these values, one per frozen field.
    Values(Vec<Value>),
    /// For a conflict about existence: delete everywhere.
    Delete,
    /// For a conflict about existence: keep, and recreate where it is missing.
    Keep,
}

/// One side's say in a conflict or a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Whose.
    pub origin: Origin,
    /// One value per field of the unit (a field or a group).
    pub values: Vec<Value>,
    /// The source's own time.
    pub source_time: Option<DateTime<Utc>>,
    /// When it was seen.
    pub observed_at: DateTime<Utc>,
}
