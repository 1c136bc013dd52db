//! The daemon as an operator has it: a process of its own, signals, its log, rules that are edited while it runs.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::Duration;

use http::Method;
use reconciled::sandbox::{Fault, Matcher, ResourceConfig, Since, SinceBy, Times};
use serde_json::json;

use crate::idle::two_collections;
use crate::world::World;

/// What never comes ends a test after so long.
pub const PATIENCE: Duration = Duration::from_mins(1);

/// A daemon that runs until this is dropped.
pub struct Daemon {
    child: Child,
    log: BufReader<ChildStderr>,
    _alive: Sender<()>,
}

impl Daemon {
    /// Runs it in a world.
    pub fn start(world: &World) -> Self {
        Self::start_with(world, &[])
    }

    /// The same, with more in its environment.
    pub fn start_with(world: &World, environment: &[(&str, String)]) -> Self {
        let mut command = world.command();
        command.envs(environment.iter().map(|(name, value)| (name, value)));
        command.arg("run").stdin(Stdio::null()).stdout(Stdio::null());
        Self::of(command)
    }

    /// One that this command runs.
    pub fn of(mut command: Command) -> Self {
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let log = BufReader::new(child.stderr.take().unwrap());
        let pid = child.id().to_string();
        let (alive, gone) = channel();
        std::thread::spawn(move || {
            if gone.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout) {
                Command::new("kill").args(["-KILL", &pid]).status().ok();
            }
        });
        Self { child, log, _alive: alive }
    }

    /// Sends it a signal.
    pub fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([&format!("-{name}"), &pid]).status().unwrap().success());
    }

    /// Everything that it logs up to a line with these words.
    pub fn logs(&mut self, words: &str) -> String {
        let mut text = String::new();
        while !text.lines().last().is_some_and(|line| line.contains(words)) {
            assert!(self.log.read_line(&mut text).unwrap() > 0, "it ended without {words:?}:\n{text}");
        }
        text
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The code that it ends with, and the rest of its log.
    pub fn ends(mut self) -> (Option<i32>, String) {
        let mut rest = String::new();
        self.log.read_to_string(&mut rest).unwrap();
        (self.child.wait().unwrap().code(), rest)
    }

    /// Asks it to stop; the code that it ends with, and the rest of its log.
    pub fn stops(self) -> (Option<i32>, String) {
        self.signal("TERM");
        self.ends()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Ann is upstream, and passes are an hour apart.
pub fn hourly() -> World {
    let world = World::with_contacts(&["crm"], |_, _| {});
    add(&world, "ann@x.io");
    world.change_rules("rules.toml", |rules| {
        rules.replace("[collection.contacts]", "[collection.contacts]\nevery = \"1h\"")
    });
    world
}

/// A contact that is upstream.
pub fn add(world: &World, email: &str) {
    world.add("crm", &json!({ "email": email, "name": email, "phone": "1" }));
}

#[test]
fn a_signal_asks_for_a_pass_now_and_another_for_a_report() {
    let world = hourly();
    let mut daemon = Daemon::start(&world);
    daemon.logs("pass 1 of contacts: 1 changes here");
    add(&world, "bob@x.io");
    daemon.signal("USR1");
    daemon.logs("pass 2 of contacts: 1 changes here");
    assert_eq!(world.rows("select \"trigger\" from sync_pass order by id"), [["schedule"], ["signal"]]);
    assert_eq!(world.rows("select count(*) from contacts"), [["2"]]);
    daemon.signal("USR2");
    let report = daemon.logs("contacts: pass 2 (signal) of ");
    let expected = ": ok, the next at ";
    let waits = "; 0 writes wait, 0 conflicts are open, 0 records are set aside or wait";
    assert!(report.contains(expected) && report.contains(waits), "{report}");
    let (code, rest) = daemon.stops();
    assert_eq!((code, rest.contains("ERROR")), (Some(0), false), "{rest}");
}

#[test]
fn rules_are_read_anew_on_a_signal_and_those_that_are_wrong_never_come_into_force() {
    let world = hourly();
    let mut daemon = Daemon::start(&world);
    daemon.logs("pass 1 of contacts");
    daemon.signal("HUP");
    daemon.logs("rules and secrets were read anew: they say what they said");
    let before = std::fs::read_to_string(world.path("rules/rules.toml")).unwrap();
    let line = before.lines().position(|line| line.starts_with("every")).unwrap() + 1;
    world.rules("rules.toml", &before.replace("every = \"1h\"", "evry = \"1h\""));
    daemon.signal("HUP");
    let said = daemon.logs("`reconciled check` checks them without touching anything");
    for words in ["those from before stay in force", &format!("rules.toml:{line}:"), "evry"] {
        assert!(said.contains(words), "{words}: {said}");
    }
    // Whoever asks is answered by the rules in force, and told that the others are refused.
    let status = world.run(&["status"]).exits(2);
    assert!(status.stdout.contains("contacts") && status.stdout.contains("evry"), "{status:?}");
    for what in ["pause", "resume"] {
        world.run(&[what]).exits(0);
        world.run(&[what, "contacts"]).exits(0);
        assert!(world.run(&[what, "deals"]).exits(2).stderr.contains("no collection `deals`"));
    }
    add(&world, "bob@x.io");
    daemon.signal("USR1");
    daemon.logs("pass 2 of contacts: 1 changes here");
    // A field more: its column is made, and the next pass fills it from what is known already.
    let map = before.lines().find(|line| line.starts_with("phone = \".")).unwrap();
    let more = before
        .replace(map, &format!("{map}\nphone_too = {{ path = \".phone\", direction = \"pull\" }}"))
        .replace("[collection.contacts.fields]", "[collection.contacts.fields]\nphone_too = \"text\"");
    world.rules("rules.toml", &more);
    daemon.signal("HUP");
    daemon.logs("rules and secrets were read anew: they have changed");
    daemon.signal("USR1");
    daemon.logs("pass 3 of contacts: 2 changes here, 0 writes upstream");
    assert_eq!(world.rows("select distinct phone_too = phone from contacts"), [["1"]]);
    assert_eq!(daemon.stops().0, Some(0));
}

#[test]
fn rules_that_were_edited_are_noticed_without_a_signal() {
    let world = hourly();
    let mut daemon = Daemon::start(&world);
    daemon.logs("pass 1 of contacts");
    world.change_rules("rules.toml", |rules| rules.replace("every = \"1h\"", "every = \"1 hour\""));
    daemon.logs("`reconciled check` checks them without touching anything");
    // It is told once. What is due by the new rules is done at once.
    world.change_rules("rules.toml", |rules| rules.replace("every = \"1 hour\"", "every = \"1s\""));
    let said = daemon.logs("rules and secrets were read anew: they have changed");
    assert!(!said.contains("cannot be used"), "{said}");
    daemon.logs("pass 2 of contacts: 0 changes here");
    assert_eq!(daemon.stops().0, Some(0));
}

#[test]
fn the_command_line_asks_the_running_daemon_for_passes_and_pauses() {
    let world = hourly();
    let mut daemon = Daemon::start(&world);
    daemon.logs("pass 1 of contacts");
    let socket = std::path::PathBuf::from(format!("{}.sock", world.database().display()));
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&socket).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o660);
    add(&world, "bob@x.io");
    let ran = world.run(&["sync", "--json"]).exits(0);
    assert_eq!(ran.report("contacts")["local"]["created"], 1);
    assert_eq!(world.rows("select \"trigger\" from sync_pass order by id"), [["schedule"], ["request"]]);
    world.run(&["sync", "--full", "contacts"]).exits(0);
    let unknown = world.run(&["sync", "deals"]).exits(2);
    assert!(unknown.stderr.contains("the daemon works on no collection `deals`; it works on contacts"), "{unknown:#?}");
    world.run(&["pause", "contacts"]).exits(0);
    let refused = world.run(&["sync", "contacts"]).exits(2);
    assert!(refused.stderr.contains("`reconciled resume contacts` lets it go on"), "{refused:#?}");
    let status = world.status();
    assert_eq!(
        (&status["collections"][0]["paused"], &status["collections"][0]["next_pass"]),
        (&json!(true), &json!(null))
    );
    assert!(status["daemon"]["pid"].as_u64().is_some(), "{status:#}");
    // The next daemon knows of it.
    let (code, _) = daemon.stops();
    assert_eq!((code, socket.exists()), (Some(0), false));
    let mut daemon = Daemon::start(&world);
    daemon.logs("contacts is paused: `reconciled resume contacts` lets it go on");
    world.run(&["resume", "contacts"]).exits(0);
    daemon.logs("contacts goes on");
    daemon.stops();
    // Where none runs, the same commands work on the database.
    world.run(&["sync"]).exits(0);
    world.run(&["pause"]).exits(0);
    assert_eq!(world.status()["collections"][0]["paused"], true);
}

