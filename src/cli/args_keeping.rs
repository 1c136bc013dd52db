//! Owns: the grammar of commands that keep the database: back up, restore, verify, repair; and take a pass back.
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

/// `undo`
#[derive(Debug, Args)]
pub struct UndoArgs {
    /// The pass (or the undo) that is taken back: its number, as `status` and `history` show it
    #[arg(value_name = "RUN")]
    pub run: i64,
    /// Only one record: a local id, COLLECTION/ID, or a remote id
    #[arg(long, value_name = "RECORD")]
    pub record: Option<String>,
    /// Only if the pass is of this collection
    #[arg(long, value_name = "NAME")]
    pub collection: Option<String>,
    /// Delete the records that the pass created; the next pass deletes them at upstreams, too
    #[arg(long)]
    pub delete: bool,
    /// Do it
    #[arg(long)]
    pub apply: bool,
}
