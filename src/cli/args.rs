//! Owns: the grammar of the command line: commands, flags, their help.
//!
//! Must not know: what any command does.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::config::Overrides;
use crate::ops::{USAGE_DAYS, USAGE_DAYS_MAX};

const EXIT_CODES: &str = "\
Exit codes:
  0  in sync                     4  conflicts are open
  1  error                       5  halted by a guard
  2  usage, rules or settings    6  an upstream is unavailable
  3  changes are pending         7  another reconciled holds the database
Of several the worst counts, in the order 1, 7, 2, 5, 6, 4, 3.

Data goes to stdout, everything else to stderr.";

/// Keeps a local SQLite database and HTTP/JSON systems in agreement, in both directions.
#[derive(Debug, Parser)]
#[command(name = "reconciled", version, about, after_help = EXIT_CODES, subcommand_required = false, arg_required_else_help = true)]
#[command(infer_subcommands = false, disable_help_subcommand = true)]
pub struct CommandLine {
    /// Flags of every command.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// Flags of every command.
#[derive(Clone, Debug, Default, Args)]
pub struct Global {
    /// Settings file [default: reconciled.toml, else /etc/reconciled/config.toml]
    #[arg(long, global = true, value_name = "FILE", help_heading = "Global options")]
    pub config: Option<PathBuf>,
    /// Database file [default: reconciled.db]
    #[arg(long, global = true, value_name = "FILE", help_heading = "Global options")]
    pub db: Option<String>,
    /// Folder of rules [default: sync-rules]
    #[arg(long, global = true, value_name = "DIR", help_heading = "Global options")]
    pub rules: Option<String>,
    /// Print data as JSON
    #[arg(long, global = true, help_heading = "Global options")]
    pub json: bool,
    /// Colour: auto, always, never [default: auto]
    #[arg(long, global = true, value_name = "WHEN", value_parser = ["auto", "always", "never"], hide_possible_values = true)]
    #[arg(help_heading = "Global options")]
    pub color: Option<String>,
    /// Log level: off, error, warn, info, debug, trace
    #[arg(long, global = true, value_name = "LEVEL", hide_possible_values = true, help_heading = "Global options")]
    #[arg(value_parser = ["off", "error", "warn", "info", "debug", "trace"])]
    pub log_level: Option<String>,
    /// Log errors only, show no progress
    #[arg(short, long, global = true, conflicts_with = "verbose", help_heading = "Global options")]
    pub quiet: bool,
    /// Log more; twice for everything
    #[arg(short, long, global = true, action = clap::ArgAction::Count, help_heading = "Global options")]
    pub verbose: u8,
    /// Print every setting with its source, and stop
    #[arg(long, global = true, help_heading = "Global options")]
    pub print_config: bool,
}

impl Global {
    /// The last layer of settings.
    pub fn overrides(&self) -> Overrides {
        let pairs = [
            ("database", &self.db),
            ("rules_dir", &self.rules),
            ("color", &self.color),
            ("log.level", &self.log_level),
        ];
        Overrides {
            config: self.config.clone(),
            values: pairs.into_iter().filter_map(|(name, value)| value.clone().map(|value| (name, value))).collect(),
        }
    }
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Keep in sync: passes on schedule until stopped, or one pass with --once
    Run(RunArgs),
    /// Sync now: ask the running daemon, or make one pass where none runs
    Sync(SyncArgs),
    /// Let collections rest: no passes until they are resumed
    Pause(NamedArgs),
    /// Let paused collections go on
    Resume(NamedArgs),
    /// Show what a pass would change, and change nothing
    Plan(PlanArgs),
    /// Check rules, settings and secrets; with --online ask the upstreams as well
    Check(CheckArgs),
    /// Show passes, links, and what waits for a person
    Status,
    /// Show what was asked of upstreams, what it cost, and when a quota would run out
    Usage(UsageArgs),
    /// Look for what is wrong around the program: files, secrets, disk, clock, unit, upstreams; changes nothing
    Doctor(DoctorArgs),
    /// Show a record: its values here, at the base and at each upstream
    Show(ShowArgs),
    /// Explain why a record (or one field) is as it is
    Explain(ExplainArgs),
    /// List what changed, newest first
    History(HistoryArgs),
    /// List open conflicts
    Conflicts(ConflictsArgs),
    /// Decide a conflict; the next pass applies it
    Resolve(ResolveArgs),
    /// Say what became of a write whose outcome nobody knows
    Settle(SettleArgs),
    /// Approve a plan that a guard halted; the next pass carries it out
    Approve(ApproveArgs),
    /// Reject a plan that a guard halted: nothing of it is done, and its collection rests
    Reject(RejectArgs),
    /// Put the program, its units, its user and folders on this machine, or take them away
    Install(InstallArgs),
    /// Print the JSON Schema of the rules language
    Schema,
    /// Show two-way sync between two made-up upstreams and a database, in a minute
    Demo(DemoArgs),
    /// Run the simulator's seeds; one seed shows its trace.
    #[command(hide = true)]
    Sim(SimArgs),
    /// Print the completion script of a shell
    Completions(CompletionsArgs),
}

/// `run`
#[derive(Debug, Args)]
pub struct RunArgs {
    /// One pass of each collection, then stop
    #[arg(long)]
    pub once: bool,
    /// Show what a pass would change (like `plan`)
    #[arg(long)]
    pub dry_run: bool,
    /// Read everything, even where reading changes would do
    #[arg(long)]
    pub full: bool,
    /// Only these collections
    #[arg(value_name = "COLLECTION")]
    pub collections: Vec<String>,
}

/// `sync`
#[derive(Debug, Args)]
pub struct SyncArgs {
    /// Read everything, even where reading changes would do
    #[arg(long)]
    pub full: bool,
    /// Only these collections
    #[arg(value_name = "COLLECTION")]
    pub collections: Vec<String>,
}

/// `pause`, `resume`
#[derive(Debug, Args)]
pub struct NamedArgs {
    /// Only these collections
    #[arg(value_name = "COLLECTION")]
    pub collections: Vec<String>,
}

/// `plan`
#[derive(Debug, Args)]
pub struct PlanArgs {
    /// List every change, however many
    #[arg(long)]
    pub all: bool,
    /// Read everything, even where reading changes would do
    #[arg(long)]
    pub full: bool,
    /// Only these collections
    #[arg(value_name = "COLLECTION")]
    pub collections: Vec<String>,
}

/// `check`
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// Ask each upstream who we are, and show one mapped record per binding
    #[arg(long)]
    pub online: bool,
}

