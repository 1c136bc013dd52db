//! Owns: the layers of settings (defaults, file, environment, flags) and, for each value, where it came from.
//!
//! Must not know: secrets (they never pass through here), what a setting is used for.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ipnet::IpNet;

use super::duration::parse_duration;
use super::file::{Problem, parse_file};
use super::keys::{
    BESIDE, KEYS, PREFIX, VARS, check_value, check_variable_name, hosts, key, networks, suggestion, variable,
};

/// Where a settings file is looked for when no flag names one.
const FILES: [&str; 2] = ["reconciled.toml", "/etc/reconciled/config.toml"];

/// Environment variables by name, as far as they are text.
pub type Environment = BTreeMap<String, String>;

/// What flags set; they are the last layer.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// `--config`: this file and no other.
    pub config: Option<PathBuf>,
    /// Settings by dotted name.
    pub values: BTreeMap<&'static str, String>,
}

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// Nobody set it.
    Default,
    /// A settings file.
    File(PathBuf),
    /// An environment variable.
    Environment(String),
    /// A flag.
    Flag(&'static str),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Environment(name) => f.write_str(name),
            Self::Flag(flag) => f.write_str(flag),
        }
    }
}

/// All settings, checked.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The database file.
    pub database: PathBuf,
    /// The folder of rules.
    pub rules_dir: PathBuf,
    /// The folder of secrets, one file each.
    pub secrets_dir: PathBuf,
    /// `off` … `trace`.
    pub log_level: String,
    /// `auto`, `text`, `json`, `journal`, or `human` for `text`.
    pub log_format: String,
    /// The socket of the journal.
    pub journal_socket: PathBuf,
    /// Where traces go; nowhere where it is empty.
    pub otlp_endpoint: String,
    /// `auto`, `always`, `never`.
    pub color: String,
    /// How long a lock that another program holds on the database is waited for.
    pub busy_timeout: Duration,
    /// How long a stop waits for the running pass.
    pub drain_timeout: Duration,
    /// Where the daemon serves its pages; nowhere where nothing is set.
    pub web_listen: Option<SocketAddr>,
    /// The hosts, in lower case, by which it may be asked besides its address and names of this machine.
    pub web_hosts: Vec<String>,
    /// The proxies that say who asks.
    pub trusted_proxies: Vec<IpNet>,
    /// The address of their own that webhooks come to, where they have one.
    pub webhooks_listen: Option<SocketAddr>,
    /// Webhooks come to where the pages are served.
    pub webhooks_beside: bool,
    /// Values of `${var.NAME}`.
    pub vars: BTreeMap<String, String>,
    /// Every value as text and its source, by dotted name.
    pub shown: Vec<(String, String, Source)>,
}

