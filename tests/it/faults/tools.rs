//! What the tests of faults share: the program below another one (strace, a mount namespace, a limit), a file system of its
//! own that goes when the test ends, a world with much to do, and what must hold after any fault.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use reconciled::sandbox::{Idempotency, ResourceConfig};
use serde_json::{Value, json};

use crate::world::{Ran, World};

/// Whether a test that needs this is left out by name (`strace` or `mount`); it says so. Where it is not, and the machine
/// does not have it, the test fails.
#[expect(clippy::print_stderr, reason = "what is left out is said")]
pub fn is_left_out(what: &str) -> bool {
    let without = std::env::var("RECONCILED_TESTS_WITHOUT").unwrap_or_default();
    let left_out = without.split(',').any(|one| one.trim() == what);
    if left_out {
        eprintln!("left out: it needs {what}, and RECONCILED_TESTS_WITHOUT names that");
    }
    left_out
}

/// The world's program, run by another one.
pub fn below(world: &World, runner: &str, options: &[&str], arguments: &[&str]) -> Command {
    let mut program = world.command();
    program.args(arguments);
    under(&program, runner, options)
}

/// A program, run by another one.
fn under(program: &Command, runner: &str, options: &[&str]) -> Command {
    let mut command = Command::new(runner);
    command.current_dir(program.get_current_dir().unwrap()).env_clear().env("PATH", std::env::var("PATH").unwrap());
    command.envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.args(options).arg(program.get_program()).args(program.get_args());
    command
}

/// Runs the program with system calls that fail, or kill it: `pwrite64:signal=KILL:when=7`. Calls are counted per thread.
/// It ends by itself, or after a minute (with 124).
pub fn with_injected(world: &World, inject: &str, arguments: &[&str]) -> Ran {
    let mut program = world.command();
    program.args(arguments);
    injected(&program, inject)
}

/// The same of this program.
pub fn injected(program: &Command, inject: &str) -> Ran {
    let calls = inject.split(':').next().unwrap();
    let (trace, inject) = (format!("trace={calls}"), format!("inject={inject}"));
    let strace = ["-k", "5", "60", "strace", "-f", "-qqq", "-o", "/dev/null"];
    let options: Vec<&str> = strace.into_iter().chain(["-e", "signal=none", "-e", &trace, "-e", &inject]).collect();
    let output = under(program, "timeout", &options).output().unwrap();
    let ran = Ran::of(output);
    assert!(!ran.stderr.contains("strace"), "strace must be there, and allowed to trace: {ran:#?}");
    ran
}

/// A running process that is killed at a system call to come.
pub struct Injected(Child);

impl Injected {
    /// At this one of these calls, counted by thread and from now on. Returns when it is certain that none is missed.
    pub fn kill_at(pid: u32, calls: &str, number: usize) -> Self {
        let (trace, inject) = (format!("trace={calls}"), format!("inject={calls}:signal=KILL:when={number}"));
        let mut command = Command::new("strace");
        command.args(["-f", "-o", "/dev/null", "-e", "signal=none", "-e", &trace, "-e", &inject, "-p"]);
        let mut child = command.arg(pid.to_string()).stderr(Stdio::piped()).spawn().unwrap();
        let mut said = String::new();
        BufReader::new(child.stderr.take().unwrap()).read_line(&mut said).unwrap();
        assert!(said.contains("attached"), "strace must be there, and allowed to trace what runs: {said}");
        Self(child)
    }
}

impl Drop for Injected {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// A small file system in a namespace of its own; both go when this is dropped, or the test dies.
pub struct Disk {
    holder: Child,
    at: PathBuf,
}

impl Disk {
    /// Mounts one below the world's folder; `options` like `size=2m`.
    pub fn mount(world: &World, options: &str) -> Self {
        let at = world.path("disk");
        std::fs::create_dir(&at).unwrap();
        let script = "mount -t tmpfs -o \"$1\" none \"$2\" && echo mounted && exec cat";
        let mut command = Command::new("unshare");
        command.args([if is_root() { "-m" } else { "-rm" }, "sh", "-c", script, "sh", options]).arg(&at);
        let mut holder = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(holder.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "mounted\n", "a mount namespace and tmpfs must be allowed");
        Self { holder, at }
    }

