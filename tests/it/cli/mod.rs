//! Owns: the command line as its users meet it: the real binary, its streams and exit codes.
//!
//! Must not know: the inside of the program.

mod bench;
mod check;
mod doctor;
mod install;
mod looking;
mod settings;
mod shipped;
mod syncing;
mod usage;
