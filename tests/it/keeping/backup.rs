//! `backup`: whole whoever works on the database, under its name only when it is checked.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use rusqlite::Connection;
use serde_json::Value;

use crate::daemon::{Daemon, add, hourly};
use crate::faults::tools::{Disk, contact, is_left_out};
use crate::world::World;

use super::elsewhere;

fn number(file: &Path, query: &str) -> u64 {
    let count: i64 = Connection::open(file).unwrap().query_row(query, [], |row| row.get(0)).unwrap();
    count.unsigned_abs()
}

#[test]
fn a_backup_is_whole_while_a_daemon_runs_and_another_program_writes() {
    let world = hourly();
    let mut daemon = Daemon::start(&world);
    daemon.logs("pass 1 of contacts: 1 changes here");
    let ended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let db = world.db();
            db.busy_timeout(std::time::Duration::from_mins(1)).unwrap();
            // Two rows at once, so that half of a commit would show.
            while !ended.load(Ordering::Relaxed) {
                db.execute_batch("begin immediate; insert into contacts (name) values ('a'); insert into contacts (name) values ('b'); commit")
                    .unwrap();
            }
        });
        for at in 0..5 {
            let (name, file) = (format!("b{at}.db"), world.path(&format!("b{at}.db")));
            let told: Value = serde_json::from_str(&world.run(&["--json", "backup", &name]).exits(0).stdout).unwrap();
            assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
            let db = Connection::open(&file).unwrap();
            let check: String = db.query_row("pragma integrity_check", [], |row| row.get(0)).unwrap();
            let rows = number(&file, "select count(*) from contacts");
            assert_eq!((check.as_str(), rows % 2), ("ok", 1), "Ann, and pairs");
            assert_eq!(
                (&told["records"], &told["collections"][0]["records"]),
                (&rows.into(), &rows.into()),
                "{told:#}"
            );
            assert_eq!(told["links"], number(&file, "select count(*) from sync_link"));
            assert_eq!(told["pending_writes"], number(&file, "select count(*) from sync_intent"));
            assert_eq!(told["sequence"], number(&file, "select sequence from sync_epoch"));
            assert_eq!(told["bytes"], std::fs::metadata(&file).unwrap().len());
        }
        ended.store(true, Ordering::Relaxed);
    });
    let names: Vec<String> =
        std::fs::read_dir(world.path("")).unwrap().map(|one| one.unwrap().file_name().into_string().unwrap()).collect();
    assert!(!names.iter().any(|name| name.contains(".part")), "{names:?}");
    assert_eq!(daemon.stops().0, Some(0));
}

#[test]
fn a_backup_takes_no_name_that_is_taken_unless_told_and_never_that_of_a_database_in_use() {
    let world = hourly();
    world.sync().exits(0);
    std::fs::write(world.path("taken.db"), "somebody's").unwrap();
    let refused = world.run(&["backup", "taken.db"]).exits(2);
    assert!(refused.stderr.contains("taken.db is there already") && refused.stderr.contains("--force"), "{refused:#?}");
    assert_eq!(std::fs::read(world.path("taken.db")).unwrap(), b"somebody's");
    let told = world.run(&["backup", "--force", "taken.db"]).exits(0);
    let said = ["1 record,", "1 link,", "contacts 1", "not in it: rules", "not in it: secrets", "checked"];
    assert!(said.iter().all(|words| told.stdout.contains(words)), "{told:#?}");
    assert!(!told.stdout.contains("vault"), "there is none: {told:#?}");
    assert_eq!(number(&world.path("taken.db"), "select count(*) from contacts"), 1);
    // What would be the end of a database.
    let before = std::fs::read(world.database()).unwrap();
    std::os::unix::fs::symlink(world.database(), world.path("alias.db")).unwrap();
    std::fs::copy(world.database(), world.path("other.db")).unwrap();
    std::fs::write(world.path("other.db-wal"), "a log").unwrap();
    let names = [
        ("data.db", "the database itself"),
        ("alias.db", "the database itself"),
        ("data.db.epoch", "belongs to the database"),
        ("data.db-wal", "belongs to the database"),
        ("other.db", "other.db-wal is there"),
    ];
    for (name, words) in names {
        let refused = world.run(&["backup", "--force", name]).exits(1);
        assert!(refused.stderr.contains(words) && refused.stderr.contains("name another file"), "{name}: {refused:#?}");
    }
    assert_eq!(std::fs::read(world.database()).unwrap(), before);
    // What another backup is writing is its own; what a killed one left is not.
    std::fs::write(world.path("b.db.part"), "half of it").unwrap();
    let other = std::fs::File::open(world.path("b.db.part")).unwrap();
    other.lock().unwrap();
    let refused = world.run(&["backup", "b.db"]).exits(1);
    assert!(refused.stderr.contains("another process is writing it"), "{refused:#?}");
    assert_eq!(std::fs::read(world.path("b.db.part")).unwrap(), b"half of it");
    drop(other);
    world.run(&["backup", "b.db"]).exits(0);
    assert!(!world.path("b.db.part").exists());
    world.is_quiet();
}

