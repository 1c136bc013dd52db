//! Owns: who asks, by which name, and whether over TLS: by the connection itself, or by what a proxy that is trusted says of it.
//!
//! Must not know: what is asked; what follows from who asks.
//!
//! Anybody can send these headers. They count only where the connection comes from a trusted proxy, and of the addresses in
//! them the rightmost one that is no trusted proxy: what stands left of it is what that one says of himself.

use std::net::{IpAddr, SocketAddr};

use http::{HeaderMap, HeaderName, header};
use ipnet::IpNet;

const FORWARDED: HeaderName = header::FORWARDED;
const X_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// The other end of a connection.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub SocketAddr);

/// The proxies that are trusted.
#[derive(Clone, Debug, Default)]
pub struct Proxies(Vec<IpNet>);

/// Who asks, and how.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// From where, as far as that is known.
    pub address: Option<IpAddr>,
    /// Over TLS, or not; `None` where only a proxy that is not trusted would know.
    pub https: Option<bool>,
    /// The one host that is asked for, in lower case.
    pub host: Option<String>,
}

impl Asked {
    /// From where, for people.
    pub fn from(&self) -> String {
        self.address.map_or_else(|| "an unknown address".to_owned(), |address| address.to_string())
    }
}

/// Why it is not known who asks: only a trusted proxy's own mistake leads here, or headers that it let through.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unclear {
    /// A header cannot be read.
    #[error("the proxy's header {0} cannot be read")]
    Malformed(HeaderName),
    /// Both kinds of headers are there, one of them most likely from the client.
    #[error(
        "Forwarded and X-Forwarded-… say different things: let the proxy remove the one that it does not set itself"
    )]
    Contradiction,
}

/// What one kind of headers says.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Told {
    address: IpAddr,
    https: Option<bool>,
    host: Option<String>,
}

impl Proxies {
    /// Those in these networks.
    pub fn new(networks: Vec<IpNet>) -> Self {
        Self(networks)
    }

    /// Who asks.
    pub fn asked(&self, headers: &HeaderMap, peer: Option<Peer>) -> Result<Asked, Unclear> {
        let host = only_host(headers);
        let Some(peer) = peer.map(|Peer(address)| address.ip().to_canonical()) else {
            return Ok(Asked { host, ..Asked::default() });
        };
        if !self.trusts(peer) {
            return Ok(Asked { address: Some(peer), https: None, host });
        }
        let told = match (self.by_x(headers, peer)?, self.by_forwarded(headers, peer)?) {
            (Some(one), Some(other)) if one != other => return Err(Unclear::Contradiction),
            (Some(told), _) | (None, Some(told)) => told,
            (None, None) => Told { address: peer, https: None, host: None },
        };
        Ok(Asked { address: Some(told.address), https: told.https, host: told.host.or(host) })
    }

    fn trusts(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(&address))
    }

    /// The address that counts, and its place in the list; entries that cannot be read are of clients that hide.
    fn rightmost(&self, chain: &[Option<IpAddr>], peer: IpAddr) -> (IpAddr, Option<usize>) {
        let (mut known, mut at) = (peer, None);
        for (place, entry) in chain.iter().enumerate().rev() {
            at = Some(place);
            let Some(address) = entry else { break };
            known = *address;
            if !self.trusts(known) {
                break;
            }
        }
        (known, at)
    }

    fn by_x(&self, headers: &HeaderMap, peer: IpAddr) -> Result<Option<Told>, Unclear> {
        let (chain, protos, hosts) = (list(headers, &X_FOR)?, list(headers, &X_PROTO)?, list(headers, &X_HOST)?);
        if chain.is_empty() && protos.is_empty() && hosts.is_empty() {
            return Ok(None);
        }
        let addresses: Vec<Option<IpAddr>> = chain.iter().map(|text| address(text)).collect();
        let (address, at) = self.rightmost(&addresses, peer);
        // As many as there are addresses: each proxy added its own. Else the last word is that of the nearest one.
        let pick = |all: &[String]| match at {
            Some(at) if all.len() == addresses.len() => all.get(at).cloned(),
            _ => all.last().cloned(),
        };
        let https = pick(&protos).map(|proto| is_https(&proto).ok_or(Unclear::Malformed(X_PROTO))).transpose()?;
        let host = pick(&hosts).map(|host| plain(&host, https));
        Ok(Some(Told { address, https, host }))
    }

    fn by_forwarded(&self, headers: &HeaderMap, peer: IpAddr) -> Result<Option<Told>, Unclear> {
        if !headers.contains_key(FORWARDED) {
            return Ok(None);
        }
        let malformed = || Unclear::Malformed(FORWARDED);
        let text = joined(headers, &FORWARDED)?;
        let elements = elements(&text).ok_or_else(malformed)?;
        let of = |element: &[(String, String)], name: &str| {
            element.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone())
        };
        let addresses: Vec<Option<IpAddr>> =
            elements.iter().map(|element| address(&of(element, "for").unwrap_or_default())).collect();
        let (address, at) = self.rightmost(&addresses, peer);
        let element = at.and_then(|at| elements.get(at)).map(Vec::as_slice).unwrap_or_default();
        let https = of(element, "proto").map(|proto| is_https(&proto).ok_or_else(malformed)).transpose()?;
        let host = of(element, "host").map(|host| plain(&host, https));
        Ok(Some(Told { address, https, host }))
    }
}

