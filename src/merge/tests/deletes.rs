//! Owns: the decision table of deletes: the hub's state × each spoke's, under every policy.
//!
//! Must not know: fields' policies.

use crate::merge::testkit::*;
use crate::merge::*;
use crate::rules::{Collection, OnLocalDelete, OnRemoteDelete, Origin, UpdateVsDelete};

fn two() -> Collection {
    collection(vec![text("f"), text("g")], &["crm", "erp"])
}

const GONE: &str = "record: Deleted(Tombstone) by crm";

#[test]
fn a_remote_delete_of_an_untouched_record_follows_its_policy() {
    let on = |policy| Collection { on_remote_delete: policy, ..two() };
    check(
        &on(OnRemoteDelete::Queue),
        &[Case {
            name: "a person decides; nothing is written until then",
            hub: "a b",
            spokes: &["a b gone", "a b"],
            does: &["crm deleted", "conflict record DeleteQueued: local=a b crm="],
            why: &[GONE, "record: queue"],
        }],
    );
    check(
        &on(OnRemoteDelete::Propagate),
        &[
            Case {
                name: "here, and at the others",
                hub: "a b",
                spokes: &["a b gone", "a b"],
                does: &["delete", "erp delete @1", "crm deleted"],
                why: &[GONE, "record: propagate"],
            },
            Case {
                name: "and goes on after a crash, by the tombstone",
                hub: "deleted",
                spokes: &["a b dead", "a b"],
                does: &["erp delete @1"],
                why: &["record: LocalDelete by local"],
            },
        ],
    );
    check(
        &on(OnRemoteDelete::Detach),
        &[
            Case {
                name: "untied, and not created again",
                hub: "a b",
                spokes: &["a b gone", "a b"],
                does: &["crm detached"],
                why: &[GONE, "record: detach"],
            },
            Case { name: "never again", hub: "x b", spokes: &["a b loose", "x b"], does: &[], why: &[] },
        ],
    );
    check(
        &on(OnRemoteDelete::Restore),
        &[
            Case {
                name: "created again",
                hub: "a b",
                spokes: &["a b gone", "a b"],
                does: &["crm create f=a g=b", "crm deleted"],
                why: &[GONE, "record: restore"],
            },
            Case {
                name: "and again after a crash, until it is acknowledged",
                hub: "a b",
                spokes: &["a b dead", "a b"],
                does: &["crm create f=a g=b"],
                why: &[],
            },
        ],
    );
    let mut cannot_delete = on(OnRemoteDelete::Propagate);
    edit(&mut cannot_delete, 1).delete = None;
    check(
        &cannot_delete,
        &[Case {
            name: "where nothing can be deleted the link is untied, so that it never comes back from there",
            hub: "a b",
            spokes: &["a b gone", "a b"],
            does: &["delete", "crm deleted", "erp detached"],
            why: &[GONE, "record: propagate"],
        }],
    );
}

#[test]
fn s14_deleted_there_and_edited_here_is_never_lost_silently() {
    let on = |policy| Collection { update_vs_delete: policy, ..two() };
    check(
        &on(UpdateVsDelete::UpdateWins),
        &[
            Case {
                name: "the local edit wins: created again with it",
                hub: "x b *",
                spokes: &["a b gone", "a b"],
                does: &["crm create f=x g=b", "erp update f=x @1", "crm deleted"],
                why: &[GONE, "record: update_wins over crm=", "f: OneSide by local"],
            },
            Case {
                name: "so does an edit of another upstream",
                hub: "a b",
                spokes: &["a b gone", "a b > y b"],
                does: &["set f=y", "crm create f=y g=b", "erp base y b | y b", "crm deleted"],
                why: &[GONE, "record: update_wins over crm=", "f: OneSide by erp"],
            },
        ],
    );
    check(
        &on(UpdateVsDelete::DeleteWins),
        &[Case {
            name: "the delete wins, and the edit is kept as the loser",
            hub: "x b *",
            spokes: &["a b gone", "a b"],
            does: &["delete", "erp delete @1", "crm deleted"],
            why: &[GONE, "record: delete_wins over local=x b"],
        }],
    );
    check(
        &on(UpdateVsDelete::Manual),
        &[
            Case {
                name: "a person decides",
                hub: "x b *",
                spokes: &["a b gone", "a b"],
                does: &["crm deleted", "conflict record UpdateVsDelete: local=x b crm="],
                why: &[GONE, "record: manual"],
            },
            Case {
                name: "reading goes on meanwhile, writing does not",
                hub: "a b",
                spokes: &["a b gone", "a b > y b"],
                does: &[
                    "set f=y",
                    "erp base y b | y b",
                    "crm deleted",
                    "conflict record UpdateVsDelete: local=y b crm=",
                ],
                why: &[GONE, "f: OneSide by erp", "record: manual"],
            },
        ],
    );
}

