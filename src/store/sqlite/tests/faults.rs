//! Owns: what happens when the file, the disk or another program is in the way (numbers as in the catalogue of faults).
//!
//! Must not know: the engine.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use crate::store::contract::{contacts, id, rows_left, text, wait};
use crate::store::{Mode, OpenOptions, StoreError};

use super::super::lock::beside;
use super::{Fixture, open, open_with, options, place, plain};

fn insert(on: &Fixture, name: &'static str, phone: String) -> Result<(), StoreError> {
    on.write(move |tx| tx.insert_row(&contacts(), &id(name), &[text(name), text(&phone)]))
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).expect("a file").permissions().mode() & 0o777
}

#[test]
fn f11_a_second_daemon_is_refused_and_told_who_holds_the_lock() {
    let (_folder, path) = place();
    let first = open(&path).expect("it opens");
    match open(&path).map(|_| ()) {
        Err(StoreError::Locked { holder, .. }) => {
            assert!(
                holder.starts_with(&format!("pid {}, since 2024-01-31T09:30:00Z, ", std::process::id())),
                "{holder}"
            );
        }
        other => panic!("{other:?}"),
    }
    let looking = open_with(&OpenOptions::file(&path, Mode::ReadOnly, 0)).expect("looking needs no lock");
    drop(looking);
    drop(first);
    open(&path).expect("free again");
}

#[test]
fn files_and_folders_are_for_their_owner_only() {
    let (_folder, path) = place();
    let path = path.parent().expect("a folder").join("state/deep/sync.db");
    let on = open(&path).expect("it opens");
    on.prepare(vec![contacts()]).expect("prepared");
    for (name, expected) in [("", 0o600), ("-wal", 0o600), ("-shm", 0o600), (".lock", 0o600)] {
        assert_eq!(mode(&beside(&path, name)), expected, "{name}");
    }
    assert_eq!(mode(path.parent().expect("a folder")), 0o700);
    let copy = beside(&path, ".copy");
    wait(on.store.copy_to(&copy)).expect("copied");
    assert_eq!(mode(&copy), 0o600);
}

#[test]
fn commands_that_only_look_never_create_nor_write() {
    let (_folder, path) = place();
    for mode in [Mode::ReadOnly, Mode::ReadWrite] {
        let outcome = open_with(&OpenOptions { mode, ..options(&path) }).map(|_| ());
        assert!(matches!(outcome, Err(StoreError::Missing { .. })), "{outcome:?}");
    }
    assert!(!path.exists() && !beside(&path, ".lock").exists());
    let on = open(&path).expect("it opens");
    on.prepare(vec![contacts()]).expect("prepared");
    insert(&on, "a", String::new()).expect("inserted");
    let looking = open_with(&OpenOptions::file(&path, Mode::ReadOnly, 0)).expect("it opens");
    assert_eq!(looking.read(|view| view.row_count(&contacts())), 1);
    assert!(matches!(insert(&looking, "b", String::new()), Err(StoreError::ReadOnly { .. })));
}

#[test]
fn f12_a_full_disk_rolls_back_and_the_store_goes_on_when_freed() {
    let (_folder, path) = place();
    let on = open_with(&OpenOptions { pages_max: Some(80), ..options(&path) }).expect("it opens");
    on.prepare(vec![contacts()]).expect("prepared");
    insert(&on, "a", String::new()).expect("there is room");
    assert!(matches!(insert(&on, "big", "x".repeat(1 << 20)), Err(StoreError::Full { .. })));
    let swallowed = on.write(|tx| {
        let full = tx.insert_row(&contacts(), &id("big"), &[text("big"), text(&"x".repeat(1 << 20))]);
        assert!(matches!(full, Err(StoreError::Full { .. })), "{full:?}");
        // A job that goes on regardless must not write outside its transaction.
        tx.insert_row(&contacts(), &id("c"), &[text("c"), text("")]).ok();
        Ok(())
    });
    assert!(matches!(swallowed, Err(StoreError::Full { .. })), "{swallowed:?}");
    assert_eq!(rows_left(&on, ["a", "big", "c"]), ["a"]);
    insert(&on, "b", String::new()).expect("smaller ones still fit");
}

