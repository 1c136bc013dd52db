//! Owns: opening databases of other schemas.
//!
//! Must not know: what the schema holds.

use crate::store::contract::{contacts, id, text};
use crate::store::{Mode, OpenOptions, StoreError};

use super::super::connect::{Role, connect};
use super::super::fault::Place;
use super::super::lock::beside;
use super::super::migrate::{MIGRATIONS, migrate};
use super::{open, open_with, options, place, plain};

fn version(path: &std::path::Path) -> i64 {
    plain(path).pragma_query_value(None, "user_version", |row| row.get(0)).expect("a version")
}

fn upgrade(path: &std::path::Path, next: &str) -> Result<(), StoreError> {
    let place = Place { path: path.display().to_string(), busy_ms: 50 };
    let mut conn = connect(path, Role::Writer, &place)?;
    migrate(&mut conn, &place, Some(path), &[MIGRATIONS, &[next]].concat())
}

#[test]
fn a_fresh_database_gets_the_schema_without_a_backup() {
    let (folder, path) = place();
    open(&path).expect("it opens");
    assert_eq!(version(&path), i64::try_from(MIGRATIONS.len()).expect("small"));
    let names: Vec<_> =
        std::fs::read_dir(folder.path()).expect("a folder").map(|entry| entry.expect("a file").file_name()).collect();
    assert!(names.iter().all(|name| !name.to_string_lossy().contains("before")), "{names:?}");
    let application: i64 = plain(&path).pragma_query_value(None, "application_id", |row| row.get(0)).expect("an id");
    assert_eq!(application, 0x7265_6364);
}

#[test]
fn an_older_database_is_copied_first_and_then_upgraded() {
    let (_folder, path) = place();
    let on = open(&path).expect("it opens");
    on.prepare(vec![contacts()]).expect("prepared");
    on.write(|tx| tx.insert_row(&contacts(), &id("a"), &[text("a@x.io"), text("020")])).expect("inserted");
    drop(on);
    upgrade(&path, "CREATE TABLE sync_next (a) ; UPDATE contacts SET phone = '030'").expect("upgraded");
    let known = i64::try_from(MIGRATIONS.len()).expect("small");
    assert_eq!(version(&path), known + 1);
    let backup = beside(&path, &format!(".before-{}", known + 1));
    assert_eq!(version(&backup), known);
    let phone: String = plain(&backup).query_row("SELECT phone FROM contacts", [], |row| row.get(0)).expect("a row");
    assert_eq!(phone, "020");
    assert_eq!(mode(&backup), 0o600);
}

fn mode(path: &std::path::Path) -> u32 {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::metadata(path).expect("a file").permissions().mode() & 0o777
}

#[test]
fn a_migration_that_fails_in_the_middle_leaves_the_old_schema() {
    let (_folder, path) = place();
    drop(open(&path).expect("it opens"));
    let failed = upgrade(&path, "CREATE TABLE sync_next (a); INSERT INTO nowhere VALUES (1)");
    assert!(matches!(failed, Err(StoreError::Sqlite { .. })), "{failed:?}");
    assert_eq!(version(&path), i64::try_from(MIGRATIONS.len()).expect("small"));
    let left = plain(&path).prepare("SELECT * FROM sync_next").is_ok();
    assert!(!left);
    open(&path).expect("it still opens");
}

#[test]
fn a_newer_database_is_refused_and_left_alone() {
    let (_folder, path) = place();
    drop(open(&path).expect("it opens"));
    plain(&path).pragma_update(None, "user_version", 99).expect("from the future");
    for mode in [Mode::ReadWriteCreate, Mode::ReadWrite, Mode::ReadOnly] {
        let outcome = open_with(&OpenOptions { mode, ..options(&path) });
        assert!(matches!(outcome, Err(StoreError::Newer { found: 99, .. })), "{mode:?}");
    }
    assert_eq!(version(&path), 99);
}

#[test]
fn another_applications_database_is_refused() {
    let (_folder, path) = place();
    plain(&path).execute_batch("CREATE TABLE mine (a); PRAGMA user_version = 1").expect("made");
    match open(&path).map(|_| ()) {
        Err(StoreError::Sqlite { reason, .. }) => {
            assert!(reason.contains("belongs to another application"), "{reason}");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(version(&path), 1);
}
