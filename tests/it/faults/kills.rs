//! kill -9 at system calls all over a pass, a first load and a migration.

use std::sync::atomic::{AtomicUsize, Ordering};

use reconciled::sandbox::{CursorEnd, Fault, Matcher, Paging, ResourceConfig, Times};

use crate::world::World;

use super::tools::{
    contact, everything_agrees, for_each, is_left_out, left_in_order, much_to_do, recorded, with_injected,
};

/// Kills a pass with much to do at each of these occurrences of a system call. How often it was really killed.
fn killed_at(calls: &str, numbers: impl IntoIterator<Item = usize>, look: impl Fn(&World) + Sync) -> usize {
    let killed = AtomicUsize::new(0);
    for_each(numbers, |number| {
        let when = format!("killed at {calls} number {number}");
        let world = much_to_do();
        let ran = with_injected(&world, &format!("{calls}:signal=KILL:when={number}"), &["run", "--once"]);
        if ran.code != 0 {
            killed.fetch_add(1, Ordering::Relaxed);
        }
        left_in_order(&world, &when);
        look(&world);
        everything_agrees(&world, &when);
    });
    killed.into_inner()
}

#[test]
fn f01_f04_killed_at_any_write_to_the_database_a_pass_is_taken_up_and_nothing_is_made_twice() {
    if is_left_out("strace") {
        return;
    }
    let (before, after) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let numbers = [1, 2, 5, 14, 30, 45, 60, 75, 90, 105, 120, 135, 150, 170, 190, 210, 240, 280];
    let killed = killed_at("pwrite64", numbers, |world| {
        let asked = world.written("crm").len() + world.written("erp").len();
        let intents = recorded(world, "true");
        // f1: before the intents were committed nothing was sent; later, some of it.
        if intents == 0 {
            assert_eq!(asked, 0);
            before.fetch_add(1, Ordering::Relaxed);
        } else if asked > 0 {
            after.fetch_add(1, Ordering::Relaxed);
        }
    });
    assert!(killed >= 8, "{killed}");
    assert!(before.into_inner() >= 2 && after.into_inner() >= 2, "kills before and after the first byte");
}

#[test]
fn f01_f04_killed_at_any_fsync_a_pass_is_taken_up() {
    if is_left_out("strace") {
        return;
    }
    let killed = killed_at("fsync", (1..16).step_by(2), |_| {});
    assert!(killed >= 4, "{killed}");
}

#[test]
fn f02_killed_after_the_intent_and_before_the_first_byte_the_same_is_sent_with_the_same_key() {
    if is_left_out("strace") {
        return;
    }
    let between = AtomicUsize::new(0);
    let killed = killed_at("sendto,writev", 1..8, |world| {
        let sent = world.rows("select count(*) from sync_intent where state = 'sent'")[0][0].clone();
        between.fetch_add(usize::from(sent != "0"), Ordering::Relaxed);
    });
    assert!(killed >= 3, "{killed}");
    assert!(between.into_inner() >= 1, "at least once with an intent that says sent");
}

#[test]
fn f03_killed_after_sending_and_before_the_answer_evidence_settles_the_write() {
    if is_left_out("strace") {
        return;
    }
    let unheard = AtomicUsize::new(0);
    let killed = killed_at("recvfrom,readv", 1..14, |world| {
        let open = world.rows("select count(*) from sync_intent where state = 'sent'")[0][0].clone();
        unheard.fetch_add(usize::from(open != "0"), Ordering::Relaxed);
    });
    assert!(killed >= 3, "{killed}");
    assert!(unheard.into_inner() >= 1, "at least once with a write whose answer was not heard");
}

fn by_cursor(_: &str, resource: &mut ResourceConfig) {
    resource.page_size = 5;
    resource.paging = Paging::Cursor {
        param: "after".to_owned(),
        limit: "limit".to_owned(),
        next_at: "next".to_owned(),
        end: CursorEnd::Absent,
    };
}

