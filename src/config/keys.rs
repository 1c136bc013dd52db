//! Owns: the table of settings: name, kind, default, meaning. Everything else about settings is derived from it.
//!
//! Must not know: where a value comes from.

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;

use super::duration::parse_duration;

/// One setting. In a file its name is a key (`log.level` is `level` under `[log]`), in the environment
/// it is `RECONCILED__LOG__LEVEL`.
#[derive(Debug)]
pub struct Key {
    /// In lower snake case, dotted.
    pub name: &'static str,
    /// What it may hold.
    pub kind: Kind,
    /// Its value where nobody sets it.
    pub default: &'static str,
    /// The flag that sets it, where there is one.
    pub flag: Option<&'static str>,
    /// What it is for and what it brings about, in Markdown; the reference is made of it.
    pub about: &'static str,
    /// A value that somebody might choose.
    pub example: &'static str,
}

/// An environment variable that is heeded besides settings and secrets.
#[derive(Debug)]
pub struct Variable {
    /// Its name; NAME in it stands for any.
    pub name: &'static str,
    /// What it brings about, in Markdown.
    pub about: &'static str,
}

/// What a setting may hold; in TOML all of them are strings.
#[derive(Debug)]
pub enum Kind {
    /// A path; in a file it is relative to the file's folder, elsewhere to the current one.
    Path,
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// A duration with its unit.
    Duration,
    /// An address with a port, or nothing.
    Listen,
    /// The same, or `web`: where pages are served.
    ListenBeside,
    /// Names of hosts, with or without a port, between commas; or nothing.
    Hosts,
    /// Addresses and networks, between commas; or nothing.
    Networks,
    /// An address of HTTP, or nothing.
    Endpoint,
}

/// All settings, by name.
pub const KEYS: &[Key] = &[
    Key {
        name: "busy_timeout",
        kind: Kind::Duration,
        default: "5s",
        flag: None,
        about: "How long a lock that another program holds on the database is waited for. After that the command, or the pass of \
                the daemon, fails; the daemon makes it again after seconds, later minutes. Raise it where other programs write in long transactions.",
        example: "30s",
    },
    Key {
        name: "color",
        kind: Kind::OneOf(&["auto", "always", "never"]),
        default: "auto",
        flag: Some("--color"),
        about: "Whether output is coloured. `auto` colours what goes to a terminal, unless `NO_COLOR` is set.",
        example: "never",
    },
    Key {
        name: "database",
        kind: Kind::Path,
        default: "reconciled.db",
        flag: Some("--db"),
        about: "The SQLite file: your tables, and what `reconciled` knows about them. It is made by the first pass. Beside it stand \
                `DATABASE-wal` and `DATABASE-shm` (SQLite's own), `DATABASE.epoch` (how far it had got, by which a restored backup \
                is noticed), `DATABASE.budgets` (what was spent of budgets that still counts) and `DATABASE.sock` (where a running \
                daemon is asked). It has to be on a local file system: NFS, SMB and FUSE are refused.",
        example: "/var/lib/reconciled/reconciled.db",
    },
    Key {
        name: "drain_timeout",
        kind: Kind::Duration,
        default: "20s",
        flag: None,
        about: "How long a stop waits for the running pass to end by itself, before it is cut short. Either way nothing is lost: the \
                next pass takes up what was under way.",
        example: "2m",
    },
    Key {
        name: "log.format",
        // `human` is what `text` was called at first.
        kind: Kind::OneOf(&["auto", "text", "json", "journal", "human"]),
        default: "auto",
        flag: None,
        about: "How log lines look. `text` is for people and `json` writes one object per line, in which a pass is the object `span`, both on \
                stderr; `journal` sends entries with priorities and fields to journald. `auto` is `journal` where systemd connected stderr \
                with it (`JOURNAL_STREAM`), else `text`. `human` is another word for `text`.",
        example: "json",
    },
    Key {
        name: "log.journal_socket",
        kind: Kind::Path,
        default: "/run/systemd/journal/socket",
        flag: None,
        about: "Where journald listens. Where nobody does, lines go to stderr, with their priorities.",
        example: "/run/host/journal/socket",
    },
    Key {
        name: "log.level",
        kind: Kind::OneOf(&["off", "error", "warn", "info", "debug", "trace"]),
        default: "info",
        flag: Some("--log-level"),
        about: "The least that is logged. `info` is a line per pass, `debug` a line per request. Commands other than the daemon log from \
                `warn` on unless this is set. `--quiet` and `--verbose` go before it, `RECONCILED_LOG` before both.",
        example: "debug",
    },
    Key {
        name: "otlp.endpoint",
        kind: Kind::Endpoint,
        default: "",
        flag: None,
        about: "The OpenTelemetry collector that traces go to, over HTTP; nowhere where it is empty. Needs a program that was built with \
                the feature `otlp`.",
        example: "http://127.0.0.1:4318",
    },
    Key {
        name: "rules_dir",
        kind: Kind::Path,
        default: "sync-rules",
        flag: Some("--rules"),
        about: "The folder of rules: every `*.toml` in it and below, except below folders named `examples`. A running daemon notices \
                edits by itself.",
        example: "/etc/reconciled/sync-rules",
    },
    Key {
        name: "secrets_dir",
        kind: Kind::Path,
        default: "secrets",
        flag: None,
        about: "A folder with one file per secret, named like the secret, that nobody else may read (mode 600). Systemd credentials go \
                before it. This setting is no secret; the files are.",
        example: "/etc/reconciled/secrets",
    },
    Key {
        name: "trusted_proxies",
        kind: Kind::Networks,
        default: "",
        flag: None,
        about: "Addresses and networks, between commas, of proxies whose word counts about who asks: `X-Forwarded-For`, `X-Forwarded-Proto` and \
                `X-Forwarded-Host`, or `Forwarded`. From everybody else these headers are ignored.",
        example: "127.0.0.1, 10.0.0.0/24",
    },
    Key {
        name: "web.hosts",
        kind: Kind::Hosts,
        default: "",
        flag: None,
        about: "Names by which the pages and the API may be asked besides their own address and `localhost`, between commas: those that \
                a proxy passes on as `Host`. Any other host is answered with 421, so that no foreign page can ask through a browser.",
        example: "sync.example.com",
    },
    Key {
        name: "web.listen",
        kind: Kind::Listen,
        default: "",
        flag: None,
        about: "Where the daemon serves its pages, API, metrics and health, over plain HTTP; nowhere where it is empty. Needs the secret \
                `web_token`; without it only `/healthz` is answered. Port 0 takes any free one, which the log tells. Not needed \
                where systemd opens the socket (`reconciled-web.socket`).",
        example: "127.0.0.1:8480",
    },
    Key {
        name: "webhooks.listen",
        kind: Kind::ListenBeside,
        default: "",
        flag: None,
        about: "Where webhooks of upstreams come to, as `POST /webhooks/UPSTREAM`, and nothing else is served; `web`: they come to the \
                listener of the pages (`web.listen`) as well; nowhere where it is empty. \
                Each webhook is checked by the secrets that the rules name for its upstream. Not needed where systemd opens the \
                socket (`reconciled-webhooks.socket`).",
        example: "127.0.0.1:8481",
    },
];

