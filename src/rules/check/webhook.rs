//! Owns: the checks of `[upstream.NAME.webhook]`.
//!
//! Must not know: the rest of an upstream.

use std::time::Duration;

use super::context::Cx;
use super::text::{Allowed, has_hole};
use crate::rules::diagnostic::{DiagnosticKind, Span};
use crate::rules::grammar::{self, HookSchemeWord};
use crate::rules::model::{
    HmacScheme, HookAction, HookEvent, HookScheme, NextAt, Part, SignatureEncoding, Template, Webhook,
};
use crate::rules::shape::{At, Either, Key};
use crate::rules::units::{Period, Text};

/// How far the time of signing may lie from now by default.
const TOLERANCE: Duration = Duration::from_mins(5);
/// It is at least this.
const TOLERANCE_MIN: Duration = Duration::from_secs(1);
/// It is at most this.
const TOLERANCE_MAX: Duration = Duration::from_hours(1);

/// Checks the webhooks of an upstream.
pub fn lower(upstream: &str, at: &At<grammar::Webhook>, cx: &mut Cx<'_>) -> Option<Webhook> {
    let raw = &at.value;
    let secrets = secrets(&raw.secrets, cx);
    let delivery = match raw.delivery.get() {
        Some(at) => cx.next_at(at).map(Some),
        None => raw.delivery.is_absent().then_some(None),
    };
    let scheme = raw.scheme.get().and_then(|word| scheme(at.key, word, raw, delivery.as_ref(), cx));
    let tolerance = tolerance(&raw.tolerance, raw.scheme.get().map(|at| at.value), raw, cx);
    let events = events(upstream, &raw.event, cx);
    Some(Webhook { scheme: scheme?, secrets: secrets?, tolerance, delivery: delivery?, events: events? })
}

fn secrets(key: &Key<Vec<At<Text>>>, cx: &mut Cx<'_>) -> Option<Vec<Template>> {
    let at = key.get()?;
    if at.value.is_empty() {
        cx.notes
            .error(DiagnosticKind::Missing, at.span, "without a secret nobody could tell who sent a webhook")
            .help("write secrets = [\"${secret.NAME}\"]");
    }
    let all: Vec<Option<Template>> = at.value.iter().map(|at| cx.secret(at)).collect();
    all.into_iter().collect()
}

fn scheme(
    table: Span,
    word: &At<HookSchemeWord>,
    raw: &grammar::Webhook,
    delivery: Option<&Option<NextAt>>,
    cx: &mut Cx<'_>,
) -> Option<HookScheme> {
    let fixed = match word.value {
        HookSchemeWord::Standard => HookScheme::Standard,
        HookSchemeWord::Github => HookScheme::Github,
        HookSchemeWord::Stripe => HookScheme::Stripe,
        HookSchemeWord::Slack => HookScheme::Slack,
        HookSchemeWord::Shopify => HookScheme::Shopify,
        HookSchemeWord::Hmac => return hmac(table, raw, delivery, cx).map(HookScheme::Hmac),
    };
    let keys = [
        ("header", raw.header.get().map(|at| at.key)),
        ("prefix", raw.prefix.get().map(|at| at.key)),
        ("encoding", raw.encoding.get().map(|at| at.key)),
        ("timestamp", raw.timestamp.get().map(|at| at.key)),
        ("content", raw.content.get().map(|at| at.key)),
    ];
    for (name, span) in keys {
        let Some(span) = span else { continue };
        cx.notes.inert(span, name, "only the scheme `hmac` is described by the rules").second(word.key, "not this one");
    }
    Some(fixed)
}

