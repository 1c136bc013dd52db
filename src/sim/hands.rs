//! Owns: everybody else who edits: at upstreams and in the local table, and the ledger of what they did.
//!
//! Must not know: the engine.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use crate::clock::{Clock as _, new_id};
use crate::sandbox::Sandbox;

use super::chance::Chance;
use super::clock::SimClock;
use super::net::Sandboxes;
use super::steps::wait;
use super::store::Disk;
use super::world::PEOPLE;

/// One thing that somebody did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deed {
    /// `local` or a host.
    pub side: String,
    /// The record's key.
    pub key: String,
    /// The field; empty for a deletion.
    pub field: &'static str,
    /// The value, which nobody else ever writes.
    pub value: String,
}

/// Everybody else.
pub struct Hands {
    /// The local database.
    pub disk: Arc<Disk>,
    /// Chance.
    pub chance: Chance,
    /// Time.
    pub clock: SimClock,
    /// What they did, in order.
    pub ledger: Mutex<Vec<Deed>>,
    /// Keys that ever existed.
    pub keys: Mutex<BTreeSet<String>>,
    /// What happened, a line each.
    pub trace: Arc<Mutex<Vec<String>>>,
    /// Numbers values.
    pub serial: AtomicU64,
    /// Upstreams that cannot refuse a write that was overtaken: an edit between our look and our write is lost there,
    /// whatever we do, so nobody edits there while a pass runs.
    pub unguarded: Vec<String>,
    /// Fields that an upstream's rules left out for a while: what was said of them there meanwhile nobody heard.
    pub unheard: Mutex<BTreeSet<(String, &'static str)>>,
    /// Records that got a new version of the same content, by host and key.
    pub touched: Mutex<BTreeSet<(String, String)>>,
    /// Upstreams that give ids of deleted records to new ones.
    pub reusing: Vec<String>,
}

impl Hands {
    /// The time.
    pub fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    /// Somebody does something somewhere. While no pass runs (`idle`) it may be to make on a second side what somebody made
    /// on a first one: during a pass that would be two records, as far as anybody can know.
    pub fn edit(&self, sandboxes: &Sandboxes, idle: bool) {
        let mut sandboxes = sandboxes.lock().unwrap_or_else(PoisonError::into_inner);
        let mut hosts: Vec<String> = sandboxes.keys().cloned().collect();
        hosts.retain(|host| idle || !self.unguarded.contains(host));
        let here = self.chance.index(hosts.len() + 1);
        match hosts.get(here).and_then(|host| Some((host, sandboxes.get_mut(host)?))) {
            Some((host, sandbox)) => {
                let reuses = self.reusing.contains(host);
                self.edit_there(host, sandbox, idle, reuses);
            }
            None => self.edit_here(idle),
        }
    }

    fn edit_there(&self, host: &str, sandbox: &mut Sandbox, idle: bool, reuses: bool) {
        let records = sandbox.all(PEOPLE);
        let live: Vec<&Value> = records.iter().filter(|record| record["gone"] != true).collect();
        let act = self.chance.below(100);
        let Some(record) = self.chance.one(&live).filter(|_| act >= 20) else {
            let key = self.new_key(host, idle);
            let (field, value) = self.new_value();
            // Where clients choose ids, this one chooses, too; elsewhere the server puts its own in its place.
            let id = format!("theirs-{key}");
            let body = json!({"id": id, "key": key, "made": self.now().to_rfc3339(), field: json_of(field, &value)});
            if sandbox.insert(PEOPLE, &body, self.now()).is_ok() {
                self.note(host, &key, field, &value);
            }
            return;
        };
        let (Some(id), Some(key)) = (record["id"].as_str(), record["key"].as_str()) else { return };
        if act < 26 {
            if sandbox.remove(PEOPLE, id, self.now()).is_ok() {
                self.note(host, key, "", "");
                if reuses && idle && record["made"].is_string() && self.chance.percent(50) {
                    self.reuse(host, sandbox, id);
                }
            }
            return;
        }
        if act < 30 {
            // A new version of the same content.
            let touched = sandbox.edit(PEOPLE, id, &json!({"name": record["name"]}), self.now()).is_ok();
            self.touched.lock().unwrap_or_else(PoisonError::into_inner).insert((host.to_owned(), key.to_owned()));
            self.say(format!("* {host}: {key} touched: {touched}"));
            return;
        }
        let (field, value) = self.new_value();
        if sandbox.edit(PEOPLE, id, &json!({field: json_of(field, &value)}), self.now()).is_ok() {
            self.note(host, key, field, &value);
        }
    }

