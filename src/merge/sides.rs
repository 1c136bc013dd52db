//! Owns: how the facts of one record are looked at: which side each spoke is on, and what it says about each field.
//!
//! Must not know: policies, which side wins, what is written.

use std::borrow::Cow;

use chrono::{DateTime, Utc};

use crate::record::{FieldMap, Slot, Value};
use crate::rules::{Binding, Collection, Origin, Owner, Policy};

use super::{Candidate, Evidence, Facts, Freeze, Hub, Link, LinkState, Observation, Seen, Spoke};

/// Where one spoke stands, as far as deciding is concerned.
#[derive(Clone, Copy, Debug)]
pub(super) enum Side<'a> {
    /// Unreadable this pass: nothing is decided about it.
    Blocked,
    /// No link, and nothing seen: a create may go there.
    Missing,
    /// Neither read nor written: detached, out of scope, or known to exist out of reach.
    Apart,
    /// Linked, and now outside the scope, or archived: what its link becomes.
    Leaving(LinkState),
    /// Deleted in an earlier pass.
    Tombstone,
    /// Deleted, as this pass found out.
    Gone(&'a Link, Evidence),
    /// It has the record.
    Present(Present<'a>),
}

/// A spoke that has the record.
#[derive(Clone, Copy, Debug)]
pub(super) struct Present<'a> {
    /// The tie; `None` on first contact.
    pub link: Option<&'a Link>,
    /// What was seen; `None` where it is as at the base.
    pub observation: Option<&'a Observation>,
}

/// What a spoke says about one field.
#[derive(Clone, Debug)]
pub(super) enum Says<'a> {
    /// The field is not mapped there.
    Unmapped,
    /// It says something that cannot be read.
    Bad(String),
    /// Nothing new: the base pair holds.
    Held,
    /// Something other than at the base; `first` where it never showed this field before.
    Changed {
        /// The value in remote form.
        value: &'a Value,
        /// There is no base to compare with.
        first: bool,
    },
}

/// A candidate, and where it stands.
#[derive(Clone, Debug)]
pub(super) struct Say {
    /// Whose, what, when.
    pub candidate: Candidate,
    /// The binding that says so; `None` for the hub.
    pub binding: Option<usize>,
    /// What this side said at the base, in its own form; `Null` where it never spoke.
    pub base: Vec<Value>,
    /// It never spoke of this unit before.
    pub first: bool,
}

/// The fields that are decided together: one field, or all of a group.
#[derive(Clone, Debug)]
pub(super) struct Unit<'a> {
    /// Positions, ascending.
    pub fields: Vec<usize>,
    /// The chain of the first member (the rules check that a group has one chain).
    pub chain: &'a [Policy],
    /// The owner of the first member that has one.
    pub owner: Option<&'a Owner>,
}

/// One record's facts with its rules, ready for questions.
#[derive(Debug)]
pub(super) struct Scene<'a> {
    pub collection: &'a Collection,
    pub facts: &'a Facts,
    pub sides: Vec<Side<'a>>,
    /// The local row; nulls where there is none.
    pub hub: Vec<Value>,
    /// When the row was edited, if a hint says so.
    pub edited_at: Option<DateTime<Utc>>,
}

/// The units of a collection, by their first field.
pub(super) fn units(collection: &Collection) -> Vec<Unit<'_>> {
    let mut units: Vec<Unit<'_>> = Vec::new();
    for (position, field) in collection.fields.iter().enumerate() {
        let together = field.group.as_ref().and_then(|group| {
            units.iter_mut().find(|unit| collection.fields[unit.fields[0]].group.as_ref() == Some(group))
        });
        match together {
            Some(unit) => {
                unit.fields.push(position);
                unit.owner = unit.owner.or(field.owner.as_ref());
            }
            None => units.push(Unit { fields: vec![position], chain: &field.chain, owner: field.owner.as_ref() }),
        }
    }
    units
}

