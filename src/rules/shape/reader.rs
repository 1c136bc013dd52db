//! Owns: reading tables, words and kinds from nodes, with a report of everything that is wrong.
//!
//! Must not know: which keys there are.

use schemars::JsonSchema;

use super::{At, Key, Node};
use crate::rules::diagnostic::{DiagnosticKind, Notes, Span, listed, nearest, suggestion};

/// Something that can be read from a node, reporting everything that is wrong below it.
pub trait Shape: JsonSchema + Sized {
    /// What is wanted, with an example: `a duration such as "5m"`.
    const WANTED: &'static str;

    /// Reads it; `None` after a report.
    fn read(node: Node<'_>, notes: &mut Notes<'_>) -> Option<Self>;
}

/// Reads a node with its place.
pub fn read_at<T: Shape>(node: Node<'_>, notes: &mut Notes<'_>) -> Key<T> {
    match T::read(node, notes) {
        Some(value) => Key::Given(At { key: node.key, span: node.span, value }),
        None => Key::Bad,
    }
}

/// The kind of a tagged table, and the keys of all its kinds.
#[derive(Clone, Copy, Debug)]
pub struct Tag<'t> {
    /// This one's kind.
    pub kind: &'t str,
    /// Every kind with its keys.
    pub all: &'t [(&'t str, &'t [&'t str])],
}

impl<'t> Tag<'t> {
    /// Another kind that knows this key.
    fn sibling(&self, key: &str) -> Option<&'t str> {
        self.all.iter().find(|(_, keys)| keys.contains(&key)).map(|(kind, _)| *kind)
    }
}

/// A table under reading: keys are taken one by one, what is left over is unknown.
pub struct Reader<'a> {
    members: Vec<(&'a str, Node<'a>)>,
    /// Keys that were meant by misspelt ones: not there, and not absent either.
    meant: Vec<String>,
    at: Span,
}

impl<'a> Reader<'a> {
    /// Opens a table. The tag, where there is one, was read by somebody else. `home_of` says in which other table a key
    /// belongs that this one does not know.
    pub fn open(
        node: Node<'a>,
        wanted: &str,
        keys: &[&str],
        later: &[(&str, &str)],
        home_of: fn(&str) -> Option<String>,
        tag: Option<Tag<'_>>,
        notes: &mut Notes<'_>,
    ) -> Option<Self> {
        let Some(mut members) = node.members() else {
            node.wrong(wanted, notes);
            return None;
        };
        let mut meant = Vec::new();
        members.retain(|(name, member)| {
            if keys.contains(name) {
                return true;
            }
            if tag.is_some() && *name == "kind" {
                return false;
            }
            if let Some((tag, sibling)) = tag.and_then(|tag| Some((tag, tag.sibling(name)?))) {
                notes
                    .inert(member.key, name, format_args!("the kind is \"{}\"", tag.kind))
                    .help(format!("it is for kind = \"{sibling}\""));
            } else if let Some((_, why)) = later.iter().find(|(key, _)| key == name) {
                not_supported(member.key, name, why, notes);
            } else {
                let report = notes.error(DiagnosticKind::UnknownKey, member.key, format!("unknown key `{name}`"));
                let near = nearest(name, keys);
                let home = if near.is_none() { home_of(name) } else { None };
                if let Some(help) = home.or_else(|| suggestion(name, keys)) {
                    report.help(help);
                }
                if let Some(near) = near {
                    meant.push(near.to_owned());
                    member.keep_orphans(notes);
                }
            }
            false
        });
        Some(Self { members, meant, at: node.key })
    }

    /// Takes one key; `example` is shown where it is missing or of the wrong type.
    pub fn take<T: Shape>(
        &mut self,
        name: &str,
        required: bool,
        example: Option<&str>,
        notes: &mut Notes<'_>,
    ) -> Key<T> {
        let Some(at) = self.members.iter().position(|(key, _)| *key == name) else {
            if self.meant.iter().any(|meant| meant == name) {
                return Key::Bad;
            }
            if required {
                let help = example.map_or_else(
                    || format!("`{name}` wants {}", T::WANTED),
                    |example| format!("write {name} = {example}"),
                );
                notes.error(DiagnosticKind::Missing, self.at, format!("`{name}` is missing")).help(help);
                return Key::Bad;
            }
            return Key::Absent;
        };
        let (_, member) = self.members.remove(at);
        let before = notes.count();
        let key = read_at(member, notes);
        if let Some(example) = example {
            notes.help_wrong_type(before, member.span, &format!("write {name} = {example}"));
        }
        key
    }
}