    /// Somebody gives every other record there a note: what others then make of it is a matter of the engine alone.
    pub fn annotate(&self, sandboxes: &Sandboxes, host: &str) {
        let mut sandboxes = sandboxes.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(sandbox) = sandboxes.get_mut(host) else { return };
        for record in sandbox.all(PEOPLE).into_iter().filter(|record| record["gone"] != true) {
            let (Some(id), Some(key)) = (record["id"].as_str(), record["key"].as_str()) else { continue };
            let value = format!("v{}x", self.serial.fetch_add(1, Ordering::AcqRel));
            if self.chance.percent(50) && sandbox.edit(PEOPLE, id, &json!({"note": value}), self.now()).is_ok() {
                self.note(host, key, "note", &value);
            }
        }
    }

    /// The id of a record that is gone names another one.
    fn reuse(&self, host: &str, sandbox: &mut Sandbox, id: &str) {
        let key = format!("k{}", self.serial.fetch_add(1, Ordering::AcqRel));
        self.keys.lock().unwrap_or_else(PoisonError::into_inner).insert(key.clone());
        let (field, value) = self.new_value();
        let body = json!({"id": id, "key": key, "made": self.now().to_rfc3339(), field: json_of(field, &value)});
        if sandbox.insert(PEOPLE, &body, self.now()).is_ok() {
            self.say(format!("* {host}: {id} is another record now"));
            self.note(host, &key, field, &value);
        }
    }

    fn edit_here(&self, idle: bool) {
        let keys = self.local_keys();
        let act = self.chance.below(100);
        let Some(key) = self.chance.one(&keys).filter(|_| act >= 20) else {
            let key = self.new_key("local", idle);
            let (field, value) = self.new_value();
            self.note("local", &key, field, &value);
            // The default id would be drawn from the machine's clock and randomness.
            let id = new_id(&self.clock);
            self.sql(&format!(
                "INSERT INTO people (id, key, {field}) VALUES ('{id}', '{key}', {})",
                sql_of(field, &value)
            ));
            return;
        };
        if act < 26 {
            self.note("local", key, "", "");
            self.sql(&format!("DELETE FROM people WHERE key = '{key}'"));
            return;
        }
        let (field, value) = self.new_value();
        self.note("local", key, field, &value);
        self.sql(&format!("UPDATE people SET {field} = {} WHERE key = '{key}'", sql_of(field, &value)));
    }

    /// The keys of the records about whose field a person is asked.
    pub fn asked(&self, kind: &str, field: &str) -> BTreeSet<String> {
        self.told(&format!(
            "sync_conflict ON people.id = record WHERE closed_at IS NULL AND kind = '{kind}' AND fields = '{field}'"
        ))
    }

    /// The keys of the records of whose field (or any) it is said that a write of it was not taken there.
    pub fn set_aside(&self, host: &str, field: &str) -> BTreeSet<String> {
        self.told(&format!(
            "sync_quarantine ON people.id = subject WHERE upstream || '.example.com' = '{host}' AND stage = 'push' \
             AND reason LIKE 'the upstream accepted a write of %{field}%'"
        ))
    }

    fn told(&self, rows: &str) -> BTreeSet<String> {
        let sql = format!("SELECT people.key FROM people JOIN {rows}");
        wait(self.disk.store().rows_of(&sql)).unwrap_or_default().into_iter().flatten().collect()
    }

