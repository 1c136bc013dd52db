//! Owns: what commands work on: settings, secrets, rules, the store, the engine, opened as each command needs them.
//!
//! Must not know: what a command does with them.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};

use crate::clock::{Clock, SystemClock};
use crate::config::{
    Environment, MissingSecret, Secrets, Settings, load_rule_files, rules_folders, rules_names, rules_stamp,
};
use crate::daemon::{RulesSaid, Watched};
use crate::reconcile::{Engine, PassError};
use crate::rules::{Batch, Context, Diagnostic, Read, Request, Ruleset, Severity, Source, Upstream, check, render};
use crate::spending::Spending;
use crate::store::{Epoch, Mode, OpenOptions, SqliteStore, Store, StoreError, upstream_states};
use crate::upstream::{self, Client, Deck, Failure, HttpTransport, MARK, Meters, Player, Tape, Transport, offline};
use crate::vault::{KeyPlaces, Kind, MASTER_KEY, Vault};
use crate::web::ClientOf;
use crate::web::hooks::LookUp;

use super::args::Global;
use super::exit::CliError;
use super::find::nearest;
use super::out::Out;

/// Nobody who looks on waits longer for room in budgets, or for an upstream that asked for a pause.
const WATCHED_MAX: Duration = Duration::from_secs(10);

/// One installation, as its settings describe it.
#[derive(Clone)]
pub struct Workspace {
    settings: Settings,
    secrets: Arc<Secrets>,
    vault: Arc<Vault>,
    clock: Arc<dyn Clock>,
    maker: Maker,
}

/// Clients by the names of their upstreams.
pub type Clients = BTreeMap<String, Arc<Client>>;

/// Makes clients.
#[derive(Clone)]
struct Maker {
    secrets: Arc<Secrets>,
    vault: Arc<Vault>,
    spending: Arc<Spending>,
    clock: Arc<dyn Clock>,
    meters: Arc<Meters>,
}

/// Rules as they were found: usable or not.
pub struct Examined {
    /// The files.
    pub sources: Vec<Source>,
    /// Everything there is to say.
    pub diagnostics: Vec<Diagnostic>,
    /// The rules, where there is no error.
    pub rules: Option<Arc<Ruleset>>,
    /// Secrets that the rules name and that are not to be had.
    pub missing: Vec<MissingSecret>,
    /// All secrets that the rules name, in order.
    pub named: Vec<String>,
}

/// A store in a temporary folder of nobody else's, gone when this is dropped.
pub struct Scratch {
    store: Arc<dyn Store>,
    folder: tempfile::TempDir,
}

impl Scratch {
    /// The folder that it is gone with.
    pub fn into_folder(self) -> tempfile::TempDir {
        self.folder
    }

    /// The store.
    pub fn store(&self) -> Arc<dyn Store> {
        Arc::clone(&self.store)
    }
}

/// A folder for a copy of the database: beside it, where there is room for it and where its data may be; else a temporary
/// one. Only its owner may look into it.
fn scratch_folder(database: &Path) -> Result<tempfile::TempDir, CliError> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".reconciled-plan-").permissions(private());
    let beside = database.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    builder.tempdir_in(beside).or_else(|_not_there| builder.tempdir()).map_err(|error| {
        CliError::Other(format!("no folder for a copy of the database: {error}; set TMPDIR to one with space"))
    })
}

fn private() -> std::fs::Permissions {
    std::fs::Permissions::from_mode(0o700)
}

/// What is wrong with a copy because it was copied is wrong with the original, and is told of that.
fn of_original(error: StoreError, original: &Path) -> StoreError {
    let path = original.display().to_string();
    match error {
        StoreError::Corrupt { reason, .. } => StoreError::Corrupt { path, reason },
        StoreError::Newer { found, known, .. } => StoreError::Newer { path, found, known },
        other => other,
    }
}

/// What a command wants of secrets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecretsAre {
    /// It will talk to upstreams: all of them must be there.
    Needed,
    /// It only looks at what is here.
    Unused,
}

impl Workspace {
    /// Loads settings; opens nothing else.
    pub fn load(global: &Global) -> Result<Self, CliError> {
        let environment: Environment = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        let settings = Settings::load(&global.overrides(), &environment, Path::new(""))?;
        Ok(Self::from_settings(settings))
    }

