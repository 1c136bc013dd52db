//! Owns: the declarations of fields: type, normalisation, allowed values.
//!
//! Must not know: policies, owners, bindings.

use super::context::Cx;
use super::names;
use crate::record::{Domain, FieldType};
use crate::rules::diagnostic::{DiagnosticKind, Span};
use crate::rules::grammar::{self, FieldShape, PolicyWord, TypeWord};
use crate::rules::shape::{At, Either, Key};

/// A declared field, before bindings are known.
#[derive(Debug)]
pub struct Declared<'r> {
    /// Its name.
    pub name: &'r str,
    /// Its type and equality, where they could be read.
    pub domain: Option<Domain>,
    /// The table, where it is one.
    pub raw: Option<&'r grammar::Field>,
}

impl Declared<'_> {
    /// Written when creating only.
    pub fn create_only(&self) -> bool {
        let chain = self.raw.and_then(|raw| raw.merge.get());
        chain.is_some_and(|chain| chain.items.iter().any(|item| item.value == PolicyWord::CreateOnly))
    }
}

/// Declares all fields of a collection; a field that cannot be read keeps its position. `None` where none could be read.
pub fn declare<'r>(raw: &'r grammar::Collection, cx: &mut Cx<'_>) -> Option<Vec<Declared<'r>>> {
    let fields = raw.fields.get()?;
    if fields.members.is_empty() {
        cx.notes
            .error(DiagnosticKind::Missing, fields.key, "a collection without fields")
            .help("write e.g. email = \"text\"");
    }
    Some(fields.members.iter().map(|(name, span, key)| declare_one(name, *span, key, cx)).collect())
}

fn declare_one<'r>(name: &'r str, span: Span, key: &'r Key<FieldShape>, cx: &mut Cx<'_>) -> Declared<'r> {
    names::check_field(name, span, cx);
    let (domain, raw) = match key.get() {
        None => (None, None),
        Some(at) => match &at.value {
            Either::Short(word) => (field_type(*word, at.span, None, cx).map(Domain::of), None),
            Either::Table(table) => (domain(table, cx), Some(table)),
        },
    };
    Declared { name, domain, raw }
}

fn domain(raw: &grammar::Field, cx: &mut Cx<'_>) -> Option<Domain> {
    let word = raw.r#type.get()?;
    let ty = field_type(word.value, word.span, Some(raw), cx);
    if let Some(at) = raw.scale.get().filter(|_| word.value != TypeWord::Decimal) {
        cx.notes.inert(at.key, "scale", "it is for type = \"decimal\"");
    }
    if let Some(at) = raw.key.get().filter(|_| word.value != TypeWord::List) {
        cx.notes.inert(at.key, "key", "it is for type = \"list\"");
    }
    if let Some(at) = raw.to.get().filter(|_| word.value != TypeWord::Ref) {
        cx.notes.inert(at.key, "to", "it is for type = \"ref\"");
    }
    if let Some(at) = raw.normalize.get().filter(|_| !matches!(word.value, TypeWord::Text | TypeWord::Set)) {
        cx.notes.inert(at.key, "normalize", "it is for the types text and set");
    }
    let normalize: Vec<_> =
        raw.normalize.get().map(|at| at.iter().map(|item| item.value).collect()).unwrap_or_default();
    if let (Some(at), true) = (raw.normalize.get(), normalize.is_empty()) {
        cx.notes.inert(at.key, "normalize", "it is empty");
    }
    let one_of = one_of(raw, word.value, cx);
    Some(Domain { ty: ty?, normalize, one_of })
}

fn one_of(raw: &grammar::Field, word: TypeWord, cx: &mut Cx<'_>) -> Option<Vec<String>> {
    let at = raw.one_of.get()?;
    if word != TypeWord::Text {
        cx.notes.inert(at.key, "one_of", "it is for type = \"text\"");
    }
    if at.is_empty() {
        cx.notes.error(DiagnosticKind::Invalid, at.span, "an empty `one_of` allows nothing").help("leave it out");
    }
    let mut seen: Vec<&At<crate::rules::units::Text>> = Vec::new();
    for item in &at.value {
        match seen.iter().find(|other| other.value == item.value) {
            Some(first) => {
                let message = format!("\"{}\" is listed twice", item.value.0);
                cx.notes.error(DiagnosticKind::Duplicate, item.span, message).second(first.span, "first here");
            }
            None => seen.push(item),
        }
    }
    Some(at.iter().map(|item| item.value.0.clone()).collect())
}

fn field_type(word: TypeWord, span: Span, raw: Option<&grammar::Field>, cx: &mut Cx<'_>) -> Option<FieldType> {
    let absent = raw.is_none();
    Some(match word {
        TypeWord::Text => FieldType::Text,
        TypeWord::Integer => FieldType::Integer,
        TypeWord::Real => FieldType::Real,
        TypeWord::Boolean => FieldType::Boolean,
        TypeWord::Date => FieldType::Date,
        TypeWord::Datetime => FieldType::Datetime,
        TypeWord::Json => FieldType::Json,
        TypeWord::Set => FieldType::Set,
        TypeWord::List => FieldType::List { key: raw.and_then(|raw| raw.key.get()).and_then(|at| cx.path(at)) },
        TypeWord::Decimal => {
            if absent || raw.is_some_and(|raw| raw.scale.is_absent()) {
                cx.notes
                    .error(DiagnosticKind::Missing, span, "a decimal needs `scale`")
                    .help("write { type = \"decimal\", scale = 2 } for two digits after the point");
                return None;
            }
            let at = raw.and_then(|raw| raw.scale.get())?;
            let Some(scale) = u32::try_from(at.value).ok().filter(|scale| *scale <= 28) else {
                cx.notes
                    .error(DiagnosticKind::Invalid, at.span, format!("`scale` is between 0 and 28, not {}", at.value))
                    .help("write scale = 2 for two digits after the point");
                return None;
            };
            FieldType::Decimal { scale }
        }
        TypeWord::Ref => {
            if absent || raw.is_some_and(|raw| raw.to.is_absent()) {
                cx.notes
                    .error(DiagnosticKind::Missing, span, "a ref needs `to`")
                    .help("write { type = \"ref\", to = \"COLLECTION\" }");
                return None;
            }
            let at = raw.and_then(|raw| raw.to.get())?;
            let names = cx.collection_names();
            if !names.contains(&at.value.0.as_str()) {
                cx.undefined(at.span, format!("there is no collection `{}`", at.value.0), &at.value.0, &names);
                return None;
            }
            FieldType::Ref { to: at.value.0.clone() }
        }
    })
}
