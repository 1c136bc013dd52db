//! Owns: `status`: the last pass of each collection, its links, and everything that waits.
//!
//! Must not know: how any of it came about.

use std::fmt::Write as _;

use serde::Serialize;
use serde_json::{Value, json};

use crate::ops::{CollectionStatus, Halt, Health, Known, LinkCount, known};
use crate::reconcile::SET_BACK;
use crate::store::{read, space};

use super::approve::halts_text;
use super::ask::{Daemon, daemon_lines};
use super::exit::{CliError, Exit};
use super::inbox::inbox_text;
use super::out::Out;
use super::style::{self, count, paint};
use super::workspace::{SecretsAre, Workspace};

/// What `status --json` prints.
#[derive(Debug, Serialize)]
struct Status {
    #[serde(flatten)]
    known: Known,
    /// What an operator must look at on the machine.
    alarms: Vec<String>,
    /// What the running daemon says of itself (see `docs/json.md`); absent where none listens.
    daemon: Option<Value>,
}

/// Prints the status; the exit code says the worst of it.
pub async fn run(workspace: &Workspace, out: &Out) -> Result<Exit, CliError> {
    // A daemon that is just stopping has nothing to say; what is in the database holds all the same.
    let daemon = Daemon::find(workspace).unwrap_or_else(|error| {
        out.insist(&error.to_string());
        None
    });
    let told = match daemon {
        Some(daemon) => match daemon.standing().await {
            Ok(standing) => daemon.known().await.ok().map(|known| (known, standing)),
            Err(error) => {
                out.insist(&error.to_string());
                None
            }
        },
        None => None,
    };
    let (known, daemon) = match told {
        Some((known, standing)) => (known, Some(standing)),
        None => (look(workspace, out).await?, None),
    };
    let database = &workspace.settings().database;
    let status = Status { known, alarms: space(database).alarms(database), daemon }.told_by_the_daemon();
    out.show(&status, text)?;
    Ok(exit_of(&status))
}

/// By the rules in the files, where no daemon goes by others.
async fn look(workspace: &Workspace, out: &Out) -> Result<Known, CliError> {
    let rules = workspace.rules(SecretsAre::Unused, out)?;
    let (store, now) = (workspace.store_to_look()?, workspace.clock().now());
    Ok(read(store.as_ref(), move |view| known(view, &rules, now, None)).await?)
}

impl Status {
    /// When passes are due the daemon knows better: it counts from its own clock, with jitter.
    fn told_by_the_daemon(mut self) -> Self {
        for place in self.daemon.iter().flat_map(places) {
            let name = place.get("collection").and_then(Value::as_str);
            let one = self.known.collections.iter_mut().find(|one| Some(one.collection.as_str()) == name);
            let Some(one) = one else { continue };
            let told = |key: &str| {
                let at = chrono::DateTime::parse_from_rfc3339(place.get(key)?.as_str()?).ok()?;
                Some(at.to_utc().to_rfc3339_opts(chrono::SecondsFormat::Secs, true))
            };
            one.next_pass = told("next").or(one.next_pass.take());
            one.next_full_scan = told("next_full").or(one.next_full_scan.take());
        }
        self
    }
}

/// What a daemon says of each collection.
fn places(daemon: &Value) -> impl Iterator<Item = &Value> {
    daemon.get("collections").and_then(Value::as_array).into_iter().flatten()
}

/// The same meaning as the exit code of a pass.
fn exit_of(status: &Status) -> Exit {
    let halted = !status.known.halts.is_empty() || status.known.restored.is_some();
    let mut exit = if halted { Exit::HALTED } else { Exit::IN_SYNC };
    if !status.alarms.is_empty() {
        exit = exit.or_worse(Exit::ERROR);
    }
    if let Some(daemon) = &status.daemon {
        let is_said = |key: &str| !matches!(daemon.get(key), None | Some(Value::Null)) && daemon[key] != json!([]);
        // What is in the files is not what the daemon goes by, or not all is served that the settings say.
        if is_said("rules_refused") {
            exit = exit.or_worse(Exit::USAGE);
        }
        let failed = places(daemon).any(|place| place.get("failed").is_some_and(Value::is_string));
        if is_said("not_served") || failed {
            exit = exit.or_worse(Exit::ERROR);
        }
    }
    if status.known.webhooks.waiting > 0 {
        exit = exit.or_worse(Exit::PENDING);
    }
    for one in &status.known.collections {
        if one.conflicts_open > 0 || one.quarantined > 0 {
            exit = exit.or_worse(Exit::CONFLICTS);
        }
        if one.edits_waiting > 0 || one.writes_waiting > 0 || one.parked > 0 {
            exit = exit.or_worse(Exit::PENDING);
        }
        exit = exit.or_worse(match one.last_pass.as_ref().map(|pass| pass.outcome.as_str()) {
            Some("failed") => Exit::ERROR,
            Some("unavailable") => Exit::UNAVAILABLE,
            Some("ok" | "conflicts" | "halted") => Exit::IN_SYNC,
            // Never run, or interrupted, or with writes that wait.
            _ => Exit::PENDING,
        });
    }
    exit
}