    /// A workspace of these settings.
    pub fn from_settings(settings: Settings) -> Self {
        let credentials = std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from);
        let secrets = Secrets::new(credentials, settings.secrets_dir.clone(), |name| std::env::var(name).ok());
        // The master key is looked for like any secret, but for the vault that it opens.
        let outside = secrets.clone();
        let find_key = move |name: &str| outside.look_up(name).map_err(|missing| missing.to_string());
        let vault = Arc::new(Vault::beside(&settings.database, KeyPlaces::new(settings.secrets_dir.clone(), find_key)));
        let opened = Arc::clone(&vault);
        let secrets = secrets.with_kept(format!("vault {}", vault.path().display()), move |name| match name {
            MASTER_KEY => Ok(None),
            name => opened.get(Kind::Secret, name).map_err(|error| error.to_string()),
        });
        let (secrets, clock): (_, Arc<dyn Clock>) = (Arc::new(secrets), Arc::new(SystemClock::new()));
        let maker = Maker {
            secrets: Arc::clone(&secrets),
            vault: Arc::clone(&vault),
            spending: Arc::new(Spending::beside(&settings.database)),
            clock: Arc::clone(&clock),
            meters: Arc::default(),
        };
        Self { settings, secrets, vault, clock, maker }
    }

    /// The settings.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Time and randomness.
    pub fn clock(&self) -> Arc<dyn Clock> {
        Arc::clone(&self.clock)
    }

    /// A secret of the installation itself, by name.
    pub fn secret(&self, name: &str) -> Result<SecretString, MissingSecret> {
        self.secrets.find(name)
    }

    /// What is kept sealed.
    pub fn vault(&self) -> &Arc<Vault> {
        &self.vault
    }

    /// What is spent of budgets.
    pub fn spending(&self) -> &Spending {
        &self.maker.spending
    }

    /// Looks up secrets by name, as they are at that moment.
    pub fn secret_look_up(&self) -> Arc<LookUp> {
        let secrets = Arc::clone(&self.secrets);
        Arc::new(move |name| secrets.find(name).ok())
    }

    /// Where a secret is.
    pub fn secret_place(&self, name: &str) -> Result<String, MissingSecret> {
        self.secrets.place(name)
    }

    /// Another number whenever the files of the rules are other ones.
    pub fn rules_stamp(&self) -> u64 {
        rules_stamp(&self.settings.rules_dir)
    }

    /// What is watched while the daemon runs.
    pub fn watched(&self) -> Watched {
        let rules = &self.settings.rules_dir;
        let rules_file = rules.file_name().filter(|_| rules.is_file()).map(ToOwned::to_owned);
        Watched { store: self.store_files(), rules: rules_folders(rules), rules_file, names: rules_names(rules) }
    }

    /// Whoever commits writes to one of these.
    fn store_files(&self) -> Vec<PathBuf> {
        let mut log = self.settings.database.clone().into_os_string();
        log.push("-wal");
        vec![self.settings.database.clone(), log.into()]
    }

    /// The daemon's control socket: beside the database, as its lock is.
    pub fn control_socket(&self) -> PathBuf {
        PathBuf::from(format!("{}.sock", self.settings.database.display()))
    }

    /// Reads and checks the rules; errors in them are data here.
    pub fn examine(&self, secrets: SecretsAre) -> Result<Examined, CliError> {
        let sources: Vec<Source> = load_rule_files(&self.settings.rules_dir)?
            .into_iter()
            .map(|file| Source {
                path: file.path.display().to_string(),
                text: file.text,
                defect: file.defect.map(|defect| (defect.at, defect.reason)),
            })
            .collect();
        let missing: RefCell<BTreeMap<String, MissingSecret>> = RefCell::default();
        let named: RefCell<BTreeSet<String>> = RefCell::default();
        let find_secret = |name: &str| {
            named.borrow_mut().insert(name.to_owned());
            match (secrets, self.secrets.find(name)) {
                (SecretsAre::Unused, _) | (SecretsAre::Needed, Ok(_)) => Ok(()),
                (SecretsAre::Needed, Err(why)) => {
                    let looked = format!("looked at:\n{}", why.looked.join("\n"));
                    missing.borrow_mut().insert(name.to_owned(), why);
                    Err(looked)
                }
            }
        };
        let checked = check(&sources, &Context { vars: &self.settings.vars, find_secret: &find_secret });
        Ok(Examined {
            sources,
            diagnostics: checked.diagnostics,
            rules: checked.ruleset.map(Arc::new),
            missing: missing.into_inner().into_values().collect(),
            named: named.into_inner().into_iter().collect(),
        })
    }

    /// The rules, or all that is wrong with them.
    pub fn rules(&self, secrets: SecretsAre, out: &Out) -> Result<Arc<Ruleset>, CliError> {
        usable(&self.examine(secrets)?, out)
    }

    /// The rules to run by, with all that is to be said of their files.
    pub fn rules_to_run(&self, out: &Out) -> (Result<Arc<Ruleset>, CliError>, Arc<RulesSaid>) {
        match self.examine(SecretsAre::Needed) {
            Ok(examined) => (usable(&examined, out), said_of(&examined)),
            Err(error) => (Err(error), Arc::default()),
        }
    }

    /// The same of the rules as they are now, for a daemon that goes on by those from before where there is anything wrong. A
    /// file with nothing in it is one that somebody is about to write.
    pub fn rules_anew(&self, out: &Out) -> (Result<Arc<Ruleset>, CliError>, Arc<RulesSaid>) {
        let examined = match self.examine(SecretsAre::Needed) {
            Ok(examined) => examined,
            Err(error) => return (Err(error), Arc::default()),
        };
        let is_emptied = |source: &&Source| source.defect.is_none() && source.text.trim().is_empty();
        let rules = if let Some(source) = examined.sources.iter().find(is_emptied) {
            let words = "is empty, as one that is about to be written; remove it if its rules count no more";
            Err(CliError::Rules(format!("error: {} {words}", source.path)))
        } else {
            examined.rules.clone().ok_or_else(|| CliError::Rules(errors_text(&examined, out)))
        };
        (rules, said_of(&examined))
    }

    /// Opens the database for looking; it must exist, and nothing is created.
    pub fn store_to_look(&self) -> Result<Arc<dyn Store>, CliError> {
        self.open(Mode::ReadOnly, false)
    }

    /// What is kept of upstreams, by their names; reading it leaves no trace.
    pub fn upstream_states(&self) -> Result<BTreeMap<String, String>, StoreError> {
        upstream_states(&self.settings.database, self.options(Mode::ReadOnly).busy_ms)
    }

    /// Opens the existing database for a small change beside a daemon that may be running.
    pub fn store_to_edit(&self) -> Result<Arc<dyn Store>, CliError> {
        self.open(Mode::ReadWrite, false)
    }

    /// Opens (or makes) the database for passes, and keeps other daemons out. Another program's file whose tables do not
    /// fit is refused before anything is added to it.
    pub fn store_to_run(&self, rules: &Ruleset) -> Result<Arc<dyn Store>, CliError> {
        SqliteStore::check_fit(&self.options(Mode::ReadOnly), rules)?;
        self.open(Mode::ReadWriteCreate, true)
    }

    /// How long a lock of another program is waited for.
    pub fn busy_ms(&self) -> u64 {
        u64::try_from(self.settings.busy_timeout.as_millis()).unwrap_or(u64::MAX)
    }

    fn options(&self, mode: Mode) -> OpenOptions {
        let now = self.clock.now().timestamp_micros();
        OpenOptions { busy_ms: self.busy_ms(), ..OpenOptions::file(&self.settings.database, mode, now) }
    }

    fn open(&self, mode: Mode, lock: bool) -> Result<Arc<dyn Store>, CliError> {
        Ok(Arc::new(SqliteStore::open(&OpenOptions { lock, ..self.options(mode) })?))
    }

    /// A store that is thrown away: a copy of the database where there is one, else an empty one.
    pub async fn scratch(&self, rules: &Ruleset) -> Result<Scratch, CliError> {
        let database = &self.settings.database;
        let there = std::fs::metadata(database).is_ok_and(|meta| meta.len() > 0);
        SqliteStore::check_fit(&self.options(Mode::ReadOnly), rules)?;
        let original = if there { Some(self.store_to_look()?) } else { None };
        let folder = scratch_folder(database)?;
        let path = folder.path().join("copy.db");
        if let Some(original) = original {
            original.copy_to(&path).await?;
        }
        let now = self.clock.now().timestamp_micros();
        let epoch = if there { Epoch::Of(database.clone()) } else { Epoch::Unwatched };
        let options = OpenOptions { lock: false, epoch, ..OpenOptions::file(path, Mode::ReadWriteCreate, now) };
        let store = SqliteStore::open(&options).map_err(|error| of_original(error, database))?;
        Ok(Scratch { store: Arc::new(store), folder })
    }

    /// An empty store that is thrown away.
    pub fn empty_scratch(&self) -> Result<Scratch, CliError> {
        let folder = tempfile::Builder::new().prefix(".reconciled-").permissions(private()).tempdir();
        let folder = folder.map_err(|error| CliError::Other(format!("no temporary folder: {error}; set TMPDIR")))?;
        let now = self.clock.now().timestamp_micros();
        let path = folder.path().join("empty.db");
        let options =
            OpenOptions { lock: false, epoch: Epoch::Unwatched, ..OpenOptions::file(path, Mode::ReadWriteCreate, now) };
        Ok(Scratch { store: Arc::new(SqliteStore::open(&options)?), folder })
    }

    /// The secrets that rules name, to be kept out of what is written.
    pub fn named_secrets(&self, examined: &Examined) -> upstream::Secrets {
        let mut secrets = upstream::Secrets::default();
        for name in &examined.named {
            if let Ok(value) = self.secrets.find(name) {
                secrets.add(name, value.expose_secret().to_owned());
            }
        }
        secrets
    }

    /// Clients of all upstreams in the rules, by which everything is recorded.
    pub fn recorded_clients(&self, rules: &Ruleset, tape: &Arc<Tape>) -> Result<Clients, CliError> {
        let transport: Arc<dyn Transport> = Arc::new(HttpTransport::new());
        let client = |(name, upstream): (&String, &Arc<Upstream>)| {
            let client = self.maker.client_over(&transport, rules, name, upstream)?;
            Ok((name.clone(), Arc::new(client.recorded_on(tape))))
        };
        rules.upstreams.iter().map(client).collect()
    }

    /// Clients of all upstreams in the rules.
    pub fn clients(&self, rules: &Ruleset) -> Result<Clients, CliError> {
        let transport: Arc<dyn Transport> = Arc::new(HttpTransport::new());
        let client = |(name, upstream): (&String, &Arc<Upstream>)| {
            Ok((name.clone(), Arc::new(self.maker.client_over(&transport, rules, name, upstream)?)))
        };
        rules.upstreams.iter().map(client).collect()
    }

    /// The client of one upstream.
    pub fn client(&self, rules: &Ruleset, name: &str) -> Result<Client, CliError> {
        self.maker.client(rules, name)
    }

    /// Clients of all upstreams in the rules, for somebody who looks on: none waits for long.
    pub fn clients_to_look(&self, rules: &Ruleset) -> Result<Clients, CliError> {
        let client = |name: &String| Ok((name.clone(), Arc::new(self.client_to_look(rules, name)?)));
        rules.upstreams.keys().map(client).collect()
    }

    /// The same of one upstream.
    pub fn client_to_look(&self, rules: &Ruleset, name: &str) -> Result<Client, CliError> {
        let transport: Arc<dyn Transport> = Arc::new(HttpTransport::new());
        self.maker.client_over(&transport, rules, name, &impatient(of(rules, name)?))
    }

    /// One without secrets: it knows what may be asked of the upstream, and asks nothing itself.
    pub fn client_to_count(&self, rules: &Ruleset, name: &str) -> Result<Client, CliError> {
        let (transport, secret): (Arc<dyn Transport>, _) =
            (Arc::new(HttpTransport::new()), |_: &str| Some(SecretString::from(MARK)));
        Client::new(impatient(of(rules, name)?), &secret, transport, self.clock())
            .map(|client| client.spending_from(&self.maker.spending))
            .map_err(|failure| CliError::Upstream { upstream: name.to_owned(), reason: failure.to_string() })
    }

    /// Makes clients as they are made here, wherever it is needed.
    pub fn client_of(&self) -> Arc<ClientOf> {
        let maker = self.maker.clone();
        Arc::new(move |rules, name| maker.client(rules, name).map_err(|error| error.to_string()))
    }

    /// The engine over a store; says what was done to the tables.
    pub async fn engine(&self, store: Arc<dyn Store>, rules: &Arc<Ruleset>, out: &Out) -> Result<Engine, CliError> {
        let (engine, notices) = self.engine_with_notices(store, rules).await?;
        for notice in notices {
            out.talk(&notice);
        }
        Ok(engine)
    }

    /// The engine over a store, and what was done to the tables.
    pub async fn engine_with_notices(
        &self,
        store: Arc<dyn Store>,
        rules: &Arc<Ruleset>,
    ) -> Result<(Engine, Vec<String>), CliError> {
        let clients = self.clients(rules)?;
        Ok(Engine::open(store, Arc::clone(rules), clients, self.clock()).await?)
    }

    /// An error of a store that is thrown away, told of the database that it is a copy of.
    pub fn told_of_original(&self, error: CliError) -> CliError {
        let database = &self.settings.database;
        match error {
            CliError::Store(error) => CliError::Store(of_original(error, database)),
            CliError::Pass(PassError::Store(error)) => CliError::Pass(PassError::Store(of_original(error, database))),
            other => other,
        }
    }
}

