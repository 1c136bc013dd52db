//! Owns: cassettes: files with what was asked of upstreams and what they answered, without secrets; writing one, and answering
//! by one in the place of a network.
//!
//! Must not know: what the requests were for, the command line.

mod clock;
mod mask;
mod nearest;
mod player;
mod recorder;
mod tape;

pub use clock::CassetteClock;
pub use mask::{MARK, Mask};
pub use player::{Deck, Player, offline};
pub use tape::{Cassette, CassetteError, Header, Limits, Recorded, Tape};

#[cfg(test)]
mod spellings;
#[cfg(test)]
mod tests;
