//! A running process in trouble: starved of memory, its upstream stopped, its database replaced.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use reconciled::sandbox::{CursorEnd, Paging, ResourceConfig, Sandbox, SandboxConfig, serve};
use serde_json::Value;

use crate::world::{Ran, World, contacts_rules};

use super::tools::{below, contact, everything_agrees, for_each, left_in_order, much_to_do};

// Memory.

/// What a daemon has needed at most when its first pass has ended, in KiB.
fn peak_kib(records: usize) -> usize {
    let world = World::with_contacts(&["crm"], |_, resource: &mut ResourceConfig| {
        resource.page_size = 50;
        resource.paging = Paging::Cursor {
            param: "after".to_owned(),
            limit: "limit".to_owned(),
            next_at: "next".to_owned(),
            end: CursorEnd::Absent,
        };
    });
    let cursor = "page = { kind = \"cursor\", next = \".next\", into = \"query.after\" }";
    world.change_rules("rules.toml", |rules| rules.replace("page = \"none\"", cursor));
    for at in 0..records {
        let mut large = contact(&format!("n{at}"), "1");
        large["name"] = "x".repeat(16 << 10).into();
        world.add("crm", &large);
    }
    let mut command = world.command();
    let command = command.args(["--json", "run"]).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut daemon = command.spawn().unwrap();
    let mut report = String::new();
    BufReader::new(daemon.stdout.take().unwrap()).read_line(&mut report).unwrap();
    let report: Value = serde_json::from_str(&report).unwrap();
    let status = std::fs::read_to_string(format!("/proc/{}/status", daemon.id())).unwrap();
    stop(&mut daemon);
    assert_eq!(report["local"]["created"], records, "{report:#}");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

fn stop(daemon: &mut Child) {
    let pid = daemon.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    assert_eq!(daemon.wait().unwrap().code(), Some(0));
}

#[test]
fn f08_memory_does_not_grow_with_the_length_of_a_listing() {
    // What is listed beyond the small one: 40 MiB.
    let (small, large) = (peak_kib(400), peak_kib(2960));
    let more = large.saturating_sub(small);
    assert!(more < 20 << 10, "400 records: {small} KiB, 2960 records: {large} KiB");
}

#[test]
fn f08_out_of_memory_anywhere_the_process_ends_and_the_next_one_goes_on() {
    let failed = Mutex::new(0);
    for_each((20..180).step_by(16), |mib| {
        let world = much_to_do();
        let script = format!("ulimit -v {}; exec \"$@\"", mib << 10);
        let ran = Ran::of(below(&world, "sh", &["-c", &script, "sh"], &["run", "--once"]).output().unwrap());
        if ran.code != 0 {
            *failed.lock().unwrap() += 1;
        }
        let when = format!("with {mib} MiB of memory");
        left_in_order(&world, &when);
        everything_agrees(&world, &when);
    });
    assert!(*failed.lock().unwrap() >= 3, "some had too little memory: {failed:?}");
}

// An upstream that stops answering.

const SERVE: &str = "RECONCILED_TEST_SERVES_AN_UPSTREAM";

/// An upstream in a process of its own; it ends with its standard input.
struct Upstream {
    process: Child,
    url: String,
}

impl Upstream {
    fn start(test: &str) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", test, "--nocapture"]).env(SERVE, "1");
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines().map_while(Result::ok);
        let url = lines.find_map(|line| line.split_once("serves ").map(|(_, url)| url.to_owned())).unwrap();
        Self { process, url }
    }

    fn signal(&self, name: &str) {
        let pid = self.process.id().to_string();
        assert!(Command::new("kill").args([&format!("-{name}"), &pid]).status().unwrap().success());
    }

    /// Everything that is there.
    fn contacts(&self) -> Vec<Value> {
        let mut socket = TcpStream::connect(self.url.strip_prefix("http://").unwrap()).unwrap();
        socket.write_all(b"GET /contacts HTTP/1.0\r\nhost: localhost\r\n\r\n").unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).unwrap();
        let body: Value = serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap();
        body["results"].as_array().unwrap().clone()
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

/// The other side of [`Upstream::start`].
#[expect(clippy::disallowed_methods, reason = "the sandbox shares the program's clock")]
#[expect(clippy::print_stdout, reason = "its parent reads it")]
fn serve_until_stdin_ends() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let sandbox = Sandbox::new(SandboxConfig::of([ResourceConfig::at("/contacts")]));
    let served = runtime.block_on(serve(Arc::new(Mutex::new(sandbox)), Arc::new(chrono::Utc::now))).unwrap();
    println!("serves {}", served.base_url());
    std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
}