impl Maker {
    fn client(&self, rules: &Ruleset, name: &str) -> Result<Client, CliError> {
        let transport: Arc<dyn Transport> = Arc::new(HttpTransport::new());
        self.client_over(&transport, rules, name, of(rules, name)?)
    }

    fn client_over(
        &self,
        transport: &Arc<dyn Transport>,
        rules: &Ruleset,
        name: &str,
        upstream: &Arc<Upstream>,
    ) -> Result<Client, CliError> {
        let secret = |name: &str| self.secrets.find(name).ok();
        Client::new(Arc::clone(upstream), &secret, Arc::clone(transport), Arc::clone(&self.clock))
            .and_then(|client| client.knowing(requests_to(rules, name), &secret))
            .map(|client| client.metered_by(self.meters.of(name)).keeping_tokens_in(&self.vault))
            .map(|client| client.spending_from(&self.spending))
            .map_err(|failure| CliError::Upstream { upstream: name.to_owned(), reason: failure.to_string() })
    }
}

fn of<'a>(rules: &'a Ruleset, name: &str) -> Result<&'a Arc<Upstream>, CliError> {
    rules.upstreams.get(name).ok_or_else(|| CliError::NotFound(format!("no upstream {name}")))
}

fn impatient(upstream: &Arc<Upstream>) -> Arc<Upstream> {
    let mut upstream = Upstream::clone(upstream);
    upstream.retry.max_wait = upstream.retry.max_wait.min(WATCHED_MAX);
    Arc::new(upstream)
}

