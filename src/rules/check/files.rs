//! Owns: reading all files into named definitions; syntax errors and double definitions.
//!
//! Must not know: what definitions mean.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use toml::de::{DeTable, DeValue};

use crate::rules::diagnostic::{DiagnosticKind, Notes, Source, Span, nearest};
use crate::rules::grammar::{Binding, Collection, Root, Upstream};
use crate::rules::shape::{Key, Named, Node, Shape, read_at};

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
    /// The texts of files that could not be parsed whole.
    pub unparsed: Vec<String>,
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
        match read_file(position, source, notes) {
            File::Whole(root) => merge(&mut all, root.unwrap_or_default(), notes),
            File::Broken(root) => {
                all.unread = true;
                all.unparsed.push(source.text.clone());
                merge(&mut all, root.unwrap_or_default(), notes);
            }
            File::Misnamed(root) => {
                all.unread = true;
                merge(&mut all, root.unwrap_or_default(), notes);
            }
        }
    }
    all
}

/// What a file defines.
enum File {
    /// All of it.
    Whole(Option<Root>),
    /// The names that a parser finds in spite of errors.
    Broken(Option<Root>),
    /// What stands below the known keys; beside them stand unknown ones, of which some were meant as known ones.
    Misnamed(Option<Root>),
}

fn read_file(position: usize, source: &Source, notes: &mut Notes<'_>) -> File {
    let (table, errors) = DeTable::parse_recoverable(&source.text);
    let broken = !errors.is_empty() || source.defect.is_some();
    if let Some((at, reason)) = &source.defect {
        let end = source.text[*at..].chars().next().map_or(*at, |symbol| at + symbol.len_utf8());
        notes.error(DiagnosticKind::Unreadable, Span::new(position, *at..end), format!("cannot be read: {reason}"));
    }
    // In the line of a byte that is no text there is nothing to be learnt about the language.
    let line_of = |at: usize| source.text[..at].matches('\n').count();
    let defect_line = source.defect.as_ref().map(|(at, _)| line_of(*at));
    let told = |error: &toml::de::Error| error.span().is_none_or(|span| Some(line_of(span.start)) != defect_line);
    for error in errors.into_iter().filter(told) {
        let end = source.text.len();
        let range = error.span().unwrap_or(end..end);
        let message = error.message().lines().map(str::trim).collect::<Vec<_>>().join("; ");
        notes.error(DiagnosticKind::Syntax, Span::new(position, range), format!("not valid TOML: {message}"));
    }
    if broken {
        // What a parser guessed after a syntax error is no evidence for further mistakes; names are, so that others find them.
        let mut silent = Notes::new(&[]);
        return File::Broken(read_root(position, table, &mut silent).map(names_only));
    }
    let known = |key: &str| Root::KEYS.contains(&key) || Root::LATER.iter().any(|(later, _)| *later == key);
    let misnamed: Vec<(&'static str, Node<'_>)> = table
        .get_ref()
        .iter()
        .filter(|(key, _)| !known(key.get_ref()))
        .map(|(key, value)| {
            let node = Node {
                key: Span::new(position, key.span()),
                span: Span::new(position, value.span()),
                value: value.get_ref(),
            };
            (nearest(key.get_ref(), Root::KEYS).unwrap_or_default(), node)
        })
        .collect();
    if misnamed.is_empty() {
        return File::Whole(read_root(position, table, notes));
    }
    let meant = meant_by(&misnamed);
    let root = read_root(position, table, notes).unwrap_or_default();
    File::Misnamed(Some(join(root, meant)))
}

/// The names that stand under misspelt keys: `[upstraem.crm]` is no upstream, and a binding at `crm` still means it.
fn meant_by(misnamed: &[(&'static str, Node<'_>)]) -> Root {
    let mut silent = Notes::new(&[]);
    let mut root = Root::default();
    for (meant, node) in misnamed {
        match *meant {
            "upstream" => root.upstream = read_at(*node, &mut silent),
            "collection" => root.collection = read_at(*node, &mut silent),
            "binding" => root.binding = read_at(*node, &mut silent),
            _ => {}
        }
    }
    names_only(root)
}

/// A misspelt key is marked as bad where it was meant; there the names that stand under it take its place.
fn join(root: Root, meant: Root) -> Root {
    fn add<T>(key: Key<Named<T>>, meant: Key<Named<T>>) -> Key<Named<T>> {
        match (key, meant) {
            (Key::Given(mut at), Key::Given(more)) => {
                at.value.members.extend(more.value.members);
                Key::Given(at)
            }
            (Key::Given(at), _) => Key::Given(at),
            (_, meant) => meant,
        }
    }
    Root {
        upstream: add(root.upstream, meant.upstream),
        collection: add(root.collection, meant.collection),
        binding: add(root.binding, meant.binding),
    }
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
