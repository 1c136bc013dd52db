//! The library behind the `reconciled` daemon.

mod clock;
mod config;
mod telemetry;

mod record;
mod rules;

mod merge;

mod store;
mod upstream;

mod reconcile;

mod daemon;

pub mod cli;

pub mod sandbox;
