//! The library behind the `reconciled` daemon.

mod record;
mod rules;

pub mod sandbox;
