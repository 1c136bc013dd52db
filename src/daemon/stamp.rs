//! Owns: telling from numbers whether the files of the rules are other ones than those that were read.
//!
//! Must not know: the files, what the numbers are made of.

/// Notices that files of rules were changed, once they have been left alone for a look: editors write in several steps.
pub struct Watch {
    /// What the rules in force, or refused, were read from.
    pub known: u64,
    /// At the last look.
    pub seen: u64,
}

impl Watch {
    /// Whether they are others since the last look but one.
    pub fn has_changed(&mut self, now: u64) -> bool {
        let is_settled = now == self.seen;
        self.seen = now;
        is_settled && self.has_settled(now)
    }

    /// Whether they are others, where it is known that nobody writes.
    pub fn has_settled(&mut self, now: u64) -> bool {
        let changed = now != self.known;
        self.known = now;
        changed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f55_files_that_are_still_being_written_are_left_alone() {
        let mut watch = Watch { known: 1, seen: 1 };
        let looks =
            [(1, false), (2, false), (3, false), (3, true), (3, false), (1, false), (1, true), (2, false), (1, false)];
        for (at, (stamp, changed)) in looks.into_iter().enumerate() {
            assert_eq!(watch.has_changed(stamp), changed, "look {at}");
        }
    }
}
