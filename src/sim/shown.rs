//! Owns: what upstreams really showed or acknowledged, and whether the bases that are kept of them are true to it (I7); and
//! whether a write carries what it is not about (I10).
//!
//! Must not know: how a base is computed, what goes wrong on the way.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use serde_json::Value;

use crate::store::SqliteStore;
use crate::upstream::Outgoing;

use super::check::{normal, text};
use super::world::{COMPANIES, FIELDS, Guarded, PEOPLE, Style};

/// A field of a remote record: host, resource, id, field.
type Place = (String, &'static str, String, String);

/// Links of records that are there, with all that is kept of what was seen of them.
const BASES: &str = "\
    SELECT b.upstream || '.example.com', c.name, l.remote_id, CAST(l.raw AS TEXT), coalesce(l.base_remote, '{}') \
    FROM sync_link l JOIN sync_binding b USING (binding) JOIN sync_collection c ON c.collection = b.collection \
    WHERE l.state = 0";

/// What is known of a field.
#[derive(Debug, Default)]
struct Told {
    /// All values that were shown, or sent and acknowledged.
    ever: BTreeSet<String>,
    /// What an answer showed last.
    last: Value,
}

/// All that was told, by place.
#[derive(Debug, Default)]
pub struct Shown(Mutex<BTreeMap<Place, Told>>, Mutex<BTreeMap<String, Value>>);

impl Shown {
    /// An exchange went well, and its answer was heard.
    pub fn note(&self, host: &str, request: &Outgoing, answer: &Value) {
        let path = request.url.path().trim_end_matches("/batch");
        let Some(resource) = [PEOPLE, COMPANIES].into_iter().find(|resource| path.starts_with(resource)) else {
            return;
        };
        let empty = Vec::new();
        let results = answer["results"].as_array().unwrap_or(&empty);
        let mut shown = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut take = |id: &Value, record: &Value, is_answer: bool| {
            let (Some(id), Some(members)) = (id.as_str(), record.as_object()) else { return };
            for (field, value) in members {
                let place = (host.to_owned(), resource, id.to_owned(), field.clone());
                let told = shown.entry(place).or_default();
                told.ever.insert(normal(&text(value)));
                if is_answer {
                    told.last.clone_from(value);
                }
            }
        };
        results.iter().chain([answer]).for_each(|record| take(&record["id"], record, true));
        let sent: Value = request.body.as_ref().and_then(|body| serde_json::from_slice(body).ok()).unwrap_or_default();
        let addressed = path.strip_prefix(resource).and_then(|rest| rest.strip_prefix('/')).map(Value::from);
        take(addressed.as_ref().unwrap_or(&answer["id"]), &sent, false);
        let sent = self.of_job(host, request, answer).unwrap_or(sent);
        let items = sent["inputs"].as_array().unwrap_or(&empty);
        items.iter().zip(results).for_each(|(item, result)| take(&result["id"], item, false));
    }

    /// What was sent to the job that answers.
    fn of_job(&self, host: &str, request: &Outgoing, answer: &Value) -> Option<Value> {
        let mut jobs = self.1.lock().unwrap_or_else(PoisonError::into_inner);
        let place = |query: &str| format!("{host}{}?{query}", request.url.path());
        match answer["job"].as_str() {
            Some(job) => {
                let sent = serde_json::from_slice(request.body.as_ref()?).ok()?;
                jobs.insert(place(job.trim_start_matches('?')), sent);
                None
            }
            None => jobs.get(&place(request.url.query()?)).cloned(),
        }
    }

    /// A webhook shows a record.
    pub fn note_hook(&self, host: &str, record: &Value) {
        let (Some(id), Some(members)) = (record["id"].as_str(), record.as_object()) else { return };
        let mut shown = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (field, value) in members {
            let place = (host.to_owned(), PEOPLE, id.to_owned(), field.clone());
            shown.entry(place).or_default().ever.insert(normal(&text(value)));
        }
    }

    /// I7: after a pass, every value in the remote half of a base was shown or acknowledged.
    pub fn untrue(&self, store: &SqliteStore) -> Vec<String> {
        let shown = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut broken = Vec::new();
        for row in store.rows_of(BASES).unwrap_or_default() {
            let [host, collection, id, raw, base] = row.as_slice() else { continue };
            // An id that names something else by now is kept with the time of its first bearer.
            let id = id.split(" (").next().unwrap_or(id).to_owned();
            let resource = if collection == "companies" { COMPANIES } else { PEOPLE };
            let raw: Value = serde_json::from_str(raw).unwrap_or_default();
            let base: Value = serde_json::from_str(base).unwrap_or_default();
            let kept = raw.as_object().into_iter().flatten();
            let own = base.as_object().into_iter().flatten();
            let own =
                own.filter(|(field, _)| !field.is_empty()).filter_map(|(field, list)| Some((field, list.get(0)?)));
            for (field, value) in
                kept.chain(own).filter(|(field, value)| FIELDS.contains(&field.as_str()) && !value.is_null())
            {
                let place = (host.clone(), resource, id.clone(), field.clone());
                if !shown.get(&place).is_some_and(|told| told.ever.contains(&normal(&text(value)))) {
                    broken.push(format!("I7: {field} of {id} at {host} never was {value}"));
                }
            }
        }
        broken
    }

    /// I10: an update that will be accepted carries a field that stands there already as it is sent, and was shown so. Fields
    /// that move with others may.
    pub fn beside_the_point(&self, style: &Style, request: &Outgoing, items: &[Value], there: &[Value]) -> Vec<String> {
        let shown = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let single = request.url.path().rsplit('/').next().filter(|_| request.method == http::Method::PATCH);
        let mut told = Vec::new();
        for item in items.iter().filter(|_| request.url.path().starts_with(PEOPLE)) {
            let Some(id) = single.or_else(|| item["id"].as_str()) else { continue };
            let Some(record) = there.iter().find(|record| record["id"] == id) else { continue };
            let expected = match style.guarded {
                Guarded::Header => request.headers.get(http::header::IF_MATCH).and_then(|tag| tag.to_str().ok()),
                Guarded::Body => item["etag"].as_str(),
                Guarded::Reread => record["etag"].as_str(),
            };
            if expected.map(|tag| tag.trim_matches('"')) != record["etag"].as_str() {
                continue;
            }
            let host = format!("{}.example.com", style.name);
            let was_shown = |field: &String, value: &Value| {
                let place = (host.clone(), PEOPLE, id.to_owned(), field.clone());
                shown.get(&place).is_some_and(|told| told.last == *value)
            };
            let needless = |(field, value): &(&String, &Value)| {
                // Where the other sides take over how it is spelt here, that is an edit of theirs, and is sent.
                let respelt = style.trims && field.as_str() == "name";
                let alone =
                    !respelt && FIELDS.contains(&field.as_str()) && !["street", "city"].contains(&field.as_str());
                alone && record.get(field.as_str()) == Some(value) && was_shown(field, value)
            };
            let needless = item.as_object().into_iter().flatten().filter(needless);
            told.extend(needless.map(|(field, value)| format!("I10: {field} of {id} is sent as it stands: {value}")));
        }
        told
    }
}
