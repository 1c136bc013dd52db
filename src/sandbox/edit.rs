//! Owns: direct access, past HTTP: somebody who edits upstream, tests that look in, faults to come.
//!
//! Must not know: requests.

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::config::{IdStyle, ResourceConfig, SandboxConfig};
use super::fault::{Fault, FaultId, Matcher, Times};
use super::handle::{Resource, Sandbox};
use super::json::{self, Object};
use super::log::{LoggedRequest, Stats};
use super::read::not_found;
use super::reply::Refusal;
use super::shelf::{State, render, strip};
use super::write::{Changes, Desk};

impl Sandbox {
    /// From now on the credentials lead to another account.
    pub fn set_account(&mut self, id: &str) {
        if let Some(account) = &mut self.config.account {
            id.clone_into(&mut account.id);
        }
    }

    /// The record as the API shows it; archived ones too, deleted ones not.
    pub fn get(&self, resource: &str, id: &str) -> Option<Value> {
        let resource = self.resource(resource).ok()?;
        resource.shelf.get(id).map(|stored| Value::Object(render(&resource.config, stored)))
    }

    /// The live records as the API shows them, oldest first; none if there is no such resource.
    pub fn all(&self, resource: &str) -> Vec<Value> {
        let Ok(resource) = self.resource(resource) else { return Vec::new() };
        let mut live: Vec<_> = resource.shelf.iter().filter(|stored| stored.state == State::Live).collect();
        live.sort_unstable_by_key(|stored| stored.created);
        live.into_iter().map(|stored| Value::Object(render(&resource.config, stored))).collect()
    }

    /// Merges a patch (RFC 7396) into a record, as is: nothing is normalised or checked.
    pub fn edit(&mut self, resource: &str, id: &str, patch: &Value, now: DateTime<Utc>) -> Result<Value, Refusal> {
        let Resource { config, shelf, .. } = self.resource_mut(resource)?;
        let mut patch = object(patch)?;
        let stored = shelf.get(id).ok_or_else(|| not_found(id))?;
        let (mut data, state) = (stored.data.clone(), stored.state);
        let flag = strip(config, &mut patch);
        json::merge(&mut data, &patch);
        let state = flag.map_or(state, |archived| if archived { State::Archived } else { State::Live });
        shelf.begin_write();
        shelf.save(id, data, state, now);
        shelf.get(id).map(|stored| Value::Object(render(config, stored))).ok_or_else(|| not_found(id))
    }

    /// Puts a record in, as is, and answers its id: that in the body, else the next of the server's.
    pub fn insert(&mut self, resource: &str, body: &Value, now: DateTime<Utc>) -> Result<String, Refusal> {
        let Resource { config, shelf, .. } = self.resource_mut(resource)?;
        let mut data = object(body)?;
        let id = match (json::take(&mut data, &config.id_at), &config.id) {
            (Some(id), _) => json::text(&id),
            (None, IdStyle::Server { prefix }) => shelf.next_id(prefix),
            (None, IdStyle::Client) => return Err(Refusal::new(400, "id_missing", "the client chooses the id")),
        };
        let archived = strip(config, &mut data) == Some(true);
        shelf.begin_write();
        shelf.save(&id, data, if archived { State::Archived } else { State::Live }, now);
        Ok(id)
    }

    /// Deletes or archives a record, as the resource does it; references to it are not looked at.
    pub fn remove(&mut self, resource: &str, id: &str, now: DateTime<Utc>) -> Result<(), Refusal> {
        let Resource { config, shelf, .. } = self.resource_mut(resource)?;
        shelf.begin_write();
        Desk { config, shelf, now, ignored: &[], changes: Changes::default() }.remove(id)
    }

    /// Pushes a fault for the first request that matches.
    pub fn push_fault(&mut self, matcher: Matcher, fault: Fault) -> FaultId {
        self.push_fault_times(matcher, fault, Times::Count(1))
    }

    /// Pushes a fault for so many requests that match. Of several that are due the first pushed happens.
    pub fn push_fault_times(&mut self, matcher: Matcher, fault: Fault, times: Times) -> FaultId {
        self.script.push(matcher, fault, times)
    }

    /// Takes a fault back.
    pub fn clear_fault(&mut self, id: FaultId) {
        self.script.clear(id);
    }

    /// Takes all faults back.
    pub fn clear_faults(&mut self) {
        self.script.clear_all();
    }

    /// Whether faults are still to come.
    pub fn has_faults(&self) -> bool {
        !self.script.is_empty()
    }

    /// The last requests, oldest first.
    pub fn requests(&self) -> impl DoubleEndedIterator<Item = &LoggedRequest> {
        self.log.iter()
    }

    /// The counters.
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    /// Forgets requests and counters, not records.
    pub fn reset_stats(&mut self) {
        self.log.clear();
        self.stats = Stats::default();
    }

    /// Authentication, account and rate limit, to change them in mid-test. `resources` is empty here.
    pub fn config_mut(&mut self) -> &mut SandboxConfig {
        &mut self.config
    }

    /// What a resource is like, to change it in mid-test.
    pub fn resource_config_mut(&mut self, resource: &str) -> Option<&mut ResourceConfig> {
        self.resource_mut(resource).ok().map(|resource| &mut resource.config)
    }

    fn resource(&self, path: &str) -> Result<&Resource, Refusal> {
        self.resources.iter().find(|resource| resource.config.path == path).ok_or_else(|| no_resource(path))
    }

    fn resource_mut(&mut self, path: &str) -> Result<&mut Resource, Refusal> {
        self.resources.iter_mut().find(|resource| resource.config.path == path).ok_or_else(|| no_resource(path))
    }
}

fn no_resource(path: &str) -> Refusal {
    Refusal::new(404, "no_such_resource", format!("there is no resource at {path:?}"))
}

fn object(body: &Value) -> Result<Object, Refusal> {
    body.as_object().cloned().ok_or_else(|| Refusal::new(400, "not_an_object", "a record is a JSON object"))
}
