//! The control socket between real processes: what comes over it and when, who may ask, and what either side makes of another
//! version of the other.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::Shutdown;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use crate::daemon::{Daemon, PATIENCE, add, hourly};
use crate::world::{Ran, World};

fn socket(world: &World) -> PathBuf {
    PathBuf::from(format!("{}.sock", world.database().display()))
}

/// A question on a connection of its own.
fn asks(world: &World, line: &str, body: &Value) -> UnixStream {
    let mut stream = UnixStream::connect(socket(world)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let (body, kind) = (body.to_string(), "content-type: application/json");
    let length = body.len();
    write!(
        stream,
        "{line} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{kind}\r\ncontent-length: {length}\r\n\r\n{body}"
    )
    .unwrap();
    stream
}

/// Its status and its body.
fn answer(mut stream: UnixStream) -> (u16, String) {
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{text:?}"));
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

#[test]
fn what_a_pass_is_at_is_told_while_it_is_at_it() {
    let world = hourly();
    let mut daemon = Daemon::start(&world);
    daemon.logs("pass 1 of contacts");
    add(&world, "bob@x.io");
    let mut lines = Vec::new();
    let mut until = |answer: &mut BufReader<UnixStream>, words: &str| {
        while !lines.last().is_some_and(|line: &String| line.contains(words)) {
            let mut line = String::new();
            assert!(answer.read_line(&mut line).unwrap() > 0, "no {words}: {lines:?}");
            lines.push(line);
        }
    };
    // While somebody looks into the upstream it answers nobody.
    let mut answer = world.at("crm", |_| {
        let mut answer = BufReader::new(asks(&world, "POST /v1/sync", &json!({})));
        until(&mut answer, "{\"accepted\":[\"contacts\"]}");
        until(&mut answer, "{\"step\":{\"collection\":\"contacts\",\"text\":\"");
        answer
    });
    // It was not over by then.
    assert_eq!(world.rows("select count(*) from sync_pass where ended_at is not null"), [["1"]]);
    until(&mut answer, "{\"report\":");
    let text = lines.concat();
    assert!(text.contains("\"created\":1"), "{text}");
    let mut rest = String::new();
    answer.read_to_string(&mut rest).unwrap();
    assert!(!rest.contains('{'), "the report was the last of it: {rest}");
    assert_eq!(daemon.stops().0, Some(0));
}

#[test]
fn a_plan_of_long_and_of_many_changes_is_the_same_through_the_socket_and_no_line_of_it_is_long() {
    let world = hourly();
    world.change_rules("rules.toml", |rules| rules.replace("every = \"1h\"", "every = \"1h\"\non_edit = \"wait\""));
    for number in 0..400 {
        add(&world, &format!("{number}@x.io"));
    }
    let mut daemon = Daemon::start(&world);
    daemon.logs("pass 1 of contacts: 401 changes here");
    // A value that is longer than any line, with what makes a text longer than it is.
    world.sql("update contacts set name = replace(hex(zeroblob(200000)), '0', '\"') where email = '7@x.io'");
    world.sql("update contacts set phone = 'new'");
    let plans = |world: &World| {
        let all = ["plan", "--all"];
        let text = world.run(&all).exits(3).stdout;
        let json = world.run(&["--json", "plan"]).exits(3).stdout;
        (text, without_times(&json))
    };
    let by_daemon = plans(&world);
    let body = answer(asks(&world, "POST /v1/plan", &json!({ "all": true }))).1;
    let longest = body.lines().map(str::len).max().unwrap();
    assert!(longest < 1 << 20, "{longest}");
    assert!(body.contains("{\"changes\":[") && body.contains("{\"part\":"), "{}", &body[..2000]);
    let (code, log) = daemon.stops();
    assert_eq!((code, log.matches("asks: /v1/plan").count()), (Some(0), 3), "{log}");
    let here = plans(&world);
    assert!(by_daemon == here, "they differ");
    assert!(here.0.len() > 400 && here.1.len() > 1 << 20);
}

/// A plan as it was printed, byte by byte but for how long it took and when.
fn without_times(json: &str) -> String {
    let mut plan: Value = serde_json::from_str(json).unwrap();
    let mut text = json.to_owned();
    for pass in plan["passes"].as_array_mut().unwrap() {
        assert!(pass["changes"].as_array().unwrap().len() == 401);
        let took = format!("\"elapsed_ms\": {}", pass["elapsed_ms"]);
        assert!(text.contains(&took) || text.contains(&took.replace(": ", ":")), "as it is printed");
        text = text.replace(&took, "").replace(&took.replace(": ", ":"), "");
    }
    let (before, rest) = text.split_once("\"phases\"").unwrap();
    format!("{before}{}", rest.split_once(']').unwrap().1)
}

/// What stands in a daemon's place, and answers every question by this, until it is dropped.
struct Other {
    world: World,
    over: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Other {
    fn answers(world: World, text: &'static str) -> Self {
        let listener = UnixListener::bind(socket(&world)).unwrap();
        let over = Arc::new(AtomicBool::new(false));
        let ends = Arc::clone(&over);
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                if ends.load(Ordering::Acquire) {
                    return;
                }
                // Who only looks whether somebody listens asks nothing.
                if stream.read(&mut [0; 4096]).is_ok_and(|bytes| bytes > 0) {
                    let _gone = stream.write_all(text.as_bytes());
                    let _gone = stream.shutdown(Shutdown::Both);
                }
            }
        });
        Self { world, over, thread: Some(thread) }
    }

    /// Makes room for another one.
    fn ends(mut self) -> World {
        self.over.store(true, Ordering::Release);
        drop(UnixStream::connect(socket(&self.world)).unwrap());
        self.thread.take().unwrap().join().unwrap();
        std::fs::remove_file(socket(&self.world)).unwrap();
        self.world
    }
}

