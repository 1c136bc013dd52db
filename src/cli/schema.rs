//! Owns: `schema`: the JSON Schema of the rules language, for editors.
//!
//! Must not know: the language.

use super::exit::{CliError, Exit};
use super::out::Out;

/// Prints the schema.
pub fn run(out: &Out) -> Result<Exit, CliError> {
    out.json(&crate::rules::schema())?;
    Ok(Exit::IN_SYNC)
}
