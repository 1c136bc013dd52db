//! Owns: where the CHECKs of the plain tables are left out, and why they may be.
//!
//! Must not know: the engine.

use proptest::prelude::*;

use crate::record::tests::value::typed_value;
use crate::record::{Domain, FieldType};
use crate::store::StoreError;
use crate::store::contract::{collection, field, id, text};

use super::{Fixture, memory, open, place, plain};

proptest! {
    #[test]
    fn what_the_engine_writes_has_the_form_of_its_column((ty, value) in typed_value()) {
        let (on, value) = (memory(), Domain::of(ty.clone()).canonical(&value));
        let table = collection("t", vec![field("f", ty)]);
        on.prepare(vec![table.clone()]).expect("prepared");
        let shown = format!("{value:?}");
        let written = on.write(move |tx| tx.insert_row(&table, &id("a"), &[value]));
        prop_assert!(written.is_ok(), "{shown}: {written:?}");
    }
}

/// Whether a value that no field of that type has is taken, which only a CHECK keeps out.
fn takes_what_does_not_fit(on: &Fixture, name: &str) -> bool {
    let (table, record) = (collection("t", vec![field("n", FieldType::Integer)]), id(name));
    match on.write(move |tx| tx.insert_row(&table, &record, &[text("many")])) {
        Ok(()) => true,
        Err(StoreError::Constraint { reason, .. }) => {
            assert!(reason.contains("t.n must be a whole number"), "{reason}");
            false
        }
        Err(other) => panic!("{other:?}"),
    }
}

fn with_numbers() -> (tempfile::TempDir, std::path::PathBuf, Fixture) {
    let (folder, path) = place();
    let on = open(&path).expect("it opens");
    on.prepare(vec![collection("t", vec![field("n", FieldType::Integer)])]).expect("prepared");
    (folder, path, on)
}

#[test]
fn checks_are_left_out_during_a_load_and_only_then() {
    let (_folder, path, on) = with_numbers();
    assert!(!takes_what_does_not_fit(&on, "a"));
    on.write(|tx| tx.set_bulk(true)).expect("begun");
    assert!(takes_what_does_not_fit(&on, "b"), "values of ours are not checked twice");
    let theirs = plain(&path).execute("INSERT INTO t (id, n) VALUES ('c', 'many')", []);
    assert!(theirs.is_err(), "those of others are");
    on.write(|tx| tx.set_bulk(false)).expect("ended");
    assert!(!takes_what_does_not_fit(&on, "d"));
    on.write(|tx| tx.set_bulk(true)).expect("begun");
    on.write(|tx| tx.delete_row(&collection("t", Vec::new()), &id("b"))).expect("deleted");
    on.prepare(vec![collection("t", vec![field("n", FieldType::Integer)])]).expect("prepared");
    assert!(!takes_what_does_not_fit(&on, "e"), "tables of new rules are looked at anew");
}

#[test]
fn checks_count_where_somebody_else_has_changed_the_tables() {
    let changes = [
        "ALTER TABLE t ADD COLUMN mine TEXT CHECK (mine <> 'x')",
        "CREATE TRIGGER mine AFTER INSERT ON t BEGIN SELECT 1; END",
    ];
    for change in changes {
        let (_folder, path, on) = with_numbers();
        plain(&path).execute_batch(change).expect("changed");
        on.write(|tx| tx.set_bulk(true)).expect("begun");
        assert!(!takes_what_does_not_fit(&on, "a"), "before: {change}");
        on.write(|tx| tx.set_bulk(false)).expect("ended");

        let (_folder, path, on) = with_numbers();
        on.write(|tx| tx.set_bulk(true)).expect("begun");
        assert!(takes_what_does_not_fit(&on, "a"));
        on.write(|tx| tx.delete_row(&collection("t", Vec::new()), &id("a"))).expect("deleted");
        plain(&path).execute_batch(change).expect("changed");
        assert!(!takes_what_does_not_fit(&on, "b"), "meanwhile: {change}");
    }
}
