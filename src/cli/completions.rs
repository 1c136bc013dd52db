//! Owns: `completions`: the scripts that complete our command line in a shell, and where shells look for them.
//!
//! Must not know: what the commands do.

use clap::CommandFactory as _;
use clap_complete::Shell;

use super::args::{CommandLine, CompletionsArgs};
use super::exit::{CliError, Exit};
use super::out::Out;

/// The shells whose scripts are installed: the name of the file, and its folder below the prefix.
pub const INSTALLED: [(Shell, &str, &str); 3] = [
    (Shell::Bash, "reconciled", "share/bash-completion/completions"),
    (Shell::Zsh, "_reconciled", "share/zsh/site-functions"),
    (Shell::Fish, "reconciled.fish", "share/fish/vendor_completions.d"),
];

/// Prints the script.
pub fn run(args: &CompletionsArgs, out: &Out) -> Result<Exit, CliError> {
    out.data(&script(args.shell))?;
    Ok(Exit::IN_SYNC)
}

/// The script of a shell.
pub fn script(shell: Shell) -> String {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut CommandLine::command(), "reconciled", &mut script);
    String::from_utf8_lossy(&script).into_owned()
}
