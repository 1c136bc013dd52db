//! Owns: how one upstream writes one field: from a JSON token to a canonical value and back.
//!
//! Must not know: where the token stands in the record (that is `path` and `mapping`).
//!
//! Lens laws, modulo the domain's equality, held by property tests: `read(write(v)) ≈ v`, and `write(read(j))` reads as `j` does.

use std::collections::BTreeMap;

use super::{Domain, FieldError, Json, TimeFormat, Value};

/// A field's codec at one binding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Codec {
    /// The plain form of the field's type: text as string, integer as number, decimal as string or number, date as
    /// `YYYY-MM-DD`, datetime as RFC 3339, set as array, boolean as boolean, json as it is, ref as string or number.
    Plain {
        /// How numbers-as-text are written back: as the string or number that plain JSON would use.
        as_string: bool,
    },
    /// Hub text ↔ remote token, both ways unique.
    Enum(BTreeMap<String, Json>),
    /// A decimal as a whole number of its smallest unit (scale 2: cents).
    Cents,
    /// A datetime or date in this format.
    Time(TimeFormat),
    /// A set (or list of texts) as one text with a separator.
    Split(String),
    /// A boolean as one of two texts.
    BoolText {
        /// The token for true, e.g. `yes`.
        yes: String,
        /// The token for false.
        no: String,
    },
}

impl Codec {
    /// Reads a token. JSON `null` is `Value::Null` under every codec.
    pub fn read(&self, domain: &Domain, token: &Json) -> Result<Value, FieldError> {
        let _ = (domain, token);
        todo!()
    }

    /// Writes a value. An error names what the upstream cannot express (an unmapped enum value).
    pub fn write(&self, domain: &Domain, value: &Value) -> Result<Json, FieldError> {
        let _ = (domain, value);
        todo!()
    }
}
