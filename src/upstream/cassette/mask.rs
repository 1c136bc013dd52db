//! Owns: what is taken out of exchanges before they are written to a cassette: secrets, and values that a person wants masked.
//!
//! Must not know: the file, where the exchanges come from.
//!
//! A secret becomes [`MARK`], always. A value that is to be masked becomes another one of the same kind, and the same one
//! wherever it stands: records that were matched by it are matched still. The key for that is made for one recording and kept
//! nowhere, so that nobody can try values out.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use url::Url;

use super::tape::Body;
use crate::record::{Json, hex};
use crate::rules::CsvFormat;
use crate::upstream::table::rewrite_rows;
use crate::upstream::{Secrets, encode_segment};

/// What stands in the place of a secret.
pub const MARK: &str = "REDACTED";
/// Values that were masked and are looked for in addresses, at most.
const KNOWN_MAX: usize = 100_000;
/// Members with such a name hold a secret, whoever's it is. Without `_`, `-` and case.
const SECRET_MEMBERS: &[&str] = &[
    "accesstoken",
    "refreshtoken",
    "idtoken",
    "authtoken",
    "apitoken",
    "sessiontoken",
    "csrftoken",
    "xsrftoken",
    "bearertoken",
    "oauthtoken",
    "oauthverifier",
    "oauthsignature",
    "personalaccesstoken",
    "privatetoken",
    "tokensecret",
    "jwt",
    "jwttoken",
    // A sign-in, and what keeps one.
    "sessionid",
    "sessionkey",
    "sessionsecret",
    "sessioncookie",
    "jsessionid",
    "phpsessid",
    "assertion",
    "clientassertion",
    "samlassertion",
    "samlresponse",
    "codeverifier",
    "devicecode",
    "onetimepassword",
    "otp",
    "totp",
    "passcode",
    "pin",
    "secretanswer",
    "magiclink",
    "cookie",
    "bearer",
    CREDENTIALS,
    "apikey",
    "xapikey",
    "apisecret",
    "clientsecret",
    "sharedsecret",
    "appsecret",
    "consumersecret",
    "signingsecret",
    "signingkey",
    "encryptionkey",
    "subscriptionkey",
    "accesskey",
    "accesskeyid",
    "secretaccesskey",
    "awssecretaccesskey",
    "passphrase",
    "newpassword",
    "currentpassword",
    "oldpassword",
    "pwd",
    "webhooksecret",
    "secretkey",
    "privatekey",
    "password",
    "passwd",
    "secret",
    "authorization",
    // Where a database is, with the password.
    "connectionstring",
    "dsn",
    // What opens an address that is signed.
    "signature",
    "sig",
    "sastoken",
    "xamzsignature",
    "xamzsecuritytoken",
    "xamzcredential",
    "xgoogsignature",
    "xgoogcredential",
    "googleaccessid",
    "keypairid",
];
/// Whatever is in this member is one.
const CREDENTIALS: &str = "credentials";
/// Parameters that open an address which is told in a body or header, or say where a listing goes on: what they hold is replaced by
/// something that is the same wherever the address is asked.
const OPENERS: &[&str] = &["token", "auth", "ticket", "hmac"];
/// What is shorter, or nothing but digits, opens nothing: it is a page, or an id.
const OPENER_MIN: usize = 8;
/// Headers with one of these in their name hold credentials, or may: those of answers are left out.
const SECRET_HEADERS: &[&str] = &[
    "cookie",
    "auth",
    "token",
    "secret",
    "session",
    "csrf",
    "xsrf",
    "jwt",
    "assertion",
    "signature",
    "credential",
    "subscription-key",
    "access-key",
    "passphrase",
    "api-key",
    "apikey",
    "password",
];
/// Of the connection, not of the answer.
const HOP_HEADERS: &[&str] =
    &["content-encoding", "content-length", "transfer-encoding", "connection", "keep-alive", "alt-svc"];
/// A continuation is no credential, though it is called a token.
const PLACE_HEADERS: &[&str] = &["next", "page", "continuation"];

