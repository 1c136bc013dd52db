//! Owns: tests of what processes see of each other's spending.
//!
//! Must not know: budgets.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use chrono::{DateTime, TimeDelta, Utc};

use super::{Durable, Held, Spending};

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::seconds(seconds)
}

/// Keeps this, and returns what was seen of others.
fn hold(file: &Spending, holder: &str, now: i64, own: &[(i64, u64)]) -> Vec<(i64, u64)> {
    let held: Held = own.iter().map(|(until, units)| (at(*until), *units)).collect();
    let decide = |others: Vec<Held>| (vec![held], others);
    let others = file.exchange(holder, &["a".to_owned()], (at(now), Durable::Power), decide).unwrap();
    others[0].iter().map(|(until, units)| (until.timestamp(), *units)).collect()
}

#[test]
fn a_process_sees_what_others_hold_and_not_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("x.db");
    // Two processes: two handles of one file.
    let (first, second) = (Spending::beside(&database), Spending::beside(&database));
    assert_eq!(hold(&first, "one", 0, &[(20, 3), (10, 1)]), []);
    assert_eq!(hold(&second, "two", 1, &[(15, 2)]), [(10, 1), (20, 3)]);
    assert_eq!(hold(&first, "one", 2, &[(20, 3)]), [(15, 2)]);
    assert_eq!(second.others("two", &["a".to_owned(), "b".to_owned()], at(2)).unwrap(), [vec![(at(20), 3)], vec![]]);
    // What ended counts no more, and leaves nothing; nor does what was given back.
    assert_eq!(hold(&second, "two", 15, &[]), [(20, 3)]);
    assert_eq!(hold(&first, "one", 15, &[]), []);
    drop((first, second));
    let third = Spending::beside(&database);
    assert_eq!(hold(&third, "three", 16, &[(30, 1)]), []);
    drop(third);
    // It is all there for the next one.
    assert_eq!(hold(&Spending::beside(&database), "four", 17, &[]), [(30, 1)]);
    let mode = std::fs::metadata(folder.path().join("x.db.budgets")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn f47_a_clock_that_is_set_back_makes_nothing_count_for_longer_than_it_did() {
    let (file, year) = (Spending::unkept(), 365 * 24 * 3600);
    hold(&file, "one", year, &[(year + 20, 3)]);
    let seen = file.others("two", &["a".to_owned()], at(5)).unwrap();
    assert_eq!(seen, [vec![(at(25), 3)]], "as if it had been written now");
    assert_eq!(hold(&file, "two", 5, &[]), [(25, 3)]);
    assert_eq!(hold(&file, "two", 15, &[]), [(25, 3)], "and from then on it goes by");
    assert_eq!(hold(&file, "two", 25, &[]), []);
}

#[test]
fn who_only_looks_makes_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = Spending::beside(&folder.path().join("x.db"));
    assert_eq!(file.others("one", &["a".to_owned()], at(0)).unwrap(), [vec![]]);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn a_file_that_cannot_be_used_is_named_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("x.db");
    let said = |file: &Spending| {
        let decide = |_| (vec![Held::new()], ());
        file.exchange("one", &["a".to_owned()], (at(0), Durable::Process), decide).unwrap_err()
    };
    std::fs::write(folder.path().join("x.db.budgets"), "no database at all, however long it is made to be").unwrap();
    let error = said(&Spending::beside(&database));
    assert!(error.path.ends_with("x.db.budgets") && error.remedy.starts_with("remove it"), "{error}");
    let error = said(&Spending::beside(&folder.path().join("x.db.budgets").join("x.db")));
    assert!(error.remedy.contains("writable"), "{error}");
    // Where no database could be, nothing is kept.
    let nowhere = Spending::beside(&folder.path().join("missing").join("x.db"));
    assert_eq!(hold(&nowhere, "one", 0, &[(20, 3)]), []);
    assert!(!folder.path().join("missing").exists());
}

#[test]
fn what_is_not_kept_is_shared_within_a_process_all_the_same() {
    let file = Spending::unkept();
    assert_eq!(hold(&file, "one", 0, &[(20, 3)]), []);
    assert_eq!(hold(&file, "two", 0, &[]), [(20, 3)]);
}

#[test]
fn the_file_is_examined_without_a_trace_and_what_is_wrong_with_it_is_said() {
    let folder = tempfile::tempdir().unwrap();
    // Signs that mean something in the address of a file.
    let database = folder.path().join("a#b?c%20.db");
    let path = folder.path().join("a#b?c%20.db.budgets");
    let examined = || {
        let file = Spending::beside(&database);
        let found = file.examine().map(|found| found.map(Path::to_owned));
        found.map_err(|error| (error.reason, error.remedy))
    };
    let here = || {
        let names = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name());
        names.collect::<std::collections::BTreeSet<_>>()
    };
    assert_eq!(examined(), Ok(None));
    assert!(here().is_empty());
    // While others use it, and when they have ended.
    let used = Spending::beside(&database);
    hold(&used, "one", 0, &[(20, 3)]);
    assert_eq!(examined(), Ok(Some(path.clone())));
    drop(used);
    let before = here();
    assert_eq!(examined(), Ok(Some(path.clone())));
    assert_eq!(here(), before);

    let conn = rusqlite::Connection::open(&path).unwrap();
    conn.pragma_update(None, "user_version", 7).unwrap();
    drop(conn);
    let (reason, remedy) = examined().unwrap_err();
    assert!(reason.contains("version 7") && remedy.contains("newer program"), "{reason}; {remedy}");
    std::fs::write(&path, "no database at all, however long it is made to be").unwrap();
    assert!(examined().unwrap_err().1.starts_with("remove it"));
    std::fs::remove_file(&path).unwrap();
    std::fs::create_dir(&path).unwrap();
    assert!(examined().unwrap_err().1.contains("writable"));
}
