//! Owns: saying now and then what happens again and again, with how often it happened meanwhile.
//!
//! Must not know: what is said, and where.

use std::time::Duration;

/// How often, at most, it is said.
const EVERY: Duration = Duration::from_mins(1);

/// One thing that is said.
#[derive(Debug, Default)]
pub struct Seldom {
    said_at: Option<Duration>,
    untold: u64,
}

impl Seldom {
    /// It happened. Whether it is to be said: then how often it was not since it was said last.
    pub fn says(&mut self, now: Duration) -> Option<u64> {
        if self.said_at.is_some_and(|at| now.saturating_sub(at) < EVERY) {
            self.untold += 1;
            return None;
        }
        self.said_at = Some(now);
        Some(std::mem::take(&mut self.untold))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_said_at_once_and_then_once_a_minute_with_how_often_it_was_not() {
        let mut seldom = Seldom::default();
        let said = [7, 8, 66, 67, 68, 126, 127, 1_000].map(|seconds| seldom.says(Duration::from_secs(seconds)));
        assert_eq!(said, [Some(0), None, None, Some(2), None, None, Some(2), Some(0)]);
    }
}