/// How a body is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// JSON, records a line each, or another text.
    Text,
    /// A form.
    Form,
    /// A table.
    Rows(CsvFormat),
}

/// What is masked.
pub struct Mask {
    secrets: Secrets,
    /// Members by the last steps to them, `["email"]`, `["properties", "email"]`.
    members: Vec<Vec<String>>,
    key: [u8; 32],
    /// Values that were masked, with what stands for them.
    known: Mutex<BTreeMap<String, String>>,
}

impl Mask {
    /// Masks these secrets, and members whose names (or last steps, `properties.email`) are given. An error where the machine
    /// has no randomness for the key.
    pub fn new(secrets: Secrets, members: &[String]) -> Result<Self, String> {
        let mut key = [0; 32];
        getrandom::fill(&mut key).map_err(|error| error.to_string())?;
        let steps = |member: &String| member.split('.').filter(|step| !step.is_empty()).map(str::to_owned).collect();
        let members: Vec<Vec<String>> = members.iter().map(steps).filter(|steps: &Vec<_>| !steps.is_empty()).collect();
        Ok(Self { secrets, members, key, known: Mutex::default() })
    }

    /// A text without secrets; `own` are those of the upstream that is asked.
    pub fn text(&self, own: &Secrets, text: &str) -> String {
        self.secrets.replaced(&own.replaced(text, MARK), MARK)
    }

    /// An address.
    pub fn url(&self, own: &Secrets, url: &str) -> String {
        let Ok(url) = Url::parse(url) else { return MARK.to_owned() };
        let mut masked = url.clone();
        let segment = |segment: &str| {
            let plain = decoded(segment);
            let clean = self.known(&self.text(own, &plain));
            if clean == plain { segment.to_owned() } else { encode_segment(&clean) }
        };
        let path: Vec<String> = url.path().split('/').map(segment).collect();
        masked.set_path(&path.join("/"));
        if let Some(query) = url.query() {
            masked.set_query(Some(&self.form(own, query)));
        }
        self.text(own, masked.as_str())
    }

    /// A query, or a form.
    fn form(&self, own: &Secrets, text: &str) -> String {
        let pair = |pair: &str| {
            let Some((name, value)) = url::form_urlencoded::parse(pair.as_bytes()).next() else {
                return pair.to_owned();
            };
            if let Some(clean) = self.by_name(pair) {
                return clean;
            }
            let clean = self.known(&self.text(own, &value));
            if clean == value {
                return pair.to_owned();
            }
            pair_of(&name, &clean)
        };
        text.split('&').map(pair).collect::<Vec<_>>().join("&")
    }

    /// The headers of an answer.
    pub fn headers(&self, own: &Secrets, headers: &http::HeaderMap) -> Vec<(String, String)> {
        let is_kept = |name: &str| {
            let has = |words: &[&str]| words.iter().any(|word| name.contains(word));
            !HOP_HEADERS.contains(&name) && (!has(SECRET_HEADERS) || (has(PLACE_HEADERS) && !name.contains("cookie")))
        };
        let kept = headers.iter().filter(|(name, _)| is_kept(name.as_str()));
        let masked = |value: &[u8]| self.text(own, &self.parameters(&String::from_utf8_lossy(value)));
        kept.map(|(name, value)| (name.as_str().to_owned(), masked(value.as_bytes()))).collect()
    }

    /// A body; `None` where there is none.
    pub fn body(&self, own: &Secrets, bytes: &[u8], kind: Kind) -> Option<Body> {
        if bytes.is_empty() {
            return None;
        }
        let Ok(text) = std::str::from_utf8(bytes) else {
            let text = String::from_utf8_lossy(bytes);
            let shows = own.show_in(&text) || self.secrets.show_in(&text) || !self.members.is_empty();
            return Some(if shows { left_out() } else { Body::of_bytes(bytes) });
        };
        let masked = match kind {
            Kind::Form => return Some(Body::Text(self.text(own, &self.form(own, text)))),
            // Failures are no tables.
            Kind::Rows(format) => self.rows_masked(text, format).or_else(|| self.members_masked(text)),
            Kind::Text => self.members_masked(text),
        };
        match masked {
            Some(text) => Some(Body::of(self.text_or_tree(own, &text))),
            None => Some(left_out()),
        }
    }

