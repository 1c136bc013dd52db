//! Owns: the way of a command from arguments to exit code; the only place that ends the process.
//!
//! Must not know: what any command does.

use std::future::Future;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser as _;

use crate::daemon::Passed;
use crate::telemetry::{self, Form, Traced, is_journal};
use crate::upstream;
#[cfg(feature = "otlp")]
use crate::upstream::HttpTransport;

use super::args::{Command, CommandLine, Global};
use super::exit::{CliError, Exit, exit_of_error};
use super::out::Out;
use super::workspace::Workspace;
use super::{
    apply, approve, ask, auth, backup, check, completions, conflicts, demo, doctor, explain, fetch, history, init,
    install, key, manual, plan, print_config, record, reject, repair, replay, resolve, run as run_command, schema,
    secret, settle, show, sim, status, undo, usage, verify,
};

/// So long the end of the process waits for renewals of tokens that are under way.
const RENEWALS_MAX: Duration = Duration::from_secs(10);

/// Runs the command that the process was started with.
pub fn main() -> ExitCode {
    end_at_a_panic();
    ExitCode::from(run().code())
}

/// A panic is a bug, on whichever thread: its message is told, and the process ends as one that was killed does. A process
/// that goes on without one of its threads would look alive and do nothing.
fn end_at_a_panic() {
    let tell = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        tell(panic);
        #[expect(clippy::exit, clippy::disallowed_methods, reason = "no thread may go on after a panic of any")]
        std::process::exit(i32::from(Exit::ERROR.code()));
    }));
}

fn run() -> Exit {
    let line = match CommandLine::try_parse() {
        Ok(line) => line,
        Err(error) => return refuse(&error),
    };
    let plain = Out::new(line.global.color.as_deref().unwrap_or("auto"), line.global.json, line.global.quiet);
    match dispatch(&line, &plain) {
        Ok(exit) => exit,
        Err(error) => {
            plain.insist(&error_text(&error));
            exit_of_error(&error)
        }
    }
}

/// Help and version are data; everything else that clap says is about wrong usage.
fn refuse(error: &clap::Error) -> Exit {
    let text = error.render().ansi().to_string();
    let out = Out::new("auto", false, false);
    if error.use_stderr() {
        out.insist(&text);
        return Exit::USAGE;
    }
    // Whether help can be written is nobody's concern.
    out.data(&text).ok();
    Exit::IN_SYNC
}

fn error_text(error: &CliError) -> String {
    match error {
        // Drawn by the rules module, with headings of its own.
        CliError::Rules(text) => text.clone(),
        CliError::Config(_)
        | CliError::Usage(_)
        | CliError::Store(_)
        | CliError::Pass(_)
        | CliError::Upstream { .. }
        | CliError::Vault(_)
        | CliError::NotFound(_)
        | CliError::OtherRules(_)
        | CliError::Stale(_)
        | CliError::Other(_) => super::style::paint(super::style::BAD, "error: ") + &error.to_string(),
    }
}

