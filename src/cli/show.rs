//! Owns: `show`: a record as every side has it, its links, and what is under way.
//!
//! Must not know: how sides are gathered; why values are as they are (that is `explain`).

use std::fmt::Write as _;

use serde::Serialize;
use serde_json::value::RawValue;

use crate::merge::{IntentState, LinkState};
use crate::ops::{FieldSides, LinkSide, Sides, gather, raw, rfc3339};
use crate::store::{ConflictFilter, IntentFilter, IntentRow, QuarantineFilter, QuarantineRow, View, read};

use super::args::ShowArgs;
use super::exit::{CliError, Exit};
use super::find::{collection, find_record};
use super::out::Out;
use super::style::{self, paint};
use super::workspace::{SecretsAre, Workspace};

/// How many upstreams stand in one table.
const SIDE_BY_SIDE: usize = 2;

/// What `show --json` prints.
#[derive(Debug, Serialize)]
struct Shown {
    #[serde(flatten)]
    sides: Sides,
    /// Writes that are not settled.
    intents: Vec<Intent>,
    /// Numbers of open conflicts.
    conflicts: Vec<i64>,
    /// Why it is set aside, where it is.
    quarantine: Vec<Aside>,
}

/// A write under way.
#[derive(Debug, Serialize)]
pub struct Intent {
    key: String,
    upstream: String,
    op: String,
    state: IntentState,
    attempts: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    values: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
    created_at: Option<String>,
}

#[derive(Debug, Serialize)]
struct Aside {
    upstream: String,
    stage: String,
    reason: String,
    since: Option<String>,
}

impl From<&IntentRow> for Intent {
    fn from(row: &IntentRow) -> Self {
        Self {
            key: row.key.clone(),
            upstream: row.upstream.clone(),
            op: row.op.clone(),
            state: row.state,
            attempts: row.attempts,
            values: raw(&row.values),
            note: row.note.clone(),
            created_at: rfc3339(row.created_at),
        }
    }
}

impl From<&QuarantineRow> for Aside {
    fn from(row: &QuarantineRow) -> Self {
        Self {
            upstream: row.upstream.clone(),
            stage: row.stage.clone(),
            reason: row.reason.clone(),
            since: rfc3339(row.since),
        }
    }
}

/// Shows the record.
pub async fn run(args: &ShowArgs, workspace: &Workspace, out: &Out) -> Result<Exit, CliError> {
    let rules = workspace.rules(SecretsAre::Unused, out)?;
    let store = workspace.store_to_look()?;
    let (name, record) = find_record(store.as_ref(), &rules, &args.record).await?;
    collection(&rules, &name)?;
    let shown = read(store.as_ref(), move |view| {
        let Some(collection) = rules.collections.get(&name) else { return Ok(None) };
        let sides = gather(view, collection, &record)?;
        let intents = IntentFilter { record: Some(record.clone()), ..IntentFilter::default() };
        let conflicts = ConflictFilter { record: Some(record.clone()), ..ConflictFilter::default() };
        let mut aside = quarantined(view, &name, record.0.clone())?;
        for link in &sides.links {
            aside.extend(quarantined(view, &name, format!("remote:{}", link.remote_id))?);
        }
        Ok(Some(Shown {
            intents: view.intents(&intents)?.iter().map(Intent::from).collect(),
            conflicts: view.conflicts(&conflicts)?.iter().map(|row| row.id).collect(),
            quarantine: aside,
            sides,
        }))
    })
    .await?;
    if let Some(shown) = shown {
        out.show(&shown, text)?;
    }
    Ok(Exit::IN_SYNC)
}

fn quarantined(view: &dyn View, collection: &str, subject: String) -> Result<Vec<Aside>, crate::store::StoreError> {
    let filter = QuarantineFilter {
        collection: Some(collection.to_owned()),
        subject: Some(subject),
        ..QuarantineFilter::default()
    };
    Ok(view.quarantined(&filter)?.iter().map(Aside::from).collect())
}

fn state_text(state: IntentState) -> &'static str {
    match state {
        IntentState::Prepared => "prepared",
        IntentState::Parked => "parked",
        IntentState::Sent => "sent",
        IntentState::Unknown => "unknown",
    }
}

fn text(shown: &Shown, width: usize) -> String {
    let sides = &shown.sides;
    let gone = if sides.exists { "" } else { " (deleted)" };
    let mut text = style::heading(&format!("{}/{}{gone}", sides.collection, style::clean(&sides.record)));
    text += &links_text(&sides.links, width);
    text += &values_text(sides, width);
    for intent in &shown.intents {
        let note = intent.note.as_deref().map(|note| format!(": {}", style::clean(note))).unwrap_or_default();
        let state = paint(style::CHANGED, state_text(intent.state));
        let sent = style::count(u64::from(intent.attempts), "attempt");
        writeln!(text, "{} at {} is {state} after {sent}{note}", intent.op, intent.upstream).ok();
    }
    for aside in &shown.quarantine {
        let reason = style::clean(&aside.reason);
        writeln!(text, "{} at {} ({}): {reason}", paint(style::BAD, "set aside"), aside.upstream, aside.stage).ok();
    }
    for conflict in &shown.conflicts {
        writeln!(text, "{} {conflict} is open; `reconciled conflicts` shows it", paint(style::BAD, "conflict")).ok();
    }
    text
}

