//! Owns: the part of the suite about hints, matches, provenance.
//!
//! Must not know: SQL, files.

use super::fixture::*;
use crate::record::*;
use crate::store::*;

pub(in crate::store) fn the_match_index_replaces_a_records_entries(on: &Fixture) {
    let (key, other) = on
        .write(|tx| {
            let (key, ..) = keys(tx)?;
            let (other, _binding) = tx.register("companies", "crm")?;
            tx.index_match(key, &id("r1"), &[vec![Some("a@x.io".to_owned()), Some("020".to_owned())]])?;
            tx.index_match(key, &id("r2"), &[vec![Some("a@x.io".to_owned()), None]])?;
            tx.index_match(other, &id("r1"), &[vec![Some("a@x.io".to_owned())]])?;
            tx.index_match(key, &id("r1"), &[vec![Some("a@x.io".to_owned()), Some("030".to_owned())]])?;
            Ok((key, other))
        })
        .expect("indexed");
    assert_eq!(on.read(move |view| view.matching(key, 0, "a@x.io")), [id("r1"), id("r2")]);
    assert!(on.read(move |view| view.matching(key, 1, "a@x.io")).is_empty());
    assert!(on.read(move |view| view.matching(key, 1, "020")).is_empty());
    assert_eq!(on.read(move |view| view.matching(key, 1, "030")), [id("r1")]);
    on.write(move |tx| tx.index_match(key, &id("r1"), &[])).expect("emptied");
    assert_eq!(on.read(move |view| view.matching(key, 0, "a@x.io")), [id("r2")]);
    assert_eq!(on.read(move |view| view.matching(other, 0, "a@x.io")), [id("r1")]);
}

pub(in crate::store) fn a_hint_is_cleared_only_if_it_is_the_one_that_was_read(on: &Fixture) {
    let key = on.write(|tx| Ok(keys(tx)?.0)).expect("registered");
    on.write(move |tx| tx.mark_dirty(key, &id("r1"), DirtyOp::Recheck)).expect("marked");
    let first = on.read(move |view| view.dirty(key, &id("r1"))).expect("a hint");
    assert_eq!(first.op, DirtyOp::Recheck);
    assert!(first.at > 1_500_000_000_000_000, "{}", first.at);
    assert_eq!(on.read(move |view| view.newest_edit(key)), 0, "nobody edited it");
    on.write(move |tx| tx.mark_dirty(key, &id("r1"), DirtyOp::Update)).expect("marked");
    assert_eq!(on.read(move |view| view.dirty(key, &id("r1"))), Some(first), "an existing hint stays");
    on.write(move |tx| tx.clear_dirty(key, &id("r1"), first.seen - 1)).expect("not cleared");
    assert!(on.read(move |view| view.dirty(key, &id("r1"))).is_some());
    on.write(move |tx| tx.clear_dirty(key, &id("r1"), first.seen)).expect("cleared");
    assert!(on.read(move |view| view.dirty(key, &id("r1"))).is_none());
    on.write(move |tx| tx.mark_dirty(key, &id("r1"), DirtyOp::Delete)).expect("marked");
    on.write(move |tx| tx.clear_dirty(key, &id("r1"), first.seen)).expect("not cleared");
    let hints = on.read(move |view| view.dirty_after(key, "", 9));
    assert_eq!(
        hints.iter().map(|(record, hint)| (record.0.as_str(), hint.op)).collect::<Vec<_>>(),
        [("r1", DirtyOp::Delete)]
    );
    assert!(hints[0].1.seen > first.seen);
    assert_eq!(on.read(move |view| view.newest_edit(key)), hints[0].1.seen);
    assert!(on.read(move |view| view.dirty_after(key, "r1", 9)).is_empty());
}

pub(in crate::store) fn the_engines_own_writes_leave_no_hint(on: &Fixture) {
    on.prepare(vec![contacts()]).expect("prepared");
    let key = on
        .write(|tx| {
            tx.insert_row(&contacts(), &id("a"), &[Value::Null, Value::Null])?;
            tx.insert_row(&contacts(), &id("b"), &[Value::Null, Value::Null])?;
            tx.update_row(&contacts(), &id("a"), &[(1, text("1"))])?;
            tx.delete_row(&contacts(), &id("b"))?;
            Ok(tx.register("contacts", "crm")?.0)
        })
        .expect("written");
    assert!(on.read(move |view| view.dirty_after(key, "", 9)).is_empty());
}