/// Why there are no settings.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// What is wrong, all of it.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Problems(Vec<Problem>),
    /// A file or folder cannot be read.
    #[error("{path}: {reason}")]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why, and what to do.
        reason: String,
    },
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    busy_timeout: String,
    color: String,
    database: String,
    drain_timeout: String,
    log: RawLog,
    otlp: RawOtlp,
    rules_dir: String,
    secrets_dir: String,
    trusted_proxies: String,
    web: RawWeb,
    #[serde(default)]
    vars: BTreeMap<String, String>,
    webhooks: RawWebhooks,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct RawWebhooks {
    listen: String,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct RawOtlp {
    endpoint: String,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct RawLog {
    format: String,
    journal_socket: String,
    level: String,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct RawWeb {
    hosts: String,
    listen: String,
}

impl Settings {
    /// Loads all layers. `environment` is the whole environment, `here` the current folder.
    pub fn load(overrides: &Overrides, environment: &Environment, here: &Path) -> Result<Self, ConfigError> {
        let file = find_file(overrides.config.as_deref(), here)?;
        let (from_file, mut problems) = match &file {
            Some((path, text)) => match parse_file(path, text) {
                Ok(values) => (values, Vec::new()),
                Err(problems) => (BTreeMap::new(), problems),
            },
            None => (BTreeMap::new(), Vec::new()),
        };
        let ours: Environment = environment
            .iter()
            .filter(|(name, value)| name.starts_with(PREFIX) && !value.is_empty())
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        problems.extend(ours.iter().filter_map(|(name, value)| environment_problem(name, value)));
        problems.extend(overrides.values.iter().filter_map(|(name, value)| flag_problem(name, value)));
        if !problems.is_empty() {
            return Err(ConfigError::Problems(problems));
        }
        let raw = layer(file.as_ref().map(|(_, text)| text.as_str()), &ours, overrides).map_err(|error| {
            ConfigError::Problems(vec![Problem {
                place: "settings".to_owned(),
                what: error.to_string(),
                remedy: Some("see `reconciled --print-config` without the setting".to_owned()),
                line: None,
            }])
        })?;
        let source = |name: &str| source_of(name, overrides, &ours, &from_file, file.as_ref().map(|(path, _)| path));
        Ok(raw.resolve(&source))
    }
}

impl Raw {
    fn resolve(self, source: &dyn Fn(&str) -> Source) -> Settings {
        let path = |name: &str, text: &str| match source(name) {
            Source::File(file) => file.parent().map_or_else(|| PathBuf::from(text), |folder| folder.join(text)),
            _ => PathBuf::from(text),
        };
        let database = path("database", &self.database);
        let journal_socket = path("log.journal_socket", &self.log.journal_socket);
        let rules_dir = path("rules_dir", &self.rules_dir);
        let secrets_dir = path("secrets_dir", &self.secrets_dir);
        let mut shown: Vec<(String, String, Source)> = [
            ("busy_timeout", self.busy_timeout.clone()),
            ("color", self.color.clone()),
            ("database", database.display().to_string()),
            ("drain_timeout", self.drain_timeout.clone()),
            ("log.format", self.log.format.clone()),
            ("log.journal_socket", journal_socket.display().to_string()),
            ("log.level", self.log.level.clone()),
            ("otlp.endpoint", self.otlp.endpoint.clone()),
            ("rules_dir", rules_dir.display().to_string()),
            ("secrets_dir", secrets_dir.display().to_string()),
            ("trusted_proxies", self.trusted_proxies.clone()),
            ("web.hosts", self.web.hosts.clone()),
            ("web.listen", self.web.listen.clone()),
            ("webhooks.listen", self.webhooks.listen.clone()),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value, source(name)))
        .collect();
        shown.extend(self.vars.iter().map(|(name, value)| {
            let name = format!("{VARS}.{name}");
            let source = source(&name);
            (name, value.clone(), source)
        }));
        Settings {
            database,
            rules_dir,
            secrets_dir,
            log_level: self.log.level,
            log_format: self.log.format,
            journal_socket,
            otlp_endpoint: self.otlp.endpoint,
            color: self.color,
            // Checked before layering; the defaults stand in for what cannot happen.
            busy_timeout: parse_duration(&self.busy_timeout).unwrap_or(Duration::from_secs(5)),
            drain_timeout: parse_duration(&self.drain_timeout).unwrap_or(Duration::from_secs(20)),
            web_listen: self.web.listen.parse().ok(),
            web_hosts: hosts(&self.web.hosts).collect(),
            trusted_proxies: networks(&self.trusted_proxies).unwrap_or_default(),
            webhooks_listen: self.webhooks.listen.parse().ok(),
            webhooks_beside: self.webhooks.listen == BESIDE,
            vars: self.vars,
            shown,
        }
    }
}

/// The one settings file, with its text.
fn find_file(named: Option<&Path>, here: &Path) -> Result<Option<(PathBuf, String)>, ConfigError> {
    let read = |path: &Path| std::fs::read_to_string(here.join(path));
    let unreadable = |path: &Path, error: &std::io::Error| ConfigError::Unreadable {
        path: path.to_owned(),
        reason: format!("the settings cannot be read: {error}"),
    };
    if let Some(path) = named {
        return read(path).map(|text| Some((path.to_owned(), text))).map_err(|error| unreadable(path, &error));
    }
    for path in FILES.map(Path::new) {
        match read(path) {
            Ok(text) => return Ok(Some((path.to_owned(), text))),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(unreadable(path, &error)),
        }
    }
    Ok(None)
}

/// `RECONCILED__LOG__LEVEL` → `log.level`.
fn dotted(variable: &str) -> String {
    variable.strip_prefix(PREFIX).unwrap_or(variable).to_ascii_lowercase().replace("__", ".")
}

fn environment_problem(name: &str, value: &str) -> Option<Problem> {
    let dotted = dotted(name);
    let problem = |what: String, remedy| Some(Problem { place: name.to_owned(), what, remedy, line: None });
    if let Some(free) = dotted.strip_prefix("vars.") {
        return match check_variable_name(free) {
            Ok(()) if name == variable(&dotted) => None,
            Ok(()) => problem("not written in upper case".to_owned(), Some(format!("write {}", variable(&dotted)))),
            Err(why) => problem(format!("`{free}` is {why}"), None),
        };
    }
    match key(&dotted) {
        Some(_) if name != variable(&dotted) => {
            problem("not written in upper case".to_owned(), Some(format!("write {}", variable(&dotted))))
        }
        Some(key) => check_value(key, value).err().and_then(|why| problem(why, None)),
        None => {
            let known: Vec<String> = KEYS.iter().map(|key| variable(key.name)).collect();
            let known: Vec<&str> = known.iter().map(String::as_str).collect();
            problem("no such setting".to_owned(), Some(suggestion(name, &known)))
        }
    }
}

fn flag_problem(name: &str, value: &str) -> Option<Problem> {
    let key = key(name)?;
    let what = check_value(key, value).err()?;
    Some(Problem { place: key.flag.unwrap_or(name).to_owned(), what, remedy: None, line: None })
}

fn layer(file: Option<&str>, ours: &Environment, overrides: &Overrides) -> Result<Raw, config::ConfigError> {
    let mut builder = config::Config::builder();
    for key in KEYS {
        builder = builder.set_default(key.name, key.default)?;
    }
    if let Some(text) = file {
        builder = builder.add_source(config::File::from_str(text, config::FileFormat::Toml));
    }
    let environment = config::Environment::with_prefix("RECONCILED")
        .prefix_separator("__")
        .separator("__")
        .ignore_empty(true)
        .source(Some(ours.clone().into_iter().collect()));
    builder = builder.add_source(environment);
    for (name, value) in &overrides.values {
        builder = builder.set_override(*name, value.as_str())?;
    }
    builder.build()?.try_deserialize()
}

fn source_of(
    name: &str,
    overrides: &Overrides,
    ours: &Environment,
    from_file: &BTreeMap<String, String>,
    file: Option<&PathBuf>,
) -> Source {
    if overrides.values.contains_key(name) {
        return Source::Flag(key(name).and_then(|key| key.flag).unwrap_or("flag"));
    }
    if ours.contains_key(&variable(name)) {
        return Source::Environment(variable(name));
    }
    match file {
        Some(path) if from_file.contains_key(name) => Source::File(path.clone()),
        _ => Source::Default,
    }
}

impl Settings {
    /// True where somebody set it.
    pub fn is_set(&self, name: &str) -> bool {
        self.shown.iter().any(|(key, _, source)| key == name && *source != Source::Default)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(file: &str, environment: &[(&str, &str)], flags: &[(&'static str, &str)]) -> Result<Settings, ConfigError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("settings.toml");
        std::fs::write(&path, file).unwrap();
        let overrides = Overrides {
            config: Some(path),
            values: flags.iter().map(|(name, value)| (*name, (*value).to_owned())).collect(),
        };
        let environment = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Settings::load(&overrides, &environment, folder.path())
    }

    fn problems(environment: &[(&str, &str)]) -> String {
        load("", environment, &[]).unwrap_err().to_string()
    }

    #[test]
    fn later_layers_win_and_each_value_knows_its_source() {
        let settings = load(
            "database = \"a.db\"\nrules_dir = \"rules\"\n[log]\nlevel = \"debug\"\n[vars]\none = \"file\"\ntwo = \"file\"\n",
            &[("RECONCILED__LOG__LEVEL", "warn"), ("RECONCILED__VARS__TWO", "env"), ("RECONCILED__COLOR", "")],
            &[("database", "flag.db")],
        )
        .unwrap();
        let source = |name: &str| {
            let (_, value, source) = settings.shown.iter().find(|(key, _, _)| key == name).unwrap();
            (value.clone(), source.clone())
        };
        assert_eq!(source("database"), ("flag.db".to_owned(), Source::Flag("--db")));
        assert_eq!(source("log.level"), ("warn".to_owned(), Source::Environment("RECONCILED__LOG__LEVEL".to_owned())));
        assert_eq!(source("color"), ("auto".to_owned(), Source::Default), "an empty variable counts as not set");
        assert!(matches!(source("rules_dir").1, Source::File(_)));
        assert!(settings.rules_dir.is_absolute(), "a path in a file is relative to that file");
        assert_eq!(settings.vars["one"], "file");
        assert_eq!(settings.vars["two"], "env");
        assert_eq!(settings.drain_timeout, Duration::from_secs(20));
        assert_eq!(settings.busy_timeout, Duration::from_secs(5));
    }

    #[test]
    fn stray_variables_are_errors_with_the_nearest_name() {
        assert_eq!(
            problems(&[("RECONCILED__DATABSE", "x")]),
            "RECONCILED__DATABSE: no such setting; did you mean `RECONCILED__DATABASE`?"
        );
        assert_eq!(
            problems(&[("RECONCILED__LOG__FORMAT", "xml")]),
            "RECONCILED__LOG__FORMAT: not a word that it knows; write one of auto, text, json, journal, human"
        );
        assert!(problems(&[("RECONCILED__VARS__A__B", "x")]).contains("no variable name"));
        assert!(problems(&[("RECONCILED__database", "x")]).contains("write RECONCILED__DATABASE"));
    }

    #[test]
    fn a_named_file_that_is_missing_is_an_error() {
        let overrides = Overrides { config: Some(PathBuf::from("nowhere.toml")), values: BTreeMap::new() };
        let folder = tempfile::tempdir().unwrap();
        assert!(Settings::load(&overrides, &Environment::new(), folder.path()).is_err());
        let settings = Settings::load(&Overrides::default(), &Environment::new(), folder.path()).unwrap();
        assert_eq!(settings.database, PathBuf::from("reconciled.db"));
    }
}
