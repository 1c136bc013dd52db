//! Owns: the grammar of the command line: commands, flags, their help.
//!
//! Must not know: what any command does.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::config::Overrides;
use crate::ops::{USAGE_DAYS, USAGE_DAYS_MAX};

use super::args_keeping::{BackupArgs, RepairArgs, RestoreArgs, UndoArgs, VerifyArgs};
use super::args_rules::{CheckArgs, FetchArgs, InitArgs, RecordArgs, ReplayArgs};
use super::args_secrets::{AuthArgs, KeyArgs, SecretArgs};
use super::examples;

const EXIT_CODES: &str = "\
Examples:
  reconciled demo      see it work, in a minute
  reconciled check     are rules, settings and secrets right?
  reconciled plan      what would a pass change?
  reconciled run       keep in sync until stopped
  reconciled status    how do things stand?

Exit codes:
  0  in sync, or done            4  conflicts are open
  1  error                       5  halted by a guard
  2  usage, rules or settings    6  an upstream is unavailable
  3  changes are pending         7  another reconciled holds the database
Of several the worst counts, in the order 1, 7, 2, 5, 6, 4, 3.

Data goes to stdout, everything else to stderr.";

/// Keeps a local SQLite database and HTTP/JSON systems in agreement, in both directions.
#[derive(Debug, Parser)]
#[command(name = "reconciled", version, after_help = EXIT_CODES, subcommand_required = false, arg_required_else_help = true)]
#[command(infer_subcommands = false, disable_help_subcommand = true, subcommand_value_name = "COMMAND")]
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
    ///
    /// Only this file is read, then. Without it the first of the two that is there.
    #[arg(long, global = true, value_name = "FILE", help_heading = "Global options")]
    pub config: Option<PathBuf>,
    /// Database file (setting `database`) [default: reconciled.db]
    #[arg(long, global = true, value_name = "FILE", help_heading = "Global options")]
    pub db: Option<String>,
    /// Folder of rules, or one file (setting `rules_dir`) [default: sync-rules]
    #[arg(long, global = true, value_name = "DIR", help_heading = "Global options")]
    pub rules: Option<String>,
    /// Print data as JSON
    ///
    /// One document, or one a line where a command reports pass by pass; docs/json.md describes the layouts.
    #[arg(long, global = true, help_heading = "Global options")]
    pub json: bool,
    /// Colour: auto, always, never (setting `color`) [default: auto]
    #[arg(long, global = true, value_name = "WHEN", value_parser = ["auto", "always", "never"], hide_possible_values = true)]
    #[arg(help_heading = "Global options")]
    pub color: Option<String>,
    /// Log level: off, error, warn, info, debug, trace (setting `log.level`) [default: info for the daemon, else warn]
    #[arg(long, global = true, value_name = "LEVEL", hide_possible_values = true, help_heading = "Global options")]
    #[arg(value_parser = ["off", "error", "warn", "info", "debug", "trace"])]
    pub log_level: Option<String>,
    /// Log errors only, show no progress
    #[arg(short, long, global = true, conflicts_with = "verbose", help_heading = "Global options")]
    pub quiet: bool,
    /// Log more: once for `debug`, twice for `trace`
    #[arg(short, long, global = true, action = clap::ArgAction::Count, help_heading = "Global options")]
    pub verbose: u8,
    /// Print every setting with where it comes from, and stop
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
    ///
    /// Without --once this is the daemon: it makes a pass of each collection by its `every` or `schedule`, when rows are edited here, when
    /// webhooks come and when it is asked, until SIGTERM or SIGINT. It serves pages, API and metrics where `web.listen` says, and
    /// takes webhooks where `webhooks.listen` says. A daemon that is stopped ends with 0.
    ///
    /// With --once each collection has one pass, those first that others refer to. The exit code is the worst of them.
    #[command(after_help = examples::RUN)]
    Run(RunArgs),
    /// Sync now: ask the running daemon, or make one pass where none runs
    ///
    /// The daemon shows what its passes are at, and this ends with their exit code. Where no daemon runs this is `run --once`.
    #[command(after_help = examples::SYNC)]
    Sync(SyncArgs),
    /// Let collections rest: no passes until they are resumed
    ///
    /// Also over a restart of the daemon. A pass that runs is finished. Edits, webhooks and decisions wait. `run --once` and
    /// `plan`, which are no daemon, go on regardless.
    #[command(after_help = examples::PAUSE)]
    Pause(NamedArgs),
    /// Let paused collections go on
    ///
    /// What became due while they rested is done at once, in one pass.
    #[command(after_help = examples::RESUME)]
    Resume(NamedArgs),
    /// Show what a pass would change, and change nothing
    ///
    /// The pass is made on a copy of the database, which is thrown away; upstreams are read and not written to. Ends with 3
    /// where something would change, with 5 where a guard would halt the pass.
    #[command(after_help = examples::PLAN)]
    Plan(PlanArgs),
    /// Make exactly the changes of a saved plan, or none
    ///
    /// Upstreams are read anew, as for the plan. Where that leads to anything else than what the file says (a record changed since, here or
    /// there, or the rules did), nothing is changed, what would be done now is shown, and the exit code is 3. Each collection stands for itself.
    #[command(after_help = examples::APPLY)]
    Apply(ApplyArgs),
    /// Propose rules for a collection, by sample answers of its upstream or by an OpenAPI description
    ///
    /// They pass the check, and each guess is marked with its reason. They only read: how writes might go stands in comments, for a person to allow. No value of a sample gets into them.
    #[command(after_help = examples::INIT)]
    Init(InitArgs),
    /// Check rules, settings and secrets; with --online ask the upstreams as well
    ///
    /// All mistakes are shown at once, each in its file with its remedy. Changes nothing. Ends with 2 where something is wrong.
    #[command(after_help = examples::CHECK)]
    Check(CheckArgs),
    /// Show some records of a binding as the upstream has them, beside what the rules make of them
    ///
    /// Reads from the upstream and changes nothing there; here it only keeps what it took of budgets, and a pause that it was asked for. No database is needed. Members that nothing reads are named. An upstream that wants to be left alone, or whose budget has no room within ten seconds, is not asked: it says until when, and ends with 6.
    #[command(after_help = examples::FETCH)]
    Fetch(FetchArgs),
    /// Record on a cassette what a first pass reads, without secrets, so that rules can be tried offline
    ///
    /// Makes the requests of a first pass into an empty database, and writes them with their answers into a file (JSON Lines, readable
    /// by you alone): no write is sent, and your database is not touched. Credentials, cookies, every secret of the rules and members
    /// that hold secrets by their name (`access_token`, `password`) are masked before anything reaches the disk; --redact masks personal data.
    #[command(after_help = examples::RECORD)]
    Record(RecordArgs),
    /// Try the rules offline on a cassette: what they make of its records, and what a first pass would change
    ///
    /// Nobody is asked, and no secret is needed. What the rules ask for and the cassette lacks is named, with the nearest request that it
    /// has and what differs; this then ends with 6. It is the time of the recording. Ends with 0 where the records can be taken over.
    #[command(after_help = examples::REPLAY)]
    Replay(ReplayArgs),
    /// Show passes, links, and what waits for a person
    ///
    /// Asks the running daemon where there is one. The exit code says how things stand (0, or 3 to 6), so that this can be monitored.
    #[command(after_help = examples::STATUS)]
    Status,
    /// Show what was asked of upstreams, what it cost, and when a quota would run out
    ///
    /// Counted over all passes, whoever made them. `cost_usd` of a `budget` and the `quota` of an upstream are set in the rules.
    ///
    /// `a day` is the mean of whole days; with `~` it is today's pace, because no whole day is known. `at its end` is how much of
    /// the quota will have been used when its day or month (UTC) ends.
    #[command(after_help = examples::USAGE)]
    Usage(UsageArgs),
    /// Look for what is wrong around the program, and change nothing
    ///
    /// Looks at settings, rules, secrets, who may read and write files, the database and its disk, the clock, the unit, the daemon, and
    /// asks each upstream, within its budgets. Each finding has its remedy. Ends with 1 where something must be put right.
    #[command(after_help = examples::DOCTOR)]
    Doctor(DoctorArgs),
    /// Show a record: its values here, at the base and at each upstream
    ///
    /// The base is what all sides agreed on last. Upstreams are shown as they were read last; they are not asked.
    #[command(after_help = examples::SHOW)]
    Show(ShowArgs),
    /// Explain why a record (or one field) is as it is
    ///
    /// For every field: who set it, which rule decided, which were tried before, what lost, and its history.
    #[command(after_help = examples::EXPLAIN)]
    Explain(ExplainArgs),
    /// List what changed, newest first
    #[command(after_help = examples::HISTORY)]
    History(HistoryArgs),
    /// Take back what a pass changed, as edits that the next pass sends on; a plan, unless --apply says so
    ///
    /// What the pass wrote here, and what it sent of edits made here, becomes what it was before, by field, where it is still what the
    /// pass left; rows that it deleted are made again. What has been changed since stays, and is listed. Records that it created stay
    /// unless --delete says so. Nothing is sent by this: the next pass merges and sends it like any edit, within its guards. An undo
    /// has a number and can be taken back itself. Ends with 3 where a plan would change something, and where something stays.
    #[command(after_help = examples::UNDO)]
    Undo(UndoArgs),
    /// List open conflicts
    ///
    /// Each with every side's value and the commands that decide it. Ends with 4 where any is open.
    #[command(after_help = examples::CONFLICTS)]
    Conflicts(ConflictsArgs),
    /// Decide a conflict; the next pass applies it
    ///
    /// A conflict about fields takes --take or --value, one about whether a record exists --delete or --keep. A running daemon makes
    /// that pass at once.
    #[command(after_help = examples::RESOLVE)]
    Resolve(ResolveArgs),
    /// Say what became of a write whose outcome nobody knows
    ///
    /// A write whose answer was lost, and of which no evidence is found, waits: `status` lists it. Look at the upstream, and say.
    #[command(after_help = examples::SETTLE)]
    Settle(SettleArgs),
    /// Approve a plan that a guard halted; the next pass carries it out
    ///
    /// Once, and only if the pass would still do exactly that. A running daemon makes it at once.
    #[command(after_help = examples::APPROVE)]
    Approve(ApproveArgs),
    /// Reject a plan that a guard halted: nothing of it is done, and its collection rests
    ///
    /// An approval that was given is taken back. `resume` lets the collection go on, which halts again if nothing has changed.
    #[command(after_help = examples::REJECT)]
    Reject(RejectArgs),
    /// Back the database up into a file, also while a daemon works on it
    ///
    /// The copy is as the database is at one moment, gets its name when it is whole and checked, and can be read by you alone. It is not
    /// everything: rules, settings, secrets, the vault and the master key are files of their own, which are named.
    #[command(after_help = examples::BACKUP)]
    Backup(BackupArgs),
    /// Put a backup in the place of the database, which is kept beside it
    ///
    /// No daemon may run, and nobody else may have the database open. The backup is checked first. The next pass reads everything
    /// anew, and halts before anything is changed, deleted or sent, until you approve that; writes that were on their way when the
    /// backup was made are looked for then.
    #[command(after_help = examples::RESTORE)]
    Restore(RestoreArgs),
    /// Check that the database is whole and consistent; with --deep, ask upstreams, too
    ///
    /// Looks at the file, at foreign keys, at what the engine's own tables must say of each other, at rows, types and triggers; a daemon
    /// may run. With --deep every linked record is read from its upstream, within its budgets, and compared with the row here. Changes
    /// nothing. Ends with 1 where something is wrong, with 3 where records differ, with 6 where an upstream does not answer.
    #[command(after_help = examples::VERIFY)]
    Verify(VerifyArgs),
    /// Mend what verify finds, where that is no guess; a plan, unless --apply says so
    ///
    /// With --apply no daemon may run; the database is backed up beside itself first, and everything is mended or nothing. What would be
    /// a guess is left, and it says what a person can do. Ends with 3 where a plan would mend something, with 1 where something is left.
    #[command(after_help = examples::REPAIR)]
    Repair(RepairArgs),
    /// Sign in to upstreams with OAuth, see how that stands, give tokens up
    Auth(AuthArgs),
    /// Keep secrets sealed beside the database
    Secret(SecretArgs),
    /// Make or replace the master key that seals tokens and secrets
    Key(KeyArgs),
    /// Put the program, its units, its user and folders on this machine, or take them away
    ///
    /// With man pages and completions. A second run brings them up to date. What you edited is never overwritten: a new version
    /// is put beside it as `.new`. Prints what is left to do.
    #[command(after_help = examples::INSTALL)]
    Install(InstallArgs),
    /// Print the JSON Schema of the rules language
    ///
    /// For editors that complete and check TOML files by it.
    #[command(after_help = examples::SCHEMA)]
    Schema,
    /// Show two-way sync between two made-up upstreams and a database, in a minute
    ///
    /// The upstreams run on loopback and end with it. Nothing is left behind unless --keep says so.
    #[command(after_help = examples::DEMO)]
    Demo(DemoArgs),
    /// Run the simulator's seeds; one seed shows its trace.
    #[command(hide = true)]
    Sim(SimArgs),
    /// Print the completion script of a shell
    ///
    /// The package and `reconciled install` put those of bash, zsh and fish in their places.
    #[command(after_help = examples::COMPLETIONS)]
    Completions(CompletionsArgs),
    /// Print a man page, or write all of them into a folder
    ///
    /// The package and `reconciled install` put them in their places.
    #[command(after_help = examples::MAN)]
    Man(ManArgs),
}

