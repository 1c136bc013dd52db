//! A database that was restored from a backup or copied: noticed, and nothing is sent or deleted before a person says so.

use std::path::Path;

use serde_json::{Value, json};

use crate::world::{Ran, World};

/// Two upstreams; Ann everywhere, and a backup of the database made then. Since: Bob came by plain SQL and was pushed,
/// Cy came from crm, Ann's phone was changed.
fn with_a_past(backup: impl FnOnce(&World)) -> World {
    let world = World::with_contacts(&["crm", "erp"], |_, _| {});
    world.change_rules("rules.toml", |rules| rules.replace("on_remote", "limits = { delete = \"90%\" }\non_remote"));
    world.add_ann("crm");
    for name in ["dan", "eve"] {
        world.add("crm", &json!({"email": format!("{name}@x.io"), "name": name, "phone": "1"}));
    }
    world.sync().exits(0);
    backup(&world);
    world.sql("insert into contacts (email, name, phone) values ('bob@x.io', 'Bob', '1')");
    world.add("crm", &json!({"email": "cy@x.io", "name": "Cy", "phone": "1"}));
    world.sql("update contacts set phone = '2' where name = 'Ann'");
    world.sql("delete from contacts where name = 'dan'");
    world.sync().exits(0);
    world.is_quiet();
    world.forget_requests();
    world
}

fn copy(from: &Path, to: &Path) {
    std::fs::copy(from, to).unwrap();
}

/// Nothing is sent and nothing is changed here, pass after pass, until the halt is approved; then all agree as before.
fn waits_and_goes_on(world: &World, reason: &str) {
    let both = |name: &str| world.contacts(name).iter().map(|one| one["email"].to_string()).collect::<Vec<_>>();
    let upstreams = (both("crm"), both("erp"));
    // Who only looks sees it before any pass does.
    let seen = world.run(&["status"]).exits(5);
    assert!(seen.stdout.contains(reason) && seen.stdout.contains("contacts until the halt"), "{seen:#?}");
    let plan = world.run(&["--json", "plan"]).exits(5);
    let plan: Value = serde_json::from_str(&plan.stdout).unwrap();
    assert_eq!(plan["passes"][0]["halts"][0]["what"], "restored", "{plan:#}");
    let rows = world.rows("select email, phone from contacts order by 1");
    for _ in 0..2 {
        let halted = world.sync().exits(5).wrote(0, 0);
        assert_eq!(halted.report("contacts")["halts"][0]["what"], "restored");
        assert_eq!(world.rows("select email, phone from contacts order by 1"), rows);
    }
    let told = world.run(&["run", "--once"]).exits(5);
    assert!(told.stdout.contains(reason) && told.stdout.contains("reconciled approve"), "{told:#?}");
    for name in ["crm", "erp"] {
        assert_eq!(world.writes_at(name), [], "at {name}");
    }
    assert_eq!((both("crm"), both("erp")), upstreams);
    let status: Value = serde_json::from_str(&world.run(&["--json", "status"]).exits(5).stdout).unwrap();
    assert_eq!(status["restored"]["waiting"], json!(["contacts"]), "{status:#}");
    assert!(status["restored"]["reason"].as_str().unwrap().contains(reason), "{status:#}");
    let halt = status["halts"][0]["id"].to_string();
    let approved = world.run(&["approve", &halt]).exits(0);
    assert!(approved.stdout.contains("reads everything anew"), "{approved:#?}");
    goes_on(world);
}

fn goes_on(world: &World) {
    let ran = world.sync().exits(0);
    assert_eq!(ran.report("contacts")["upstreams"][0]["read"], "full");
    let status: Value = serde_json::from_str(&world.run(&["--json", "status"]).exits(0).stdout).unwrap();
    assert_eq!((&status["restored"], &status["halts"]), (&Value::Null, &json!([])), "{status:#}");
    agrees(world);
}

/// Nobody is there twice, and what was done after the backup still holds.
fn agrees(world: &World) {
    world.is_quiet();
    for name in ["crm", "erp"] {
        let mut all = world.contacts(name);
        all.sort_by_key(|one| one["email"].to_string());
        let all: Vec<(&str, &str)> =
            all.iter().map(|one| (one["email"].as_str().unwrap(), one["phone"].as_str().unwrap())).collect();
        let expected = [("ann@x.io", "2"), ("bob@x.io", "1"), ("cy@x.io", "1"), ("eve@x.io", "1")];
        assert_eq!(all, expected, "at {name}");
    }
    assert_eq!(world.rows("select count(*), count(distinct email) from contacts"), [["4", "4"]]);
}

#[test]
fn s58_f19_an_old_backup_is_noticed_and_nothing_is_sent_or_deleted_until_approved() {
    let world = with_a_past(|world| copy(&world.database(), &world.path("backup.db")));
    // Over the file that is there: the same inode.
    copy(&world.path("backup.db"), &world.database());
    waits_and_goes_on(&world, "lacks the last");
}

