//! Owns: sides that take each other's value back for ever (s36, I17): when that is noticed, and what ends it.
//!
//! Must not know: how rings are kept.

use chrono::TimeDelta;

use super::world::{Habit, World, rules};
use crate::merge::oscillation::ALTERNATIONS_MAX;
use crate::merge::testkit::*;
use crate::merge::*;
use crate::record::Value;
use crate::rules::{Drift, Origin, Owner, Policy};

fn word(text: &str) -> Value {
    Value::Text(text.to_owned())
}

fn latest() -> Vec<Policy> {
    vec![Policy::Latest, Policy::SourcePriority, Policy::Manual]
}

/// The same record at so many upstreams, whose first field is `a` everywhere.
fn world(spokes: usize, owner: Option<&str>) -> World {
    let mut collection = rules(spokes, &[latest(), latest(), latest()]);
    collection.fields[0].owner = owner.map(|name| Owner { origin: Origin::from_name(name), drift: Drift::Revert });
    let mut world = World::new(collection, &[Habit::Verbatim; 3]);
    world.edit_local(0, word("a"));
    for _ in 0..3 {
        world.pass();
        if owner == Some("bay") {
            world.edit_remote(1, 0, &word("a"));
        }
    }
    assert!(world.agrees());
    world
}

/// Passes, each followed by what workflows do; how often the first field was written, and to whom each time.
fn war(world: &mut World, passes: usize, workflows: impl Fn(&mut World)) -> Vec<usize> {
    let mut written = Vec::new();
    for _ in 0..passes {
        workflows(world);
        let plan = world.commit();
        written.extend(plan.writes.iter().map(|write| write.binding));
        world.push(&plan);
    }
    written
}

fn sides(world: &World) -> Vec<String> {
    let said = |freeze: &Freeze| {
        let one = |side: &Candidate| format!("{}={}", side.origin.name(), side.values[0]);
        let mut sides: Vec<String> = freeze.candidates.iter().map(one).collect();
        sides.sort();
        format!("{:?}: {}", freeze.kind, sides.join(" "))
    };
    world.frozen.iter().map(said).collect()
}

#[test]
fn s36_a_workflow_that_resets_an_owned_field_is_named_after_so_many_writes() {
    for owner in ["local", "bay"] {
        let mut world = world(2, Some(owner));
        let reset = |world: &mut World| world.edit_remote(0, 0, &word("reset"));
        assert_eq!(war(&mut world, 20, reset), vec![0; ALTERNATIONS_MAX], "{owner}");
        assert_eq!(sides(&world), [format!("Oscillation: ash=reset {owner}=a")]);
        // What was frozen stays as it is, and is not told again.
        let plan = world.commit();
        assert_eq!(lines(&world.collection, &plan), Vec::<String>::new());
    }
}

#[test]
fn i17_autonomous_writes_of_a_field_are_bounded_whoever_insists() {
    let insists = |at: usize, text: &'static str| move |world: &mut World| world.edit_remote(at, 0, &word(text));
    let mut two = world(2, None);
    let written = war(&mut two, 40, |world| {
        // Each workflow acts on what it finds.
        insists(0, "x")(world);
        if two_differ(world) {
            return;
        }
        insists(1, "y")(world);
    });
    assert!(written.len() <= 2 * ALTERNATIONS_MAX + 2, "{written:?}");
    assert_eq!(two.frozen.len(), 1, "{:?}", two.frozen);
    assert_eq!(two.frozen[0].kind, ConflictKind::Oscillation);

    let mut three = world(3, None);
    let mut written = Vec::new();
    for turn in 0..60 {
        written.extend(war(&mut three, 1, |world| insists(turn % 3, ["x", "y", "z"][turn % 3])(world)));
    }
    assert!(written.len() <= 3 * 2 * (ALTERNATIONS_MAX + 1), "{written:?}");
    assert_eq!(three.frozen.len(), 1, "{:?}", three.frozen);
}

fn two_differ(world: &World) -> bool {
    let value = |at: usize| world.remotes[at].record.as_ref().map(|record| record[0].clone());
    value(0) != value(1)
}

#[test]
fn s36_somebody_who_toggles_a_field_at_one_side_is_no_war() {
    let mut world = world(2, None);
    for round in 0..20 {
        let written = war(&mut world, 1, |world| world.edit_remote(0, 0, &word(["open", "closed"][round % 2])));
        assert_eq!(written, [1], "round {round}");
    }
    assert_eq!(sides(&world), Vec::<String>::new());
    for round in 0..20 {
        world.edit_local(0, word(["open", "closed"][round % 2]));
        assert_eq!(war(&mut world, 1, |_| ()).len(), 2, "round {round}");
    }
    assert_eq!(sides(&world), Vec::<String>::new());
}

#[test]
fn s36_an_edit_here_ends_the_count_and_the_freeze() {
    let mut world = world(1, Some("local"));
    let reset = |world: &mut World| world.edit_remote(0, 0, &word("reset"));
    assert_eq!(war(&mut world, ALTERNATIONS_MAX, reset).len(), ALTERNATIONS_MAX);
    world.edit_local(0, word("b"));
    assert_eq!(war(&mut world, 1, |_| ()).len(), 1);
    world.edit_local(0, word("a"));
    assert_eq!(war(&mut world, 1, |_| ()).len(), 1);
    assert_eq!(war(&mut world, 20, reset).len(), ALTERNATIONS_MAX, "counted from the edit on");
    assert_eq!(world.frozen.len(), 1);
    world.edit_local(0, word("c"));
    assert_eq!(war(&mut world, 1, |_| ()), [0]);
    assert_eq!(sides(&world), Vec::<String>::new());
    assert!(world.agrees());
}

