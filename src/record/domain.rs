//! Owns: the type of a field and its declared equality.
//!
//! Must not know: policies, bindings, codecs.

use std::borrow::Cow;

use unicode_normalization::UnicodeNormalization;

use super::{Json, Path, Value, plain, time};

/// The declared type of a field (`RULES.md`, "Types").
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FieldType {
    /// Unicode text.
    Text,
    /// A 64-bit whole number.
    Integer,
    /// A binary floating point number.
    Real,
    /// An exact decimal with this many digits after the point.
    Decimal {
        /// Digits after the decimal point, 0–28.
        scale: u32,
    },
    /// True or false.
    Boolean,
    /// A calendar date.
    Date,
    /// An instant.
    Datetime,
    /// Any JSON.
    Json,
    /// An unordered set of texts.
    Set,
    /// An ordered list; with a key, items are matched by it.
    List {
        /// Where an item's identity is, e.g. `.sku`.
        key: Option<Path>,
    },
    /// A reference to a record of another collection.
    Ref {
        /// The collection's name.
        to: String,
    },
}

/// One step of a field's declared normalisation, applied to text (and to each member of a set).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Normalize {
    /// Without leading and trailing white space.
    Trim,
    /// Unicode lower case.
    Lowercase,
    /// Unicode upper case.
    Uppercase,
    /// ASCII digits only.
    Digits,
    /// Runs of white space become one space.
    CollapseSpace,
    /// Unicode NFC.
    Nfc,
}

/// What values a field can take and when two of them are the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Domain {
    /// The declared type.
    pub ty: FieldType,
    /// The declared normalisation, in order.
    pub normalize: Vec<Normalize>,
    /// The closed list of `one_of`, where declared.
    pub one_of: Option<Vec<String>>,
}

impl Domain {
    /// A domain without normalisation or list.
    pub fn of(ty: FieldType) -> Self {
        Self { ty, normalize: Vec::new(), one_of: None }
    }

    /// The representative of the value's equality class: normalised text, decimals at scale, datetimes at microseconds, keyed
    /// lists by key, JSON with sorted keys and canonical numbers. Idempotent.
    pub fn canonical(&self, value: &Value) -> Value {
        match value {
            Value::Text(text) => Value::Text(self.normalized(text).into_owned()),
            Value::Set(members) => {
                Value::Set(members.iter().map(|member| self.normalized(member).into_owned()).collect())
            }
            Value::Decimal(decimal) => match self.ty {
                FieldType::Decimal { scale } => {
                    Value::Decimal(plain::at_scale(*decimal, scale).unwrap_or_else(|| decimal.normalize()))
                }
                _ => Value::Decimal(decimal.normalize()),
            },
            Value::Datetime(at) => Value::Datetime(time::to_micros(*at)),
            Value::Json(Json::Null) => Value::Null,
            Value::Json(json) => Value::Json(json.canonical()),
            Value::List(items) => {
                let mut items: Vec<Json> = items.iter().map(Json::canonical).collect();
                if let FieldType::List { key: Some(key) } = &self.ty {
                    items.sort_by_cached_key(|item| key.get(item).map(Json::to_string));
                }
                Value::List(items)
            }
            Value::Null | Value::Integer(_) | Value::Real(_) | Value::Boolean(_) | Value::Date(_) | Value::Ref(_) => {
                value.clone()
            }
        }
    }

