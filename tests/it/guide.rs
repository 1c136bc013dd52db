//! docs/guide.md, worked through: its files are written, its commands run in a folder of their own against a made-up CRM, and what they
//! print is what the guide shows, but for times, numbers and ids. `UPDATE_GUIDE=1` writes what they print into the guide.
//!
//! A fence `console` is run line by line (`$ …`), a fence `toml FILE` is written (`toml FILE +`: appended). Comments, which nobody sees
//! who reads the rendered page, do the rest: `<!-- crm: … -->` is about the CRM, `<!-- daemon: … -->` about the daemon. Fences of
//! other languages are for reading.

use std::fmt::Write as _;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};

use reconciled::sandbox::{
    Account, Auth, CursorEnd, Delete, Fault, IdStyle, Matcher, Paging, ResourceConfig, SandboxConfig, Since, SinceBy,
    Times,
};
use serde_json::json;

use crate::daemon::Daemon;
use crate::webhooks::{Hook, post};
use crate::world::World;

/// The CRM's address, as the guide calls it.
const CRM: &str = "https://crm.example.com/api";
/// Where pages are served, as the guide calls it.
const WEB: &str = "127.0.0.1:8480";
/// Where webhooks come to, as the guide calls it.
const HOOKS: &str = "127.0.0.1:8481";
/// What the CRM signs with: the secret of the guide is made of it.
const HOOK_KEY: &[u8] = b"the key of a made-up CRM";
/// The guide.
const GUIDE: &str = "docs/guide.md";

/// Who follows the guide.
struct Reader {
    world: World,
    daemon: Option<Daemon>,
    /// Where its pages are served, where webhooks come to.
    listens: [Option<SocketAddr>; 2],
    /// The next command is the daemon, whose log is read until it has all of these words.
    until: Option<String>,
    /// The next fence shows this of the daemon's log.
    logged: Option<String>,
    hooks: u32,
}

impl Reader {
    fn new() -> Self {
        let mut world = World::new();
        let contacts = ResourceConfig {
            id: IdStyle::Server { prefix: "c".to_owned() },
            removed_at: Some("archived".to_owned()),
            paging: Paging::Cursor {
                param: "after".to_owned(),
                limit: "limit".to_owned(),
                next_at: "next".to_owned(),
                end: CursorEnd::Absent,
            },
            since: Some(Since { param: "updated_after".to_owned(), by: SinceBy::UpdatedAt, tombstones: false }),
            delete: Delete::Archive { listed: true },
            ..ResourceConfig::at("/contacts")
        };
        let account = Account { path: "/me".to_owned(), id_at: "account.id".to_owned(), id: "acme".to_owned() };
        let auth = Auth::Bearer { token: "the-token-of-the-crm".to_owned() };
        world.upstream("crm", SandboxConfig { auth, account: Some(account), ..SandboxConfig::of([contacts]) });
        Self { world, daemon: None, listens: [None; 2], until: None, logged: None, hooks: 0 }
    }

    /// Works through a text; gives it with what was really printed.
    fn follow(&mut self, text: &str) -> String {
        let mut done = String::new();
        let mut lines = text.lines();
        while let Some(line) = lines.next() {
            writeln!(done, "{line}").unwrap();
            if let Some(what) = line.strip_prefix("<!-- ").and_then(|rest| rest.strip_suffix(" -->")) {
                self.prepare(what);
            }
            let Some(language) = line.strip_prefix("```") else { continue };
            let body: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
            let body = body.join("\n") + if body.is_empty() { "" } else { "\n" };
            let words: Vec<&str> = language.split(' ').collect();
            done += &match words.as_slice() {
                ["console"] => self.console(&body),
                ["toml", path, rest @ ..] => {
                    self.write(path, &body, rest == ["+"]);
                    body
                }
                ["text"] => self.logged.take().unwrap_or(body),
                _ => body,
            };
            done += "```\n";
        }
        done
    }

