//! Owns: reports of passes as text: what would change (a plan), what was done (a run).
//!
//! Must not know: how a pass works.

use std::fmt::Write as _;

use crate::merge::Halt;
use crate::reconcile::{Change, Counts, Outcome, PassReport, UpstreamReport};

use super::diff;
use super::style::{self, count, paint};

/// Plans with more changes than this are summed up instead of listed.
pub const LISTED_MAX: u64 = 200;
/// How many changes a summed-up plan still shows as examples.
const EXAMPLES: usize = 10;

/// What passes would do.
pub fn plan_text(reports: &[PassReport], all: bool, width: usize) -> String {
    let mut text = String::new();
    for report in reports {
        text += &changes_text(report, all, width);
    }
    let pending: u64 = reports.iter().map(changes).sum();
    if pending == 0 && reports.iter().all(|report| report.outcome == Outcome::Ok) {
        writeln!(text, "{}: nothing to do", paint(style::GOOD, "in sync")).ok();
    }
    text
}

/// All changes that a report tells of, listed or not.
pub fn changes(report: &PassReport) -> u64 {
    report.changes.len() as u64 + report.changes_omitted
}

/// What one pass changed, or would change.
pub fn changes_text(report: &PassReport, all: bool, width: usize) -> String {
    let total = changes(report);
    if total == 0 && report.outcome == Outcome::Ok && report.notes.is_empty() {
        return String::new();
    }
    let mut text = style::heading(&format!("{}: {}", report.collection, count(total, "change")));
    let summed_up = total > LISTED_MAX && !all;
    let listed: Vec<&Change> =
        report.changes.iter().take(if summed_up { EXAMPLES } else { report.changes.len() }).collect();
    if summed_up {
        text += &summary(report, width);
        writeln!(text, "the first {} of them (--all lists every one):", listed.len()).ok();
    }
    let (taken, decided, written) = if report.dry_run {
        ("changed upstream, to be taken over here", "decided by a person, to be done here", "to be written")
    } else {
        ("changed upstream, taken over here", "decided by a person, done here", "written")
    };
    let groups = [
        (taken, Group::Taken),
        (decided, Group::Decided),
        (written, Group::Written),
        ("left as it is there", Group::Stays),
        ("left for a person", Group::Left),
    ];
    for (title, group) in groups {
        let mut members = listed.iter().filter(|change| group_of(change) == group).peekable();
        if members.peek().is_none() {
            continue;
        }
        writeln!(text, " {}", paint(style::DIM, title)).ok();
        for change in members {
            text += &change_text(change, width);
        }
    }
    text + &troubles(report)
}

/// Under which heading a change stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Group {
    Taken,
    Decided,
    Written,
    Stays,
    Left,
}

fn group_of(change: &Change) -> Group {
    match (change.action.as_str(), change.target.as_str()) {
        ("conflict" | "quarantine", _) => Group::Left,
        ("detach", _) => Group::Stays,
        (_, "local") if is_resolution(change) => Group::Decided,
        (_, "local") => Group::Taken,
        _ => Group::Written,
    }
}

/// True where nothing but a person's choice made the change.
fn is_resolution(change: &Change) -> bool {
    let mut rules = change.fields.iter().map(|field| field.rule.as_str()).chain(change.rule.as_deref()).peekable();
    rules.peek().is_some() && rules.all(|rule| rule == "resolution")
}

