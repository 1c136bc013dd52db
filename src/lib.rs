//! The library behind the `reconciled` daemon.

mod record;
mod rules;

mod merge;

mod store;
