//! Owns: the grammar of the commands that help to write rules: their flags, and the help of those.
//!
//! Must not know: what any command does.

use std::path::PathBuf;

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

/// `record`
#[derive(Debug, Args)]
pub struct RecordArgs {
    /// A collection, an upstream, or COLLECTION.UPSTREAM [default: everything]
    #[arg(value_name = "WHAT")]
    pub what: Vec<String>,
    /// The file to make; one that is there already is left alone
    #[arg(long, value_name = "FILE")]
    pub to: PathBuf,
    /// Replace the values of members with this name, such as `email` or `address.street`, by made-up ones
    ///
    /// Equal values become equal ones, in addresses as well. In CSV they are columns. Bodies that are neither JSON nor the CSV that the rules say are left out then.
    #[arg(long, value_name = "MEMBER")]
    pub redact: Vec<String>,
    /// End after so many requests
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub requests: u64,
    /// End after about so many megabytes
    #[arg(long, value_name = "MB", default_value_t = 64, value_parser = clap::value_parser!(u64).range(1..=1024))]
    pub max_mb: u64,
}

/// `replay`
#[derive(Debug, Args)]
pub struct ReplayArgs {
    /// The cassette
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Only these collections [default: all that were recorded]
    #[arg(value_name = "COLLECTION")]
    pub collections: Vec<String>,
    /// Show so many records of each binding
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u16).range(0..=1000))]
    pub limit: u16,
    /// List every change, also where there are more than 200, which are summed up else
    #[arg(long)]
    pub all: bool,
}

/// `init`
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("from").required(true).args(["sample", "openapi"]))]
pub struct InitArgs {
    /// The collection to propose: the name of a table that is made
    pub collection: String,
    /// The upstream; where the rules have it already, only the collection is proposed
    pub upstream: String,
    /// An answer of the listing as JSON, or records a line each; `-` is stdin; several are taken together
    #[arg(long, value_name = "FILE")]
    pub sample: Vec<PathBuf>,
    /// An OpenAPI 3 description, JSON or YAML; `-` is stdin
    #[arg(long, value_name = "FILE", conflicts_with = "sample")]
    pub openapi: Option<PathBuf>,
    /// Where the API is [default: what the description says, else a placeholder]
    #[arg(long, value_name = "URL")]
    pub base_url: Option<String>,
    /// The path of the listing, below the base URL [default: the collection's name, or the listing that is called so]
    #[arg(long, value_name = "PATH")]
    pub path: Option<String>,
    /// Where the records are in an answer, such as `.results[]` [default: the largest list of objects]
    #[arg(long, value_name = "PATH", requires = "sample")]
    pub records: Option<String>,
    /// Where the id is in a record, such as `.number` [default: by its name, where it is unique]
    #[arg(long, value_name = "PATH")]
    pub id: Option<String>,
    /// Put them into RULES_DIR/COLLECTION-UPSTREAM.toml, which must not be there yet
    #[arg(long)]
    pub write: bool,
}
