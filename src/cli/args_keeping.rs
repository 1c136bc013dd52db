//! Owns: the grammar of commands that keep the database: back up, restore.
//!
//! Must not know: what any command does.

use std::path::PathBuf;

use clap::Args;

/// `backup`
#[derive(Debug, Args)]
pub struct BackupArgs {
    /// Where to; a new file
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Replace the file where it is there
    #[arg(long)]
    pub force: bool,
}

/// `restore`
#[derive(Debug, Args)]
pub struct RestoreArgs {
    /// The backup
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
}
