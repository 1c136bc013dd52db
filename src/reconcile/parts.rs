//! Owns: cutting a write into what single requests can carry: an update, and the transitions before and after it.
//!
//! Must not know: requests. Only the first part becomes an intent; the rest is derived again once that is settled.

use crate::record::{RecordId, Slot, Value};
use crate::rules::{Binding, Transition};
use crate::store::{StoreError, View};
use crate::upstream::SendOp;

use super::base::{self, Pair};
use super::context::Pass;
use super::observe;

/// What one request carries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Part {
    /// The fields with their hub values.
    pub values: Vec<(usize, Value)>,
    /// The transition that carries it, by position; `None`: the operation's own request.
    pub transition: Option<usize>,
}

/// A write, cut.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cut {
    /// In the order in which they are sent.
    pub parts: Vec<Part>,
    /// Fields that no declared transition takes where they should go, and from where.
    pub stuck: Vec<(usize, Option<Value>)>,
    /// Something is left to do once the first part is settled.
    pub goes_on: bool,
}

/// Cuts a write. `there` is what the upstream holds, as far as that is known.
pub fn cut(rules: &Binding, op: SendOp, values: Vec<(usize, Value)>, there: &[Slot]) -> Cut {
    let own = |values| Part { values, transition: None };
    if op.removes() || rules.transitions.is_empty() {
        return Cut { parts: vec![own(values)], ..Cut::default() };
    }
    let (states, others): (Vec<_>, Vec<_>) = values.into_iter().partition(|(field, _)| rules.is_state(*field));
    if op == SendOp::Create {
        // It begins in the upstream's first state, and goes on from there.
        let goes_on = states.iter().any(|(_, value)| !value.is_null());
        return Cut { parts: vec![own(others)], stuck: Vec::new(), goes_on };
    }
    let (mut before, mut after, mut stuck) = (Vec::new(), Vec::new(), Vec::new());
    for (field, value) in states {
        let from = there.get(field).and_then(Slot::value).cloned();
        let Some(at) = rules.transition(field, from.as_ref(), &value) else {
            // A listing will show the state of what has just been created, say.
            let is_seen_later = from.is_none() && rules.mapper.field(field).is_some_and(|map| rules.pull && map.pull);
            stuck.extend((!is_seen_later).then_some((field, from)));
            continue;
        };
        let list = if rules.transitions.get(at).is_some_and(|one| one.before) { &mut before } else { &mut after };
        list.push(Part { values: vec![(field, value)], transition: Some(at) });
    }
    before.sort_by_key(|part| part.transition);
    after.sort_by_key(|part| part.transition);
    let update = (!others.is_empty()).then(|| own(others));
    let parts: Vec<Part> = before.into_iter().chain(update).chain(after).collect();
    Cut { goes_on: parts.len() > 1, parts, stuck }
}

/// The transition that carries a write of these values, by the base that it was decided on.
pub fn transition_of(
    view: &dyn View,
    pass: &Pass,
    at: usize,
    record: &RecordId,
    op: SendOp,
    values: &[(usize, Value)],
) -> Result<Option<usize>, StoreError> {
    let (SendOp::Update, [(field, value)], Some(rules)) = (op, values, pass.rules(at)) else { return Ok(None) };
    if !rules.is_state(*field) {
        return Ok(None);
    }
    let there = there(view, pass, at, record)?;
    Ok(rules.transition(*field, there.get(*field).and_then(Slot::value), value))
}

/// What an upstream holds of a record by the base; nothing where no transition asks for it.
pub fn there(view: &dyn View, pass: &Pass, at: usize, record: &RecordId) -> Result<Vec<Slot>, StoreError> {
    if pass.rules(at).is_none_or(|rules| rules.transitions.is_empty()) {
        return Ok(Vec::new());
    }
    let link = view.links_of(record)?.into_iter().find(|link| link.binding == pass.binding_key(at));
    let Some(link) = link else { return Ok(Vec::new()) };
    let slots = observe::base_slots(view, pass, at, &link.raw)?;
    let pair = base::unpack(&pass.collection, &slots, link.base_hub.as_deref(), link.base_remote.as_deref())?;
    Ok(pair.remote)
}

/// Whether what was written leads to more in this pass: what a create had to leave out, or who waited for this very record;
/// the next part of a write. Usually nothing.
pub fn follows(view: &dyn View, pass: &Pass, at: usize, op: SendOp, record: &RecordId) -> Result<bool, StoreError> {
    let has_calls = pass.rules(at).is_some_and(|rules| !rules.transitions.is_empty());
    Ok(match op {
        SendOp::Create => !view.dirty_after(pass.key, "", 1)?.is_empty(),
        SendOp::Update if has_calls => view.dirty(pass.key, record)?.is_some(),
        SendOp::Update | SendOp::Delete | SendOp::Archive => false,
    })
}