/// The one host that is asked for.
fn only_host(headers: &HeaderMap) -> Option<String> {
    let mut all = headers.get_all(header::HOST).iter();
    let first = all.next()?.to_str().ok()?;
    all.next().is_none().then(|| first.to_ascii_lowercase())
}

/// All lines of a header in one.
fn joined(headers: &HeaderMap, name: &HeaderName) -> Result<String, Unclear> {
    let lines: Result<Vec<&str>, _> = headers.get_all(name).iter().map(http::HeaderValue::to_str).collect();
    lines.map(|lines| lines.join(",")).map_err(|_not_text| Unclear::Malformed(name.clone()))
}

/// The entries of a header; none where it is not there.
fn list(headers: &HeaderMap, name: &HeaderName) -> Result<Vec<String>, Unclear> {
    if !headers.contains_key(name) {
        return Ok(Vec::new());
    }
    Ok(joined(headers, name)?.split(',').map(|entry| entry.trim().to_owned()).collect())
}

/// An address, with or without a port, in brackets or without.
fn address(text: &str) -> Option<IpAddr> {
    let inner = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    let address = inner.parse().ok().or_else(|| text.parse::<SocketAddr>().ok().map(|address| address.ip()));
    address.map(|address| address.to_canonical())
}

fn is_https(proto: &str) -> Option<bool> {
    match proto.to_ascii_lowercase().as_str() {
        "https" => Some(true),
        "http" => Some(false),
        _ => None,
    }
}

/// A host as browsers write it: in lower case, without the port that its scheme has anyway.
fn plain(host: &str, https: Option<bool>) -> String {
    let host = host.to_ascii_lowercase();
    let usual = match https {
        Some(true) => ":443",
        Some(false) => ":80",
        None => return host,
    };
    host.strip_suffix(usual).map_or_else(|| host.clone(), str::to_owned)
}

/// The elements of `Forwarded` (RFC 7239, section 4), each with its pairs; names in lower case.
fn elements(text: &str) -> Option<Vec<Vec<(String, String)>>> {
    let mut elements = vec![Vec::new()];
    let mut rest = text.trim_start();
    loop {
        let (pair, after) = pair(rest)?;
        elements.last_mut()?.extend(pair);
        rest = after.trim_start();
        let Some(symbol) = rest.chars().next() else { return Some(elements) };
        match symbol {
            ',' => elements.push(Vec::new()),
            ';' => {}
            _ => return None,
        }
        rest = rest[1..].trim_start();
    }
}

