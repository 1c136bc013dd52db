//! One process, from its start to the signal that ends it.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::daemon::PATIENCE;
use crate::web::{TOKEN, between, browse};
use crate::world::World;

use super::figures::{Figures, Sample};

/// How long a rest waits until descriptors are as few as they were.
const CLOSED_WITHIN: Duration = Duration::from_secs(5);

/// A time that goes on.
#[derive(Clone, Copy)]
pub struct Watch(Instant);

impl Watch {
    /// From now on.
    #[expect(clippy::disallowed_methods, reason = "how long a soak goes on is a matter of the clock")]
    pub fn begin() -> Self {
        Self(Instant::now())
    }

    /// How long it has gone on.
    pub fn elapsed(self) -> Duration {
        self.0.elapsed()
    }
}

/// One process's life.
pub struct Life {
    child: Child,
    lines: Receiver<String>,
    /// Where webhooks go.
    pub hooks: SocketAddr,
    /// Where pages are.
    pub pages: String,
    /// The session of whoever looks at them.
    pub cookie: String,
    /// Pages that are open and listen.
    pub open_pages: Vec<TcpStream>,
    born: Watch,
    passes: u64,
    memory: Vec<Sample>,
    at_rest: Vec<usize>,
    kept_max: usize,
    open_max: usize,
    /// Where upstreams listen, as the kernel writes it.
    upstreams: Vec<String>,
}

impl Life {
    /// Starts the daemon, and waits until it has made a pass and is at rest.
    pub fn begin(world: &World) -> Self {
        let mut command = world.command();
        command
            .env("RECONCILED__WEBHOOKS__LISTEN", "127.0.0.1:0")
            .env("RECONCILED__WEB__LISTEN", "127.0.0.1:0")
            .env("RECONCILED_SECRET_WEB_TOKEN", TOKEN)
            .arg("run");
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let log = BufReader::new(child.stderr.take().unwrap());
        let (tell, lines) = channel();
        std::thread::spawn(move || log.lines().map_while(Result::ok).for_each(|line| drop(tell.send(line))));
        let mut life = Self {
            child,
            lines,
            hooks: SocketAddr::from(([127, 0, 0, 1], 0)),
            pages: String::new(),
            cookie: String::new(),
            open_pages: Vec::new(),
            born: Watch::begin(),
            passes: 0,
            memory: Vec::new(),
            at_rest: Vec::new(),
            kept_max: 0,
            open_max: 0,
            upstreams: world.names().iter().map(|name| port(&world.url(name))).collect(),
        };
        while life.pages.is_empty() || life.hooks.port() == 0 {
            let line = life.line(PATIENCE).expect("it says where it listens");
            if let Some((_, address)) = line.split_once("web: http://") {
                address.trim_end().clone_into(&mut life.pages);
            } else if let Some((_, rest)) = line.split_once("webhooks come to http://") {
                life.hooks = rest.split_once('/').unwrap().0.parse().unwrap();
            }
        }
        let (_, head, _) = browse(&life.pages, "", "/login", Some(&format!("token={TOKEN}")));
        between(&head, "set-cookie: ", ";").clone_into(&mut life.cookie);
        life.rests(world);
        life
    }

    /// The next line that it logs.
    fn line(&mut self, patience: Duration) -> Option<String> {
        let line = self.lines.recv_timeout(patience).ok()?;
        assert!(!line.contains("panicked"), "{line}");
        self.passes += u64::from(line.contains(": pass "));
        tell(&line);
        Some(line)
    }

    /// Waits for a line with these words.
    pub fn until(&mut self, words: &str) {
        while !self.line(PATIENCE).unwrap_or_else(|| panic!("nothing is said of {words:?}")).contains(words) {}
    }

    /// A pass ends, or nothing happens for a while.
    pub fn beat(&mut self, moment: Duration) {
        while let Some(line) = self.line(moment) {
            if line.contains("pass ") {
                return;
            }
        }
    }

    /// How old it is.
    pub fn age(&self) -> Duration {
        self.born.elapsed()
    }