    fn prepare(&mut self, what: &str) {
        let (who, what) = what.split_once(": ").unwrap();
        let (verb, rest) = what.split_once(' ').unwrap_or((what, ""));
        match (who, verb) {
            ("crm", "has") => {
                self.world.add("crm", &serde_json::from_str(rest).unwrap());
            }
            ("crm", "edit") => {
                let (email, patch) = rest.split_once(' ').unwrap();
                self.world.edit("crm", &self.id(email), &serde_json::from_str(patch).unwrap());
            }
            ("crm", "removes") => {
                let id = self.id(rest);
                self.world.at("crm", |crm| crm.remove("/contacts", &id, crate::hands::now())).unwrap();
            }
            ("crm", "fails") => {
                let fault = Fault::status(rest.parse().unwrap());
                self.world.at("crm", |crm| crm.push_fault_times(Matcher::any(), fault, Times::Forever));
            }
            ("crm", "recovers") => self.world.at("crm", reconciled::sandbox::Sandbox::clear_faults),
            ("crm", "hook") => {
                self.hooks += 1;
                let body = json!({ "type": "contact.updated", "data": { "id": self.id(rest) } }).to_string();
                let hook = Hook::signed(&format!("m{}", self.hooks), crate::hands::now().timestamp(), HOOK_KEY, &body);
                assert_eq!(post(self.listens[1].unwrap(), &hook), 200);
            }
            ("daemon", "until") => self.until = Some(rest.to_owned()),
            ("daemon", "logs") => {
                let log = self.daemon.as_mut().unwrap().logs(rest);
                self.logged = Some(self.as_told(&log));
            }
            ("daemon", "stops") => {
                let (code, log) = self.daemon.take().unwrap().stops();
                assert_eq!(code, Some(0), "{log}");
                self.logged = Some(self.as_told(&log));
            }
            _ => panic!("{who}: {what}"),
        }
    }

    /// The CRM's id of a contact.
    fn id(&self, email: &str) -> String {
        let all = self.world.contacts("crm");
        let found = all.iter().find(|contact| contact["email"] == email).unwrap_or_else(|| panic!("{email}: {all:?}"));
        found["id"].as_str().unwrap().to_owned()
    }

    fn write(&self, path: &str, body: &str, appends: bool) {
        let path = self.world.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let before = if appends { fs::read_to_string(&path).unwrap() } else { String::new() };
        fs::write(path, before + &body.replace(CRM, &self.world.url("crm"))).unwrap();
    }

    fn console(&mut self, body: &str) -> String {
        let mut done = String::new();
        for line in body.lines().filter_map(|line| line.strip_prefix("$ ")) {
            let printed = match line.split_once(' ') {
                Some(("sqlite3", rest)) => self.sqlite(rest),
                Some(("curl", rest)) => self.curl(rest),
                _ if self.until.is_some() => self.starts(line),
                _ => self.shell(line, ""),
            };
            writeln!(done, "$ {line}").unwrap();
            done += &self.as_told(&printed);
            if !done.ends_with('\n') {
                done.push('\n');
            }
        }
        done
    }

    fn command(&self, name: &str) -> Command {
        let program = Path::new(env!("CARGO_BIN_EXE_reconciled"));
        let mut command = Command::new(name);
        command.current_dir(self.world.path("")).env_clear().env("COLUMNS", "100").env("LC_ALL", "C.UTF-8");
        command.env("PATH", format!("{}:/usr/bin:/bin", program.parent().unwrap().display()));
        command
    }

    fn shell(&self, line: &str, input: &str) -> String {
        let given = self.world.path(".given");
        fs::write(&given, input).unwrap();
        let mut command = self.command("sh");
        command.args(["-c", line]).stdin(fs::File::open(&given).unwrap());
        let output = command.output().unwrap();
        fs::remove_file(given).unwrap();
        // Both come to a terminal; the log is written by a thread of its own, so that their order is made certain.
        String::from_utf8([output.stderr, output.stdout].concat()).unwrap()
    }

    /// Starts the daemon, at ports that are free.
    fn starts(&mut self, line: &str) -> String {
        let words: Vec<&str> = line.split(' ').collect();
        let mut command = self.command(words[0]);
        command.args(&words[1..]).stdin(Stdio::null()).stdout(Stdio::null());
        let settings = fs::read_to_string(self.world.path("reconciled.toml")).unwrap();
        for (table, variable) in [("[web]", "RECONCILED__WEB__LISTEN"), ("[webhooks]", "RECONCILED__WEBHOOKS__LISTEN")]
        {
            if settings.contains(table) {
                command.env(variable, "127.0.0.1:0");
            }
        }
        let mut daemon = Daemon::of(command);
        let mut log = String::new();
        while !self.until.as_ref().unwrap().split(" and ").all(|words| log.contains(words)) {
            log += &daemon.logs("");
        }
        self.until = None;
        // What it opens side by side it tells in any order.
        let mut told: Vec<&str> = log.lines().collect();
        told.sort_by_key(|line| line.split_once("INFO").map(|(_, message)| message));
        let log = told.join("\n") + "\n";
        let address = |words: &str| {
            let (_, rest) = log.split_once(words)?;
            rest.split(|c: char| !"0123456789.:".contains(c)).next()?.parse().ok()
        };
        self.listens = [address("web: http://"), address("webhooks come to http://")];
        self.daemon = Some(daemon);
        log
    }

