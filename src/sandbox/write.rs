//! Owns: writes of one resource: preconditions, what may be written, the new state.
//!
//! Must not know: routes, keys, faults other than fields to ignore.

use chrono::{DateTime, Utc};
use http::Method;
use serde_json::Value;

use super::call::Call;
use super::config::{Delete, IdStyle, Put, ResourceConfig};
use super::fields;
use super::json::{self, Object};
use super::read::{has_tag, not_found, quoted};
use super::reply::{Answer, Refusal};
use super::shelf::{Shelf, State, Stored, render, strip};

/// How many records a write changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Changes {
    /// Created.
    pub creates: u64,
    /// Changed.
    pub updates: u64,
    /// Deleted or archived.
    pub deletes: u64,
}

/// Where writes of one resource are done.
#[derive(Debug)]
pub struct Desk<'a> {
    /// What the resource is like.
    pub config: &'a ResourceConfig,
    /// Its records.
    pub shelf: &'a mut Shelf,
    /// When.
    pub now: DateTime<Utc>,
    /// Fields that are dropped without a word, dotted.
    pub ignored: &'a [String],
    /// What was done so far.
    pub changes: Changes,
}

impl Desk<'_> {
    /// `POST path`
    pub fn post(&mut self, call: &Call) -> Result<Answer, Refusal> {
        let input = call.object()?;
        let id = self.create(input)?;
        let location = format!("{}{}/{id}", call.origin, self.config.path);
        Ok(self.answer(201, &id).with("location", location))
    }

    /// `PATCH path/{id}`
    pub fn patch(&mut self, id: &str, call: &Call) -> Result<Answer, Refusal> {
        let input = call.object()?;
        self.check_precondition(call, Some(&input), id)?;
        self.merge(id, input)?;
        Ok(self.answer(200, id))
    }

    /// `PUT path/{id}`
    pub fn put(&mut self, id: &str, call: &Call) -> Result<Answer, Refusal> {
        let input = call.object()?;
        self.check_precondition(call, Some(&input), id)?;
        if self.shelf.get(id).is_some() {
            self.replace(id, input)?;
            return Ok(self.answer(200, id));
        }
        match self.config.put {
            Put::ReplaceOrCreate => {
                self.create_as(id, input)?;
                Ok(self.answer(201, id))
            }
            Put::Replace | Put::Refused => Err(not_found(id)),
        }
    }

    /// `DELETE path/{id}`; `child` is a record that refers to it.
    pub fn delete(&mut self, id: &str, call: &Call, child: Option<&str>) -> Result<Answer, Refusal> {
        self.check_precondition(call, None, id)?;
        if self.shelf.get(id).is_none() {
            return Err(not_found(id));
        }
        if let Some(child) = child {
            return Err(Refusal::new(409, "has_children", format!("{child} refers to {id}")));
        }
        self.remove(id)?;
        match self.config.delete_status {
            204 => Ok(Answer::empty(204)),
            status => {
                let gone = self.shelf.iter().find(|stored| stored.id == id).ok_or_else(|| not_found(id))?;
                Ok(Answer::json(status, Value::Object(render(self.config, gone))))
            }
        }
    }

    /// Creates under an id that the server chooses or the input carries.
    pub fn create(&mut self, input: Object) -> Result<String, Refusal> {
        let config = self.config;
        let id = match &config.id {
            IdStyle::Server { prefix } => {
                // Only an input that will do uses an id up.
                let mut data = input.clone();
                self.drop_ignored(&mut data);
                self.accept("", &mut data)?;
                self.shelf.next_id(prefix)
            }
            IdStyle::Client => match json::at(&input, &config.id_at) {
                Some(id) if !id.is_null() => json::text(id),
                _ => return Err(Refusal::of_field(400, "id_missing", &config.id_at, "the client chooses the id")),
            },
        };
        if self.shelf.get(&id).is_some() {
            return Err(Refusal::of_field(409, "exists", &config.id_at, format!("there is a record {id:?}")));
        }
        self.create_as(&id, input)?;
        Ok(id)
    }

    /// Creates under this id.
    pub fn create_as(&mut self, id: &str, mut input: Object) -> Result<(), Refusal> {
        self.drop_ignored(&mut input);
        let state = self.accept(id, &mut input)?.unwrap_or(State::Live);
        self.shelf.save(id, input, state, self.now);
        self.changes.creates += 1;
        Ok(())
    }

    /// Merges into what there is. The version rises even if nothing is different.
    pub fn merge(&mut self, id: &str, mut input: Object) -> Result<(), Refusal> {
        let stored = self.shelf.get(id).ok_or_else(|| not_found(id))?;
        let (mut data, old_state) = (stored.data.clone(), stored.state);
        let flag = strip(self.config, &mut input);
        self.drop_ignored(&mut input);
        json::merge(&mut data, &input);
        self.accept(id, &mut data)?;
        self.shelf.save(id, data, flag.map_or(old_state, state_of), self.now);
        self.changes.updates += 1;
        Ok(())
    }

    /// Replaces what there is.
    pub fn replace(&mut self, id: &str, mut input: Object) -> Result<(), Refusal> {
        let stored = self.shelf.get(id).ok_or_else(|| not_found(id))?;
        for field in self.ignored {
            match json::at(&stored.data, field) {
                Some(value) => json::put(&mut input, field, value.clone()),
                None => drop(json::take(&mut input, field)),
            }
        }
        let state = self.accept(id, &mut input)?.unwrap_or(State::Live);
        self.shelf.save(id, input, state, self.now);
        self.changes.updates += 1;
        Ok(())
    }

    /// Deletes or archives.
    pub fn remove(&mut self, id: &str) -> Result<(), Refusal> {
        let stored = self.shelf.get(id).ok_or_else(|| not_found(id))?;
        let data = stored.data.clone();
        let state = match (self.config.delete, stored.state) {
            (Delete::Gone, _) => State::Gone,
            (Delete::Archive { .. }, State::Archived) => return Ok(()),
            (Delete::Archive { .. }, State::Live | State::Gone) => State::Archived,
        };
        self.shelf.save(id, data, state, self.now);
        self.changes.deletes += 1;
        Ok(())
    }

    /// The version that an input was made from, if it says one and this API looks.
    pub fn check_body_version(&self, input: &Object, id: &str) -> Result<(), Refusal> {
        let Some(version) = &self.config.version else { return Ok(()) };
        match json::at(input, &version.path) {
            Some(claimed) if self.config.concurrency.body => check_claim(&json::text(claimed), self.shelf.get(id)),
            _ => Ok(()),
        }
    }

    fn check_precondition(&self, call: &Call, input: Option<&Object>, id: &str) -> Result<(), Refusal> {
        let current = self.shelf.get(id);
        if self.config.concurrency.headers {
            let failed = |why: &str| Err(Refusal::new(412, "precondition_failed", why));
            if let Some(tags) = call.header("if-match")
                && !current.is_some_and(|stored| has_tag(tags, stored.version))
            {
                return failed("the record is not in the state of If-Match");
            }
            if let Some(tags) = call.header("if-none-match")
                && current.is_some_and(|stored| has_tag(tags, stored.version))
            {
                return failed("the record is in a state of If-None-Match");
            }
        }
        if let Some(claimed) = self.config.concurrency.query.as_ref().and_then(|param| call.param(param)) {
            check_claim(claimed, current)?;
        }
        input.map_or(Ok(()), |input| self.check_body_version(input, id))
    }

    /// Makes of an input what will be kept, or refuses it; answers the state that it asks for.
    fn accept(&self, id: &str, input: &mut Object) -> Result<Option<State>, Refusal> {
        let flag = strip(self.config, input);
        fields::normalise(self.config, input);
        fields::check(self.config, input)?;
        fields::check_unique(self.config, self.shelf, id, input)?;
        Ok(flag.map(state_of))
    }

    fn drop_ignored(&self, input: &mut Object) {
        for field in self.ignored {
            json::take(input, field);
        }
    }

    fn answer(&self, status: u16, id: &str) -> Answer {
        let Some(stored) = self.shelf.get(id) else { return not_found(id).into() };
        let answer = Answer::json(status, Value::Object(render(self.config, stored)));
        if self.config.conditional.record { answer.with("etag", quoted(stored.version)) } else { answer }
    }
}

/// Whether a method is a write that a resource knows, on its listing or on a record.
pub fn is_write(config: &ResourceConfig, method: &Method, on_record: bool) -> bool {
    match *method {
        Method::POST => !on_record,
        Method::PATCH | Method::DELETE => on_record,
        Method::PUT => on_record && config.put != Put::Refused,
        _ => false,
    }
}

fn state_of(archived: bool) -> State {
    if archived { State::Archived } else { State::Live }
}

fn check_claim(claimed: &str, current: Option<&Stored>) -> Result<(), Refusal> {
    match current {
        Some(stored) if !has_tag(claimed, stored.version) => {
            let message = format!("made from version {claimed}, but the record is at {}", stored.version);
            Err(Refusal::new(409, "stale_version", message))
        }
        _ => Ok(()),
    }
}