    /// Sends it a signal.
    pub fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([&format!("-{name}"), &pid]).status().unwrap().success());
    }

    /// Looks at its memory and its descriptors.
    pub fn measure(&mut self) {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        let rss_kib = line.split_whitespace().nth(1).unwrap().parse().unwrap();
        self.memory.push(Sample { at_s: self.age().as_secs_f64(), rss_kib });
        let (own, kept) = self.open();
        self.open_max = self.open_max.max(own + kept);
    }

    /// Descriptors, without and of the connections to upstreams, which are kept for a while.
    fn open(&self) -> (usize, usize) {
        let kept = connections_to(self.child.id(), &self.upstreams);
        let places = std::fs::read_dir(format!("/proc/{}/fd", self.child.id())).unwrap();
        let targets = places.filter_map(|place| std::fs::read_link(place.ok()?.path()).ok());
        let (kept, own): (Vec<_>, Vec<_>) =
            targets.partition(|target| kept.iter().any(|one| target.as_os_str() == one.as_str()));
        (own.len(), kept.len())
    }

    /// Nobody looks on, no pass runs or waits: how many descriptors are open then is counted.
    pub fn rests(&mut self, world: &World) {
        self.open_pages.clear();
        let (since, mut fewest) = (Watch::begin(), usize::MAX);
        let enough = self.at_rest.first().copied().unwrap_or(usize::MAX);
        loop {
            let before = self.passes;
            self.is_idle(world);
            let (own, kept) = self.open();
            // No pass may have begun and ended meanwhile.
            self.beat(Duration::from_millis(50));
            if self.passes == before {
                fewest = fewest.min(own);
                self.kept_max = self.kept_max.max(kept);
                // What was closed at the other end is let go of in a moment.
                if fewest <= enough || since.elapsed() > CLOSED_WITHIN {
                    break;
                }
            }
            assert!(since.elapsed() < PATIENCE, "it never rests");
        }
        self.at_rest.push(fewest);
    }

    /// Waits until no pass runs or waits; nothing says that none begins then.
    pub fn is_idle(&mut self, world: &World) {
        let since = Watch::begin();
        loop {
            let contacts = standing(world)["collections"][0].clone();
            if contacts["running"] == false && (contacts["waiting"] == false || contacts["paused"] == true) {
                return;
            }
            self.beat(Duration::from_millis(20));
            assert!(since.elapsed() < PATIENCE, "a pass never ends: {contacts}");
        }
    }

    /// Ends it. What it came to.
    pub fn ends(&mut self, world: &World, how: &'static str) -> Figures {
        self.signal(how);
        let code = self.child.wait().unwrap().code();
        assert_eq!(code, if how == "KILL" { None } else { Some(0) }, "after {how}");
        while self.line(PATIENCE).is_some() {}
        if how == "TERM" {
            let log = std::fs::metadata(format!("{}-wal", world.database().display()));
            assert!(log.map_or(0, |log| log.len()) == 0, "what is committed is in the database itself");
        }
        Figures {
            how,
            length_s: self.age().as_secs_f64(),
            passes: self.passes,
            memory: std::mem::take(&mut self.memory),
            at_rest: std::mem::take(&mut self.at_rest),
            kept_max: self.kept_max,
            open_max: self.open_max,
        }
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Tells what happens as it happens, where `RECONCILED_SOAK_LOG` is set.
#[expect(clippy::print_stdout, reason = "whoever asks for it reads it")]
pub fn tell(line: &str) {
    if std::env::var_os("RECONCILED_SOAK_LOG").is_some() {
        println!("{line}");
    }
}

/// The port of an address, as `/proc/net/tcp` has it.
fn port(url: &str) -> String {
    let port: u16 = url.rsplit(':').next().unwrap().parse().unwrap();
    format!(":{port:04X}")
}

/// The sockets that lead to these ports, as links among descriptors name them.
fn connections_to(pid: u32, ports: &[String]) -> Vec<String> {
    let table = std::fs::read_to_string(format!("/proc/{pid}/net/tcp")).unwrap();
    let inode = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let leads_there = ports.iter().any(|port| words.get(2).is_some_and(|remote| remote.ends_with(port.as_str())));
        leads_there.then(|| format!("socket:[{}]", words.get(9).copied().unwrap_or_default()))
    };
    table.lines().filter_map(inode).collect()
}

/// How the daemon says that it stands.
pub fn standing(world: &World) -> Value {
    let (path, since) = (format!("{}.sock", world.database().display()), Watch::begin());
    // One that has just been started has none yet, or that of the one before.
    let mut stream = loop {
        match UnixStream::connect(&path) {
            Ok(stream) => break stream,
            Err(error) => assert!(since.elapsed() < PATIENCE, "{error}"),
        }
        std::thread::yield_now();
    };
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(b"GET /v1/standing HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap()
}
