//! Owns: the grammar of the commands that help to write rules: their flags, and the help of those.
//!
//! Must not know: what any command does.

use clap::Args;

/// `check`
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// Ask each upstream who we are, and show one mapped record per binding
    #[arg(long)]
    pub online: bool,
}

/// `fetch`
#[derive(Debug, Args)]
pub struct FetchArgs {
    /// COLLECTION.UPSTREAM, as in the name of the table; the collection alone where it has one binding
    #[arg(value_name = "BINDING")]
    pub binding: String,
    /// So many records, from the first of the listing on
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub limit: u16,
    /// The record with this remote id, by the point read
    #[arg(long, value_name = "ID", conflicts_with = "limit")]
    pub id: Option<String>,
    /// Records as they came, one a line, and nothing else
    #[arg(long)]
    pub raw: bool,
}