#[test]
fn a_daemon_of_another_version_is_told_of_with_the_remedy_and_nothing_is_done() {
    let mut world = hourly();
    world.sync().exits(0);
    let cases = [
        (
            "HTTP/1.1 404 Not Found\r\nconnection: close\r\n\r\n{\"error\":\"this daemon speaks version 2 of the control protocol: use its own\"}",
            "this daemon speaks version 2 of the control protocol: use its own",
        ),
        ("HTTP/1.1 404 Not Found\r\nconnection: close\r\n\r\n", "it may be of another version: restart it"),
        (
            "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{\"of\":\"tomorrow\"}\n",
            "it may be of another version: restart it",
        ),
        ("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nno JSON\n", "it may be of another version: restart it"),
        ("220 mail.example.com ESMTP\r\n", "does not answer"),
    ];
    for (text, words) in cases {
        let other = Other::answers(world, text);
        let at_work =
            [vec!["sync"], vec!["resolve", "1", "--take", "local"], vec!["reject", "1"], vec!["approve", "1"]];
        for arguments in at_work {
            let ran = other.world.run(&arguments).exits(1);
            assert!(ran.stderr.contains(words) && ran.stdout.is_empty(), "{text:?}: {arguments:?} {ran:#?}");
        }
        // Whoever only wants to know how things stand is shown what the database says.
        let ran = other.world.run(&["status"]).exits(0);
        assert!(ran.stdout.contains("contacts"), "{text:?}: {ran:#?}");
        world = other.ends();
    }
    assert_eq!(world.rows("select count(*) from sync_pass"), [["1"]]);
}