#[test]
fn an_edit_here_and_a_decision_of_a_person_reach_the_upstream_at_once() {
    let world = hourly();
    let mut daemon = Daemon::start(&world);
    daemon.logs("pass 1 of contacts");
    world.sql("update contacts set phone = '2'");
    daemon.logs("pass 2 of contacts");
    // The next scheduled pass is an hour away.
    assert_eq!(world.contacts("crm")[0]["phone"], "2");
    assert_eq!(world.rows("select \"trigger\" from sync_pass order by id"), [["schedule"], ["edit"]]);
    // Two sides edit one field: a person decides, and the daemon hears of it.
    world.change_rules("rules.toml", |rules| rules.replace("every = ", "merge = [\"manual\"]\nevery = "));
    daemon.logs("they have changed");
    let id = world.contacts("crm")[0]["id"].as_str().unwrap().to_owned();
    world.edit("crm", &id, &json!({ "phone": "3" }));
    world.sql("update contacts set phone = '4'");
    daemon.logs("1 conflicts open");
    let conflict = world.rows("select id from sync_conflict where closed_at is null").concat().concat();
    // What is no choice is told as it is where no daemon runs.
    assert!(world.run(&["resolve", &conflict, "--take", "erp"]).exits(2).stderr.contains("erp"));
    assert!(world.run(&["resolve", "99", "--take", "local"]).exits(1).stderr.contains("no conflict 99"));
    let resolved = world.run(&["--json", "resolve", &conflict, "--take", "local"]).exits(0);
    let resolved: serde_json::Value = serde_json::from_str(&resolved.stdout).unwrap();
    assert_eq!(resolved["resolution"], json!({ "take": "local" }));
    let log = daemon.logs("pass 4 of contacts: 0 changes here, 1 writes upstream");
    assert!(log.contains("asks: /v1/resolve"), "{log}");
    assert_eq!(world.contacts("crm")[0]["phone"], "4");
    daemon.stops();
}