pub(in crate::store) fn provenance_is_kept_per_field(on: &Fixture) {
    let origin = |field: &str, origin: &str| OriginRow {
        field: field.to_owned(),
        origin: origin.to_owned(),
        source_time: None,
        observed_at: 4,
        pass: 1,
        rule: "latest".to_owned(),
    };
    let (default, phone, newer) = (origin("", "crm"), origin("phone", "local"), origin("phone", "crm"));
    let (first, second) = (vec![default.clone(), phone], vec![newer.clone()]);
    let key = on
        .write(move |tx| {
            let (key, ..) = keys(tx)?;
            tx.set_origins(key, &id("r1"), &first)?;
            tx.set_origins(key, &id("r1"), &second)?;
            Ok(key)
        })
        .expect("set");
    assert_eq!(on.read(move |view| view.origins(key, &id("r1"))), [default, newer]);
}

pub(in crate::store) fn every_row_and_every_link_without_one_can_be_marked(on: &Fixture) {
    on.prepare(vec![contacts()]).expect("prepared");
    let key = on
        .write(|tx| {
            let (key, binding, mapping) = keys(tx)?;
            for name in ["a", "b"] {
                tx.insert_row(&contacts(), &id(name), &[Value::Null, Value::Null])?;
            }
            for name in ["b", "gone"] {
                tx.put_link(&new_link(binding, name, &id(name), mapping))?;
            }
            tx.mark_all(&contacts(), key, binding)?;
            Ok(key)
        })
        .expect("marked");
    let hints = on.read(move |view| view.dirty_after(key, "", 9));
    let said: Vec<_> = hints.iter().map(|(record, hint)| (record.0.as_str(), hint.op)).collect();
    assert_eq!(said, ["a", "b", "gone"].map(|name| (name, DirtyOp::Recheck)));
}

pub(in crate::store) fn a_note_is_kept_and_replaced(on: &Fixture) {
    assert_eq!(on.read(|view| view.note("n")), None);
    on.write(|tx| tx.set_note("n", "1")).expect("set");
    on.write(|tx| tx.set_note("n", "2")).expect("set");
    assert_eq!(on.read(|view| view.note("n")), Some("2".to_owned()));
}

pub(in crate::store) fn a_bulk_load_changes_what_is_fast_and_nothing_else(on: &Fixture) {
    let key = on
        .write(|tx| {
            let (key, ..) = keys(tx)?;
            tx.set_bulk(true)?;
            tx.index_match(key, &id("a"), &[vec![Some("one".to_owned())]])?;
            Ok(key)
        })
        .expect("begun");
    let one = move |view: &dyn View| view.matching(key, 0, "one");
    assert_eq!(on.read(one), [id("a")]);
    on.write(|tx| tx.set_bulk(false)).expect("ended");
    on.write(|tx| tx.set_bulk(false)).expect("ended twice");
    on.write(|tx| tx.set_bulk(true)).expect("nothing to put off where something is there");
    on.write(move |tx| tx.index_match(key, &id("b"), &[vec![Some("one".to_owned())]])).expect("indexed");
    assert_eq!(on.read(one), [id("a"), id("b")]);
    on.prepare(Vec::new()).expect("prepared");
    assert_eq!(on.read(one), [id("a"), id("b")]);
}

pub(in crate::store) fn rings_are_kept_per_binding_and_field(on: &Fixture) {
    let binding = on.write(|tx| Ok(keys(tx)?.1)).expect("registered");
    let row = |field: &str, turns: &str| TurnsRow { binding, field: field.to_owned(), turns: turns.to_owned() };
    let (name, phone, newer) = (row("name", "[1]"), row("phone", "[2]"), row("phone", "[2,3]"));
    let (first, second, third) = (name.clone(), phone.clone(), newer.clone());
    on.write(move |tx| {
        tx.set_turns(&id("r1"), &second)?;
        tx.set_turns(&id("r1"), &first)?;
        tx.set_turns(&id("r2"), &second)?;
        tx.set_turns(&id("r1"), &third)
    })
    .expect("set");
    assert_eq!(on.read(|view| view.turns(&id("r1"))), [name, newer.clone()]);
    on.write(move |tx| tx.drop_turns(&id("r1"), binding, "name")).expect("dropped");
    assert_eq!(on.read(|view| view.turns(&id("r1"))), [newer]);
    assert_eq!(on.read(|view| view.turns(&id("r2"))), [phone]);
}
