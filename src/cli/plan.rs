//! Owns: `plan`: what a pass would change, found on a copy of the database that is thrown away; by the running daemon, or here
//! where none runs.
//!
//! Must not know: how a pass decides.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::future::BoxFuture;
use serde::Serialize;

use crate::reconcile::{Engine, PassOptions, PassReport};
use crate::web::{Copied, Line, PlanRequest, Planner, whole_path};

use super::apply::SavedPlan;
use super::args::PlanArgs;
use super::ask::{Daemon, LINES_BYTES_MAX, WHOLE_BYTES_MAX};
use super::beside::{Beside, each};
use super::exit::{CliError, Exit, exit_of_outcome};
use super::out::Out;
use super::progress::Bars;
use super::report::{changes, plan_text};
use super::stop::Stop;
use super::style;
use super::workspace::{SecretsAre, Workspace, select_collections};

/// What `plan --json` prints.
#[derive(Debug, Serialize)]
struct Plan {
    in_sync: bool,
    passes: Vec<PassReport>,
}

/// Shows the plan. A signal ends it, and takes the copy of the database along.
pub async fn run(args: &PlanArgs, workspace: &Workspace, out: &Out) -> Result<Exit, CliError> {
    let mut stop = Stop::listen();
    tokio::select! {
        biased;
        () = stop.asked() => Err(CliError::Other("interrupted; a plan changes nothing, and its copy of the database is gone".to_owned())),
        made = make(args, workspace, out) => made.map_err(|error| workspace.told_of_original(error)),
    }
}

async fn make(args: &PlanArgs, workspace: &Workspace, out: &Out) -> Result<Exit, CliError> {
    // Whoever may not ask it may be able to read the database all the same.
    let daemon = Daemon::find(workspace).unwrap_or_else(|error| {
        out.talk(&format!("{error}; this plan is made without it"));
        None
    });
    if let Some(daemon) = daemon {
        match ask(&daemon, args, workspace, out).await {
            Err(CliError::OtherRules(words)) => {
                let folder = workspace.settings().rules_dir.display();
                out.talk(&format!("{words}; this plan is by those in {folder}"));
            }
            // A daemon of an earlier version.
            Err(CliError::NotFound(_)) => {}
            done => return done,
        }
    }
    let rules = workspace.rules(SecretsAre::Needed, out)?;
    let collections = select_collections(&rules, &args.collections)?;
    let scratch = workspace.scratch(&rules).await?;
    let (engine, notices) = workspace.engine_with_notices(scratch.store(), &rules).await?;
    for notice in notices {
        out.talk(&format!("not done by a plan: {notice}"));
    }
    let options = PassOptions {
        trigger: "plan".to_owned(),
        full: args.full,
        dry_run: true,
        all_changes: args.all || args.out.is_some() || out.is_json(),
    };
    let bars = Bars::new(out);
    let beside = Beside::begin(workspace, each(engine.clients()), out);
    let mut passes = Ok(Vec::new());
    for name in &collections {
        let Ok(made) = &mut passes else { break };
        match engine.pass(name, &options, &bars).await {
            Ok(report) => made.push(report),
            Err(error) => passes = Err(error),
        }
    }
    beside.end(workspace, each(engine.clients()), out).await;
    show(passes?, args, workspace, out)
}

/// Has the running daemon make it.
async fn ask(daemon: &Daemon, args: &PlanArgs, workspace: &Workspace, out: &Out) -> Result<Exit, CliError> {
    let asked = PlanRequest {
        collections: args.collections.clone(),
        full: args.full,
        all: args.all || args.out.is_some() || out.is_json(),
        rules_dir: Some(whole_path(&workspace.settings().rules_dir)),
    };
    let (mut names, mut passes) = (Vec::new(), Vec::new());
    let take = |line| {
        match line {
            Line::Accepted(collections) => names = collections,
            Line::Note(words) => out.talk(&style::clean(&words)),
            Line::Step { collection, text } if out.shows_progress() => {
                out.talk(&format!("{}: {}", style::clean(&collection), style::clean(&text)));
            }
            // The last two are gathered before they come here.
            Line::Step { .. } | Line::Changes(_) | Line::Part { .. } => {}
            Line::Report(report) => passes.push(*report),
            Line::Failed { error, .. } => return Err(CliError::Other(style::clean(&error))),
        }
        Ok(())
    };
    let bytes_max = if asked.all { WHOLE_BYTES_MAX } else { LINES_BYTES_MAX };
    daemon.follow("plan", &asked, bytes_max, take).await?;
    if passes.len() < names.len() {
        return Err(CliError::Other("the daemon ended before the plan was made".to_owned()));
    }
    show(passes, args, workspace, out)
}

/// Shows it, and saves it where that is asked for.
fn show(passes: Vec<PassReport>, args: &PlanArgs, workspace: &Workspace, out: &Out) -> Result<Exit, CliError> {
    let mut exit = Exit::IN_SYNC;
    for report in &passes {
        exit = exit.or_worse(exit_of_outcome(report.outcome));
        // What is only taken over here is a change as well.
        if changes(report) > 0 {
            exit = exit.or_worse(Exit::PENDING);
        }
    }
    let plan = Plan { in_sync: exit == Exit::IN_SYNC, passes };
    out.show(&plan, |plan, width| plan_text(&plan.passes, args.all, width))?;
    if let Some(file) = &args.out {
        SavedPlan::new(plan.passes, args.full, workspace).write(file)?;
        out.talk(&format!("saved; `reconciled apply {}` makes exactly this, or nothing", file.display()));
    }
    Ok(exit)
}

/// Makes the copies for plans that the daemon is asked for.
pub struct Plans {
    workspace: Workspace,
    rules_dir: PathBuf,
    in_force: Mutex<Arc<Engine>>,
}

impl Plans {
    /// By the rules of this engine.
    pub fn new(workspace: &Workspace, engine: &Arc<Engine>) -> Self {
        let rules_dir = whole_path(&workspace.settings().rules_dir);
        Self { workspace: workspace.clone(), rules_dir, in_force: Mutex::new(Arc::clone(engine)) }
    }

    /// From now on by the rules of this one.
    pub fn comes_into_force(&self, engine: &Arc<Engine>) {
        *self.in_force.lock().unwrap_or_else(PoisonError::into_inner) = Arc::clone(engine);
    }
}

impl Planner for Plans {
    fn rules_dir(&self) -> &Path {
        &self.rules_dir
    }

    fn copy(&self) -> BoxFuture<'_, Result<Copied, String>> {
        Box::pin(async {
            let in_force = Arc::clone(&self.in_force.lock().unwrap_or_else(PoisonError::into_inner));
            let copied = async {
                let scratch = self.workspace.scratch(in_force.rules()).await?;
                let (engine, notices) = in_force.over_copy(scratch.store()).await?;
                Ok(Copied { engine, notices, folder: scratch.into_folder() })
            };
            copied.await.map_err(|error: CliError| self.workspace.told_of_original(error).to_string())
        })
    }
}
