//! Owns: the tables of identity, settling, rebasing and unknown outcomes.
//!
//! Must not know: decisions.

use crate::merge::testkit::*;
use crate::merge::*;
use crate::record::{RecordId, Slot, Value};
use crate::rules::Collection;

fn two() -> Collection {
    collection(vec![text("f"), text("g")], &["crm"])
}

// ---- identity ----------------------------------------------------------------------------------------------------------

/// Local records by id, their values in the shorthand; keys: `f`, then `g` and `h` together.
fn identify(local: &[(&str, &str)], remote: &str) -> Identity {
    let mut keyed = collection(vec![text("f"), text("g"), text("h")], &["crm"]);
    keyed.match_keys = vec![vec![0], vec![1, 2]];
    let index: Vec<(RecordId, Vec<Option<String>>)> = local
        .iter()
        .map(|(id, words)| {
            (
                RecordId((*id).to_owned()),
                match_key_texts(&keyed, &values(&keyed, words).into_iter().map(Slot::Value).collect::<Vec<_>>()),
            )
        })
        .collect();
    match_identity(&match_key_texts(&keyed, &slots(&keyed, remote)), |key, text| {
        let hits = index.iter().filter(|(_, texts)| texts[key].as_deref() == Some(text));
        hits.map(|(id, _)| id.clone()).collect()
    })
}

fn one(id: &str) -> Identity {
    Identity::One(RecordId(id.to_owned()))
}

#[test]
fn s04_s07_a_record_is_matched_by_its_keys_in_order() {
    let local = [("r1", "ann@x.io Ann Acme"), ("r2", "bob@x.io Bob Acme")];
    assert_eq!(identify(&local, "ann@x.io Other Name"), one("r1"));
    assert_eq!(identify(&local, "ANN@x.io Bob Acme"), one("r1"), "the stronger key decides, in any case");
    assert_eq!(identify(&local, "new@x.io bob ACME"), one("r2"), "a weaker key where the stronger finds nothing");
    assert_eq!(identify(&local, "new@x.io Bob Other"), Identity::Unmatched, "all fields of a key count");
    assert_eq!(identify(&[("r1", "cafe\u{301} a b")], "CAFÉ c d"), one("r1"), "in any Unicode form");
}

#[test]
fn s05_s10_several_matches_are_a_persons_business() {
    let local = [("r2", "ann@x.io a b"), ("r1", "Ann@x.io c d")];
    let both = vec![RecordId("r1".to_owned()), RecordId("r2".to_owned())];
    assert_eq!(identify(&local, "ann@x.io a b"), Identity::Ambiguous(both));
}

#[test]
fn s06_empty_keys_and_placeholders_match_nothing() {
    for word in ["~", "_", "n/a", "-", "unknown"] {
        let local = [("r1", format!("{word} {word} x"))];
        let local: Vec<(&str, &str)> = local.iter().map(|(id, words)| (*id, words.as_str())).collect();
        assert_eq!(identify(&local, &format!("{word} {word} x")), Identity::Unmatched, "{word}");
    }
    assert_eq!(identify(&[("r1", "a b c")], "? ! c"), Identity::Unmatched, "neither does what cannot be read");
}

// ---- settling ----------------------------------------------------------------------------------------------------------

/// Base pair, sent, read back (empty: nothing) → base pair after, refused.
fn settled(base: &str, sent: &str, read_back: &str) -> String {
    let collection = two();
    let link = spoke(&collection, base).link.unwrap();
    let sent: Vec<(usize, Value)> =
        values(&collection, sent).into_iter().enumerate().filter(|(_, value)| !value.is_null()).collect();
    let observed = (!read_back.is_empty()).then(|| slots(&collection, read_back));
    let settled = settle(&collection, &link.base_hub, &link.base_remote, &sent, observed.as_deref());
    let base = BaseAdvance { binding: 0, hub: settled.hub, remote: settled.remote };
    let plan = RecordPlan { bases: vec![base], ..RecordPlan::default() };
    format!("{} refused {:?}", lines(&collection, &plan)[0], settled.refused)
}

