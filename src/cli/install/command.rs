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
use super::shipped::{FOLDERS, Shipped, files, noted_at};

/// The longest word that says what is done.
const WORD_MAX: usize = 8;

/// What a run of the command comes to.
#[derive(Debug, Serialize)]
struct Told {
    dry_run: bool,
    steps: Vec<Step>,
    next: Vec<String>,
}

/// Installs, or takes away.
pub fn run(args: &InstallArgs, out: &Out) -> Result<Exit, CliError> {
    let prefix = prefix(&args.prefix)?;
    let root = Root::new(&args.root);
    let steps = if args.remove { remove(args, &root, &prefix)? } else { install(args, &root, &prefix)? };
    let next = if args.remove { next_after_removal(args, &steps) } else { next(args) };
    out.show(&Told { dry_run: args.dry_run, steps, next }, |told, _| text(told))?;
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
fn of_root(root: &Path) -> String {
    if root == Path::new("/") { String::new() } else { format!(" --root={}", root.display()) }
}

fn next(args: &InstallArgs) -> Vec<String> {
    let root = of_root(&args.root);
    let mut next = vec![
        format!("systemd-sysusers{root} reconciled.conf"),
        format!("systemd-tmpfiles{root} --create reconciled.conf"),
        "# settings: /etc/reconciled/config.toml; rules: /etc/reconciled/sync-rules; secrets: systemctl edit reconciled".to_owned(),
    ];
    if root.is_empty() {
        next.push("systemctl daemon-reload".to_owned());
        next.push("systemctl enable --now reconciled.service".to_owned());
    } else {
        next.push(format!("systemctl{root} enable reconciled.service"));
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
