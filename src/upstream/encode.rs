//! Owns: a JSON body as the bytes that are sent: JSON, a form, or multipart; byte for byte.
//!
//! Must not know: requests.

use std::fmt::Write as _;

use http::HeaderValue;
use sha2::{Digest, Sha256};
use url::form_urlencoded::Serializer;

use super::{Failure, FailureKind};
use crate::record::{Json, hex};
use crate::rules::Encoding;

/// The bytes with their media type.
pub fn encode(body: &Json, encoding: Encoding) -> Result<(HeaderValue, Vec<u8>), Failure> {
    let flat = || pairs(body).ok_or_else(|| refuse("a form is made of an object"));
    Ok(match encoding {
        Encoding::Json => (HeaderValue::from_static("application/json"), body.to_string().into_bytes()),
        Encoding::Form => (HeaderValue::from_static("application/x-www-form-urlencoded"), form(&flat()?)),
        Encoding::Multipart => {
            let (kind, body) = multipart(&flat()?);
            let kind = HeaderValue::from_str(&kind).map_err(|_never| refuse("its media type is no header"))?;
            (kind, body)
        }
    })
}

fn refuse(words: &str) -> Failure {
    Failure::new(FailureKind::Invalid, format!("the request body: {words}"))
}

/// Flat names and texts, members in their order; `None` for what is no object.
///
/// A member of an object in it is `outer[inner]`, an item of a list `outer[0]`, to any depth. Texts stand as they are, numbers
/// as they are written, booleans as `true` and `false`. Null, `{}` and `[]` are an empty text: that clears.
fn pairs(body: &Json) -> Option<Vec<(String, String)>> {
    let Json::Object(members) = body else { return None };
    let mut flat = Vec::new();
    for (name, value) in members {
        put(&mut flat, name.clone(), value);
    }
    Some(flat)
}

fn put(flat: &mut Vec<(String, String)>, name: String, value: &Json) {
    match value {
        Json::Object(members) if !members.is_empty() => {
            for (inner, value) in members {
                put(flat, format!("{name}[{inner}]"), value);
            }
        }
        Json::Array(items) if !items.is_empty() => {
            for (at, item) in items.iter().enumerate() {
                put(flat, format!("{name}[{at}]"), item);
            }
        }
        Json::Object(_) | Json::Array(_) | Json::Null => flat.push((name, String::new())),
        Json::String(text) | Json::Number(text) => flat.push((name, text.clone())),
        Json::Bool(flag) => flat.push((name, flag.to_string())),
    }
}

/// As the WHATWG URL standard says: a blank is `+`, brackets are `%5B` and `%5D`.
fn form(pairs: &[(String, String)]) -> Vec<u8> {
    Serializer::new(String::new()).extend_pairs(pairs).finish().into_bytes()
}

/// One part per name (RFC 7578). The same pairs always give the same bytes, so that what is sent again is the same.
fn multipart(pairs: &[(String, String)]) -> (String, Vec<u8>) {
    let digest = hex(&Sha256::digest(form(pairs)));
    let boundary = format!("reconciled-{}", digest.get(..32).unwrap_or(&digest));
    let mut body = String::new();
    for (name, text) in pairs {
        let name = name.replace('"', "%22").replace('\r', "%0D").replace('\n', "%0A");
        let _infallible =
            write!(body, "--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{text}\r\n");
    }
    let _infallible = write!(body, "--{boundary}--\r\n");
    (format!("multipart/form-data; boundary={boundary}"), body.into_bytes())
}
