//! Owns: `undo`: what is taken back of a pass, or would be, and what stays.
//!
//! Must not know: how that is found out.

use std::fmt::Write as _;

use serde_json::value::RawValue;

use crate::ops::{UndoRequest, Undone, UndoneChange, UndoneLeft};

use super::args_keeping::UndoArgs;
use super::ask;
use super::diff;
use super::exit::{CliError, Exit};
use super::out::Out;
use super::report::LISTED_MAX;
use super::style::{self, clean, count, paint};
use super::workspace::Workspace;

/// Plans, or does it.
pub async fn run(args: &UndoArgs, workspace: &Workspace, out: &Out) -> Result<Exit, CliError> {
    let asked = UndoRequest {
        run: args.run,
        collection: args.collection.clone(),
        record: args.record.clone(),
        delete: args.delete,
        apply: args.apply,
    };
    let (undone, by_daemon) = ask::undo(asked, workspace, out).await?;
    let is_planned = !undone.applied && undone.changes_count() > 0;
    out.show(&undone, |undone, width| text(undone, args, by_daemon, width))?;
    Ok(if is_planned || undone.left_count() > 0 { Exit::PENDING } else { Exit::IN_SYNC })
}

fn text(undone: &Undone, args: &UndoArgs, by_daemon: bool, width: usize) -> String {
    let (changes, left) = (undone.changes_count(), undone.left_count());
    let title = format!("undo of pass {} of {}: {}", undone.run, clean(&undone.collection), count(changes, "edit"));
    let mut text = style::heading(&title);
    let listed = usize::try_from(LISTED_MAX).unwrap_or(usize::MAX);
    for change in undone.changes.iter().take(listed) {
        text += &change_text(change, width);
    }
    text += &more(changes, undone.changes.len().min(listed));
    if left > 0 {
        writeln!(text, " {}", paint(style::DIM, "stays as it is")).ok();
    }
    for one in undone.left.iter().take(listed) {
        text += &left_text(one);
    }
    text += &more(left, undone.left.len().min(listed));
    text + &next(undone, args, by_daemon)
}

fn more(all: u64, listed: usize) -> String {
    let more = all.saturating_sub(listed as u64);
    if more == 0 { String::new() } else { format!("  … and {more} more\n") }
}

fn change_text(change: &UndoneChange, width: usize) -> String {
    let mark = match change.action.as_str() {
        "create" => paint(style::GOOD, "+"),
        "delete" => paint(style::BAD, "−"),
        _ => paint(style::CHANGED, "~"),
    };
    let mut text = format!("  {mark} {}\n", name(&change.title, &change.record));
    if let Some(note) = &change.note {
        writeln!(text, "      {}", clean(note)).ok();
    }
    for field in &change.fields {
        let [before, after] = [&field.before, &field.after].map(|json| json.as_deref().map_or("null", RawValue::get));
        let (before, after) = match change.action.as_str() {
            "create" => (None, after),
            "delete" => (None, before),
            _ => (Some(before), after),
        };
        text += &diff::field(&field.field, before, Some(after), "", width);
    }
    text
}

fn left_text(one: &UndoneLeft) -> String {
    let fields = if one.fields.is_empty() { String::new() } else { format!("{}: ", clean(&one.fields.join(", "))) };
    let words = clean(&one.words);
    format!("  {} {}\n      {fields}{words}\n", paint(style::BAD, "!"), name(&one.title, &one.record))
}

fn name(title: &str, record: &str) -> String {
    format!("{} {}", style::cut(&clean(title), 40), paint(style::DIM, clean(record))).trim_start().to_owned()
}

/// What a person can do now.
fn next(undone: &Undone, args: &UndoArgs, by_daemon: bool) -> String {
    let mut text = String::new();
    match (undone.pass, undone.changes_count()) {
        (Some(pass), _) if by_daemon => {
            writeln!(
                text,
                "done, as undo {pass}; the daemon sends it on like any edit (`reconciled undo {pass}` takes it back)"
            )
            .ok();
        }
        (Some(pass), _) => {
            let then = format!("`reconciled run --once {}`", clean(&undone.collection));
            writeln!(text, "done, as undo {pass}; {then} sends it on (`reconciled undo {pass}` takes it back)").ok();
        }
        (None, 0) => {
            writeln!(text, "{}", paint(style::GOOD, "there is nothing to take back")).ok();
        }
        (None, _) => {
            writeln!(text, "this is a plan: the same with `--apply` does it; nothing is sent before the next pass")
                .ok();
        }
    }
    if !args.delete && undone.left.iter().any(UndoneLeft::is_created) {
        text += "records that the pass created are deleted, here and then at upstreams, with `--delete`\n";
    }
    text
}
