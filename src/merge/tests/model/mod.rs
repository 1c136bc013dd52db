//! Owns: the exhaustive check of `decide` and the intent machine: every interleaving of two edits, a crash and a loss.
//!
//! Must not know: how a step is taken.

mod machine;
mod passes;

use std::time::Duration;

use stateright::{Checker, Model, Property};

use crate::rules::{Idempotency, Policy};

use machine::{Action, BLIND_OVERWRITE, LOST_UPDATE, PHANTOM_DELETE, SECOND_CREATE, State, UNTRUE_BASE, World};
use passes::is_bounded;

impl Model for World {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![self.start()]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        self.steps(state, actions);
    }

    fn next_state(&self, state: &State, action: Action) -> Option<State> {
        Some(self.step(state, action))
    }

    /// What is beyond has broken I17 already.
    fn within_boundary(&self, state: &State) -> bool {
        is_bounded(state, 1)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("I1 I2 comes to rest in agreement", |world: &World, state| world.comes_to_rest(state)),
            Property::always("I3 no lost update", |_, state: &State| state.broken & LOST_UPDATE == 0),
            Property::always("I4 no blind overwrite", |_, state: &State| state.broken & BLIND_OVERWRITE == 0),
            Property::always("I5 no phantom delete", |_, state: &State| state.broken & PHANTOM_DELETE == 0),
            Property::always("I6 at most one create", |_, state: &State| state.broken & SECOND_CREATE == 0),
            Property::always("I17 bounded writes", |_, state: &State| is_bounded(state, 0)),
            Property::always("I7 true base", |_, state: &State| state.broken & UNTRUE_BASE == 0),
        ]
    }
}

/// Visits every state; fewer than `at_least` would mean that the model has stopped saying anything.
fn check(name: &str, world: World, at_least: usize) {
    let checker = world.checker().threads(2).spawn_bfs().join();
    eprintln!("{name}: {} states, {} deep", checker.unique_state_count(), checker.max_depth());
    let found = checker.discoveries();
    for (property, path) in &found {
        eprintln!("{property} fails: {:?}\n{:#?}", path.clone().into_actions(), path.last_state());
    }
    assert!(found.is_empty(), "{name}: {:?}", found.keys());
    assert!(checker.unique_state_count() >= at_least, "{name}: only {} states", checker.unique_state_count());
}

fn header() -> Idempotency {
    Idempotency::Key { into: crate::rules::Place::Header("Idempotency-Key".to_owned()), ttl: Duration::from_hours(24) }
}

#[test]
fn every_interleaving_with_two_upstreams_keeps_the_promises() {
    check("two upstreams, by priority", World::new(2, Policy::SourcePriority, &Idempotency::None), 1_000);
    check("two upstreams, local first", World::new(2, Policy::LocalEditWins, &Idempotency::None), 1_000);
}

#[test]
fn every_interleaving_with_three_upstreams_keeps_the_promises() {
    check("three upstreams, by priority", World::new(3, Policy::SourcePriority, &Idempotency::None), 500_000);
}

#[test]
fn every_interleaving_of_a_create_makes_one_record() {
    for (name, idempotency) in [
        ("create under a key", header()),
        ("create under an id of ours", Idempotency::ClientId),
        ("create that is looked up", Idempotency::Match(0)),
    ] {
        let mut world = World::new(2, Policy::SourcePriority, &idempotency);
        world.lacks[1] = true;
        check(name, world, 1_000);
    }
}
