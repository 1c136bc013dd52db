//! Owns: the part of the suite about links and keys.
//!
//! Must not know: SQL, files.

use super::fixture::*;
use crate::merge::LinkState;
use crate::store::*;

pub(in crate::store) fn links_are_known_by_remote_id_and_read_back_whole(on: &Fixture) {
    let (binding, mapping, link) = on
        .write(|tx| {
            let (_collection, binding, mapping) = keys(tx)?;
            Ok((binding, mapping, tx.put_link(&new_link(binding, "c7", &id("r1"), mapping))?))
        })
        .expect("linked");
    let known = Known { link, fingerprint: u64::MAX - 1, state: LinkState::Live };
    assert_eq!(on.read(move |view| view.known(binding, &["x", "c7", ""])), [None, Some(known), None]);
    let row = LinkRow {
        link,
        binding,
        remote_id: "c7".to_owned(),
        record: id("r1"),
        state: LinkState::Live,
        version: Some("5".to_owned()),
        mapping,
        fingerprint: u64::MAX - 1,
        raw: b"{\"id\":\"c7\"}".to_vec(),
        base_hub: None,
        base_remote: Some("{}".to_owned()),
        updated_at: Some(11),
        observed_at: 12,
        made: Some(Made { pass: 3, source_time: None, observed_at: 12 }),
    };
    assert_eq!(on.read(move |view| view.link(link)), Some(row.clone()));
    assert_eq!(on.read(|view| view.links_of(&id("r1"))), [row]);
    assert_eq!(on.read(|view| view.made_in(3, LinkId(0), 9)), [(link, id("r1"))]);
    let others = |pass, after| on.read(move |view| view.made_in(pass, after, 9)).len();
    assert_eq!((others(2, LinkId(0)), others(3, link)), (0, 0));
    on.write(move |tx| {
        tx.set_link(link, &update(LinkState::Live, mapping, 7))?;
        tx.set_link_state(link, LinkState::Deleted)
    })
    .expect("set");
    let known = on.read(move |view| view.known(binding, &["c7"]));
    assert_eq!(known, [Some(Known { link, fingerprint: 7, state: LinkState::Deleted })]);
    on.write(move |tx| {
        tx.set_fingerprint(link, 8)?;
        tx.set_remote_id(link, "c8")
    })
    .expect("set");
    let known = on.read(move |view| view.known(binding, &["c7", "c8"]));
    assert_eq!(known, [None, Some(Known { link, fingerprint: 8, state: LinkState::Deleted })]);
    assert_eq!(on.read(move |view| view.link(link)).map(|row| row.remote_id), Some("c8".to_owned()));
    on.write(move |tx| {
        tx.set_link_state(link, LinkState::Live)?;
        tx.set_link_gone(link, 9, 77)
    })
    .expect("set");
    let known = on.read(move |view| view.known(binding, &["c8"]));
    assert_eq!(known, [Some(Known { link, fingerprint: 9, state: LinkState::Deleted })]);
    let row = on.read(move |view| view.link(link)).map(|row| (row.state, row.fingerprint, row.observed_at));
    assert_eq!(row, Some((LinkState::Deleted, 9, 77)));
    on.write(move |tx| tx.drop_link(link)).expect("dropped");
    assert_eq!(on.read(move |view| view.known(binding, &["c7", "c8"])), [None, None]);
    assert_eq!(on.read(move |view| view.link(link)), None);
    assert!(matches!(on.write(move |tx| tx.set_link_state(link, LinkState::Live)), Err(StoreError::State { .. })));
}

pub(in crate::store) fn a_second_link_of_a_record_or_remote_id_is_refused_whole(on: &Fixture) {
    let (binding, outcomes) = on
        .write(|tx| {
            let (_collection, binding, mapping) = keys(tx)?;
            tx.put_link(&new_link(binding, "c7", &id("r1"), mapping))?;
            let same_record = tx.put_link(&new_link(binding, "c8", &id("r1"), mapping));
            let same_remote = tx.put_link(&new_link(binding, "c7", &id("r2"), mapping));
            Ok((binding, [same_record, same_remote]))
        })
        .expect("the job goes on");
    for outcome in outcomes {
        is_constraint(outcome);
    }
    assert_eq!(on.read(|view| view.links_of(&id("r2"))), []);
    assert_eq!(on.read(move |view| view.link_count(binding, LinkState::Live)), 1);
}