/// The facts with what open conflicts remember of unchanged spokes.
///
/// While a conflict is open the bases of its fields stand still, so a spoke that is as it was last seen is *not* as at the
/// base: it still says what it said when the conflict was opened. Callers that give the stored observation again
/// ([`Seen::of`]) need no recall.
pub(super) fn recall<'a>(collection: &Collection, facts: &'a Facts) -> Cow<'a, Facts> {
    let mut recalled = Cow::Borrowed(facts);
    for (binding, declared) in collection.bindings.iter().enumerate() {
        let live = facts.spokes[binding].link.as_ref().filter(|link| link.state == LinkState::Live);
        let (Some(link), Seen::Same) = (live, &facts.spokes[binding].seen) else { continue };
        let said = facts.frozen.iter().flat_map(|freeze| {
            let of_spoke = |candidate: &&Candidate| candidate.origin.name() == declared.upstream.name;
            freeze.candidates.iter().filter(of_spoke).map(|candidate| (&freeze.fields, candidate))
        });
        let mut slots = vec![Slot::Absent; collection.fields.len()];
        let mut last: Option<&Candidate> = None;
        for (fields, candidate) in said.filter(|(fields, candidate)| fields.len() == candidate.values.len()) {
            for (field, value) in fields.iter().zip(&candidate.values) {
                slots[*field] = Slot::Value(value.clone());
                last = last.filter(|last| last.source_time >= candidate.source_time).or(Some(candidate));
            }
        }
        if let Some(last) = last {
            recalled.to_mut().spokes[binding].seen = Seen::Record(Observation {
                slots,
                version: link.version.clone(),
                updated_at: last.source_time,
                observed_at: last.observed_at,
            });
        }
    }
    recalled
}

fn classify(spoke: &Spoke) -> Side<'_> {
    if spoke.blocked.is_some() {
        return Side::Blocked;
    }
    let Some(link) = &spoke.link else {
        return match &spoke.seen {
            Seen::Same => Side::Missing,
            Seen::Record(observation) => Side::Present(Present { link: None, observation: Some(observation) }),
            Seen::Gone(_) | Seen::OutOfScope(_) | Seen::Archived(_) => Side::Apart,
        };
    };
    match (link.state, &spoke.seen) {
        (LinkState::Live, Seen::Same) => Side::Present(Present { link: Some(link), observation: None }),
        // A deleted record that is seen again is revived against its old base, and so is one that comes back into the scope
        // or out of the archive.
        (
            LinkState::Live | LinkState::Deleted | LinkState::OutOfScope | LinkState::Archived,
            Seen::Record(observation),
        ) => Side::Present(Present { link: Some(link), observation: Some(observation) }),
        (LinkState::Live, Seen::Gone(evidence)) => Side::Gone(link, *evidence),
        (LinkState::Live | LinkState::Archived, Seen::OutOfScope(_)) => Side::Leaving(LinkState::OutOfScope),
        (LinkState::Live | LinkState::OutOfScope, Seen::Archived(_)) => Side::Leaving(LinkState::Archived),
        (LinkState::Deleted, Seen::Same | Seen::Gone(_)) => Side::Tombstone,
        // A deleted record that exists again, but out of scope: creating it would make a second one.
        (LinkState::Deleted, Seen::OutOfScope(_) | Seen::Archived(_))
        | (LinkState::OutOfScope, Seen::Same | Seen::Gone(_) | Seen::OutOfScope(_))
        | (LinkState::Archived, Seen::Same | Seen::Gone(_) | Seen::Archived(_))
        | (
            LinkState::Detached,
            Seen::Same | Seen::Record(_) | Seen::Gone(_) | Seen::OutOfScope(_) | Seen::Archived(_),
        ) => Side::Apart,
    }
}