    /// Somebody touches what was set aside: a write that had no effect is tried again only when the record changes.
    pub fn touch_set_aside(&self, sandboxes: &Sandboxes, host: &str) -> bool {
        let mut sandboxes = sandboxes.lock().unwrap_or_else(PoisonError::into_inner);
        let (aside, mut touched) = (self.set_aside(host, ""), false);
        let Some(sandbox) = sandboxes.get_mut(host) else { return false };
        for record in sandbox.all(PEOPLE) {
            let (Some(id), Some(key)) = (record["id"].as_str(), record["key"].as_str()) else { continue };
            if aside.contains(key) && sandbox.edit(PEOPLE, id, &json!({"key": key}), self.now()).is_ok() {
                self.say(format!("* {host}: {key} touched"));
                touched = true;
            }
        }
        touched
    }

    /// How much was done in the local table.
    pub fn local_deeds(&self) -> usize {
        let ledger = self.ledger.lock().unwrap_or_else(PoisonError::into_inner);
        ledger.iter().filter(|deed| deed.side == "local").count()
    }

    /// The keys of all rows.
    pub fn local_keys(&self) -> Vec<String> {
        wait(self.disk.store().rows_of("SELECT key FROM people ORDER BY key"))
            .unwrap_or_default()
            .into_iter()
            .filter_map(|mut row| row.pop())
            .collect()
    }

    fn sql(&self, text: &str) {
        // Hints are stamped by SQLite, which reads the machine's clock.
        let now = self.now().timestamp_micros();
        let text = format!("{text}; UPDATE sync_dirty SET at = {now} WHERE at > {now}");
        if let Err(error) = wait(self.disk.store().as_another_program(&text)) {
            self.say(format!("! {text}: {error}"));
        }
    }

    /// A key that nobody has, or now and then one that is known on one other side only.
    fn new_key(&self, side: &str, idle: bool) -> String {
        let number = self.serial.fetch_add(1, Ordering::AcqRel);
        let here = self.local_keys();
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        let ledger = self.ledger.lock().unwrap_or_else(PoisonError::into_inner);
        let known: Vec<&String> = keys.iter().collect();
        if let Some(key) = self.chance.one(&known).filter(|_| self.chance.percent(10))
            && ledger.iter().filter(|deed| deed.key == **key).all(|deed| deed.side != side && !deed.field.is_empty())
            && ledger.iter().filter(|deed| deed.key == **key).count() == 1
            && idle
            && !here.contains(key)
        {
            return (*key).clone();
        }
        let key = format!("k{number}");
        keys.insert(key.clone());
        key
    }

    fn new_value(&self) -> (&'static str, String) {
        let number = self.serial.fetch_add(1, Ordering::AcqRel);
        let field = self.chance.one(&["name", "name", "phone", "street", "city", "tags", "rank", "note"]).copied();
        let field = field.unwrap_or("name");
        let value = match field {
            "phone" => format!("9{number:06}"),
            "rank" => number.to_string(),
            // An upstream that trims makes its own of it.
            "name" if self.chance.percent(20) => format!("v{number}x "),
            _ => format!("v{number}x"),
        };
        (field, value)
    }

    fn note(&self, side: &str, key: &str, field: &'static str, value: &str) {
        self.say(format!(
            "* {side}: {key} {}",
            if field.is_empty() { "deleted".into() } else { format!("{field} = {value}") }
        ));
        let deed = Deed { side: side.to_owned(), key: key.to_owned(), field, value: value.trim().to_owned() };
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner).push(deed);
    }

    fn say(&self, line: String) {
        self.trace.lock().unwrap_or_else(PoisonError::into_inner).push(line);
    }
}

fn json_of(field: &str, value: &str) -> Value {
    match field {
        "tags" => json!([value]),
        "rank" => json!(value.parse::<i64>().unwrap_or(0)),
        _ => json!(value),
    }
}

fn sql_of(field: &str, value: &str) -> String {
    match field {
        "tags" => format!("'[\"{value}\"]'"),
        "rank" => value.to_owned(),
        _ => format!("'{value}'"),
    }
}
