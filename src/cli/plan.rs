//! Owns: `plan`: what a pass would change, found on a copy of the database that is thrown away.
//!
//! Must not know: how a pass decides.

use serde::Serialize;

use crate::reconcile::{PassOptions, PassReport};

use super::args::PlanArgs;
use super::exit::{CliError, Exit, exit_of_outcome};
use super::out::Out;
use super::progress::Bars;
use super::report::{changes, plan_text};
use super::stop::Stop;
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
        all_changes: args.all || out.is_json(),
    };
    let bars = Bars::new(out);
    let mut passes = Vec::new();
    let mut exit = Exit::IN_SYNC;
    for name in &collections {
        let report = engine.pass(name, &options, &bars).await?;
        exit = exit.or_worse(exit_of_outcome(report.outcome));
        // What is only taken over here is a change as well.
        if changes(&report) > 0 {
            exit = exit.or_worse(Exit::PENDING);
        }
        passes.push(report);
    }
    let plan = Plan { in_sync: exit == Exit::IN_SYNC, passes };
    out.show(&plan, |plan, width| plan_text(&plan.passes, args.all, width))?;
    Ok(exit)
}