fn unknown_text(one: &CollectionStatus) -> String {
    let mut text = String::new();
    for write in &one.unknown {
        let sent = write.sent_at.as_deref().map(style::short).unwrap_or_default();
        let note = write.note.as_deref().map(|note| format!(" ({})", style::clean(note))).unwrap_or_default();
        let (record, upstream) = (style::clean(&write.record), style::clean(&write.upstream));
        let mark = paint(style::CHANGED, "?");
        writeln!(
            text,
            "{mark} {}: nobody knows whether the {} of {record} at {upstream} took effect, sent {sent}{note}; a later pass \
             finds out, or `reconciled settle {record} {upstream}`",
            one.collection, write.op
        )
        .ok();
    }
    text
}

fn text(status: &Status, width: usize) -> String {
    let rows = status.known.collections.iter().map(row).collect();
    let header = ["collection", "records", "linked", "last pass", "outcome", "next", "waiting"];
    let mut text = style::table(width, &header, rows);
    for line in status.daemon.iter().flat_map(daemon_lines) {
        writeln!(text, "{line}").ok();
    }
    for one in &status.known.collections {
        if let Some(next) = &one.next_full_scan {
            writeln!(text, "{}: everything is read next at {}", one.collection, style::short(next)).ok();
        }
    }
    for alarm in &status.alarms {
        writeln!(text, "{} {}", paint(style::BAD, "!"), style::clean(alarm)).ok();
    }
    if let Some(restored) = &status.known.restored {
        let (mark, reason) = (paint(style::BAD, "!"), style::clean(&restored.reason));
        let waiting = restored.waiting.join(", ");
        writeln!(
            text,
            "{mark} the database is not the one that was worked on last: {reason}; nothing is changed, deleted or sent for \
             {waiting} until the halt of each is approved (`reconciled run --once` reads everything anew and shows them)"
        )
        .ok();
    }
    for one in &status.known.collections {
        // The pass's own error only sums up those of its upstreams, where there are any.
        let own = one.last_pass.as_ref().filter(|pass| pass.unavailable.is_empty());
        if let Some(error) = own.and_then(|pass| pass.error.as_deref()) {
            writeln!(text, "{} {}: {}", paint(style::BAD, "!"), one.collection, style::clean(error)).ok();
        }
        for down in one.last_pass.iter().flat_map(|pass| &pass.unavailable) {
            let (upstream, error) = (&down.upstream, style::clean(&down.error));
            writeln!(text, "{} {} at {upstream}: {error}", paint(style::BAD, "!"), one.collection).ok();
        }
        if one.conflicts_open > 0 {
            let open = count(one.conflicts_open as u64, "conflict");
            writeln!(text, "{} {}: {open}; `reconciled conflicts`", paint(style::CHANGED, "!"), one.collection).ok();
        }
        text += &unknown_text(one);
        text += &aside_text(one);
    }
    for one in &status.known.upstreams {
        let passes = status.known.collections.iter().filter_map(|collection| collection.last_pass.as_ref());
        let told: Vec<&str> = passes.flat_map(|pass| &pass.unavailable).map(|down| down.error.as_str()).collect();
        text += &one.health.as_ref().map(|health| health_text(&one.upstream, health, &told)).unwrap_or_default();
        let state = one.state.as_ref().and_then(|state| serde_json::from_str::<Value>(state.get()).ok());
        if let Some(until) = state.as_ref().and_then(|state| state["asked_until"].as_str()) {
            let (mark, name) = (paint(style::CHANGED, "!"), &one.upstream);
            writeln!(text, "{mark} {name} asked to be left alone until {}", style::short(until)).ok();
        }
        let reauth = state.as_ref().and_then(|state| state["reauth"].as_str());
        if let Some(why) = reauth.filter(|why| !told.iter().any(|told| told.contains(why))) {
            let (mark, name) = (paint(style::BAD, "!"), &one.upstream);
            writeln!(text, "{mark} {name}: reauth required: {}", style::clean(why)).ok();
        }
        let breaker = state.as_ref().map(|state| &state["breaker"]).filter(|breaker| breaker["state"] == "open");
        if let Some(until) = breaker.and_then(|breaker| breaker["until"].as_str()) {
            let (mark, name, until) = (paint(style::BAD, "!"), &one.upstream, style::short(until));
            writeln!(text, "{mark} {name} failed too often: it is left alone until {until}, then asked with care").ok();
        }
    }
    text += &inbox_text(&status.known.webhooks);
    for halt in &status.known.halts {
        let approval = match &halt.approved_at {
            Some(at) => format!("approved at {}, the next pass carries it out", style::short(at)),
            None if is_set_back(halt) => format!("`reconciled approve {} --wins SIDE` says which side wins", halt.id),
            None => format!("`reconciled approve {}` lets it through", halt.id),
        };
        let head = paint(style::BAD, format!("halt {} of {}", halt.id, halt.collection));
        writeln!(text, "{head}: nothing was written in pass {}; {approval}", halt.pass).ok();
        text += &halts_text(halt, width);
    }
    text
}

