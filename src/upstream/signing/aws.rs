//! Owns: Signature Version 4 of AWS, as its IAM guide describes it: canonical request, string to sign, derived key.
//!
//! Must not know: any one service, beyond that `s3` encodes paths once and tells the hash of each body.

use chrono::{DateTime, Utc};
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use ring::digest::{SHA256, digest};
use url::form_urlencoded;

use super::hmac::{host, signature};
use crate::record::hex;
use crate::rules::{AwsSigning, HashAlgorithm, Payload, Template};
use crate::upstream::{Failure, FailureKind, Filled, Holes, Outgoing, Secrets, encode_segment, header};

const UNSIGNED: &str = "UNSIGNED-PAYLOAD";
/// The service that names objects by paths.
const S3: &str = "s3";

/// Who signs, for what, when.
pub(super) struct Scope<'a> {
    /// The id of the access key.
    pub id: &'a str,
    /// The access key.
    pub key: &'a str,
    /// The region.
    pub region: &'a str,
    /// The service.
    pub service: &'a str,
    /// The time of the request.
    pub at: DateTime<Utc>,
}

/// What is signed of a request.
pub(super) struct Signed<'a> {
    /// The method.
    pub method: &'a str,
    /// The canonical path.
    pub path: &'a str,
    /// The canonical query.
    pub query: &'a str,
    /// Headers by lower-case names, with their values.
    pub headers: Vec<(String, String)>,
    /// The hash of the body, or that it is not signed.
    pub payload: &'a str,
}

/// Signs a request that is otherwise ready to be sent.
pub(super) fn sign(
    rules: &AwsSigning,
    request: &mut Outgoing,
    secrets: &Secrets,
    now: DateTime<Utc>,
) -> Result<(), Failure> {
    let fill = |template: &Template| secrets.fill(template, &Holes::default(), &|text| Ok(text.to_owned()));
    let (id, key) = (fill(&rules.access_key_id)?.text, fill(&rules.secret_access_key)?.text);
    let scope = Scope { id: &id, key: &key, region: &rules.region, service: &rules.service, at: now };
    let payload = match rules.payload {
        Payload::Signed => hex(digest(&SHA256, request.body.as_deref().unwrap_or_default()).as_ref()),
        Payload::Unsigned => UNSIGNED.to_owned(),
    };
    let mut set = |name: &str, text: String, sensitive: bool| -> Result<(), Failure> {
        let (name, value) = header(name, &Filled { text, sensitive })?;
        request.headers.insert(name, value);
        Ok(())
    };
    set("x-amz-date", stamp(now), false)?;
    if let Some(token) = &rules.session_token {
        set("x-amz-security-token", fill(token)?.text, true)?;
    }
    if rules.service == S3 {
        set("x-amz-content-sha256", payload.clone(), false)?;
    }
    // What is signed is what is sent: `+` and `%20` are both a blank to some and not to others.
    let query = canonical_query(request.url.query().unwrap_or_default());
    request.url.set_query(Some(query.as_str()).filter(|query| !query.is_empty()));
    let path = canonical_path(request.url.path(), rules.service == S3);
    if rules.service == S3 {
        request.url.set_path(&path);
        // Steps of `.` and `..` are resolved in every URL: another object than the one that is named.
        if request.url.path() != path {
            return Err(Failure::new(
                FailureKind::Invalid,
                "a path with `.` or `..` between slashes cannot name an object: it would be resolved on its way",
            ));
        }
    }
    let ours = request.headers.iter().filter(|(name, _)| *name == CONTENT_TYPE || name.as_str().starts_with("x-amz-"));
    let ours = ours.filter_map(|(name, value)| Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned())));
    let headers = ours.chain([("host".to_owned(), host(&request.url))]).collect();
    let signed = Signed { method: request.method.as_str(), path: &path, query: &query, headers, payload: &payload };
    let (name, value) =
        header(AUTHORIZATION.as_str(), &Filled { text: authorization(&scope, &signed), sensitive: true })?;
    request.headers.insert(name, value);
    Ok(())
}

/// The value of `Authorization`.
pub(super) fn authorization(scope: &Scope<'_>, signed: &Signed<'_>) -> String {
    let mut headers: Vec<(String, String)> =
        signed.headers.iter().map(|(name, value)| (name.to_ascii_lowercase(), trimmed(value))).collect();
    headers.sort();
    let names: Vec<&str> = headers.iter().map(|(name, _)| name.as_str()).collect();
    let names = names.join(";");
    let lines: Vec<String> = headers.iter().map(|(name, value)| format!("{name}:{value}")).collect();
    let lines = lines.join("\n");
    let Signed { method, path, query, payload, .. } = signed;
    let canonical = format!("{method}\n{path}\n{query}\n{lines}\n\n{names}\n{payload}");
    let Scope { id, key, region, service, at } = scope;
    let day = at.format("%Y%m%d").to_string();
    let credential = format!("{day}/{region}/{service}/aws4_request");
    let hash = hex(digest(&SHA256, canonical.as_bytes()).as_ref());
    let to_sign = format!("AWS4-HMAC-SHA256\n{}\n{credential}\n{hash}", stamp(*at));
    let mac = |key: &[u8], text: &str| signature(HashAlgorithm::Sha256, key, text.as_bytes());
    let derived = [day.as_str(), region, service, "aws4_request"]
        .into_iter()
        .fold(format!("AWS4{key}").into_bytes(), |key, text| mac(&key, text));
    let signature = hex(&mac(&derived, &to_sign));
    format!("AWS4-HMAC-SHA256 Credential={id}/{credential}, SignedHeaders={names}, Signature={signature}")
}

/// Every name and value encoded, sorted by what they became.
pub(super) fn canonical_query(query: &str) -> String {
    let pairs = form_urlencoded::parse(query.as_bytes());
    let mut pairs: Vec<(String, String)> =
        pairs.map(|(name, value)| (encode_segment(&name), encode_segment(&value))).collect();
    pairs.sort();
    let pairs: Vec<String> = pairs.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
    pairs.join("&")
}

/// The path as it is signed: encoded once where it names an object, else once more than it is sent, with single slashes.
pub(super) fn canonical_path(path: &str, names_object: bool) -> String {
    if names_object {
        // `+` means itself in a path.
        let decoded =
            form_urlencoded::parse(path.replace('+', "%2B").replace('&', "%26").replace('=', "%3D").as_bytes())
                .next()
                .map(|(decoded, _)| decoded.into_owned())
                .unwrap_or_default();
        return encoded(if decoded.is_empty() { "/" } else { &decoded });
    }
    let mut single = String::with_capacity(path.len());
    for c in path.chars() {
        if c != '/' || !single.ends_with('/') {
            single.push(c);
        }
    }
    encoded(if single.is_empty() { "/" } else { &single })
}

fn encoded(path: &str) -> String {
    let parts: Vec<String> = path.split('/').map(encode_segment).collect();
    parts.join("/")
}

/// Without blanks around it, and with single ones inside.
fn trimmed(value: &str) -> String {
    let words: Vec<&str> = value.split(' ').filter(|word| !word.is_empty()).collect();
    words.join(" ")
}

fn stamp(at: DateTime<Utc>) -> String {
    at.format("%Y%m%dT%H%M%SZ").to_string()
}