fn change_text(change: &Change, width: usize) -> String {
    let mark = match change.action.as_str() {
        "create" => paint(style::GOOD, "+"),
        "update" => paint(style::CHANGED, "~"),
        "delete" | "archive" => paint(style::BAD, "−"),
        "link" => paint(style::SIDE, "="),
        _ => paint(style::BAD, "!"),
    };
    let title = style::cut(&style::clean(&change.title), 40);
    let id = paint(style::DIM, style::clean(&change.record));
    let mut text = format!("  {mark} {title} {id}");
    if change.target != "local" {
        write!(text, " → {}", paint(style::SIDE, &change.target)).ok();
    }
    if let Some(request) = &change.request {
        write!(text, "  {}", style::clean(request)).ok();
    }
    if !change.atomic {
        write!(text, "  {}", paint(style::CHANGED, "not atomic")).ok();
    }
    if !matches!(change.action.as_str(), "create" | "update" | "delete") {
        write!(text, "  {}", change.action).ok();
    }
    text.push('\n');
    if let Some(rule) = &change.rule {
        writeln!(text, "      {}", paint(style::DIM, style::clean(rule))).ok();
    }
    if let Some(note) = &change.note {
        writeln!(text, "      {}", style::clean(note)).ok();
    }
    for field in &change.fields {
        let why = match &field.winner {
            Some(winner) if *winner != change.target => format!("{} · {winner}", field.rule),
            _ => field.rule.clone(),
        };
        text += &diff::field(&field.field, field.before.as_deref(), field.after.as_deref(), &why, width);
    }
    text
}

/// Counts by side, for plans that are too long to read.
fn summary(report: &PassReport, width: usize) -> String {
    let row = |side: &str, counts: Counts| {
        vec![side.to_owned(), counts.created.to_string(), counts.updated.to_string(), counts.deleted.to_string()]
    };
    let mut rows = vec![row("local", report.local)];
    rows.extend(report.upstreams.iter().map(|upstream| row(&upstream.upstream, upstream.planned)));
    style::table(width, &["side", "create", "update", "delete"], rows)
}

fn halt_words(halt: &Halt) -> String {
    let (target, number) = (halt.target.name(), halt.count);
    let (of, limit) = (format!("of {}", count(halt.total, "record")), &halt.limit);
    match halt.what.as_str() {
        "emptied" => {
            format!("halted: {number} {of} at {target} would be gone or archived, which is as good as everything")
        }
        "restored" => {
            "halted: the database was restored or copied, and nothing is changed anywhere before you say so".to_owned()
        }
        "delete" => format!("halted: {number} {of} at {target} would be deleted, the limit is {limit}"),
        "update" => format!("halted: {number} {of} at {target} would be updated, the limit is {limit}"),
        "create" => {
            format!("halted: {} would be created at {target}, the limit is {limit}", count(number, "record"))
        }
        what if what.starts_with("schema: ") => {
            let field = what.trim_start_matches("schema: ");
            format!(
                "halted: {number} {of} at {target} show no value of `{field}` any more: was it renamed or retyped there? \
                 Then change its mapping; the limit is {limit}"
            )
        }
        "set_back" => format!(
            "halted: {number} {of} at {target} are older than they were: it was set back, which side wins? ({limit})"
        ),
        "account" => format!(
            "halted: {target} answers for another account than {} here belong to ({limit}): look at base URL and credentials",
            count(number, "record")
        ),
        what => format!("halted: {number} {of} at {target}: {what}, the limit is {limit}"),
    }
}

/// What a person must know of or act on.
fn troubles(report: &PassReport) -> String {
    let mut text = String::new();
    let mut line = |style, what: &str| {
        writeln!(text, "  {} {what}", paint(style, "!")).ok();
    };
    for halt in &report.halts {
        line(style::BAD, &halt_words(halt));
    }
    match (report.halt, report.dry_run) {
        (Some(halt), false) => {
            line(
                style::BAD,
                &format!("nothing was written; look at `reconciled plan`, then `reconciled approve {halt}`"),
            );
        }
        (Some(halt), true) => {
            line(style::BAD, &format!("this plan waits as halt {halt}; `reconciled approve {halt}` lets it through"));
        }
        (None, true) if !report.halts.is_empty() => {
            line(style::BAD, "a pass would write nothing; `reconciled run --once` stores the halt, then approve it");
        }
        (None, _) => {}
    }
    for upstream in &report.upstreams {
        if let Some(error) = &upstream.error {
            line(style::BAD, &format!("{}: {}", upstream.upstream, style::clean(error)));
        }
        for (number, words) in [
            (upstream.unknown, "of unknown outcome; settled by evidence in the next pass"),
            (upstream.deferred, "put off to the next pass"),
            (upstream.refused, "refused; `reconciled status` says why"),
        ] {
            if number > 0 {
                line(style::CHANGED, &format!("{}: {} {words}", upstream.upstream, count(number, "write")));
            }
        }
    }
    for note in &report.notes {
        line(style::CHANGED, &style::clean(note));
    }
    if report.conflicts_open > 0 {
        let open = count(report.conflicts_open, "conflict");
        line(
            style::CHANGED,
            &format!("{open} open ({} new); `reconciled conflicts` lists them", report.conflicts_opened),
        );
    }
    if report.quarantined > 0 {
        line(
            style::CHANGED,
            &format!("{} set aside; `reconciled status` says why", count(report.quarantined, "record")),
        );
    }
    if report.parked > 0 {
        line(style::DIM, &format!("{} waiting for another", count(report.parked, "record")));
    }
    if let Some(error) = &report.error {
        line(style::BAD, &style::clean(error));
    }
    text
}

