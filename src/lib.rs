//! The library behind the `reconciled` daemon.

mod clock;

mod record;
mod rules;

mod merge;

mod store;
mod upstream;

mod reconcile;

pub mod sandbox;