fn hmac(table: Span, raw: &grammar::Webhook, delivery: Option<&Option<NextAt>>, cx: &mut Cx<'_>) -> Option<HmacScheme> {
    if raw.timestamp.is_absent() && matches!(delivery, Some(None)) {
        cx.notes
            .error(
                DiagnosticKind::Missing,
                table,
                "the scheme `hmac` needs `timestamp` or `delivery`: else nobody could tell a webhook that is sent again",
            )
            .help("write delivery = { header = \"X-Delivery-Id\" }, or timestamp = \"X-Timestamp\" and content = \"{timestamp}.{body}\"");
    }
    let header = match &raw.header {
        Key::Absent => Some("x-signature".to_owned()),
        Key::Bad => None,
        Key::Given(at) => cx.header(at),
    };
    let timestamp = match &raw.timestamp {
        Key::Absent => Some(None),
        Key::Bad => None,
        Key::Given(at) => cx.header(at).map(Some),
    };
    let prefix = match raw.prefix.get() {
        Some(at) => cx.plain(at),
        None => Some(String::new()),
    };
    let content = content(raw, delivery.and_then(Option::as_ref), cx);
    let encoding = raw.encoding.or(SignatureEncoding::Hex);
    Some(HmacScheme { header: header?, prefix: prefix?, encoding, timestamp: timestamp?, content: content? })
}

/// What is signed holds the body, and the time and the id exactly where headers of them are named.
fn content(raw: &grammar::Webhook, delivery: Option<&NextAt>, cx: &mut Cx<'_>) -> Option<Template> {
    const HOLES: Allowed = Allowed { holes: &["body", "timestamp", "id"], secrets: false };
    let (template, span) = match &raw.content {
        Key::Bad => return None,
        Key::Given(at) => (cx.template(at, HOLES)?, at.span),
        Key::Absent => {
            let span = raw.timestamp.get().map_or_else(Span::default, |at| at.span);
            (Template { parts: vec![Part::Hole("body".to_owned())] }, span)
        }
    };
    let mut invalid = |message: &str, help: &str| {
        cx.notes.error(DiagnosticKind::Invalid, span, message).help(help);
    };
    if !has_hole(&template, "body") {
        invalid("the body is not signed: anybody could change it", "write content = \"{timestamp}.{body}\"");
    }
    match (has_hole(&template, "timestamp"), raw.timestamp.is_absent()) {
        (false, false) => invalid(
            "the time is not signed: anybody could change it",
            "write content = \"{timestamp}.{body}\", as the upstream signs it",
        ),
        (true, true) => invalid("no header of the time is named", "write timestamp = \"X-Timestamp\""),
        (true, false) | (false, true) => {}
    }
    if has_hole(&template, "id") && !matches!(delivery, Some(NextAt::Header(_))) {
        invalid("no header of the id is named", "write delivery = { header = \"X-Delivery-Id\" }");
    }
    Some(template)
}

fn tolerance(key: &Key<Period>, scheme: Option<HookSchemeWord>, raw: &grammar::Webhook, cx: &mut Cx<'_>) -> Duration {
    let Some(at) = key.get() else { return TOLERANCE };
    let tolerance = at.value.0;
    if !(TOLERANCE_MIN..=TOLERANCE_MAX).contains(&tolerance) {
        cx.notes
            .error(DiagnosticKind::Invalid, at.span, "`tolerance` is between 1s and 1h")
            .help("the default is 5m; clocks that are right need no more");
    }
    let signs_time = match scheme {
        None | Some(HookSchemeWord::Standard | HookSchemeWord::Stripe | HookSchemeWord::Slack) => true,
        Some(HookSchemeWord::Github | HookSchemeWord::Shopify) => false,
        Some(HookSchemeWord::Hmac) => !raw.timestamp.is_absent(),
    };
    if !signs_time {
        cx.notes.inert(at.key, "tolerance", "no time is signed here");
    }
    tolerance
}

