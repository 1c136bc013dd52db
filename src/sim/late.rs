//! Owns: writes that were given up because nothing answered, and reach their upstream later all the same (fault 22).
//!
//! Must not know: what became of them here meanwhile.

use std::sync::{Mutex, PoisonError};

use crate::upstream::Outgoing;

use super::world::{Guarded, Style};

/// Such a write arrives within so many microseconds. A create is waited for (`lag` in the rules) as long as it may be under way
/// and listings may not show it yet.
pub const LATE_MAX: u64 = 60_000_000;

/// Those that are still under way, with the moment of their arrival.
#[derive(Debug, Default)]
pub struct Late(Mutex<Vec<(u64, Outgoing)>>);

impl Late {
    /// It is given up now, and arrives then.
    pub fn leave(&self, at: u64, request: &Outgoing) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push((at, request.clone()));
    }

    /// Those that arrive by now, and when each did.
    pub fn arrived(&self, now: u64) -> Vec<(u64, Outgoing)> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (due, rest) = std::mem::take(&mut *all).into_iter().partition(|(at, _)| *at <= now);
        *all = rest;
        due
    }
}

/// Whether the upstream itself can tell that it comes too late: by its version, or its key. What else may be done twice is
/// not to be told from somebody's edit.
pub fn is_told(style: &Style, request: &Outgoing) -> bool {
    match request.method {
        http::Method::POST => true,
        http::Method::PATCH => style.guarded == Guarded::Header,
        _ => false,
    }
}
