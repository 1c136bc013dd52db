//! Owns: the invariants of deciding (`DESIGN.md`), over random edits, rules and crashes in the model world.
//!
//! Must not know: single cases.

use std::collections::BTreeSet;
use std::sync::Arc;

use proptest::prelude::*;

use super::world::{Habit, World, rules};
use crate::merge::testkit::{edit_map, lines, reasons};
use crate::merge::*;
use crate::record::Value;
use crate::rules::{Collection, Drift, OnLocalDelete, OnRemoteDelete, Origin, Owner, Policy, UpdateVsDelete};

#[derive(Clone, Debug)]
enum Step {
    Local(usize, Value),
    Remote(usize, usize, Value),
    Pass,
    /// Dies between commit and push.
    Crash,
    /// From here on, all edits happen in one minute.
    Stop,
}

fn any_value(field: usize) -> BoxedStrategy<Value> {
    let text = || prop::sample::select(vec!["a", "b", "c", "A"]);
    match field {
        0 => prop_oneof![4 => text().prop_map(|text| Value::Text(text.to_owned())), 1 => Just(Value::Null)].boxed(),
        1 => prop_oneof![4 => (0_i64..4).prop_map(Value::Integer), 1 => Just(Value::Null)].boxed(),
        _ => prop::collection::btree_set(prop::sample::select(vec!["x", "y", "z"]), 0..3)
            .prop_map(|members: BTreeSet<&str>| Value::Set(members.into_iter().map(str::to_owned).collect()))
            .boxed(),
    }
}

fn any_edit() -> impl Strategy<Value = (usize, Value)> {
    (0_usize..3).prop_flat_map(|field| any_value(field).prop_map(move |value| (field, value)))
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => any_edit().prop_map(|(field, value)| Step::Local(field, value)),
        4 => (0_usize..3, any_edit()).prop_map(|(spoke, (field, value))| Step::Remote(spoke, field, value)),
        3 => Just(Step::Pass),
        1 => Just(Step::Crash),
    ]
}

/// Total chains: `priority` lists every origin.
fn any_chain() -> impl Strategy<Value = Vec<Policy>> {
    let first = vec![
        Policy::SourcePriority,
        Policy::LocalEditWins,
        Policy::Latest,
        Policy::Earliest,
        Policy::Max,
        Policy::Min,
        Policy::PreferNonEmpty,
        Policy::Set,
    ];
    prop::sample::select(first).prop_map(|first| vec![first, Policy::SourcePriority])
}

fn any_habit() -> impl Strategy<Value = Habit> {
    prop::sample::select(vec![Habit::Verbatim, Habit::Uppercase, Habit::Brackets])
}

prop_compose! {
    fn any_world()(
        spokes in 1_usize..=3,
        chains in prop::collection::vec(any_chain(), 3),
        manual in prop::collection::vec(prop::bool::weighted(0.15), 3),
        habits in prop::collection::vec(any_habit(), 3),
        owner in prop::option::weighted(0.3, prop::sample::select(vec!["local", "ash"])),
    ) -> World {
        let chains: Vec<Vec<Policy>> = chains
            .into_iter()
            .zip(manual)
            .map(|(chain, manual)| if manual { vec![Policy::Manual] } else { chain })
            .collect();
        let mut rules = rules(spokes, &chains);
        let owner = owner.map(|name| Owner { origin: Origin::from_name(name), drift: Drift::Revert });
        rules.fields[1].owner = owner;
        let mut world = World::new(rules, &habits);
        world.edit_local(0, Value::Text("start".to_owned()));
        world.pass();
        world
    }
}

fn any_delete_policies() -> impl Strategy<Value = (UpdateVsDelete, OnRemoteDelete, OnLocalDelete)> {
    use prop::sample::select;
    (
        select(vec![UpdateVsDelete::UpdateWins, UpdateVsDelete::DeleteWins, UpdateVsDelete::Manual]),
        select(vec![OnRemoteDelete::Propagate, OnRemoteDelete::Detach, OnRemoteDelete::Restore, OnRemoteDelete::Queue]),
        select(vec![OnLocalDelete::Propagate, OnLocalDelete::Detach, OnLocalDelete::Restore, OnLocalDelete::Queue]),
    )
}

