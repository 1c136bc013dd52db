//! Owns: an explanation as people read it.
//!
//! Must not know: where it was gathered.

use std::fmt::Write as _;

use crate::merge::LinkState;
use crate::ops::UpstreamSay;

use super::conflicts;
use super::explain::{Explained, FieldExplained, Provenance, Rules};
use super::history::{self, Entry, Tried, values};
use super::style::{self, paint};

/// For people.
pub fn text(explained: &Explained, width: usize) -> String {
    let gone = if explained.exists { "" } else { " (deleted)" };
    let name = format!("{}/{}{gone}", explained.collection, style::clean(&explained.record));
    if let [field] = explained.fields.as_slice() {
        return style::heading(&format!("{} of {name}", field.sides.field))
            + &deleted_text(explained)
            + &one(field, explained.exists, width)
            + &waits_text(explained);
    }
    let mut text = style::heading(&name)
        + &deleted_text(explained)
        + &super::show::links_text(&explained.links, width)
        + &waits_text(explained);
    if !explained.exists {
        let history = format!("`reconciled history --record {}` has what it was\n", style::clean(&explained.record));
        return text + &paint(style::DIM, history);
    }
    let max = (width / 4).max(16);
    let rows = explained.fields.iter().map(|field| row(field, max)).collect();
    text += &style::table(width, &["", "field", "here", "set by", "at pass", "rule", "frozen"], rows);
    text + &paint(style::DIM, "name a field to see every side, the rules that were tried, and its history\n")
}

/// How a record that is gone came to be so.
fn deleted_text(explained: &Explained) -> String {
    match (&explained.deleted, explained.exists) {
        (_, true) => String::new(),
        (Some(entry), false) => {
            let at = style::short(entry.at.as_deref().unwrap_or("–"));
            let how = history::existence_words(entry);
            format!(
                "deleted here; the last word on it, in pass {} at {at}: {how} ({})\n",
                entry.pass,
                style::clean(&entry.rule)
            )
        }
        (None, false) => {
            "deleted here by another program; the next pass decides what that means elsewhere\n".to_owned()
        }
    }
}

fn waits_text(explained: &Explained) -> String {
    let mut text = String::new();
    for wait in &explained.waits {
        let what = match wait.what.as_str() {
            "create" | "update" | "delete" | "archive" => format!("{} there: ", wait.what),
            _ => String::new(),
        };
        let mark = paint(style::CHANGED, "!");
        writeln!(text, "{mark} {}: {what}{}", style::clean(&wait.upstream), style::clean(&wait.why)).ok();
    }
    text
}

fn row(field: &FieldExplained, max: usize) -> Vec<String> {
    let origin = field.origin.as_ref();
    vec![
        if field.sides.agrees { "" } else { "≠" }.to_owned(),
        field.sides.field.clone(),
        style::say(&field.sides.local, max),
        origin.map_or_else(|| "never set".to_owned(), set_by),
        origin.map_or_else(|| "–".to_owned(), |it| it.pass.to_string()),
        origin.map_or_else(|| "–".to_owned(), |it| it.rule.clone()),
        field.frozen.iter().map(|conflict| format!("conflict {}", conflict.id)).collect::<Vec<_>>().join(", "),
    ]
}

fn set_by(origin: &Provenance) -> String {
    if origin.taken_over { format!("taken over from {}", origin.origin) } else { origin.origin.clone() }
}

/// Everything about one field.
fn one(field: &FieldExplained, exists: bool, width: usize) -> String {
    let mut text = String::new();
    let mut line = |label: &str, what: &str| {
        writeln!(text, "  {} {what}", paint(style::DIM, format!("{label:<9}"))).ok();
    };
    let room = width.saturating_sub(14).max(20);
    line("here", &if exists { style::say(&field.sides.local, room) } else { "deleted".to_owned() });
    for say in &field.sides.upstreams {
        line(&say.upstream, &side_text(say, room));
    }
    match &field.origin {
        Some(origin) if exists => line("set by", &origin_text(origin)),
        None if exists => line("set by", "nobody: never set"),
        Some(_) | None => {}
    }
    line("rules", &rules_text(&field.rules, field.ty));
    if let Some(entry) = &field.decided {
        decision_lines(entry, room, &mut line);
    }
    for conflict in &field.frozen {
        line("frozen", &format!("by conflict {} since pass {}: undecided", conflict.id, conflict.pass));
    }
    for conflict in &field.frozen {
        text += &conflicts::one(conflict, width);
    }
    if !field.history.is_empty() {
        text += &history::text_of_one(&field.history, width);
    }
    text
}

fn side_text(say: &UpstreamSay, room: usize) -> String {
    if say.state == LinkState::Deleted {
        return "deleted there".to_owned();
    }
    let (base, value) = (style::say(&say.base, room), style::say(&say.value, room));
    let since = if base == value { String::new() } else { format!("  (at the base: {base})") };
    let apart = match say.state {
        LinkState::Detached => "  (when it was detached)",
        LinkState::OutOfScope => "  (when it left the scope)",
        LinkState::Archived => "  (when it was archived)",
        LinkState::Live | LinkState::Deleted => "",
    };
    format!("{value}{since}{apart}")
}

fn origin_text(origin: &Provenance) -> String {
    let time = style::short(origin.source_time.as_deref().or(origin.observed_at.as_deref()).unwrap_or("–"));
    let whose = paint(style::SIDE, &origin.origin);
    if origin.taken_over {
        return format!("taken over from {whose} with the record in pass {} ({time} there)", origin.pass);
    }
    let rule = if origin.rule.is_empty() { String::new() } else { format!(", by the rule {}", origin.rule) };
    format!("{whose} at {time}, in pass {}{rule}", origin.pass)
}