    /// `FILE "SQL"`, as the shell of SQLite does.
    fn sqlite(&self, rest: &str) -> String {
        let (file, sql) = rest.split_once(' ').unwrap();
        let db = rusqlite::Connection::open(self.world.path(file)).unwrap();
        // Files are named from the reader's folder on.
        let sql = sql.trim_matches('"').replace("into '", &format!("into '{}/", self.world.path("").display()));
        let mut statement = db.prepare(&sql).unwrap();
        let columns = statement.column_count();
        let mut rows = statement.query([]).unwrap();
        let mut text = String::new();
        while let Some(row) = rows.next().unwrap() {
            let cell = |at| match row.get::<_, rusqlite::types::Value>(at).unwrap() {
                rusqlite::types::Value::Null => String::new(),
                rusqlite::types::Value::Text(text) => text,
                other => panic!("{other:?}: show text"),
            };
            writeln!(text, "{}", (0..columns).map(cell).collect::<Vec<_>>().join("|")).unwrap();
        }
        text
    }

    /// `-s [-H …] http://WEB/PATH [| …]`, with the token of the guide where a header is given.
    fn curl(&self, rest: &str) -> String {
        let (asked, filter) = rest.split_once(" | ").unwrap_or((rest, "cat"));
        let (_, path) = asked.split_once(&format!("http://{WEB}")).unwrap();
        let path = path.trim_end_matches('"');
        let token = fs::read_to_string(self.world.path("secrets/web_token")).unwrap();
        let token = if asked.contains("-H ") { token.trim_end() } else { "" };
        let address = self.listens[0].unwrap().to_string();
        let (_, body) = crate::web::ask(&address, "GET", path, token, "");
        self.shell(filter, &body)
    }

    /// Addresses and folders as the guide calls them.
    fn as_told(&self, text: &str) -> String {
        let mut text = text.replace(&self.world.url("crm"), CRM);
        for (address, called) in self.listens.iter().zip([WEB, HOOKS]) {
            if let Some(address) = address {
                text = text.replace(&address.to_string(), called);
            }
        }
        let crm = self.world.url("crm");
        text = text.replace(crm.trim_start_matches("http://"), CRM.trim_start_matches("https://"));
        text.replace(self.world.path("").to_str().unwrap().trim_end_matches('/'), "/srv/sync")
    }
}