#[test]
fn s36_a_workflow_that_gives_up_ends_the_freeze() {
    let mut world = world(1, Some("local"));
    let reset = |world: &mut World| world.edit_remote(0, 0, &word("reset"));
    war(&mut world, 20, reset);
    assert_eq!(world.frozen.len(), 1);
    world.edit_remote(0, 0, &word("a"));
    assert_eq!(war(&mut world, 1, |_| ()), Vec::<usize>::new());
    assert_eq!(sides(&world), Vec::<String>::new());
}

#[test]
fn s36_turns_of_long_ago_do_not_count() {
    let mut world = world(1, Some("local"));
    let reset = |world: &mut World| world.edit_remote(0, 0, &word("reset"));
    for week in 0..10 {
        assert_eq!(war(&mut world, 1, reset), [0], "week {week}");
        world.clock += TimeDelta::days(8).num_minutes();
    }
    assert_eq!(sides(&world), Vec::<String>::new());
}

#[test]
fn s36_a_person_takes_a_side_or_says_a_value_of_their_own_as_long_as_the_sides_stand() {
    let choose = |owner: &str, resolution: Resolution, moved: Option<&str>| {
        let mut world = world(2, Some(owner));
        war(&mut world, 20, |world| world.edit_remote(0, 0, &word("reset")));
        world.frozen[0].resolution = Some(resolution);
        if let Some(moved) = moved {
            world.edit_remote(0, 0, &word(moved));
        }
        let plan = world.commit();
        world.push(&plan);
        let row = world.row.as_ref().map(|row| row[0].clone()).unwrap();
        let tried = plan.decisions.iter().flat_map(|one| one.tried.clone()).collect::<Vec<_>>();
        (row, world.frozen.len(), world.turns.len(), world.agrees(), tried)
    };
    let done = |value: &str| (word(value), 0, 0, true, vec![]);
    let take = |side: &str| Resolution::Take(Origin::from_name(side));
    assert_eq!(choose("local", take("ash"), None), done("reset"));
    assert_eq!(choose("local", take("local"), None), done("a"), "it is tried anew");
    assert_eq!(choose("local", Resolution::Values(vec![word("z")]), None), done("z"));
    assert_eq!(choose("bay", take("bay"), None), done("a"));
    let (row, frozen, _, _, tried) = choose("bay", take("ash"), None);
    assert_eq!((row, frozen), (word("a"), 1));
    assert!(tried[0].1.starts_with("only the owner sets this field"), "{tried:?}");
    let (row, frozen, _, _, tried) = choose("local", take("local"), Some("other"));
    // The new value is no turn that was met before: it is written over, and the choice has nothing left to choose between.
    assert_eq!((row, frozen, tried), (word("a"), 0, vec![]));
}

#[test]
fn a_ring_keeps_the_newest_turns_of_one_field_at_one_binding() {
    let turn = |binding, field, minute| Turn { binding, field, theirs: 1, ours: 2, at: at(minute) };
    let known: Vec<Turn> =
        (0..7).flat_map(|minute| [turn(0, 0, minute), turn(0, 1, minute), turn(1, 0, minute)]).collect();
    let new = [turn(0, 0, 7), turn(1, 0, 7), turn(0, 0, 8)];
    let kept: Vec<_> = ring(&known, &new, (0, 0)).into_iter().cloned().collect();
    assert_eq!(kept, (1..9).map(|minute| turn(0, 0, minute)).collect::<Vec<_>>());
    assert_eq!(ring(&known, &[], (1, 1)), Vec::<&Turn>::new());
}

#[test]
fn s36_a_war_stands_still_while_one_of_its_sides_cannot_be_asked() {
    let mut rules = collection(vec![text("f")], &["ash", "bay"]);
    // An owner's word needs no other side to be heard.
    rules.fields[0].owner = Some(Owner { origin: Origin::Local, drift: Drift::Revert });
    let stands = |unread: [bool; 2]| {
        let mut facts = facts(&rules, "a", &["a", "z"]);
        facts.origins[0] = Some(Provenance { origin: Origin::Local, source_time: Some(at(1)), observed_at: at(1) });
        for (spoke, unread) in facts.spokes.iter_mut().zip(unread) {
            spoke.blocked = unread.then(|| "unreachable".to_owned());
        }
        let candidates = vec![candidate("ash", vec![word("b")]), candidate("local", vec![word("a")])];
        facts.frozen = vec![Freeze { kind: ConflictKind::Oscillation, fields: vec![0], candidates, resolution: None }];
        let plan = decide(&rules, &facts);
        (plan.closed.is_empty(), plan.writes.len())
    };
    assert_eq!(stands([true, false]), (true, 0), "nothing is known that could end it, and nobody gets it");
    assert_eq!(stands([false, true]), (false, 1), "who is no party need not be asked");
    assert_eq!(stands([false, false]), (false, 2), "all can be told the owner's word");
}
