//! Disks that are small, full, read-only; a log that cannot shrink.

use std::io::Read as _;
use std::net::TcpListener;
use std::process::Stdio;

use serde_json::Value;

use crate::world::World;

use super::tools::{Disk, contact, is_left_out};

/// Contacts of 8 kB each at crm.
fn add_large(world: &World, count: usize) {
    for at in 0..count {
        let mut large = contact(&format!("n{at}"), "1");
        large["name"] = "x".repeat(8000).into();
        world.add("crm", &large);
    }
}

/// One contact, at crm and in a database on a disk of this size. Nothing where no disk can be mounted.
fn on_a_small_disk(size: &str) -> Option<(World, Disk)> {
    if is_left_out("mount") {
        return None;
    }
    let world = World::with_contacts(&["crm"], |_, _| {});
    world.add("crm", &contact("ann", "1"));
    let disk = Disk::mount(&world, size);
    disk.run(&world, &["run", "--once"]).exits(0);
    Some((world, disk))
}

fn counted(disk: &Disk, world: &World) -> i64 {
    disk.copied(world).query_row("select count(*) from contacts", [], |row| row.get(0)).unwrap()
}

fn alarms(disk: &Disk, world: &World) -> String {
    let status = disk.run(world, &["--json", "status"]);
    let status: Value = serde_json::from_str(&status.stdout).unwrap();
    status["alarms"].to_string()
}

#[test]
fn f12_a_full_disk_rolls_back_sends_nothing_and_the_next_pass_with_space_goes_on() {
    let Some((world, disk)) = on_a_small_disk("size=3m") else { return };
    add_large(&world, 400);
    disk.sql(&world, "update contacts set phone = '2'");
    world.forget_requests();
    let ran = disk.run(&world, &["run", "--once"]).exits(1);
    assert!(["data.db", "disk full", "free some space"].iter().all(|word| ran.stderr.contains(word)), "{ran:#?}");
    assert_eq!(world.writes_at("crm"), []);
    assert_eq!(counted(&disk, &world), 1, "all or nothing");
    assert!(alarms(&disk, &world).contains("MiB are left on the disk"), "{}", alarms(&disk, &world));
    disk.remount("size=200m");
    disk.run(&world, &["--json", "run", "--once"]).exits(0).wrote(1, 400);
    disk.run(&world, &["--json", "run", "--once", "--full"]).exits(0).wrote(0, 0);
    assert_eq!((counted(&disk, &world), world.contacts("crm").len()), (401, 401));
    assert_eq!(alarms(&disk, &world), "[]");
}

