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
    /// Names of hosts, with or without a port, between commas; or nothing.
    Hosts,
    /// Addresses and networks, between commas; or nothing.
    Networks,
    /// An address of HTTP, or nothing.
    Endpoint,
}

/// All settings, by name.
pub const KEYS: &[Key] = &[
    Key { name: "busy_timeout", kind: Kind::Duration, default: "5s", flag: None },
    Key { name: "color", kind: Kind::OneOf(&["auto", "always", "never"]), default: "auto", flag: Some("--color") },
    Key { name: "database", kind: Kind::Path, default: "reconciled.db", flag: Some("--db") },
    Key { name: "drain_timeout", kind: Kind::Duration, default: "20s", flag: None },
    Key {
        name: "log.format",
        // `human` is what `text` was called at first.
        kind: Kind::OneOf(&["auto", "text", "json", "journal", "human"]),
        default: "auto",
        flag: None,
    },
    Key { name: "log.journal_socket", kind: Kind::Path, default: "/run/systemd/journal/socket", flag: None },
    Key {
        name: "log.level",
        kind: Kind::OneOf(&["off", "error", "warn", "info", "debug", "trace"]),
        default: "info",
        flag: Some("--log-level"),
    },
    Key { name: "otlp.endpoint", kind: Kind::Endpoint, default: "", flag: None },
    Key { name: "rules_dir", kind: Kind::Path, default: "sync-rules", flag: Some("--rules") },
    Key { name: "secrets_dir", kind: Kind::Path, default: "secrets", flag: None },
    Key { name: "trusted_proxies", kind: Kind::Networks, default: "", flag: None },
    Key { name: "web.hosts", kind: Kind::Hosts, default: "", flag: None },
    Key { name: "web.listen", kind: Kind::Listen, default: "", flag: None },
    Key { name: "webhooks.listen", kind: Kind::Listen, default: "", flag: None },
];

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
        Kind::Listen if text.is_empty() || text.parse::<SocketAddr>().is_ok() => Ok(()),
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
    fn every_default_is_valid() {
        for key in KEYS {
            assert_eq!(check_value(key, key.default), Ok(()), "{}", key.name);
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
