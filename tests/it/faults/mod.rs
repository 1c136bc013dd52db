//! The faults of the real process and of its store, by their number in the catalogue: the built program is killed, starved,
//! stopped, and its disk fails; then it runs again, and everything must agree.

mod disk;
mod errno;
mod inbox;
mod kills;
mod living;
mod restored;
pub mod tools;
mod trouble;
