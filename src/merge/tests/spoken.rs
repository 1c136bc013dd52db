//! Owns: who is told to have said what, and when: provenance of fields, the sides of a conflict, their order and times.
//!
//! Must not know: what is written where.

use chrono::{DateTime, Utc};

use crate::merge::testkit::*;
use crate::merge::*;
use crate::rules::{Collection, Origin, Policy};

fn two() -> Collection {
    collection(vec![text("f"), text("g")], &["crm", "erp"])
}

/// Both fields are one unit.
fn grouped() -> Collection {
    let mut rules = two();
    for field in &mut rules.fields {
        field.group = Some("both".to_owned());
    }
    rules
}

fn said(origin: &str, minutes: i64) -> Provenance {
    Provenance { origin: Origin::from_name(origin), source_time: Some(at(minutes)), observed_at: at(minutes) }
}

/// Whose the fields are told to be, which the plan stores: field, origin, time at the source.
fn told(collection: &Collection, facts: &Facts) -> Vec<(usize, String, Option<DateTime<Utc>>)> {
    let plan = decide(collection, facts);
    plan.origins.into_iter().map(|(field, who)| (field, who.origin.name().to_owned(), who.source_time)).collect()
}

fn conflicts(collection: &Collection, facts: &Facts) -> Vec<String> {
    let mut lines = lines(collection, &decide(collection, facts));
    lines.retain(|line| line.starts_with("conflict"));
    lines
}

#[test]
fn a_field_is_told_to_be_whose_edit_it_is() {
    let told = |row: &str, spokes: &[&str]| told(&two(), &facts(&two(), row, spokes));
    let local = |field| (field, "local".to_owned(), Some(at(20)));
    let crm = |field| (field, "crm".to_owned(), Some(at(10)));
    assert_eq!(told("x b *", &["a b", "a b"]), [local(0), local(1)], "edited here, and the rest was never told");
    assert_eq!(told("a b", &["a b > ~ b", "a b"])[0], crm(0), "a null is an edit of a row that is there");
    assert_eq!(told("-", &["new a ~", ""]), [crm(0)], "and silence of one that is new");
    assert_eq!(told("deleted", &["a b > x b", "a b"]), [crm(0)], "one that comes back keeps what was told of the rest");
}

#[test]
fn what_was_told_is_not_told_again() {
    let rules = two();
    let mut known = facts(&rules, "x b *", &["a b", "a b"]);
    known.origins = [said("local", 20), said("crm", 5)].map(Some).to_vec();
    assert_eq!(told(&rules, &known), [], "the edit is the one that is known");
    known.origins[0] = Some(said("local", 19));
    assert_eq!(told(&rules, &known), [(0, "local".to_owned(), Some(at(20)))], "a later one is news");
    known.unreadable = vec![0];
    assert_eq!(told(&rules, &known), [], "what cannot be read is nobody's word");
}

#[test]
fn an_edit_is_of_the_field_that_differs_though_whose_word_it_holds_has_the_record_no_more() {
    let rules = two();
    let told = |erp: &str| {
        let mut known = facts(&rules, "x b *", &["", erp]);
        known.origins = [said("crm", 5), said("crm", 5)].map(Some).to_vec();
        told(&rules, &known).into_iter().map(|(field, who, _)| (field, who)).collect::<Vec<_>>()
    };
    let local = |field| (field, "local".to_owned());
    assert_eq!(told("x b"), []);
    assert_eq!(told("a b"), [local(0)]);
    assert_eq!(told(""), [local(0), local(1)], "nothing tells which it was");
}

#[test]
fn the_hubs_side_of_a_conflict_is_whose_word_it_holds() {
    let rules = two();
    // It was taken from crm when erp could not be reached.
    let mut known = facts(&rules, "x b", &["x b", "a b > q b"]);
    known.origins = [said("crm", 5), said("crm", 5)].map(Some).to_vec();
    assert_eq!(conflicts(&rules, &known), ["conflict f Edit: crm=x erp=q"]);
    // The same where a change of the rules made crm's word a first one again.
    let again = Facts { spokes: vec![spoke(&rules, "? b > x b"), known.spokes[1].clone()], ..known };
    assert_eq!(conflicts(&rules, &again), ["conflict f Edit: crm=x erp=q"]);
    // In a group an edit made here comes before what came from elsewhere.
    let rules = grouped();
    let mut known = facts(&rules, "x y *", &["a y > q y", "a y"]);
    known.origins = vec![None, Some(said("erp", 5))];
    assert_eq!(conflicts(&rules, &known), ["conflict f+g Edit: crm=q y local=x y"]);
}

#[test]
fn what_an_upstream_newly_says_leaves_what_it_said_before_its_own() {
    // It says something else now than what the hub holds of it: that is an edit, and no disagreement from the beginning.
    let rules = two();
    let mut known = facts(&rules, "x b", &["x b > z b", "a b > q b"]);
    known.origins = [said("crm", 5), said("crm", 5)].map(Some).to_vec();
    assert_eq!(conflicts(&rules, &known), ["conflict f Edit: crm=z erp=q"]);
}

