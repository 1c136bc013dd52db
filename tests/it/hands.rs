//! What tests do to a world beside running the program: edits at upstreams, and what was asked of them.

#![expect(clippy::disallowed_methods, reason = "edits at a sandbox carry the program's clock")]

use chrono::{DateTime, Utc};
use reconciled::sandbox::LoggedRequest;
use serde_json::{Value, json};

use crate::world::{Ran, World};

/// A request as tests compare it.
#[derive(Clone, Debug, PartialEq)]
pub struct Asked {
    /// Method and target.
    pub line: String,
    /// `If-Match`, as it was sent.
    pub if_match: Option<String>,
    /// The body; null if there is none.
    pub body: Value,
    /// What it was answered by.
    pub status: u16,
}

/// An answered write under `If-Match`.
pub fn asked(line: &str, version: u64, body: Value, status: u16) -> Asked {
    Asked { line: line.to_owned(), if_match: Some(format!("\"{version}\"")), body, status }
}

/// The time.
pub fn now() -> DateTime<Utc> {
    Utc::now()
}

impl World {
    /// Somebody adds a contact at an upstream; its id.
    pub fn add(&self, upstream: &str, body: &Value) -> String {
        self.add_at(upstream, body, now())
    }

    /// The same at a given time.
    pub fn add_at(&self, upstream: &str, body: &Value, at: DateTime<Utc>) -> String {
        self.at(upstream, |sandbox| sandbox.insert("/contacts", body, at)).unwrap()
    }

    /// Ann, whose phone is 1, everywhere: at this upstream, pulled, and pushed to all others.
    pub fn add_ann(&self, upstream: &str) -> String {
        let id = self.add(upstream, &json!({"email": "ann@x.io", "name": "Ann", "phone": "1"}));
        self.sync().exits(0);
        self.forget_requests();
        id
    }

    /// Somebody edits a contact at an upstream.
    pub fn edit(&self, upstream: &str, id: &str, patch: &Value) {
        self.edit_at(upstream, id, patch, now());
    }

    /// The same at a given time.
    pub fn edit_at(&self, upstream: &str, id: &str, patch: &Value, at: DateTime<Utc>) {
        self.at(upstream, |sandbox| sandbox.edit("/contacts", id, patch, at)).unwrap();
    }

    /// One contact at an upstream.
    pub fn contact(&self, upstream: &str, id: &str) -> Value {
        self.at(upstream, |sandbox| sandbox.get("/contacts", id)).unwrap()
    }

    /// All writes that an upstream was asked for, oldest first, since the last look.
    pub fn writes_at(&self, upstream: &str) -> Vec<Asked> {
        self.at(upstream, |sandbox| {
            let writes = sandbox.requests().filter(|request| request.is_write());
            let asked = writes
                .map(|request| Asked {
                    line: request.line(),
                    if_match: request.headers.get("if-match").cloned(),
                    body: request.json(),
                    status: request.status,
                })
                .collect();
            sandbox.reset_stats();
            asked
        })
    }

    /// All requests to an upstream, by method and target, since the last look.
    pub fn lines_at(&self, upstream: &str) -> Vec<String> {
        self.at(upstream, |sandbox| {
            let lines = sandbox.requests().map(LoggedRequest::line).collect();
            sandbox.reset_stats();
            lines
        })
    }

    /// What was asked so far is of no interest.
    pub fn forget_requests(&self) {
        for name in self.names() {
            self.at(&name, reconciled::sandbox::Sandbox::reset_stats);
        }
    }

    /// Puts text behind the line `base_url = …` of every upstream.
    pub fn settings_of_upstreams(&self, text: &str) {
        self.change_rules("rules.toml", |rules| {
            let lines = rules.lines().map(|line| {
                let more = if line.starts_with("base_url = ") { format!("{text}\n") } else { String::new() };
                format!("{line}\n{more}")
            });
            lines.collect()
        });
    }

    /// Why records are set aside, as `status` tells programs.
    pub fn reasons(&self) -> Vec<String> {
        let status: Value = serde_json::from_str(&self.run(&["--json", "status"]).stdout).unwrap();
        let collections = status["collections"].as_array().unwrap();
        let rows = collections.iter().flat_map(|one| one["quarantine"].as_array().unwrap());
        rows.map(|row| row["reason"].as_str().unwrap().to_owned()).collect()
    }

    /// Nothing is left to do: no write anywhere, not even to be tried, and no local change.
    #[track_caller]
    pub fn is_quiet(&self) {
        self.forget_requests();
        for ran in [self.sync(), self.full_sync()] {
            ran.exits(0).wrote(0, 0);
        }
        for name in self.names() {
            assert_eq!(self.writes_at(&name), [], "at {name}");
        }
    }
}

impl Ran {
    /// Stops the test unless so many remote writes were made and so many local rows changed.
    #[track_caller]
    pub fn wrote(self, remote: u64, local: u64) -> Self {
        let changes: Vec<Value> = self.json().into_iter().map(|report| report["changes"].clone()).collect();
        assert_eq!(self.writes(), (remote, local), "{self:#?} {changes:#?}");
        self
    }
}