    /// A text without secrets. JSON stays JSON, where a secret stands in it as a number.
    fn text_or_tree(&self, own: &Secrets, text: &str) -> String {
        let masked = self.text(own, text);
        if masked == text || Json::parse(masked.as_bytes()).is_ok() {
            return masked;
        }
        if let Ok(json) = Json::parse(text.as_bytes()) {
            return self.tree(own, &json).to_string();
        }
        // Records a line each.
        let lines = text.lines().count() > 1 && text.lines().any(|line| Json::parse(line.as_bytes()).is_ok());
        if lines {
            text.split('\n').map(|line| self.text_or_tree(own, line)).collect::<Vec<_>>().join("\n")
        } else {
            masked
        }
    }

    fn tree(&self, own: &Secrets, json: &Json) -> Json {
        match json {
            Json::Number(token) if self.text(own, token) != *token => Json::String(MARK.to_owned()),
            Json::Null | Json::Bool(_) | Json::Number(_) => json.clone(),
            Json::String(text) => Json::String(self.text(own, text)),
            Json::Array(items) => Json::Array(items.iter().map(|item| self.tree(own, item)).collect()),
            Json::Object(members) => {
                Json::object(members.iter().map(|(key, value)| (self.text(own, key), self.tree(own, value))))
            }
        }
    }

    /// The text with what stands in members masked; `None` where that cannot be found.
    fn members_masked(&self, text: &str) -> Option<String> {
        let squeezed = squeeze(text);
        // A name may be spelled in escapes.
        let may_be_named =
            text.contains("\\u") || SECRET_MEMBERS.iter().chain(OPENERS).any(|name| squeezed.contains(name));
        if self.members.is_empty() && !may_be_named {
            return Some(text.to_owned());
        }
        let document = |text: &str| {
            let mut json = Json::parse(text.as_bytes()).ok()?;
            let changed = self.rewrite(&mut json, &mut Vec::new());
            Some(if changed { json.to_string() } else { text.to_owned() })
        };
        let lines = || {
            let line = |line: &str| if line.trim().is_empty() { Some(String::new()) } else { document(line) };
            text.lines().map(line).collect::<Option<Vec<_>>>().map(|lines| lines.join("\n") + "\n")
        };
        // What is no JSON has no members, so that nothing that is to be masked can be found in it.
        document(text).or_else(lines).or_else(|| self.members.is_empty().then(|| text.to_owned()))
    }

    /// A table with what stands in columns masked: a column's name is that of a member, or the steps to one. `None`: it is none.
    fn rows_masked(&self, text: &str, format: CsvFormat) -> Option<String> {
        let mut change = |name: &str, value: &str| {
            let at: Vec<String> = name.split('.').map(str::to_owned).collect();
            let masked = if self.is_member(&at) || self.is_member(&[name.to_owned()]) {
                self.stand_in(value)
            } else if is_secret_name(name) && !value.is_empty() {
                MARK.to_owned()
            } else {
                self.parameters(value)
            };
            Some(masked).filter(|masked| masked != value)
        };
        String::from_utf8(rewrite_rows(text.as_bytes(), format, &mut change).ok()?).ok()
    }

    /// True where something was masked.
    fn rewrite(&self, json: &mut Json, at: &mut Vec<String>) -> bool {
        match json {
            Json::Array(items) => items.iter_mut().fold(false, |changed, item| self.rewrite(item, at) | changed),
            Json::Object(members) => {
                let mut changed = false;
                for (key, value) in members {
                    at.push(key.clone());
                    changed |= if self.is_member(at) {
                        self.replace(value)
                    } else if is_secret_name(key) && (is_one(value) || squeeze(key) == CREDENTIALS) {
                        blot(value)
                    } else {
                        self.rewrite(value, at)
                    };
                    at.pop();
                }
                changed
            }
            Json::String(text) => {
                let masked = self.parameters(text);
                std::mem::replace(text, masked.clone()) != masked
            }
            Json::Null | Json::Bool(_) | Json::Number(_) => false,
        }
    }