/// `run`
#[derive(Debug, Args)]
pub struct RunArgs {
    /// One pass of each collection, then stop
    #[arg(long)]
    pub once: bool,
    /// Show what a pass would change, like `plan`
    #[arg(long)]
    pub dry_run: bool,
    /// Read everything, even where reading what changed would do
    #[arg(long)]
    pub full: bool,
    /// Only these collections [default: all]
    #[arg(value_name = "COLLECTION")]
    pub collections: Vec<String>,
}

/// `sync`
#[derive(Debug, Args)]
pub struct SyncArgs {
    /// Read everything, even where reading what changed would do
    #[arg(long)]
    pub full: bool,
    /// Only these collections [default: all]
    #[arg(value_name = "COLLECTION")]
    pub collections: Vec<String>,
}

/// `pause`, `resume`
#[derive(Debug, Args)]
pub struct NamedArgs {
    /// Only these collections [default: all]
    #[arg(value_name = "COLLECTION")]
    pub collections: Vec<String>,
}

/// `plan`
#[derive(Debug, Args)]
pub struct PlanArgs {
    /// List every change, also where there are more than 200, which are summed up else
    #[arg(long)]
    pub all: bool,
    /// Save the plan in this file, for `reconciled apply`
    ///
    /// It holds what records say, so that you alone may read it. A plan that is there is replaced.
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Read everything, even where reading what changed would do
    #[arg(long)]
    pub full: bool,
    /// Only these collections [default: all]
    #[arg(value_name = "COLLECTION")]
    pub collections: Vec<String>,
}

