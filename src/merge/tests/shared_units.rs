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

#[test]
fn only_the_owner_sets_an_owned_field() {
    let owned = |owner: &str, drift: Drift| {
        let mut owned = two();
        owned.fields[0].owner = Some(Owner { origin: Origin::from_name(owner), drift });
        owned
    };
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
            Case {
                name: "an owner that never spoke owns nothing yet, and gets nothing",
                hub: "a b *",
                spokes: &["", "a b > q b"],
                does: &["crm create g=b", "erp update f=a @2", "erp base q b | q b"],
                why: &["record: FirstContact by erp", "f: Owner by crm over erp=q"],
            },
        ],
    );
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
        ],
    );
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
                name: "a local side without a value does not clear what it never had",
                hub: "~ b",
                spokes: &["new q b", "~ b"],
                does: &["crm base ? b | q b", "crm live"],
                why: &["f: Owner by local over crm=q"],
            },
        ],
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
