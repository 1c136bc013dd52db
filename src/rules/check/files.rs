//! Owns: reading all files into named definitions; syntax errors and double definitions.
//!
//! Must not know: what definitions mean.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use toml::de::{DeTable, DeValue};

use crate::rules::diagnostic::{DiagnosticKind, Notes, Source, Span};
use crate::rules::grammar::{Binding, Collection, Root, Upstream};
use crate::rules::shape::{Key, Named, Node, Shape};

/// A named thing and the place of its name.
#[derive(Debug)]
pub struct Definition<T> {
    /// Where the name stands; of a binding, the upstream's.
    pub name: Span,
    /// Where the collection's name of a binding stands; else as `name`.
    pub outer: Span,
    /// What it is, where it could be read.
    pub value: Key<T>,
}

/// Everything that the files define.
#[derive(Debug, Default)]
pub struct Definitions {
    /// True where names may be missing because a file or a part of one could not be read.
    pub unread: bool,
    /// By name.
    pub upstreams: BTreeMap<String, Definition<Upstream>>,
    /// By name.
    pub collections: BTreeMap<String, Definition<Collection>>,
    /// By collection and upstream.
    pub bindings: BTreeMap<(String, String), Definition<Binding>>,
}

/// Reads every file, however broken the others are.
pub fn read_files(sources: &[Source], notes: &mut Notes<'_>) -> Definitions {
    let mut all = Definitions::default();
    for (position, source) in sources.iter().enumerate() {
        let (root, whole) = read_file(position, source, notes);
        all.unread |= !whole;
        if let Some(root) = root {
            merge(&mut all, root, notes);
        }
    }
    all
}

/// What a file defines, and whether that is all of it.
fn read_file(position: usize, source: &Source, notes: &mut Notes<'_>) -> (Option<Root>, bool) {
    let (table, errors) = DeTable::parse_recoverable(&source.text);
    let broken = !errors.is_empty();
    for error in errors {
        let end = source.text.len();
        let range = error.span().unwrap_or(end..end);
        let message = error.message().lines().map(str::trim).collect::<Vec<_>>().join("; ");
        notes.error(DiagnosticKind::Syntax, Span::new(position, range), format!("not valid TOML: {message}"));
    }
    if broken {
        // What a parser guessed after a syntax error is no evidence for further mistakes; names are, so that others find them.
        let mut silent = Notes::new(&[]);
        return (read_root(position, table, &mut silent).map(names_only), false);
    }
    let known = |key: &str| Root::KEYS.contains(&key) || Root::LATER.iter().any(|(later, _)| *later == key);
    let whole = table.get_ref().keys().all(|key| known(key.get_ref()));
    (read_root(position, table, notes), whole)
}

fn names_only(mut root: Root) -> Root {
    fn forget<T>(key: &mut Key<Named<T>>) {
        if let Key::Given(at) = key {
            at.value.members.iter_mut().for_each(|(_, _, value)| *value = Key::Bad);
        }
    }
    forget(&mut root.upstream);
    forget(&mut root.collection);
    if let Key::Given(at) = &mut root.binding {
        at.value.members.iter_mut().for_each(|(_, _, members)| forget(members));
    }
    root
}

fn read_root(position: usize, table: toml::Spanned<DeTable<'_>>, notes: &mut Notes<'_>) -> Option<Root> {
    let span = Span::new(position, table.span());
    let value = DeValue::Table(table.into_inner());
    Root::read(Node { key: span, span, value: &value }, notes)
}

fn merge(all: &mut Definitions, root: Root, notes: &mut Notes<'_>) {
    let bad =
        [matches!(root.upstream, Key::Bad), matches!(root.collection, Key::Bad), matches!(root.binding, Key::Bad)];
    all.unread |= bad.contains(&true);
    for (name, span, value) in root.upstream.get_owned().map(|at| at.value.members).unwrap_or_default() {
        define(&mut all.upstreams, name.clone(), (span, span), value, &format!("upstream `{name}`"), notes);
    }
    for (name, span, value) in root.collection.get_owned().map(|at| at.value.members).unwrap_or_default() {
        define(&mut all.collections, name.clone(), (span, span), value, &format!("collection `{name}`"), notes);
    }
    for (collection, outer, members) in root.binding.get_owned().map(|at| at.value.members).unwrap_or_default() {
        for (upstream, span, value) in members.get_owned().map(|at| at.value.members).unwrap_or_default() {
            let what = format!("binding `{collection}.{upstream}`");
            define(&mut all.bindings, (collection.clone(), upstream), (span, outer), value, &what, notes);
        }
    }
}

fn define<K: Ord, T>(
    all: &mut BTreeMap<K, Definition<T>>,
    name: K,
    (span, outer): (Span, Span),
    value: Key<T>,
    what: &str,
    notes: &mut Notes<'_>,
) {
    match all.entry(name) {
        Entry::Vacant(entry) => {
            entry.insert(Definition { name: span, outer, value });
        }
        Entry::Occupied(entry) => {
            notes
                .error(DiagnosticKind::Duplicate, span, format!("{what} is defined twice"))
                .help("keep one of the two; a definition cannot be spread over files")
                .second(entry.get().name, "first defined here");
        }
    }
}