#[test]
fn what_a_backup_lacks_is_named_with_its_place() {
    let world = hourly();
    world.sync().exits(0);
    let mut set = world.command();
    set.args(["secret", "set", "crm_token"]).stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::null());
    let mut set = set.spawn().unwrap();
    std::io::Write::write_all(&mut set.stdin.take().unwrap(), b"hush-hush").unwrap();
    assert!(set.wait().unwrap().success());
    let told: Value = serde_json::from_str(&world.run(&["--json", "backup", "b.db"]).exits(0).stdout).unwrap();
    let left: Vec<&str> =
        told["not_included"].as_array().unwrap().iter().map(|one| one["what"].as_str().unwrap()).collect();
    assert_eq!(left, ["rules", "secrets", "vault", "master key"]);
    assert!(told["not_included"][2]["path"].as_str().unwrap().ends_with("data.db.vault"), "{told:#}");
    let bytes = std::fs::read(world.path("b.db")).unwrap();
    assert!(!bytes.windows(9).any(|part| part == b"hush-hush"));
}

#[test]
fn no_backup_is_made_of_what_is_no_database_of_ours_or_damaged() {
    let world = hourly();
    let missing = world.run(&["backup", "b.db"]).exits(1);
    assert!(missing.stderr.contains("data.db does not exist"), "{missing:#?}");
    let other = world.path("other.db");
    Connection::open(&other).unwrap().execute_batch("create table theirs (a)").unwrap();
    let foreign = elsewhere(&world, &other, &["backup", "b.db"]).exits(1);
    assert!(foreign.stderr.contains("no database that reconciled has worked on"), "{foreign:#?}");
    for at in 0..200 {
        add(&world, &format!("{at}@x.io"));
    }
    world.sync().exits(0);
    let mut bytes = std::fs::read(world.database()).unwrap();
    let middle = bytes.len() / 2 / 8192 * 8192;
    bytes[middle..middle + 4096].fill(0xa5);
    std::fs::write(world.database(), bytes).unwrap();
    let damaged = world.run(&["backup", "b.db"]).exits(1);
    assert!(damaged.stderr.contains("data.db is damaged"), "{damaged:#?}");
    assert!(!world.path("b.db").exists() && !world.path("b.db.part").exists());
}

#[test]
fn f12_a_full_disk_leaves_no_half_backup() {
    if is_left_out("mount") {
        return;
    }
    let world = World::with_contacts(&["crm"], |_, _| {});
    for at in 0..150 {
        let mut large = contact(&format!("n{at}"), "1");
        large["name"] = "x".repeat(8000).into();
        world.add("crm", &large);
    }
    let disk = Disk::mount(&world, "size=200m");
    disk.run(&world, &["run", "--once"]).exits(0);
    let size = std::fs::metadata(disk.file("data.db")).unwrap().len();
    disk.remount(&format!("size={}k", (size + size / 2) / 1024));
    let file = world.path("disk").join("b.db");
    let file = file.to_str().unwrap();
    let full = disk.run(&world, &["backup", file]).exits(1);
    assert!(full.stderr.contains("b.db") && full.stderr.contains("disk full"), "{full:#?}");
    for name in ["b.db", "b.db.part", "b.db.part-journal"] {
        assert!(!disk.file(name).exists(), "{name}");
    }
    disk.remount("size=200m");
    disk.run(&world, &["backup", file]).exits(0);
}