#[test]
fn s15_deleted_on_both_sides_drops_the_link_quietly() {
    check(
        &two(),
        &[
            Case {
                name: "the only upstream",
                hub: "deleted",
                spokes: &["a b gone", ""],
                does: &["crm deleted"],
                why: &[],
            },
            Case {
                name: "and afterwards there is nothing to do",
                hub: "deleted",
                spokes: &["a b dead", ""],
                does: &[],
                why: &[],
            },
        ],
    );
}

#[test]
fn a_local_delete_of_an_untouched_record_follows_its_policy() {
    let on = |policy| Collection { on_local_delete: policy, ..two() };
    check(
        &on(OnLocalDelete::Propagate),
        &[
            Case {
                name: "deleted upstream, where it can be reached",
                hub: "deleted",
                spokes: &["a b", "a b blocked"],
                does: &["crm delete @1"],
                why: &["record: LocalDelete by local"],
            },
            Case {
                name: "deleted at one upstream meanwhile",
                hub: "deleted",
                spokes: &["a b gone", "a b"],
                does: &["erp delete @1", "crm deleted"],
                why: &["record: LocalDelete by local"],
            },
        ],
    );
    check(
        &on(OnLocalDelete::Detach),
        &[Case {
            name: "untied",
            hub: "deleted",
            spokes: &["a b", "a b"],
            does: &["crm detached", "erp detached"],
            why: &["record: detach"],
        }],
    );
    check(
        &on(OnLocalDelete::Restore),
        &[Case {
            name: "brought back, in hub form",
            hub: "deleted",
            spokes: &["a b | A b", ""],
            does: &["insert a b", "erp create f=a g=b"],
            why: &["record: restore", "record: FirstContact by crm"],
        }],
    );
    check(
        &on(OnLocalDelete::Queue),
        &[Case {
            name: "a person decides",
            hub: "deleted",
            spokes: &["a b", ""],
            does: &["conflict record DeleteQueued: local= crm=a b"],
            why: &["record: queue"],
        }],
    );
}

#[test]
fn a_local_delete_that_archives_does_so_where_it_can_and_deletes_nothing() {
    let mut archives = Collection { on_local_delete: OnLocalDelete::Archive, ..two() };
    let delete = edit(&mut archives, 0).delete.clone();
    edit(&mut archives, 0).archive = delete;
    check(
        &archives,
        &[
            Case {
                name: "archived where that can be, else untied",
                hub: "deleted",
                spokes: &["a b", "a b"],
                does: &["crm archive @1", "erp detached"],
                why: &["record: archive"],
            },
            Case {
                name: "what cannot be read now waits",
                hub: "deleted",
                spokes: &["a b", "a b blocked"],
                does: &["crm archive @1"],
                why: &["record: archive"],
            },
        ],
    );
    archives.update_vs_delete = UpdateVsDelete::DeleteWins;
    check(
        &archives,
        &[Case {
            name: "a delete that wins over an edit archives as well",
            hub: "deleted",
            spokes: &["a b > y b", ""],
            does: &["crm archive @2"],
            why: &["record: delete_wins over crm=y"],
        }],
    );
    archives.on_remote_delete = OnRemoteDelete::Propagate;
    check(
        &archives,
        &[Case {
            name: "what was deleted elsewhere is deleted",
            hub: "deleted",
            spokes: &["a b", "a b dead"],
            does: &["crm delete @1"],
            why: &["record: LocalDelete by local"],
        }],
    );
}

#[test]
fn a_local_delete_against_a_remote_edit_is_update_vs_delete() {
    let on = |policy| Collection { update_vs_delete: policy, ..two() };
    check(
        &on(UpdateVsDelete::UpdateWins),
        &[Case {
            name: "the row comes back with the edit",
            hub: "deleted",
            spokes: &["a b > y b", "a b"],
            does: &["insert y b", "erp update f=y @1", "crm base y b | y b"],
            why: &["record: update_wins over local=", "record: FirstContact by crm", "f: OneSide by local"],
        }],
    );
    check(
        &on(UpdateVsDelete::DeleteWins),
        &[Case {
            name: "the edit is kept as the loser",
            hub: "deleted",
            spokes: &["a b > y b", "a b"],
            does: &["crm delete @2", "erp delete @1"],
            why: &["record: delete_wins over crm=y"],
        }],
    );
    check(
        &on(UpdateVsDelete::Manual),
        &[Case {
            name: "a person decides",
            hub: "deleted",
            spokes: &["a b > y b", "a b"],
            does: &["conflict record UpdateVsDelete: local= crm=y b erp=a b"],
            why: &["record: manual"],
        }],
    );
}

