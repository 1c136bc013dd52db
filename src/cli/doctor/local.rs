//! Owns: what is looked at on this machine: settings, rules, secrets, the database and its disk, the clock.
//!
//! Must not know: upstreams, services.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrono::{DateTime, TimeDelta};

use super::super::style::count;
use super::super::workspace::{SecretsAre, Workspace};
use super::finding::Finding;
use crate::config::Source;
use crate::ops::{bytes, rfc3339};
use crate::rules::{Ruleset, Severity};
use crate::store::{Exam, StoreError, examine, space};
use crate::upstream::earliest;
use crate::web::TOKEN_NAME;

/// Less room than this is worth a look.
const ROOM_BYTES: u64 = 1 << 30;
/// A pass that began so much later than now was made by another clock.
const FUTURE: TimeDelta = TimeDelta::minutes(1);
/// How long a lock of another program is waited for.
const BUSY_MS: u64 = 1_000;

/// The settings, and the file that they are in.
pub fn settings(workspace: &Workspace) -> Vec<Finding> {
    let settings = workspace.settings();
    let of_file = settings.shown.iter().filter_map(|(.., source)| match source {
        Source::File(path) => Some(path.clone()),
        _ => None,
    });
    let files: std::collections::BTreeSet<PathBuf> = of_file.collect();
    let Some(file) = files.first() else {
        return vec![Finding::good("settings", "no settings file; defaults, environment and flags are good")];
    };
    let mut findings = vec![Finding::good("settings", format!("{} is good", file.display()))];
    findings.extend(open_to_all("settings", file));
    findings
}

/// The rules; what is usable of them, and all secrets that they name.
pub fn rules(workspace: &Workspace) -> (Vec<Finding>, Option<Arc<Ruleset>>, Vec<String>) {
    let folder = &workspace.settings().rules_dir;
    let examined = match workspace.examine(SecretsAre::Unused) {
        Ok(examined) => examined,
        Err(error) => {
            let remedy = "put the rules there, readable for the user that runs the daemon, or name another folder";
            return (vec![Finding::error("rules", error.to_string(), remedy)], None, Vec::new());
        }
    };
    let of = |severity| examined.diagnostics.iter().filter(|note| note.severity == severity).count() as u64;
    let (errors, warnings) = (of(Severity::Error), of(Severity::Warning));
    let files = format!("{} in {}", count(examined.sources.len() as u64, "file"), folder.display());
    let verdict = match (&examined.rules, warnings) {
        (None, _) => {
            let found = format!("{files}: {}", count(errors.max(1), "error"));
            Finding::error("rules", found, "`reconciled check` shows each in its place")
        }
        (Some(_), 1..) => {
            let found = format!("{files}: {}", count(warnings, "warning"));
            Finding::warning("rules", found, "`reconciled check` shows each in its place")
        }
        (Some(rules), 0) => {
            let upstreams = count(rules.upstreams.len() as u64, "upstream");
            let collections = count(rules.collections.len() as u64, "collection");
            Finding::good("rules", format!("{files}: {upstreams}, {collections}"))
        }
    };
    let mut findings = vec![verdict];
    // Whoever writes rules says where credentials go.
    let texts = examined.sources.iter().map(|source| PathBuf::from(&source.path));
    findings.extend(std::iter::once(folder.clone()).chain(texts).filter_map(|path| open_to_all("rules", &path)));
    (findings, examined.rules, examined.named)
}

/// Every secret that the rules or settings need.
pub fn secrets(workspace: &Workspace, named: &[String]) -> Vec<Finding> {
    let settings = workspace.settings();
    let of_web = settings.web_listen.map(|_| TOKEN_NAME.to_owned());
    let mut findings = Vec::new();
    for name in named.iter().chain(&of_web) {
        let check = format!("secret {name}");
        findings.push(match workspace.secret_place(name) {
            Ok(place) => Finding::good(check, format!("is there: {place}")),
            Err(missing) => {
                let found = format!("cannot be had; looked at: {}", missing.looked.join("; "));
                let remedy = if missing.refused {
                    "put the last of these places right: it is there, and is not used as it is".to_owned()
                } else {
                    let file = settings.secrets_dir.join(name);
                    format!("put it into {}, mode 600, or pass it as a systemd credential", file.display())
                };
                Finding::error(check, found, remedy)
            }
        });
    }
    findings.extend(open_to_all("secrets", &settings.secrets_dir));
    findings
}

/// The vault: whether the master key opens it.
pub fn vault(workspace: &Workspace) -> Option<Finding> {
    let vault = workspace.vault();
    match vault.check() {
        Ok(None) => None,
        Ok(Some(id)) => {
            let shown = vault.path().display();
            let mode = std::fs::metadata(vault.path()).map_or(0, |meta| meta.permissions().mode() & 0o777);
            Some(if mode & 0o077 != 0 {
                // What is in it is sealed; whoever has a copy waits for the key.
                Finding::warning(
                    "vault",
                    format!("others than its owner may open {shown} (mode {mode:03o})"),
                    format!("chmod 600 {shown}"),
                )
            } else {
                Finding::good("vault", format!("{shown} is sealed with the key {id}"))
            })
        }
        Err(error) => Some(Finding::error("vault", error.to_string(), "see README, Secrets")),
    }
}

