//! Owns: the decision table of units with a say beyond one side's edit: groups, owners, chains.
//!
//! Must not know: deletes, open conflicts.

use crate::merge::testkit::*;
use crate::record::{FieldType, Normalize};
use crate::rules::{Collection, Drift, Origin, Owner, Policy};

/// Two texts, at two upstreams.
fn two() -> Collection {
    collection(vec![text("f"), text("g")], &["crm", "erp"])
}

#[test]
fn a_group_moves_as_one() {
    let mut address = collection(vec![text("street"), text("city"), text("name")], &["crm", "erp"]);
    for member in [0, 1] {
        address.fields[member].group = Some("address".to_owned());
        address.fields[member].chain = vec![Policy::Latest, Policy::Manual];
    }
    check(
        &address,
        &[
            Case {
                name: "edits of different members on two sides are one decision; the later tuple is taken whole",
                hub: "s2 c1 n *",
                spokes: &["s1 c1 n > s1 c2 n", "s1 c1 n"],
                does: &[
                    "crm update street=s2 city=c1 @2",
                    "erp update street=s2 city=c1 @1",
                    "crm base s1 c2 n | s1 c2 n",
                ],
                why: &["street+city: latest by local over crm=s1 c2"],
            },
            Case {
                name: "an unreadable member blocks the group at that upstream",
                hub: "s2 c1 m *",
                spokes: &["s1 c1 n > s1 ! n", "s1 c1 n"],
                does: &["crm update name=m @2", "erp update street=s2 city=c1 name=m @1"],
                why: &[
                    "street+city: blocked city at crm: unknown token",
                    "name: OneSide by local",
                    "street+city: OneSide by local",
                ],
            },
        ],
    );
}

/// `f` has an owner.
fn owned(owner: &str, drift: Drift) -> Collection {
    let mut owned = two();
    owned.fields[0].owner = Some(Owner { origin: Origin::from_name(owner), drift });
    owned
}

#[test]
fn only_the_owner_sets_an_owned_field() {
    check(
        &owned("crm", Drift::Revert),
        &[
            Case {
                name: "the owner's edit goes everywhere",
                hub: "a b",
                spokes: &["a b > x b", "a b"],
                does: &["set f=x", "erp update f=x @1", "crm base x b | x b"],
                why: &["f: Owner by crm"],
            },
            Case {
                name: "a foreign edit is written over",
                hub: "a b",
                spokes: &["a b", "a b > q b"],
                does: &["erp update f=a @2", "erp base q b | q b"],
                why: &["f: Owner by crm over erp=q"],
            },
            Case {
                name: "a local edit is set back",
                hub: "q b *",
                spokes: &["a b | A b", "a b"],
                does: &["set f=a"],
                why: &["f: Owner by crm over local=q"],
            },
        ],
    );
}

#[test]
fn an_owner_that_never_spoke_says_null() {
    check(
        &owned("crm", Drift::Revert),
        &[
            Case {
                name: "an owner that does not have the record says null, and is not told what others say",
                hub: "a b *",
                spokes: &["", "a b > q b"],
                does: &["set f=~", "crm create g=b", "erp update f=~ @2", "erp base q b | q b"],
                why: &["record: FirstContact by erp", "f: Owner by crm over erp=q local=a"],
            },
            Case {
                name: "an owner that never showed the field says null: a local edit is set back",
                hub: "a b *",
                spokes: &["? b", "~ b"],
                does: &["set f=~"],
                why: &["f: Owner by crm over local=a"],
            },
            Case {
                name: "and so is a foreign one, also if the hub has no value",
                hub: "~ b",
                spokes: &["? b", "? b > q b"],
                does: &["erp update f=~ @2", "erp base q b | q b"],
                why: &["f: Owner by crm over erp=q"],
            },
            Case {
                name: "a foreign record comes in without what it may not set, which goes nowhere and is taken back",
                hub: "-",
                spokes: &["", "new q b"],
                does: &["insert ~ b", "crm create g=b", "erp update f=~ @2", "erp base q b | q b", "erp live"],
                why: &["record: FirstContact by erp", "f: Owner by crm over erp=q"],
            },
            Case {
                name: "an owner whose record is gone had the last word, and gets it back with the record",
                hub: "q b *",
                spokes: &["a b dead", "a b"],
                does: &["set f=a", "crm create f=a g=b"],
                why: &["f: Owner by crm over local=q"],
            },
            Case {
                name: "the owner's first word is taken, whatever stood there",
                hub: "q b",
                spokes: &["? b > x b", "q b"],
                does: &["set f=x", "erp update f=x @1", "crm base x b | x b"],
                why: &["f: Owner by crm over local=q"],
            },
        ],
    );
}

