//! Owns: an upstream that is set back to a backup in mid-run, once, and what that undid.
//!
//! Must not know: the engine; whose side then wins.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use crate::reconcile::{SET_BACK, choice_note};
use crate::sandbox::Sandbox;
use crate::store::HaltRow;

use super::chance::Chance;
use super::hands::Deed;
use super::world::{Deletes, PEOPLE, Style};

/// Its own numbers of a seed, so that a world without it is what it was.
const FORK: u64 = 0xBAC4_0B07;
/// So many of a hundred worlds that could be set back are.
const RESTORES_PERCENT: u64 = 30;

/// More than are made between a backup and its return.
const IDS_BURNT: usize = 60;

/// What a restore undid.
#[derive(Clone, Debug, Default)]
pub struct Undone {
    /// Where.
    pub host: String,
    /// How much had been done before.
    pub at: usize,
    /// What was said there meanwhile.
    pub values: BTreeSet<String>,
    /// Records that are otherwise than they were, or gone, or there again.
    pub keys: BTreeSet<String>,
    /// Records that are gone.
    pub gone: BTreeSet<String>,
    /// A person said that what is here wins: what those records say there counts no more, asked about or not.
    pub is_overruled: bool,
    /// A person said that what is there wins, old as it is.
    pub is_believed: bool,
}

impl Undone {
    /// Whether what somebody said there need not be anywhere any more.
    pub fn has_taken(&self, deed: &Deed) -> bool {
        let overruled = self.is_overruled && self.host == deed.side && self.keys.contains(&deed.key);
        overruled || self.values.contains(&deed.value)
    }
}

/// The one restore of a seed.
#[derive(Debug)]
pub struct Restore {
    host: String,
    /// The rounds in which the backup is made, and put in place.
    rounds: (u64, u64),
    /// The backup, and how much had been done by then.
    backup: Mutex<Option<(Sandbox, usize)>>,
    undone: Mutex<Undone>,
    chance: Chance,
}

impl Restore {
    /// The one of a seed: an upstream that can tell what it has lost, and that gives no id twice.
    pub fn drawn(seed: u64, styles: &[Style]) -> Option<Self> {
        let chance = Chance::new(seed ^ FORK);
        let fits = |style: &&Style| style.deletes == Deletes::Absence && !style.reuses_ids;
        let able: Vec<&Style> = styles.iter().filter(fits).collect();
        let at = chance.one(&able).filter(|_| chance.percent(RESTORES_PERCENT))?;
        let made = 2 + chance.below(5);
        let host = format!("{}.example.com", at.name);
        let rounds = (made, made + 1 + chance.below(4));
        Some(Self { host, rounds, backup: Mutex::default(), undone: Mutex::default(), chance })
    }

    /// A round begins, and nothing else happens: the backup is made, or put in place. A line if so.
    pub fn at(
        &self,
        round: u64,
        sandboxes: &mut BTreeMap<String, Sandbox>,
        ledger: &[Deed],
        now_at: DateTime<Utc>,
    ) -> Option<String> {
        let sandbox = sandboxes.get_mut(&self.host)?;
        if round == self.rounds.0 {
            *lock(&self.backup) = Some((sandbox.clone(), ledger.len()));
            return Some(format!("* {}: a backup is made", self.host));
        }
        let (backup, since) = lock(&self.backup).take_if(|_| round == self.rounds.1)?;
        let (now, then) = (by_key(sandbox), by_key(&backup));
        let mut undone = lock(&self.undone);
        undone.at = ledger.len();
        undone.host.clone_from(&self.host);
        let lost = ledger.iter().skip(since).filter(|deed| deed.side == self.host);
        undone.values = lost.map(|deed| deed.value.clone()).collect();
        undone.gone = now.keys().filter(|key| !then.contains_key(*key)).cloned().collect();
        let keys = now.keys().chain(then.keys());
        undone.keys = keys.filter(|key| now.get(*key) != then.get(*key)).cloned().collect();
        undone.values.remove("");
        *sandbox = backup;
        burn_ids(sandbox, now_at);
        Some(format!("* {}: set back to its backup, which undoes {:?}", self.host, undone.keys))
    }

    /// Where it happens.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// What a person says about an upstream that was set back: a note for each, and who wins.
    pub fn choices(&self, halt: &HaltRow) -> Vec<(String, String)> {
        let list: Vec<Value> = serde_json::from_str(&halt.halts).unwrap_or_default();
        let back =
            list.iter().filter(|one| one["what"] == SET_BACK).filter_map(|one| one["target"]["upstream"].as_str());
        back.map(|name| {
            let wins = if self.chance.percent(50) { name } else { "local" };
            let mut undone = lock(&self.undone);
            match wins {
                "local" => undone.is_overruled = true,
                _ => undone.is_believed = true,
            }
            drop(undone);
            (choice_note(&halt.collection, name), wins.to_owned())
        })
        .collect()
    }

    /// What it undid.
    pub fn undone(&self) -> Undone {
        lock(&self.undone).clone()
    }
}

/// What was made after the backup had ids that are not given again.
fn burn_ids(sandbox: &mut Sandbox, now: DateTime<Utc>) {
    for _ in 0..IDS_BURNT {
        // Where clients choose, there is nothing to burn.
        let Ok(id) = sandbox.insert(PEOPLE, &json!({}), now) else { return };
        let _was_there = sandbox.remove(PEOPLE, &id, now);
    }
}

fn by_key(sandbox: &Sandbox) -> BTreeMap<String, Value> {
    let keyed = |record: Value| Some((record["key"].as_str()?.to_owned(), record));
    sandbox.all(PEOPLE).into_iter().filter_map(keyed).collect()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
