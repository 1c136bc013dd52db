//! What somebody said, and whether all sides have it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::world::World;

use super::deck::Chance;
use super::life::tell;

/// The fields beside the email: of one's own here, at crm, at erp; and of all.
pub const FIELDS: [&str; 6] = ["name", "phone", "note", "rank", "place", "keeper"];

/// The values of a contact.
pub type Person = BTreeMap<&'static str, String>;

/// One that has this in all fields.
pub fn person(value: &str) -> Person {
    FIELDS.iter().map(|field| (*field, value.to_owned())).collect()
}

/// As it is made at an upstream.
pub fn body(email: &str, person: &Person) -> Value {
    let mut body = json!({ "email": email });
    for (field, value) in person {
        body[*field] = json!(value);
    }
    body
}

/// Everything that somebody said.
#[derive(Default)]
pub struct Said {
    /// By email: what must be everywhere in the end.
    pub alive: BTreeMap<String, Person>,
    /// What must be nowhere.
    pub gone: BTreeSet<String>,
    /// What two sides said something about that is not settled yet: nobody else touches it.
    pub held: BTreeSet<String>,
    serial: u64,
}

impl Said {
    /// A value that nobody said before.
    pub fn value(&mut self) -> String {
        self.serial += 1;
        format!("v{}", self.serial)
    }

    /// An email that nobody had before.
    pub fn email(&mut self) -> String {
        self.serial += 1;
        format!("n{}@x.io", self.serial)
    }

    /// Somebody said this.
    pub fn edited(&mut self, email: &str, field: &'static str, value: String) {
        tell(&format!("- {field} of {email} is {value}"));
        self.alive.get_mut(email).unwrap().insert(field, value);
    }

    /// A contact that nobody holds.
    pub fn any(&self, chance: &mut Chance) -> String {
        let free: Vec<&String> = self.alive.keys().filter(|email| !self.held.contains(*email)).collect();
        free[chance.at(free.len())].clone()
    }

    /// It was deleted.
    pub fn deleted(&mut self, email: &str) {
        tell(&format!("- {email} is deleted"));
        self.alive.remove(email);
        self.gone.insert(email.to_owned());
    }
}

/// What all sides have at one moment.
pub struct Sides {
    local: Vec<Vec<String>>,
    upstreams: Vec<Vec<Value>>,
    busy: BTreeSet<String>,
}

impl Sides {
    /// Looks at all of them.
    pub fn look(world: &World) -> Self {
        let local = world.rows(&format!("select email, {}, id from contacts", FIELDS.join(", ")));
        let writes = "select record from sync_intent where state in ('prepared', 'sent', 'unknown', 'parked')";
        let busy = world.rows(writes).concat().into_iter().collect();
        Self { local, upstreams: ["crm", "erp"].map(|name| world.contacts(name)).to_vec(), busy }
    }

    /// Whether all sides have this, once, and nothing is under way.
    pub fn agree(&self, email: &str, person: &Person) -> bool {
        let mut row = vec![email.to_owned()];
        row.extend(FIELDS.iter().map(|field| person[field].clone()));
        let mut here = self.local.iter().filter(|row| row[0] == email);
        let is_here = here.next().is_some_and(|found| {
            let (id, values) = found.split_last().unwrap();
            values == row && !self.busy.contains(id)
        });
        is_here && here.next().is_none() && self.upstreams.iter().all(|all| has_once(all, email, person))
    }

    /// Whether no side has it.
    pub fn lack(&self, email: &str) -> bool {
        self.local.iter().all(|row| row[0] != email)
            && self.upstreams.iter().flatten().all(|contact| contact["email"] != email)
    }
}

fn has_once(all: &[Value], email: &str, person: &Person) -> bool {
    let mut there = all.iter().filter(|contact| contact["email"] == email);
    let is_there =
        there.next().is_some_and(|contact| person.iter().all(|(field, value)| contact[*field] == value.as_str()));
    is_there && there.next().is_none()
}
