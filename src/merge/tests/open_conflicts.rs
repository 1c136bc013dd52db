//! Owns: conflicts about fields: opened, standing still, agreed, resolved, stale.
//!
//! Must not know: deletes.

use crate::merge::testkit::*;
use crate::merge::*;
use crate::record::Slot;
use crate::rules::{Collection, Origin, Policy};

fn two() -> Collection {
    collection(vec![text("f"), text("g")], &["crm", "erp"])
}

/// Both sides changed `f`; `g` was changed at crm.
fn opened(collection: &Collection) -> RecordPlan {
    decide(collection, &facts(collection, "x b *", &["a b > y z", "a b"]))
}

/// A later pass: the conflict is open, `g` settled at crm.
fn later(hub: &str, spokes: &[&str], resolution: Option<Resolution>) -> RecordPlan {
    let collection = two();
    let mut facts = facts(&collection, hub, spokes);
    facts.frozen = vec![freeze(&opened(&collection).conflicts[0], resolution)];
    decide(&collection, &facts)
}

fn does(plan: &RecordPlan) -> Vec<String> {
    lines(&two(), plan)
}

fn why(plan: &RecordPlan) -> Vec<String> {
    reasons(&two(), plan)
}

#[test]
fn s30_a_conflict_freezes_one_field_and_the_rest_goes_on() {
    let plan = opened(&two());
    assert_eq!(
        does(&plan),
        [
            "set g=z",
            // Not f: it is frozen for everyone, also for erp, which is no party to it.
            "erp update g=z @1",
            // The base of f stays, so that both edits remain to be seen.
            "crm base a z | a z",
            "conflict f Edit: crm=y local=x",
        ]
    );
    assert_eq!(why(&plan), ["f: Frozen", "g: OneSide by crm"]);
    assert_eq!(plan.decisions[0].tried, [(Rule::Policy("manual".to_owned()), "a person decides")]);
    assert_eq!(plan.conflicts[0].base, Some(values(&two(), "a")));
}

#[test]
fn the_base_of_a_conflict_is_what_was_agreed_on_whoever_is_trusted_most() {
    let mut rules = two();
    rules.priority = vec![Origin::Local];
    assert_eq!(opened(&rules).conflicts[0].base, Some(values(&rules, "a")));
}

#[test]
fn an_open_conflict_is_silent_while_nothing_moves() {
    let nothing: [&str; 0] = [];
    // Whether the stored observation is given again, or the spoke counts as unchanged.
    for crm in ["a z > y z", "a z"] {
        let plan = later("x z", &[crm, "a z"], None);
        assert_eq!(does(&plan), nothing, "{crm}");
        assert_eq!(why(&plan), nothing, "{crm}");
    }
    assert_eq!(does(&later("x z", &["a z blocked", "a z"], None)), nothing, "a party cannot be read");
    assert_eq!(does(&later("x z", &["a z > ! z", "a z"], None)), nothing, "nor its value");
    let told = does(&later("x z", &["a z > q z", "a z blocked"], None));
    assert_eq!(told, ["conflict f Edit: crm=q local=x"], "who is no party need not be read");
}

#[test]
fn an_open_conflict_follows_its_sides() {
    assert_eq!(does(&later("x z", &["a z > q z", "a z"], None)), ["conflict f Edit: crm=q local=x"], "one side moved");
    assert_eq!(
        does(&later("x z", &["a z > y z", "a z > p z"], None)),
        ["conflict f Edit: crm=y erp=p local=x"],
        "a third side spoke up"
    );
}

#[test]
fn a_conflict_ends_when_the_sides_agree() {
    assert_eq!(
        does(&later("y z *", &["a z > y z", "a z"], None)),
        ["erp update f=y @1", "crm base y z | y z", "closed f Agreed"],
        "the local side came round, and erp gets it"
    );
    assert_eq!(
        does(&later("x z", &["a z > a z", "a z"], None)),
        ["crm update f=x @2", "erp update f=x @1", "closed f Agreed"],
        "the remote side took its edit back"
    );
    assert_eq!(
        does(&later("a z *", &["a z > y z", "a z"], None)),
        ["set f=y", "erp update f=y @1", "crm base y z | y z", "closed f Agreed"],
        "the local side took its edit back"
    );
}

#[test]
fn a_conflict_ends_when_the_rules_can_decide_it() {
    let mut collection = two();
    let mut facts = facts(&collection, "x z", &["a z > y z", "a z"]);
    facts.frozen = vec![freeze(&opened(&collection).conflicts[0], None)];
    collection.fields[0].chain = vec![Policy::LocalEditWins];
    let plan = decide(&collection, &facts);
    assert_eq!(
        lines(&collection, &plan),
        ["crm update f=x @2", "erp update f=x @1", "crm base y z | y z", "closed f Agreed"]
    );
    assert_eq!(reasons(&collection, &plan), ["f: local_edit_wins by local over crm=y"]);
}

