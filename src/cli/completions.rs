//! Owns: `completions`: the script that completes our command line in a shell.
//!
//! Must not know: what the commands do.

use clap::CommandFactory as _;

use super::args::{CommandLine, CompletionsArgs};
use super::exit::{CliError, Exit};
use super::out::Out;

/// Prints the script.
pub fn run(args: &CompletionsArgs, out: &Out) -> Result<Exit, CliError> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut CommandLine::command(), "reconciled", &mut script);
    out.data(&String::from_utf8_lossy(&script))?;
    Ok(Exit::IN_SYNC)
}
