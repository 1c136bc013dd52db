//! Owns: the folder of the demo (database, rules, settings, secrets), its engine, and looks into each side.
//!
//! Must not know: the order of the story.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::Connection;
use serde_json::Value;

use crate::clock::Clock;
use crate::config::{Environment, Overrides, Settings};
use crate::reconcile::{Engine, PassOptions, PassReport, Silent};
use crate::rules::Ruleset;
use crate::sandbox::{Fault, Matcher, Place, Served};
use crate::store::{Store, write};

use super::super::exit::CliError;
use super::super::out::Out;
use super::super::style;
use super::super::workspace::{SecretsAre, Workspace};
use super::upstreams::{BILLING_KEY, CRM_TOKEN, billing, crm};

/// The shipped rules, which the demo runs on.
const RULES: [(&str, &str); 4] = [
    ("billing.toml", include_str!("../../../sync-rules/billing.toml")),
    ("companies.toml", include_str!("../../../sync-rules/companies.toml")),
    ("contacts.toml", include_str!("../../../sync-rules/contacts.toml")),
    ("crm.toml", include_str!("../../../sync-rules/crm.toml")),
];

/// Everything that the story acts on.
pub struct Stage {
    /// The CRM.
    pub crm: Served,
    /// Billing.
    pub billing: Served,
    /// The rules in force.
    pub rules: Arc<Ruleset>,
    /// The store.
    pub store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    engine: Engine,
    database: PathBuf,
}

/// Where the demo lives; a temporary folder goes when this is dropped.
pub enum Folder {
    /// Kept.
    Kept(PathBuf),
    /// Not kept.
    Temporary(tempfile::TempDir),
}

impl Folder {
    /// A folder: the named one (new or empty), else a temporary one.
    pub fn make(keep: Option<&Path>) -> Result<Self, CliError> {
        let Some(path) = keep else {
            let made = tempfile::Builder::new().prefix("reconciled-demo-").tempdir();
            return made.map(Self::Temporary).map_err(|error| CliError::Other(format!("no temporary folder: {error}")));
        };
        let failed = |error: std::io::Error| CliError::Other(format!("{}: {error}", path.display()));
        fs::create_dir_all(path).map_err(failed)?;
        if fs::read_dir(path).map_err(failed)?.next().is_some() {
            let reason = "is not empty; name a new or an empty folder for --keep";
            return Err(CliError::Usage(format!("{} {reason}", path.display())));
        }
        Ok(Self::Kept(path.to_owned()))
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        match self {
            Self::Kept(path) => path,
            Self::Temporary(folder) => folder.path(),
        }
    }
}

impl Stage {
    /// Mounts the upstreams, writes rules, settings and secrets, opens the engine.
    pub async fn set(folder: &Path, out: &Out, clock: Arc<dyn Clock>) -> Result<Self, CliError> {
        let (crm, billing) = (crm(&clock).await?, billing(&clock).await?);
        write_files(folder, crm.base_url(), billing.base_url())
            .map_err(|error| CliError::Other(format!("{}: {error}", folder.display())))?;
        let overrides = Overrides { config: Some(folder.join("reconciled.toml")), ..Overrides::default() };
        // Whatever is set outside is about another workspace.
        // The folder may be named relative to the current one, which is where the file is looked for.
        let settings = Settings::load(&overrides, &Environment::new(), Path::new(""))?;
        let workspace = Workspace::from_settings(settings);
        let rules = workspace.rules(SecretsAre::Needed, out)?;
        let store = workspace.store_to_run(&rules)?;
        let engine = workspace.engine(Arc::clone(&store), &rules, &out.silenced()).await?;
        let database = workspace.settings().database.clone();
        Ok(Self { crm, billing, rules, store, clock, engine, database })
    }

    /// One pass of each collection, parents first.
    pub async fn sync(&self) -> Result<Vec<PassReport>, CliError> {
        let options = PassOptions { trigger: "demo".to_owned(), full: false, dry_run: false, all_changes: false };
        let mut reports = Vec::new();
        for collection in self.rules.in_order() {
            reports.push(self.engine.pass(&collection.name, &options, &Silent).await?);
        }
        Ok(reports)
    }

    /// Lets a halt through, as `approve` does.
    pub async fn approve(&self, halt: i64) -> Result<(), CliError> {
        let now = self.clock.now().timestamp_micros();
        Ok(write(self.store.as_ref(), move |tx| tx.set_halt(halt, Some(now), None)).await?)
    }

