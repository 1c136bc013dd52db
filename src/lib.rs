//! The library behind the `reconciled` daemon.