#[test]
fn s22_a_restored_record_is_revived_with_its_link() {
    check(
        &two(),
        &[
            Case {
                name: "the row comes back",
                hub: "deleted",
                spokes: &["a b dead > a y", ""],
                does: &["insert a y", "erp create f=a g=y", "crm base a y | a y", "crm live"],
                why: &["record: FirstContact by crm"],
            },
            Case {
                name: "a row that stayed is merged against the old base",
                hub: "x b *",
                spokes: &["a b dead > a y", ""],
                does: &["set g=y", "crm update f=x @2", "erp create f=x g=y", "crm base a y | a y", "crm live"],
                why: &["record: FirstContact by crm", "g: OneSide by crm", "f: OneSide by local"],
            },
        ],
    );
}

#[test]
fn s23_leaving_the_scope_unties_and_deletes_nothing() {
    check(
        &two(),
        &[
            Case { name: "linked", hub: "a b", spokes: &["a b out > x b", "a b"], does: &["crm outofscope"], why: &[] },
            Case {
                name: "afterwards it is ignored both ways",
                hub: "x b *",
                spokes: &["a b outside", "a b"],
                does: &["erp update f=x @1"],
                why: &["f: OneSide by local"],
            },
            Case {
                name: "whatever it does out there",
                hub: "a b",
                spokes: &["a b outside out > q b", "a b"],
                does: &[],
                why: &[],
            },
            Case { name: "also be deleted", hub: "a b", spokes: &["a b outside gone", "a b"], does: &[], why: &[] },
            Case {
                name: "until it comes back: what either side did meanwhile is an edit",
                hub: "x b *",
                spokes: &["a b outside > a y", "a b"],
                does: &["set g=y", "crm update f=x @2", "erp update f=x g=y @1", "crm base a y | a y", "crm live"],
                why: &["g: OneSide by crm", "f: OneSide by local"],
            },
            Case {
                name: "what was untied on purpose does not come back",
                hub: "x b",
                spokes: &["a b loose > q b", "x b"],
                does: &[],
                why: &[],
            },
            Case {
                name: "deleted here meanwhile",
                hub: "deleted",
                spokes: &["a b out > x b", ""],
                does: &["crm outofscope"],
                why: &[],
            },
            Case {
                name: "and back again: it is a new record to us, not one to be deleted there",
                hub: "deleted",
                spokes: &["a b outside > x b", ""],
                does: &["insert x b", "erp create f=x g=b", "crm base x b | x b", "crm live"],
                why: &["record: FirstContact by crm"],
            },
        ],
    );
}

/// The conflict that a delete opens under the default policies, and the facts of a later pass.
fn queued(later: &str, spokes: &[&str], resolution: Option<Resolution>) -> (Vec<String>, Vec<String>) {
    let collection = two();
    let opened = decide(&collection, &facts(&collection, "a b", &["a b gone", "a b"]));
    let mut facts = facts(&collection, later, spokes);
    facts.frozen = vec![freeze(&opened.conflicts[0], resolution)];
    let plan = decide(&collection, &facts);
    (lines(&collection, &plan), reasons(&collection, &plan))
}

#[test]
fn a_queued_delete_waits_without_repeating_itself() {
    let nothing: Vec<String> = Vec::new();
    assert_eq!(queued("a b", &["a b dead", "a b"], None), (nothing.clone(), nothing.clone()));
    assert_eq!(
        queued("a b", &["a b dead", "a b > y b"], None).0,
        ["set f=y", "erp base y b | y b", "conflict record UpdateVsDelete: local=y b crm="],
        "an edit elsewhere is read, and told to whoever decides"
    );
    assert_eq!(
        queued("a b", &["a b dead > a b", "a b"], None).0,
        ["crm live", "closed record Agreed"],
        "the record is listed again"
    );
}

#[test]
fn a_queued_delete_follows_the_choice() {
    assert_eq!(
        queued("a b", &["a b dead", "a b"], Some(Resolution::Delete)),
        (
            vec!["delete".to_owned(), "erp delete @1".to_owned(), "closed record Resolved".to_owned()],
            vec!["record: Resolution over local=a b".to_owned()]
        )
    );
    assert_eq!(
        queued("a b", &["a b dead", "a b"], Some(Resolution::Keep)).0,
        ["crm create f=a g=b", "closed record Resolved"]
    );
    let crm = Origin::from_name("crm");
    assert_eq!(
        queued("a b", &["a b dead", "a b"], Some(Resolution::Take(crm))).0,
        ["delete", "erp delete @1", "closed record Resolved"],
        "to take the side that deleted is to delete"
    );
}