fn dispatch(line: &CommandLine, plain: &Out) -> Result<Exit, CliError> {
    let Some(command) = line.command.as_ref().filter(|_| !line.global.print_config) else {
        if line.global.print_config {
            return print_config::run(Workspace::load(&line.global)?.settings(), plain);
        }
        return Err(CliError::Usage("no command; `reconciled --help` lists them".to_owned()));
    };
    match command {
        Command::Completions(args) => return completions::run(args, plain),
        Command::Man(args) => return manual::run(args, plain),
        Command::Schema => return schema::run(plain),
        Command::Install(args) => return install::run(args, plain),
        Command::Demo(args) => return wait(demo::run(args, plain)),
        Command::Sim(args) => return sim::run(args, plain),
        // What is wrong with the settings is one of its findings.
        Command::Doctor(args) => return wait(doctor::run(args, &line.global, plain)),
        _ => {}
    }
    // Before any thread is started.
    let passed = match command {
        Command::Run(args) if !args.once && !args.dry_run => Passed::take(),
        _ => Passed::default(),
    };
    let workspace = Workspace::load(&line.global)?;
    let out = Out::new(&workspace.settings().color, line.global.json, line.global.quiet);
    let _log = start_log(&line.global, command, &workspace, &out)?;
    match command {
        Command::Run(args) => wait(run_command::run(args, passed, &workspace, &out)),
        Command::Sync(args) => wait(ask::sync(args, &workspace, &out)),
        Command::Pause(args) => wait(ask::pause(args, true, &workspace, &out)),
        Command::Resume(args) => wait(ask::pause(args, false, &workspace, &out)),
        Command::Plan(args) => wait(plan::run(args, &workspace, &out)),
        Command::Apply(args) => wait(apply::run(args, &workspace, &out)),
        Command::Init(args) => init::run(args, &workspace, &out),
        Command::Check(args) => wait(check::run(args, &workspace, &out)),
        Command::Fetch(args) => wait(fetch::run(args, &workspace, &out)),
        Command::Record(args) => wait(record::run(args, &workspace, &out)),
        Command::Replay(args) => wait(replay::run(args, &workspace, &out)),
        Command::Status => wait(status::run(&workspace, &out)),
        Command::Usage(args) => wait(usage::run(args, &workspace, &out)),
        Command::Show(args) => wait(show::run(args, &workspace, &out)),
        Command::Explain(args) => wait(explain::run(args, &workspace, &out)),
        Command::History(args) => wait(history::run(args, &workspace, &out)),
        Command::Conflicts(args) => wait(conflicts::run(args, &workspace, &out)),
        Command::Undo(args) => wait(undo::run(args, &workspace, &out)),
        Command::Resolve(args) => wait(resolve::run(args, &workspace, &out)),
        Command::Settle(args) => wait(settle::run(args, &workspace, &out)),
        Command::Reject(args) => wait(reject::run(args, &workspace, &out)),
        Command::Backup(_) | Command::Restore(_) => backup::run(command, &workspace, &out),
        Command::Verify(args) => wait(verify::run(args, &workspace, &out)),
        Command::Repair(args) => repair::run(args, &workspace, &out),
        Command::Auth(args) => wait(auth::run(args, &workspace, &out)),
        Command::Secret(args) => secret::run(args, &workspace, &out),
        Command::Key(args) => key::run(args, &workspace, &out),
        Command::Approve(args) => wait(approve::run(args, &workspace, &out)),
        // Done above, before anything was loaded.
        Command::Completions(_)
        | Command::Man(_)
        | Command::Schema
        | Command::Install(_)
        | Command::Demo(_)
        | Command::Sim(_)
        | Command::Doctor(_) => Ok(Exit::IN_SYNC),
    }
}

/// Runs a command's work to its end on an executor of its own.
fn wait<T>(work: impl Future<Output = Result<T, CliError>>) -> Result<T, CliError> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| CliError::Other(format!("no threads to work with: {error}")))?;
    let result = runtime.block_on(async {
        let result = work.await;
        // A token that is being renewed would be lost with the answer.
        let _too_slow = tokio::time::timeout(RENEWALS_MAX, upstream::renewals_are_over()).await;
        result
    });
    // What still runs in the background (a read of a slow pipe, a query) must not hold up the end of the process.
    runtime.shutdown_background();
    result
}

fn start_log(
    global: &Global,
    command: &Command,
    workspace: &Workspace,
    out: &Out,
) -> Result<telemetry::Guard, CliError> {
    let settings = workspace.settings();
    let directives = std::env::var("RECONCILED_LOG").ok().filter(|text| !text.is_empty());
    let is_daemon = matches!(command, Command::Run(args) if !args.once && !args.dry_run);
    let level = match (global.quiet, global.verbose) {
        (true, _) => "error",
        (false, 0) if is_daemon || settings.is_set("log.level") => settings.log_level.as_str(),
        // One-shot commands speak through their output.
        (false, 0) => "warn",
        (false, 1) => "debug",
        (false, _) => "trace",
    };
    let filter = match level {
        "off" | "error" | "warn" => level.to_owned(),
        _ => format!("warn,reconciled={level}"),
    };
    let filter = directives.clone().unwrap_or(filter);
    let stream = std::env::var("JOURNAL_STREAM").ok();
    let form = match settings.log_format.as_str() {
        "json" => Form::Json,
        "journal" => Form::Journal(settings.journal_socket.clone()),
        "auto" if is_journal(stream.as_deref(), std::io::stderr()) => Form::Journal(settings.journal_socket.clone()),
        _ => Form::Text,
    };
    let makes_passes = matches!(command, Command::Run(_) | Command::Sync(_) | Command::Plan(_) | Command::Apply(_));
    let traced = if makes_passes { traced(&settings.otlp_endpoint) } else { None };
    let options = telemetry::Options { filter, form, color: out.colors_talk(), traced };
    telemetry::start(&options).map_err(|why| CliError::Usage(format!("RECONCILED_LOG {why}")))
}

/// Where traces go.
fn traced(endpoint: &str) -> Option<Traced> {
    let endpoint = Some(endpoint).filter(|endpoint| !endpoint.is_empty())?.to_owned();
    #[cfg(feature = "otlp")]
    let client = HttpTransport::new().plain_client().map_err(|error| error.to_string());
    Some(Traced {
        endpoint,
        #[cfg(feature = "otlp")]
        client,
    })
}