/// What one pass did.
pub fn run_text(report: &PassReport, width: usize) -> String {
    let (style, word) = match report.outcome {
        Outcome::Ok => (style::GOOD, "in sync"),
        Outcome::Pending => (style::CHANGED, "changes pending"),
        Outcome::Conflicts => (style::CHANGED, "needs a person"),
        Outcome::Unavailable => (style::BAD, "upstream unavailable"),
        Outcome::Halted => (style::BAD, "halted"),
        Outcome::Failed => (style::BAD, "failed"),
    };
    let head = style::heading(&format!("{} {}", report.collection, paint(style, word)));
    let mut rows = vec![vec!["local".to_owned(), String::new(), counts(report.local), String::new()]];
    rows.extend(report.upstreams.iter().map(upstream_row));
    let table = style::table(width, &["side", "read", "written", "requests"], rows);
    let seconds = report.elapsed_ms / 1000;
    let tail = format!("  pass {} in {seconds}.{:03} s\n", report.pass, report.elapsed_ms % 1000);
    head + &table + &troubles(report) + &paint(style::DIM, tail)
}

fn upstream_row(upstream: &UpstreamReport) -> Vec<String> {
    let changed = upstream.listed.saturating_sub(upstream.unchanged);
    let read = match upstream.read.as_str() {
        "" | "skipped" | "not_modified" => upstream.read.replace('_', " "),
        "targeted" => format!("targeted: {} read, {changed} changed", upstream.listed),
        how => format!("{how}: {} listed, {changed} new or changed", upstream.listed),
    };
    vec![upstream.upstream.clone(), read, counts(upstream.written), upstream.requests.to_string()]
}

