//! Owns: the checks of `[[binding.….write.transition]]`.
//!
//! Must not know: how transitions are sent.

use super::binding::{Place as Where, Ways};
use super::context::Cx;
use super::parent;
use super::request::{self, TRANSITION};
use super::write;
use crate::record::{FieldMap, FieldType, Value};
use crate::rules::diagnostic::{DiagnosticKind, Span};
use crate::rules::grammar::{self, OrderWord};
use crate::rules::model::{Body, Transition};
use crate::rules::shape::{At, Key, OneOrMany};
use crate::rules::units::{Jq, Token};

/// Checks all of a binding. `mapped` is its mapping, where that has no errors of its own.
pub fn lower(
    place: &Where<'_>,
    raw: &grammar::Binding,
    ways: Ways,
    mapped: Option<&[FieldMap]>,
    cx: &mut Cx<'_>,
) -> Option<Vec<Transition>> {
    let Some(write) = raw.write.get().filter(|_| ways.push) else { return Some(Vec::new()) };
    let Some(all) = write.transition.get() else { return write.transition.is_absent().then(Vec::new) };
    if all.is_empty() {
        cx.notes.inert(all.key, "transition", "it is empty");
    }
    let mut known: Vec<(Transition, Span)> = Vec::new();
    let mut complete = true;
    for at in all.iter() {
        match one(place, at, raw, mapped, cx) {
            Some(transition) => {
                check_reached(&transition, at, &known, mapped.unwrap_or_default(), cx);
                known.push((transition, at.span));
            }
            None => complete = false,
        }
    }
    complete.then(|| known.into_iter().map(|(transition, _)| transition).collect())
}

fn one(
    place: &Where<'_>,
    at: &At<grammar::Transition>,
    raw: &grammar::Binding,
    mapped: Option<&[FieldMap]>,
    cx: &mut Cx<'_>,
) -> Option<Transition> {
    let map = field(place, at, mapped, cx);
    let from = match (&at.from, map) {
        (Key::Absent, _) => Some(Vec::new()),
        (Key::Given(states), Some(map)) => values(states, map, "from", cx),
        (Key::Given(_), None) | (Key::Bad, _) => None,
    };
    let to = match (&at.to, map) {
        (Key::Absent, _) => {
            cx.notes
                .error(DiagnosticKind::Missing, at.key, "`to` is missing: a transition leads to a state")
                .help("write to = \"closed\", or several: to = [\"closed\", \"lost\"]");
            None
        }
        (Key::Given(states), Some(map)) => values(states, map, "to", cx),
        (Key::Given(_), None) | (Key::Bad, _) => None,
    };
    let body = body(&at.body, cx);
    let filter = match &body {
        Some(Some(Body::Filter(filter))) => filter.source(),
        _ => "",
    };
    let names_it = [".id", "remote"].iter().any(|it| filter.contains(it));
    let request =
        at.request.get().and_then(|at| request::lower_naming(at, TRANSITION.under(parent::is_told(raw)), names_it, cx));
    parent::check_address(raw, request.as_ref(), at.request.get().map_or(at.key, |at| at.span), cx);
    if let (Some(request), Some(body)) = (&request, at.body.get()) {
        check_body(request, body, cx);
    }
    let conditional = write::conditional(request.as_ref(), at.request.get().map_or(at.key, |at| at.span), raw, cx);
    let precondition = write::precondition(&at.precondition, at.key, ("a transition", conditional), raw, cx);
    Some(Transition {
        field: map?.field,
        from: from?,
        to: to?,
        before: at.order.or(OrderWord::After) == OrderWord::Before,
        request: request?,
        body: body?,
        precondition: precondition?,
    })
}

/// A field that is written here, by itself, and has states.
fn field<'m>(
    place: &Where<'_>,
    at: &At<grammar::Transition>,
    mapped: Option<&'m [FieldMap]>,
    cx: &mut Cx<'_>,
) -> Option<&'m FieldMap> {
    let (declared, name) = (place.declared?, at.field.get()?);
    let Some(position) = declared.iter().position(|field| field.name == name.value.0) else {
        let names: Vec<&str> = declared.iter().map(|field| field.name).collect();
        let message = format!("`{}` has no field `{}`", place.collection, name.value.0);
        cx.notes.unknown(name.span, message, &name.value.0, &names);
        return None;
    };
    let mapped = mapped?;
    let map = mapped.iter().find(|map| map.field == position && map.push && !map.create_only);
    let mut refuse = |why: &str, help: String| {
        cx.notes.error(DiagnosticKind::Conflict, name.span, format!("`{}` {why}", name.value.0)).help(help);
    };
    let Some(map) = map else {
        let help = format!("map it: {} = \".{}\"", name.value.0, name.value.0);
        refuse("is not written here after the create, so no transition of it is ever sent", help);
        return None;
    };
    if !matches!(map.domain.ty, FieldType::Text | FieldType::Boolean | FieldType::Integer) {
        let help = "states are text, boolean or integer".to_owned();
        refuse(&format!("is of type {}, which has no states", map.domain.ty.name()), help);
        return None;
    }
    if declared[position].raw.is_some_and(|raw| !raw.group.is_absent()) {
        refuse("is written together with its group, and a transition changes it alone", "leave `group` out".to_owned());
        return None;
    }
    Some(map)
}