/// The value of `webhooks.listen` that names the listener of the pages.
pub const BESIDE: &str = "web";

/// Variables of the environment that are neither settings nor secrets.
pub const VARIABLES: &[Variable] = &[
    Variable {
        name: "RECONCILED_LOG",
        about: "Finer log directives than `log.level` has, like `info,reconciled::upstream=debug`.",
    },
    Variable { name: "NO_COLOR", about: "Set to anything: no colour, unless `color` is `always`." },
    Variable {
        name: "COLUMNS",
        about: "How wide tables may be where the output is no terminal (100 where it is not set).",
    },
    Variable {
        name: "TMPDIR",
        about: "Where `plan` puts its copy of the database where it cannot write beside the database.",
    },
    Variable {
        name: "CREDENTIALS_DIRECTORY",
        about: "Set by systemd (`LoadCredential=`): the first place where secrets are looked for.",
    },
    Variable {
        name: "NOTIFY_SOCKET, WATCHDOG_USEC",
        about: "Set by systemd: the daemon says there when it is ready, reloads and stops, what it is at, and that it lives.",
    },
    Variable {
        name: "LISTEN_FDS, LISTEN_PID, LISTEN_FDNAMES",
        about: "Set by systemd: sockets that it opened, `web` and `webhooks`.",
    },
];

impl Kind {
    /// What it may hold, for the reference.
    pub fn words(&self) -> String {
        match self {
            Self::Path => "a path; in a file relative to that file, elsewhere to the current folder".to_owned(),
            Self::OneOf(words) => {
                let words: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
                format!("one of {}", words.join(", "))
            }
            Self::Duration => "a number with its unit: `ms`, `s`, `m` or `h`; at most `24h`".to_owned(),
            Self::Listen => "an IP address with a port, or nothing".to_owned(),
            Self::ListenBeside => "an IP address with a port, `web`, or nothing".to_owned(),
            Self::Hosts => "host names, with or without a port, between commas; or nothing".to_owned(),
            Self::Networks => "IP addresses and networks such as `10.0.0.0/24`, between commas; or nothing".to_owned(),
            Self::Endpoint => "an http or https URL, or nothing".to_owned(),
        }
    }
}

impl Key {
    /// Its name in the environment: `RECONCILED__LOG__LEVEL`.
    pub fn variable(&self) -> String {
        variable(self.name)
    }
}

/// The environment variable of a setting: of `log.level` it is `RECONCILED__LOG__LEVEL`.
pub fn variable(name: &str) -> String {
    format!("{PREFIX}{}", name.to_ascii_uppercase().replace('.', "__"))
}

/// What the environment's settings begin with.
pub const PREFIX: &str = "RECONCILED__";

/// The table of free variables (`${var.NAME}` in rules).
pub const VARS: &str = "vars";

/// The setting of this name.
pub fn key(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name)
}

