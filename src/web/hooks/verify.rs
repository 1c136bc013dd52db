//! Owns: whether a webhook comes from whom it says, and from now. Pure.
//!
//! Must not know: what is in the body, where keys are kept, the current time (it is an argument).
//!
//! In this order: each header once, the time of signing, the MAC over the raw bytes.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use http::{HeaderMap, StatusCode};

use crate::record::unhex;
use crate::rules::{HmacScheme, HookScheme, NextAt, Part, SignatureEncoding, Webhook};

use super::mac::{digest, is_signed};
use super::secrets::Keys;

/// Signatures of one webhook that are looked at: senders write one for each secret that they change between.
const SIGNATURES_MAX: usize = 16;
/// The longest name of a delivery, in bytes.
const DELIVERY_BYTES_MAX: usize = 256;

/// A webhook that is genuine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Genuine {
    /// What its headers say that tells a repeat of it.
    pub delivery: Option<String>,
    /// The SHA-256 of what was signed.
    pub digest: String,
}

/// Why a webhook is not taken in. The words hold nothing of what came.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// A header that must stand there once stands there more often.
    #[error("the header {0} is there more than once")]
    Twice(String),
    /// A header that must be there is not.
    #[error("the header {0} is missing")]
    Missing(String),
    /// A header cannot be read.
    #[error("the header {0} cannot be read")]
    Malformed(String),
    /// It was signed too long ago, or in the future.
    #[error("it was signed at another time: a replay, or a clock that is wrong")]
    Stale,
    /// No secret fits.
    #[error("the signature does not fit any of the secrets")]
    Forged,
}

impl Refused {
    /// What the sender is told.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Twice(_) | Self::Malformed(_) => StatusCode::BAD_REQUEST,
            Self::Missing(_) | Self::Stale | Self::Forged => StatusCode::UNAUTHORIZED,
        }
    }
}

/// What a webhook claims.
struct Claim<'a> {
    signatures: Vec<Vec<u8>>,
    /// Seconds since 1970, where a time is signed.
    signed_at: Option<i64>,
    content: Vec<&'a [u8]>,
    delivery: Option<String>,
}

/// Checks it.
pub fn verify(
    webhook: &Webhook,
    keys: &Keys,
    headers: &HeaderMap,
    body: &[u8],
    now: DateTime<Utc>,
) -> Result<Genuine, Refused> {
    let claim = claim(webhook, headers, body)?;
    if let Some(signed_at) = claim.signed_at {
        let apart = now.timestamp().saturating_sub(signed_at).unsigned_abs();
        if apart > webhook.tolerance.as_secs() {
            return Err(Refused::Stale);
        }
    }
    let fits = |key: &[u8]| {
        claim.signatures.iter().fold(false, |found, signature| is_signed(key, &claim.content, signature) | found)
    };
    if !keys.any(fits) {
        return Err(Refused::Forged);
    }
    Ok(Genuine { delivery: claim.delivery, digest: digest(&claim.content) })
}

fn claim<'a>(webhook: &'a Webhook, headers: &'a HeaderMap, body: &'a [u8]) -> Result<Claim<'a>, Refused> {
    let delivery = |usual: Option<&str>| match (&webhook.delivery, usual) {
        (Some(NextAt::Header(name)), _) => delivery(headers, name).map(Some),
        (None, Some(usual)) => delivery(headers, usual).map(Some),
        (Some(NextAt::Body(_)), _) | (None, None) => Ok(None),
    };
    match &webhook.scheme {
        HookScheme::Standard => {
            let (id, timestamp) = (once(headers, "webhook-id")?, once(headers, "webhook-timestamp")?);
            let listed = once(headers, "webhook-signature")?;
            let signatures = listed.split(' ').filter_map(|one| one.strip_prefix("v1,"));
            Ok(Claim {
                signatures: signatures.take(SIGNATURES_MAX).filter_map(|one| STANDARD.decode(one).ok()).collect(),
                signed_at: Some(seconds("webhook-timestamp", timestamp)?),
                content: vec![id.as_bytes(), b".", timestamp.as_bytes(), b".", body],
                delivery: delivery(Some("webhook-id"))?,
            })
        }
        HookScheme::Github => Ok(Claim {
            signatures: one_of(headers, "x-hub-signature-256", "sha256=", SignatureEncoding::Hex)?,
            signed_at: None,
            content: vec![body],
            delivery: delivery(Some("x-github-delivery"))?,
        }),
        HookScheme::Stripe => {
            let (timestamp, signatures) = stripe(once(headers, "stripe-signature")?)?;
            Ok(Claim {
                signatures,
                signed_at: Some(seconds("stripe-signature", timestamp)?),
                content: vec![timestamp.as_bytes(), b".", body],
                delivery: delivery(None)?,
            })
        }
        HookScheme::Slack => {
            let timestamp = once(headers, "x-slack-request-timestamp")?;
            Ok(Claim {
                signatures: one_of(headers, "x-slack-signature", "v0=", SignatureEncoding::Hex)?,
                signed_at: Some(seconds("x-slack-request-timestamp", timestamp)?),
                content: vec![b"v0:", timestamp.as_bytes(), b":", body],
                delivery: delivery(None)?,
            })
        }
        HookScheme::Shopify => Ok(Claim {
            signatures: one_of(headers, "x-shopify-hmac-sha256", "", SignatureEncoding::Base64)?,
            signed_at: None,
            content: vec![body],
            delivery: delivery(Some("x-shopify-webhook-id"))?,
        }),
        HookScheme::Hmac(scheme) => described(scheme, webhook, headers, body, delivery(None)?),
    }
}

