//! Owns: what a genuine webhook is about, by the rules. Pure.
//!
//! Must not know: signatures, stores; what follows.

use bytes::Bytes;

use crate::record::{Json, Path};
use crate::rules::{HookEvent, HookScheme, NextAt, Webhook};
use crate::store::HookState;
use crate::upstream::cut_record;

use super::verify::Genuine;

/// The longest remote id, in bytes.
const ID_BYTES_MAX: usize = 1024;
/// The longest record that is kept while it waits, in bytes; a longer one is read from the upstream.
const RECORD_BYTES_MAX: usize = 64 * 1024;

/// What a webhook is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meaning {
    /// What tells a repeat of it.
    pub delivery: String,
    /// What it says, as written in rules; empty where that is not known.
    pub event: &'static str,
    /// The collection.
    pub collection: Option<String>,
    /// The record; `None`: the collection as a whole.
    pub remote_id: Option<String>,
    /// `Waiting`, `Ignored` or `Dead`.
    pub state: HookState,
    /// Why it cannot be followed; it holds nothing of the body.
    pub error: Option<String>,
    /// The record as it shows it.
    pub record: Option<Vec<u8>>,
    /// What the sender wants to hear back.
    pub echo: Option<String>,
}

/// Reads the body.
pub fn read(webhook: &Webhook, genuine: &Genuine, body: &Bytes) -> Meaning {
    let json = Json::parse(body.as_ref());
    let in_body = |path: &Path| json.as_ref().ok().and_then(|json| text_at(path, json));
    let usual = match webhook.scheme {
        HookScheme::Stripe => Path::parse(".id"),
        HookScheme::Slack => Path::parse(".event_id"),
        HookScheme::Standard | HookScheme::Github | HookScheme::Shopify | HookScheme::Hmac(_) => None,
    };
    let named = match &webhook.delivery {
        Some(NextAt::Body(path)) => in_body(path),
        Some(NextAt::Header(_)) => None,
        None => usual.as_ref().and_then(in_body),
    };
    let delivery = genuine.delivery.clone().or(named).unwrap_or_else(|| format!("sha256:{}", genuine.digest));
    let nothing = Meaning {
        delivery,
        event: "",
        collection: None,
        remote_id: None,
        state: HookState::Ignored,
        error: None,
        record: None,
        echo: None,
    };
    match json {
        Ok(json) => match challenge(&webhook.scheme, &json) {
            Some(echo) => Meaning { echo: Some(echo), ..nothing },
            None => about(webhook, &json, body, nothing),
        },
        Err(_not_said) => Meaning { state: HookState::Dead, error: Some("the body is no JSON".to_owned()), ..nothing },
    }
}

fn about(webhook: &Webhook, json: &Json, body: &Bytes, nothing: Meaning) -> Meaning {
    let mut failed = None;
    for event in &webhook.events {
        match event.when.as_ref().map(|when| when.test(json)) {
            None | Some(Ok(true)) => return followed(event, json, body, nothing),
            Some(Ok(false)) => {}
            // jq's own words hold values of the body.
            Some(Err(_not_said)) => {
                let source = event.when.as_ref().map(|when| when.source().to_owned()).unwrap_or_default();
                failed = failed.or(Some(format!("the condition `{source}` cannot be applied to it")));
            }
        }
    }
    match failed {
        Some(words) => Meaning { state: HookState::Dead, error: Some(words), ..nothing },
        None => nothing,
    }
}

fn followed(event: &HookEvent, json: &Json, body: &Bytes, nothing: Meaning) -> Meaning {
    let about = Meaning { event: event.action.name(), collection: Some(event.collection.clone()), ..nothing };
    let Some(path) = &event.id else { return Meaning { state: HookState::Waiting, ..about } };
    match text_at(path, json) {
        Some(id) => {
            let record = event.record.as_ref().and_then(|path| cut_record(body, Some(path)).ok());
            let record = record.filter(|record| record.len() <= RECORD_BYTES_MAX).map(|record| record.to_vec());
            Meaning { remote_id: Some(id), state: HookState::Waiting, record, ..about }
        }
        None => Meaning { state: HookState::Dead, error: Some(format!("no id at {path}")), ..about },
    }
}

/// A text or a number, as an id.
fn text_at(path: &Path, json: &Json) -> Option<String> {
    let text = match path.get(json)? {
        Json::String(text) | Json::Number(text) => text.clone(),
        Json::Null | Json::Bool(_) | Json::Array(_) | Json::Object(_) => return None,
    };
    (!text.is_empty() && text.len() <= ID_BYTES_MAX).then_some(text)
}

/// Slack asks once whether an address is ours, and wants to hear its own word.
/// <https://docs.slack.dev/reference/events/url_verification>
fn challenge(scheme: &HookScheme, json: &Json) -> Option<String> {
    let asks = *scheme == HookScheme::Slack && json.get("type").and_then(Json::as_str) == Some("url_verification");
    asks.then(|| json.get("challenge").and_then(Json::as_str).map(str::to_owned)).flatten()
}