fn run(world: &mut World, steps: &[Step]) {
    world.tick = 1;
    for step in steps {
        match step {
            Step::Local(field, value) => world.edit_local(*field, value.clone()),
            Step::Remote(spoke, field, value) => world.edit_remote(*spoke, *field, value),
            Step::Pass => {
                world.pass();
            }
            Step::Crash => {
                world.commit();
            }
            Step::Stop => world.tick = 0,
        }
    }
}

/// A history, and then edits in the same minute that no pass has seen yet, most of them of one field.
fn steps() -> impl Strategy<Value = Vec<Step>> {
    let burst = (0_usize..3).prop_flat_map(|field| {
        let same_field = prop_oneof![
            1 => any_value(field).prop_map(move |value| Step::Local(field, value)),
            3 => (0_usize..3, any_value(field)).prop_map(move |(spoke, value)| Step::Remote(spoke, field, value)),
        ];
        prop::collection::vec(prop_oneof![4 => same_field, 1 => any_step()], 0..5)
    });
    (prop::collection::vec(any_step(), 0..10), any::<bool>(), burst).prop_map(|(mut steps, stop, burst)| {
        steps.extend(stop.then_some(Step::Stop));
        steps.extend(burst);
        steps
    })
}

/// What the hub holds after a plan.
fn after(facts: &Facts, plan: &RecordPlan) -> Vec<Value> {
    let mut values = match &facts.hub {
        Hub::Row { values, .. } => values.clone(),
        Hub::Never | Hub::Deleted { .. } => Vec::new(),
    };
    match &plan.local {
        LocalChange::None | LocalChange::Delete => {}
        LocalChange::Insert(all) => values.clone_from(all),
        LocalChange::Update(changed) => changed.iter().for_each(|(field, value)| values[*field] = value.clone()),
    }
    values
}

/// Whether a value that somebody set is in the hub, or kept as a loser, a side of a conflict, or a part of a merge.
fn is_kept(plan: &RecordPlan, after: &[Value], field: usize, value: &Value) -> bool {
    let about = |fields: &[usize]| fields == [field];
    let says = |candidates: &[Candidate]| candidates.iter().any(|candidate| candidate.values == [value.clone()]);
    let set = Rule::Policy("set".to_owned());
    after[field] == *value
        || plan.decisions.iter().any(|d| about(&d.fields) && (says(&d.losers) || d.rule == set))
        || plan.conflicts.iter().any(|c| about(&c.fields) && says(&c.candidates))
}

/// The same rules and facts with the bindings in another order.
fn turned(collection: Collection, facts: &Facts, by: usize) -> (Collection, Facts) {
    let mut collection = collection;
    let mut facts = facts.clone();
    let by = by % facts.spokes.len();
    collection.bindings.rotate_left(by);
    facts.spokes.rotate_left(by);
    (collection, facts)
}

