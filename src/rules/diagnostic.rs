//! Owns: what the checker says: where in which file, what is wrong, what would be right; and the collector of all of it.
//!
//! Must not know: the language (that is `grammar` and `check`), how diagnostics are drawn (that is `render`).

use std::collections::BTreeMap;
use std::ops::Range;

/// A rules file: its path as it shall be shown, and its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// As shown in diagnostics, e.g. `sync-rules/crm.toml`.
    pub path: String,
    /// The whole text, or as much of it as could be read.
    pub text: String,
    /// Where and why it is not whole.
    pub defect: Option<(usize, String)>,
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// The rules cannot be used.
    Error,
    /// The rules can be used, and something in them deserves a look.
    Warning,
}

/// What sort of mistake it is; stable names for programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DiagnosticKind {
    /// The file, or a part of it, could not be read.
    Unreadable,
    /// The file is no TOML.
    Syntax,
    /// There is no such key.
    UnknownKey,
    /// There is no such word, collection, field, upstream, variable or secret.
    UnknownName,
    /// The value has the wrong type.
    WrongType,
    /// Something required is not there.
    Missing,
    /// The value cannot be read: a duration, a path, a filter, a URL.
    Invalid,
    /// Part of the language that this version does not carry out.
    NotSupported,
    /// A setting that has no effect.
    Inert,
    /// The same thing is defined twice.
    Duplicate,
    /// Two settings contradict each other, or a promise cannot be kept.
    Conflict,
    /// Legal, and worth a look.
    Advice,
}

/// A byte range in one of the sources.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    /// Position of the source in the list given to `check`.
    pub source: usize,
    /// First byte.
    pub start: usize,
    /// One past the last byte.
    pub end: usize,
}

impl Span {
    /// A span from a range.
    pub fn new(source: usize, range: Range<usize>) -> Self {
        Self { source, start: range.start, end: range.end }
    }
}

/// A second place that belongs to a diagnostic.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, schemars::JsonSchema)]
pub struct Second {
    /// The file, as shown.
    pub path: String,
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// Byte range in that file.
    pub span: Range<usize>,
    /// What is there.
    pub label: String,
}

/// A further place of the same mistake.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, schemars::JsonSchema)]
pub struct Place {
    /// The file, as shown.
    pub path: String,
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// Byte range in that file.
    pub span: Range<usize>,
}

/// One thing to tell the author of the rules.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, schemars::JsonSchema)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// What sort of mistake it is.
    pub kind: DiagnosticKind,
    /// The file, as shown.
    pub path: String,
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// Byte range in that file.
    pub span: Range<usize>,
    /// What is wrong, as a lower-case fragment.
    pub message: String,
    /// What stands at the caret.
    pub label: String,
    /// What would be right.
    pub help: Option<String>,
    /// Another place that belongs to it.
    pub second: Option<Second>,
    /// Everywhere else that it is, where one remedy puts all of it right.
    pub also: Vec<Place>,
}

/// A diagnostic before lines and columns are known.
#[derive(Clone, Debug)]
pub struct Note {
    severity: Severity,
    kind: DiagnosticKind,
    span: Span,
    message: String,
    label: Option<String>,
    help: Option<String>,
    second: Option<(Span, String)>,
    once: bool,
    also: Vec<Span>,
}

impl Note {
    /// What stands at the caret; the kind's own words where this is not called.
    pub fn label(&mut self, label: impl Into<String>) -> &mut Self {
        self.label = Some(label.into());
        self
    }

    /// What would be right.
    pub fn help(&mut self, help: impl Into<String>) -> &mut Self {
        self.help = Some(help.into());
        self
    }

    /// One remedy puts it right wherever it is: it is told once, with all the places.
    pub fn once(&mut self) -> &mut Self {
        self.once = true;
        self
    }

    /// Another place that belongs to it.
    pub fn second(&mut self, span: Span, label: impl Into<String>) -> &mut Self {
        self.second = Some((span, label.into()));
        self
    }
}

/// Collects every diagnostic of a check.
#[derive(Debug)]
pub struct Notes<'a> {
    sources: &'a [Source],
    all: Vec<Note>,
    orphans: Vec<(Span, String)>,
}

impl<'a> Notes<'a> {
    /// An empty collector.
    pub fn new(sources: &'a [Source]) -> Self {
        Self { sources, all: Vec::new(), orphans: Vec::new() }
    }

    /// Keeps a text that stands in something which was refused, so that what it refers to is checked all the same.
    pub fn keep_orphan(&mut self, span: Span, text: &str) {
        self.orphans.push((span, text.to_owned()));
    }

    /// The texts that were kept so far; none is left.
    pub fn take_orphans(&mut self) -> Vec<(Span, String)> {
        std::mem::take(&mut self.orphans)
    }

    /// Adds an error.
    pub fn error(&mut self, kind: DiagnosticKind, span: Span, message: impl Into<String>) -> &mut Note {
        self.add(Severity::Error, kind, span, message.into())
    }

    /// Adds a warning.
    pub fn warning(&mut self, span: Span, message: impl Into<String>) -> &mut Note {
        self.add(Severity::Warning, DiagnosticKind::Advice, span, message.into())
    }

    /// Adds "has no effect here".
    pub fn inert(&mut self, span: Span, key: &str, why: impl std::fmt::Display) -> &mut Note {
        self.error(DiagnosticKind::Inert, span, format!("`{key}` has no effect: {why}"))
    }