/// Whether an upstream is up, since when, and how it answers. An error that was told already is not told again.
fn health_text(name: &str, health: &Health, told: &[&str]) -> String {
    let since = health.since.as_deref().map(style::short).unwrap_or_default();
    let hour = &health.hour;
    let mut text = if health.up {
        format!("{} {name} is up since {since}", paint(style::GOOD, "✓"))
    } else {
        let why = health.last_error.as_deref().filter(|why| !told.contains(why));
        let why = why.map(|why| format!(": {}", style::clean(why))).unwrap_or_default();
        format!("{} {name} is down since {since}{why}", paint(style::BAD, "×"))
    };
    if let (Some(half), Some(most), Some(nearly_all)) = (hour.p50_ms, hour.p95_ms, hour.p99_ms) {
        let failed = if hour.failed > 0 { format!(", {} failed", hour.failed) } else { String::new() };
        text += &format!("; in the last hour p50 {half} ms, p95 {most} ms, p99 {nearly_all} ms{failed}");
    }
    text + "\n"
}

/// Whether a person has to say which side wins.
fn is_set_back(halt: &Halt) -> bool {
    halt.halts.as_ref().is_some_and(|halts| halts.get().contains(&format!("\"what\":\"{SET_BACK}\"")))
}

fn row(one: &CollectionStatus) -> Vec<String> {
    let linked = |link: &LinkCount| {
        let apart = [(link.out_of_scope, "out of scope"), (link.archived, "archived")];
        let apart: Vec<String> =
            apart.iter().filter(|(number, _)| *number > 0).map(|(number, what)| format!("{number} {what}")).collect();
        let apart = if apart.is_empty() { String::new() } else { format!(" ({})", apart.join(", ")) };
        format!("{} {}{apart}", link.upstream, link.live)
    };
    let links: Vec<String> = one.links.iter().map(linked).collect();
    let (last, outcome) = match &one.last_pass {
        Some(pass) => {
            let at = pass.started_at.as_deref().map(style::short).unwrap_or_default();
            // Who only looks cannot tell a pass under way from one that was killed.
            let ended = pass.ended_at.is_some();
            (at, if ended { pass.outcome.clone() } else { "not ended".to_owned() })
        }
        None => ("never".to_owned(), "–".to_owned()),
    };
    let mut waiting = Vec::new();
    let words = [
        (one.edits_waiting, count(one.edits_waiting as u64, "edit")),
        (one.writes_waiting, count(one.writes_waiting as u64, "write")),
        (one.parked, format!("{} for another record", one.parked)),
        (one.quarantined, format!("{} set aside", one.quarantined)),
    ];
    waiting.extend(words.into_iter().filter(|(number, _)| *number > 0).map(|(_, words)| words));
    vec![
        one.collection.clone(),
        one.records.to_string(),
        links.join(", "),
        last,
        outcome,
        match &one.next_pass {
            _ if one.paused => "paused".to_owned(),
            Some(next) => style::short(next),
            None => "at start only".to_owned(),
        },
        waiting.join(", "),
    ]
}

