//! Owns: the grammar of commands that keep the database: back up, restore, verify, repair.
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

/// `verify`
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// Also compare every linked record with what its upstream says now
    #[arg(long)]
    pub deep: bool,
    /// With --deep: only these collections [default: all]
    #[arg(value_name = "COLLECTION", requires = "deep")]
    pub collections: Vec<String>,
}

/// `repair`
#[derive(Debug, Args)]
pub struct RepairArgs {
    /// Do it, after a backup beside the database
    #[arg(long)]
    pub apply: bool,
}