fn events(upstream: &str, key: &Key<Vec<At<grammar::HookEvent>>>, cx: &mut Cx<'_>) -> Option<Vec<HookEvent>> {
    let at = key.get()?;
    if at.value.is_empty() {
        cx.notes
            .error(DiagnosticKind::Missing, at.span, "without an event nothing follows from a webhook")
            .help("write [[upstream.NAME.webhook.event]] with collection = \"contacts\"");
    }
    let mut events = Vec::new();
    let mut all_taken: Option<Span> = None;
    for at in &at.value {
        if let Some(before) = all_taken {
            cx.notes
                .error(DiagnosticKind::Inert, at.key, "this event is never reached")
                .second(before, "has no `when`, and so takes every webhook");
        }
        if at.when.is_absent() {
            all_taken = all_taken.or(Some(at.key));
        }
        events.push(event(upstream, at, cx));
    }
    events.into_iter().collect()
}

fn event(upstream: &str, at: &At<grammar::HookEvent>, cx: &mut Cx<'_>) -> Option<HookEvent> {
    let when = match &at.when {
        Key::Absent => Some(None),
        Key::Bad => None,
        Key::Given(at) => cx.filter(at, &[]).map(Some),
    };
    let id = match &at.id {
        Key::Absent => Some(None),
        Key::Bad => None,
        Key::Given(at) => cx.path(at).map(Some),
    };
    if at.id.is_absent()
        && let Some(action) = at.action.get().filter(|action| action.value != HookAction::Fetch)
    {
        let word = action.value.name();
        cx.notes
            .error(DiagnosticKind::Missing, action.key, format!("`{word}` is about one record, and `id` is missing"))
            .help("write id = \".data.id\": where the body names it");
    }
    let collection = at.collection.get().map(|at| {
        let name = at.value.0.clone();
        check_collection(upstream, &name, at.span, cx);
        name
    });
    let action = at.action.or(HookAction::Fetch);
    let is_sound = check_record(upstream, at, collection.as_deref(), cx);
    let record = at.record.get().and_then(|at| cx.path(at));
    let event = HookEvent { when: when?, collection: collection?, id: id?, action, record };
    (is_sound && event.record.is_some() == (action == HookAction::Apply)).then_some(event)
}

/// What a webhook shows of a record counts only where it tells that it is newer than what is known.
fn check_record(upstream: &str, at: &At<grammar::HookEvent>, collection: Option<&str>, cx: &mut Cx<'_>) -> bool {
    let Some(action) = at.action.get().filter(|action| action.value == HookAction::Apply) else {
        if let Some(at) = at.record.get() {
            cx.notes.inert(at.key, "record", "only the action `apply` takes the record from the body");
        }
        return at.record.is_absent();
    };
    if at.record.is_absent() {
        cx.notes
            .error(
                DiagnosticKind::Missing,
                action.key,
                "`apply` takes the record from the body, and `record` is missing",
            )
            .help("write record = \".data\": where the whole record is, as listings show it; else action = \"fetch\"");
        return false;
    }
    let binding = collection.and_then(|name| cx.definitions.bindings.get(&(name.to_owned(), upstream.to_owned())));
    let Some(binding) = binding.and_then(|one| one.value.get()) else { return true };
    let has_version = matches!(binding.value.version.get().map(|at| &at.value), Some(Either::Short(_)));
    let is_ordered = has_version || !binding.value.updated_at.is_absent();
    if !is_ordered {
        cx.notes
            .error(
                DiagnosticKind::Missing,
                action.key,
                "`apply` needs to know which of two webhooks is newer: they come late, twice and in another order",
            )
            .help("name `updated_at` or `version` (a path) in the binding, or write action = \"fetch\"");
    }
    is_ordered
}

fn check_collection(upstream: &str, name: &str, span: Span, cx: &mut Cx<'_>) {
    if !cx.definitions.collections.contains_key(name) {
        let names = cx.collection_names();
        cx.undefined(span, format!("there is no collection `{name}`"), name, &names);
    } else if !cx.bound_upstreams(name).contains(&upstream) && !cx.has_misnamed_bindings() {
        cx.notes
            .error(
                DiagnosticKind::UnknownName,
                span,
                format!("`{name}` is not bound to `{upstream}`: nothing would be read there"),
            )
            .help(format!("define [binding.{name}.{upstream}], or name another collection"));
    }
}
