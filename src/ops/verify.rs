//! Owns: what is wrong in the database, and what was mended of it, as they are told.
//!
//! Must not know: how it is found; upstreams (that is `compare`).

use std::path::Path;

use schemars::JsonSchema;
use serde::Serialize;

use crate::rules::Ruleset;
use crate::store::{self, Flaw, Mending, Micros, StoreError, Subject};

/// Something that is not as it must be.
#[derive(Debug, JsonSchema, Serialize)]
pub struct Finding {
    /// What was looked at.
    pub check: &'static str,
    /// What was found.
    pub found: String,
    /// How many.
    pub count: u64,
    /// The first of them.
    pub examples: Vec<Example>,
    /// It can be mended without a guess.
    pub mendable: bool,
    /// What mending does, or what a person has to do.
    pub remedy: &'static str,
}

/// What a finding is about.
#[derive(Debug, JsonSchema, Serialize)]
pub struct Example {
    /// The collection, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub collection: Option<String>,
    /// The upstream, where it is about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upstream: Option<String>,
    /// Which record, link or row.
    pub subject: String,
}

/// What was mended.
#[derive(Debug, JsonSchema, Serialize)]
pub struct Repairs {
    /// The database as it was before; null where nothing was to be mended.
    pub backup: Option<String>,
    /// What was mended.
    pub mended: Vec<Finding>,
    /// What is still wrong.
    pub left: Vec<Finding>,
}

impl From<Flaw> for Finding {
    fn from(flaw: Flaw) -> Self {
        Self {
            check: flaw.check,
            found: flaw.says,
            count: flaw.count,
            examples: flaw.examples.into_iter().map(Example::from).collect(),
            mendable: flaw.mending != Mending::ByHand,
            remedy: flaw.remedy,
        }
    }
}

impl From<Subject> for Example {
    fn from(subject: Subject) -> Self {
        Self { collection: subject.collection, upstream: subject.upstream, subject: subject.name }
    }
}

/// Looks the database through, whoever works on it. Blocks.
pub fn verify(database: &Path, rules: &Ruleset, busy_ms: u64) -> Result<Vec<Finding>, StoreError> {
    Ok(findings(store::verify(database, rules, busy_ms)?))
}

/// Mends what can be mended without a guess, on a database that nobody works on. Blocks.
pub fn repair(database: &Path, rules: &Ruleset, now: Micros, busy_ms: u64) -> Result<Repairs, StoreError> {
    Ok(match store::repair(database, rules, now, busy_ms)? {
        Ok(done) => Repairs {
            backup: Some(done.backup.display().to_string()),
            mended: findings(done.mended),
            left: findings(done.left),
        },
        Err(left) => Repairs { backup: None, mended: Vec::new(), left: findings(left) },
    })
}

fn findings(flaws: Vec<Flaw>) -> Vec<Finding> {
    flaws.into_iter().map(Finding::from).collect()
}