#[test]
fn f13_a_disk_that_is_full_at_the_checkpoint_is_said_and_nothing_is_lost() {
    let Some((world, disk)) = on_a_small_disk("size=3m") else { return };
    add_large(&world, 150);
    // There is a size at which the log fits and the database does not.
    let found = (40..640).find_map(|step: usize| {
        disk.remount(&format!("size={}k", step * 64));
        let ran = disk.run(&world, &["run", "--once"]);
        (ran.code == 0).then_some(ran)
    });
    let ran = found.unwrap();
    let told = ["the last changes stay in", "data.db-wal", "disk full"].iter().all(|word| ran.stderr.contains(word));
    assert!(told, "{ran:#?}");
    assert!(std::fs::metadata(disk.file("data.db-wal")).unwrap().len() > 1 << 20, "they are in the log");
    assert!(alarms(&disk, &world).contains("MiB are left on the disk"), "{}", alarms(&disk, &world));
    disk.remount("size=200m");
    let ran = disk.run(&world, &["--json", "run", "--once", "--full"]).exits(0).wrote(0, 0);
    assert_eq!(ran.stderr, "");
    assert!(!disk.file("data.db-wal").exists(), "the log is in the database now");
    assert_eq!(counted(&disk, &world), 151);
    let check: String = disk.copied(&world).query_row("pragma integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(check, "ok");
}

#[test]
fn f20_a_read_only_file_system_is_refused_at_the_start_with_the_reason() {
    let Some((world, disk)) = on_a_small_disk("size=8m") else { return };
    world.forget_requests();
    disk.remount("ro");
    for arguments in [&["run", "--once"][..], &["run"]] {
        let ran = disk.run(&world, arguments).exits(1);
        let said = ran.stderr.contains("data.db cannot be written") && ran.stderr.contains("Read-only file system");
        assert!(said && ran.stderr.lines().count() == 1, "{ran:#?}");
    }
    assert_eq!(world.lines_at("crm"), Vec::<String>::new(), "nobody was asked");
    // Who only looks can.
    disk.run(&world, &["history"]).exits(0);
    disk.remount("rw");
    disk.run(&world, &["--json", "run", "--once"]).exits(0).wrote(0, 0);
}

#[test]
fn f17_a_log_that_a_long_reader_keeps_from_shrinking_is_an_alarm() {
    let world = World::with_contacts(&["crm"], |_, _| {});
    world.add_ann("crm");
    let alarm = |code: i32| {
        let status: Value = serde_json::from_str(&world.run(&["--json", "status"]).exits(code).stdout).unwrap();
        status["alarms"].to_string()
    };
    let large = "data.db-wal has grown to";
    assert!(!alarm(0).contains(large));
    let reader = world.db();
    reader.execute_batch("begin; select * from contacts").unwrap();
    world.sql("create table ballast as select zeroblob(70 << 20) as weight; drop table ballast");
    world.sql("update contacts set phone = '2'");
    let ran = world.run(&["run", "--once"]).exits(0);
    let told = [large, "another program has been reading", "fuser"].iter().all(|word| ran.stderr.contains(word));
    assert!(told && ran.stderr.matches(large).count() == 1, "once: {ran:#?}");
    assert!(alarm(1).contains(large), "{}", alarm(1));
    assert!(world.run(&["status"]).stdout.contains(large));
    drop(reader);
    assert_eq!(world.run(&["run", "--once"]).exits(0).stderr, "");
    assert!(!alarm(0).contains(large));
    world.is_quiet();
}

/// While an upstream is waited for, nothing of ours reads on: a log of any length can be cut back.
#[test]
fn f17_our_own_readers_do_not_wait_for_an_upstream() {
    let world = World::with_contacts(&["crm"], |_, _| {});
    world.add_ann("crm");
    world.run(&["run", "--once"]).exits(0);
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    for arguments in [&["run", "--once", "--full"][..], &["plan"]] {
        let mut command = world.command();
        command.args(arguments).env("RECONCILED__VARS__CRM_URL", &url).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        // It has asked, and waits for an answer that never comes.
        let (mut asked, _) = silent.accept().unwrap();
        assert!(asked.read(&mut [0; 1]).unwrap() > 0);
        world.sql("update contacts set phone = phone || '1'");
        let cut_back = world.db().query_row("pragma wal_checkpoint(truncate)", [], |row| row.get::<_, i64>(0)).unwrap();
        let log = std::fs::metadata(world.path("data.db-wal")).map_or(0, |meta| meta.len());
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!((cut_back, log), (0, 0), "{arguments:?}: somebody reads on");
    }
    world.run(&["run", "--once"]).exits(0);
}

#[test]
fn doctor_says_how_much_room_is_left_and_when_it_is_too_little() {
    let Some((world, disk)) = on_a_small_disk("size=3m") else { return };
    let found = |level: &str, code: i32| {
        let ran = disk.run(&world, &["--json", "doctor"]).exits(code);
        let report: Value = serde_json::from_str(&ran.stdout).unwrap();
        let all = report["findings"].as_array().unwrap();
        let one = all.iter().find(|one| one["check"] == "disk").unwrap();
        assert_eq!(one["level"], level, "{one:#}");
        (one["found"].as_str().unwrap().to_owned(), one["remedy"].clone())
    };
    let (said, remedy) = found("error", 1);
    assert!(said.contains("MiB are left on the disk of ") && said.contains("may be needed at any time"), "{said}");
    assert_eq!(remedy, "free some space; a disk that is full stops all passes");
    disk.remount("size=200m");
    let (said, remedy) = found("warning", 0);
    assert!(said.contains(" are left beside a database of "), "{said}");
    assert_eq!(remedy, "free some space; a disk that is full stops all passes");
    disk.remount("size=4g");
    let (said, remedy) = found("ok", 0);
    assert!(said.ends_with(" are left"), "{said}");
    assert_eq!(remedy, Value::Null);
}
