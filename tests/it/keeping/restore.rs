//! `restore`: the backup in the place of the database, and a pass after it that loses, doubles and deletes nothing.

use http::Method;
use reconciled::sandbox::{Fault, Matcher, Times};
use rusqlite::Connection;
use serde_json::{Value, json};

use crate::daemon::{Daemon, hourly};
use crate::faults::tools::with_injected;
use crate::world::World;

use super::elsewhere;

fn person(name: &str) -> Value {
    json!({ "email": format!("{name}@x.io"), "name": name, "phone": "1" })
}

/// All contacts at an upstream by email, with their phones.
fn at(world: &World, name: &str) -> Vec<(String, String)> {
    let text = |one: &Value, key: &str| one[key].as_str().unwrap_or_default().to_owned();
    let mut all: Vec<_> = world.contacts(name).iter().map(|one| (text(one, "email"), text(one, "phone"))).collect();
    all.sort();
    all
}

/// The database halts until a person says so, and nothing is asked of anybody but to read.
fn halts_and_is_approved(world: &World) {
    world.forget_requests();
    let plan = world.run(&["plan"]).exits(5);
    assert!(plan.stdout.contains("restored or copied"), "{plan:#?}");
    for _ in 0..2 {
        let halted = world.sync().exits(5).wrote(0, 0);
        assert_eq!(halted.report("contacts")["halts"][0]["what"], "restored");
    }
    for name in world.names() {
        assert_eq!(world.writes_at(&name), [], "at {name}");
    }
    world.approve();
}

#[test]
fn s58_what_was_done_on_both_sides_since_a_backup_comes_back_and_nothing_is_doubled_or_deleted() {
    let world = World::with_contacts(&["crm", "erp"], |_, _| {});
    world.change_rules("rules.toml", |rules| rules.replace("on_remote", "limits = { delete = \"90%\" }\non_remote"));
    for name in ["ann", "bea", "dan", "eve", "gus", "hal", "ida"] {
        world.add("crm", &person(name));
    }
    world.sync().exits(0);
    world.run(&["backup", "b.db"]).exits(0);
    // Here: an edit, a create, a delete. There: the same, at either.
    world.sql("update contacts set phone = '2' where name = 'ann'; delete from contacts where name = 'dan'");
    world.sql("insert into contacts (email, name, phone) values ('bob@x.io', 'bob', '1')");
    world.sync().exits(0);
    let of = |name: &str, who: &str| {
        let all = world.contacts(name);
        let one = all.iter().find(|one| one["name"] == who).unwrap();
        one["id"].as_str().unwrap().to_owned()
    };
    world.edit("crm", &of("crm", "eve"), &json!({ "phone": "3" }));
    world.edit("erp", &of("erp", "bea"), &json!({ "phone": "4" }));
    let gus = of("crm", "gus");
    world.at("crm", |crm| crm.remove("/contacts", &gus, crate::hands::now())).unwrap();
    world.add("erp", &person("cy"));
    world.sync().exits(0);
    world.is_quiet();
    // After the last pass, too: nobody here has seen these.
    world.edit("erp", &of("erp", "hal"), &json!({ "phone": "5" }));
    world.add("crm", &person("joe"));

    let told: Value = serde_json::from_str(&world.run(&["--json", "restore", "b.db"]).exits(0).stdout).unwrap();
    assert_eq!((&told["records"], &told["links"]), (&7.into(), &14.into()), "{told:#}");
    let kept = told["kept_as"].as_str().unwrap().to_owned();
    let aside = Connection::open(&kept).unwrap();
    let phone: String = aside.query_row("select phone from contacts where name = 'ann'", [], |row| row.get(0)).unwrap();
    assert_eq!(phone, "2", "the database that was there is kept, with its last commits");
    drop(aside);
    assert_eq!(world.rows("select phone from contacts where name = 'ann'"), [["1"]]);

    halts_and_is_approved(&world);
    world.forget_requests();
    world.sync().exits(0);
    let writes = |name: &str| world.writes_at(name).into_iter().map(|one| one.line).collect::<Vec<_>>();
    // Only what nobody had taken over before: Joe is new at erp, Hal's phone at crm.
    let (at_crm, at_erp) = (writes("crm"), writes("erp"));
    assert_eq!(
        (at_crm, at_erp),
        (vec![format!("PATCH /contacts/{}", of("crm", "hal"))], vec!["POST /contacts".to_owned()])
    );
    world.is_quiet();
    let expected: Vec<(String, String)> =
        [("ann", "2"), ("bea", "4"), ("bob", "1"), ("cy", "1"), ("eve", "3"), ("hal", "5"), ("ida", "1"), ("joe", "1")]
            .into_iter()
            .map(|(name, phone)| (format!("{name}@x.io"), phone.to_owned()))
            .collect();
    for name in ["crm", "erp"] {
        assert_eq!(at(&world, name), expected, "at {name}");
    }
    let rows = world.rows("select email, phone from contacts order by 1");
    let rows: Vec<(String, String)> = rows.into_iter().map(|row| (row[0].clone(), row[1].clone())).collect();
    assert_eq!(rows, expected);
}

