//! A world for scenario tests: sandboxes on loopback, a folder with rules and a database, and the real program run in it
//! as its own process. Everything is gone when the world is dropped.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};

use reconciled::sandbox::{ResourceConfig, Sandbox, SandboxConfig, Served, serve};
use serde_json::Value;

/// What one run of the program came to.
#[derive(Debug)]
pub struct Ran {
    /// The exit code.
    pub code: i32,
    /// Data.
    pub stdout: String,
    /// Talk.
    pub stderr: String,
}

impl Ran {
    /// What a finished process came to.
    pub fn of(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// The JSON documents on stdout, one a line.
    pub fn json(&self) -> Vec<Value> {
        self.stdout
            .lines()
            .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {self:?}")))
            .collect()
    }

    /// Stops the test unless the exit code is this one.
    #[track_caller]
    pub fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{self:#?}");
        self
    }

    /// Of a pass whose only upstream could not be read: what its report says of why.
    #[track_caller]
    pub fn cannot_read(self, collection: &str) -> String {
        let report = self.exits(6).report(collection);
        report["upstreams"][0]["error"].as_str().unwrap().to_owned()
    }

    /// The report of a collection's pass.
    #[track_caller]
    pub fn report(&self, collection: &str) -> Value {
        let found = self.json().into_iter().find(|report| report["collection"] == collection);
        found.unwrap_or_else(|| panic!("no report of {collection}: {self:#?}"))
    }

    /// Remote writes that were acknowledged and local rows that changed, over all passes.
    pub fn writes(&self) -> (u64, u64) {
        let sum = |counts: &Value| counts.as_object().unwrap().values().map(|n| n.as_u64().unwrap()).sum::<u64>();
        let reports = self.json();
        let remote =
            |report: &Value| report["upstreams"].as_array().unwrap().iter().map(|u| sum(&u["written"])).sum::<u64>();
        (reports.iter().map(remote).sum(), reports.iter().map(|report| sum(&report["local"])).sum())
    }
}

/// Upstreams, rules, a database, the program.
pub struct World {
    runtime: tokio::runtime::Runtime,
    upstreams: BTreeMap<String, Served>,
    folder: tempfile::TempDir,
    rules_written: Mutex<Vec<String>>,
}

impl World {
    /// An empty world.
    pub fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("rules")).unwrap();
        Self { runtime, upstreams: BTreeMap::new(), folder, rules_written: Mutex::default() }
    }

    /// A world with `/contacts` at each of these upstreams, and [`contacts_rules`] for them. `shape` changes a resource.
    pub fn with_contacts(names: &[&str], shape: impl Fn(&str, &mut ResourceConfig)) -> Self {
        let mut world = Self::new();
        for name in names {
            let mut resource = ResourceConfig::at("/contacts");
            shape(name, &mut resource);
            world.upstream(name, SandboxConfig::of([resource]));
        }
        world.rules("rules.toml", &contacts_rules(names));
        world
    }

    /// Mounts an upstream; rules see its URL as `${var.NAME_url}`.
    #[expect(clippy::disallowed_methods, reason = "the sandbox shares the program's clock")]
    pub fn upstream(&mut self, name: &str, config: SandboxConfig) {
        let sandbox = Arc::new(Mutex::new(Sandbox::new(config)));
        let served = self.runtime.block_on(serve(sandbox, Arc::new(chrono::Utc::now))).unwrap();
        self.upstreams.insert(name.to_owned(), served);
    }

    /// Its address.
    pub fn url(&self, name: &str) -> String {
        self.upstreams[name].base_url().to_owned()
    }

    /// Stops an upstream: its port refuses connections.
    pub fn kill(&mut self, name: &str) {
        self.upstreams.remove(name);
    }

    /// The upstreams that are up.
    pub fn names(&self) -> Vec<String> {
        self.upstreams.keys().cloned().collect()
    }

    /// Looks into (or edits, or breaks) an upstream.
    pub fn at<R>(&self, name: &str, look: impl FnOnce(&mut Sandbox) -> R) -> R {
        self.upstreams[name].with_sandbox(look)
    }

    /// All live records of `/contacts` at an upstream.
    pub fn contacts(&self, name: &str) -> Vec<Value> {
        self.at(name, |sandbox| sandbox.all("/contacts").into_iter().collect())
    }

    /// Writes a rules file.
    pub fn rules(&self, file: &str, text: &str) {
        std::fs::write(self.folder.path().join("rules").join(file), text).unwrap();
        self.rules_written.lock().unwrap().push(file.to_owned());
    }

    /// Changes the text of a rules file.
    pub fn change_rules(&self, file: &str, change: impl FnOnce(String) -> String) {
        let path = self.folder.path().join("rules").join(file);
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(path, change(text)).unwrap();
    }

    /// The folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The database file.
    pub fn database(&self) -> PathBuf {
        self.path("data.db")
    }

    /// The program, ready to be run with more arguments.
    pub fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_reconciled"));
        command.current_dir(self.folder.path()).env_clear();
        for (name, served) in &self.upstreams {
            command.env(format!("RECONCILED__VARS__{}_URL", name.to_uppercase()), served.base_url());
        }
        command.arg("--db").arg(self.database()).arg("--rules").arg(self.path("rules"));
        command
    }

    /// Runs the program.
    pub fn run(&self, arguments: &[&str]) -> Ran {
        Ran::of(self.command().args(arguments).output().unwrap())
    }

    /// One pass of every collection, with reports as JSON.
    pub fn sync(&self) -> Ran {
        self.run(&["--json", "run", "--once"])
    }

    /// One pass that reads complete generations.
    pub fn full_sync(&self) -> Ran {
        self.run(&["--json", "run", "--once", "--full"])
    }

    /// A plain connection of another program.
    pub fn db(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(self.database()).unwrap()
    }

    /// Runs plain SQL as another program would.
    pub fn sql(&self, text: &str) {
        self.db().execute_batch(text).unwrap();
    }

    /// The rows of a query, as text; NULL is `∅`.
    pub fn rows(&self, query: &str) -> Vec<Vec<String>> {
        let db = self.db();
        let mut statement = db.prepare(query).unwrap();
        let columns = statement.column_count();
        let rows = statement.query_map([], |row| {
            (0..columns)
                .map(|at| {
                    Ok(match row.get::<_, rusqlite::types::Value>(at)? {
                        rusqlite::types::Value::Null => "∅".to_owned(),
                        rusqlite::types::Value::Integer(number) => number.to_string(),
                        rusqlite::types::Value::Real(number) => number.to_string(),
                        rusqlite::types::Value::Text(text) => text,
                        rusqlite::types::Value::Blob(_) => "blob".to_owned(),
                    })
                })
                .collect()
        });
        rows.unwrap().collect::<Result<_, _>>().unwrap()
    }
}