/// Checks a value's text; the error says what would be right and never repeats the value.
pub fn check_value(key: &Key, text: &str) -> Result<(), String> {
    match &key.kind {
        Kind::Path if text.is_empty() => Err("an empty path; name a file or folder".to_owned()),
        Kind::Path => Ok(()),
        Kind::OneOf(words) if words.contains(&text) => Ok(()),
        Kind::OneOf(words) => Err(format!("not a word that it knows; write one of {}", words.join(", "))),
        Kind::ListenBeside if text == BESIDE => Ok(()),
        Kind::Listen | Kind::ListenBeside if text.is_empty() || text.parse::<SocketAddr>().is_ok() => Ok(()),
        Kind::ListenBeside => {
            Err("no address; write an IP address with a port, like 127.0.0.1:8481, or `web`".to_owned())
        }
        Kind::Listen => Err("no address; write an IP address with a port, like 127.0.0.1:8480".to_owned()),
        Kind::Hosts if hosts(text).all(|host| is_host(&host)) => Ok(()),
        Kind::Hosts => Err("no list of hosts; write names with or without a port, between commas".to_owned()),
        Kind::Endpoint if text.is_empty() || is_endpoint(text) => Ok(()),
        Kind::Endpoint => Err("no address of HTTP; write one like http://127.0.0.1:4318".to_owned()),
        Kind::Networks => networks(text).map(|_fine| ()),
        Kind::Duration => parse_duration(text).map(|_fine| ()).map_err(|hint| format!("no duration; {hint}")),
    }
}

/// The hosts of a list, in lower case.
pub fn hosts(text: &str) -> impl Iterator<Item = String> + '_ {
    text.split(',').map(|host| host.trim().to_ascii_lowercase()).filter(|host| !host.is_empty())
}

fn is_endpoint(text: &str) -> bool {
    url::Url::parse(text).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.username().is_empty())
}

/// The networks of a list; an address alone is a network of one.
pub fn networks(text: &str) -> Result<Vec<IpNet>, String> {
    let entries = text.split(',').map(str::trim).filter(|entry| !entry.is_empty());
    let one = |entry: &str| entry.parse().or_else(|_no_network| entry.parse::<IpAddr>().map(IpNet::from));
    let networks: Vec<IpNet> = entries.map(one).collect::<Result<_, _>>().map_err(|_neither| {
        "no list of addresses; write IP addresses or networks, like 127.0.0.1 or 10.0.0.0/24, between commas".to_owned()
    })?;
    if networks.iter().any(|network| network.prefix_len() == 0) {
        return Err("a network that is everybody; name the addresses of your proxies".to_owned());
    }
    Ok(networks)
}

fn is_host(host: &str) -> bool {
    host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._:[]".contains(&byte))
}

/// Checks the name of a variable: lower snake case, so that file and environment mean the same one.
pub fn check_variable_name(name: &str) -> Result<(), String> {
    let first = name.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase());
    let rest = name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
    if first && rest && !name.contains("__") {
        Ok(())
    } else {
        Err("no variable name; use lower case letters, digits and single `_`, beginning with a letter".to_owned())
    }
}

/// The nearest known name, as a remedy.
pub fn suggestion(given: &str, known: &[&str]) -> String {
    let near = known
        .iter()
        .map(|name| (strsim::jaro_winkler(given, name), *name))
        .filter(|(score, _)| *score >= 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0));
    match near {
        Some((_, name)) => format!("did you mean `{name}`?"),
        None => format!("known here: {}", known.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_and_example_is_valid() {
        for key in KEYS {
            assert_eq!(check_value(key, key.default), Ok(()), "{}", key.name);
            assert_eq!(check_value(key, key.example), Ok(()), "{}", key.name);
            assert_ne!(key.example, key.default, "{}", key.name);
        }
        let listen = key("web.listen").unwrap();
        assert_eq!(check_value(listen, "127.0.0.1:8480"), Ok(()));
        assert!(check_value(listen, "localhost").is_err(), "a name may be anything tomorrow");
        let hosts = key("web.hosts").unwrap();
        assert_eq!(check_value(hosts, "sync.example.com, other.example.com:8443"), Ok(()));
        assert!(check_value(hosts, "https://sync.example.com").is_err());
        let proxies = key("trusted_proxies").unwrap();
        assert_eq!(check_value(proxies, "127.0.0.1, 10.0.0.0/24,::1, 2001:db8::/32"), Ok(()));
        for wrong in ["localhost", "10.0.0.0/33", "10.0.0.0/", "0.0.0.0/0", "::/0", "10.0.0.1 10.0.0.2"] {
            assert!(check_value(proxies, wrong).is_err(), "{wrong}");
        }
        let endpoint = key("otlp.endpoint").unwrap();
        assert_eq!(check_value(endpoint, "http://127.0.0.1:4318"), Ok(()));
        assert!(check_value(endpoint, "127.0.0.1:4318").is_err() && check_value(endpoint, "https://a:b@x.io").is_err());
        assert!(KEYS.is_sorted_by_key(|key| key.name), "the table is sorted by name");
    }
}
