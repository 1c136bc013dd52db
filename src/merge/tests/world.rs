//! Owns: a model world of one record: upstreams that normalise, a local row, and passes that carry plans out.
//!
//! Must not know: which properties are asked of it.

use std::collections::BTreeSet;

use crate::merge::testkit::*;
use crate::merge::*;
use crate::record::{FieldType, RecordId, Slot, Value};
use crate::rules::{Collection, Origin, Policy};

/// What an upstream makes of a value that it is given.
#[derive(Clone, Copy, Debug)]
pub enum Habit {
    Verbatim,
    Uppercase,
    Brackets,
}

impl Habit {
    pub fn apply(self, value: &Value) -> Value {
        match (self, value) {
            (Self::Uppercase, Value::Text(text)) => Value::Text(text.to_uppercase()),
            (Self::Brackets, Value::Text(text)) if !text.starts_with('(') => Value::Text(format!("({text})")),
            (Self::Uppercase, Value::Set(members)) => Value::Set(members.iter().map(|m| m.to_uppercase()).collect()),
            (Self::Verbatim | Self::Uppercase | Self::Brackets, value) => value.clone(),
        }
    }
}

#[derive(Clone, Debug)]
pub struct Remote {
    pub record: Option<Vec<Value>>,
    pub version: u32,
    pub changed_at: i64,
    pub habit: Habit,
}

/// Binding, values sent, and the remote half of their base: a write is worth another try as soon as any of them differs.
pub type Refusal = (usize, Vec<(usize, Value)>, Vec<Option<Value>>);

#[derive(Debug)]
pub struct World {
    pub collection: Collection,
    pub row: Option<Vec<Value>>,
    pub edited_at: Option<i64>,
    pub known: bool,
    pub origins: Vec<Option<Provenance>>,
    pub links: Vec<Option<Link>>,
    pub remotes: Vec<Remote>,
    pub frozen: Vec<Freeze>,
    pub turns: Vec<Turn>,
    /// Writes that an upstream answered with yes and did not take, with what it held instead; not repeated unchanged.
    pub refused: BTreeSet<Refusal>,
    pub clock: i64,
    /// Minutes from one edit to the next.
    pub tick: i64,
}

/// A text, a number and a set, at up to three upstreams.
pub fn rules(spokes: usize, chains: &[Vec<Policy>]) -> Collection {
    let fields = vec![text("t"), field("n", FieldType::Integer), field("s", FieldType::Set)];
    let mut collection = collection(fields, &["ash", "bay", "cob"][..spokes]);
    collection.priority = ["bay", "local", "ash", "cob"].map(Origin::from_name).to_vec();
    for (field, chain) in chains.iter().enumerate() {
        collection.fields[field].chain.clone_from(chain);
    }
    collection
}

impl World {
    pub fn new(collection: Collection, habits: &[Habit]) -> Self {
        let count = collection.bindings.len();
        let remotes = habits[..count].iter().map(|&habit| Remote { record: None, version: 0, changed_at: 0, habit });
        Self {
            row: None,
            edited_at: None,
            known: false,
            origins: vec![None; collection.fields.len()],
            links: vec![None; count],
            remotes: remotes.collect(),
            frozen: Vec::new(),
            turns: Vec::new(),
            refused: BTreeSet::new(),
            clock: 0,
            tick: 1,
            collection,
        }
    }

    pub fn edit_local(&mut self, field: usize, value: Value) {
        self.clock += self.tick;
        let count = self.collection.fields.len();
        self.known = true;
        self.row.get_or_insert_with(|| vec![Value::Null; count])[field] = value;
        self.edited_at = Some(self.clock);
    }

    pub fn edit_remote(&mut self, binding: usize, field: usize, value: &Value) {
        self.clock += self.tick;
        let Some(remote) = self.remotes.get_mut(binding) else { return };
        let value = remote.habit.apply(value);
        // Nobody saves a form that changes nothing.
        if let Some(record) = remote.record.as_mut().filter(|record| record[field] != value) {
            record[field] = value;
            remote.version += 1;
            remote.changed_at = self.clock;
        }
    }

    pub fn delete_local(&mut self) {
        self.row = None;
        self.edited_at = None;
    }

    pub fn delete_remote(&mut self, binding: usize) {
        if let Some(remote) = self.remotes.get_mut(binding) {
            remote.record = None;
        }
    }

    pub fn facts(&self) -> Facts {
        let spokes = (0..self.links.len()).map(|binding| {
            let link = self.links[binding].clone();
            let remote = &self.remotes[binding];
            let observation = remote.record.as_ref().map(|record| Observation {
                slots: record.iter().cloned().map(Slot::Value).collect(),
                version: Some(remote.version.to_string()),
                updated_at: Some(at(remote.changed_at)),
                observed_at: at(self.clock),
            });
            let seen = match (&link, observation) {
                (Some(link), Some(observation)) if self.frozen.is_empty() => {
                    Seen::of(&self.collection, link, observation)
                }
                (Some(_) | None, Some(observation)) => Seen::Record(observation),
                (Some(_), None) => Seen::Gone(Evidence::Tombstone),
                (None, None) => Seen::Same,
            };
            Spoke { link, seen, blocked: None }
        });
        let hub = match &self.row {
            Some(values) => Hub::Row { values: values.clone(), edited_at: self.edited_at.map(at) },
            None if self.known => Hub::Deleted { deleted_at: None },
            None => Hub::Never,
        };
        Facts {
            record: self.known.then(|| RecordId("r1".to_owned())),
            hub,
            origins: self.origins.clone(),
            spokes: spokes.collect(),
            unreadable: Vec::new(),
            frozen: self.frozen.clone(),
            turns: self.turns.clone(),
            now: at(self.clock),
        }
    }