#[test]
fn s33_s34_a_write_settles_field_by_field() {
    for (name, base, sent, read_back, expected) in [
        ("taken as sent", "a b", "x ~", "x b", "crm base x b | x b refused []"),
        ("s34: taken, and rewritten", "a b", "x ~", "X b", "crm base x b | X b refused []"),
        ("s33: one taken, one ignored", "a b", "x y", "x b", "crm base x b | x b refused [1]"),
        ("ignored by an upstream with its own spelling", "a b | A b", "x ~", "A b", "crm base a b | A b refused [0]"),
        ("as it was before already", "a b", "a ~", "a b", "crm base a b | a b refused []"),
        ("nothing read back", "a b", "x ~", "", "crm base x b | x b refused []"),
        ("not shown", "a b", "x ~", "? b", "crm base x b | x b refused []"),
        ("unreadable", "a b", "x ~", "! b", "crm base a b | a b refused [0]"),
        ("a first value, ignored", "? b", "x ~", "~ b", "crm base ? b | ? b refused [0]"),
        ("an unsent field never moves", "a b", "x ~", "x q", "crm base x b | x b refused []"),
    ] {
        assert_eq!(settled(base, sent, read_back), expected, "{name}");
    }
}

#[test]
fn s24_a_rules_change_starts_over_only_where_the_meaning_changed() {
    let collection = two();
    let rebased = |hub: &str, base: &str, mapped: &str| {
        let link = spoke(&collection, base).link.unwrap();
        let (hub, remote) = rebase(
            &collection,
            &values(&collection, hub),
            &link.base_hub,
            &link.base_remote,
            &slots(&collection, mapped),
        );
        let plan = RecordPlan { bases: vec![BaseAdvance { binding: 0, hub, remote }], ..RecordPlan::default() };
        lines(&collection, &plan).remove(0)
    };
    assert_eq!(rebased("a b", "a b | A b", "A b"), "crm base a b | A b", "the same meaning");
    assert_eq!(rebased("x b", "a b", "a b"), "crm base a b | a b", "a local edit stays one");
    assert_eq!(rebased("a b", "a b", "q b"), "crm base ? b | ? b", "another meaning: first contact");
    assert_eq!(rebased("q b", "a b", "q b"), "crm base q b | q b", "another meaning, and they agree");
    assert_eq!(rebased("a b", "a b", "? b"), "crm base ? b | ? b", "no longer mapped");
    assert_eq!(rebased("a b", "a ? | ? ?", "? ?"), "crm base a ? | ? ?", "only ever written");
    // What follows is a first contact, in which null is silence on both sides.
    let plan = decide(&collection, &facts(&collection, "a ~", &["? ? > ~ q"]));
    assert_eq!(lines(&collection, &plan), ["set g=q", "crm update f=a @2", "crm base ~ q | ~ q"]);
}

// ---- unknown outcomes --------------------------------------------------------------------------------------------------

fn judged(op: &WriteOp, found: &str, version: &str) -> Verdict {
    let collection = two();
    let base = slots(&collection, "a b");
    let slots = slots(&collection, found);
    let found = match found {
        "" => Found::Nothing,
        _ => Found::Record { slots: &slots, version: Some(version) },
    };
    judge_unknown(&collection, op, &base, Some("1"), &found)
}

fn sent(words: &str) -> Vec<(usize, Value)> {
    values(&two(), words).into_iter().enumerate().collect()
}

#[test]
fn s01_s31_an_unknown_outcome_is_judged_by_what_is_there() {
    let landed = |fields: &[usize]| Verdict::Landed { fields: fields.to_vec() };
    let update = WriteOp::Update(sent("x y"));
    assert_eq!(judged(&update, "x y", "2"), landed(&[0, 1]));
    assert_eq!(judged(&update, "x b", "2"), landed(&[0]), "in part");
    assert_eq!(judged(&update, "x q", "2"), landed(&[0]), "somebody's later edit of g is left to the next diff");
    assert_eq!(judged(&update, "a b", "2"), Verdict::NotLanded, "touched, but not by this");
    assert_eq!(judged(&update, "x y", "1"), Verdict::NotLanded, "still at the version it was decided on");
    assert_eq!(judged(&update, "q b", "2"), Verdict::Superseded);
    assert_eq!(judged(&update, "~ b", "2"), Verdict::Superseded, "somebody cleared what was there");
    assert_eq!(judged(&update, "? ?", "2"), Verdict::Undecided);
    assert_eq!(judged(&update, "", "2"), Verdict::TargetGone);
    let same = WriteOp::Update(sent("a y"));
    assert_eq!(judged(&same, "a b", "2"), Verdict::NotLanded, "a member that was so before proves nothing");
    let create = WriteOp::Create(sent("x y"));
    assert_eq!(judged(&create, "x q", "1"), landed(&[0]));
    assert_eq!(judged(&create, "", "1"), Verdict::Undecided, "s02: the lookup may lag");
    assert_eq!(judged(&WriteOp::Delete, "", "1"), landed(&[]));
    assert_eq!(judged(&WriteOp::Delete, "a b", "2"), Verdict::NotLanded);
    assert_eq!(judged(&WriteOp::Delete, "a q", "2"), Verdict::Superseded);
}