#[test]
fn f39_an_upstream_that_is_stopped_costs_its_timeouts_and_gets_everything_once_later() {
    if std::env::var_os(SERVE).is_some() {
        return serve_until_stdin_ends();
    }
    let name = "f39_an_upstream_that_is_stopped_costs_its_timeouts_and_gets_everything_once_later";
    let crm = Upstream::start(&format!("faults::trouble::{name}"));
    let mut world = World::new();
    world.upstream("erp", SandboxConfig::of([ResourceConfig::at("/contacts")]));
    world.rules("rules.toml", &contacts_rules(&["crm", "erp"]));
    let timeouts = "timeout = { connect = \"300ms\", idle = \"300ms\", total = \"600ms\" }\nretry = { attempts = 1 }";
    world.settings_of_upstreams(timeouts);
    let run = |arguments: &[&str]| {
        let mut command = world.command();
        command.env("RECONCILED__VARS__CRM_URL", &crm.url).args(arguments);
        Ran::of(command.output().unwrap())
    };
    let sync = || run(&["--json", "run", "--once"]);
    world.add("erp", &contact("a", "1"));
    sync().exits(0).wrote(1, 1);
    world.sql("insert into contacts (email, name, phone) values ('b@x.io', 'b', '1')");
    crm.signal("STOP");
    for pass in 0..2 {
        let ran = sync().exits(6);
        let report = ran.report("contacts");
        let error = report["upstreams"][0]["error"].as_str().unwrap();
        assert!(error.contains("no byte") || error.contains("time"), "{error}");
        // Several timeouts at most, and nothing that waits for the upstream to come back.
        assert!(report["elapsed_ms"].as_u64().unwrap() < 20_000, "{report:#}");
        assert_eq!(world.contacts("erp").len(), 2, "pass {pass}: the other one goes on");
    }
    run(&["status"]).exits(6);
    crm.signal("CONT");
    sync().exits(0);
    sync().exits(0).wrote(0, 0);
    let mut emails: Vec<String> = crm.contacts().iter().map(|one| one["email"].as_str().unwrap().to_owned()).collect();
    emails.sort();
    assert_eq!(emails, ["a@x.io", "b@x.io"]);
    assert_eq!(world.rows("select count(*) from contacts"), [["2"]]);
}

// A database that is replaced.

#[test]
fn f18_a_database_that_is_replaced_under_a_daemon_ends_it_and_is_looked_at_before_anything_is_sent() {
    let world = much_to_do();
    world.sync().exits(0);
    world.change_rules("rules.toml", |rules| {
        rules.replace("[collection.contacts]\n", "[collection.contacts]\nevery = \"1s\"\n")
    });
    std::fs::copy(world.database(), world.path("other.db")).unwrap();
    let mut command = world.command();
    let command = command.args(["--json", "run"]).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut daemon = command.spawn().unwrap();
    let mut reports = BufReader::new(daemon.stdout.take().unwrap());
    reports.read_line(&mut String::new()).unwrap();
    std::fs::rename(world.path("other.db"), world.database()).unwrap();
    world.forget_requests();
    let mut said = String::new();
    daemon.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!(daemon.wait().unwrap().code(), Some(1), "{said}");
    assert!(said.contains("data.db was replaced or removed while it was open"), "{said}");
    for suffix in ["-wal", "-shm"] {
        // They are of the one that is gone.
        std::fs::remove_file(world.path(&format!("data.db{suffix}"))).ok();
    }
    world.sync().exits(5).wrote(0, 0);
    for name in ["crm", "erp"] {
        assert_eq!(world.writes_at(name), [], "at {name}");
    }
    world.approve();
    everything_agrees(&world, "after another database was approved");
}
