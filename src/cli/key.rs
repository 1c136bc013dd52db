//! Owns: `key create|rotate`: the master key of the vault.
//!
//! Must not know: ciphers.

use super::args_secrets::{KeyArgs, KeyCommand};
use super::exit::{CliError, Exit};
use super::out::Out;
use super::workspace::Workspace;

/// Does what was asked.
pub fn run(args: &KeyArgs, workspace: &Workspace, out: &Out) -> Result<Exit, CliError> {
    let vault = workspace.vault();
    match args.command {
        KeyCommand::Create => {
            let file = vault.create_key()?;
            out.talk(&format!(
                "a new master key is in {}: keep a copy of it elsewhere; without it what is sealed with it is lost",
                file.display()
            ));
        }
        KeyCommand::Rotate => {
            let rotated = vault.rotate()?;
            let entries = if rotated.entries == 1 { "entry is" } else { "entries are" };
            out.talk(&format!(
                "{} {entries} sealed with a new master key (id {}) in {}; copies of the old one open nothing any more",
                rotated.entries,
                rotated.key_id,
                rotated.file.display()
            ));
        }
    }
    Ok(Exit::IN_SYNC)
}
