//! The daemon and its service manager, by the real protocols: what it is told, the sockets and credentials that it passes.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::process::{Command, Stdio};

use http::Method;
use reconciled::sandbox::{Fault, Matcher};

use crate::daemon::{Daemon, PATIENCE, hourly};
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
        let environment = vec![("NOTIFY_SOCKET", path.display().to_string()), ("WATCHDOG_USEC", "60000000".to_owned())];
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
fn a_service_that_has_to_finish_a_pass_says_how_long_that_may_take() {
    let world = hourly();
    let slow = Fault::Slow { delay_ms: 1500, bytes_per_chunk: 0 };
    world.at("crm", |crm| crm.push_fault(Matcher::exactly(Method::GET, "/contacts"), slow.clone()));
    let (manager, environment) = Manager::listen(&world);
    let mut daemon = Daemon::start_with(&world, &environment);
    manager.hears("STATUS=contacts: a pass begins");
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