#[test]
fn s58_a_write_that_was_about_to_be_sent_when_the_backup_was_made_is_looked_for_and_not_sent_again() {
    let world = World::with_contacts(&["crm"], |_, _| {});
    world.sync().exits(0);
    world.sql("insert into contacts (email, name, phone) values ('bob@x.io', 'bob', '1')");
    world.at("crm", |crm| {
        crm.push_fault_times(Matcher::exactly(Method::POST, "/contacts"), Fault::throttled("3600"), Times::Forever);
    });
    world.sync();
    assert_eq!(world.rows("select op, state from sync_intent"), [["create", "parked"]]);
    let goes_on = || {
        world.sql("update sync_intent set not_before = null; delete from sync_upstream");
        std::fs::remove_file(world.path("data.db.budgets")).ok();
    };
    world.run(&["backup", "b.db"]).exits(0);
    world.at("crm", reconciled::sandbox::Sandbox::clear_faults);
    goes_on();
    world.sync().exits(0);
    assert_eq!(at(&world, "crm").len(), 1);
    // Without match keys, nothing else than the write itself tells that it is the same.
    world.change_rules("rules.toml", |rules| rules.replace("match = { keys = [[\"email\"]] }\n", ""));
    world.run(&["restore", "b.db"]).exits(0);
    assert_eq!(world.rows("select state from sync_intent"), [["unknown"]]);
    goes_on();
    halts_and_is_approved(&world);
    world.forget_requests();
    world.sync().exits(0);
    assert_eq!(world.writes_at("crm"), []);
    assert_eq!((at(&world, "crm").len(), world.rows("select count(*) from contacts")), (1, vec![vec!["1".to_owned()]]));
    world.is_quiet();
}

#[test]
fn f19_a_backup_that_nothing_was_done_after_or_that_goes_to_a_new_machine_is_noticed_as_well() {
    let world = World::with_contacts(&["crm"], |_, _| {});
    world.add_ann("crm");
    world.run(&["backup", "b.db"]).exits(0);
    world.run(&["restore", "b.db"]).exits(0);
    halts_and_is_approved(&world);
    world.is_quiet();
    // A folder that is not there yet.
    let there = &world.path("new").join("data.db");
    let told = elsewhere(&world, there, &["restore", "b.db"]).exits(0);
    assert!(!told.stdout.contains("is kept as") && told.stdout.contains("approve"), "{told:#?}");
    let halted = elsewhere(&world, there, &["run", "--once"]).exits(5);
    assert!(halted.stdout.contains("restored or copied"), "{halted:#?}");
    // One from before databases said which they are.
    Connection::open(world.path("b.db")).unwrap().execute_batch("delete from sync_epoch").unwrap();
    let there = &world.path("old").join("data.db");
    elsewhere(&world, there, &["restore", "b.db"]).exits(0);
    let halted = elsewhere(&world, there, &["run", "--once"]).exits(5);
    assert!(halted.stdout.contains("restored or copied"), "{halted:#?}");
}

