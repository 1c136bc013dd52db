//! Owns: `backup` and `restore`.
//!
//! Must not know: how a database is copied or replaced.

use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::ops::{Holding, PutBack, back_up, bytes, put_back, whole};
use crate::vault::MASTER_KEY;

use super::args::Command;
use super::args_keeping::{BackupArgs, RestoreArgs};
use super::exit::{CliError, Exit};
use super::out::Out;
use super::style::{clean, count, short};
use super::workspace::Workspace;

/// What `backup --json` prints.
#[derive(Debug, Serialize)]
struct Backup {
    database: String,
    file: String,
    #[serde(flatten)]
    holds: Holding,
    /// What else has to be kept.
    not_included: Vec<Left>,
}

/// Something that is not in a backup.
#[derive(Debug, Serialize)]
struct Left {
    what: &'static str,
    path: String,
    why: &'static str,
}

/// What `restore --json` prints.
#[derive(Debug, Serialize)]
struct Restored {
    database: String,
    file: String,
    #[serde(flatten)]
    put_back: PutBack,
}

/// Runs the one that was asked for.
pub fn run(command: &Command, workspace: &Workspace, out: &Out) -> Result<Exit, CliError> {
    match command {
        Command::Backup(args) => backup(args, workspace, out),
        Command::Restore(args) => restore(args, workspace, out),
        _ => Ok(Exit::IN_SYNC),
    }
}

fn backup(args: &BackupArgs, workspace: &Workspace, out: &Out) -> Result<Exit, CliError> {
    let database = &workspace.settings().database;
    if !args.force && args.file.exists() {
        let file = args.file.display();
        return Err(CliError::Usage(format!("{file} is there already; name another file, or replace it with --force")));
    }
    let holds = back_up(database, &args.file, args.force, workspace.busy_ms())?;
    let done = Backup { database: shown(database), file: shown(&args.file), holds, not_included: left(workspace) };
    out.show(&done, |done, _width| backup_text(done))?;
    Ok(Exit::IN_SYNC)
}

fn restore(args: &RestoreArgs, workspace: &Workspace, out: &Out) -> Result<Exit, CliError> {
    let database = &workspace.settings().database;
    let now = workspace.clock().now().timestamp_micros();
    let put_back = put_back(database, &args.file, now, workspace.busy_ms())?;
    let done = Restored { database: shown(database), file: shown(&args.file), put_back };
    out.show(&done, |done, _width| restored_text(done))?;
    Ok(Exit::IN_SYNC)
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

/// What a machine that begins anew with this backup needs besides.
fn left(workspace: &Workspace) -> Vec<Left> {
    let settings = workspace.settings();
    let vault = workspace.vault().path().to_owned();
    let is_sealed = vault.exists();
    let master_key = settings.secrets_dir.join(MASTER_KEY);
    let mut left = vec![("rules", settings.rules_dir.clone(), "they say what is synchronised")];
    left.push(("secrets", settings.secrets_dir.clone(), "what they name is not in the database"));
    if is_sealed {
        left.push(("vault", vault, "sealed tokens and secrets; without it sign in and set them again"));
    }
    // Whoever hands it to the service otherwise has it there.
    if is_sealed || master_key.exists() {
        left.push(("master key", master_key, "without it nobody opens the vault; keep it apart from the vault"));
    }
    let told = |(what, path, why): (&'static str, PathBuf, &'static str)| Left { what, path: shown(&path), why };
    left.into_iter().map(told).collect()
}

fn backup_text(done: &Backup) -> String {
    let mut text = format!("{} is backed up to {}, checked\n", clean(&done.database), clean(&done.file));
    text += &holds_text(&done.holds);
    for one in &done.not_included {
        text += &format!("not in it: {} ({}): {}\n", one.what, clean(&one.path), one.why);
    }
    text
}

fn holds_text(holds: &Holding) -> String {
    let mut text = format!("{}, {}, ", bytes(holds.bytes), count(holds.records, "record"));
    text += &format!("{}, {} on their way, ", count(holds.links, "link"), count(holds.pending_writes, "write"));
    text += &format!("{} open, schema {}\n", count(holds.conflicts_open, "conflict"), holds.schema);
    for one in &holds.collections {
        text += &format!("  {} {}\n", clean(&one.collection), whole(one.records));
    }
    let last = holds.last_pass_at.as_deref().map_or_else(|| "none yet".to_owned(), short);
    text += &format!("  last pass: {last}\n");
    if let (Some(epoch), Some(sequence)) = (&holds.epoch, holds.sequence) {
        text += &format!("  epoch {epoch}, commit {}\n", whole(sequence.unsigned_abs()));
    }
    text
}

fn restored_text(done: &Restored) -> String {
    let (database, file) = (clean(&done.database), clean(&done.file));
    let mut text = format!("{database} is now as {file} has it\n{}", holds_text(&done.put_back.holds));
    if let Some(kept) = &done.put_back.kept_as {
        text += &format!("what was there is kept as {}\n", clean(kept));
    }
    text +=
        "the next pass reads everything anew, and nothing is changed, deleted or sent until you approve its halt:\n";
    text += "`reconciled run --once`, `reconciled plan`, `reconciled approve HALT`\n";
    text
}
