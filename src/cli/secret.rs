//! Owns: `secret set|list|rm`: secrets that are kept sealed in the vault.
//!
//! Must not know: ciphers; what secrets are for.

use std::io::{IsTerminal as _, Read as _};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use secrecy::SecretString;

use crate::config::is_secret_name;
use crate::vault::{Kind, MASTER_KEY};

use super::args_secrets::{SecretArgs, SecretCommand};
use super::exit::{CliError, Exit};
use super::out::Out;
use super::style;
use super::workspace::{SecretsAre, Workspace};

/// The largest secret, in bytes.
const BYTES_MAX: u64 = 64 * 1024;

/// Does what was asked.
pub fn run(args: &SecretArgs, workspace: &Workspace, out: &Out) -> Result<Exit, CliError> {
    match &args.command {
        SecretCommand::Set(args) => set(&args.name, workspace, out),
        SecretCommand::List => list(workspace, out),
        SecretCommand::Rm(args) => remove(&args.name, workspace, out),
    }
}

fn set(name: &str, workspace: &Workspace, out: &Out) -> Result<Exit, CliError> {
    if !is_secret_name(name) {
        let words = "a name has only letters, digits, `_`, `-` and `.`, and begins with a letter";
        return Err(CliError::Usage(format!("`{name}` cannot be the name of a secret: {words}")));
    }
    if name == MASTER_KEY {
        return Err(CliError::Usage(format!(
            "{MASTER_KEY} opens the vault and cannot be in it: `reconciled key create`"
        )));
    }
    let value = read_value(name, out)?;
    let vault = workspace.vault();
    let made = vault.put(Kind::Secret, name, &value, workspace.clock().now())?;
    if let Some(file) = made {
        out.insist(&format!("sealed with a new master key in {}: keep a copy of it elsewhere", file.display()));
    }
    out.talk(&format!(
        "the secret `{name}` is in {}; a running daemon takes it at its next reload",
        vault.path().display()
    ));
    // What stands in an earlier place counts, and would hide this one.
    if let Ok(place) = workspace.secret_place(name)
        && !place.starts_with("vault ")
    {
        out.insist(&format!("warning: {place} comes first and is what counts"));
    }
    Ok(Exit::IN_SYNC)
}

/// From a pipe or file whole, without its last line end; from a terminal one line, which is not shown.
fn read_value(name: &str, out: &Out) -> Result<SecretString, CliError> {
    let stdin = std::io::stdin();
    let mut text = String::new();
    let read = if stdin.is_terminal() {
        out.insist(&format!("value of `{name}` (it is not shown):"));
        let shown = hide_typing();
        let read = stdin.read_line(&mut text);
        if let Some(shown) = shown {
            let _terminal_is_gone = tcsetattr(std::io::stdin(), OptionalActions::Now, &shown);
        }
        read
    } else {
        stdin.lock().take(BYTES_MAX + 1).read_to_string(&mut text)
    };
    let bytes = read.map_err(|error| CliError::Other(format!("stdin cannot be read: {error}")))?;
    if bytes as u64 > BYTES_MAX {
        return Err(CliError::Usage(format!("a secret has {BYTES_MAX} bytes at most")));
    }
    let value = text.strip_suffix('\n').unwrap_or(&text);
    let value = value.strip_suffix('\r').unwrap_or(value);
    if value.is_empty() {
        return Err(CliError::Usage(format!("nothing was given; try: reconciled secret set {name} < FILE")));
    }
    Ok(value.into())
}

/// Returns how the terminal was, where it could be changed.
fn hide_typing() -> Option<Termios> {
    let before = tcgetattr(std::io::stdin()).ok()?;
    let mut hidden = before.clone();
    hidden.local_modes.remove(LocalModes::ECHO);
    hidden.local_modes.insert(LocalModes::ECHONL);
    tcsetattr(std::io::stdin(), OptionalActions::Now, &hidden).ok()?;
    Some(before)
}

/// A secret and where it is.
#[derive(serde::Serialize)]
struct Row {
    name: String,
    /// Where it was found; nothing where it is missing.
    place: Option<String>,
    /// The rules name it.
    used: bool,
}

fn list(workspace: &Workspace, out: &Out) -> Result<Exit, CliError> {
    let named = workspace.examine(SecretsAre::Unused).map(|examined| examined.named).unwrap_or_default();
    let kept = workspace.vault().entries(Kind::Secret)?;
    let mut names: Vec<String> = named.iter().cloned().chain(kept.into_iter().map(|entry| entry.name)).collect();
    names.sort_unstable();
    names.dedup();
    let rows: Vec<Row> = names
        .into_iter()
        .map(|name| Row { place: workspace.secret_place(&name).ok(), used: named.contains(&name), name })
        .collect();
    out.show(&rows, |rows, width| {
        if rows.is_empty() {
            return "the rules name no secret, and none is kept\n".to_owned();
        }
        let line = |row: &Row| {
            let place = row.place.clone().unwrap_or_else(|| "missing".to_owned());
            vec![row.name.clone(), place, if row.used { "yes" } else { "no" }.to_owned()]
        };
        style::table(width, &["secret", "where", "in the rules"], rows.iter().map(line).collect())
    })?;
    Ok(Exit::IN_SYNC)
}

fn remove(name: &str, workspace: &Workspace, out: &Out) -> Result<Exit, CliError> {
    if !workspace.vault().remove(Kind::Secret, name)? {
        return Err(CliError::NotFound(format!("{} has no secret `{name}`", workspace.vault().path().display())));
    }
    out.talk(&format!("the secret `{name}` is gone"));
    Ok(Exit::IN_SYNC)
}
