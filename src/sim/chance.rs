//! Owns: everything random in a simulation.
//!
//! Must not know: what is decided by it.

use std::sync::{Arc, Mutex, PoisonError};

/// `SplitMix64` (Steele, Lea, Flood 2014), shared by all parts of one run.
#[derive(Clone, Debug)]
pub struct Chance(Arc<Mutex<u64>>);

impl Chance {
    /// The numbers of a seed.
    pub fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(seed)))
    }

    /// Where it is, to go on from later.
    pub fn place(&self) -> u64 {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Goes on from where it was.
    pub fn go_back(&self, place: u64) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = place;
    }

    /// 64 bits.
    pub fn bits(&self) -> u64 {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (*state ^ (*state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`; 0 where there is none.
    pub fn below(&self, bound: u64) -> u64 {
        if bound == 0 { 0 } else { self.bits() % bound }
    }

    /// A position in a list of this length.
    pub fn index(&self, length: usize) -> usize {
        usize::try_from(self.below(length as u64)).unwrap_or(0)
    }

    /// True in so many of a hundred cases.
    pub fn percent(&self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// One of a list that is not empty.
    pub fn one<'a, T>(&self, list: &'a [T]) -> Option<&'a T> {
        list.get(self.index(list.len()))
    }
}
