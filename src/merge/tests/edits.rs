//! Owns: the decision table of first contacts and edits, one row per case, every expected list spelled out.
//!
//! Must not know: deletes, open conflicts.

use crate::merge::testkit::*;
use crate::merge::*;
use crate::rules::{Collection, Drift, Origin, Owner, Policy};

/// Two texts, at two upstreams.
fn two() -> Collection {
    collection(vec![text("f"), text("g")], &["crm", "erp"])
}

#[test]
fn edits_of_one_side_go_to_the_others() {
    check(
        &two(),
        &[
            Case { name: "nothing new is nothing to do", hub: "a b", spokes: &["a b", "a b"], does: &[], why: &[] },
            Case {
                name: "a listing that shows the base is nothing new",
                hub: "a b",
                spokes: &["a b > a b", "a b"],
                does: &[],
                why: &[],
            },
            Case {
                name: "a remote edit reaches the hub and the other upstream",
                hub: "a b",
                spokes: &["a b > x b", "a b"],
                does: &["set f=x", "erp update f=x @1", "crm base x b | x b"],
                why: &["f: OneSide by crm"],
            },
            Case {
                name: "a local edit reaches both upstreams, with nothing else in the body",
                hub: "x b *",
                spokes: &["a b", "a b"],
                does: &["crm update f=x @1", "erp update f=x @1"],
                why: &["f: OneSide by local"],
            },
            Case {
                name: "a remote null is an edit",
                hub: "a b",
                spokes: &["a b > ~ b", "a b"],
                does: &["set f=~", "erp update f=~ @1", "crm base ~ b | ~ b"],
                why: &["f: OneSide by crm"],
            },
            Case {
                name: "a local null clears upstream",
                hub: "a ~ *",
                spokes: &["a b", ""],
                does: &["crm update g=~ @1", "erp create f=a"],
                why: &["record: FirstContact by crm", "g: OneSide by local"],
            },
            Case {
                name: "an unreachable upstream is left for later",
                hub: "a b",
                spokes: &["a b > x b", "a b blocked"],
                does: &["set f=x", "crm base x b | x b"],
                why: &["f: OneSide by crm"],
            },
        ],
    );
}

#[test]
fn s29_both_sides_changed_to_the_same_value_writes_nothing() {
    check(
        &two(),
        &[
            Case {
                name: "local and remote",
                hub: "x b *",
                spokes: &["a b > x b", ""],
                does: &["erp create f=x g=b", "crm base x b | x b"],
                why: &["record: FirstContact by crm", "f: SameValue by local"],
            },
            Case {
                name: "two upstreams",
                hub: "a b",
                spokes: &["a b > x b", "a b > x b"],
                does: &["set f=x", "crm base x b | x b", "erp base x b | x b"],
                why: &["f: SameValue by crm"],
            },
            Case {
                name: "the hub came to what the spoke already holds",
                hub: "A b *",
                spokes: &["a b | A b", "A b"],
                does: &["crm base A b | A b"],
                why: &[],
            },
        ],
    );
}

#[test]
fn s30_different_fields_changed_on_each_side_are_both_kept() {
    check(
        &two(),
        &[Case {
            name: "f here, g there",
            hub: "x b *",
            spokes: &["a b > a y", "a b"],
            does: &["set g=y", "crm update f=x @2", "erp update f=x g=y @1", "crm base a y | a y"],
            why: &["g: OneSide by crm", "f: OneSide by local"],
        }],
    );
}

#[test]
fn s34_s35_an_upstream_that_rewrites_what_it_gets_is_left_alone() {
    check(
        &two(),
        &[
            Case {
                name: "two upstreams, two spellings, all quiet",
                hub: "a b",
                spokes: &["a b | A b", "a b | (a) b"],
                does: &[],
                why: &[],
            },
            Case {
                name: "the same, listed again",
                hub: "a b",
                spokes: &["a b | A b > A b", "a b | (a) b > (a) b"],
                does: &[],
                why: &[],
            },
            Case {
                name: "an edit of another field does not touch the spelling",
                hub: "a b",
                spokes: &["a b | A b > A y", "a b | (a) b"],
                does: &["set g=y", "erp update g=y @1", "crm base a y | A y"],
                why: &["g: OneSide by crm"],
            },
            Case {
                name: "an upstream that gives up its spelling for the hub's is agreed with",
                hub: "a b",
                spokes: &["a b | A b > a b", "a b"],
                does: &["crm base a b | a b"],
                why: &[],
            },
        ],
    );
}

