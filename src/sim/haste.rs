//! Owns: passes over single records in a simulation, and the webhooks that ask for them: late, lost, doubled, of nothing new.
//!
//! Must not know: the engine.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use chrono::{DateTime, Utc};

use crate::store::{HookState, NewHook, SqliteStore, write};

use super::chance::Chance;
use super::net::Sandboxes;
use super::steps::wait;
use super::world::{PEOPLE, Style};

/// Its own numbers of a seed, so that a world without it is what it was; and such that no seed that is kept as a test has it.
const FORK: u64 = 0x4A57_E144;
/// So many of a hundred worlds that could have them do.
const HASTY_PERCENT: u64 = 60;
/// So many of a hundred passes that do not read everything are over single records, where that does.
const TARGETED_PERCENT: u64 = 60;
/// Webhooks between two passes, at most.
const HOOKS_MAX: u64 = 4;
/// So many of a hundred webhooks about what is there show it.
const SHOWN_PERCENT: u64 = 50;
/// So many of a hundred of these were on their way for long: they show what was there when one was sent before.
const LATE_PERCENT: u64 = 30;

/// What a pass of the engine reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reads {
    /// Nothing is listed, where that does.
    Targets,
    /// What changed.
    Changes,
    /// Everything.
    Everything,
    /// The same, and nothing is written.
    Plan,
}

/// Who does not wait for listings.
#[derive(Debug)]
pub struct Haste {
    chance: Chance,
    serial: AtomicU64,
    /// What webhooks showed last, by upstream and remote id.
    shown: Mutex<BTreeMap<(String, String), Vec<u8>>>,
}

impl Haste {
    /// That of a seed: where every upstream can be asked for single records.
    pub fn drawn(seed: u64, styles: &[Style]) -> Option<Self> {
        let chance = Chance::new(seed ^ FORK);
        let is_able = styles.iter().all(|style| style.get) && chance.percent(HASTY_PERCENT);
        is_able.then(|| Self { chance, serial: AtomicU64::new(0), shown: Mutex::default() })
    }

    /// Whether the next pass is over single records.
    pub fn is_hasty(&self) -> bool {
        self.chance.percent(TARGETED_PERCENT)
    }

    /// Upstreams say something of some of the records that are tied there, and it is taken in; a line each. That one is gone is
    /// said only where it is so.
    pub fn come(&self, store: &SqliteStore, sandboxes: &Sandboxes, now: DateTime<Utc>) -> Vec<String> {
        let tied = "SELECT b.upstream, r.remote_id FROM sync_remote r JOIN sync_binding b USING (binding) \
                    JOIN sync_collection c USING (collection) WHERE c.name = 'people' ORDER BY 1, 2";
        let tied = store.rows_of(tied).unwrap_or_default();
        let mut lines = Vec::new();
        for _ in 0..self.chance.below(HOOKS_MAX + 1) {
            let Some([upstream, id]) = self.chance.one(&tied).map(Vec::as_slice) else { break };
            let sandboxes = sandboxes.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(sandbox) = sandboxes.get(&format!("{upstream}.example.com")) else { continue };
            let (event, record) = match sandbox.get(PEOPLE, id) {
                None => ("delete", None),
                Some(_) if !self.chance.percent(SHOWN_PERCENT) => ("fetch", None),
                Some(now) => ("apply", Some(self.shows(upstream, id, now.to_string().into_bytes()))),
            };
            // Now and then it is the last one again.
            let serial = self.serial.fetch_add(u64::from(!self.chance.percent(15)), Ordering::AcqRel);
            let hook = NewHook {
                upstream: upstream.clone(),
                delivery: format!("h{serial}"),
                received_at: now.timestamp_micros(),
                event: event.to_owned(),
                collection: Some("people".to_owned()),
                remote_id: Some(id.clone()),
                state: HookState::Waiting,
                error: None,
                record,
            };
            drop(sandboxes);
            let taken = wait(write(store, move |tx| tx.take_hook(&hook, u64::MAX)));
            lines.push(format!("* webhook of {upstream}: {event} {id}: {taken:?}"));
        }
        lines
    }

    /// The record as a webhook shows it: as it is now, or late.
    fn shows(&self, upstream: &str, id: &str, now: Vec<u8>) -> Vec<u8> {
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        let before = shown.insert((upstream.to_owned(), id.to_owned()), now.clone());
        before.filter(|_| self.chance.percent(LATE_PERCENT)).unwrap_or(now)
    }
}
