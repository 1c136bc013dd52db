//! System calls that fail: the disk that cannot sync, the disk that is full, the poll that breaks.

use std::path::Path;

use crate::world::World;

use super::tools::{everything_agrees, for_each, is_left_out, left_in_order, much_to_do, with_injected};

#[test]
fn f12_a_disk_that_fills_up_anywhere_in_a_pass_is_said_and_nothing_more_is_sent() {
    if is_left_out("strace") {
        return;
    }
    for_each([1, 4, 20, 60, 100, 140, 180], |number| {
        let when = format!("no space from the write number {number} on");
        let world = much_to_do();
        let ran = with_injected(&world, &format!("pwrite64:error=ENOSPC:when={number}+"), &["run", "--once"]);
        assert_eq!(ran.code, 1, "{when}: {ran:#?}");
        assert!(ran.stderr.contains("disk full") && ran.stderr.contains("data.db"), "{when}: {ran:#?}");
        left_in_order(&world, &when);
        everything_agrees(&world, &when);
    });
}

#[test]
fn f14_a_sync_that_fails_ends_the_process_and_nothing_more_is_sent() {
    if is_left_out("strace") {
        return;
    }
    for_each(1..8, |number| {
        let when = format!("EIO from the fsync number {number} on");
        let world = much_to_do();
        let ran = with_injected(&world, &format!("fsync:error=EIO:when={number}+"), &["run", "--once"]);
        assert_eq!(ran.code, 1, "{when}: {ran:#?}");
        assert!(ran.stderr.contains("data.db") && ran.stderr.contains("failing disk"), "{when}: {ran:#?}");
        left_in_order(&world, &when);
        everything_agrees(&world, &when);
    });
}

/// What the kernel says of the file system is made up: no mount of such a one is needed.
#[test]
fn f20_a_database_on_a_network_file_system_is_refused_at_the_start_with_the_reason() {
    if is_left_out("strace") {
        return;
    }
    let world = much_to_do();
    // NFS, in the first field of what statfs(2) fills in.
    let ran = with_injected(&world, "statfs:poke_exit=@arg2=6969000000000000", &["run", "--once"]);
    assert_eq!(ran.code, 1, "{ran:#?}");
    assert!(ran.stderr.contains("data.db") && ran.stderr.contains("it is on NFS"), "{ran:#?}");
    for name in ["crm", "erp"] {
        assert_eq!(world.lines_at(name), Vec::<String>::new(), "at {name}");
    }
    everything_agrees(&world, "on a local disk again");
}

/// Damages the table of mappings in the database file, which no pass has changed since.
fn damage(database: &Path, root_page: u64) {
    use std::os::unix::fs::FileExt as _;
    let file = std::fs::File::options().write(true).open(database).unwrap();
    file.write_all_at(&[0xa5; 64], (root_page - 1) * 8192).unwrap();
}

#[test]
fn f14_after_a_sync_that_failed_the_database_is_checked_before_anything_is_asked_or_sent() {
    if is_left_out("strace") {
        return;
    }
    let world: World = much_to_do();
    // So large that a start after a clean stop does not check it.
    world.sql("create table ballast as select zeroblob(36 << 20) as weight");
    let root = world.rows("select rootpage from sqlite_schema where name = 'sync_mapping'")[0][0].parse().unwrap();
    let ran = with_injected(&world, "fsync:error=EIO:when=3+", &["run", "--once"]);
    assert_eq!(ran.code, 1, "{ran:#?}");
    assert!(std::fs::metadata(world.path("data.db-wal")).unwrap().len() > 0, "its log is left for the check");
    world.forget_requests();
    damage(&world.database(), root);
    let ran = world.run(&["run", "--once"]).exits(1);
    assert!(ran.stderr.contains("data.db is damaged") && ran.stderr.contains("backup"), "{ran:#?}");
    for name in ["crm", "erp"] {
        assert_eq!(world.lines_at(name), Vec::<String>::new(), "at {name}");
    }
}

#[test]
fn f09_a_panic_on_any_thread_ends_the_process() {
    if is_left_out("strace") {
        return;
    }
    for arguments in [&["run"][..], &["run", "--once"]] {
        let world = much_to_do();
        // The executor panics where it cannot wait for events any more, on the thread that happened to wait.
        let ran = with_injected(&world, "epoll_wait:error=EBADF:when=12+", arguments);
        assert_eq!(ran.code, 1, "{arguments:?}: it ends at once, as a failure: {ran:#?}");
        assert!(ran.stderr.contains("panicked"), "{arguments:?}: {ran:#?}");
        left_in_order(&world, "after a panic");
        everything_agrees(&world, "after a panic");
    }
}
