//! Owns: `repair`: what would be mended, or was.
//!
//! Must not know: how anything is found or mended.

use serde::Serialize;

use crate::ops::{Finding, Repairs, repair, verify};

use super::args_keeping::RepairArgs;
use super::exit::{CliError, Exit};
use super::out::Out;
use super::style::{self, clean, count, paint};
use super::verify::finding_text;
use super::workspace::{SecretsAre, Workspace};

/// What `repair --json` prints.
#[derive(Debug, Serialize)]
struct Repair {
    /// It was done; else it is a plan.
    applied: bool,
    #[serde(flatten)]
    repairs: Repairs,
}

/// Plans, or does it.
pub fn run(args: &RepairArgs, workspace: &Workspace, out: &Out) -> Result<Exit, CliError> {
    let rules = workspace.rules(SecretsAre::Unused, out)?;
    let (database, busy_ms) = (&workspace.settings().database, workspace.busy_ms());
    let repairs = if args.apply {
        repair(database, &rules, workspace.clock().now().timestamp_micros(), busy_ms)?
    } else {
        let (mended, left) = verify(database, &rules, busy_ms)?.into_iter().partition(|finding| finding.mendable);
        Repairs { backup: None, mended, left }
    };
    let exit = match (args.apply, repairs.mended.is_empty(), repairs.left.is_empty()) {
        (_, _, false) => Exit::ERROR,
        (false, false, true) => Exit::PENDING,
        (true, _, true) | (false, true, true) => Exit::IN_SYNC,
    };
    let done = Repair { applied: args.apply, repairs };
    out.show(&done, |done, _width| text(done))?;
    Ok(exit)
}

fn text(done: &Repair) -> String {
    let mut text = String::new();
    let Repairs { backup, mended, left } = &done.repairs;
    let heading = if done.applied { "mended" } else { "would be mended" };
    text += &part(heading, mended);
    text += &part("left, because it would be a guess", left);
    if let Some(backup) = backup {
        text += &format!("as it was before: {}\n", clean(backup));
    }
    text += &match (done.applied, mended.len() as u64) {
        (_, 0) if left.is_empty() => format!("{}\n", paint(style::GOOD, "nothing is to be mended")),
        (_, 0) => String::new(),
        (false, found) => {
            format!("{} can be mended: stop the daemon, then `reconciled repair --apply`\n", count(found, "finding"))
        }
        (true, _) => {
            "what was mended is read anew by the next pass; `reconciled plan --full` shows what follows\n".to_owned()
        }
    };
    text
}

fn part(heading: &str, findings: &[Finding]) -> String {
    if findings.is_empty() {
        return String::new();
    }
    let all: String = findings.iter().map(finding_text).collect();
    format!("{heading}:\n{all}")
}
