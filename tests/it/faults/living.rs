//! What happens to a daemon while it lives: stops in mid-push, rules that change under it, storms of signals, clients that hang,
//! files that run out.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};

use http::Method;
use reconciled::sandbox::{Fault, Matcher};
use serde_json::json;

use crate::daemon::{Daemon, PATIENCE, add, hourly};
use crate::world::World;

fn slow(delay_ms: u64) -> Fault {
    Fault::Slow { delay_ms, bytes_per_chunk: 0 }
}

/// Waits until the upstream was asked for something by this method.
fn is_asked(world: &World, method: &Method) {
    while !world.at("crm", |crm| crm.requests().any(|request| request.method == *method)) {
        std::thread::yield_now();
    }
}

/// How many contacts there are upstream under each email.
fn emails(world: &World) -> Vec<String> {
    let mut all: Vec<String> =
        world.contacts("crm").iter().map(|contact| contact["email"].as_str().unwrap().to_owned()).collect();
    all.sort();
    all
}

/// A daemon that is asked to stop while the first of two creates is under way, whose answer takes so long.
fn stopped_in_mid_push(answer_ms: u64, drain_timeout: &str) -> (World, String) {
    let world = hourly();
    let mut daemon = Daemon::start_with(&world, &[("RECONCILED__DRAIN_TIMEOUT", drain_timeout.to_owned())]);
    daemon.logs("pass 1 of contacts");
    world.forget_requests();
    world.at("crm", |crm| crm.push_fault(Matcher::of(Method::POST, "/contacts"), slow(answer_ms)));
    world.sql("insert into contacts (email, name) values ('bob@x.io', 'Bob'), ('cid@x.io', 'Cid')");
    is_asked(&world, &Method::POST);
    let (code, rest) = daemon.stops();
    assert_eq!(code, Some(0), "{rest}");
    assert!(rest.contains("stopping: the pass under way may take"), "{rest}");
    let log = std::fs::metadata(format!("{}-wal", world.database().display()));
    assert!(log.map_or(0, |log| log.len()) == 0, "what is committed is in the database itself");
    (world, rest)
}

#[test]
fn f07_a_stop_in_mid_push_finishes_the_pass_and_leaves_nothing_open() {
    let (world, rest) = stopped_in_mid_push(1000, "20s");
    assert!(rest.contains("pass 2 of contacts: 0 changes here, 2 writes upstream"), "{rest}");
    assert_eq!(emails(&world), ["ann@x.io", "bob@x.io", "cid@x.io"]);
    world.run(&["status"]).exits(0);
    world.is_quiet();
}

#[test]
fn f07_a_stop_that_cannot_wait_keeps_what_is_unknown_and_the_next_pass_settles_it() {
    let (world, rest) = stopped_in_mid_push(5000, "200ms");
    assert!(!rest.contains("pass 2 of contacts"), "{rest}");
    let told = &world.status()["collections"][0];
    let unknown = told["unknown"].as_array().unwrap();
    assert_eq!((unknown.len(), &unknown[0]["op"]), (1, &json!("create")), "{told:#}");
    // It was made there, unheard: it is found, and neither is made twice.
    world.sync().exits(0);
    assert_eq!(world.status()["collections"][0]["unknown"], json!([]));
    let made = world.writes_at("crm");
    assert!(made.len() == 2 && made.iter().all(|asked| asked.line == "POST /contacts"), "{made:?}");
    assert_eq!(emails(&world), ["ann@x.io", "bob@x.io", "cid@x.io"]);
    world.is_quiet();
}

