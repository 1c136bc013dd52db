//! Owns: signatures by a shared key (RFC 2104) over what the rules say.
//!
//! Must not know: what an upstream makes of them.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, SecondsFormat, SubsecRound as _, Utc};
use ring::{digest, hmac};

use crate::clock::{Clock, new_id};
use crate::record::{TimeFormat, hex, unhex};
use crate::rules::{HashAlgorithm, HmacSigning, KeyEncoding, Part, Place, SignatureEncoding, Template};
use crate::upstream::point::scalar_text;
use crate::upstream::{Failure, FailureKind, Filled, Holes, Outgoing, Secrets, header};

/// What is the same for every text of one attempt.
struct Moment {
    timestamp: String,
    nonce: String,
}

/// Signs a request that is otherwise ready to be sent.
pub(super) fn sign(
    rules: &HmacSigning,
    request: &mut Outgoing,
    secrets: &Secrets,
    clock: &dyn Clock,
) -> Result<(), Failure> {
    let moment = Moment { timestamp: written(clock.now(), rules.timestamp), nonce: new_id(clock) };
    // Parameters are a part of the query that is signed, so they come first.
    for (name, template) in &rules.query {
        let filled = fill(template, request, &moment, None, secrets)?;
        set_query(request, name, &filled.text);
    }
    for (name, template) in &rules.headers {
        let (name, value) = header(name, &fill(template, request, &moment, None, secrets)?)?;
        request.headers.insert(name, value);
    }
    let signed = fill(&rules.sign, request, &moment, None, secrets)?.text;
    let key = key(rules, secrets)?;
    let signature = match rules.encoding {
        SignatureEncoding::Hex => hex(&signature(rules.algorithm, &key, signed.as_bytes())),
        SignatureEncoding::Base64 => STANDARD.encode(signature(rules.algorithm, &key, signed.as_bytes())),
    };
    let value = fill(&rules.value, request, &moment, Some(&signature), secrets)?;
    match &rules.into {
        Place::Query(name) => set_query(request, name, &value.text),
        Place::Header(name) => {
            let (name, value) = header(name, &Filled { sensitive: true, ..value })?;
            request.headers.insert(name, value);
        }
        Place::Body(_) => {}
    }
    Ok(())
}

/// The signature of a text.
pub(super) fn signature(algorithm: HashAlgorithm, key: &[u8], signed: &[u8]) -> Vec<u8> {
    let algorithm = match algorithm {
        HashAlgorithm::Sha1 => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
        HashAlgorithm::Sha256 => hmac::HMAC_SHA256,
        HashAlgorithm::Sha512 => hmac::HMAC_SHA512,
    };
    hmac::sign(&hmac::Key::new(algorithm, key), signed).as_ref().to_vec()
}

fn key(rules: &HmacSigning, secrets: &Secrets) -> Result<Vec<u8>, Failure> {
    let text = secrets.fill(&rules.key, &Holes::default(), &|text| Ok(text.to_owned()))?.text;
    let decoded = match rules.key_encoding {
        KeyEncoding::Text => Some(text.into_bytes()),
        KeyEncoding::Base64 => STANDARD.decode(text.trim()).ok(),
        KeyEncoding::Hex => unhex(text.trim()),
    };
    let word = if rules.key_encoding == KeyEncoding::Hex { "hex" } else { "base64" };
    // The text is not repeated: it is the key.
    match decoded {
        Some(key) if !key.is_empty() => Ok(key),
        Some(_) => Err(Failure::new(FailureKind::Fatal, "the `key` of hmac is empty")),
        None => {
            Err(Failure::new(FailureKind::Fatal, format!("the `key` of hmac is no {word}; is `key_encoding` right?")))
        }
    }
}

/// A text with what it names of the request at hand. Nothing is encoded: it stands as it is sent.
fn fill(
    template: &Template,
    request: &Outgoing,
    moment: &Moment,
    signature: Option<&str>,
    secrets: &Secrets,
) -> Result<Filled, Failure> {
    let part = |part: &Part| match part {
        Part::Hole(name) => Ok(Part::Text(value(name, request, moment, signature)?)),
        other => Ok(other.clone()),
    };
    let parts = template.parts.iter().map(part).collect::<Result<Vec<Part>, Failure>>()?;
    secrets.fill(&Template { parts }, &Holes::default(), &|text| Ok(text.to_owned()))
}

fn value(name: &str, request: &Outgoing, moment: &Moment, signature: Option<&str>) -> Result<String, Failure> {
    let (url, body) = (&request.url, request.body.as_deref().unwrap_or_default());
    let hash = |algorithm| digest::digest(algorithm, body);
    Ok(match name {
        "method" => request.method.to_string(),
        "path" => url.path().to_owned(),
        "query" => url.query().unwrap_or_default().to_owned(),
        "target" => match url.query() {
            Some(query) => format!("{}?{query}", url.path()),
            None => url.path().to_owned(),
        },
        "url" => url.to_string(),
        "host" => host(url),
        "timestamp" => moment.timestamp.clone(),
        "nonce" => moment.nonce.clone(),
        "body" => String::from_utf8_lossy(body).into_owned(),
        "body_sha256" => hex(hash(&digest::SHA256).as_ref()),
        "body_sha256_base64" => STANDARD.encode(hash(&digest::SHA256)),
        "body_sha512" => hex(hash(&digest::SHA512).as_ref()),
        "body_sha512_base64" => STANDARD.encode(hash(&digest::SHA512)),
        "signature" if signature.is_some() => signature.unwrap_or_default().to_owned(),
        _ => return Err(Failure::new(FailureKind::Fatal, format!("no value for `{{{name}}}`"))),
    })
}

/// The host as it is sent: with a port that is not the scheme's own.
pub(super) fn host(url: &url::Url) -> String {
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{}{port}", url.host_str().unwrap_or_default())
}

/// Replaces a parameter of this name; what else stands in the query stays as it is.
fn set_query(request: &mut Outgoing, name: &str, text: &str) {
    let is_other = |pair: &&str| !url::form_urlencoded::parse(pair.as_bytes()).any(|(key, _)| key == name);
    let kept: Vec<&str> =
        request.url.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty()).filter(is_other).collect();
    let kept = kept.join("&");
    request.url.set_query(Some(&kept).filter(|kept| !kept.is_empty()).map(String::as_str));
    request.url.query_pairs_mut().append_pair(name, text);
}

/// In one shape at every moment, which upstreams look at: whole seconds, or always three digits of one.
pub(super) fn written(now: DateTime<Utc>, format: TimeFormat) -> String {
    let json = match format {
        TimeFormat::Rfc3339 => return now.to_rfc3339_opts(SecondsFormat::Millis, true),
        TimeFormat::UnixS | TimeFormat::UnixMs | TimeFormat::HttpDate => {
            let digits = if format == TimeFormat::UnixMs { 3 } else { 0 };
            format.write(now.trunc_subsecs(digits))
        }
    };
    scalar_text(&json).map(Cow::into_owned).unwrap_or_default()
}