    /// The addresses in a text with what their parameters say masked by name, as [`Mask::url`] does in those that are asked.
    pub fn parameters(&self, text: &str) -> String {
        let mut masked = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(at) = rest.find(['?', '&']) {
            let (before, tail) = rest.split_at(at + 1);
            masked.push_str(before);
            rest = tail;
            let is_of_name =
                |one: char| one.is_ascii_alphanumeric() || matches!(one, '_' | '-' | '.' | '%' | '[' | ']');
            let Some((name, value)) = rest.split_once('=').filter(|(name, _)| name.chars().all(is_of_name)) else {
                continue;
            };
            let end = value.find(['&', '#', '"', '\'', '<', '>', ' ']).unwrap_or(value.len());
            let (value, tail) = value.split_at(end);
            let pair = format!("{name}={value}");
            match self.by_name(&pair).or_else(|| self.opener(&pair)) {
                Some(clean) => masked.push_str(&clean),
                None => masked.push_str(&pair),
            }
            rest = tail;
        }
        masked.push_str(rest);
        masked
    }

    /// A parameter that is masked whatever it says, with what stands for it.
    fn by_name(&self, pair: &str) -> Option<String> {
        let (name, value) = url::form_urlencoded::parse(pair.as_bytes()).next()?;
        if self.is_member(&[name.to_string()]) {
            Some(pair_of(&name, &self.stand_in(&value)))
        } else {
            secret_pair(pair)
        }
    }

    /// A parameter that may open the address that it stands in, masked as what is remembered.
    fn opener(&self, pair: &str) -> Option<String> {
        let (name, value) = url::form_urlencoded::parse(pair.as_bytes()).next()?;
        let opens = value.len() >= OPENER_MIN && !value.bytes().all(|byte| byte.is_ascii_digit());
        (opens && OPENERS.contains(&squeeze(&name).as_str())).then(|| pair_of(&name, &self.stand_in(&value)))
    }

    /// All texts and numbers of a value. Whether it is there, true or empty is told.
    fn replace(&self, json: &mut Json) -> bool {
        match json {
            Json::Null | Json::Bool(_) => false,
            Json::String(text) => {
                let masked = self.stand_in(text);
                std::mem::replace(text, masked.clone()) != masked
            }
            Json::Number(token) => {
                let masked = digits(token, &self.hash(token));
                std::mem::replace(token, masked.clone()) != masked
            }
            Json::Array(items) => items.iter_mut().fold(false, |changed, item| self.replace(item) | changed),
            Json::Object(members) => {
                members.iter_mut().fold(false, |changed, (_, value)| self.replace(value) | changed)
            }
        }
    }

    fn is_member(&self, at: &[String]) -> bool {
        self.members.iter().any(|steps| at.ends_with(steps))
    }

    /// What stands for a text, and is looked for from now on.
    fn stand_in(&self, text: &str) -> String {
        if text.is_empty() {
            return String::new();
        }
        let hash = self.hash(text);
        let short = hex(hash.get(..6).unwrap_or_default());
        let masked = if is_date(text) {
            let day = "2000-01-01";
            if text.len() > day.len() { format!("{day}T00:00:00Z") } else { day.to_owned() }
        } else if text.contains('@') {
            format!("redacted-{short}@example.invalid")
        } else if text.bytes().any(|byte| byte.is_ascii_digit()) && !text.contains(char::is_alphabetic) {
            digits(text, &hash)
        } else {
            format!("redacted-{short}")
        };
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() < KNOWN_MAX {
            known.insert(text.to_owned(), masked.clone());
        }
        masked
    }