impl<'a> Present<'a> {
    pub fn base_hub(&self, field: usize) -> Option<&'a Value> {
        self.link.and_then(|link| link.base_hub.get(field)).and_then(Option::as_ref)
    }

    pub fn base_remote(&self, field: usize) -> &'a Slot {
        self.link.and_then(|link| link.base_remote.get(field)).unwrap_or(&Slot::Absent)
    }

    /// The version that a decision about this spoke is merged against.
    pub fn version(&self) -> Option<String> {
        match (self.observation, self.link) {
            (Some(observation), _) => observation.version.clone(),
            (None, Some(link)) => link.version.clone(),
            (None, None) => None,
        }
    }

    /// Whether the link is made, or comes back to life, by this plan.
    pub fn comes_alive(&self) -> bool {
        self.link.is_none_or(|link| link.state != LinkState::Live)
    }
}

impl<'a> Scene<'a> {
    pub fn new(collection: &'a Collection, facts: &'a Facts) -> Self {
        let nulls = || vec![Value::Null; collection.fields.len()];
        let (hub, edited_at) = match &facts.hub {
            Hub::Never | Hub::Deleted { .. } => (nulls(), None),
            Hub::Row { values, edited_at } => (values.clone(), *edited_at),
        };
        Self { collection, facts, sides: facts.spokes.iter().map(classify).collect(), hub, edited_at }
    }

