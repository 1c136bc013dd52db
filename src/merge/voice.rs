//! Owns: whose value the hub holds: the local edit that provenance does not know of yet, or who set it.
//!
//! Must not know: policies, writes.

use crate::record::Value;
use crate::rules::Origin;

use super::sides::{Say, Says, Scene, Unit};
use super::{Candidate, LinkState, Provenance};

impl Scene<'_> {
    /// The hub's say about a unit, as a candidate.
    pub fn hub_say(&self, unit: &Unit<'_>) -> Say {
        let voice = unit
            .fields
            .iter()
            .map(|&field| self.voice(field))
            .max_by(|left, right| {
                // Times of different hosts are never compared here: that is for policies that are about time (s57).
                let local = |voice: &Provenance| voice.origin == Origin::Local;
                let trusted = self.rank(&right.origin).cmp(&self.rank(&left.origin));
                local(left).cmp(&local(right)).then(trusted).then(left.source_time.cmp(&right.source_time))
            })
            .unwrap_or(self.local_now());
        Say {
            candidate: Candidate {
                origin: voice.origin,
                values: self.hub_of(unit),
                source_time: voice.source_time,
                observed_at: voice.observed_at,
            },
            binding: None,
            base: vec![Value::Null; unit.fields.len()],
            first: false,
        }
    }

    /// Who set the hub's value of a field, and when.
    pub fn voice(&self, field: usize) -> Provenance {
        match self.facts.origins.get(field).and_then(Option::as_ref) {
            Some(known) if self.is_local_news(field, known) => self.local_now(),
            // Edited here while no rule spoke of the field; when, nobody knows.
            Some(known) if self.is_disowned(field, known) => Provenance { origin: Origin::Local, ..known.clone() },
            Some(known) => known.clone(),
            // Nobody ever said anything here: that is not as young as the pass that looks at it.
            None if self.is_silence(field) => Provenance { source_time: None, ..self.local_now() },
            None => self.local_now(),
        }
    }

    /// Whether the hub has no value that any upstream was agreed with to have either: nothing was taken away here.
    pub fn is_silence(&self, field: usize) -> bool {
        let mut bases = (0..self.facts.spokes.len()).filter_map(|binding| self.base_hub(binding, field));
        self.hub[field].is_null() && bases.all(Value::is_null)
    }

    /// The hub half of the base at an upstream that has the record.
    fn base_hub(&self, binding: usize, field: usize) -> Option<&Value> {
        let link = self.facts.spokes[binding].link.as_ref().filter(|link| link.state == LinkState::Live)?;
        link.base_hub.get(field)?.as_ref()
    }

    /// Whether the upstream that the value is told to come from says something else without ever having agreed on it: a
    /// change of the rules made the two meet anew, and no side can stand against itself.
    fn is_disowned(&self, field: usize, known: &Provenance) -> bool {
        self.present().filter(|(binding, _)| self.origin(*binding) == known.origin).any(|(binding, present)| match self
            .says(binding, present, field)
        {
            Says::Changed { value, first } => first && !self.same(field, value, &self.hub[field]),
            Says::Unmapped | Says::Bad(_) | Says::Held => false,
        })
    }

    /// The provenance to be stored for a field whose local edit is noticed by this pass; `None` where nothing is new.
    pub fn local_news(&self, field: usize) -> Option<Provenance> {
        match self.facts.origins.get(field).and_then(Option::as_ref) {
            Some(known) => self.is_local_news(field, known).then(|| self.local_now()),
            None => (!self.hub[field].is_null()).then(|| self.local_now()),
        }
    }

    /// Whether the hub holds something else than what its provenance speaks of.
    ///
    /// When an upstream's value is taken, the hub half of that upstream's base becomes this value in the same commit;
    /// so a hub that differs from that half was edited here since. A value that was set here and differs from some base
    /// is new again if the row's hint is newer than the provenance.
    fn is_local_news(&self, field: usize, known: &Provenance) -> bool {
        let differs =
            |binding: usize| self.base_hub(binding, field).map(|base| !self.same(field, base, &self.hub[field]));
        match &known.origin {
            Origin::Upstream(name) => {
                let binding = self.collection.bindings.iter().position(|binding| &binding.upstream.name == name);
                binding.and_then(differs).unwrap_or_else(|| {
                    // It has the record no more: where all the others agreed on this value, the edit was one of another field.
                    let mut others = (0..self.facts.spokes.len()).filter_map(differs).peekable();
                    self.edited_at.is_some() && (others.peek().is_none() || others.any(|differs| differs))
                })
            }
            Origin::Local => {
                self.edited_at.is_some_and(|at| known.source_time.is_none_or(|known| at > known))
                    && (0..self.facts.spokes.len()).any(|binding| differs(binding).unwrap_or(false))
            }
        }
    }

    /// A local edit noticed now; its time is the hint's, or the pass's own where there is none.
    pub fn local_now(&self) -> Provenance {
        let now = self.facts.now;
        Provenance { origin: Origin::Local, source_time: Some(self.edited_at.unwrap_or(now)), observed_at: now }
    }
}
