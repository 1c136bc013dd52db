//! Owns: telling from numbers whether the files of the rules are other ones than those that were read.
//!
//! Must not know: the files, what the numbers are made of.

/// Notices that files of rules were changed, once they have been left alone for a look: editors write in several steps.
pub struct Watch {
    /// What the rules in force, or refused, were read from; `None` where they are to be read again whatever it is now.
    known: Option<u64>,
    /// At the last look.
    seen: u64,
}

impl Watch {
    /// One that has just begun: the rules were read from this.
    pub fn new(stamp: u64) -> Self {
        Self { known: Some(stamp), seen: stamp }
    }

    /// The rules are read from what they are now.
    pub fn reads(&mut self, now: u64) {
        *self = Self::new(now);
    }

    /// They could not be taken into force just now, through no fault of theirs: they count as changed at the next look.
    pub fn ask_again(&mut self) {
        self.known = None;
    }

    /// They are to be read again.
    pub fn asks_again(&self) -> bool {
        self.known.is_none()
    }

    /// Whether they are others since the last look but one.
    pub fn has_changed(&mut self, now: u64) -> bool {
        let is_settled = now == self.seen;
        self.seen = now;
        is_settled && self.has_settled(now)
    }

    /// Whether they are others, where it is known that nobody writes.
    pub fn has_settled(&mut self, now: u64) -> bool {
        let changed = self.known.replace(now) != Some(now);
        self.seen = now;
        changed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f55_files_that_are_still_being_written_are_left_alone() {
        let mut watch = Watch::new(1);
        let looks =
            [(1, false), (2, false), (3, false), (3, true), (3, false), (1, false), (1, true), (2, false), (1, false)];
        for (at, (stamp, changed)) in looks.into_iter().enumerate() {
            assert_eq!(watch.has_changed(stamp), changed, "look {at}");
        }
    }

    #[test]
    fn f55_rules_that_could_not_be_taken_into_force_are_read_again_although_no_file_changed() {
        let mut watch = Watch::new(1);
        // By a signal, just after they were written.
        watch.reads(2);
        watch.ask_again();
        assert!(watch.asks_again());
        assert!(watch.has_changed(2), "at the next look");
        assert!(!watch.asks_again() && !watch.has_changed(2), "and once");
        watch.ask_again();
        assert!(!watch.has_changed(3), "somebody writes");
        assert!(watch.has_changed(3));
        watch.ask_again();
        assert!(watch.has_settled(3), "or where files say so");
    }
}