#[test]
fn a_restore_is_refused_before_anything_is_changed() {
    let world = hourly();
    world.sync().exits(0);
    world.run(&["backup", "b.db"]).exits(0);
    let file = |name: &str| world.path(name);
    let change = |name: &str, sql: &str| {
        std::fs::copy(file("b.db"), file(name)).unwrap();
        Connection::open(file(name)).unwrap().execute_batch(sql).unwrap();
    };
    std::fs::write(file("text.db"), "no database at all, but a text of some length".repeat(100)).unwrap();
    std::fs::write(file("empty.db"), "").unwrap();
    Connection::open(file("theirs.db")).unwrap().execute_batch("create table theirs (a)").unwrap();
    change("newer.db", "pragma user_version = 999");
    change("foreign.db", "pragma application_id = 7");
    let whole = std::fs::read(file("b.db")).unwrap();
    std::fs::write(file("cut.db"), &whole[..whole.len() / 2 / 8192 * 8192]).unwrap();
    let cases = [
        ("nowhere.db", "there is no such file"),
        ("text.db", "no whole database"),
        ("empty.db", "no database that reconciled has worked on"),
        ("theirs.db", "no database that reconciled has worked on"),
        ("newer.db", "use a newer reconciled"),
        ("foreign.db", "belongs to another application"),
        ("cut.db", "no whole database"),
        ("data.db", "the database itself"),
    ];
    let before = (std::fs::read(world.database()).unwrap(), std::fs::read(file("data.db.epoch")).unwrap());
    for (name, words) in cases {
        let refused = world.run(&["restore", name]).exits(1);
        assert!(refused.stderr.contains(words) && refused.stderr.contains(name), "{name}: {refused:#?}");
    }
    let after = (std::fs::read(world.database()).unwrap(), std::fs::read(file("data.db.epoch")).unwrap());
    assert!(before == after, "nothing was changed");
    let reader = world.db();
    reader.execute_batch("begin; select * from contacts").unwrap();
    let mut busy = world.command();
    busy.env("RECONCILED__BUSY_TIMEOUT", "50ms").args(["restore", "b.db"]);
    let busy = crate::world::Ran::of(busy.output().unwrap()).exits(1);
    assert!(busy.stderr.contains("fuser"), "{busy:#?}");
    drop(reader);
    world.sql("update contacts set phone = '2'");
    let mut daemon = Daemon::start(&world);
    daemon.logs("pass 2 of contacts");
    let locked = world.run(&["restore", "b.db"]).exits(7);
    assert!(locked.stderr.contains("in use by another reconciled"), "{locked:#?}");
    assert_eq!(daemon.stops().0, Some(0));
    let names: Vec<String> =
        std::fs::read_dir(world.path("")).unwrap().map(|one| one.unwrap().file_name().into_string().unwrap()).collect();
    assert!(!names.iter().any(|name| name.contains(".replaced-") || name.contains(".restored")), "{names:?}");
    world.is_quiet();
}

#[test]
fn f15_a_backup_takes_the_place_of_a_damaged_database_which_is_kept_with_its_log() {
    let world = World::with_contacts(&["crm"], |_, _| {});
    world.add_ann("crm");
    world.run(&["backup", "b.db"]).exits(0);
    std::fs::write(world.database(), vec![0xa5; 40_960]).unwrap();
    std::fs::write(world.path("data.db-wal"), "the rest of a log").unwrap();
    let told: Value = serde_json::from_str(&world.run(&["--json", "restore", "b.db"]).exits(0).stdout).unwrap();
    let kept = told["kept_as"].as_str().unwrap();
    assert_eq!(std::fs::read(kept).unwrap(), vec![0xa5; 40_960]);
    assert_eq!(std::fs::read(format!("{kept}-wal")).unwrap(), b"the rest of a log");
    halts_and_is_approved(&world);
    world.is_quiet();
}

#[test]
fn a_restore_that_is_killed_leaves_a_whole_database_and_can_be_made_again() {
    for (calls, count) in [("linkat,link", 1), ("rename,renameat,renameat2", 2), ("fsync,fdatasync", 4)] {
        for nth in 1..=count {
            let world = World::with_contacts(&["crm"], |_, _| {});
            world.add_ann("crm");
            world.run(&["backup", "b.db"]).exits(0);
            world.sql("insert into contacts (email, name, phone) values ('bob@x.io', 'bob', '1')");
            let killed = with_injected(&world, &format!("{calls}:signal=KILL:when={nth}"), &["restore", "b.db"]);
            assert_ne!(killed.code, 0, "{calls} {nth}: {killed:#?}");
            let rows = world.rows("select count(*) from contacts");
            assert!(rows == [["2"]] || rows == [["1"]], "{calls} {nth}: {rows:?}");
            world.run(&["restore", "b.db"]).exits(0);
            halts_and_is_approved(&world);
            world.is_quiet();
        }
    }
}