/// Clients of all upstreams in the rules whom a cassette answers. No secret is needed, and nothing is sent.
pub fn offline_clients(rules: &Ruleset, deck: &Arc<Deck>, clock: &Arc<dyn Clock>) -> Result<Clients, CliError> {
    let secret = |_: &str| Some(SecretString::from(MARK));
    let client = |(name, upstream): (&String, &Arc<Upstream>)| {
        let player = Arc::new(Player::new(Arc::clone(deck), upstream));
        let made = Client::new(Arc::new(offline(upstream)), &secret, player, Arc::clone(clock))
            .and_then(|client| client.knowing(requests_to(rules, name), &secret));
        let failed = |failure: Failure| CliError::Upstream { upstream: name.clone(), reason: failure.to_string() };
        Ok((name.clone(), Arc::new(made.map_err(failed)?)))
    };
    rules.upstreams.iter().map(client).collect()
}

/// All requests that bindings make to an upstream; they may name secrets of their own.
fn requests_to<'a>(rules: &'a Ruleset, upstream: &'a str) -> impl Iterator<Item = &'a Request> {
    let bindings = rules.collections.values().flat_map(|collection| &collection.bindings);
    bindings.filter(move |binding| binding.upstream.name == upstream).flat_map(|binding| {
        let reads = binding.read.iter().flat_map(Read::requests);
        let writes = [
            binding.create.as_ref().map(|write| &write.request),
            binding.update.as_ref().map(|write| &write.request),
            binding.delete.as_ref().map(|write| &write.request),
            binding.archive.as_ref().map(|write| &write.request),
        ];
        let calls = binding.transitions.iter().map(|one| &one.request);
        let batches = binding.batches.iter().flat_map(Batch::requests);
        reads.chain(writes.into_iter().flatten()).chain(calls).chain(batches)
    })
}