#[test]
fn an_owner_that_cannot_be_asked_is_waited_for_unless_it_spoke_before() {
    check(
        &owned("crm", Drift::Revert),
        &[
            Case {
                name: "an owner that cannot be asked and never spoke is waited for",
                hub: "q y *",
                spokes: &["blocked", "a b"],
                does: &["erp update g=y @1"],
                why: &["g: OneSide by local"],
            },
            Case {
                name: "so is one that cannot be understood",
                hub: "q b *",
                spokes: &["? b > ! b", "a b"],
                does: &[],
                why: &["f: blocked f at crm: unknown token"],
            },
            Case {
                name: "one that spoke before is not",
                hub: "q b *",
                spokes: &["a b blocked", "a b"],
                does: &["set f=a"],
                why: &["f: Owner by crm over local=q"],
            },
        ],
    );
}

#[test]
fn what_others_say_is_only_reported_where_the_rules_want_it() {
    check(
        &owned("crm", Drift::Report),
        &[
            Case {
                name: "a foreign edit is reported and left",
                hub: "a b",
                spokes: &["a b", "a b > q b"],
                does: &["erp base a b | q b"],
                why: &["f: Owner by crm over erp=q"],
            },
            Case {
                name: "a local edit is reported, left, and sent nowhere",
                hub: "q y *",
                spokes: &["a b", "a b"],
                does: &["crm update g=y @1", "erp update g=y @1"],
                why: &["f: Owner by local over crm=a", "g: OneSide by local"],
            },
            Case {
                name: "where the owner never spoke, too",
                hub: "q b *",
                spokes: &["? b", "~ b"],
                does: &[],
                why: &["f: Owner by local over crm=~"],
            },
            Case {
                name: "a foreign edit of what the owner leaves empty is reported and left",
                hub: "~ b",
                spokes: &["? b", "? b > q b"],
                does: &["erp base ~ b | q b"],
                why: &["f: Owner by crm over erp=q"],
            },
        ],
    );
}

#[test]
fn the_local_side_owns_as_an_upstream_does() {
    check(
        &owned("local", Drift::Revert),
        &[
            Case {
                name: "nobody but the local side",
                hub: "a b",
                spokes: &["a b > q b", "a b"],
                does: &["crm update f=a @2", "crm base q b | q b"],
                why: &["f: Owner by local over crm=q"],
            },
            Case {
                name: "a local side without a value says null, also on first contact",
                hub: "~ b",
                spokes: &["new q b", "~ b"],
                does: &["crm update f=~ @2", "crm base q b | q b", "crm live"],
                why: &["f: Owner by local over crm=q"],
            },
        ],
    );
    check(
        &owned("local", Drift::Report),
        &[Case {
            name: "or the foreign value is reported and left",
            hub: "~ b",
            spokes: &["new q b", "~ b"],
            does: &["crm base ~ b | q b", "crm live"],
            why: &["f: Owner by local over crm=q"],
        }],
    );
}

#[test]
fn several_candidates_go_through_the_chain() {
    let mut chained = collection(vec![field("n", FieldType::Integer), field("s", FieldType::Set)], &["crm", "erp"]);
    chained.fields[0].chain = vec![Policy::Latest, Policy::Max, Policy::Manual];
    chained.fields[1].chain = vec![Policy::Set];
    chained.fields[1].domain.normalize = vec![Normalize::Lowercase];
    check(
        &chained,
        &[
            Case {
                name: "the later one, then the greater one",
                hub: "1 a",
                spokes: &["1 a > 5 a", "1 a > 7 a"],
                does: &["set n=7", "crm update n=7 @2", "crm base 5 a | 5 a", "erp base 7 a | 7 a"],
                why: &["n: max by erp over crm=5"],
            },
            Case {
                name: "a local edit that is later wins over the remote one, which is kept as the loser",
                hub: "2 a *",
                spokes: &["1 a > 5 a", "1 a"],
                does: &["crm update n=2 @2", "erp update n=2 @1", "crm base 5 a | 5 a"],
                why: &["n: latest by local over crm=5"],
            },
            Case {
                name: "sets merge three ways over each side's own base",
                hub: "1 a+b *",
                spokes: &["1 a+c > 1 C+d", "1 a+c > 1 a+c+e"],
                does: &[
                    "set s=b+d+e",
                    "crm update s=b+d+e @2",
                    "erp update s=b+d+e @2",
                    "crm base 1 c+d | 1 C+d",
                    "erp base 1 a+c+e | 1 a+c+e",
                ],
                why: &["s: set"],
            },
        ],
    );
}