#[test]
fn f55_rules_that_are_half_written_leave_the_last_good_ones_in_force() {
    let world = hourly();
    let mut daemon = Daemon::start(&world);
    daemon.logs("pass 1 of contacts");
    let before = std::fs::read_to_string(world.path("rules/rules.toml")).unwrap();
    let map = before.lines().find(|line| line.starts_with("phone = \".")).unwrap();
    let whole = before
        .replace(map, &format!("{map}\nphone_too = {{ path = \".phone\", direction = \"pull\" }}"))
        .replace("[collection.contacts.fields]", "[collection.contacts.fields]\nphone_too = \"text\"");
    // Cut in the middle of a line; and the file that an editor has just emptied.
    let cuts = [0, whole.find("keys").unwrap(), whole.find("phone_too").unwrap() + 4, whole.find("{version}").unwrap()];
    for cut in cuts {
        world.rules("rules.toml", &whole[..cut]);
        daemon.signal("HUP");
        daemon.logs("the rules as they are now cannot be used; those from before stay in force");
        daemon.logs(if cut == 0 { "rules.toml is empty" } else { "`reconciled check` checks them without touching" });
        add(&world, &format!("p{cut}@x.io"));
        daemon.signal("USR1");
        daemon.logs("of contacts: 1 changes here");
    }
    let mut stream = UnixStream::connect(format!("{}.sock", world.database().display())).unwrap();
    stream.write_all(b"GET /v1/standing HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").unwrap();
    let mut standing = String::new();
    stream.read_to_string(&mut standing).unwrap();
    assert!(standing.contains("\"rules_refused\":\"") && standing.contains("rules.toml"), "{standing}");
    // It is written to its end, and nobody says so.
    world.rules("rules.toml", &whole);
    daemon.logs("rules and secrets were read anew: they have changed");
    daemon.signal("USR1");
    daemon.logs("of contacts: 5 changes here");
    assert_eq!(world.rows("select distinct phone_too = phone from contacts"), [["1"]]);
    assert_eq!(daemon.stops().0, Some(0));
}

#[test]
fn f56_a_pass_keeps_the_rules_that_it_began_with_and_what_was_not_sent_is_planned_by_the_new_ones() {
    let world = hourly();
    world.settings_of_upstreams("retry = { max_wait = \"1s\" }");
    let mut daemon = Daemon::start(&world);
    daemon.logs("pass 1 of contacts");
    world.forget_requests();
    world.at("crm", |crm| crm.push_fault(Matcher::exactly(Method::GET, "/contacts"), slow(1500)));
    world.sql("update contacts set phone = '2'");
    is_asked(&world, &Method::GET);
    // While it reads, the phone gets another name there.
    world.change_rules("rules.toml", |rules| rules.replace("phone = \".phone\"", "phone = \".tel\""));
    daemon.signal("HUP");
    let said = daemon.logs("rules and secrets were read anew: they have changed");
    assert!(said.contains("pass 2 of contacts: 0 changes here, 1 writes upstream"), "{said}");
    assert_eq!(world.writes_at("crm")[0].body, json!({ "phone": "2" }), "by the rules that it began with");
    // What is put off was planned by these rules, and is sent by those of then.
    world.at("crm", |crm| crm.push_fault(Matcher::of(Method::PATCH, "/"), Fault::throttled("3")));
    world.sql("update contacts set phone = '3'");
    daemon.logs("pass 3 of contacts");
    assert_eq!(world.writes_at("crm").last().unwrap().body, json!({ "tel": "3" }));
    world.change_rules("rules.toml", |rules| rules.replace("phone = \".tel\"", "phone = \".mobile\""));
    daemon.signal("HUP");
    daemon.logs("rules and secrets were read anew: they have changed");
    daemon.logs("of contacts: 0 changes here, 1 writes upstream");
    let sent: Vec<_> = world.writes_at("crm").into_iter().map(|asked| asked.body).collect();
    assert_eq!(sent, [json!({ "mobile": "3" })]);
    assert_eq!(daemon.stops().0, Some(0));
    world.is_quiet();
}

#[test]
fn f58_a_storm_of_signals_in_a_pass_brings_one_more_pass_and_no_more() {
    for (signals, reloads) in [("USR1", false), ("USR1 HUP USR2", true)] {
        let world = hourly();
        let mut daemon = Daemon::start(&world);
        daemon.logs("pass 1 of contacts");
        world.forget_requests();
        world.at("crm", |crm| crm.push_fault(Matcher::exactly(Method::GET, "/contacts"), slow(2000)));
        daemon.signal("USR1");
        is_asked(&world, &Method::GET);
        let storm = "i=0; while [ $i -lt 300 ]; do for s in $2; do kill -$s $1; done; i=$((i + 1)); done";
        let pid = daemon.pid().to_string();
        assert!(Command::new("sh").args(["-c", storm, "sh", &pid, signals]).status().unwrap().success());
        // Rules that say what they said wait for nothing: however often one asks, they are soon read.
        let said = daemon.logs("pass 2 of contacts") + &daemon.logs("pass 3 of contacts");
        let read = said.matches("rules and secrets were read anew: they say what they said").count();
        assert!(if reloads { read > 0 } else { read == 0 }, "{said}");
        // Nothing of it is left: the next question brings the next pass.
        world.run(&["sync"]).exits(0);
        assert_eq!(
            world.rows("select \"trigger\" from sync_pass order by id"),
            [["schedule"], ["signal"], ["signal"], ["request"]]
        );
        assert_eq!(daemon.stops().0, Some(0));
    }
}

