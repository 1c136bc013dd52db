//! What is done: somebody edits, makes or deletes something; an upstream fails; rules are edited; a signal comes.

use std::time::Duration;

use http::Method;
use reconciled::sandbox::{Fault, Matcher};
use serde_json::json;

use crate::daemon::PATIENCE;
use crate::hands::now;
use crate::webhooks::{Hook, post};

use super::deck::Act;
use super::life::{standing, tell};
use super::said::{Sides, body, person};
use super::{CONTACTS, Soak, Watch, rules_of};

/// The field that nobody but this side edits.
fn own_field(side: &str) -> &'static str {
    match side {
        "local" => "name",
        "crm" => "phone",
        _ => "note",
    }
}

impl Soak {
    /// Does it, if it can be done.
    pub fn act(&mut self, act: Act) -> bool {
        match act {
            Act::Edit(side) => {
                let email = self.said.any(&mut self.chance);
                self.edit(side, &email, own_field(side))
            }
            Act::EditAll => {
                let email = self.said.any(&mut self.chance);
                ["local", "crm", "erp"].map(|side| self.edit(side, &email, own_field(side))) == [true; 3]
            }
            Act::Contest(contest) => self.contest(contest),
            Act::Create(side) => self.has_room() && self.create(&[side]),
            Act::CreateTwice => self.has_room() && self.create_twice(),
            Act::ComeBack => self.come_back(),
            Act::Delete(side) => self.delete(side),
            Act::DeleteOrEdit(sides) => self.delete_or_edit(sides),
            Act::Fail => self.fail(),
            Act::Hang => self.hang(),
            Act::TouchRules => self.touch_rules(),
            Act::BreakRules => self.break_rules(),
            Act::ChangeRules => self.change_rules(),
            Act::Signal(name) => {
                self.life.signal(name);
                if name == "USR2" {
                    self.life.until("contacts: pass ");
                }
                true
            }
            look => self.look(look),
        }
    }

    /// Somebody says something at this side. False where it has no such contact, yet or any more.
    pub fn edit(&mut self, side: &'static str, email: &str, field: &'static str) -> bool {
        let value = self.said.value();
        let is_done = if side == "local" {
            self.db_changes(&format!("update contacts set {field} = '{value}' where email = '{email}'"))
        } else {
            self.id_at(side, email).is_some_and(|id| {
                let patch = json!({ field: value });
                let is_done = self.world.at(side, |one| one.edit("/contacts", &id, &patch, now()).is_ok());
                if is_done && side == "crm" {
                    self.hook(&id);
                }
                is_done
            })
        };
        if is_done {
            self.counts.edit(side);
            self.said.edited(email, field, value);
        }
        is_done
    }

    /// Whether this changes a row.
    pub fn db_changes(&self, sql: &str) -> bool {
        let db = self.world.db();
        db.busy_timeout(PATIENCE).unwrap();
        db.execute(sql, []).unwrap() == 1
    }

    /// The id that a contact has at an upstream now.
    pub fn id_at(&self, upstream: &str, email: &str) -> Option<String> {
        let all = self.world.contacts(upstream);
        let one = all.iter().find(|contact| contact["email"] == email)?;
        Some(one["id"].as_str().unwrap().to_owned())
    }

    /// crm says what has changed there: now, twice, late, or never; by name, or by showing it.
    fn hook(&mut self, id: &str) {
        let name = self.said.value();
        let shown = self.world.at("crm", |crm| crm.get("/contacts", id));
        let hook = match shown {
            Some(contact) if self.chance.below(3) == 0 => Hook::showing(&name, &contact),
            Some(_) => Hook::about(&name, id),
            None => Hook::gone(&name, id),
        };
        let way = self.chance.at(6);
        self.counts.edit(["webhooks lost", "webhooks late", "webhooks doubled"].get(way).unwrap_or(&"webhooks sent"));
        match way {
            0 => {}
            1 => self.late.push((self.acts + 5 + self.chance.below(15), hook)),
            2 => (0..2).for_each(|_| self.send(&hook)),
            _ => self.send(&hook),
        }
    }

    fn send(&self, hook: &Hook) {
        assert_eq!(post(self.life.hooks, hook), 200);
    }

    /// What is due by now comes at last.
    pub fn send_late(&mut self) {
        let acts = self.acts;
        let (due, late) = std::mem::take(&mut self.late).into_iter().partition(|(due, _)| *due <= acts);
        self.late = late;
        let due: Vec<(u64, Hook)> = due;
        for (_, hook) in &due {
            self.send(hook);
        }
    }

    fn has_room(&self) -> bool {
        self.said.alive.len() < CONTACTS + CONTACTS / 4
    }