/// Reports a part of the language that this version does not carry out, or what never will be part of it.
pub fn not_supported(span: Span, name: &str, why: &str, notes: &mut Notes<'_>) {
    if let Some((why, help)) = why.strip_prefix("never: ").and_then(|why| why.split_once("; ")) {
        notes.error(DiagnosticKind::UnknownName, span, format!("there is no `{name}`: {why}")).help(help);
        return;
    }
    notes.error(DiagnosticKind::NotSupported, span, format!("not supported yet: `{name}` ({why})"));
}

/// The key as rules write it: `r#match` is `match`.
pub const fn plain_name(name: &'static str) -> &'static str {
    match name.as_bytes() {
        [b'r', b'#', ..] => name.split_at(2).1,
        _ => name,
    }
}

/// Reads the word of a closed list.
pub fn read_word<'a>(
    node: Node<'a>,
    wanted: &str,
    words: &[&str],
    later: &[(&str, &str)],
    notes: &mut Notes<'_>,
) -> Option<&'a str> {
    let Some(word) = node.value.as_str() else {
        node.wrong(wanted, notes);
        return None;
    };
    if words.contains(&word) {
        return Some(word);
    }
    if let Some((name, why)) = later.iter().find(|(name, _)| *name == word) {
        not_supported(node.span, name, why, notes);
    } else {
        notes.unknown(node.span, format!("wants {wanted}, found \"{word}\""), word, words);
    }
    None
}

/// Reads the kind of a tagged table; true where the whole value is the bare word. `all` are the kinds with their keys,
/// `bare` those that may be written as a word.
pub fn read_kind<'a>(
    node: Node<'a>,
    wanted: &str,
    words: &[&str],
    later: &[(&str, &str)],
    (all, bare): (&[(&str, &[&str])], &[&str]),
    notes: &mut Notes<'_>,
) -> Option<(&'a str, bool)> {
    if let Some(text) = node.value.as_str() {
        let word = read_word(node, wanted, words, later, notes)?;
        if bare.contains(&word) {
            return Some((word, true));
        }
        notes
            .error(DiagnosticKind::Missing, node.span, format!("\"{text}\" wants further keys"))
            .help(format!("write a table: {{ kind = \"{text}\", … }}"));
        return None;
    }
    let Some(members) = node.members() else {
        node.wrong(wanted, notes);
        return None;
    };
    let read = read_kind_of(node, &members, words, later, all, notes);
    if read.is_none() {
        node.keep_orphans(notes);
    }
    read.map(|word| (word, false))
}

/// Reads the kind of a table.
fn read_kind_of<'a>(
    node: Node<'a>,
    members: &[(&'a str, Node<'a>)],
    words: &[&str],
    later: &[(&str, &str)],
    all: &[(&str, &[&str])],
    notes: &mut Notes<'_>,
) -> Option<&'a str> {
    let keys: Vec<&str> = all.iter().flat_map(|(_, keys)| keys.iter().copied()).chain(["kind"]).collect();
    let Some((_, kind)) = members.iter().find(|(name, _)| *name == "kind") else {
        let unknown = report_unknown(members, &keys, notes);
        if !unknown.contains(&Some("kind")) {
            let help = format!("one of {}", listed(words));
            notes.error(DiagnosticKind::Missing, node.key, "`kind` is missing").help(help);
        }
        return None;
    };
    let known =
        kind.value.as_str().is_some_and(|word| words.contains(&word) || later.iter().any(|(name, _)| *name == word));
    if !known {
        report_unknown(members, &keys, notes);
    }
    read_word(*kind, "a kind", words, later, notes)
}

/// Reports the keys that no kind knows; gives what each was probably meant to be.
fn report_unknown<'k>(members: &[(&str, Node<'_>)], keys: &[&'k str], notes: &mut Notes<'_>) -> Vec<Option<&'k str>> {
    let mut meant = Vec::new();
    for (name, member) in members.iter().filter(|(name, _)| !keys.contains(name)) {
        let report = notes.error(DiagnosticKind::UnknownKey, member.key, format!("unknown key `{name}`"));
        if let Some(help) = suggestion(name, keys) {
            report.help(help);
        }
        meant.push(nearest(name, keys));
    }
    meant
}