fn aside_text(one: &CollectionStatus) -> String {
    if one.quarantine.is_empty() {
        return String::new();
    }
    let all = one.quarantined + one.parked;
    let more = if all > one.quarantine.len() { ", the first of them" } else { "" };
    let what = match (one.quarantined, one.parked) {
        (_, 0) => format!("{} set aside", count(all as u64, "record")),
        (0, _) => format!("{} waiting for another", count(all as u64, "record")),
        _ => format!("{} set aside or waiting for another", count(all as u64, "record")),
    };
    let head = format!("{}: {what}{more}", one.collection);
    let mut text = style::heading(&head);
    for aside in &one.quarantine {
        let (subject, reason) = (style::clean(&aside.subject), style::clean(&aside.reason));
        writeln!(text, "  {subject} at {} ({}): {reason}", aside.upstream, aside.stage).ok();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::{
        Aside, InboxStatus, LastPass, Replies, RestoredStatus, Unknown, UpstreamStatus, raw, unavailable,
    };

    fn collection(name: &str, outcome: Option<&str>) -> CollectionStatus {
        CollectionStatus {
            collection: name.to_owned(),
            schedule: Some("every 300s".to_owned()),
            next_pass: Some("2023-11-14T22:18:20Z".to_owned()),
            next_full_scan: None,
            paused: false,
            last_pass: outcome.map(|outcome| LastPass {
                id: 7,
                trigger: "schedule".to_owned(),
                started_at: Some("2023-11-14T22:13:20.000000Z".to_owned()),
                ended_at: Some("2023-11-14T22:13:21.000000Z".to_owned()),
                outcome: outcome.to_owned(),
                error: (outcome == "unavailable").then(|| "crm: GET /contacts: 503".to_owned()),
                unavailable: if outcome == "unavailable" {
                    unavailable(
                        r#"{"upstreams": [{"upstream": "crm", "error": "GET /contacts: 503"}, {"error": null}]}"#,
                    )
                } else {
                    Vec::new()
                },
                phases: Vec::new(),
            }),
            records: 12,
            links: vec![LinkCount {
                upstream: "crm".to_owned(),
                live: 11,
                deleted: 0,
                detached: 1,
                out_of_scope: 0,
                archived: 0,
            }],
            edits_waiting: 0,
            writes_waiting: 0,
            unknown: Vec::new(),
            conflicts_open: 0,
            quarantined: 0,
            parked: 0,
            quarantine: Vec::new(),
        }
    }

    fn nothing() -> Known {
        let (collections, halts, upstreams) = (Vec::new(), Vec::new(), Vec::new());
        Known { collections, halts, upstreams, restored: None, webhooks: InboxStatus::default() }
    }

    #[test]
    fn the_exit_code_is_the_worst_of_it() {
        let check = |collections: Vec<CollectionStatus>, code: u8| {
            let status = Status { known: Known { collections, ..nothing() }, alarms: Vec::new(), daemon: None };
            assert_eq!(exit_of(&status).code(), code);
        };
        check(vec![collection("a", Some("ok"))], 0);
        let alarmed = Status {
            known: Known { collections: vec![collection("a", Some("ok"))], ..nothing() },
            alarms: vec!["0 MiB are left".to_owned()],
            daemon: None,
        };
        assert_eq!(exit_of(&alarmed).code(), 1, "an operator must act");
        check(vec![collection("a", Some("ok")), collection("b", None)], 3);
        check(vec![CollectionStatus { conflicts_open: 1, ..collection("a", Some("conflicts")) }], 4);
        check(vec![CollectionStatus { parked: 1, ..collection("a", Some("ok")) }], 3);
        check(vec![collection("a", Some("unavailable")), collection("b", None)], 6);
        check(vec![collection("a", Some("unavailable")), collection("b", Some("failed"))], 1);
    }

    #[test]
    fn what_a_daemon_cannot_do_as_it_is_told_counts() {
        let check = |outcome: &str, daemon: Value, code: u8| {
            let known = Known { collections: vec![collection("a", Some(outcome))], ..nothing() };
            let status = Status { known, alarms: Vec::new(), daemon: Some(daemon) };
            assert_eq!(exit_of(&status).code(), code, "{:?}", status.daemon);
        };
        check("ok", json!({ "rules_refused": null, "not_served": [] }), 0);
        check("ok", json!({}), 0);
        check("ok", json!({ "rules_refused": "a.toml:1:1: no" }), 2);
        check("unavailable", json!({ "rules_refused": "a.toml:1:1: no" }), 2);
        check("failed", json!({ "rules_refused": "a.toml:1:1: no" }), 1);
        check("ok", json!({ "collections": [{ "collection": "a", "failed": null }] }), 0);
        check("ok", json!({ "collections": [{ "collection": "a", "failed": "it is busy" }] }), 1);
        check("ok", json!({ "not_served": ["no pages: 127.0.0.1:1: in use"] }), 1);
    }

    #[test]
    fn what_the_daemon_says_of_the_next_passes_counts() {
        let collections = vec![collection("a", Some("ok")), collection("b", Some("ok"))];
        let daemon = json!({ "collections": [
            { "collection": "a", "next": "2023-11-14T22:19:07.5Z", "next_full": "2023-11-15T03:00:00Z" },
            { "collection": "b", "next": null, "next_full": null },
        ] });
        let status = Status { known: Known { collections, ..nothing() }, alarms: Vec::new(), daemon: Some(daemon) };
        let status = status.told_by_the_daemon();
        let next = status.known.collections.iter().map(|one| row(one)[5].clone());
        assert_eq!(next.collect::<Vec<_>>(), ["2023-11-14 22:19:07", "2023-11-14 22:18:20"]);
        let text = text(&status, 200);
        let full: Vec<&str> = text.lines().filter(|line| line.contains("is read next")).collect();
        assert_eq!(full, ["a: everything is read next at 2023-11-15 03:00:00"]);
    }

    fn health(up: bool) -> Health {
        Health {
            up,
            since: Some("2023-11-14T22:13:20.000000Z".to_owned()),
            seen_at: None,
            last_error: Some("GET /me: 503, no".to_owned()),
            last_error_at: None,
            probe: None,
            hour: if up {
                Replies { answered: 60, failed: 1, p50_ms: Some(9.58), p95_ms: Some(31.0), p99_ms: Some(1204.0) }
            } else {
                Replies::default()
            },
            day: Replies::default(),
        }
    }

    #[test]
    fn status_says_what_waits_and_why() {
        let mut trouble = collection("contacts", Some("unavailable"));
        trouble.edits_waiting = 2;
        trouble.unknown = vec![Unknown {
            record: "r1".to_owned(),
            upstream: "crm".to_owned(),
            op: "create".to_owned(),
            sent_at: Some("2023-11-14T22:13:20.000000Z".to_owned()),
            note: Some("POST /contacts: connection broke".to_owned()),
        }];
        trouble.conflicts_open = 1;
        trouble.quarantined = 1;
        trouble.quarantine = vec![Aside {
            upstream: "crm".to_owned(),
            subject: "remote:c9".to_owned(),
            stage: "pull".to_owned(),
            reason: "no id at .id".to_owned(),
            since: None,
        }];
        let known = Known {
            collections: vec![collection("companies", None), trouble],
            upstreams: vec![
                UpstreamStatus {
                    upstream: "crm".to_owned(),
                    state: raw(
                        r#"{"asked_until": "2023-11-14T23:13:20Z", "breaker": {"state": "open", "until": "2023-11-14T22:14:20Z"}}"#,
                    ),
                    health: Some(health(false)),
                },
                UpstreamStatus { upstream: "erp".to_owned(), state: None, health: Some(health(true)) },
            ],
            restored: Some(RestoredStatus {
                reason: "its file .epoch is missing".to_owned(),
                noticed_at: None,
                waiting: vec!["companies".to_owned(), "contacts".to_owned()],
            }),
            ..nothing()
        };
        let alarms = vec!["sync.db-wal has grown to 80 MiB".to_owned()];
        let status = Status { known, alarms, daemon: None };
        insta::assert_snapshot!(style::bare(&text(&status, 120)));
    }
}