    /// Makes one that nobody knew.
    fn create(&mut self, sides: &[&'static str]) -> bool {
        let email = self.said.email();
        self.make(sides, email);
        true
    }

    fn make(&mut self, sides: &[&'static str], email: String) {
        let person = person(&self.said.value());
        for side in sides {
            self.counts.edit(side);
            if *side == "local" {
                let names: Vec<&str> = person.keys().copied().collect();
                let values: Vec<String> = person.values().map(|value| format!("'{value}'")).collect();
                let (names, values) = (names.join(", "), values.join(", "));
                assert!(
                    self.db_changes(&format!("insert into contacts (email, {names}) values ('{email}', {values})"))
                );
            } else {
                let id = self.world.add(side, &body(&email, &person));
                if *side == "crm" {
                    self.hook(&id);
                }
            }
        }
        tell(&format!("- {email} is made at {sides:?}"));
        self.said.gone.remove(&email);
        self.said.alive.insert(email, person);
    }

    /// Both upstreams make it before either is looked at.
    fn create_twice(&mut self) -> bool {
        self.paused(|soak| soak.create(&["crm", "erp"]))
    }

    /// One that all sides have let go of.
    fn come_back(&mut self) -> bool {
        let sides = Sides::look(&self.world);
        let Some(email) = self.said.gone.iter().find(|email| sides.lack(email)).cloned() else { return false };
        let side = self.chance.of(&["local", "crm", "erp"]);
        self.make(&[side], email);
        true
    }

    fn delete(&mut self, side: &'static str) -> bool {
        let Some(email) = self.agreed() else { return false };
        self.remove(side, &email);
        self.said.deleted(&email);
        true
    }

    /// Deletes what all sides have.
    pub fn remove(&mut self, side: &'static str, email: &str) {
        self.counts.edit(side);
        if side == "local" {
            assert!(self.db_changes(&format!("delete from contacts where email = '{email}'")));
            return;
        }
        let id = self.id_at(side, email).unwrap();
        self.world.remove(side, &id);
        if side == "crm" {
            self.hook(&id);
        }
    }

    fn failing(&mut self, fault: Fault) -> bool {
        let upstream = self.chance.of(&["crm", "erp"]);
        let matcher = match self.chance.below(6) {
            0 => Matcher::exactly(Method::GET, "/contacts"),
            1 => Matcher::of(Method::PATCH, "/contacts"),
            2 => Matcher::of(Method::POST, "/contacts"),
            3 => Matcher::of(Method::DELETE, "/contacts"),
            _ => Matcher::any(),
        };
        self.world.at(upstream, |one| one.push_fault(matcher, fault));
        true
    }

    fn fail(&mut self) -> bool {
        let fault = match self.chance.below(9) {
            0 => Fault::status(503),
            1 => Fault::status(500),
            2 => Fault::LostRequestBeforeCommit,
            3 => Fault::throttled("1"),
            4 => Fault::TruncatedBody { after: None },
            5 => Fault::HtmlBody,
            6 => Fault::GarbageJson,
            _ => Fault::LostResponseAfterCommit,
        };
        self.failing(fault)
    }

    fn hang(&mut self) -> bool {
        self.failing(Fault::Slow { delay_ms: 3_600_000, bytes_per_chunk: 0 })
    }

    fn touch_rules(&mut self) -> bool {
        let acts = self.acts;
        self.mend_rules();
        self.world.change_rules("rules.toml", |rules| format!("{rules}# {acts}\n"));
        true
    }

    /// It is noticed, and told.
    fn break_rules(&mut self) -> bool {
        if self.broken.is_some() {
            return false;
        }
        let good = std::fs::read_to_string(self.world.path("rules/rules.toml")).unwrap();
        let cut = good.len() / 3 + self.chance.at(good.len() / 3);
        let bad = format!("{}\nevry = [", &good[..cut]);
        self.world.rules("rules.toml", &bad);
        self.broken = Some(good);
        self.life.until("the rules as they are now cannot be used; those from before stay in force");
        self.rules_are_refused(true);
        true
    }

    /// They are as they were, if they were broken.
    pub fn mend_rules(&mut self) {
        let Some(good) = self.broken.take() else { return };
        self.world.rules("rules.toml", &good);
        self.rules_are_refused(false);
    }

    /// It says so to whoever asks, sooner or later.
    fn rules_are_refused(&mut self, expected: bool) {
        let since = Watch::begin();
        while standing(&self.world)["rules_refused"].is_string() != expected {
            self.life.beat(Duration::from_millis(20));
            assert!(since.elapsed() < PATIENCE, "rules that are broken ({expected}) are refused ({})", !expected);
        }
    }

    /// What is contested is decided by the rules of when it was: there is none of it.
    fn change_rules(&mut self) -> bool {
        self.let_go();
        if !self.said.held.is_empty() {
            return false;
        }
        self.mend_rules();
        let before = format!("priority = [\"{}\"", self.first);
        let other = if self.first == "crm" { "erp" } else { "crm" };
        self.world.change_rules("rules.toml", |rules| {
            assert!(rules.contains(&before));
            let line = rules.lines().find(|line| line.starts_with("priority = ")).unwrap().to_owned();
            let new = rules_of("[collection.contacts]", other);
            let new = new.lines().find(|line| line.starts_with("priority = ")).unwrap().to_owned();
            rules.replace(&line, &new)
        });
        self.first = other;
        self.life.signal("HUP");
        self.life.until("rules and secrets were read anew: they have changed");
        true
    }
}
