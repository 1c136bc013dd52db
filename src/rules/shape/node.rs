//! Owns: parsed values with their places.
//!
//! Must not know: what is wanted.

use std::ops::Deref;

use toml::de::DeValue;

use crate::rules::diagnostic::{DiagnosticKind, Notes, Span};

/// A value and where it stands.
#[derive(Clone, Debug)]
pub struct At<T> {
    /// The key it is given for (the value itself in arrays).
    pub key: Span,
    /// The value.
    pub span: Span,
    /// What was read.
    pub value: T,
}

impl<T> Deref for At<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

/// A key of a table: not there, there but refused (already reported), or read.
#[derive(Clone, Debug, Default)]
pub enum Key<T> {
    /// Not there.
    #[default]
    Absent,
    /// There, and reported.
    Bad,
    /// There.
    Given(At<T>),
}

impl<T> Key<T> {
    /// The value, where it was read.
    pub fn get(&self) -> Option<&At<T>> {
        match self {
            Self::Given(at) => Some(at),
            Self::Absent | Self::Bad => None,
        }
    }

    /// True where the author wrote nothing.
    pub fn is_absent(&self) -> bool {
        matches!(self, Self::Absent)
    }
}

impl<T: Copy> Key<T> {
    /// The value, or a default.
    pub fn or(&self, default: T) -> T {
        self.get().map_or(default, |at| at.value)
    }
}

/// One value of a parsed file.
#[derive(Clone, Copy, Debug)]
pub struct Node<'a> {
    /// Where its key stands.
    pub key: Span,
    /// Where it stands.
    pub span: Span,
    /// What it is.
    pub value: &'a DeValue<'a>,
}

impl<'a> Node<'a> {
    /// The members of a table in the order written, or `None` for anything else.
    pub fn members(&self) -> Option<Vec<(&'a str, Node<'a>)>> {
        let table = self.value.as_table()?;
        let source = self.span.source;
        let mut members: Vec<(&str, Node<'_>)> = table
            .iter()
            .map(|(key, value)| {
                let node = Node {
                    key: Span::new(source, key.span()),
                    span: Span::new(source, value.span()),
                    value: value.get_ref(),
                };
                (key.get_ref().as_ref(), node)
            })
            .collect();
        members.sort_by_key(|(_, node)| node.key);
        Some(members)
    }

    /// The items of an array, or `None`.
    pub fn items(&self) -> Option<Vec<Node<'a>>> {
        let source = self.span.source;
        let item = |value: &'a toml::Spanned<DeValue<'a>>| {
            let span = Span::new(source, value.span());
            Node { key: span, span, value: value.get_ref() }
        };
        Some(self.value.as_array()?.iter().map(item).collect())
    }

    /// What stands here, for messages: `the integer 5`.
    pub fn found(&self) -> String {
        let shorten = |text: &str| text.chars().take(40).collect::<String>();
        match self.value {
            DeValue::String(text) => format!("the text \"{}\"", shorten(text)),
            DeValue::Integer(number) => format!("the integer {number}"),
            DeValue::Float(number) => format!("the number {number}"),
            DeValue::Boolean(flag) => flag.to_string(),
            DeValue::Datetime(at) => format!("the date-time {at}"),
            DeValue::Array(_) => "an array".to_owned(),
            DeValue::Table(_) => "a table".to_owned(),
        }
    }

    /// Keeps every text below: the value itself was refused.
    pub fn keep_orphans(&self, notes: &mut Notes<'_>) {
        if let Some(text) = self.value.as_str() {
            notes.keep_orphan(self.span, text);
        }
        let members = self.members().unwrap_or_default().into_iter().map(|(_, member)| member);
        for inner in members.chain(self.items().unwrap_or_default()) {
            inner.keep_orphans(notes);
        }
    }

    /// Reports that something else is wanted here.
    pub fn wrong(&self, wanted: &str, notes: &mut Notes<'_>) {
        notes.error(DiagnosticKind::WrongType, self.span, format!("wants {wanted}, found {}", self.found()));
    }
}

impl<T> Key<T> {
    /// The value itself.
    pub fn get_owned(self) -> Option<At<T>> {
        match self {
            Self::Given(at) => Some(at),
            Self::Absent | Self::Bad => None,
        }
    }
}
