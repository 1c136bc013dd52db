//! Owns: which URLs may be talked to: the allow-list of hosts, https, no link-local addresses.
//!
//! Must not know: where a URL came from.

use std::net::IpAddr;

use url::{Host, Url};

use super::{Failure, FailureKind};
use crate::rules::{Upstream, is_loopback};

/// Checks a URL before anything, credentials above all, is sent there.
pub fn check_url(upstream: &Upstream, url: &Url) -> Result<(), Failure> {
    let refuse = |words: String| Err(Failure::new(FailureKind::Fatal, words));
    let Some(host) = url.host() else {
        return refuse(format!("`{}` is no web address", url.scheme()));
    };
    let name = host.to_string();
    if !is_allowed(upstream, url, &name) {
        let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
        return refuse(format!("host {name}{port} is not in allowed_hosts of upstream {}", upstream.name));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return refuse(format!("a URL at {name} carries credentials of its own"));
    }
    is_reachable(url, upstream.insecure_http)
}

/// Checks that a URL is asked in a way that nobody can listen to, and leads to no address of the machine's own network.
pub fn is_reachable(url: &Url, insecure_http: bool) -> Result<(), Failure> {
    let refuse = |words: String| Err(Failure::new(FailureKind::Fatal, words));
    let Some(host) = url.host() else {
        return refuse(format!("`{}` is no web address", url.scheme()));
    };
    let name = host.to_string();
    match url.scheme() {
        "https" => {}
        "http" if insecure_http || is_loopback(url) => {}
        "http" => return refuse(format!("{name} is asked by plain http; use https, or set insecure_http = true")),
        other => return refuse(format!("`{other}` is not https")),
    }
    let address = match host {
        Host::Ipv4(address) => Some(IpAddr::V4(address)),
        Host::Ipv6(address) => Some(IpAddr::V6(address)),
        Host::Domain(_) => None,
    };
    if address.is_some_and(is_link_local) {
        return refuse(format!("{name} is a link-local address"));
    }
    Ok(())
}

/// Link-local addresses, where clouds serve machine credentials.
pub fn is_link_local(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => v4.is_link_local() || v4.is_unspecified(),
        IpAddr::V6(v6) => {
            v6.is_unicast_link_local() || v6.is_unspecified() || v6.segments() == [0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254]
        }
    }
}

/// Same scheme, host and port as the base URL, or a listed host at the base URL's port, the port it is listed with, or https' own.
fn is_allowed(upstream: &Upstream, url: &Url, name: &str) -> bool {
    if url.origin() == upstream.base_url.origin() {
        return true;
    }
    let port = url.port_or_known_default();
    upstream.allowed_hosts.iter().any(|pattern| {
        let (pattern, named) = split_port(pattern);
        let at_port = match named {
            Some(named) => Some(named) == port,
            None => port == upstream.base_url.port_or_known_default() || (url.scheme() == "https" && port == Some(443)),
        };
        at_port && matches_host(pattern, name)
    })
}

fn split_port(pattern: &str) -> (&str, Option<u16>) {
    match pattern.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') || host.ends_with(']') => match port.parse() {
            Ok(port) => (host, Some(port)),
            Err(_no_number) => (pattern, None),
        },
        _ => (pattern, None),
    }
}

fn matches_host(pattern: &str, name: &str) -> bool {
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    let pattern = pattern.to_ascii_lowercase();
    match pattern.strip_prefix("*.") {
        Some(domain) => name.strip_suffix(domain).is_some_and(|rest| rest.len() > 1 && rest.ends_with('.')),
        None => name == pattern || name.trim_matches(['[', ']']) == pattern,
    }
}
