//! A daemon that lives long: edits on every side, webhooks, upstreams that fail, rules that are touched, signals and kills.
//!
//! For a few seconds, or for as many as `RECONCILED_SOAK_SECONDS` says; `tests/run --soak MINUTES` sets it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use reconciled::sandbox::{Fault, Matcher};
use serde_json::json;

use crate::webhooks::{Hook, post, with_hooks};
use crate::world::World;

const CONTACTS: usize = 300;
/// So long the next act waits for a pass to end.
const BEAT: Duration = Duration::from_millis(700);
/// Memory may grow by so much from the first measurement of a life to its last, in KiB: caches fill.
const GROWTH_MAX: u64 = 12 * 1024;
/// Descriptors that may be open at once.
const OPEN_MAX: usize = 64;
/// Acts between two kills, so that a life is long enough to be measured.
const LIFE: u64 = 240;
/// A measurement counts once a life is so old, in acts.
const SETTLED: u64 = 60;

/// Numbers that are the same each time.
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

/// One process's life.
struct Life {
    child: Child,
    lines: Receiver<String>,
    /// Where webhooks go.
    hooks: SocketAddr,
    acts: u64,
    first: Option<u64>,
    last: u64,
    open: usize,
}

impl Life {
    fn begin(world: &World) -> Self {
        let mut command = world.command();
        command.env("RECONCILED__WEBHOOKS__LISTEN", "127.0.0.1:0").arg("run");
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let log = BufReader::new(child.stderr.take().unwrap());
        let (tell, lines) = channel();
        std::thread::spawn(move || log.lines().map_while(Result::ok).for_each(|line| drop(tell.send(line))));
        let mut life =
            Self { child, lines, hooks: SocketAddr::from(([127, 0, 0, 1], 0)), acts: 0, first: None, last: 0, open: 0 };
        let line = life.until("webhooks come to http://");
        let (_, rest) = line.split_once("webhooks come to http://").unwrap();
        life.hooks = rest.split_once('/').unwrap().0.parse().unwrap();
        life
    }

    fn until(&mut self, words: &str) -> String {
        self.lines.iter().find(|line| line.contains(words)).unwrap_or_else(|| panic!("it ended without {words}"))
    }

    /// A pass ends, or nothing happens for a while.
    fn beat(&mut self) {
        while let Ok(line) = self.lines.recv_timeout(BEAT) {
            assert!(!line.contains("panicked"), "{line}");
            if line.contains("pass ") {
                return;
            }
        }
    }

    fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([&format!("-{name}"), &pid]).status().unwrap().success());
    }

    fn measure(&mut self) {
        self.acts += 1;
        let pid = self.child.id();
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        self.last = line.split_whitespace().nth(1).unwrap().parse().unwrap();
        if self.acts == SETTLED {
            self.first = Some(self.last);
        }
        self.open = self.open.max(std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count());
    }

    /// What it came to, and whether that is flat.
    fn end(mut self, how: &str) -> String {
        self.signal(how);
        self.child.wait().unwrap();
        let first = self.first.unwrap_or(self.last);
        assert!(self.open <= OPEN_MAX, "{} descriptors", self.open);
        assert!(self.last <= first + GROWTH_MAX, "memory grew from {first} to {} KiB", self.last);
        format!("{} acts, {first} → {} KiB, {} descriptors", self.acts, self.last, self.open)
    }
}

/// Everything that somebody said, by contact: the name is said here, the phone at crm.
#[derive(Default)]
struct Said {
    names: BTreeMap<String, String>,
    phones: BTreeMap<String, String>,
    serial: u64,
}

/// What happens next.
fn act(world: &World, life: &Life, ids: &[String], said: &mut Said, chance: &mut Chance) {
    said.serial += 1;
    let serial = said.serial;
    let nth = usize::try_from(chance.below(ids.len() as u64)).unwrap();
    let email = format!("p{nth}@x.io");
    let upstream = if chance.below(2) == 0 { "crm" } else { "erp" };
    let fault = |fault: Fault| {
        world.at(upstream, |one| one.push_fault(Matcher::any(), fault));
    };
    match chance.below(20) {
        0..=6 => {
            let name = format!("name {serial}");
            world.sql(&format!("update contacts set name = '{name}' where email = '{email}'"));
            said.names.insert(email, name);
        }
        7..=13 => {
            let phone = format!("{serial}");
            world.edit("crm", &ids[nth], &json!({ "phone": phone }));
            said.phones.insert(email, phone);
            // Some webhooks are lost.
            if chance.below(3) > 0 {
                assert_eq!(post(life.hooks, &Hook::about(&format!("m{serial}"), &ids[nth])), 200);
            }
        }
        14 => fault(Fault::status(503)),
        15 => fault(Fault::LostResponseAfterCommit),
        16 => fault(Fault::LostRequestBeforeCommit),
        17 => fault(Fault::throttled("1")),
        18 => world.change_rules("rules.toml", |rules| format!("{rules}# {serial}\n")),
        _ => life.signal(if chance.below(2) == 0 { "HUP" } else { "USR1" }),
    }
}

#[test]
#[expect(clippy::disallowed_methods, reason = "how long it goes on is a matter of the clock")]
fn soak() {
    let seconds = std::env::var("RECONCILED_SOAK_SECONDS").map_or(8, |text| text.parse().unwrap());
    let world = World::with_contacts(&["crm", "erp"], |_, _| {});
    world.change_rules("rules.toml", |rules| {
        rules.replace("[collection.contacts]", "[collection.contacts]\nevery = \"20s\"")
    });
    with_hooks(&world);
    let person = |nth: usize| json!({ "email": format!("p{nth}@x.io"), "name": "P", "phone": "0" });
    let ids: Vec<String> = (0..CONTACTS).map(|nth| world.add("crm", &person(nth))).collect();
    world.sync().exits(0);
    let (mut said, mut chance) = (Said::default(), Chance(1));
    let began = std::time::Instant::now();
    let mut life = Life::begin(&world);
    let mut lives = String::new();
    while began.elapsed() < Duration::from_secs(seconds) {
        act(&world, &life, &ids, &mut said, &mut chance);
        life.beat();
        life.measure();
        if life.acts >= LIFE {
            let how = if chance.below(2) == 0 { "KILL" } else { "TERM" };
            writeln!(lives, "{how} after {}", life.end(how)).unwrap();
            life = Life::begin(&world);
        }
        // Of what was asked nobody wants to know.
        world.forget_requests();
    }
    writeln!(lives, "TERM after {}", life.end("TERM")).unwrap();
    for name in ["crm", "erp"] {
        world.at(name, reconciled::sandbox::Sandbox::clear_faults);
    }
    for _ in 0..4 {
        world.full_sync();
    }
    world.is_quiet();
    let passes = world.rows("select count(*) from sync_pass").concat();
    let read = "select count(*) from sync_pass where counts ->> '$.upstreams[0].read' = 'targeted'";
    println!("{} edits, {passes:?} passes, {:?} of them targeted\n{lives}", said.serial, world.rows(read).concat());
    for upstream in ["crm", "erp"] {
        let there = world.contacts(upstream);
        assert_eq!(there.len(), CONTACTS, "at {upstream}");
        for one in there {
            let email = one["email"].as_str().unwrap();
            let name = said.names.get(email).map_or("P", String::as_str);
            let phone = said.phones.get(email).map_or("0", String::as_str);
            assert_eq!((&one["name"], &one["phone"]), (&json!(name), &json!(phone)), "{email} at {upstream}");
        }
    }
    assert_eq!(world.rows("PRAGMA integrity_check"), [["ok"]]);
}
