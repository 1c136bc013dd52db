//! Owns: the order of the checks: files, upstreams, fields, bindings, collections, the whole.
//!
//! Must not know: any one check.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::context::{Context, Cx};
use super::files::{Definitions, read_files};
use super::hash::hash_sources;
use super::{binding, collection, field, inert, names, upstream, write};
use crate::rules::diagnostic::{Diagnostic, Notes, Source};
use crate::rules::model::{Binding, Collection, Ruleset, Upstream};

/// What a check gives: every diagnostic, and the rules where none of them is an error.
#[derive(Debug)]
pub struct Checked {
    /// There iff there is no error.
    pub ruleset: Option<Ruleset>,
    /// Errors and warnings, by file and place.
    pub diagnostics: Vec<Diagnostic>,
}

/// Checks all files of a rule set together.
pub fn check(sources: &[Source], context: &Context<'_>) -> Checked {
    let mut notes = Notes::new(sources);
    let definitions = read_files(sources, &mut notes);
    let mut cx = Cx::new(notes, context, &definitions);
    let upstreams = upstreams(&definitions, &mut cx);
    let collections = collections(&definitions, &upstreams, &mut cx);
    for (span, text) in cx.notes.take_orphans() {
        cx.check_orphan(span, &text);
    }
    inert::check_whole(&definitions, &upstreams, &collections, &mut cx);
    let notes = cx.notes;
    let ruleset = (!notes.has_errors()).then(|| Ruleset { upstreams, collections, hash: hash_sources(sources) });
    Checked { ruleset, diagnostics: notes.finish() }
}

fn upstreams(definitions: &Definitions, cx: &mut Cx<'_>) -> BTreeMap<String, Arc<Upstream>> {
    let mut all = BTreeMap::new();
    for (name, definition) in &definitions.upstreams {
        names::check_upstream(name, definition.name, cx);
        let Some(raw) = definition.value.get() else { continue };
        if let Some(upstream) = upstream::lower(name, raw, cx) {
            all.insert(name.clone(), Arc::new(upstream));
        }
    }
    all
}

fn collections(
    definitions: &Definitions,
    upstreams: &BTreeMap<String, Arc<Upstream>>,
    cx: &mut Cx<'_>,
) -> BTreeMap<String, Arc<Collection>> {
    let mut fields = BTreeMap::new();
    for (name, definition) in &definitions.collections {
        names::check_collection(name, definition.name, cx);
        if let Some(raw) = definition.value.get() {
            fields.extend(field::declare(raw, cx).map(|declared| (name.as_str(), declared)));
        }
    }
    let mut bindings: BTreeMap<&str, Vec<Arc<Binding>>> = BTreeMap::new();
    let mut unread: BTreeSet<&str> = BTreeSet::new();
    let mut surveys: BTreeMap<&str, Vec<binding::Survey>> = BTreeMap::new();
    for ((collection, upstream), definition) in &definitions.bindings {
        binding::check_names(collection, upstream, definition, cx);
        let Some(raw) = definition.value.get() else {
            unread.insert(collection);
            continue;
        };
        let declared = fields.get(collection.as_str()).map(Vec::as_slice);
        let place =
            binding::Place { collection, upstream, span: definition.name, declared, target: upstreams.get(upstream) };
        let (lowered, survey) = binding::lower(&place, raw, cx);
        surveys.entry(collection).or_default().push(survey);
        bindings.entry(collection).or_default().extend(lowered.map(Arc::new));
    }
    let mut all = BTreeMap::new();
    for (name, definition) in &definitions.collections {
        let Some(raw) = definition.value.get() else { continue };
        let declared = fields.remove(name.as_str());
        let surveys = surveys.remove(name.as_str()).unwrap_or_default();
        let bindings = bindings.remove(name.as_str()).unwrap_or_default();
        let known = (!unread.contains(name.as_str())).then_some(surveys.as_slice());
        if let Some(collection) = collection::lower(name, raw, declared, known, bindings, cx) {
            write::check_addresses(name, &collection, cx);
            all.insert(name.clone(), Arc::new(collection));
        }
    }
    all
}
