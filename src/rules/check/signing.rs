//! Owns: the checks of credentials that sign each request.
//!
//! Must not know: the rest of an upstream.

use super::binding::transpose;
use super::context::Cx;
use super::request;
use super::text::{Allowed, has_hole};
use crate::record::TimeFormat;
use crate::rules::diagnostic::DiagnosticKind;
use crate::rules::grammar::{AuthAwsSigV4, AuthHmac};
use crate::rules::model::{
    Auth, AwsSigning, HashAlgorithm, HmacSigning, KeyEncoding, Part, Payload, SignatureEncoding, Template,
};
use crate::rules::shape::{At, Key};
use crate::rules::units::Text;

const VALUE_HOLES: &[&str] = &["signature", "timestamp", "nonce"];

/// Checks `kind = "hmac"`.
pub fn hmac(raw: &AuthHmac, cx: &mut Cx<'_>) -> Option<Auth> {
    let allowed = Allowed { holes: HmacSigning::HOLES, secrets: true };
    let key = raw.key.get().and_then(|at| cx.secret(at));
    let sign = raw.sign.get().and_then(|at| signed(at, allowed, cx));
    let into = raw.into.get().and_then(|at| cx.place(at, &["header", "query"]));
    let value = match &raw.value {
        Key::Absent => Some(Template { parts: vec![Part::Hole("signature".to_owned())] }),
        Key::Bad => None,
        Key::Given(at) => value(at, cx),
    };
    let headers = request::headers(&raw.headers, HmacSigning::HOLES, cx);
    let query = request::templates(&raw.query, allowed, cx);
    let signing = HmacSigning {
        key: key?,
        key_encoding: raw.key_encoding.get().map_or(KeyEncoding::Text, |at| at.value),
        algorithm: raw.algorithm.get().map_or(HashAlgorithm::Sha256, |at| at.value),
        sign: sign?,
        encoding: raw.encoding.get().map_or(SignatureEncoding::Hex, |at| at.value),
        into: into?,
        value: value?,
        timestamp: raw.timestamp.get().map_or(TimeFormat::UnixS, |at| at.value),
        headers: headers?,
        query: query?,
    };
    what_is_signed_is_sent(raw, &signing, cx);
    Some(Auth::Hmac(Box::new(signing)))
}

/// What is signed differs from request to request.
fn signed(at: &At<Text>, allowed: Allowed, cx: &mut Cx<'_>) -> Option<Template> {
    let template = cx.template(at, allowed)?;
    if !template.parts.iter().any(|part| matches!(part, Part::Hole(_))) {
        cx.notes
            .error(DiagnosticKind::Invalid, at.span, "what is signed is the same for all requests")
            .help("write sign = \"{timestamp}{method}{target}{body}\", as the upstream wants it");
    }
    Some(template)
}

fn value(at: &At<Text>, cx: &mut Cx<'_>) -> Option<Template> {
    let template = cx.template(at, Allowed { holes: VALUE_HOLES, secrets: true })?;
    if !has_hole(&template, "signature") {
        cx.notes
            .error(DiagnosticKind::Missing, at.span, "the signature is not in it")
            .help("write value = \"HMAC {signature}\"");
    }
    Some(template)
}

/// Nobody can check a signature over a time or a number that is told nowhere.
fn what_is_signed_is_sent(raw: &AuthHmac, signing: &HmacSigning, cx: &mut Cx<'_>) {
    let sent = |hole: &str| {
        let named = signing.headers.iter().chain(&signing.query).map(|(_, template)| template);
        named.chain([&signing.value]).any(|template| has_hole(template, hole))
    };
    for hole in ["timestamp", "nonce"] {
        if let Some(at) = raw.sign.get().filter(|_| has_hole(&signing.sign, hole) && !sent(hole)) {
            cx.notes
                .error(DiagnosticKind::Missing, at.span, format!("`{{{hole}}}` is signed and sent nowhere"))
                .help(format!("write headers = {{ X-Name = \"{{{hole}}}\" }}, as the upstream calls it"));
        }
    }
    if let Some(at) = raw.timestamp.get().filter(|_| !has_hole(&signing.sign, "timestamp") && !sent("timestamp")) {
        cx.notes.inert(at.key, "timestamp", "`{timestamp}` stands nowhere");
    }
}

/// Checks `kind = "aws_sigv4"`.
pub fn aws(raw: &AuthAwsSigV4, cx: &mut Cx<'_>) -> Option<Auth> {
    let region = raw.region.get().and_then(|at| word(at, "a region", "eu-central-1", cx));
    let service = raw.service.get().and_then(|at| word(at, "a service", "execute-api", cx));
    let access_key_id = raw.access_key_id.get().and_then(|at| cx.template(at, Allowed::SECRETS));
    let secret_access_key = raw.secret_access_key.get().and_then(|at| cx.secret(at));
    let session_token = transpose(raw.session_token.get().map(|at| cx.secret(at)));
    let payload = raw.payload.get().map_or(Payload::Signed, |at| at.value);
    if let Some(at) = raw.payload.get().filter(|_| payload == Payload::Unsigned)
        && service.as_deref().is_some_and(|service| service != "s3")
    {
        cx.notes
            .error(DiagnosticKind::Invalid, at.span, "only the service s3 takes bodies that are not signed")
            .help("leave `payload` out");
    }
    Some(Auth::Aws(Box::new(AwsSigning {
        region: region?,
        service: service?,
        access_key_id: access_key_id?,
        secret_access_key: secret_access_key?,
        session_token: session_token?,
        payload,
    })))
}

fn word(at: &At<Text>, what: &str, example: &str, cx: &mut Cx<'_>) -> Option<String> {
    let text = cx.plain(at)?;
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_".contains(c);
    if text.is_empty() || !text.chars().all(fits) {
        cx.notes
            .error(DiagnosticKind::Invalid, at.span, format!("\"{text}\" is not {what} as AWS abbreviates it"))
            .help(format!("e.g. \"{example}\""));
        return None;
    }
    Some(text)
}
