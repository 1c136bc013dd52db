//! Owns: the type of a field and its declared equality.
//!
//! Must not know: policies, bindings, codecs.

use super::{Json, Path, Value};

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

    /// The representative of the value's equality class: normalised text, decimals at scale, datetimes at microseconds,
    /// JSON with sorted keys and canonical numbers. Idempotent.
    pub fn canonical(&self, value: &Value) -> Value {
        let _ = value;
        todo!()
    }

    /// The field's declared equality: both have the same canonical form.
    pub fn same(&self, left: &Value, right: &Value) -> bool {
        left == right || self.canonical(left) == self.canonical(right)
    }

    /// The text by which two records match on this field: canonical, case-folded, NFKC, white space collapsed.
    /// `None` where the value is null, empty or an obvious placeholder (`n/a`, `none`, `unknown`, `-`, `test@test.com`…), which never match.
    pub fn match_text(&self, value: &Value) -> Option<String> {
        let _ = value;
        todo!()
    }

    /// Checks `one_of`; `Null` always passes.
    pub fn admits(&self, value: &Value) -> bool {
        match (&self.one_of, value) {
            (Some(list), Value::Text(text)) => list.iter().any(|item| item == text),
            _ => true,
        }
    }

    /// For tests and messages: the canonical JSON of a value.
    pub fn json(&self, value: &Value) -> Json {
        self.canonical(value).to_json()
    }
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