#[test]
fn s42_absence_never_clears() {
    check(
        &two(),
        &[
            Case {
                name: "a key that is missing is no edit",
                hub: "a b",
                spokes: &["a b > ? y", "a b"],
                does: &["set g=y", "erp update g=y @1", "crm base a y | a y"],
                why: &["g: OneSide by crm"],
            },
            Case {
                name: "the empty text is a value",
                hub: "a b",
                spokes: &["a b > _ b", "a b"],
                does: &["set f=_", "erp update f=_ @1", "crm base _ b | _ b"],
                why: &["f: OneSide by crm"],
            },
            Case {
                name: "a field that a link never showed takes no null from it, and gives it its value",
                hub: "a b",
                spokes: &["a ? > a ~", "a b"],
                does: &["crm update g=b @2", "crm base a ~ | a ~"],
                why: &["g: OneSide by local"],
            },
            Case {
                name: "a hub without a value clears nothing on first contact",
                hub: "a ~",
                spokes: &["a ?", "a ~"],
                does: &[],
                why: &[],
            },
        ],
    );
}

#[test]
fn s46_an_unreadable_field_is_blocked_alone() {
    check(
        &two(),
        &[Case {
            name: "the rest of the record goes on, both ways",
            hub: "x b *",
            spokes: &["a b > ! y", "a b"],
            does: &["set g=y", "erp update f=x g=y @1", "crm base a y | a y"],
            why: &["g: OneSide by crm", "f: blocked f at crm: unknown token", "f: OneSide by local"],
        }],
    );
    let mut listed = two();
    listed.fields[0].domain.one_of = Some(vec!["a".to_owned(), "c".to_owned()]);
    check(
        &listed,
        &[
            Case {
                name: "a local value outside the list is not sent",
                hub: "q y *",
                spokes: &["a b", ""],
                does: &["crm update g=y @1", "erp create g=y"],
                why: &[
                    "record: FirstContact by crm",
                    "f: blocked f: `q` is not one of the listed values",
                    "g: OneSide by local",
                    "f: blocked f: `q` is not one of the listed values",
                ],
            },
            Case {
                name: "a remote value outside the list is not taken",
                hub: "a b",
                spokes: &["a b > q b", "a b"],
                does: &[],
                why: &["f: blocked f at crm: `q` is not one of the listed values"],
            },
        ],
    );
}

#[test]
fn i10_a_bad_column_stands_still_alone() {
    let collection = two();
    let mut facts = facts(&collection, "~ y *", &["a b > q b", "a b"]);
    facts.unreadable = vec![0];
    let plan = decide(&collection, &facts);
    assert_eq!(lines(&collection, &plan), ["crm update g=y @2", "erp update g=y @1"]);
    assert_eq!(reasons(&collection, &plan), ["g: OneSide by local"]);
    assert_eq!(plan.origins.iter().map(|(field, _)| *field).collect::<Vec<_>>(), [1], "nobody set the bad one");

    let mut keyed = two();
    keyed.fields[0].required = true;
    assert_eq!(lines(&keyed, &decide(&keyed, &facts)), ["crm update g=y @2", "erp update g=y @1"], "not missing");
    facts.spokes[1] = spoke(&keyed, "");
    assert_eq!(lines(&keyed, &decide(&keyed, &facts)), ["crm update g=y @2"], "and nothing is created without it");
}

#[test]
fn what_stands_still_is_named_where_it_does() {
    let mut listed = two();
    listed.fields[0].domain.one_of = Some(vec!["a".to_owned(), "c".to_owned()]);
    let plan = decide(&listed, &facts(&listed, "q b *", &["a b > a !", "a b"]));
    let named: Vec<(usize, &str)> = plan.blocked.iter().map(|one| (one.binding, one.reason.as_str())).collect();
    let unlisted = "f: `q` is not one of the listed values";
    assert_eq!(named, [(0, unlisted), (0, "g at crm: unknown token"), (1, unlisted)]);
}