/// Rules for `/contacts` at each upstream: fields email (trimmed, lower-cased), name, phone, all plain; the version is
/// `.etag`, written under If-Match; deletes show by absence.
pub fn contacts_rules(names: &[&str]) -> String {
    let mut text = String::from(
        r#"
[collection.contacts]
match = { keys = [["email"]] }
on_remote_delete = "propagate"
[collection.contacts.fields]
email = { type = "text", normalize = ["trim", "lowercase"] }
name = "text"
phone = "text"
"#,
    );
    for name in names {
        text.push_str(&UPSTREAM_RULES.replace("NAME", name));
    }
    text
}

const UPSTREAM_RULES: &str = r#"
[upstream.NAME]
base_url = "${var.NAME_url}"
[binding.contacts.NAME]
id = ".id"
version = ".etag"
updated_at = ".updated_at"
[binding.contacts.NAME.read]
request = { method = "GET", path = "/contacts" }
records = ".results[]"
page = "none"
incremental = "none"
deletes = { kind = "absence" }
get = { method = "GET", path = "/contacts/{id}" }
[binding.contacts.NAME.map]
email = ".email"
name = ".name"
phone = ".phone"
[binding.contacts.NAME.write.create]
request = { method = "POST", path = "/contacts" }
idempotency = { match = "email" }
[binding.contacts.NAME.write.update]
request = { method = "PATCH", path = "/contacts/{id}" }
precondition = { header = "If-Match", value = '"{version}"' }
[binding.contacts.NAME.write.delete]
request = { method = "DELETE", path = "/contacts/{id}" }
precondition = "none"
"#;