#[test]
fn a_halt_is_approved_by_the_running_daemon() {
    let world = hourly();
    (0..30).for_each(|number| add(&world, &format!("{number}@x.io")));
    let mut daemon = Daemon::start(&world);
    daemon.logs("pass 1 of contacts: 31 changes here");
    for contact in world.contacts("crm").iter().skip(1) {
        world.remove("crm", contact["id"].as_str().unwrap());
    }
    world.run(&["sync"]).exits(5);
    let halt = world.rows("select id from sync_halt").concat().concat();
    assert!(world.run(&["approve", "99"]).exits(1).stderr.contains("no halt 99 waits"));
    let approved = world.run(&["--json", "approve", &halt]).exits(0);
    let approved: serde_json::Value = serde_json::from_str(&approved.stdout).unwrap();
    assert_eq!((&approved["collection"], &approved["halts"][0]["count"]), (&json!("contacts"), &json!(30)));
    let log = daemon.logs("30 changes here");
    assert!(log.contains("asks: /v1/approve"), "{log}");
    daemon.stops();
}

#[test]
fn an_approval_that_comes_while_a_pass_halts_over_the_same_plan_is_followed() {
    let world = hourly();
    (0..30).for_each(|number| add(&world, &format!("{number}@x.io")));
    let mut daemon = Daemon::start(&world);
    daemon.logs("pass 1 of contacts: 31 changes here");
    for contact in world.contacts("crm").iter().skip(1) {
        world.remove("crm", contact["id"].as_str().unwrap());
    }
    world.run(&["sync"]).exits(5);
    let halt = world.rows("select id from sync_halt").concat().concat();
    // While the upstream is held here the next pass waits for its listing.
    world.at("crm", |_held| {
        daemon.signal("USR1");
        while world.status()["daemon"]["collections"][0]["running"] != true {}
        world.run(&["approve", &halt]).exits(0);
    });
    daemon.logs("pass 3 of contacts: 0 changes here, 0 writes upstream");
    daemon.logs("pass 4 of contacts: 30 changes here");
    daemon.stops();
}

