//! Owns: from the text of all files to diagnostics, or to a checked [`Ruleset`]; the order of the checks.
//!
//! Must not know: files on disk, the environment.

mod batch;
mod binding;
mod chain;
mod codec;
mod collection;
mod context;
mod field;
mod files;
mod inert;
mod map;
mod names;
mod owner;
mod read;
mod request;
mod text;
mod upstream;
mod write;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::diagnostic::{Diagnostic, Notes, Source};
use super::model::{Binding, Collection, Ruleset, Upstream};
use context::Cx;
use files::{Definitions, read_files};

pub use context::Context;

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
            all.insert(name.clone(), Arc::new(collection));
        }
    }
    all
}

/// SHA-256 over all texts, in the order of their paths, each with its length.
fn hash_sources(sources: &[Source]) -> String {
    let mut sorted: Vec<&Source> = sources.iter().collect();
    sorted.sort_by(|a, b| a.path.cmp(&b.path));
    let mut hasher = Sha256::new();
    for source in sorted {
        hasher.update((source.text.len() as u64).to_be_bytes());
        hasher.update(source.text.as_bytes());
    }
    hex(&hasher.finalize())
}

/// Lower-case hexadecimal.
fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests;