    /// What the program runs below.
    fn options(&self) -> Vec<String> {
        let pid = self.holder.id().to_string();
        let user: &[&str] = if is_root() { &[] } else { &["-U", "--preserve-credentials"] };
        let words = ["-t", &pid, "-m"].into_iter().chain(user.iter().copied()).chain(["--"]);
        words.map(str::to_owned).collect()
    }

    /// Changes how it is mounted.
    pub fn remount(&self, options: &str) {
        let mut command = Command::new("nsenter");
        command.args(self.options()).args(["mount", "-o", &format!("remount,{options}")]).arg(&self.at);
        assert!(command.status().unwrap().success(), "{options}");
    }

    /// Runs the program with its database there.
    pub fn run(&self, world: &World, arguments: &[&str]) -> Ran {
        let database = self.at.join("data.db");
        let at: Vec<&str> = vec!["--db", database.to_str().unwrap()];
        let options = self.options();
        let options: Vec<&str> = options.iter().map(String::as_str).collect();
        let program = world.command();
        let mut command = Command::new("nsenter");
        command.env_clear().env("PATH", std::env::var("PATH").unwrap()).args(options).arg(program.get_program());
        command.envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command.arg("--rules").arg(world.path("rules")).args(at).args(arguments);
        Ran::of(command.output().unwrap())
    }

    /// A file of it, as the test sees it.
    pub fn file(&self, name: &str) -> PathBuf {
        let inside = self.at.strip_prefix("/").unwrap();
        Path::new("/proc").join(self.holder.id().to_string()).join("root").join(inside).join(name)
    }

    /// A copy of the database outside, with its log: what SQLite opens goes by the name that the test's own namespace has.
    pub fn copied(&self, world: &World) -> rusqlite::Connection {
        for name in ["data.db", "data.db-wal"] {
            std::fs::remove_file(world.path(name)).ok();
            if self.file(name).exists() {
                std::fs::copy(self.file(name), world.path(name)).unwrap();
            }
        }
        world.db()
    }

