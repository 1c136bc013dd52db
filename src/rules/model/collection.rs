//! Owns: the checked form of a collection: its fields, who may set them, how they merge, its guards and its schedule.
//!
//! Must not know: how upstreams are read or written.

use std::sync::Arc;
use std::time::Duration;

use super::Binding;
use crate::record::Domain;

/// A named set of records; one plain table.
#[derive(Clone, Debug)]
pub struct Collection {
    /// Its name, and its table's.
    pub name: String,
    /// Fields in the order written; a field is named by its position everywhere.
    pub fields: Vec<Field>,
    /// When passes run.
    pub schedule: Option<Schedule>,
    /// When complete generations are read.
    pub full_scan: Option<Schedule>,
    /// Scheduled passes begin up to so much later.
    pub jitter: Duration,
    /// What follows at once from an edit here.
    pub on_edit: OnEdit,
    /// For `source_priority`: most trusted first; `local` or an upstream.
    pub priority: Vec<Origin>,
    /// One side updated, the other deleted.
    pub update_vs_delete: UpdateVsDelete,
    /// A record is deleted at an upstream and untouched here.
    pub on_remote_delete: OnRemoteDelete,
    /// A record is deleted here and untouched at the upstreams.
    pub on_local_delete: OnLocalDelete,
    /// Beyond these, halt.
    pub limits: Limits,
    /// Match keys by preference; each a list of field positions that must all be equal and non-empty.
    pub match_keys: Vec<Vec<usize>>,
    /// By upstream name.
    pub bindings: Vec<Arc<Binding>>,
}

impl Collection {
    /// The position of a field by name.
    pub fn field(&self, name: &str) -> Option<usize> {
        self.fields.iter().position(|field| field.name == name)
    }

    /// Whether every pass reads some binding from beginning to end, because that cannot be asked for changes alone.
    pub fn is_read_whole(&self) -> bool {
        let whole = |binding: &Arc<Binding>| {
            let read = binding.read.as_ref().filter(|_| binding.pull);
            read.is_some_and(|read| matches!(read.incremental, super::Incremental::None))
        };
        self.bindings.iter().any(whole)
    }

    /// Whether single records are to be had at every upstream that is read: each can be asked for them, or shows them by its
    /// webhooks.
    pub fn has_single_reads(&self) -> bool {
        let shows = |binding: &Binding| {
            let events = binding.upstream.webhook.iter().flat_map(|webhook| &webhook.events);
            events.into_iter().any(|event| event.collection == self.name && event.record.is_some())
        };
        let read = |binding: &Arc<Binding>| {
            binding.read.as_ref().filter(|_| binding.pull).is_none_or(|read| read.get.is_some() || shows(binding))
        };
        self.bindings.iter().all(read)
    }

    /// The collections that `ref` fields point to.
    pub fn references(&self) -> impl Iterator<Item = &str> {
        let fields = self.fields.iter().filter_map(|field| match &field.domain.ty {
            crate::record::FieldType::Ref { to } => Some(to.as_str()),
            _ => None,
        });
        fields.chain(self.walked())
    }

    /// The collections whose records its listings go through, one by one.
    pub fn walked(&self) -> impl Iterator<Item = &str> {
        let parents = self.bindings.iter().filter_map(|binding| binding.read.as_ref()?.parent.as_ref());
        parents.map(|parent| parent.collection.as_str())
    }
}

/// Where a value comes from: here, or an upstream by name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// Edited in the local table.
    Local,
    /// Seen at this upstream.
    Upstream(String),
}

impl Origin {
    /// `local` or the upstream's name; the inverse is [`Origin::from_name`].
    pub fn name(&self) -> &str {
        match self {
            Self::Local => "local",
            Self::Upstream(name) => name,
        }
    }

    /// `local` is reserved; everything else is an upstream.
    pub fn from_name(name: &str) -> Self {
        if name == "local" { Self::Local } else { Self::Upstream(name.to_owned()) }
    }
}

/// A typed field of a collection.
#[derive(Clone, Debug)]
pub struct Field {
    /// Its name, and its column's.
    pub name: String,
    /// Its type and equality.
    pub domain: Domain,
    /// A record without it is quarantined rather than stored or sent.
    pub required: bool,
    /// No two records share a value.
    pub unique: bool,
    /// The chain of policies, the field's own or the collection's; the last is total.
    pub chain: Vec<Policy>,
    /// Only this origin may set it.
    pub owner: Option<Owner>,
    /// Fields of one group move as one.
    pub group: Option<String>,
}

/// The owner of a field, and what happens to foreign edits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// Whose value counts.
    pub origin: Origin,
    /// What to do with another side's edit.
    pub drift: Drift,
}

/// What happens when somebody else changes an owned field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drift {
    /// The owner's value is written back (default).
    Revert,
    /// The difference is reported and left.
    Report,
}

/// A field policy; consulted only when both sides changed to values that are not equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Policy {
    /// The candidate whose origin stands first in `priority`.
    SourcePriority,
    /// The local edit, if there is one.
    LocalEditWins,
    /// The latest time at the source, where both are known.
    Latest,
    /// The earliest time at the source.
    Earliest,
    /// The greatest value.
    Max,
    /// The least value.
    Min,
    /// The one that is not empty, if exactly one is.
    PreferNonEmpty,
    /// Three-way merge of sets.
    Set,
    /// A person decides: conflict.
    Manual,
}

/// One side updated, the other deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpdateVsDelete {
    /// The update wins: recreate or restore (default).
    UpdateWins,
    /// The delete wins.
    DeleteWins,
    /// A person decides.
    Manual,
}

/// A record was deleted at an upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnRemoteDelete {
    /// Delete here and at the other upstreams.
    Propagate,
    /// Drop the link, keep the record here, do not recreate it there.
    Detach,
    /// Recreate it there.
    Restore,
    /// A person decides (default).
    Queue,
}

/// Rows were edited here while the daemon runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnEdit {
    /// A pass is made at once (default).
    Sync,
    /// They wait for the next pass.
    Wait,
}

/// A record was deleted locally.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnLocalDelete {
    /// Delete at the upstreams (default).
    Propagate,
    /// Archive at the upstreams.
    Archive,
    /// Drop the links, leave the upstreams alone.
    Detach,
    /// Bring it back from the upstreams.
    Restore,
    /// A person decides.
    Queue,
}

/// Guards of one collection, applied per target: the local table, and each upstream.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// Default 5 %.
    pub delete: Option<Limit>,
    /// Default none.
    pub update: Option<Limit>,
    /// Default none.
    pub create: Option<Limit>,
}

/// A count, or a share of the linked records.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Limit {
    /// So many records.
    Count(u64),
    /// This share, 0.0–1.0.
    Share(f64),
}

/// When something runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Schedule {
    /// Every so often.
    Every(Duration),
    /// A cron expression (five or six fields) in a time zone.
    Cron {
        /// As written.
        expression: String,
        /// IANA name; default UTC.
        timezone: chrono_tz::Tz,
    },
}