/// States as values of the field.
fn values(states: &At<OneOrMany<Token>>, map: &FieldMap, key: &str, cx: &mut Cx<'_>) -> Option<Vec<Value>> {
    if states.items.is_empty() {
        cx.notes.error(DiagnosticKind::Invalid, states.span, format!("an empty `{key}`")).help(format!(
            "write {key} = \"closed\"{}",
            if key == "from" { ", or leave it out for any state" } else { "" }
        ));
        return None;
    }
    let read: Vec<Option<Value>> = states.items.iter().map(|item| state(item, map, cx)).collect();
    read.into_iter().collect()
}

fn state(at: &At<Token>, map: &FieldMap, cx: &mut Cx<'_>) -> Option<Value> {
    let value = match (&at.value, &map.domain.ty) {
        (Token::Text(text), FieldType::Text) => Some(Value::Text(text.clone())),
        (Token::Boolean(flag), FieldType::Boolean) => Some(Value::Boolean(*flag)),
        (Token::Number(number), FieldType::Integer) => number.replace('_', "").parse().ok().map(Value::Integer),
        _ => None,
    };
    let Some(value) = value.map(|value| map.domain.canonical(&value)) else {
        let message = format!("this is no value of `{}`, which is of type {}", map.name, map.domain.ty.name());
        let example = match map.domain.ty {
            FieldType::Boolean => "write true or false, without quotes",
            FieldType::Integer => "write a whole number, without quotes",
            _ => "write a text: \"closed\"",
        };
        cx.notes.error(DiagnosticKind::WrongType, at.span, message).help(example);
        return None;
    };
    if let (false, Value::Text(text), Some(listed)) = (map.domain.admits(&value), &value, &map.domain.one_of) {
        let names: Vec<&str> = listed.iter().map(String::as_str).collect();
        cx.notes.unknown(at.span, format!("\"{text}\" is not in `one_of` of `{}`", map.name), text, &names);
        return None;
    }
    Some(value)
}

/// A filter; the words of other bodies say nothing here.
#[expect(clippy::option_option, reason = "not given, refused, and read are three things")]
fn body(key: &Key<Jq>, cx: &mut Cx<'_>) -> Option<Option<Body>> {
    let Some(at) = key.get() else { return key.is_absent().then_some(None) };
    if matches!(at.value.0.trim(), "changed" | "full") {
        cx.notes
            .error(DiagnosticKind::Conflict, at.span, format!("a transition has no \"{}\" body", at.value.0.trim()))
            .help("write what the call wants, e.g. body = '{reason: .record.reason}', or leave it out");
        return None;
    }
    cx.filter(at, &[]).map(|filter| Some(Body::Filter(filter)))
}

fn check_body(request: &crate::rules::model::Request, body: &At<Jq>, cx: &mut Cx<'_>) {
    if request.body.is_some() {
        cx.notes
            .error(DiagnosticKind::Conflict, body.key, "the request has a body already")
            .help("write it in one of the two places");
    } else if request.method == "DELETE" {
        cx.notes.inert(body.key, "body", "a DELETE has none").help("write request = \"POST /…/{id}\"");
    }
}

/// A transition that an earlier one always forestalls is never sent.
fn check_reached(
    new: &Transition,
    at: &At<grammar::Transition>,
    known: &[(Transition, Span)],
    mapped: &[FieldMap],
    cx: &mut Cx<'_>,
) {
    let Some(map) = mapped.iter().find(|map| map.field == new.field) else { return };
    let within =
        |few: &[Value], many: &[Value]| few.iter().all(|value| many.iter().any(|other| map.domain.same(value, other)));
    let covers = |old: &Transition| {
        let from = old.from.is_empty() || (!new.from.is_empty() && within(&new.from, &old.from));
        old.field == new.field && from && within(&new.to, &old.to)
    };
    if let Some((_, span)) = known.iter().find(|(old, _)| covers(old)) {
        cx.notes
            .error(DiagnosticKind::Inert, at.key, "this transition is never sent: an earlier one fits all that it does")
            .help("write the narrower one first, or leave it out")
            .second(*span, "the earlier one");
    }
}