    /// Runs plain SQL as another program would, while nobody has the database open.
    pub fn sql(&self, world: &World, text: &str) {
        assert!(!self.file("data.db-wal").exists());
        self.copied(world).execute_batch(text).unwrap();
        std::fs::copy(world.database(), self.file("data.db")).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        self.holder.stdin.take();
        self.holder.wait().ok();
    }
}

fn is_root() -> bool {
    Command::new("id").arg("-u").output().unwrap().stdout == b"0\n"
}

/// Two upstreams that agree about six contacts, and then: one made, one edited and one deleted at crm, at erp and here. crm
/// finds a lost create by its email, erp knows idempotency keys.
pub fn much_to_do() -> World {
    let world = World::with_contacts(&["crm", "erp"], keys_at_erp);
    world.change_rules("rules.toml", |rules| {
        let rules = rules.replace("on_remote", "limits = { delete = \"90%\" }\non_remote");
        let (crm, erp) = rules.split_once("[upstream.erp]").unwrap();
        let erp = erp.replace("{ match = \"email\" }", "{ header = \"Idempotency-Key\" }");
        format!("{crm}[upstream.erp]{erp}")
    });
    for name in ["a", "b", "c", "d", "h", "i"] {
        world.add("crm", &contact(name, "1"));
    }
    world.sync().exits(0);
    world.is_quiet();
    let id = |upstream: &str, name: &str| {
        let found = world.contacts(upstream).into_iter().find(|one| one["name"] == name).unwrap();
        found["id"].as_str().unwrap().to_owned()
    };
    world.add("crm", &contact("e", "1"));
    world.edit("crm", &id("crm", "a"), &json!({"phone": "2"}));
    world.remove("crm", &id("crm", "b"));
    world.add("erp", &contact("f", "1"));
    world.edit("erp", &id("erp", "c"), &json!({"phone": "2"}));
    world.remove("erp", &id("erp", "h"));
    world.sql(
        "insert into contacts (email, name, phone) values ('g@x.io', 'g', '1');
         update contacts set phone = '2' where name = 'd'; delete from contacts where name = 'i'",
    );
    world.forget_requests();
    world
}

fn keys_at_erp(name: &str, resource: &mut ResourceConfig) {
    if name == "erp" {
        resource.idempotency = Some(Idempotency::default());
    }
}

/// A contact to be made.
pub fn contact(name: &str, phone: &str) -> Value {
    json!({"email": format!("{name}@x.io"), "name": name, "phone": phone})
}

/// A process that ended badly has sent nothing that it did not record before, and has left a database in order.
#[track_caller]
pub fn left_in_order(world: &World, when: &str) {
    assert_eq!(world.rows("pragma integrity_check"), [["ok"]], "{when}");
    if world.rows("select count(*) from sqlite_schema where name = 'sync_intent'") == [["0"]] {
        return;
    }
    let sent = recorded(world, "sent_at is not null");
    let asked: usize = ["crm", "erp"].iter().map(|name| world.written(name).len()).sum();
    assert!(asked <= sent, "{when}: {asked} writes were sent, {sent} intents say so");
}

/// The writes of the last pass, as far as the database knows of them: such intents, and what they became in history.
pub fn recorded(world: &World, intents: &str) -> usize {
    let query = format!(
        "select count(*) from (select record, upstream from sync_intent where {intents} union \
         select record, target from sync_history where kind = 'push' and pass > {PASSES_BEFORE})"
    );
    world.rows(&query)[0][0].parse().unwrap()
}

/// The passes that [`much_to_do`] makes.
const PASSES_BEFORE: usize = 3;

/// After much to do and any fault: a few passes later everything is everywhere, once, and nothing is left to do.
#[track_caller]
pub fn everything_agrees(world: &World, when: &str) {
    let mut codes = Vec::new();
    while codes.last() != Some(&0) {
        let ran = world.sync();
        assert!(codes.len() < 4, "{when}: {codes:?} {ran:#?}");
        codes.push(ran.code);
        // A write that no lookup shows is not sent again before a minute has gone by.
        world.sql("update sync_intent set sent_at = sent_at - 120000000");
    }
    one_key_per_create(world, when);
    world.is_quiet();
    let expected: Vec<Vec<String>> = [("a", 2), ("c", 2), ("d", 2), ("e", 1), ("f", 1), ("g", 1)]
        .iter()
        .map(|(name, phone)| vec![format!("{name}@x.io"), (*name).to_owned(), phone.to_string()])
        .collect();
    assert_eq!(world.rows("select email, name, phone from contacts order by 1"), expected, "{when}");
    for name in ["crm", "erp"] {
        let mut there: Vec<Vec<String>> = world
            .contacts(name)
            .iter()
            .map(|one| ["email", "name", "phone"].map(|field| one[field].as_str().unwrap().to_owned()).to_vec())
            .collect();
        there.sort();
        assert_eq!(there, expected, "{when}: at {name}");
    }
    assert_eq!(world.rows("pragma integrity_check"), [["ok"]], "{when}");
}

/// What is sent again is sent with the same key and the same bytes.
#[track_caller]
fn one_key_per_create(world: &World, when: &str) {
    let mut keys: BTreeMap<String, (String, Value)> = BTreeMap::new();
    let posts: Vec<(String, Value)> = world.at("erp", |erp| {
        let posts = erp.requests().filter(|request| request.method == http::Method::POST);
        posts.map(|request| (request.headers["idempotency-key"].clone(), request.json())).collect()
    });
    for (key, body) in posts {
        let email = body["email"].to_string();
        let first = keys.entry(email).or_insert_with(|| (key.clone(), body.clone()));
        assert_eq!(*first, (key, body), "{when}");
    }
}

/// Runs this for every number, on as many threads as there are processors. The first failure ends it.
pub fn for_each(numbers: impl IntoIterator<Item = usize>, run: impl Fn(usize) + Sync) {
    let numbers = std::sync::Mutex::new(numbers.into_iter().collect::<std::collections::VecDeque<_>>());
    let threads = std::thread::available_parallelism().map_or(2, usize::from).clamp(2, 8);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(number) = { numbers.lock().unwrap().pop_front() } {
                    run(number);
                }
            });
        }
    });
}
