//! Owns: what one remote record says about one field: nothing, a value, or something unreadable.
//!
//! Must not know: how the value was found (that is `mapping`).

use super::Value;

/// A field as one observation shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Slot {
    /// The key is not there, was not asked for, or is not mapped. Never clears anything.
    Absent,
    /// The key is there; JSON `null` is `Value::Null`.
    Value(Value),
    /// The key is there but says something that the field's type or codec does not know; blocks this field only.
    Bad(FieldError),
}

/// Why a value could not be read or written. The text never carries more than a short excerpt of the value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct FieldError {
    /// What is wrong and what would be right, as a lower-case fragment.
    pub reason: String,
}

impl FieldError {
    /// A new error from its reason.
    pub fn new(reason: impl Into<String>) -> Self {
        Self { reason: reason.into() }
    }
}

impl Slot {
    /// The value, where there is one.
    pub fn value(&self) -> Option<&Value> {
        match self {
            Self::Value(value) => Some(value),
            Self::Absent | Self::Bad(_) => None,
        }
    }
}

/// The longest piece of a value that a message shows.
const EXCERPT_CHARS_MAX: usize = 40;

/// The start of a text, for a message; control characters are escaped.
pub(super) fn excerpt(text: &str) -> String {
    let mut shown = String::new();
    for (count, character) in text.chars().enumerate() {
        if count + 1 == EXCERPT_CHARS_MAX && text.chars().nth(EXCERPT_CHARS_MAX).is_some() {
            shown.push('…');
            break;
        }
        if character.is_control() {
            shown.extend(character.escape_default());
        } else {
            shown.push(character);
        }
    }
    shown
}
