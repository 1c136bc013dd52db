//! Owns: `reject`: what a guard stopped is not wanted; its collection rests.
//!
//! Must not know: guards.

use serde::Serialize;

use super::args::RejectArgs;
use super::ask;
use super::exit::{CliError, Exit};
use super::out::Out;
use super::style;
use super::workspace::Workspace;

/// What `reject --json` prints.
#[derive(Debug, Serialize)]
struct Done {
    halt: i64,
    collection: String,
}

/// Rejects the halt.
pub async fn run(args: &RejectArgs, workspace: &Workspace, out: &Out) -> Result<Exit, CliError> {
    let collection = ask::reject(args.halt, workspace).await?;
    let done = Done { halt: args.halt, collection };
    out.show(&done, |done, _width| {
        let name = style::clean(&done.collection);
        format!(
            "halt {} is rejected: nothing of it is done, and {name} is paused; put right what led to it, then let it go on: \
             `reconciled resume {name}`\n",
            done.halt
        )
    })?;
    Ok(Exit::IN_SYNC)
}