/// A text without what differs each time: numbers with their units, ids, the width of columns.
fn lasting(text: &str) -> String {
    let words = text.split(|c: char| c.is_whitespace() || "─│/".contains(c)).filter(|word| !word.is_empty());
    let units = ["ms", "s", "µs", "min", "KB", "kB", "MB", "TB", "GB", "KiB", "MiB", "GiB", "bytes", "B"];
    let mut done: Vec<String> = Vec::new();
    for word in words {
        let bare = word.trim_matches(|c: char| !c.is_ascii_alphanumeric());
        let is_id = bare.len() >= 8
            && bare.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-')
            && bare.bytes().any(|byte| byte.is_ascii_digit());
        if is_id {
            done.push(word.replace(bare, "ID"));
            continue;
        }
        // Of the vault's master key.
        if word.len() == 12
            && done.last().is_some_and(|last| last == "key")
            && word.bytes().any(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
        {
            done.push("ID".to_owned());
            continue;
        }
        let mut short = String::new();
        for c in word.chars() {
            let digit = c.is_ascii_digit() || (short.ends_with('0') && ".,:".contains(c));
            if !digit {
                short.push(c);
            } else if !short.ends_with('0') {
                short.push('0');
            }
        }
        if let Some(unit) = units.iter().find(|unit| short.trim_matches(['(', ')', ',', ';']) == format!("0{unit}")) {
            short = short.replace(&format!("0{unit}"), "0");
        }
        let is_unit = units.contains(&short.trim_matches(['(', ')', ',', ';', '.']));
        if !(is_unit && done.last().is_some_and(|last| last.ends_with('0'))) {
            done.push(short);
        }
    }
    done.join(" ")
}

fn published(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap()
}

#[test]
fn the_guide_says_what_the_program_does() {
    let guide = published(GUIDE);
    let done = Reader::new().follow(&guide);
    if std::env::var_os("UPDATE_GUIDE").is_some() {
        fs::write(Path::new(env!("CARGO_MANIFEST_DIR")).join(GUIDE), &done).unwrap();
    }
    // What is about the same commands is compared with each other.
    let blocks = |text: &str| text.split("\n$ ").map(str::to_owned).collect::<Vec<_>>();
    for (said, really) in blocks(&guide).iter().zip(blocks(&done)) {
        let shown = |text: &str| text.split("\n```").next().unwrap_or_default().to_owned();
        assert!(
            lasting(said) == lasting(&really),
            "{GUIDE} says:\n$ {}\nand the program:\n$ {}\nUPDATE_GUIDE=1 writes it anew",
            shown(said),
            shown(&really)
        );
    }
    assert_eq!(blocks(&guide).len(), blocks(&done).len());
}

#[test]
fn every_alert_has_its_paragraph_and_leads_to_it() {
    let (guide, alerts) = (published(GUIDE), published("docs/monitoring/alerts.yaml"));
    let mut count = 0;
    for rule in alerts.split("- alert: ").skip(1) {
        let name = rule.lines().next().unwrap();
        assert!(guide.contains(&format!("\n### {name}\n")), "{GUIDE} does not tell what to do about {name}");
        let url = format!("runbook_url: \"file:///usr/share/doc/reconciled/docs/guide.md#{}\"", name.to_lowercase());
        assert!(rule.contains(&url), "{name} leads to no paragraph");
        count += 1;
    }
    assert_eq!(guide.matches("\n### Reconciled").count(), count, "each paragraph belongs to an alert");
}

#[test]
fn what_differs_each_time_is_left_out_of_the_comparison_and_nothing_else() {
    let same = |one: &str, other: &str| assert_eq!(lasting(one), lasting(other));
    same("took 12 ms, id 0190f1a2-7c3b-7d11 at 10:03:07", "took 1.3 s, id 77aa0b12-0000-1111 at 9:59:00");
    same("a   b\n──── ──", "a b ─");
    same("contacts/01a224d7-932e-71b7", "contacts/01a224d7-a25b-7cce");
    assert_ne!(lasting("contacts/01a224d7-932e-71b7"), lasting("companies/01a224d7-932e-71b7"));
    same("sealed with the key chKnXv83hD7O", "sealed with the key -hK_Xv83hDA2");
    assert_ne!(lasting("3 writes"), lasting("3 reads"));
    assert_ne!(lasting("ok"), lasting("halted"));
}

#[test]
fn links_between_the_documents_lead_somewhere() {
    let mut checked = 0;
    for name in [
        "README.md",
        "docs/guide.md",
        "docs/commands.md",
        "docs/settings.md",
        "docs/rules.md",
        "docs/json.md",
        "docs/metrics.md",
    ] {
        let text = published(name);
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if link.contains("://") {
                continue;
            }
            let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = if path.is_empty() { folder.clone() } else { folder.parent().unwrap().join(path) };
            assert!(target.exists(), "{name}: {link}");
            if !anchor.is_empty() {
                let text = fs::read_to_string(&target).unwrap();
                assert!(text.lines().any(|line| anchor_of(line).as_deref() == Some(anchor)), "{name}: {link}");
            }
            checked += 1;
        }
    }
    assert!(checked > 50, "{checked}");
}

/// What a heading is called in links, as GitHub does.
fn anchor_of(line: &str) -> Option<String> {
    let words = line.strip_prefix('#')?.trim_start_matches('#').strip_prefix(' ')?;
    let kept = words.chars().filter(|c| c.is_alphanumeric() || "-_ ".contains(*c));
    Some(kept.map(|c| if c == ' ' { '-' } else { c.to_ascii_lowercase() }).collect())
}