/// The ties to upstreams.
pub fn links_text(links: &[LinkSide], width: usize) -> String {
    if links.is_empty() {
        return "linked to no upstream\n".to_owned();
    }
    let rows = links
        .iter()
        .map(|link| {
            let mut state = link_words(link).to_owned();
            if let Some(error) = &link.error {
                write!(state, ", unreadable: {}", style::clean(error)).ok();
            }
            vec![
                link.upstream.clone(),
                style::clean(&link.remote_id),
                state,
                link.version.as_deref().map_or_else(|| "–".to_owned(), style::clean),
                link.updated_at.as_deref().map_or_else(|| "–".to_owned(), style::short),
            ]
        })
        .collect();
    style::table(width, &["upstream", "remote id", "link", "version", "changed there"], rows)
}

/// The life of a link, with what was seen since and is not decided yet.
fn link_words(link: &LinkSide) -> &'static str {
    match (link.state, link.undecided, link.gone) {
        (LinkState::Live, false, _) => "live",
        (LinkState::Live, true, false) => "live; a change there is not decided yet",
        (LinkState::Live, true, true) => "live; seen deleted there, not decided yet",
        (LinkState::Deleted, true, false) => "deleted there; listed again since, not decided yet",
        (LinkState::Deleted, _, _) => "deleted there",
        (LinkState::Detached, _, _) => "detached: left alone there",
        (LinkState::OutOfScope, _, _) => "out of scope: left alone there",
        (LinkState::Archived, _, _) => "archived there: left alone until it is taken back",
    }
}

/// A table of values; `≠` marks fields on which sides differ. More upstreams than fit make more tables.
fn values_text(sides: &Sides, width: usize) -> String {
    let mut text = String::new();
    let tables = sides.links.len().div_ceil(SIDE_BY_SIDE).max(1);
    for table in 0..tables {
        let from = table * SIDE_BY_SIDE;
        let upstreams: Vec<&LinkSide> = sides.links.iter().skip(from).take(SIDE_BY_SIDE).collect();
        let max = (width / (2 + 2 * upstreams.len())).max(12) * 2;
        let bases: Vec<String> = upstreams.iter().map(|link| format!("{} base", link.upstream)).collect();
        let mut header = vec!["", "field", "local"];
        for (link, base) in upstreams.iter().zip(&bases) {
            header.extend([base.as_str(), link.upstream.as_str()]);
        }
        let rows = sides.fields.iter().map(|field| value_row(field, from, max)).collect();
        text += &style::table(width, &header, rows);
    }
    text
}

fn value_row(field: &FieldSides, from: usize, max: usize) -> Vec<String> {
    let mark = if field.agrees { "" } else { "≠" };
    let mut row = vec![mark.to_owned(), field.field.clone(), style::say(&field.local, max)];
    for say in field.upstreams.iter().skip(from).take(SIDE_BY_SIDE) {
        row.extend([style::say(&say.base, max), style::say(&say.value, max)]);
    }
    row
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::{Say, UpstreamSay};

    fn say(json: &str) -> Say {
        Say { value: raw(json), error: None }
    }

    #[test]
    fn the_life_of_a_link_is_told_with_what_waits() {
        let check = |state, undecided, gone, words: &str| {
            let link = LinkSide {
                upstream: "crm".to_owned(),
                remote_id: "c7".to_owned(),
                state,
                version: None,
                updated_at: None,
                observed_at: None,
                undecided,
                gone,
                error: None,
            };
            assert_eq!(link_words(&link), words);
        };
        check(LinkState::Live, false, false, "live");
        check(LinkState::Live, true, false, "live; a change there is not decided yet");
        check(LinkState::Live, true, true, "live; seen deleted there, not decided yet");
        check(LinkState::Deleted, false, false, "deleted there");
        check(LinkState::Deleted, true, true, "deleted there");
        check(LinkState::Deleted, true, false, "deleted there; listed again since, not decided yet");
        check(LinkState::OutOfScope, false, false, "out of scope: left alone there");
        check(LinkState::Detached, true, false, "detached: left alone there");
    }

    #[test]
    fn sides_stand_side_by_side_and_differences_are_marked() {
        let field = |name: &str, local: &str, base: &str, remote: &str, agrees: bool| FieldSides {
            field: name.to_owned(),
            local: say(local),
            upstreams: vec![UpstreamSay {
                upstream: "crm".to_owned(),
                state: LinkState::Live,
                value: say(remote),
                base: say(base),
            }],
            agrees,
        };
        let shown = Shown {
            sides: Sides {
                collection: "contacts".to_owned(),
                record: "r1".to_owned(),
                exists: true,
                fields: vec![
                    field("email", "\"ann@x.io\"", "\"ann@x.io\"", "\"ann@x.io\"", true),
                    field("phone", "\"2\"", "\"1\"", "\"1\"", false),
                    field("notes", "null", "", "", true),
                ],
                links: vec![LinkSide {
                    upstream: "crm".to_owned(),
                    remote_id: "c7".to_owned(),
                    state: LinkState::Live,
                    version: Some("5".to_owned()),
                    updated_at: None,
                    observed_at: None,
                    undecided: false,
                    gone: false,
                    error: None,
                }],
            },
            intents: vec![Intent {
                key: "k".to_owned(),
                upstream: "crm".to_owned(),
                op: "update".to_owned(),
                state: IntentState::Unknown,
                attempts: 1,
                values: None,
                note: Some("timed out".to_owned()),
                created_at: None,
            }],
            conflicts: vec![4],
            quarantine: Vec::new(),
        };
        insta::assert_snapshot!(style::bare(&text(&shown, 80)));
        let json = serde_json::to_value(&shown).unwrap();
        assert_eq!(json["fields"][1]["upstreams"][0]["base"]["value"], "1");
        assert_eq!(json["links"][0]["state"], "live");
    }
}
