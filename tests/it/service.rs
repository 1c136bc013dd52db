//! The daemon and its service manager, by the real protocols: what it is told, the sockets and credentials that it passes.

use std::collections::BTreeSet;
use std::fs::Permissions;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixDatagram;
use std::process::{Command, Stdio};

use http::Method;
use reconciled::sandbox::{Fault, Matcher};

use crate::daemon::{Daemon, PATIENCE, add, hourly};
use crate::world::World;

/// A service manager's end of the socket that a service tells it things by.
struct Manager {
    socket: UnixDatagram,
}

impl Manager {
    fn listen(world: &World) -> (Self, Vec<(&'static str, String)>) {
        let path = world.path("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let environment = vec![("NOTIFY_SOCKET", path.display().to_string()), ("WATCHDOG_USEC", "6000000".to_owned())];
        (Self { socket }, environment)
    }

    fn next(&self) -> String {
        let mut bytes = [0; 4096];
        let length = self.socket.recv(&mut bytes).unwrap();
        String::from_utf8(bytes[..length].to_vec()).unwrap()
    }

    /// All that is told up to a message with these words; beats of the watchdog are left out.
    fn hears(&self, words: &str) -> Vec<String> {
        let mut all = Vec::new();
        loop {
            let message = self.next();
            let is_it = message.contains(words);
            if !message.starts_with("WATCHDOG=1") || is_it {
                all.push(message.trim_end().to_owned());
            }
            if is_it {
                return all;
            }
        }
    }
}

#[test]
fn the_service_manager_hears_that_it_is_up_what_it_does_that_it_lives_reloads_and_stops() {
    let world = hourly();
    let (manager, environment) = Manager::listen(&world);
    let mut daemon = Daemon::start_with(&world, &environment);
    assert_eq!(manager.next().trim_end(), "READY=1");
    daemon.logs("pass 1 of contacts");
    let told = manager.hears("STATUS=idle; contacts is due at ");
    assert!(told.iter().any(|one| one.starts_with("STATUS=contacts: ")), "{told:?}");
    manager.hears("WATCHDOG=1");
    manager.hears("WATCHDOG=1");
    daemon.signal("HUP");
    let told = manager.hears("READY=1");
    assert!(told[0].starts_with("RELOADING=1\nMONOTONIC_USEC="), "{told:?}");
    daemon.signal("TERM");
    let told = manager.hears("STOPPING=1");
    assert!(told.last().unwrap().contains("EXTEND_TIMEOUT_USEC=30000000"), "{told:?}");
    assert_eq!(daemon.ends().0, Some(0));
}

#[test]
fn f10_a_daemon_that_waits_for_a_lock_of_another_program_is_told_to_live() {
    let world = hourly();
    let (manager, mut environment) = Manager::listen(&world);
    environment.push(("RECONCILED__BUSY_TIMEOUT", "1h".to_owned()));
    let mut daemon = Daemon::start_with(&world, &environment);
    daemon.logs("pass 1 of contacts");
    let other = rusqlite::Connection::open(world.database()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    // The table of a new field is made before the rules come into force.
    world.change_rules("rules.toml", |rules| rules.replace("phone = \"text\"", "phone = \"text\"\nfax = \"text\""));
    daemon.signal("HUP");
    manager.hears("RELOADING=1");
    for _ in 0..3 {
        assert_eq!(manager.next().trim_end(), "WATCHDOG=1");
    }
    other.execute_batch("ROLLBACK").unwrap();
    manager.hears("READY=1");
    daemon.logs("read anew");
    // A person's word waits as well, and the loop goes on meanwhile.
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let pause = world.command().args(["pause", "contacts"]).stdout(Stdio::null()).spawn().unwrap();
    daemon.logs("asks: /v1/pause/contacts");
    daemon.signal("USR2");
    daemon.logs("contacts: pass 1 (schedule) of ");
    other.execute_batch("ROLLBACK").unwrap();
    assert!(pause.wait_with_output().unwrap().status.success());
    daemon.logs("contacts is paused");
    daemon.signal("TERM");
    assert_eq!(daemon.ends().0, Some(0));
}

#[test]
fn f10_a_stop_does_not_wait_for_a_lock_of_another_program() {
    let world = hourly();
    let (manager, mut environment) = Manager::listen(&world);
    environment.push(("RECONCILED__BUSY_TIMEOUT", "1h".to_owned()));
    environment.push(("RECONCILED__DRAIN_TIMEOUT", "1h".to_owned()));
    let mut daemon = Daemon::start_with(&world, &environment);
    daemon.logs("pass 1 of contacts");
    let other = world.db();
    other.execute_batch("begin immediate").unwrap();
    assert_eq!(daemon.stops().0, Some(0), "it did nothing");
    other.execute_batch("rollback").unwrap();

    manager.hears("STOPPING=1");
    let mut daemon = Daemon::start_with(&world, &environment);
    manager.hears("READY=1");
    other.execute_batch("begin immediate").unwrap();
    let mut sync = world.command().args(["sync"]).stderr(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
    daemon.logs("asks: /v1/sync");
    daemon.signal("TERM");
    daemon.logs("stopping: the pass under way may take 3600 more seconds");
    daemon.signal("TERM");
    assert_eq!(daemon.ends().0, Some(1), "a pass was cut short");
    assert!(!sync.wait().unwrap().success());
    other.execute_batch("rollback").unwrap();
    world.sync().exits(0);
}

#[test]
fn a_service_that_has_to_finish_a_pass_says_how_long_that_may_take() {
    let world = hourly();
    let slow = Fault::Slow { delay_ms: 1500, bytes_per_chunk: 0 };
    world.at("crm", |crm| crm.push_fault(Matcher::exactly(Method::GET, "/contacts"), slow.clone()));
    let (manager, environment) = Manager::listen(&world);
    let mut daemon = Daemon::start_with(&world, &environment);
    manager.hears("STATUS=contacts: a pass begins");
    world.change_rules("rules.toml", |rules| rules.replace("every = \"1h\"", "every = \"2h\""));
    daemon.signal("HUP");
    // The pass goes on by the rules that it began with; the manager waits for it.
    let told = manager.hears("READY=1");
    assert!(told[0].starts_with("RELOADING=1"), "{told:?}");
    assert!(daemon.logs("read anew").contains("pass 1 of contacts"), "after the pass");
    world.at("crm", |crm| crm.push_fault(Matcher::exactly(Method::GET, "/contacts"), slow));
    daemon.signal("USR1");
    manager.hears("STATUS=contacts: a pass begins");
    daemon.signal("TERM");
    let told = manager.hears("STOPPING=1");
    assert!(told.last().unwrap().contains("EXTEND_TIMEOUT_USEC=50000000"), "drain_timeout and more: {told:?}");
    daemon.logs("pass 2 of contacts");
    assert_eq!(daemon.ends().0, Some(0));
}

/// Runs the daemon with these as its sockets 3 and 4, as a service manager would; `pid` is what the shell makes of it.
fn with_sockets(world: &World, pid: &str, names: &str, [third, fourth]: [OwnedFd; 2], more: &[(&str, &str)]) -> Daemon {
    let daemon = world.command();
    let mut command = Command::new("sh");
    let script = format!("exec 3<&0 4>&1 </dev/null >/dev/null; export LISTEN_PID={pid}; exec \"$@\"");
    command.env_clear().current_dir(world.path(""));
    command.envs(daemon.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.envs([("LISTEN_FDS", "2"), ("LISTEN_FDNAMES", names), ("RECONCILED_SECRET_WEB_TOKEN", "0123456789abcdef")]);
    command.envs(more.iter().copied());
    command.arg("-c").arg(script).arg("sh").arg(daemon.get_program()).args(daemon.get_args()).arg("run");
    command.stdin(Stdio::from(third)).stdout(Stdio::from(fourth));
    Daemon::of(command)
}

fn bound() -> (SocketAddr, OwnedFd) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    (listener.local_addr().unwrap(), listener.into())
}

/// A question on a connection that is made before anybody listens to it.
fn asked(address: SocketAddr, line: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let head = format!("{line} HTTP/1.1\r\nHost: {address}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    stream
}

/// The status that it is answered with; nothing where it is closed without.
fn status(mut stream: TcpStream) -> Option<u16> {
    let mut answer = String::new();
    let _reset = stream.read_to_string(&mut answer);
    answer.split(' ').nth(1).map(|status| status.parse().unwrap())
}

#[test]
fn sockets_that_the_manager_opened_are_served_and_nothing_that_waited_there_is_lost() {
    let world = hourly();
    let ((web, web_socket), (hooks, hooks_socket)) = (bound(), bound());
    let (early, hook) = (asked(web, "GET /healthz"), asked(hooks, "POST /webhooks/nobody"));
    let elsewhere = [("RECONCILED__WEB__LISTEN", "127.0.0.1:0")];
    let mut daemon = with_sockets(&world, "$$", "webhooks:web", [hooks_socket, web_socket], &elsewhere);
    assert_eq!((status(early), status(hook)), (Some(200), Some(404)));
    assert_eq!(status(asked(web, "GET /metrics")), Some(401));
    let said = daemon.logs("pass 1 of contacts");
    assert!(said.contains("`web.listen` is not used"), "{said}");
    assert!(!said.contains("`webhooks.listen`") && !said.contains("nothing is served there"), "{said}");
    let (code, rest) = daemon.stops();
    assert_eq!((code, rest.contains("ERROR")), (Some(0), false), "{rest}");
    assert!(TcpStream::connect(web).is_err(), "nothing listens any more");
}

#[test]
fn sockets_that_are_meant_for_another_process_are_left_alone() {
    for pid in ["1", "''", "x"] {
        let world = hourly();
        let ((web, web_socket), (hooks, hooks_socket)) = (bound(), bound());
        let waits = asked(web, "GET /healthz");
        let own = [("RECONCILED__WEB__LISTEN", "127.0.0.1:0")];
        let mut daemon = with_sockets(&world, pid, "web:webhooks", [web_socket, hooks_socket], &own);
        let said = daemon.logs("web: http://");
        let at: SocketAddr = said.trim_end().rsplit("http://").next().unwrap().parse().unwrap();
        assert!(at != web && at != hooks, "{said}");
        assert_eq!(status(asked(at, "GET /healthz")), Some(200));
        assert!(!daemon.stops().1.contains("service manager"), "LISTEN_PID={pid}");
        assert_eq!(status(waits), None);
    }
}

#[test]
fn sockets_of_unknown_names_and_those_that_do_not_listen_are_told() {
    let world = hourly();
    let ((stray, stray_socket), (peer, accepts)) = (bound(), bound());
    let connected = TcpStream::connect(peer).unwrap();
    let mut daemon = with_sockets(&world, "$$", "wbe:web", [stray_socket, connected.into()], &[]);
    let said = daemon.logs("pass 1 of contacts");
    let unknown = "socket 3 of the service manager, `wbe`: nothing is served there; write FileDescriptorName=web or";
    let connection = "socket 4 of the service manager, `web`: it is a connection; write Accept=no in its unit";
    assert!(said.contains(unknown) && said.contains(connection), "{said}");
    assert!(TcpStream::connect(stray).is_err(), "nobody waits there in vain");
    drop(accepts);
    // No socket at all, and one without a name.
    let world = hourly();
    let (_, nameless) = bound();
    let file = std::fs::File::open(world.path("rules/rules.toml")).unwrap();
    let mut daemon = with_sockets(&world, "$$", "webhooks", [file.into(), nameless], &[]);
    let said = daemon.logs("pass 1 of contacts");
    assert!(said.contains("socket 3 of the service manager, `webhooks`: fd 3 is not a socket"), "{said}");
    assert!(said.contains("socket 4 of the service manager, `unknown`: nothing is served there"), "{said}");
    assert_eq!(daemon.stops().0, Some(0));
}

/// Each of these wakes the loop more often than it has to be heard of.
#[test]
fn f10_a_daemon_that_always_has_something_to_do_feeds_the_watchdog_all_the_same() {
    let world = hourly();
    let (manager, environment) = Manager::listen(&world);
    let mut daemon = Daemon::start_with(&world, &environment);
    daemon.logs("pass 1 of contacts");
    let mut beats = 0;
    for _ in 0..4_000 {
        let paused = world.command().args(["pause", "contacts"]).stderr(Stdio::null()).stdout(Stdio::null()).status();
        assert!(paused.unwrap().success());
        manager.socket.set_nonblocking(true).unwrap();
        let mut bytes = [0; 4096];
        while let Ok(length) = manager.socket.recv(&mut bytes) {
            beats += usize::from(String::from_utf8_lossy(&bytes[..length]).contains("WATCHDOG=1"));
        }
        if beats >= 3 {
            break;
        }
    }
    assert!(beats >= 3, "{beats}");
    assert_eq!(daemon.stops().0, Some(0));
}

#[test]
fn a_watchdog_that_is_meant_for_another_process_is_not_fed() {
    let world = hourly();
    let (manager, mut environment) = Manager::listen(&world);
    environment.push(("WATCHDOG_PID", "1".to_owned()));
    let mut daemon = Daemon::start_with(&world, &environment);
    manager.hears("STATUS=idle");
    // Rules that were edited are noticed at a beat, and not at the first one.
    world.change_rules("rules.toml", |rules| rules.replace("every = \"1h\"", "every = \"2h\""));
    daemon.logs("they have changed");
    daemon.signal("TERM");
    manager.socket.set_nonblocking(true).unwrap();
    assert_eq!(daemon.ends().0, Some(0));
    let told = std::iter::from_fn(|| {
        let mut bytes = [0; 4096];
        let length = manager.socket.recv(&mut bytes).ok()?;
        Some(String::from_utf8_lossy(&bytes[..length]).into_owned())
    });
    let told: Vec<String> = told.collect();
    assert!(told.iter().any(|one| one.starts_with("STOPPING=1")), "{told:?}");
    assert!(!told.iter().any(|one| one.contains("WATCHDOG")), "{told:?}");
}

#[test]
fn secrets_come_from_the_credentials_of_the_service_and_are_read_anew_with_the_rules() {
    let world = hourly();
    world.change_rules("rules.toml", |rules| {
        let auth = "[upstream.crm.auth]\nkind = \"api_key\"\nheader = \"x-key\"\nvalue = \"${secret.crm_token}\"\n[binding.contacts.crm]";
        rules.replace("[binding.contacts.crm]", auth)
    });
    let folder = world.path("credentials");
    std::fs::create_dir(&folder).unwrap();
    let put = |token: &str| {
        // As the manager passes them: nobody may write them.
        let file = folder.join("crm_token");
        std::fs::remove_file(&file).ok();
        std::fs::write(&file, token).unwrap();
        std::fs::set_permissions(&file, Permissions::from_mode(0o400)).unwrap();
    };
    let environment = [
        ("CREDENTIALS_DIRECTORY", folder.display().to_string()),
        ("RECONCILED_SECRET_CRM_TOKEN", "canary-of-the-environment".to_owned()),
        ("RECONCILED_LOG", "trace".to_owned()),
    ];
    let sent = || {
        let all = world
            .at("crm", |crm| crm.requests().map(|request| request.headers["x-key"].clone()).collect::<BTreeSet<_>>());
        world.forget_requests();
        Vec::from_iter(all)
    };
    put("canary-first\n");
    let mut daemon = Daemon::start_with(&world, &environment);
    let mut log = daemon.logs("pass 1 of contacts");
    assert_eq!(sent(), ["canary-first"]);
    put("canary-second");
    daemon.signal("HUP");
    log += &daemon.logs("rules and secrets were read anew");
    daemon.signal("USR1");
    log += &daemon.logs("pass 2 of contacts");
    assert_eq!(sent(), ["canary-second"]);
    let (code, rest) = daemon.stops();
    log += &rest;
    assert_eq!((code, log.contains("canary-")), (Some(0), false), "{log}");
}

#[test]
fn the_service_manager_sees_how_far_a_pass_has_come() {
    let world = hourly();
    add(&world, "bob@x.io");
    let (manager, environment) = Manager::listen(&world);
    let mut daemon = Daemon::start_with(&world, &environment);
    daemon.logs("pass 1 of contacts");
    manager.hears("STATUS=idle");
    let slow = Fault::Slow { delay_ms: 3000, bytes_per_chunk: 0 };
    // One of the two that are sent side by side.
    world.at("crm", |crm| crm.push_fault(Matcher::of(Method::PATCH, "/"), slow));
    world.sql("update contacts set phone = '2'");
    let told = manager.hears("STATUS=idle");
    assert!(told.iter().any(|one| one == "STATUS=contacts: 1 of 2 writes sent to crm"), "{told:?}");
    assert_eq!(daemon.stops().0, Some(0));
}

#[test]
fn a_drain_of_hours_is_asked_for_in_full_and_a_second_stop_ends_it_at_once() {
    let world = hourly();
    let (manager, mut environment) = Manager::listen(&world);
    environment.push(("RECONCILED__DRAIN_TIMEOUT", "3h".to_owned()));
    let mut daemon = Daemon::start_with(&world, &environment);
    daemon.logs("pass 1 of contacts");
    let endless = Fault::Slow { delay_ms: 3_600_000, bytes_per_chunk: 0 };
    world.at("crm", |crm| crm.push_fault(Matcher::exactly(Method::GET, "/contacts"), endless));
    world.forget_requests();
    daemon.signal("USR1");
    while world.at("crm", |crm| crm.requests().count() == 0) {
        std::thread::yield_now();
    }
    daemon.signal("TERM");
    let told = manager.hears("STOPPING=1");
    // Three hours and half a minute: more than 32 bits of microseconds.
    assert!(told.last().unwrap().contains("EXTEND_TIMEOUT_USEC=10830000000"), "{told:?}");
    daemon.logs("stopping: the pass under way may take 10800 more seconds");
    manager.hears("WATCHDOG=1");
    daemon.signal("TERM");
    let (code, rest) = daemon.ends();
    assert_eq!(code, Some(1), "{rest}");
    assert!(rest.contains("stopped at once by a second signal; the pass under way was cut short"), "{rest}");
}

#[test]
fn the_master_key_of_the_vault_comes_from_the_credentials_of_the_service() {
    let world = hourly();
    world.change_rules("rules.toml", |rules| {
        let auth = "[upstream.crm.auth]\nkind = \"api_key\"\nheader = \"x-key\"\nvalue = \"${secret.crm_token}${secret.suffix}\"\n[binding.contacts.crm]";
        rules.replace("[binding.contacts.crm]", auth)
    });
    let keep = |value: &str| {
        let mut command = world.command();
        let mut keep = command.args(["secret", "set", "crm_token"]).stdin(Stdio::piped()).spawn().unwrap();
        keep.stdin.take().unwrap().write_all(value.as_bytes()).unwrap();
        assert!(keep.wait().unwrap().success());
    };
    keep("canary-sealed");
    // The key that was made goes where `LoadCredential=` puts it; nothing is left of it in the folder of secrets.
    let folder = world.path("credentials");
    std::fs::create_dir(&folder).unwrap();
    std::fs::rename(world.path("secrets/master_key"), folder.join("master_key")).unwrap();
    std::fs::remove_dir_all(world.path("secrets")).unwrap();
    std::fs::write(folder.join("suffix"), "-and-passed\n").unwrap();
    for name in ["master_key", "suffix"] {
        std::fs::set_permissions(folder.join(name), Permissions::from_mode(0o400)).unwrap();
    }
    // Without it nothing starts, and what is missing is named.
    let refused = world.run(&["run", "--once"]).exits(1);
    assert!(refused.stderr.contains("its master key") && refused.stderr.contains("is missing"), "{refused:#?}");
    let environment = [("CREDENTIALS_DIRECTORY", folder.display().to_string()), ("RECONCILED_LOG", "trace".to_owned())];
    let mut daemon = Daemon::start_with(&world, &environment);
    let mut log = daemon.logs("pass 1 of contacts");
    let sent: BTreeSet<String> =
        world.at("crm", |crm| crm.requests().map(|request| request.headers["x-key"].clone()).collect());
    assert_eq!(Vec::from_iter(sent), ["canary-sealed-and-passed"]);
    let (code, rest) = daemon.stops();
    log += &rest;
    assert_eq!((code, log.contains("canary-")), (Some(0), false), "{log}");
}
