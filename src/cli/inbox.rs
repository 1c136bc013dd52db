//! Owns: what `status` says of webhooks that came in.
//!
//! Must not know: how they came in, what follows from them.

use std::fmt::Write as _;

use serde::Serialize;

use crate::ops::rfc3339;
use crate::store::{HookFilter, HookRow, HookState, StoreError, View};

use super::style::{self, count, paint};

/// How many that could not be followed are listed.
const LISTED_MAX: usize = 20;

/// Webhooks that came in.
#[derive(Debug, Default, Serialize)]
pub struct Inbox {
    /// For which a pass is still to look.
    pub waiting: u64,
    /// That could not be followed within the last 30 days.
    dead: u64,
    /// The newest of these.
    dead_letters: Vec<DeadLetter>,
}

#[derive(Debug, Serialize)]
struct DeadLetter {
    upstream: String,
    /// What tells a repeat of it.
    delivery: String,
    /// RFC 3339.
    received_at: Option<String>,
    /// `fetch`, `apply`, `delete`; absent where that is not known.
    event: Option<String>,
    collection: Option<String>,
    remote_id: Option<String>,
    reason: Option<String>,
}

/// Looks it up.
pub fn inbox(view: &dyn View) -> Result<Inbox, StoreError> {
    let dead = HookFilter { state: Some(HookState::Dead), limit: LISTED_MAX, ..HookFilter::default() };
    Ok(Inbox {
        waiting: view.hook_count(HookState::Waiting)?,
        dead: view.hook_count(HookState::Dead)?,
        dead_letters: view.hooks(&dead)?.into_iter().map(DeadLetter::from).collect(),
    })
}

impl From<HookRow> for DeadLetter {
    fn from(HookRow { hook, .. }: HookRow) -> Self {
        Self {
            upstream: hook.upstream,
            delivery: hook.delivery,
            received_at: rfc3339(hook.received_at),
            event: (!hook.event.is_empty()).then_some(hook.event),
            collection: hook.collection,
            remote_id: hook.remote_id,
            reason: hook.error,
        }
    }
}

/// For people; empty where there is nothing to say.
pub fn inbox_text(inbox: &Inbox) -> String {
    let mut text = String::new();
    if inbox.waiting > 0 {
        let waiting = count(inbox.waiting, "webhook");
        writeln!(text, "{} {waiting} waiting for a pass", paint(style::CHANGED, "!")).ok();
    }
    if inbox.dead == 0 {
        return text;
    }
    let more = if inbox.dead > inbox.dead_letters.len() as u64 { ", the newest of them" } else { "" };
    text += &style::heading(&format!("{} that could not be followed{more}", count(inbox.dead, "webhook")));
    for letter in &inbox.dead_letters {
        let at = letter.received_at.as_deref().map(style::short).unwrap_or_default();
        let (upstream, delivery) = (style::clean(&letter.upstream), style::clean(&letter.delivery));
        let about = letter.collection.as_ref().map(|name| format!(" about {}", style::clean(name))).unwrap_or_default();
        let reason = style::clean(letter.reason.as_deref().unwrap_or("no reason is known"));
        writeln!(text, "  {at} {delivery} of {upstream}{about}: {reason}").ok();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_is_counted_and_what_could_not_be_followed_is_listed_with_its_reason() {
        assert_eq!(inbox_text(&Inbox::default()), "");
        let letter = DeadLetter {
            upstream: "crm".to_owned(),
            delivery: "msg_1\u{1b}[2J".to_owned(),
            received_at: Some("2023-11-14T22:13:20.000000Z".to_owned()),
            event: Some("fetch".to_owned()),
            collection: Some("contacts".to_owned()),
            remote_id: None,
            reason: Some("no id at .data.id".to_owned()),
        };
        let text = style::bare(&inbox_text(&Inbox { waiting: 1, dead: 2, dead_letters: vec![letter] }));
        assert!(text.contains("1 webhook waiting for a pass\n"), "{text}");
        assert!(text.contains("2 webhooks that could not be followed, the newest of them"), "{text}");
        assert!(text.contains(" of crm about contacts: no id at .data.id\n") && !text.contains('\u{1b}'), "{text}");
    }
}