    /// The text after all declared steps, in order; repeated until nothing changes, because Unicode case and
    /// composition can undo each other's result once.
    fn normalized<'a>(&self, text: &'a str) -> Cow<'a, str> {
        const ROUNDS_MAX: usize = 4;
        let mut text = Cow::Borrowed(text);
        if self.normalize.is_empty() {
            return text;
        }
        for _ in 0..ROUNDS_MAX {
            let next = self.normalize.iter().fold(text.clone(), |text, step| step.apply(text));
            // On ASCII every chain of steps is idempotent.
            if next == text || next.is_ascii() {
                return next;
            }
            text = next;
        }
        text
    }

    /// The field's declared equality: both have the same canonical form.
    pub fn same(&self, left: &Value, right: &Value) -> bool {
        left == right || self.canonical(left) == self.canonical(right)
    }

    /// The text by which two records match on this field: canonical, case-folded, NFKC, white space collapsed.
    /// `None` where the value is null, empty or an obvious placeholder (`n/a`, `none`, `unknown`, `-`, `test@test.com`…), which never match.
    pub fn match_text(&self, value: &Value) -> Option<String> {
        let canonical = self.canonical(value);
        if canonical.is_empty() {
            return None;
        }
        let text = match &canonical {
            Value::Decimal(decimal) => decimal.normalize().to_string(),
            Value::Json(_) | Value::Set(_) | Value::List(_) => canonical.to_json().to_string(),
            _ => canonical.to_string(),
        };
        let folded = if text.is_ascii() {
            text.to_ascii_lowercase()
        } else {
            // Upper and then lower case comes as near to full case folding as the standard library does (ß, ﬁ, ς).
            text.nfkc().collect::<String>().to_uppercase().to_lowercase().nfkc().collect()
        };
        let text = collapse_space(folded.trim());
        (!is_placeholder(&text)).then(|| text.into_owned())
    }

    /// Checks `one_of`; `Null` always passes.
    pub fn admits(&self, value: &Value) -> bool {
        match (&self.one_of, value) {
            (Some(list), Value::Text(text)) => list.iter().any(|item| item == text),
            _ => true,
        }
    }
}

impl Normalize {
    fn apply(self, text: Cow<'_, str>) -> Cow<'_, str> {
        match self {
            Self::Trim => match text {
                Cow::Borrowed(text) => Cow::Borrowed(text.trim()),
                Cow::Owned(text) if text.trim().len() == text.len() => Cow::Owned(text),
                Cow::Owned(text) => Cow::Owned(text.trim().to_owned()),
            },
            Self::Lowercase => Cow::Owned(text.to_lowercase()),
            Self::Uppercase => Cow::Owned(text.to_uppercase()),
            Self::Digits => Cow::Owned(text.chars().filter(char::is_ascii_digit).collect()),
            Self::CollapseSpace => Cow::Owned(collapse_space(&text).into_owned()),
            Self::Nfc if text.is_ascii() => text,
            Self::Nfc => Cow::Owned(text.nfc().collect()),
        }
    }
}

/// Runs of white space as one blank each.
fn collapse_space(text: &str) -> Cow<'_, str> {
    let mut out = String::with_capacity(text.len());
    let mut in_space = false;
    for character in text.chars() {
        match (character.is_whitespace(), in_space) {
            (true, true) => {}
            (true, false) => out.push(' '),
            (false, _) => out.push(character),
        }
        in_space = character.is_whitespace();
    }
    if out == text { Cow::Borrowed(text) } else { Cow::Owned(out) }
}

/// What people and programs type into a field that they have nothing for. `text` is folded and trimmed.
/// Two records that share such a text share nothing.
fn is_placeholder(text: &str) -> bool {
    const WORDS: &[&str] = &[
        "n/a",
        "na",
        "n.a.",
        "n\\a",
        "none",
        "(none)",
        "[none]",
        "null",
        "(null)",
        "nil",
        "nan",
        "undefined",
        "unknown",
        "(unknown)",
        "not available",
        "not applicable",
        "not provided",
        "not known",
        "no name",
        "no email",
        "no phone",
        "anonymous",
        "tbd",
        "tba",
        "todo",
        "test",
        "xxx",
        "missing",
        "empty",
        "blank",
        "(blank)",
        "default",
    ];
    const MAILBOXES: &[&str] =
        &["test@", "none@", "noemail@", "no-email@", "nomail@", "unknown@", "na@", "n/a@", "noreply@", "no-reply@"];
    let is_repeated_zero = text.len() >= 5 && text.bytes().all(|byte| byte == b'0');
    WORDS.contains(&text)
        || !text.chars().any(char::is_alphanumeric)
        || is_repeated_zero
        || MAILBOXES.iter().any(|start| text.starts_with(start))
}

impl FieldType {
    /// The name used in rules: `text`, `integer`, …
    pub fn name(&self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Integer => "integer",
            Self::Real => "real",
            Self::Decimal { .. } => "decimal",
            Self::Boolean => "boolean",
            Self::Date => "date",
            Self::Datetime => "datetime",
            Self::Json => "json",
            Self::Set => "set",
            Self::List { .. } => "list",
            Self::Ref { .. } => "ref",
        }
    }
}
