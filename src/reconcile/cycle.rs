//! Owns: telling records that refer to each other in a circle, and so would wait for each other for ever (s53).
//!
//! Must not know: how a record is taken in or created without what it waits for.
//!
//! Nothing of this is kept: the circle is looked for where a record would have to wait, in what is staged (on the way in) or in
//! the rows (on the way out), and a record that is there without the reference gets it as any field that differs.

use std::collections::BTreeSet;

use crate::record::{FieldType, RecordId, Slot, Value};
use crate::rules::{Binding, Collection};
use crate::store::{Staged, StoreError, View};

use super::context::Pass;
use super::observe;

/// Records looked through for one circle; in a longer one everybody waits, and is named.
const STEPS_MAX: usize = 200;

/// A record on the way: its collection and its id, remote or local.
type Node = (String, String);

/// A reference to a record that is not there: the field, and the record.
type Missing = (usize, Node);

/// The fields of a staged stranger whose parents wait, in turn, for it. Empty where it waits for anybody else as well.
pub fn left_out_here(view: &dyn View, pass: &Pass, at: usize, staged: &Staged) -> Result<Vec<usize>, StoreError> {
    let own: Node = (pass.collection.name.clone(), staged.remote_id.clone());
    let (upstream, missing) =
        (pass.upstream(at), missing_here(view, pass, pass.upstream(at), &pass.collection, &staged.raw)?);
    let next = |node: &Node| {
        let Some(collection) = pass.ruleset.collections.get(&node.0) else { return Ok(Vec::new()) };
        let Some(key) = view.binding_key(&node.0, upstream)? else { return Ok(Vec::new()) };
        match view.staged(key, &node.1)? {
            Some(staged) => missing_here(view, pass, upstream, collection, &staged.raw),
            None => Ok(Vec::new()),
        }
    };
    let mut fields = Vec::new();
    for (field, parent) in missing {
        if !leads_back(&own, parent, &next)? {
            return Ok(Vec::new());
        }
        fields.push(field);
    }
    Ok(fields)
}

/// The fields among these (of a record that is to be created there) whose parents wait, in turn, for it.
pub fn left_out_there(
    view: &dyn View,
    pass: &Pass,
    at: usize,
    record: &RecordId,
    values: &[(usize, Value)],
) -> Result<Vec<usize>, StoreError> {
    let own: Node = (pass.collection.name.clone(), record.0.clone());
    let upstream = pass.upstream(at);
    let next = |node: &Node| {
        let Some(collection) = pass.ruleset.collections.get(&node.0) else { return Ok(Vec::new()) };
        let Some(row) = view.row(collection, &RecordId(node.1.clone()))? else { return Ok(Vec::new()) };
        let filled = row.into_iter().enumerate().filter_map(|(at, slot)| match slot {
            Slot::Value(value) => Some((at, value)),
            Slot::Absent | Slot::Bad(_) => None,
        });
        missing_there(view, upstream, collection, &filled.collect::<Vec<_>>())
    };
    let mut fields = Vec::new();
    for (field, parent) in missing_there(view, upstream, &pass.collection, values)? {
        let required = pass.collection.fields.get(field).is_some_and(|field| field.required);
        if !required && leads_back(&own, parent, &next)? {
            fields.push(field);
        }
    }
    Ok(fields)
}

/// Whether somebody on the way from `first`, each waiting for the next, waits for `own`.
fn leads_back(
    own: &Node,
    first: Node,
    next: &dyn Fn(&Node) -> Result<Vec<Missing>, StoreError>,
) -> Result<bool, StoreError> {
    let mut seen = BTreeSet::new();
    let mut open = vec![first];
    while let Some(node) = open.pop() {
        if node == *own {
            return Ok(true);
        }
        if seen.len() < STEPS_MAX && seen.insert(node.clone()) {
            open.extend(next(&node)?.into_iter().map(|(_, parent)| parent));
        }
    }
    Ok(false)
}

fn binding_at<'a>(collection: &'a Collection, upstream: &str) -> Option<&'a Binding> {
    collection.bindings.iter().find(|binding| binding.upstream.name == upstream).map(AsRef::as_ref)
}

/// The records that a raw record refers to and that are not here, neither linked nor matched.
fn missing_here(
    view: &dyn View,
    pass: &Pass,
    upstream: &str,
    collection: &Collection,
    raw: &[u8],
) -> Result<Vec<Missing>, StoreError> {
    let mapped = binding_at(collection, upstream).and_then(|binding| binding.mapper.read(raw).ok());
    let mut missing = Vec::new();
    for (at, slot) in mapped.map(|mapped| mapped.slots).unwrap_or_default().into_iter().enumerate() {
        let Slot::Value(Value::Ref(id)) = slot else { continue };
        let Some(FieldType::Ref { to }) = collection.fields.get(at).map(|field| &field.domain.ty) else { continue };
        let Some(parent) = view.binding_key(to, upstream)?.filter(|_| pass.ruleset.collections.contains_key(to)) else {
            continue;
        };
        if observe::who_is(view, parent, &id)?.is_none() {
            missing.push((at, (to.clone(), id)));
        }
    }
    Ok(missing)
}

/// The records that these values refer to, where they are written to the upstream, and that are not there.
fn missing_there(
    view: &dyn View,
    upstream: &str,
    collection: &Collection,
    values: &[(usize, Value)],
) -> Result<Vec<Missing>, StoreError> {
    let Some(binding) = binding_at(collection, upstream) else { return Ok(Vec::new()) };
    let mut missing = Vec::new();
    for (at, value) in values {
        let Value::Ref(id) = value else { continue };
        let Some(FieldType::Ref { to }) = collection.fields.get(*at).map(|field| &field.domain.ty) else { continue };
        if !binding.mapper.field(*at).is_some_and(|map| map.push) {
            continue;
        }
        let key = view.binding_key(to, upstream)?;
        if observe::link_there(view, key, &RecordId(id.clone()))?.is_none() {
            missing.push((*at, (to.clone(), id.clone())));
        }
    }
    Ok(missing)
}
