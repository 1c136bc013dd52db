//! Owns: the part of the suite about staged observations and candidates.
//!
//! Must not know: SQL, files.

use super::fixture::*;
use super::journal::{conflict, intent};
use crate::merge::{Evidence, IntentState};
use crate::store::*;

pub(super) fn staged(binding: BindingKey, collection: CollectionKey, remote_id: &str) -> Staged {
    Staged {
        binding,
        remote_id: remote_id.to_owned(),
        collection,
        record: None,
        kind: StagedKind::Record,
        fingerprint: 9,
        raw: b"{}".to_vec(),
        version: None,
        observed_at: 5,
        parked: None,
    }
}

pub(in crate::store) fn observations_are_staged_matched_parked_and_unstaged(on: &Fixture) {
    let (key, binding) = on
        .write(|tx| {
            let (key, binding, _mapping) = keys(tx)?;
            for remote_id in ["c2", "c1", "c3"] {
                tx.stage(&staged(binding, key, remote_id))?;
            }
            let gone = StagedKind::Gone(Evidence::AbsenceConfirmed);
            tx.stage(&Staged { kind: gone, version: Some("2".to_owned()), ..staged(binding, key, "c3") })?;
            tx.stage_matched(binding, "c3", &id("r3"))?;
            tx.stage_parked(binding, "c1", Some("parent unknown"))?;
            Ok((key, binding))
        })
        .expect("staged");
    let unmatched = on.read(move |view| view.staged_unmatched(binding, "", 9));
    let parked = Staged { parked: Some("parent unknown".to_owned()), ..staged(binding, key, "c1") };
    assert_eq!(unmatched, [parked, staged(binding, key, "c2")]);
    assert_eq!(on.read(move |view| view.staged_unmatched(binding, "c1", 9)).len(), 1);
    let expected = Staged {
        kind: StagedKind::Gone(Evidence::AbsenceConfirmed),
        version: Some("2".to_owned()),
        record: Some(id("r3")),
        ..staged(binding, key, "c3")
    };
    assert_eq!(on.read(move |view| view.staged_of(key, &id("r3"))), std::slice::from_ref(&expected));
    let (of, name) = (expected.binding, expected.remote_id.clone());
    assert_eq!(on.read(move |view| view.staged(of, &name)), Some(expected.clone()));
    assert_eq!(on.read(move |view| view.staged(of, "nobody")), None);
    assert_eq!(on.read(move |view| view.staged_matched(binding, "", 9)), [expected]);
    assert_eq!(on.read(move |view| view.staged_matched(binding, "c3", 9)).len(), 0);
    assert_eq!(on.read(move |view| view.staged_merged(binding, "", 9)), []);
    assert_eq!(on.read(move |view| view.staged_count(binding)), 3);
    let merged = Staged { kind: StagedKind::Merged, raw: b"c9".to_vec(), ..staged(binding, key, "c4") };
    let again = merged.clone();
    on.write(move |tx| tx.stage(&again)).expect("staged");
    assert_eq!(on.read(move |view| view.staged_merged(binding, "", 9)), [merged]);
    assert_eq!(on.read(move |view| view.staged_merged(binding, "c4", 9)), []);
    on.write(move |tx| tx.unstage(binding, "c4")).expect("unstaged");
    let old = on.read(move |view| view.staged_before(binding, i64::MAX, "", 9));
    assert_eq!((old.len(), old.iter().all(|staged| staged.raw.is_empty())), (3, true));
    assert_eq!(on.read(move |view| view.staged_before(binding, old[0].observed_at, "", 9)).len(), 0);
    on.write(move |tx| {
        tx.unstage(binding, "c3")?;
        tx.stage_parked(binding, "c1", None)
    })
    .expect("unstaged");
    assert_eq!(on.read(move |view| view.staged_count(binding)), 2);
    assert_eq!(on.read(move |view| view.staged_unmatched(binding, "", 1))[0].parked, None);
    let unknown = on.write(move |tx| tx.stage_matched(binding, "c9", &id("r")));
    assert!(matches!(unknown, Err(StoreError::State { .. })), "{unknown:?}");
}

pub(in crate::store) fn candidates_are_distinct_ordered_and_paged(on: &Fixture) {
    let key = on
        .write(|tx| {
            let (key, binding, _mapping) = keys(tx)?;
            let (other, other_binding) = tx.register("companies", "crm")?;
            tx.mark_dirty(key, &id("r5"), DirtyOp::Recheck)?;
            tx.mark_dirty(key, &id("r1"), DirtyOp::Recheck)?;
            tx.mark_dirty(other, &id("x1"), DirtyOp::Recheck)?;
            tx.stage(&Staged { record: Some(id("r2")), ..staged(binding, key, "c2") })?;
            tx.stage(&Staged { record: Some(id("r1")), ..staged(binding, key, "c1") })?;
            tx.stage(&staged(binding, key, "c9"))?;
            tx.stage(&Staged { record: Some(id("x2")), ..staged(other_binding, other, "c2") })?;
            let opened = tx.put_conflict(&conflict("contacts", "r3"))?;
            tx.set_resolution(opened, Some("{}"))?;
            tx.put_conflict(&conflict("contacts", "r9"))?;
            tx.put_intent(&intent("k1", binding, "r4", IntentState::Unknown))?;
            Ok(key)
        })
        .expect("written");
    let all = on.read(move |view| view.candidates(key, "", 99));
    assert_eq!(all, ["r1", "r2", "r3", "r4", "r5"].map(id));
    assert_eq!(on.read(move |view| view.candidates(key, "r2", 2)), ["r3", "r4"].map(id));
    // One of them twice, and a stranger that may become one.
    assert_eq!(on.read(move |view| view.candidates_at_most(key)), 7);
}
