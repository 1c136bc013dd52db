//! Owns: a machine at an upstream that takes one field back each time that it is written there, and how often it had to.
//!
//! Must not know: the engine.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use crate::sandbox::Sandbox;

use super::chance::Chance;
use super::hands::Hands;
use super::world::{PEOPLE, Style};

/// Its own numbers of a seed, so that a world without it is what it was.
const FORK: u64 = 0xB07B_07B0;
/// So many of a hundred worlds that could have one do.
const BOTS_PERCENT: u64 = 60;
/// A value is written once because it is new (or because a person chose it), and three times over the word of a machine.
const EQUAL_WRITES_MAX: u64 = 4;

/// What it says where nothing was said before.
const WORD: &str = "machine";

/// What it does now.
#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    /// It takes back, in a world full of faults and of people.
    Amid,
    /// It takes back while nothing else happens: so often each value of each record.
    Alone(BTreeMap<(String, String), u64>),
    /// It was switched off.
    Off,
}

/// The machine.
#[derive(Debug)]
pub struct Bot {
    /// Where it is.
    host: String,
    /// Whose notes it does not accept.
    owner: String,
    state: Mutex<State>,
}

/// The notes of a listing, by id.
pub type Notes = BTreeMap<String, Value>;

impl Bot {
    /// The one of a seed: notes belong to one upstream, and it sits at another one.
    pub fn drawn(seed: u64, styles: &[Style]) -> Option<Self> {
        let chance = Chance::new(seed ^ FORK);
        let owner = styles.iter().find(|style| style.owns_notes)?;
        let others: Vec<&Style> = styles.iter().filter(|style| !style.owns_notes).collect();
        let host = |style: &Style| format!("{}.example.com", style.name);
        let at = chance.one(&others).filter(|_| chance.percent(BOTS_PERCENT))?;
        Some(Self { host: host(at), owner: host(owner), state: Mutex::new(State::Amid) })
    }

    /// Whether it looks at writes to this host.
    pub fn is_at(&self, host: &str) -> bool {
        self.host == host && *self.state() != State::Off
    }

    /// Where it is.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The host of whom it does not obey.
    pub fn owner(&self) -> &str {
        &self.owner
    }

    /// Whether the war goes on and nobody is to settle it.
    pub fn is_alone(&self) -> bool {
        matches!(*self.state(), State::Alone(_))
    }

    /// All else is over.
    pub fn left_alone(&self) {
        *self.state() = State::Alone(BTreeMap::new());
    }

    /// It is switched off.
    pub fn stop(&self) {
        *self.state() = State::Off;
    }

    /// What it puts back where a write changes it.
    pub fn notes(sandbox: &Sandbox) -> Notes {
        let records = sandbox.all(PEOPLE);
        let live = records.iter().filter(|record| record["gone"] != true);
        live.filter_map(|record| Some((record["id"].as_str()?.to_owned(), record["note"].clone()))).collect()
    }

    /// Takes back what a write has changed, a moment later; a line for each.
    pub fn take_back(&self, before: &Notes, sandbox: &mut Sandbox, now: DateTime<Utc>) -> Vec<String> {
        let mut told = Vec::new();
        for (id, written) in Self::notes(sandbox) {
            let Some(word) = before.get(&id).filter(|word| **word != written) else { continue };
            // A field that is not shown says nothing; where there was none, the machine has a word of its own.
            let own = Value::from(WORD);
            let word = if word.is_null() { &own } else { word };
            if *word == written {
                continue;
            }
            if sandbox.edit(PEOPLE, &id, &json!({"note": word}), now + TimeDelta::milliseconds(1)).is_err() {
                continue;
            }
            told.push(format!("  * {}: a machine takes {written} of {id} back: {word}", self.host));
            if let State::Alone(counted) = &mut *self.state() {
                *counted.entry((id, written.to_string())).or_default() += 1;
            }
        }
        told
    }

    /// I17: what does not hold when nothing else happened for a while. Where a write's answer does not show the record, what
    /// is taken back at once looks as if it was never taken: then the record is set aside, with these words.
    pub fn judge(&self, sandboxes: &BTreeMap<String, Sandbox>, hands: &Hands) -> Vec<String> {
        let mut broken = Vec::new();
        if let State::Alone(counted) = &*self.state() {
            let too_often = counted.iter().filter(|(_, times)| **times > EQUAL_WRITES_MAX);
            broken.extend(too_often.map(|((id, written), times)| {
                format!("I17: {written} was written {times} times over the word of {} about {id}", self.host)
            }));
        }
        let (asked, aside) = (hands.asked("oscillation", "note"), hands.set_aside(&self.host, "note"));
        let silent = self.differing(sandboxes).into_iter().filter(|key| !asked.contains(key) && !aside.contains(key));
        broken.extend(silent.map(|key| format!("I17: the note of {key} differs at {}, and nobody is told", self.host)));
        broken
    }

    /// The keys of the records whose notes it keeps other than their owner has them.
    fn differing(&self, sandboxes: &BTreeMap<String, Sandbox>) -> BTreeSet<String> {
        let there = by_key(sandboxes.get(&self.host));
        let differs = |(key, note): &(String, String)| there.get(key).is_some_and(|other| other != note);
        by_key(sandboxes.get(&self.owner)).into_iter().filter(differs).map(|(key, _)| key).collect()
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn by_key(sandbox: Option<&Sandbox>) -> BTreeMap<String, String> {
    let records = sandbox.map(|sandbox| sandbox.all(PEOPLE)).unwrap_or_default();
    let live = records.iter().filter(|record| record["gone"] != true);
    live.filter_map(|record| {
        Some((record["key"].as_str()?.to_owned(), record["note"].as_str().unwrap_or("").to_owned()))
    })
    .collect()
}