#[test]
fn an_edit_from_while_no_daemon_ran_reaches_the_upstream_when_one_starts() {
    let world = hourly();
    let mut daemon = Daemon::start(&world);
    daemon.logs("pass 1 of contacts");
    daemon.stops();
    world.sql("update contacts set phone = '2'");
    let mut daemon = Daemon::start(&world);
    daemon.logs("pass 2 of contacts: 0 changes here, 1 writes upstream");
    assert_eq!(world.contacts("crm")[0]["phone"], "2");
    // It is not taken up twice, and the collection can be asked for.
    world.run(&["sync"]).exits(0);
    assert_eq!(world.rows("select \"trigger\" from sync_pass order by id"), [["schedule"], ["edit"], ["request"]]);
    daemon.stops();
}

#[test]
fn what_an_upstream_puts_off_is_taken_up_by_the_daemon_when_it_said() {
    let world = hourly();
    world.settings_of_upstreams("retry = { max_wait = \"1s\" }");
    let mut daemon = Daemon::start(&world);
    daemon.logs("pass 1 of contacts");
    world.at("crm", |crm| crm.push_fault(Matcher::of(Method::PATCH, "/"), Fault::throttled("2")));
    world.sql("update contacts set phone = '2'");
    daemon.logs("pass 2 of contacts");
    daemon.logs("of contacts: 0 changes here, 1 writes upstream");
    assert_eq!(world.contacts("crm")[0]["phone"], "2");
    assert_eq!(world.rows("select \"trigger\" from sync_pass order by id desc limit 1"), [["retry"]]);
    daemon.stops();
}

#[test]
fn what_an_upstream_put_off_is_taken_up_when_it_said_by_the_next_daemon() {
    let world = hourly();
    world.settings_of_upstreams("retry = { max_wait = \"1s\" }");
    let mut daemon = Daemon::start(&world);
    daemon.logs("pass 1 of contacts");
    world.at("crm", |crm| crm.push_fault(Matcher::of(Method::PATCH, "/"), Fault::throttled("4")));
    world.sql("update contacts set phone = '2'");
    daemon.logs("pass 2 of contacts");
    assert_eq!(daemon.stops().0, Some(0));
    assert_eq!(world.contacts("crm")[0]["phone"], "1", "it was put off");
    let mut daemon = Daemon::start(&world);
    daemon.logs("of contacts: 0 changes here, 1 writes upstream");
    assert_eq!(world.contacts("crm")[0]["phone"], "2");
    let passes = world.rows("select \"trigger\", started_at from sync_pass order by id");
    let triggers: Vec<&str> = passes.iter().map(|pass| pass[0].as_str()).collect();
    assert_eq!(triggers, ["schedule", "edit", "retry"], "nothing was tried before its time");
    let at = |row: usize| passes[row][1].parse::<i64>().unwrap();
    assert!(at(2) - at(1) >= 4_000_000, "{passes:?}");
    daemon.stops();
}