#[test]
fn s58_a_backup_that_was_restored_together_with_its_epoch_file_is_noticed() {
    let world = with_a_past(|world| {
        copy(&world.database(), &world.path("backup.db"));
        copy(&world.path("data.db.epoch"), &world.path("backup.epoch"));
    });
    std::fs::rename(world.path("backup.db"), world.database()).unwrap();
    std::fs::rename(world.path("backup.epoch"), world.path("data.db.epoch")).unwrap();
    waits_and_goes_on(&world, "it is a copy");
}

#[test]
fn f19_a_database_that_was_copied_without_its_log_is_noticed() {
    let world = with_a_past(|_| {});
    // While somebody reads, nothing is put into the database file; a copy of it alone lacks what came since.
    let reader = world.db();
    reader.execute_batch("begin; select * from contacts").unwrap();
    world.sql("insert into contacts (email, name, phone) values ('fay@x.io', 'Fay', '1')");
    world.sync().exits(0).wrote(2, 0);
    copy(&world.database(), &world.path("copy.db"));
    assert!(std::fs::metadata(world.path("data.db-wal")).unwrap().len() > 0, "there is something to lose");
    drop(reader);
    for suffix in ["", "-wal", "-shm"] {
        std::fs::remove_file(world.path(&format!("data.db{suffix}"))).ok();
    }
    copy(&world.path("copy.db"), &world.database());
    world.sync().exits(5).wrote(0, 0);
    let halt = world.rows("select id from sync_halt where closed_at is null")[0][0].clone();
    world.run(&["approve", &halt]).exits(0);
    world.forget_requests();
    world.sync().exits(0);
    for name in ["crm", "erp"] {
        assert_eq!(world.posts(name), 0, "Fay is found again, not made again");
        assert_eq!(world.contacts(name).len(), 5);
    }
    world.is_quiet();
}

#[test]
fn f19_a_database_that_is_moved_without_its_epoch_file_is_noticed() {
    let world = with_a_past(|_| {});
    std::fs::remove_file(world.path("data.db.epoch")).unwrap();
    waits_and_goes_on(&world, "epoch is missing");
}

#[test]
fn f19_an_unreadable_epoch_file_is_an_alarm_and_no_crash() {
    let world = with_a_past(|_| {});
    std::fs::write(world.path("data.db.epoch"), [0xff; 40]).unwrap();
    waits_and_goes_on(&world, "cannot be read");
}

#[test]
fn s58_a_command_that_edits_does_not_hide_that_the_database_is_old() {
    let world = with_a_past(|world| copy(&world.database(), &world.path("backup.db")));
    copy(&world.path("backup.db"), &world.database());
    for _ in 0..40 {
        // It finds nothing to approve, but opens the database to write.
        world.run(&["approve", "77"]).exits(1);
    }
    waits_and_goes_on(&world, "lacks the last");
}

#[test]
fn s58_guards_hold_for_a_restored_database_that_was_approved() {
    let world = with_a_past(|world| copy(&world.database(), &world.path("backup.db")));
    world.change_rules("rules.toml", |rules| rules.replace("delete = \"90%\"", "update = 0"));
    copy(&world.path("backup.db"), &world.database());
    world.sync().exits(5);
    let open = || world.rows("select id from sync_halt where closed_at is null")[0][0].clone();
    let halt = open();
    world.run(&["approve", &halt]).exits(0);
    // Ann's phone, changed since the backup, comes back from upstream: an update here, which the limits forbid.
    let ran = world.sync().exits(5).wrote(0, 0);
    let halts = ran.report("contacts")["halts"].clone();
    assert!(halts.as_array().unwrap().iter().all(|one| one["what"] != "restored"), "{halts:#}");
    assert_ne!(open(), halt, "another halt, for the plan");
    // From here on it is a halt like any other.
    world.change_rules("rules.toml", |rules| rules.replace("update = 0", "delete = \"90%\""));
    let ran: Ran = world.full_sync();
    ran.exits(0);
    agrees(&world);
}

#[test]
fn a_pass_that_nothing_happened_to_keeps_its_epoch() {
    let world = with_a_past(|_| {});
    let epoch = world.rows("select epoch, reason from sync_epoch");
    let sequence = || world.rows("select sequence from sync_epoch")[0][0].parse::<u64>().unwrap();
    let before = sequence();
    world.sync().exits(0);
    assert_eq!(world.rows("select epoch, reason from sync_epoch"), epoch);
    assert!(sequence() > before);
    let file = std::fs::read_to_string(world.path("data.db.epoch")).unwrap();
    assert!(file.contains(&format!("sequence {}\n", sequence())) && file.contains(&epoch[0][0]), "{file}");
}

#[test]
fn s58_a_database_that_was_begun_anew_beside_the_old_epoch_file_takes_nothing_in_before_it_is_approved() {
    let world = with_a_past(|_| {});
    for suffix in ["", "-wal", "-shm"] {
        let _may_not_be_there = std::fs::remove_file(world.path(&format!("data.db{suffix}")));
    }
    for _ in 0..2 {
        world.sync().exits(5).wrote(0, 0);
        assert_eq!(world.rows("select count(*) from contacts"), [["0"]]);
    }
    world.approve();
    world.sync().exits(0);
    assert_eq!(world.rows("select count(*), count(distinct email) from contacts"), [["4", "4"]]);
    assert_eq!((world.posts("crm"), world.posts("erp")), (0, 0));
    agrees(&world);
}