/// A scheme that the rules describe.
fn described<'a>(
    scheme: &'a HmacScheme,
    webhook: &'a Webhook,
    headers: &'a HeaderMap,
    body: &'a [u8],
    delivery: Option<String>,
) -> Result<Claim<'a>, Refused> {
    let timestamp = scheme.timestamp.as_ref().map(|name| once(headers, name)).transpose()?;
    let id = match &webhook.delivery {
        Some(NextAt::Header(name)) => once(headers, name)?,
        Some(NextAt::Body(_)) | None => "",
    };
    let content = scheme.content.parts.iter().map(|part| match part {
        Part::Text(text) => text.as_bytes(),
        Part::Hole(name) if name == "timestamp" => timestamp.unwrap_or_default().as_bytes(),
        Part::Hole(name) if name == "id" => id.as_bytes(),
        Part::Hole(_) => body,
        Part::Secret(_) => b"",
    });
    let signed_at = match (&scheme.timestamp, timestamp) {
        (Some(name), Some(timestamp)) => Some(seconds(name, timestamp)?),
        _ => None,
    };
    Ok(Claim {
        signatures: one_of(headers, &scheme.header, &scheme.prefix, scheme.encoding)?,
        signed_at,
        content: content.collect(),
        delivery,
    })
}

/// `t=…,v1=…,v1=…`; other members are of other versions.
fn stripe(header: &str) -> Result<(&str, Vec<Vec<u8>>), Refused> {
    let malformed = || Refused::Malformed("stripe-signature".to_owned());
    let mut members: Vec<(&str, &str)> = Vec::new();
    for member in header.split(',') {
        members.push(member.trim().split_once('=').ok_or_else(malformed)?);
    }
    let mut times = members.iter().filter(|(name, _)| *name == "t");
    let (Some((_, timestamp)), None) = (times.next(), times.next()) else { return Err(malformed()) };
    let signatures = members.iter().filter(|(name, _)| *name == "v1").take(SIGNATURES_MAX);
    Ok((timestamp, signatures.filter_map(|(_, value)| unhex(value)).collect()))
}

/// The one signature of a header; none, which nothing fits, where it is not written as it should be.
fn one_of(headers: &HeaderMap, name: &str, prefix: &str, encoding: SignatureEncoding) -> Result<Vec<Vec<u8>>, Refused> {
    let Some(written) = once(headers, name)?.strip_prefix(prefix) else { return Ok(Vec::new()) };
    let signature = match encoding {
        SignatureEncoding::Hex => unhex(written),
        SignatureEncoding::Base64 => STANDARD.decode(written).ok(),
    };
    Ok(signature.into_iter().collect())
}

fn delivery(headers: &HeaderMap, name: &str) -> Result<String, Refused> {
    let text = once(headers, name)?;
    let usable = !text.is_empty() && text.len() <= DELIVERY_BYTES_MAX;
    if usable { Ok(text.to_owned()) } else { Err(Refused::Malformed(name.to_owned())) }
}

/// Two headers of one name could be read differently by whoever stands in between.
fn once<'a>(headers: &'a HeaderMap, name: &str) -> Result<&'a str, Refused> {
    let mut all = headers.get_all(name).iter();
    let first = all.next().ok_or_else(|| Refused::Missing(name.to_owned()))?;
    if all.next().is_some() {
        return Err(Refused::Twice(name.to_owned()));
    }
    first.to_str().map_err(|_not_said| Refused::Malformed(name.to_owned()))
}

/// Seconds since 1970, as digits: what is signed is the text, and there is one text for a number.
fn seconds(name: &str, text: &str) -> Result<i64, Refused> {
    let number = text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten();
    number.ok_or_else(|| Refused::Malformed(name.to_owned()))
}