#[test]
fn no_side_stands_against_itself_after_a_change_of_the_rules() {
    let mut collection = two();
    let mut facts = facts(&collection, "x b", &["? b > y b", "x b"]);
    let crm = Provenance { origin: Origin::from_name("crm"), source_time: Some(at(5)), observed_at: at(6) };
    facts.origins = vec![Some(crm.clone()), Some(crm)];
    let plan = decide(&collection, &facts);
    assert_eq!(lines(&collection, &plan), ["conflict f Edit: crm=y local=x"]);
    collection.fields[0].chain = vec![Policy::Latest, Policy::Manual];
    let plan = decide(&collection, &facts);
    assert_eq!(
        lines(&collection, &plan),
        ["set f=y", "erp update f=y @1", "crm base y b | y b"],
        "when it was edited is not known: the time of what stood there before counts"
    );
}

#[test]
fn first_contact_inserts_links_and_creates() {
    let mut keyed = two();
    keyed.fields[0].required = true;
    check(
        &keyed,
        &[
            Case {
                name: "a new remote record becomes a row, and a record at the other upstream",
                hub: "-",
                spokes: &["new a b", ""],
                does: &["insert a b", "erp create f=a g=b", "crm base a b | a b", "crm live"],
                why: &["record: FirstContact by crm"],
            },
            Case {
                name: "s13: a row inserted by hand is created upstream",
                hub: "a ~ *",
                spokes: &["", ""],
                does: &["crm create f=a", "erp create f=a"],
                why: &["record: FirstContact by local"],
            },
            Case {
                name: "s04: created on both sides: matched, and merged against an empty base",
                hub: "a ~ *",
                spokes: &["new a b", ""],
                does: &["set g=b", "erp create f=a g=b", "crm base a b | a b", "crm live"],
                why: &["record: FirstContact by crm", "g: FirstContact by crm"],
            },
            Case {
                name: "a remote record without a required field is set aside",
                hub: "-",
                spokes: &["new ~ b", ""],
                does: &["quarantine required field `f` has no value"],
                why: &[],
            },
            Case {
                name: "and says so if the field was there but unreadable",
                hub: "-",
                spokes: &["new ! b", ""],
                does: &["quarantine required field `f` has no value (crm says: unknown token)"],
                why: &[],
            },
            Case {
                name: "nothing is created where the record may exist",
                hub: "-",
                spokes: &["new a b", "blocked"],
                does: &["insert a b", "crm base a b | a b", "crm live"],
                why: &["record: FirstContact by crm"],
            },
            Case {
                name: "s08: a match key that is edited after linking is a plain edit",
                hub: "a b",
                spokes: &["a b > z b", "a b"],
                does: &["set f=z", "erp update f=z @1", "crm base z b | z b"],
                why: &["f: OneSide by crm"],
            },
        ],
    );
}

#[test]
fn directions_hold_and_pull_only_fields_are_never_sent() {
    let mut pull_only = two();
    edit_map(&mut pull_only, 0, 0).push = false;
    edit_map(&mut pull_only, 1, 0).create_only = true;
    check(
        &pull_only,
        &[Case {
            name: "pull-only at crm, create-only at erp",
            hub: "x y *",
            spokes: &["a b", "a b"],
            does: &["crm update g=y @1", "erp update g=y @1"],
            why: &["g: OneSide by local"],
        }],
    );
    let mut push_only = two();
    edit(&mut push_only, 0).pull = false;
    check(
        &push_only,
        &[
            Case {
                name: "what a push-only upstream makes of a field is noted, not taken and not fought",
                hub: "a b",
                spokes: &["a b > q b", "a b"],
                does: &["crm base a b | q b"],
                why: &[],
            },
            Case {
                name: "a record that only a push-only upstream has does not come in",
                hub: "-",
                spokes: &["new a b", ""],
                does: &[],
                why: &[],
            },
        ],
    );
}

/// What an owner says is written to it by nobody, but where it was set back and a person said that what is here wins.
#[test]
fn an_owner_that_a_person_overrules_gets_its_field_written() {
    let mut rules = two();
    rules.fields[0].owner = Some(Owner { origin: Origin::from_name("crm"), drift: Drift::Revert });
    for (overruled, does) in [(false, ["set f=a", "erp update f=a @1"].as_slice()), (true, &["crm update f=x @1"])] {
        let mut known = facts(&rules, "x b", &["a b", "x b"]);
        known.spokes[0].link.as_mut().unwrap().overruled = overruled;
        assert_eq!(lines(&rules, &decide(&rules, &known)), does, "overruled: {overruled}");
    }
}