#[test]
fn sides_stand_in_the_order_of_trust() {
    let mut rules = two();
    rules.priority = ["erp", "crm", "local"].map(Origin::from_name).to_vec();
    let known = facts(&rules, "x b *", &["a b > y b", "a b > z b"]);
    assert_eq!(conflicts(&rules, &known), ["conflict f Edit: erp=z crm=y local=x"]);
    rules.priority.rotate_left(1);
    assert_eq!(conflicts(&rules, &known), ["conflict f Edit: crm=y local=x erp=z"]);
}

#[test]
fn what_is_never_read_from_a_side_stays_as_it_is_here_when_its_group_moves() {
    let mut rules = grouped();
    edit_map(&mut rules, 0, 1).pull = false;
    let plan = decide(&rules, &facts(&rules, "a y *", &["a b > x b", "a b"]));
    assert_eq!(plan.local, LocalChange::Update(vec![(0, value(&rules, 0, "x"))]), "{:?}", lines(&rules, &plan));
}

#[test]
fn a_conflict_without_common_ground_has_no_base() {
    let rules = two();
    let plan = decide(&rules, &facts(&rules, "x b *", &["new y b", "x b"]));
    assert_eq!((plan.conflicts.len(), plan.conflicts[0].base.clone()), (1, None));
}

#[test]
fn a_side_that_was_read_in_an_earlier_pass_is_as_old_as_the_latest_that_it_said() {
    let mut rules = two();
    let mut known = facts(&rules, "x b *", &["a b > y c", "a b"]);
    rules.fields[1].chain = vec![Policy::Manual];
    known.frozen = ["f", "g"]
        .iter()
        .zip([30, 5])
        .enumerate()
        .map(|(field, (_, minutes))| {
            let word = |text: &str| values(&two(), text);
            let of_crm = Candidate { source_time: Some(at(minutes)), ..candidate("crm", word(["y", "c"][field])) };
            let of_hub = Candidate { source_time: Some(at(20)), ..candidate("local", word(["x", "b"][field])) };
            Freeze { kind: ConflictKind::Edit, fields: vec![field], candidates: vec![of_crm, of_hub], resolution: None }
        })
        .collect();
    known.spokes[0].seen = Seen::Same;
    rules.fields[0].chain = vec![Policy::Latest, Policy::Manual];
    let why = reasons(&rules, &decide(&rules, &known));
    assert_eq!(why[0], "f: latest by crm over local=x", "{why:?}");
}

/// A member of a group that nobody ever set does not make the others as young as the pass that looks at them.
#[test]
fn what_was_never_said_here_has_no_time() {
    let mut rules = grouped();
    for field in &mut rules.fields {
        field.chain = vec![Policy::Latest, Policy::Manual];
    }
    // `f` was set here at minute 5, which the upstream has not got yet; there, `g` was set at minute 10.
    for edited in ["x ~", "x ~ *"] {
        let mut known = facts(&rules, edited, &["~ ~ > ~ c", "x ~"]);
        known.origins[0] = Some(said("local", if edited == "x ~" { 5 } else { 20 }));
        let why = reasons(&rules, &decide(&rules, &known));
        let expected =
            if edited == "x ~" { "f+g: latest by crm over local=x ~" } else { "f+g: latest by local over crm=~ c" };
        assert_eq!(why[0], expected, "{edited}: {why:?}");
    }
    // What is taken away here is said.
    let mut known = facts(&rules, "x ~ *", &["x b > x c", "x b"]);
    known.origins[0] = Some(said("local", 5));
    let why = reasons(&rules, &decide(&rules, &known));
    assert_eq!(why[0], "f+g: latest by local over crm=x c", "{why:?}");
}

/// Two records that are one, each with another member of a group: whichever came in first, the row is the same, and none is lost.
#[test]
fn a_side_that_shows_nothing_of_a_member_does_not_stand_against_who_does() {
    let mut rules = grouped();
    for field in &mut rules.fields {
        field.chain = vec![Policy::Latest, Policy::SourcePriority, Policy::Manual];
    }
    for (row, spokes, [first, other]) in
        [("x ~", ["x ?", "new ? y"], ["g=y", "f=x"]), ("~ y", ["new x ?", "? y"], ["f=x", "g=y"])]
    {
        let known = facts(&rules, row, &spokes);
        let lines = lines(&rules, &decide(&rules, &known));
        assert!(lines[0].starts_with("set") && lines[0].contains(first) && !lines[0].contains('~'), "{row}: {lines:?}");
        assert!(lines.iter().all(|line| !line.contains("conflict")), "{row}: {lines:?}");
        assert!(lines.iter().any(|line| line.contains("update") && line.contains(other)), "{row}: {lines:?}");
    }
}
