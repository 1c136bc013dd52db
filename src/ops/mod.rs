//! Owns: what people look at and decide, whichever way they ask: how things stand, every side's say about a record, conflicts
//! with their resolution, halts with their approval, passes with their undo, webhooks that came in,
//! backups, what is wrong in the database.
//!
//! Must not know: terminals, HTTP; what passes do with a decision.

mod amounts;
mod apply;
mod backup;
mod bulk;
mod compare;
mod conflicts;
mod error;
mod halts;
mod health;
mod names;
mod page;
mod passes;
mod resolve;
mod sides;
mod status;
mod text;
mod undo;
mod usage;
mod verify;
mod webhooks;

pub use amounts::{bytes, dollars, duration, rounded, whole};
pub use apply::{bind_plans, unbind_plans};
pub use backup::{Holding, PutBack, back_up, put_back};
pub use bulk::{Bulk, BulkDone, resolve_all};
pub use compare::{Compared, Difference, compare};
pub use conflicts::{Candidate, Conflict, candidates, list_conflicts};
pub use error::OpsError;
pub use halts::{Approved, Halt, HaltView, approve, open_halt, reject};
pub use health::{Health, LatencyPoint, Replies, latency_history};
pub use page::{cut_page, with_one_more};
pub use passes::{OUTCOMES, Pass, PassPage, PassPart, list_passes, phase_words, phases};
pub use resolve::{Choice, Resolved, resolve};
pub use sides::{FieldSides, LinkSide, Say, Sides, UpstreamSay, gather};
pub use status::{
    CollectionStatus, Counted, Known, LinkCount, UpstreamStatus, count, is_under_way, known, status_with, upstreams,
};
pub use text::{raw, rfc3339, word_changes};
pub use undo::{UndoRequest, Undone, UndoneChange, UndoneLeft, undo};
pub use usage::{Forecast, QuotaUsage, Sum, USAGE_DAYS, USAGE_DAYS_MAX, UpstreamUsage, UsageReport, usage};
pub use verify::{Finding, Repairs, repair, verify};
pub use webhooks::{HookView, Inbox, InboxStatus, drop_hook, inbox, inbox_status, retry_hook};

#[cfg(test)]
pub use status::{Aside, LastPass, RestoredStatus, Unknown, unavailable};
#[cfg(test)]
pub use usage::{Day, Mean};
