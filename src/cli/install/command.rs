//! Owns: `install` and `install --remove`: what was done and what is left to do, for people and programs.
//!
//! Must not know: how it is decided and done.

use std::fmt::Write as _;
use std::io;
use std::path::Path;

use serde::Serialize;

use super::super::args::InstallArgs;
use super::super::exit::{CliError, Exit};
use super::super::out::Out;
use super::super::style::{CHANGED, DIM, GOOD, heading, paint};
use super::carry::{Root, hash};
use super::decide::{self, Found, Noted, Seen, Step, What};
use super::owners::{LOOKED_AT, MAKERS, Made, Maker, allowed};
use super::shipped::{FOLDERS, Shipped, files, noted_at};

/// The longest word that says what is done.
const WORD_MAX: usize = 8;

/// What a run of the command comes to.
#[derive(Debug, Serialize)]
struct Told {
    dry_run: bool,
    steps: Vec<Step>,
    /// Commands of systemd that were run, or would be.
    ran: Vec<String>,
    next: Vec<String>,
}

/// Installs, or takes away.
pub fn run(args: &InstallArgs, out: &Out) -> Result<Exit, CliError> {
    let prefix = prefix(&args.prefix)?;
    let root = Root::new(&args.root);
    let steps = if args.remove { remove(args, &root, &prefix)? } else { install(args, &root, &prefix)? };
    let (ran, next) = if args.remove {
        (Vec::new(), next_after_removal(args, &steps))
    } else {
        let (ran, left) = owners(args, &prefix)?;
        (ran, next(args, &prefix, left))
    };
    out.show(&Told { dry_run: args.dry_run, steps, ran, next }, |told, _| text(told))?;
    Ok(Exit::IN_SYNC)
}

/// It is written into units, so that it has to be an absolute path without anything that means something there.
fn prefix(given: &str) -> Result<String, CliError> {
    let plain = given.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/._+-".contains(&byte));
    if !given.starts_with('/') || !plain || given.split('/').any(|part| part == "..") {
        return Err(CliError::Usage(format!(
            "--prefix {given}: write an absolute path of letters, digits, `.`, `_`, `+`, `-`"
        )));
    }
    Ok(given.trim_end_matches('/').to_owned())
}

fn install(args: &InstallArgs, root: &Root, prefix: &str) -> Result<Vec<Step>, CliError> {
    let program = std::env::current_exe().and_then(std::fs::read);
    let program = program.map_err(|error| CliError::Other(format!("the program itself cannot be read: {error}")))?;
    let files = files(prefix, program);
    let files: Vec<(&Shipped, String)> = files.iter().map(|file| (file, hash(&file.bytes))).collect();
    let noted_at = noted_at(prefix);
    let noted = root.noted(&noted_at).map_err(|error| failed(&noted_at, &error))?;
    let paths = FOLDERS.iter().map(|(path, _)| *path);
    let paths = paths.chain(files.iter().map(|(file, _)| file.path.as_str())).chain(noted.keys().map(String::as_str));
    let seen = look(root, paths)?;
    let steps = decide::install(&FOLDERS, &files, &noted, &seen);
    if args.dry_run {
        return Ok(steps);
    }
    for step in &steps {
        let shipped = files.iter().map(|(file, _)| *file).find(|file| file.path == step.path);
        carry_out(step, shipped, root).map_err(|error| failed(&step.path, &error))?;
    }
    let now: Noted = files.iter().map(|(file, hash)| (file.path.clone(), hash.clone())).collect();
    if now != noted {
        root.note(&noted_at, &now).map_err(|error| failed(&noted_at, &error))?;
    }
    Ok(steps)
}

fn carry_out(step: &Step, shipped: Option<&Shipped>, root: &Root) -> io::Result<()> {
    match (step.what, shipped) {
        (What::Make, _) => {
            let mode = FOLDERS.iter().find(|(path, _)| *path == step.path).map_or(0o755, |(_, mode)| *mode);
            root.make(&step.path, mode)
        }
        (What::Write | What::Replace, Some(file)) => root.write(&file.path, file.mode, &file.bytes),
        (What::PutBeside, Some(file)) => root.write(&beside(&file.path), file.mode, &file.bytes),
        (What::Remove, _) => root.remove(&step.path),
        (What::Same | What::Keep | What::Leave | What::Write | What::Replace | What::PutBeside, _) => Ok(()),
    }
}

/// Where the new version of an edited file goes.
fn beside(path: &str) -> String {
    format!("{path}.new")
}

fn remove(args: &InstallArgs, root: &Root, prefix: &str) -> Result<Vec<Step>, CliError> {
    let noted_at = noted_at(prefix);
    let noted = root.noted(&noted_at).map_err(|error| failed(&noted_at, &error))?;
    if noted.is_empty() {
        return Err(CliError::NotFound(format!("`reconciled install` has put nothing below {prefix}")));
    }
    let enabled = root.enabled().map_err(|error| failed("/etc/systemd/system", &error))?;
    if !enabled.is_empty() {
        let enabled = enabled.join(" ");
        return Err(CliError::Other(format!("still enabled; first `systemctl disable --now {enabled}`")));
    }
    let seen = look(root, noted.keys().map(String::as_str))?;
    let mut steps = decide::remove(&noted, &seen);
    if args.dry_run {
        return Ok(steps);
    }
    for step in &steps {
        carry_out(step, None, root).map_err(|error| failed(&step.path, &error))?;
    }
    root.remove(&noted_at).map_err(|error| failed(&noted_at, &error))?;
    let doc = [
        "/share/doc/reconciled/docs/monitoring",
        "/share/doc/reconciled/docs",
        "/share/doc/reconciled/examples",
        "/share/doc/reconciled",
        "/share/reconciled",
    ];
    let doc = doc.into_iter().map(|folder| format!("{prefix}{folder}"));
    for folder in doc.chain(FOLDERS.iter().rev().map(|(folder, _)| (*folder).to_owned())) {
        match root.look(&folder).map_err(|error| failed(&folder, &error))? {
            Found::EmptyFolder => {
                root.remove_folder(&folder).map_err(|error| failed(&folder, &error))?;
                steps.push(Step::new(What::Remove, folder));
            }
            Found::Nothing => {}
            Found::File(_) | Found::Other => steps.push(Step::new(What::Leave, folder)),
        }
    }
    Ok(steps)
}

