//! Owns: passes over single records that a simulation wishes for while another pass runs, and what is known of them.
//!
//! Must not know: the engine.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use crate::reconcile::{Engine, PassError, PassOptions, PassReport, Progress, Silent, Step, Wish};
use crate::store::SqliteStore;

use super::chance::Chance;
use super::haste::Haste;
use super::net::Net;

/// Why they are made.
const TRIGGER: &str = "edit";
/// Its own numbers of a seed.
const FORK: u64 = 0x0BE5_1DE5;
/// So many of a hundred worlds that could have them do.
const PERCENT: u64 = 85;
/// So many of a hundred times somebody does something before one is wished for.
const DEED_PERCENT: u64 = 20;
/// The same of changes here.
const CHANGE_PERCENT: u64 = 80;
/// The same of webhooks.
const HOOKS_PERCENT: u64 = 40;
/// Milliseconds between two of them, at most.
const REST_MAX: u64 = 900;
/// So many in one pass, at most: one that waits for a quarter of an hour, as an upstream asked, would have thousands.
const WISHES_MAX: usize = 12;
/// So many of a hundred answers to listings take long.
const SLOW_PERCENT: u64 = 50;
/// So many milliseconds, at most.
const SLOW_MAX: u64 = 3_000;

/// Who does not wait for a pass that lists.
#[derive(Debug, Default)]
pub struct Beside {
    chance: Option<Chance>,
    /// The pass that runs is open to them.
    is_open: AtomicBool,
    /// One was wished for, and not answered yet.
    is_wished: AtomicBool,
    /// The pass that runs has decided, and sends writes of its own.
    is_sending: AtomicBool,
    /// Records that were read, or shown by webhooks, since it was.
    heard: Mutex<BTreeSet<String>>,
    /// Those that did something while the pass runs.
    made: AtomicU64,
    /// Writes of theirs.
    writes: AtomicU64,
}

impl Beside {
    /// That of a seed, where passes over single records are made at all.
    pub fn drawn(seed: u64, is_hasty: bool) -> Self {
        let chance = Chance::new(seed ^ FORK);
        let is_drawn = is_hasty && chance.percent(PERCENT);
        Self { chance: is_drawn.then_some(chance), ..Self::default() }
    }

    /// A pass begins: whether they may be made in it.
    pub fn begins(&self, may: bool) {
        self.is_open.store(may && self.chance.is_some(), Ordering::Release);
        self.is_sending.store(false, Ordering::Release);
        self.is_wished.store(false, Ordering::Release);
        self.made.store(0, Ordering::Release);
        self.writes.store(0, Ordering::Release);
    }

    /// Whether the pass that runs is open to them.
    pub fn is_open(&self) -> bool {
        self.is_open.load(Ordering::Acquire)
    }

    /// How long until the next one is wished for.
    pub fn rest(&self) -> Duration {
        Duration::from_millis(self.chance.as_ref().map_or(0, |chance| chance.below(REST_MAX)))
    }

    /// Whether somebody does something anywhere first, somebody changes a row here, and webhooks come.
    pub fn comes(&self) -> [bool; 3] {
        let percent = |percent| self.chance.as_ref().is_some_and(|chance| chance.percent(percent));
        [percent(DEED_PERCENT), percent(CHANGE_PERCENT), percent(HOOKS_PERCENT)]
    }

    /// How long the answer to a listing is on its way.
    pub fn slowness(&self) -> Option<Duration> {
        let chance = self.chance.as_ref().filter(|_| self.is_open())?;
        chance.percent(SLOW_PERCENT).then(|| Duration::from_millis(chance.below(SLOW_MAX)))
    }

    /// One is wished for from now on.
    pub fn wishes(&self) {
        self.heard().clear();
        self.is_wished.store(true, Ordering::Release);
    }

    /// It is answered, and may have done something.
    pub fn answered(&self, made: bool) {
        self.is_wished.store(false, Ordering::Release);
        self.made.fetch_add(u64::from(made), Ordering::AcqRel);
    }

    /// A record is read, or shown.
    pub fn hears(&self, host: &str, path: &str) {
        self.heard().insert(format!("{host}{path}"));
    }

