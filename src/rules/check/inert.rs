//! Owns: what only shows over the whole rule set: budgets for nothing, upstreams and collections that nobody uses.
//!
//! Must not know: any one setting in itself.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::context::Cx;
use super::files::Definitions;
use super::limits;
use super::request::sample_path;
use crate::rules::model::{Batch, Binding, Collection, Request, RequestMatch, Upstream};

/// Checks the whole rule set.
pub fn check_whole(
    definitions: &Definitions,
    upstreams: &BTreeMap<String, Arc<Upstream>>,
    collections: &BTreeMap<String, Arc<Collection>>,
    cx: &mut Cx<'_>,
) {
    if cx.has_misnamed_bindings() {
        return;
    }
    for (name, definition) in &definitions.collections {
        if !definitions.bindings.keys().any(|(collection, _)| collection == name) {
            cx.notes
                .warning(definition.name, format!("collection `{name}` has no binding: it is a local table only"))
                .help(format!("define [binding.{name}.UPSTREAM]"));
        }
    }
    for (name, definition) in &definitions.upstreams {
        if !definitions.bindings.keys().any(|(_, upstream)| upstream == name) {
            cx.notes
                .warning(definition.name, format!("upstream `{name}` has no binding: nothing is read or written there"))
                .help(format!("define [binding.COLLECTION.{name}]"));
        }
    }
    if !cx.notes.has_errors() {
        check_budgets(definitions, upstreams, collections, cx);
        limits::check_scopes(definitions, upstreams, cx);
    }
}

/// Known at this point: there are no errors, so that raw and checked budgets stand in the same order.
fn check_budgets(
    definitions: &Definitions,
    upstreams: &BTreeMap<String, Arc<Upstream>>,
    collections: &BTreeMap<String, Arc<Collection>>,
    cx: &mut Cx<'_>,
) {
    for (name, upstream) in upstreams {
        let raw = definitions.upstreams.get(name).and_then(|definition| definition.value.get()?.budget.get());
        let Some(raw) = raw else { continue };
        let bindings = collections.values().flat_map(|collection| &collection.bindings);
        let bindings: Vec<_> = bindings.filter(|binding| binding.upstream.name == *name).collect();
        let mut requests: Vec<&Request> = bindings.iter().flat_map(|binding| requests(binding)).collect();
        requests.extend(upstream.check.as_ref().map(|check| &check.request));
        for (at, budget) in raw.value.iter().zip(&upstream.budgets) {
            let covers = requests.iter().any(|request| covers(&budget.matches, request));
            if let Some(given) = at.r#match.get().filter(|_| !covers && !requests.is_empty()) {
                cx.notes.inert(given.key, "match", format_args!("it covers no request of `{name}`"));
            }
        }
    }
}

fn requests(binding: &Binding) -> Vec<&Request> {
    let read = binding.read.iter().flat_map(crate::rules::model::Read::requests);
    let writes = [
        binding.create.as_ref().map(|create| &create.request),
        binding.update.as_ref().map(|update| &update.request),
        binding.delete.as_ref().map(|delete| &delete.request),
        binding.archive.as_ref().map(|archive| &archive.request),
    ];
    let calls = binding.transitions.iter().map(|one| &one.request);
    let batches = binding.batches.iter().flat_map(Batch::requests);
    read.chain(writes.into_iter().flatten()).chain(calls).chain(batches).collect()
}

fn covers(matches: &RequestMatch, request: &Request) -> bool {
    let method = matches.method.as_ref().is_none_or(|method| *method == request.method);
    method && matches.path.as_ref().is_none_or(|pattern| matches_pattern(pattern, &sample_path(request)))
}

/// `*` matches anything, also nothing.
fn matches_pattern(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((head, rest)) => {
            let Some(tail) = text.strip_prefix(head) else { return false };
            let starts = (0..=tail.len()).filter(|at| tail.is_char_boundary(*at));
            starts.into_iter().any(|at| matches_pattern(rest, &tail[at..]))
        }
    }
}