fn look<'a>(root: &Root, paths: impl Iterator<Item = &'a str>) -> Result<Seen, CliError> {
    let found = paths.map(|path| match root.look(path) {
        Ok(found) => Ok((path.to_owned(), found)),
        Err(error) => Err(failed(path, &error)),
    });
    found.collect()
}

fn failed(path: &str, error: &io::Error) -> CliError {
    let remedy = match error.kind() {
        io::ErrorKind::PermissionDenied => "; run this as root, or name a folder of yours with `--root DIR`",
        _ => "",
    };
    CliError::Other(format!("{path}: {error}{remedy}"))
}

/// ` --root=DIR` for systemd's tools.
pub(super) fn of_root(root: &Path) -> String {
    if root == Path::new("/") { String::new() } else { format!(" --root={}", root.display()) }
}

/// Makes the user and gives it its folders: the commands that did, or would, and those that somebody else has to run.
fn owners(args: &InstallArgs, prefix: &str) -> Result<(Vec<String>, Vec<String>), CliError> {
    let (mut ran, mut left) = (Vec::new(), Vec::new());
    for maker in MAKERS {
        let command = maker.command(&args.root, prefix);
        match made(maker, args, prefix).map_err(|error| ended(&command, &error))? {
            Made::Done => ran.push(command),
            Made::Left(why) => left.push(format!("{command}  # {why}")),
        }
    }
    Ok((ran, left))
}

fn made(maker: Maker, args: &InstallArgs, prefix: &str) -> io::Result<Made> {
    // What a run would do is told as if it went well, where it may try at all.
    if args.dry_run && allowed() { Ok(Made::Done) } else { maker.make(&args.root, prefix) }
}

fn ended(command: &str, error: &io::Error) -> CliError {
    CliError::Other(format!("all files are in their places, but `{command}` failed: {error}"))
}

fn next(args: &InstallArgs, prefix: &str, left: Vec<String>) -> Vec<String> {
    let root = of_root(&args.root);
    let mut next = left;
    next.push(
        "# settings: /etc/reconciled/config.toml; rules: /etc/reconciled/sync-rules; secrets: systemctl edit reconciled"
            .to_owned(),
    );
    // Elsewhere systemd does not look: by its path a unit is linked to where it does.
    let unit = if LOOKED_AT.contains(&prefix) {
        "reconciled.service".to_owned()
    } else {
        format!("{prefix}/lib/systemd/system/reconciled.service")
    };
    if root.is_empty() {
        next.push("systemctl daemon-reload".to_owned());
        next.push(format!("systemctl enable --now {unit}"));
    } else {
        next.push(format!("systemctl{root} enable {unit}"));
    }
    next
}

fn next_after_removal(args: &InstallArgs, steps: &[Step]) -> Vec<String> {
    let root = of_root(&args.root);
    let mut next = Vec::new();
    if root.is_empty() {
        next.push("systemctl daemon-reload".to_owned());
    }
    if steps.iter().any(|step| step.what == What::Leave) {
        next.push("# what was left is yours: settings, rules, the database".to_owned());
    }
    let of_root = if root.is_empty() { String::new() } else { format!(" --root {}", args.root.display()) };
    next.push(format!("userdel{of_root} reconciled"));
    next
}

fn text(told: &Told) -> String {
    let mut text = String::new();
    let same = told.steps.iter().filter(|step| step.what == What::Same).count();
    for step in &told.steps {
        let (style, done, would, note) = match step.what {
            What::Same => continue,
            What::Make => (GOOD, "made", "make", ""),
            What::Write => (GOOD, "wrote", "write", ""),
            What::Replace => (GOOD, "replaced", "replace", ""),
            What::Keep => (DIM, "kept", "keep", ": it was edited, and what is shipped has not changed"),
            What::PutBeside => (CHANGED, "kept", "keep", ": it was edited; what is shipped now is beside it, as .new"),
            What::Remove => (GOOD, "removed", "remove", ""),
            What::Leave => (CHANGED, "left", "leave", ": it was edited, or holds what is yours"),
        };
        let word = if told.dry_run { would } else { done };
        writeln!(text, "{}{} {}{note}", paint(style, word), " ".repeat(WORD_MAX - word.len()), step.path).ok();
    }
    for command in &told.ran {
        let word = if told.dry_run { "run" } else { "ran" };
        writeln!(text, "{}{} {command}", paint(GOOD, word), " ".repeat(WORD_MAX - word.len())).ok();
    }
    if same > 0 {
        writeln!(text, "{}", paint(DIM, format!("{same} files are as they are shipped"))).ok();
    }
    if told.dry_run {
        text = format!("{}{text}", heading("Nothing is done; this would be:"));
    }
    text.push('\n');
    text += &heading("Next:");
    for line in &told.next {
        writeln!(text, "  {line}").ok();
    }
    text
}