    /// Whether a write to this record may be sent, where one is under way; the other pass, `by_pass`, sends none before it has
    /// decided, but for creates of unknown outcome, which it repeats under the id that they had.
    pub fn may_write(&self, store: &SqliteStore, (host, path): (&str, &str), by_pass: bool, is_repeat: bool) -> bool {
        if !self.is_under_way(store) {
            return by_pass;
        }
        let is_others = by_pass && (is_repeat || self.is_sending.load(Ordering::Acquire));
        is_others || self.heard().contains(&format!("{host}{path}"))
    }

    /// A write was sent.
    pub fn note_write(&self, store: &SqliteStore) {
        self.writes.fetch_add(u64::from(self.is_under_way(store)), Ordering::AcqRel);
    }

    /// It may have been wished for when nothing listed any more.
    fn is_under_way(&self, store: &SqliteStore) -> bool {
        let newest =
            "SELECT \"trigger\" FROM sync_pass WHERE ended_at IS NULL AND id = (SELECT max(id) FROM sync_pass)";
        let is_one = || store.rows_of(newest).is_ok_and(|rows| rows.iter().flatten().any(|one| one == TRIGGER));
        self.is_wished.load(Ordering::Acquire) && is_one()
    }

    /// The pass is over. How many did something while it ran, and their writes.
    pub fn ends(&self) -> (u64, u64) {
        self.is_open.store(false, Ordering::Release);
        self.is_wished.store(false, Ordering::Release);
        (self.made.load(Ordering::Acquire), self.writes.load(Ordering::Acquire))
    }

    fn heard(&self) -> std::sync::MutexGuard<'_, BTreeSet<String>> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Notes when a pass has decided.
struct Sending<'a>(&'a Beside);

impl Progress for Sending<'_> {
    fn step(&self, step: &Step<'_>) {
        if matches!(step, Step::Decided { .. }) {
            self.0.is_sending.store(true, Ordering::Release);
        }
    }
}

/// A pass, over single records only where that is enough; where it lists, others are wished for meanwhile.
pub async fn pass(
    engine: &Engine,
    (collection, options, is_targeted): (&str, &PassOptions, bool),
    net: &Net,
    haste: Option<&Haste>,
) -> Result<PassReport, PassError> {
    if is_targeted && let Some(report) = engine.targeted_pass((collection, 0), options, &Silent, None).await? {
        return Ok(report);
    }
    let (give, mut take) = mpsc::channel(1);
    let sending = Sending(&net.beside);
    tokio::select! {
        biased;
        done = engine.pass_open_to(collection, options, &sending, net.beside.is_open().then_some(&mut take)) => done,
        never = wishes(net, haste, &give) => match never {},
    }
}

/// While a pass runs, people edit and webhooks come, and ask for passes of their own.
async fn wishes(net: &Net, haste: Option<&Haste>, give: &mpsc::Sender<Wish>) -> Infallible {
    let (beside, hands, store) = (&net.beside, &net.hands, net.hands.disk.store());
    for _ in 0..WISHES_MAX {
        if !beside.is_open() {
            break;
        }
        net.steps.sleep(beside.rest()).await;
        let [deed, change, hooks] = beside.comes();
        if deed {
            hands.edit(&net.sandboxes, false);
        }
        if change {
            hands.change_one_here();
        }
        beside.wishes();
        if let Some(haste) = haste.filter(|_| hooks) {
            haste.come(&store, &net.sandboxes, hands.now()).into_iter().for_each(|line| net.say(line));
        }
        net.note_hooks(&store);
        let (made, answer) = oneshot::channel();
        if give.send(Wish { trigger: TRIGGER.into(), after: 0, made }).await.is_err() {
            break;
        }
        let made = answer.await;
        beside.answered(matches!(made, Ok(Ok(Some(_)))));
        let told = match made {
            Ok(Ok(Some(report))) => {
                let upstreams = serde_json::to_string(&report.upstreams).unwrap_or_default();
                format!("{:?} {upstreams}", report.outcome)
            }
            Ok(Ok(None)) => "it takes a listing".to_owned(),
            Ok(Err(error)) => error.to_string(),
            Err(_nobody_lists) => break,
        };
        net.say(format!("  - in between = {told}"));
    }
    beside.answered(false);
    std::future::pending().await
}