    /// What stands for a text, where it was masked elsewhere.
    fn known(&self, text: &str) -> String {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(text).cloned().unwrap_or_else(|| text.to_owned())
    }

    fn hash(&self, text: &str) -> Vec<u8> {
        // A key of any length will do.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.key) else { return vec![0; 32] };
        mac.update(text.as_bytes());
        mac.finalize().into_bytes().to_vec()
    }
}

fn left_out() -> Body {
    Body::LeftOut(
        "what is to be masked cannot be found in it, because it is neither JSON nor the table that the rules describe"
            .to_owned(),
    )
}

/// Whether a header holds a credential by its name.
pub fn is_secret_header(name: &str) -> bool {
    SECRET_HEADERS.iter().any(|word| name.contains(word))
}

/// A question's address with what is masked by name: whoever replays has the rules' own values there.
pub fn without_named_secrets(url: &str) -> String {
    let Some((before, query)) = url.split_once('?') else { return url.to_owned() };
    let pair = |pair: &str| secret_pair(pair).unwrap_or_else(|| pair.to_owned());
    format!("{before}?{}", query.split('&').map(pair).collect::<Vec<_>>().join("&"))
}

/// A parameter that holds a secret by its name, masked.
fn secret_pair(pair: &str) -> Option<String> {
    let (name, _) = url::form_urlencoded::parse(pair.as_bytes()).next()?;
    is_secret_name(&name).then(|| pair_of(&name, MARK))
}

fn pair_of(name: &str, value: &str) -> String {
    url::form_urlencoded::Serializer::new(String::new()).append_pair(name, value).finish()
}

/// Without `_`, `-` and case.
fn squeeze(text: &str) -> String {
    text.chars().filter(|one| !matches!(one, '_' | '-')).map(|one| one.to_ascii_lowercase()).collect()
}

fn is_one(value: &Json) -> bool {
    matches!(value, Json::String(_) | Json::Number(_))
}

/// Masks all texts and numbers of a value; true where there were any.
fn blot(value: &mut Json) -> bool {
    match value {
        Json::Null | Json::Bool(_) => false,
        Json::String(_) | Json::Number(_) => {
            *value = Json::String(MARK.to_owned());
            true
        }
        Json::Array(items) => items.iter_mut().fold(false, |changed, item| blot(item) | changed),
        Json::Object(members) => members.iter_mut().fold(false, |changed, (_, value)| blot(value) | changed),
    }
}

fn is_secret_name(name: &str) -> bool {
    SECRET_MEMBERS.contains(&squeeze(name).as_str())
}

/// `2026-01-31`, or a time that begins so.
fn is_date(text: &str) -> bool {
    let day = text.get(..10).unwrap_or_default();
    chrono::NaiveDate::parse_from_str(day, "%Y-%m-%d").is_ok()
        && text.get(10..).is_some_and(|rest| rest.is_empty() || rest.starts_with(['T', ' ']))
}

/// Each digit becomes another one; the first of a number is never 0.
fn digits(text: &str, hash: &[u8]) -> String {
    let mut taken = hash.iter().cycle();
    let mut is_first = true;
    let digit = |one: char| {
        if !one.is_ascii_digit() {
            return one;
        }
        let byte = taken.next().copied().unwrap_or(0);
        let value = if std::mem::take(&mut is_first) { 1 + byte % 9 } else { byte % 10 };
        char::from_digit(u32::from(value), 10).unwrap_or('0')
    };
    text.chars().map(digit).collect()
}

/// Without percent encoding.
fn decoded(segment: &str) -> String {
    let bytes = segment.as_bytes();
    let (mut plain, mut at) = (Vec::new(), 0);
    while let Some(&byte) = bytes.get(at) {
        let code =
            segment.get(at + 1..at + 3).and_then(|code| u8::from_str_radix(code, 16).ok()).filter(|_| byte == b'%');
        plain.push(code.unwrap_or(byte));
        at += if code.is_some() { 3 } else { 1 };
    }
    String::from_utf8_lossy(&plain).into_owned()
}