    /// Decides and commits; the plan's writes are still to be pushed.
    pub fn commit(&mut self) -> RecordPlan {
        self.clock += 1;
        let facts = self.facts();
        let plan = decide(&self.collection, &facts);
        match &plan.local {
            LocalChange::None => {}
            LocalChange::Insert(values) => {
                self.row = Some(values.clone());
                self.known = true;
            }
            LocalChange::Update(changed) => {
                for (field, value) in changed {
                    self.row.as_mut().unwrap()[*field] = value.clone();
                }
            }
            LocalChange::Delete => self.row = None,
        }
        self.edited_at = None;
        for (field, provenance) in &plan.origins {
            self.origins[*field] = Some(provenance.clone());
        }
        for base in &plan.bases {
            let remote_id = "x1".to_owned();
            let (base_hub, base_remote) = (base.hub.clone(), base.remote.clone());
            let link =
                Link { remote_id, version: None, base_hub, base_remote, state: LinkState::Live, overruled: false };
            self.links[base.binding] = Some(link);
        }
        for (binding, state) in &plan.links {
            self.links[*binding].as_mut().unwrap().state = *state;
        }
        for (link, remote) in self.links.iter_mut().zip(&self.remotes) {
            if let Some(link) = link {
                link.version = Some(remote.version.to_string());
            }
        }
        self.turns.retain(|turn| !plan.calmed.contains(&turn.field));
        self.turns.extend(plan.turns.iter().cloned());
        for conflict in &plan.conflicts {
            self.frozen.retain(|freeze| freeze.fields != conflict.fields);
            self.frozen.push(freeze(conflict, None));
        }
        self.frozen.retain(|freeze| !plan.closed.iter().any(|closed| closed.fields == freeze.fields));
        plan
    }

    /// Sends a plan's writes, each read back and settled; says how many were really sent.
    pub fn push(&mut self, plan: &RecordPlan) -> usize {
        let mut sent = 0;
        for write in &plan.writes {
            let values = match &write.op {
                WriteOp::Create(values) | WriteOp::Update(values) => values.clone(),
                WriteOp::Delete | WriteOp::Archive => {
                    self.remotes[write.binding].record = None;
                    self.links[write.binding].as_mut().unwrap().state = LinkState::Deleted;
                    sent += 1;
                    continue;
                }
            };
            if self.refused.contains(&self.attempt(write.binding, &values)) {
                continue;
            }
            sent += 1;
            self.clock += 1;
            self.take(write.binding, &values);
            self.settle(write.binding, &values);
        }
        sent
    }

    fn attempt(&self, binding: usize, values: &[(usize, Value)]) -> Refusal {
        let link = self.links[binding].as_ref().filter(|link| link.state == LinkState::Live);
        let held = |(field, _): &(usize, Value)| link.and_then(|link| link.base_remote[*field].value().cloned());
        (binding, values.to_vec(), values.iter().map(held).collect())
    }

    fn take(&mut self, binding: usize, values: &[(usize, Value)]) {
        let count = self.collection.fields.len();
        let remote = &mut self.remotes[binding];
        let record = remote.record.get_or_insert_with(|| vec![Value::Null; count]);
        for (field, value) in values {
            record[*field] = remote.habit.apply(value);
        }
        remote.version += 1;
        remote.changed_at = self.clock;
    }

    fn settle(&mut self, binding: usize, values: &[(usize, Value)]) {
        let remote = &self.remotes[binding];
        let slots: Vec<Slot> = remote.record.iter().flatten().cloned().map(Slot::Value).collect();
        // A created record has nothing of the one whose link it takes over.
        let old = self.links[binding].as_ref().filter(|link| link.state == LinkState::Live);
        let (hub, base) = old.map_or((&[][..], &[][..]), |link| (&link.base_hub, &link.base_remote));
        let settled = settle(&self.collection, hub, base, values, Some(&slots));
        // A refusal is about the part that was not taken: the same part beside something new is sent again.
        let part: Vec<(usize, Value)> =
            values.iter().filter(|(field, _)| settled.refused.contains(field)).cloned().collect();
        if !part.is_empty() {
            self.refused.insert(self.attempt(binding, &part));
        }
        self.links[binding] = Some(Link {
            remote_id: "x1".to_owned(),
            version: Some(remote.version.to_string()),
            base_hub: settled.hub,
            base_remote: settled.remote,
            state: LinkState::Live,
            overruled: false,
        });
    }

    /// One whole pass; the number of remote writes and local changes that it made.
    pub fn pass(&mut self) -> usize {
        let plan = self.commit();
        let local = usize::from(plan.local != LocalChange::None);
        local + self.push(&plan)
    }

    /// Every upstream has the row, in its own spelling or in the row's.
    pub fn agrees(&self) -> bool {
        let Some(row) = &self.row else { return self.remotes.iter().all(|remote| remote.record.is_none()) };
        self.remotes.iter().all(|remote| {
            remote.record.as_ref().is_some_and(|record| {
                let agrees =
                    |field: usize| record[field] == row[field] || record[field] == remote.habit.apply(&row[field]);
                (0..row.len()).all(agrees)
            })
        })
    }
}