fn rules_text(rules: &Rules, ty: &str) -> String {
    let mut words = vec![ty.to_owned()];
    match (&rules.owner, rules.drift) {
        (Some(owner), Some("report")) => {
            words.push(format!("only {owner} sets it; edits elsewhere are left there and reported"));
        }
        (Some(owner), _) => words.push(format!("only {owner} sets it; edits elsewhere are reverted")),
        (None, _) => words.push(format!("where two sides differ: {}", rules.merge.join(" → "))),
    }
    if let Some(group) = &rules.group {
        words.push(format!("moves with its group {group}"));
    }
    words.join("; ")
}

fn decision_lines(entry: &Entry, room: usize, line: &mut dyn FnMut(&str, &str)) {
    let change = match (&entry.before, &entry.after) {
        _ if entry.fields.is_empty() => format!(": {}", history::existence_words(entry)),
        (Some(before), Some(after)) if before.get() == after.get() => format!(": {} stays", values(after.get())),
        (Some(before), Some(after)) if before.get() != "[]" => {
            format!(": {} → {}", values(before.get()), values(after.get()))
        }
        _ => String::new(),
    };
    let whose = if entry.origin.is_empty() { String::new() } else { format!(" for {}", entry.origin) };
    line("decided", &style::cut(&format!("{}{whose} in pass {}{change}", entry.rule, entry.pass), room));
    let Some(Ok(detail)) = entry.detail.as_ref().map(|json| serde_json::from_str::<Tried>(json.get())) else { return };
    for tried in &detail.tried {
        line("tried", &style::clean(tried));
    }
    for loser in detail.losers {
        let time = style::short(&loser.source_time.or(loser.observed_at).unwrap_or_default());
        line("lost", &format!("{}: {} ({time})", loser.origin, style::cut(&values(loser.values.get()), room)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::{FieldSides, Say, raw};
    use crate::record::RecordId;
    use crate::store::HistoryRow;

    fn say(json: &str) -> Say {
        Say { value: raw(json), error: None }
    }

    fn row(field: &str, kind: &str, rule: &str) -> HistoryRow {
        HistoryRow {
            id: 9,
            pass: 3,
            at: 1_700_000_000_000_000,
            collection: "contacts".to_owned(),
            record: RecordId("r1".to_owned()),
            field: field.to_owned(),
            kind: kind.to_owned(),
            origin: "crm".to_owned(),
            target: None,
            rule: rule.to_owned(),
            before: None,
            after: None,
            detail: None,
        }
    }

    fn phone(history: Vec<Entry>) -> FieldExplained {
        let crm =
            UpstreamSay { upstream: "crm".to_owned(), state: LinkState::Live, value: say("\"3\""), base: say("\"1\"") };
        FieldExplained {
            sides: FieldSides { field: "phone".to_owned(), local: say("\"3\""), upstreams: vec![crm], agrees: true },
            ty: "text",
            origin: Some(Provenance {
                origin: "crm".to_owned(),
                taken_over: false,
                source_time: Some("2023-11-14T22:13:21Z".to_owned()),
                observed_at: None,
                pass: 3,
                rule: "policy: latest".to_owned(),
            }),
            rules: Rules { owner: None, drift: None, merge: vec!["prefer_non_empty", "latest"], group: None },
            decided: None,
            frozen: Vec::new(),
            history,
        }
    }

    #[test]
    fn one_field_is_explained_to_the_end() {
        let row = HistoryRow {
            before: Some("[\"2\"]".to_owned()),
            after: Some("[\"3\"]".to_owned()),
            detail: Some(
                r#"{"losers":[{"origin":"local","values":["2"],"source_time":null,"observed_at":1700000000000000}],
                    "tried":["policy: prefer_non_empty: both are non-empty"]}"#
                    .to_owned(),
            ),
            ..row("phone", "local", "policy: latest")
        };
        let field = FieldExplained { decided: Some(Entry::from(&row)), ..phone(vec![Entry::from(&row)]) };
        insta::assert_snapshot!(style::bare(&one(&field, true, 120)));
    }

    #[test]
    fn an_owned_field_an_untouched_one_and_a_deleted_side_are_told_as_what_they_are() {
        let mut owned = phone(Vec::new());
        owned.rules =
            Rules { owner: Some("billing".to_owned()), drift: Some("revert"), merge: Vec::new(), group: None };
        owned.origin = None;
        let mut taken = phone(Vec::new());
        taken.origin = taken.origin.map(|origin| Provenance { taken_over: true, ..origin });
        taken.sides.upstreams[0].state = LinkState::Deleted;
        insta::assert_snapshot!(style::bare(
            &(one(&owned, true, 120) + &one(&taken, false, 120) + &one(&taken, true, 120))
        ));
    }

    #[test]
    fn a_record_that_is_gone_says_who_decided_that() {
        let detail = r#"{"losers":[{"origin":"local","values":["2"],"source_time":null,"observed_at":1}],"tried":[]}"#;
        let decided = HistoryRow { detail: Some(detail.to_owned()), ..row("", "local", "resolution") };
        let explained = Explained {
            collection: "contacts".to_owned(),
            record: "r1".to_owned(),
            exists: false,
            deleted: Some(Entry::from(&decided)),
            links: Vec::new(),
            waits: Vec::new(),
            fields: vec![phone(Vec::new()), phone(Vec::new())],
        };
        insta::assert_snapshot!(style::bare(&text(&explained, 120)));
    }
}