fn sorted(mut lines: Vec<String>) -> Vec<String> {
    lines.sort();
    lines
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    /// I1 and I2: when edits stop, three passes bring everybody together, and the next does nothing.
    #[test]
    fn i01_i02_sides_converge_and_then_stay_quiet(mut world in any_world(), steps in steps()) {
        run(&mut world, &steps);
        for _ in 0..3 {
            world.pass();
        }
        prop_assert_eq!(world.pass(), 0, "a quiet rerun");
        let undecided = |field: usize| world.frozen.iter().any(|freeze| freeze.fields.contains(&field));
        if !(0..3).any(undecided) {
            prop_assert!(world.agrees(), "{:#?}", world);
        }
        if world.refused.is_empty() {
            let plan = world.commit();
            prop_assert_eq!(plan, RecordPlan { record: world.facts().record, ..RecordPlan::default() });
        }
    }

    /// A crash between commit and push loses nothing: the same writes are derived again, and no local change.
    #[test]
    fn a_crash_before_the_push_derives_the_same_writes_again(mut world in any_world(), steps in steps()) {
        run(&mut world, &steps);
        let first = world.commit();
        let again = world.commit();
        prop_assert_eq!(&again.local, &LocalChange::None);
        prop_assert_eq!(&again.bases, &Vec::new());
        prop_assert_eq!(&again.conflicts, &Vec::new());
        let targets = |plan: &RecordPlan| -> Vec<(usize, WriteOp)> {
            plan.writes.iter().map(|write| (write.binding, write.op.clone())).collect()
        };
        prop_assert_eq!(targets(&again), targets(&first));
    }

    /// I3: every edit that this pass sees is in the hub, or is kept where a person finds it.
    #[test]
    fn i03_no_edit_is_lost(mut world in any_world(), steps in steps()) {
        run(&mut world, &steps);
        world.frozen.clear();
        let facts = world.facts();
        let plan = decide(&world.collection, &facts);
        let after = after(&facts, &plan);
        let Hub::Row { values: hub, .. } = &facts.hub else { return Ok(()) };
        for (field, held) in hub.iter().enumerate() {
            let mut superseded = false;
            let mut fresh = true;
            for spoke in &facts.spokes {
                let Some(link) = &spoke.link else { continue };
                fresh &= link.base_hub[field].as_ref().is_some_and(|base| base != held);
                let Seen::Record(observation) = &spoke.seen else { continue };
                let (Some(now), Some(base)) = (observation.slots[field].value(), link.base_remote[field].value()) else {
                    continue;
                };
                if now != base {
                    superseded |= link.base_hub[field].as_ref() == Some(held);
                    prop_assert!(is_kept(&plan, &after, field, now), "{now:?} of {field} in {plan:#?}");
                }
            }
            if fresh && !superseded {
                prop_assert!(is_kept(&plan, &after, field, held), "local {field} in {plan:#?}");
            }
        }
    }

    /// I8 and I18: neither the order of upstreams nor a second run changes what is decided.
    #[test]
    fn i08_i18_the_order_of_upstreams_does_not_matter(mut world in any_world(), steps in steps(), by in 0_usize..3) {
        run(&mut world, &steps);
        let facts = world.facts();
        let plan = decide(&world.collection, &facts);
        prop_assert_eq!(&plan, &decide(&world.collection, &facts));
        let does = sorted(lines(&world.collection, &plan));
        let why = sorted(reasons(&world.collection, &plan));
        let (collection, turned) = turned(world.collection, &facts, by);
        let other = decide(&collection, &turned);
        prop_assert_eq!(does, sorted(lines(&collection, &other)));
        prop_assert_eq!(why, sorted(reasons(&collection, &other)));
    }

    /// I9: pull-only fields are never sent, and nobody but the owner sets an owned field.
    #[test]
    fn i09_directions_and_owners_are_respected(
        mut world in any_world(),
        steps in steps(),
        pull_only in (0_usize..3, 0_usize..3),
        owner in 0_usize..3,
    ) {
        run(&mut world, &steps);
        world.frozen.clear();
        let (binding, field) = (pull_only.0 % world.links.len(), pull_only.1);
        edit_map(&mut world.collection, binding, field).push = false;
        let plan = decide(&world.collection, &world.facts());
        for write in plan.writes.iter().filter(|write| write.binding == binding) {
            match &write.op {
                WriteOp::Create(values) | WriteOp::Update(values) => {
                    prop_assert!(values.iter().all(|(sent, _)| *sent != field));
                }
                WriteOp::Delete | WriteOp::Archive => prop_assert!(false, "nothing was deleted"),
            }
        }
        let owner = owner % world.links.len();
        let origin = Origin::Upstream(world.collection.bindings[owner].upstream.name.clone());
        world.collection.fields[1].owner = Some(Owner { origin, drift: Drift::Revert });
        let facts = world.facts();
        let plan = decide(&world.collection, &facts);
        if let LocalChange::Update(changed) = &plan.local {
            for (_, value) in changed.iter().filter(|(field, _)| *field == 1) {
                let spoke = &facts.spokes[owner];
                let said = match &spoke.seen {
                    Seen::Record(observation) => observation.slots[1].value(),
                    Seen::Same | Seen::Gone(_) | Seen::OutOfScope(_) | Seen::Archived(_) => None,
                };
                let held = spoke.link.as_ref().and_then(|link| link.base_hub[1].as_ref());
                let silent = held.is_none() && value.is_null();
                prop_assert!(silent || said == Some(value) || held == Some(value), "{plan:#?}");
            }
        }
    }

    /// I1 with deletes on any side under any policy: three passes later, nothing is left to do, and what is left agrees.
    #[test]
    fn i01_deletes_come_to_rest(
        mut world in any_world(),
        steps in steps(),
        deletes in prop::collection::vec(0_usize..4, 1..3),
        more in steps(),
        policies in any_delete_policies(),
    ) {
        (world.collection.update_vs_delete, world.collection.on_remote_delete, world.collection.on_local_delete) = policies;
        run(&mut world, &steps);
        for side in deletes {
            if side == 3 { world.delete_local() } else { world.delete_remote(side) }
        }
        run(&mut world, &more);
        for _ in 0..3 {
            world.pass();
        }
        prop_assert_eq!(world.pass(), 0, "a quiet rerun");
        let detached = world.links.iter().flatten().any(|link| link.state == LinkState::Detached);
        if world.frozen.is_empty() && !detached {
            prop_assert!(world.agrees(), "{:#?}", world);
        }
    }

    /// I10: one edit of one field writes that field and no other.
    #[test]
    fn i10_an_edit_of_one_field_writes_only_that_field(
        mut world in any_world(),
        steps in steps(),
        (field, value) in any_edit(),
        local in any::<bool>(),
    ) {
        run(&mut world, &steps);
        for _ in 0..4 {
            world.pass();
        }
        if !world.refused.is_empty() {
            return Ok(());
        }
        if local {
            world.edit_local(field, value);
        } else {
            world.edit_remote(0, field, &value);
        }
        let plan = world.commit();
        for write in &plan.writes {
            let WriteOp::Update(values) = &write.op else { return Err(TestCaseError::fail("not an update")) };
            prop_assert!(values.iter().all(|(sent, _)| *sent == field), "{plan:#?}");
        }
        match &plan.local {
            LocalChange::None => {}
            LocalChange::Update(changed) => prop_assert!(changed.iter().all(|(changed, _)| *changed == field)),
            LocalChange::Insert(_) | LocalChange::Delete => prop_assert!(false, "{plan:#?}"),
        }
    }
}