#[test]
fn f15_a_damaged_file_is_refused_and_left_as_it_is() {
    let (_folder, path) = place();
    std::fs::write(&path, "this is a text and no database at all, however long it goes on".repeat(200))
        .expect("written");
    let before = std::fs::read(&path).expect("read");
    assert!(matches!(open(&path).map(|_| ()), Err(StoreError::Corrupt { .. })));
    assert_eq!(std::fs::read(&path).expect("read"), before);

    let (_folder, path) = place();
    let on = open(&path).expect("it opens");
    on.prepare(vec![contacts()]).expect("prepared");
    for n in 0..50 {
        on.write(move |tx| {
            let name = format!("r{n}");
            tx.insert_row(&contacts(), &id(&name), &[text(&name), text(&"x".repeat(2000))])
        })
        .expect("inserted");
    }
    drop(on);
    let mut bytes = std::fs::read(&path).expect("read");
    let last = bytes.len() - 8192;
    bytes[last..last + 64].fill(0xA5);
    std::fs::write(&path, &bytes).expect("damaged");
    assert!(matches!(open(&path).map(|_| ()), Err(StoreError::Corrupt { .. })));
    assert_eq!(std::fs::read(&path).expect("read"), bytes);
}

#[test]
fn f16_another_programs_lock_is_waited_for_and_then_reported() {
    let (_folder, path) = place();
    let on = open(&path).expect("it opens");
    on.prepare(vec![contacts()]).expect("prepared");
    let other = plain(&path);
    other.execute_batch("BEGIN EXCLUSIVE").expect("locked");
    match insert(&on, "a", String::new()) {
        Err(StoreError::Busy { waited_ms, .. }) => assert_eq!(waited_ms, 50),
        other => panic!("{other:?}"),
    }
    assert_eq!(on.read(|view| view.row_count(&contacts())), 0, "readers go on");
    other.execute_batch("ROLLBACK").expect("freed");
    insert(&on, "a", String::new()).expect("free again");
}

#[test]
fn f18_a_replaced_file_is_noticed_and_the_store_ends() {
    let (_folder, path) = place();
    let on = open(&path).expect("it opens");
    on.prepare(vec![contacts()]).expect("prepared");
    let copy = beside(&path, ".copy");
    wait(on.store.copy_to(&copy)).expect("copied");
    std::fs::rename(&copy, &path).expect("replaced");
    assert!(matches!(insert(&on, "a", String::new()), Err(StoreError::Replaced { .. })));
    assert!(
        matches!(insert(&on, "a", String::new()), Err(StoreError::Replaced { .. })),
        "nothing later has another reason"
    );
}

#[test]
fn f20_a_folder_that_cannot_be_written_is_refused_with_the_reason() {
    let (_folder, path) = place();
    std::fs::write(&path, "a file, so nothing can be made below it").expect("written");
    match open(&path.join("sync.db")).map(|_| ()) {
        Err(StoreError::ReadOnly { reason, .. }) => assert!(!reason.is_empty()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_copy_is_whole_and_never_overwrites() {
    let (_folder, path) = place();
    let on = open(&path).expect("it opens");
    on.prepare(vec![contacts()]).expect("prepared");
    insert(&on, "a", String::new()).expect("inserted");
    let copy = beside(&path, ".copy");
    wait(on.store.copy_to(&copy)).expect("copied");
    assert!(matches!(wait(on.store.copy_to(&copy)), Err(StoreError::ReadOnly { .. })));
    let copied = open(&copy).expect("it opens");
    assert_eq!(rows_left(&copied, ["a"]), ["a"]);
}

#[test]
fn closing_empties_the_wal_and_ends_every_later_job() {
    let (_folder, path) = place();
    let store = crate::store::SqliteStore::open(&options(&path)).expect("it opens");
    wait(crate::store::write(&store, |tx| tx.register("contacts", "crm"))).expect("written");
    store.threads.close();
    assert!(!beside(&path, "-wal").exists());
    let late = wait(crate::store::read(&store, |view| view.collection_key("contacts")));
    assert!(matches!(late, Err(StoreError::Closed)), "{late:?}");
    store.threads.close();
}

#[test]
fn reads_see_one_snapshot_while_others_write() {
    let (_folder, path) = place();
    let on = open(&path).expect("it opens");
    on.prepare(vec![contacts()]).expect("prepared");
    let counts = on.read(move |view| {
        let first = view.row_count(&contacts())?;
        plain(&path).execute_batch("INSERT INTO contacts (id) VALUES ('x')").expect("inserted meanwhile");
        Ok((first, view.row_count(&contacts())?))
    });
    assert_eq!(counts, (0, 0));
    assert_eq!(on.read(|view| view.row_count(&contacts())), 1);
}