/// `usage`
#[derive(Debug, Args)]
pub struct UsageArgs {
    /// Only this upstream, day by day
    pub upstream: Option<String>,
    /// Averages, and what is listed, over so many days
    #[arg(long, default_value_t = USAGE_DAYS, value_parser = clap::value_parser!(u16).range(1..=i64::from(USAGE_DAYS_MAX)))]
    pub days: u16,
}

/// `doctor`
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// Leave out what needs the network
    #[arg(long)]
    pub offline: bool,
}

/// `show`
#[derive(Debug, Args)]
pub struct ShowArgs {
    /// A local id, COLLECTION/ID, or a remote id
    pub record: String,
}

/// `explain`
#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// A local id, COLLECTION/ID, or a remote id
    pub record: String,
    /// Only this field
    pub field: Option<String>,
}

/// `history`
#[derive(Debug, Args)]
pub struct HistoryArgs {
    /// Only this record (a local id, COLLECTION/ID, or a remote id)
    #[arg(long)]
    pub record: Option<String>,
    /// Only this field
    #[arg(long)]
    pub field: Option<String>,
    /// Only this pass
    #[arg(long)]
    pub pass: Option<i64>,
    /// Only this collection
    #[arg(long)]
    pub collection: Option<String>,
    /// At most so many lines
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub limit: u32,
}

/// `conflicts`
#[derive(Debug, Args)]
pub struct ConflictsArgs {
    /// Closed ones as well
    #[arg(long)]
    pub all: bool,
    /// Only this collection
    #[arg(long)]
    pub collection: Option<String>,
}

/// `resolve`
#[derive(Debug, Args)]
pub struct ResolveArgs {
    /// The conflict's number, as `conflicts` shows it
    pub id: i64,
    /// What to do
    #[command(flatten)]
    pub choice: Choice,
}

/// The ways to decide a conflict.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub struct Choice {
    /// Take this side's value: local, an upstream, or base
    #[arg(long, value_name = "SIDE")]
    pub take: Option<String>,
    /// Set this value, as JSON; one per field of the conflict
    #[arg(long, value_name = "JSON", num_args = 1..)]
    pub value: Vec<String>,
    /// Delete the record everywhere
    #[arg(long)]
    pub delete: bool,
    /// Keep the record, and create it again where it is missing
    #[arg(long)]
    pub keep: bool,
}

/// `settle`
#[derive(Debug, Args)]
pub struct SettleArgs {
    /// The record: a local id or COLLECTION/ID, as `status` shows it
    pub record: String,
    /// The upstream that was written to
    pub upstream: String,
    /// What became of it
    #[command(flatten)]
    pub outcome: Settled,
}

/// What became of a write.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub struct Settled {
    /// It was made there, under this id
    #[arg(long, value_name = "REMOTE_ID")]
    pub made: Option<String>,
    /// It never happened: it is made anew if it is still wanted
    #[arg(long)]
    pub not_made: bool,
}

/// `approve`
#[derive(Debug, Args)]
pub struct ApproveArgs {
    /// The halt's number, as `status` shows it
    pub halt: i64,
    /// Of an upstream that was set back (restored from a backup): whose state counts, `local` or the upstream
    #[arg(long, value_name = "SIDE")]
    pub wins: Option<String>,
}

/// `reject`
#[derive(Debug, Args)]
pub struct RejectArgs {
    /// The halt's number, as `status` shows it
    pub halt: i64,
}

/// `install`
#[derive(Debug, Args)]
pub struct InstallArgs {
    /// Below this folder, as for the image of another machine
    #[arg(long, value_name = "DIR", default_value = "/")]
    pub root: PathBuf,
    /// Where the program and its units go
    #[arg(long, value_name = "DIR", default_value = "/usr/local")]
    pub prefix: String,
    /// Tell what would be done, and do nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Take away what was installed; what was edited, rules and the database stay
    #[arg(long)]
    pub remove: bool,
}

/// Which seeds.
#[derive(Debug, Args)]
pub struct SimArgs {
    /// The first seed.
    pub seed: u64,
    /// How many seeds.
    #[arg(default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    pub count: u64,
    /// Run each seed twice: it must give the same trace.
    #[arg(long)]
    pub twice: bool,
    /// Stop at the first seed that fails.
    #[arg(long)]
    pub first: bool,
}

/// `demo`
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// Leave the database and rules of the demo in this (new or empty) folder
    #[arg(long, value_name = "DIR")]
    pub keep: Option<PathBuf>,
}

/// `completions`
#[derive(Debug, Args)]
pub struct CompletionsArgs {
    /// Which shell
    pub shell: clap_complete::Shell,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_grammar_is_sound() {
        CommandLine::command().debug_assert();
    }
}