#[test]
fn bindings_can_be_turned() {
    let world = World::new(rules(3, &[]), &[Habit::Verbatim; 3]);
    let first = Arc::clone(&world.collection.bindings[0]);
    let facts = world.facts();
    let (turned, _) = turned(world.collection, &facts, 1);
    assert_eq!(turned.bindings[2].upstream.name, first.upstream.name);
}

/// While a conflict is open a side that is as at the base again has taken its say back: what the conflict remembers of it
/// must not come up again, or a pass that crashed would undo the local edit.
#[test]
fn a_side_that_went_back_to_the_base_says_nothing_any_more() {
    let manual = vec![Policy::Manual];
    let any = vec![Policy::SourcePriority, Policy::SourcePriority];
    let mut world = World::new(rules(2, &[any.clone(), manual, any]), &[Habit::Verbatim, Habit::Verbatim]);
    world.edit_local(0, Value::Text("start".to_owned()));
    world.pass();
    world.pass();
    world.edit_remote(1, 1, &Value::Integer(2));
    world.edit_local(1, Value::Integer(0));
    world.pass();
    assert_eq!(world.frozen.len(), 1);
    world.edit_remote(1, 1, &Value::Null);
    world.edit_local(1, Value::Integer(2));
    world.commit();
    let again = world.commit();
    assert_eq!(again.local, LocalChange::None, "{again:#?}");
    world.pass();
    assert_eq!(world.row.as_ref().map(|row| row[1].clone()), Some(Value::Integer(2)));
    assert!(world.agrees(), "{world:#?}");
}
