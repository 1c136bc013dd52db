//! A daemon that lives long: edits, creates and deletes on every side, webhooks, upstreams that fail, rules that change, signals,
//! kills, and people who look on.
//!
//! For a few seconds, or for as many as `RECONCILED_SOAK_SECONDS` says; `tests/run --soak MINUTES` sets it. What is done is
//! the same each time, when it happens is not.

mod acts;
mod contests;
mod deck;
mod end;
mod figures;
mod life;
mod looks;
mod said;

use std::time::Duration;

use deck::{Chance, Deck};
use life::{Life, Watch};
use said::Said;

use crate::webhooks::{Hook, with_hooks};
use crate::world::World;

/// Contacts that are there in the beginning.
const CONTACTS: usize = 200;
/// Lives that end early in the first half of the time; the second half is one life.
const SHORT_LIVES: u32 = 12;
/// The same where it is all over in seconds.
const SHORT_LIVES_MIN: u32 = 2;
/// So long the next act waits for a pass to end, in milliseconds.
const MOMENTS: [u64; 4] = [0, 50, 200, 700];
/// The same where it is all over in seconds.
const SHORT_MOMENTS: [u64; 4] = [0, 0, 20, 100];
/// A short life lasts so long at least.
const LIFE_MIN: Duration = Duration::from_secs(2);

/// Everything that takes part.
struct Soak {
    world: World,
    life: Life,
    said: Said,
    chance: Chance,
    deck: Deck,
    /// Webhooks that come late, with the act that they wait for.
    late: Vec<(u64, Hook)>,
    /// The good text of rules that are broken now.
    broken: Option<String>,
    /// The name that stands first in `priority`.
    first: &'static str,
    acts: u64,
    moments: [u64; 4],
    counts: figures::Counts,
}

impl Soak {
    fn begin(moments: [u64; 4]) -> Self {
        let world = World::with_contacts(&["crm", "erp"], |_, _| {});
        world.change_rules("rules.toml", |rules| rules_of(&rules, "crm"));
        world.settings_of_upstreams("timeout = { connect = \"500ms\", idle = \"1s\", total = \"10s\" }");
        with_hooks(&world);
        let mut said = Said::default();
        for nth in 0..CONTACTS {
            let email = format!("p{nth}@x.io");
            let person = said::person("P");
            world.add("crm", &said::body(&email, &person));
            said.alive.insert(email, person);
        }
        world.sync().exits(0);
        let life = Life::begin(&world);
        let counts = figures::Counts::default();
        let (chance, deck) = (Chance(1), Deck::default());
        Self { world, life, said, chance, deck, late: Vec::new(), broken: None, first: "crm", acts: 0, moments, counts }
    }

    /// One thing happens, and a moment passes.
    fn step(&mut self) {
        self.acts += 1;
        self.send_late();
        let act = self.deck.draw(&mut self.chance);
        let watch = Watch::begin();
        life::tell(&format!("- {}: {}", self.acts, act.name()));
        self.counts.acts.entry(act.name()).or_default().drawn += 1;
        if self.act(act) {
            self.counts.acts.entry(act.name()).or_default().done += 1;
        }
        self.counts.acts.entry(act.name()).or_default().took += watch.elapsed();
        let moment = self.chance.of(&self.moments);
        self.life.beat(Duration::from_millis(moment));
        self.life.measure();
        // Of what was asked nobody wants to know.
        self.world.forget_requests();
    }

    /// This life ends, and the next one begins.
    fn reborn(&mut self) {
        self.mend_rules();
        let how = if self.chance.below(3) > 0 { "KILL" } else { "TERM" };
        if self.chance.below(2) == 0 {
            // In the middle of a pass, as like as not.
            self.life.signal("USR1");
            self.life.beat(Duration::from_millis(30));
        }
        life::tell(&format!("- {how}"));
        let ended = self.life.ends(&self.world, how);
        self.counts.lives.push(ended);
        self.life = Life::begin(&self.world);
    }
}

/// The rules of [`World::with_contacts`] with more fields: each side has one of its own, and three are edited by all sides; one of
/// these is decided by who edits, one by when, one by a person.
fn rules_of(rules: &str, first: &str) -> String {
    let last = if first == "crm" { "erp" } else { "crm" };
    let priority = format!("priority = [\"{first}\", \"local\", \"{last}\"]");
    let policies = "rank = { type = \"text\", merge = [\"source_priority\"] }\n\
        place = { type = \"text\", merge = [\"latest\", \"source_priority\"] }\n\
        keeper = { type = \"text\", merge = [\"manual\"] }\n";
    let limits = "limits = { delete = \"50%\" }";
    let mapped = "phone = \".phone\"\nnote = \".note\"\nrank = \".rank\"\nplace = \".place\"\nkeeper = \".keeper\"";
    rules
        .replace("[collection.contacts]", &format!("[collection.contacts]\nevery = \"5s\"\n{priority}\n{limits}"))
        .replace("phone = \"text\"\n", &format!("phone = \"text\"\nnote = \"text\"\n{policies}"))
        .replace("phone = \".phone\"", mapped)
        .replace("precondition = \"none\"", "precondition = { header = \"If-Match\", value = '\"{version}\"' }")
}

#[test]
fn soak() {
    let seconds = std::env::var("RECONCILED_SOAK_SECONDS").map_or(8, |text| text.parse().unwrap());
    let whole = Duration::from_secs(seconds);
    let lives = SHORT_LIVES.min(u32::try_from(seconds / 60).unwrap()).max(SHORT_LIVES_MIN);
    let life = (whole / 2 / lives).max(LIFE_MIN);
    let mut soak = Soak::begin(if seconds < 60 { SHORT_MOMENTS } else { MOMENTS });
    let watch = Watch::begin();
    while watch.elapsed() < whole {
        soak.step();
        if soak.life.age() >= life && watch.elapsed() < whole / 2 {
            soak.reborn();
        }
    }
    soak.end();
}
