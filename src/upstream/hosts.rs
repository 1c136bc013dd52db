//! Owns: which URLs may be talked to: the allow-list of hosts, https, no link-local addresses.
//!
//! Must not know: where a URL came from.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

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
        return refuse(format!("{name} is a link-local address, or a cloud's metadata service"));
    }
    Ok(())
}

/// Where clouds serve machine credentials beside the link-local addresses: Alibaba, Oracle, Azure; Amazon (also to pods), Google.
const METADATA_V4: [Ipv4Addr; 3] =
    [Ipv4Addr::new(100, 100, 100, 200), Ipv4Addr::new(192, 0, 0, 192), Ipv4Addr::new(168, 63, 129, 16)];
const METADATA_V6: [Ipv6Addr; 3] = [
    Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254),
    Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23),
    Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254),
];

/// Link-local addresses and those of metadata services, where clouds serve machine credentials; also where one is written within
/// an address of version 6.
pub fn is_link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_link_local() || v4.is_unspecified() || METADATA_V4.contains(&v4),
        IpAddr::V6(v6) => {
            v6.is_unicast_link_local()
                || v6.is_unspecified()
                || METADATA_V6.contains(&v6)
                || within(v6).into_iter().flatten().any(|v4| is_link_local(IpAddr::V4(v4)))
        }
    }
}

/// The addresses of version 4 that one of version 6 leads to, or over: mapped and compatible (RFC 4291, 2.5.5), translated
/// (RFC 2765, 2.1; RFC 6052, and RFC 8215 where its prefix has 96 bits), tunnelled (RFC 3056; RFC 4380, 4: over a server, to a client
/// that is written with all bits turned).
fn within(v6: Ipv6Addr) -> [Option<Ipv4Addr>; 2] {
    let of = |high: u16, low: u16| {
        let [[a, b], [c, d]] = [high.to_be_bytes(), low.to_be_bytes()];
        Ipv4Addr::new(a, b, c, d)
    };
    match v6.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => [None, None],
        [0x2001, 0, server, of_server, _, _, high, low] => [Some(of(server, of_server)), Some(of(!high, !low))],
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low]
        | [0, 0, 0, 0, 0xffff, 0, high, low]
        | [0x64, 0xff9b, 0, 0, 0, 0, high, low]
        | [0x64, 0xff9b, 1, _, _, _, high, low]
        | [0x2002, high, low, ..] => [Some(of(high, low)), None],
        _ => [None, None],
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_where_machines_get_credentials_are_told_however_they_are_written() {
        let check = |address: &str, expected: bool| {
            assert_eq!(is_link_local(address.parse().unwrap()), expected, "{address}");
        };
        for (inner, expected) in [
            ("169.254.169.254", true),
            ("169.254.170.2", true),
            ("100.100.100.200", true),
            ("192.0.0.192", true),
            ("168.63.129.16", true),
            ("0.0.0.0", true),
            ("100.100.100.201", false),
            ("168.63.129.17", false),
            ("127.0.0.1", false),
            ("10.0.0.1", false),
            ("93.184.216.34", false),
        ] {
            check(inner, expected);
            for prefix in ["::ffff:", "::ffff:0:", "64:ff9b::", "64:ff9b:1::", "64:ff9b:1:2:3:4:"] {
                check(&format!("{prefix}{inner}"), expected);
            }
        }
        for (address, expected) in [
            ("::169.254.169.254", true),
            ("::100.100.100.200", true),
            ("::93.184.216.34", false),
            ("2002:a9fe:a9fe::1", true),
            ("2002:5db8:d822::1", false),
            // The client is 169.254.169.254, then the server, then neither.
            ("2001:0:102:304::5601:5601", true),
            ("2001:0:a9fe:a9fe::fefe:fefe", true),
            ("2001:0:102:304:8000:1234:a227:27dd", false),
            ("2001:1:a9fe:a9fe::5601:5601", false),
            ("fe80::1", true),
            ("febf::1", true),
            ("fd00:ec2::254", true),
            ("fd00:ec2::23", true),
            ("fd20:ce::254", true),
            ("::", true),
            ("::1", false),
            ("fd00:ec2::255", false),
            ("2001:db8::1", false),
        ] {
            check(address, expected);
        }
    }
}