#[test]
fn a_resolution_is_applied_everywhere() {
    let take = |name: &str| Some(Resolution::Take(Origin::from_name(name)));
    let plan = later("x z", &["a z", "a z"], take("crm"));
    assert_eq!(does(&plan), ["set f=y", "erp update f=y @1", "crm base y z | y z", "closed f Resolved"]);
    assert_eq!(why(&plan), ["f: Resolution by crm over local=x"]);
    assert_eq!(later("x z", &["a z > y z", "a z"], take("crm")), plan, "whether the observation is given again or not");

    let plan = later("x z", &["a z > y z", "a z"], take("local"));
    assert_eq!(does(&plan), ["crm update f=x @2", "erp update f=x @1", "crm base y z | y z", "closed f Resolved"]);

    let values = Some(Resolution::Values(values(&two(), "w")));
    let plan = later("x z", &["a z > y z", "a z"], values);
    assert_eq!(
        does(&plan),
        ["set f=w", "crm update f=w @2", "erp update f=w @1", "crm base y z | y z", "closed f Resolved"]
    );
    assert_eq!(why(&plan), ["f: Resolution by local over crm=y local=x"]);
}

#[test]
fn a_resolution_to_null_clears_what_first_contact_would_leave() {
    let collection = two();
    let mut facts = facts(&collection, "~ b", &["? b > x b", "? b > y b"]);
    let conflict = decide(&collection, &facts).conflicts.remove(0);
    assert_eq!(conflict.candidates.len(), 2);
    facts.frozen = vec![freeze(&conflict, Some(Resolution::Values(values(&collection, "~"))))];
    let plan = decide(&collection, &facts);
    assert_eq!(
        does(&plan),
        ["crm update f=~ @2", "erp update f=~ @2", "crm base x b | x b", "erp base y b | y b", "closed f Resolved"]
    );
}

#[test]
fn s63_a_resolution_made_on_what_is_no_longer_said_is_refused() {
    for choice in [
        Resolution::Take(Origin::from_name("crm")),
        Resolution::Take(Origin::Local),
        Resolution::Values(values(&two(), "w")),
    ] {
        let plan = later("x z", &["a z > q z", "a z"], Some(choice));
        assert_eq!(does(&plan), ["conflict f Edit: crm=q local=x"]);
        assert_eq!(plan.decisions[0].tried[0], (Rule::Resolution, "stale: a side changed after the choice was made"));
    }
    let plan = later("x z", &["a z > y z", "a z"], Some(Resolution::Take(Origin::from_name("nobody"))));
    assert_eq!(does(&plan), ["conflict f Edit: crm=y local=x"], "the choice is dropped, the conflict stays");
}

#[test]
fn a_stored_observation_of_a_frozen_field_is_not_the_base() {
    let collection = two();
    let link = spoke(&collection, "a z").link.unwrap();
    let seen = |words: &str| Seen::of(&collection, &link, observation(&collection, words));
    assert_eq!(seen("a z"), Seen::Same);
    assert_eq!(seen("a ?"), Seen::Same);
    assert!(matches!(seen("y z"), Seen::Record(_)));
    assert!(matches!(seen("a !"), Seen::Record(Observation { slots, .. }) if matches!(slots[1], Slot::Bad(_))));
}

#[test]
fn a_conflict_about_fields_that_are_one_unit_no_longer_is_over() {
    let mut rules = two();
    let mut facts = facts(&rules, "x z", &["a z > y z", "a z"]);
    facts.frozen = vec![freeze(&opened(&rules).conflicts[0], None)];
    for field in &mut rules.fields {
        field.group = Some("both".to_owned());
    }
    let does = lines(&rules, &decide(&rules, &facts));
    assert!(does.contains(&"closed f Agreed".to_owned()), "{does:?}");
    let conflicts: Vec<_> = does.iter().filter(|line| line.starts_with("conflict f+g Edit")).collect();
    assert_eq!(conflicts.len(), 1, "{does:?}");
}

#[test]
fn a_value_that_a_person_gives_is_as_new_as_the_choice_and_counts_only_if_it_is_whole() {
    let collection = two();
    let mut facts = facts(&collection, "x z *", &["a z > y z", "a z"]);
    let choose =
        |words: &str| Some(Resolution::Values(if words.is_empty() { Vec::new() } else { values(&collection, words) }));
    facts.frozen = vec![freeze(&opened(&collection).conflicts[0], choose("v"))];
    let (_, given) = decide(&collection, &facts).origins.into_iter().find(|(field, _)| *field == 0).unwrap();
    assert_eq!((given.origin, given.source_time), (Origin::Local, Some(at(60))));
    for words in ["v w", ""] {
        facts.frozen = vec![freeze(&opened(&collection).conflicts[0], choose(words))];
        let plan = decide(&collection, &facts);
        let tried = &plan.decisions[0].tried[0];
        assert_eq!(tried, &(Rule::Resolution, "the choice has another number of values than the fields in question"));
        assert!(!does(&plan).iter().any(|line| line.contains("f=")), "{:?}", does(&plan));
    }
}