fn counts(counts: Counts) -> String {
    if counts.total() == 0 {
        return "–".to_owned();
    }
    format!("+{} ~{} −{}", counts.created, counts.updated, counts.deleted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::merge::Halt;
    use crate::reconcile::FieldChange;
    use crate::rules::Origin;

    fn field(field: &str, before: Option<&str>, after: Option<&str>, rule: &str, winner: &str) -> FieldChange {
        FieldChange {
            field: field.to_owned(),
            before: before.map(str::to_owned),
            after: after.map(str::to_owned),
            rule: rule.to_owned(),
            winner: Some(winner.to_owned()),
        }
    }

    fn change(title: &str, target: &str, action: &str, fields: Vec<FieldChange>) -> Change {
        Change {
            collection: "contacts".to_owned(),
            record: format!("r-{title}"),
            title: title.to_owned(),
            target: target.to_owned(),
            action: action.to_owned(),
            fields,
            request: (target != "local").then(|| "PATCH /contacts/c7".to_owned()),
            atomic: target != "billing",
            note: None,
            rule: None,
            conflict: None,
        }
    }

    fn report(changes: Vec<Change>) -> PassReport {
        PassReport {
            collection: "contacts".to_owned(),
            outcome: Outcome::Pending,
            dry_run: true,
            changes,
            ..PassReport::default()
        }
    }

    #[test]
    fn a_plan_lists_what_changed_upstream_and_what_will_be_written() {
        let long = |word: &str| format!("\"{} {word} {}\"", "before the word ".repeat(4), "and after it ".repeat(4));
        let (before, after) = (long("one"), long("two"));
        let mut conflict = change("Dan", "local", "conflict", vec![]);
        conflict.note = Some("local and crm both changed notes".to_owned());
        let report = report(vec![
            change("Ann", "local", "create", vec![field("email", None, Some("\"ann@x.io\""), "first_contact", "crm")]),
            change(
                "Bob",
                "local",
                "update",
                vec![field("phone", Some("\"1\""), Some("\"2\""), "policy: latest", "crm")],
            ),
            change("Bob", "crm", "update", vec![field("notes", Some(&before), Some(&after), "one_side", "local")]),
            change("Carl", "billing", "delete", vec![]),
            Change { rule: Some("resolution".to_owned()), ..change("Eve", "local", "delete", vec![]) },
            conflict,
        ]);
        insta::assert_snapshot!(style::bare(&plan_text(&[report], false, 80)));
    }

    #[test]
    fn a_long_plan_is_summed_up_unless_all_is_asked_for() {
        let changes: Vec<Change> = (0..200).map(|at| change(&format!("P{at}"), "crm", "update", vec![])).collect();
        let mut long = report(changes);
        long.changes_omitted = 300;
        long.upstreams = vec![UpstreamReport {
            upstream: "crm".to_owned(),
            planned: Counts { updated: 500, ..Counts::default() },
            ..UpstreamReport::default()
        }];
        let text = style::bare(&plan_text(std::slice::from_ref(&long), false, 80));
        assert!(text.contains("contacts: 500 changes"), "{text}");
        assert!(text.contains("crm     0        500      0"), "{text}");
        assert!(text.lines().count() < 30, "{text}");
        assert!(style::bare(&plan_text(&[long], true, 80)).lines().count() > 200);
    }

    #[test]
    fn a_dry_run_names_no_halt_that_only_a_pass_stores() {
        let halt =
            Halt { target: Origin::Local, what: "delete".to_owned(), count: 9, total: 10, limit: "5%".to_owned() };
        let mut halted = PassReport { halts: vec![halt], ..report(Vec::new()) };
        let text = style::bare(&plan_text(std::slice::from_ref(&halted), false, 100));
        assert!(text.contains("`reconciled run --once` stores the halt, then approve it"), "{text}");
        assert!(!text.contains("`reconciled approve"), "{text}");
        halted.halt = Some(3);
        let text = style::bare(&plan_text(&[halted], false, 100));
        assert!(text.contains("`reconciled approve 3` lets it through"), "{text}");
    }

    #[test]
    fn no_change_is_said_in_so_many_words() {
        assert_eq!(style::bare(&plan_text(&[PassReport::default()], false, 80)), "in sync: nothing to do\n");
    }

    #[test]
    fn a_run_shows_sides_and_what_a_person_must_do() {
        let mut done = report(Vec::new());
        done.outcome = Outcome::Halted;
        done.pass = 7;
        done.elapsed_ms = 1234;
        done.local = Counts { created: 1, updated: 2, deleted: 0 };
        done.halts = vec![Halt {
            target: Origin::Upstream("crm".to_owned()),
            what: "delete".to_owned(),
            count: 50,
            total: 100,
            limit: "5%".to_owned(),
        }];
        done.halt = Some(3);
        done.conflicts_open = 2;
        done.conflicts_opened = 1;
        done.notes = vec!["the resolution of conflict 4 was not applied: crm changed after it was given".to_owned()];
        done.upstreams = vec![UpstreamReport {
            upstream: "crm".to_owned(),
            read: "incremental".to_owned(),
            listed: 12,
            unchanged: 10,
            requests: 4,
            error: Some("GET /contacts: 503".to_owned()),
            unknown: 1,
            ..UpstreamReport::default()
        }];
        insta::assert_snapshot!(style::bare(&run_text(&done, 80)));
    }
}