/// `apply`
#[derive(Debug, Args)]
pub struct ApplyArgs {
    /// The file that `reconciled plan --out` wrote
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
}

/// `usage`
#[derive(Debug, Args)]
pub struct UsageArgs {
    /// Only this upstream, day by day
    #[arg(value_name = "UPSTREAM")]
    pub upstream: Option<String>,
    /// Over how many days averages are taken, and how many are listed, up to 800
    #[arg(long, default_value_t = USAGE_DAYS, value_parser = clap::value_parser!(u16).range(1..=i64::from(USAGE_DAYS_MAX)))]
    pub days: u16,
}

/// `doctor`
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// Leave out what asks upstreams
    #[arg(long)]
    pub offline: bool,
}

/// `show`
#[derive(Debug, Args)]
pub struct ShowArgs {
    /// The record: a local id, COLLECTION/ID, or a remote id
    pub record: String,
}

/// `explain`
#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// The record: a local id, COLLECTION/ID, or a remote id
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
    /// Only this pass, by its number
    #[arg(long)]
    pub pass: Option<i64>,
    /// Only this collection
    #[arg(long)]
    pub collection: Option<String>,
    /// At most so many entries, up to 100000
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
    /// Take this side's value: `local`, `base`, or the name of an upstream
    #[arg(long, value_name = "SIDE")]
    pub take: Option<String>,
    /// Set this value, as JSON; one for each field of the conflict, in their order
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
    /// Of an upstream that was set back (restored from a backup): whose state counts, `local` or its name
    ///
    /// `local` sends what is here there again; the name of the upstream takes what is there for edits.
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
    /// Do it below this folder, as for the image of another machine
    #[arg(long, value_name = "DIR", default_value = "/")]
    pub root: PathBuf,
    /// Where the program, its units, man pages and completions go
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

/// `man`
#[derive(Debug, Args)]
pub struct ManArgs {
    /// The page of this command, or `reconciled.toml` [default: that of reconciled itself]
    #[arg(value_name = "PAGE")]
    pub page: Option<String>,
    /// Write all pages into this folder instead
    #[arg(long, value_name = "DIR", conflicts_with = "page")]
    pub out: Option<PathBuf>,
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