#[test]
fn f59_clients_of_the_control_socket_that_hang_or_say_too_much_keep_nobody_out() {
    let world = hourly();
    let mut daemon = Daemon::start(&world);
    daemon.logs("pass 1 of contacts");
    let socket = format!("{}.sock", world.database().display());
    let say = |text: &str| {
        let mut stream = UnixStream::connect(&socket).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        // Who says too much may be cut off while he speaks.
        let _cut_off = stream.write_all(text.as_bytes());
        stream
    };
    let answer = |mut stream: UnixStream| {
        let mut text = String::new();
        let _cut_off = stream.read_to_string(&mut text);
        text.split(' ').nth(1).unwrap_or_default().to_owned()
    };
    let post = |length: usize| format!("POST /v1/sync HTTP/1.1\r\nhost: x\r\ncontent-length: {length}\r\n\r\n");
    // As many as are let in at once: some say nothing, some half of a head, some no body.
    let hung: Vec<UnixStream> =
        (0..64).map(|at| say(["", "GET /v1/standing HTTP/1.1\r\nhost: ", &post(100)][at % 3])).collect();
    world.run(&["pause", "contacts"]).exits(0);
    world.run(&["resume", "contacts"]).exits(0);
    let answers: Vec<String> = hung.into_iter().map(answer).collect();
    assert!(answers.iter().all(|status| ["", "408"].contains(&status.as_str())), "{answers:?}");
    let head = format!("GET /v1/standing HTTP/1.1\r\nhost: x\r\nx-much: {}\r\n\r\n", "x".repeat(1 << 20));
    assert_eq!(answer(say(&head)), "431");
    assert_eq!(answer(say(&(post(1 << 20) + &"x".repeat(1 << 20)))), "413");
    // A question whose answer takes longer than all of that is answered to its end.
    world.at("crm", |crm| crm.push_fault(Matcher::exactly(Method::GET, "/contacts"), slow(7000)));
    world.run(&["sync"]).exits(0);
    let (code, rest) = daemon.stops();
    assert_eq!((code, rest.contains("ERROR")), (Some(0), false), "{rest}");
}

#[test]
fn f60_a_daemon_that_runs_out_of_files_says_so_and_goes_on_when_there_are_some_again() {
    let world = hourly();
    let program = world.command();
    let mut command = Command::new("sh");
    command.env_clear().current_dir(world.path("")).args(["-c", "ulimit -n 48; exec \"$@\"", "sh"]);
    command.envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.envs([("RECONCILED__WEB__LISTEN", "127.0.0.1:0"), ("RECONCILED_SECRET_WEB_TOKEN", "0123456789abcdef")]);
    command.arg(program.get_program()).args(program.get_args()).arg("run");
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let mut daemon = Daemon::of(command);
    let said = daemon.logs("web: http://");
    let address = said.trim_end().rsplit("http://").next().unwrap().to_owned();
    daemon.logs("pass 1 of contacts");
    let many: Vec<_> = (0..64).map(|_| std::net::TcpStream::connect(&address).unwrap()).collect();
    daemon.logs("no connection can be taken: Too many open files");
    // It lives, and fails clearly what it cannot do.
    add(&world, "bob@x.io");
    daemon.signal("USR1");
    daemon.logs("pass 2 of contacts");
    daemon.signal("HUP");
    let reloaded = daemon.logs("rules");
    assert!(reloaded.contains("those from before stay in force") || reloaded.contains("read anew"), "{reloaded}");
    drop(many);
    add(&world, "cid@x.io");
    while world.rows("select count(*) from contacts") != [["3"]] {
        world.run(&["sync"]);
    }
    let mut stream = std::net::TcpStream::connect(&address).unwrap();
    stream
        .write_all(format!("GET /healthz HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n").as_bytes())
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert_eq!(daemon.stops().0, Some(0));
    world.is_quiet();
}
