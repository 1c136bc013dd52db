//! Owns: what `status` says of webhooks that came in.
//!
//! Must not know: how they came in, what follows from them.

use std::fmt::Write as _;

use crate::ops::InboxStatus;

use super::style::{self, count, paint};

/// For people; empty where there is nothing to say.
pub fn inbox_text(inbox: &InboxStatus) -> String {
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
    use crate::ops::HookView;

    #[test]
    fn what_waits_is_counted_and_what_could_not_be_followed_is_listed_with_its_reason() {
        assert_eq!(inbox_text(&InboxStatus::default()), "");
        let letter = HookView {
            id: 7,
            state: "dead".to_owned(),
            upstream: "crm".to_owned(),
            delivery: "msg_1\u{1b}[2J".to_owned(),
            received_at: Some("2023-11-14T22:13:20.000000Z".to_owned()),
            event: Some("fetch".to_owned()),
            collection: Some("contacts".to_owned()),
            remote_id: None,
            reason: Some("no id at .data.id".to_owned()),
        };
        let text = style::bare(&inbox_text(&InboxStatus { waiting: 1, dead: 2, dead_letters: vec![letter] }));
        assert!(text.contains("1 webhook waiting for a pass\n"), "{text}");
        assert!(text.contains("2 webhooks that could not be followed, the newest of them"), "{text}");
        assert!(text.contains(" of crm about contacts: no id at .data.id\n") && !text.contains('\u{1b}'), "{text}");
    }
}