#[test]
fn s63_a_stale_choice_to_delete_is_refused() {
    let (does, why) = queued("x b *", &["a b dead", "a b"], Some(Resolution::Delete));
    assert_eq!(does, ["conflict record UpdateVsDelete: local=x b crm="]);
    assert_eq!(why, ["record: Frozen"]);
}

#[test]
fn a_conflict_about_a_field_ends_with_its_record() {
    let collection = Collection { update_vs_delete: UpdateVsDelete::DeleteWins, ..two() };
    let mut facts = facts(&collection, "x b", &["a b gone", "a b"]);
    let sides = vec![candidate("local", values(&collection, "x")), candidate("erp", values(&collection, "q"))];
    facts.frozen =
        vec![Freeze { kind: ConflictKind::DeleteQueued, fields: vec![0], candidates: sides, resolution: None }];
    let plan = decide(&collection, &facts);
    assert_eq!(lines(&collection, &plan), ["delete", "erp delete @1", "crm deleted", "closed f RecordGone"]);
}

#[test]
fn a_remote_delete_goes_on_as_one_only_where_it_is_one_and_would_be_propagated() {
    let on = |policy| Collection { on_remote_delete: policy, on_local_delete: OnLocalDelete::Queue, ..two() };
    let does = |policy, spokes: &[&str]| {
        let rules = on(policy);
        lines(&rules, &decide(&rules, &facts(&rules, "deleted", spokes)))
    };
    assert_eq!(does(OnRemoteDelete::Propagate, &["a b dead", "a b"]), ["erp delete @1"]);
    for (policy, spokes) in [(OnRemoteDelete::Propagate, ["a b", "a b"]), (OnRemoteDelete::Queue, ["a b dead", "a b"])]
    {
        let does = does(policy, &spokes);
        assert!(does.len() == 1 && does[0].starts_with("conflict record DeleteQueued"), "{does:?}");
    }
}

#[test]
fn a_value_that_a_deleted_record_never_got_is_an_edit_if_it_is_there_and_would_be_sent() {
    let mut rules = Collection { on_remote_delete: OnRemoteDelete::Propagate, ..two() };
    let goes = |rules: &Collection, row: &str| {
        decide(rules, &facts(rules, row, &["? b gone", ""])).local == LocalChange::Delete
    };
    assert!(!goes(&rules, "x b"));
    assert!(goes(&rules, "~ b"));
    edit_map(&mut rules, 0, 0).push = false;
    assert!(goes(&rules, "x b"));
}

#[test]
fn a_question_about_a_record_that_is_gone_everywhere_is_over_once_all_were_heard() {
    let rules = Collection { on_remote_delete: OnRemoteDelete::Queue, ..two() };
    let open = decide(&rules, &facts(&rules, "a b", &["a b gone", "a b"])).conflicts.remove(0);
    for (spokes, closed) in [(["a b dead", "a b dead"], 1), (["a b dead", "a b blocked"], 0)] {
        let mut facts = facts(&rules, "deleted", &spokes);
        facts.frozen = vec![freeze(&open, None)];
        let plan = decide(&rules, &facts);
        assert_eq!(plan.closed.iter().filter(|one| one.how == CloseReason::RecordGone).count(), closed, "{spokes:?}");
    }
}

#[test]
fn the_side_that_has_the_record_is_a_choice_to_keep_it() {
    let take = |name: &str| Some(Resolution::Take(Origin::from_name(name)));
    let kept = queued("a b", &["a b dead", "a b"], take("local")).0;
    assert!(kept.iter().any(|line| line.starts_with("crm create")) && !kept.contains(&"delete".to_owned()), "{kept:?}");
}

#[test]
fn nothing_is_made_where_nothing_is_sent_or_nothing_can_be_made() {
    let mut rules = two();
    edit(&mut rules, 1).create = None;
    check(&rules, &[Case { name: "it cannot be made", hub: "a b", spokes: &["a b", ""], does: &[], why: &[] }]);
    let mut rules = two();
    edit(&mut rules, 1).push = false;
    check(&rules, &[Case { name: "nothing is sent", hub: "a b", spokes: &["a b", ""], does: &[], why: &[] }]);
}

#[test]
fn a_queued_delete_is_no_other_question_while_a_side_cannot_be_read() {
    let nothing = (Vec::<String>::new(), Vec::<String>::new());
    assert_eq!(queued("a b", &["a b dead blocked", "a b"], None), nothing, "it was found deleted, and stays so");
    assert_eq!(queued("a b", &["a b dead", "a b blocked"], None), nothing, "nobody said that this one is gone");
}
