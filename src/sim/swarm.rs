//! Owns: which faults a seed's world has, where it does not have them all: a few kinds each, so that none hides another;
//! crashes anywhere in a pass, however long it is; versions that cannot be relied on.
//!
//! Must not know: what each fault does to an exchange; what is asked of the world.

use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use super::chance::Chance;
use super::world::{Guarded, Style};

/// What may go wrong with an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// It never leaves.
    NotSent,
    /// It never arrives.
    LostRequest,
    /// It has its effect, and nobody hears of it.
    LostAnswer,
    /// 500.
    Failing,
    /// 503.
    Busy,
    /// 429.
    Throttled,
    /// A replica answers that lags behind.
    Stale,
    /// The answer breaks off.
    Truncated,
    /// It arrives when it has been given up.
    Late,
}

/// Those that every other world has.
pub const TROUBLES: [Trouble; 8] = [
    Trouble::NotSent,
    Trouble::LostRequest,
    Trouble::LostAnswer,
    Trouble::Failing,
    Trouble::Busy,
    Trouble::Throttled,
    Trouble::Stale,
    Trouble::Truncated,
];

/// Its own numbers of a seed. Of those that give the seeds which failed once (`tests.rs`) the worlds in which they failed.
const FORK: u64 = 0xAE22_9BA5;
/// So many of a hundred worlds have some faults only.
const SOME_PERCENT: u64 = 45;
/// In so many of a hundred of these what was given up may arrive late; by numbers of its own.
const LATE_PERCENT: u64 = 25;
const LATE_FORK: u64 = 0x01A7_E000;
/// Where an upstream is set back as well: there are not many of these.
const LATE_AND_SET_BACK_PERCENT: u64 = 60;
const LATE_AND_SET_BACK_FORK: u64 = 0x01A7_E0BA;
/// So many of a hundred of these have an upstream whose versions come and go.
const FLAKY_PERCENT: u64 = 40;
/// So many of a hundred records are shown there without their version, or with one that is made up.
const FLAKY_RECORDS_PERCENT: u64 = 25;

/// So many of a hundred plans are made in another order as well.
const REVERSED_PERCENT: u64 = 40;

/// The faults of a world.
#[derive(Debug)]
pub struct Swarm {
    troubles: Vec<Trouble>,
    is_some: bool,
    flaky: Option<Flaky>,
    chance: Chance,
}

/// An upstream that shows a version or not, or another one each time.
#[derive(Debug)]
struct Flaky {
    host: String,
    made_up: bool,
    is_off: AtomicBool,
}

impl Swarm {
    /// The one of a seed.
    pub fn drawn(seed: u64, styles: &[Style], is_set_back: bool) -> Self {
        let chance = Chance::new(seed ^ FORK);
        if !chance.percent(SOME_PERCENT) {
            return Self { troubles: TROUBLES.to_vec(), is_some: false, flaky: None, chance };
        }
        // Half of the kinds on average, and each of them alone now and then.
        let mut troubles: Vec<Trouble> = TROUBLES.into_iter().filter(|_| chance.percent(40)).collect();
        if chance.percent(20) || troubles.is_empty() {
            troubles = chance.one(&TROUBLES).copied().into_iter().collect();
        }
        let (fork, percent) =
            if is_set_back { (LATE_AND_SET_BACK_FORK, LATE_AND_SET_BACK_PERCENT) } else { (LATE_FORK, LATE_PERCENT) };
        if Chance::new(seed ^ fork).percent(percent) {
            troubles.push(Trouble::Late);
        }
        let versioned: Vec<&Style> = styles.iter().filter(|style| style.versioned).collect();
        let at = chance.one(&versioned).filter(|_| chance.percent(FLAKY_PERCENT));
        let flaky = at.map(|style| Flaky {
            host: format!("{}.example.com", style.name),
            // A precondition that was made up would be refused for ever.
            made_up: style.guarded == Guarded::Reread && chance.percent(50),
            is_off: AtomicBool::new(false),
        });
        Self { troubles, is_some: true, flaky, chance }
    }

    /// The kinds of faults.
    pub fn troubles(&self) -> &[Trouble] {
        &self.troubles
    }

    /// At which step a pass dies, where `drawn` was drawn for it among the first steps, and passes had so many till now.
    pub fn fuse(&self, drawn: u64, steps: u64) -> u64 {
        if self.is_some && drawn > 0 { 1 + self.chance.below(steps.max(drawn)) } else { drawn }
    }

    /// Whether a plan is made once more with the upstreams in another order: now and then, for it costs a pass.
    pub fn is_asked_in_reverse(&self) -> bool {
        self.chance.percent(REVERSED_PERCENT)
    }

    /// What it consists of, for the trace; nothing where it is all.
    pub fn told(&self) -> Option<String> {
        let flaky = self.flaky.as_ref().map(|flaky| format!(", versions of {} come and go", flaky.host));
        self.is_some.then(|| format!("* faults: {:?}{}", self.troubles, flaky.unwrap_or_default()))
    }

    /// Whether versions can be relied on from now on.
    pub fn set_reliable(&self, reliable: bool) {
        self.flaky.iter().for_each(|flaky| flaky.is_off.store(reliable, Ordering::Release));
    }

    /// An answer of this host as it is shown: some of its records without their version, or with another one.
    pub fn blurred(&self, host: &str, mut answer: Value) -> Option<Value> {
        let flaky = self.flaky.as_ref().filter(|one| one.host == host && !one.is_off.load(Ordering::Acquire))?;
        let blur = |record: &mut Value| {
            let Some(members) = record.as_object_mut().filter(|members| members.contains_key("etag")) else { return };
            if !self.chance.percent(FLAKY_RECORDS_PERCENT) {
                return;
            }
            if flaky.made_up {
                members.insert("etag".to_owned(), json!(format!("W/{:08x}", self.chance.below(1 << 32))));
            } else {
                members.remove("etag");
            }
        };
        blur(&mut answer);
        answer.get_mut("results").and_then(Value::as_array_mut).into_iter().flatten().for_each(blur);
        Some(answer)
    }
}