#[test]
fn f60_a_log_that_nobody_reads_holds_nothing_up() {
    let world = hourly();
    let program = world.command();
    let mut command = Command::new("sh");
    // A pipe holds 64 KiB; a few lines of the log fill it, and nobody reads.
    command.env_clear().current_dir(world.path("")).args(["-c", "head -c 65000 /dev/zero >&2; exec \"$@\"", "sh"]);
    command.envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.env("PATH", "/usr/bin:/bin").env("RECONCILED_LOG", "trace");
    command.arg(program.get_program()).args(program.get_args()).arg("run");
    let daemon = Daemon::of(command);
    while world.run(&["--json", "status"]).stdout.is_empty() || world.status()["daemon"].is_null() {
        std::thread::yield_now();
    }
    for number in 0..60 {
        add(&world, &format!("{number}@x.io"));
        world.run(&["sync"]).exits(0);
    }
    assert_eq!(world.rows("select count(*) from contacts"), [["61"]]);
    world.sql("update contacts set phone = '2' where email = '7@x.io'");
    while !world.contacts("crm").iter().any(|contact| contact["phone"] == "2") {
        std::thread::yield_now();
    }
    assert!(world.run(&["status"]).stdout.contains("daemon "), "it is asked and answers");
    daemon.signal("TERM");
    // It ends although its last lines cannot be written.
    while std::fs::read_to_string(format!("/proc/{}/stat", daemon.pid())).is_ok_and(|stat| !stat.contains(") Z ")) {
        std::thread::yield_now();
    }
    let (code, rest) = daemon.ends();
    assert_eq!(code, Some(0));
    // What cannot be told of a character that was cut off takes a few bytes more.
    assert!(rest.len() < 66 * 1024 && !rest.contains("pass 61 of contacts"), "lines were lost: {}", rest.len());
}

/// Lets the last passes have been so many hours earlier.
fn ago(world: &World, hours: i64) {
    let micros = hours * 3_600_000_000;
    world.sql(&format!("update sync_pass set started_at = started_at - {micros}, ended_at = ended_at - {micros}"));
}

#[test]
fn s66_passes_that_were_missed_while_no_daemon_ran_are_made_up_for_by_one() {
    for schedule in ["every = \"1h\"", "schedule = \"0 * * * *\""] {
        let world = hourly();
        world.change_rules("rules.toml", |rules| rules.replace("every = \"1h\"", schedule));
        let mut daemon = Daemon::start(&world);
        daemon.logs("pass 1 of contacts");
        daemon.stops();
        // Nothing is made up for where nothing was missed.
        let mut daemon = Daemon::start(&world);
        while world.status()["daemon"].is_null() {
            std::thread::yield_now();
        }
        world.run(&["sync"]).exits(0);
        daemon.logs("pass 2 of contacts");
        daemon.stops();
        assert_eq!(
            world.rows("select \"trigger\" from sync_pass order by id"),
            [["schedule"], ["request"]],
            "{schedule}"
        );
        ago(&world, 30);
        let mut daemon = Daemon::start(&world);
        daemon.logs("pass 3 of contacts");
        let next = world.status()["collections"][0]["next_pass"].as_str().unwrap().to_owned();
        let next = chrono::DateTime::parse_from_rfc3339(&next).unwrap();
        assert!(next > crate::hands::now(), "the next one is not due yet: {next}");
        world.run(&["sync"]).exits(0);
        let made = world.rows("select \"trigger\" from sync_pass order by id");
        assert_eq!(made, [["schedule"], ["request"], ["schedule"], ["request"]], "{schedule}");
        daemon.stops();
    }
}

