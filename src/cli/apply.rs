//! Owns: saved plans as files, and `apply`, which has one carried out: exactly, or not at all.
//!
//! Must not know: how a pass compares what it would do with a plan.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;

use chrono::SecondsFormat;
use serde::{Deserialize, Serialize};

use crate::ops;
use crate::reconcile::{Outcome, PassReport};

use super::args::{ApplyArgs, RunArgs};
use super::ask;
use super::exit::{CliError, Exit};
use super::out::Out;
use super::run;
use super::workspace::{SecretsAre, Workspace, select_collections};
use crate::daemon::Passed;

/// What such a file says of itself.
const FORMAT: &str = "reconciled-plan-1";
/// No plan is larger, in bytes.
const BYTES_MAX: u64 = 4 << 30;

/// A plan in a file.
#[derive(Debug, Serialize, Deserialize)]
pub struct SavedPlan {
    format: String,
    /// When it was made (RFC 3339).
    made_at: String,
    /// Everything was read for it.
    full: bool,
    /// Of each collection.
    passes: Vec<PassReport>,
}

impl SavedPlan {
    /// Of these passes.
    pub fn new(passes: Vec<PassReport>, full: bool, workspace: &Workspace) -> Self {
        let made_at = workspace.clock().now().to_rfc3339_opts(SecondsFormat::Secs, true);
        Self { format: FORMAT.to_owned(), made_at, full, passes }
    }

    /// Writes it to a file, for its owner only: it holds what records say. One that is there is replaced, unless it is no plan.
    pub fn write(&self, to: &Path) -> Result<(), CliError> {
        let at = |error: &dyn std::fmt::Display| CliError::Other(format!("{}: {error}", to.display()));
        if to.exists() {
            Self::read(to).map_err(|error| CliError::Usage(format!("{error}: it is not written over")))?;
        }
        let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let made = tempfile::Builder::new().prefix(".reconciled-plan-").tempfile_in(folder);
        let mut file = made.map_err(|error| at(&error))?;
        let mut text = serde_json::to_vec_pretty(self).map_err(|error| at(&error))?;
        text.push(b'\n');
        file.write_all(&text).and_then(|()| file.as_file().sync_all()).map_err(|error| at(&error))?;
        file.persist(to).map_err(|error| at(&error.error))?;
        Ok(())
    }

    fn read(from: &Path) -> Result<Self, CliError> {
        let wrong = |what: &dyn std::fmt::Display| CliError::Usage(format!("{}: {what}", from.display()));
        let about = std::fs::metadata(from).map_err(|error| wrong(&error))?;
        if !about.is_file() || about.len() > BYTES_MAX {
            return Err(wrong(&"no plan of `reconciled plan --out`"));
        }
        let text = std::fs::read(from).map_err(|error| wrong(&error))?;
        let plan: Self = serde_json::from_slice(&text)
            .map_err(|error| wrong(&format!("no plan of `reconciled plan --out` ({error})")))?;
        if plan.format != FORMAT {
            let what = format!("a plan of another version of this program ({}): make it anew", plan.format);
            return Err(wrong(&what));
        }
        Ok(plan)
    }

    /// The hash of the rules that it was made by.
    fn rules(&self) -> &str {
        self.passes.first().map_or("", |report| report.rules.as_str())
    }

    /// The fingerprints that passes are bound to, by collection; why there are none otherwise.
    fn fingerprints(&self) -> Result<BTreeMap<String, String>, CliError> {
        let of = |report: &PassReport| {
            let why = match (report.outcome, &report.fingerprint) {
                (Outcome::Halted, _) => "was halted by a guard: `reconciled approve` lets such a plan through",
                (Outcome::Unavailable, _) => "lacks an upstream that could not be read: make the plan anew",
                (Outcome::Failed, _) | (_, None) => "was not decided: make the plan anew",
                (Outcome::Conflicts | Outcome::Pending | Outcome::Ok, Some(fingerprint)) => {
                    return Ok((report.collection.clone(), fingerprint.clone()));
                }
            };
            Err(CliError::Usage(format!("the plan of {} {why}", report.collection)))
        };
        self.passes.iter().map(of).collect()
    }
}

/// Has a saved plan carried out.
pub async fn run(args: &ApplyArgs, workspace: &Workspace, out: &Out) -> Result<Exit, CliError> {
    let plan = SavedPlan::read(&args.file)?;
    let plans = plan.fingerprints()?;
    if let Some(daemon) = ask::Daemon::find(workspace)? {
        return ask::apply(&daemon, (plan.rules().to_owned(), plan.full, plans), out).await;
    }
    let rules = workspace.rules(SecretsAre::Needed, out)?;
    let collections: Vec<String> = plans.keys().cloned().collect();
    select_collections(&rules, &collections)?;
    if rules.hash != plan.rules() {
        return Err(CliError::Stale(OTHER_RULES.to_owned()));
    }
    let store = workspace.store_to_run(&rules)?;
    ops::bind_plans(store.as_ref(), &plans).await?;
    drop(store);
    let args = RunArgs { once: true, dry_run: false, full: plan.full, collections };
    run::run(&args, Passed::default(), workspace, out).await
}

const OTHER_RULES: &str = "the rules have changed since the plan was made: make it anew";