#[test]
fn f05_killed_in_a_first_load_its_pages_are_whole_and_it_goes_on_after_the_last_of_them() {
    if is_left_out("strace") {
        return;
    }
    let resumed = AtomicUsize::new(0);
    for_each((2..122).step_by(5), |number| {
        let world = World::with_contacts(&["crm"], by_cursor);
        let cursor = "page = { kind = \"cursor\", next = \".next\", into = \"query.after\" }";
        world.change_rules("rules.toml", |rules| rules.replace("page = \"none\"", cursor));
        for at in 0..40 {
            world.add("crm", &contact(&format!("n{at}"), "1"));
        }
        // The tables are there before: writes are counted by thread, and those that make the tables are another thread's.
        let down = world.at("crm", |crm| crm.push_fault_times(Matcher::any(), Fault::status(400), Times::Forever));
        world.sync();
        world.at("crm", |crm| crm.clear_fault(down));
        // Pages that are there at once would be written at once.
        let slow = Fault::Slow { delay_ms: 20, bytes_per_chunk: 0 };
        world.at("crm", |crm| crm.push_fault_times(Matcher::any(), slow, Times::Forever));
        with_injected(&world, &format!("pwrite64:signal=KILL:when={number}"), &["run", "--once"]);
        assert_eq!(world.rows("pragma integrity_check"), [["ok"]], "{number}");
        let there = world.rows("select count(*) from sqlite_schema where name = 'contacts'") == [["1"]];
        let rows: usize = if there { world.rows("select count(*) from contacts")[0][0].parse().unwrap() } else { 0 };
        assert_eq!(rows % 5, 0, "{number}: a page and its cursor are committed together");
        world.forget_requests();
        world.sync().exits(0);
        let asked = world.lines_at("crm");
        if (5..40).contains(&rows) {
            assert!(asked[0].contains("after="), "{number}: {rows} rows, {asked:?}");
            // Then all of it once more, because it may have moved meanwhile.
            let on = asked.iter().take_while(|line| line.contains("after=")).count();
            assert_eq!(on, (40 - rows) / 5, "{number}: {asked:?}");
            resumed.fetch_add(1, Ordering::Relaxed);
        }
        assert_eq!(world.rows("select count(*), count(distinct email) from contacts"), [["40", "40"]], "{number}");
        assert_eq!(world.contacts("crm").len(), 40);
        world.is_quiet();
    });
    let resumed = resumed.into_inner();
    assert!(resumed >= 8, "{resumed} of them were killed between two pages");
}

#[test]
fn f06_killed_in_a_migration_the_schema_is_the_old_or_the_new_one_and_the_backup_is_whole() {
    if is_left_out("strace") {
        return;
    }
    let (old, new) = (AtomicUsize::new(0), AtomicUsize::new(0));
    for_each([1, 2, 3, 5, 8, 12, 20, 30, 40, 50, 60, 63, 66, 69, 72, 75, 78, 81, 84, 88, 92], |number| {
        let world = World::with_contacts(&["crm"], |_, _| {});
        world.add_ann("crm");
        // As the schema before was.
        world.sql("drop table sync_epoch; drop table sync_hook; drop table sync_usage; drop table sync_health; drop table sync_latency; drop table sync_parent; \
             drop index sync_pass_outcome; drop index sync_pass_collection_outcome; drop index sync_conflict_waiting; drop index sync_conflict_waiting_collection; drop index sync_pass_full_scan; \
             alter table sync_pass drop column phases; pragma user_version = 3");
        std::fs::remove_file(world.path("data.db.epoch")).unwrap();
        world.sql("update contacts set phone = '2'");
        with_injected(&world, &format!("pwrite64:signal=KILL:when={number}"), &["run", "--once"]);
        assert_eq!(world.rows("pragma integrity_check"), [["ok"]], "{number}");
        let backup = world.path("data.db.before-12");
        let version = world.rows("pragma user_version")[0][0].clone();
        let tables = world.rows("select count(*) from sqlite_schema where name = 'sync_epoch'")[0][0].clone();
        match (version.as_str(), tables.as_str()) {
            ("3", "0") => old.fetch_add(1, Ordering::Relaxed),
            // Each step is a transaction of its own.
            ("4" | "5" | "6" | "7" | "8" | "9" | "10" | "11" | "12", "1") => new.fetch_add(1, Ordering::Relaxed),
            other => panic!("{number}: {other:?}"),
        };
        assert!(version == "3" || backup.exists(), "{number}: the backup comes first");
        if backup.exists() {
            let copy = rusqlite::Connection::open(&backup).unwrap();
            let check: String = copy.query_row("pragma integrity_check", [], |row| row.get(0)).unwrap();
            let schema: i64 = copy.query_row("pragma user_version", [], |row| row.get(0)).unwrap();
            assert_eq!((check.as_str(), schema), ("ok", 3), "{number}");
        }
        // What a kill leaves is no restored database.
        world.sync().exits(0);
        assert_eq!(world.rows("pragma user_version"), [["12"]]);
        assert_eq!(world.contacts("crm")[0]["phone"], "2");
        world.is_quiet();
    });
    let (old, new) = (old.into_inner(), new.into_inner());
    assert!(old >= 2 && new >= 2, "killed before ({old}) and after ({new}) the commit");
}
