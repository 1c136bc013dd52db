//! Owns: the simulator: a seed → a world of upstreams, faults and hands that edit → the real engine on virtual time →
//! whether the invariants held.
//!
//! Must not know: how passes are scheduled or shown; anything that depends on the machine it runs on.
//!
//! Everything is drawn from one seed and runs on one thread, so the same seed gives the same trace, byte by byte. A run has
//! a safety phase, in which everything may go wrong at once, and a liveness phase, in which faults and edits stop and
//! all sides must come to agree, and to rest.

mod believed;
mod beside;
mod bot;
mod chance;
mod check;
mod clock;
mod hands;
mod haste;
mod kin;
mod late;
mod net;
mod reports;
mod restore;
mod revived;
mod rules;
mod run;
mod shown;
mod steps;
mod store;
mod swarm;
mod world;

#[cfg(test)]
mod tests;

pub use run::{Verdict, simulate};
