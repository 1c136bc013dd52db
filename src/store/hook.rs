//! Owns: the rows of the inbox of webhooks.
//!
//! Must not know: signatures, HTTP; what follows from a webhook.

use super::Micros;

/// Webhooks that wait for a pass, at most.
pub const HOOKS_WAITING_MAX: u64 = 10_000;

/// Where a webhook stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HookState {
    /// A pass is still to look.
    Waiting,
    /// A pass that began after it has looked.
    Done,
    /// Another one about the same record came before any pass looked, and waits in its place.
    Replaced,
    /// It is about nothing that the rules follow.
    Ignored,
    /// It could not be followed; the row says why.
    Dead,
}

impl HookState {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Waiting, Self::Done, Self::Replaced, Self::Ignored, Self::Dead];

    /// As it is kept and told.
    pub fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Done => "done",
            Self::Replaced => "replaced",
            Self::Ignored => "ignored",
            Self::Dead => "dead",
        }
    }

    /// The one of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }
}

/// A webhook to be taken in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewHook {
    /// Who sent it.
    pub upstream: String,
    /// What tells a repeat of it.
    pub delivery: String,
    /// When.
    pub received_at: Micros,
    /// What it says: `fetch`, `apply`, `delete`; empty where that is not known.
    pub event: String,
    /// The collection that it is about, where it is about one.
    pub collection: Option<String>,
    /// The record that it is about; `None`: the collection as a whole.
    pub remote_id: Option<String>,
    /// `Waiting`, `Ignored` or `Dead`.
    pub state: HookState,
    /// Why it cannot be followed.
    pub error: Option<String>,
    /// The record as it shows it, while it waits and nothing else about this record does.
    pub record: Option<Vec<u8>>,
}

/// A webhook that was taken in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HookRow {
    /// Its number: greater than that of all that came before.
    pub id: i64,
    /// What came, as it stands now.
    pub hook: NewHook,
}

/// What became of a webhook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HookTaken {
    /// It is kept.
    New,
    /// It came before.
    Duplicate,
    /// Too many wait already; it is not kept.
    Full,
}

/// Which webhooks.
#[derive(Clone, Debug, Default)]
pub struct HookFilter {
    /// Only this number.
    pub id: Option<i64>,
    /// Only those that stand so.
    pub state: Option<HookState>,
    /// Only of this collection.
    pub collection: Option<String>,
    /// Only numbers smaller than this, for paging.
    pub before: Option<i64>,
    /// At most so many (0 means 1000).
    pub limit: usize,
    /// With the records that they show; else those are left out.
    pub with_record: bool,
}

/// What is kept no longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HookAges {
    /// What was settled is forgotten when it came before this.
    pub settled_before: Micros,
    /// What could not be followed is forgotten when it came before this.
    pub dead_before: Micros,
    /// What still waits can no longer be followed when it came before this.
    pub waiting_before: Micros,
    /// Of what does not wait no more than about the newest so many are kept.
    pub kept_max: i64,
}