/// The database: who may read and write it, whether it is whole.
pub fn database(workspace: &Workspace) -> (Vec<Finding>, Option<Exam>) {
    let path = &workspace.settings().database;
    let shown = path.display();
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut findings: Vec<Finding> = open_to_all("database", folder).into_iter().collect();
    let exam = examine(path, BUSY_MS);
    match &exam {
        Ok(exam) => findings.push(examined(exam, path)),
        Err(StoreError::Missing { .. }) => {
            findings.push(match std::fs::metadata(folder) {
                Ok(_) => Finding::good("database", format!("{shown} is not there yet; the first pass makes it")),
                Err(error) => Finding::error(
                    "database",
                    format!("its folder {} cannot be used: {error}", folder.display()),
                    "make it, for the user that runs the daemon, or name another one by --db",
                ),
            });
            return (findings, None);
        }
        Err(error) => {
            let remedy = match error {
                StoreError::Corrupt { .. } => {
                    "stop the daemon and `reconciled restore` the latest backup; what is there is kept (README, Backup and restore)"
                }
                StoreError::Newer { .. } => "install the newer reconciled that wrote it",
                _ => "run this as the user that runs the daemon, and look who else has it open: `fuser` tells",
            };
            findings.push(Finding::error("database", error.to_string(), remedy));
        }
    }
    for suffix in ["", "-wal", ".epoch"] {
        let file = PathBuf::from(format!("{shown}{suffix}"));
        findings.extend(open_to_all("database", &file));
        let is_readable = std::fs::metadata(&file).is_ok_and(|meta| meta.permissions().mode() & 0o004 != 0);
        if is_readable && suffix != ".epoch" {
            let found = format!("everybody on this machine may read {}", file.display());
            findings.push(Finding::warning("database", found, format!("chmod o-rwx {}", file.display())));
        }
    }
    findings.extend(of_another_user("database", path));
    (findings, exam.ok())
}

fn examined(exam: &Exam, path: &Path) -> Finding {
    let (sqlite, schema, known) = (exam.sqlite, exam.schema, exam.schema_known);
    let size = std::fs::metadata(path).map_or(0, |meta| meta.len());
    let found = format!("{} is whole ({}, schema {schema}, SQLite {sqlite})", path.display(), bytes(size));
    match schema {
        0 => Finding::warning("database", format!("{found}, and no pass has worked on it"), "is it the right one?"),
        _ if schema < known => {
            let remedy = "the next pass brings it up to date, after a copy beside it";
            Finding::warning("database", format!("{found}, and this program's schema is {known}"), remedy)
        }
        _ if schema > known => {
            let remedy = "install the newer reconciled that wrote it";
            Finding::error("database", format!("{found}, and this program knows schemas up to {known}"), remedy)
        }
        _ => Finding::good("database", found),
    }
}

/// The room that is left.
pub fn disk(workspace: &Workspace) -> Finding {
    let database = &workspace.settings().database;
    let found = space(database);
    let remedy = "free some space; a disk that is full stops all passes";
    if let Some(alarm) = found.alarms(database).into_iter().next() {
        return Finding::error("disk", alarm, remedy);
    }
    let size = std::fs::metadata(database).map_or(0, |meta| meta.len());
    match found.free_bytes {
        None => Finding::good("disk", "the system does not say how much room is left"),
        // A new schema, and `plan`, make a copy beside it.
        Some(free) if free < ROOM_BYTES.max(2 * size) => {
            let words = format!("{} are left beside a database of {}", bytes(free), bytes(size));
            Finding::warning("disk", words, remedy)
        }
        Some(free) => Finding::good("disk", format!("{} are left", bytes(free))),
    }
}

/// The clock, as far as it can be judged from here.
pub fn clock(workspace: &Workspace, exam: Option<&Exam>) -> Finding {
    let now = workspace.clock().now();
    let remedy = "set it, and let a time service keep it: `timedatectl set-ntp true`";
    if now < earliest() {
        return Finding::error("clock", format!("it shows {now}"), remedy);
    }
    let last = exam.and_then(|exam| exam.last_pass);
    let last = last.filter(|last| DateTime::from_timestamp_micros(*last).is_some_and(|last| last > now + FUTURE));
    match last.and_then(rfc3339) {
        Some(last) => Finding::error("clock", format!("a pass began at {last}, and now it is {now}"), remedy),
        None => Finding::good("clock", format!("it shows {}", now.format("%Y-%m-%d %H:%M:%S UTC"))),
    }
}

/// What everybody may write to. A folder like `/tmp`, where only owners may remove things, is none.
pub fn open_to_all(check: &str, path: &Path) -> Option<Finding> {
    let meta = std::fs::metadata(path).ok()?;
    let mode = meta.permissions().mode();
    let is_shared = meta.is_dir() && mode & 0o1000 != 0;
    (mode & 0o002 != 0 && !is_shared).then(|| {
        let shown = path.display();
        let found = format!("everybody on this machine may write to {shown} (mode {:03o})", mode & 0o777);
        Finding::error(check, found, format!("chmod o-w {shown}"))
    })
}

/// Only its owner and root should work on it.
pub fn of_another_user(check: &str, path: &Path) -> Option<Finding> {
    let (owner, me) = (std::fs::metadata(path).ok()?.uid(), std::fs::metadata("/proc/self").ok()?.uid());
    (me != owner && me != 0).then(|| {
        let found = format!("{} belongs to the user with id {owner}, and this runs as {me}", path.display());
        Finding::warning(check, found, format!("run reconciled as that user: `sudo -u '#{owner}' reconciled …`"))
    })
}
