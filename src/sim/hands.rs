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
use super::kin::{COMPANY, Kin, PARENT, live, paths};
use super::net::Sandboxes;
use super::store::Disk;
use super::world::{COMPANIES, PEOPLE};

/// One thing that somebody did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deed {
    /// `local` or a host.
    pub side: String,
    /// The record's key.
    pub key: String,
    /// The field; empty for a deletion.
    pub field: &'static str,
    /// The value, which nobody else ever writes; the key of a company, where the field is a reference.
    pub value: String,
    /// It was said with white space around it, which some upstreams take off.
    pub is_padded: bool,
}

impl Deed {
    /// Somebody said who belongs to whom.
    pub fn is_reference(&self) -> bool {
        is_reference(self.field)
    }
}

fn is_reference(field: &str) -> bool {
    field == COMPANY || field == PARENT
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
    /// Companies, where there are any.
    pub kin: Option<Kin>,
}

/// So many of a hundred edits are of companies, where there are any.
const OF_COMPANIES_PERCENT: u64 = 40;

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
        let of_company = self.kin.as_ref().is_some_and(|kin| kin.chance.percent(OF_COMPANIES_PERCENT));
        let path = if of_company { COMPANIES } else { PEOPLE };
        match hosts.get(here).and_then(|host| Some((host, sandboxes.get_mut(host)?))) {
            Some((host, sandbox)) => {
                self.edit_there(host, sandbox, path, idle);
                self.settle_there(host, sandbox);
            }
            None => self.edit_here(path, idle),
        }
    }

    /// Companies get known, and an upstream clears what refers to one that is gone.
    pub fn settle_there(&self, host: &str, sandbox: &mut Sandbox) {
        let Some(kin) = &self.kin else { return };
        kin.meet_there(host, sandbox);
        for (key, field) in Kin::clear_there(sandbox, self.now()) {
            self.note(host, &key, field, "");
        }
    }

    fn edit_there(&self, host: &str, sandbox: &mut Sandbox, path: &str, idle: bool) {
        let live = live(sandbox, path);
        let act = self.chance.below(100);
        let Some(record) = self.chance.one(&live).filter(|_| act >= MAKING) else {
            let key = self.new_key(host, path, idle);
            let (field, value, json) = self.value_there(sandbox, path);
            // Where clients choose ids, this one chooses, too; elsewhere the server puts its own in its place.
            let id = format!("theirs-{key}");
            let body = json!({"id": id, "key": key, "made": self.now().to_rfc3339(), field: json});
            if sandbox.insert(path, &body, self.now()).is_ok() {
                self.note(host, &key, field, &value);
            }
            return;
        };
        let (Some(id), Some(key)) = (record["id"].as_str(), record["key"].as_str()) else { return };
        if act < deleting(path) {
            let reuses = self.reusing.iter().any(|one| one == host) && path == PEOPLE;
            if sandbox.remove(path, id, self.now()).is_ok() {
                self.note(host, key, "", "");
                if reuses && idle && record["made"].is_string() && self.chance.percent(50) {
                    self.reuse(host, sandbox, id);
                }
            }
            return;
        }
        if act < deleting(path) + 4 {
            // A new version of the same content.
            let touched = sandbox.edit(path, id, &json!({"name": record["name"]}), self.now()).is_ok();
            self.touched.lock().unwrap_or_else(PoisonError::into_inner).insert((host.to_owned(), key.to_owned()));
            self.say(format!("* {host}: {key} touched: {touched}"));
            return;
        }
        let (field, value, json) = self.value_there(sandbox, path);
        if sandbox.edit(path, id, &json!({field: json}), self.now()).is_ok() {
            self.note(host, key, field, &value);
        }
    }

    /// A field and its value, for the ledger and for the upstream.
    fn value_there(&self, sandbox: &Sandbox, path: &str) -> (&'static str, String, Value) {
        let (field, value) = self.new_value(path);
        if !is_reference(field) {
            let json = json_of(field, &value);
            return (field, value, json);
        }
        let known = live(sandbox, COMPANIES);
        let named = |record: &Value| Some((record["key"].as_str()?.to_owned(), record["id"].clone()));
        let (key, id) = self.referred(&known).and_then(named).unwrap_or_default();
        (field, key, id)
    }

    /// Whom somebody refers to: now and then nobody.
    fn referred<'a, T>(&self, known: &'a [T]) -> Option<&'a T> {
        self.chance.one(known).filter(|_| self.chance.percent(85))
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
        let (field, value) = self.new_value("");
        let body = json!({"id": id, "key": key, "made": self.now().to_rfc3339(), field: json_of(field, &value)});
        if sandbox.insert(PEOPLE, &body, self.now()).is_ok() {
            self.say(format!("* {host}: {id} is another record now"));
            self.note(host, &key, field, &value);
        }
    }

    fn edit_here(&self, path: &str, idle: bool) {
        let table = path.trim_start_matches('/');
        let keys = self.local_keys(table);
        let act = self.chance.below(100);
        let Some(key) = self.chance.one(&keys).filter(|_| act >= MAKING) else {
            let key = self.new_key("local", path, idle);
            let (field, value, cell) = self.value_here(path);
            self.note("local", &key, field, &value);
            // The default id would be drawn from the machine's clock and randomness.
            let id = new_id(&self.clock);
            let insert = format!("INSERT INTO {table} (id, key, {field}) VALUES (?1, ?2, ?3)");
            self.sql(&insert, &[Some(&id), Some(&key), cell.as_deref()]);
            return;
        };
        if act < deleting(path) {
            // Somebody careful looks who refers to a company before it goes.
            if self.kin.as_ref().is_some_and(|kin| path == COMPANIES && kin.chance.percent(60)) {
                self.clear_here(&format!("= (SELECT id FROM companies WHERE key = '{key}')"));
            }
            self.note("local", key, "", "");
            self.sql(&format!("DELETE FROM {table} WHERE key = ?1"), &[Some(key)]);
            return;
        }
        self.change_here(path, key);
    }

    /// Somebody changes a row here.
    pub fn change_one_here(&self) {
        let keys = self.local_keys(PEOPLE.trim_start_matches('/'));
        if let Some(key) = self.chance.one(&keys) {
            self.change_here(PEOPLE, key);
        }
    }

    fn change_here(&self, path: &str, key: &str) {
        let table = path.trim_start_matches('/');
        let (field, value, cell) = self.value_here(path);
        self.note("local", key, field, &value);
        self.sql(&format!("UPDATE {table} SET {field} = ?1 WHERE key = ?2"), &[cell.as_deref(), Some(key)]);
    }

    /// A field and its value, for the ledger and as its column has it.
    fn value_here(&self, path: &str) -> (&'static str, String, Option<String>) {
        let (field, value) = self.new_value(path);
        if !is_reference(field) {
            let cell = if field == "tags" { format!("[\"{value}\"]") } else { value.clone() };
            return (field, value, Some(cell));
        }
        let known = self.disk.store().rows_of("SELECT key, id FROM companies ORDER BY key").unwrap_or_default();
        match self.referred(&known).map(Vec::as_slice) {
            Some([key, id]) => (field, key.clone(), Some(id.clone())),
            Some(_) | None => (field, String::new(), None),
        }
    }

    /// Whoever refers here to one of these companies refers to nobody. Returns whether there was anybody.
    fn clear_here(&self, these: &str) -> bool {
        let mut any = false;
        for (table, field) in [("people", COMPANY), ("companies", PARENT)] {
            let whose = format!("{field} {these}");
            let keys = format!("SELECT key FROM {table} WHERE {whose} ORDER BY key");
            let keys: Vec<String> =
                self.disk.store().rows_of(&keys).unwrap_or_default().into_iter().flatten().collect();
            for key in &keys {
                self.note("local", key, field, "");
            }
            if !keys.is_empty() {
                any = true;
                self.sql(&format!("UPDATE {table} SET {field} = NULL WHERE {whose}"), &[]);
            }
        }
        any
    }

    /// Somebody tidies up: what is gone is referred to by nobody.
    pub fn tidy_here(&self) {
        if self.kin.is_some() {
            self.clear_here("NOT IN (SELECT id FROM companies)");
        }
    }

    /// The keys of the records about whose field a person is asked.
    pub fn asked(&self, kind: &str, field: &str) -> BTreeSet<String> {
        self.told(&format!(
            "sync_conflict ON TABLE.id = record WHERE closed_at IS NULL AND kind = '{kind}' AND fields = '{field}'"
        ))
    }

    /// The keys of the records of whose field (or any) it is said that a write of it was not taken there.
    pub fn set_aside(&self, host: &str, field: &str) -> BTreeSet<String> {
        self.told(&format!(
            "sync_quarantine ON TABLE.id = subject WHERE upstream || '.example.com' = '{host}' AND stage = 'push' \
             AND reason LIKE 'the upstream accepted a write of %{field}%'"
        ))
    }

    fn told(&self, rows: &str) -> BTreeSet<String> {
        let sql = format!("SELECT TABLE.key FROM TABLE JOIN {rows}");
        let keys = |path: &str| self.disk.store().rows_of(&sql.replace("TABLE", path.trim_start_matches('/')));
        paths(self.kin.as_ref()).flat_map(|path| keys(path).unwrap_or_default()).flatten().collect()
    }

    /// Somebody touches what was set aside: a write that had no effect is tried again only when the record changes.
    pub fn touch_set_aside(&self, sandboxes: &Sandboxes, host: &str) -> bool {
        let mut sandboxes = sandboxes.lock().unwrap_or_else(PoisonError::into_inner);
        let (aside, mut touched) = (self.set_aside(host, ""), false);
        let Some(sandbox) = sandboxes.get_mut(host) else { return false };
        for path in paths(self.kin.as_ref()) {
            for record in sandbox.all(path) {
                let (Some(id), Some(key)) = (record["id"].as_str(), record["key"].as_str()) else { continue };
                if aside.contains(key) && sandbox.edit(path, id, &json!({"key": key}), self.now()).is_ok() {
                    self.say(format!("* {host}: {key} touched"));
                    touched = true;
                }
            }
        }
        touched
    }

    /// Somebody deletes what is set aside as a second one of a record, as its reason says.
    pub fn delete_doubles(&self, sandboxes: &Sandboxes) {
        let doubles = "SELECT upstream || '.example.com', substr(subject, length('remote:') + 1) FROM sync_quarantine \
                       WHERE stage = 'match' AND reason LIKE '%was made there anew%'";
        let mut sandboxes = sandboxes.lock().unwrap_or_else(PoisonError::into_inner);
        for row in self.disk.store().rows_of(doubles).unwrap_or_default() {
            let [host, id] = row.as_slice() else { continue };
            let Some(sandbox) = sandboxes.get_mut(host) else { continue };
            if sandbox.remove(PEOPLE, id, self.now()).is_ok() {
                self.say(format!("* {host}: {id} deleted, which is another one's double"));
            }
        }
    }

    /// How much was done in the local table.
    pub fn local_deeds(&self) -> usize {
        let ledger = self.ledger.lock().unwrap_or_else(PoisonError::into_inner);
        ledger.iter().filter(|deed| deed.side == "local").count()
    }

    /// The keys of all rows.
    fn local_keys(&self, table: &str) -> Vec<String> {
        self.disk
            .store()
            .rows_of(&format!("SELECT key FROM {table} ORDER BY key"))
            .unwrap_or_default()
            .into_iter()
            .filter_map(|mut row| row.pop())
            .collect()
    }

    fn sql(&self, text: &str, values: &[Option<&str>]) {
        // Hints are stamped by SQLite, which reads the machine's clock.
        let now = self.now().timestamp_micros().to_string();
        let stamped = "UPDATE sync_dirty SET at = ?1 WHERE at > ?1";
        // One may go that came in meanwhile, and was not known yet.
        self.meet_here();
        let store = self.disk.store();
        let done = store.as_another_program(text, values);
        if let Err(error) = done.and_then(|()| store.as_another_program(stamped, &[Some(&now)])) {
            self.say(format!("! {text} {values:?}: {error}"));
        }
        self.meet_here();
    }

    /// Companies here get known.
    pub fn meet_here(&self) {
        if let Some(kin) = &self.kin {
            kin.meet_here(&self.disk.store());
        }
    }

    /// A key that nobody has, or now and then one that is known on one other side only.
    fn new_key(&self, side: &str, path: &str, idle: bool) -> String {
        let number = self.serial.fetch_add(1, Ordering::AcqRel);
        let (table, initial) = (path.trim_start_matches('/'), if path == COMPANIES { "c" } else { "k" });
        let here = self.local_keys(table);
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        let ledger = self.ledger.lock().unwrap_or_else(PoisonError::into_inner);
        let known: Vec<&String> = keys.iter().filter(|key| key.starts_with(initial)).collect();
        if let Some(key) = self.chance.one(&known).filter(|_| self.chance.percent(10))
            && ledger.iter().filter(|deed| deed.key == **key).all(|deed| deed.side != side && !deed.field.is_empty())
            && ledger.iter().filter(|deed| deed.key == **key).count() == 1
            && idle
            && !here.contains(key)
        {
            return (*key).clone();
        }
        let key = format!("{initial}{number}");
        keys.insert(key.clone());
        key
    }

    /// Whether the last that was done there is to make what somebody made on another side, too: who does not list it yet cannot
    /// but have it made a second time.
    pub fn has_new_twin(&self, host: &str) -> bool {
        let ledger = self.ledger.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(last) = ledger.iter().rev().find(|deed| deed.side == host) else { return false };
        let of_it = || ledger.iter().filter(|deed| deed.key == last.key);
        of_it().filter(|deed| deed.side == host).count() == 1 && of_it().any(|deed| deed.side != host)
    }

    fn new_value(&self, path: &str) -> (&'static str, String) {
        let number = self.serial.fetch_add(1, Ordering::AcqRel);
        let fields: &[&'static str] = match path {
            COMPANIES => &["name", "phone", PARENT, PARENT],
            PEOPLE if self.kin.is_some() => &OF_PEOPLE,
            _ => &OF_PEOPLE[..8],
        };
        let field = self.chance.one(fields).copied().unwrap_or("name");
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
        let (side, key, is_padded) = (side.to_owned(), key.to_owned(), value.trim() != value);
        let deed = Deed { side, key, field, value: value.trim().to_owned(), is_padded };
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner).push(deed);
    }

    fn say(&self, line: String) {
        self.trace.lock().unwrap_or_else(PoisonError::into_inner).push(line);
    }
}

/// What is edited of people; the last where there are companies.
const OF_PEOPLE: [&str; 13] =
    ["name", "name", "phone", "street", "city", "tags", "rank", "note", COMPANY, COMPANY, COMPANY, COMPANY, COMPANY];

/// So many of a hundred acts are of making something; up to the second, of deleting it.
const MAKING: u64 = 20;

/// Companies go more often: others hang on them.
fn deleting(path: &str) -> u64 {
    if path == COMPANIES { 34 } else { 26 }
}

fn json_of(field: &str, value: &str) -> Value {
    match field {
        "tags" => json!([value]),
        "rank" => json!(value.parse::<i64>().unwrap_or(0)),
        _ => json!(value),
    }
}
