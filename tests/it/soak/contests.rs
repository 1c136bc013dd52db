//! Two sides say different things about one contact. What comes of it follows from the rules, and is worked out here.

use std::time::Duration;

use crate::daemon::PATIENCE;
use crate::hands::now;

use super::Soak;
use super::life::Watch;
use super::said::Sides;

/// Who wins where two sides edit one field.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Contest {
    /// The side that stands first in `priority` wins.
    Priority,
    /// The later edit wins.
    Time,
    /// A person decides.
    Person,
}

/// One side deletes, another edits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Deletion {
    /// It deletes first.
    pub deletes: &'static str,
    /// It edits then, if it still has the contact.
    pub edits: &'static str,
}

impl Soak {
    /// A contact that all sides agree about, and that nothing is under way for.
    pub fn agreed(&mut self) -> Option<String> {
        if self.said.alive.len() < super::CONTACTS / 2 {
            return None;
        }
        let sides = self.let_go();
        (0..10).find_map(|_| {
            let email = self.said.any(&mut self.chance);
            sides.agree(&email, &self.said.alive[&email]).then_some(email)
        })
    }

    /// What all sides agree about now is nobody's any more.
    pub fn let_go(&mut self) -> Sides {
        let sides = Sides::look(&self.world);
        let alive = &self.said.alive;
        self.said.held.retain(|email| alive.get(email).is_some_and(|person| !sides.agree(email, person)));
        sides
    }

    /// Does something while no pass runs.
    pub fn paused(&mut self, what: impl FnOnce(&mut Self) -> bool) -> bool {
        self.world.run(&["pause", "contacts"]).exits(0);
        self.life.is_idle(&self.world);
        let is_done = what(self);
        self.world.run(&["resume", "contacts"]).exits(0);
        is_done
    }

    /// Two sides edit one field before either is looked at. Until all sides agree nobody else touches that contact: what an
    /// upstream says of when it was changed is about all its fields.
    pub fn contest(&mut self, contest: Contest) -> bool {
        let mut sides = ["local", "crm", "erp"];
        let left_out = self.chance.at(3);
        sides.swap(left_out, 2);
        if self.chance.below(2) == 0 {
            sides.swap(0, 1);
        }
        let sides = [sides[0], sides[1]];
        let mut contested = None;
        self.paused(|soak| {
            contested = soak.agreed();
            contested.as_ref().is_some_and(|email| soak.edit_both(contest, sides, email))
        });
        let Some(email) = contested else { return false };
        if contest == Contest::Person {
            self.decide(sides, &email);
        }
        true
    }

    fn edit_both(&mut self, contest: Contest, sides: [&'static str; 2], email: &str) -> bool {
        let field = match contest {
            Contest::Priority => "rank",
            Contest::Time => "place",
            Contest::Person => "keeper",
        };
        let values = sides.map(|side| {
            later();
            assert!(self.edit(side, email, field));
            self.said.alive[email][field].clone()
        });
        let last = if self.first == "crm" { "erp" } else { "crm" };
        let order = [self.first, "local", last];
        let place = |side: &str| order.iter().position(|one| *one == side);
        let [one, two] = values;
        let wins = match contest {
            Contest::Priority if place(sides[0]) < place(sides[1]) => one,
            _ => two,
        };
        self.said.edited(email, field, wins);
        self.said.held.insert(email.to_owned());
        true
    }

    /// The conflict opens, and a person takes one of the sides.
    fn decide(&mut self, sides: [&'static str; 2], email: &str) {
        let open = "select id from sync_conflict where closed_at is null";
        let since = Watch::begin();
        let conflict = loop {
            if let [one, ..] = self.world.rows(open).as_slice() {
                break one[0].clone();
            }
            self.life.beat(Duration::from_millis(100));
            assert!(since.elapsed() < PATIENCE, "no conflict opens about {email} between {sides:?}");
        };
        let side = self.chance.of(&sides);
        let value = if side == "local" {
            self.world.rows(&format!("select keeper from contacts where email = '{email}'")).concat().concat()
        } else {
            let all = self.world.contacts(side);
            let one = all.iter().find(|contact| contact["email"] == email).unwrap();
            one["keeper"].as_str().unwrap().to_owned()
        };
        self.world.run(&["resolve", &conflict, "--take", side]).exits(0);
        self.said.edited(email, "keeper", value);
    }

    /// One side deletes what another edits at once: if it still could, the edit counts (`update_wins`).
    pub fn delete_or_edit(&mut self, sides: Deletion) -> bool {
        let Some(email) = self.agreed() else { return false };
        self.remove(sides.deletes, &email);
        let field = match sides.edits {
            "local" => "name",
            "crm" => "phone",
            _ => "note",
        };
        if self.edit(sides.edits, &email, field) {
            self.said.held.insert(email);
            self.counts.edit("deletes that met an edit");
        } else {
            self.said.deleted(&email);
        }
        true
    }
}

/// Times are told in milliseconds: what comes next is later.
fn later() {
    let before = now().timestamp_millis();
    while now().timestamp_millis() <= before + 1 {
        std::thread::yield_now();
    }
}