#[test]
fn s66_a_full_scan_that_was_missed_or_failed_is_made_up_for_however_many_passes_came_since() {
    for (outcome, since, hours_ago) in [("ok", 1100, 8 * 24), ("failed", 5, 1)] {
        let world = World::with_contacts(&["crm"], |_, resource: &mut ResourceConfig| {
            resource.since = Some(Since { param: "since".to_owned(), by: SinceBy::UpdatedAt, tombstones: false });
        });
        world.change_rules("rules.toml", |rules| {
            let schedule = "[collection.contacts]\nevery = \"1h\"\nfull_scan = \"7d\"";
            let since = "incremental = { kind = \"since\", into = \"query.since\" }";
            rules.replace("[collection.contacts]", schedule).replace("incremental = \"none\"", since)
        });
        let mut daemon = Daemon::start(&world);
        daemon.logs("pass 1 of contacts");
        daemon.stops();
        ago(&world, 8 * 24);
        let now = crate::hands::now().timestamp_micros();
        let (then, lately) = (now - hours_ago * 3_600_000_000, now - 60_000_000);
        let pass = "insert into sync_pass (collection, \"trigger\", started_at, ended_at, outcome, counts, rules_hash)";
        world.sql(&format!("{pass} values ('contacts', 'full_scan', {then}, {then}, '{outcome}', '{{}}', '')"));
        world.sql(&format!(
            "with recursive n(i) as (select 1 union all select i + 1 from n where i < {since}) \
             {pass} select 'contacts', 'schedule', {lately}, {lately}, 'ok', '{{}}', '' from n"
        ));
        let mut daemon = Daemon::start(&world);
        daemon.logs("of contacts: ");
        let last = "select \"trigger\", started_at from sync_pass order by id desc limit 1";
        let last = world.rows(last).concat();
        assert_eq!(last[0], "full_scan", "{outcome}");
        assert_eq!(daemon.stops().0, Some(0));
        // Without a daemon the next one is known all the same.
        let due = last[1].parse::<i64>().unwrap() + 7 * 24 * 3_600_000_000;
        let due = chrono::DateTime::from_timestamp_micros(due).unwrap();
        let status = world.status();
        assert_eq!(status["daemon"], json!(null));
        let shown = due.to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
        assert_eq!(status["collections"][0]["next_full_scan"], json!(shown));
        let words = format!("contacts: everything is read next at {}", due.format("%Y-%m-%d %H:%M:%S"));
        assert!(world.run(&["status"]).stdout.contains(&words), "{words}");
        world.run(&["pause", "contacts"]).exits(0);
        assert_eq!(world.status()["collections"][0]["next_full_scan"], json!(null));
    }
}

#[test]
fn f55_rules_that_cannot_be_used_are_told_of_at_once_and_stop_no_collection_while_another_is_read() {
    let world = two_collections();
    let mut daemon = Daemon::start(&world);
    daemon.logs("pass 2 of ");
    let slow = Fault::Slow { delay_ms: 3_600_000, bytes_per_chunk: 0 };
    world.at("crm", |crm| crm.push_fault(Matcher::exactly(Method::GET, "/contacts"), slow));
    world.forget_requests();
    let mut sync = world.command();
    let mut sync = sync.args(["sync", "others"]).stdout(Stdio::null()).spawn().unwrap();
    while world.at("crm", |crm| crm.requests().count() == 0) {
        std::thread::yield_now();
    }
    let good = std::fs::read_to_string(world.path("rules/rules.toml")).unwrap();
    world.rules("rules.toml", &good.replace("map]", "mop]"));
    daemon.signal("HUP");
    daemon.logs("those from before stay in force");
    assert!(world.status()["daemon"]["rules_refused"].is_string());
    world.run(&["status"]).exits(2);
    let shown = world.run(&["status"]).stdout;
    assert!(shown.lines().any(|line| line.contains("unknown key `mop`")) && !shown.contains('⏎'), "{shown}");
    world.run(&["sync", "contacts"]).exits(0);
    // Usable ones that change nothing of what is listed come into force at once.
    world.rules("rules.toml", &good);
    daemon.logs("they say what they said");
    assert!(world.status()["daemon"]["rules_refused"].is_null());
    assert_eq!(sync.try_wait().unwrap(), None, "it is still listed");
    sync.kill().unwrap();
    sync.wait().unwrap();
}

