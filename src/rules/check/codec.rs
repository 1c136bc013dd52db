//! Owns: codecs: which one fits which field.
//!
//! Must not know: how a codec works (that is `record`).

use std::collections::BTreeMap;

use super::context::Cx;
use super::field::Declared;
use crate::record::{Codec, FieldType, Json, TimeFormat};
use crate::rules::diagnostic::{DiagnosticKind, Span};
use crate::rules::grammar::{self, CodecWord};
use crate::rules::shape::{At, Either, Key, Named};
use crate::rules::units::Token;

/// Checks a codec.
pub fn lower(at: &At<Either<CodecWord, grammar::Codec>>, field: &Declared<'_>, cx: &mut Cx<'_>) -> Option<Codec> {
    match &at.value {
        Either::Short(word) => short(*word, at.span, field, cx),
        Either::Table(table) => long(table, at.span, field, cx),
    }
}

fn short(word: CodecWord, span: Span, field: &Declared<'_>, cx: &mut Cx<'_>) -> Option<Codec> {
    use FieldType::{Boolean, Date, Datetime, Decimal, Integer, Real, Ref, Text};
    let ty = &field.domain.as_ref()?.ty;
    let (codec, fits, wanted) = match word {
        CodecWord::Cents => (Codec::Cents, matches!(ty, Decimal { .. }), "decimal"),
        CodecWord::UnixS => (Codec::Time(TimeFormat::UnixS), matches!(ty, Date | Datetime), "datetime or date"),
        CodecWord::UnixMs => (Codec::Time(TimeFormat::UnixMs), matches!(ty, Date | Datetime), "datetime or date"),
        CodecWord::HttpDate => (Codec::Time(TimeFormat::HttpDate), matches!(ty, Date | Datetime), "datetime or date"),
        CodecWord::String => {
            let fits = matches!(ty, Integer | Real | Decimal { .. } | Boolean | Ref { .. });
            (Codec::Plain { as_string: true }, fits, "integer, real, decimal, boolean or ref")
        }
    };
    if !fits {
        let already = matches!(ty, Text | Date | Datetime) && word == CodecWord::String;
        refuse(field, ty, wanted, span, cx).help(if already {
            format!("a {} is written as a text anyway: leave `codec` out", ty.name())
        } else {
            format!("this codec is for {wanted}")
        });
        return None;
    }
    Some(codec)
}

fn refuse<'n>(
    field: &Declared<'_>,
    ty: &FieldType,
    wanted: &str,
    span: Span,
    cx: &'n mut Cx<'_>,
) -> &'n mut crate::rules::diagnostic::Note {
    let message = format!("this codec cannot write `{}`: it is of type {}", field.name, ty.name());
    cx.notes.error(DiagnosticKind::Conflict, span, message).help(format!("this codec is for {wanted}"))
}

fn long(table: &grammar::Codec, span: Span, field: &Declared<'_>, cx: &mut Cx<'_>) -> Option<Codec> {
    let ty = field.domain.as_ref()?.ty.clone();
    match (&table.r#enum, &table.split, &table.bool) {
        (Key::Given(tokens), Key::Absent, Key::Absent) => {
            if ty != FieldType::Text {
                refuse(field, &ty, "text", tokens.key, cx);
                return None;
            }
            enumeration(tokens, field, cx)
        }
        (Key::Absent, Key::Given(separator), Key::Absent) => {
            if !matches!(ty, FieldType::Set | FieldType::List { .. }) {
                refuse(field, &ty, "set and list", separator.key, cx);
                return None;
            }
            if separator.value.0.is_empty() {
                cx.notes
                    .error(DiagnosticKind::Invalid, separator.span, "an empty separator")
                    .help("write split = \";\"");
                return None;
            }
            Some(Codec::Split(separator.value.0.clone()))
        }
        (Key::Absent, Key::Absent, Key::Given(texts)) => {
            if ty != FieldType::Boolean {
                refuse(field, &ty, "boolean", texts.key, cx);
                return None;
            }
            let words: Vec<&str> = texts.iter().map(|at| at.value.0.as_str()).collect();
            let [yes, no] = words.as_slice() else {
                cx.notes
                    .error(DiagnosticKind::Invalid, texts.span, "`bool` wants two texts, true first")
                    .help("write bool = [\"yes\", \"no\"]");
                return None;
            };
            if yes == no {
                cx.notes
                    .error(DiagnosticKind::Conflict, texts.span, "true and false would be the same text")
                    .help("write bool = [\"yes\", \"no\"]");
                return None;
            }
            Some(Codec::BoolText { yes: (*yes).to_owned(), no: (*no).to_owned() })
        }
        (Key::Bad, ..) | (_, Key::Bad, _) | (.., Key::Bad) => None,
        _ => {
            cx.notes
                .error(DiagnosticKind::Conflict, span, "a codec has exactly one of `enum`, `split` and `bool`")
                .help("e.g. codec = { split = \";\" }");
            None
        }
    }
}

fn enumeration(tokens: &At<Named<Token>>, field: &Declared<'_>, cx: &mut Cx<'_>) -> Option<Codec> {
    if tokens.members.is_empty() {
        cx.notes
            .error(DiagnosticKind::Invalid, tokens.span, "an empty `enum`")
            .help("write enum = { ours = \"theirs\" }");
        return None;
    }
    let one_of = field.domain.as_ref()?.one_of.as_deref();
    let mut map: BTreeMap<String, Json> = BTreeMap::new();
    let mut seen: Vec<(&Token, Span)> = Vec::new();
    let mut complete = true;
    for (name, span, key) in &tokens.members {
        if let Some(list) = one_of.filter(|list| !list.contains(name)) {
            let names: Vec<&str> = list.iter().map(String::as_str).collect();
            let message = format!("\"{name}\" is not in `one_of` of `{}`", field.name);
            cx.notes.unknown(*span, message, name, &names);
        }
        let Some(at) = key.get() else {
            complete = false;
            continue;
        };
        if let Some((_, first)) = seen.iter().find(|(token, _)| **token == at.value) {
            cx.notes
                .error(DiagnosticKind::Duplicate, at.span, "two of our values would be written as the same token")
                .help("each value has a token of its own, so that it can be read back")
                .second(*first, "the same token");
        }
        seen.push((&at.value, at.span));
        map.insert(name.clone(), json(&at.value));
    }
    complete.then_some(Codec::Enum(map))
}

fn json(token: &Token) -> Json {
    match token {
        Token::Text(text) => Json::String(text.clone()),
        Token::Number(number) => Json::Number(number.replace('_', "")),
        Token::Boolean(flag) => Json::Bool(*flag),
    }
}
