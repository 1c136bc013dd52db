//! What scenario tests do over and over: somebody else's hands at an upstream, looks at what the program shows.

use std::process::Stdio;

use chrono::{DateTime, Utc};
use http::Method;
use reconciled::sandbox::LoggedRequest;
use serde_json::Value;

use crate::world::World;

/// The program's clock is the system's.
#[expect(clippy::disallowed_methods, reason = "edits at a sandbox carry the program's clock")]
pub fn now() -> DateTime<Utc> {
    Utc::now()
}

impl World {
    /// Somebody puts a record in at an upstream.
    pub fn put(&self, upstream: &str, resource: &str, body: &Value) -> String {
        self.at(upstream, |sandbox| sandbox.insert(resource, body, now())).unwrap()
    }

    /// Somebody deletes a contact at an upstream.
    pub fn remove(&self, upstream: &str, id: &str) {
        self.at(upstream, |sandbox| sandbox.remove("/contacts", id, now())).unwrap();
    }

    /// The requests that asked for an effect, as lines.
    pub fn written(&self, upstream: &str) -> Vec<String> {
        self.at(upstream, |sandbox| {
            sandbox.requests().filter(|request| request.is_write()).map(LoggedRequest::line).collect()
        })
    }

    /// How many POSTs an upstream saw.
    pub fn posts(&self, upstream: &str) -> usize {
        let is_post = |request: &&LoggedRequest| request.method == Method::POST;
        self.at(upstream, |sandbox| sandbox.requests().filter(is_post).count())
    }

    /// Contacts at an upstream as `email`, in order.
    pub fn emails(&self, upstream: &str) -> Vec<String> {
        let mut all: Vec<String> =
            self.contacts(upstream).iter().map(|one| one["email"].as_str().unwrap_or("∅").to_owned()).collect();
        all.sort();
        all
    }

    /// What `status` shows.
    pub fn status(&self) -> Value {
        serde_json::from_str(&self.run(&["--json", "status"]).stdout).unwrap()
    }

    /// The records that `status` shows as set aside or waiting: (upstream, stage, reason).
    pub fn aside(&self) -> Vec<(String, String, String)> {
        let status = self.status();
        let text = |row: &Value, key: &str| row[key].as_str().unwrap().to_owned();
        let collections = status["collections"].as_array().unwrap();
        let rows = collections.iter().flat_map(|one| one["quarantine"].as_array().unwrap());
        rows.map(|row| (text(row, "upstream"), text(row, "stage"), text(row, "reason"))).collect()
    }

    /// The number of the one halt that waits.
    #[track_caller]
    pub fn halt(&self) -> i64 {
        let status = self.status();
        let halts = status["halts"].as_array().unwrap();
        assert_eq!(halts.len(), 1, "{status:#}");
        halts[0]["id"].as_i64().unwrap()
    }

    /// Approves the one halt that waits.
    #[track_caller]
    pub fn approve(&self) {
        self.run(&["approve", &self.halt().to_string()]).exits(0);
    }

    /// Everything agrees: the next pass reads and does nothing else.
    #[track_caller]
    pub fn is_settled(&self) {
        let ran = self.sync().exits(0);
        assert_eq!(ran.writes(), (0, 0), "{ran:#?}");
        assert_eq!(self.rows("select count(*) from sync_intent where state <> 'settled'"), [["0"]], "{ran:#?}");
    }

    /// Failures of an upstream end the pass at once.
    pub fn without_retries(&self) {
        self.change_rules("rules.toml", |text| text.replace("_url}\"\n", "_url}\"\nretry = { attempts = 1 }\n"));
    }

    /// Starts a pass and kills it for good as soon as the condition holds. False if the pass was over before.
    pub fn kill_when(&self, mut holds: impl FnMut(&Self) -> bool) -> bool {
        let mut command = self.command();
        command.args(["run", "--once"]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        loop {
            if holds(self) {
                child.kill().unwrap();
                child.wait().unwrap();
                return true;
            }
            if child.try_wait().unwrap().is_some() {
                return false;
            }
            std::thread::yield_now();
        }
    }
}
