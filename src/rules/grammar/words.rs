//! Owns: the closed lists of words of the language.
//!
//! Must not know: which keys take them.

use crate::record::{Normalize, TimeFormat};
use crate::rules::model::{
    Drift, Encoding, ErrorClass, HookAction, OffsetStep, OnEdit, OnLocalDelete, OnRemoteDelete, QuotaPeriod, ResetUnit,
    UpdateVsDelete,
};
use crate::rules::shape::words;

/// The type of a field, as a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TypeWord {
    Text,
    Integer,
    Real,
    Decimal,
    Boolean,
    Date,
    Datetime,
    Json,
    Set,
    List,
    Ref,
}

/// A policy, as a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PolicyWord {
    SourcePriority,
    LocalEditWins,
    Latest,
    Earliest,
    Max,
    Min,
    PreferNonEmpty,
    Set,
    CreateOnly,
    Manual,
}

impl PolicyWord {
    /// As written.
    pub fn name(self) -> &'static str {
        match self {
            Self::SourcePriority => "source_priority",
            Self::LocalEditWins => "local_edit_wins",
            Self::Latest => "latest",
            Self::Earliest => "earliest",
            Self::Max => "max",
            Self::Min => "min",
            Self::PreferNonEmpty => "prefer_non_empty",
            Self::Set => "set",
            Self::CreateOnly => "create_only",
            Self::Manual => "manual",
        }
    }
}

/// How webhooks are signed, as a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HookSchemeWord {
    Standard,
    Github,
    Stripe,
    Slack,
    Shopify,
    Hmac,
}

/// Which way values go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    Pull,
    Push,
    Both,
}

/// The one thing that can be done with an ambiguous match.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnAmbiguous {
    /// A person decides.
    Queue,
}

/// What happens to a record that leaves the binding's scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnScopeExit {
    /// The link is dropped; both records stay.
    Detach,
}

/// What happens to a batch that is refused as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnRejectAll {
    /// Split in halves until the culprit is found.
    Bisect,
    /// Every item of it failed.
    Fail,
}

/// An operation of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    Create,
    Update,
    Delete,
}

/// How an id is made here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientId {
    /// A random UUID.
    Uuid,
}

/// A codec without settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CodecWord {
    Cents,
    UnixS,
    UnixMs,
    HttpDate,
    String,
}

/// How a capped listing goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CapSplitWord {
    /// From the last time of change on.
    Time,
    /// After the last key.
    Key,
}

/// What an empty field of a CSV row is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EmptyField {
    /// The empty text.
    Text,
    /// Null.
    Null,
}

/// For how many records an id stands where they are listed under parents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParentIds {
    /// One.
    Unique,
    /// One under each parent.
    PerParent,
}

/// How a batch result finds its item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ByWord {
    Index,
    Id,
    RequestId,
}

words! { TypeWord, "FieldType", "a field type such as \"text\"" {
    "text" => Self::Text,
    "integer" => Self::Integer,
    "real" => Self::Real,
    "decimal" => Self::Decimal,
    "boolean" => Self::Boolean,
    "date" => Self::Date,
    "datetime" => Self::Datetime,
    "json" => Self::Json,
    "set" => Self::Set,
    "list" => Self::List,
    "ref" => Self::Ref,
} }

words! { PolicyWord, "Policy", "a policy such as \"latest\"" {
    "source_priority" => Self::SourcePriority,
    "local_edit_wins" => Self::LocalEditWins,
    "latest" => Self::Latest,
    "earliest" => Self::Earliest,
    "max" => Self::Max,
    "min" => Self::Min,
    "prefer_non_empty" => Self::PreferNonEmpty,
    "set" => Self::Set,
    "create_only" => Self::CreateOnly,
    "manual" => Self::Manual,
} later {
    "additive": "sums of both sides' changes",
    "keyed_list": "merging lists by key",
    "state_order": "the later of ordered states",
    "text3": "three-way text merge",
    "append_only": "lists that only grow",
    "write_once": "values that never change again",
    "owner": "never: a field has an owner instead; write owner = \"UPSTREAM\" in the field",
    "average": "never: it does not converge; write `max`, `min` or `source_priority`",
    "remote_wins": "never: it does not converge; write `source_priority`",
    "hub_wins": "never: it does not converge; write `local_edit_wins`",
} }

words! { HookSchemeWord, "HookScheme", "a scheme such as \"standard\"" {
    "standard" => Self::Standard,
    "github" => Self::Github,
    "stripe" => Self::Stripe,
    "slack" => Self::Slack,
    "shopify" => Self::Shopify,
    "hmac" => Self::Hmac,
} }

words! { HookAction, "HookAction", "\"fetch\", \"apply\" or \"delete\"" {
    "fetch" => Self::Fetch,
    "apply" => Self::Apply,
    "delete" => Self::Delete,
} }

words! { Direction, "Direction", "a direction: \"pull\", \"push\" or \"both\"" {
    "pull" => Self::Pull,
    "push" => Self::Push,
    "both" => Self::Both,
} }