#[test]
fn an_edit_that_met_an_upstream_that_was_away_for_a_moment_does_not_wait_for_the_schedule() {
    let world = hourly();
    let mut daemon = Daemon::start(&world);
    daemon.logs("pass 1 of contacts: 1 changes here");
    world.at("crm", |crm| {
        crm.push_fault_times(Matcher::of(Method::GET, "/contacts"), Fault::status(503), Times::Forever);
    });
    world.sql("update contacts set phone = '2'");
    let said = daemon.logs("tried again within minutes");
    assert!(said.contains("pass 2 of contacts: 0 changes here, 0 writes upstream"), "{said}");
    world.at("crm", reconciled::sandbox::Sandbox::clear_faults);
    let shown = world.run(&["status"]).stdout;
    assert!(shown.contains("contacts: what was left is taken up again at "), "{shown}");
    daemon.logs("pass 3 of contacts: 0 changes here, 1 writes upstream");
    assert_eq!(world.contacts("crm")[0]["phone"], "2");
    assert_eq!(world.rows("select \"trigger\" from sync_pass where id > 1 order by id"), [["edit"], ["retry"]]);
    assert_eq!(daemon.stops().0, Some(0));
}

#[test]
fn f16_a_pass_that_could_not_even_be_written_down_is_made_again_and_does_not_wait_for_the_schedule() {
    let world = hourly();
    let mut daemon = Daemon::start_with(&world, &[("RECONCILED__BUSY_TIMEOUT", "50ms".to_owned())]);
    daemon.logs("pass 1 of contacts");
    let other = world.db();
    other.execute_batch("begin immediate").unwrap();
    assert!(world.run(&["sync"]).stderr.contains("another program"));
    daemon.logs("a pass of contacts failed");
    assert_eq!(world.rows("select \"trigger\" from sync_pass"), [["schedule"]], "nothing is known of it");
    let shown = world.run(&["status"]).exits(1).stdout;
    assert!(shown.contains("contacts: what was left is taken up again at "), "{shown}");
    assert!(shown.contains("contacts: its last pass failed: ") && shown.contains("another program"), "{shown}");
    other.execute_batch("rollback").unwrap();
    daemon.logs("pass 2 of contacts");
    world.run(&["status"]).exits(0);
    assert_eq!(world.rows("select \"trigger\" from sync_pass order by id"), [["schedule"], ["retry"]]);
    assert_eq!(daemon.stops().0, Some(0));
}

#[test]
fn s67_a_pass_that_still_runs_at_its_next_tick_is_followed_by_one_and_never_overlapped() {
    let world = hourly();
    world.change_rules("rules.toml", |rules| rules.replace("every = \"1h\"", "every = \"1s\""));
    // A first pass is alone in any case.
    world.run(&["run", "--once"]).exits(0);
    let slow = Fault::Slow { delay_ms: 3500, bytes_per_chunk: 0 };
    world.at("crm", |crm| crm.push_fault(Matcher::exactly(Method::GET, "/contacts"), slow));
    let mut daemon = Daemon::start(&world);
    daemon.logs("pass 4 of contacts");
    assert_eq!(daemon.stops().0, Some(0));
    let overlaps = "select count(*) from sync_pass a join sync_pass b on a.id < b.id and b.started_at < a.ended_at";
    assert_eq!(world.rows(overlaps), [["0"]]);
    let times = world.rows("select started_at, ended_at from sync_pass where id > 1 order by id limit 3");
    let at = |row: usize, column: usize| times[row][column].parse::<i64>().unwrap();
    assert!(at(0, 1) - at(0, 0) > 3_000_000, "three ticks came while it ran: {times:?}");
    // What was missed is made up for at once, by one: the one after that is a second later.
    assert!(at(1, 0) - at(0, 1) < 900_000 && at(2, 0) - at(1, 0) > 900_000, "{times:?}");
}