    /// Adds "there is no such …", with the nearest valid name or all of them.
    pub fn unknown(&mut self, span: Span, message: String, given: &str, valid: &[&str]) -> &mut Note {
        let note = self.error(DiagnosticKind::UnknownName, span, message);
        if let Some(help) = suggestion(given, valid) {
            note.help(help);
        }
        note
    }

    fn add(&mut self, severity: Severity, kind: DiagnosticKind, span: Span, message: String) -> &mut Note {
        let at = self.all.len();
        let (label, help, second, once, also) = (None, None, None, false, Vec::new());
        self.all.push(Note { severity, kind, span, message, label, help, second, once, also });
        &mut self.all[at]
    }

    /// Gives an example to a report of a wrong type at this very place that has no help of its own.
    pub fn help_wrong_type(&mut self, since: usize, span: Span, help: &str) {
        for note in self.all.iter_mut().skip(since) {
            if note.kind == DiagnosticKind::WrongType && note.span == span && note.help.is_none() {
                note.help(help);
            }
        }
    }

    /// True once an error is among the notes.
    pub fn has_errors(&self) -> bool {
        self.all.iter().any(|note| note.severity == Severity::Error)
    }

    /// The number of notes so far.
    pub fn count(&self) -> usize {
        self.all.len()
    }

    /// The text that a span covers.
    pub fn text(&self, span: Span) -> &'a str {
        let sources: &'a [Source] = self.sources;
        sources.get(span.source).and_then(|source| source.text.get(span.start..span.end)).unwrap_or_default()
    }

    /// The place of a byte range of a string's value inside its TOML literal; the whole literal where escapes make that unclear.
    pub fn inside(&self, literal: Span, value: &str, range: Range<usize>) -> Span {
        match self.text(literal).find(value) {
            Some(at) if !value.is_empty() && range.end <= value.len() => Span {
                source: literal.source,
                start: literal.start + at + range.start,
                end: literal.start + at + range.end,
            },
            _ => literal,
        }
    }

    /// All diagnostics in the order of files and places, each once.
    pub fn finish(self) -> Vec<Diagnostic> {
        let mut notes = self.all;
        notes.sort_by(|a, b| (a.span, &a.message).cmp(&(b.span, &b.message)));
        let mut all: Vec<Diagnostic> = told_once(notes).into_iter().map(|note| resolve(self.sources, note)).collect();
        all.dedup();
        all
    }
}

/// What is to be told once stands where it is first. Known at this point: the notes are in the order of their places.
fn told_once(notes: Vec<Note>) -> Vec<Note> {
    let mut first: BTreeMap<String, usize> = BTreeMap::new();
    let mut told: Vec<Note> = Vec::with_capacity(notes.len());
    for note in notes {
        match first.get(&note.message).and_then(|at| told.get_mut(*at)).filter(|_| note.once) {
            Some(told) if told.span != note.span && told.also.last() != Some(&note.span) => told.also.push(note.span),
            Some(_) => {}
            None => {
                if note.once {
                    first.insert(note.message.clone(), told.len());
                }
                told.push(note);
            }
        }
    }
    told
}

fn resolve(sources: &[Source], note: Note) -> Diagnostic {
    let (path, line, column) = place(sources, note.span);
    let also = note.also.into_iter().map(|span| {
        let (path, line, column) = place(sources, span);
        Place { path, line, column, span: span.start..span.end }
    });
    let label = note.label.unwrap_or_else(|| kind_label(note.kind).to_owned());
    let second = note.second.map(|(span, label)| {
        let (path, line, column) = place(sources, span);
        Second { path, line, column, span: span.start..span.end, label }
    });
    Diagnostic {
        severity: note.severity,
        kind: note.kind,
        path,
        line,
        column,
        span: note.span.start..note.span.end,
        message: note.message,
        label,
        help: note.help,
        second,
        also: also.collect(),
    }
}

fn kind_label(kind: DiagnosticKind) -> &'static str {
    match kind {
        DiagnosticKind::Unreadable | DiagnosticKind::Syntax | DiagnosticKind::Advice => "here",
        DiagnosticKind::UnknownKey => "unknown key",
        DiagnosticKind::UnknownName => "unknown name",
        DiagnosticKind::WrongType => "wrong type",
        DiagnosticKind::Missing => "incomplete",
        DiagnosticKind::Invalid => "cannot be read",
        DiagnosticKind::NotSupported => "not supported yet",
        DiagnosticKind::Inert => "no effect",
        DiagnosticKind::Duplicate => "defined again",
        DiagnosticKind::Conflict => "does not hold",
    }
}

/// Path, line and column (both from 1, columns in characters) of a span's beginning.
fn place(sources: &[Source], span: Span) -> (String, usize, usize) {
    let Some(source) = sources.get(span.source) else { return (String::new(), 1, 1) };
    let mut end = span.start.min(source.text.len());
    while !source.text.is_char_boundary(end) {
        end -= 1;
    }
    let before = &source.text[..end];
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    (source.path.clone(), line, column)
}

/// The valid name that was probably meant.
pub fn nearest<'n>(given: &str, valid: &[&'n str]) -> Option<&'n str> {
    let scores = valid.iter().map(|name| (strsim::jaro_winkler(given, name), *name));
    scores.filter(|(score, _)| *score >= 0.8).max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, name)| name)
}

/// The nearest valid name, or the list of them all.
pub fn suggestion(given: &str, valid: &[&str]) -> Option<String> {
    if let Some(name) = nearest(given, valid) {
        return Some(format!("did you mean `{name}`?"));
    }
    if valid.is_empty() {
        return None;
    }
    Some(format!("valid here: {}", listed(valid)))
}

/// Names in a sentence: `a`, `b`, `c`.
pub fn listed(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}