#[test]
fn a_command_line_of_another_version_is_told_so_by_the_daemon() {
    let world = hourly();
    let mut daemon = Daemon::start(&world);
    daemon.logs("pass 1 of contacts");
    for line in ["POST /v2/sync", "GET /v2/status", "GET /", "POST /v0/pause/contacts"] {
        let (status, body) = answer(asks(&world, line, &json!({})));
        assert_eq!(status, 404, "{line}: {body}");
        assert!(
            body.contains("this daemon speaks version 1") && body.contains("use the `reconciled` that it was"),
            "{body}"
        );
    }
    // Of the same version, with more in a question than this one knows.
    for (line, body, expected) in [
        ("POST /v1/sync", json!({ "collections": [], "gently": true }), 422),
        ("POST /v1/plan", json!({ "collections": "contacts" }), 422),
        ("POST /v1/resolve", json!([]), 422),
        ("GET /v1/sync", json!({}), 405),
        ("POST /v1/forget", json!({}), 404),
    ] {
        let (status, words) = answer(asks(&world, line, &body));
        assert_eq!(status, expected, "{line}: {words}");
        assert!(serde_json::from_str::<Value>(&words).unwrap()["error"].is_string(), "{line}: {words}");
    }
    let (code, rest) = daemon.stops();
    assert_eq!((code, rest.contains("ERROR")), (Some(0), false), "{rest}");
    assert_eq!(world.rows("select count(*) from sync_pass"), [["1"]]);
}