    /// Runs SQL on the database as any other program would.
    pub fn sql(&self, text: &str) -> Result<(), CliError> {
        let connection = Connection::open(&self.database).map_err(sql_failed)?;
        connection.execute_batch(text).map_err(sql_failed)
    }

    /// One text column of the first row.
    pub fn ask(&self, text: &str) -> Result<String, CliError> {
        let connection = Connection::open(&self.database).map_err(sql_failed)?;
        connection.query_row(text, [], |row| row.get(0)).map_err(sql_failed)
    }

    /// A query's rows as a table.
    pub fn table(&self, query: &str, width: usize) -> Result<String, CliError> {
        let connection = Connection::open(&self.database).map_err(sql_failed)?;
        let mut statement = connection.prepare(query).map_err(sql_failed)?;
        let names: Vec<String> = statement.column_names().map(str::to_owned).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let mut rows = statement.query([]).map_err(sql_failed)?;
        let mut cells = Vec::new();
        while let Some(row) = rows.next().map_err(sql_failed)? {
            let cell = |at| row.get::<_, rusqlite::types::Value>(at).map(|value| cell_text(&value)).map_err(sql_failed);
            cells.push((0..names.len()).map(cell).collect::<Result<Vec<_>, _>>()?);
        }
        Ok(style::table(width, &names, cells))
    }

    /// Somebody at an upstream edits the record whose text at `pointer` (RFC 6901) is `is`.
    pub fn edit(&self, at: &Served, resource: &str, pointer: &str, is: &str, patch: &Value) -> Result<(), CliError> {
        let now = self.clock.now();
        at.with_sandbox(|sandbox| {
            let all = sandbox.all(resource);
            let found = all.iter().find(|record| record.pointer(pointer).and_then(Value::as_str) == Some(is));
            let id = found.and_then(|record| record.get("id")).and_then(Value::as_str).unwrap_or_default().to_owned();
            sandbox.edit(resource, &id, patch, now).map(|_record| ())
        })
        .map_err(|refusal| CliError::Other(format!("the demo cannot edit {is} at {resource}: {refusal:?}")))
    }

    /// Billing will carry out the next create, and its answer will not arrive.
    pub fn lose_next_create(&self) {
        let creates = Matcher { method: Some(http::Method::POST), place: Place::Anywhere, nth: 1 };
        self.billing.with_sandbox(|sandbox| sandbox.push_fault(creates, Fault::LostResponseAfterCommit));
    }

    /// Somebody at an upstream adds a record.
    pub fn add(&self, at: &Served, resource: &str, record: &Value) -> Result<(), CliError> {
        let now = self.clock.now();
        at.with_sandbox(|sandbox| sandbox.insert(resource, record, now))
            .map(|_id| ())
            .map_err(|refusal| CliError::Other(format!("the demo cannot add to {resource}: {refusal:?}")))
    }
}

/// The live records of an upstream.
pub fn records(at: &Served, resource: &str) -> Vec<Value> {
    at.with_sandbox(|sandbox| sandbox.all(resource))
}

#[expect(clippy::needless_pass_by_value, reason = "made for map_err")]
fn sql_failed(error: rusqlite::Error) -> CliError {
    CliError::Other(format!("the demo's SQL failed: {error}"))
}

fn cell_text(value: &rusqlite::types::Value) -> String {
    use rusqlite::types::Value as Cell;
    match value {
        Cell::Null => "∅".to_owned(),
        Cell::Integer(number) => number.to_string(),
        Cell::Real(number) => number.to_string(),
        Cell::Text(text) => style::clean(text),
        Cell::Blob(_) => "(bytes)".to_owned(),
    }
}

fn write_files(folder: &Path, crm_url: &str, billing_url: &str) -> std::io::Result<()> {
    fs::create_dir_all(folder.join("sync-rules"))?;
    for (name, text) in RULES {
        fs::write(folder.join("sync-rules").join(name), text)?;
    }
    // Named, so that they are found beside this file from wherever it is used.
    let paths = "database = \"reconciled.db\"\nrules_dir = \"sync-rules\"\nsecrets_dir = \"secrets\"\n";
    let settings = format!("{paths}\n[vars]\ncrm_url = \"{crm_url}\"\nbilling_url = \"{billing_url}\"\n");
    fs::write(folder.join("reconciled.toml"), settings)?;
    fs::create_dir_all(folder.join("secrets"))?;
    for (name, secret) in [("crm_token", CRM_TOKEN), ("billing_key", BILLING_KEY)] {
        let path = folder.join("secrets").join(name);
        fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?.write_all(secret.as_bytes())?;
    }
    Ok(())
}
