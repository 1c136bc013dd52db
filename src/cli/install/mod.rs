//! Owns: `install`: what puts the program, its units, its user and its folders on a machine without a package, and takes them away.
//!
//! Must not know: what the units run; packages.

mod carry;
mod command;
mod decide;
mod owners;
mod shipped;

pub use command::run;