/// The call by which a part goes, if it is one of its own.
pub fn call(rules: &Binding, transition: Option<usize>) -> Option<&Transition> {
    rules.transitions.get(transition?)
}

/// What was created begins in a state of the upstream's choice: that is no edit of anybody, and transitions lead on from it.
/// A row that says nothing of its state takes that one, as it takes all else that the upstream fills in.
pub fn begin_states(
    view: &dyn View,
    pass: &Pass,
    (at, record): (usize, &RecordId),
    observed: &[Slot],
    pair: &mut Pair,
) -> Result<(), StoreError> {
    let Some(rules) = pass.rules(at).filter(|rules| !rules.transitions.is_empty()) else { return Ok(()) };
    let row = view.row(&pass.collection, record)?.unwrap_or_default();
    let says_nothing = |field: usize| row.get(field).and_then(Slot::value).is_some_and(Value::is_null);
    let states = observed.iter().enumerate().filter(|(field, _)| rules.is_state(*field) && !says_nothing(*field));
    for (field, seen) in states {
        if let (Slot::Value(value), Some(hub), Some(remote)) =
            (seen, pair.hub.get_mut(field), pair.remote.get_mut(field))
        {
            *hub = pass.collection.fields.get(field).map(|field| field.domain.canonical(value));
            *remote = seen.clone();
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use super::*;
    use crate::rules::{Context, Source, check};

    const RULES: &str = r#"
[upstream.shop]
base_url = "https://shop.example.com"
[collection.orders]
fields = { name = "text", status = "text", open = "boolean", code = "text" }
[binding.orders.shop]
id = ".id"
map = { name = ".name", status = ".status", open = ".open", code = ".code" }
read = { request = "GET /orders", records = ".[]", get = "GET /orders/{id}" }
write.create = { request = "POST /orders" }
write.update = { request = "PATCH /orders/{id}" }
[[binding.orders.shop.write.transition]]
field = "status"
from = "new"
to = ["paid", "lost"]
request = "POST /orders/{id}/go"
[[binding.orders.shop.write.transition]]
field = "open"
to = [true, false]
request = "POST /orders/{id}/toggle"
order = "before"
"#;

    fn rules() -> Arc<Binding> {
        let source = Source { path: "rules.toml".to_owned(), text: RULES.to_owned(), defect: None };
        let context = Context { vars: &BTreeMap::new(), find_secret: &|_: &str| Ok(()) };
        let checked = check(&[source], &context);
        assert!(checked.ruleset.is_some(), "{:?}", checked.diagnostics);
        Arc::clone(&checked.ruleset.unwrap().collections["orders"].bindings[0])
    }

    fn text(text: &str) -> Value {
        Value::Text(text.to_owned())
    }

    #[test]
    fn a_write_is_cut_into_an_update_with_calls_before_and_after() {
        let rules = rules();
        let there = [text("Ann"), text("new"), Value::Boolean(false), text("1")].map(Slot::Value);
        let wanted = vec![(0, text("Bea")), (1, text("paid")), (2, Value::Boolean(true)), (3, text("2"))];
        let part = |fields: &[usize], transition| Part {
            values: fields.iter().map(|field| wanted[*field].clone()).collect(),
            transition,
        };
        let cut_of = |op, there: &[Slot]| cut(&rules, op, wanted.clone(), there);
        assert_eq!(
            cut_of(SendOp::Update, &there),
            Cut {
                parts: vec![part(&[2], Some(1)), part(&[0, 3], None), part(&[1], Some(0))],
                stuck: vec![],
                goes_on: true
            }
        );
        let mut lost = there.clone();
        lost[1] = Slot::Value(text("lost"));
        let found = cut_of(SendOp::Update, &lost);
        assert_eq!(found.parts, [part(&[2], Some(1)), part(&[0, 3], None)]);
        assert_eq!(found.stuck, [(1, Some(text("lost")))]);
        // What is there is not known yet: a call from any state goes, one from a certain state waits for a look.
        assert_eq!(cut_of(SendOp::Update, &[]), Cut { stuck: vec![], ..found });
        assert_eq!(cut_of(SendOp::Create, &[]), Cut { parts: vec![part(&[0, 3], None)], stuck: vec![], goes_on: true });
        let one = cut(&rules, SendOp::Update, vec![(1, text("lost"))], &there);
        assert_eq!((one.parts.len(), one.goes_on), (1, false));
        assert_eq!(cut(&rules, SendOp::Archive, Vec::new(), &there).parts, [Part::default()]);
    }
}