    pub fn binding(&self, binding: usize) -> &'a Binding {
        &self.collection.bindings[binding]
    }

    pub fn origin(&self, binding: usize) -> Origin {
        Origin::Upstream(self.binding(binding).upstream.name.clone())
    }

    /// The spokes that have the record, by binding position.
    pub fn present(&self) -> impl Iterator<Item = (usize, Present<'a>)> {
        self.sides.iter().enumerate().filter_map(|(binding, side)| match side {
            Side::Present(present) => Some((binding, *present)),
            Side::Blocked | Side::Missing | Side::Apart | Side::Leaving(_) | Side::Tombstone | Side::Gone(..) => None,
        })
    }

    pub fn same(&self, field: usize, left: &Value, right: &Value) -> bool {
        self.collection.fields[field].domain.same(left, right)
    }

    /// Equality of tuples of a unit.
    pub fn same_all(&self, fields: &[usize], left: &[Value], right: &[Value]) -> bool {
        left.len() == right.len()
            && fields.iter().zip(left.iter().zip(right)).all(|(&field, (left, right))| self.same(field, left, right))
    }

    pub fn map(&self, binding: usize, field: usize) -> Option<&'a FieldMap> {
        self.binding(binding).mapper.field(field)
    }

    pub fn pulls(&self, binding: usize, field: usize) -> bool {
        self.binding(binding).pull && self.map(binding, field).is_some_and(|map| map.pull)
    }

    pub fn pushes(&self, binding: usize, field: usize) -> bool {
        self.binding(binding).push && self.map(binding, field).is_some_and(|map| map.push)
    }

    /// Whether the hub's own values of a unit cannot be told: then the unit stands still.
    pub fn is_unreadable(&self, unit: &Unit<'_>) -> bool {
        unit.fields.iter().any(|field| self.facts.unreadable.contains(field))
    }

    /// The hub's values of a unit.
    pub fn hub_of(&self, unit: &Unit<'_>) -> Vec<Value> {
        unit.fields.iter().map(|&field| self.hub[field].clone()).collect()
    }

    /// Most trusted first, then by name: the order in which candidates stand everywhere, so that positions never decide.
    pub fn rank<'o>(&self, origin: &'o Origin) -> (usize, &'o str) {
        let place = self.collection.priority.iter().position(|listed| listed == origin);
        (place.unwrap_or(usize::MAX), origin.name())
    }

    pub fn freeze(&self, fields: &[usize]) -> Option<&'a Freeze> {
        self.facts.frozen.iter().find(|freeze| freeze.fields == fields)
    }

    pub fn says(&self, binding: usize, present: Present<'a>, field: usize) -> Says<'a> {
        if self.map(binding, field).is_none() {
            return Says::Unmapped;
        }
        let slot = present.observation.and_then(|observation| observation.slots.get(field)).unwrap_or(&Slot::Absent);
        let domain = &self.collection.fields[field].domain;
        match (slot, present.base_remote(field)) {
            (Slot::Bad(error), _) | (Slot::Absent, Slot::Bad(error)) => Says::Bad(error.reason.clone()),
            (Slot::Value(value), _) if !domain.admits(&domain.canonical(value)) => {
                Says::Bad(format!("`{value}` is not one of the listed values"))
            }
            (Slot::Absent, Slot::Absent | Slot::Value(_)) => Says::Held,
            (Slot::Value(value), Slot::Value(base)) if domain.same(value, base) => Says::Held,
            (Slot::Value(value), Slot::Value(_)) => Says::Changed { value, first: false },
            (Slot::Value(value), Slot::Absent | Slot::Bad(_)) => Says::Changed { value, first: true },
        }
    }

    /// Why a unit cannot be read at a spoke, if any member cannot.
    pub fn bad(&self, binding: usize, present: Present<'a>, unit: &Unit<'_>) -> Option<(usize, String)> {
        unit.fields.iter().find_map(|&field| match self.says(binding, present, field) {
            Says::Bad(reason) => Some((field, reason)),
            Says::Unmapped | Says::Held | Says::Changed { .. } => None,
        })
    }

    /// What a spoke newly says about a unit, owner or not; `None` where nothing is an edit.
    ///
    /// Known: a value that differs from a known base is an edit, even a null. A value seen for the first time is one
    /// only if it is there and differs from the hub (`null_counts`: the owner's first null is its word, too).
    pub fn edit(&self, binding: usize, present: Present<'a>, unit: &Unit<'_>, null_counts: bool) -> Option<Say> {
        let observation = present.observation?;
        if self.bad(binding, present, unit).is_some() {
            return None;
        }
        let (mut edited, mut known) = (false, false);
        let mut values = Vec::with_capacity(unit.fields.len());
        let mut base = Vec::with_capacity(unit.fields.len());
        for &field in &unit.fields {
            let pulled = self.pulls(binding, field);
            let before = present.base_remote(field).value();
            known |= before.is_some();
            base.push(before.cloned().unwrap_or(Value::Null));
            match self.says(binding, present, field) {
                Says::Changed { value, first } if pulled => {
                    let news = (null_counts || !value.is_null()) && !self.same(field, value, &self.hub[field]);
                    edited |= if first { news } else { true };
                    values.push(self.collection.fields[field].domain.canonical(value));
                }
                Says::Held if pulled => {
                    let held = present.base_hub(field).or(before).unwrap_or(&self.hub[field]);
                    values.push(held.clone());
                }
                Says::Unmapped | Says::Bad(_) | Says::Held | Says::Changed { .. } => {
                    values.push(self.hub[field].clone());
                }
            }
        }
        edited.then(|| Say {
            candidate: Candidate {
                origin: self.origin(binding),
                values,
                source_time: observation.updated_at,
                observed_at: observation.observed_at,
            },
            binding: Some(binding),
            base,
            first: !known,
        })
    }

    /// Whether the hub says something that the spoke's edit was not made on top of.
    ///
    /// The base's hub half is the hub form of what the spoke holds: where the hub still equals it, the spoke's edit
    /// supersedes the hub's value; where not, the two are concurrent.
    pub fn hub_is_concurrent(&self, binding: usize, present: Present<'a>, unit: &Unit<'_>) -> bool {
        unit.fields.iter().any(|&field| {
            self.pulls(binding, field)
                && match present.base_hub(field) {
                    Some(base) => !self.same(field, &self.hub[field], base),
                    None => !self.hub[field].is_null(),
                }
        })
    }
}
