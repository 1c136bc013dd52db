//! Owns: `resolve`: a person's choice for a conflict, written down for the next pass.
//!
//! Must not know: which choices there are; how the engine applies one.

use serde::Serialize;
use serde_json::value::RawValue;

use crate::ops::{Choice, Resolved, raw};

use super::args::ResolveArgs;
use super::ask;
use super::conflicts::choice_words;
use super::exit::{CliError, Exit};
use super::out::Out;
use super::workspace::Workspace;

/// What `resolve --json` prints.
#[derive(Debug, Serialize)]
struct Done {
    conflict: i64,
    resolution: Option<Box<RawValue>>,
}

/// Writes the choice down.
pub async fn run(args: &ResolveArgs, workspace: &Workspace, out: &Out) -> Result<Exit, CliError> {
    let choice = Choice {
        take: args.choice.take.clone(),
        values: args.choice.value.clone(),
        delete: args.choice.delete,
        keep: args.choice.keep,
        ..Choice::default()
    };
    let Resolved { conflict, fields, resolution } = ask::resolve(args.id, choice, workspace, out).await?;
    let words = choice_words(&resolution, &fields);
    let done = Done { conflict, resolution: raw(&resolution) };
    out.show(&done, |done, _width| {
        format!("conflict {}: {}: written down, the next pass applies it\n", done.conflict, words)
    })?;
    Ok(Exit::IN_SYNC)
}