words! { Normalize, "Normalize", "a normalisation such as \"trim\"" {
    "trim" => Self::Trim,
    "lowercase" => Self::Lowercase,
    "uppercase" => Self::Uppercase,
    "digits" => Self::Digits,
    "collapse_space" => Self::CollapseSpace,
    "nfc" => Self::Nfc,
} }

words! { Drift, "Drift", "\"revert\" or \"report\"" {
    "revert" => Self::Revert,
    "report" => Self::Report,
} }

words! { UpdateVsDelete, "UpdateVsDelete", "\"update_wins\", \"delete_wins\" or \"manual\"" {
    "update_wins" => Self::UpdateWins,
    "delete_wins" => Self::DeleteWins,
    "manual" => Self::Manual,
} }

words! { OnRemoteDelete, "OnRemoteDelete", "\"propagate\", \"detach\", \"restore\" or \"queue\"" {
    "propagate" => Self::Propagate,
    "detach" => Self::Detach,
    "restore" => Self::Restore,
    "queue" => Self::Queue,
} later { "archive": "archiving deleted records" } }

words! { OnLocalDelete, "OnLocalDelete", "\"propagate\", \"archive\", \"detach\", \"restore\" or \"queue\"" {
    "propagate" => Self::Propagate,
    "archive" => Self::Archive,
    "detach" => Self::Detach,
    "restore" => Self::Restore,
    "queue" => Self::Queue,
} }

words! { OnEdit, "OnEdit", "\"sync\" or \"wait\"" {
    "sync" => Self::Sync,
    "wait" => Self::Wait,
} }

words! { ResetUnit, "ResetUnit", "a unit such as \"epoch_s\"" {
    "s" => Self::Seconds,
    "ms" => Self::Milliseconds,
    "epoch_s" => Self::EpochSeconds,
    "epoch_ms" => Self::EpochMilliseconds,
    "http_date" => Self::HttpDate,
    "rfc3339" => Self::Rfc3339,
} }

words! { QuotaPeriod, "QuotaPeriod", "\"day\" or \"month\"" {
    "day" => Self::Day,
    "month" => Self::Month,
} }

words! { OnAmbiguous, "OnAmbiguous", "\"queue\"" { "queue" => Self::Queue } }

words! { OnScopeExit, "OnScopeExit", "\"detach\"" {
    "detach" => Self::Detach,
} later { "freeze": "freezing records out of scope", "delete": "deleting records out of scope" } }

words! { OnRejectAll, "OnRejectAll", "\"bisect\" or \"fail\"" { "bisect" => Self::Bisect, "fail" => Self::Fail } }

words! { Op, "Op", "\"create\", \"update\" or \"delete\"" {
    "create" => Self::Create,
    "update" => Self::Update,
    "delete" => Self::Delete,
} }

words! { ClientId, "ClientId", "\"uuid\"" { "uuid" => Self::Uuid } }

words! { CodecWord, "Codec", "a codec such as \"unix_ms\"" {
    "cents" => Self::Cents,
    "unix_s" => Self::UnixS,
    "unix_ms" => Self::UnixMs,
    "http_date" => Self::HttpDate,
    "string" => Self::String,
} }

words! { TimeFormat, "TimeFormat", "a time format such as \"unix_ms\"" {
    "rfc3339" => Self::Rfc3339,
    "unix_s" => Self::UnixS,
    "unix_ms" => Self::UnixMs,
    "http_date" => Self::HttpDate,
} }

words! { Encoding, "Encoding", "\"json\", \"form\" or \"multipart\"" {
    "json" => Self::Json,
    "form" => Self::Form,
    "multipart" => Self::Multipart,
} }
words! { CapSplitWord, "CapSplit", "\"time\" or \"key\"" { "time" => Self::Time, "key" => Self::Key } }

words! { OffsetStep, "OffsetStep", "\"records\" or \"size\"" { "records" => Self::Records, "size" => Self::Size } }

words! { ParentIds, "ParentIds", "\"unique\" or \"per_parent\"" { "unique" => Self::Unique, "per_parent" => Self::PerParent } }

words! { EmptyField, "EmptyField", "\"text\" or \"null\"" { "text" => Self::Text, "null" => Self::Null } }

words! { ByWord, "ResultBy", "\"index\", \"id\" or \"request_id\"" {
    "index" => Self::Index,
    "id" => Self::Id,
    "request_id" => Self::RequestId,
} }

words! { ErrorClass, "ErrorClass", "an error class such as \"rate_limited\"" {
    "ok" => Self::Ok,
    "rate_limited" => Self::RateLimited,
    "transient" => Self::Transient,
    "auth" => Self::Auth,
    "conflict" => Self::Conflict,
    "gone" => Self::Gone,
    "not_found" => Self::NotFound,
    "invalid" => Self::Invalid,
    "cursor_expired" => Self::CursorExpired,
    "fatal" => Self::Fatal,
} }
