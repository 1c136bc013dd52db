//! Backups of the database, their return, and what is found and mended in it.

use std::path::Path;
use std::process::Command;

use crate::world::{Ran, World};

mod backup;
mod restore;
mod verify;

/// Runs the world's program with another database.
fn elsewhere(world: &World, database: &Path, arguments: &[&str]) -> Ran {
    let program = world.command();
    let mut command = Command::new(program.get_program());
    command.current_dir(program.get_current_dir().unwrap()).env_clear();
    command.envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.arg("--db").arg(database).arg("--rules").arg(world.path("rules")).args(arguments);
    Ran::of(command.output().unwrap())
}