/// Runs the program as a user that is nobody to the daemon, in no group of it.
fn as_another(world: &World, arguments: &[&str]) -> Ran {
    let program = world.path("reconciled");
    if !program.exists() {
        std::fs::copy(env!("CARGO_BIN_EXE_reconciled"), &program).unwrap();
    }
    let mut command = Command::new("setpriv");
    let own = world.command();
    command.current_dir(world.path("")).env_clear().env("PATH", std::env::var("PATH").unwrap());
    command.envs(own.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--"]).arg(program);
    Ran::of(command.args(own.get_args()).args(arguments).output().unwrap())
}

#[test]
fn another_user_may_ask_nothing_even_where_the_socket_was_opened_to_everybody() {
    let id = Command::new("id").arg("-u").output().unwrap().stdout;
    if id != b"0\n" {
        eprintln!("left out: only root can become another user");
        return;
    }
    let world = hourly();
    let mut daemon = Daemon::start(&world);
    daemon.logs("pass 1 of contacts");
    let mode = |path: PathBuf, mode| std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    mode(world.path(""), 0o755);
    for arguments in [vec!["sync"], vec!["pause", "contacts"], vec!["approve", "1"], vec!["reject", "1"]] {
        let ran = as_another(&world, &arguments).exits(1);
        let words = "this user may not ask the daemon there (permission denied): run this as user 0, root or a member of group 0";
        assert!(ran.stderr.contains(words), "{arguments:?}: {ran:#?}");
    }
    // Somebody opens it to all: the daemon looks who it is.
    mode(socket(&world), 0o666);
    for arguments in [vec!["sync"], vec!["pause", "contacts"], vec!["approve", "1"], vec!["reject", "1"]] {
        let ran = as_another(&world, &arguments).exits(1);
        let words = "the daemon refuses: user 65534 may not ask this daemon: user 0, root and members of group 0 may";
        assert!(ran.stderr.contains(words) && ran.stdout.is_empty(), "{arguments:?}: {ran:#?}");
    }
    let log = daemon.logs("is refused");
    assert!(log.contains("user 65534 (process "), "{log}");
    let status = as_another(&world, &["status"]);
    assert!(!status.stdout.contains("contacts") && status.stderr.contains("user 65534 may not ask"), "{status:#?}");
    // Its own user is not kept out by that.
    world.run(&["sync"]).exits(0);
    let doctor = world.run(&["doctor", "--offline"]).stdout;
    assert!(
        doctor.contains("daemon: everybody on this machine may open ") && doctor.contains("→ chmod 660 "),
        "{doctor}"
    );
    mode(socket(&world), 0o660);
    world.run(&["sync"]).exits(0);
    let (code, rest) = daemon.stops();
    assert_eq!((code, rest.contains("is refused")), (Some(0), false), "said once a minute at most: {rest}");
    assert_eq!(world.rows("select \"trigger\" from sync_pass order by id"), [["schedule"], ["request"], ["request"]]);
}

/// The program with a database of this world at another place.
fn elsewhere(world: &World, database: &Path) -> Command {
    let own = world.command();
    let mut command = Command::new(own.get_program());
    command.current_dir(world.path("")).env_clear();
    command.envs(own.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.arg("--db").arg(database).arg("--rules").arg(world.path("rules"));
    command
}

#[test]
fn a_daemon_is_asked_however_long_the_path_of_its_database_is_and_too_long_a_name_is_told() {
    let world = hourly();
    let folder = world.path(&"x".repeat(200)).join("y".repeat(100));
    std::fs::create_dir_all(&folder).unwrap();
    let database = folder.join("data.db");
    let asks = |arguments: &[&str]| Ran::of(elsewhere(&world, &database).args(arguments).output().unwrap());
    let mut command = elsewhere(&world, &database);
    command.arg("run").stdin(Stdio::null()).stdout(Stdio::null());
    let mut daemon = Daemon::of(command);
    daemon.logs("pass 1 of contacts");
    while !folder.join("data.db.sock").exists() {
        std::thread::yield_now();
    }
    asks(&["sync"]).exits(0);
    daemon.logs("pass 2 of contacts");
    let status: Value = serde_json::from_str(&asks(&["--json", "status"]).exits(0).stdout).unwrap();
    assert_eq!(status["daemon"]["not_served"], json!([]));
    assert_eq!(status["collections"][0]["last_pass"]["trigger"], "request");
    let doctor = asks(&["doctor", "--offline"]).stdout;
    assert!(doctor.contains(&format!("answers behind {}.sock", database.display())), "{doctor}");
    assert_eq!(daemon.stops().0, Some(0));
    assert!(!folder.join("data.db.sock").exists(), "it is taken away");
    let named = elsewhere(&world, &folder.join("n".repeat(150))).args(["doctor", "--offline"]).output().unwrap();
    let said = String::from_utf8(named.stdout).unwrap();
    assert!(said.contains("whether one runs cannot be told") && said.contains("too long for a socket"), "{said}");
}

#[test]
fn something_in_the_place_of_the_control_socket_is_left_alone_and_once_it_is_gone_the_daemon_is_asked() {
    let world = hourly();
    std::fs::write(socket(&world), "somebody's").unwrap();
    let mut daemon = Daemon::start(&world);
    let mut said = daemon.logs("of contacts");
    if !said.contains("no control socket") {
        said.push_str(&daemon.logs("no control socket"));
    }
    assert!(said.contains("no socket has this name; it is tried again every 10 s"), "{said}");
    assert_eq!(std::fs::read_to_string(socket(&world)).unwrap(), "somebody's");
    std::fs::remove_file(socket(&world)).unwrap();
    while UnixStream::connect(socket(&world)).is_err() {
        std::thread::yield_now();
    }
    world.run(&["sync"]).exits(0);
    assert_eq!(world.status()["daemon"]["not_served"], json!([]));
    assert_eq!(daemon.stops().0, Some(0));
    assert_eq!(world.rows("select \"trigger\" from sync_pass order by id"), [["schedule"], ["request"]]);
}

#[test]
fn what_is_not_the_daemons_own_in_the_place_of_the_control_socket_outlives_it() {
    let world = hourly();
    let without_socket = || {
        let mut daemon = Daemon::start(&world);
        daemon.logs("no control socket");
        assert_eq!(daemon.stops().0, Some(0));
    };
    std::fs::write(socket(&world), "somebody's").unwrap();
    without_socket();
    assert_eq!(std::fs::read_to_string(socket(&world)).unwrap(), "somebody's");
    std::fs::remove_file(socket(&world)).unwrap();
    let _other = UnixListener::bind(socket(&world)).unwrap();
    without_socket();
    UnixStream::connect(socket(&world)).expect("it is still the other one's");
}

#[test]
fn a_file_that_has_taken_the_place_of_the_control_socket_is_not_removed_by_the_daemon() {
    let world = hourly();
    let mut daemon = Daemon::start(&world);
    daemon.logs("of contacts");
    while !socket(&world).exists() {
        std::thread::yield_now();
    }
    world.run(&["sync"]).exits(0);
    std::fs::write(world.path("other"), "somebody's").unwrap();
    std::fs::rename(world.path("other"), socket(&world)).unwrap();
    assert_eq!(daemon.stops().0, Some(0));
    assert_eq!(std::fs::read_to_string(socket(&world)).unwrap(), "somebody's");
}