/// The drawing of all errors; warnings are `check`'s business.
pub fn usable(examined: &Examined, out: &Out) -> Result<Arc<Ruleset>, CliError> {
    examined.rules.clone().ok_or_else(|| CliError::Rules(errors_text(examined, out)))
}

fn said_of(examined: &Examined) -> Arc<RulesSaid> {
    let files = examined.sources.iter().map(|source| source.path.clone()).collect();
    Arc::new(RulesSaid { files, diagnostics: examined.diagnostics.clone() })
}

fn errors_text(examined: &Examined, out: &Out) -> String {
    let errors: Vec<Diagnostic> =
        examined.diagnostics.iter().filter(|note| note.severity == Severity::Error).cloned().collect();
    let mut text = render(&errors, &examined.sources, out.colors_talk(), out.width());
    text.push_str(
        "error: the rules cannot be used as they are; `reconciled check` checks them without touching anything",
    );
    text
}

/// The named collections in the order of passes, parents first; all of them where none is named.
pub fn select_collections(rules: &Ruleset, named: &[String]) -> Result<Vec<String>, CliError> {
    for name in named {
        if !rules.collections.contains_key(name) {
            let known: Vec<&str> = rules.collections.keys().map(String::as_str).collect();
            let remedy = nearest(name, &known);
            return Err(CliError::Usage(format!("no collection named `{name}` in the rules; {remedy}")));
        }
    }
    let order = rules.in_order().into_iter().map(|collection| collection.name.clone());
    Ok(order.filter(|name| named.is_empty() || named.contains(name)).collect())
}