/// `name=value` or `name="value"` at the beginning, and what follows; nothing where a pair is left out.
fn pair(text: &str) -> Option<(Option<(String, String)>, &str)> {
    if text.is_empty() || text.starts_with([',', ';']) {
        return Some((None, text));
    }
    let (name, rest) = text.split_once('=')?;
    if !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)) {
        return None;
    }
    let (value, rest) = if let Some(quoted) = rest.strip_prefix('"') {
        until_quote(quoted)?
    } else {
        let end = rest.find([',', ';', ' ', '\t', '"']).unwrap_or(rest.len());
        (rest[..end].to_owned(), &rest[end..])
    };
    Some((Some((name.to_ascii_lowercase(), value)), rest))
}

/// A quoted text after its first quote, and what follows its last.
fn until_quote(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut symbols = text.char_indices();
    while let Some((at, symbol)) = symbols.next() {
        match symbol {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => value.push(symbols.next()?.1),
            other => value.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    const PROXY: &str = "10.0.0.1";

    fn asked(peer: &str, headers: &[(&'static str, &str)]) -> Result<Asked, Unclear> {
        let networks = ["10.0.0.0/24", "2001:db8:1::/48"].map(|text| text.parse().unwrap());
        let mut map = HeaderMap::new();
        map.insert(header::HOST, HeaderValue::from_static("Inner:8480"));
        for (name, value) in headers {
            map.append(*name, HeaderValue::from_str(value).unwrap());
        }
        Proxies::new(networks.to_vec()).asked(&map, Some(Peer(SocketAddr::new(peer.parse().unwrap(), 40_000))))
    }

    /// The address, `https`, `http` or nothing, and the host.
    fn check(peer: &str, headers: &[(&'static str, &str)], expected: &str) {
        let found = match asked(peer, headers) {
            Ok(Asked { address, https, host }) => {
                let scheme = https.map_or("-", |https| if https { "https" } else { "http" });
                format!("{} {scheme} {}", address.unwrap(), host.unwrap_or_default())
            }
            Err(unclear) => unclear.to_string(),
        };
        assert_eq!(found, expected, "{peer} {headers:?}");
    }

    #[test]
    fn headers_of_somebody_who_is_no_trusted_proxy_are_ignored() {
        for peer in ["203.0.113.7", "127.0.0.1", "10.0.1.1", "2001:db8:2::1"] {
            let expected = format!("{peer} - inner:8480");
            check(peer, &[], &expected);
            check(peer, &[("x-forwarded-for", PROXY)], &expected);
            check(peer, &[("x-forwarded-proto", "https"), ("x-forwarded-host", "sync.example.com")], &expected);
            check(peer, &[("forwarded", "for=198.51.100.1;proto=https;host=sync.example.com")], &expected);
            // Nor is it anybody's concern what they look like.
            check(peer, &[("forwarded", "=\"")], &expected);
        }
    }

    #[test]
    fn a_trusted_proxy_says_who_asks_and_how() {
        check(PROXY, &[], "10.0.0.1 - inner:8480");
        let all = [
            ("x-forwarded-for", "203.0.113.7"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "Sync.Example.com"),
        ];
        check(PROXY, &all, "203.0.113.7 https sync.example.com");
        check("::ffff:10.0.0.1", &all, "203.0.113.7 https sync.example.com");
        check("2001:db8:1::9", &all[..2], "203.0.113.7 https inner:8480");
        check(PROXY, &all[1..2], "10.0.0.1 https inner:8480");
        let one = "for=\"[2001:DB8:cafe::17]:4711\";proto=https;host=\"sync.example.com:443\";by=10.0.0.1";
        check(PROXY, &[("forwarded", one)], "2001:db8:cafe::17 https sync.example.com");
        check(PROXY, &[("forwarded", "For=192.0.2.43 ; Proto=http")], "192.0.2.43 http inner:8480");
        check(PROXY, &[("x-forwarded-for", "192.0.2.43:47011")], "192.0.2.43 - inner:8480");
        check(PROXY, &[("x-forwarded-for", "::ffff:192.0.2.43")], "192.0.2.43 - inner:8480");
    }

    #[test]
    fn of_several_addresses_the_rightmost_that_is_no_proxy_counts_whatever_stands_before_it() {
        let of = |list: &str, expected: &str| {
            check(PROXY, &[("x-forwarded-for", list)], &format!("{expected} - inner:8480"));
            let elements: Vec<String> = list.split(',').map(|one| format!("for=\"{}\"", one.trim())).collect();
            check(PROXY, &[("forwarded", &elements.join(", "))], &format!("{expected} - inner:8480"));
        };
        of("1.1.1.1, 203.0.113.7", "203.0.113.7");
        of("10.0.0.9, 203.0.113.7", "203.0.113.7");
        of("1.1.1.1, 203.0.113.7, 10.0.0.2", "203.0.113.7");
        of("1.1.1.1, 203.0.113.7, 10.0.0.2, 10.0.0.3", "203.0.113.7");
        of("10.0.0.4, 10.0.0.2", "10.0.0.4");
        // Who hides is told by the proxy that he came to.
        of("1.1.1.1, unknown", PROXY);
        of("1.1.1.1, _hidden, 10.0.0.2", "10.0.0.2");
        of("1.1.1.1, 203.0.113.7 10.0.0.2", PROXY);
        of("", PROXY);
        // Two lines are one list.
        check(PROXY, &[("x-forwarded-for", "1.1.1.1"), ("x-forwarded-for", "203.0.113.7")], "203.0.113.7 - inner:8480");
    }

    #[test]
    fn scheme_and_host_are_those_of_the_hop_that_counts() {
        let lists = [("x-forwarded-for", "1.1.1.1, 203.0.113.7"), ("x-forwarded-proto", "https, http")];
        check(PROXY, &lists, "203.0.113.7 http inner:8480");
        // Of lists that do not match, the nearest proxy has the last word.
        let spoofed = [
            ("x-forwarded-for", "203.0.113.7"),
            ("x-forwarded-proto", "https,http"),
            ("x-forwarded-host", "evil.example, sync.example.com"),
        ];
        check(PROXY, &spoofed, "203.0.113.7 http sync.example.com");
        let through_two = "for=1.1.1.1;proto=https;host=evil.example, for=203.0.113.7;proto=https;host=a.example, \
            for=10.0.0.2;proto=http;host=inner.example";
        check(PROXY, &[("forwarded", through_two)], "203.0.113.7 https a.example");
        check(PROXY, &[("x-forwarded-proto", "gopher")], "the proxy's header x-forwarded-proto cannot be read");
    }

    #[test]
    fn a_kind_of_header_that_the_proxy_let_through_is_told_by_its_contradiction() {
        let contradiction = Unclear::Contradiction.to_string();
        let by_proxy = ("x-forwarded-for", "203.0.113.7");
        check(PROXY, &[by_proxy, ("forwarded", "for=1.1.1.1")], &contradiction);
        check(PROXY, &[by_proxy, ("forwarded", "for=203.0.113.7;proto=https")], &contradiction);
        check(PROXY, &[("x-forwarded-host", "evil.example"), ("forwarded", "for=203.0.113.7")], &contradiction);
        check(PROXY, &[by_proxy, ("forwarded", "for=203.0.113.7")], "203.0.113.7 - inner:8480");
    }

    #[test]
    fn forwarded_is_read_as_its_standard_says_or_not_at_all() {
        let quoted = "for=\"_a,b;c\\\"d\", for=203.0.113.7;host=\"x;y,z\"";
        check(PROXY, &[("forwarded", quoted)], "203.0.113.7 - x;y,z");
        check(PROXY, &[("forwarded", ", ;for=203.0.113.7;, ,")], "10.0.0.1 - inner:8480");
        let malformed = "the proxy's header forwarded cannot be read";
        for text in
            ["203.0.113.7", "for=\"203.0.113.7", "for=203.0.113.7 proto=https", "f r=1", "for=a\"b\"", "proto=x"]
        {
            check(PROXY, &[("forwarded", text)], malformed);
        }
    }

    #[test]
    fn a_doubled_host_is_none() {
        let mut headers = HeaderMap::new();
        headers.append(header::HOST, HeaderValue::from_static("a"));
        assert_eq!(Proxies::default().asked(&headers, None).unwrap().host.as_deref(), Some("a"));
        headers.append(header::HOST, HeaderValue::from_static("b"));
        assert_eq!(Proxies::default().asked(&headers, None).unwrap(), Asked::default());
    }
}