pub(in crate::store) fn live_links_and_links_under_other_mappings_are_paged(on: &Fixture) {
    let (binding, new) = on
        .write(|tx| {
            let (_collection, binding, old) = keys(tx)?;
            let (_same, other) = tx.register("contacts", "erp")?;
            let (older, new) = (tx.register_mapping("m0")?, tx.register_mapping("m2")?);
            for (remote_id, mapping) in [("c", old), ("a", older), ("b", new), ("d", old)] {
                tx.put_link(&new_link(binding, remote_id, &id(remote_id), mapping))?;
            }
            tx.put_link(&new_link(other, "a", &id("a"), old))?;
            let gone = tx.put_link(&new_link(binding, "0", &id("0"), old))?;
            tx.set_link_state(gone, LinkState::Detached)?;
            Ok((binding, new))
        })
        .expect("linked");
    let names = |links: Vec<(String, LinkId)>| links.into_iter().map(|(name, _link)| name).collect::<Vec<_>>();
    assert_eq!(names(on.read(move |view| view.live_links(binding, "", 9))), ["a", "b", "c", "d"]);
    assert_eq!(names(on.read(move |view| view.live_links(binding, "a", 2))), ["b", "c"]);
    let under = on.read(move |view| view.links_not_under(binding, new, 0, 2));
    assert_eq!(under.iter().map(|row| row.remote_id.as_str()).collect::<Vec<_>>(), ["c", "a"]);
    let last = under[1].link.0;
    let under = on.read(move |view| view.links_not_under(binding, new, last, 9));
    assert_eq!(under.iter().map(|row| row.remote_id.as_str()).collect::<Vec<_>>(), ["d"]);
    assert_eq!(on.read(move |view| view.link_count(binding, LinkState::Detached)), 1);
    for (most, counted) in [(0, 0), (3, 3), (4, 4), (5, 4), (u64::MAX, 4)] {
        assert_eq!(on.read(move |view| view.links_up_to(binding, LinkState::Live, most)), counted, "up to {most}");
    }
    let mut counts = on.read(move |view| view.link_counts(binding, u64::MAX));
    counts.sort_unstable();
    assert_eq!(counts, [(LinkState::Live, 4), (LinkState::Detached, 1)]);
    let some = on.read(move |view| view.link_counts(binding, 2));
    assert_eq!(some.iter().map(|(_, count)| count).sum::<u64>(), 2);
}

pub(in crate::store) fn keys_are_registered_once(on: &Fixture) {
    assert_eq!(on.read(|view| view.collection_key("contacts")), None);
    assert_eq!(on.read(|view| view.binding_key("contacts", "crm")), None);
    let (first, again, other) =
        on.write(|tx| Ok((keys(tx)?, keys(tx)?, tx.register("contacts", "erp")?))).expect("registered");
    assert_eq!(first, again);
    assert_eq!((other.0, other.1 == first.1), (first.0, false));
    assert_eq!(on.read(|view| view.collection_key("contacts")), Some(first.0));
    assert_eq!(on.read(|view| view.binding_key("contacts", "erp")), Some(other.1));
}

pub(in crate::store) fn any_text_can_be_a_record_id(on: &Fixture) {
    let ids = [
        "01890a5d-ac96-774b-bcce-b302099a8057",
        "01890A5D-AC96-774B-BCCE-B302099A8057",
        "01890a5dac96774bbcceb302099a8057",
        "{01890a5d-ac96-774b-bcce-b302099a8057}",
        "7",
        "ü",
    ];
    let key = on
        .write(move |tx| {
            let (key, binding, mapping) = keys(tx)?;
            for record in ids {
                tx.put_link(&new_link(binding, record, &id(record), mapping))?;
                tx.index_match(key, &id(record), &[vec![Some("same".to_owned())]])?;
            }
            Ok(key)
        })
        .expect("linked");
    for record in ids {
        let links = on.read(move |view| view.links_of(&id(record)));
        assert_eq!(links.iter().map(|link| link.record.0.as_str()).collect::<Vec<_>>(), [record]);
        assert_eq!(on.read(move |view| view.find_record(record)), [("contacts".to_owned(), id(record))]);
    }
    let mut sorted = ids.map(id);
    sorted.sort();
    assert_eq!(on.read(move |view| view.matching(key, 0, "same")), sorted);
}

pub(in crate::store) fn parents_have_places_of_their_own_and_those_that_are_gone_are_found(on: &Fixture) {
    let (of, binding) = on
        .write(|tx| {
            let (_, of, mapping) = keys(tx)?;
            tx.put_link(&new_link(of, "c", &id("r1"), mapping))?;
            let (_, binding) = tx.register("deals", "crm")?;
            for parent in ["a", "b", "c"] {
                tx.set_parent_cursor(binding, parent, &format!("{parent}1"))?;
            }
            tx.set_parent_cursor(binding, "b", "b2")?;
            Ok((of, binding))
        })
        .expect("set");
    let place = |text: &str| Some(text.to_owned());
    let cursors = || on.read(move |view| view.parent_cursors(binding, &["b", "x", "a"]));
    assert_eq!(cursors(), [place("b2"), None, place("a1")]);
    assert_eq!(on.read(move |view| view.parent_cursors(of, &["a"])), [None]);
    assert_eq!(on.read(move |view| view.parents_gone(binding, of, "", 1)), ["a"]);
    assert_eq!(on.read(move |view| view.parents_gone(binding, of, "a", 9)), ["b"]);
    on.write(move |tx| tx.drop_parent_cursor(binding, "b")).expect("dropped");
    assert_eq!(cursors(), [None, None, place("a1")]);
}
